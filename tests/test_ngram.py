"""The judge of sequences against Kneser-Ney by dictionaries, and what it reads of each kind."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.evaluate.ngram import USUAL_DISCOUNTS, Judge, NGram, _discounts
from seqvae.tokenizers import Alphabet, Part

fast = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)

ENDED = Alphabet(parts=(Part("word", 4),), end=0)
BAND = Alphabet(
    parts=(
        Part("chord", 3, given=True),
        Part("melody", 4),
        Part("kick", 2),
        Part("kick velocity", 9, gate=2),
    )
)
START = "start"


def slow_kneser_ney(windows, vocab_size, order):
    """p(token | context) from dictionaries, by the recursion of Chen and Goodman (1998)."""
    times = [Counter() for _ in range(order)]
    for window in windows:
        padded = [START, *window]
        for at in range(1, len(padded)):
            for used in range(min(order - 1, at) + 1):
                times[used][tuple(padded[at - used : at + 1])] += 1
    counts = []
    for used in range(order):
        counts.append(dict(times[used]))
        if used < order - 1:
            preceded = Counter(gram[1:] for gram in times[used + 1])
            counts[used] = {gram: n if gram[0] == START else preceded[gram] for gram, n in times[used].items()}
    discounts = [(0.0, *_discounts(np.array(list(level.values())))) for level in counts]

    def probability(token, context):
        shorter = probability(token, context[1:]) if context else 1 / vocab_size
        level, discount = counts[len(context)], discounts[len(context)]
        seen = [level.get((*context, other), 0) for other in range(vocab_size)]
        if not any(seen):
            return shorter
        taken = [discount[min(n, 3)] for n in seen]
        return (seen[token] - taken[token] + sum(taken) * shorter) / sum(seen)

    return probability


def slow_nll(windows, tokens, vocab_size, order):
    """Of each sequence, lists of any length."""
    probability = slow_kneser_ney(windows, vocab_size, order)
    found = []
    for row in tokens:
        padded = [START, *row]
        contexts = [tuple(padded[max(0, at + 2 - order) : at + 1]) for at in range(len(row))]
        found.append(-sum(math.log(probability(w, c)) for w, c in zip(row, contexts, strict=True)))
        assert sum(probability(w, contexts[-1]) for w in range(vocab_size)) == pytest.approx(1.0)
    return found


def up_to_end(row):
    return [*itertools.takewhile(lambda token: token != 0, row), *([0] if 0 in row else [])]


@fast
@given(seeds, st.integers(1, 4), st.sampled_from([2, 3, 5, 40]))
def test_ngrams_agree_with_the_recursion_and_sum_to_one(seed, order, vocab_size):
    rng = np.random.default_rng(seed)
    share = 1.0 / np.arange(1, vocab_size + 1)  # words of many counts, as in a language
    windows, tokens = (rng.choice(vocab_size, (n, 7), p=share / share.sum()) for n in (30, 3))
    expected = slow_nll(windows.tolist(), tokens.tolist(), vocab_size, order)
    np.testing.assert_allclose(NGram.fit(windows, vocab_size, order).nll(tokens), expected, rtol=1e-9)


def test_discounts_worked_by_hand():
    counts = np.array([1] * 4 + [2] * 2 + [3, 4, 9])
    # Y = 4 / (4 + 2·2) = ½: D1 = 1 − 2·½·2/4, D2 = 2 − 3·½·1/2, D3+ = 3 − 4·½·1/1.
    assert _discounts(counts) == (0.5, 1.25, 1.0)
    assert _discounts(np.array([1, 1, 2, 5])) == USUAL_DISCOUNTS  # nothing occurs three times
    assert _discounts(np.array([1, 2, 3, 3, 3, 4])) == USUAL_DISCOUNTS  # 2 − 3·⅓·3 would be below 0


def test_what_follows_many_tokens_is_likelier_in_a_new_place_than_what_follows_one():
    """Kneser and Ney's own example: "Francisco" is frequent, but only after "San"."""
    san, francisco, glass, a, b, c, new = range(7)
    windows = np.array([[san, francisco]] * 6 + [[a, glass], [b, glass], [c, glass]])
    model = NGram.fit(windows, 7, order=2)
    after_new = model.nll(np.array([[new, francisco], [new, glass]]))
    assert after_new[0] > after_new[1]
    assert np.diff(model.nll(np.array([[san, francisco], [san, glass]])))[0] > 0


@fast
@given(seeds)
def test_a_judge_of_words_reads_up_to_the_end_and_no_further(seed):
    rng = np.random.default_rng(seed)
    windows, tokens = rng.integers(0, 4, (6, 5)), rng.integers(0, 4, (3, 5))
    expected = slow_nll([up_to_end(row) for row in windows.tolist()], [up_to_end(row) for row in tokens.tolist()], 4, 4)
    judge = Judge.fit(windows, ENDED, rng)
    np.testing.assert_allclose(judge.nll(tokens), expected, rtol=1e-9)
    steps = sum(len(up_to_end(row)) for row in tokens.tolist())
    assert judge.perplexity(tokens) == pytest.approx(math.exp(sum(expected) / steps))


def test_a_judge_of_parts_sums_them_and_passes_controls_and_numbers_over():
    rng = np.random.default_rng(0)
    windows, tokens = (np.stack([rng.integers(part.size, size=(n, 5)) for part in BAND.parts], axis=-1) for n in (6, 3))
    alone = [NGram.fit(windows[..., index], BAND.parts[index].size).nll(tokens[..., index]) for index in (1, 2)]
    judge = Judge.fit(windows, BAND, rng)
    np.testing.assert_allclose(judge.nll(tokens), sum(alone))
    other = tokens.copy()
    other[..., 0], other[..., 3] = 0, 0
    np.testing.assert_allclose(judge.nll(other), judge.nll(tokens))


def test_a_judge_learns_from_as_many_windows_as_it_may():
    windows = np.arange(400).reshape(100, 4)
    judge = Judge.fit(windows, Alphabet(parts=(Part("word", 400),)), np.random.default_rng(0), most_steps=40)
    assert len(judge.models[0].levels[0].grams) == 40
