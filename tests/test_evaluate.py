"""The measures against independent ones: Monte Carlo, quadrature, mir_eval, scipy, slow versions; then the card."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mir_eval
import numpy as np
import pytest
import sacrebleu
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import each_kind, untrained
from tiny import TUNES, melody, save_tiny, trained

from seqvae.checkpoint import save_model
from seqvae.cli.app import main
from seqvae.cli.gather import gather, group_labels
from seqvae.clip import Clip
from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.dataset import Dataset, window_keys
from seqvae.errors import DataError
from seqvae.evaluate import (
    ITEMS,
    IW_ITEMS,
    SAMPLES,
    Card,
    likelihood,
    music,
    report_card,
    samples,
    space,
    text,
)
from seqvae.evaluate.bench import Bench
from seqvae.evaluate.ngram import Judge
from seqvae.evaluate.reconstruction import accuracy, part_accuracies
from seqvae.head import StepHead
from seqvae.latent import edit_distance
from seqvae.loading import from_saved
from seqvae.tokenizers import Alphabet, MelodyTokenizer, Part, PartsTokenizer, RawTokenizer, onsets

fast = settings(max_examples=40)
seeds = st.integers(0, 2**32 - 1)


def close(actual, expected, atol=0.0, rtol=1e-9):
    np.testing.assert_allclose(actual, expected, atol=atol, rtol=rtol)


# -- reconstruction --------------------------------------------------------------------------------------------------


ONE = Alphabet(parts=(Part("melody", 4),))
ENDED = Alphabet(parts=(Part("word", 4),), end=0)
BAND = Alphabet(
    parts=(
        Part("chord", 3, given=True),
        Part("melody", 4),
        Part("kick", 2),
        Part("kick velocity", 9, gate=2),
    )
)
BAND_MASK = np.zeros((4, 9), bool)
BAND_MASK[1, 2:4] = BAND_MASK[2, 1] = True


def test_accuracy_worked_by_hand():
    mask = np.array([False, False, True, True])
    target = np.array([[2, 0, 3, 1], [0, 0, 2, 0]])
    predicted = np.array([[2, 0, 2, 3], [0, 0, 2, 0]])
    found = accuracy(target, predicted, mask, ONE)
    assert found.tokens == 6 / 8
    assert found.onsets == 2 / 3  # onsets 2, 3, 2; the 3 became a 2
    assert found.onset_precision == 2 / 4  # predicted onsets 2, 2, 3, 2
    assert found.onset_f1 == pytest.approx(2 / (3 / 2 + 4 / 2))
    assert found.exact_match == 0.5
    assert part_accuracies(target, predicted, mask, ONE) == {}


def test_what_stands_after_the_end_does_not_count_but_the_end_does():
    target = np.array([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0], [1, 2, 3, 1, 2], [2, 2, 0, 0, 0]])
    predicted = np.array([[1, 2, 3, 3, 0], [3, 0, 0, 0, 0], [1, 2, 3, 1, 0], [2, 0, 0, 0, 0]])
    found = accuracy(target, predicted, np.arange(4) > 0, ENDED)
    assert found.tokens == (2 + 2 + 4 + 2) / (3 + 2 + 5 + 3)  # of the last, the end is right
    assert found.onsets == (2 + 1 + 4 + 1) / (2 + 1 + 5 + 2)
    assert found.onset_precision == (2 + 1 + 4 + 1) / (4 + 1 + 4 + 1)  # of the first, the two words too many count
    assert found.exact_match == 1 / 4


def test_parts_are_judged_together_and_each_alone_without_controls_and_numbers():
    target = np.array([[[1, 2, 1, 7], [1, 0, 0, 0]], [[2, 3, 0, 0], [2, 1, 1, 4]]])
    predicted = np.array([[[0, 2, 1, 3], [0, 0, 1, 8]], [[0, 2, 0, 0], [0, 1, 1, 4]]])
    found = accuracy(target, predicted, BAND_MASK, BAND)
    assert found.tokens == 6 / 8  # melody 2 0 2! 1, kick 1 1! 0 1
    assert found.onsets == 3 / 4
    assert found.onset_precision == 3 / 5
    assert found.exact_match == 0.0
    parts = part_accuracies(target, predicted, BAND_MASK, BAND)
    assert list(parts) == ["melody", "kick"]
    assert (parts["melody"].tokens, parts["melody"].onsets, parts["melody"].exact_match) == (3 / 4, 1 / 2, 1 / 2)
    assert (parts["kick"].tokens, parts["kick"].onsets, parts["kick"].onset_precision) == (3 / 4, 1.0, 2 / 3)
    same = accuracy(target, target * [0, 1, 1, 0], BAND_MASK, BAND)
    assert (same.tokens, same.exact_match) == (1.0, 1.0)


def test_where_only_numbers_are_drawn_there_is_no_accuracy():
    alphabet = Alphabet(parts=(Part("hit", 2, given=True), Part("velocity", 9, gate=0)))
    tokens = np.ones((2, 3, 2), np.int64)
    found = accuracy(tokens, tokens, np.zeros((2, 9), bool), alphabet)
    assert math.isnan(found.tokens)
    assert math.isnan(found.exact_match)


def test_striking_everywhere_is_seen_in_the_precision():
    target = np.array([[1, 0, 0, 0, 1, 0, 0, 0]])
    found = accuracy(target, np.ones_like(target), np.array([False, True]), ONE)
    assert (found.onsets, found.onset_precision) == (1.0, 0.25)


@fast
@given(seeds)
def test_a_perfect_reconstruction_is_one_throughout(seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 4, (6, 9))
    tokens[0, 0] = 3
    band = np.stack([rng.integers(part.size, size=(6, 9)) for part in BAND.parts], axis=-1)
    band[0, 0] = 1, 3, 1, 0
    for found in (
        accuracy(tokens, tokens, np.arange(4) >= 2, ONE),
        accuracy(tokens, tokens, np.arange(4) >= 2, ENDED),
        accuracy(band, band, BAND_MASK, BAND),
        *part_accuracies(band, band, BAND_MASK, BAND).values(),
    ):
        assert {found.tokens, found.onsets, found.onset_precision, found.onset_f1, found.exact_match} == {1.0}


def test_onset_shares_of_silence_are_not_numbers():
    silence = np.zeros((2, 4), np.int64)
    found = accuracy(silence, silence, np.array([False, True]), ONE)
    assert math.isnan(found.onsets)
    assert math.isnan(found.onset_precision)


# -- words against sacrebleu -----------------------------------------------------------------------------------------


@fast
@given(seeds)
def test_bleu_agrees_with_sacrebleu(seed):
    rng = np.random.default_rng(seed)
    references, candidates = (
        [" ".join(rng.choice(list("abc"), rng.integers(0, 9))) for _ in range(12)] for _ in range(2)
    )
    references[0] = "a b c a b"
    candidates[1:4] = references[1:4]
    theirs = sacrebleu.corpus_bleu(candidates, [references], tokenize="none", smooth_method="none", force=True)
    assert text.corpus_bleu(references, candidates) == pytest.approx(theirs.score, abs=1e-9)


def test_bleu_worked_by_hand():
    assert text.corpus_bleu(["a b c d e"], ["a b c d"]) == pytest.approx(100 * math.exp(1 - 5 / 4))  # only too short
    assert text.corpus_bleu(["a b c d"], ["a b c x"]) == 0.0  # no 4-gram
    assert text.corpus_bleu(["a b c d"], [""]) == 0.0
    assert math.isnan(text.corpus_bleu(["anna", "bob"], ["anna", "bob"]))


def test_first_words_count_where_there_are_three():
    assert text.first_words_match(["a b c d", "a b c", "a b"], ["a b c", "a b d", "a b"]) == 1 / 2
    assert math.isnan(text.first_words_match(["a b"], ["a b"]))


# -- notes against mir_eval ------------------------------------------------------------------------------------------


def random_melodies(rng, tokenizer, n):
    """Melodies with few pitches, so that some notes of two of them agree."""
    kinds = rng.choice(3, p=[0.55, 0.1, 0.35], size=(n, tokenizer.length))
    return tokenizer.canonical(np.where(kinds == 2, rng.integers(40, 43, kinds.shape), kinds))


def mir_eval_notes(clip):
    """Intervals in seconds at 120 qpm and pitches in Hz."""
    notes = clip.tracks[0].notes
    intervals = np.stack([notes["start_beats"], notes["end_beats"]], axis=1) * 0.5
    return intervals, mir_eval.util.midi_to_hz(notes["pitch"].astype(float))


@fast
@given(seeds, st.booleans())
def test_note_scores_agree_with_mir_eval(seed, with_offsets):
    tokenizer = MelodyTokenizer()
    rng = np.random.default_rng(seed)
    tokens = random_melodies(rng, tokenizer, 1)[0]
    other = np.where(rng.random(tokens.shape) < 0.8, tokens, random_melodies(rng, tokenizer, 1)[0])
    reference, estimate = tokenizer.decode(tokens), tokenizer.decode(tokenizer.canonical(other))
    if not reference.note_count or not estimate.note_count:
        return
    expected = mir_eval.transcription.precision_recall_f1_overlap(
        *mir_eval_notes(reference), *mir_eval_notes(estimate), offset_ratio=0.2 if with_offsets else None
    )
    found = music.note_score([reference], [estimate], with_offsets=with_offsets)
    close((found.precision, found.recall, found.f1), expected[:3])


def test_note_scores_pool_all_clips():
    one = Clip.from_notes([(0, 1, 60, 80), (1, 2, 62, 80), (2, 3, 64, 80)])
    other = Clip.from_notes([(0, 1, 72, 80)])
    found = music.note_score([one, other], [one, Clip(length_beats=4)], with_offsets=True)
    assert (found.precision, found.recall) == (1.0, 3 / 4)


def test_an_offset_may_be_a_fifth_of_the_note_off():
    long, short = Clip.from_notes([(0, 2, 60, 80)]), Clip.from_notes([(0, 1, 60, 80)])
    assert music.note_score([long], [Clip.from_notes([(0, 2.4, 60, 80)])], with_offsets=True).f1 == 1.0
    assert music.note_score([long], [Clip.from_notes([(0, 2.5, 60, 80)])], with_offsets=True).f1 == 0.0
    assert music.note_score([short], [Clip.from_notes([(0, 1.25, 60, 80)])], with_offsets=True).f1 == 0.0
    assert music.note_score([short], [Clip.from_notes([(0, 1.25, 60, 80)])], with_offsets=False).f1 == 1.0


# -- likelihood --------------------------------------------------------------------------------------------------------


COIN = Alphabet(parts=(Part("coin", 2),))


class Coins(torch.nn.Module):
    """A decoder of three coins whose odds move with a one-dimensional z: ln p(x|z) is known in closed form."""

    slopes = torch.tensor([1.5, -1.0, 0.5])
    offsets = torch.tensor([0.2, -0.4, 0.0])
    head = StepHead(1, COIN)  # its likelihoods need no weights
    decoder = None

    def logits(self, z, tokens):
        odds = z * self.slopes + self.offsets
        return torch.stack([torch.zeros_like(odds), odds], dim=-1)


def coins(slope=1.0):
    vae = Coins()
    vae.slopes = Coins.slopes * slope
    return SimpleNamespace(vae=vae, device=torch.device("cpu"), tokenizer=SimpleNamespace(length=3, alphabet=COIN))


ALL_COINS = np.array(list(itertools.product([0, 1], repeat=3)))


def exact_coin_nll(slope=1.0):
    """−ln ∫ p(x|z) N(z; 0, 1) dz of each outcome by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    odds = nodes[:, None] * Coins.slopes.numpy() * slope + Coins.offsets.numpy()
    heads = 1 / (1 + np.exp(-odds))
    p = np.where(ALL_COINS[:, None] == 1, heads, 1 - heads).prod(axis=2)
    return -np.log(p @ weights / weights.sum())


