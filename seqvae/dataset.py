"""A dataset folder: windows as tokens, memory-mapped, where each came from, and a sampler that resumes exactly.

tokens.npy     uint8 or uint16 (windows, time) or (windows, time, part): train, then valid, then test; distinct inside
               a split; sequences that end by themselves are filled up with their end token
origins.npy    `ORIGIN_DTYPE` (windows,): source, track, start, and whether the window is not in train
sources.jsonl  one line a source: id, name, split, sha1, windows [first, last)
dataset.json   format, tokenizer, vocabulary size, splits as ranges, licence, hash of all that
report.json    what the import met
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import ConfigError, DataError
from seqvae.files import one_line, write_json
from seqvae.tokenizers import TOKENIZERS, Alphabet, Tokenizer

FORMAT = 1
Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

ORIGIN_DTYPE = np.dtype([("source", "i4"), ("track", "i2"), ("start", "f8"), ("unseen", "?")])
"""Of one window: line of sources.jsonl, track in it, start in the kind's unit (beats), True if train has it not."""

POOL_BATCHES = 50
"""So many batches' windows are sorted by length together: batches of like length, still in random order."""

_BLOCK = 1 << 20
"""Tokens that are held in memory at once where all rows are gone through."""


class Batch(NamedTuple):
    """What a training step eats. tokens: int64 (batch, time) or (batch, time, part), time the longest of the batch."""

    tokens: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One line of sources.jsonl; `first` and `last` are the range of its windows in tokens.npy, last excluded."""

    id: int
    name: str
    split: Split
    sha1: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """An open dataset folder.

    Attributes:
        folder: Where it lies.
        tokenizer: The one its tokens were made with.
        hash: 16 hex digits over tokens, origins and tokenizer: same hash, same data.
        licence: What the maker said about the data's licence, or "".
        splits: Range of rows of each split.
        replay: So many of train's windows, the last ones, are not the data's own: a personal model's replay.

    Example:
        >>> dataset = Dataset.open("melodies")                                             # doctest: +SKIP
        >>> dataset.windows("train").shape                                                 # doctest: +SKIP
        (104113, 32)
    """

    folder: Path
    tokenizer: Tokenizer
    hash: str
    licence: str
    splits: dict[Split, tuple[int, int]]
    tokens: NDArray[np.integer[Any]]
    origins: NDArray[np.void]
    replay: int = 0

    @staticmethod
    def open(folder: str | Path) -> Dataset:
        """Opens a folder that `seqvae prepare` wrote, and checks that it is whole.

        Raises:
            DataError: It is missing, no dataset, of another version, or damaged.
        """
        folder = Path(folder)
        if not (folder / "dataset.json").is_file():
            what = "is no dataset (it has no dataset.json)" if folder.exists() else "does not exist"
            raise DataError(f"{folder}: {what}; make one with: seqvae prepare FILES -o {folder}")
        try:
            header = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
            if header["format"] != FORMAT:
                found = f"{folder}: dataset format {header['format']}, and this seqvae reads {FORMAT}"
                raise DataError(f"{found}; prepare it again with --force")
            tokens = np.load(folder / "tokens.npy", mmap_mode="r", allow_pickle=False)
            origins = np.load(folder / "origins.npy", allow_pickle=False)
            splits: dict[Split, tuple[int, int]] = {split: tuple(header["splits"][split]) for split in SPLITS}
            edges = [edge for split in SPLITS for edge in splits[split]]
            follow_on = edges[0] == 0 and edges[1] == edges[2] and edges[3] == edges[4] and edges[5] == len(tokens)
            whole = follow_on and origins.dtype == ORIGIN_DTYPE and len(origins) == len(tokens)
            if not whole or content_hash(tokens, origins, header["tokenizer"]) != header["hash"]:
                raise DataError(f"{folder}: the tokens do not agree with dataset.json; prepare it again with --force")
            return Dataset(
                folder=folder,
                tokenizer=tokenizer_from_dict(header["tokenizer"]),
                hash=header["hash"],
                licence=header["licence"],
                splits=splits,
                tokens=tokens,
                origins=origins,
                replay=header.get("replay", 0),
            )
        except DataError:
            raise
        except Exception as error:  # numpy and json raise whatever Python's own parsers do on damaged headers
            raise DataError(f"{folder}: damaged dataset ({one_line(error)}); prepare it again with --force") from None

    def windows(self, split: Split) -> NDArray[np.integer[Any]]:
        """The split's windows: uint8 or uint16 (windows, time), memory-mapped, distinct."""
        return self.tokens[slice(*self._range(split))]

    def own(self) -> NDArray[np.integer[Any]]:
        """Train's windows without those of replay."""
        windows = self.windows("train")
        return windows[: len(windows) - self.replay]

    def unseen(self, split: Split) -> NDArray[np.bool_]:
        """bool (windows,): True where train does not hold the same window; quote figures on those only."""
        flags: NDArray[np.bool_] = self.sources(split)["unseen"]
        return flags

    def sources(self, split: Split) -> NDArray[np.void]:
        """`ORIGIN_DTYPE` (windows,): of each window of the split its source, track and start."""
        return self.origins[slice(*self._range(split))]

    def source_list(self) -> list[Source]:
        """The lines of sources.jsonl. Raises `DataError`."""
        try:
            with (self.folder / "sources.jsonl").open(encoding="utf-8") as lines:
                return [Source(**json.loads(line)) for line in lines]
        except (OSError, ValueError, TypeError) as error:
            found = f"{self.folder}: damaged sources.jsonl ({one_line(error)})"
            raise DataError(f"{found}; prepare it again with --force") from None

    def report(self) -> dict[str, Any]:
        """The import report. Raises `DataError`."""
        try:
            report: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
            return report
        except (OSError, ValueError) as error:
            found = f"{self.folder}: damaged report.json ({one_line(error)})"
            raise DataError(f"{found}; prepare it again with --force") from None

    def _range(self, split: Split) -> tuple[int, int]:
        if split not in self.splits:
            raise DataError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
        return self.splits[split]


