"""Importance-weighted likelihoods against quadrature, Monte Carlo and the plain way; and how they are computed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer

from seqvae.cli.evaluate import _count_or_all
from seqvae.cli.gather import gather
from seqvae.config import ModelSettings
from seqvae.evaluate import card, likelihood, scoring, space
from seqvae.latent import AggregatePosterior
from seqvae.tokenizers import Alphabet, Part, TextTokenizer
from seqvae.vae import SequenceVAE

WORDS = Alphabet(parts=(Part("word", 40),), end=0)
STEPS = 9


def a_model(alphabet=WORDS, seed=0, **settings):
    """A network with weights large enough that z and the past matter."""
    chosen = {"embedding_size": 12, "encoder_size": 4, "z_size": 3, "decoder_sizes": (16,), "readout_size": 5}
    torch.manual_seed(seed)
    vae = SequenceVAE(alphabet, STEPS, ModelSettings(**{**chosen, **settings})).requires_grad_(False)
    for weight in vae.decoder.parameters():
        weight.mul_(1.5)
    tokenizer = SimpleNamespace(length=STEPS, alphabet=alphabet)
    return SimpleNamespace(vae=vae, device=torch.device("cpu"), tokenizer=tokenizer)


def sentences(alphabet, count, seed=0):
    """Random tokens, each row with its end and zeros after it."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, alphabet.parts[0].size, (count, STEPS))
    tokens[np.arange(STEPS) >= rng.integers(0, STEPS + 1, count)[:, None]] = 0
    return tokens


def scored(model, z, tokens, dtype=torch.float32):
    with torch.inference_mode():
        lengths = torch.from_numpy(model.tokenizer.alphabet.lengths(tokens))
        scorer = scoring.Scorer(model.vae.decoder, dtype)
        return scorer.nll(torch.from_numpy(z), torch.from_numpy(tokens), lengths).numpy()


@pytest.mark.parametrize(
    "settings",
    [
        {"readout": "shared"},
        {"readout": "positional"},
        {"readout": "shared", "tied": True},
        {"decoder_sizes": (16, 8), "mapping_size": 6},
    ],
    ids=["shared", "positional", "tied", "layers"],
)
def test_many_z_of_a_sequence_are_scored_as_each_alone(settings, monkeypatch):
    monkeypatch.setattr(scoring, "OUTPUTS", 40 * 7)  # several rounds, the last one short
    model, tokens = a_model(**settings), sentences(WORDS, 6)
    z = np.random.default_rng(1).standard_normal((6, 5, 3)).astype(np.float32)
    alone = likelihood.teacher_forced(model, z.reshape(30, 3), np.repeat(tokens, 5, axis=0)).nll
    np.testing.assert_allclose(scored(model, z, tokens), alone.reshape(6, 5), rtol=1e-5)


