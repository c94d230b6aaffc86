"""The latent space: how much of it is used, and whether it is continuous and complete. Numpy on z and tokens.

Tokens here are those that are compared (`comparable`): (n, time), or (n, time, part) with a step of all parts as one
symbol. `end` is the token that ends a sequence, if one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae import latent
from seqvae.dataset import window_keys
from seqvae.evaluate.likelihood import log_sum_exp
from seqvae.latent import Z
from seqvae.tokenizers import Alphabet, Tokens

ACTIVE_VARIANCE = 0.01
USED_NATS = 0.05
PAIRS = 2**22  # densities held at once by pair_log_densities

Decode = Callable[[Z], Tokens]
"""float32 (n, z) → int64 (n, time) or (n, time, part)."""


def comparable(tokens: NDArray[Any], alphabet: Alphabet) -> NDArray[Any]:
    """What is compared of sequences: all parts but controls and numbers. (n, time, part) → (n, time, fewer)."""
    return tokens[..., alphabet.judged] if alphabet.shape else tokens


# -- how much of it is used ------------------------------------------------------------------------------------------


def gaussian_kl(means: Z, stds: Z) -> NDArray[np.float64]:
    """KL(N(mean, std²) ‖ N(0, 1)) of each item and dimension in nats, ½(μ² + σ² − ln σ² − 1): float64 (n, z)."""
    mean, variance = np.float64(means), np.square(np.float64(stds))
    return np.asarray(0.5 * (mean**2 + variance - np.log(variance) - 1.0))


def active_units(means: Z) -> int:
    """Dimensions whose posterior mean varies over the set: variance ≥ 0.01 (Burda et al. 2016, section 5.2)."""
    return int((np.var(np.float64(means), axis=0) >= ACTIVE_VARIANCE).sum())


def kl_units(means: Z, stds: Z) -> int:
    """Dimensions whose KL is more than 0.05 nat on average: beside `active_units`, which a rescaled mean can feign."""
    return int((gaussian_kl(means, stds).mean(axis=0) > USED_NATS).sum())


def mutual_information(means: Z, stds: Z, rng: np.random.Generator) -> float:
    """I(x; z) under q for this set of items, in nats: E_x E_q[ln q(z|x)] − E_q[ln q(z)], one z an item.

    q(z) is the mean of ALL n posteriors, so the result cannot exceed ln n; near that ceiling it says only that no two
    items share a place. Takes n² · z multiplications.
    """
    mean, std = np.float64(means), np.float64(stds)
    z = mean + std * rng.standard_normal(mean.shape)
    excess = np.zeros(len(z))
    for rows, log_density in pair_log_densities(z, means, stds):
        own = log_density[np.arange(len(log_density)), np.arange(rows.start, rows.start + len(log_density))]
        excess[rows] = own - log_sum_exp(log_density, axis=1)
    return float(excess.mean() + np.log(len(z)))


def pair_log_densities(z: NDArray[np.floating[Any]], means: Z, stds: Z) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """ln N(z_i; mean_j, std_j²) of all pairs, a few z at a time: their rows, and float64 (rows, n) in nats."""
    place, mean, std = (np.asarray(each, np.float64) for each in (z, means, stds))
    precision = 1.0 / std**2
    # By expanding the square: two matrix products.
    offset = (mean**2 * precision + 2.0 * np.log(std) + np.log(2.0 * np.pi)).sum(axis=1)
    chunk = max(1, PAIRS // len(mean))
    for left in range(0, len(place), chunk):
        rows = slice(left, left + chunk)
        yield rows, -0.5 * (place[rows] ** 2 @ precision.T - 2.0 * place[rows] @ (mean * precision).T + offset)


# -- completeness ----------------------------------------------------------------------------------------------------


def unique_share(tokens: Tokens) -> float:
    """Distinct sequences over all, of tokens (n, time) or (n, time, part)."""
    return len(np.unique(window_keys(tokens))) / len(tokens)


def copied(tokens: Tokens, known: NDArray[np.complex128], variants: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which sequences are in `known`, as they are or in a variant (a transposition): bool (n,).

    Args:
        tokens: int64 (n, time) or (n, time, part).
        known: `window_keys` of the training windows.
        variants: int64 (variants, size) or (variants, part, largest), the tokenizer's augmentations.
    """
    found = np.zeros(len(tokens), bool)
    for variant in variants:
        varied = variant[tokens] if variant.ndim == 1 else variant[np.arange(len(variant)), tokens]
        found |= np.isin(window_keys(varied), known)
    return found


def shared_area(p: NDArray[Any], q: NDArray[Any]) -> float:
    """Overlap of two histograms on one grid, Σ min(p, q) of their shares: 1 the same, 0 nothing in common."""
    if not p.sum() or not q.sum():
        return float("nan")
    return float(np.minimum(p / p.sum(), q / q.sum()).sum())


