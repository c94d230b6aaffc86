"""What it means to change one attribute of a melody and leave the others: rules that a decoder can learn.

Each takes tokens int64 (time,) of a melody (0 holds, 1 is silence, the rest are pitches) and how much to change, in the
attribute's own unit; it goes as far as it can. What comes out depends on nothing else, so that there is one right
answer for a decoder to learn: of many small changes of equal right, the likeliest tokens would contain none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_PITCH = 2
STEPS_PER_BEAT = 4
SMOOTHER, RUFFLED = 12, 17

Melody = NDArray[np.int64]


def onsets_of(tokens: Melody) -> NDArray[np.int64]:
    """The steps at which notes begin."""
    return np.flatnonzero(tokens >= FIRST_PITCH)


def change_pitch(tokens: Melody, semitones: float, size: int) -> Melody:
    """Transposes, as far as the alphabet's `size` goes."""
    where = onsets_of(tokens)
    if len(where):
        low, high = FIRST_PITCH - tokens[where].min(), size - 1 - tokens[where].max()
        tokens[where] += int(np.clip(round(semitones), low, high))
    return tokens


def change_density(tokens: Melody, onsets_per_beat: float, size: int) -> Melody:
    """More onsets halve the longest notes, where the new one steps away by the mean interval; fewer take the weakest.

    The weakest is the one whose loss changes mean interval and range least, and that stands on a weak step; the first
    note stays.
    """
    count = round(onsets_per_beat * len(tokens) / STEPS_PER_BEAT)
    before = tokens[onsets_of(tokens)]
    for _ in range(abs(count)):
        tokens = _split_longest(tokens) if count > 0 else _drop_weakest(tokens)
    where = onsets_of(tokens)
    if len(where) > 2:
        wide, interval = float(np.ptp(before)), _mean_interval(before)
        # Few notes cannot keep both: what is lost is shared between the two, each in about its usual deviation.
        lines = [_reshaped(tokens[where], share * wide, interval, size) for share in (1.0, 0.8, 0.6)]
        lost = [abs(_mean_interval(line) - interval) / 1.5 + abs(np.ptp(line) - wide) / 4.5 for line in lines]
        tokens[where] = lines[int(np.argmin(lost))]
    return tokens


def _split_longest(tokens: Melody) -> Melody:
    where = onsets_of(tokens)
    ends = np.array([step for step in range(1, len(tokens) + 1) if step == len(tokens) or tokens[step]])
    if not len(where):
        return tokens
    lengths = ends[np.searchsorted(ends, where, side="right")] - where
    longest = int(lengths.argmax())
    if lengths[longest] < 2:
        return tokens
    pitches = tokens[where]
    here = int(pitches[longest])
    after = int(pitches[longest + 1]) if longest + 1 < len(pitches) else here
    step = _mean_interval(pitches)
    # Up and back by half a mean interval beyond the higher neighbour adds one mean interval; or down, at the top.
    above, below = max(here, after) + round(step / 2), min(here, after) - round(step / 2)
    half = int(lengths[longest]) // 2
    place = int(where[longest]) + (half - half % 2 if half > 1 else half)
    tokens[place] = above if above <= pitches.max() else max(below, int(pitches.min()))
    return tokens


def _drop_weakest(tokens: Melody) -> Melody:
    where = onsets_of(tokens)
    if len(where) <= 2:
        return tokens
    pitches = tokens[where]
    interval, width = _mean_interval(pitches), np.ptp(pitches)

    def cost(index: int) -> tuple[float, int]:
        rest = np.delete(pitches, index)
        moved = abs(_mean_interval(rest) - interval) / 1.5 + abs(np.ptp(rest) - width) / 4.5
        return round(moved + 0.1 * metrical_weight(int(where[index])), 6), index

    tokens[where[min(range(1, len(where)), key=cost)]] = 0
    return tokens


def _mean_interval(pitches: NDArray[Any]) -> float:
    return float(np.abs(np.diff(pitches)).mean()) if len(pitches) > 1 else 0.0


def metrical_weight(step: int) -> int:
    """How often a step can be halved: 0 of an odd 16th, 1 of an 8th, 2 of a beat, up to 4 of a bar line."""
    return next((weight for weight in range(4) if step % 2 ** (weight + 1)), 4)


def change_range(tokens: Melody, semitones: float, size: int) -> Melody:
    """Stretches all pitches, and smooths or ruffles their line so that the mean interval stays."""
    where = onsets_of(tokens)
    if len(where) < 3 or not np.ptp(tokens[where]):
        return tokens
    pitches = tokens[where]
    tokens[where] = _reshaped(pitches, max(1.0, np.ptp(pitches) + semitones), _mean_interval(pitches), size)
    return tokens


def change_interval(tokens: Melody, semitones: float, size: int) -> Melody:
    """Smooths or ruffles the line of pitches until the mean interval is as wanted; the range stays."""
    where = onsets_of(tokens)
    if len(where) < 3 or not np.ptp(tokens[where]):
        return tokens
    pitches = tokens[where]
    tokens[where] = _reshaped(pitches, float(np.ptp(pitches)), max(0.0, _mean_interval(pitches) + semitones), size)
    return tokens


def _reshaped(pitches: Melody, width: float, mean_interval: float, size: int) -> Melody:
    """Pitches of a range `width`, of the same mean, and as nearly as may be of a mean interval."""
    lines = _lines(pitches.astype(np.float64))
    lines -= lines.mean(axis=1, keepdims=True)
    spread = np.ptp(lines, axis=1, keepdims=True)
    scaled = np.round(lines * (width / np.where(spread > 0, spread, np.inf)) + pitches.mean())
    found = np.clip(scaled, FIRST_PITCH, size - 1).astype(np.int64)
    off = np.abs(np.abs(np.diff(found, axis=1)).mean(axis=1) - mean_interval).round(3)
    best: Melody = found[off.argmin()]  # the first of equals, which is the least changed
    return best


def _lines(pitches: NDArray[np.float64]) -> NDArray[np.float64]:
    """A line as it is; smoother and smoother; and more and more ruffled, every other note up and the next down."""
    smooth = [pitches]
    for _ in range(SMOOTHER):
        padded = np.concatenate([smooth[-1][:1], smooth[-1], smooth[-1][-1:]])
        smooth.append(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])
    turns = np.where(np.arange(len(pitches)) % 2, 0.5, -0.5)
    ruffled = pitches + np.arange(1, RUFFLED + 1)[:, None] * turns
    return np.concatenate([smooth, ruffled])


def change_syncopation(tokens: Melody, share: float, size: int) -> Melody:
    """Onsets move a 16th later, off the beat, the metrically weakest first; or back onto it, the last first."""
    where = onsets_of(tokens)
    count = round(share * len(where))
    later = count > 0
    if later:
        able = [s for s in where if s % 2 == 0 and s + 1 < len(tokens) and tokens[s + 1] == 0]
        chosen = sorted(able, key=lambda step: (metrical_weight(int(step)), step))
    else:
        chosen = [s for s in where[::-1] if s % 2 == 1 and tokens[s - 1] < FIRST_PITCH]
    for step in chosen[: abs(count)]:
        goal = step + 1 if later else step - 1
        tokens[goal], tokens[step] = tokens[step], 0
    return tokens


Edit = Callable[[Melody, float, int], Melody]

EDITS: dict[str, Edit] = {
    "density": change_density,
    "pitch": change_pitch,
    "range": change_range,
    "interval": change_interval,
    "syncopation-16th": change_syncopation,
}
"""Attribute → the rule that changes it."""
