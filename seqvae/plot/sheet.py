"""What music is drawn on: a sheet of pixels, by Pillow, and panels on it that have beats across and rows up.

Importing matplotlib would take as long as all the rest of a short command. Notes and lines are upright, so their edges
are put on whole pixels, where they are sharp. Places are pixels from the upper left; sizes of letters and widths of
lines are points.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqvae.files import write_atomic
from seqvae.plot.canvas import DPI, INK, PANEL, PAPER, WIDTH_INCHES

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Colour = str | NDArray[np.float64]
"""#RRGGBB, or float64 (3,) RGB from 0 to 1."""

Letters = Literal["", "-Bold", "-Oblique"]
"""How the names of DejaVu Sans's files end."""

POINT = DPI / 72  # in pixels
ABOVE, BELOW = 0.76, 0.24  # how far letters reach from the line they stand on, in their size


class Sheet:
    """A picture in the making, as wide as all are.

    Args:
        height: In inches.

    Example:
        >>> sheet = Sheet(1.5)
        >>> sheet.width, sheet.height
        (2400, 300)
    """

    def __init__(self, height: float) -> None:
        from PIL import Image, ImageDraw

        self.width, self.height = round(WIDTH_INCHES * DPI), round(height * DPI)
        self._image = Image.new("RGB", (self.width, self.height), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def box(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """Fills from `left` and `top` up to, but not with, `right` and `bottom`."""
        if left < right and top < bottom:
            self._draw.rectangle((left, top, right - 1, bottom - 1), _pixel(colour))

    def text(
        self,
        x: float,
        baseline: float,
        words: str,
        *,
        points: float,
        colour: Colour = INK,
        letters: Letters = "",
        side: Literal["left", "middle", "right"] = "left",
    ) -> None:
        """Words in one line that stand on `baseline`, with that side of them at x."""
        place, font = (round(x), round(baseline)), _font(points, letters)
        self._draw.text(place, _one_line(words), _pixel(colour), font, anchor=f"{side[0]}s")

    def save(self, path: str | Path, *, overwrite: bool) -> Path:
        """Writes a PNG; a failure leaves what stood there."""
        picture = io.BytesIO()
        self._image.save(picture, "PNG")
        return write_atomic(Path(path), picture.getvalue(), overwrite=overwrite)


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """A part of a sheet for pitches or drums: beats across, rows up. What would reach beyond it is cut off.

    Attributes:
        sheet: It is part of.
        left, top, right, bottom: Pixels, as those of a box.
        beats: Of its width.
        low, high: The rows at its bottom and top edge.
    """

    sheet: Sheet
    left: int
    top: int
    right: int
    bottom: int
    beats: float
    low: float
    high: float

    def clear(self) -> None:
        """Gives it its ground."""
        self.sheet.box(self.left, self.top, self.right, self.bottom, PANEL)

    @property
    def width_inches(self) -> float:
        """Of it."""
        return (self.right - self.left) / DPI

    @property
    def height_inches(self) -> float:
        """Of it."""
        return (self.bottom - self.top) / DPI

    def x(self, beats: ArrayLike) -> NDArray[np.float64]:
        """Where beats are."""
        return self.left + np.asarray(beats, np.float64) * ((self.right - self.left) / self.beats)

    def y(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Where rows are."""
        return self.top + (self.high - np.asarray(rows, np.float64)) * (
            (self.bottom - self.top) / (self.high - self.low)
        )

    def boxes(
        self,
        start: ArrayLike,
        end: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        colours: Iterable[Colour],
        gap: float = 0.0,
    ) -> None:
        """Filled rectangles, one over the other, `gap` points apart where they meet."""
        pixels = round(gap * POINT)
        inside, outside = pixels // 2, pixels - pixels // 2
        for (left, top, right, bottom), colour in zip(self._sides(start, end, low, high), colours, strict=True):
            if pixels and right - left > 2 * pixels:  # in a thinner one, or beside it, nothing would be left
                self._box(left - outside, top - outside, right + outside, bottom + outside, PANEL)
                left, top, right, bottom = left + inside, top + inside, right - inside, bottom - inside
            self._box(left, top, max(right, left + 1), max(bottom, top + 1), colour)

    def frames(
        self, start: ArrayLike, end: ArrayLike, low: ArrayLike, high: ArrayLike, colour: Colour, points: float
    ) -> None:
        """Rectangles that are not filled; half of the line is outside."""
        pixels = _thickness(points)
        for left, top, right, bottom in self._sides(start, end, low, high):
            left, top = left - pixels // 2, top - pixels // 2
            right, bottom = right + pixels - pixels // 2, bottom + pixels - pixels // 2
            self._box(left, top, right, top + pixels, colour)
            self._box(left, bottom - pixels, right, bottom, colour)
            self._box(left, top, left + pixels, bottom, colour)
            self._box(right - pixels, top, right, bottom, colour)

    def uprights(self, beats: ArrayLike, colour: Colour, points: float) -> None:
        """Lines from bottom to top."""
        pixels = _thickness(points)
        for left in _whole(self.x(beats) - pixels / 2):
            self._box(left, self.top, left + pixels, self.bottom, colour)

    def levels(self, rows: ArrayLike, start: ArrayLike, end: ArrayLike, colour: Colour, points: float) -> None:
        """Lines from left to right."""
        pixels = _thickness(points)
        ends = np.broadcast_arrays(self.y(rows) - pixels / 2, self.x(start), self.x(end))
        for top, left, right in zip(*map(_whole, ends), strict=True):
            self._box(left, top, right, top + pixels, colour)

    def _sides(self, start: ArrayLike, end: ArrayLike, low: ArrayLike, high: ArrayLike) -> Iterable[tuple[int, ...]]:
        sides = np.broadcast_arrays(self.x(start), self.y(high), self.x(end), self.y(low))
        return zip(*map(_whole, sides), strict=True)

    def _box(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        self.sheet.box(
            max(left, self.left), max(top, self.top), min(right, self.right), min(bottom, self.bottom), colour
        )


def text_width(words: str, points: float, letters: Letters = "") -> float:
    """Of words in one line, in pixels."""
    return float(_font(points, letters).getlength(_one_line(words)))


def rgb(colour: str) -> NDArray[np.float64]:
    """#RRGGBB as float64 (3,) RGB.

    >>> rgb("#FF0033").tolist()
    [1.0, 0.0, 0.2]
    """
    return np.array(list(bytes.fromhex(colour[1:]))) / 255


def _pixel(colour: Colour) -> str | tuple[int, ...]:
    return colour if isinstance(colour, str) else tuple(_whole(255 * colour))


def _whole(values: NDArray[np.float64]) -> list[int]:
    rounded: list[int] = np.rint(np.atleast_1d(values)).astype(np.int64).tolist()
    return rounded


def _thickness(points: float) -> int:
    return max(1, round(points * POINT))


def _one_line(words: str) -> str:
    return " ".join(words.splitlines())


@lru_cache
def _font(points: float, letters: Letters) -> FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along; what it has no letter for is a box."""
    from PIL import ImageFont

    matplotlib = find_spec("matplotlib")  # found, and not imported
    assert matplotlib is not None and matplotlib.submodule_search_locations is not None
    file = Path(matplotlib.submodule_search_locations[0], "mpl-data", "fonts", "ttf", f"DejaVuSans{letters}.ttf")
    return ImageFont.truetype(str(file), points * POINT, layout_engine=ImageFont.Layout.BASIC)
