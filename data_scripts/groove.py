"""The Groove MIDI Dataset: 1,150 drum performances on an electronic kit, 13.6 hours, with velocity and timing.

Licence: CC BY 4.0, Google LLC. Cite Gillick, Roberts, Engel, Eck and Bamman, "Learning to Groove with Inverse Sequence
Transformations", ICML 2019. Splits are those of its info.csv.

    python data_scripts/groove.py -o data/drums                                  patterns, for drums-2bar
    python data_scripts/groove.py --preset groove-2bar -o data/groove            performances
    python data_scripts/groove.py --from groove-midionly.tar.xz -o data/drums    a local copy
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import fetch

from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.dataset import Split
from seqvae.errors import DataError, ReadError

LICENCE = "CC BY 4.0 (Groove MIDI Dataset, Google LLC; Gillick et al. 2019)"
URL = "https://storage.googleapis.com/magentadata/datasets/groove/groove-v1.0.0-midionly.zip"
SHA256 = "651cbc524ffb891be1a3e46d89dc82a1cecb09a57c748c7b45b844c4841dcc1e"
CHECKSUM = "648c86a02d4b3120"
SPLITS: dict[str, Split] = {"train": "train", "validation": "valid", "test": "test"}


def corpus_root(folder: Path) -> Path:
    """The folder in which info.csv lies, at or below `folder`. Raises `DataError`: there is none."""
    found = min(folder.rglob("info.csv"), key=lambda path: (len(path.parts), path), default=None)
    if found is None:
        raise DataError(f"{folder}: there is no info.csv in it, which says the splits; is it another corpus?")
    return found.parent


def splitter(info: Path) -> Callable[[str], Split]:
    """From a source's name to its split, as the column `split` of info.csv has it.

    Raises:
        ReadError: The file has no such columns, or another word in them.
    """
    try:
        with info.open(encoding="utf-8", newline="") as file:
            splits = {row["midi_filename"]: SPLITS[row["split"]] for row in csv.DictReader(file)}
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        found = f"{info}: {error} is not what is expected"
        raise ReadError(f"{found}; it needs the columns midi_filename and split ({', '.join(SPLITS)})") from None

    def split(name: str) -> Split:
        # A name begins with the folder that was searched.
        return splits.get(name.partition("/")[2], "train")

    return split


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__, preset="drums-2bar")
    fetch.say(f"licence: {LICENCE}")
    with fetch.opened(args.source, URL, SHA256) as folder:
        root = corpus_root(folder)
        fetch.check_tree(root, "*.mid", CHECKSUM)
        report = prepare(
            root,
            load_preset(args.preset).tokenizer,
            args.out,
            split=splitter(root / "info.csv"),
            jobs=args.jobs,
            force=args.force,
            licence=LICENCE,
        )
        fetch.finish(args.out, report)


if __name__ == "__main__":
    fetch.run(main)
