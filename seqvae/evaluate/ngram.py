"""An n-gram model of tokens: a judge of sequences that has nothing to do with the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.tokenizers import Alphabet, Tokens

MOST_STEPS = 1_600_000  # a judge learns from so many; more would change little and take long


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
    def fit(
        windows: NDArray[np.integer[Any]], vocab_size: int, order: int = 4, counted: NDArray[np.bool_] | None = None
    ) -> NGram:
        """Counts the n-grams of windows (n, time), each preceded by start symbols; those that end where `counted`."""
        padded = _padded(windows, vocab_size, order)
        rows = slice(None) if counted is None else counted
        keys = [_keys(padded, vocab_size, order, used) for used in range(order)]
        return NGram(
            order=order,
            vocab_size=vocab_size,
            levels=tuple(_count(context[rows], gram[rows]) for context, gram in keys),
        )

    def nll(self, tokens: Tokens, counted: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """−ln p of each sequence in nats: (n, time) → float64 (n,), summed over the steps `counted` (all)."""
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
        cost = -np.log(probability)
        return np.asarray((cost if counted is None else cost * counted).sum(axis=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """n-gram models of the parts of a kind of sequence, one each: their costs are summed.

    So it judges each part's course in time and not how parts sound together: n-grams of whole steps would nearly all
    be new. Controls and numbers are left out; an end token counts, what stands after it does not.
    """

    alphabet: Alphabet
    models: dict[int, NGram]

    @staticmethod
    def fit(
        windows: NDArray[np.integer[Any]], alphabet: Alphabet, rng: np.random.Generator, most_steps: int = MOST_STEPS
    ) -> Judge:
        """From windows (n, time) or (n, time, part); of many, `rng` draws as many as have `most_steps` steps."""
        order = rng.permutation(len(windows))
        steps = np.cumsum(alphabet.lengths(windows)[order])
        some = np.sort(order[: max(1, int(np.searchsorted(steps, most_steps, side="right")))])
        tokens = np.asarray(windows[some])
        counted = alphabet.counted(tokens)
        found = {}
        for index in np.flatnonzero(alphabet.judged):
            part = _part(alphabet, int(index))
            found[int(index)] = NGram.fit(tokens[part], alphabet.parts[index].size, counted=counted[part])
        return Judge(alphabet=alphabet, models=found)

    def nll(self, tokens: Tokens) -> NDArray[np.float64]:
        """−ln p of each sequence in nats: (n, time) or (n, time, part) → float64 (n,)."""
        counted = self.alphabet.counted(tokens)
        total = np.zeros(len(tokens))
        for index, model in self.models.items():
            part = _part(self.alphabet, index)
            total += model.nll(tokens[part], counted[part])
        return total

    def perplexity(self, tokens: Tokens) -> float:
        """exp of the nats a step, the end token among the steps."""
        return float(np.exp(self.nll(tokens).sum() / self.alphabet.lengths(tokens).sum()))


def _part(alphabet: Alphabet, index: int) -> tuple[Any, ...]:
    return (..., index) if alphabet.shape else (...,)


def _padded(windows: NDArray[np.integer[Any]], vocab_size: int, order: int) -> NDArray[np.int64]:
    start = np.full((len(windows), order - 1), vocab_size, np.int64)
    return np.concatenate([start, np.asarray(windows, np.int64)], axis=1)


def _keys(
    padded: NDArray[np.int64], vocab_size: int, order: int, used: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each position's context of `used` tokens, and the same with its token, as numbers: int64 (n, time) both."""
    base = vocab_size + 1  # of more than 55,000 tokens a 4-gram's number may overflow, which a table of keys survives
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
