"""A piano roll in a panel: notes on bars and beats, parts in colours, chord names above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.chords import CHORD_TRACK, NO_CHORD, chord_steps, symbol
from seqvae.clip import Bar, Clip, Track
from seqvae.plot.canvas import CATEGORIES, DPI, FROM_COLOUR, HAIR, INK, MIDDLE_COLOUR, MUTED, PANEL, TO_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_BEATS = 64.0  # a row of panels is about so long, so that a 16th stays wider than a hair
MIN_PITCH_SPAN = 16
STEPS_PER_BEAT = 4
THINNEST_NOTE_INCHES = 0.045
WIDE_BEAT_INCHES = 0.165  # a beat that is narrower has no room for gaps between its notes
MAX_COLOURED_PARTS = 6  # more than these cannot be told apart, and are an accompaniment


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


def draw_roll(panel: Axes, clip: Clip, look: Look, *, numbered: bool) -> None:
    """One clip's pitched notes on its bars and beats."""
    panel.set_ylim(look.low - 0.5, look.high + 0.5)
    draw_grid(panel, clip)
    panel.hlines(np.arange(0, 128, 12), 0, clip.length_beats, color=HAIR, linewidth=0.4, zorder=1)
    grey = _mix(look.colour, np.array([0.55, 0.55, 0.57]), 0.75)
    parts = pitched(clip)
    for track in clip.tracks:
        if is_chords(track):
            _notes(panel, track, np.array([0.72, 0.71, 0.7]), zorder=2)
    for index, track in reversed(list(enumerate(parts))):
        # The first track is the melody; what accompanies it stands behind it and is greyer.
        colour = part_colour(index) if look.parts else look.colour if index == 0 else grey
        _notes(panel, track, colour)
    if numbered:
        number_bars(panel, clip.bars())
    if not clip.note_count:
        panel.text(
            0.5, 0.5, "silence", transform=panel.transAxes, ha="center", va="center", color=MUTED, style="italic"
        )


def draw_chords(panel: Axes, clip: Clip, room: float) -> None:
    """The chords' names right over the panel, each where it begins; `room` is their height, in panels.

    A name for which the one before leaves no room is left out.
    """
    edge = -np.inf
    for track in filter(is_chords, clip.tracks):
        for beat, name in chord_changes(track):
            looks: dict[str, Any] = {
                "transform": panel.get_xaxis_transform(),
                "fontsize": 6.5,
                "color": INK,
                "va": "bottom",
            }
            text = panel.text(beat, 1 + room * 0.1, name, **looks)
            box = text.get_window_extent()
            if box.x0 < edge + 2 or box.x1 > panel.get_window_extent().x1 + 12:
                text.remove()
            else:
                edge = box.x1


def chord_changes(track: Track) -> list[tuple[float, str]]:
    """The beats at which a chord track goes to another chord, and that chord's name."""
    steps = int(np.ceil(track.end_beats * STEPS_PER_BEAT))
    tokens = chord_steps(track.notes, STEPS_PER_BEAT, steps)
    changes = np.flatnonzero(np.diff(tokens, prepend=-1))
    return [(step / STEPS_PER_BEAT, symbol(int(tokens[step]))) for step in changes if tokens[step] != NO_CHORD]


def draw_grid(panel: Axes, clip: Clip) -> None:
    """Bar lines and fainter beat lines (dotted quarters in 6/8, 9/8, 12/8)."""
    bars = clip.bars()
    stride = _bar_stride(bars, width_inches(panel))
    for number, bar in enumerate(bars):
        compound = bar.denominator == 8 and bar.numerator % 3 == 0 and bar.numerator > 3
        beats = np.arange(bar.start_beats, bar.start_beats + bar.length_beats - 1e-9, 1.5 if compound else 1.0)
        if stride == 1:
            panel.vlines(beats[1:], 0, 1, transform=panel.get_xaxis_transform(), color=HAIR, linewidth=0.4, zorder=1)
        if number and number % stride == 0:
            panel.axvline(bar.start_beats, color="#A9A5A0", linewidth=0.7, zorder=1)
    for spine in panel.spines.values():
        spine.set_visible(False)


