"""All windows of a corpus of music: they go to disk as they come, each is kept once a split, and a dataset is written.

In memory are one byte of each window and some 70 of each file; the rest is read and written in blocks.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.corpus.reading import ItemReading
from seqvae.dataset import ORIGIN_DTYPE, SPLITS, Split, row_blocks, window_hashes
from seqvae.tokenizers import Tokenizer

PART, MOST_PARTS = 1 << 17, 500
"""So many windows are compared at a time, or more where that would be too many parts: each is an open file."""

HASH_DTYPE = np.dtype([("row", "i8"), ("hash", "u8", (2,))])

SPLIT_BITS, LEFT_OUT, SEEN = 3, 3, 4
"""A window's state: its split, index into `SPLITS`, or that it is left out; and a bit if train holds the same."""

State = NDArray[np.int8]


class Checksums:
    """Which file was the first of several with the same bytes: 48 bytes for each of at most `count` files."""

    SIZE = 20

    def __init__(self, count: int) -> None:
        self._slots = 2 * count + 1
        self._sums = bytearray(self.SIZE * self._slots)
        self._numbers = array("l", [-1]) * self._slots

    def first(self, sha1: str, number: int) -> int:
        """The number of the first file with this checksum; that is this one if there was none before."""
        wanted = bytes.fromhex(sha1)
        slot = int.from_bytes(wanted[:8]) % self._slots
        while self._numbers[slot] >= 0:
            if self._sums[slot * self.SIZE : (slot + 1) * self.SIZE] == wanted:
                return self._numbers[slot]
            slot = (slot + 1) % self._slots
        self._sums[slot * self.SIZE : (slot + 1) * self.SIZE] = wanted
        self._numbers[slot] = number
        return number


@dataclass(frozen=True, kw_only=True)
class Once:
    """What became of the windows: as `Arrangement` says it."""

    splits: dict[Split, tuple[int, int]]
    duplicates: dict[Split, int]
    seen: dict[Split, int]