# -- sampling ------------------------------------------------------------------------------------------------------


class Sampler:
    """An endless stream of batches: every epoch each window once, in a new order, in a variant drawn anew.

    Order and variant are pure functions of (seed, epoch, position), so `state` is all that a resume needs. A batch that
    an epoch cannot fill takes its rest from the next, so all have the same size, even if the windows are fewer.
    Sequences that end by themselves come in batches of like length, cut at the longest.

    Example:
        >>> from seqvae.tokenizers import Part
        >>> bits = Alphabet(parts=(Part("bit", 2),))
        >>> sampler = Sampler(np.eye(3, dtype=np.uint8), bits, np.arange(2)[None], batch_size=2, seed=1)
        >>> sampler.next().tokens.shape, sampler.state
        ((2, 3), (1, 0, 2))
    """

    def __init__(
        self,
        windows: NDArray[np.integer[Any]],
        alphabet: Alphabet,
        augmentations: NDArray[np.int64],
        batch_size: int,
        seed: int,
        state: tuple[int, int, int] | None = None,
    ) -> None:
        """Starts at `seed`'s first batch, or after the last batch of the sampler whose `state` is given.

        Args:
            windows: (windows, time) or (windows, time, part) tokens.
            alphabet: What their steps are.
            augmentations: As `Tokenizer.augmentations`; row k maps a token to its token in variant k.
            batch_size: Windows a batch.
            seed: 0 or more.
            state: (seed, epoch, index); its seed goes before `seed`.

        Raises:
            DataError: There is no window.
            ConfigError: The batch size or the seed is out of range.
        """
        if not len(windows):
            raise DataError("there is no window to train on; look at the dataset's report.json")
        if batch_size < 1:
            raise ConfigError(f"train.batch_size is {batch_size}; it must be 1 or more")
        self.windows = np.asarray(windows)  # a plain view of the same memory: np.memmap is slow to index
        self.alphabet = alphabet
        self.lengths = None if alphabet.end is None else alphabet.lengths(self.windows)
        self.augmentations = augmentations
        self.batch_size = batch_size
        self._seed, self._epoch, self._index = state or (seed, 0, 0)
        if min(self._seed, self._epoch, self._index) < 0:
            raise ConfigError(f"the sampler's seed is {self._seed}; it must be 0 or more")
        self._order, self._variants = self._epoch_draws()

    @property
    def state(self) -> tuple[int, int, int]:
        """(seed, epoch, index): where the next batch begins."""
        return self._seed, self._epoch, self._index

    def draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The next batch as row numbers and variants, each int64 (batch,), for those who hold the tokens themselves."""
        rows, variants = [], []
        missing = self.batch_size
        while missing:
            taken = slice(self._index, self._index + missing)
            rows.append(self._order[taken])
            variants.append(self._variants[taken])
            missing -= len(rows[-1])
            self._index += len(rows[-1])
            if self._index >= len(self.windows):
                self._epoch, self._index = self._epoch + 1, 0
                self._order, self._variants = self._epoch_draws()
        return np.concatenate(rows), np.concatenate(variants)

    def next(self) -> Batch:
        """The next batch."""
        rows, variants = self.draw()
        tokens = self.windows[rows]
        if self.lengths is not None:
            tokens = tokens[:, : self.lengths[rows].max()]
        return Batch(vary(tokens, variants, self.augmentations))

    def __iter__(self) -> Iterator[Batch]:
        return self

    __next__ = next

    def _epoch_draws(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([self._seed, self._epoch])))
        order = generator.permutation(len(self.windows))
        if self.lengths is not None:
            order = self._like_lengths(order, generator)
        return order, generator.integers(len(self.augmentations), size=len(self.windows))

    def _like_lengths(self, order: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """The order with windows of like length in one batch, the batches shuffled."""
        assert self.lengths is not None
        pool = np.arange(len(order)) // (self.batch_size * POOL_BATCHES)
        order = order[np.lexsort((self.lengths[order], pool))]
        whole = len(order) // self.batch_size * self.batch_size
        batches = generator.permutation(order[:whole].reshape(-1, self.batch_size), axis=0)
        return np.concatenate([batches.ravel(), order[whole:]])


def vary(
    tokens: NDArray[np.integer[Any]], variants: NDArray[np.int64], augmentations: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Each row in its variant: (n, time) or (n, time, part) tokens, int64 (n,) variants → int64, the tokens' shape."""
    if tokens.ndim == 2:
        found: NDArray[np.int64] = augmentations[variants[:, None], tokens]
    else:
        found = augmentations[variants[:, None, None], np.arange(tokens.shape[2]), tokens]
    return found


