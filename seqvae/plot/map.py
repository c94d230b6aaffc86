"""A map of latent space: items on a plane, coloured by what they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.plot.canvas import (
    CATEGORIES,
    FROM_COLOUR,
    INK,
    MIDDLE_COLOUR,
    REST_COLOUR,
    TO_COLOUR,
    figure_of,
    save,
)
from seqvae.projection import Projection

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def latent_map(
    projection: Projection,
    path: str | Path,
    *,
    values: NDArray[np.floating[Any]] | None = None,
    labels: Sequence[str] | None = None,
    name: str = "",
    title: str = "",
    overwrite: bool = True,
) -> Path:
    """Draws the map, coloured by a value (colour bar) or by a label (legend; the rarer ones are grey).

    Args:
        projection: From `pca`, `tsne` or `umap`.
        path: A .png file.
        values: float (n,), or
        labels: n strings.
        name: What the colour means.
        title: Over the picture; how many items it shows, if left out.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        DataError: Values or labels are not as many as points.
        WriteError: The place cannot be written, or stands already and `overwrite` is False.
    """
    points = projection.points
    for given in (values, labels):
        if given is not None and len(given) != len(points):
            raise DataError(f"{len(given)} colours are given for {len(points)} points; give one for each")
    # Drawn in a shuffled order, or the last label would cover the others.
    order = np.random.default_rng(0).permutation(len(points))
    size = float(np.clip(24000.0 / len(points), 3.0, 30.0))
    looks: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.75, "rasterized": True}
    with figure_of(8.4, width=9.6) as figure:
        panel = figure.add_axes((0.07, 0.07, 0.73, 0.87))
        if values is not None:
            _value_points(panel, points[order], np.asarray(values, np.float64)[order], name, looks)
        elif labels is not None:
            _label_points(panel, points, list(labels), order, name, looks)
        else:
            panel.scatter(points[order, 0], points[order, 1], color=FROM_COLOUR, **looks)
        panel.set_title(title or f"{len(points):,} items", loc="left")
        panel.set_aspect("equal", adjustable="datalim")
        _axes(panel, projection)
        return save(figure, path, overwrite=overwrite)


def _axes(panel: Axes, projection: Projection) -> None:
    """Components have a unit and a share of the variance; the axes of t-SNE and UMAP have nothing to be read."""
    if projection.explained is None:
        panel.set(xticks=[], yticks=[])
        name = {"tsne": "t-SNE", "umap": "UMAP"}.get(projection.method, projection.method)
        panel.set_xlabel(f"{name}: near is alike; axes and long distances mean nothing", loc="left")
        return
    first, second = projection.explained
    panel.set_xlabel(f"component 1: {first:.1%} of the variance")
    panel.set_ylabel(f"component 2: {second:.1%} of the variance")
    panel.grid()
    panel.set_axisbelow(True)


def _value_points(
    panel: Axes, points: NDArray[np.float64], values: NDArray[np.float64], name: str, looks: dict[str, Any]
) -> None:
    from matplotlib.cm import ScalarMappable

    known = np.isfinite(values)
    panel.scatter(points[~known, 0], points[~known, 1], color=REST_COLOUR, **looks)
    # The outermost hundredths share a colour, or one odd item would take the whole scale.
    low, high = np.percentile(values[known], [1, 99]) if known.any() else (0.0, 1.0)
    drawn = panel.scatter(points[known, 0], points[known, 1], c=values[known], cmap=_value_colours(), **looks)
    drawn.set_clim(low, max(high, low + 1e-9))
    figure = panel.figure
    full = ScalarMappable(drawn.norm, drawn.cmap)  # the points are translucent, the bar is not
    bar = figure.colorbar(full, cax=figure.add_axes((0.83, 0.25, 0.018, 0.5)))
    bar.outline.set_visible(False)
    bar.ax.set_title(name, loc="left", fontsize=8, color=INK, pad=8)


def _label_points(
    panel: Axes,
    points: NDArray[np.float64],
    labels: list[str],
    order: NDArray[np.int64],
    name: str,
    looks: dict[str, Any],
) -> None:
    names, counts = np.unique(np.array(labels), return_counts=True)
    ranked = [str(names[i]) for i in np.lexsort((names, -counts))]
    shown = ranked[: len(CATEGORIES)]
    colour_of = dict(zip(shown, CATEGORIES, strict=False))
    colours = np.array([colour_of.get(label, REST_COLOUR) for label in labels])
    order = order[np.argsort(colours[order] != REST_COLOUR, kind="stable")]  # grey lies beneath
    panel.scatter(points[order, 0], points[order, 1], c=colours[order], **looks)
    count_of = dict(zip(names.tolist(), counts.tolist(), strict=True))
    entries = [(colour_of[label], f"{_shorten(label)}  {count_of[label]:,}") for label in shown]
    if len(ranked) > len(shown):
        rest = sum(count_of[label] for label in ranked[len(shown) :])
        entries.append((REST_COLOUR, f"{len(ranked) - len(shown)} more  {rest:,}"))
    handles = [panel.scatter([], [], color=colour, s=24, linewidths=0) for colour, _ in entries]
    panel.legend(
        handles, [text for _, text in entries], title=name, loc="upper left", bbox_to_anchor=(1.02, 0.98),
        alignment="left", title_fontsize=8, fontsize=7, handletextpad=0.2, labelspacing=0.7,
    )  # fmt: skip


def _shorten(text: str, length: int = 22) -> str:
    return text if len(text) <= length else f"…{text[1 - length :]}"


def _value_colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("value", [FROM_COLOUR, MIDDLE_COLOUR, TO_COLOUR, "#F2B33D"])
