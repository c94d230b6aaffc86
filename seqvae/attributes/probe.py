"""Reading an attribute from z: a linear probe, and the two directions that the data suggest for it.

Everything is fitted on z whitened by the aggregate posterior N(m, C): u = L⁻¹(z − m) with L·Lᵀ = C, where no direction
is longer than another. A probe w of u is L⁻ᵀw of z; a direction d of u is L·d of z. The probe's own normal, seen so, is
C·(L⁻ᵀw) of z: the way in which z changes on average as the attribute does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import check_values, sides
from seqvae.latent import AggregatePosterior, Z

Values = NDArray[np.float64]

RIDGES = 10.0 ** np.arange(-6.0, 1.1, 0.5)
"""Penalties on |w|² of a whitened probe, of which the best on a fifth of the items is taken."""

NEWTON_STEPS = 30


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One attribute of items.

    Attributes:
        name, what: As of an `Attribute`.
        values: float64 (items,); NaN where nothing is known.
    """

    name: str
    what: str
    values: Values


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """How an attribute is read from z, and the directions that its items suggest.

    Attributes:
        name, what: Of the attribute.
        mean, deviation: Of its values.
        items: How many had one.
        weights: float64 (z,), and `offset`: (value − mean) / deviation ≈ weights·z + offset.
        normal: C·w, float64 (z,).
        quartiles: Mean z of the items at the top less that of those at the bottom, float64 (z,).
    """

    name: str
    what: str
    mean: float
    deviation: float
    items: int
    weights: Values
    offset: float
    normal: Values
    quartiles: Values


def fit_probe(column: Column, z: Z, aggregate: AggregatePosterior, *, seed: int = 0) -> Probe:
    """Fits a probe: least squares for numbers, logistic regression for 0 and 1, both with a ridge.

    A probe of 0 and 1 is scaled so that the items of either kind read as what they are on average.

    Args:
        column: The attribute.
        z: Of the items, float32 (items, z).
        aggregate: Of the model.
        seed: Decides on which items the ridge is chosen.

    Raises:
        DataError: The attribute is the same in all items, or too few have a value, or too few are on one side.
    """
    check_values(column.name, column.values)
    known = np.isfinite(column.values)
    values = column.values[known]
    top, bottom = sides(values)
    mean, deviation = float(values.mean()), float(values.std())
    target = (values - mean) / deviation
    centred = np.asarray(z, np.float64)[known] - aggregate.mean
    u = np.asarray(np.linalg.solve(aggregate.factor, centred.T).T, np.float64)
    rng = np.random.default_rng((seed, 12))
    if is_binary(values):
        weights = _logistic_probe(u, values, rng)
        seen = u @ weights
        apart = seen[top].mean() - seen[bottom].mean()
        weights = weights * (1.0 / deviation / apart if apart > 0 else 1.0)
        centre = (u[top].mean(axis=0) + u[bottom].mean(axis=0)) / 2.0
        offset = float((0.5 - mean) / deviation - centre @ weights)
    else:
        weights = _ridge_probe(u, target, rng)
        offset = float(-(u.mean(axis=0) @ weights))
    of_z = np.asarray(np.linalg.solve(aggregate.factor.T, weights), np.float64)
    return Probe(
        name=column.name,
        what=column.what,
        mean=mean,
        deviation=deviation,
        items=int(known.sum()),
        weights=of_z,
        offset=offset - float(of_z @ aggregate.mean),
        normal=aggregate.factor @ weights,
        quartiles=aggregate.factor @ (u[top].mean(axis=0) - u[bottom].mean(axis=0)),
    )


def is_binary(values: Values) -> bool:
    """Whether values are nothing but 0 and 1."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def _parts(count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Four fifths to fit on and a fifth to choose by."""
    order = rng.permutation(count)
    return order[count // 5 :], order[: count // 5]


def _ridge_probe(u: Values, target: Values, rng: np.random.Generator) -> Values:
    """Least squares with the ridge that predicts a fifth of the items best: (items, z) and (items,) → (z,)."""
    fit, check = _parts(len(u), rng)

    def solutions(rows: NDArray[np.int64]) -> Values:
        centred, wanted = u[rows] - u[rows].mean(axis=0), target[rows] - target[rows].mean()
        sizes, axes = np.linalg.eigh(centred.T @ centred / len(rows))
        along = axes.T @ (centred.T @ wanted) / len(rows)
        return np.stack([axes @ (along / (np.maximum(sizes, 0.0) + ridge)) for ridge in RIDGES])

    tried = solutions(fit)
    predicted = (u[check] - u[fit].mean(axis=0)) @ tried.T
    wrong = np.square(predicted - (target[check] - target[fit].mean())[:, None]).mean(axis=0)
    return np.asarray(solutions(np.arange(len(u)))[int(wrong.argmin())])


def _logistic_probe(u: Values, labels: Values, rng: np.random.Generator) -> Values:
    """Logistic regression with the ridge that predicts a fifth of the items best: (items, z) and 0s and 1s → (z,)."""
    fit, check = _parts(len(u), rng)
    ridges = RIDGES[RIDGES > 1e-4][::2]  # with none at all, labels that z tells apart would have no finite answer
    losses = []
    if len(np.unique(labels[fit])) < 2:
        return _logistic(u, labels, float(ridges[-1]))[:-1]
    for ridge in ridges:
        weights = _logistic(u[fit], labels[fit], float(ridge))
        odds = u[check] @ weights[:-1] + weights[-1]
        losses.append(float((np.logaddexp(0.0, odds) - labels[check] * odds).mean()))
    return _logistic(u, labels, float(ridges[int(np.argmin(losses))]))[:-1]


def _logistic(u: Values, labels: Values, ridge: float) -> Values:
    """Iteratively reweighted least squares, halving steps that lead uphill: weights, and the intercept last."""
    ones = np.concatenate([u, np.ones((len(u), 1))], axis=1)
    penalty = np.append(np.full(u.shape[1], ridge), 0.0)

    def loss(weights: Values) -> float:
        odds = ones @ weights
        return float((np.logaddexp(0.0, odds) - labels * odds).mean() + 0.5 * (penalty * weights**2).sum())

    weights = np.zeros(ones.shape[1])
    now = loss(weights)
    for _ in range(NEWTON_STEPS):
        share = 1.0 / (1.0 + np.exp(-np.clip(ones @ weights, -30.0, 30.0)))
        slope = ones.T @ (share - labels) / len(u) + penalty * weights
        curvature = ones.T @ (ones * (share * (1.0 - share))[:, None]) / len(u) + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature, slope)
        size = 1.0
        while loss(weights - size * step) > now and size > 1e-4:
            size /= 2.0
        weights = weights - size * step
        before, now = now, loss(weights)
        if before - now < 1e-9:
            break
    return weights
