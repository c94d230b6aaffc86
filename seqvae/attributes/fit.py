"""From probes to vectors: of several directions the one is kept that does best, as measured through the decoder.

A latent space may be a code: moves shorter than the posteriors' noise change nothing at all, and a direction's slope in
the data says little about what the decoder does with it. So a vector's length is not taken from the data: lines are
followed through the decoder, and the unit is where the attribute has moved by one standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqvae.attributes.effect import AMOUNTS, Respond, Values, moved, slopes
from seqvae.attributes.probe import Probe
from seqvae.errors import DataError
from seqvae.latent import AggregatePosterior, Z

WIDEST = 4.0
"""Two units lead at most a radius of the data away, √trace C of the aggregate posterior; or, in spaces of few
dimensions, so many deviations along the direction in which the data vary most."""

FRACTIONS = np.geomspace(1.0 / 32.0, 1.0, 7)
"""Of that reach, where a line is measured, on both sides."""

LENGTHS = np.geomspace(1.0 / 80.0, 0.5, 60)
"""Of that reach, the lengths that a vector may have."""

ENOUGH = 0.9
"""Where no length moves the attribute by a deviation, the shortest that does this much of the most that any does."""

STEPS = (1.0, 0.5, 0.5)
"""Of what would undo the leakage that was measured, how much is added in each round of correction."""

CLEAN, EXCESS = 4.0, 3.0
"""Where others are to be spared, leakage beyond a quarter of the effect counts so many times more."""

UNASKED = 0.25
"""Of leakage into what nobody asked to spare, so much counts when directions are compared: attributes go together."""

NUDGES = 40
"""Random moves of each held-out item from which the decoder's response is learned."""

RESPONSE_DAMPING = 0.05
"""Of the largest response, what counts as none."""

