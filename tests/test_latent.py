"""Paths, neighbours and the aggregate posterior: laws first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.latent import (
    AggregatePosterior,
    along,
    edit_distance,
    edit_distances,
    lerp,
    neighbours,
    slerp,
    surface,
    wander,
)

coordinates = st.floats(-8, 8, width=32)
sizes = st.integers(1, 6)


@st.composite
def ends(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two z of one shape, among them equal, zero, parallel and opposite ones."""
    shape = (draw(sizes),) if draw(st.booleans()) else (draw(st.integers(1, 3)), draw(sizes))
    a = draw(arrays(np.float32, shape, elements=coordinates))
    b = draw(arrays(np.float32, shape, elements=coordinates))
    factor = draw(st.sampled_from([None, 1.0, 2.0, -1.0, -0.5, 0.0]))
    return a, b if factor is None else (a * np.float32(factor))


laws = settings(max_examples=200, deadline=None)
grid_laws = settings(max_examples=60, deadline=None)
paths = pytest.mark.parametrize("path", [lerp, slerp])


@paths
@laws
@given(pair=ends(), steps=st.integers(2, 9))
def test_a_path_is_finite_and_ends_at_its_ends_exactly(path, pair, steps):
    a, b = pair
    z = path(a, b, steps)
    assert z.shape == (steps, *a.shape)
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    np.testing.assert_array_equal(z[0], a)
    np.testing.assert_array_equal(z[-1], b)


@paths
@laws
@given(pair=ends(), steps=st.integers(2, 9))
def test_the_way_back_is_the_way_there_reversed(path, pair, steps):
    a, b = pair
    np.testing.assert_allclose(path(b, a, steps)[::-1], path(a, b, steps), atol=1e-5)


@paths
@laws
@given(pair=ends(), steps=st.integers(2, 9))
def test_between_identical_ends_nothing_moves(path, pair, steps):
    a, _ = pair
    np.testing.assert_allclose(path(a, a.copy(), steps), np.broadcast_to(a, (steps, *a.shape)), rtol=1e-6, atol=1e-7)


@laws
@given(pair=ends(), steps=st.integers(2, 9))
def test_slerp_lengths_change_linearly(pair, steps):
    a, b = (np.atleast_2d(end) for end in pair)
    lengths = np.linalg.norm(slerp(a, b, steps), axis=-1)
    t = np.linspace(0, 1, steps)[:, None]
    expected = (1 - t) * np.linalg.norm(a, axis=-1) + t * np.linalg.norm(b, axis=-1)
    bent = np.ones(len(a), bool) if a.shape[-1] > 1 else (a * b >= 0)[:, 0]  # on a line, opposite ends meet at 0
    np.testing.assert_allclose(lengths[:, bent], expected[:, bent], rtol=1e-5, atol=1e-5)


@laws
@given(pair=ends(), steps=st.integers(2, 9))
def test_windows_travel_each_on_their_own(pair, steps):
    a, b = (np.atleast_2d(end) for end in pair)
    together = slerp(a, b, steps)
    for window in range(len(a)):
        np.testing.assert_array_equal(together[:, window], slerp(a[window], b[window], steps))


def test_slerp_turns_at_constant_speed():
    z = slerp(np.array([2.0, 0.0], np.float32), np.array([0.0, 2.0], np.float32), 4)
    np.testing.assert_allclose(np.degrees(np.arctan2(z[:, 1], z[:, 0])), [0, 30, 60, 90], atol=1e-4)


def test_slerp_equals_the_textbook_formula_on_equal_lengths():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 16))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    angle = np.arccos(a @ b / (a @ a))
    t = np.linspace(0, 1, 8)[:, None]
    expected = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    np.testing.assert_allclose(slerp(a, b, 8), expected, rtol=1e-5)