# -- writing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrangement:
    """Which rows a dataset keeps, and in which order.

    Attributes:
        order: int64 (kept,) rows; train, valid, test, each distinct and in the order of the input.
        unseen: bool (kept,); False where train holds the same window.
        splits: Range of each split in `order`.
        duplicates: Rows left out of each split because it holds the same window already.
    """

    order: NDArray[np.int64]
    unseen: NDArray[np.bool_]
    splits: dict[Split, tuple[int, int]]
    duplicates: dict[Split, int]

    @property
    def seen(self) -> dict[Split, int]:
        """Windows of valid and test that train holds too."""
        return {of: int((~self.unseen[slice(*self.splits[of])]).sum()) for of in SPLITS if of != "train"}


def arrange(tokens: NDArray[np.integer[Any]], split: NDArray[np.int8]) -> Arrangement:
    """Sorts windows into their splits and leaves out the second of two equal ones inside a split.

    Args:
        tokens: (windows, time); may be memory-mapped, is read once.
        split: int8 (windows,), index into `SPLITS`.
    """
    keys = window_keys(tokens)
    kept, unseen = [], []
    splits: dict[Split, tuple[int, int]] = {}
    duplicates: dict[Split, int] = {}
    first = 0
    for index, name in enumerate(SPLITS):
        rows = np.flatnonzero(split == index)
        distinct = rows[np.sort(np.unique(keys[rows], return_index=True)[1])]
        kept.append(distinct)
        unseen.append(~np.isin(keys[distinct], keys[kept[0]]) | (index == 0))
        splits[name] = (first, first + len(distinct))
        duplicates[name] = len(rows) - len(distinct)
        first += len(distinct)
    return Arrangement(order=np.concatenate(kept), unseen=np.concatenate(unseen), splits=splits, duplicates=duplicates)


