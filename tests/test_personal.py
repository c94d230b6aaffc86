"""Personal models: own clips held out by clip, replay in every batch, a base that is never made worse, sliders."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, random_tokens, untrained
from tiny import PRESET, TUNES, by_heart, melody, save_tiny, trained

from seqvae.checkpoint import SavedModel, load_model, save_model
from seqvae.clip import Clip, Track, notes_array
from seqvae.config import Preset
from seqvae.dataset import SPLITS, Dataset
from seqvae.errors import ConfigError, DataError, ModelError, ReadError, WriteError
from seqvae.loading import from_saved, load
from seqvae.personal import Sliders, finetune, sliders
from seqvae.personal.base import dreamed
from seqvae.personal.clips import HELD_LEAST, MIN_CLIPS, read_clips, split_clips, write_clips
from seqvae.personal.figures import overlap
from seqvae.personal.slide import FILE, small_vae
from seqvae.replay import ReplaySampler
from seqvae.tokenizers import Alphabet, DrumTokenizer, Part, TextTokenizer

WORDS = ("small", "dogs", "cats", "birds", "fish", "sleep", "run", "here")
LINES = [f"{a} {b} {c}" for a in WORDS[:3] for b in WORDS[3:6] for c in WORDS[5:]]


def drum_clip(number: int) -> Clip:
    rng = np.random.default_rng(number)
    notes = [(step / 4, step / 4 + 0.2, int(rng.choice([36, 38, 42, 46])), 90) for step in range(0, 32, 1 + number % 3)]
    return Clip(tracks=(Track(notes=notes_array(notes), is_drum=True),), length_beats=8, name=f"beat {number}")


@functools.cache
def drums() -> SavedModel:
    return by_heart(Preset(name="beats", description="", tokenizer=DrumTokenizer(), model=PRESET.model), [*BEATS], 40)


@functools.cache
def text() -> SavedModel:
    tokenizer = TextTokenizer(max_length=6).fit(LINES)
    return by_heart(Preset(name="lines", description="", tokenizer=tokenizer, model=PRESET.model), LINES, 40)


BEATS = [drum_clip(number) for number in range(16)]


@pytest.fixture
def tunes(tmp_path: Path) -> Path:
    """Fourteen made-up clips of the tiny model's kind, of which it knows a few."""
    for number in range(14):
        melody(100 + number).save(tmp_path / "clips" / f"{number}.mid")
    return tmp_path / "clips"


def same(a: SavedModel, b: SavedModel) -> bool:
    return all(np.array_equal(a.weights[name], b.weights[name]) for name in b.weights)


# -- batches -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    own=st.integers(1, 9),
    replay=st.integers(1, 7),
    batch=st.integers(2, 8),
    replayed=st.integers(1, 7),
    seed=st.integers(0, 99),
    batches=st.integers(0, 12),
)
def test_every_batch_has_its_share_of_replay_and_a_resumed_sampler_goes_on(
    own: int, replay: int, batch: int, replayed: int, seed: int, batches: int
) -> None:
    replayed = min(replayed, batch - 1)
    alphabet = Alphabet(parts=(Part("token", 64),))
    mine, theirs = np.full((own, 3), 1, np.uint8), np.full((replay, 3), 2, np.uint8)
    mine[:, 0], theirs[:, 0] = np.arange(own), 32 + np.arange(replay)
    arguments = (mine, theirs, alphabet, np.arange(64)[None], batch, replayed, seed)
    sampler = ReplaySampler(*arguments)
    seen: list[int] = []
    for _ in range(batches):
        tokens = sampler.next().tokens
        assert tokens.shape == (batch, 3) and (tokens[:, 1] == 2).sum() == replayed
        seen += tokens[tokens[:, 1] == 2, 0].tolist()
    counts = np.bincount(np.array(seen, int), minlength=32 + replay)[32:]
    assert np.ptp(counts) <= 1, "each window of the replay as often as any other"
    again = ReplaySampler(*arguments, state=sampler.state)
    for _ in range(4):
        np.testing.assert_array_equal(sampler.next().tokens, again.next().tokens)


