"""Holes: places where a prior draws and no posterior is, so that the decoder was hardly trained there.

Matching q(z|x) with the prior item by item does not make their mean, the aggregate posterior q(z), equal to it
(Hoffman and Johnson 2016). Samples of the prior where q(z) is low are the bad ones (Rosca et al. 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqvae.evaluate import space
from seqvae.evaluate.bench import Bench
from seqvae.evaluate.likelihood import log_sum_exp
from seqvae.latent import Z

if TYPE_CHECKING:
    from seqvae.model import Prior

HOLE = 0.01
"""A hole is where q(z) is lower than for all but this share of what held-out items' posteriors draw."""

MANY = 0.1
"""A share of samples in holes from which it is said in words."""


def measure_holes(bench: Bench) -> None:
    """Figures of both priors against the aggregate posterior of the windows; none of one window, or without a z."""
    count = len(bench.windows)
    if count < 2 or not bench.model.z_size:
        return

    def note(name: str, value: float, unit: str, what: str) -> None:
        bench.note("latent use", name, value, unit, what)

    noise = bench.rng("latent use", 1).standard_normal(bench.means.shape, np.float32)
    drawn = log_aggregate(bench.means + bench.stds * noise, bench.means, bench.stds)
    hole = f"q(z) below that of {1 - HOLE:.0%} of held-out draws"
    priors: tuple[Prior, ...] = ("aggregate", "normal")
    for prior in priors:
        z = bench.model.draw(count, prior=prior, seed=bench.seed)
        found = log_aggregate(z, bench.means, bench.stds)
        note(f"{prior}_holes", hole_share(found, drawn), "share", f"{prior} prior: samples in holes ({hole})")
        what = f"{prior} prior: mean ln q(z) of held-out draws less that of samples"
        note(f"{prior}_density_gap", float(drawn.mean() - found.mean()), "nats", what)
        if prior == "normal":
            note(
                "reverse_marginal_kl",
                float((log_normal(z) - found).mean()),
                "nats",
                "KL of the normal prior to q(z), at most",
            )


def say_holes(figures: dict[str, float]) -> list[str]:
    """What the holes of the normal prior mean and what to do, if they are many; of a card's figures by name."""
    share, other = figures.get("normal_holes", 0.0), figures.get("aggregate_holes", 0.0)
    if share <= MANY:
        return []
    way = f"sample with --prior aggregate ({other:.0%}), or " if other <= share / 2 else ""
    return [
        f"{share:.0%} of samples of the normal prior come from holes, places where the decoder was hardly trained "
        f"({HOLE:.0%} would be none): {way}train with a higher objective.beta"
    ]


def log_aggregate(z: Z, means: Z, stds: Z) -> NDArray[np.float64]:
    """ln q(z), q the mean of all posteriors but one: in row i without posterior i mod n. float64 (rows,), nats.

    A draw of a posterior would stand on the top of its own density, which says nothing about the places that other
    items leave; without its own it is what a new item's draw would be. Samples of a prior are judged by the same
    n − 1 posteriors, so that of a prior that equals q the two come out alike. Since n posteriors are few for all
    places, −ln q(z) is too high on average (Jensen's inequality).

    Args:
        z: float (rows, z).
        means, stds: float (n, z), n ≥ 2.

    >>> means, stds = np.array([[0.0], [9.0]]), np.ones((2, 1))
    >>> log_aggregate(np.array([[0.0], [0.0]]), means, stds).round(2).tolist()
    [-41.42, -0.92]
    """
    count = len(means)
    found = np.zeros(len(z))
    for rows, densities in space.pair_log_densities(z, means, stds):
        numbers = np.arange(rows.start, rows.start + len(densities))
        densities[np.arange(len(densities)), numbers % count] = -np.inf
        found[rows] = log_sum_exp(densities, axis=1)
    return np.asarray(found - np.log(count - 1))


def log_normal(z: Z) -> NDArray[np.float64]:
    """ln N(z; 0, I): (n, z) → float64 (n,), nats."""
    return np.asarray(-0.5 * (np.square(np.float64(z)) + np.log(2 * np.pi)).sum(axis=1))


def hole_share(found: NDArray[np.float64], drawn: NDArray[np.float64]) -> float:
    """The share of samples whose ln q(z), `found`, is below the first percentile of `drawn`: 0.01 without holes."""
    return float((found < np.quantile(drawn, HOLE)).mean())
