"""What a condition asks of items: how it is read from them, and between which ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes import Attribute, attribute_named, attributes_of, measured
from seqvae.attributes.base import sides
from seqvae.attributes.labels import Labelled
from seqvae.attributes.probe import Column, fit_probe, is_binary
from seqvae.attributes.tonality import key_of
from seqvae.constraint.where import WORDS, Where
from seqvae.errors import DataError
from seqvae.keys import key_name, parse_key
from seqvae.latent import Z
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

Values = NDArray[np.float64]

KEY = "key"


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Real items: what is realistic, where quarters lie, and what labels mean.

    Attributes:
        tokens: Windows of the model's kind, int64 (n, time) or (n, time, part).
        labels: What is known of them, each of n values.
        name: What they are, in words.
    """

    tokens: Tokens
    labels: Sequence[Labelled] = ()
    name: str = "the data"


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A number that is read from z, where there is nothing to measure on the item: of a label.

    The item is encoded, and its number is `mean + deviation · (weights·z + offset)`: a linear probe of real items.
    """

    weights: Values
    offset: float
    mean: float
    deviation: float

    def of(self, z: Z) -> Values:
        """float32 (n, z) → float64 (n,)."""
        read: Values = self.mean + self.deviation * (np.asarray(z, np.float64) @ self.weights + self.offset)
        return read


@dataclass(frozen=True, kw_only=True, eq=False)
class Condition:
    """What is asked of items.

    Attributes:
        where: As it was asked for.
        what: What is measured, in words with the unit.
        attribute: Measures an item; None where a label is read from its z instead.
        reading: Reads the label.
        yes_no: Whether it is a matter of yes (1) and no (0), such as a key.
        low, high, above, below: The range, as in `Where`.
    """

    where: Where
    what: str
    attribute: Attribute | None = None
    reading: Reading | None = field(default=None, repr=False)
    yes_no: bool = False
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    @property
    def relative(self) -> bool:
        """Whether its range is one that items decide: high, low or middle."""
        return self.where.word in WORDS and not self.yes_no

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """Of which items, whose values are float64 (n,), it is true; not of those that have none (NaN)."""
        with np.errstate(invalid="ignore"):
            enough = values > self.low if self.above else values >= self.low
            not_much = values < self.high if self.below else values <= self.high
            found: NDArray[np.bool_] = enough & not_much & np.isfinite(values)
        return found

    def describe(self) -> str:
        """In words, with the range: `density=high (onsets per beat >= 1.75)`."""
        if self.yes_no:
            return str(self.where)
        ends = replace(self.where, word="", attribute=f"{self.what} ")
        ends = replace(ends, low=_round(self.low), high=_round(self.high), above=self.above, below=self.below)
        return f"{self.where} ({ends})"

    def settled(self, values: Values, name: str) -> Condition:
        """Its range, where it is high, low or middle: of `values` float64 (n,), which are those of `name`.

        Raises:
            DataError: The values are all alike, or nothing lies between the quarters.
        """
        if not self.relative:
            return self
        known = values[np.isfinite(values)]
        if not len(known) or known.min() == known.max():
            found = f"is {known[0]:g} in all {len(known):,}" if len(known) else "is known of none"
            raise DataError(f"{self.where}: {self.what} {found} of {name}; choose another attribute, or a range")
        top, bottom = sides(values)
        if self.where.word == "high":
            return replace(self, low=float(values[top].min()))
        if self.where.word == "low":
            return replace(self, high=float(values[bottom].max()))
        low, high = float(values[bottom].max()), float(values[top].min())
        if not ((known > low) & (known < high)).any():
            found = f"no value lies between the bottom quarter (to {low:g}) and the top (from {high:g}) of {name}"
            raise DataError(f"{self.where}: {found}; give a range such as {self.where.attribute}={low:g}..{high:g}")
        return replace(self, low=low, high=high, above=True, below=True)


def read_values(conditions: Sequence[Condition], model: Model, items: Sequence[Any], z: Z | None = None) -> Values:
    """What every condition looks at in every item: float64 (items, conditions), NaN where it is not defined.

    Args:
        conditions: Of the model's kind.
        model: Encodes the items, where labels are read.
        items: As `Model.decode` gives them.
        z: Their posterior means, float32 (items, z), where they are known already.
    """
    found = np.full((len(items), len(conditions)), np.nan)
    seen = [index for index, one in enumerate(conditions) if one.attribute is not None]
    found[:, seen] = measured([one.attribute for one in conditions if one.attribute is not None], items)
    for index, one in enumerate(conditions):
        if one.reading is not None and len(items):
            found[:, index] = one.reading.of(z if z is not None else encoded(model, items))
    return found


def encoded(model: Model, items: Sequence[Any]) -> Z:
    """Posterior means of items as they sound, float32 (items, z): of several windows their mean."""
    return np.stack([model.passage(item, re_encode=True).z.mean(axis=0) for item in items])


def conditions_of(model: Model, wheres: Sequence[Where], examples: Examples | None) -> tuple[Condition, ...]:
    """How each condition is read from items of the model's kind.

    A name is that of a label of the examples, the key, an attribute of the model's kind, or a label that the model
    file holds a vector of: the first that there is.

    Raises:
        DataError: There is no such attribute or label, it has no such value, or it cannot be read from z.
    """
    return tuple(_condition(model, where, examples) for where in wheres)


def _condition(model: Model, where: Where, examples: Examples | None) -> Condition:
    labels = {label.name: label for label in examples.labels} if examples else {}
    words = [name for name in labels if name.startswith(f"{where.attribute}=")]
    if where.attribute in labels or words:
        return _of_label(model, where, labels, words, examples)
    if where.attribute == KEY and "diatonic" in attributes_of(model.tokenizer):
        return _of_key(where)
    stored = [name for name in (str(where), where.attribute) if name in model.attributes]
    try:
        attribute = attribute_named(model.tokenizer, where.attribute)
    except DataError as error:
        if stored:
            vector = model.attributes[stored[0]]
            reading = Reading(
                weights=vector.probe.astype(np.float64),
                offset=vector.offset,
                mean=vector.mean,
                deviation=vector.deviation,
            )
            return _with_reading(where, reading, vector.what, yes_no=stored[0] != where.attribute)
        also = f"; {KEY} can be asked for too" if "diatonic" in attributes_of(model.tokenizer) else ""
        raise DataError(f"{where}: {error}{also}; of labels give the table with --labels") from None
    return _numeric(where, attribute.what, attribute=attribute)


def _of_key(where: Where) -> Condition:
    if not where.word or where.word in WORDS:
        raise DataError(f"{where}: a key is asked for by its name, such as {KEY}=C or {KEY}=F#m")
    token = parse_key(where.word)
    attribute = Attribute(name=KEY, what=f"key is {key_name(token)}", of=lambda clip: float(key_of(clip) == token))
    return Condition(where=where, what=attribute.what, attribute=attribute, yes_no=True, low=0.5)


def _numeric(where: Where, what: str, **read: Any) -> Condition:
    """A condition on a number: a range, or one that items decide."""
    if where.word and where.word not in WORDS:
        name = where.attribute
        found = f"{where}: {what} is a number and {where.word!r} is none"
        raise DataError(f"{found}; write {name}=high, {name}=low, {name}=middle or a range such as {name}=2..3")
    return Condition(
        where=where, what=what, low=where.low, high=where.high, above=where.above, below=where.below, **read
    )


def _with_reading(where: Where, reading: Reading, what: str, *, yes_no: bool) -> Condition:
    if yes_no:
        return Condition(where=where, what=what, reading=reading, low=0.5)
    return _numeric(where, what, reading=reading)


def _of_label(
    model: Model, where: Where, labels: dict[str, Labelled], words: list[str], examples: Examples | None
) -> Condition:
    """A label is read from the item's z by a probe of the examples; raises `DataError` where that is little use."""
    assert examples is not None
    label = labels.get(f"{where.attribute}={where.word}") if words else labels[where.attribute]
    if label is None:
        values = ", ".join(name.partition("=")[2] for name in words)
        raise DataError(f"{where}: the label {where.attribute} has the values {values}; ask for one of them")
    z, _ = model.posterior(examples.tokens)
    check_readable(where, model, label, z)
    return _with_reading(where, _reading(model, label, z, slice(None)), label.what, yes_no=bool(words))


