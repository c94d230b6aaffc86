"""A person's own clips: windows, split by clip so that some are held out even of few, and a report of what was met."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.corpus.prepare import find_files, parse_meter, read_all
from seqvae.corpus.reading import FileReading, ItemReading, Reader
from seqvae.corpus.report import Report, Tally
from seqvae.dataset import ORIGIN_DTYPE, SPLITS, Dataset, Split, arrange, window_keys, write_dataset
from seqvae.errors import DataError
from seqvae.files import replacing_folder
from seqvae.tokenizers import Tokenizer, Tokens

MIN_CLIPS = 12
"""With fewer there is nothing left to judge by."""

HELD_SHARE, HELD_LEAST, HELD_MOST = 0.15, 2, 40
"""So many clips of all go to valid, and as many to test: a share, but not less or more than so many."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clips:
    """The windows of a person's clips.

    Attributes:
        tokenizer: What made them.
        tokens: int64 (n, time) or (n, time, part), in the order of the clips.
        origins: `ORIGIN_DTYPE` (n,).
        sources: (name, split, sha1) of each clip that gave windows.
        report: What was met.
    """

    tokenizer: Tokenizer
    tokens: Tokens
    origins: NDArray[np.void]
    sources: list[tuple[str, Split, str]]
    report: Report

    @property
    def splits(self) -> NDArray[np.int8]:
        """Of each window, index into `SPLITS`: int8 (n,)."""
        of_source = np.array([SPLITS.index(split) for _, split, _ in self.sources], np.int8)
        return np.asarray(of_source[self.origins["source"]])

    def train(self) -> Tokens:
        """The windows of the training clips."""
        return np.asarray(self.tokens[self.splits == SPLITS.index("train")])


def read_clips(
    inputs: Sequence[Path], tokenizer: Tokenizer, *, track: str | None = None, meter: str | None = None
) -> Clips:
    """Reads files and folders as a model's windows, and splits them by clip.

    Args:
        inputs: Files, and folders that are searched through.
        tokenizer: The model's.
        track, meter: As in `corpus.prepare`.

    Raises:
        ReadError: An input does not exist, or a folder cannot be listed.
        DataError: Fewer than `MIN_CLIPS` clips are of the model's kind; the message says why the others are not.
    """
    reader = Reader(tokenizer=tokenizer, track=track, meter=parse_meter(meter) if meter else None)
    tally = Tally()
    tokens: list[NDArray[Any]] = []
    origins: list[NDArray[np.void]] = []
    found: list[tuple[str, str]] = []
    for name, sha1, reading in _items(read_all(find_files(inputs, tokenizer.suffixes), reader), tally):
        made = np.zeros(len(reading.tokens), ORIGIN_DTYPE)
        made["source"], made["track"], made["start"] = len(found), reading.track, reading.starts
        tokens.append(reading.tokens)
        origins.append(made)
        found.append((name, sha1))
    where = ", ".join(str(path) for path in inputs[:3])
    if not found:
        raise DataError(tally.nothing_left(where, reader))
    if len(found) < MIN_CLIPS:
        raise DataError(_too_few(where, len(found), tally))
    splits = split_clips([name for name, _ in found])
    sources = [(name, split, sha1) for (name, sha1), split in zip(found, splits, strict=True)]
    windows = np.concatenate(tokens).astype(np.int64)
    made = np.concatenate(origins)
    of_window = np.array([SPLITS.index(split) for split in splits], np.int8)[made["source"]]
    report = tally.report(arrange(windows, of_window), sources, reader)
    # That they are few is what this is for, and the tokenizer is the model's.
    report = replace(
        report, advice=[line for line in tally.advice(reader) if "--track" in line and "--set" not in line]
    )
    return Clips(tokenizer=tokenizer, tokens=windows, origins=made, sources=sources, report=report)


def _items(readings: Iterable[FileReading], tally: Tally) -> Iterator[tuple[str, str, ItemReading]]:
    """(name, sha1 of its file, reading) of each item that gave windows; the tally counts all that is met."""
    first_of: dict[str, str] = {}
    for reading in readings:
        if reading.sha1 and first_of.setdefault(reading.sha1, reading.name) != reading.name:
            tally.add_duplicate(reading, first_of[reading.sha1])
            continue
        tally.add(reading)
        yield from ((item.name, reading.sha1, item) for item in reading.items if len(item.tokens))


def _too_few(where: str, usable: int, tally: Tally) -> str:
    reasons = sorted([*tally.rejected.items(), *tally.unused.items()], key=lambda reason: -len(reason[1]))
    listing = "; ".join(f"{len(names)} × {reason}" for reason, names in reasons[:3])
    left_out = f" ({listing})" if listing else ""
    found = (
        f"{where}: {usable} usable clip{'s' * (usable > 1)} in {tally.files} file{'s' * (tally.files > 1)}{left_out}"
    )
    return f"{found}; a personal model needs {MIN_CLIPS} or more, so add {MIN_CLIPS - usable}"


def split_clips(names: Sequence[str]) -> list[Split]:
    """The split of each clip, by the rank of its name's hash: of 12 two are for validation and two for the test.

    >>> splits = split_clips([f"{number}.mid" for number in range(12)])
    >>> [splits.count(split) for split in SPLITS]
    [8, 2, 2]
    """
    held = min(HELD_MOST, max(HELD_LEAST, round(HELD_SHARE * len(names))))
    rank = sorted(range(len(names)), key=lambda i: hashlib.sha1(names[i].encode(), usedforsecurity=False).digest())
    splits: list[Split] = ["train"] * len(names)
    for place, index in enumerate(rank[: 2 * held]):
        splits[index] = "test" if place < held else "valid"
    return splits


def write_clips(
    clips: Clips, folder: Path, *, replay: Tokens, replayed: str, licence: str = "", force: bool = False
) -> Dataset:
    """A dataset of the clips, whose training windows end in those of `replay`.

    Args:
        clips: From `read_clips`.
        folder: Where to.
        replay: Windows of the base, int64 (n, time) or (n, time, part); may be none. One that a held-out clip has, as
            a base draws that knows its style, is left out: it would be trained on.
        replayed: What they are, for sources.jsonl.
        licence: Of all of them.
        force: Replaces a dataset that stands there.
    """
    held_out = clips.tokens[clips.splits != SPLITS.index("train")]
    replay = replay[~np.isin(window_keys(replay), window_keys(held_out))]
    origins = np.zeros(len(replay), ORIGIN_DTYPE)
    origins["source"], origins["start"] = len(clips.sources), np.arange(len(replay))
    tokens = np.concatenate([clips.tokens, replay])
    arrangement = arrange(tokens, np.concatenate([clips.splits, np.zeros(len(replay), np.int8)]))
    kept = arrangement.order[slice(*arrangement.splits["train"])]
    source: list[tuple[str, Split, str]] = [(replayed, "train", "")] * bool(len(replay))
    with replacing_folder(folder, force=force) as aside:
        write_dataset(
            aside,
            tokenizer=clips.tokenizer,
            tokens=tokens,
            origins=np.concatenate([clips.origins, origins]),
            arrangement=arrangement,
            sources=[*clips.sources, *source],
            report=clips.report.to_dict(),
            licence=licence,
            replay=int((kept >= len(clips.tokens)).sum()),
        )
    return Dataset.open(folder)