def test_batches_of_sequences_that_end_are_filled_up_with_the_end() -> None:
    alphabet = Alphabet(parts=(Part("word", 9),), end=0)
    short, long = np.array([[3, 0, 0, 0, 0]], np.uint8), np.array([[4, 4, 4, 4, 0]], np.uint8)
    tokens = ReplaySampler(short, long, alphabet, np.arange(9)[None], 2, 1, 1).next().tokens
    assert tokens.tolist() == [[3, 0, 0, 0, 0], [4, 4, 4, 4, 0]]


# -- clips -------------------------------------------------------------------------------------------------------------


@given(st.integers(MIN_CLIPS, 400), st.integers(0, 5))
def test_some_clips_are_held_out_however_few_there_are(count: int, start: int) -> None:
    names = [f"{start}-{number}.mid" for number in range(count)]
    splits = split_clips(names)
    held = [splits.count("valid"), splits.count("test")]
    assert min(held) >= HELD_LEAST and held[0] == held[1] and splits.count("train") >= 2 * count // 3
    backwards = split_clips(names[::-1])
    assert backwards[::-1] == splits, "a clip's split does not depend on the order of the files"


def test_windows_keep_to_their_clips_and_replay_stands_last(tunes: Path, tmp_path: Path) -> None:
    for number in range(3):  # of several windows
        melody(200 + number, bars=5).save(tunes / f"long-{number}.mid")
    (tunes / "broken.mid").write_bytes(b"nothing")
    clips = read_clips([tunes], PRESET.tokenizer)
    assert clips.report.read == 17 and sum(group.count for group in clips.report.rejected.values()) == 1
    of_clip = [set(clips.splits[clips.origins["source"] == index]) for index in range(len(clips.sources))]
    assert all(len(splits) == 1 for splits in of_clip)
    replay = np.stack([PRESET.tokenizer.encode(tune) for tune in TUNES])
    data = write_clips(clips, tmp_path / "data", replay=replay, replayed="replay: made up", licence="mine")
    assert data.replay == len(replay) and data.licence == "mine"
    np.testing.assert_array_equal(data.windows("train")[-len(replay) :], replay)
    assert len(data.own()) + data.replay == len(data.windows("train"))
    assert data.own().tolist() == [row for row in data.own().tolist() if row in clips.train().tolist()]
    assert Dataset.open(tmp_path / "data").hash == data.hash


def test_a_replay_that_is_the_clips_own_window_counts_once(tunes: Path, tmp_path: Path) -> None:
    clips = read_clips([tunes], PRESET.tokenizer)
    data = write_clips(clips, tmp_path / "data", replay=clips.train()[:2], replayed="replay: the same")
    assert data.replay == 0 and len(data.own()) == len(data.windows("train"))


def test_what_the_base_draws_of_held_out_clips_is_not_replayed(tunes: Path, tmp_path: Path) -> None:
    clips = read_clips([tunes], PRESET.tokenizer)
    data = write_clips(clips, tmp_path / "data", replay=clips.tokens, replayed="replay: all of them")
    assert data.replay == 0 and data.unseen("valid").all() and data.unseen("test").all()


def test_too_few_clips_are_counted_and_the_reasons_are_said(tunes: Path) -> None:
    for number in range(5):
        (tunes / f"{number}.mid").unlink()
    (tunes / "0.mid").write_bytes(b"nothing")
    drum_clip(1).save(tunes / "beat.mid")
    with pytest.raises(DataError, match=r"9 usable clips in 11 files \(.*1 × .*needs 12 or more, so add 3"):
        read_clips([tunes], PRESET.tokenizer)


def test_drums_are_nothing_for_a_model_of_melodies(tmp_path: Path) -> None:
    for number in range(12):
        drum_clip(number).save(tmp_path / f"{number}.mid")
    with pytest.raises(DataError, match=r"no window in 12 files \(12 × "):
        read_clips([tmp_path], PRESET.tokenizer)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="does not exist"):
        read_clips([tmp_path / "none"], PRESET.tokenizer)


