"""The import report: what was met, what was left out and why, and what to change to keep more."""

from __future__ import annotations

import re
import statistics
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Protocol

from seqvae.config import load_preset, preset_names
from seqvae.corpus.reading import FileReading, ItemReading, MusicFacts, Reader
from seqvae.dataset import Split
from seqvae.errors import ConfigError

EXAMPLES = 3
FEW_WINDOWS = 2_000
"""Fewer windows than these teach a model little but themselves."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Files or items that share a reason: how many, and a few of them."""

    count: int
    examples: list[str]


@dataclass(frozen=True, kw_only=True)
class LineFacts:
    """What the report says of lines (texts, raw symbols) in place of what it says of music.

    Attributes:
        vocabulary: Tokens there are, the end and the unknown among them.
        lengths: Tokens of a line with its end: least, median and most.
        tokens: Of all lines, their ends among them.
        unknown: Share of unknown tokens in each split, ends not counted; none where nothing is unknown.
    """

    vocabulary: int
    lengths: tuple[int, float, int]
    tokens: int
    unknown: dict[Split, float]


OF_MUSIC = ("windows_per_source", "tracks", "meters", "tempo_qpm", "tempo_changes", "grid")
"""Fields of a report that say nothing of lines."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an import met.

    Attributes:
        files: Given; `read` of them could be read; `rejected` could not: reason → files.
        duplicate_files: Files with the same bytes as one before, left out.
        items: Tunes in the files that were read; `sources` of them gave windows.
        unused: Items without a window: reason → items.
        windows: Distinct windows of each split; `duplicate_windows` were left out of each;
            `also_in_train` of valid's and test's are in train too, and left out of quoted figures.
        windows_per_source: Least, median and most.
        skipped: Windows (or bars) left out: reason → number.
        tracks: Name of a track → sources in which it gave windows.
        meters: Meter → items that have it, bars in it.
        tempo_qpm: Lowest, median and highest at the beginning; `tempo_changes`: items that change it.
        grid: Items whose notes lie beside the grid: `shifted` all by the same time, on `triplets`, or `free`.
        notes: What was done that was not asked for.
        advice: What to change to keep more.
        lines: What is said of lines; None for music. Items and sources are then lines.
    """

    files: int
    read: int
    rejected: dict[str, Group]
    duplicate_files: Group
    items: int
    sources: int
    unused: dict[str, Group]
    windows: dict[Split, int]
    duplicate_windows: dict[Split, int]
    also_in_train: dict[Split, int]
    windows_per_source: tuple[int, float, int]
    skipped: dict[str, int]
    tracks: dict[str, int]
    meters: dict[str, tuple[int, int]]
    tempo_qpm: tuple[float, float, float] | None
    tempo_changes: int
    grid: dict[str, Group]
    notes: list[str]
    advice: list[str]
    lines: LineFacts | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; of lines without what is said of music, and the other way round."""
        leave_out = ("lines",) if self.lines is None else OF_MUSIC
        return {name: value for name, value in asdict(self).items() if name not in leave_out}


class Names:
    """Files or items that share a reason, as they come: a number, and the names that a report shows."""

    def __init__(self) -> None:
        self.examples: list[str] = []
        self._count = 0

    def append(self, name: str) -> None:
        """Counts one."""
        if self._count < EXAMPLES:
            self.examples.append(name)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def group(self) -> Group:
        """For a report."""
        return Group(count=self._count, examples=self.examples)


class Kept(Protocol):
    """What a report asks of an `Arrangement`."""

    @property
    def splits(self) -> dict[Split, tuple[int, int]]:
        """Range of each split."""

    @property
    def duplicates(self) -> dict[Split, int]:
        """Windows left out of each."""

    @property
    def seen(self) -> dict[Split, int]:
        """Windows of valid and test that train holds too."""


@dataclass(kw_only=True)
class Tally:
    """Adds up readings as they come."""

    files: int = 0
    read: int = 0
    items: int = 0
    counts: array[int] = field(default_factory=lambda: array("l"))  # windows of each source, before duplicates go
    rejected: dict[str, Names] = field(default_factory=dict)
    unused: dict[str, Names] = field(default_factory=dict)
    duplicates: Names = field(default_factory=Names)
    skipped: Counter[str] = field(default_factory=Counter)
    tracks: Counter[str] = field(default_factory=Counter)
    meter_items: Counter[str] = field(default_factory=Counter)
    meter_bars: Counter[str] = field(default_factory=Counter)
    wrong_meter: Counter[str] = field(default_factory=Counter)  # of items without a window, by their main meter
    tempos: array[float] = field(default_factory=lambda: array("d"))
    tempo_changes: int = 0
    grid: dict[str, Names] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lines: LineFacts | None = None

    def add(self, reading: FileReading) -> None:
        """Counts a file and its items."""
        self.files += 1
        if reading.error:
            self.rejected.setdefault(general(reading.error), Names()).append(reading.name)
            return
        self.read += 1
        for item in reading.items:
            self._add_item(item)

    def add_duplicate(self, reading: FileReading, first: str) -> None:
        """Counts a file whose bytes were met before."""
        self.files += 1
        self.read += 1
        self.duplicates.append(f"{reading.name} = {first}")

    def add_line(self, name: str, why: str) -> None:
        """Counts a line; `why` it was left out, or ""."""
        self.items += 1
        if why:
            self.unused.setdefault(why, Names()).append(name)
        else:
            self.counts.append(1)

    def _add_item(self, item: ItemReading) -> None:
        self.items += 1
        self.skipped.update(item.skipped)
        if len(item.tokens):
            self.counts.append(len(item.tokens))
        else:
            why = item.error or max(item.skipped, key=lambda name: item.skipped[name], default="nothing in it")
            self.unused.setdefault(general(why), Names()).append(item.name)
        if item.facts is not None:
            self._add_music(item, item.facts)

    def _add_music(self, item: ItemReading, facts: MusicFacts) -> None:
        self.tracks.update(facts.tracks)
        self.meter_items.update(facts.meters.keys())
        self.meter_bars.update(facts.meters)
        self.tempos.append(facts.tempo_qpm)
        self.tempo_changes += facts.tempo_changes > 0
        if facts.grid != "on":
            self.grid.setdefault(facts.grid, Names()).append(item.name)
        if not len(item.tokens) and any(reason.startswith("bars not in") for reason in item.skipped):
            self.wrong_meter[max(facts.meters, key=lambda meter: facts.meters[meter])] += 1

    def report(self, kept: Kept, sources: Sequence[object], reader: Reader) -> Report:
        """The sum."""
        windows = {split: last - first for split, (first, last) in kept.splits.items()}
        tempos = (min(self.tempos), statistics.median(self.tempos), max(self.tempos)) if self.tempos else None
        return Report(
            files=self.files,
            read=self.read,
            rejected=groups(self.rejected),
            duplicate_files=self.duplicates.group(),
            items=self.items,
            sources=len(sources) if self.lines is None else len(self.counts),
            unused=groups(self.unused),
            windows=windows,
            duplicate_windows=kept.duplicates,
            also_in_train=kept.seen,
            windows_per_source=(min(self.counts), statistics.median(self.counts), max(self.counts)),
            skipped=dict(self.skipped.most_common()),
            tracks=dict(self.tracks.most_common()),
            meters={meter: (self.meter_items[meter], bars) for meter, bars in self.meter_bars.most_common()},
            tempo_qpm=tempos,
            tempo_changes=self.tempo_changes,
            grid=groups(self.grid),
            notes=self.notes,
            advice=self.advice(reader) + few_windows(windows["train"], "windows" if self.lines is None else "lines"),
            lines=self.lines,
        )

    def nothing_left(self, where: str, reader: Reader) -> str:
        """One line for a corpus without a window: the reasons, the commonest first, and what to change."""
        reasons = sorted([*self.rejected.items(), *self.unused.items()], key=lambda reason: -len(reason[1]))
        listing = "; ".join(f"{len(names)} × {reason}" for reason, names in reasons[:3])
        advice = self.advice(reader)
        return f"{where}: no window in {self.files} files ({listing})" + (f"; {advice[0]}" if advice else "")

    def advice(self, reader: Reader) -> list[str]:
        """What to change to keep more, in words."""
        ours = getattr(reader.tokenizer, "meter", "")
        found = [meter_advice(meter, count, ours) for meter, count in self.wrong_meter.most_common(3)]
        if "shifted" in self.grid and not reader.align:
            found.append(f"the notes of {len(self.grid['shifted'])} files lie beside the grid: --align")
        if "triplets" in self.grid:
            steps = 3 * getattr(reader.tokenizer, "steps_per_beat", 4)
            found.append(f"{len(self.grid['triplets'])} files are in triplets: --set tokenizer.steps_per_beat={steps}")
        chords = sum(len(names) for reason, names in self.unused.items() if reason.startswith("no track is one voice"))
        if chords:
            found.append(f"{chords} files have no track of one voice: --track NAME, or --track all for each top line")
        partless = sum(len(names) for reason, names in self.unused.items() if reason.startswith("no track plays"))
        if partless:
            found.append(f"{partless} files lack a part: --track PART=N, or --set tokenizer.silent_parts=1")
        few = sum(count for reason, count in self.skipped.items() if reason.startswith("fewer than"))
        if few > sum(self.counts):
            found.append(f"{few} windows have too few onsets: --set tokenizer.min_onsets=2")
        long = sum(len(names) for reason, names in self.unused.items() if reason.startswith("longer than"))
        if long > 0.05 * self.items:
            found.append(f"{long} of {self.items} lines are too long: --set tokenizer.max_length=")
        if self.lines is not None and max(self.lines.unknown.values(), default=0.0) > 0.1:
            share = max(self.lines.unknown.values())
            found.append(f"{share:.0%} of a split's words are unknown: add texts, or learn level chars or subwords")
        return found


def meter_advice(meter: str, count: int, ours: str) -> str:
    """What to do with files that have no bar in our meter."""
    numerator, denominator = (int(part) for part in meter.split("/"))
    if numerator == 1 or denominator > 16:
        return f"{count} files state {meter}, which no music has: --meter {ours}"
    preset = next((name for name in preset_names() if _meter_of(name) == meter), None)
    apart = f"--preset {preset}" if preset else f"--set tokenizer.meter={meter}"
    return f"{count} files are in {meter}: make a dataset of their own with {apart}"


def few_windows(train: int, what: str = "windows") -> list[str]:
    """A warning where a training has little to learn from."""
    if train >= FEW_WINDOWS:
        return []
    return [f"there are only {train} {what} to train on: add files, or start from a trained model with train --init"]


def general(reason: str) -> str:
    """A reason without the particulars of its file, so that like reasons count together.

    >>> general("no track is one voice (notes that overlap: 0 PIANO 97%); choose one with --track")
    'no track is one voice'
    """
    head = re.split(r"\s*[(;]", reason, maxsplit=1)[0]
    return re.sub(r"'[^']*'|\b0x[0-9a-f]+\b|\b\d{2,}\b", "…", head).strip() or reason


def groups(reasons: dict[str, Names]) -> dict[str, Group]:
    """Reasons, the commonest first."""
    ordered = sorted(reasons.items(), key=lambda reason: -len(reason[1]))
    return {reason: names.group() for reason, names in ordered}


@cache
def _meter_of(preset: str) -> str | None:
    try:
        return getattr(load_preset(preset).tokenizer, "meter", None)
    except ConfigError:
        return None