def test_iw_nll_reaches_the_exact_likelihood():
    means, stds = np.full((8, 1), 0.3, np.float32), np.full((8, 1), 1.1, np.float32)
    found = likelihood.iw_nll(coins(), ALL_COINS, means, stds, samples=4000, rng=np.random.default_rng(0))
    close(found, exact_coin_nll(), atol=0.03, rtol=0)
    assert np.exp(-found).sum() == pytest.approx(1.0, abs=0.03)  # the eight outcomes are all there are


def test_iw_nll_is_exact_for_any_sample_where_z_does_not_matter():
    means, stds = np.zeros((8, 1), np.float32), np.ones((8, 1), np.float32)
    found = likelihood.iw_nll(coins(slope=0.0), ALL_COINS, means, stds, samples=3, rng=np.random.default_rng(0))
    close(found, exact_coin_nll(slope=0.0), rtol=1e-5)


def test_iw_nll_of_one_sample_is_the_elbo_on_average_and_more_samples_tighten_it():
    repeats = 4000
    tokens = np.repeat(ALL_COINS[5:6], repeats, axis=0)
    means, stds = np.full((repeats, 1), -1.0, np.float32), np.full((repeats, 1), 0.5, np.float32)
    rng = np.random.default_rng(1)
    one = likelihood.iw_nll(coins(), tokens, means, stds, samples=1, rng=rng).mean()
    ten = likelihood.iw_nll(coins(), tokens, means, stds, samples=10, rng=rng).mean()
    z = means + stds * rng.standard_normal(means.shape).astype(np.float32)
    nll = likelihood.teacher_forced(coins(), z, tokens).nll.mean()
    negative_elbo = nll + space.gaussian_kl(means, stds).sum(axis=1).mean()
    assert one == pytest.approx(negative_elbo, abs=0.1)
    assert exact_coin_nll()[5] - 0.05 < ten < one - 0.1