def test_slerp_between_opposite_ends_goes_round_the_origin():
    a = np.array([3.0, 0.5, 0.0], np.float32)
    middle = slerp(a, -a, 3)[1]
    np.testing.assert_allclose(np.linalg.norm(middle), np.linalg.norm(a), rtol=1e-6)
    assert abs(middle @ a) < 1e-5
    np.testing.assert_array_equal(slerp(a, -a, 3), slerp(a, -a, 3))


def test_slerp_barely_apart_or_barely_opposite_stays_smooth():
    a = np.array([1.0, 0.0, 0.0])
    for end in ([1.0, 1e-5, 0.0], [1.0, 1e-7, 0.0], [-1.0, 1e-5, 0.0], [-1.0, 1e-8, 0.0]):
        z = slerp(a, np.array(end), 9).astype(np.float64)
        np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-6)
        gaps = np.linalg.norm(np.diff(z, axis=0), axis=1)
        assert gaps.max() < 1.01 * gaps.min() + 1e-6


@paths
def test_a_path_of_one_step_or_of_two_shapes_is_refused(path):
    with pytest.raises(DataError, match="at least 2"):
        path(np.zeros(3), np.ones(3), 1)
    with pytest.raises(DataError, match=r"\(3,\) and \(4,\)"):
        path(np.zeros(3), np.ones(4), 5)


# -- paths through many points, grids ----------------------------------------------------------------------------------


@st.composite
def corner_points(draw: st.DrawFn, count: int = 4) -> list[NDArray[np.float32]]:
    """Points of one shape, among them equal, zero, parallel and opposite ones."""
    shape = (draw(sizes),) if draw(st.booleans()) else (draw(st.integers(1, 3)), draw(sizes))
    points = [draw(arrays(np.float32, shape, elements=coordinates))]
    for _ in range(count - 1):
        factor = draw(st.sampled_from([None, 1.0, 2.0, -1.0, -0.5, 0.0]))
        other = draw(arrays(np.float32, shape, elements=coordinates))
        points.append(other if factor is None else points[0] * np.float32(factor))
    return points


ways = pytest.mark.parametrize("straight", [False, True])


@ways
@grid_laws
@given(points=corner_points(3), steps=st.integers(2, 5))
def test_a_path_through_many_is_its_legs_one_after_another(straight, points, steps):
    legs, amounts = np.repeat([0, 1], steps), np.tile(np.linspace(0.0, 1.0, steps), 2)
    z = along(np.stack(points), legs, amounts, straight)
    path = lerp if straight else slerp
    np.testing.assert_array_equal(z[:steps], path(points[0], points[1], steps))
    np.testing.assert_array_equal(z[steps:], path(points[1], points[2], steps))


def test_a_place_beyond_a_path_is_refused():
    with pytest.raises(DataError, match="leg 1 of a path of 1"):
        along(np.zeros((2, 3)), np.array([1]), np.array([0.5]))
    with pytest.raises(DataError, match="2 points or more"):
        along(np.zeros((1, 3)), np.array([0]), np.array([0.5]))


