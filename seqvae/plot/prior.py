"""The posteriors of a data set beside the prior: is latent space used, and do draws of a prior lie where data lie?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.latent import AggregatePosterior, Z
from seqvae.plot.canvas import CATEGORIES, FROM_COLOUR, INK, MUTED, REST_COLOUR, TO_COLOUR, figure_of, save
from seqvae.projection import principal_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPARED = 1000
"""So many of each cloud are drawn, and told apart by their nearest neighbours."""

MEANS, SAMPLES, AGGREGATE, NORMAL = FROM_COLOUR, CATEGORIES[5], CATEGORIES[2], TO_COLOUR


@dataclass(frozen=True, kw_only=True, eq=False)
class PriorFit:
    """How the posteriors of a data set lie to the prior N(0, I).

    Attributes:
        variance_of_means: Of each dimension, over the data, float64 (z,): near 0 where z says nothing.
        noise: The mean of the posteriors' variance in each dimension, float64 (z,): near 1 where z says nothing.
        middle: The mean of each dimension, float64 (z,).
        used: Dimensions whose posterior mean varies: variance ≥ 0.01 (Burda et al. 2016).
        kl: KL of the posteriors from the prior, in nats an item: what z says of an item.
        cloud_kl: KL(N(m, C) ‖ N(0, I)) in nats of the aggregate posterior as one Gaussian: the part of `kl` by which
            the whole cloud misses the prior (Hoffman and Johnson 2016), 0 where it does not.
        told_aggregate, told_normal: How often the nearest neighbour tells a draw of the aggregate posterior, or of the
            prior, from a posterior sample: leave-one-out accuracy (Lopez-Paz and Oquab 2017), 0.5 where it cannot.
    """

    variance_of_means: NDArray[np.float64]
    noise: NDArray[np.float64]
    middle: NDArray[np.float64]
    used: int
    kl: float
    cloud_kl: float
    told_aggregate: float
    told_normal: float

    def to_dict(self) -> dict[str, Any]:
        """Its numbers, without those of each dimension."""
        return {
            "dimensions": len(self.middle),
            "used": self.used,
            "kl": self.kl,
            "cloud_kl": self.cloud_kl,
            "told_aggregate": self.told_aggregate,
            "told_normal": self.told_normal,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Clouds:
    """What is compared, float64 (items, z) each: as many of one as of the other."""

    means: NDArray[np.float64]
    samples: NDArray[np.float64]
    aggregate: NDArray[np.float64]
    normal: NDArray[np.float64]


def posterior_against_prior(
    means: Z,
    stds: Z,
    aggregate: AggregatePosterior,
    path: str | Path,
    *,
    title: str = "",
    seed: int = 0,
    overwrite: bool = True,
) -> PriorFit:
    """Draws how the posteriors of a data set lie to the priors that samples are drawn from.

    Above, the plane on which the posterior means vary most, with four clouds; the dashed circle is where N(0, I) has
    86 of 100 draws, the blue line where the posterior samples have them. Below, each dimension's variance, of the means
    and of the noise around them, and its middle; and how long the vectors are.

    Args:
        means, stds: Posteriors of items that training did not see, float32 (n, z) both.
        aggregate: The model's.
        path: A .png file.
        title: Over the picture.
        seed: For the draws.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        DataError: There are fewer than 3 items, or z has fewer than 2 dimensions.
        WriteError: The place cannot be written, or stands already and `overwrite` is False.
    """
    if means.shape != stds.shape:
        raise DataError(f"means are of shape {means.shape} and stds of {stds.shape}; give the two of one encoding")
    middle, directions, _ = principal_axes(means)
    clouds = _clouds(means, stds, aggregate, np.random.default_rng((seed, 4)))
    fit = _fit(means, stds, aggregate, clouds)

    def flat(z: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray((z - middle) @ directions.T)

    with figure_of(7.5) as figure:
        _headline(figure, fit, title)
        _cloud_panels(figure, fit, clouds, flat)
        _dimension_panels(figure, fit)
        _length_panel(figure, clouds)
        save(figure, path, overwrite=overwrite)
    return fit


def _clouds(means: Z, stds: Z, aggregate: AggregatePosterior, rng: np.random.Generator) -> Clouds:
    rows = rng.permutation(len(means))[:COMPARED]
    centres = means[rows].astype(np.float64)
    return Clouds(
        means=centres,
        samples=centres + stds[rows] * rng.standard_normal(centres.shape),
        aggregate=aggregate.sample(len(rows), rng).astype(np.float64),
        normal=rng.standard_normal(centres.shape),
    )


def _fit(means: Z, stds: Z, aggregate: AggregatePosterior, clouds: Clouds) -> PriorFit:
    from seqvae.evaluate.space import active_units, gaussian_kl

    covariance = aggregate.factor @ aggregate.factor.T
    _, log_determinant = np.linalg.slogdet(covariance)
    square = float(aggregate.mean @ aggregate.mean)
    return PriorFit(
        variance_of_means=np.var(np.float64(means), axis=0),
        noise=np.square(np.float64(stds)).mean(axis=0),
        middle=np.float64(means).mean(axis=0),
        used=active_units(means),
        kl=float(gaussian_kl(means, stds).sum(axis=1).mean()),
        cloud_kl=float(0.5 * (np.trace(covariance) + square - len(covariance) - log_determinant)),
        told_aggregate=_told_apart(clouds.samples, clouds.aggregate),
        told_normal=_told_apart(clouds.samples, clouds.normal),
    )


def _told_apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """How often the nearest other point is of the same cloud: 0.5 where two clouds are one, 1 where they are two."""
    both = np.concatenate([a, b])
    side = np.repeat((0, 1), (len(a), len(b)))
    squares = np.square(both).sum(axis=1)
    apart = squares[:, None] + squares - 2.0 * both @ both.T
    np.fill_diagonal(apart, np.inf)
    return float((side[apart.argmin(axis=1)] == side).mean())


# -- the picture -------------------------------------------------------------------------------------------------------


def _headline(figure: Figure, fit: PriorFit, title: str) -> None:
    size = len(fit.middle)
    used = f"{fit.used} of {size} dimensions in use"
    figure.text(0.03, 0.955, f"{title}: {used}" if title else used, fontsize=12, fontweight="bold")
    said = f"z says {fit.kl:.1f} nats of an item; {fit.cloud_kl:.1f} of them are that the whole cloud is not N(0, I)"
    figure.text(0.03, 0.925, said, fontsize=8, color=MUTED)
    lines = "lines: two deviations around the posterior samples (blue) and around 0, as N(0, I) has them (dashed)"
    figure.text(0.985, 0.925, lines, fontsize=8, color=MUTED, ha="right")


def _cloud_panels(figure: Figure, fit: PriorFit, clouds: Clouds, flat: Any) -> None:
    """Four clouds on one plane, each with the outlines of the prior and of the posterior samples."""
    told = "told from posterior samples\nin {:.0f} of 100 cases (50: not at all)"
    panels = (
        ("posterior means", "where the encoder puts items", clouds.means, MEANS),
        ("posterior samples", "what the decoder is trained to read", clouds.samples, SAMPLES),
        ("draws of the aggregate", told.format(100 * fit.told_aggregate), clouds.aggregate, AGGREGATE),
        ("draws of N(0, I)", told.format(100 * fit.told_normal), clouds.normal, NORMAL),
    )
    points = [flat(cloud) for _, _, cloud, _ in panels]
    reach = 1.05 * max(float(np.abs(np.percentile(some, [0.5, 99.5], axis=0)).max()) for some in points)
    outline = _outline(points[1])
    turn = np.linspace(0.0, 2.0 * np.pi, 181)
    circle = flat(np.zeros((1, len(fit.middle)))) + 2.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for index, ((name, note, _, colour), some) in enumerate(zip(panels, points, strict=True)):
        panel = figure.add_axes((0.03 + 0.2425 * index, 0.475, 0.2275, 0.364))
        panel.scatter(some[:, 0], some[:, 1], s=5, linewidths=0, alpha=0.5, color=colour, rasterized=True)
        panel.plot(outline[:, 0], outline[:, 1], color=MEANS, linewidth=1.1)
        panel.plot(circle[:, 0], circle[:, 1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        panel.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
        panel.set_aspect("equal", adjustable="box")
        panel.text(0.0, 1.105, name, transform=panel.transAxes, fontsize=9, fontweight="bold", va="bottom")
        panel.text(0.0, 1.095, note, transform=panel.transAxes, fontsize=7, color=MUTED, va="top", linespacing=1.25)


def _outline(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ellipse two deviations around a cloud's middle, (points, 2)."""
    values, axes = np.linalg.eigh(np.cov(points, rowvar=False))
    turn = np.linspace(0.0, 2.0 * np.pi, 181)
    round_one = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.asarray(points.mean(axis=0) + 2.0 * (round_one * np.sqrt(np.maximum(values, 0.0))) @ axes.T)


