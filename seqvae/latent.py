"""Geometry of latent vectors: paths between them, neighbours of them, and the cloud that the data make. Numpy on z.

A z is float32 (z,), or (windows, z) for an item of several windows; every function works on the last axis and treats
the axes before it alike. Sums are in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError

Z = NDArray[np.float32]
"""float32 (…, z)."""

PARALLEL = 1e-6
"""Directions nearer than this (length of the difference of unit vectors) count as one, or as opposite."""


def lerp(a: Z, b: Z, steps: int) -> Z:
    """Straight line from `a` to `b`: (…, z) and (…, z) → float32 (steps, …, z); both ends exact.

    Raises:
        DataError: Fewer than 2 steps, or shapes that differ.

    >>> lerp(np.zeros(2), np.ones(2), 3).tolist()
    [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
    """
    start, end, t = _path_ends(a, b, steps)
    return _with_ends((1.0 - t) * start + t * end, start, end)


def slerp(a: Z, b: Z, steps: int) -> Z:
    """Path along the sphere from `a` to `b`: (…, z) and (…, z) → float32 (steps, …, z), both ends exact.

    The direction turns at constant speed along the great circle (Shoemake 1985) while the length changes linearly, so
    no step is shorter than the shorter end: in many dimensions the straight line's middle is nearer to the origin than
    the data ever are. Where there is no angle to turn (equal or parallel ends, a zero end) this is `lerp`; opposite
    ends, which many great circles join, go by way of the axis along which they extend least.

    Raises:
        DataError: Fewer than 2 steps, or shapes that differ.

    >>> slerp(np.array([1.0, 0.0]), np.array([0.0, 3.0]), 3).round(1).astype(str).tolist()
    [['1.0', '0.0'], ['1.4', '1.4'], ['0.0', '3.0']]
    """
    start, end, t = _path_ends(a, b, steps)
    start_norm = np.linalg.norm(start, axis=-1, keepdims=True)
    end_norm = np.linalg.norm(end, axis=-1, keepdims=True)
    u = start / np.where(start_norm == 0, 1.0, start_norm)
    w = end / np.where(end_norm == 0, 1.0, end_norm)
    apart = np.linalg.norm(w - u, axis=-1, keepdims=True)
    opposed = np.linalg.norm(w + u, axis=-1, keepdims=True)
    # By atan2 rather than arccos of the dot product, which loses half the digits of a small angle.
    angle = 2.0 * np.arctan2(apart, opposed)
    turns = (start_norm > 0) & (end_norm > 0) & (apart > PARALLEL)
    half_turn = turns & (opposed < PARALLEL)

    sine = np.where(turns & ~half_turn, np.sin(angle), 1.0)
    direction = (np.sin((1.0 - t) * angle) * u + np.sin(t * angle) * w) / sine
    across = np.cos(np.pi * t) * (u - w) / 2.0 + np.sin(np.pi * t) * _orthogonal(u - w)
    direction = np.where(half_turn, across, direction)
    length = (1.0 - t) * start_norm + t * end_norm
    path = np.where(turns, length * direction, (1.0 - t) * start + t * end)
    return _with_ends(path, start, end)


def neighbours(z: Z, amount: float, n: int, rng: np.random.Generator, prior: AggregatePosterior | None = None) -> Z:
    """Variations of `z`, between the item itself (amount 0) and fresh draws of the prior (amount 1).

    z' = m + √(1 − amount²)·(z − m) + amount·ε, with ε ~ N(0, C) and the prior N(m, C). If z is distributed as the prior
    then so is z', whatever the amount: neighbours are as long as the data are, and never drift outwards as z + ε would.

    Args:
        z: float32 (…, z).
        amount: 0 to 1.
        n: How many.
        rng: Draws ε.
        prior: N(m, C); the standard normal if left out.

    Returns:
        float32 (n, …, z).

    Raises:
        DataError: `amount` is not between 0 and 1, or n is below 1.
    """
    if not 0.0 <= amount <= 1.0:
        raise DataError(f"the amount of variation is {amount:g}; give 0 (the item itself) to 1 (unrelated)")
    if n < 1:
        raise DataError(f"{n} variations are asked for; ask for 1 or more")
    item = np.asarray(z, np.float64)
    prior = prior or AggregatePosterior.standard(item.shape[-1])
    noise = prior.noise((n, *item.shape[:-1]), rng)
    near = prior.mean + np.sqrt(1.0 - amount**2) * (item - prior.mean)
    varied = (near + amount * noise).astype(np.float32)
    # m + (z − m) is not z in floating point; with nothing added the neighbour is the item, bit for bit.
    return varied if amount else np.broadcast_to(item.astype(np.float32), varied.shape).copy()


@dataclass(frozen=True, kw_only=True, eq=False)
class AggregatePosterior:
    """The cloud that the posteriors of a data set make together, as one Gaussian N(mean, covariance).

    Sampling from it instead of N(0, I) keeps away from the holes that the prior has and the data have not.

    Attributes:
        mean: float64 (z,).
        covariance: float64 (z, z).
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @staticmethod
    def standard(z_size: int) -> AggregatePosterior:
        """The model's prior, N(0, I)."""
        return AggregatePosterior(mean=np.zeros(z_size), covariance=np.eye(z_size))

    @staticmethod
    def fit(means: Z, stds: Z) -> AggregatePosterior:
        """Moments of the mixture of posteriors N(mean, std²): means and stds float32 (items, z).

        By the law of total variance: covariance = cov(means) + diag(mean of std²).
        """
        if len(means) < 2:
            raise DataError(f"{len(means)} posteriors are too few to fit the aggregate posterior; give 2 or more")
        centres = np.asarray(means, np.float64)
        spread = np.square(np.asarray(stds, np.float64)).mean(axis=0)
        covariance = np.atleast_2d(np.cov(centres, rowvar=False, bias=True)) + np.diag(spread)
        return AggregatePosterior(mean=centres.mean(axis=0), covariance=covariance)

    @cached_property
    def factor(self) -> NDArray[np.float64]:
        """Lower triangular L, (z, z), with L·Lᵀ = covariance.

        The diagonal is raised by as little as makes it positive definite: an autoencoder's posteriors have no width,
        and fewer items than dimensions leave directions without any.
        """
        scale = max(float(np.trace(self.covariance)) / len(self.mean), 1e-12)
        symmetric = (self.covariance + self.covariance.T) / 2.0
        for jitter in (0.0, 1e-9, 1e-7, 1e-5, 1e-3):
            try:
                return np.asarray(np.linalg.cholesky(symmetric + jitter * scale * np.eye(len(self.mean))), np.float64)
            except np.linalg.LinAlgError:
                continue
        raise DataError(
            "the aggregate posterior's covariance is not positive; fit it again from posteriors of this model"
        )

    def noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws of N(0, covariance), float64 (*shape, z). Each row is the same however many are drawn after it."""
        standard = rng.standard_normal((*shape, len(self.mean)))
        # einsum and not a matrix product, whose last bits depend on how many rows there are.
        draws: NDArray[np.float64] = np.einsum("ij,...j->...i", self.factor, standard)
        return draws

    def sample(self, n: int, rng: np.random.Generator) -> Z:
        """n draws, float32 (n, z)."""
        return (self.mean + self.noise((n,), rng)).astype(np.float32)

    def log_density(self, z: Z) -> NDArray[np.float64]:
        """ln N(z; mean, covariance) in nats: (…, z) → float64 (…)."""
        centred = np.asarray(z, np.float64) - self.mean
        rows = centred.reshape(-1, len(self.mean))
        whitened = np.linalg.solve(self.factor, rows.T)
        log_determinant = 2.0 * np.log(np.diag(self.factor)).sum()
        constant = len(self.mean) * np.log(2.0 * np.pi) + log_determinant
        nats: NDArray[np.float64] = -0.5 * (np.square(whitened).sum(axis=0) + constant)
        return nats.reshape(centred.shape[:-1])


def edit_distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Share of tokens to insert, delete or replace to turn one sequence into the other: 0 equal to 1.

    Levenshtein's distance over the longer length. Tokens (time,), or (time, part), where a step of all parts is one
    symbol.

    >>> edit_distance(np.array([5, 0, 7, 0]), np.array([5, 0, 0]))
    0.25
    """
    longer = max(len(a), len(b))
    if not longer:
        return 0.0
    differ = a[:, None] != b[None, :]
    if differ.ndim > 2:
        differ = differ.any(axis=tuple(range(2, differ.ndim)))
    column = np.arange(len(b) + 1)
    row = column
    for i in range(len(a)):
        replaced_or_deleted = np.append(i + 1, np.minimum(row[:-1] + differ[i], row[1:] + 1))
        # An insertion costs one a column: the least of (cost − column) so far, carried to the right.
        row = np.minimum.accumulate(replaced_or_deleted - column) + column
    return float(row[-1]) / longer


def _path_ends(a: Z, b: Z, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Both ends in float64, and the amounts 0 … 1, (steps, 1, …) to broadcast over them."""
    start, end = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if start.shape != end.shape or start.ndim == 0:
        raise DataError(
            f"a path's ends are z of shapes {start.shape} and {end.shape}; give two of the same shape (…, z)"
        )
    if steps < 2:
        raise DataError(f"a path of {steps} steps is asked for; it has both ends, so ask for at least 2")
    return start, end, np.linspace(0.0, 1.0, steps).reshape(-1, *[1] * start.ndim)


def _with_ends(path: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]) -> Z:
    """Rounds to float32 and puts the ends in as given, since 1·a + 0·b need not be a, bit for bit."""
    rounded = path.astype(np.float32)
    rounded[0], rounded[-1] = start, end
    return rounded


def _orthogonal(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """A unit vector at a right angle to each direction (…, z), and to its opposite: from the axis it uses least."""
    norm = np.linalg.norm(direction, axis=-1, keepdims=True)
    unit = direction / np.where(norm == 0, 1.0, norm)
    axis = np.zeros_like(unit)
    np.put_along_axis(axis, np.abs(unit).argmin(axis=-1, keepdims=True), 1.0, axis=-1)
    rest = axis - (axis * unit).sum(axis=-1, keepdims=True) * unit
    length = np.linalg.norm(rest, axis=-1, keepdims=True)
    # In one dimension there is nowhere to turn: the path goes straight through the origin.
    across: NDArray[np.float64] = np.where(length > 0, rest / np.where(length == 0, 1.0, length), 0.0)
    return across