@pytest.mark.parametrize("kind", ["melody", "drums", "groove-hits", "melody-given", "text-words", "raw-integers"])
def test_a_base_dreams_in_its_own_kind(kind: str) -> None:
    model, windows = untrained(kind)
    found = dreamed(model, windows, items=9, seed=3)
    model.tokenizer.alphabet.check(found, model.tokenizer.length)
    assert np.array_equal(found, dreamed(model, windows, items=9, seed=3))
    controls = model.control_of(found)
    if controls.shape[-1]:
        given = {row.tobytes() for row in model.control_of(windows)}
        assert {row.tobytes() for row in controls} <= given


# -- tuning ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("still", [{"steps": 0}, {"seconds": 0.0}, {"frozen": True}])
def test_without_training_the_personal_model_is_the_base_bit_for_bit(
    tmp_path: Path, tunes: Path, still: dict[str, float]
) -> None:
    base = save_model(tmp_path / "half.safetensors", trained().half())
    made = finetune(base, tunes, tmp_path / "mine", sliders=0, device="cpu", **still)  # type: ignore[arg-type]
    saved = load_model(tmp_path / "mine" / "best.safetensors")
    assert same(saved, load_model(base)) and saved.hash == load_model(base).hash and made.steps == 0
    assert made.own_before == made.own_after
    assert not np.array_equal(saved.aggregate_mean, trained().aggregate_mean), "samples lie where the clips do"
    assert saved.provenance["personal"]["base_hash"] == saved.hash
    assert not (tmp_path / "mine" / FILE).exists()