def test_likelihoods_do_not_depend_on_the_chunks(monkeypatch):
    means, stds = np.zeros((8, 1), np.float32), np.ones((8, 1), np.float32)
    whole = likelihood.iw_nll(coins(), ALL_COINS, means, stds, samples=7, rng=np.random.default_rng(2))
    monkeypatch.setattr(likelihood, "ROWS", 5)
    close(likelihood.iw_nll(coins(), ALL_COINS, means, stds, samples=7, rng=np.random.default_rng(2)), whole, rtol=1e-6)


def test_teacher_forced_nll_is_the_sum_of_the_steps():
    model = from_saved(trained())
    tokens = np.stack([model.tokenizer.encode(tune) for tune in TUNES[:3]])
    z = np.random.default_rng(0).standard_normal((3, model.z_size)).astype(np.float32)
    found = likelihood.teacher_forced(model, z, tokens)
    with torch.inference_mode():
        logits = model.vae.logits(torch.from_numpy(z[1:2]), torch.from_numpy(tokens[1:2]))[0]
    steps = [-float(torch.log_softmax(logits[t].double(), -1)[tokens[1, t]]) for t in range(tokens.shape[1])]
    close(found.nll[1], sum(steps), rtol=1e-4)
    assert found.predicted[1].tolist() == logits.argmax(-1).tolist()


# -- use of the latent space -------------------------------------------------------------------------------------------


def test_closed_form_kl_agrees_with_monte_carlo():
    means, stds = np.array([[0.7, -1.2]], np.float32), np.array([[0.5, 1.6]], np.float32)
    z = means + stds * np.random.default_rng(0).standard_normal((400_000, 2))
    sampled = (scipy.stats.norm.logpdf(z, means, stds) - scipy.stats.norm.logpdf(z)).mean(axis=0)
    close(space.gaussian_kl(means, stds)[0], sampled, atol=0.01, rtol=0)


@fast
@given(seeds, st.integers(1, 12), st.integers(1, 4))
def test_mutual_information_agrees_with_all_pairs_one_by_one(seed, n, size):
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((n, size)).astype(np.float32)
    stds = rng.uniform(0.1, 1.5, (n, size)).astype(np.float32)
    z = means + stds * np.random.default_rng(seed).standard_normal((n, size))
    slow = 0.0
    for i in range(n):
        log_q = [scipy.stats.norm.logpdf(z[i], np.float64(means[j]), np.float64(stds[j])).sum() for j in range(n)]
        slow += (log_q[i] - np.log(np.mean(np.exp(log_q)))) / n
    found = space.mutual_information(means, stds, np.random.default_rng(seed))
    close(found, slow, atol=1e-6)
    assert found <= math.log(n) + 1e-9


def test_mutual_information_of_a_gaussian_mixture():
    centres, std = np.array([-1.0, 0.5, 2.0]), 0.6
    grid = np.linspace(-8, 9, 20_001)
    each = scipy.stats.norm.pdf(grid[:, None], centres, std)
    mixture = each.mean(axis=1)
    entropy = -np.trapezoid(mixture * np.log(mixture), grid)
    exact = entropy - 0.5 * math.log(2 * math.pi * math.e * std**2)
    means = np.repeat(centres, 1000)[:, None].astype(np.float32)
    found = space.mutual_information(means, np.full_like(means, std), np.random.default_rng(0))
    assert found == pytest.approx(exact, abs=0.04)