def histogram_kl(p: NDArray[Any], q: NDArray[Any]) -> float:
    """KL(p ‖ q) in nats between two histograms of counts on one grid; half a count is added everywhere."""
    share_p, share_q = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
    return float((share_p * np.log(share_p / share_q)).sum())


# -- continuity ------------------------------------------------------------------------------------------------------


def edit_distances(a: Tokens, b: Tokens, end: int | None = None) -> NDArray[np.float64]:
    """Normalised edit distance of each pair, `latent.edit_distance` for many at once: (n, time[, part]) → float64 (n,).

    Of sequences that end by themselves, the steps up to the end are compared, the end among them.
    """
    (left, left_lengths), (right, right_lengths) = (_symbols(tokens, end) for tokens in (a, b))
    return latent.edit_distances(left, right, left_lengths, right_lengths)


def _symbols(tokens: Tokens, end: int | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """One value a step, equal for equal steps: (n, time); and how many steps count, int64 (n,)."""
    count, steps = tokens.shape[:2]
    if tokens.ndim > 2:
        return window_keys(tokens.reshape(count * steps, -1)).reshape(count, steps), np.full(count, steps)
    ended = tokens == end
    return tokens, np.where(ended.any(axis=1), ended.argmax(axis=1) + 1, steps)


def continuity(decode: Decode, means: Z, length: float, rng: np.random.Generator, end: int | None = None) -> float:
    """Mean edit distance between decode(μ) and decode(μ + ε), ε of that length in a random direction."""
    direction = rng.standard_normal(means.shape)
    direction *= length / np.linalg.norm(direction, axis=1, keepdims=True)
    return float(edit_distances(decode(means), decode((means + direction).astype(np.float32)), end).mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class PathQuality:
    """What a set of paths between pairs is like, averaged over the pairs.

    Attributes:
        to_start, to_end: Edit distance to the pair's first and second item at each step, float64 (steps,).
        spearman: Rank correlation of the step number with the distance to the first item and with the nearness to
            the second, mean of the two. 1: every step leads away from A and to B. A constant distance counts 0.
        largest_step: The largest distance between neighbours over the sum of all: 1/(steps − 1) at best, 1 for a jump.
        distinct_steps: Different sequences over steps.
        exact_ends: Share of pairs whose path begins and ends with the very items.
    """

    to_start: NDArray[np.float64]
    to_end: NDArray[np.float64]
    spearman: float
    largest_step: float
    distinct_steps: float
    exact_ends: float


def path_quality(paths: Tokens, starts: Tokens, ends: Tokens, end: int | None = None) -> PathQuality:
    """Measures paths int64 (pairs, steps, time[, part]) between `starts` and `ends` int64 (pairs, time[, part])."""
    pairs, steps = paths.shape[:2]
    to_start = np.stack([edit_distances(paths[:, step], starts, end) for step in range(steps)], axis=1)
    to_end = np.stack([edit_distances(paths[:, step], ends, end) for step in range(steps)], axis=1)
    moves = np.stack([edit_distances(paths[:, step], paths[:, step + 1], end) for step in range(steps - 1)], axis=1)
    number = np.arange(steps)
    away = [spearman(number, row) for row in to_start]
    near = [-spearman(number, row) for row in to_end]
    total = moves.sum(axis=1)
    moving = total > 0
    return PathQuality(
        to_start=to_start.mean(axis=0),
        to_end=to_end.mean(axis=0),
        spearman=float(np.nan_to_num([away, near]).mean()),
        largest_step=float((moves.max(axis=1)[moving] / total[moving]).mean()) if moving.any() else float("nan"),
        distinct_steps=sum(len(np.unique(path, axis=0)) for path in paths) / (pairs * steps),
        exact_ends=float(np.mean((to_start[:, 0] == 0.0) & (to_end[:, -1] == 0.0))),
    )


def blend(a: Tokens, b: Tokens, steps: int, rng: np.random.Generator) -> Tokens:
    """The control in data space: a position of step k is from b with probability k/(steps − 1).

    One number is drawn for a position and kept along the path, so that no position goes back: the smoothest naive path.

    (pairs, time[, part]) twice → (pairs, steps, time[, part]).
    """
    threshold = rng.random((len(a), 1, *a.shape[1:]))
    share = np.linspace(0.0, 1.0, steps).reshape(1, -1, *[1] * (a.ndim - 1))
    return np.where(threshold < share, b[:, None], a[:, None])


def spearman(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Rank correlation, ties at their mean rank; NaN if either does not vary."""
    ranks = [_ranks(values) for values in (x, y)]
    centred = [rank - rank.mean() for rank in ranks]
    norm = float(np.sqrt(np.square(centred[0]).sum() * np.square(centred[1]).sum()))
    return float((centred[0] * centred[1]).sum()) / norm if norm else float("nan")


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse])
