"""OpenScore Lieder: 1,460 songs of the 19th century, voice and piano; the voices give the melodies.

Licence: CC0-1.0.

The bundled model was trained on MIDI files made from these scores (--from such a copy). Downloaded, the .mxl scores
themselves are read by music21: the same songs in the same splits, but slower, and not window for window the same.

    python data_scripts/openscore_lieder.py -o data/lieder
    python data_scripts/openscore_lieder.py --from openscore-lieder-midi.tar.xz -o data/lieder
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import fetch

from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.corpus.prepare import split_by_name
from seqvae.dataset import Split

LICENCE = "CC0-1.0 (OpenScore Lieder)"
COMMIT = "bca122458de6da362abe62dd6aec62e25d7759b1"
URL = f"https://github.com/OpenScore/Lieder/archive/{COMMIT}.tar.gz"
CHECKSUM = "f5937ff709b765c2"


@contextlib.contextmanager
def corpus(source: Path | None) -> Iterator[list[Path]]:
    """A folder of MIDI files or of .mxl scores."""
    with fetch.opened(source, URL) as folder:
        if any(folder.rglob("*.mid")):
            fetch.check_tree(folder, "*.mid", CHECKSUM)
            yield [folder]
        else:
            yield [fetch.folder_named(folder, "scores")]


def split(name: str) -> Split:
    """A score's split is that of the MIDI file made from it."""
    return split_by_name(f"{PurePosixPath(name).stem}.mid")


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__)
    fetch.say(f"licence: {LICENCE}")
    with corpus(args.source) as folders:
        tokenizer = load_preset(args.preset).tokenizer
        report = prepare(folders, tokenizer, args.out, split=split, jobs=args.jobs, force=args.force, licence=LICENCE)
        fetch.finish(args.out, report)


if __name__ == "__main__":
    fetch.run(main)
