"""What can be measured on drums: one function an attribute, with its formula. Pitches outside the kit are left out."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqvae.attributes.base import Attribute, ratio
from seqvae.attributes.music import density, entropy, steps_of, syncopation_8th, syncopation_16th
from seqvae.clip import NOTE_DTYPE, Clip, MeterChange, grid_steps
from seqvae.tokenizers.percussion import CLASSES, classes_of

BACKBONE = frozenset((CLASSES.index("kick"), CLASSES.index("snare")))
TIMEKEEPERS = frozenset(CLASSES.index(name) for name in ("closed hat", "open hat", "ride"))
NEAR = 0.125
"""A stroke this near to a place, as a share of what it divides, is meant for it."""
TOGETHER_BEATS = 1 / 12
"""Strokes less far apart are one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Strokes:
    """The drum notes of a clip as plain lists, in time order.

    Attributes:
        length_beats: Of the clip.
        meter: Of its beginning.
        starts: Onsets in beats.
        classes: Indices in `CLASSES`.
        velocities: 1-127.
    """

    length_beats: float
    meter: MeterChange
    starts: list[float]
    classes: list[int]
    velocities: list[int]

    @cached_property
    def counts(self) -> Counter[int]:
        """Strokes of each class."""
        return Counter(self.classes)

    @cached_property
    def sixteenths(self) -> set[int]:
        """The 16ths, from 0, on which something is struck."""
        return steps_of(self.starts, 4)

    def starts_of(self, classes: frozenset[int]) -> list[float]:
        """The onsets of some classes."""
        return [start for start, each in zip(self.starts, self.classes, strict=True) if each in classes]


def strokes_of(clip: Clip) -> Strokes:
    """The view of a clip that is measured here."""
    return _strokes(clip, 0)


@functools.cache
def strokes_on_grid(steps_per_beat: int) -> Callable[[Clip], Strokes]:
    """As `strokes_of`, with every stroke moved to its step: what is played, and not how."""
    return functools.partial(_strokes, steps_per_beat=steps_per_beat)


def _strokes(clip: Clip, steps_per_beat: int) -> Strokes:
    tracks = [track.notes for track in clip.tracks if track.is_drum]
    notes = tracks[0] if len(tracks) == 1 else np.concatenate([np.zeros(0, NOTE_DTYPE), *tracks])
    classes = classes_of(notes["pitch"])
    order = np.lexsort((classes, notes["start_beats"]))
    order = order[classes[order] >= 0]
    starts = grid_steps(notes, steps_per_beat)[0] / steps_per_beat if steps_per_beat else notes["start_beats"]
    return Strokes(
        length_beats=clip.length_beats,
        meter=clip.meters[0],
        starts=starts[order].tolist(),
        classes=classes[order].tolist(),
        velocities=notes["velocity"][order].tolist(),
    )


def class_density(index: int) -> Callable[[Strokes], float]:
    """Strokes of one class per beat: n of the class / length. The densities of all classes add up to `density`."""

    def measure(strokes: Strokes) -> float:
        return ratio(strokes.counts[index], strokes.length_beats)

    return measure


def swing(strokes: Strokes) -> float:
    """How much of a pair of equal notes the first one takes: 0.5 straight, 2/3 in triplets, 0.75 dotted.

    Mean of (b − a) / (c − a) over strokes a < b < c in a row of hats and ride where a and c are neighbouring beats, or
    neighbouring 8ths, to the eighth of what lies between: as the "beat-upbeat ratio" (Benadon 2006) is (b − a)/(c − b).
    NaN where they play no such pair. On a grid of 16ths only dotted pairs swing.
    """
    times: list[float] = []
    for start in (*strokes.starts_of(TIMEKEEPERS), strokes.length_beats):  # the bar line ends the last pair
        if not times or start - times[-1] >= TOGETHER_BEATS:
            times.append(start)
    shares = [
        (b - a) / (c - a)
        for a, b, c in zip(times, times[1:], times[2:], strict=False)
        if _divides(a, c, 1.0) or _divides(a, c, 0.5)
    ]
    return ratio(sum(shares), len(shares))


def _divides(a: float, c: float, span: float) -> bool:
    """Whether a and c are neighbouring multiples of `span`."""
    first = math.floor(a / span + 0.5)
    return abs(a / span - first) <= NEAR and abs(c / span - first - 1) <= NEAR


def syncopation(strokes: Strokes) -> float:
    """How strongly kick and snare are syncopated, a bar (Longuet-Higgins & Lee 1984, "The rhythmic interpretation of
    monophonic music"; summed as by Fitch & Rosenfeld 2007).

    A stroke on a 16th of weight w, after which neither is struck until past a 16th of a larger weight v, adds v − w.
    Weights: 0 for bar lines, one less for each level below: half bars, beats, 8ths, 16ths (of 4/4). NaN without either.
    """
    steps = sorted(steps_of(strokes.starts_of(BACKBONE), 4))
    if not steps:
        return math.nan
    bar, end = max(1, round(strokes.meter.bar_beats * 4)), round(strokes.length_beats * 4)
    weights = _weights(bar, strokes.meter.numerator, strokes.meter.denominator)
    total = 0
    for step, following in zip(steps, [*steps[1:], end], strict=True):
        silent = max((weights[rest % bar] for rest in range(step + 1, following)), default=-bar)
        total += max(0, silent - weights[step % bar])
    return ratio(total * bar, end)


@functools.cache
def _weights(bar: int, numerator: int, denominator: int) -> tuple[int, ...]:
    """Of the 16ths of a bar: 0 for its first, less for those of finer levels."""
    compound = numerator % 3 == 0 and numerator > 3 and denominator >= 8
    beat = max(1, 16 // denominator * (3 if compound else 1))
    halves = {bar // 2} if bar % (2 * beat) == 0 and bar > 2 * beat else set()
    finer = {beat, beat // 3 if compound else beat, 2, 1}
    levels = sorted({bar, *halves, *(length for length in finer if length < bar)}, reverse=True)
    return tuple(-next(i for i, length in enumerate(levels) if step % length == 0) for step in range(bar))


def repetition(strokes: Strokes) -> float:
    """Share of the beats that repeat another: 1 − different beats / beats, of those in which something is struck.

    A beat is the set of its classes and 16ths.
    """
    beats: dict[int, set[tuple[int, int]]] = {}
    for start, each in zip(strokes.starts, strokes.classes, strict=True):
        step = math.floor(start * 4 + 0.5)
        beats.setdefault(step // 4, set()).add((each, step % 4))
    return 1 - len(set(map(frozenset, beats.values()))) / len(beats) if beats else math.nan


SWING = Attribute(name="swing", what="swing (share of the first of a pair)", of=swing, view=strokes_of)
"""Of what is played and how."""

DRUMS = (
    Attribute(name="density", what="strokes per beat", of=density, view=strokes_of),
    *(
        Attribute(
            name=name.replace(" ", "-"), what=f"{name} strokes per beat", of=class_density(index), view=strokes_of
        )
        for index, name in enumerate(CLASSES)
    ),
    SWING,
    Attribute(name="syncopation", what="syncopation of kick and snare (a bar)", of=syncopation, view=strokes_of),
    Attribute(name="syncopation-16th", what="16th syncopation (share)", of=syncopation_16th, view=strokes_of),
    Attribute(name="syncopation-8th", what="8th syncopation (share)", of=syncopation_8th, view=strokes_of),
    Attribute(name="entropy", what="rhythmic entropy (bits)", of=entropy, view=strokes_of),
    Attribute(name="repetition", what="repeated beats (share)", of=repetition, view=strokes_of),
)
"""Of drum patterns."""
