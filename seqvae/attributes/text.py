"""What can be measured on texts and raw sequences: one function an attribute, with its formula."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import Attribute, ratio
from seqvae.chords import Chord, parse_chord
from seqvae.errors import DataError
from seqvae.texts import quoted
from seqvae.tokenizers.chordwords import BAR
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


# -- chord progressions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Progression:
    """The chords of a text, rests and repeat signs aside, and how many bars it has."""

    chords: list[Chord]
    bars: int


def progression_of(text: str) -> Progression:
    """The view of a progression that is measured here.

    >>> [len(progression_of("C Am7 | . N.C. F").chords), progression_of("C | F").bars]
    [3, 2]
    """
    words = text.split()
    bars = sum(any(word != BAR for word in group) for _, group in groupby(words, key=BAR.__eq__))
    return Progression(chords=[chord for chord in map(_chord, words) if chord is not None], bars=bars)


@functools.lru_cache(maxsize=1 << 12)
def _chord(word: str) -> Chord | None:
    try:
        return parse_chord(word)
    except DataError:
        return None


def chord_count(progression: Progression) -> float:
    """How many chords there are: n."""
    return float(len(progression.chords))


def chords_a_bar(progression: Progression) -> float:
    """Chords a bar: n / bars."""
    return ratio(len(progression.chords), progression.bars)


def distinct_chords(progression: Progression) -> float:
    """Different chords over all: |{(root, quality)}| / n."""
    found = {(chord.root, chord.quality) for chord in progression.chords}
    return ratio(len(found), len(progression.chords))


def minor_share(progression: Progression) -> float:
    """Share of the chords with a minor third and no major one."""
    return ratio(sum(3 in c.intervals and 4 not in c.intervals for c in progression.chords), len(progression.chords))


def rich_share(progression: Progression) -> float:
    """Share of the chords with four tones or more, such as sevenths and sixths."""
    rich = sum(len({interval % 12 for interval in chord.intervals}) > 3 for chord in progression.chords)
    return ratio(rich, len(progression.chords))


# -- rows of integers --------------------------------------------------------------------------------------------------


def mean_value(row: NDArray[np.int64]) -> float:
    """Mean of the integers: Σ x / n; of an image how dark it is."""
    return ratio(row.sum(), row.size)


def value_spread(row: NDArray[np.int64]) -> float:
    """Standard deviation of the integers: √(Σ (x − x̄)² / n)."""
    return float(row.std()) if row.size else float("nan")


def filled(row: NDArray[np.int64]) -> float:
    """Share of the integers that are not 0, which is the ground of an image."""
    return ratio(np.count_nonzero(row), row.size)


# -- what there is -----------------------------------------------------------------------------------------------------


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

PROGRESSIONS = (
    Attribute(name="length", what="length (chords)", of=chord_count, view=progression_of),
    Attribute(name="density", what="chords a bar", of=chords_a_bar, view=progression_of),
    Attribute(name="distinct", what="different chords (share)", of=distinct_chords, view=progression_of),
    Attribute(name="minor", what="minor chords (share)", of=minor_share, view=progression_of),
    Attribute(name="rich", what="chords of four tones or more (share)", of=rich_share, view=progression_of),
)
"""Of texts that are chord progressions."""

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
