"""Prior samples and holes of the latent space, against closed forms and other ways to count; controls of paths."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from kinds import untrained
from tiny import PRESET, TUNES, melody, save_tiny, trained

from seqvae import head, load
from seqvae.checkpoint import SavedModel, save_model
from seqvae.cli.app import main
from seqvae.errors import ModelError
from seqvae.evaluate import holes, likelihood, report_card, samples, space
from seqvae.evaluate.bench import Bench
from seqvae.evaluate.interpolation import check_autoencoder
from seqvae.evaluate.ngram import Judge
from seqvae.loading import from_saved
from seqvae.tokenizers import MelodyTokenizer

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


# -- perplexities ------------------------------------------------------------------------------------------------------


def test_perplexities_are_of_equal_amounts(monkeypatch):
    """More samples than training items: the judge of samples learns from as many as that of the data."""
    model, windows = untrained("raw-characters")
    monkeypatch.setattr(samples, "SEED_CHECKS", 1)
    drawn = np.random.default_rng(0).permutation(np.tile(windows, (3, 1)))
    monkeypatch.setattr(likelihood, "free_running", lambda *_, **__: drawn)
    means, stds = model.posterior(windows)
    bench = Bench(
        model=model,
        windows=windows,
        means=means,
        stds=stds,
        split="test",
        seed=0,
        temperature=0.7,
        train=windows[:5],
    )
    samples.measure_samples(bench, len(drawn))
    found = {figure.name: figure for figure in bench.figures}
    five, train = (Judge.fit(some, bench.alphabet, np.random.default_rng(0)) for some in (drawn[:5], windows[:5]))
    assert found["normal_reverse_perplexity"].value == pytest.approx(five.perplexity(windows))
    assert found["data_reverse_perplexity"].value == pytest.approx(train.perplexity(windows))
    assert found["normal_forward_perplexity"].value == pytest.approx(train.perplexity(drawn))
    assert found["normal_forward_perplexity"].n == len(drawn)
    assert "temperature 0.7" in found["normal_forward_perplexity"].what
    assert "by 4-grams of 5 samples" in found["normal_reverse_perplexity"].what


# -- a plain autoencoder as a control of paths -------------------------------------------------------------------------


@functools.cache
def plain_autoencoder() -> SavedModel:
    """The tiny model, said to be one."""
    saved = trained()
    preset = replace(PRESET, name="plain", objective=replace(PRESET.objective, autoencoder=True))
    return replace(saved, name="plain", preset=preset)


SMALL = {"samples": 0, "iw_samples": 0, "pairs": 8}
PATHS = ("spearman", "middle_to_a", "middle_to_b", "largest_step", "distinct_steps", "exact_ends", "middle_cost")


def test_the_autoencoders_paths_are_those_of_the_same_pairs():
    """With the same weights every figure is the model's own; without it, no figure but its own is missing."""
    model, plain = from_saved(trained()), from_saved(plain_autoencoder())
    windows = np.stack([model.tokenizer.encode(melody(seed)) for seed in range(16)])
    card = report_card(model, windows, train_windows=windows[:8], autoencoder=plain, **SMALL)
    assert {name: card[f"autoencoder_{name}"] for name in PATHS} == {name: card[f"path_{name}"] for name in PATHS}
    without = report_card(model, windows, train_windows=windows[:8], **SMALL)
    assert [f for f in card.figures if not f.name.startswith("autoencoder_")] == list(without.figures)
    mixed = {name: np.roll(weight, 1, axis=-1) for name, weight in trained().weights.items()}
    other = from_saved(replace(plain_autoencoder(), weights=mixed))
    card = report_card(model, windows, train_windows=windows[:8], autoencoder=other, **SMALL)
    assert card["autoencoder_middle_to_a"] != card["path_middle_to_a"]
    assert card["path_middle_to_a"] == without["path_middle_to_a"]


def test_an_autoencoder_of_another_kind_is_refused_in_words():
    model = from_saved(trained())
    with pytest.raises(ModelError, match=r"tiny was not trained as a plain autoencoder; .*objective\.autoencoder=true"):
        check_autoencoder(model, model)
    short = replace(plain_autoencoder().preset, tokenizer=MelodyTokenizer(max_transpose=2))
    with pytest.raises(ModelError, match=r"another tokenizer than tiny \(tokenizer\.max_transpose\)"):
        check_autoencoder(model, replace(from_saved(plain_autoencoder()), preset=short))
    names, _ = untrained("raw-characters")
    with pytest.raises(ModelError, match=r"\(raw, not melody\)"):
        check_autoencoder(model, names)


def test_the_verb_sets_the_autoencoder_beside(tmp_path, capsys):
    tunes = [str(tune.save(tmp_path / f"{tune.name}.mid")) for tune in (TUNES[0], melody(9))]
    model, plain = save_tiny(tmp_path), save_model(tmp_path / "plain.safetensors", plain_autoencoder())
    asked = ["evaluate", *tunes, "--model", str(model), "--samples", "0", "--iw-samples", "0"]
    assert main([*asked, "--autoencoder", str(plain)]) == 0
    assert "plain autoencoder: " in capsys.readouterr().out
    assert main([*asked, "--autoencoder", str(model)]) == 1
    assert "was not trained as a plain autoencoder" in capsys.readouterr().err


# -- draws from large vocabularies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0, 30.0])
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_draws_from_a_large_vocabulary_are_those_of_the_whole_order(spread, temperature):
    """Flat and steep, with ties and tokens that are banned, at both ends of the uniform numbers too."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(spread * rng.standard_normal((300, 2000))).float()
    logits[:100] = logits[:100].round()  # many ties
    logits[50:150, rng.integers(2000, size=500)] = -torch.inf
    uniform = torch.from_numpy(rng.random(300, np.float32))
    uniform[:8], uniform[8:16] = 0.0, 1.0 - 2.0**-24
    drawn = head.draw(logits, uniform, temperature=temperature)
    assert drawn.tolist() == head._inverted(logits, uniform, temperature).tolist()
    _, sure = head._among_likeliest(logits, uniform, temperature)
    assert spread < 30.0 or bool(sure[150:].all())  # the steep ones need no order


def test_a_draw_at_the_edge_of_two_tokens_is_left_to_the_whole_order():
    logits = torch.full((3, 2000), -torch.inf)
    logits[:, 7] = logits[:, 3] = 0.0  # ½ each, in the order of the vocabulary
    uniform = torch.tensor([0.25, 0.5, 0.75])
    assert head.draw(logits, uniform, temperature=1.0).tolist() == [3, 7, 7]
    logits[:, 7] = math.log(2.0)  # ⅔ first, then ⅓
    assert head.draw(logits, uniform, temperature=1.0).tolist() == [7, 7, 3]


def test_a_bundled_models_samples_are_what_they_were(monkeypatch):
    captions = load("captions")
    assert captions.tokenizer.alphabet.largest >= head.WIDE
    drawn = captions.sample(12, temperature=1.0, seed=5)
    monkeypatch.setattr(head, "WIDE", 10**9)
    assert captions.sample(12, temperature=1.0, seed=5) == drawn
