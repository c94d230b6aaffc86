"""A dataset folder: windows as tokens, memory-mapped, where each came from, and a sampler that resumes exactly.

tokens.npy     uint8 or uint16 (windows, time) or (windows, time, part): train, then valid, then test; distinct inside
               a split; sequences that end by themselves are filled up with their end token
origins.npy    `ORIGIN_DTYPE` (windows,): source, track, start, and whether the window is not in train
sources.jsonl  one line a source: id, name, split, sha1, windows [first, last)
dataset.json   format, tokenizer, vocabulary size, splits as ranges, licence, hash of all that
report.json    what the import met
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import ConfigError, DataError, WriteError
from seqvae.tokenizers import TOKENIZERS, Alphabet, Tokenizer

FORMAT = 1
Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

ORIGIN_DTYPE = np.dtype([("source", "i4"), ("track", "i2"), ("start", "f8"), ("unseen", "?")])
"""Of one window: line of sources.jsonl, track in it, start in the kind's unit (beats), True if train has it not."""

POOL_BATCHES = 50
"""So many batches' windows are sorted by length together: batches of like length, still in random order."""

_CHUNK = 1 << 16


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

    Two sums of tokens times fixed random numbers modulo 2^64: different windows share a key with probability 2^-100.
    """
    width = int(np.prod(tokens.shape[1:]))
    factors = np.random.Generator(np.random.Philox(20)).integers(1 << 64, size=(width, 2), dtype=np.uint64)
    keys = np.empty((len(tokens), 2), np.uint64)
    for first in range(0, len(tokens), _CHUNK):
        chunk = np.asarray(tokens[first : first + _CHUNK]).reshape(-1, width)
        keys[first : first + _CHUNK] = (chunk.astype(np.uint64) + 1) @ factors
    # Any one-to-one map to floats sorts and compares: bits 12-63 of each half as a number in [1, 2), 104 bits in all.
    return ((keys >> np.uint64(12)) | np.uint64(0x3FF0000000000000)).view(np.complex128)[:, 0]


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
    """Writes the files of a dataset into a folder that exists and is empty (see `replacing_folder`).

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
    dtype = np.uint8 if tokenizer.alphabet.largest <= 256 else np.uint16
    order = arrangement.order
    written = np.lib.format.open_memmap(
        folder / "tokens.npy", mode="w+", dtype=dtype, shape=(len(order), *tokens.shape[1:])
    )
    for first in range(0, len(order), _CHUNK):
        written[first : first + _CHUNK] = tokens[order[first : first + _CHUNK]]
    written.flush()
    kept = origins[order]
    kept["unseen"] = arrangement.unseen
    np.save(folder / "origins.npy", kept, allow_pickle=False)
    _write_sources(folder / "sources.jsonl", sources, kept["source"])
    settings = tokenizer_to_dict(tokenizer)
    header = {
        "format": FORMAT,
        "tokenizer": settings,
        "length": tokenizer.length,
        "splits": arrangement.splits,
        "licence": licence,
        "replay": replay,
        "hash": content_hash(written, kept, settings),
    }
    write_json(folder / "report.json", report)
    write_json(folder / "dataset.json", header)


def _write_sources(path: Path, sources: Sequence[tuple[str, Split, str]], ids: NDArray[np.int32]) -> None:
    """One line a source. Its windows lie together, since rows keep their order inside a split."""
    by_source = np.argsort(ids, kind="stable")
    starts = np.searchsorted(ids[by_source], np.arange(len(sources) + 1))
    with path.open("w", encoding="utf-8") as lines:
        for index, (name, split, sha1) in enumerate(sources):
            mine = by_source[starts[index] : starts[index + 1]]
            first, last = (int(mine[0]), int(mine[-1]) + 1) if len(mine) else (0, 0)
            source = Source(id=index, name=name, split=split, sha1=sha1, first=first, last=last)
            lines.write(json.dumps(asdict(source)) + "\n")


@contextlib.contextmanager
def replacing_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """A new folder beside `target` that takes its place if the block succeeds, and is removed if not.

    Raises:
        WriteError: `target` stands already and `force` is False, or it is no dataset, or the place cannot be written.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        if not (target / "dataset.json").is_file():
            raise WriteError(f"{target}: stands already and is no dataset; give another place with -o")
        if not force:
            raise WriteError(f"{target}: stands already; give another place with -o, or --force to replace it")
    target = target.absolute()
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        yield aside
        if target.exists():
            os.replace(target, old)
        os.replace(aside, target)
    except OSError as error:
        raise WriteError(f"{target}: cannot be written ({one_line(error)}); free space or give another -o") from None
    finally:
        if old.exists() and not target.exists():  # stopped between the two renames
            os.replace(old, target)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


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
    digest = hashlib.sha256(json.dumps([settings, tokens.shape, tokens.dtype.str], sort_keys=True).encode())
    for first in range(0, len(tokens), _CHUNK):
        digest.update(np.ascontiguousarray(tokens[first : first + _CHUNK]).data)
    digest.update(np.ascontiguousarray(origins).tobytes())
    return digest.hexdigest()[:16]


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def one_line(error: BaseException) -> str:
    """An exception as one short line."""
    return " ".join(str(error).split())[:120] or type(error).__name__