def test_mutual_information_at_its_ends():
    far = np.arange(50, dtype=np.float32)[:, None] * 100
    assert space.mutual_information(far, np.ones_like(far), np.random.default_rng(0)) == pytest.approx(math.log(50))
    same = np.ones((50, 3), np.float32)
    assert space.mutual_information(same, same, np.random.default_rng(0)) == pytest.approx(0.0, abs=1e-9)


def test_mutual_information_does_not_depend_on_the_chunks(monkeypatch):
    rng = np.random.default_rng(3)
    means, stds = rng.standard_normal((700, 4)).astype(np.float32), np.full((700, 4), 0.3, np.float32)
    whole = space.mutual_information(means, stds, np.random.default_rng(0))
    monkeypatch.setattr(space, "PAIRS", 700 * 9)
    assert space.mutual_information(means, stds, np.random.default_rng(0)) == pytest.approx(whole)


def test_active_units_and_used_dimensions_are_counted_apart():
    rng = np.random.default_rng(0)
    means = rng.standard_normal((2000, 3)).astype(np.float32) * np.array([1.0, 0.12, 0.05], np.float32)
    stds = np.ones_like(means)
    assert space.active_units(means) == 2  # variances 1, 0.0144, 0.0025
    assert space.kl_units(means, stds) == 1  # mean KLs 0.5, 0.007, 0.001


# -- completeness, continuity, paths -----------------------------------------------------------------------------------


def test_copies_are_found_as_they_are_and_transposed():
    tokenizer = MelodyTokenizer(max_transpose=2)
    known = np.stack([tokenizer.encode(tune) for tune in TUNES[:4]]).astype(np.uint8)
    tokens = np.stack([tokenizer.encode(t) for t in (TUNES[1], TUNES[2].transpose(2), TUNES[2].transpose(3), TUNES[5])])
    assert space.copied(tokens, window_keys(known), tokenizer.augmentations).tolist() == [True, True, False, False]
    assert space.copied(tokens, window_keys(known), tokenizer.augmentations[:1]).tolist() == [True] + [False] * 3
    assert space.unique_share(tokens[[0, 0, 1, 2]]) == 0.75


def test_copies_of_parts_are_found_in_a_variant_of_all_parts_together():
    variants = np.stack([np.arange(4)[None].repeat(2, 0), [[0, 2, 1, 3], [0, 1, 2, 3]]])  # swaps 1 and 2 of the first
    known = np.array([[[1, 3], [2, 2]]])
    tokens = np.array([[[1, 3], [2, 2]], [[2, 3], [1, 2]], [[2, 3], [2, 2]]])
    assert space.copied(tokens, window_keys(known), variants).tolist() == [True, True, False]


@fast
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=20))
def test_histogram_measures(counts):
    p, q = np.array(counts).T
    close(space.histogram_kl(p, q), scipy.stats.entropy(p + 0.5, q + 0.5), atol=1e-12)
    assert space.histogram_kl(p, p) == pytest.approx(0.0)
    if p.sum() and q.sum():
        distance = 0.5 * np.abs(p / p.sum() - q / q.sum()).sum()
        assert space.shared_area(p, q) == pytest.approx(1.0 - distance)


@fast
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_rank_correlation_agrees_with_scipy(pairs):
    x, y = np.array(pairs).T
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(space.spearman(x, y))
    else:
        close(space.spearman(x, y), scipy.stats.spearmanr(x, y).statistic, atol=1e-12)


def slow_edit_distance(a, b):
    table = [[max(i, j) if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i, j in itertools.product(range(1, len(a) + 1), range(1, len(b) + 1)):
        replaced = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
        table[i][j] = min(replaced, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1] / max(len(a), len(b))


def up_to_end(row):
    return [*itertools.takewhile(lambda token: token != 0, row), *([0] if 0 in row else [])]


@fast
@given(seeds)
def test_edit_distances_agree_with_the_whole_table(seed):
    a, b = np.random.default_rng(seed).integers(0, 3, (2, 5, 7))
    close(space.edit_distances(a, b), [slow_edit_distance(left, right) for left, right in zip(a, b, strict=True)])
    ended = [
        slow_edit_distance(up_to_end(left.tolist()), up_to_end(right.tolist()))
        for left, right in zip(a, b, strict=True)
    ]
    close(space.edit_distances(a, b, end=0), ended)
    one, other = np.random.default_rng(seed).integers(0, 2, (2, 5, 7, 2))
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    close(space.edit_distances(one, other), [slow_edit_distance(left, right) for left, right in pairs])
    close(
        space.edit_distances(one, other), [edit_distance(left, right) for left, right in zip(one, other, strict=True)]
    )


def test_a_path_worked_by_hand():
    a, b = np.array([[1, 1, 1, 1]]), np.array([[2, 2, 2, 2]])
    path = np.array([[[1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 1, 2], [2, 2, 2, 2]]])
    found = space.path_quality(path, a, b)
    assert found.to_start.tolist() == [0, 0.25, 0.25, 1]
    assert found.to_end.tolist() == [1, 0.75, 0.75, 0]
    assert found.largest_step == 0.75  # moves 0.25, 0, 0.75
    assert found.distinct_steps == 0.75
    assert found.exact_ends == 1.0
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(range(4), [0, 1, 1, 4]).statistic)
    stuck = space.path_quality(np.repeat(a[:, None], 4, axis=1), a, b)
    assert (stuck.spearman, stuck.exact_ends, stuck.distinct_steps) == (0.0, 0.0, 0.25)
    assert math.isnan(stuck.largest_step)


@fast
@given(seeds, st.integers(2, 9))
def test_naive_blending_goes_from_end_to_end_and_never_back(seed, steps):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 9, (2, 4, 16))
    path = space.blend(a, b, steps, rng)
    assert path.shape == (4, steps, 16)
    assert (path[:, 0] == a).all()
    assert (path[:, -1] == b).all()
    from_b = (path == b[:, None]) & (a != b)[:, None]
    assert (from_b[:, 1:] >= from_b[:, :-1]).all()


