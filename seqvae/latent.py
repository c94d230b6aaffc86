"""Geometry of latent vectors: paths, grids and walks, neighbours, and the cloud that the data make. Numpy on z.

A z is float32 (z,), or (windows, z) for an item of several windows; every function works on the last axis and treats
the axes before it alike. Sums are in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError, ModelError

Z = NDArray[np.float32]
"""float32 (…, z)."""

PARALLEL = 1e-6
"""Directions nearer than this (length of the difference of unit vectors) count as one, or as opposite."""


def check_space(z_size: int) -> None:
    """Whether there is a latent space of so many dimensions.

    Raises:
        ModelError: There is none, in a language model.
    """
    if not z_size:
        found = "this is a language model (model.z_size is 0): it has no latent space"
        raise ModelError(f"{found}; `seqvae sample` and `seqvae evaluate` work with it, or give another model")


def checked(z: NDArray[Any], z_size: int, name: str) -> Z:
    """z as float32 (n, z), finite and of the size of the model `name`. Raises `DataError`."""
    if z.ndim != 2 or z.shape[1] != z_size or not np.issubdtype(z.dtype, np.number):
        raise DataError(f"z is {z.dtype} of shape {z.shape}; {name} decodes float32 of shape (n, {z_size})")
    bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(bad):
        raise DataError(f"z has NaN or infinite numbers in row {bad[0]} ({len(bad)} rows in all); give finite ones")
    return z.astype(np.float32)


def lerp(a: Z, b: Z, steps: int) -> Z:
    """Straight line from `a` to `b`: (…, z) and (…, z) → float32 (steps, …, z); both ends exact.

    Raises:
        DataError: Fewer than 2 steps, or shapes that differ.

    >>> lerp(np.zeros(2), np.ones(2), 3).tolist()
    [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
    """
    return _whole_leg(a, b, steps, straight=True)


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
    return _whole_leg(a, b, steps, straight=False)


def along(points: Z, legs: NDArray[np.integer[Any]], amounts: NDArray[np.floating[Any]], straight: bool = False) -> Z:
    """Places on the path through many points, which goes from each to the next by `slerp`, or straight.

    Args:
        points: float32 (points, …, z), 2 or more.
        legs: Which leg each place is on, int (n,), from 0: leg i goes from point i to the next.
        amounts: How far along the leg, float (n,), 0 to 1; at 0 and at 1 the place is the point itself, bit for bit.
        straight: By `lerp`.

    Returns:
        float32 (n, …, z).

    Raises:
        DataError: There are fewer than 2 points, or no such leg.

    >>> along(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]]), np.array([0, 1]), np.array([0.5, 1.0])).tolist()
    [[1.0, 0.0], [2.0, 2.0]]
    """
    through = np.asarray(points, np.float64)
    if len(through) < 2 or through.ndim < 2:
        raise DataError(
            f"a path through z of shape {through.shape} is asked for; give 2 points or more, (points, …, z)"
        )
    if legs.min(initial=0) < 0 or legs.max(initial=0) > len(through) - 2:
        raise DataError(f"leg {legs.max():g} of a path of {len(through) - 1} is asked for; they count from 0")
    start, end = through[legs], through[legs + 1]
    t = np.asarray(amounts, np.float64).reshape(-1, *[1] * (through.ndim - 1))
    places = ((1.0 - t) * start + t * end if straight else _on_sphere(start, end, t)).astype(np.float32)
    # 1·a + 0·b need not be a, bit for bit.
    places[amounts == 0.0], places[amounts == 1.0] = start[amounts == 0.0], end[amounts == 1.0]
    return places


def surface(a: Z, b: Z, c: Z, d: Z, rows: int, columns: int, straight: bool = False) -> Z:
    """A grid between four corners: a and b at the ends of the first row, c and d at those of the last.

    Its four edges are the paths (`slerp`) between their corners, bit for bit. Inside, a cell could be reached along its
    column (from the first row's path to the last's) or along its row, which on a sphere are not the same place; it is
    half way between the two. So turning the grid over its diagonal, upside down or left to right is turning the
    corners. Lengths are bilinear, as the lengths on a path are linear. With `straight` it is the bilinear patch.

    Args:
        a, b, c, d: (…, z) each.
        rows, columns: At least 2.
        straight: By `lerp`.

    Returns:
        float32 (rows, columns, …, z).

    Raises:
        DataError: Fewer than 2 rows or columns, or shapes that differ.

    >>> surface(np.zeros(1), np.ones(1), np.zeros(1), np.ones(1), 2, 3)[..., 0].tolist()
    [[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]
    """
    path = lerp if straight else slerp
    top, bottom = path(a, b, columns), path(c, d, columns)
    left, right = path(a, c, rows), path(b, d, rows)
    by_columns, by_rows = path(top, bottom, rows), path(left, right, columns).swapaxes(0, 1)
    cells: Z = path(by_columns, by_rows, 3)[1]
    cells[0], cells[-1], cells[:, 0], cells[:, -1] = top, bottom, left, right
    return cells


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


def wander(z: Z, steps: int, stride: float, rng: np.random.Generator, prior: AggregatePosterior | None = None) -> Z:
    """A random walk that stays where the data are: each step is a neighbour of the last (`neighbours`).

    z' = m + √(1 − stride²)·(z − m) + stride·ε is the Ornstein-Uhlenbeck process in steps of −ln(1 − stride²)/2 time
    units, stationary under the prior N(m, C): from a draw of it every later step is one too, and from anywhere else the
    walk comes there. Correlation with the start falls as (1 − stride²)^(k/2).

    Args:
        z: float32 (…, z), the first step.
        steps: How many in all, the first among them. A longer walk begins as a shorter one.
        stride: 0 stays, 1 jumps to a fresh draw of the prior at each step.
        rng: Draws ε.
        prior: N(m, C); the standard normal if left out.

    Returns:
        float32 (steps, …, z).

    Raises:
        DataError: `stride` is not between 0 and 1, or there is no step.
    """
    if not 0.0 <= stride <= 1.0:
        raise DataError(f"the stride of a walk is {stride:g}; give 0 (stays) to 1 (jumps)")
    if steps < 1:
        raise DataError(f"a walk of {steps} steps is asked for; ask for 1 or more")
    places = [np.asarray(z, np.float32)]
    while len(places) < steps:
        places.append(neighbours(places[-1], stride, 1, rng, prior)[0])
    return np.stack(places)


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
        scale = max(float(np.trace(self.covariance)) / max(1, len(self.mean)), 1e-12)
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

    def kl_from(self, means: Z, stds: Z) -> NDArray[np.float64]:
        """KL(N(mean, std²) ‖ N(self.mean, covariance)) in nats of each posterior: float32 (n, z) twice → float64 (n,).

        E_q[ln q] − ln N(mean) + ½ Σ_d (C⁻¹)_dd·std_d², since the expectation of a quadratic form adds its trace.
        """
        variances = np.square(np.asarray(stds, np.float64))
        inverse = np.linalg.inv(self.factor)
        trace = variances @ np.square(inverse).sum(axis=0)
        entropy = 0.5 * (np.log(variances) + np.log(2.0 * np.pi) + 1.0).sum(axis=1)
        cost: NDArray[np.float64] = 0.5 * trace - self.log_density(means) - entropy
        return cost


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


def edit_distances(
    a: NDArray[Any],
    b: NDArray[Any],
    a_lengths: NDArray[np.integer[Any]] | None = None,
    b_lengths: NDArray[np.integer[Any]] | None = None,
) -> NDArray[np.float64]:
    """`edit_distance` of many pairs at once: symbols (n, steps) and (n, other steps) → float64 (n,).

    Of each row the first `lengths` steps count, at least one; all of them where lengths are left out.
    """
    a_lengths = np.full(len(a), a.shape[1]) if a_lengths is None else a_lengths
    b_lengths = np.full(len(b), b.shape[1]) if b_lengths is None else b_lengths
    column = np.arange(b.shape[1] + 1)
    row = np.broadcast_to(column, (len(a), len(column)))
    edits = b_lengths.astype(np.float64)  # of an empty left side
    for step in range(a.shape[1]):
        differ = a[:, step, None] != b
        changed = np.minimum(row[:, :-1] + differ, row[:, 1:] + 1)
        changed = np.concatenate([np.full((len(a), 1), step + 1), changed], axis=1)
        # As in edit_distance, for all pairs.
        row = np.minimum.accumulate(changed - column, axis=1) + column
        edits = np.where(a_lengths == step + 1, row[np.arange(len(a)), b_lengths], edits)
    return np.asarray(edits / np.maximum(a_lengths, b_lengths))


def _whole_leg(a: Z, b: Z, steps: int, *, straight: bool) -> Z:
    """The path of one leg, evenly, both ends among its steps."""
    start, end = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if start.shape != end.shape or start.ndim == 0:
        raise DataError(
            f"a path's ends are z of shapes {start.shape} and {end.shape}; give two of the same shape (…, z)"
        )
    if steps < 2:
        raise DataError(f"a path of {steps} steps is asked for; it has both ends, so ask for at least 2")
    return along(np.stack([start, end]), np.zeros(steps, np.int64), np.linspace(0.0, 1.0, steps), straight)


def _on_sphere(start: NDArray[np.float64], end: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The places of `slerp` at amounts t, which broadcasts to the ends (…, z)."""
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
    return np.where(turns, length * direction, (1.0 - t) * start + t * end)


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
