"""Clips in rows and columns: what lies between four of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip
from seqvae.errors import DataError
from seqvae.plot.canvas import DPI, WIDTH_INCHES
from seqvae.plot.roll import Look, part_colour, pitch_range
from seqvae.plot.sheet import ABOVE, BELOW, POINT, Sheet
from seqvae.plot.strip import (
    CHORDS,
    DRUM_HEIGHT,
    LEGEND,
    Layout,
    contents,
    draw_cell,
    draw_legend,
    name_rows,
    part_names,
)

# Inches.
LEFT, RIGHT_MARGIN = 0.72, 0.08
NAMES, NUMBERS = 0.24, 0.16
SHAPE = 0.62  # height over width of a cell
LOWEST, LOWEST_OF_DRUMS, HIGHEST = 0.34, 0.5, 1.7

CELLS, CORNERS = 8.0, 9.0  # points


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
    sheet = Sheet(layout.height)
    for index, clip in enumerate(clips):
        colour = cell_colour(index, layout.rows, columns)
        look = Look(colour=colour, parts=bool(parts), length_beats=longest, low=low, high=high)
        roll, hits = layout.panels(sheet, index, look)
        draw_cell(roll, hits, clip, look, first_bar=1 if index >= len(clips) - columns else None)
        if index == 0:
            name_rows(roll, hits)
    draw_legend(sheet, parts, layout)
    _number(sheet, layout)
    _name_corners(sheet, layout, corners, NAMES + LEGEND * bool(parts))
    return sheet.save(path, overwrite=overwrite)


def cell_colour(index: int, rows: int, columns: int) -> NDArray[np.float64]:
    """The mixture of the corners' four colours at a cell: float64 (3,) RGB."""
    row, column = divmod(index, columns)
    down, right = row / max(rows - 1, 1), column / max(columns - 1, 1)
    shares = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    mixed: NDArray[np.float64] = sum((share * part_colour(i) for i, share in enumerate(shares)), np.zeros(3))
    return mixed


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


def _number(sheet: Sheet, layout: Layout) -> None:
    """The rows' numbers at the left, the columns' above."""
    for row in range(layout.rows):
        middle = layout.top(row) + layout.cell / 2
        baseline = middle * DPI + ABOVE / 2 * CELLS * POINT
        sheet.text(0.12 * DPI, baseline, str(row + 1), points=CELLS, letters="-Bold")
    baseline = (layout.legend - 0.03) * DPI - BELOW * CELLS * POINT
    for column in range(layout.columns):
        sheet.text(layout.edges(column)[0] * DPI, baseline, str(column + 1), points=CELLS, letters="-Bold")


def _name_corners(sheet: Sheet, layout: Layout, names: Sequence[str], above: float) -> None:
    """The corners' names in their colours, `above` from the top of the picture and at its bottom."""
    for index, name in enumerate(names):
        right, low = index % 2, index // 2
        bottom = layout.height - 0.05 if low else above
        baseline = bottom * DPI - BELOW * CORNERS * POINT
        x = layout.edges(layout.columns - 1)[1] if right else layout.left
        sheet.text(
            x * DPI, baseline, name,
            points=CORNERS, colour=part_colour(index), letters="-Bold", side="right" if right else "left",
        )  # fmt: skip