def test_continuity_measures_how_far_decoding_moves():
    def rounded(z):
        return np.floor(z).astype(np.int64)

    means = np.full((200, 16), 0.5, np.float32)
    found = [space.continuity(rounded, means, length, np.random.default_rng(0)) for length in (0.0, 0.4, 2.0, 20.0)]
    assert found[:2] == [0.0, 0.0]  # no coordinate leaves its unit
    assert 0.0 < found[2] < found[3] < 1.0


# -- music -------------------------------------------------------------------------------------------------------------


def test_silence_has_no_pitch_class_and_no_interval():
    silence = Clip.from_notes([], length_beats=8)
    assert music.intervals([silence]).sum() == music.pitch_classes([silence]).sum() == 0


def test_histograms_of_melodies():
    clip = Clip.from_notes([(0, 1, 60, 80), (1, 2, 72, 80), (2, 3, 62, 80)])
    assert music.pitch_classes([clip, clip]).tolist() == [4, 0, 2] + [0] * 9
    found = music.intervals([clip, Clip.from_notes([(0, 1, 21, 80), (1, 2, 108, 80)])])
    assert {int(at) - 24: int(found[at]) for at in np.flatnonzero(found)} == {12: 1, -10: 1, 24: 1}  # 87 counts as 24


# -- the card ----------------------------------------------------------------------------------------------------------

SMALL = {"iw_samples": 5, "iw_items": 8, "samples": 60, "pairs": 12}


@pytest.fixture(scope="module")
def model():
    return from_saved(trained())


@pytest.fixture(scope="module")
def windows(model):
    return np.stack([model.tokenizer.encode(melody(seed)) for seed in range(40)])


@pytest.fixture(scope="module")
def card(model, windows):
    return report_card(model, windows, seed=3, train_windows=windows[:8], **SMALL)


def test_the_card_holds_every_measure_and_survives_json(card):
    asked = {
        *("forced_token_accuracy", "forced_onset_accuracy", "free_token_accuracy", "free_onset_accuracy"),
        *("free_onset_precision", "free_onset_f1", "exact_match", "note_f1", "note_f1_offset"),
        *("recon_nll", "kl", "kl_bits", "negative_elbo", "iw_nll"),
        *("active_units", "kl_units", "mutual_information", "mutual_information_ceiling", "marginal_kl"),
        *(f"{prior}_{name}" for prior in ("aggregate", "normal") for name in PRIOR_FIGURES),
        *("data_copied", "continuity_0.25", "continuity_0.5", "continuity_1", "pair_distance"),
        *(f"{path}_{name}" for path in ("path", "blend") for name in PATH_FIGURES),
    }
    assert asked <= {figure.name for figure in card.figures}
    again = Card.from_dict(json.loads(json.dumps(card.to_dict(), allow_nan=False)))
    assert again == card
    assert {(figure.split, figure.seed) for figure in card.figures} == {("test", 3)}
    with pytest.raises(KeyError):
        card["beauty"]
    assert all(figure.n > 0 and figure.unit and figure.what for figure in card.figures)


PRIOR_FIGURES = (
    *("nonempty", "valid", "unique", "copied", "density_ratio", "seeds_passed"),
    *("density_overlap", "density_kl", "pitch_class_overlap", "pitch_class_kl", "interval_overlap", "interval_kl"),
)
PATH_FIGURES = (
    *("spearman", "middle_to_a", "middle_to_b", "largest_step", "distinct_steps", "exact_ends", "middle_cost"),
)


def test_the_cards_figures_agree_with_the_models_own_doing(card, model, windows):
    decoded = np.stack([model.tokenizer.encode(model.reconstruct(melody(seed))) for seed in range(40)])
    assert card["free_token_accuracy"] == pytest.approx((decoded == windows).mean(), abs=0.002)
    assert card["exact_match"] == pytest.approx((decoded == windows).all(axis=1).mean(), abs=0.03)
    assert card["exact_match"] >= 8 / 40  # it knows the first eight by heart
    forced = likelihood.teacher_forced(model, model.encode(windows), windows).predicted
    assert card["forced_token_accuracy"] == (forced == windows).mean()
    assert card["negative_elbo"] == pytest.approx(card["recon_nll"] + card["kl"])
    assert card["kl_bits"] == pytest.approx(card["kl"] / math.log(2))
    assert card["marginal_kl"] == pytest.approx(card["kl"] - card["mutual_information"])
    assert card["data_copied"] == 8 / 40
    assert card["blend_exact_ends"] == 1.0
    mask = model.tokenizer.onset_mask
    # The raw draws at the card's temperature: `sample` would draw the empty ones again.
    drawn = [model.tokenizer.encode(clip) for clip in model.decode(model.draw(60, seed=3))]
    assert card["aggregate_density_ratio"] == pytest.approx(
        mask[drawn].sum() / 60 / (mask[windows].sum() / 40), rel=0.01
    )


def test_the_seed_check_is_what_a_user_would_count(model, windows, card):
    mask = model.tokenizer.onset_mask
    wanted = mask[windows].sum() / len(windows)
    passed = {"aggregate": 0, "normal": 0}
    for prior, seed in itertools.product(passed, range(3, 11)):
        clips = model.sample(8, prior=prior, seed=seed, temperature=card.temperature)
        onsets = [mask[model.tokenizer.encode(clip)].sum() for clip in clips]
        passed[prior] += min(onsets) > 0 and wanted * 2 / 3 <= np.mean(onsets) <= wanted * 4 / 3
    assert {prior: card[f"{prior}_seeds_passed"] for prior in passed} == {p: n / 8 for p, n in passed.items()}
    assert passed["aggregate"] == 8


