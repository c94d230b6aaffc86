"""Drums in a panel: nine rows, a mark where each hit sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip, notes_array
from seqvae.plot.canvas import HAIR, INK, MUTED, PANEL
from seqvae.plot.roll import Look, draw_grid, number_bars, shades, width_inches
from seqvae.tokenizers.percussion import CLASSES, OUTSIDE, classes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID_BEATS = 0.25
MARK_BEATS = 0.19
"""Width of a mark: less than a 16th, so that a roll of them is not one bar."""

ON_GRID_BEATS = 0.02
"""A hit nearer than this to its 16th is on it: 10 ms at 120 quarter notes a minute."""

WIDE_ENOUGH_INCHES = 0.08
"""Offsets are drawn where a 16th is as wide; in less they would be specks."""

OTHER_ROW_SHADE = "0.94"


def draw_hits(panel: Axes, clip: Clip, look: Look) -> None:
    """One clip's drums, the kick at the bottom; pitches outside the nine classes are left out.

    A mark begins where the hit sounds. Where that is beside its 16th and there is room, a line leads from one to the
    other.
    """
    from matplotlib.collections import PolyCollection

    rows = len(CLASSES)
    panel.set_ylim(-0.5, rows - 0.5)
    for stripe in range(0, rows, 2):
        panel.axhspan(stripe - 0.5, stripe + 0.5, color=OTHER_ROW_SHADE, linewidth=0, zorder=0)
    draw_grid(panel, clip)
    number_bars(panel, clip.bars())
    beat, row, velocity = hits(clip)
    if not len(beat):
        panel.text(
            0.5, 0.5, "silence", transform=panel.transAxes, ha="center", va="center", color=MUTED, style="italic"
        )
        return
    low, high, end = row - 0.4, row + 0.4, beat + MARK_BEATS
    corners = np.stack([[beat, low], [beat, high], [end, high], [end, low]]).transpose(2, 0, 1)
    colours = shades(velocity, look.colour)
    panel.add_collection(PolyCollection(list(corners), facecolors=colours, edgecolors=PANEL, linewidths=0.2, zorder=3))
    if width_inches(panel) / (look.length_beats / GRID_BEATS) >= WIDE_ENOUGH_INCHES:
        _draw_offsets(panel, clip, beat, row)


def _draw_offsets(panel: Axes, clip: Clip, beat: NDArray[np.float64], row: NDArray[np.int64]) -> None:
    """How far each hit is from its 16th: a line from one to the other, on a grid that shows the 16ths."""
    grid = np.floor(beat / GRID_BEATS + 0.5) * GRID_BEATS
    off = np.abs(beat - grid) > ON_GRID_BEATS
    if not off.any():
        return
    lines = np.arange(0.0, clip.length_beats, GRID_BEATS)
    panel.vlines(lines, 0, 1, transform=panel.get_xaxis_transform(), color=HAIR, linewidth=0.25, zorder=1)
    panel.hlines(row[off] - 0.25, grid[off], beat[off], color=INK, linewidth=1.1, zorder=4)


def hits(clip: Clip) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Where drums sound: beat float64 (hits,), row and velocity int64 (hits,); the softer first."""
    notes = np.concatenate([track.notes for track in clip.tracks if track.is_drum] or [notes_array()])
    notes = notes[np.argsort(notes["velocity"], kind="stable")]  # where two stand on each other the louder is seen
    row = classes_of(notes["pitch"])
    known = row != OUTSIDE
    return notes["start_beats"][known], row[known], notes["velocity"][known].astype(np.int64)
