"""A piano roll in a panel: notes on bars and beats, parts in colours, chord names above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.chords import CHORD_TRACK, NO_CHORD, chord_steps, symbol
from seqvae.clip import Bar, Clip, Track
from seqvae.plot.canvas import CATEGORIES, FROM_COLOUR, HAIR, MIDDLE_COLOUR, MUTED, TO_COLOUR
from seqvae.plot.sheet import ABOVE, BELOW, POINT, Panel, rgb, text_width

ROW_BEATS = 64.0  # a row of panels is about so long, so that a 16th stays wider than a hair
MIN_PITCH_SPAN = 16
STEPS_PER_BEAT = 4
THINNEST_NOTE_INCHES = 0.045
WIDE_BEAT_INCHES = 0.165  # a beat that is narrower has no room for gaps between its notes
MAX_COLOURED_PARTS = 6  # more than these cannot be told apart, and are an accompaniment
BAR_COLOUR = "#A9A5A0"
CHORDS_GREY = np.array([0.72, 0.71, 0.7])

# Points.
NUMBERS, CHORD_NAMES = 7.0, 6.5
UNDER_PANEL, OVER_PANEL = 1.5, 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """How a clip is drawn.

    Attributes:
        colour: float64 (3,) RGB, the clip's place on the path.
        parts: Whether each pitched part has a colour of its own.
        length_beats: Of the longest clip.
        low, high: Lowest and highest pitch of all clips.
    """

    colour: NDArray[np.float64]
    parts: bool
    length_beats: float
    low: int
    high: int


def pitched(clip: Clip) -> list[Track]:
    """The tracks that a roll shows as parts: chords are named above it, drums stand below."""
    return [track for track in clip.tracks if not track.is_drum and len(track.notes) and not is_chords(track)]


def is_chords(track: Track) -> bool:
    """Whether a track holds chord symbols, as those that seqvae writes."""
    return not track.is_drum and track.name.strip().upper() == CHORD_TRACK and bool(len(track.notes))


def draw_roll(panel: Panel, clip: Clip, look: Look, *, first_bar: int | None = None) -> None:
    """One clip's pitched notes on its bars and beats; bars are numbered from `first_bar`, if there is one."""
    draw_grid(panel, clip)
    panel.levels(np.arange(0, 128, 12), 0.0, clip.length_beats, HAIR, 0.4)
    grey = _mix(look.colour, np.array([0.55, 0.55, 0.57]), 0.75)
    for track in filter(is_chords, clip.tracks):
        _notes(panel, track, CHORDS_GREY)
    for index, track in reversed(list(enumerate(pitched(clip)))):
        # The first track is the melody; what accompanies it stands behind it and is greyer.
        colour = part_colour(index) if look.parts else look.colour if index == 0 else grey
        _notes(panel, track, colour)
    if first_bar is not None:
        number_bars(panel, clip.bars(), first_bar)
    if not clip.note_count:
        say_silence(panel)


def say_silence(panel: Panel) -> None:
    """In the middle of a panel, so that it does not look forgotten."""
    x, y = (panel.left + panel.right) / 2, (panel.top + panel.bottom) / 2
    panel.sheet.text(x, y + 0.25 * 8.0 * POINT, "silence", points=8.0, colour=MUTED, letters="-Oblique", side="middle")


def draw_chords(panel: Panel, clip: Clip) -> None:
    """The chords' names right over the panel, each where it begins.

    A name for which the one before leaves no room is left out.
    """
    baseline, edge = panel.top - (OVER_PANEL + BELOW * CHORD_NAMES) * POINT, -np.inf
    for track in filter(is_chords, clip.tracks):
        for beat, name in chord_changes(track):
            left = float(panel.x(beat))
            right = left + text_width(name, CHORD_NAMES)
            if left >= edge + 2 and right <= panel.right + 12:
                panel.sheet.text(left, baseline, name, points=CHORD_NAMES)
                edge = right


def chord_changes(track: Track) -> list[tuple[float, str]]:
    """The beats at which a chord track goes to another chord, and that chord's name."""
    steps = int(np.ceil(track.end_beats * STEPS_PER_BEAT))
    tokens = chord_steps(track.notes, STEPS_PER_BEAT, steps)
    changes = np.flatnonzero(np.diff(tokens, prepend=-1))
    return [(step / STEPS_PER_BEAT, symbol(int(tokens[step]))) for step in changes if tokens[step] != NO_CHORD]


