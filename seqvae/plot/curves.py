"""Training curves from the lines of a run's metrics.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.plot.canvas import FROM_COLOUR, MUTED, TO_COLOUR, figure_of, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One line of a panel of curves: the key in metrics.jsonl, the split it is logged for, its name and its looks."""

    key: str
    split: str
    name: str
    colour: str
    dashed: bool = False
    noisy: bool = False


_CURVES: tuple[tuple[str, tuple[_Line, ...]], ...] = (
    (
        "reconstruction, nats per item",
        (
            _Line(key="recon_nll", split="train", name="train", colour=FROM_COLOUR, noisy=True),
            _Line(key="recon_nll", split="valid", name="valid", colour=TO_COLOUR),
        ),
    ),
    (
        "KL, nats per item",
        (
            _Line(key="kl", split="train", name="train", colour=FROM_COLOUR, noisy=True),
            _Line(key="kl", split="valid", name="valid", colour=TO_COLOUR),
        ),
    ),
    (
        "accuracy",
        (
            _Line(key="token_accuracy", split="valid", name="tokens, teacher-forced", colour=FROM_COLOUR, dashed=True),
            _Line(key="onset_accuracy", split="valid", name="onsets, teacher-forced", colour=TO_COLOUR, dashed=True),
            _Line(key="free_token_accuracy", split="valid", name="tokens, free-running", colour=FROM_COLOUR),
            _Line(key="free_onset_accuracy", split="valid", name="onsets, free-running", colour=TO_COLOUR),
        ),
    ),
    ("active units", (_Line(key="active_units", split="valid", name="valid", colour=TO_COLOUR),)),
    ("β", (_Line(key="beta", split="train", name="train", colour=MUTED),)),
    ("learning rate", (_Line(key="learning_rate", split="train", name="train", colour=MUTED),)),
)


def training_curves(metrics: Sequence[Mapping[str, Any]], path: str | Path, *, overwrite: bool = True) -> Path:
    """Draws a run's metrics.jsonl: reconstruction, KL, accuracies, active units, β and learning rate over the steps.

    Args:
        metrics: The lines, each with `step`, `split` ("train" or "valid") and measures; missing keys leave a gap.
        path: A .png file.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        DataError: No line has a step and a number to draw.
        WriteError: The place cannot be written, or stands already and `overwrite` is False.
    """
    series = {(line.key, line.split): _series(metrics, line) for _, lines in _CURVES for line in lines}
    if not any(len(steps) for steps, _ in series.values()):
        raise DataError(f"{len(metrics)} lines of metrics hold nothing to draw; give the metrics.jsonl of a run")
    last_step = max(float(steps[-1]) for steps, _ in series.values() if len(steps))
    with figure_of(5.2) as figure:
        panels = figure.subplots(2, 3, squeeze=False).flatten()
        figure.subplots_adjust(left=0.045, right=0.985, wspace=0.2, hspace=0.32, bottom=0.085, top=0.93)
        for panel, (title, lines) in zip(panels, _CURVES, strict=True):
            _curve_panel(panel, title, lines, series, last_step)
        for panel in panels[3:]:
            panel.set_xlabel("step", labelpad=1.5)
        return save(figure, path, overwrite=overwrite)


def _series(metrics: Sequence[Mapping[str, Any]], line: _Line) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and finite values of one line, in the order of the steps."""
    rows = [
        (float(row["step"]), float(row[line.key]))
        for row in metrics
        if row.get("split", "train") == line.split and row.get("step") is not None and row.get(line.key) is not None
    ]
    points = np.array(sorted(rows, key=lambda row: row[0]), np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    return points[:, 0], points[:, 1]


def _curve_panel(
    panel: Axes,
    title: str,
    lines: Sequence[_Line],
    series: Mapping[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]],
    last_step: float,
) -> None:
    drawn = [(line, *series[line.key, line.split]) for line in lines if len(series[line.key, line.split][0])]
    for line, steps, values in drawn:
        if line.noisy and len(steps) > 200:
            panel.plot(steps, values, color=line.colour, linewidth=0.5, alpha=0.25)
            values = _smooth(values, len(values) // 80)
        marker = "o" if len(steps) < 3 else ""
        dashes = (0, (3, 1.5)) if line.dashed else "solid"
        panel.plot(
            steps,
            values,
            color=line.colour,
            linewidth=1.3,
            linestyle=dashes,
            marker=marker,
            markersize=3,
            label=line.name,
        )
    panel.set_title(title, loc="left", pad=5)
    panel.grid(axis="y")
    panel.set_axisbelow(True)
    panel.set_xlim(0, max(last_step, 1.0))
    panel.locator_params(axis="x", nbins=6)
    panel.xaxis.set_major_formatter(lambda value, _: _short_number(value))
    if title == "accuracy":
        panel.set_ylim(0, 1.0)
    elif drawn:
        # The first steps of a training would flatten all that follows.
        settled = np.concatenate([values[min(len(values) // 20, len(values) - 1) :] for _, _, values in drawn])
        low, high = float(min(settled.min(), 0.0)), float(settled.max())
        panel.set_ylim(low, (high if high > low else low + 1.0) * 1.05)
    if len(drawn) > 1:
        panel.legend(loc="best", fontsize=7, handlelength=1.6, labelcolor=MUTED, borderaxespad=0.3)
    if not drawn:
        panel.text(
            0.5, 0.5, "not logged", transform=panel.transAxes, ha="center", va="center", color=MUTED, style="italic"
        )
        panel.set_yticks([])


def _smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean of up to `width` values on either side and of the value itself; as many on both sides near the ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    reach = np.minimum(width, np.minimum(at, len(values) - 1 - at))
    mean: NDArray[np.float64] = (total[at + reach + 1] - total[at - reach]) / (2 * reach + 1)
    return mean


def _short_number(value: float) -> str:
    """1,500 as `1.5k`, 2,000,000 as `2M`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