class WindowFiles:
    """Windows in files of a folder: their tokens, where they came from, and the sources that they are of.

    Attributes:
        count: Windows there are.
        per_source: Windows of each source.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        folder.mkdir()
        self._folder = folder
        self._dtype = np.dtype(np.uint8 if tokenizer.alphabet.largest <= 256 else np.uint16)
        self._shape = (tokenizer.length, *tokenizer.alphabet.shape)
        self._tokens = (folder / "tokens").open("w+b")
        self._origins = (folder / "origins").open("w+b")
        self._sources = (folder / "sources").open("w+b")
        self._names = (folder / "names").open("w+b")
        self.count = 0
        self.per_source = array("l")

    def name(self, name: str) -> None:
        """Keeps the name of the next file, whether it has windows or not."""
        self._names.write(json.dumps(name).encode() + b"\n")

    def named(self, number: int) -> str:
        """The name of a file that is kept."""
        self._names.seek(0)
        name: str = json.loads(next(itertools.islice(self._names, number, None)))
        self._names.seek(0, os.SEEK_END)
        return name

    def add(self, item: ItemReading, sha1: str) -> None:
        """Adds an item that has windows, as the next source."""
        origins = np.zeros(len(item.tokens), ORIGIN_DTYPE)
        origins["source"] = len(self.per_source)
        origins["track"] = item.track
        origins["start"] = item.starts
        self._tokens.write(np.ascontiguousarray(item.tokens).data)
        self._origins.write(origins.tobytes())
        self._sources.write(json.dumps([item.name, sha1]).encode() + b"\n")
        self.per_source.append(len(item.tokens))
        self.count += len(item.tokens)

    def close(self) -> None:
        """Closes the files."""
        for file in (self._tokens, self._origins, self._sources, self._names):
            file.close()

    def sources(self) -> Iterator[tuple[str, str]]:
        """(name, sha1) of each source."""
        self._sources.seek(0)
        for line in self._sources:
            name, sha1 = json.loads(line)
            yield name, sha1

    def keep_once(self, state: State) -> Once:
        """Marks, in the state of each window, what repeats inside its split, and what train holds too."""
        before, _ = per_split(state)
        for part in self._parts():
            found = np.fromfile(part, HASH_DTYPE)
            mark_equal(state, found["row"], found["hash"])
        kept, seen = per_split(state)
        last = np.cumsum(list(kept.values())).tolist()
        return Once(
            splits={split: (end - kept[split], end) for split, end in zip(SPLITS, last, strict=True)},
            duplicates={split: before[split] - kept[split] for split in SPLITS},
            seen={split: seen[split] for split in SPLITS if split != "train"},
        )

    def tokens(self, state: State) -> Iterator[NDArray[np.integer[Any]]]:
        """The tokens of the windows that are kept, split after split, in blocks."""
        for index in range(len(SPLITS)):
            for rows, block in self._token_blocks():
                yield block[state[rows] & SPLIT_BITS == index]

    def origins(self, state: State) -> Iterator[NDArray[np.void]]:
        """`ORIGIN_DTYPE` of the same windows, in blocks."""
        for index in range(len(SPLITS)):
            for rows, block in blocks(self._origins, self.count, (), ORIGIN_DTYPE):
                mine = state[rows] & SPLIT_BITS == index
                found = block[mine]
                found["unseen"] = state[rows][mine] & SEEN == 0
                yield found

    def _token_blocks(self) -> Iterator[tuple[slice, NDArray[np.integer[Any]]]]:
        return blocks(self._tokens, self.count, self._shape, self._dtype)

    def _parts(self) -> list[Path]:
        """Files of rows and hashes of all windows; equal windows are in the same file, in the order of their rows."""
        count = min(-(-self.count // PART), MOST_PARTS)
        paths = [self._folder / f"hashes-{part}" for part in range(count)]
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for rows, block in self._token_blocks():
                found = np.empty(len(block), HASH_DTYPE)
                found["row"], found["hash"] = np.arange(rows.start, rows.stop), window_hashes(block)
                part_of = found["hash"][:, 0] % np.uint64(count)
                for part, file in enumerate(files):
                    file.write(found[part_of == part].tobytes())
        return paths


def blocks(
    file: IO[bytes], count: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """A file's rows, from its beginning: read and not mapped, since a mapped file counts as this process's memory."""
    file.seek(0)
    row_bytes = int(np.prod(shape)) * dtype.itemsize
    for rows in row_blocks(count, row_bytes):
        data = file.read((rows.stop - rows.start) * row_bytes)
        yield rows, np.frombuffer(data, dtype).reshape(-1, *shape)


def per_split(state: State) -> tuple[dict[Split, int], dict[Split, int]]:
    """How many windows of each split are kept, and how many of these train has too."""
    seen = {split: int(np.count_nonzero(state == index | SEEN)) for index, split in enumerate(SPLITS)}
    new = {split: int(np.count_nonzero(state == index)) for index, split in enumerate(SPLITS)}
    return {split: new[split] + seen[split] for split in SPLITS}, seen


def mark_equal(state: State, rows: NDArray[np.int64], hashes: NDArray[np.uint64]) -> None:
    """Marks the windows of these rows, which ascend: what repeats inside its split, and what train holds too."""
    if not len(rows):
        return
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: of equal windows the first comes first
    hashes, rows = hashes[order], rows[order]
    group = np.cumsum(np.append(0, (hashes[1:] != hashes[:-1]).any(axis=1)))
    in_train = np.zeros(len(rows), bool)  # of each group
    splits = state[rows]
    for index in range(len(SPLITS)):
        mine, of = rows[splits == index], group[splits == index]
        repeats = np.append(False, of[1:] == of[:-1])[: len(of)]
        state[mine] |= np.where(in_train[of], np.int8(SEEN), np.int8(0))
        state[mine[repeats]] = LEFT_OUT
        if SPLITS[index] == "train":
            in_train[of] = True
