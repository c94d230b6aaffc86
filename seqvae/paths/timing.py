"""Where the steps of a path lie: shared out over its legs, or so that each changes about as much as the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqvae import latent
from seqvae.dataset import window_keys
from seqvae.errors import DataError
from seqvae.tokenizers import Alphabet, Tokens

TARGETS = 9
"""Of even timing: so many lengths of a step are tried."""

PAIRS = 2**22  # symbols of pairs compared at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing:
    """Where the steps of a path through several points lie.

    Attributes:
        legs: On which leg each is, int64 (steps,), from 0. A point between two legs is the beginning of the second.
        amounts: How far along it, float64 (steps,), 0 to 1.
    """

    legs: NDArray[np.int64]
    amounts: NDArray[np.float64]

    @property
    def nearest(self) -> NDArray[np.int64]:
        """The point that each step is nearest to, int64 (steps,)."""
        return self.legs + (self.amounts >= 0.5)

    @property
    def points(self) -> NDArray[np.bool_]:
        """Which steps are the points themselves, bool (steps,)."""
        return np.asarray((self.amounts == 0.0) | (self.amounts == 1.0))


def plain_timing(points: int, steps: int) -> Timing:
    """Steps shared out over the legs as equally as can be, evenly spaced on each; every point is a step.

    Raises:
        DataError: There are fewer than 2 points, or fewer steps than points.

    >>> plain_timing(3, 5).amounts.tolist()
    [0.0, 0.5, 0.0, 0.5, 1.0]
    """
    return timing_of(stops_of(points, steps))


def evenest(distances: NDArray[np.float64], steps: int, stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """So many of the places on a path, in order, that neighbours are about equally far apart.

    For a target δ the places with the least Σ (distance of a step − δ)² are found by dynamic programming; δ goes from
    what each step would take on the shortest way to what it takes of the whole way. Taken are those places whose
    largest step is the smallest share of all steps; the evenly spaced ones where nothing is better, so that a path
    which is even stays as it is.

    Args:
        distances: Between all places, float64 (places, places); places − 1 is a multiple of steps − 1.
        steps: How many places are chosen.
        stops: Places that must be among them, int64, the first and the last place too.

    Returns:
        int64 (steps,), increasing.
    """
    plain = np.arange(steps) * ((len(distances) - 1) // (steps - 1))
    whole, least = float(np.diagonal(distances, 1).sum()), float(distances[stops[:-1], stops[1:]].sum())
    tried = [plain]
    if whole > 0:
        tried += [
            _near_target(distances, target, steps, stops) for target in np.linspace(least, whole, TARGETS) / (steps - 1)
        ]
    shares = np.array([_largest_share(distances[places[:-1], places[1:]]) for places in tried])
    return tried[int(np.argmax(shares <= shares.min() + 1e-9))]


def _largest_share(moves: NDArray[np.float64]) -> float:
    """The largest step over the sum of all; without any change as bad as one jump."""
    total = float(moves.sum())
    return float(moves.max()) / total if total else 1.0


def _near_target(
    distances: NDArray[np.float64], target: float, steps: int, stops: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The places whose steps are nearest to a target, in the sum of squares; of equal ones the most evenly spaced."""
    count = len(distances)
    cost = np.square(distances - target)
    cost[np.tril_indices(count)] = np.inf
    # From i to j no stop may be passed over.
    place = np.arange(count)
    cost[np.searchsorted(stops, place, "left")[None, :] > np.searchsorted(stops, place, "right")[:, None]] = np.inf
    time = np.linspace(0.0, 1.0, count)
    best, came_from = np.where(place == 0, 0.0, np.inf), []
    for due in np.linspace(0.0, 1.0, steps)[1:]:
        totals = best[:, None] + cost
        came_from.append(totals.argmin(axis=0))
        best = totals[came_from[-1], place] + 1e-6 * np.square(time - due)
    chosen = [count - 1]
    for before in reversed(came_from):
        chosen.append(int(before[chosen[-1]]))
    return np.array(chosen[::-1])


def stops_of(points: int, steps: int) -> NDArray[np.int64]:
    """The steps at which a path is at its points: int64 (points,)."""
    if points < 2:
        raise DataError(f"a path through {points} items is asked for; give 2 or more")
    if steps < points:
        raise DataError(f"a path of {steps} steps through {points} items is asked for; ask for {points} or more")
    stops: NDArray[np.int64] = np.arange(points) * (steps - 1) // (points - 1)
    return stops


def timing_of(stops: NDArray[np.int64]) -> Timing:
    """The timing of a path that is at its points at these steps."""
    counts = np.diff(stops)
    amounts = [np.linspace(0.0, 1.0, count + 1)[:-1] for count in counts]
    legs = np.repeat(np.arange(len(counts)), counts)
    return Timing(legs=np.append(legs, len(counts) - 1), amounts=np.append(np.concatenate(amounts), 1.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Distances:
    """Edit distances between all of many items, as `Model.distance` has them.

    Attributes:
        which: The number of the distinct item that each is, int64 (n,).
        apart: Between the distinct ones, float64 (distinct, distinct).
    """

    which: NDArray[np.int64]
    apart: NDArray[np.float64]

    @property
    def distinct(self) -> int:
        """How many different items there are."""
        return len(self.apart)

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """Between all, float64 (n, n)."""
        return self.apart[self.which[:, None], self.which]

    @staticmethod
    def between(tokens: Tokens, alphabet: Alphabet) -> Distances:
        """Measures items int64 (n, windows, time) or (n, windows, time, part)."""
        symbols, lengths = _lines(tokens, alphabet)
        lines, first, which = np.unique(symbols, axis=0, return_index=True, return_inverse=True)
        lengths = lengths[first]
        left, right = np.triu_indices(len(lines), 1)
        apart = np.zeros((len(lines), len(lines)))
        chunk = max(1, PAIRS // symbols.shape[1])
        for begin in range(0, len(left), chunk):
            i, j = left[begin : begin + chunk], right[begin : begin + chunk]
            apart[i, j] = latent.edit_distances(lines[i], lines[j], lengths[i], lengths[j])
        return Distances(which=which.ravel(), apart=apart + apart.T)


def _lines(tokens: Tokens, alphabet: Alphabet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A symbol for each step that counts, windows one after another, −1 behind the last: int64 (n, steps); lengths."""
    count, windows, time = tokens.shape[:3]
    steps = windows * time
    ends = alphabet.lengths(tokens.reshape(-1, *tokens.shape[2:])).reshape(count, windows)
    counts = (np.arange(time) < ends[..., None]).reshape(count, steps)
    compared = tokens[..., alphabet.judged] if alphabet.shape and alphabet.judged.any() else tokens
    _, symbols = np.unique(window_keys(compared.reshape(count * steps, -1)), return_inverse=True)
    symbols = np.where(counts, symbols.reshape(count, steps), -1)
    order = np.argsort(~counts, axis=1, kind="stable")
    return np.take_along_axis(symbols, order, axis=1), counts.sum(axis=1)
