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
from kinds import untrained
from tiny import TUNES, by_heart, melody, trained

from seqvae import edit
from seqvae.attributes import AttributeVector, AttributeVectors, attributes_of
from seqvae.attributes.effect import AMOUNTS, Respond, Values, item_slopes, item_spearmans, measure_effects
from seqvae.attributes.fit import Fitted, fit_vectors
from seqvae.attributes.labels import two_sides
from seqvae.attributes.probe import Column, fit_probe
from seqvae.checkpoint import load_model, save_model
from seqvae.clip import Clip
from seqvae.config import ModelSettings, Preset
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
    assert np.linalg.norm(found.vector) <= 0.5 * 4.0 + 1e-6
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
        (np.arange(10.0), "at least 8 on each side are needed"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(values: Values, message: str) -> None:
    z = np.random.default_rng(0).standard_normal((len(values), 3)).astype(np.float32)
    with pytest.raises(DataError, match=message):
        fit_probe(Column(name="x", what="", values=values), z, AggregatePosterior.standard(3))


# -- with models -------------------------------------------------------------------------------------------------------


@functools.cache
def tiny() -> Model:
    return from_saved(trained(), name="tiny")


SMALL = ModelSettings(embedding_size=8, encoder_size=16, pooling_size=4, z_size=6, decoder_sizes=(24,), readout_size=12)
LINES = [" ".join(["a", "dog", "and", "the", "cat", "runs", "far", "away"][:count]) for count in range(1, 9)] * 2


def beat(seed: int) -> Clip:
    rng = np.random.default_rng(seed)
    hits = rng.random((32, 3)) < (seed + 1) / 12
    tokens = hits @ np.array([1, 2, 4])
    clip: Clip = DrumTokenizer().decode(tokens)
    return clip


@functools.cache
def small(kind: str) -> Model:
    if kind == "melody":
        return tiny()
    tokenizer: Any = DrumTokenizer() if kind == "drums" else TextTokenizer(max_length=10).fit(LINES)
    items = [beat(seed) for seed in range(8)] if kind == "drums" else LINES[:8]
    preset = Preset(name=kind, description="a few by heart", tokenizer=tokenizer, model=SMALL)
    return from_saved(by_heart(preset, items, steps=120), name=kind)


def windows_of(model: Model, count: int = 160) -> Any:
    """What the model says from all over its space."""
    return np.stack([model.tokenizer.encode(item) for item in model.decode(model.draw(count, seed=1))])


ONE_OF = {"melody": "pitch", "drums": "density", "text": "length"}
of_kinds = pytest.mark.parametrize("kind", ONE_OF)


@functools.cache
def with_vectors(kind: str) -> Model:
    model = small(kind)
    vectors = edit.fit_attributes(model, windows_of(model), [ONE_OF[kind]], data="its own samples")
    return replace(model, attributes=vectors)


def first_item(model: Model) -> Any:
    return model.decode(model.draw(8, seed=5))[3]


@of_kinds
def test_a_fitted_vector_moves_its_attribute(kind: str) -> None:
    model, name = with_vectors(kind), ONE_OF[kind]
    vector = model.attributes[name]
    assert vector.vector.shape == (model.z_size,)
    assert vector.model_hash == model.hash
    assert vector.items == 120, "a quarter is set aside"
    report = edit.effect_report(model, windows_of(model)[:40])
    one = report.of(name)
    assert one.effect > 0.25
    assert one.spearman > 0.4
    assert one.effect == pytest.approx(vector.effect, abs=0.5)
    assert one.length == pytest.approx(np.linalg.norm(vector.vector))


@of_kinds
def test_the_same_seed_fits_the_same_vector(kind: str) -> None:
    model, name = with_vectors(kind), ONE_OF[kind]
    again = edit.fit_attributes(small(kind), windows_of(model), [name])
    assert np.array_equal(again[name].vector, model.attributes[name].vector)


@of_kinds
def test_applying_is_adding_to_z(kind: str) -> None:
    model, name = with_vectors(kind), ONE_OF[kind]
    passage = model.passage(first_item(model))
    edited = edit.apply(model, passage, {name: 1.5})
    assert np.array_equal(edited.z, passage.z + 1.5 * model.attributes[name])
    direct = model.decode(passage.z + 1.5 * model.attributes[name])[0]
    assert model.tokenizer.encode(direct).tolist() == edited.tokens[0].tolist()
    assert edit.sweep(model, passage, name, [1.5])[0].tokens.tolist() == edited.tokens.tolist()


@of_kinds
def test_every_attribute_of_a_kind_is_fitted_that_varies(kind: str) -> None:
    model = small(kind)
    said: list[str] = []
    found = edit.fit_attributes(model, windows_of(model, 100), tell=said.append)
    assert set(found) <= set(attributes_of(model.tokenizer))
    told = {line.partition(":")[0]: line for line in said if "one unit moves it by" in line}
    weak = [name for line in said if "does not follow them" in line for name in line.rpartition(": ")[2].split(", ")]
    assert set(told) == {*found, *weak} and len(told) >= 1
    assert all(vector.spearman >= edit.FOLLOWED for vector in found.values())


def test_several_windows_move_together_and_keep_their_style() -> None:
    model = with_vectors("melody")
    long = melody(3, bars=6, tempo_qpm=90.0)
    passage = model.passage(long)
    edited = edit.apply(model, passage, {"pitch": 2.0})
    assert len(edited.z) == 3
    assert np.allclose(edited.z - passage.z, 2.0 * model.attributes["pitch"], atol=1e-5)
    assert edited.item.tempos[0].tempo_qpm == pytest.approx(90.0)
    higher, lower = (edit.apply(model, passage, {"pitch": amount}) for amount in (2.0, -2.0))
    values = [edit.attribute_values(model, one, ["pitch"], model.attributes)[0] for one in (lower, higher)]
    assert values[0] < values[1]


@settings(max_examples=15)
@given(st.integers(0, 7), st.sampled_from([0.0, 0.8]), st.floats(-3, 3))
def test_an_edit_begins_and_ends_at_the_z_that_the_file_carries(row: int, temperature: float, amount: float) -> None:
    model = with_vectors("melody")
    made = model.sample(8, seed=3, temperature=temperature)[row]
    start = model.passage(made)
    assert start.restored
    assert edit.apply(model, start, {"pitch": 0.0}).item.tracks == made.tracks, "nothing asked, nothing changed"
    there = edit.apply(model, start, {"pitch": amount})
    back = edit.apply(model, model.passage(there.item), {"pitch": -amount})
    assert np.allclose(back.z, start.z, atol=1e-5)
    assert model.passage(there.item).restored


def test_an_edit_survives_its_file(tmp_path: Path) -> None:
    model = with_vectors("melody")
    path = edit.apply(model, model.passage(TUNES[0]), {"pitch": 1.0}).item.save(tmp_path / "up.mid")
    back = edit.apply(model, model.passage(Clip.load(path)), {"pitch": -1.0})
    assert np.allclose(back.z, model.encode([TUNES[0]]), atol=1e-6)


def test_unknown_names_bad_amounts_and_foreign_vectors_are_refused() -> None:
    model = with_vectors("melody")
    passage = model.passage(TUNES[0])
    with pytest.raises(DataError, match="tiny has no vector of the attribute 'mood'; it has pitch"):
        edit.apply(model, passage, {"mood": 1.0})
    with pytest.raises(DataError, match=r"tiny has no vector of the attribute 'pich'; .*did you mean pitch\?"):
        edit.apply(model, passage, {"pich": 1.0})
    with pytest.raises(DataError, match="the amount of pitch is nan"):
        edit.apply(model, passage, {"pitch": float("nan")})
    foreign = AttributeVectors([replace(model.attributes["pitch"], model_hash="0123456789abcdef")])
    with pytest.raises(ModelError, match="was fitted for model 0123456789abcdef and tiny is"):
        edit.apply(model, passage, {"pitch": 1.0}, vectors=foreign)
    with pytest.raises(ModelError, match="fit it again with"):
        edit.effect_report(model, windows_of(model), vectors=foreign)
    with pytest.raises(DataError, match="tiny has no attribute vectors; fit some"):
        edit.effect_report(tiny(), windows_of(model))
    with pytest.raises(DataError, match="carries no windows"):
        edit.effect_report(model)


def test_attributes_that_cannot_be_fitted_are_refused() -> None:
    model = tiny()
    windows = windows_of(model)
    with pytest.raises(DataError, match="has no attribute 'mood'"):
        edit.fit_attributes(model, windows, ["mood"])
    with pytest.raises(DataError, match=r"pitch: is .* on all of"):
        edit.fit_attributes(model, np.repeat(windows[:1], 50, axis=0), ["pitch"])
    with pytest.raises(DataError, match="at least 8 on each side"):
        edit.fit_attributes(model, windows[:9], ["pitch"])
    with pytest.raises(DataError, match=r"the label 'pitch' has the name of what is measured"):
        edit.fit_attributes(model, windows, labels=[two_sides("pitch", 80, 80)])
    with pytest.raises(DataError, match="7 items have much of it"):
        edit.fit_attributes(model, windows[:40], labels=[two_sides("happy", 7, 33)])


@of_kinds
def test_a_label_is_fitted_and_read_again_from_what_is_decoded(kind: str) -> None:
    model = small(kind)
    windows = windows_of(model)
    order = np.argsort(model.encode(windows)[:, 0])
    found = edit.fit_attributes(model, windows[order[::-1]], labels=[two_sides("front", 80, 80)])
    vector = found["front"]
    assert vector.deviation == pytest.approx(0.5, abs=0.02)
    assert (vector.read(model.encode(windows[order[-40:]])) > 0).mean() > 0.7
    passage = model.passage(first_item(model))
    low, high = (edit.apply(model, passage, {"front": amount}, vectors=found) for amount in (-2.0, 2.0))
    values = [edit.attribute_values(model, one, ["front"], found)[0] for one in (low, high)]
    assert values[0] < values[1]


@of_kinds
def test_a_pair_leads_from_one_to_the_other(kind: str) -> None:
    model = small(kind)
    a, b = (model.decode(model.draw(9, seed=4))[row] for row in (0, 5))
    if model.tokenizer.encode(a).tolist() == model.tokenizer.encode(b).tolist():
        pytest.skip("two draws that say the same")
    found = edit.fit_pair(model, "that", a, b)
    vector = found["that"]
    start, end = model.passage(b), model.passage(a)
    assert np.allclose(start.z + 1.0 * vector, end.z, atol=1e-5)
    assert vector.read(start.z[0]) == pytest.approx(0.0, abs=1e-5)
    assert vector.read(end.z[0]) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(DataError, match="sees no difference"):
        edit.fit_pair(model, "that", a, a)


def test_what_is_spared_is_fitted_beside_and_not_kept() -> None:
    model = small("drums")
    found = edit.fit_attributes(model, windows_of(model), ["kick"], against=["snare"])
    assert list(found) == ["kick"]
    assert found["kick"].against == ("snare",)


def test_a_file_keeps_its_weights_when_vectors_are_stored(tmp_path: Path) -> None:
    model = with_vectors("melody")
    path = save_model(tmp_path / "tiny.safetensors", trained())
    edit.store_attributes(path, model.attributes, path)
    saved = load_model(path)
    assert saved.hash == trained().hash
    (vector,) = saved.attributes
    wanted = model.attributes["pitch"]
    assert vars(vector).keys() == vars(wanted).keys()
    assert np.array_equal(vector.vector, wanted.vector)
    assert np.array_equal(vector.probe, wanted.probe)
    assert (vector.against, vector.effect, vector.what) == (wanted.against, wanted.effect, wanted.what)
    foreign = AttributeVectors([replace(wanted, model_hash="0123456789abcdef")])
    before = path.read_bytes()
    with pytest.raises(ModelError, match="was fitted for model 0123456789abcdef"):
        edit.store_attributes(path, foreign, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["groove-hits", "melody-given", "trio", "raw-integers"])
def test_models_of_every_kind_respond(kind: str) -> None:
    """Conditional ones under the controls of each item."""
    model, tokens = untrained(kind)
    names = list(attributes_of(model.tokenizer))[:2]
    rows = [
        AttributeVector(
            name=name,
            what="",
            vector=np.ones(4, np.float32),
            mean=0.0,
            deviation=1.0,
            method="normal",
            against=(),
            items=9,
            effect=1.0,
            spearman=1.0,
            leakage=0.0,
            data="",
            model_hash=model.hash,
            probe=np.ones(4, np.float32),
            offset=0.0,
        )
        for name in names
    ]
    respond = edit.responses(model, edit.readings(model.tokenizer, rows), model.control_of(tokens))
    z = model.encode(tokens)
    seen = respond(np.stack([z, z + 1]))
    assert seen.shape == (2, len(tokens), len(names))
    alone = model.render(z[:1, None], [[None]], [model.control_of(tokens[:1])], temperature=0.0, seed=0, verb="x")[0]
    first = edit.known_attribute(model.tokenizer, names[0])
    assert first is not None
    assert seen[0, 0, 0] == pytest.approx(first.measure(alone.item), nan_ok=True)
