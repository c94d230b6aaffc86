"""Corpora of lines (texts, raw symbols): many small items a file, each its own source for the splits.

A line goes to train, valid or test by a hash of itself, so equal lines stay together, in every corpus. Files named for
a split keep their lines there; a split that no file is named for takes its share of the other files' lines. What a
tokenizer learns, it learns from train's lines.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from seqvae.corpus.reading import FileReading, reason
from seqvae.corpus.report import LineFacts, Tally, general
from seqvae.dataset import ORIGIN_DTYPE, SPLITS, Arrangement, Split, arrange
from seqvae.errors import SeqvaeError
from seqvae.tokenizers import Tokenizer
from seqvae.tokenizers.lines import LineReader

NAMED: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    "test": "test",
}
"""A file is named for a split if its name begins or ends with one of these words: test.txt, ptb.valid.txt."""

FILLERS: tuple[tuple[Split, Split, int], ...] = (
    ("train", "test", 1),
    ("train", "valid", 1),
    ("valid", "train", 2),
    ("test", "train", 10),
)
"""A split without a line takes one from another that has so many."""

CHUNK = 10_000
"""Lines between two reports of progress."""


@dataclass(kw_only=True)
class Lines:
    """All lines of a corpus, in order.

    Attributes:
        items: What the tokenizer read.
        keys: Of each line (see `LineReader.line_key`).
        file: Of each line, index in `names`.
        number: Of each line in its file, from 1.
        names, sha1: Of each file.
    """

    items: list[Any] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    file: list[int] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sha1: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class Coded:
    """The lines that gave tokens.

    Attributes:
        tokenizer: As fitted.
        tokens: uint8 or uint16 (lines, time).
        origins: `ORIGIN_DTYPE` (lines,); `start` is the line's number in its file.
        splits: int8 (lines,), index into `SPLITS`.
        sources: (name, split, sha1): the lines of one file in one split are one source.
        keys: uint64 (lines,), equal for lines that are equal by `LineReader.line_key`; None for music.
    """

    tokenizer: Tokenizer
    tokens: NDArray[np.integer[Any]]
    origins: NDArray[np.void]
    splits: NDArray[np.int8]
    sources: list[tuple[str, Split, str]]
    keys: NDArray[np.uint64] | None = None

    def arrange(self) -> Arrangement:
        """Which rows a dataset keeps; a line that train has, if in another form (another key), is not unseen."""
        found = arrange(self.tokens, self.splits)
        if self.keys is None:
            return found
        keys = self.keys[found.order]
        first, last = found.splits["train"]
        new = ~np.isin(keys, keys[first:last])
        new[first:last] = True
        return replace(found, unseen=found.unseen & new)


def gather(
    files: Sequence[tuple[Path, str]],
    tokenizer: Tokenizer,
    split: Callable[[str], Split],
    tally: Tally,
    progress: Callable[[int, int], None] | None = None,
) -> Coded:
    """Reads lines, splits them, learns what the tokenizer must learn, and encodes them; `tally` counts what is met.

    Raises:
        DataError: There is nothing to learn from.
    """
    lines = read_files(files, tokenizer, tally)
    splits = split_lines(lines, split, tally.notes)
    if not lines.items:  # the caller says why, file by file
        nothing = np.zeros((0, tokenizer.length), np.uint16)
        return Coded(tokenizer=tokenizer, tokens=nothing, origins=np.zeros(0, ORIGIN_DTYPE), splits=splits, sources=[])
    if not tokenizer.fitted:
        tokenizer = tokenizer.fit(item for item, of in zip(lines.items, splits, strict=True) if SPLITS[of] == "train")
    return _encode(lines, splits, tokenizer, tally, progress)


def read_files(files: Sequence[tuple[Path, str]], tokenizer: Tokenizer, tally: Tally) -> Lines:
    """All lines of the files; a file that cannot be read, or is the same as one before, is counted."""
    reader = cast(LineReader, tokenizer)
    lines = Lines()
    for path, name in files:
        try:
            sha1 = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
            items = reader.read_lines(path)
        except OSError as error:
            tally.add(FileReading(name=name, error=f"cannot be opened: {error.strerror or error}"))
            continue
        except SeqvaeError as error:
            if len(files) == 1:
                raise  # its own words say more than a count of one
            tally.add(FileReading(name=name, error=reason(error, path)))
            continue
        if sha1 in lines.sha1:
            tally.add_duplicate(FileReading(name=name, sha1=sha1), lines.names[lines.sha1.index(sha1)])
            continue
        tally.add(FileReading(name=name, sha1=sha1))
        lines.file += [len(lines.names)] * len(items)
        lines.number += range(1, len(items) + 1)
        lines.names.append(name)
        lines.sha1.append(sha1)
        lines.items += items
        lines.keys += map(reader.line_key, items)
    return lines


def named_for(name: str) -> Split | None:
    """The split that a file is named for.

    >>> named_for("corpus/ptb.test.txt"), named_for("dev.csv"), named_for("contest.txt")
    ('test', 'valid', None)
    """
    words = re.split(r"[^a-z0-9]+", name.rsplit("/", 1)[-1].rpartition(".")[0].lower())
    return NAMED.get(words[0]) or NAMED.get(words[-1])


def split_lines(lines: Lines, split: Callable[[str], Split], notes: list[str]) -> NDArray[np.int8]:
    """The split of each line: int8 (lines,). What was decided by the names of files is noted."""
    named = [named_for(name) for name in lines.names]
    if not any(of in (None, "train") for of in named):
        named = [None] * len(named)
    for of, name in zip(named, lines.names, strict=True):
        if of is not None:
            notes.append(f"{name} is named for {of}: its lines are there")
    drawn = [of for of in SPLITS if of != "train" and of not in named]  # splits that take a share of the other lines
    if len(drawn) == 1 and any(named):
        notes.append(f"no file is named for {drawn[0]}: it takes every twentieth line of the others, by their hash")
    found: list[Split] = []
    for key, file in zip(lines.keys, lines.file, strict=True):
        own = named[file]
        if own in ("valid", "test"):
            found.append(own)
        elif drawn and key:
            line = key.decode("utf-8", "surrogateescape").replace("/", " ")  # names are taken without their folders
            by_hash = split(line)
            found.append(by_hash if by_hash in drawn else "train")
        else:
            found.append("train")
    _fill(found, lines, notes)
    return np.array([SPLITS.index(of) for of in found], np.int8)


def _fill(found: list[Split], lines: Lines, notes: list[str]) -> None:
    """Moves one line (and its equals) to valid, and then to test, where a small corpus has none there."""
    full = {split: {key for key, of in zip(lines.keys, found, strict=True) if of == split and key} for split in SPLITS}
    for wanted, giver, least in FILLERS:
        if full[wanted] or len(full[giver]) < least:
            continue
        moved = min(full[giver], key=lambda key: hashlib.sha1(key, usedforsecurity=False).digest())
        full[giver].remove(moved)
        full[wanted].add(moved)
        found[:] = [wanted if key == moved else of for key, of in zip(lines.keys, found, strict=True)]
        notes.append(f"no line falls to {wanted}: {_name(lines, lines.keys.index(moved))} was put there")


def _number(key: bytes) -> int:
    return int.from_bytes(hashlib.sha1(key, usedforsecurity=False).digest()[:8])


def _name(lines: Lines, row: int) -> str:
    return f"{lines.names[lines.file[row]]}:{lines.number[row]}"


def _encode(
    lines: Lines,
    splits: NDArray[np.int8],
    tokenizer: Tokenizer,
    tally: Tally,
    progress: Callable[[int, int], None] | None,
) -> Coded:
    dtype = np.dtype(np.uint8 if tokenizer.alphabet.largest <= 256 else np.uint16)
    tokens = np.zeros((len(lines.items), tokenizer.length, *tokenizer.alphabet.shape), dtype)
    kept: list[int] = []
    for row, item in enumerate(lines.items):
        if progress is not None and not (row + 1) % CHUNK:
            progress(row + 1, len(lines.items))
        why = ""
        try:
            windows = tokenizer.windows(item)
            if len(windows.tokens):
                tokens[len(kept)] = windows.tokens[0]
                kept.append(row)
            else:
                why = next(iter(windows.skipped), "nothing in it")
        except SeqvaeError as error:
            why = general(str(error))
        tally.add_line(_name(lines, row) if why else "", why)
    if progress is not None:
        progress(len(lines.items), len(lines.items))
    rows = np.array(kept, np.int64)
    pairs = np.array(lines.file, np.int64)[rows] * len(SPLITS) + splits[rows]
    distinct, source = np.unique(pairs, return_inverse=True)
    origins = np.zeros(len(rows), ORIGIN_DTYPE)
    origins["source"] = source
    origins["start"] = np.array(lines.number, np.int64)[rows]
    coded = Coded(
        tokenizer=tokenizer,
        tokens=tokens[: len(rows)],
        origins=origins,
        splits=splits[rows],
        sources=[
            (lines.names[pair // len(SPLITS)], SPLITS[pair % len(SPLITS)], lines.sha1[pair // len(SPLITS)])
            for pair in distinct.tolist()
        ],
        keys=np.array([_number(lines.keys[row]) for row in kept], np.uint64),
    )
    tally.lines = facts(coded)
    return coded


def facts(coded: Coded) -> LineFacts:
    """What the report says of lines."""
    alphabet, unknown = coded.tokenizer.alphabet, cast(LineReader, coded.tokenizer).unknown
    lengths = alphabet.lengths(coded.tokens)
    shares: dict[Split, float] = {}
    if unknown is not None:
        for index, split in enumerate(SPLITS):
            mine = coded.splits == index
            count = int((coded.tokens[mine] == unknown).sum())
            shares[split] = round(count / max(int(lengths[mine].sum()) - int(mine.sum()), 1), 4)
    by_length = Counter(lengths.tolist())
    return LineFacts(
        vocabulary=alphabet.largest,
        lengths=(min(by_length), float(np.median(lengths)), max(by_length)) if by_length else (0, 0.0, 0),
        tokens=int(lengths.sum()),
        unknown=shares,
    )
