"""Attribute vectors: on a linear decoder the fit finds what is exactly right; what effects, leakage and edits mean."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, untrained
from tiny import PRESET, TUNES, by_heart, melody, trained

from seqvae import edit
from seqvae.attributes import AttributeVector, AttributeVectors, attributes_of
from seqvae.attributes.effect import AMOUNTS, Respond, Values, item_slopes, item_spearmans, measure_effects
from seqvae.attributes.fit import Fitted, fit_vectors
from seqvae.attributes.labels import two_sides
from seqvae.attributes.probe import Column, fit_probe
from seqvae.checkpoint import load_model, save_model
from seqvae.clip import Clip
from seqvae.config import ModelSettings, Preset
from seqvae.dataset import window_keys
from seqvae.errors import DataError, ModelError
from seqvae.evaluate.space import spearman
from seqvae.latent import AggregatePosterior, Z
from seqvae.loading import from_saved
from seqvae.model import Model
from seqvae.tokenizers import DrumTokenizer, TextTokenizer

NAMES = ("a", "b", "c")
few = settings(max_examples=6)


def linear(seed: int, size: int = 6, items: int = 1000) -> tuple[Values, Values, Values, AggregatePosterior]:
    """Weights (attributes, z), z (items, z), what they say of it (items, attributes), and the z's Gaussian."""
    rng = np.random.default_rng(seed)
    mixing = 0.2 * rng.standard_normal((size, size)) + np.eye(size)
    z = rng.standard_normal((items, size)) @ mixing.T
    weights = 0.2 * rng.standard_normal((len(NAMES), size)) + np.eye(len(NAMES), size)
    aggregate = AggregatePosterior(mean=z.mean(axis=0), covariance=np.cov(z, rowvar=False))
    return weights, z, z @ weights.T, aggregate


def fitted(seed: int, *, against: bool, noise: float = 0.0, scale: float = 1.0) -> tuple[list[Fitted], Respond, Z]:
    weights, z, values, aggregate = linear(seed)
    values = scale * (
        values + noise * values.std(axis=0) * np.random.default_rng(seed + 1).standard_normal(values.shape)
    )
    probes = [
        fit_probe(Column(name=name, what=name, values=values[:, k]), z.astype(np.float32), aggregate)
        for k, name in enumerate(NAMES)
    ]

    def respond(rows: Z) -> Values:
        seen: Values = (scale * np.asarray(rows, np.float64) @ weights.T - values.mean(axis=0)) / values.std(axis=0)
        return seen

    spared = {name: [other for other in NAMES if other != name] for name in NAMES} if against else {}
    starts = z[:20].astype(np.float32)
    return fit_vectors(probes, aggregate, respond, starts, against=spared), respond, starts


# -- on a linear decoder -----------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 1000))
def test_joint_directions_of_a_linear_decoder_are_the_exact_ones(seed: int) -> None:
    found, respond, starts = fitted(seed, against=True)
    vectors = {one.probe.name: one.vector for one in found}
    report = measure_effects(respond, starts, vectors, NAMES, against={one.probe.name: one.against for one in found})
    assert report.effects == pytest.approx(np.eye(3), abs=0.02), "each moves its own by one deviation and nothing else"
    assert np.allclose(report.spearmans.diagonal(), 1.0)
    for name in NAMES:
        assert report.of(name).leakage < 0.02
        assert report.of(name).ratio > 30
    assert all(one.reached for one in found)


@few
@given(st.integers(0, 1000))
def test_joint_directions_survive_noise_in_the_values(seed: int) -> None:
    found, respond, starts = fitted(seed, against=True, noise=0.3)
    report = measure_effects(respond, starts, {one.probe.name: one.vector for one in found}, NAMES)
    assert np.allclose(report.effects.diagonal(), 1.0, atol=0.05)
    assert np.abs(report.effects - np.diag(report.effects.diagonal())).max() < 0.15


@few
@given(st.integers(0, 1000), st.sampled_from([0.01, 7.0, 1000.0]))
def test_the_unit_an_attribute_is_counted_in_does_not_matter(seed: int, scale: float) -> None:
    plain, scaled = (fitted(seed, against=True, scale=factor)[0] for factor in (1.0, scale))
    for one, other in zip(plain, scaled, strict=True):
        assert other.vector == pytest.approx(one.vector, abs=1e-3)
        assert other.probe.deviation == pytest.approx(scale * one.probe.deviation)


