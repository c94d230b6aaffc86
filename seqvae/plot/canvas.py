"""One look for all pictures, and a way to a file for matplotlib's, on which the user's settings have no influence."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvae.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_INCHES = 12.0
DPI = 200  # 2400 pixels wide: sharp at twice the density, legible at 1600 and below

INK, MUTED, HAIR, PANEL, PAPER = "#26262E", "#7C7A85", "#D9D5CF", "#F8F6F2", "#FFFFFF"
FROM_COLOUR, MIDDLE_COLOUR, TO_COLOUR = "#22458F", "#86478F", "#CF4A2C"
CATEGORIES = ("#22458F", "#CF4A2C", "#2B8A6B", "#C9932B", "#86478F", "#4FA3C7", "#8C5A3C", "#D889A8")
REST_COLOUR = "#C9C6C1"

STYLE: Any = {  # matplotlib types its keys as a literal of 300 names
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": HAIR,
    "axes.labelcolor": MUTED,
    "axes.facecolor": PANEL,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "grid.color": HAIR,
    "grid.linewidth": 0.5,
    "figure.facecolor": PAPER,
    "legend.frameon": False,
}


@contextlib.contextmanager
def figure_of(height: float, width: float = WIDTH_INCHES) -> Iterator[Figure]:
    """A figure under our own style whatever the user's matplotlibrc says; size in inches."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a file name in a script that the font lacks
        figure = Figure(figsize=(width, height), dpi=DPI)
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, path: str | Path, *, overwrite: bool) -> Path:
    """Renders to memory, then writes: a failure leaves what stood there."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
    return write_atomic(Path(path), picture.getvalue(), overwrite=overwrite)
