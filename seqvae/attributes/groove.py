"""What can be measured on how drums are played: how loud, and how early or late."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from seqvae.attributes.base import Attribute, ratio
from seqvae.attributes.drums import Strokes, strokes_of


def velocity(strokes: Strokes) -> float:
    """Mean velocity: Σ v / n, of 127."""
    return ratio(sum(strokes.velocities), len(strokes.velocities))


def velocity_spread(strokes: Strokes) -> float:
    """Standard deviation of velocity: √(Σ (v − v̄)² / n). NaN of silence."""
    return _spread(strokes.velocities)


def timing(steps_per_beat: int) -> Callable[[Strokes], float]:
    """Mean offset from the grid, in its steps, late is positive: Σ o / n, o = s·t − ⌊s·t + ½⌋, s = `steps_per_beat`."""

    def measure(strokes: Strokes) -> float:
        offsets = _offsets(strokes, steps_per_beat)
        return ratio(sum(offsets), len(offsets))

    return measure


def timing_spread(steps_per_beat: int) -> Callable[[Strokes], float]:
    """Standard deviation of the offset from the grid (see `timing`), in its steps: √(Σ (o − ō)² / n)."""

    def measure(strokes: Strokes) -> float:
        return _spread(_offsets(strokes, steps_per_beat))

    return measure


def _offsets(strokes: Strokes, steps_per_beat: int) -> list[float]:
    """How late each stroke is, in steps; the grid line that `clip.grid_steps` gives it."""
    return [start * steps_per_beat - math.floor(start * steps_per_beat + 0.5 + 1e-6) for start in strokes.starts]


def _spread(values: Sequence[float]) -> float:
    if not values:
        return math.nan
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def playing(steps_per_beat: int) -> tuple[Attribute, ...]:
    """Of drums played on a grid of so many steps a beat."""
    return (
        Attribute(name="velocity", what="mean velocity", of=velocity, view=strokes_of),
        Attribute(name="velocity-spread", what="deviation of velocity", of=velocity_spread, view=strokes_of),
        Attribute(name="timing", what="mean timing (steps late)", of=timing(steps_per_beat), view=strokes_of),
        Attribute(
            name="timing-spread", what="deviation of timing (steps)", of=timing_spread(steps_per_beat), view=strokes_of
        ),
    )