VANISHED = 0.02
"""Along a direction its own probe must still read so much of what it read before others were spared."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """What the decoder does along a line through held-out items.

    Attributes:
        method: How the direction was found: `normal`, `quartiles`, `probe` or `response`.
        direction: Of length 1, float64 (z,).
        distances: float64 (points,), rising, on both sides of 0.
        values: Attributes there in deviations, float64 (points, items, attributes).
    """

    method: str
    direction: Values
    distances: Values
    values: Values

    def at(self, length: float) -> Values:
        """What is measured at `AMOUNTS` times a vector of that length, interpolated: (amounts, items, attributes)."""
        wanted = AMOUNTS * length
        right = np.clip(np.searchsorted(self.distances, wanted), 1, len(self.distances) - 1)
        share = (wanted - self.distances[right - 1]) / (self.distances[right] - self.distances[right - 1])
        # A value that counts for nothing is left out, or what is not defined there would spread.
        left, beyond = self.values[right - 1], self.values[right]
        weight = share[:, None, None]
        found: Values = np.where(weight < 1, left * (1 - weight), 0.0) + np.where(weight > 0, beyond * weight, 0.0)
        return found

    def moves(self, lengths: Values, column: int) -> Values:
        """Slope over the amounts of one attribute's mean change, for vectors of several lengths: (lengths,)."""
        still = self.values[len(self.distances) // 2]
        change = np.nan_to_num(self.values[..., column] - still[..., column]).mean(axis=1)
        seen = np.interp(lengths[:, None] * AMOUNTS, self.distances, change)
        return np.asarray(seen @ AMOUNTS / np.square(AMOUNTS).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A line and how long a unit along it is.

    Attributes:
        line: The line.
        length: Of the vector.
        effects: What one unit does to each attribute, float64 (attributes,).
        spearman: Of its own attribute.
        score: What is kept is the line of the highest: effect, up to one unit, times Spearman, less what leaks.
    """

    line: Line
    length: float
    effects: Values
    spearman: float
    score: float

    @property
    def vector(self) -> Values:
        """float64 (z,)."""
        return self.length * self.line.direction


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A vector, and what it was measured to do.

    Attributes:
        probe: Of the attribute.
        vector: float32 (z,).
        method: As of a `Line`; with `+corrected` if what it did to others was measured and corrected.
        against: The attributes that it was made not to move.
        effect: Deviations that one unit moves the attribute by.
        spearman: How steadily.
        leakage: The largest |effect| on `against`; on all others if it was made to spare none.
        leaks_into: Which one.
        reached: Whether a unit is a deviation, and not as much as the decoder will do.
    """

    probe: Probe
    vector: Z
    method: str
    against: tuple[str, ...]
    effect: float
    spearman: float
    leakage: float
    leaks_into: str
    reached: bool

    def __str__(self) -> str:
        short = "" if self.reached else " (no length moves it by a whole deviation)"
        spared = f", leakage {self.leakage:.2f} into {self.leaks_into}" if self.leaks_into else ""
        found = f"{self.probe.name}: {self.method}, one unit moves it by {self.effect:.2f} deviations{short}"
        return f"{found}, Spearman {self.spearman:.2f}{spared}"


def fit_vectors(
    probes: Sequence[Probe],
    aggregate: AggregatePosterior,
    respond: Respond,
    starts: Z,
    *,
    against: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> list[Fitted]:
    """Vectors of attributes, each the best of four directions by what it does, as long as moves a deviation.

    The directions are the probe's normal whitened by the aggregate posterior, the difference of the outer quartiles'
    means (Roberts et al. 2018, section 5.3), and the normal as it is. Where an attribute is to be spared, its probe is
    made to read no change: d − M·Wᵀ(W·M·Wᵀ)⁻¹·W·d, W the probes of the spared and M the aggregate covariance (of the
    plain normal the identity). The fourth is the decoder's own: in the space that all these directions span, held-out
    items are moved at random, and the least move is taken that changes the attribute and not the spared ones, by the
    linear regression of what was decoded. What a vector then still does to them is measured, and corrected by the same
    regression.

    Args:
        probes: Of the attributes.
        aggregate: Of the model.
        respond: Decodes and measures the probes' attributes, in their order (see `effect.Respond`).
        starts: Held-out items, float32 (items, z).
        against: Of each attribute the names of those that it is to spare.
        seed: Of the random moves.
        tell: Is given a line on what is being done.

    Raises:
        DataError: A name in `against` has no probe, or a direction vanishes when others are spared.
    """
    names = [probe.name for probe in probes]
    spared = {name: tuple((against or {}).get(name, ())) for name in names}
    for name, others in spared.items():
        unknown = [other for other in others if other not in names or other == name]
        if unknown:
            known = ", ".join(other for other in names if other != name) or "none"
            raise DataError(f"{name} cannot be made to spare {unknown[0]!r}; fitted beside it are {known}")
    follow = _Follower(respond=respond, starts=starts, reach=reach_of(aggregate))
    response = _Response.learn(probes, aggregate, follow, np.random.default_rng((seed, 15)))
    best = []
    for number, probe in enumerate(probes):
        if tell is not None:
            tell(f"{number + 1}/{len(probes)} {probe.name}")
        columns = [names.index(other) for other in spared[probe.name]]
        lines = _directions(probe, [probes[column] for column in columns], aggregate)
        lines.append(("response", response.move([number, *columns], np.eye(1 + len(columns))[0])))
        found = [follow.along(direction, method, number, columns) for method, direction in lines]
        best.append(max(found, key=lambda one: one.score))
    for step in STEPS:
        for own, name in enumerate(names):
            columns = [names.index(other) for other in spared[name]]
            if columns:
                best[own] = _corrected(best[own], own, columns, step, follow, response)
    return [
        _fitted(probe, one, spared[probe.name], names, number, follow)
        for number, (probe, one) in enumerate(zip(probes, best, strict=True))
    ]


def reach_of(aggregate: AggregatePosterior) -> float:
    """How far two units may lead."""
    widest = float(np.sqrt(np.linalg.eigvalsh(aggregate.covariance)[-1]))
    return max(float(np.sqrt(np.trace(aggregate.covariance))), WIDEST * widest)


def _directions(probe: Probe, others: Sequence[Probe], aggregate: AggregatePosterior) -> list[tuple[str, Values]]:
    """The directions to try, with what the probes of others would see of them taken out."""
    tried = (
        ("normal", probe.normal, aggregate.covariance),
        ("quartiles", probe.quartiles, aggregate.covariance),
        ("probe", probe.weights, np.eye(len(probe.weights))),
    )
    found = []
    for method, direction, metric in tried:
        kept = _sparing(direction, np.array([other.weights for other in others]), metric) if others else direction
        before, after = (
            float(probe.weights @ one) / max(float(np.linalg.norm(one)), 1e-12) for one in (direction, kept)
        )
        if after > VANISHED * before:
            found.append((method, kept))
    if not found:
        named = ", ".join(other.name for other in others) or "anything"
        raise DataError(f"{probe.name} has no direction of its own beside {named}; leave one out of --against")
    return found


def _sparing(direction: Values, probes: Values, metric: Values) -> Values:
    """The direction less what changes the readings of probes (probes, z), along the metric's conjugates of them."""
    conjugate = metric @ probes.T
    kept: Values = direction - conjugate @ np.linalg.lstsq(probes @ conjugate, probes @ direction, rcond=None)[0]
    return kept


@dataclass(frozen=True, kw_only=True, eq=False)
class _Follower:
    """Follows lines through the decoder.

    Attributes:
        respond, starts: As of `fit_vectors`.
        reach: How far.
    """

    respond: Respond
    starts: Z
    reach: float

    @cached_property
    def still(self) -> Values:
        """What is measured where nothing is moved: (items, attributes)."""
        seen: Values = self.respond(np.asarray(self.starts, np.float32)[None])[0]
        return seen

    def along(self, direction: Values, method: str, own: int, columns: Sequence[int]) -> Found:
        """Measures a line and the unit on it; `own` and `columns` are the places of it and of the spared."""
        unit = direction / np.linalg.norm(direction)
        distances = self.reach * np.concatenate([-FRACTIONS[::-1], FRACTIONS])
        seen = moved(self.respond, self.starts, unit, distances)
        middle = len(FRACTIONS)
        line = Line(
            method=method,
            direction=unit,
            distances=np.insert(distances, middle, 0.0),
            values=np.insert(seen, middle, self.still, axis=0),
        )
        lengths = LENGTHS * self.reach
        length = _unit(lengths, line.moves(lengths, own))
        effects, _, steady = slopes(line.at(length), AMOUNTS)
        effects, spearman = np.nan_to_num(effects), float(np.nan_to_num(steady[own]))
        leakage = float(np.abs(effects[list(columns) or _others(len(effects), own)]).max(initial=0.0))
        excess = max(0.0, leakage - max(float(effects[own]), 0.0) / CLEAN)
        cost = leakage + EXCESS * excess if columns else UNASKED * leakage
        score = min(float(effects[own]), 1.0) * max(spearman, 0.0) - cost
        return Found(line=line, length=length, effects=effects, spearman=spearman, score=score)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Response:
    """What the decoder does, on average and to first order, in the space that the attributes' directions span.

    Attributes:
        basis: Orthonormal, float64 (axes, z).
        sizes: The data's deviation along each axis.
        slopes: Change of each attribute with a move along each axis, float64 (axes, attributes).
    """

    basis: Values
    sizes: Values
    slopes: Values

    @staticmethod
    def learn(
        probes: Sequence[Probe], aggregate: AggregatePosterior, follow: _Follower, rng: np.random.Generator
    ) -> _Response:
        """Moves every start at random, one deviation of the data along each axis, and regresses what changes."""
        spanning = np.array([one for probe in probes for one in (probe.normal, probe.quartiles, probe.weights)])
        spanning = spanning / np.maximum(np.linalg.norm(spanning, axis=1, keepdims=True), 1e-12)
        _, strength, axes = np.linalg.svd(spanning, full_matrices=False)
        basis = axes[strength > 1e-3 * strength[0]]
        sizes = np.sqrt(np.einsum("az,zy,ay->a", basis, aggregate.covariance, basis))
        moves = rng.standard_normal((NUDGES, len(follow.starts), len(basis)))
        seen = follow.respond((follow.starts + (moves * sizes) @ basis).astype(np.float32)) - follow.still
        changes = np.nan_to_num(seen).reshape(-1, len(probes))
        rows = moves.reshape(-1, len(basis))
        gram = rows.T @ rows + len(rows) * 1e-6 * np.eye(len(basis))
        slopes_of_axes = np.linalg.solve(gram, rows.T @ (changes - changes.mean(axis=0)))
        return _Response(basis=basis, sizes=sizes, slopes=np.asarray(slopes_of_axes))

    def move(self, columns: Sequence[int], changes: Values) -> Values:
        """The least move, in deviations of the data, that changes the attributes in `columns` by so much: (z,)."""
        group = self.slopes[:, list(columns)]
        products = group.T @ group
        floor = np.square(RESPONSE_DAMPING) * max(float(np.trace(products)) / len(products), 1e-12)
        found: Values = (
            group @ np.linalg.solve(products + floor * np.eye(len(products)), changes) * self.sizes
        ) @ self.basis
        return found


def _unit(lengths: Values, moves: Values) -> float:
    """The length at which one unit moves the attribute by 1; else the shortest that moves it about as much as any."""
    whole = np.flatnonzero(moves >= 1.0)
    if not len(whole):
        enough = ENOUGH * moves.max() if moves.max() > 0 else moves.max()
        return float(lengths[np.flatnonzero(moves >= enough)[0]])
    first = int(whole[0])
    if first == 0:
        return float(lengths[0] / moves[0])
    share = (1.0 - moves[first - 1]) / (moves[first] - moves[first - 1])
    return float(lengths[first - 1] + share * (lengths[first] - lengths[first - 1]))


def _others(count: int, own: int) -> list[int]:
    return [column for column in range(count) if column != own]


def _corrected(
    one: Found, own: int, columns: Sequence[int], step: float, follow: _Follower, response: _Response
) -> Found:
    """The vector with a move that undoes what it does to the spared attributes, if it is better for it."""
    direction = one.vector - step * response.move([own, *columns], np.append(0.0, one.effects[list(columns)]))
    method = one.line.method.removesuffix("+corrected") + "+corrected"
    tried = follow.along(direction, method, own, columns)
    return max(one, tried, key=lambda each: each.score)


def _fitted(
    probe: Probe, one: Found, against: tuple[str, ...], names: Sequence[str], own: int, follow: _Follower
) -> Fitted:
    """Measures what the vector does, at every amount and not between two."""
    effects, _, steady = slopes(moved(follow.respond, follow.starts, one.vector, AMOUNTS, follow.still), AMOUNTS)
    effects, columns = np.nan_to_num(effects), [names.index(other) for other in against] or _others(len(names), own)
    largest = max(columns, key=lambda column: abs(effects[column]), default=None)
    return Fitted(
        probe=probe,
        vector=one.vector.astype(np.float32),
        method=one.line.method,
        against=against,
        effect=float(effects[own]),
        spearman=float(np.nan_to_num(steady[own])),
        leakage=0.0 if largest is None else float(abs(effects[largest])),
        leaks_into="" if largest is None else names[largest],
        reached=bool(one.effects[own] >= 0.99),
    )
