"""Clips side by side: what a path, a set of samples or a long clip looks like, whatever its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip
from seqvae.errors import DataError
from seqvae.plot.canvas import DPI, INK, MUTED, WIDTH_INCHES, figure_of, save
from seqvae.plot.drums import draw_hits
from seqvae.plot.roll import (
    MAX_COLOURED_PARTS,
    ROW_BEATS,
    Look,
    draw_chords,
    draw_roll,
    is_chords,
    part_colour,
    path_colour,
    pitch_range,
    pitched,
)
from seqvae.tokenizers.percussion import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_COLUMNS = 8

# Inches. A panel's height depends on how many stand in a row: a wide one may be lower.
LEFT, LEFT_OF_DRUMS, RIGHT, BOTTOM = 0.36, 0.62, 0.08, 0.22
TITLE, TITLE_OF_TWO_LINES, CHORDS, LEGEND = 0.27, 0.4, 0.14, 0.22
BETWEEN_COLUMNS = 0.06  # of a panel's width
BETWEEN_ROWS, BETWEEN_PARTS = 0.15, 0.05
DRUM_HEIGHT = 1.05


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where panels stand: inches from the picture's lower left.

    Attributes:
        rows, columns: Of cells; one clip each.
        left: Margin for the names of pitches or drums.
        above: Space over each cell for its title and chords.
        rolls, drums: Heights of a cell's two panels, 0 for none.
        legend: Space at the top.
        bottom: Space beneath, for the bars' numbers.
        between_rows: Of cells.
    """

    rows: int
    columns: int
    left: float
    above: float
    rolls: float
    drums: float
    legend: float
    bottom: float = BOTTOM
    between_rows: float = BETWEEN_ROWS

    @property
    def cell(self) -> float:
        """Height of one clip's panels."""
        return self.rolls + self.drums + BETWEEN_PARTS * bool(self.rolls and self.drums)

    @property
    def height(self) -> float:
        """Of the picture."""
        return self.legend + self.rows * (self.above + self.cell) + (self.rows - 1) * self.between_rows + self.bottom

    def edges(self, column: int) -> tuple[float, float]:
        """Where a column begins and ends."""
        gaps = (self.columns - 1) * BETWEEN_COLUMNS
        width = (WIDTH_INCHES - self.left - RIGHT) / (self.columns + gaps)
        x = self.left + column * width * (1 + BETWEEN_COLUMNS)
        return x, x + width

    def panels(self, figure: Figure, index: int) -> tuple[Axes | None, Axes | None]:
        """New axes of the cell with that number: the piano roll and the drums under it."""
        row, column = divmod(index, self.columns)
        x, end = self.edges(column)
        width = end - x
        y = self.height - self.legend - (row + 1) * (self.above + self.cell) - row * self.between_rows

        def panel(bottom: float, height: float) -> Axes | None:
            inches = (x / WIDTH_INCHES, bottom / self.height, width / WIDTH_INCHES, height / self.height)
            return figure.add_axes(inches) if height else None

        return panel(y + self.cell - self.rolls, self.rolls), panel(y, self.drums)


