"""Edit distances of many sequences to many others, 64 steps at a time.

The table of Levenshtein's distance differs by −1, 0 or 1 from cell to cell; a column of such differences is two bits a
row, and the next column comes of it by a dozen operations on whole words (Myers 1999; Hyyrö 2003 for more than a word).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.fingerprints import compared_parts, window_hashes
from seqvae.tokenizers import Alphabet, Tokens

WORD = 64
PAIRS = 1 << 15
"""So many at once: their words stay in a core's cache."""

_ONE, _TOP = np.uint64(1), np.uint64(WORD - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """Sequences of symbols.

    Attributes:
        symbols: Equal for equal steps, uint64 (n, longest).
        lengths: Steps that count, int64 (n,).
    """

    symbols: NDArray[np.uint64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: Any) -> Lines:
        """Some of them: a slice, or an array of row numbers."""
        return Lines(symbols=self.symbols[rows], lengths=self.lengths[rows])


def lines_of(items: Sequence[Tokens], alphabet: Alphabet) -> Lines:
    """Items (windows, time) or (windows, time, part), each as one line of the steps and parts that count.

    As `Model.distance` does: up to the end of sequences that end by themselves, without controls and numbers.
    """
    found = []
    for windows in items:
        steps: NDArray[Any] = windows
        if alphabet.shape:
            said = windows[..., compared_parts(alphabet)]
            steps = window_hashes(said.reshape(-1, said.shape[-1])).reshape(windows.shape[:2])
        counted = np.arange(windows.shape[1]) < alphabet.lengths(windows)[:, None]
        found.append(steps[counted].astype(np.uint64))
    lengths = np.array([len(line) for line in found], np.int64)
    symbols = np.zeros((len(found), int(lengths.max(initial=0))), np.uint64)
    for row, line in enumerate(found):
        symbols[row, : len(line)] = line
    return Lines(symbols=symbols, lengths=lengths)


def edit_matrix(a: Lines, b: Lines) -> NDArray[np.float64]:
    """Edits over the longer length, `latent.edit_distance` of every line of `a` to every line of `b`: float64 (a, b).

    Example:
        >>> lines = Lines(symbols=np.array([[5, 0, 7, 0], [5, 0, 0, 0]], np.uint64), lengths=np.array([4, 3]))
        >>> edit_matrix(lines, lines).tolist()
        [[0.0, 0.25], [0.25, 0.0]]
    """
    known, places = np.unique(np.concatenate([a.symbols.ravel(), b.symbols.ravel()]), return_inverse=True)
    left = places[: a.symbols.size].reshape(a.symbols.shape)
    right = places[a.symbols.size :].reshape(b.symbols.shape)
    edits = np.zeros((len(a), len(b)))
    rows = max(1, PAIRS // max(1, len(b)))
    for first in range(0, len(a), rows):
        some = slice(first, first + rows)
        edits[some] = _edits(_masks(left[some], a.lengths[some], len(known)), a.lengths[some], right, b.lengths)
    longer = np.maximum(a.lengths[:, None], b.lengths)
    return edits / np.maximum(longer, 1)


def _masks(symbols: NDArray[np.int64], lengths: NDArray[np.int64], size: int) -> NDArray[np.uint64]:
    """Where each symbol stands in each line, a bit a step: uint64 (words, n, size)."""
    count, steps = symbols.shape
    masks = np.zeros((max(1, -(-steps // WORD)), count, size), np.uint64)
    for step in range(steps):
        rows = np.flatnonzero(step < lengths)
        masks[step // WORD, rows, symbols[rows, step]] |= _ONE << np.uint64(step % WORD)
    return masks


def _edits(
    masks: NDArray[np.uint64], lengths: NDArray[np.int64], right: NDArray[np.int64], right_lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Edits from each line on the left, given by its masks, to each on the right (n, steps): int64 (left, right)."""
    words, count, _ = masks.shape
    # Where the column of the table grows by one from row to row, and where it shrinks: all of the first one grows.
    up = np.full((words, count, len(right)), ~np.uint64(0))
    down = np.zeros_like(up)
    inside = [_ones(lengths - word * WORD)[:, None] for word in range(words)]
    edits = np.broadcast_to(lengths[:, None], (count, len(right))).copy()  # of an empty line on the right
    for step in range(right.shape[1]):
        grown, shrunk = _ONE, np.uint64(0)  # of the row above: the topmost one grows by one a column
        for word in range(words):
            equal = masks[word][:, right[:, step]]
            vertical = equal | down[word]
            equal |= shrunk
            across = (((equal & up[word]) + up[word]) ^ up[word]) | equal
            grows = down[word] | ~(across | up[word])
            shrinks = up[word] & across
            carried = (grows >> _TOP, shrinks >> _TOP) if word + 1 < words else (_ONE, np.uint64(0))
            grows, shrinks = (grows << _ONE) | grown, (shrinks << _ONE) | shrunk
            up[word] = shrinks | ~(vertical | grows)
            down[word] = grows & vertical
            grown, shrunk = carried
        ended = np.flatnonzero(right_lengths == step + 1)
        if len(ended):  # the last row is the topmost one and all differences under it
            rises = [np.bitwise_count(up[word][:, ended] & inside[word]).astype(np.int64) for word in range(words)]
            falls = [np.bitwise_count(down[word][:, ended] & inside[word]).astype(np.int64) for word in range(words)]
            edits[:, ended] = step + 1 + sum(rises) - sum(falls)
    return edits


def _ones(counts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """So many low bits set, none to 64."""
    some = np.clip(counts, 0, WORD)
    return np.where(some == 0, np.uint64(0), ~np.uint64(0) >> (WORD - np.maximum(some, 1)).astype(np.uint64))