def test_the_same_seed_gives_the_same_card(model, windows, card):
    assert report_card(model, windows, seed=3, train_windows=windows[:8], **SMALL) == card
    other = report_card(model, windows, seed=4, train_windows=windows[:8], **SMALL)
    assert other["free_token_accuracy"] == card["free_token_accuracy"]
    assert other["recon_nll"] != card["recon_nll"]


def test_the_table_names_every_figure(card):
    lines = card.table().splitlines()
    for figure in card.figures:
        assert any(line.startswith(figure.what) and f" {figure.unit} " in line for line in lines), figure.what
    assert "seed 3" in card.table()


def test_a_collapsed_model_is_told_so_in_words(model, windows):
    saved = trained()
    weights = {name: np.zeros_like(w) if name.startswith("encoder.head") else w for name, w in saved.weights.items()}
    collapsed = from_saved(replace(saved, weights=weights))
    card = report_card(collapsed, windows, **{**SMALL, "samples": 0, "pairs": 0})
    assert card["active_units"] == 0
    assert card["mutual_information"] == pytest.approx(0.0, abs=1e-6)
    assert "collapsed" in card.verdicts[0]
    assert "objective.beta" in card.verdicts[0]
    assert not any("collapsed" in verdict for verdict in report_card(model, windows, samples=0, pairs=0).verdicts)


@pytest.mark.parametrize("count", [1, 2])
def test_few_windows_are_measured_and_not_judged(model, windows, count):
    card = report_card(model, windows[:count], **SMALL)
    assert "too few" in card.verdicts[0]
    assert not any("collapsed" in verdict for verdict in card.verdicts)
    assert ("pair_distance" in {figure.name for figure in card.figures}) == (count > 1)


def test_silence_is_measured_too(model):
    card = report_card(model, np.zeros((3, model.tokenizer.length), np.int64), **SMALL)
    assert "free_onset_accuracy" not in {figure.name for figure in card.figures}
    assert 0.0 <= card["free_token_accuracy"] <= 1.0


def test_no_window_is_an_error(model):
    with pytest.raises(DataError, match="no window"):
        report_card(model, np.zeros((0, model.tokenizer.length), np.int64))


# -- every kind --------------------------------------------------------------------------------------------------------


@each_kind
def test_every_kind_has_a_card(kind, monkeypatch):
    monkeypatch.setattr(samples, "SEED_CHECKS", 1)
    model, windows = untrained(kind)
    amounts = {"samples": 6, "pairs": 3, "iw_samples": 2, "iw_items": 3}
    card = report_card(model, windows, train_windows=windows[:6], temperature=0.8, valid=lambda item: True, **amounts)
    names = [figure.name for figure in card.figures]
    alphabet = model.tokenizer.alphabet
    assert len(names) == len(set(names))
    for figure in card.figures:
        limits = {"share": (0, 1), "distance": (0, 1), "correlation": (-1, 1), "BLEU": (0, 100)}
        least, most = limits.get(figure.unit, (-math.inf, math.inf))
        assert least <= figure.value <= most, figure
    assert ("iw_perplexity" in names) == (alphabet.end is not None)
    judged = [part.name for part in alphabet.parts if not part.given and part.gate is None]
    parts = [name.partition(":")[2] for name in names if name.startswith("free_token_accuracy:")]
    assert parts == (judged if alphabet.shape else [])
    assert ("free_velocity_error" in names) == (kind.startswith("groove"))
    if judged:
        assert card["blend_exact_ends"] == 1.0
        assert card["data_copied"] >= 0.5
        assert card["aggregate_accepted"] == card["data_accepted"] == 1.0
    else:
        assert not {"prior samples", "interpolation"} & {figure.section for figure in card.figures}


@each_kind
def test_a_perfect_decoder_has_a_perfect_card(kind, monkeypatch):
    """Whatever the kind, what is reconstructed without a fault measures so."""
    model, windows = untrained(kind)
    monkeypatch.setattr(Bench, "decode", lambda bench, z, like: bench.windows)
    card = report_card(model, windows, samples=0, pairs=0, iw_samples=0)
    found = {figure.name: figure.value for figure in card.figures}
    for name, value in found.items():
        if name.startswith(("free_token", "free_onset", "exact", "note_f1", "first_words")):
            assert value == 1.0, name
        if name in ("free_velocity_error", "free_timing_error"):
            assert value == 0.0, name
    assert found.get("bleu", 100.0) == pytest.approx(100.0)


@each_kind
def test_samples_that_are_the_data_have_the_data_s_statistics(kind, monkeypatch):
    monkeypatch.setattr(samples, "SEED_CHECKS", 1)
    model, windows = untrained(kind)
    monkeypatch.setattr(likelihood, "free_running", lambda *_, **__: windows)
    bench = replace(a_bench(model, windows), train=windows)
    if not bench.compares:
        return
    samples.measure_samples(bench, len(windows))
    found = {figure.name.removeprefix("normal_"): figure.value for figure in bench.figures}
    for name, value in found.items():
        if "ratio" in name or "drum_density" in name or name.endswith("_overlap"):
            assert value == pytest.approx(1.0), name
        if name.endswith("_kl"):
            assert value == pytest.approx(0.0), name
    assert found["copied"] == found["data_copied"] == 1.0
    assert found["unique"] == space.unique_share(space.comparable(windows, bench.alphabet))
    perplexity = Judge.fit(windows, bench.alphabet, np.random.default_rng(0)).perplexity(windows)
    names = ("forward", "reverse", "data_forward", "data_reverse")
    assert [found[f"{name}_perplexity"] for name in names] == pytest.approx([perplexity] * 4)


