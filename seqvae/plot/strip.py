"""Clips side by side: what a path, a set of samples or a long clip looks like, whatever its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvae.clip import Clip
from seqvae.errors import DataError
from seqvae.plot.canvas import DPI, INK, MUTED, WIDTH_INCHES
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
from seqvae.plot.sheet import ABOVE, BELOW, POINT, Colour, Letters, Panel, Sheet, text_width
from seqvae.tokenizers.percussion import CLASSES

MAX_COLUMNS = 8

# Inches. A panel's height depends on how many stand in a row: a wide one may be lower.
LEFT, LEFT_OF_DRUMS, RIGHT, BOTTOM = 0.36, 0.62, 0.08, 0.22
TITLE, TITLE_OF_TWO_LINES, CHORDS, LEGEND = 0.27, 0.4, 0.14, 0.22
BETWEEN_COLUMNS = 0.06  # of a panel's width
BETWEEN_ROWS, BETWEEN_PARTS = 0.15, 0.05
DRUM_HEIGHT = 1.05

# Points.
FIRST_LINE, SECOND_LINE, PITCHES, DRUMS, PARTS = 9.0, 7.0, 7.0, 5.5, 8.0
BESIDE_PANEL = 3.5


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where panels stand: inches from the picture's upper left.

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

    def top(self, row: int) -> float:
        """Where a row's panels begin, under its titles and chords."""
        return self.legend + self.above + row * (self.above + self.cell + self.between_rows)

    def panels(self, sheet: Sheet, index: int, look: Look) -> tuple[Panel | None, Panel | None]:
        """New panels of the cell with that number: the piano roll and the drums under it."""
        row, column = divmod(index, self.columns)
        left, right = self.edges(column)
        top = self.top(row)
        bottom = top + self.cell

        def panel(top: float, bottom: float, low: float, high: float) -> Panel | None:
            if top >= bottom:
                return None
            edges = {"left": left, "top": top, "right": right, "bottom": bottom}
            pixels = {name: round(inches * DPI) for name, inches in edges.items()}
            made = Panel(sheet=sheet, beats=look.length_beats, low=low, high=high, **pixels)
            made.clear()
            return made

        roll = panel(top, top + self.rolls, look.low - 0.5, look.high + 0.5)
        return roll, panel(bottom - self.drums, bottom, -0.5, len(CLASSES) - 0.5)


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
    sheet = Sheet(layout.height)
    for index, (clip, title) in enumerate(zip(clips, titles, strict=True)):
        place = index / (len(clips) - 1) if path_colours and len(clips) > 1 else 0.0
        look = Look(colour=path_colour(place), parts=bool(parts), length_beats=longest, low=low, high=high)
        roll, hits = layout.panels(sheet, index, look)
        draw_cell(roll, hits, clip, look, first_bar=1)
        top = roll or hits
        assert top is not None
        _two_line_title(top, title, layout.above, look.colour if parts and path_colours else INK)
        if index == 0:
            name_rows(roll, hits)
    draw_legend(sheet, parts, layout)
    return sheet.save(path, overwrite=overwrite)


def draw_cell(roll: Panel | None, hits: Panel | None, clip: Clip, look: Look, *, first_bar: int | None) -> None:
    """One clip in its panels; bars are numbered from `first_bar`, if there is one, under the lower panel."""
    if roll is not None:
        draw_roll(roll, clip, look, first_bar=first_bar if hits is None else None)
        draw_chords(roll, clip)
    if hits is not None:
        draw_hits(hits, clip, look, first_bar=first_bar)


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


def name_rows(roll: Panel | None, hits: Panel | None) -> None:
    """Octaves and drums, at the first cell's left."""
    if roll is not None:
        octaves = [pitch for pitch in range(0, 128, 12) if roll.low < pitch < roll.high]
        _name(roll, octaves, [f"C{pitch // 12 - 1}" for pitch in octaves], PITCHES)
    if hits is not None:
        _name(hits, range(len(CLASSES)), CLASSES, DRUMS)


def _name(panel: Panel, rows: Sequence[int], names: Sequence[str], points: float) -> None:
    for row, name in zip(rows, names, strict=True):
        x, middle = panel.left - BESIDE_PANEL * POINT, float(panel.y(row))
        panel.sheet.text(x, middle + ABOVE / 2 * points * POINT, name, points=points, colour=MUTED, side="right")


def draw_legend(sheet: Sheet, parts: Sequence[str], layout: Layout) -> None:
    """The parts' names in their colours, from the picture's upper left."""
    say_in_colours(sheet, [(name, part_colour(index)) for index, name in enumerate(parts)], layout, 0.15)


def say_in_colours(sheet: Sheet, words: Sequence[tuple[str, Colour]], layout: Layout, gap_inches: float) -> None:
    """Words one beside the other at the top of the picture, each in its colour."""
    x, baseline = layout.left * DPI, 0.16 * DPI
    for text, colour in words:
        sheet.text(x, baseline, text, points=PARTS, colour=colour, letters="-Bold")
        x += text_width(text, PARTS, "-Bold") + gap_inches * DPI


def _two_line_title(panel: Panel, title: str, above_inches: float, colour: Colour) -> None:
    """Sets the first line bold at the top of the space above the panel, the rest small right over the panel."""
    first, _, rest = title.partition("\n")
    _line(panel, above_inches - 0.21, first, FIRST_LINE, colour, "-Bold")
    _line(panel, 0.05, rest, SECOND_LINE, MUTED)


def _line(panel: Panel, inches: float, text: str, points: float, colour: Colour, letters: Letters = "") -> None:
    """Text that many inches over the panel's left edge, its middle left out until it is no wider than the panel."""
    shown, kept = text, len(text) - 1
    while kept > 4 and text_width(shown, points, letters) > panel.right - panel.left:
        shown = f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}"
        kept -= 1
    baseline = panel.top - inches * DPI - BELOW * points * POINT
    panel.sheet.text(panel.left, baseline, shown, points=points, colour=colour, letters=letters)