def window_keys(tokens: NDArray[np.integer[Any]]) -> NDArray[np.complex128]:
    """A 128-bit key for each window, equal for equal windows: (windows,), in a type that numpy can sort.

    Different windows share a key with probability 2^-100.
    """
    # Any one-to-one map to floats sorts and compares: bits 12-63 of each half as a number in [1, 2), 104 bits in all.
    halves = (window_hashes(tokens) >> np.uint64(12)) | np.uint64(0x3FF0000000000000)
    return halves.view(np.complex128)[:, 0]


def window_hashes(tokens: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """Two numbers for each window, equal for equal windows: uint64 (windows, 2).

    Two sums of tokens times fixed random numbers modulo 2^64.
    """
    width = int(np.prod(tokens.shape[1:]))
    factors = np.random.Generator(np.random.Philox(20)).integers(1 << 64, size=(width, 2), dtype=np.uint64)
    columns = np.ascontiguousarray(factors.T)  # numpy multiplies by each alone in half the time
    hashes = np.empty((len(tokens), 2), np.uint64)
    for rows in row_blocks(len(tokens), width):
        block = np.asarray(tokens[rows]).reshape(-1, width).astype(np.uint64)
        block += np.uint64(1)
        for half, column in enumerate(columns):
            hashes[rows, half] = block @ column
    return hashes


def row_blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of about a million numbers each that cover `count` rows of `width` numbers."""
    step = max(1, _BLOCK // max(width, 1))
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def write_dataset(
    folder: Path,
    *,
    tokenizer: Tokenizer,
    tokens: NDArray[np.integer[Any]],
    origins: NDArray[np.void],
    arrangement: Arrangement,
    sources: Sequence[tuple[str, Split, str]],
    report: dict[str, Any],
    licence: str = "",
    replay: int = 0,
) -> None:
    """Writes the files of a dataset into a folder that exists and is empty (see `files.replacing_folder`).

    Args:
        folder: Where to.
        tokenizer: The one that made the tokens.
        tokens: (windows, time), all of them; `arrangement` picks.
        origins: `ORIGIN_DTYPE` (windows,), the same; `unseen` is filled in here.
        arrangement: From `arrange`.
        sources: (name, split, sha1) of each source.
        report: Goes to report.json.
        licence: A note on the licence of the data.
        replay: So many of train's kept rows, the last ones, are replay.
    """
    order = arrangement.order
    kept = origins[order]
    kept["unseen"] = arrangement.unseen
    write_blocks(
        folder,
        tokenizer=tokenizer,
        tokens=(tokens[order[rows]] for rows in row_blocks(len(order), int(np.prod(tokens.shape[1:])))),
        origins=[kept],
        splits=arrangement.splits,
        sources=sources,
        source_count=len(sources),
        report=report,
        licence=licence,
        replay=replay,
    )


def write_blocks(
    folder: Path,
    *,
    tokenizer: Tokenizer,
    tokens: Iterable[NDArray[np.integer[Any]]],
    origins: Iterable[NDArray[np.void]],
    splits: dict[Split, tuple[int, int]],
    sources: Iterable[tuple[str, Split, str]],
    source_count: int,
    report: dict[str, Any],
    licence: str = "",
    replay: int = 0,
) -> None:
    """Writes a dataset whose rows come in blocks, so that memory need not hold them all.

    Args:
        folder, tokenizer, report, licence, replay: As in `write_dataset`.
        tokens, origins: The rows that the dataset has, in its order.
        splits: Range of each split in them.
        sources: (name, split, sha1) of each source; there are `source_count`.
    """
    settings, count = tokenizer_to_dict(tokenizer), max(last for _, last in splits.values())
    dtype = np.dtype(np.uint8 if tokenizer.alphabet.largest <= 256 else np.uint16)
    shape = (count, tokenizer.length, *tokenizer.alphabet.shape)
    digest = _digest(settings, shape, dtype)
    _write_npy(folder / "tokens.npy", shape, dtype, tokens, digest)
    ranges = np.zeros((source_count, 2), np.int64)
    _write_npy(folder / "origins.npy", (count,), ORIGIN_DTYPE, _ranging(origins, ranges), digest)
    _write_sources(folder / "sources.jsonl", sources, ranges)
    made = {"format": FORMAT, "tokenizer": settings, "length": tokenizer.length, "splits": splits}
    header = {**made, "licence": licence, "replay": replay, "hash": digest.hexdigest()[:16]}
    write_json(folder / "report.json", report)
    write_json(folder / "dataset.json", header)


def _write_npy(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]], digest: hashlib._Hash
) -> None:
    """Writes an array whose rows come in blocks, and adds them to the digest."""
    said = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, said)
        for block in blocks:
            data = np.ascontiguousarray(block, dtype).tobytes()
            digest.update(data)
            file.write(data)


def _ranging(origins: Iterable[NDArray[np.void]], ranges: NDArray[np.int64]) -> Iterator[NDArray[np.void]]:
    """The blocks as they are; on the way each source gets its first row and its last, excluded; 0, 0 without any."""
    first = 0
    for block in origins:
        ids, rows = block["source"], np.arange(first, first + len(block))
        new = ranges[ids, 1] == 0
        ranges[ids[new][::-1], 0] = rows[new][::-1]  # of several rows the first is written last
        ranges[ids, 1] = rows + 1
        first += len(block)
        yield block


def _write_sources(path: Path, sources: Iterable[tuple[str, Split, str]], ranges: NDArray[np.int64]) -> None:
    """One line a source. Its windows lie together, since rows keep their order inside a split."""
    with path.open("w", encoding="utf-8") as lines:
        for index, ((name, split, sha1), mine) in enumerate(zip(sources, ranges, strict=True)):
            first, last = mine.tolist()
            said = {"id": index, "name": name, "split": split, "sha1": sha1, "first": first, "last": last}
            lines.write(json.dumps(said) + "\n")


def tokenizer_to_dict(tokenizer: Tokenizer) -> dict[str, Any]:
    """The settings, with `kind`; `tokenizer_from_dict` gives the same tokenizer back."""
    return {field: getattr(tokenizer, field) for field in type(tokenizer).__dataclass_fields__}  # type: ignore[attr-defined]


def tokenizer_from_dict(settings: dict[str, Any]) -> Tokenizer:
    """Raises KeyError or TypeError if it is none of ours."""
    # JSON has lists where settings are tuples.
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    tokenizer: Tokenizer = TOKENIZERS[settings["kind"]](**values)
    return tokenizer


def content_hash(tokens: NDArray[np.integer[Any]], origins: NDArray[np.void], settings: dict[str, Any]) -> str:
    """16 hex digits of the SHA-256 of tokens, origins and tokenizer settings."""
    digest = _digest(settings, tokens.shape, tokens.dtype)
    for rows in row_blocks(len(tokens), int(np.prod(tokens.shape[1:]))):
        digest.update(np.ascontiguousarray(tokens[rows]).data)
    digest.update(np.ascontiguousarray(origins).tobytes())
    return digest.hexdigest()[:16]


def _digest(settings: dict[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> hashlib._Hash:
    """What a dataset's hash begins with."""
    return hashlib.sha256(json.dumps([settings, shape, dtype.str], sort_keys=True).encode())
