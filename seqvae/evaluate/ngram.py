"""An n-gram model of tokens: a judge of sequences that has nothing to do with the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.tokenizers import Tokens


@dataclass(frozen=True, kw_only=True, eq=False)
class _Level:
    """Counts of one order: of contexts (sorted keys), of what followed them, and how many different tokens did."""

    contexts: NDArray[np.int64]
    context_counts: NDArray[np.float64]
    context_types: NDArray[np.float64]
    grams: NDArray[np.int64]
    gram_counts: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class NGram:
    """Witten-Bell interpolation (Chen and Goodman 1998, eq. 15): p(w|h) = (c(hw) + t(h)·p(w|h')) / (c(h) + t(h)),

    with h' the context h less its oldest token, t(h) the number of different tokens seen after h, and below the
    unigrams the uniform distribution.

    Example:
        >>> model = NGram.fit(np.array([[0, 1, 0, 1]]), vocab_size=2, order=2)
        >>> bool(model.nll(np.array([[0, 1, 0, 1]])) < model.nll(np.array([[1, 1, 1, 1]])))
        True
    """

    order: int
    vocab_size: int
    levels: tuple[_Level, ...]

    @staticmethod
    def fit(windows: NDArray[np.integer[Any]], vocab_size: int, order: int = 4) -> NGram:
        """Counts the n-grams of windows (n, time), each preceded by start symbols."""
        padded = _padded(windows, vocab_size, order)
        return NGram(
            order=order,
            vocab_size=vocab_size,
            levels=tuple(_count(*_keys(padded, vocab_size, order, used)) for used in range(order)),
        )

    def nll(self, tokens: Tokens) -> NDArray[np.float64]:
        """−ln p of each sequence in nats: (n, time) → float64 (n,)."""
        padded = _padded(tokens, self.vocab_size, self.order)
        probability = np.full(tokens.shape, 1.0 / self.vocab_size)
        for used, level in enumerate(self.levels):
            context, gram = _keys(padded, self.vocab_size, self.order, used)
            seen = _look_up(level.contexts, level.context_counts, context)
            types = _look_up(level.contexts, level.context_types, context)
            here = _look_up(level.grams, level.gram_counts, gram)
            with np.errstate(invalid="ignore"):
                known = (here + types * probability) / (seen + types)
            probability = np.where(seen > 0, known, probability)
        return np.asarray(-np.log(probability).sum(axis=1))


def _padded(windows: NDArray[np.integer[Any]], vocab_size: int, order: int) -> NDArray[np.int64]:
    start = np.full((len(windows), order - 1), vocab_size, np.int64)
    return np.concatenate([start, np.asarray(windows, np.int64)], axis=1)


def _keys(
    padded: NDArray[np.int64], vocab_size: int, order: int, used: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each position's context of `used` tokens, and the same with its token, as numbers: int64 (n, time) both."""
    base = vocab_size + 1
    time = padded.shape[1] - (order - 1)
    context = np.zeros((len(padded), time), np.int64)
    for back in range(used, 0, -1):
        context = context * base + padded[:, order - 1 - back : order - 1 - back + time]
    return context, context * base + padded[:, order - 1 :]


def _count(context: NDArray[np.int64], gram: NDArray[np.int64]) -> _Level:
    grams, first, gram_counts = np.unique(gram, return_index=True, return_counts=True)
    contexts, of_context, types = np.unique(context.ravel()[first], return_inverse=True, return_counts=True)
    return _Level(
        contexts=contexts,
        context_counts=np.bincount(of_context, weights=gram_counts).astype(np.float64),
        context_types=types.astype(np.float64),
        grams=grams,
        gram_counts=gram_counts.astype(np.float64),
    )


def _look_up(keys: NDArray[np.int64], values: NDArray[np.float64], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """The value of each wanted key, 0 where there is none."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0.0)
