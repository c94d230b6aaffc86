"""Conditions as people write them: `density=high`, `pitch>=60`, `density=2..3`, `key=C`, `genre=jazz`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqvae.errors import DataError

WORDS = ("high", "low", "middle")
"""What stands for a range that samples decide: the top quarter, the bottom quarter, and between them."""

FORMS = "NAME=high|low|middle, NAME=2..3, NAME>2, NAME<=2, NAME=2 or NAME=WORD"

_FORM = re.compile(r"(?P<name>(?:regex:.+?|[^=<>]+?))\s*(?P<sign>>=|<=|>|<|=)\s*(?P<value>[^=<>]*)", re.DOTALL)

Asked = Mapping[str, object] | Sequence["Where | str"] | str
"""Conditions in Python: `{"density": "high", "pitch": (60, 72)}`, `["density=high", "pitch>60"]` or one of these."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """One condition: an attribute, and a word or a range that it must be in.

    Attributes:
        attribute: Its name.
        word: One of `WORDS`, a key, or the value of a label; empty for a range.
        low, high: The range, both ends in it.
        above, below: The end `low`, or `high`, is itself not in the range.

    Example:
        >>> str(parse_where("density >= 2.0"))
        'density>=2'
    """

    attribute: str
    word: str = ""
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __str__(self) -> str:
        if self.word:
            return f"{self.attribute}={self.word}"
        if math.isinf(self.high):
            return f"{self.attribute}{'>' if self.above else '>='}{number(self.low)}"
        if math.isinf(self.low):
            return f"{self.attribute}{'<' if self.below else '<='}{number(self.high)}"
        both = (number(self.low), number(self.high))
        return f"{self.attribute}={both[0]}" if both[0] == both[1] else f"{self.attribute}={both[0]}..{both[1]}"


def parse_where(text: str) -> Where:
    """A condition from its text; `str` is the way back.

    Raises:
        DataError: It is of no such form, or its range is empty.

    >>> parse_where("density=2..3").high, parse_where("key=F#m").word
    (3.0, 'F#m')
    """
    match = _FORM.fullmatch(text.strip())
    name, sign, value = (
        ("", "", "") if match is None else (part.strip() for part in match.group("name", "sign", "value"))
    )
    if not (name and value):
        raise DataError(f"the condition {text!r} is of no form that is known; write {FORMS}")
    if sign == "=":
        low, dots, high = value.partition("..")
        if not dots:
            exact = _number(value)
            return Where(attribute=name, word=value) if exact is None else Where(attribute=name, low=exact, high=exact)
        ends = (_end(low, -math.inf), _end(high, math.inf))
        return _range(text, name, *ends)
    end = _number(value)
    if end is None:
        raise DataError(f"the condition {text!r} compares with {value!r}, which is no number; write {FORMS}")
    if sign.startswith(">"):
        return Where(attribute=name, low=end, above=sign == ">")
    return Where(attribute=name, high=end, below=sign == "<")


def wheres_of(asked: Asked) -> tuple[Where, ...]:
    """Conditions as they are asked for in Python; all must hold.

    A value is a word or a range as in text (`"high"`, `"2..3"`, `">2"`), a number, or a pair (low, high).

    Raises:
        DataError: There is none, or one is of no such form.

    >>> [str(where) for where in wheres_of({"density": ">2", "pitch": (60, 72)})]
    ['density>2', 'pitch=60..72']
    """
    if isinstance(asked, Mapping):
        found = tuple(_of_pair(name, value) for name, value in asked.items())
    else:
        each = [asked] if isinstance(asked, str) else asked
        found = tuple(one if isinstance(one, Where) else parse_where(one) for one in each)
    if not found:
        raise DataError("no condition is given; give one such as density=high")
    return found


def number(value: float) -> str:
    """A number as short as it can be read again.

    >>> number(2.0), number(0.1)
    ('2', '0.1')
    """
    return repr(float(value)).removesuffix(".0")


def _of_pair(name: str, value: object) -> Where:
    match value:
        case str():
            return parse_where(f"{name}{value}" if value.lstrip()[:1] in ("<", ">") else f"{name}={value}")
        case (int() | float() as low, int() | float() as high):
            return _range(f"{name}={low}..{high}", name, float(low), float(high))
        case int() | float():
            return parse_where(f"{name}={value}")
    raise DataError(f"the condition on {name} is {value!r}; give 'high', '2..3', '>2', a number or a pair (low, high)")


def _range(text: str, name: str, low: float | None, high: float | None) -> Where:
    if low is None or high is None or (math.isinf(low) and math.isinf(high)):
        raise DataError(f"the condition {text!r} is of no form that is known; write {FORMS}")
    if not low <= high:
        raise DataError(f"the condition {text!r} is an empty range; put the smaller number first")
    return Where(attribute=name, low=low, high=high)


def _end(text: str, none: float) -> float | None:
    """One end of a range: nothing for none."""
    return _number(text) if text.strip() else none


def _number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value + 0.0 if math.isfinite(value) else None
