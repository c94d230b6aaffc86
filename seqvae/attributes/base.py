"""An attribute: something that can be measured on an item, as a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError


def _itself(item: Any) -> Any:
    return item


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A named measure.

    Attributes:
        name: As people type it.
        what: In words, with the unit in brackets.
        of: Measures a view of an item; NaN where the attribute is not defined, such as the mean pitch of silence.
        view: Of an item, what `of` looks at, such as its notes as plain lists. Attributes share it: it is made once.

    Example:
        >>> letters = Attribute(name="letters", what="length (letters)", of=len)
        >>> letters.measure("abc")
        3.0
    """

    name: str
    what: str
    of: Callable[[Any], float]
    view: Callable[[Any], Any] = _itself

    def measure(self, item: Any) -> float:
        """Of one item."""
        return float(self.of(self.view(item)))


def measured(attributes: Sequence[Attribute], items: Iterable[Any]) -> NDArray[np.float64]:
    """Every attribute of every item: float64 (items, attributes), NaN where one is not defined."""
    views = dict.fromkeys(attribute.view for attribute in attributes)
    rows = []
    for item in items:
        seen = {view: view(item) for view in views}
        rows.append([attribute.of(seen[attribute.view]) for attribute in attributes])
    return np.array(rows, np.float64).reshape(len(rows), len(attributes))


def ratio(part: Any, whole: Any) -> float:
    """part / whole, or NaN of nothing."""
    return float(part) / float(whole) if whole else float("nan")


MIN_SIDE = 8
"""So many items on each side tell what an attribute is: fewer say more of themselves than of it."""


def sides(values: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The items that have much of an attribute and those that have little: bool (items,) twice.

    The top and the bottom quarter, ties included; of less than 32 items the top and the bottom eight, of less than 16
    the halves. Where both limits are the same value, those above it against the rest, or, where none is above, against
    those below. An attribute of two values has each on one side. Items whose value is NaN are on neither.

    >>> high, low = sides(np.arange(100.0))
    >>> int(high.argmax()), int(low.sum())
    (75, 25)
    """
    known = np.isfinite(values)
    if not known.any():
        return known, known
    share = min(max(0.25, MIN_SIDE / known.sum()), 0.5)
    bottom, top = np.quantile(values[known], (share, 1 - share))
    smallest, largest = values[known].min(), values[known].max()
    with np.errstate(invalid="ignore"):
        if bottom < top:
            return values >= top, values <= bottom
        if top < largest:
            return values > top, values <= top
        return values >= top, (values < top) & (smallest < top)


def check_values(name: str, values: NDArray[np.float64], *, least: int = MIN_SIDE) -> None:
    """Raises `DataError` where an attribute's values float64 (items,) are too few or too alike to learn it from."""
    known = values[np.isfinite(values)]
    if len(known) and known.min() == known.max():
        found = f"{name}: is {known[0]:.4g} on all of {len(known):,} items"
        raise DataError(f"{found}, and something can be learned only where it varies; give other data")
    high, low = (int(side.sum()) for side in sides(values))
    if min(high, low) < least:
        found = f"{name}: {high:,} items have much of it and {low:,} little, of {len(known):,} where it is known"
        raise DataError(f"{found}; at least {least} on each side are needed: give more data")
