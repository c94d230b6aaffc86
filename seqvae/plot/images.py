"""Rows and columns of small images, such as those that the points of a latent plane decode to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.plot.canvas import HAIR, INK, PAPER, WIDTH_INCHES, figure_of, save


def image_grid(
    images: NDArray[np.integer[Any]],
    path: str | Path,
    *,
    levels: int,
    width_inches: float = 6.0,
    overwrite: bool = True,
) -> Path:
    """Draws images side by side, 0 as paper and levels - 1 as ink.

    Args:
        images: (rows, columns, height, width), of 0 … levels - 1.
        path: The .png to write.
        levels: How many greys there are.
        width_inches: Of the picture.
        overwrite: Replaces a file that stands there.

    Raises:
        DataError: It is of another shape, or a grey is out of range.
        WriteError: The file cannot be written.

    Example:
        >>> image_grid(np.zeros((2, 3, 8, 8), int), "grid.png", levels=17)  # doctest: +SKIP
    """
    if images.ndim != 4 or not images.size:
        raise DataError(f"images are of shape {images.shape}, not (rows, columns, height, width); reshape them")
    if images.min() < 0 or images.max() >= levels:
        found = f"greys lie between {images.min()} and {images.max()}"
        raise DataError(f"{found} and there are {levels} levels; give those from 0 to {levels - 1}")
    from matplotlib.colors import LinearSegmentedColormap

    rows, columns, height, width = images.shape
    # A pixel of hair line around each image.
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), np.nan)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + 1) + 1, column * (width + 1) + 1
            sheet[top : top + height, left : left + width] = images[row, column]
    greys = LinearSegmentedColormap.from_list("greys", [PAPER, INK]).with_extremes(bad=HAIR)
    inches = min(width_inches, WIDTH_INCHES)
    with figure_of(inches * sheet.shape[0] / sheet.shape[1], inches) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.imshow(np.ma.masked_invalid(sheet), cmap=greys, vmin=0, vmax=levels - 1, interpolation="nearest")
        axes.axis("off")
        return save(figure, path, overwrite=overwrite)
