"""What the scripts of text corpora share: clean lines in three splits, as .txt files and as a dataset."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import fetch

from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.dataset import SPLITS, Split
from seqvae.errors import DataError, ReadError
from seqvae.files import write_atomic

Texts = Mapping[Split, Sequence[str]]
"""The lines of each split; an item a line."""


def arguments(description: str | None, preset: str) -> argparse.Namespace:
    """The flags of a text corpus's script: those of all, and --text."""
    parser = fetch.parser(description, preset)
    parser.add_argument(
        "--text", type=Path, metavar="FOLDER", help="also write the clean text there: train.txt, valid.txt, test.txt"
    )
    return parser.parse_args()


def build(args: argparse.Namespace, texts: Texts, name: str, licence: str, settings: Sequence[str] = ()) -> None:
    """Writes the text where asked, and the dataset; `settings` are put on top of the preset's. Raises `SeqvaeError`."""
    with tempfile.TemporaryDirectory(prefix="seqvae-") as folder:
        clean = write(texts, args.text or Path(folder, name))
        if args.text:
            fetch.say(f"text: {clean}")
        tokenizer = load_preset(args.preset, settings).tokenizer
        files = [clean / f"{split}.txt" for split in SPLITS]  # named for their splits, in which they stay
        report = prepare(files, tokenizer, args.out, jobs=args.jobs, force=args.force, licence=licence)
    fetch.finish(args.out, report)


def write(texts: Texts, folder: Path) -> Path:
    """Writes train.txt, valid.txt and test.txt, and returns the folder.

    Raises:
        DataError: A split is empty.
        WriteError: They cannot be written.
    """
    for split in SPLITS:
        if not texts[split]:
            raise DataError(f"no line is left for {split}; is it another corpus?")
        write_atomic(folder / f"{split}.txt", ("\n".join(texts[split]) + "\n").encode())
    return folder


def percent(line: str) -> int:
    """0 … 99, by the line's own text, for splits in which equal lines stay together: below 5 is test, below 10 valid.

    >>> percent("a dog on a bed") == percent("a dog on a bed")
    True
    """
    return int(hashlib.sha1(line.encode(), usedforsecurity=False).hexdigest(), 16) % 100


def lines(content: bytes, name: str) -> list[str]:
    """The lines of a UTF-8 file, which `name` names if it is none. Raises `ReadError`."""
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ReadError(f"{name}: byte {error.start} is no UTF-8; is it another corpus?") from None


def clean(lines: Iterable[str]) -> list[str]:
    """The lines with one space between words and none around them; empty ones left out."""
    return [line for line in (" ".join(line.split()) for line in lines) if line]
