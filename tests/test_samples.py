"""Prior samples and holes of the latent space, against closed forms and other ways to count; controls of paths."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
import scipy.stats

from seqvae.evaluate import holes, space
from seqvae.evaluate.bench import Bench

# -- holes -------------------------------------------------------------------------------------------------------------


def measured(means, stds, aggregate=None):
    """The figures of posteriors, float (n, z); the aggregate prior draws what is given."""
    size = means.shape[1]

    def draw(n, prior, seed):
        own = aggregate is not None and prior == "aggregate"
        return aggregate[:n] if own else np.random.default_rng(seed + 1).standard_normal((n, size))

    bench = Bench(
        model=SimpleNamespace(z_size=size, draw=draw),
        windows=np.zeros((len(means), 1), np.int64),
        means=means,
        stds=stds,
        split="test",
        seed=0,
        temperature=0.0,
    )
    holes.measure_holes(bench)
    return {figure.name: figure.value for figure in bench.figures}


def single_gaussian(n, mean, std):
    """n posteriors that are all N(mean, std² I), four numbers each."""
    return np.full((n, 4), mean), np.full((n, 4), std)


def test_density_agrees_with_the_mixture_written_out(monkeypatch):
    rng = np.random.default_rng(0)
    means, stds, z = rng.normal(size=(7, 3)), rng.uniform(0.1, 2.0, (7, 3)), rng.normal(size=(16, 3))
    each = scipy.stats.norm.logpdf(z[:, None], means, stds).sum(axis=-1)
    for row in range(16):
        each[row, row % 7] = -np.inf
    expected = scipy.special.logsumexp(each, axis=1) - math.log(6)
    np.testing.assert_allclose(holes.log_aggregate(z, means, stds), expected)
    monkeypatch.setattr(space, "PAIRS", 20)  # two rows at a time
    np.testing.assert_allclose(holes.log_aggregate(z, means, stds), expected)
    np.testing.assert_allclose(holes.log_normal(z), scipy.stats.norm.logpdf(z).sum(axis=1))


def test_where_q_is_the_prior_there_is_no_hole():
    found = measured(*single_gaussian(2000, 0.0, 1.0))
    assert found["normal_holes"] == pytest.approx(holes.HOLE, abs=0.012)
    assert found["normal_density_gap"] == pytest.approx(0.0, abs=0.1)
    assert found["reverse_marginal_kl"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("mean", "std"), [(0.7, 0.8), (0.0, 0.5), (0.3, 1.5)])
def test_where_q_is_one_gaussian_the_divergence_is_the_closed_form(mean, std):
    found = measured(*single_gaussian(2000, mean, std))
    squared = (1.0 + mean**2) / std**2
    kl = 4 * 0.5 * (squared - 1.0 + math.log(std**2))
    spread = 4 * squared / math.sqrt(2000)
    assert found["reverse_marginal_kl"] == pytest.approx(kl, abs=2 * spread)
    assert found["normal_density_gap"] == pytest.approx(4 * 0.5 * (squared - 1.0), abs=2 * spread)
    # ln q falls with the distance from the mean: below the percentile where |z − m|² / s² exceeds that of χ²(4).
    edge = scipy.stats.chi2.ppf(1 - holes.HOLE, 4) * std**2
    beyond = scipy.stats.ncx2.sf(edge, 4, 4 * mean**2) if mean else scipy.stats.chi2.sf(edge, 4)
    assert found["normal_holes"] == pytest.approx(beyond, abs=0.05)


def test_a_gap_between_two_clouds_is_a_hole():
    rng = np.random.default_rng(0)
    means = np.where(rng.random((2000, 1)) < 0.5, -2.0, 2.0)
    stds = np.full((2000, 1), 0.5)
    found = measured(means, stds, aggregate=rng.permutation(means) + stds * rng.standard_normal((2000, 1)))
    # The places within 2.576 deviations of either cloud hold 99 % of q, and of N(0, 1) what stands there.
    reach = 0.5 * scipy.stats.norm.ppf(1 - holes.HOLE / 2)
    outside = 1 - 2 * (scipy.stats.norm.cdf(2 + reach) - scipy.stats.norm.cdf(2 - reach))
    assert found["normal_holes"] == pytest.approx(outside, abs=0.04)
    assert found["aggregate_holes"] == pytest.approx(holes.HOLE, abs=0.01)
    words = holes.say_holes(found)
    assert words[0].startswith(f"{found['normal_holes']:.0%} of samples of the normal prior")
    assert "--prior aggregate" in words[0]
    assert "objective.beta" in words[0]


def test_draws_of_narrow_posteriors_are_not_helped_by_their_own():
    """Together they are N(0, I), so a prior sample is no worse off than a new item's draw."""
    rng = np.random.default_rng(0)
    means, stds = rng.standard_normal((600, 8)) * math.sqrt(1 - 0.2**2), np.full((600, 8), 0.2)
    found = measured(means, stds)
    assert found["normal_holes"] < 0.04
    assert abs(found["normal_density_gap"]) < 0.1 * found["reverse_marginal_kl"]
    assert holes.say_holes(found) == []


def test_the_aggregate_prior_is_not_advised_where_it_is_no_better():
    assert "--prior" not in holes.say_holes({"normal_holes": 0.5, "aggregate_holes": 0.4})[0]
    assert holes.say_holes({}) == []


def test_one_window_has_no_others_to_be_measured_against():
    assert measured(np.zeros((1, 2)), np.ones((1, 2))) == {}
    assert measured(np.zeros((5, 0)), np.ones((5, 0))) == {}