LEAST_BALANCED = 0.6
"""A label of yes and no must be read rightly so often on either side, on average; a coin does in half of them."""


FOLDS = 5


def check_readable(where: Where, model: Model, label: Labelled, z: Z) -> float:
    """How often a label is read rightly on items that it was not fitted on, the mean of both sides; NaN of a number.

    By cross-validation: each fifth of the items is read by a probe of the others.

    Raises:
        DataError: Hardly more often than by a coin.
    """
    known = np.flatnonzero(np.isfinite(label.values))
    if not is_binary(label.values[known]):
        return math.nan
    order = known[np.random.default_rng(13).permutation(len(known))]
    right: dict[bool, list[bool]] = {True: [], False: []}
    for fold in range(FOLDS):
        test, train = (
            order[fold::FOLDS],
            np.concatenate([order[other::FOLDS] for other in range(FOLDS) if other != fold]),
        )
        reading = _reading(model, label, z, train)
        for truth, said in zip(label.values[test] > 0.5, reading.of(z[test]) >= 0.5, strict=True):
            right[bool(truth)].append(bool(said == truth))
    share = float(np.mean([np.mean(found) for found in right.values()]))
    if share < LEAST_BALANCED:
        found = f"{where}: {model.name} tells {label.name} from the rest in {share:.0%} of items, and a coin in 50%"
        raise DataError(f"{found}; its z does not hold this label: choose another, or give more items")
    return share


def _reading(model: Model, label: Labelled, z: Z, rows: NDArray[np.int64] | slice) -> Reading:
    """A linear probe of some items, float32 (items, z). Raises `DataError` where they are too few or all alike."""
    column = Column(name=label.name, what=label.what, values=label.values[rows])
    probe = fit_probe(column, z[rows], model.aggregate)
    return Reading(weights=probe.weights, offset=probe.offset, mean=probe.mean, deviation=probe.deviation)


def _round(value: float) -> float:
    """Four digits, for people."""
    return float(f"{value:.4g}")


def in_words(conditions: Sequence[Condition]) -> str:
    """All of them: `density=high and key=C`."""
    return " and ".join(str(one.where) for one in conditions)