def _dimension_panels(figure: Figure, fit: PriorFit) -> None:
    """Each dimension's variance, the most used one first, and its middle."""
    order = np.argsort(-fit.variance_of_means, kind="stable")
    size = len(order)
    place = np.arange(size + 1) - 0.5
    means, noise, middle = fit.variance_of_means[order], fit.noise[order], fit.middle[order]
    above = figure.add_axes((0.055, 0.175, 0.565, 0.235))
    above.stairs(means + noise, place, baseline=means, fill=True, color=REST_COLOUR, alpha=0.75, label="of the noise")
    above.stairs(means, place, fill=True, color=MEANS, alpha=0.85, label="of the posterior means")
    above.axhline(1.0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    above.set(xlim=(place[0], place[-1]), ylim=(0.0, 1.15 * max(1.25, float((means + noise).max()))), xticks=[])
    above.set_title("variance of each dimension, the most used one first", loc="left")
    above.legend(
        loc="lower right", bbox_to_anchor=(1.0, 0.99), fontsize=7, ncols=2, borderaxespad=0.1, handlelength=1.2
    )
    if fit.used < size:
        above.axvline(fit.used - 0.5, color=MUTED, linewidth=0.6)
        _say_unused(above, fit.used, size)
    below = figure.add_axes((0.055, 0.06, 0.565, 0.085))
    below.axhline(0.0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    below.vlines(np.arange(size), 0.0, middle, color=MEANS, linewidth=max(0.4, min(3.0, 260.0 / size)))
    reach = 1.1 * max(0.5, float(np.abs(middle).max()))
    below.set(xlim=(place[0], place[-1]), ylim=(-reach, reach), xticks=[])
    below.set_xlabel("its middle", loc="left")


def _say_unused(panel: Axes, used: int, size: int) -> None:
    """At the line behind which dimensions say nothing, on the side that has room."""
    side = "right" if used > 0.85 * size else "left"
    at = used - 0.5 + (-0.008 if side == "right" else 0.008) * size
    said = f"{size - used} unused →" if side == "right" else f"→ {size - used} unused"
    panel.text(at, 0.93 * panel.get_ylim()[1], said, fontsize=7, color=MUTED, ha=side, va="top")


def _length_panel(figure: Figure, clouds: Clouds) -> None:
    """How far from the origin the four clouds are."""
    panel = figure.add_axes((0.665, 0.06, 0.32, 0.35))
    named: Sequence[tuple[str, NDArray[np.float64], str]] = (
        ("posterior means", clouds.means, MEANS),
        ("posterior samples", clouds.samples, SAMPLES),
        ("draws of the aggregate", clouds.aggregate, AGGREGATE),
        ("draws of N(0, I)", clouds.normal, NORMAL),
    )
    lengths = [np.linalg.norm(cloud, axis=1) for _, cloud, _ in named]
    edges = np.linspace(0.0, 1.02 * max(float(length.max()) for length in lengths), 49)
    for (name, _, colour), length in zip(named, lengths, strict=True):
        counts = np.histogram(length, edges)[0]
        panel.stairs(counts, edges, color=colour, linewidth=1.4, label=f"{name}  {length.mean():.1f}")
    panel.set(yticks=[], xlim=(0.0, edges[-1]))
    panel.set_ylim(0.0, 1.12 * panel.get_ylim()[1])
    panel.set_title("length of the vectors, and its mean", loc="left")
    panel.legend(loc="upper left", fontsize=7, labelspacing=0.6, handlelength=1.2)
