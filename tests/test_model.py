"""Models: items in, z out, and back; passages of any length; files that are no models."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TUNES, melody, save_tiny, trained

from seqvae import checkpoint, lerp
from seqvae.checkpoint import bundled_models, find_model
from seqvae.clip import Clip, Style
from seqvae.errors import ConfigError, DataError, ModelError
from seqvae.loading import from_saved, load
from seqvae.model import Model
from seqvae.network import Network
from seqvae.tokenizers import Tokens


@pytest.fixture(scope="module")
def model() -> Model:
    return from_saved(trained(), name="tiny")


def tokens_of(model: Model, items: list[Clip]) -> Tokens:
    return np.stack([model.tokenizer.encode(item) for item in items])


# -- windows -----------------------------------------------------------------------------------------------------------


def test_it_knows_its_tunes_by_heart(model):
    z = model.encode(TUNES)
    assert z.shape == (8, 8)
    assert z.dtype == np.float32
    np.testing.assert_array_equal(tokens_of(model, model.decode(z)), tokens_of(model, TUNES))


def test_encoding_clips_is_encoding_their_tokens(model):
    np.testing.assert_array_equal(model.encode(TUNES), model.encode(tokens_of(model, TUNES)))
    mean, std = model.posterior(TUNES)
    np.testing.assert_array_equal(mean, model.encode(TUNES))
    assert std.shape == mean.shape
    assert (std > 0).all()


def test_encoding_nothing_gives_no_rows(model):
    assert model.encode([]).shape == (0, 8)
    assert model.decode(np.zeros((0, 8), np.float32)) == []


def test_one_z_may_come_without_its_row_axis(model):
    z = model.encode(TUNES[:1])
    assert model.decode(z[0]) == model.decode(z)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 5), temperature=st.sampled_from([0.0, 0.7, 1.5]))
@settings(max_examples=25, deadline=None)
def test_a_row_decodes_the_same_whatever_rows_surround_it(model, seed, count, temperature):
    z = model.draw(6, seed=seed % 100)
    alone = [model.decode(z[i], temperature=temperature, seed=seed + i)[0] for i in range(count)]
    together = model.decode(z, temperature=temperature, seed=seed)[:count]
    np.testing.assert_array_equal(tokens_of(model, alone), tokens_of(model, together))


def test_many_rows_are_the_same_as_few(model):
    z = model.draw(200, seed=4)  # more than go through the network at once
    many = tokens_of(model, model.decode(z, temperature=0.7, seed=9))
    for left in (0, 60, 130):
        few = model.decode(z[left : left + 70], temperature=0.7, seed=9 + left)
        np.testing.assert_array_equal(many[left : left + 70], tokens_of(model, few))
    np.testing.assert_allclose(model.encode(many)[150:], model.encode(many[150:]), rtol=1e-4, atol=1e-5)


def test_samples_are_the_same_for_a_seed_and_others_for_another(model):
    first = tokens_of(model, model.sample(4, seed=7, temperature=0.8))
    np.testing.assert_array_equal(first, tokens_of(model, model.sample(9, seed=7, temperature=0.8))[:4])
    assert (first != tokens_of(model, model.sample(4, seed=8, temperature=0.8))).any()


def test_the_aggregate_prior_is_that_of_the_data_and_the_normal_one_is_not(model):
    moved = replace(model, aggregate=replace(model.aggregate, mean=np.full(8, 50.0)))
    assert moved.draw(20, prior="aggregate").mean() > 40
    assert abs(moved.draw(20, prior="normal").mean()) < 1
    assert moved.draw(2000, prior="normal").std() == pytest.approx(1.0, abs=0.05)


def test_temperature_0_needs_no_seed(model):
    z = model.draw(4, seed=1)
    np.testing.assert_array_equal(tokens_of(model, model.decode(z, seed=1)), tokens_of(model, model.decode(z, seed=2)))


def test_a_style_dresses_what_is_decoded(model):
    style = Style(tempo_qpm=72.0, program=40, velocities=np.full(32, 33.0, np.float32), name="fiddle")
    z = model.encode(TUNES[:2])
    for clip in model.decode(z, style=style):
        assert clip.tempos[0].tempo_qpm == 72.0
        assert clip.tracks[0].program == 40
        assert set(clip.tracks[0].notes["velocity"]) == {33}
    plain, dressed = model.decode(z, style=[None, style])
    assert (plain.tracks[0].program, dressed.tracks[0].program) == (0, 40)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros((2, 7), np.float32), r"shape \(2, 7\).*\(n, 8\)"),
        (np.array([[0.0] * 8, [np.nan] * 8]), "NaN or infinite numbers in row 1"),
        (np.full((1, 8), np.inf), "row 0"),
        (np.full((1, 8), "a"), "z is <U1"),
        (np.zeros((1, 2, 8)), r"\(1, 2, 8\)"),
    ],
)
def test_a_z_that_cannot_be_decoded_is_refused(model, z, message):
    with pytest.raises(DataError, match=message):
        model.decode(z)


def test_numbers_out_of_range_are_refused(model):
    z = model.draw(1)
    for temperature in (-0.1, float("nan"), float("inf")):
        with pytest.raises(DataError, match="temperature"):
            model.decode(z, temperature=temperature)
    with pytest.raises(DataError, match="0 samples"):
        model.sample(0)
    with pytest.raises(DataError, match="3 styles for 1 z"):
        model.decode(z, style=[None] * 3)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros((2, 31), np.int64), r"\(2, 31\)"),
        (np.zeros((2, 32)), "float64"),
        (np.full((1, 32), 90), "between 90 and 90.*0 to 89"),
        (np.full((1, 32), -1), "-1"),
    ],
)
def test_tokens_of_another_kind_are_refused(model, tokens, message):
    with pytest.raises(DataError, match=message):
        model.encode(tokens)


def test_one_clip_instead_of_a_list_is_said_to_be_one(model):
    with pytest.raises(DataError, match="put it in brackets"):
        model.encode(TUNES[0])


# -- what a decoded clip carries ---------------------------------------------------------------------------------------


def test_a_clip_says_how_to_make_it_again(model):
    clip = model.sample(3, seed=5, temperature=0.9)[2]
    made = clip.provenance
    assert (made.model, made.model_hash, made.verb, made.temperature) == ("tiny", model.hash, "sample", 0.9)
    again = model.decode(made.z, temperature=made.temperature, seed=made.seed)[0]
    np.testing.assert_array_equal(tokens_of(model, [again]), tokens_of(model, [clip]))


@given(seed=st.integers(0, 1000), temperature=st.sampled_from([0.0, 1.0, 2.0]))
@settings(max_examples=10, deadline=None)
def test_a_written_clip_reads_back_with_its_exact_z(tmp_path_factory, model, seed, temperature):
    path = tmp_path_factory.mktemp("clip") / "a.mid"
    z = model.draw(1, seed=seed)
    model.decode(z, temperature=temperature, seed=seed)[0].save(path)
    np.testing.assert_array_equal(model.encode([Clip.load(path)]), z)
    passage = model.passage(Clip.load(path))
    assert passage.restored
    np.testing.assert_array_equal(passage.z, z)


def test_a_written_path_reads_back_with_the_z_of_all_its_windows(tmp_path, model):
    z = model.draw(6, seed=3).reshape(2, 3, 8)
    for index, found in enumerate(model.render(z, [[None] * 3] * 2, temperature=0.5, seed=1, verb="interpolate")):
        clip = Clip.load(found.item.save(tmp_path / "a.mid"))
        np.testing.assert_array_equal(model.passage(clip).z, z[index])
        again = model.decode(z[index], temperature=0.5, seed=clip.provenance.seed)
        np.testing.assert_array_equal(tokens_of(model, again), found.tokens)


def test_a_silent_clip_of_ours_reads_back_too(tmp_path, model):
    silent = model.decode(model.draw(1))[0]
    passage = replace(model.passage(silent), tokens=np.zeros((1, 32), np.int64), windows=[model._silence()])
    item = model.join([passage], temperature=0.0, seed=0, verb="decode")
    clip = Clip.load(item.save(tmp_path / "silent.mid"))
    assert clip.note_count == 0
    np.testing.assert_array_equal(model.passage(clip).z, passage.z)


def test_notes_changed_since_are_encoded_anew(model):
    z = model.draw(1, seed=2)
    clip = model.decode(z)[0]
    for other in (clip.transpose(1), replace(clip.transpose(1), provenance=clip.provenance)):
        assert not model.passage(other).restored
        assert (model.encode([other]) != z).any()


def test_re_encode_ignores_the_z_that_is_carried(model):
    z = model.draw(1, seed=2)
    clip = model.decode(z)[0]
    assert not model.passage(clip, re_encode=True).restored
    np.testing.assert_array_equal(model.encode([clip], re_encode=True), model.encode(tokens_of(model, [clip])))


def test_the_z_of_another_model_is_not_used(model):
    clip = model.decode(model.draw(1, seed=2))[0]
    assert not replace(model, hash="0" * 16).passage(clip).restored


# -- items of any length -----------------------------------------------------------------------------------------------


@given(steps=st.integers(2, 5), first=st.integers(0, 7), last=st.integers(0, 7))
@settings(max_examples=15, deadline=None)
def test_the_ends_of_a_path_are_the_inputs_decoded(model, steps, first, last):
    path = model.interpolate(TUNES[first], TUNES[last], steps)
    assert len(path) == steps
    np.testing.assert_array_equal(tokens_of(model, [path[0], path[-1]]), tokens_of(model, [TUNES[first], TUNES[last]]))


def test_between_identical_inputs_all_steps_are_that_input(model):
    path = model.interpolate(TUNES[3], TUNES[3], 4)
    np.testing.assert_array_equal(tokens_of(model, path), tokens_of(model, [TUNES[3]] * 4))


def test_the_path_passes_the_same_places_both_ways(model):
    there, back = model.interpolate(TUNES[0], TUNES[1], 6), model.interpolate(TUNES[1], TUNES[0], 6)
    np.testing.assert_array_equal(tokens_of(model, there), tokens_of(model, back[::-1]))


def test_a_path_may_go_straight(model):
    path = model.interpolate(TUNES[0], TUNES[1], 5, path=lerp)
    z = model.encode(TUNES[:2])
    np.testing.assert_allclose(path[2].provenance.z[0], z.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_tempo_instrument_and_loudness_travel_along(model):
    slow, fast = melody(0, tempo_qpm=60, program=0, velocity=40), melody(1, tempo_qpm=240, program=24, velocity=120)
    path = model.interpolate(slow, fast, 5)
    assert [round(clip.tempos[0].tempo_qpm) for clip in path] == [60, 85, 120, 170, 240]  # 60·4^t
    assert [clip.tracks[0].program for clip in path] == [0, 0, 24, 24, 24]
    assert [int(clip.tracks[0].notes["velocity"].mean()) for clip in path] == [40, 60, 80, 100, 120]


@pytest.mark.parametrize(("fit", "bars"), [("loop", 6), ("pad", 6), ("cut", 2)])
def test_inputs_of_unequal_length_are_made_to_fit(model, fit, bars):
    short, long = TUNES[0], melody(20, bars=5)
    path = model.interpolate(short, long, 3, fit=fit)
    assert [clip.length_beats for clip in path] == [4.0 * bars] * 3


def test_loop_repeats_and_pad_rests_and_cut_shortens(model):
    a, b = model.passage(TUNES[0]), model.passage(melody(20, bars=5))
    looped, same = model.fit(a, b, "loop")
    np.testing.assert_array_equal(looped.tokens, a.tokens[[0, 0, 0]])
    assert same is b
    padded, _ = model.fit(a, b, "pad")
    np.testing.assert_array_equal(padded.tokens[0], a.tokens[0])
    assert not padded.tokens[1:].any()
    np.testing.assert_allclose(padded.z[1:], model.encode(padded.tokens[1:]), rtol=1e-4, atol=1e-6)
    uncut, cut = model.fit(a, b, "cut")
    assert uncut is a
    np.testing.assert_array_equal(cut.tokens, b.tokens[:1])
    np.testing.assert_array_equal(model.fit(b, a, "loop")[1].z, looped.z)
    for passage in (looped, padded, cut):
        assert len(passage.windows) == len(passage.tokens) == len(passage.z) == len(passage.styles)
        assert passage.item.length_beats == 8.0 * len(passage.z)


def test_a_passage_covers_the_clip(model):
    clip = melody(21, bars=5)
    passage = model.passage(clip)
    assert len(passage.z) == 3
    np.testing.assert_allclose(passage.z[:1], model.encode([clip]), rtol=1e-4, atol=1e-6)
    assert passage.item.note_count == sum(window.note_count for window in passage.windows)
    assert set(passage.item.tracks[0].notes["pitch"]) == set(clip.tracks[0].notes["pitch"])


def test_variation_grows_with_its_amount(model):
    home = model.passage(TUNES[0])
    means = []
    for amount in (0.0, 0.3, 1.0):
        found = model.around(home, amount, 12, seed=1)
        means.append(np.mean([model.distance(one.tokens, home.tokens) for one in found]))
    assert means[0] == 0.0
    assert means[0] < means[2]
    assert means == sorted(means)
    assert len(model.vary(TUNES[0], n=2)) == 2


def test_reconstruct_is_encode_and_decode(model):
    clip = melody(22, bars=4)
    np.testing.assert_array_equal(
        model.passage(model.reconstruct(clip), re_encode=True).tokens[0],
        tokens_of(model, model.decode(model.encode([clip])))[0],
    )


def test_distance_counts_edits_over_all_windows(model):
    a = np.zeros((2, 32), np.int64)
    b = a.copy()
    b[1, 5] = 40
    assert model.distance(a, b) == 1 / 64
    assert model.distance(a[0], a[0]) == 0.0


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_saved_model_is_the_same_model(tmp_path, model):
    loaded = load(save_tiny(tmp_path))
    assert (loaded.name, loaded.hash, loaded.preset, loaded.card) == ("tiny", model.hash, model.preset, model.card)
    np.testing.assert_array_equal(loaded.encode(TUNES), model.encode(TUNES))
    np.testing.assert_array_equal(loaded.aggregate.covariance, model.aggregate.covariance)


def test_half_precision_weights_still_know_the_tunes(model):
    half = from_saved(trained().half(), name="half")
    assert half.hash != model.hash
    np.testing.assert_array_equal(tokens_of(half, half.decode(half.encode(TUNES))), tokens_of(half, TUNES))


def test_a_run_folder_gives_its_best(tmp_path):
    run = tmp_path / "night"
    save_tiny(run, "best")
    assert load(run).name == "night"
    assert load(str(run)).name == "night"


def test_a_bundled_model_is_found_by_name_alone(tmp_path, monkeypatch):
    for name, path in bundled_models().items():
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path)
        assert find_model(name) == path


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def flipped_header(path):
    data = bytearray(path.read_bytes())
    data[9] ^= 0xFF
    path.write_bytes(bytes(data))


def endless_header(path):
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])


def text(path):
    path.write_text("hello")


def empty(path):
    path.write_bytes(b"")


def foreign(path):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3, np.float32)}, path)


def rewritten(change):
    def damage(path):
        arrays, about = checkpoint.read_arrays(path)
        change(arrays, about)
        checkpoint.write_arrays(path, arrays, about, overwrite=True)

    return damage


newer = rewritten(lambda arrays, about: about.update(format=99))
without_a_weight = rewritten(lambda arrays, about: arrays.pop("vae.decoder.output.bias"))
unknown_setting = rewritten(lambda arrays, about: about["preset"]["model"].update(magic=1))
other_sizes = rewritten(lambda arrays, about: about["preset"]["model"].update(z_size=9))
aggregate_of_others = rewritten(lambda arrays, about: arrays.update({"aggregate.mean": np.zeros(3, np.float32)}))


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        flipped_header,
        endless_header,
        text,
        empty,
        foreign,
        newer,
        without_a_weight,
        unknown_setting,
        other_sizes,
        aggregate_of_others,
    ],
)
def test_a_damaged_or_foreign_file_is_one_line(tmp_path, damage):
    path = save_tiny(tmp_path)
    damage(path)
    with pytest.raises(ModelError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "tiny" in message
    assert len(message) < 400


def test_what_is_no_model_is_said_to_be_none(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"MThd")
    for name, expected in (
        ("no-such-model", "bundled are"),
        (tmp_path / "missing.safetensors", "no such file"),
        (tmp_path, "without best.safetensors"),
        (tmp_path / "a.mid", "is no model"),
    ):
        with pytest.raises(ModelError, match=expected):
            load(name)


def test_an_unknown_device_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="auto, cpu or cuda"):
        load(save_tiny(tmp_path), device="gpu")


def test_the_hash_depends_on_every_weight():
    saved = trained()
    changed = {name: array.copy() for name, array in saved.weights.items()}
    changed["decoder.output.bias"][-1] += 1
    assert replace(saved, weights=changed).hash != saved.hash
    assert len(saved.hash) == 16


def test_samples_one_after_another_are_those_of_all_at_once_and_few_are_in_memory(model, monkeypatch):
    whole = model.sample(11, seed=4)
    asked = []
    render = Model.render

    def counted(self, z, *args, **kwargs):
        asked.append(len(z))
        return render(self, z, *args, **kwargs)

    monkeypatch.setattr(Model, "render", counted)
    monkeypatch.setattr("seqvae.model.SAMPLED_AT_ONCE", 4)
    drawn = model.samples(11, seed=4)
    assert [next(drawn) for _ in range(3)] == whole[:3]
    assert sum(asked) < 8
    assert list(drawn) == whole[3:]


def test_a_silent_sample_is_drawn_again_for_itself_alone(model, monkeypatch):
    def onsets(items):
        return [bool(len(item.tracks[0].notes)) for item in items]

    real = Network.generate
    silenced = model.draw(4, seed=5)[[1, 3]]  # the z whose decoding shall come out silent

    def partly_silent(self, z, *how):
        tokens = real(self, z, *how).copy()
        tokens[(z[:, None] == silenced[None]).all(axis=2).any(axis=1)] = 0
        return tokens

    plain = model.sample(4, seed=5)
    monkeypatch.setattr(Network, "generate", partly_silent)
    again = model.sample(4, seed=5)
    assert onsets(again) == [True] * 4
    assert again[0] == plain[0] and again[2] == plain[2] and again[1] != plain[1]
    assert model.sample(2, seed=5) == again[:2]  # item i is the same whatever n is
    made = again[1].provenance
    [remade] = model.decode(made.z, temperature=made.temperature, seed=made.seed)
    assert remade.tracks == again[1].tracks