def test_a_training_that_helps_nothing_keeps_the_base(tmp_path: Path, tunes: Path) -> None:
    base = save_tiny(tmp_path)
    (tmp_path / "clips-it-knows").mkdir()
    for number, tune in enumerate(TUNES * 2):  # names differ, and so do files; their windows do not
        Clip(tracks=tune.tracks, length_beats=8, name=str(number)).save(tmp_path / "clips-it-knows" / f"{number}.mid")
    made = finetune(base, tunes, tmp_path / "mine", steps=1, seed=1, sliders=0, replay_share=0.0, device="cpu")
    validated = [json.loads(line) for line in (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in validated if line["split"] == "valid"]
    assert len(losses) == 2 and validated[0]["step"] == 0
    assert (made.steps == 0) == (losses[0] <= losses[1])


def test_the_same_seed_makes_the_same_model_and_training_goes_on_where_it_stood(tmp_path: Path, tunes: Path) -> None:
    from seqvae.personal.tune import Plan, begin, finish, reopen

    base = save_tiny(tmp_path)
    runs = [finetune(base, tunes, tmp_path / name, steps=60, seed=5, sliders=2, device="cpu") for name in ("a", "b")]
    assert load(runs[0].run).hash == load(runs[1].run).hash != load(base).hash
    assert runs[0].sliders == runs[1].sliders and len(runs[0].sliders) == 2
    fitted = [Sliders.load(made.run / FILE, load(made.run)) for made in runs]
    np.testing.assert_array_equal(fitted[0].moves, fitted[1].moves)
    assert runs[0].own_after == runs[1].own_after and runs[0].shifts == runs[1].shifts
    plan = Plan(base=str(base), base_hash="", steps=60, seed=5, sliders=2)
    begun = begin(plan, [tunes], tmp_path / "c", device="cpu")
    cut = finish(begun, seconds=1e-9, device="cpu")  # one step
    assert "are over" in cut.reason
    whole = finish(reopen(tmp_path / "c", "cpu"), device="cpu", resume=True)
    assert load(whole.run).hash == load(runs[0].run).hash and whole.own_after == runs[0].own_after


def test_clips_are_learned_and_what_is_kept_is_reported(tmp_path: Path, tunes: Path) -> None:
    base = save_model(
        tmp_path / "base.safetensors",
        replace(trained(), held_out=np.stack([PRESET.tokenizer.encode(tune) for tune in TUNES])),
    )
    made = finetune(base, tunes, tmp_path / "mine", steps=80, seed=2, sliders=2, device="cpu")
    assert made.own_before and made.own_after and made.base_before and made.base_after
    assert made.steps > 0 and made.own_after.loss < made.own_before.loss
    assert made.clips == {"train": 10, "valid": 2, "test": 2} and made.base_after.windows == len(TUNES)
    saved = load_model(made.run / "best.safetensors")
    assert saved.preset.train.replay == 0.5 and not saved.attributes and saved.preset.objective.schedule == "constant"
    about = json.loads((made.run / "personal.json").read_text())
    assert about["result"] == json.loads(json.dumps(made.to_dict())) and about["import"]["files"] == 14
    assert load(made.run).sample(2, seed=1)


@pytest.mark.parametrize("kind", ["text", "drums"])
def test_texts_and_drums_are_as_melodies(kind: str, tmp_path: Path) -> None:
    base = save_model(tmp_path / "base.safetensors", {"text": text, "drums": drums}[kind]())
    if kind == "text":
        (tmp_path / "lines.txt").write_text("\n".join(LINES))
        clips = tmp_path / "lines.txt"
    else:
        clips = tmp_path / "beats"
        for number, beat in enumerate(BEATS):
            beat.save(clips / f"{number}.mid")
    made = finetune(base, clips, tmp_path / "mine", steps=20, seed=1, sliders=2, device="cpu")
    assert made.own_after and made.own_after.windows and len(made.sliders) == 2 and made.shifts
    assert {split for split, count in made.clips.items() if count} == set(SPLITS)
    model = load(made.run, device="cpu")
    moved = Sliders.load(made.run / FILE, model).set(model.draw(3, seed=1), {1: 2.0})
    assert len(model.decode(moved)) == 3


def test_true_data_are_replayed_and_their_test_split_is_looked_at(tmp_path: Path, tunes: Path) -> None:
    from seqvae.corpus import prepare

    for number in range(30):
        melody(number).save(tmp_path / "theirs" / f"{number}.mid")
    prepare(tmp_path / "theirs", PRESET.tokenizer, tmp_path / "data", jobs=1)
    theirs = Dataset.open(tmp_path / "data")
    made = finetune(save_tiny(tmp_path), tunes, tmp_path / "mine", steps=2, sliders=0, replay=tmp_path / "data")
    mine = Dataset.open(tmp_path / "mine" / "data")
    known = {row.tobytes() for row in theirs.windows("train")}
    assert {row.tobytes() for row in mine.windows("train")[-mine.replay :]} <= known and mine.replay
    assert made.base_before and made.base_before.windows == len(theirs.windows("test")[theirs.unseen("test")])


def test_what_cannot_be_begun_says_why(tmp_path: Path, tunes: Path) -> None:
    base = save_tiny(tmp_path)
    with pytest.raises(ModelError, match="there is no model"):
        finetune("no-such", tunes, tmp_path / "mine")
    with pytest.raises(ConfigError, match="share of replay is 1"):
        finetune(base, tunes, tmp_path / "mine", replay_share=1.0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    with pytest.raises(WriteError, match="stands already"):
        finetune(base, tunes, tmp_path / "mine")
    with pytest.raises(DataError, match="is no dataset"):
        finetune(base, tunes, tmp_path / "other", replay=tunes)
    assert not (tmp_path / "other").exists()


# -- figures and sliders -----------------------------------------------------------------------------------------------


def test_the_overlap_of_two_histograms_by_hand() -> None:
    a, b = np.array([0.0, 0.0, 12.0, 12.0]), np.array([0.0, 12.0, 12.0, 12.0])
    assert overlap(a, b, [a, b]) == pytest.approx(0.25 + 0.5)


@settings(max_examples=20)
@given(seed=st.integers(0, 99), windows=st.integers(8, 40), n=st.integers(1, 4))
def test_the_small_vae_finds_the_plane_in_which_z_lies(seed: int, windows: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    plane = np.linalg.qr(rng.standard_normal((6, 6)))[0][:, :n]
    z = (rng.standard_normal((windows, n)) * 3 @ plane.T + 5).astype(np.float32)
    probe, moves = small_vae(z, np.full((windows, 2), np.nan), n)
    positions = (z - z.mean(axis=0)) @ probe.T
    np.testing.assert_allclose(positions.std(axis=0), 1.0, rtol=1e-4)
    # With next to no noise beside the plane, positions and moves give z back.
    np.testing.assert_allclose(positions @ moves, z - z.mean(axis=0), atol=0.05)


def test_an_attribute_that_hides_in_a_quiet_direction_gets_a_slider() -> None:
    rng = np.random.default_rng(1)
    z = rng.standard_normal((300, 8)).astype(np.float32) * np.array([1, 3, 3, 3, 3, 3, 3, 3], np.float32)
    values = np.stack([z[:, 0] * 10, np.full(300, 7.0)], axis=1).astype(np.float64)  # the second never varies
    probe, moves = small_vae(z, values, 1)
    assert abs(moves[0, 0]) / np.linalg.norm(moves[0]) > 0.8 and abs(probe[0, 0]) / np.linalg.norm(probe[0]) > 0.8
    deaf, _ = small_vae(z, values[:, 1:], 1)
    assert abs(deaf[0, 0]) / np.linalg.norm(deaf[0]) < 0.3


@pytest.fixture(scope="module")
def fitted() -> Sliders:
    model = from_saved(trained())
    rows = np.stack([model.tokenizer.encode(melody(seed)) for seed in range(24)])
    return sliders(model, rows, 3, held_out=rows[:8])


@settings(max_examples=30)
@given(seed=st.integers(0, 999), number=st.integers(1, 3), position=st.floats(-3, 3), count=st.integers(1, 4))
def test_a_slider_moves_along_its_own_direction_only(
    fitted: Sliders, seed: int, number: int, position: float, count: int
) -> None:
    z = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    np.testing.assert_array_equal(fitted.set(z, {}), z)
    here = fitted.read(z)[:, number - 1]
    moved = fitted.set(z, {number: position})
    np.testing.assert_allclose(moved - z, np.outer(position - here, fitted.moves[number - 1]), atol=1e-4)
    np.testing.assert_allclose(fitted.set(z, {number: float(here[0])})[0], z[0], atol=1e-5)
    together = fitted.set(z, {number: position}, together=True) - z
    np.testing.assert_allclose(together, together[:1].repeat(count, axis=0), atol=1e-5)
    assert all(one.effect >= 0 for one in fitted.about)
    assert [one.effect for one in fitted.about] == sorted((one.effect for one in fitted.about), reverse=True)


def test_sliders_are_kept_and_belong_to_their_model(tmp_path: Path, fitted: Sliders) -> None:
    model = from_saved(trained())
    path = fitted.save(tmp_path / FILE)
    again = Sliders.load(path, model)
    z = model.draw(3, seed=1)
    np.testing.assert_array_equal(again.set(z, {1: 1.0}), fitted.set(z, {1: 1.0}))
    assert list(again.about) == list(fitted.about) and again.describe() == fitted.describe()
    other, _ = untrained("melody")
    with pytest.raises(ModelError, match="its sliders are of model"):
        Sliders.load(path, other)
    with pytest.raises(ModelError, match="there are no sliders"):
        Sliders.load(tmp_path / "none.safetensors", model)
    with pytest.raises(ModelError, match="is no file of sliders"):
        Sliders.load(save_tiny(tmp_path), model)


def test_a_slider_that_is_not_there_or_goes_nowhere(fitted: Sliders) -> None:
    z = np.zeros((1, 8), np.float32)
    for name, words in ((0, "1 to 3"), (4, "1 to 3"), ("nonsense", "no slider is named 'nonsense'")):
        with pytest.raises(DataError, match=words):
            fitted.set(z, {name: 1.0})
    with pytest.raises(DataError, match="is to stand at nan"):
        fitted.set(z, {1: float("nan")})


def test_too_few_windows_for_sliders() -> None:
    model = from_saved(trained())
    rows = np.stack([model.tokenizer.encode(tune) for tune in TUNES])
    with pytest.raises(DataError, match="4 sliders are asked for and there are 5 windows; 6 are needed"):
        sliders(model, rows[:5], 4)
    with pytest.raises(DataError, match="0 sliders are asked for"):
        sliders(model, rows, 0)


@pytest.mark.parametrize("kind", ["melody", "drums", "groove-hits", "text-chars", "raw-spaces"])
def test_every_kind_has_sliders(kind: str) -> None:
    model, windows = untrained(kind)
    more = np.concatenate([windows, [model.tokenizer.canonical(random_tokens(KINDS[kind], 50 + s)) for s in range(4)]])
    found = sliders(model, more, 2)
    assert len(found) == len(found.describe()) == 2 and np.isfinite(found.moves).all()
