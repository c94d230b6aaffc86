"""Piano rolls side by side: what a path, a set of samples or a long clip looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Bar, Clip, Track
from seqvae.errors import DataError
from seqvae.plot.canvas import (
    DPI,
    FROM_COLOUR,
    HAIR,
    INK,
    MIDDLE_COLOUR,
    MUTED,
    PANEL,
    TO_COLOUR,
    WIDTH_INCHES,
    figure_of,
    save,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_COLUMNS = 8
ROW_BEATS = 64.0  # a row of panels is about so long, so that a 16th stays wider than a hair
MIN_PITCH_SPAN = 16


def piano_roll_strip(
    clips: Sequence[Clip],
    path: str | Path,
    titles: Sequence[str] | None = None,
    *,
    path_colours: bool = True,
    overwrite: bool = True,
) -> Path:
    """Draws clips side by side as piano rolls on one pitch range: hue is the place on the path, shade the velocity.

    Args:
        clips: One panel each; more than eight, or long ones, go on in the next row.
        path: A .png file.
        titles: One for each clip; what follows a line break is set small beneath it. Numbers from 1 if left out.
        path_colours: Colours go from the first clip to the last; False for clips that are no path.
        overwrite: Whether a file that stands there may be replaced.

    Returns:
        The path.

    Raises:
        DataError: There is no clip, or not as many titles as clips.
        WriteError: The place cannot be written, or stands already and `overwrite` is False.

    Example:
        >>> piano_roll_strip([Clip.from_notes([(0, 1, 60, 80)])], "strip.png")                # doctest: +SKIP
    """
    if not len(clips):
        raise DataError("there is no clip to draw; give at least one")
    titles = [str(number) for number in range(1, len(clips) + 1)] if titles is None else list(titles)
    if len(titles) != len(clips):
        raise DataError(f"{len(titles)} titles are given for {len(clips)} clips; give one for each")
    longest = max(max(clip.length_beats for clip in clips), 1.0)
    columns = min(len(clips), MAX_COLUMNS, max(1, int(ROW_BEATS // longest)))
    rows = math.ceil(len(clips) / columns)
    columns = math.ceil(len(clips) / rows)
    low, high = _pitch_range(clips)
    above = 0.4 if any("\n" in title for title in titles) else 0.27
    with figure_of(rows * (above + 0.22 + (1.7 if columns > 2 else 1.4))) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
        figure.subplots_adjust(
            left=0.36 / WIDTH_INCHES, right=1 - 0.08 / WIDTH_INCHES, wspace=0.06, **_vertical(figure, rows, above)
        )
        for index, (clip, title, panel) in enumerate(zip(clips, titles, panels[: len(clips)], strict=True)):
            place = index / (len(clips) - 1) if path_colours and len(clips) > 1 else 0.0
            panel.set(xlim=(0.0, longest), ylim=(low - 0.5, high + 0.5))
            _roll(panel, clip, _path_colour(place))
            _two_line_title(panel, title, above)
        for panel in panels[len(clips) :]:
            panel.set_visible(False)
        octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
        panels[0].set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
        return save(figure, path, overwrite=overwrite)


def _roll(panel: Axes, clip: Clip, colour: NDArray[np.float64]) -> None:
    """One clip's notes on its bars and beats."""
    bars = clip.bars()
    _grid(panel, bars, clip.length_beats)
    for index, track in reversed(list(enumerate(clip.tracks))):
        # The first track is the melody; what accompanies it stands behind it and is greyer.
        _notes(panel, track, colour if index == 0 else _mix(colour, np.array([0.55, 0.55, 0.57]), 0.75))
    every = _bar_stride(bars)
    marked = [(bar.start_beats, str(number)) for number, bar in enumerate(bars, start=1) if (number - 1) % every == 0]
    panel.set_xticks([start for start, _ in marked], [name for _, name in marked])
    panel.tick_params(axis="x", pad=1.5)
    for label in panel.get_xticklabels():
        label.set_horizontalalignment("left")
    if not clip.note_count:
        panel.text(
            0.5, 0.5, "silence", transform=panel.transAxes, ha="center", va="center", color=MUTED, style="italic"
        )


