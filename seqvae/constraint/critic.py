"""Critics and actors: small networks on z of a frozen model (Engel, Hoffman & Roberts 2018, "Latent constraints").

All see z whitened by the aggregate posterior N(m, C): x = L⁻¹(z − m) with L·Lᵀ = C. There its log density is −|x|²/2
and a constant. Networks are trained in single precision on one core of the CPU, and are the same for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqvae.constraint.conditions import Condition, Values
from seqvae.latent import AggregatePosterior, Z
from seqvae.runtime import single_threaded

WIDTH = 256
DROPOUT = 0.3
BATCH = 128
CRITIC_STEPS = 1_000
CRITIC_RATE = 1e-3
WEIGHT_DECAY = 0.1
"""Of the critic; all chosen on melody-2bar by how well an attribute is told of z that it was not trained on."""

ASCENT_STEPS = 50
ASCENT_RATE = 0.05
SURE = 0.95
"""Gradient ascent leaves a z alone that the critic takes to meet the conditions so surely."""

DISTANCE = 0.01
"""Of λ, the weight of the distance penalty Σ ln(1 + (x' − x)²) (eq. 4 of the paper)."""

ACTOR_STEPS = 400
ACTOR_RATE = 1e-3
SHUT = -3.0
"""The logit of its gates when training begins."""

REALISM = 0.1
"""Weight of realism in the actor's loss, beside one for the conditions."""

LEAST_DEVIATION, MOST_DEVIATION = -4.0, 2.0
"""Of ln of a critic's uncertainty."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Whitening:
    """z ↔ x = L⁻¹(z − m): float32 (n, z) both."""

    mean: NDArray[np.float64]
    factor: NDArray[np.float64]
    inverse: NDArray[np.float64]

    @staticmethod
    def of(aggregate: AggregatePosterior) -> Whitening:
        """By the aggregate posterior."""
        factor = aggregate.factor
        return Whitening(mean=aggregate.mean, factor=factor, inverse=np.asarray(np.linalg.inv(factor), np.float64))

    def whiten(self, z: Z) -> Tensor:
        """Float32 (n, z)."""
        centred = np.asarray(z, np.float64) - self.mean
        return torch.from_numpy((centred @ self.inverse.T).astype(np.float32))

    def colour(self, x: Tensor) -> Z:
        """The way back."""
        return (self.mean + x.detach().numpy().astype(np.float64) @ self.factor.T).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Critic:
    """How likely z is to give an item that meets the conditions.

    Of a number the network says a mean and a deviation, of yes and no how likely yes is. A number is a Gaussian given
    z, so the range is likely by Φ((high − mean) / deviation) − Φ((low − mean) / deviation). Conditions are taken to be
    independent given z. So it learns from all values, not only from those in the range, of which there may be none.

    Attributes:
        network: x (n, z) → (n, 2 · conditions): the means (or logits), and ln of the deviations.
        conditions: In the order of its outputs.
        ends: Of each condition in deviations of what it was trained on, (low, high).
        whitening: Of z.
    """

    network: Callable[[Tensor], Tensor]
    conditions: tuple[Condition, ...]
    ends: tuple[tuple[float, float], ...]
    whitening: Whitening

    def log_probability(self, x: Tensor) -> Tensor:
        """ln p(all conditions | x): float32 (n,)."""
        said = self.network(x)
        count = len(self.conditions)
        total = torch.zeros(len(x))
        for index, (condition, (low, high)) in enumerate(zip(self.conditions, self.ends, strict=True)):
            mean, spread = said[:, index], said[:, count + index]
            if condition.yes_no:
                total = total + functional.logsigmoid(mean)
            else:
                total = total + log_share_within(mean, spread.clamp(LEAST_DEVIATION, MOST_DEVIATION).exp(), low, high)
        return total

    def probability(self, z: Z) -> Values:
        """p(all conditions | z): float32 (n, z) → float64 (n,)."""
        with torch.no_grad():
            return self.log_probability(self.whitening.whiten(z)).exp().double().numpy()


def log_share_within(mean: Tensor, deviation: Tensor, low: float, high: float) -> Tensor:
    """ln of the share of N(mean, deviation²) between low and high, with a gradient wherever it is small: (n,).

    >>> round(float(log_share_within(torch.zeros(1), torch.ones(1), 0.0, float("inf")).exp()), 3)
    0.5
    """
    below = torch.special.log_ndtr((high - mean) / deviation) if math.isfinite(high) else torch.zeros_like(mean)
    above = torch.special.log_ndtr((mean - low) / deviation) if math.isfinite(low) else torch.zeros_like(mean)
    if not (math.isfinite(low) and math.isfinite(high)):
        return below + above
    # Φ(b) − Φ(a) of two ends on one side of the mean loses all digits; on that side it is Φ(−a) − Φ(−b).
    left, right = (low - mean) / deviation, (high - mean) / deviation
    flip = left > 0
    left, right = torch.where(flip, -right, left), torch.where(flip, -left, right)
    upper, lower = torch.special.log_ndtr(right), torch.special.log_ndtr(left)
    share: Tensor = upper + torch.log(-torch.expm1((lower - upper).clamp(max=-1e-6)))
    return share


@contextmanager
def _seeded(seed: int) -> Iterator[np.random.Generator]:
    """One thread, and random numbers of this seed alone; those of others go on as if nothing had been."""
    with single_threaded(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield np.random.default_rng((seed, 21))


def _perceptron(inputs: int, outputs: int, dropout: float = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in (inputs, WIDTH):
        layers += [nn.Linear(size, WIDTH), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, outputs))


def _frozen(network: nn.Module) -> nn.Module:
    return network.eval().requires_grad_(False)


def fit_critic(
    conditions: Sequence[Condition], means: Z, stds: Z, values: Values, aggregate: AggregatePosterior, *, seed: int
) -> Critic:
    """Trains a critic on posteriors of items, each drawn from anew at every look.

    Args:
        conditions: With their ranges settled.
        means, stds: q(z|x) of the items, float32 (items, z); stds of 0 for places that are known exactly.
        values: Of each condition's measure, float64 (items, conditions); NaN is left out.
        aggregate: Of the model.
        seed: Decides the network, bit for bit.

    Raises:
        DataError: A measure is known of too few items, or of yes and no there is only one.
    """
    whitening = Whitening.of(aggregate)
    known = np.isfinite(values)
    centre, scale = np.zeros(len(conditions)), np.ones(len(conditions))
    for index, condition in enumerate(conditions):
        if not condition.yes_no:
            seen = values[known[:, index], index]
            centre[index], scale[index] = seen.mean(), max(float(seen.std()), 1e-6)
    targets = torch.from_numpy(np.where(known, (values - centre) / scale, 0.0).astype(np.float32))
    counted = torch.from_numpy(known.astype(np.float32))
    yes_no = torch.tensor([condition.yes_no for condition in conditions])
    with _seeded(seed) as rng:
        network = _perceptron(means.shape[1], 2 * len(conditions), DROPOUT)
        optimiser = torch.optim.AdamW(network.parameters(), CRITIC_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, CRITIC_RATE, total_steps=CRITIC_STEPS)
        for _ in range(CRITIC_STEPS):
            rows = rng.integers(0, len(means), BATCH)
            noise = rng.standard_normal((BATCH, means.shape[1]), np.float32)
            said = network(whitening.whiten(means[rows] + stds[rows] * noise))
            loss = (_losses(said, targets[rows], yes_no) * counted[rows]).sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    ends = [
        ((one.low - middle) / size, (one.high - middle) / size)
        for one, middle, size in zip(conditions, centre.tolist(), scale.tolist(), strict=True)
    ]
    return Critic(network=_frozen(network), conditions=tuple(conditions), ends=tuple(ends), whitening=whitening)


def _losses(said: Tensor, targets: Tensor, yes_no: Tensor) -> Tensor:
    """−ln p of each target: (n, 2 · conditions) and (n, conditions) → (n, conditions)."""
    mean, spread = said.chunk(2, dim=1)
    spread = spread.clamp(LEAST_DEVIATION, MOST_DEVIATION)
    gaussian = spread + 0.5 * ((targets - mean) / spread.exp()).square()
    return torch.where(yes_no, functional.binary_cross_entropy_with_logits(mean, targets, reduction="none"), gaussian)


def distance_penalty(moved: Tensor, start: Tensor) -> Tensor:
    """Σ ln(1 + (x' − x)²) over the dimensions (Engel et al. 2018, eq. 4; x has variance 1): (n, z) → (n,)."""
    penalty: Tensor = torch.log1p((moved - start).square()).sum(dim=1)
    return penalty


def radius(z_size: int, share: float = 0.9) -> float:
    """|x| within which so large a share of draws of N(0, I) lies (Wilson & Hilferty 1931: χ² by its cube root).

    >>> round(radius(128), 1), round(radius(2), 1)
    (12.2, 2.1)
    """
    from statistics import NormalDist

    spread = 2.0 / (9.0 * z_size)
    return float(math.sqrt(z_size * (1.0 - spread + NormalDist().inv_cdf(share) * math.sqrt(spread)) ** 3))


def held(moved: Tensor, start: Tensor) -> Tensor:
    """Where draws lie: no further out than the start was, or than nine in ten draws of the aggregate are: (n, z)."""
    bound = start.norm(dim=1, keepdim=True).clamp(min=radius(start.shape[1]))
    shorter: Tensor = (bound / moved.norm(dim=1, keepdim=True).clamp(min=1e-9)).clamp(max=1.0)
    return moved * shorter


def climb(critic: Critic, z: Z) -> Z:
    """Gradient ascent from each z on ln p(conditions | z) less the distance penalty: float32 (n, z) → (n, z).

    After each step it is `held`.
    """
    with single_threaded():
        start = critic.whitening.whiten(z)
        x = start.clone().requires_grad_(True)
        optimiser = torch.optim.Adam([x], ASCENT_RATE)
        for _ in range(ASCENT_STEPS):
            likely = critic.log_probability(x)
            unsure = (likely.detach() < math.log(SURE)).float()
            loss = (DISTANCE * distance_penalty(x, start) - likely * unsure).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                x.copy_(held(x, start))
    return critic.whitening.colour(x)


@dataclass(frozen=True, kw_only=True, eq=False)
class Actor:
    """G(z): where a draw z is moved to, so that it meets the conditions and is still realistic.

    The network gives a place δ and a gate g in (0, 1) for each dimension: G(x) = (1 − g)·x + g·δ, which is then `held`.
    """

    network: Callable[[Tensor], Tensor]
    whitening: Whitening

    def move(self, z: Z) -> Z:
        """float32 (n, z) → float32 (n, z)."""
        with single_threaded(), torch.no_grad():
            return self.whitening.colour(gated(self.network, self.whitening.whiten(z)))


def gated(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(1 − g)·x + g·δ with (δ, logit g) of the network, held where draws lie: (n, z) → (n, z)."""
    place, gate = network(x).chunk(2, dim=1)
    share = torch.sigmoid(gate)
    return held((1.0 - share) * x + share * place, x)


def fit_actor(critic: Critic, means: Z, stds: Z, *, seed: int) -> Actor:
    """Trains an actor against the critic of the conditions and one of realism, which learns beside it.

    The realism critic D tells posteriors of items, q(z|x), from what the actor makes and from draws of the aggregate.
    The actor's loss is −ln p(conditions | G(x)) − ln D(G(x)) + λ · distance.

    Args:
        critic: Of the conditions.
        means, stds: q(z|x) of items that are realistic, float32 (items, z).
        seed: Decides the network, bit for bit.
    """
    z_size = means.shape[1]
    with _seeded(seed) as rng:
        network, realism = _perceptron(z_size, 2 * z_size), _perceptron(z_size, 1, DROPOUT)
        last = network[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias[z_size:] = SHUT  # at first it moves little
        acting = torch.optim.Adam(network.parameters(), ACTOR_RATE)
        judging = torch.optim.Adam(realism.parameters(), ACTOR_RATE)
        for _ in range(ACTOR_STEPS):
            rows = rng.integers(0, len(means), BATCH)
            noise = rng.standard_normal((BATCH, z_size), np.float32)
            real = critic.whitening.whiten(means[rows] + stds[rows] * noise)
            start = torch.from_numpy(rng.standard_normal((BATCH, z_size), np.float32))
            made = gated(network, start)
            false = torch.cat([made.detach(), start[: BATCH // 2]])
            judged = functional.softplus(-realism(real)).mean() + functional.softplus(realism(false)).mean()
            judging.zero_grad()
            judged.backward()  # type: ignore[no-untyped-call]
            judging.step()
            unreal = functional.softplus(-realism(made)[:, 0])
            likely = critic.log_probability(made)
            loss = (REALISM * unreal - likely + DISTANCE * distance_penalty(made, start)).mean()
            acting.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            acting.step()
    return Actor(network=_frozen(network), whitening=critic.whitening)
