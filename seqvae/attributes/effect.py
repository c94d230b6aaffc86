"""What vectors do when they are applied: how much each moves every attribute, how steadily, and what a random one does.

Everything is measured through the decoder: z + amount·v is decoded and the attributes of what comes out are taken.
Numbers are in deviations: (attribute − mean of the data) / standard deviation of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.latent import Z

Values = NDArray[np.float64]
Respond = Callable[[Z], Values]
"""z float32 (…, items, z) → the attributes of what is decoded, in deviations, float64 (…, items, attributes).

NaN where one is not defined, such as the mean pitch of silence. Item i is decoded under the controls of item i."""

AMOUNTS: Values = np.linspace(-2.0, 2.0, 9)
NORMAL_95 = 1.96
"""Standard errors on either side of a mean that hold it 95 times of 100."""


@dataclass(frozen=True, kw_only=True)
class VectorEffect:
    """What one vector does.

    Attributes:
        name: Of the vector.
        effect: Mean over items of the slope of its own attribute over the amount, in deviations a unit.
        interval: Half the width of the mean's 95 % interval.
        spearman: Mean over items of the rank correlation of amount and attribute; one that does not change counts 0.
        leakage: The largest |effect| on an attribute that it was made not to move; NaN of none.
        leaks_into: Which one that is.
        leakage_all: The largest |effect| on any other attribute; NaN if there is no other.
        leaks_into_all: Which one that is.
        control: The effect of a random direction of the same length on the vector's own attribute.
        control_interval: As `interval`, of the control.
        control_largest: The control's largest |effect| on any attribute.
        control_spearman: As `spearman`, of the control.
        length: |v|.
    """

    name: str
    effect: float
    interval: float
    spearman: float
    leakage: float
    leaks_into: str
    leakage_all: float
    leaks_into_all: str
    control: float
    control_interval: float
    control_largest: float
    control_spearman: float
    length: float

    @property
    def ratio(self) -> float:
        """The effect over the leakage into what it was made not to move; over any leakage if that is nothing."""
        leakage = self.leakage_all if np.isnan(self.leakage) else self.leakage
        return self.effect / leakage if leakage else float("inf")

    @property
    def ratio_all(self) -> float:
        """The effect over the largest leakage of all."""
        return self.effect / self.leakage_all if self.leakage_all else float("inf")


@dataclass(frozen=True, kw_only=True, eq=False)
class EffectReport:
    """What each vector of a model does to each attribute, beside a random direction of the same length.

    Attributes:
        names: Of the vectors; rows.
        attributes: What was measured; columns. The vectors' own attributes are among them.
        effects, intervals, spearmans: float64 (vectors, attributes): means over items of the slope and of the rank
            correlation, and half the widths of the slopes' 95 % intervals. NaN where an attribute was never defined.
        control_effects, control_intervals, control_spearmans: The same of a random direction of each one's length.
        against: What each vector was made not to move.
        lengths: |v| of each, float64 (vectors,).
        amounts: How often each was added.
        items: How many items were moved.
        seed: Of the random directions.
    """

    names: tuple[str, ...]
    attributes: tuple[str, ...]
    effects: Values
    intervals: Values
    spearmans: Values
    control_effects: Values
    control_intervals: Values
    control_spearmans: Values
    against: tuple[tuple[str, ...], ...]
    lengths: Values
    amounts: tuple[float, ...]
    items: int
    seed: int

    def of(self, name: str) -> VectorEffect:
        """One vector's row, summed up. Raises `DataError` if it was not measured."""
        if name not in self.names:
            raise DataError(f"the report has no vector {name!r}; it has {', '.join(self.names)}")
        row = self.names.index(name)
        own = self.attributes.index(name)
        avoided = [self.attributes.index(other) for other in self.against[row] if other in self.attributes]
        others = [column for column in range(len(self.attributes)) if column != own]
        leakage, leaks_into = self._largest(row, avoided)
        leakage_all, leaks_into_all = self._largest(row, others)
        control = np.abs(self.control_effects[row])
        return VectorEffect(
            name=name,
            effect=float(self.effects[row, own]),
            interval=float(self.intervals[row, own]),
            spearman=float(self.spearmans[row, own]),
            leakage=leakage,
            leaks_into=leaks_into,
            leakage_all=leakage_all,
            leaks_into_all=leaks_into_all,
            control=float(self.control_effects[row, own]),
            control_interval=float(self.control_intervals[row, own]),
            control_largest=float(np.nanmax(control)) if np.isfinite(control).any() else float("nan"),
            control_spearman=float(self.control_spearmans[row, own]),
            length=float(self.lengths[row]),
        )

    def _largest(self, row: int, columns: Sequence[int]) -> tuple[float, str]:
        sizes = np.abs(self.effects[row, columns])
        if not np.isfinite(sizes).any():
            return float("nan"), ""
        place = int(np.nanargmax(sizes))
        return float(sizes[place]), self.attributes[columns[place]]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what is not defined is null."""
        matrices = ("effects", "intervals", "spearmans", "control_effects", "control_intervals", "control_spearmans")
        rows = []
        for name, avoided in zip(self.names, self.against, strict=True):
            one = self.of(name)
            summed = {key: _plain(value) for key, value in vars(one).items()}
            rows.append({**summed, "ratio": _plain(one.ratio), "ratio_all": _plain(one.ratio_all), "against": avoided})
        return {
            "unit": "standard deviations of the data for one unit of the vector",
            "amounts": list(self.amounts),
            "items": self.items,
            "seed": self.seed,
            "attributes": list(self.attributes),
            "vectors": rows,
            **{name: [[_plain(value) for value in row] for row in getattr(self, name)] for name in matrices},
        }

    def table(self) -> str:
        """As text: the matrix with intervals, and after it a line on each vector."""
        width = max(len(name) for name in (*self.names, "random, for " + max(self.names, key=len, default="")))
        wide = [max(len(name), 11) for name in self.attributes]
        lines = ["effect of one unit, in deviations of the data, ± 95 % interval of the mean"]
        lines.append(" " * width + "".join(f"  {name:>{w}}" for name, w in zip(self.attributes, wide, strict=True)))
        blocks = (("", self.effects, self.intervals), ("random, for ", self.control_effects, self.control_intervals))
        for prefix, effects, intervals in blocks:
            for name, effect, interval in zip(self.names, effects, intervals, strict=True):
                cells = [f"{e:+.2f} ±{i:.2f}" for e, i in zip(effect, interval, strict=True)]
                lines.append(
                    f"{prefix + name:{width}}" + "".join(f"  {c:>{w}}" for c, w in zip(cells, wide, strict=True))
                )
        lines.append("")
        head = (
            f"{'vector':{width}}  effect  Spearman  leakage (of those it was made not to move)  ratio  of all  random"
        )
        lines.append(head)
        return "\n".join([*lines, *(self._line(name, width) for name in self.names)])

    def _line(self, name: str, width: int) -> str:
        one = self.of(name)
        into = "none named" if np.isnan(one.leakage) else f"{one.leakage:.2f} into {one.leaks_into}"
        all_ = "" if np.isnan(one.leakage_all) else f"{one.leakage_all:.2f} into {one.leaks_into_all}"
        ratio = "" if np.isnan(one.ratio) else f"{min(one.ratio, 999.0):.1f}"
        first = f"{name:{width}}  {one.effect:+6.2f}  {one.spearman:8.2f}  {into:44} {ratio:>5}"
        return f"{first}  {all_}  {one.control:+.2f}".rstrip()


def measure_effects(
    respond: Respond,
    z: Z,
    vectors: Mapping[str, Z],
    attributes: Sequence[str],
    *,
    against: Mapping[str, Sequence[str]] | None = None,
    amounts: Sequence[float] | Values = AMOUNTS,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> EffectReport:
    """Moves held-out items along each vector, and along a random direction of its length, and measures what changes.

    Of each item and attribute the least-squares slope over the amounts is taken, Σ a·(y − ȳ) / Σ a·(a − ā) of the
    amounts at which it is defined, and their mean over items.

    Args:
        respond: Decodes and measures (see `Respond`).
        z: Where items start, float32 (items, z).
        vectors: By name, (z,) each; each name is one of `attributes`.
        attributes: What `respond` measures, in its order.
        against: Of each vector the names of what it was made not to move.
        amounts: How often a vector is added.
        seed: Of the random directions.
        tell: Is given each vector's name when it is its turn.

    Raises:
        DataError: There are fewer than 2 items, or a vector's own attribute is not measured.

    Example:
        >>> weights = np.eye(2)
        >>> def respond(z):
        ...     return z @ weights.T
        >>> found = measure_effects(respond, np.zeros((3, 2), np.float32), {"a": np.array([1.0, 0.5])}, ["a", "b"])
        >>> found.effects.tolist()
        [[1.0, 0.5]]
    """
    if len(z) < 2:
        raise DataError(f"{len(z)} held-out items are too few to measure an effect on; give 2 or more, better 100")
    unknown = [name for name in vectors if name not in attributes]
    if unknown:
        raise DataError(f"{unknown[0]}: its attribute is not measured; measured are {', '.join(attributes)}")
    steps = np.asarray(amounts, np.float64)
    still = respond(np.asarray(z, np.float32)[None])[0] if (steps == 0).any() else None
    rng = np.random.default_rng((seed, 11))
    found = []
    for name, vector in vectors.items():
        if tell is not None:
            tell(name)
        direction = rng.standard_normal(len(vector))
        control = direction * np.linalg.norm(vector) / np.linalg.norm(direction)
        found += [slopes(moved(respond, z, one, steps, still), steps) for one in (np.asarray(vector), control)]
    shape = (len(vectors), 2, 3, len(attributes))
    stacked = np.array(found).reshape(shape)
    return EffectReport(
        names=tuple(vectors),
        attributes=tuple(attributes),
        effects=stacked[:, 0, 0],
        intervals=stacked[:, 0, 1],
        spearmans=stacked[:, 0, 2],
        control_effects=stacked[:, 1, 0],
        control_intervals=stacked[:, 1, 1],
        control_spearmans=stacked[:, 1, 2],
        against=tuple(tuple((against or {}).get(name, ())) for name in vectors),
        lengths=np.array([np.linalg.norm(vector) for vector in vectors.values()], np.float64),
        amounts=tuple(float(step) for step in steps),
        items=len(z),
        seed=seed,
    )


def moved(respond: Respond, z: Z, vector: NDArray[Any], amounts: Values, still: Values | None = None) -> Values:
    """What is measured at z + amount·vector: float64 (amounts, items, attributes). `still` is that at amount 0."""
    away = amounts[amounts != 0] if still is not None else amounts
    paths = np.asarray(z, np.float64) + away[:, None, None] * np.asarray(vector, np.float64)
    seen = respond(paths.astype(np.float32))
    if still is None:
        return seen
    values = np.empty((len(amounts), *still.shape))
    values[amounts != 0] = seen
    values[amounts == 0] = still
    return values


def slopes(values: Values, amounts: Values) -> tuple[Values, Values, Values]:
    """Mean slope, half its 95 % interval, mean Spearman over items: (amounts, items, attributes) → (attributes,)."""
    slope = item_slopes(values, amounts)
    known = np.isfinite(slope)
    count = known.sum(axis=0)
    total = np.where(known, slope, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total.sum(axis=0) / count
        variance = np.where(known, np.square(slope - mean), 0.0).sum(axis=0) / (count - 1)
        interval = NORMAL_95 * np.sqrt(variance / count)
        steady = np.where(known, item_spearmans(values, amounts), 0.0).sum(axis=0) / count
    return mean, np.nan_to_num(interval, nan=0.0), steady


def item_slopes(values: Values, amounts: Values) -> Values:
    """Least-squares slope over the amounts: (amounts, items, attributes) → (items, attributes).

    NaN where an attribute is defined at fewer than two amounts.
    """
    steps = np.broadcast_to(amounts[:, None, None], values.shape)
    known = np.isfinite(values)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = np.where(known, steps - np.where(known, steps, 0.0).sum(axis=0) / count, 0.0)
        slope: Values = (centred * np.where(known, values, 0.0)).sum(axis=0) / np.square(centred).sum(axis=0)
    return np.where(count > 1, slope, np.nan)


def item_spearmans(values: Values, amounts: Values) -> Values:
    """Rank correlation with the amount of each item and attribute, 0 where nothing changes: → (items, attributes)."""
    known = np.isfinite(values)
    steps = np.broadcast_to(amounts[:, None, None], values.shape)
    x, y = (_ranks(np.where(known, one, np.nan)) for one in (steps, values))
    x, y = (np.where(known, one - _mean(one, known), 0.0) for one in (x, y))
    norm = np.sqrt(np.square(x).sum(axis=0) * np.square(y).sum(axis=0))
    found: Values = np.where(norm > 0, (x * y).sum(axis=0) / np.where(norm > 0, norm, 1.0), 0.0)
    return found


def _ranks(values: Values) -> Values:
    """Ranks along the first axis, equal values at their mean rank; NaN has none that counts."""
    below = (values[:, None] > values[None]).sum(axis=1)
    equal = (values[:, None] == values[None]).sum(axis=1)
    return np.asarray(below + (equal - 1) / 2.0, np.float64)


def _plain(value: Any) -> Any:
    """For JSON: no numbers of numpy's, and null for what is not finite."""
    if isinstance(value, str):
        return value
    return float(value) if np.isfinite(value) else None


def _mean(values: Values, known: NDArray[np.bool_]) -> Values:
    return np.asarray(np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