def piano_roll_strip(
    clips: Sequence[Clip],
    path: str | Path,
    titles: Sequence[str] | None = None,
    *,
    path_colours: bool = True,
    overwrite: bool = True,
) -> Path:
    """Draws clips side by side on one pitch range, drums in nine rows beneath; shade is the velocity.

    The hue is the place on the path; where clips have several pitched parts it tells these apart, and the titles have
    the path's hue. A drum hit stands where it sounds; a thin line leads to its 16th if that is elsewhere.

    Args:
        clips: One cell each; more than eight, or long ones, go on in the next row.
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
    parts = part_names(clips)
    layout = _layout(clips, titles, longest, bool(parts))
    low, high = pitch_range(clips)
    with figure_of(layout.height) as figure:
        for index, (clip, title) in enumerate(zip(clips, titles, strict=True)):
            place = index / (len(clips) - 1) if path_colours and len(clips) > 1 else 0.0
            look = Look(colour=path_colour(place), parts=bool(parts), length_beats=longest, low=low, high=high)
            roll, hits = layout.panels(figure, index)
            for panel in (roll, hits):
                if panel is not None:
                    panel.set(xlim=(0.0, longest), xticks=[], yticks=[])
            if roll is not None:
                draw_roll(roll, clip, look, numbered=hits is None)
                draw_chords(roll, clip, CHORDS / layout.rolls)
            if hits is not None:
                draw_hits(hits, clip, look)
            top = roll if roll is not None else hits
            assert top is not None
            _two_line_title(top, title, layout.above, look.colour if parts and path_colours else INK)
            if index == 0:
                name_rows(roll, hits, low, high)
        draw_legend(figure, parts, layout)
        return save(figure, path, overwrite=overwrite)


def part_names(clips: Sequence[Clip]) -> list[str]:
    """The names of pitched parts, if there are several but few enough to tell apart by colour; else none."""
    names: list[str] = []
    for clip in clips:
        found = [track.name for track in pitched(clip)]
        names += found[len(names) :]
    return [name or f"part {i}" for i, name in enumerate(names, 1)] if 1 < len(names) <= MAX_COLOURED_PARTS else []


def contents(clips: Sequence[Clip]) -> tuple[bool, bool, bool]:
    """Whether there are pitched notes, drums and chord symbols among them."""
    sounding = [track for clip in clips for track in clip.tracks if len(track.notes)]
    drums = [track.is_drum for track in sounding]
    return not all(drums), any(drums), any(is_chords(track) for track in sounding)


def _layout(clips: Sequence[Clip], titles: Sequence[str], longest: float, legend: bool) -> Layout:
    columns = min(len(clips), MAX_COLUMNS, max(1, int(ROW_BEATS // longest)))
    rows = math.ceil(len(clips) / columns)
    columns = math.ceil(len(clips) / rows)
    has_pitches, has_drums, has_chords = contents(clips)
    return Layout(
        rows=rows,
        columns=columns,
        left=LEFT_OF_DRUMS if has_drums else LEFT,
        above=(TITLE_OF_TWO_LINES if any("\n" in title for title in titles) else TITLE) + CHORDS * has_chords,
        rolls=(1.7 if columns > 2 else 1.4) if has_pitches or not has_drums else 0.0,
        drums=DRUM_HEIGHT if has_drums else 0.0,
        legend=LEGEND if legend else 0.0,
    )


def name_rows(roll: Axes | None, hits: Axes | None, low: int, high: int) -> None:
    """Octaves and drums, at the first cell's left."""
    if roll is not None:
        octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
        roll.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    if hits is not None:
        hits.set_yticks(range(len(CLASSES)), CLASSES, fontsize=5.5)


def draw_legend(figure: Figure, parts: Sequence[str], layout: Layout) -> None:
    """The parts' names in their colours, from the picture's upper left."""
    x, y = layout.left / WIDTH_INCHES, 1 - 0.16 / layout.height
    for index, name in enumerate(parts):
        text = figure.text(x, y, name, fontsize=8, fontweight="bold", color=part_colour(index))
        x += (text.get_window_extent().width / DPI + 0.15) / WIDTH_INCHES


def _two_line_title(panel: Axes, title: str, above_inches: float, colour: str | NDArray[np.float64]) -> None:
    """Sets the first line bold at the top of the space above the panel, the rest small right over the panel."""
    first, _, rest = title.partition("\n")
    height = float(panel.bbox.height) / DPI
    at = 1.0 + (above_inches - 0.21) / height
    _text(panel, at, first, fontsize=9, fontweight="bold", color=colour)
    _text(panel, 1.0 + 0.05 / height, rest, fontsize=7, color=MUTED)


def _text(panel: Axes, at: float, text: str, **looks: Any) -> None:
    """Text from the panel's left edge, its middle left out until it is no wider than the panel."""
    drawn = panel.text(0, at, text, transform=panel.transAxes, va="bottom", **looks)
    width = panel.get_window_extent().width
    kept = len(text) - 1
    while kept > 4 and drawn.get_window_extent().width > width:
        drawn.set_text(f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}")
        kept -= 1