@ways
@grid_laws
@given(points=corner_points(), rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_the_edges_of_a_grid_are_the_paths_between_its_corners(straight, points, rows, columns):
    a, b, c, d = points
    path = lerp if straight else slerp
    cells = surface(a, b, c, d, rows, columns, straight)
    assert cells.shape == (rows, columns, *a.shape)
    assert cells.dtype == np.float32
    assert np.isfinite(cells).all()
    np.testing.assert_array_equal(cells[0], path(a, b, columns))
    np.testing.assert_array_equal(cells[-1], path(c, d, columns))
    np.testing.assert_array_equal(cells[:, 0], path(a, c, rows))
    np.testing.assert_array_equal(cells[:, -1], path(b, d, rows))


@ways
@grid_laws
@given(points=corner_points(), rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_a_grid_over_its_diagonal_is_the_grid_of_the_corners_over_it(straight, points, rows, columns):
    a, b, c, d = points
    there, over = surface(a, b, c, d, rows, columns, straight), surface(a, c, b, d, columns, rows, straight)
    np.testing.assert_allclose(over.swapaxes(0, 1), there, rtol=1e-6, atol=1e-6)


@ways
@grid_laws
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_a_grid_upside_down_is_the_grid_of_the_corners_upside_down(straight, seed, rows, columns):
    a, b, c, d = np.random.default_rng(seed).standard_normal((4, 5)).astype(np.float32)
    there = surface(a, b, c, d, rows, columns, straight)
    np.testing.assert_allclose(surface(c, d, a, b, rows, columns, straight)[::-1], there, atol=1e-4)
    np.testing.assert_allclose(surface(b, a, d, c, rows, columns, straight)[:, ::-1], there, atol=1e-4)


@ways
@grid_laws
@given(points=corner_points(1), rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_a_grid_of_equal_corners_is_constant(straight, points, rows, columns):
    cells = surface(*points * 4, rows, columns, straight)
    np.testing.assert_allclose(cells, np.broadcast_to(points[0], cells.shape), rtol=1e-6, atol=1e-7)


@grid_laws
@given(seed=st.integers(0, 2**32 - 1))
def test_lengths_in_a_grid_are_bilinear(seed):
    corners = np.random.default_rng(seed).standard_normal((4, 6)).astype(np.float32)
    lengths = np.linalg.norm(surface(*corners, 4, 5), axis=-1)
    a, b, c, d = np.linalg.norm(corners, axis=-1)
    down, right = np.linspace(0, 1, 4)[:, None], np.linspace(0, 1, 5)
    expected = (1 - down) * ((1 - right) * a + right * b) + down * ((1 - right) * c + right * d)
    np.testing.assert_allclose(lengths, expected, rtol=1e-4)


def test_a_straight_grid_is_the_bilinear_patch():
    cells = surface(*np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0], [4.0, 6.0]]), 3, 3, straight=True)
    np.testing.assert_allclose(cells[1, 1], [2.0, 2.0])
    np.testing.assert_allclose(cells[1], [[0.0, 1.0], [2.0, 2.0], [4.0, 3.0]])


# -- walks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [0.1, 0.3, 0.9])
def test_a_walk_stays_where_the_data_are(stride):
    rng = np.random.default_rng(0)
    prior = AggregatePosterior(mean=np.array([3.0, -2.0]), covariance=np.array([[4.0, 1.0], [1.0, 0.5]]))
    start = prior.sample(40_000, rng)
    end = wander(start, 6, stride, rng, prior)[-1]
    np.testing.assert_allclose(end.mean(axis=0), prior.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(end.T), prior.covariance, atol=0.08)
    # The start is forgotten as (1 − stride²)^(k/2), k = 5 steps.
    kept = np.corrcoef(start[:, 0], end[:, 0])[0, 1]
    assert kept == pytest.approx((1 - stride**2) ** 2.5, abs=0.02)


def test_a_walk_comes_to_the_data_from_anywhere():
    prior = AggregatePosterior(mean=np.array([1.0]), covariance=np.array([[4.0]]))
    ends = wander(np.full((20_000, 1), 50.0, np.float32), 40, 0.5, np.random.default_rng(0), prior)[-1]
    # 49 · (1 − 0.25)^(39/2) = 0.18 of the start is left
    np.testing.assert_allclose(ends.mean(), 1.0 + 49.0 * 0.75**19.5, atol=0.06)
    np.testing.assert_allclose(ends.std(), 2.0, atol=0.05)


