"""What attribute vectors do, as a picture: a row a vector, a column an attribute, random directions underneath."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.effect import EffectReport
from seqvae.plot.canvas import FROM_COLOUR, INK, MUTED, PAPER, TO_COLOUR, figure_of, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL_WIDTH, CELL_HEIGHT = 0.62, 0.3  # inches
LETTER = 0.068  # width of one in a row's name
RIGHT, BOTTOM, TITLE = 1.75, 0.12, 0.34
FULL_COLOUR = 1.0  # deviations a unit


def effect_heatmap(report: EffectReport, path: str | Path, *, title: str = "", overwrite: bool = True) -> Path:
    """Draws what one unit of each vector does to each attribute, in deviations of the data.

    A vector's own attribute has a frame, those that it was made not to move a dot. To the right: how monotone the own
    attribute is (Spearman) and the own effect over the largest leakage into what was to be spared, or into all.
    Underneath: random directions of the same lengths.

    Args:
        report: From `edit.effect_report`.
        path: A .png file.
        title: Over it.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        WriteError: The place cannot be written, or stands already and `overwrite` is False.
    """
    rows, columns = report.effects.shape
    controls = [f"random for {name}" for name in report.names]
    left = 0.15 + LETTER * max(len(name) for name in controls)
    above = TITLE + 0.12 + 0.62 * LETTER * max(len(name) for name in report.attributes)
    width = left + CELL_WIDTH * columns + RIGHT
    gap = 0.6 * CELL_HEIGHT
    height = above + 2 * rows * CELL_HEIGHT + gap + BOTTOM
    with figure_of(height, width=width) as figure:
        blocks = ((report.effects, report.names, True), (report.control_effects, controls, False))
        for place, (effects, names, named) in enumerate(blocks):
            bottom = BOTTOM + (1 - place) * (rows * CELL_HEIGHT + gap)
            size = (CELL_WIDTH * columns / width, rows * CELL_HEIGHT / height)
            panel = figure.add_axes((left / width, bottom / height, *size))
            _cells(panel, effects)
            panel.set_yticks(range(rows), names, fontsize=7.5, color=INK if named else MUTED)
            panel.set_xticks([])
            if named:
                panel.xaxis.tick_top()
                panel.set_xticks(range(columns), report.attributes, rotation=40, ha="left", fontsize=7.5, color=INK)
                _marks(panel, report)
        said = title or "effect of one unit, in deviations of the data"
        figure.text(0.1 / width, 1 - 0.22 / height, said, fontsize=9, fontweight="bold")
        return save(figure, path, overwrite=overwrite)


def _cells(panel: Axes, effects: NDArray[np.float64]) -> None:
    """Coloured cells with their values."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("effect", [FROM_COLOUR, PAPER, TO_COLOUR])
    picture = panel.imshow(np.nan_to_num(effects), cmap=colours, aspect="auto", interpolation="nearest")
    picture.set_clim(-FULL_COLOUR, FULL_COLOUR)
    for row, column in np.ndindex(*effects.shape):
        value = effects[row, column]
        if np.isfinite(value):
            colour = PAPER if abs(value) > 0.6 * FULL_COLOUR else INK
            panel.text(column, row, f"{value:+.2f}", ha="center", va="center", fontsize=7, color=colour)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _marks(panel: Axes, report: EffectReport) -> None:
    """Frames, dots, and what is summed up of each row at its right."""
    from matplotlib.patches import Rectangle

    columns = len(report.attributes)
    for text, x in (("Spearman", columns - 0.35), ("own : leak", columns + 0.95)):
        panel.text(x, -0.75, text, fontsize=7, color=MUTED, va="center", clip_on=False)
    for row, (name, avoided) in enumerate(zip(report.names, report.against, strict=True)):
        own, one = report.attributes.index(name), report.of(name)
        panel.add_patch(Rectangle((own - 0.48, row - 0.46), 0.96, 0.92, fill=False, edgecolor=INK, linewidth=1.2))
        spared = [report.attributes.index(other) for other in avoided if other in report.attributes]
        panel.plot([x + 0.42 for x in spared], [row - 0.36] * len(spared), ".", markersize=2.5, color=INK)
        panel.text(columns - 0.35, row, f"{one.spearman:.2f}", fontsize=7.5, va="center", clip_on=False)
        ratio = "–" if not np.isfinite(one.ratio) else f"{one.ratio:.1f}"
        panel.text(columns + 0.95, row, ratio, fontsize=7.5, va="center", clip_on=False)
    panel.set_xlim(-0.5, columns - 0.5)
    panel.set_ylim(len(report.names) - 0.5, -0.5)
