"""Clips in rows and columns: what lies between four of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip
from seqvae.errors import DataError
from seqvae.plot.canvas import WIDTH_INCHES, figure_of, save
from seqvae.plot.drums import draw_hits
from seqvae.plot.roll import Look, draw_chords, draw_roll, part_colour, pitch_range
from seqvae.plot.strip import CHORDS, DRUM_HEIGHT, LEGEND, Layout, contents, draw_legend, name_rows, part_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
LEFT, RIGHT_MARGIN = 0.72, 0.08
NAMES, NUMBERS = 0.24, 0.16
SHAPE = 0.62  # height over width of a cell
LOWEST, LOWEST_OF_DRUMS, HIGHEST = 0.34, 0.5, 1.7


def piano_roll_grid(
    clips: Sequence[Clip],
    columns: int,
    path: str | Path,
    *,
    corners: Sequence[str] = ("", "", "", ""),
    overwrite: bool = True,
) -> Path:
    """Draws the cells of a grid on one pitch range, drums in nine rows beneath; shade is the velocity.

    The hue says where a cell lies: each corner has one, and between them they are mixed. Where clips have several
    pitched parts it tells these apart.

    Args:
        clips: The cells, row by row.
        columns: How many stand in a row.
        path: A .png file.
        corners: Names of the first and last cell of the first row, and of the last row.
        overwrite: Whether a file that stands there may be replaced.

    Returns:
        The path.

    Raises:
        DataError: There is no clip, or the last row is not full.
        WriteError: The place cannot be written, or stands already and `overwrite` is False.

    Example:
        >>> piano_roll_grid(clips, 8, "grid.png", corners=("a", "b", "c", "d"))                # doctest: +SKIP
    """
    if not len(clips) or columns < 1 or len(clips) % columns:
        raise DataError(f"{len(clips)} clips are given for rows of {columns}; give full rows, at least one")
    longest = max(max(clip.length_beats for clip in clips), 1.0)
    parts = part_names(clips)
    layout = _layout(clips, columns, bool(parts))
    low, high = pitch_range(clips)
    with figure_of(layout.height) as figure:
        for index, clip in enumerate(clips):
            colour = cell_colour(index, layout.rows, columns)
            look = Look(colour=colour, parts=bool(parts), length_beats=longest, low=low, high=high)
            roll, hits = layout.panels(figure, index)
            _draw_cell(roll, hits, clip, look, last_row=index >= len(clips) - columns)
            if roll is not None:
                draw_chords(roll, clip, CHORDS / layout.rolls)
            if index == 0:
                name_rows(roll, hits, low, high)
        draw_legend(figure, parts, layout)
        _number(figure, layout)
        _name_corners(figure, layout, corners, layout.height - NAMES - LEGEND * bool(parts))
        return save(figure, path, overwrite=overwrite)


def cell_colour(index: int, rows: int, columns: int) -> NDArray[np.float64]:
    """The mixture of the corners' four colours at a cell: float64 (3,) RGB."""
    row, column = divmod(index, columns)
    down, right = row / max(rows - 1, 1), column / max(columns - 1, 1)
    shares = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    mixed: NDArray[np.float64] = sum((share * part_colour(i) for i, share in enumerate(shares)), np.zeros(3))
    return mixed


def _draw_cell(roll: Axes | None, hits: Axes | None, clip: Clip, look: Look, *, last_row: bool) -> None:
    """One clip in its panels; bars are numbered in the last row only."""
    for panel in (roll, hits):
        if panel is not None:
            panel.set(xlim=(0.0, look.length_beats), xticks=[], yticks=[])
    if roll is not None:
        draw_roll(roll, clip, look, numbered=last_row and hits is None)
    if hits is not None:
        draw_hits(hits, clip, look)
        if not last_row:
            hits.set_xticks([])


def _layout(clips: Sequence[Clip], columns: int, legend: bool) -> Layout:
    has_pitches, has_drums, has_chords = contents(clips)
    has_rolls = has_pitches or not has_drums
    height = float(np.clip(SHAPE * (WIDTH_INCHES - LEFT - RIGHT_MARGIN) / columns, LOWEST, HIGHEST))
    return Layout(
        rows=len(clips) // columns,
        columns=columns,
        left=LEFT,
        above=CHORDS * has_chords,
        rolls=height if has_rolls else 0.0,
        drums=float(np.clip(height, LOWEST_OF_DRUMS, DRUM_HEIGHT)) if has_drums else 0.0,
        legend=NAMES + NUMBERS + LEGEND * legend,
        bottom=NAMES + NUMBERS,
        between_rows=0.2 if has_rolls and has_drums else 0.07,
    )


def _number(figure: Figure, layout: Layout) -> None:
    """The rows' numbers at the left, the columns' above."""
    gap = layout.between_rows + layout.above
    for row in range(layout.rows):
        middle = layout.height - layout.legend - layout.above - row * (layout.cell + gap) - layout.cell / 2
        figure.text(0.12 / WIDTH_INCHES, middle / layout.height, str(row + 1), fontweight="bold", va="center")
    for column in range(layout.columns):
        x, _ = layout.edges(column)
        y = layout.height - layout.legend + 0.03
        figure.text(x / WIDTH_INCHES, y / layout.height, str(column + 1), fontweight="bold", va="bottom")


def _name_corners(figure: Figure, layout: Layout, names: Sequence[str], top: float) -> None:
    """The corners' names in their colours, at `top` inches over the first row, and under the last."""
    left, right, bottom = layout.edges(0)[0], layout.edges(layout.columns - 1)[1], 0.05
    places = ((left, top, "left"), (right, top, "right"), (left, bottom, "left"), (right, bottom, "right"))
    for index, (name, (x, y, side)) in enumerate(zip(names, places, strict=True)):
        figure.text(
            x / WIDTH_INCHES, y / layout.height, name,
            fontsize=9, fontweight="bold", color=part_colour(index), ha=side, va="bottom",
        )  # fmt: skip