@given(z=arrays(np.float32, (2, 4), elements=coordinates), seed=st.integers(0, 99), stride=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_longer_walk_begins_as_a_shorter_one(z, seed, stride):
    short = wander(z, 3, stride, np.random.default_rng(seed))
    long = wander(z, 5, stride, np.random.default_rng(seed))
    np.testing.assert_array_equal(long[:3], short)
    np.testing.assert_array_equal(short[0], z)
    if not stride:
        np.testing.assert_array_equal(long, np.broadcast_to(z, long.shape))


@pytest.mark.parametrize(("steps", "stride"), [(0, 0.5), (3, -0.1), (3, 1.1), (3, float("nan"))])
def test_walks_of_no_step_and_strides_out_of_range_are_refused(steps, stride):
    with pytest.raises(DataError, match="walk"):
        wander(np.zeros(2), steps, stride, np.random.default_rng(0))


# -- neighbours --------------------------------------------------------------------------------------------------------


@given(z=arrays(np.float32, (2, 4), elements=coordinates), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_no_variation_is_the_item_itself(z, seed):
    prior = AggregatePosterior(mean=np.full(4, 0.1), covariance=np.diag([1.0, 2.0, 3.0, 4.0]))
    same = neighbours(z, 0.0, 3, np.random.default_rng(seed), prior)
    np.testing.assert_array_equal(same, np.broadcast_to(z, (3, 2, 4)))


def test_full_variation_is_a_draw_of_the_prior():
    prior = AggregatePosterior(mean=np.array([1.0, -1.0]), covariance=np.array([[2.0, 0.5], [0.5, 1.0]]))
    drawn = prior.sample(5, np.random.default_rng(3))
    far = np.array([100.0, 100.0], np.float32)
    np.testing.assert_allclose(neighbours(far, 1.0, 5, np.random.default_rng(3), prior), drawn, rtol=1e-6)


@pytest.mark.parametrize("amount", [0.2, 0.7, 1.0])
def test_neighbours_of_the_data_are_spread_as_the_data(amount):
    rng = np.random.default_rng(0)
    prior = AggregatePosterior(mean=np.array([3.0, -2.0]), covariance=np.array([[4.0, 1.0], [1.0, 0.5]]))
    varied = neighbours(prior.sample(40_000, rng), amount, 1, rng, prior)[0]
    np.testing.assert_allclose(varied.mean(axis=0), prior.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(varied.T), prior.covariance, atol=0.08)


def test_the_first_neighbours_do_not_depend_on_how_many_follow():
    z = np.ones((2, 3), np.float32)
    few = neighbours(z, 0.5, 2, np.random.default_rng(1))
    many = neighbours(z, 0.5, 9, np.random.default_rng(1))
    np.testing.assert_array_equal(few, many[:2])


@pytest.mark.parametrize(("amount", "n"), [(-0.1, 1), (1.1, 1), (float("nan"), 1), (0.5, 0)])
def test_amounts_and_counts_out_of_range_are_refused(amount, n):
    with pytest.raises(DataError):
        neighbours(np.zeros(2), amount, n, np.random.default_rng(0))


# -- the aggregate posterior -------------------------------------------------------------------------------------------


def test_fit_adds_the_widths_of_the_posteriors_to_the_spread_of_their_means():
    means = np.array([[0.0, 0.0], [2.0, 4.0]], np.float32)
    stds = np.array([[1.0, 0.5], [2.0, 0.5]], np.float32)
    fitted = AggregatePosterior.fit(means, stds)
    np.testing.assert_allclose(fitted.mean, [1.0, 2.0])
    # spread of the means [[1, 2], [2, 4]]; mean widths (1 + 4)/2 and (0.25 + 0.25)/2 on the diagonal
    np.testing.assert_allclose(fitted.covariance, [[3.5, 2.0], [2.0, 4.25]])


def test_fit_recovers_what_it_was_drawn_from():
    truth = AggregatePosterior(mean=np.array([1.0, 2.0]), covariance=np.array([[1.0, 0.3], [0.3, 0.5]]))
    drawn = truth.sample(50_000, np.random.default_rng(0))
    fitted = AggregatePosterior.fit(drawn, np.zeros_like(drawn))
    np.testing.assert_allclose(fitted.covariance, truth.covariance, atol=0.03)


def test_log_density_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    prior = AggregatePosterior(mean=np.array([1.0, 2.0]), covariance=np.array([[1.0, 0.3], [0.3, 0.5]]))
    z = np.random.default_rng(0).standard_normal((3, 5, 2)).astype(np.float32)
    expected = stats.multivariate_normal(prior.mean, prior.covariance).logpdf(z)
    np.testing.assert_allclose(prior.log_density(z), expected, rtol=1e-9)


def test_the_kl_from_a_posterior_is_the_mean_difference_of_log_densities():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    wide = AggregatePosterior(mean=rng.standard_normal(3), covariance=root @ root.T + np.eye(3))
    means, stds = rng.standard_normal((4, 3)), rng.uniform(0.2, 1.5, (4, 3))
    noise = rng.standard_normal((200_000, 1, 3))
    z = means + stds * noise
    own = (-0.5 * (noise**2 + np.log(2 * np.pi)) - np.log(stds)).sum(axis=-1)
    np.testing.assert_allclose(wide.kl_from(means, stds), (own - wide.log_density(z)).mean(axis=0), atol=0.02)
    plain = 0.5 * (means**2 + stds**2 - np.log(stds**2) - 1).sum(axis=1)
    np.testing.assert_allclose(AggregatePosterior.standard(3).kl_from(means, stds), plain, rtol=1e-12)
    exactly = AggregatePosterior(mean=means[0], covariance=np.diag(stds[0] ** 2))
    np.testing.assert_allclose(exactly.kl_from(means[:1], stds[:1]), 0.0, atol=1e-12)


def test_fewer_items_than_dimensions_still_give_samples():
    means = np.random.default_rng(0).standard_normal((3, 10)).astype(np.float32)
    fitted = AggregatePosterior.fit(means, np.zeros_like(means))
    drawn = fitted.sample(2000, np.random.default_rng(1))
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(np.cov(drawn.T), fitted.covariance, atol=0.15)


def test_all_items_equal_still_give_samples():
    fitted = AggregatePosterior.fit(np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32))
    np.testing.assert_allclose(fitted.sample(5, np.random.default_rng(0)), 1.0, atol=1e-4)


def test_one_item_is_too_few_to_fit():
    with pytest.raises(DataError, match="2 or more"):
        AggregatePosterior.fit(np.zeros((1, 3)), np.ones((1, 3)))


# -- edit distance -----------------------------------------------------------------------------------------------------


def slow_edit_distance(a: list[int], b: list[int]) -> int:
    """Levenshtein by the recursion of its definition, memoised: the oracle."""
    table = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            replaced = table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, replaced)
    return table[len(a), len(b)]