def test_rounded_products_move_a_likelihood_less_than_the_fiftieth_of_a_nat():
    alphabet = Alphabet(parts=(Part("word", 1200),), end=0)
    model = a_model(alphabet, readout="shared", tied=True, embedding_size=64, decoder_sizes=(64,))
    tokens = sentences(alphabet, 200)
    z = np.random.default_rng(1).standard_normal((200, 4, 3)).astype(np.float32)
    plain, rounded = (scored(model, z, tokens, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert not np.array_equal(plain, rounded)
    assert plain.std() > 1.0
    assert abs((rounded - plain).mean()) < 0.02
    assert np.abs(rounded - plain).mean() < 0.05


def test_a_certain_token_costs_nothing_even_rounded():
    """The true token's output stands in numerator and sum alike: its rounding must not show."""
    model = a_model()
    model.vae.decoder.output.bias[5] = 100.3
    tokens = np.full((1, STEPS), 5)
    z = np.zeros((1, 2, 3), np.float32)
    np.testing.assert_allclose(scored(model, z, tokens, torch.bfloat16), 0.0, atol=1e-6)


def test_the_share_that_is_done_is_told():
    model, tokens = a_model(), sentences(WORDS, 20)
    told = []
    means, stds = np.zeros((2, 20, 3), np.float32)
    rng = np.random.default_rng(0)
    likelihood.iw_nll(model, tokens, means, stds + 1, samples=300, rng=rng, watch=told.append)
    assert len(told) == 20
    assert max(told) == 1.0


def test_an_item_has_its_bound_whatever_stands_beside_it_and_however_it_is_cut(monkeypatch):
    model, tokens = a_model(), sentences(WORDS, 12)
    means = np.random.default_rng(2).standard_normal((12, 3)).astype(np.float32)
    stds = np.full((12, 3), 0.5, np.float32)
    whole = likelihood.iw_nll(model, tokens, means, stds, samples=30, rng=np.random.default_rng(0))
    for rows in (7, 30, 100):
        monkeypatch.setattr(likelihood, "ROWS", rows)
        found = likelihood.iw_nll(model, tokens, means, stds, samples=30, rng=np.random.default_rng(0))
        np.testing.assert_allclose(found, whole, rtol=1e-5)
    first = likelihood.iw_nll(model, tokens[:1], means[:1], stds[:1], samples=30, rng=np.random.default_rng(0))
    np.testing.assert_allclose(first, whole[:1], rtol=1e-5)


# -- against quadrature ------------------------------------------------------------------------------------------------


GRID = np.linspace(-7.0, 7.0, 1401, dtype=np.float32)


def exact_nll(model, tokens):
    """−ln ∫ p(x|z) N(z; 0, 1) dz of each item by the sum over a fine grid of a one-dimensional z."""
    log_prior = -0.5 * (np.float64(GRID) ** 2 + np.log(2 * np.pi)) + np.log(GRID[1] - GRID[0])
    places = np.broadcast_to(GRID[None, :, None], (len(tokens), len(GRID), 1))
    return -likelihood.log_sum_exp(log_prior - scored(model, np.ascontiguousarray(places), tokens), axis=1)


def test_a_prior_is_worth_the_same_as_a_network_that_reads_a_moved_z():
    """p(x|z) under N(m, s²) is p(x|m + s·u) under N(0, 1): the bounds of both are one number for each draw."""
    model, tokens = a_model(z_size=1, seed=3), sentences(WORDS, 24)
    moved = a_model(z_size=1, seed=3)
    for layer in (moved.vae.decoder.start, moved.vae.decoder.readout):
        layer.bias.add_(1.5 * layer.weight[:, 0])
        layer.weight.mul_(0.5)
    means, stds = np.full((24, 1), 1.2, np.float32), np.full((24, 1), 0.6, np.float32)
    there = (np.float32(means - 1.5) / np.float32(0.5), stds / np.float32(0.5))
    priors = [AggregatePosterior.standard(1), AggregatePosterior(mean=np.array([1.5]), covariance=np.array([[0.25]]))]
    common = {"samples": 30, "rng": np.random.default_rng(0)}
    found = likelihood.iw_bounds(model, tokens, means, stds, priors=priors, **common)
    common["rng"] = np.random.default_rng(0)
    np.testing.assert_allclose(found[1], likelihood.iw_nll(moved, tokens, *there, **common), rtol=1e-4)
    common["rng"] = np.random.default_rng(0)
    np.testing.assert_allclose(found[0], likelihood.iw_nll(model, tokens, means, stds, **common), rtol=1e-9)
    assert abs(found[0].mean() - found[1].mean()) > 0.05


def test_the_bound_of_a_network_is_above_the_exact_likelihood_and_closes_in_on_it():
    model, tokens = a_model(z_size=1, seed=3), sentences(WORDS, 24)
    for weight in (model.vae.decoder.start.weight, model.vae.decoder.readout.weight):
        weight.mul_(3.0)
    exact = exact_nll(model, tokens)

    def gap(samples, repeats):
        rows = np.repeat(tokens, repeats, axis=0)
        means, stds = np.zeros((2, len(rows), 1), np.float32)
        found = likelihood.iw_nll(model, rows, means, stds + 1, samples=samples, rng=np.random.default_rng(1))
        return found.reshape(-1, repeats).mean(axis=1) - exact

    one, ten, hundred = (gap(samples, 40).mean() for samples in (1, 10, 100))
    assert one > 2 * ten > 4 * hundred > 0.0  # with few samples it is loose: z matters
    np.testing.assert_allclose(gap(2000, 1), 0.0, atol=0.15)


def test_the_exact_likelihoods_of_all_sequences_are_a_distribution():
    """The grid that judges the bound is judged itself: two words and the end, three steps at most."""
    alphabet = Alphabet(parts=(Part("word", 3),), end=0)
    model = a_model(alphabet, z_size=1)
    rows = [(0, 0, 0)]
    rows += [(a, 0, 0) for a in (1, 2)]
    rows += [(a, b, c) for a in (1, 2) for b in (1, 2) for c in (0, 1, 2)]
    assert np.exp(-exact_nll(model, np.array(rows))).sum() == pytest.approx(1.0, abs=1e-4)


# -- use of the latent space, whole test sets --------------------------------------------------------------------------


def test_mutual_information_of_two_overlapping_posteriors():
    """Half of 2,000 items at 0, half at 1: the entropy of the mixture by the sum over a grid, less that of one part."""
    std = 0.4
    grid = np.linspace(-4.0, 5.0, 9001)
    bells = np.exp(-0.5 * ((grid[:, None] - [0.0, 1.0]) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    mixture = bells.mean(axis=1)
    entropy = -(mixture * np.log(mixture)).sum() * (grid[1] - grid[0])
    exact = entropy - 0.5 * np.log(2 * np.pi * np.e * std**2)
    means = np.repeat(np.float32([0.0, 1.0]), 1000)[:, None]
    found = space.mutual_information(means, np.full_like(means, std), np.random.default_rng(0))
    assert found == pytest.approx(exact, abs=0.03)
    assert 0.1 < exact < np.log(2)


@pytest.mark.parametrize(
    ("active", "used", "mi", "words"),
    [
        (0, 0, 0.0, "has collapsed: z tells 0.00 nats"),
        (32, 3, 1.4, "collapsed in part: 3 of 32"),  # active by a rescaled mean alone
        (32, 32, 6.9, "at its ceiling ln 1000 = 6.91"),
    ],
)
def test_what_is_wrong_with_a_latent_space_is_said(active, used, mi, words):
    values = {"active_units": active, "kl_units": used, "mutual_information": mi}
    figures = [SimpleNamespace(name=name, value=value) for name, value in values.items()]
    bench = SimpleNamespace(figures=figures, windows=np.zeros((1000, 1)), model=SimpleNamespace(z_size=32))
    (verdict,) = card._verdicts(bench)
    assert words in verdict
    settings = ("objective.pretraining_steps", "objective.free_nats", "objective.free_mode", "objective.target_nats")
    if "collapsed" in words:
        assert all(name in verdict for name in (*settings, "model.mean_scale", "objective.beta"))


def test_every_line_of_a_file_counts_where_that_is_asked(tmp_path):
    lines = ["a b c", "b a", "a b c", "c", "a b c"]
    (tmp_path / "test.txt").write_text("\n".join(lines) + "\n")
    tokenizer = TextTokenizer(max_length=6, breaks="spaces").fit(lines)
    distinct = gather(tokenizer, [tmp_path / "test.txt"], "test", None, 0, None)
    every = gather(tokenizer, [tmp_path / "test.txt"], "test", None, 0, None, every=True)
    assert [len(distinct.tokens), len(every.tokens)] == [3, 5]
    assert tokenizer.alphabet.lengths(every.tokens).sum() == sum(len(line.split()) + 1 for line in lines)
    assert [tokenizer.decode(row) for row in every.tokens] == lines
    assert "all 5 windows, 3 of them distinct" in every.data


def test_as_many_items_as_are_asked_or_all():
    assert _count_or_all("7") == 7 < 10**9 < _count_or_all("all")
    for wrong in ("0", "-3", "most"):
        with pytest.raises(typer.BadParameter, match="or all"):
            _count_or_all(wrong)


def test_a_language_model_has_an_exact_likelihood_and_no_latent_space():
    model, tokens = a_model(z_size=0), sentences(WORDS, 20)
    tokenizer = SimpleNamespace(**vars(model.tokenizer), onset_mask=np.arange(40) > 0)
    told = SimpleNamespace(**{**vars(model), "tokenizer": tokenizer}, z_size=0, name="lm", hash="0")
    found = card.report_card(told, tokens)
    with torch.inference_mode():
        outputs = model.vae.logits(torch.zeros(20, 0), torch.from_numpy(tokens))
        nll = model.vae.head.nll(outputs, torch.from_numpy(tokens)).sum(1).double().numpy()
    steps = WORDS.lengths(tokens).sum()
    assert [figure.name for figure in found.figures] == ["forced_token_accuracy", "tokens", "nll", "perplexity"]
    assert (found["tokens"], found.verdicts) == (steps, ())
    assert found["nll"] == pytest.approx(nll.mean(), rel=1e-5)
    assert found["perplexity"] == pytest.approx(np.exp(nll.sum() / steps), rel=1e-5)
