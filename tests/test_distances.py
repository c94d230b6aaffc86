"""Edit distances of many to many: what the slow table says, whatever the lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds import KINDS, each_kind, random_tokens, untrained

from seqvae.distances import PAIRS, Lines, edit_matrix, lines_of
from seqvae.latent import edit_distance


def some_lines(count: int, steps: int, symbols: int, seed: int) -> Lines:
    rng = np.random.default_rng(seed)
    rows = rng.integers(symbols, size=(count, steps)).astype(np.uint64)
    return Lines(symbols=rows, lengths=rng.integers(steps + 1, size=count))


def slow(a: Lines, b: Lines) -> list[list[float]]:
    lines = [[lines.symbols[row, : lines.lengths[row]] for row in range(len(lines))] for lines in (a, b)]
    return [[edit_distance(left, right) for right in lines[1]] for left in lines[0]]


@given(
    st.sampled_from([1, 5, 63, 64, 65, 130]), st.sampled_from([0, 4, 64, 70]), st.integers(1, 5), st.integers(0, 10**6)
)
def test_it_is_the_distance_of_every_pair(left, right, symbols, seed):
    a, b = some_lines(4, left, symbols, seed), some_lines(3, right, symbols, seed + 1)
    assert edit_matrix(a, b).tolist() == slow(a, b)


@given(st.integers(0, 10**6))
def test_it_is_a_distance(seed):
    lines = some_lines(5, 9, 3, seed)
    found = edit_matrix(lines, lines)
    longer = np.maximum(lines.lengths[:, None], lines.lengths)
    edits = found * longer
    assert (found == found.T).all() and (np.diag(found) == 0).all()
    assert (edits[:, :, None] <= edits[:, None] + edits.T[None] + 1e-9).all()


def test_many_are_the_same_in_pieces():
    a, b = some_lines(70, 6, 4, 0), some_lines(PAIRS // 30, 6, 4, 1)
    assert (edit_matrix(a, b)[40] == edit_matrix(a[40:41], b)[0]).all()


def test_of_nothing_there_is_nothing():
    some, none = some_lines(3, 4, 2, 0), some_lines(3, 4, 2, 0)[:0]
    assert edit_matrix(some, none).shape == (3, 0) and edit_matrix(none, some).shape == (0, 3)


@each_kind
def test_items_are_compared_as_a_model_compares_them(kind):
    model, windows = untrained(kind)
    if not model.tokenizer.alphabet.judged.any():
        pytest.skip("a model of nothing but numbers counts its controls too")
    items = [windows[:1], windows[1:3], windows[3:4]]
    lines = lines_of(items, model.tokenizer.alphabet)
    wanted = [[model.distance(one, other) for other in items] for one in items]
    assert edit_matrix(lines, lines).tolist() == wanted


def test_velocities_are_not_compared_but_in_a_model_of_nothing_else():
    windows = np.stack([random_tokens(KINDS["groove"], seed) for seed in (0, 0)])
    windows[1, :, 9:] += windows[1, :, 9:] == 0
    played = [lines_of(list(windows[:, None]), KINDS[kind].alphabet) for kind in ("groove", "groove-humanize")]
    assert [bool(edit_matrix(lines, lines)[0, 1]) for lines in played] == [False, True]