sequences = st.lists(st.integers(0, 3), max_size=9)


@given(a=sequences, b=sequences)
@settings(max_examples=300, deadline=None)
def test_edit_distance_is_levenshteins(a, b):
    found = edit_distance(np.array(a, np.int64), np.array(b, np.int64))
    assert found == slow_edit_distance(a, b) / max(len(a), len(b), 1)
    assert found == edit_distance(np.array(b, np.int64), np.array(a, np.int64))


@given(pairs=st.lists(st.tuples(sequences.filter(bool), sequences.filter(bool)), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_edit_distances_of_many_are_those_of_each(pairs):
    sides = [np.full((len(pairs), 10), -1) for _ in range(2)]
    for row, pair in enumerate(pairs):
        for side, symbols in zip(sides, pair, strict=True):
            side[row, : len(symbols)] = symbols
    lengths = [np.array([len(pair[side]) for pair in pairs]) for side in range(2)]
    expected = [edit_distance(np.array(a), np.array(b)) for a, b in pairs]
    np.testing.assert_array_equal(edit_distances(*sides, *lengths), expected)


def test_edit_distance_of_parts_compares_whole_steps():
    a = np.array([[1, 2], [3, 4], [5, 6]])
    assert edit_distance(a, np.array([[1, 2], [3, 9], [5, 6]])) == pytest.approx(1 / 3)
