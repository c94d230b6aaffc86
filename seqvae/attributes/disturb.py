"""Items with other attributes than they had: what an attribute vector must learn to undo."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FIRST_PITCH = 2
"""Melody tokens: 0 hold, 1 off, and onsets from here on, a semitone each."""

Melody = NDArray[np.int64]
Edit = Callable[[Melody, np.random.Generator, int], Melody]
"""(tokens (time,), generator, size of the alphabet) → tokens with some attributes changed; may write in place."""


def disturbed_melody(tokens: Melody, rng: np.random.Generator, size: int) -> Melody:
    """A melody after one to three random edits, each of which moves some attributes and leaves others.

    Args:
        tokens: int64 (time,).
        rng: Chooses.
        size: Tokens of the alphabet.
    """
    found = tokens.copy()
    for _ in range(rng.integers(1, 4)):
        found = EDITS[rng.integers(len(EDITS))](found, rng, size)
    return found


def _onsets(tokens: Melody) -> NDArray[np.int64]:
    return np.flatnonzero(tokens >= FIRST_PITCH)


def _within(pitches: NDArray[np.float64] | NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.clip(np.round(pitches), FIRST_PITCH, size - 1).astype(np.int64)


def leave_out(tokens: Melody, rng: np.random.Generator, size: int) -> Melody:
    """Fewer onsets: notes are held over those that go."""
    where = _onsets(tokens)[1:]
    tokens[where[rng.random(len(where)) < rng.uniform(0.1, 0.8)]] = 0
    return tokens


def fill_in(tokens: Melody, rng: np.random.Generator, size: int) -> Melody:
    """More onsets, near the pitch before them."""
    where = _onsets(tokens)
    if len(where):
        free = np.flatnonzero((tokens < FIRST_PITCH) & (np.arange(len(tokens)) > where[0]))
        free = free[rng.random(len(free)) < rng.uniform(0.05, 0.5)]
        before = where[np.searchsorted(where, free) - 1]
        tokens[free] = _within(tokens[before] + rng.normal(0.0, 2.0, len(free)), size)
    return tokens


def shift_pitch(tokens: Melody, rng: np.random.Generator, size: int) -> Melody:
    """Another mean pitch, and the same intervals."""
    where = _onsets(tokens)
    tokens[where] = _within(tokens[where] + rng.integers(-12, 13), size)
    return tokens


def stretch(tokens: Melody, rng: np.random.Generator, size: int) -> Melody:
    """Wider or narrower: all pitches farther from their mean, or nearer."""
    where = _onsets(tokens)
    if len(where):
        mean = tokens[where].mean()
        tokens[where] = _within(mean + np.exp(rng.uniform(-1.5, 1.0)) * (tokens[where] - mean), size)
    return tokens


def move_extremes(tokens: Melody, rng: np.random.Generator, size: int) -> Melody:
    """Another range by the highest and the lowest note alone: those outside new bounds are moved there, or a single
    one is moved out.
    """
    where = _onsets(tokens)
    if len(where) > 1:
        pitches = tokens[where]
        if rng.random() < 0.5:
            outward = rng.integers(1, 13)
            one = pitches.argmax() if rng.random() < 0.5 else pitches.argmin()
            pitches[one] += outward if pitches[one] >= pitches.mean() else -outward
        else:
            middle, half = np.median(pitches), np.ptp(pitches) / 2 * rng.uniform(0.2, 0.9)
            pitches = np.clip(pitches, middle - half, middle + half)
        tokens[where] = _within(pitches, size)
    return tokens


def reorder(tokens: Melody, rng: np.random.Generator, size: int) -> Melody:
    """Other intervals of the same pitches: some of the notes in rising, falling or random order."""
    where = _onsets(tokens)
    some = where[rng.random(len(where)) < rng.uniform(0.3, 1.0)]
    pitches = np.sort(tokens[some])
    how = rng.integers(4)
    if how == 1:
        pitches = pitches[::-1]
    elif how == 2:
        pitches = rng.permutation(pitches)
    elif how == 3:  # low and high in turn
        pitches = np.stack([pitches, pitches[::-1]], axis=1).reshape(-1)[: len(pitches)]
    tokens[some] = pitches
    return tokens


def push_onsets(tokens: Melody, rng: np.random.Generator, size: int) -> Melody:
    """More or less syncopation: onsets move a step later, or those on odd steps a step earlier, where there is room."""
    back = rng.random() < 0.5
    chosen = rng.random(len(tokens)) < rng.uniform(0.2, 1.0)
    for step in _onsets(tokens):
        goal = step - 1 if back else step + 1
        if chosen[step] and step % 2 == back and 0 <= goal < len(tokens) and tokens[goal] < FIRST_PITCH:
            tokens[goal], tokens[step] = tokens[step], 0
    return tokens


EDITS: tuple[Edit, ...] = (leave_out, fill_in, shift_pitch, stretch, move_extremes, reorder, push_onsets)
"""Each alike."""