def number_bars(panel: Axes, bars: Sequence[Bar]) -> None:
    """The bars' numbers under the panel."""
    every = _bar_stride(bars, width_inches(panel))
    marked = [(bar.start_beats, str(number)) for number, bar in enumerate(bars, start=1) if (number - 1) % every == 0]
    panel.set_xticks([start for start, _ in marked], [name for _, name in marked])
    panel.tick_params(axis="x", pad=1.5)
    for label in panel.get_xticklabels():
        label.set_horizontalalignment("left")


def shades(velocity: NDArray[np.integer[Any]], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """The colour, paler the softer: velocities (notes,) → float64 (notes, 3)."""
    strength = 0.3 + 0.7 * np.clip(velocity / 112.0, 0.0, 1.0)
    return _mix(np.ones(3), colour, strength[:, None])


def part_colour(index: int) -> NDArray[np.float64]:
    """The colour of the part with that number: float64 (3,) RGB."""
    from matplotlib.colors import to_rgb

    return np.array(to_rgb(CATEGORIES[index % len(CATEGORIES)]))


def path_colour(place: float) -> NDArray[np.float64]:
    """The colour at a place from 0 to 1 on the path: float64 (3,) RGB."""
    from matplotlib.colors import to_rgb

    ends = [np.array(to_rgb(name)) for name in (FROM_COLOUR, MIDDLE_COLOUR, TO_COLOUR)]
    left = 0 if place < 0.5 else 1
    return _mix(ends[left], ends[left + 1], 2 * place - left)


def pitch_range(clips: Sequence[Clip]) -> tuple[int, int]:
    """Lowest and highest pitch to show: all but drums, a margin of one, at least `MIN_PITCH_SPAN` semitones."""
    found = [track.notes["pitch"] for clip in clips for track in clip.tracks if not track.is_drum]
    pitches = np.concatenate([*found, np.zeros(0, np.int64)])
    low, high = (int(pitches.min()) - 1, int(pitches.max()) + 1) if len(pitches) else (60, 60)
    missing = max(0, MIN_PITCH_SPAN - (high - low))
    return low - missing // 2, high + missing - missing // 2


def _notes(panel: Axes, track: Track, colour: NDArray[np.float64], zorder: float = 3) -> None:
    from matplotlib.collections import PolyCollection

    if not len(track.notes):
        return
    start, end = track.notes["start_beats"], track.notes["end_beats"]
    low, high = panel.get_ylim()
    # On a wide range, or in a low panel, a semitone is too thin to see: notes are drawn thicker than they are, up to
    # two semitones.
    thinnest = THINNEST_NOTE_INCHES / (float(panel.get_window_extent().height) / DPI) * (high - low)
    half = 0.5 * float(np.clip(max((high - low) / 26.0, thinnest), 1.0, 2.0))
    bottom, top = track.notes["pitch"] - half, track.notes["pitch"] + half
    corners = np.stack([[start, bottom], [start, top], [end, top], [end, bottom]]).transpose(2, 0, 1)
    # An edge in the panel's colour parts notes that follow on one pitch without a gap.
    gap = 0.7 if width_inches(panel) >= WIDE_BEAT_INCHES * panel.get_xlim()[1] else 0.2
    faces = shades(track.notes["velocity"], colour)
    panel.add_collection(
        PolyCollection(list(corners), facecolors=faces, edgecolors=PANEL, linewidths=gap, zorder=zorder)
    )


def width_inches(panel: Axes) -> float:
    """Of a panel."""
    return float(panel.get_window_extent().width) / DPI


def _bar_stride(bars: Sequence[Bar], inches: float) -> int:
    """Every how manieth bar is drawn and numbered: at most 20 of them, and no more than have room."""
    most = int(np.clip(inches / 0.09, 1, 20))
    return next(stride for stride in (1, 2, 4, 8, 16, 32, 64, 128, max(len(bars), 1)) if len(bars) <= most * stride)


def _mix(a: NDArray[np.float64], b: NDArray[np.float64], amount: float | NDArray[np.float64]) -> NDArray[np.float64]:
    mixed: NDArray[np.float64] = (1 - amount) * a + amount * b
    return mixed