def draw_grid(panel: Panel, clip: Clip) -> None:
    """Bar lines and fainter beat lines (dotted quarters in 6/8, 9/8, 12/8)."""
    bars = clip.bars()
    stride = _bar_stride(bars, panel.width_inches)
    for number, bar in enumerate(bars):
        compound = bar.denominator == 8 and bar.numerator % 3 == 0 and bar.numerator > 3
        beats = np.arange(bar.start_beats, bar.start_beats + bar.length_beats - 1e-9, 1.5 if compound else 1.0)
        if stride == 1:
            panel.uprights(beats[1:], HAIR, 0.4)
        if number and number % stride == 0:
            panel.uprights(bar.start_beats, BAR_COLOUR, 0.7)


def number_bars(panel: Panel, bars: Sequence[Bar], first: int) -> None:
    """The bars' numbers under the panel, from `first`."""
    baseline = panel.bottom + (UNDER_PANEL + ABOVE * NUMBERS) * POINT
    for index in range(0, len(bars), _bar_stride(bars, panel.width_inches)):
        x = float(panel.x(bars[index].start_beats))
        panel.sheet.text(x, baseline, str(first + index), points=NUMBERS, colour=MUTED)


def shades(velocity: NDArray[np.integer[Any]], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """The colour, paler the softer: velocities (notes,) → float64 (notes, 3)."""
    strength = 0.3 + 0.7 * np.clip(velocity / 112.0, 0.0, 1.0)
    return _mix(np.ones(3), colour, strength[:, None])


def part_colour(index: int) -> NDArray[np.float64]:
    """The colour of the part with that number: float64 (3,) RGB."""
    return rgb(CATEGORIES[index % len(CATEGORIES)])


def path_colour(place: float) -> NDArray[np.float64]:
    """The colour at a place from 0 to 1 on the path: float64 (3,) RGB."""
    ends = [rgb(name) for name in (FROM_COLOUR, MIDDLE_COLOUR, TO_COLOUR)]
    left = 0 if place < 0.5 else 1
    return _mix(ends[left], ends[left + 1], 2 * place - left)


def pitch_range(clips: Sequence[Clip]) -> tuple[int, int]:
    """Lowest and highest pitch to show: all but drums, a margin of one, at least `MIN_PITCH_SPAN` semitones."""
    found = [track.notes["pitch"] for clip in clips for track in clip.tracks if not track.is_drum]
    pitches = np.concatenate([*found, np.zeros(0, np.int64)])
    low, high = (int(pitches.min()) - 1, int(pitches.max()) + 1) if len(pitches) else (60, 60)
    missing = max(0, MIN_PITCH_SPAN - (high - low))
    return low - missing // 2, high + missing - missing // 2


def thickness(panel: Panel) -> float:
    """Of notes, in rows: on a wide range a semitone is too thin to see, and they are up to two of them thick."""
    return float(np.clip((panel.high - panel.low) / 26.0, 1.0, 2.0))


def _notes(panel: Panel, track: Track, colour: NDArray[np.float64]) -> None:
    # In a low panel too a semitone may be too thin.
    thinnest = THINNEST_NOTE_INCHES / panel.height_inches * (panel.high - panel.low)
    half = 0.5 * max(thickness(panel), min(thinnest, 2.0))
    gap = 0.7 if panel.width_inches >= WIDE_BEAT_INCHES * panel.beats else 0.2
    notes = track.notes
    low, high = notes["pitch"] - half, notes["pitch"] + half
    panel.boxes(notes["start_beats"], notes["end_beats"], low, high, shades(notes["velocity"], colour), gap)


def _bar_stride(bars: Sequence[Bar], inches: float) -> int:
    """Every how manieth bar is drawn and numbered: at most 20 of them, and no more than have room."""
    most = int(np.clip(inches / 0.09, 1, 20))
    return next(stride for stride in (1, 2, 4, 8, 16, 32, 64, 128, max(len(bars), 1)) if len(bars) <= most * stride)


def _mix(a: NDArray[np.float64], b: NDArray[np.float64], amount: float | NDArray[np.float64]) -> NDArray[np.float64]:
    mixed: NDArray[np.float64] = (1 - amount) * a + amount * b
    return mixed