def a_bench(model, windows):
    means, stds = model.posterior(windows)
    return Bench(
        model=model, windows=windows, means=means, stds=stds, split="test", seed=0, temperature=0.0, valid=None
    )


def test_what_happens_is_counted_by_part_and_by_drum():
    model, windows = untrained("trio")
    bench = a_bench(model, windows)
    counts = bench.onset_counts(windows)
    struck = onsets(model.tokenizer.onset_mask, windows)
    assert counts.tolist() == struck.sum(axis=1).tolist()
    kit = [part.name for part in bench.alphabet.parts].index("drums")
    hits = [int((windows[..., kit] >> drum & 1).sum()) for drum in range(9)]  # a token is the set of those struck
    assert music.drum_hits(bench.originals).tolist() == hits
    given, _ = untrained("melody-given")
    shown = np.ones((2, *windows.shape[1:2], len(given.tokenizer.alphabet.parts)), np.int64)
    assert a_bench(given, shown).onset_counts(shown).shape == (2, 1)  # controls are no parts of what happens


def test_intervals_are_those_of_one_track():
    low, high = Clip.from_notes([(0, 1, 40, 80), (1, 2, 42, 80)]), Clip.from_notes([(0, 1, 60, 80), (1, 2, 65, 80)])
    found = music.intervals([replace(low, tracks=low.tracks + high.tracks)])
    assert np.flatnonzero(found).tolist() == [music.MAX_INTERVAL + 2, music.MAX_INTERVAL + 5]


def test_a_width_of_one_is_q_itself_and_any_other_is_said():
    model, windows = untrained("raw-characters")
    quick = {"samples": 0, "pairs": 0, "iw_samples": 3, "iw_items": len(windows)}
    plain, same, wide = (
        report_card(model, windows, **quick, **more) for more in ({}, {"iw_width": 1.0}, {"iw_width": 1.5})
    )
    assert plain["iw_nll"] == same["iw_nll"] != wide["iw_nll"]
    assert [card.to_dict()["figures"].get("iw_width", {}).get("value") for card in (plain, wide)] == [None, 1.5]
    for width in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(DataError, match="give a number above 0"):
            report_card(model, windows, **quick, iw_width=width)


def test_perplexities_are_of_tokens_with_their_end():
    model, windows = untrained("raw-characters")
    card = report_card(model, windows, samples=0, pairs=0, iw_samples=1, iw_items=len(windows))
    steps = sum(len(up_to_end(row)) for row in windows.tolist()) / len(windows)
    assert card["negative_elbo_perplexity"] == pytest.approx(math.exp(card["negative_elbo"] / steps))
    assert card["iw_perplexity"] == pytest.approx(math.exp(card["iw_nll"] / steps))
    assert card["aggregate_iw_perplexity"] == pytest.approx(math.exp(card["aggregate_iw_nll"] / steps))
    found = card["aggregate_negative_elbo_perplexity"]
    assert found == pytest.approx(math.exp(card["aggregate_negative_elbo"] / steps))


def test_likelihoods_do_not_depend_on_the_padding():
    model, windows = untrained("raw-characters")
    z = np.random.default_rng(0).standard_normal((len(windows), 4)).astype(np.float32)
    together = likelihood.teacher_forced(model, z, windows)
    for row in range(len(windows)):
        alone = likelihood.teacher_forced(model, z[row : row + 1], windows[row : row + 1])
        assert alone.nll[0] == pytest.approx(together.nll[row], rel=1e-5)
        assert alone.predicted[0].tolist() == together.predicted[row].tolist()


def test_the_share_of_valid_samples_is_that_of_the_check():
    model, windows = untrained("raw-characters")
    card = report_card(model, windows, samples=40, pairs=0, temperature=1.0, valid=lambda item: "a" in item)
    assert card["data_accepted"] == np.mean(["a" in model.tokenizer.decode(row) for row in windows])
    assert 0 < card["normal_accepted"] < 1


# -- the verb ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """tiny.safetensors, tunes/*.mid and a dataset whose test split has three windows, one of them in train."""
    folder = tmp_path_factory.mktemp("evaluate")
    save_tiny(folder)
    for name, seed in (("train-a", 0), ("train-b", 1), ("valid-a", 2), ("test-a", 0), ("test-b", 3), ("test-c", 4)):
        # Another tempo makes another file of the same notes; equal files would be taken as one.
        melody(seed, tempo_qpm=90 if name == "test-a" else 120).save(folder / "tunes" / f"{name}.mid")
    split = {"train": "train", "valid": "valid", "test": "test"}
    prepare(
        folder / "tunes",
        MelodyTokenizer(),
        folder / "dataset",
        split=lambda name: split[Path(name).name.partition("-")[0]],
        jobs=1,
    )
    return folder


