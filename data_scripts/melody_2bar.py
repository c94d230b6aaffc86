"""The dataset of the bundled model melody-2bar: pop909-aligned, openscore-lieder and folk-tunes, two bars of 4/4.

Licences: MIT (POP909, POP909-CL), CC0-1.0 (OpenScore Lieder), public domain (folk tunes from music21's corpus).

With --from, a folder that holds the three, each as a folder or an archive, and the result is the model's dataset to the
byte: hash {HASH}. Without, each is fetched or built by its own script, and pop909 and folk-tunes come out a
little different (see there).

    python data_scripts/melody_2bar.py --from FOLDER -o data/melody-2bar
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import fetch
import music21_folk
import openscore_lieder
import pop909

from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.dataset import Dataset
from seqvae.errors import DataError

LICENCE = "; ".join([pop909.LICENCE, openscore_lieder.LICENCE, music21_folk.LICENCE])
PARTS = {
    "pop909-aligned": pop909.corpus,
    "openscore-lieder": openscore_lieder.corpus,
    "folk-tunes": music21_folk.corpus,
}
HASH = "b62e6dcafed0d092"


def part(root: Path | None, name: str) -> Path | None:
    """The folder or archive of that name at or below `root`.

    Raises:
        DataError: There is none.
    """
    if root is None:
        return None
    found = sorted(
        (path for path in root.rglob(f"{name}*") if path.is_file() or any(path.rglob("*.mid"))),
        key=lambda path: (path.is_file(), len(path.parts), path.name),
    )
    if not found:
        raise DataError(f"{root}: there is no {name} in it, as a folder or an archive; it needs {', '.join(PARTS)}")
    return found[0]


@contextlib.contextmanager
def corpora(root: Path | None) -> Iterator[list[Path]]:
    """The folders of all three."""
    with contextlib.ExitStack() as stack:
        yield [folder for name, corpus in PARTS.items() for folder in stack.enter_context(corpus(part(root, name)))]


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments((__doc__ or "").replace("{HASH}", HASH))
    fetch.say(f"licence: {LICENCE}")
    with corpora(args.source) as folders:
        report = prepare(
            folders,
            load_preset(args.preset).tokenizer,
            args.out,
            split=openscore_lieder.split,
            jobs=args.jobs,
            force=args.force,
            licence=LICENCE,
        )
    fetch.finish(args.out, report)
    if Dataset.open(args.out).hash != HASH:
        fetch.say(f"this is not the bundled model's dataset, whose hash is {HASH}: its figures will differ a little")


if __name__ == "__main__":
    fetch.run(main)