def _notes(panel: Axes, track: Track, colour: NDArray[np.float64]) -> None:
    from matplotlib.collections import PolyCollection

    if not len(track.notes):
        return
    start, end = track.notes["start_beats"], track.notes["end_beats"]
    low, high = panel.get_ylim()
    # On a wide range a semitone is too thin to see: notes are drawn thicker than they are, up to two semitones.
    half = 0.5 * float(np.clip((high - low) / 26.0, 1.0, 2.0))
    bottom, top = track.notes["pitch"] - half, track.notes["pitch"] + half
    corners = np.stack([[start, bottom], [start, top], [end, top], [end, bottom]]).transpose(2, 0, 1)
    strength = 0.3 + 0.7 * np.clip(track.notes["velocity"] / 112.0, 0.0, 1.0)
    shades = _mix(np.ones(3), colour, strength[:, None])
    # An edge in the panel's colour parts notes that follow on one pitch without a gap.
    gap = 0.7 if panel.get_xlim()[1] <= ROW_BEATS else 0.2
    panel.add_collection(PolyCollection(list(corners), facecolors=shades, edgecolors=PANEL, linewidths=gap, zorder=3))


def _grid(panel: Axes, bars: Sequence[Bar], length_beats: float) -> None:
    """Bar lines, fainter beat lines (dotted quarters in 6/8, 9/8, 12/8), and a line through each C."""
    stride = _bar_stride(bars)
    for number, bar in enumerate(bars):
        compound = bar.denominator == 8 and bar.numerator % 3 == 0 and bar.numerator > 3
        beats = np.arange(bar.start_beats, bar.start_beats + bar.length_beats - 1e-9, 1.5 if compound else 1.0)
        if stride == 1:
            panel.vlines(beats[1:], 0, 1, transform=panel.get_xaxis_transform(), color=HAIR, linewidth=0.4, zorder=1)
        if number and number % stride == 0:
            panel.axvline(bar.start_beats, color="#A9A5A0", linewidth=0.7, zorder=1)
    panel.hlines(np.arange(0, 128, 12), 0, length_beats, color=HAIR, linewidth=0.4, zorder=1)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _bar_stride(bars: Sequence[Bar]) -> int:
    """Every how manieth bar is drawn and numbered: at most 20 of them."""
    return next(stride for stride in (1, 2, 4, 8, 16, 32, 64, 128, max(len(bars), 1)) if len(bars) <= 20 * stride)


def _pitch_range(clips: Sequence[Clip]) -> tuple[int, int]:
    """Lowest and highest pitch to show: all notes, a margin of one, at least `MIN_PITCH_SPAN` semitones."""
    pitches = np.concatenate(
        [track.notes["pitch"] for clip in clips for track in clip.tracks] + [np.zeros(0, np.int64)]
    )
    low, high = (int(pitches.min()) - 1, int(pitches.max()) + 1) if len(pitches) else (60, 60)
    missing = max(0, MIN_PITCH_SPAN - (high - low))
    return low - missing // 2, high + missing - missing // 2


def _two_line_title(panel: Axes, title: str, above_inches: float) -> None:
    """Sets the first line bold at the top of the space above the panel, the rest small right over the panel."""
    first, _, rest = title.partition("\n")
    height = float(panel.bbox.height) / DPI
    at = 1.0 + (above_inches - 0.21) / height
    _text(panel, at, first, fontsize=9, fontweight="bold", color=INK)
    _text(panel, 1.0 + 0.05 / height, rest, fontsize=7, color=MUTED)


def _text(panel: Axes, at: float, text: str, **looks: Any) -> None:
    """Text from the panel's left edge, its middle left out until it is no wider than the panel."""
    drawn = panel.text(0, at, text, transform=panel.transAxes, va="bottom", **looks)
    width = panel.get_window_extent().width
    kept = len(text) - 1
    while kept > 4 and drawn.get_window_extent().width > width:
        drawn.set_text(f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}")
        kept -= 1


def _vertical(figure: Figure, rows: int, title_inches: float) -> dict[str, float]:
    """Margins that leave a title above each row and bar numbers below, in shares of the figure's height."""
    height = float(figure.get_figheight())
    bottom, top = 0.22 / height, 1 - title_inches / height
    between = title_inches + 0.15
    row = ((top - bottom) * height - (rows - 1) * between) / rows
    return {"bottom": bottom, "top": top, "hspace": between / row}


def _path_colour(place: float) -> NDArray[np.float64]:
    """The colour at a place from 0 to 1 on the path: float64 (3,) RGB."""
    from matplotlib.colors import to_rgb

    ends = [np.array(to_rgb(name)) for name in (FROM_COLOUR, MIDDLE_COLOUR, TO_COLOUR)]
    left = 0 if place < 0.5 else 1
    return _mix(ends[left], ends[left + 1], 2 * place - left)


def _mix(a: NDArray[np.float64], b: NDArray[np.float64], amount: float | NDArray[np.float64]) -> NDArray[np.float64]:
    mixed: NDArray[np.float64] = (1 - amount) * a + amount * b
    return mixed
