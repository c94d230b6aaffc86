"""Drums in a panel: nine rows, a mark where each hit sounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip, notes_array
from seqvae.plot.canvas import INK
from seqvae.plot.roll import Look, draw_grid, number_bars, say_silence, shades
from seqvae.plot.sheet import Panel
from seqvae.tokenizers.percussion import CLASSES, OUTSIDE, classes_of

GRID_BEATS = 0.25
MARK_BEATS = 0.19
"""Width of a mark: less than a 16th, so that a roll of them is not one bar."""

ON_GRID_BEATS = 0.02
"""A hit nearer than this to its 16th is on it: 10 ms at 120 quarter notes a minute."""

WIDE_ENOUGH_INCHES = 0.08
"""Offsets are drawn where a 16th is as wide; in less they would be specks."""

OTHER_ROW_SHADE, SIXTEENTH_COLOUR = "#F0F0F0", "#E3DFDA"


def draw_hits(panel: Panel, clip: Clip, look: Look, *, first_bar: int | None = None) -> None:
    """One clip's drums, the kick at the bottom; pitches outside the nine classes are left out.

    A mark begins where the hit sounds. Where that is beside its 16th and there is room, a line leads from one to the
    other. Bars are numbered from `first_bar`, if there is one.
    """
    stripes = np.arange(0, len(CLASSES), 2)
    panel.boxes(0.0, panel.beats, stripes - 0.5, stripes + 0.5, [OTHER_ROW_SHADE] * len(stripes))
    beat, row, velocity = hits(clip)
    offsets = panel.width_inches / (panel.beats / GRID_BEATS) >= WIDE_ENOUGH_INCHES
    grid = np.floor(beat / GRID_BEATS + 0.5) * GRID_BEATS
    off = (np.abs(beat - grid) > ON_GRID_BEATS) & offsets
    if off.any():
        panel.uprights(np.arange(0.0, clip.length_beats, GRID_BEATS), SIXTEENTH_COLOUR, 0.25)
    draw_grid(panel, clip)
    if first_bar is not None:
        number_bars(panel, clip.bars(), first_bar)
    panel.boxes(beat, beat + MARK_BEATS, row - 0.4, row + 0.4, shades(velocity, look.colour), 0.2)
    panel.levels(row[off] - 0.25, np.minimum(grid, beat)[off], np.maximum(grid, beat)[off], INK, 1.1)
    if not len(beat):
        say_silence(panel)


def hits(clip: Clip) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Where drums sound: beat float64 (hits,), row and velocity int64 (hits,); the softer first."""
    notes = np.concatenate([track.notes for track in clip.tracks if track.is_drum] or [notes_array()])
    notes = notes[np.argsort(notes["velocity"], kind="stable")]  # where two stand on each other the louder is seen
    row = classes_of(notes["pitch"])
    known = row != OUTSIDE
    return notes["start_beats"][known], row[known], notes["velocity"][known].astype(np.int64)
