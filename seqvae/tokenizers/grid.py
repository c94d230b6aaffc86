"""Bars on a grid of steps: what melody, drums, grooves and parts have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seqvae import clip as clips
from seqvae.clip import Clip, MeterChange
from seqvae.errors import ConfigError, DataError
from seqvae.score import SUFFIXES, read_clips
from seqvae.tokenizers.base import Windows, onsets

# Meters whose bars serve as bars of another: how many of them make one.
EQUIVALENT_METERS: dict[str, dict[str, int]] = {
    "4/4": {"4/4": 1, "2/2": 1, "2/4": 2},
    "6/8": {"6/8": 1, "3/8": 2},
    "2/4": {"2/4": 1, "2/2": 1},
}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A window of `bars` bars on a grid: the base of every tokenizer of music.

    Attributes:
        bars: Bars in a window.
        meter: Meter of the window, such as "4/4", "3/4", "6/8".
        steps_per_beat: Grid steps in a quarter note: 4 for sixteenths, 6 or 12 for triplets.
        min_onsets: A training window needs as many.
        hop_bars: Training windows start every so many bars.
    """

    bars: int = 2
    meter: str = "4/4"
    steps_per_beat: int = 4
    min_onsets: int = 4
    hop_bars: int = 1

    def __post_init__(self) -> None:
        if min(self.bars, self.steps_per_beat, self.hop_bars) < 1:
            raise ConfigError("tokenizer: bars, steps_per_beat and hop_bars must be 1 or more")
        if self.bar_beats * self.steps_per_beat % 1:
            found = f"tokenizer: a bar of {self.meter} is {self.bar_beats * self.steps_per_beat} steps long"
            raise ConfigError(f"{found}, not a whole number; choose another steps_per_beat")

    # -- shape ---------------------------------------------------------------------------------------------------------

    @cached_property
    def meter_change(self) -> MeterChange:
        """The meter as a change at beat 0."""
        numerator, slash, denominator = self.meter.partition("/")
        if not (slash and numerator.isdigit() and denominator.isdigit() and int(numerator) and int(denominator)):
            raise ConfigError(f"tokenizer: the meter {self.meter!r} is not of the form 4/4; set tokenizer.meter")
        return MeterChange(0.0, int(numerator), int(denominator))

    @property
    def bar_beats(self) -> float:
        """Length of one bar in quarter notes."""
        return self.meter_change.bar_beats

    @property
    def window_beats(self) -> float:
        """Length of a window in quarter notes."""
        return self.bars * self.bar_beats

    @property
    def length(self) -> int:
        """Steps in one window."""
        return round(self.window_beats * self.steps_per_beat)

    @property
    def fitted(self) -> bool:
        """Always: what notes there are is known beforehand."""
        return True

    def fit(self, items: Iterable[Clip]) -> Self:
        """Itself."""
        return self

    @property
    def suffix(self) -> str:
        """Standard MIDI files."""
        return ".mid"

    def step_name(self, step: int) -> str:
        """Bar and beat, both from 1: `bar 2 beat 1.5` is an eighth after the second bar line."""
        bar, offset = divmod(step, round(self.bar_beats * self.steps_per_beat))
        return f"bar {bar + 1} beat {1 + offset / self.steps_per_beat:g}"

    # -- files ---------------------------------------------------------------------------------------------------------

    @property
    def suffixes(self) -> tuple[str, ...]:
        """All music files."""
        return SUFFIXES

    def read(self, path: Path) -> Clip:
        """Reads a music file. Raises `ReadError`."""
        return Clip.load(path)

    def read_all(self, path: Path) -> list[Clip]:
        """Reads every tune of a music file. Raises `ReadError`."""
        return read_clips(path)

    def parse(self, text: str) -> Clip:
        """Raises `DataError`: music is read from files."""
        raise DataError(f"{text}: no such file; give a music file ({' '.join(SUFFIXES)})")

    def show(self, item: Clip) -> str:
        """Nothing: a clip is heard."""
        return ""

    def write(self, item: Clip, path: Path, *, overwrite: bool) -> Path:
        """Writes a .mid file. Raises `WriteError`."""
        return item.save(path, overwrite=overwrite)

    # -- from a clip to windows ----------------------------------------------------------------------------------------

    def runs(self, clip: Clip) -> list[tuple[float, int]]:
        """Stretches of bars in this meter: (start in beats, number of whole bars of ours)."""
        accepted = EQUIVALENT_METERS.get(self.meter, {self.meter: 1})
        found: list[tuple[float, int]] = []
        start, halves, per_bar = 0.0, 0, 0
        for bar, count in clip.equal_bars():
            parts = accepted.get(f"{bar.numerator}/{bar.denominator}", 0)
            whole = abs(bar.length_beats * bar.denominator - 4 * bar.numerator) < 1e-6
            if not (parts and whole):
                parts = 0
            if parts != per_bar or not parts:
                if halves:
                    found.append((start, -(-halves // per_bar)))
                start, halves = bar.start_beats, 0
            per_bar = parts
            halves += count if parts else 0
        if halves:
            found.append((start, -(-halves // per_bar)))
        return found

    def starts(self, clip: Clip) -> NDArray[np.float64]:
        """Where training windows begin, in beats: every `hop_bars` bars of each stretch in this meter."""
        stretches = [
            start + np.arange(0, bars - self.bars + 1, self.hop_bars) * self.bar_beats
            for start, bars in self.runs(clip)
        ]
        return np.concatenate([np.zeros(0), *stretches])

    def left_steps(self, starts_beats: NDArray[np.float64]) -> NDArray[np.int64]:
        """The grid step at which each window begins."""
        return np.floor(starts_beats * self.steps_per_beat + 0.5 + 1e-6).astype(np.int64)

    def gather(
        self,
        item: Clip,
        starts_beats: NDArray[np.float64],
        lines: Iterable[tuple[int, NDArray[np.int64]]],
        onset_mask: NDArray[np.bool_],
    ) -> Windows:
        """The windows with at least `min_onsets` onsets, and why others were left out.

        Args:
            item: What was cut.
            starts_beats: Where each window begins, float64 (windows,).
            lines: For each track read, its index and its windows: int64 (windows, time) or (windows, time, part).
            onset_mask: As `Tokenizer.onset_mask`.
        """
        skipped: dict[str, int] = {}
        rows, row_starts, row_tracks = [], [], []
        for index, tokens in lines:
            struck = onsets(onset_mask, tokens)
            enough = struck.reshape(len(tokens), -1).sum(axis=1) >= self.min_onsets
            if not enough.all():
                reason = f"fewer than {self.min_onsets} onsets"
                skipped[reason] = skipped.get(reason, 0) + int((~enough).sum())
            rows.append(tokens[enough])
            row_starts.append(starts_beats[enough])
            row_tracks.append(np.full(int(enough.sum()), index))
        if not len(starts_beats) and item.length_beats > 0 and not self.runs(item):
            skipped[f"bars not in {self.meter}"] = len(item.bars())
        elif not len(starts_beats):
            skipped[f"shorter than {self.bars} bars"] = 1
        empty = (0, self.length, len(onset_mask)) if onset_mask.ndim == 2 else (0, self.length)
        return Windows(
            tokens=np.concatenate(rows) if rows else np.zeros(empty, np.int64),
            starts=np.concatenate(row_starts) if rows else np.zeros(0),
            track=np.concatenate(row_tracks).astype(np.int64) if rows else np.zeros(0, np.int64),
            skipped=skipped,
        )

    def split_by(self, item: Clip, cut: Callable[[float], Clip]) -> list[Clip]:
        """Consecutive windows of the stretches in this meter, each `cut` at its left edge (in beats).

        Raises:
            DataError: No bar is in this meter.
        """
        runs = self.runs(item)
        if not runs:
            meters = ", ".join(sorted({f"{meter.numerator}/{meter.denominator}" for meter in item.meters}))
            found = f"{item.name or 'clip'}: its meter is {meters} and the model's is {self.meter}"
            raise DataError(f"{found}; use --meter {self.meter} to count its beats so, or a model of that meter")
        lefts = [start + bar * self.bar_beats for start, bars in runs for bar in range(0, bars, self.bars)]
        return [replace(cut(left), meters=(self.meter_change,)) for left in lefts]

    def cut_window(self, line: Clip, left_beats: float) -> Clip:
        """The window at `left_beats`. Notes that sound there already start in it, if they last half a step more."""
        left = round(left_beats * self.steps_per_beat)
        kept = []
        for track in line.tracks:
            starts, ends = clips.grid_steps(track.notes, self.steps_per_beat)
            begins = starts >= left
            wanted = begins | (ends > left)  # cut, a shorter tail would be an onset
            notes = track.notes[wanted]
            # What the grid rounds up to the left edge begins there, or the cut would take it away.
            early = begins[wanted] & (notes["start_beats"] < left_beats)
            notes["start_beats"][early] = left_beats
            notes["end_beats"][early] = np.maximum(notes["end_beats"][early], left_beats + 1 / self.steps_per_beat)
            kept.append(notes)
        return line.with_notes(kept).cut(left_beats, left_beats + self.window_beats)

    def join(self, items: Sequence[Clip]) -> Clip:
        """Plays windows one after another."""
        return clips.join(items)


def polyphony(notes: NDArray[np.void]) -> float:
    """The share of notes that start while another goes on for more than a 16th: chords, not legato."""
    starts, ends = notes["start_beats"], notes["end_beats"]
    if (starts[1:] < starts[:-1]).any():
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], ends[order]
    reach = np.maximum.accumulate(ends)
    return int(np.count_nonzero(starts[1:] < reach[:-1] - 0.25)) / (len(notes) - 1) if len(notes) > 1 else 0.0


def find_track(clip: Clip, track: str, wanted: str = "melody", *, drums: bool = False) -> int:
    """The index of the track with that number (from 0) or name (case and spaces aside).

    Args:
        clip: Where to look.
        track: Number or name.
        wanted: What it is to be read as, for messages.
        drums: Whether it may be a drum track.

    Raises:
        DataError: There is none with notes, or it is a drum track and may not be one.
    """
    named = [i for i, t in enumerate(clip.tracks) if t.name.strip().lower() == track.strip().lower()]
    index = int(track) if track.isdigit() else (named[0] if named else -1)
    listing = ", ".join(f"{i} {t.name or 'unnamed'}" for i, t in enumerate(clip.tracks))
    if not 0 <= index < len(clip.tracks):
        raise DataError(f"{clip.name or 'clip'}: there is no track {track!r}; it has: {listing}")
    is_drum = clip.tracks[index].is_drum and not drums
    if is_drum or not len(clip.tracks[index].notes):
        what = "is a drum track" if is_drum else "has no notes"
        article = "" if wanted.endswith("s") else "a "
        found = f"{clip.name or 'clip'}: track {track!r} {what} and {article}{wanted}"
        raise DataError(f"{found} {'are' if not article else 'is'} asked for; it has: {listing}")
    return index
