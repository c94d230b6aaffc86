"""What can be measured on texts and raw sequences: one function an attribute, with its formula."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import Attribute, ratio
from seqvae.errors import DataError
from seqvae.texts import quoted
from seqvae.tokenizers.words import split_words

REGEX = "regex:"
"""What the name of an attribute begins with that counts matches of a regular expression."""


def words_of(text: str) -> list[str]:
    """The words of a text, marks of punctuation aside.

    >>> words_of("It's 3.5 m (or so).")
    ["It's", '3.5', 'm', 'or', 'so']
    """
    return [word for word in split_words(text) if any(map(str.isalnum, word))]


def count(parts: Sequence[str]) -> float:
    """How many there are: n."""
    return float(len(parts))


def mean_letters(words: Sequence[str]) -> float:
    """Mean length of a word in characters: Σ |w| / n. NaN without words."""
    return ratio(sum(map(len, words)), len(words))


def distinct(parts: Sequence[str]) -> float:
    """Different ones over all, the type-token ratio: |set| / n. 1 where none repeats, NaN where there is none."""
    return ratio(len(set(parts)), len(parts))


def mean_value(row: NDArray[np.int64]) -> float:
    """Mean of the integers: Σ x / n; of an image how dark it is."""
    return ratio(row.sum(), row.size)


def value_spread(row: NDArray[np.int64]) -> float:
    """Standard deviation of the integers: √(Σ (x − x̄)² / n)."""
    return float(row.std()) if row.size else float("nan")


def filled(row: NDArray[np.int64]) -> float:
    """Share of the integers that are not 0, which is the ground of an image."""
    return ratio(np.count_nonzero(row), row.size)


def matches(pattern: str, show: Callable[[object], str]) -> Attribute:
    """How often a regular expression occurs: the number of its matches that do not overlap; empty ones do not count.

    Capitals count as such unless it begins with (?i).

    Raises:
        DataError: It is no regular expression, or empty.

    >>> matches("[aeiou]", str).measure("a banana")
    4.0
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        found = f"{REGEX}{pattern}: is no regular expression ({error})"
        raise DataError(
            f"{found}; write one of Python's, such as {REGEX}[aeiou], and \\ before ( ) [ ] . * + ?"
        ) from None
    if not pattern:
        raise DataError(f"{REGEX}: nothing stands behind the colon; write an expression, such as {REGEX}[aeiou]")

    def found_in(text: str) -> float:
        return float(sum(match.end() > match.start() for match in compiled.finditer(text)))

    return Attribute(name=REGEX + pattern, what=f"matches of {quoted(pattern)}", of=found_in, view=show)


WORDS = (
    Attribute(name="length", what="length (words)", of=count, view=words_of),
    Attribute(name="word-length", what="mean word length (characters)", of=mean_letters, view=words_of),
    Attribute(name="distinct", what="different words (share)", of=distinct, view=words_of),
)
"""Of texts."""

INTEGERS = (
    Attribute(name="mean", what="mean of the integers", of=mean_value),
    Attribute(name="spread", what="deviation of the integers", of=value_spread),
    Attribute(name="filled", what="integers that are not 0 (share)", of=filled),
)
"""Of rows of integers."""


def symbols(unit: str, split: Callable[[str], Sequence[str]]) -> tuple[Attribute, ...]:
    """Of lines of symbols, which are called so and are told apart by `split`."""
    return (
        Attribute(name="length", what=f"length ({unit})", of=count, view=split),
        Attribute(name="distinct", what=f"different {unit} (share)", of=distinct, view=split),
    )
