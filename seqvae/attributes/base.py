"""An attribute: something that can be measured on an item, as a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A named measure.

    Attributes:
        name: As people type it.
        what: In words, with the unit in brackets.
        measure: Of one item; NaN where the attribute is not defined, such as the mean pitch of silence.
    """

    name: str
    what: str
    measure: Callable[[Any], float]


def measured(attributes: Sequence[Attribute], items: Iterable[Any]) -> NDArray[np.float64]:
    """Every attribute of every item: float64 (items, attributes), NaN where one is not defined."""
    rows = [[attribute.measure(item) for attribute in attributes] for item in items]
    return np.array(rows, np.float64).reshape(len(rows), len(attributes))


def ratio(part: Any, whole: Any) -> float:
    """part / whole, or NaN of nothing."""
    return float(part) / float(whole) if whole else float("nan")