@pytest.fixture
def evaluate(place, capsys, monkeypatch):
    def command(*arguments):
        monkeypatch.chdir(place)
        code = main(["evaluate", *(str(argument) for argument in arguments), "--model", "tiny.safetensors"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


QUICK = ("--samples", 20, "--iw-samples", 2, "--seed", 5)


def test_a_datasets_windows_that_train_holds_are_left_out(evaluate):
    code, out, _ = evaluate("dataset", *QUICK, "--json")
    card = json.loads(out)
    assert code == 0
    assert card["figures"]["free_token_accuracy"]["n"] == 2
    assert card["figures"]["free_token_accuracy"]["split"] == "test"
    assert card["figures"]["iw_nll"]["seed"] == 5
    assert "without 1 windows" in card["data"]
    assert "path_middle_cost" in card["figures"]


def test_files_and_folders_are_evaluated_as_they_are(evaluate, place):
    code, out, err = evaluate("tunes", *QUICK)
    assert (code, err) == (0, "")
    assert "5 distinct windows" in out.splitlines()[0]
    (place / "tunes.txt").write_text("no music")
    code, out, err = evaluate("tunes/test-a.mid", "tunes.txt", *QUICK, "--json")
    assert code == 0
    assert json.loads(out)["figures"]["free_token_accuracy"]["n"] == 1
    assert "1 of 2 files give no window; the first: tunes.txt" in err


def test_a_card_inside_a_model_is_shown_as_a_table(tmp_path, capsys, card):
    save_model(tmp_path / "measured.safetensors", replace(trained(), card=card.to_dict()))
    assert main(["inspect", str(tmp_path / "measured.safetensors")]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"\n\n{card.table()}\n")
    assert "figures" not in out
    assert main(["inspect", str(tmp_path / "measured.safetensors"), "--json"]) == 0
    assert Card.from_dict(json.loads(capsys.readouterr().out)["card"]) == card


def test_the_card_goes_to_a_file_and_never_over_one(evaluate, place):
    code, out, err = evaluate("dataset", *QUICK, "-o", "card.json")
    assert (code, out) == (0, "card.json\n")
    assert "token accuracy, free-running" in err
    content = (place / "card.json").read_bytes()
    assert json.loads(content)["model"] == "tiny"
    code, out, err = evaluate("dataset", *QUICK, "-o", "card.json")
    assert (code, out) == (1, "")
    assert "--force" in err
    assert evaluate("dataset", *QUICK, "-o", "card.json", "--force")[0] == 0
    assert (place / "card.json").read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "give a dataset, files or folders"),
        (("nowhere",), 1, "nowhere: does not exist"),
        (("dataset", "tunes"), 1, "give it alone"),
        (("dataset", "--split", "best"), 2, "best"),
        (("tiny.safetensors",), 1, "none of 1 files gives a window"),
        (("other",), 1, "prepare it with the model's preset"),
        (("dataset", "--items", "0"), 2, "items"),
    ],
)
def test_mistakes_are_one_line(evaluate, place, arguments, code, words):
    if not (place / "other").exists():
        other = Clip.from_notes([(beat, beat + 1, 60, 80) for beat in range(12)], meter=(3, 4))
        other.save(place / "waltz.mid")
        prepare(place / "waltz.mid", load_preset("melody-2bar-3-4").tokenizer, place / "other", jobs=1)
    found, out, err = evaluate(*arguments, "--seed", 1)
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert words in err


def test_a_split_without_windows_is_named(place):
    tokenizer = MelodyTokenizer()
    prepare(place / "tunes" / "test-a.mid", tokenizer, place / "one", split=lambda name: "train", jobs=1)
    with pytest.raises(DataError, match="split valid are none"):
        gather(tokenizer, [place / "one"], "valid", 10, 0, None)


def test_lines_are_evaluated_from_files_and_datasets(tmp_path):
    words = {"".join(letters) for letters in itertools.product("abn", repeat=4)}
    (tmp_path / "words.txt").write_text("\n".join(sorted(words)) + "\n")
    prepare(tmp_path / "words.txt", RawTokenizer(), tmp_path / "words", jobs=1)
    tokenizer = Dataset.open(tmp_path / "words").tokenizer
    test = gather(tokenizer, [tmp_path / "words"], "test", None, 0, None)
    every = gather(tokenizer, [tmp_path / "words.txt"], "test", None, 0, None)
    assert {tokenizer.decode(row) for row in every.tokens} == words > {tokenizer.decode(row) for row in test.tokens}
    assert "split test" in test.data
    assert "81 distinct windows" in every.data
    for other, message in (
        (RawTokenizer(length=5, vocabulary=("a", "b")), "holds raw of at most 5 steps of 4 tokens"),
        (RawTokenizer(length=5, vocabulary=("a", "b", "x")), "holds other raw of at most 5 steps of 4 tokens"),
        (MelodyTokenizer(), "the model reads melody of 32 steps of 90 tokens"),
    ):
        with pytest.raises(DataError, match=message):
            gather(other, [tmp_path / "words"], "test", None, 0, None)


def test_long_sequences_are_looked_at_in_smaller_numbers(place):
    assert ITEMS.of(MelodyTokenizer()) == 8192
    assert ITEMS.of(MelodyTokenizer(bars=4)) == 4096
    assert IW_ITEMS.of(PartsTokenizer(bars=4)) == 512 // 2 // 3
    assert SAMPLES.of(PartsTokenizer(bars=16)) == 1000
    assert ITEMS.of(RawTokenizer(length=3, vocabulary=("a",))) == 8192
    assert gather(MelodyTokenizer(), [place / "tunes"], "test", None, 0, None).tokens.shape == (5, 32)


def test_items_are_drawn_by_the_seed(place):
    tokenizer = MelodyTokenizer()
    drawn = [gather(tokenizer, [place / "tunes"], "test", 2, seed, None) for seed in range(6)]
    assert {len(each.tokens) for each in drawn} == {2}
    assert len({each.tokens.tobytes() for each in drawn}) > 1
    again = gather(tokenizer, [place / "tunes"], "test", 2, 3, None)
    assert (again.tokens == drawn[3].tokens).all()
    assert again.sources == drawn[3].sources


def test_sources_are_grouped_by_the_first_folder_in_which_they_differ():
    assert group_labels(["all/x/1.mid", "all/y/z/2.mid"]) == ["x", "y"]
    assert group_labels(["1.mid", "x/2.mid"]) == ["1.mid", "x"]
    assert group_labels(["a/1.mid"]) == ["1.mid"]