@few
@given(st.integers(0, 1000))
def test_the_order_of_attributes_does_not_matter(seed: int) -> None:
    _, z, values, aggregate = linear(seed)
    weights = linear(seed)[0]
    order = [2, 0, 1]

    def fit(places: list[int]) -> dict[str, Values]:
        columns = [Column(name=NAMES[k], what="", values=values[:, k]) for k in places]
        probes = [fit_probe(column, z.astype(np.float32), aggregate) for column in columns]

        def respond(rows: Z) -> Values:
            seen: Values = ((np.asarray(rows, np.float64) @ weights.T - values.mean(0)) / values.std(0))[..., places]
            return seen

        spared = {NAMES[k]: [NAMES[other] for other in places if other != k] for k in places}
        found = fit_vectors(probes, aggregate, respond, z[:20].astype(np.float32), against=spared)
        return {one.probe.name: one.vector for one in found}

    plain, swapped = fit([0, 1, 2]), fit(order)
    for name in NAMES:
        assert swapped[name] == pytest.approx(plain[name], abs=1e-5)


@few
@given(st.integers(0, 1000))
def test_quartiles_and_normal_agree_for_gaussians(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((6_000, 4))
    weights = rng.standard_normal(4)
    column = Column(name="a", what="", values=z @ weights + 0.5 * rng.standard_normal(len(z)))
    probe = fit_probe(column, z.astype(np.float32), AggregatePosterior.standard(4))
    for direction in (probe.quartiles, probe.normal, probe.weights):
        cosine = direction @ weights / np.linalg.norm(direction) / np.linalg.norm(weights)
        assert cosine > 0.99


@few
@given(st.integers(0, 1000))
def test_the_control_is_as_long_as_the_vector_and_about_nothing_in_many_dimensions(seed: int) -> None:
    size = 4000
    vector = np.zeros(size)
    vector[0] = 1.0
    weights = np.eye(1, size)

    def respond(rows: Z) -> Values:
        seen: Values = np.asarray(rows, np.float64) @ weights.T
        return seen

    report = measure_effects(respond, np.zeros((3, size), np.float32), {"a": vector}, ["a"], seed=seed)
    assert report.of("a").effect == pytest.approx(1.0)
    assert report.of("a").length == 1.0
    assert 0 < abs(report.of("a").control) < 0.1
    again = measure_effects(respond, np.zeros((3, size), np.float32), {"a": vector}, ["a"], seed=seed)
    assert np.array_equal(again.control_effects, report.control_effects)


def test_labels_are_read_as_what_they_are_and_moved() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat((1.0, 0.0), 300)
    z = rng.standard_normal((600, 5))
    z[:, 2] += 3.0 * labels
    aggregate = AggregatePosterior(mean=z.mean(axis=0), covariance=np.cov(z, rowvar=False))
    probe = fit_probe(Column(name="happy", what="", values=labels), z.astype(np.float32), aggregate)
    reads = (z @ probe.weights + probe.offset) * probe.deviation + probe.mean
    assert reads[:300].mean() == pytest.approx(1.0), "those with the label read 1 on average"
    assert reads[300:].mean() == pytest.approx(0.0, abs=1e-9)
    assert ((reads > 0.5) == (labels > 0.5)).mean() > 0.9
    assert np.abs(probe.weights).argmax() == np.abs(probe.normal).argmax() == 2


def test_labels_that_z_tells_apart_exactly_have_a_finite_probe() -> None:
    z = np.linspace(-1, 1, 40)[:, None] * np.ones((1, 2))
    probe = fit_probe(
        Column(name="x", what="", values=(z[:, 0] > 0) * 1.0), z.astype(np.float32), AggregatePosterior.standard(2)
    )
    assert np.isfinite(probe.weights).all()
    assert (probe.weights > 0).all()


def test_a_decoder_that_corrects_small_moves_gets_a_longer_vector() -> None:
    """A code: nothing happens below a distance of 4. A vector as long as the data's deviation would do nothing."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1000, 8)) * 3.0

    def respond(rows: Z) -> Values:
        return np.sign(rows[..., :1]) * np.maximum(np.abs(np.asarray(rows, np.float64)[..., :1]) - 4.0, 0.0)

    probe = fit_probe(
        Column(name="a", what="", values=z[:, 0]),
        z.astype(np.float32),
        AggregatePosterior(mean=np.zeros(8), covariance=9.0 * np.eye(8)),
    )
    (found,) = fit_vectors(
        [replace(probe, mean=0.0, deviation=1.0)],
        AggregatePosterior(mean=np.zeros(8), covariance=9.0 * np.eye(8)),
        respond,
        np.zeros((30, 8), np.float32),
    )
    assert found.effect == pytest.approx(1.0, abs=0.1)
    assert 2.5 < np.linalg.norm(found.vector) < 4.5, "(|v|·2 − 4)·2 ≈ … : two units must clear the 4"


def test_what_cannot_be_reached_is_said_and_stays_within_reach() -> None:
    def respond(rows: Z) -> Values:
        return 0.3 * np.tanh(np.asarray(rows, np.float64)[..., :1])

    z = np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32)
    probe = fit_probe(Column(name="a", what="", values=z[:, 0].astype(np.float64)), z, AggregatePosterior.standard(4))
    (found,) = fit_vectors([probe], AggregatePosterior.standard(4), respond, z[:30])
    assert not found.reached
    assert 0.1 < found.effect < 0.3
    assert np.linalg.norm(found.vector) <= 1.5 / 2 * np.sqrt(4) + 1e-6
    assert "no length moves it by a whole deviation" in str(found)


def test_an_attribute_that_is_another_cannot_spare_it() -> None:
    _, z, values, aggregate = linear(0)
    twins = [
        fit_probe(Column(name=name, what="", values=values[:, 0]), z.astype(np.float32), aggregate) for name in "ab"
    ]
    with pytest.raises(DataError, match="a has no direction of its own beside b"):
        fit_vectors(twins, aggregate, lambda rows: rows[..., :2], z[:9].astype(np.float32), against={"a": ["b"]})
    with pytest.raises(DataError, match="cannot be made to spare 'c'"):
        fit_vectors(twins, aggregate, lambda rows: rows[..., :2], z[:9].astype(np.float32), against={"a": ["c"]})


# -- effects -----------------------------------------------------------------------------------------------------------

paths = st.lists(
    st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(float("nan"))), min_size=9, max_size=9),
    min_size=1,
    max_size=4,
)


@settings(max_examples=30)
@given(paths)
def test_slopes_and_ranks_are_those_of_the_obvious_way(rows: list[list[float]]) -> None:
    values = np.array(rows).T[:, :, None]
    for row, slope, rank in zip(
        rows, item_slopes(values, AMOUNTS)[:, 0], item_spearmans(values, AMOUNTS)[:, 0], strict=True
    ):
        line = np.array(row)
        known = np.isfinite(line)
        if known.sum() < 2:
            assert np.isnan(slope)
            continue
        assert slope == pytest.approx(np.polyfit(AMOUNTS[known], line[known], 1)[0], abs=1e-9)
        assert rank == pytest.approx(np.nan_to_num(spearman(AMOUNTS[known], line[known])))


def test_an_interval_holds_the_spread_of_items() -> None:
    slopes_of = np.array([0.0, 1.0, 2.0])

    def respond(rows: Z) -> Values:
        return np.asarray(rows, np.float64)[..., :1] * slopes_of[:, None]

    found = measure_effects(respond, np.zeros((3, 1), np.float32), {"a": np.ones(1)}, ["a"])
    # The mean of 0, 1 and 2 with its standard error of 1/√3.
    assert found.of("a").effect == pytest.approx(1.0)
    assert found.of("a").interval == pytest.approx(1.96 / np.sqrt(3))
    assert found.of("a").spearman == pytest.approx(2 / 3), "the item that does not change counts 0"


def test_a_report_says_all_in_a_table_and_in_json() -> None:
    def respond(rows: Z) -> Values:
        return np.asarray(rows, np.float64) @ np.array([[1.0, 0.25], [-0.5, 1.0]])

    vectors = {"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0])}
    found = measure_effects(respond, np.zeros((4, 2), np.float32), vectors, ["a", "b"], against={"b": ["a"]})
    one = found.of("b")
    assert (one.leakage, one.leaks_into, one.ratio) == (pytest.approx(0.5), "a", pytest.approx(2.0))
    assert np.isnan(found.of("a").leakage)
    assert found.of("a").ratio == pytest.approx(4.0), "of nothing that was to be spared, over all"
    table = found.table()
    assert "+1.00 ±0.00" in table
    assert "0.50 into a" in table
    said = found.to_dict()
    assert said["effects"] == [[pytest.approx(1.0), pytest.approx(0.25)], [pytest.approx(-0.5), pytest.approx(1.0)]]
    assert said["vectors"][0]["leakage"] is None
    with pytest.raises(DataError, match="no vector 'c'"):
        found.of("c")


def test_too_few_items_and_unmeasured_vectors_are_refused() -> None:
    with pytest.raises(DataError, match="1 held-out items are too few"):
        measure_effects(lambda z: z, np.zeros((1, 2), np.float32), {"a": np.ones(2)}, ["a", "b"])
    with pytest.raises(DataError, match="its attribute is not measured"):
        measure_effects(lambda z: z, np.zeros((3, 2), np.float32), {"c": np.ones(2)}, ["a", "b"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full(50, 3.0), "x: is 3 on all of 50 items"),
        (np.append(np.zeros(43), np.ones(7)), "7 items have much of it and 43 little.*at least 8 on each side"),
        (np.full(50, np.nan), "of 0 where it is known; at least 8"),
        (np.arange(20.0), "5 items have much of it and 5 little"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(values: Values, message: str) -> None:
    z = np.random.default_rng(0).standard_normal((len(values), 3)).astype(np.float32)
    with pytest.raises(DataError, match=message):
        fit_probe(Column(name="x", what="", values=values), z, AggregatePosterior.standard(3))
