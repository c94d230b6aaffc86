"""Chord symbols as words: one spelling of each, and what they become in other keys."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seqvae.chords import PITCH_CLASSES, Chord, parse_chord
from seqvae.errors import DataError

NO_CHORD = "N.C."
BAR = "|"

# Nearest key first, as in melodies: 0, +1, -1, … -5, +6.
SHIFTS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6)


@functools.lru_cache(maxsize=1 << 16)
def spell(word: str) -> str:
    """The one spelling of a chord: root, the nearest quality, bass if another. What is no chord stays as it is.

    >>> [spell(word) for word in ("A:min7/b3", "D#maj13", "A", "N", "|", "(2/4)")]
    ['Am7/C', 'Ebmaj7', 'A', 'N.C.', '|', '(2/4)']
    """
    try:
        chord = parse_chord(word)
    except DataError:
        return word
    return NO_CHORD if chord is None else _spelled(chord, 0)


def is_chord(word: str) -> bool:
    """Whether a word is a chord symbol, or says that there is none."""
    return spell(word) == NO_CHORD or _chord(word) is not None


def closed(counts: Mapping[str, int], limit: int) -> list[str]:
    """The commonest words, each chord in all twelve keys or in none: at most `limit`, the commonest first."""
    shapes: Counter[tuple[str, ...]] = Counter()
    for word, count in counts.items():
        shapes[tuple(sorted(set(in_all_keys(word))))] += count
    kept: list[str] = []
    for words, _ in sorted(shapes.items(), key=lambda shape: (-shape[1], shape[0])):
        if len(kept) + len(words) <= limit:
            kept += words
    return sorted(kept, key=lambda word: (-counts.get(word, 0), word))


@functools.lru_cache(maxsize=1 << 16)
def in_all_keys(word: str) -> tuple[str, ...]:
    """The word in each of `SHIFTS`; one that is no chord is the same in all."""
    chord = _chord(word)
    return tuple(word if chord is None else _spelled(chord, shift) for shift in SHIFTS)


def beside_key(text: str) -> str:
    """The text with its first chord moved to C and all others as far: the same for a progression in every key.

    >>> beside_key("| Dm G7") == beside_key("| Am D7")
    True
    """
    words = text.split()
    first = next(filter(None, map(_chord, words)), None)
    row = [shift % 12 for shift in SHIFTS].index(-first.root % 12) if first else 0
    return " ".join(in_all_keys(word)[row] for word in words)


def transpositions(vocabulary: Sequence[str], first: int, unknown: int) -> NDArray[np.int64]:
    """int64 (12, first + words): token → its token in each of `SHIFTS`; `unknown` where the vocabulary has it not."""
    index = {word: token for token, word in enumerate(vocabulary, first)}
    rows = np.tile(np.arange(first + len(vocabulary)), (len(SHIFTS), 1))
    for token, word in enumerate(vocabulary, first):
        rows[:, token] = [index.get(other, unknown) for other in in_all_keys(word)]
    return rows


def _chord(word: str) -> Chord | None:
    try:
        return parse_chord(word)
    except DataError:
        return None


def _spelled(chord: Chord, shift: int) -> str:
    root, bass = (PITCH_CLASSES[(tone + shift) % 12] for tone in (chord.root, chord.bass))
    return f"{root}{chord.quality}" + (f"/{bass}" if bass != root else "")
