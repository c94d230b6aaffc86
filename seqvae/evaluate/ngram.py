"""An n-gram model of tokens: a judge of sequences that has nothing to do with the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.tokenizers import Alphabet, Tokens

MOST_STEPS = 1_600_000  # a judge learns from so many; more would change little and take long

USUAL_DISCOUNTS = (0.5, 1.0, 1.5)
"""Of counts 1, 2, and 3 and more, where too few n-grams are rare to estimate them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Level:
    """One order: contexts (sorted keys) and the share each leaves to shorter ones, n-grams and their own shares."""

    contexts: NDArray[np.int64]
    left: NDArray[np.float64]
    grams: NDArray[np.int64]
    shares: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class NGram:
    """Interpolated modified Kneser-Ney (Chen and Goodman 1998, section 3): p(w|h) = (c(hw) − D) / c(h) + γ(h)·p(w|h'),

    with h' the context h less its oldest token, D a discount for a count of 1, of 2, and of 3 and more, γ(h) what the
    discounts leave, and below the unigrams the uniform distribution. Below the longest contexts c(hw) is not how often
    hw occurs but after how many different tokens it does; at the start of a sequence, where nothing stands before it,
    how often. Trigrams of the Penn Treebank have a test perplexity of 148.3 with end tokens, SRILM's figure (Mikolov
    2012, table 4.1).

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
        """Counts the n-grams of windows (n, time), each preceded by a start symbol; those that end where `counted`."""
        padded = _padded(windows, vocab_size, order)
        where = np.ones(windows.shape, bool) if counted is None else counted
        steps = np.broadcast_to(np.arange(windows.shape[1]), windows.shape)
        levels: list[_Level] = []
        longer = None  # of each n-gram one token longer, the n-gram that it ends with
        for used in reversed(range(order)):
            rows = where & (steps >= _first_step(used))
            context, gram = (keys[rows] for keys in _keys(padded, vocab_size, order, used))
            grams, first, times = np.unique(gram, return_index=True, return_counts=True)
            counts = times
            if longer is not None:
                opening = steps[rows][first] == used - 1  # a start symbol and what follows
                counts = np.where(opening, times, np.bincount(np.searchsorted(grams, longer), minlength=len(grams)))
            levels.append(_level(context[first], grams, counts))
            if used:
                _, shorter = _keys(padded, vocab_size, order, used - 1)
                longer = shorter[rows][first]
        return NGram(order=order, vocab_size=vocab_size, levels=tuple(reversed(levels)))

    def nll(self, tokens: Tokens, counted: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """−ln p of each sequence in nats: (n, time) → float64 (n,), summed over the steps `counted` (all)."""
        padded = _padded(tokens, self.vocab_size, self.order)
        probability = np.full(tokens.shape, 1.0 / self.vocab_size)
        for used, level in enumerate(self.levels):
            steps = slice(_first_step(used), None)
            context, gram = (keys[:, steps] for keys in _keys(padded, self.vocab_size, self.order, used))
            left = _look_up(level.contexts, level.left, context, 1.0)
            probability[:, steps] = _look_up(level.grams, level.shares, gram, 0.0) + left * probability[:, steps]
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


def _first_step(used: int) -> int:
    """The first step whose context of `used` tokens has no more than one start symbol: more say nothing more."""
    return max(0, used - 1)


def _level(context: NDArray[np.int64], grams: NDArray[np.int64], counts: NDArray[np.int64]) -> _Level:
    """From the counts of n-grams, sorted, and the context of each."""
    taken = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]
    contexts, of_gram = np.unique(context, return_inverse=True)
    totals = np.bincount(of_gram, weights=counts)
    return _Level(
        contexts=contexts,
        left=np.bincount(of_gram, weights=taken) / totals,
        grams=grams,
        shares=(counts - taken) / totals[of_gram],
    )


def _discounts(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Of counts 1, 2, and 3 and more, by how many n-grams have a count of 1, 2, 3 and 4."""
    have = [int((counts == count).sum()) for count in range(1, 5)]
    if not all(have):
        return USUAL_DISCOUNTS
    once = have[0] / (have[0] + 2 * have[1])
    found = tuple(count - (count + 1) * once * have[count] / have[count - 1] for count in (1, 2, 3))
    return found if all(0.0 < discount <= count for count, discount in enumerate(found, 1)) else USUAL_DISCOUNTS


def _look_up(
    keys: NDArray[np.int64], values: NDArray[np.float64], wanted: NDArray[np.int64], otherwise: float
) -> NDArray[np.float64]:
    """The value of each wanted key."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], otherwise)
