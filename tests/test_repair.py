"""Repair: laws over every kind of sequence first, then wrong notes, words and hits put into what small models know."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, each_kind, untrained
from numpy.typing import NDArray
from tiny import PRESET, TUNES, melody

import seqvae
from seqvae.checkpoint import SavedModel, save_model
from seqvae.cli import repair as verb
from seqvae.cli.app import main
from seqvae.clip import Clip, Track, notes_array
from seqvae.errors import DataError
from seqvae.latent import AggregatePosterior
from seqvae.loading import from_saved
from seqvae.model import Model
from seqvae.plot import changes_strip
from seqvae.plot.changes import changed_notes
from seqvae.repairs import STRENGTH, changes_of, cost, prices, repair_tokens
from seqvae.tokenizers import DrumTokenizer, MelodyTokenizer, TextTokenizer, Tokenizer

TEXTS = ["a man rides a horse", "two dogs run on the beach", "a cat sleeps on a red chair", "the sun goes down"]
BEATS = [(36, 42, 38, 42), (36, 42, 42, 38), (36, 46, 38, 46), (36, 38, 36, 38)]


def drum_clip(pitches: tuple[int, ...], bars: int = 2) -> Clip:
    """A beat in eighths."""
    notes = [(beat / 2, beat / 2 + 0.25, pitches[beat % len(pitches)], 90) for beat in range(8 * bars)]
    return Clip(tracks=(Track(notes=notes_array(notes), is_drum=True, name="kit"),), length_beats=4.0 * bars)


def learned(name: str, tokenizer: Tokenizer, items: list[Any], steps: int = 200) -> SavedModel:
    """A VAE that knows a few items: unlike `by_heart`, its posteriors have a width that was learned."""
    import torch

    from seqvae.runtime import single_threaded
    from seqvae.vae import SequenceVAE

    preset = replace(PRESET, name=name, tokenizer=tokenizer, objective=replace(PRESET.objective, beta=0.2))
    torch.manual_seed(0)
    tokens = torch.from_numpy(np.stack([tokenizer.encode(item) for item in items]))
    vae = SequenceVAE(tokenizer.alphabet, tokenizer.length, preset.model)
    optimiser = torch.optim.Adam(vae.parameters(), 1e-2)
    with single_threaded():
        for _ in range(steps):
            posterior = vae.encode(tokens)
            z = posterior.draw(torch.randn_like(posterior.mean))
            loss = vae.head.nll(vae.logits(z, tokens), tokens).sum(1).mean() + 0.2 * posterior.kl().sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        posterior = vae.encode(tokens)
    aggregate = AggregatePosterior.fit(posterior.mean.numpy(), posterior.std.numpy())
    return SavedModel(
        name=name,
        preset=preset,
        weights={key: weight.numpy() for key, weight in vae.state_dict().items()},
        aggregate_mean=aggregate.mean.astype(np.float32),
        aggregate_covariance=aggregate.covariance.astype(np.float32),
        provenance={},
        licence="made up",
        card={},
    )


@functools.cache
def saved(kind: str) -> SavedModel:
    """Learned once a process."""
    if kind == "texts":
        return learned(kind, TextTokenizer(max_length=8).fit(TEXTS), list(TEXTS))
    if kind == "drums":
        return learned(kind, DrumTokenizer(), [drum_clip(beat) for beat in BEATS])
    return learned(kind, MelodyTokenizer(), list(TUNES))


def model_of(kind: str) -> Model:
    return from_saved(saved(kind), name=kind)


def wrong_pitch(clip: Clip, index: int, by: int) -> Clip:
    notes = clip.tracks[0].notes.copy()
    notes["pitch"][index] += by
    return clip.with_notes([notes])


def counted_differences(model: Model, before: NDArray[np.int64], after: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """The slow way: position after position."""
    alphabet = model.tokenizer.alphabet
    found = []
    for index in np.ndindex(before.shape):
        part = index[2] if len(index) > 2 else 0
        symbol = not alphabet.parts[part].given and alphabet.parts[part].gate is None
        ended = alphabet.end is not None and alphabet.end in before[index[0], : index[1]]
        if symbol and not ended and before[index] != after[index]:
            found.append((index[0], index[1], part, int(before[index]), int(after[index])))
    return found


# -- laws --------------------------------------------------------------------------------------------------------------


@each_kind
@settings(max_examples=2)
@given(row=st.integers(0, 11), strength=st.sampled_from([0.03, 0.1, 1.0]))
def test_a_repair_is_cheaper_by_the_strength_stays_when_repaired_again_and_is_the_same_each_time(
    kind: str, row: int, strength: float
) -> None:
    model, windows = untrained(kind)
    given_tokens = windows[row : row + 1]
    made = repair_tokens(model, given_tokens, strength=strength)
    model.tokenizer.alphabet.check(made, model.tokenizer.length)
    np.testing.assert_array_equal(made, model.tokenizer.canonical(made))
    np.testing.assert_array_equal(made, repair_tokens(model, given_tokens, strength=strength))
    np.testing.assert_array_equal(made, repair_tokens(model, made, strength=strength))
    np.testing.assert_array_equal(model.control_of(made), model.control_of(given_tokens))
    lengths = [model.tokenizer.alphabet.lengths(tokens).tolist() for tokens in (given_tokens, made)]
    assert lengths[0] == lengths[1]
    price = np.atleast_1d(prices(model))
    changed = sum(price[one[2]] for one in counted_differences(model, given_tokens, made))
    saving = float((cost(model, given_tokens) - cost(model, made))[0])
    assert saving >= strength * changed - 1e-3


@each_kind
def test_something_is_changed_somewhere_and_the_changes_are_those_that_are_found_one_by_one(kind: str) -> None:
    model, windows = untrained(kind)
    made = repair_tokens(model, windows[:2], strength=0.03)
    changes = changes_of(model, windows[:2], made)
    found = [(one.window, one.step, one.part, one.was, one.now) for one in changes]
    assert found == counted_differences(model, windows[:2], made)
    assert found or not model.tokenizer.alphabet.judged.any() or kind.startswith("groove-")
    for one in changes:
        assert one.was_named == model.tokenizer.token_name(one.was, one.part)
        assert one.now_named == model.tokenizer.token_name(one.now, one.part)


@pytest.mark.parametrize("kind", ["melody", "drums", "text-words", "trio"])
def test_windows_are_repaired_each_for_itself(kind: str) -> None:
    model, windows = untrained(kind)
    together = repair_tokens(model, windows[:3], strength=0.05)
    alone = np.concatenate([repair_tokens(model, windows[row : row + 1], strength=0.05) for row in range(3)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("kind", ["melody", "texts", "drums"])
def test_what_a_model_knows_is_left_alone_to_the_very_object(kind: str) -> None:
    model = model_of(kind)
    for item in {"melody": TUNES, "texts": TEXTS, "drums": [drum_clip(beat) for beat in BEATS]}[kind]:
        passage = model.passage(item)
        found = seqvae.repair(model, item)
        assert found.changes == []
        np.testing.assert_array_equal(found.made.tokens, passage.tokens)
        assert found.item is found.given.item


# -- worked cases ------------------------------------------------------------------------------------------------------


def test_wrong_pitches_in_tunes_that_are_known_are_put_right_and_nothing_else_is() -> None:
    model = model_of("melody")
    right = wrong = 0
    for number, tune in enumerate(TUNES):
        before = model.passage(tune).tokens
        for index, by in ((2, 5), (5, -6)):
            found = seqvae.repair(model, wrong_pitch(tune, index, by))
            wrong += int((found.made.tokens != before).sum())
            right += np.array_equal(found.made.tokens, before)
            assert len(found.changes) <= 2, number
    assert right >= 12  # of 16
    assert wrong <= 8


def test_a_change_says_where_it_is_what_was_and_what_is_now_and_signs_the_clip() -> None:
    model = model_of("melody")
    tune = Clip(tracks=TUNES[0].tracks, length_beats=8.0)
    pitch = int(tune.tracks[0].notes["pitch"][2])
    beat = float(tune.tracks[0].notes["start_beats"][2])
    found = seqvae.repair(model, wrong_pitch(tune, 2, 6))
    (change,) = found.changes
    bar, rest = divmod(beat, 4.0)
    assert change.where == f"bar {int(bar) + 1} beat {1 + rest:g}"
    assert change.was_named == model.tokenizer.token_name(pitch + 6 - 21 + 2)
    assert change.now_named == model.tokenizer.token_name(pitch - 21 + 2)
    assert change.nats >= STRENGTH * prices(model) - 1e-3
    provenance = found.item.provenance
    assert (provenance.verb, provenance.model, provenance.seed) == ("repair", "melody", 0)
    np.testing.assert_array_equal(provenance.z, found.made.z)
    np.testing.assert_array_equal(model.encode([found.item]), found.made.z)


def test_the_notes_that_stay_stay_off_the_grid_and_as_loud_as_they_were() -> None:
    model = model_of("melody")
    notes = TUNES[0].tracks[0].notes.copy()
    rng = np.random.default_rng(0)
    notes["start_beats"][1:] += rng.uniform(-0.05, 0.05, len(notes) - 1)
    notes["velocity"] = rng.integers(40, 120, len(notes))
    played = TUNES[0].with_notes([notes])
    found = seqvae.repair(model, wrong_pitch(played, 2, 6))
    assert len(found.changes) == 1
    after = found.item.tracks[0].notes
    assert len(after) == len(notes)
    others = np.arange(len(notes)) != 2
    for field in ("start_beats", "pitch", "velocity"):
        np.testing.assert_allclose(after[field][others], notes[field][others], atol=1e-9)
    assert after["pitch"][2] == notes["pitch"][2]
    np.testing.assert_array_equal(model.passage(found.item, re_encode=True).tokens, found.made.tokens)


def test_a_wrong_word_is_put_right_and_a_longer_item_keeps_its_other_windows() -> None:
    model = model_of("texts")
    found = seqvae.repair(model, "a man down a horse")
    assert found.item == "a man rides a horse"
    (change,) = found.changes
    assert (change.was_named, change.now_named, change.window, change.step) == ("'down'", "'rides'", 0, 2)

    tunes = model_of("melody")
    second = wrong_pitch(TUNES[1], 3, 6)
    long = Clip.from_notes([*rows(TUNES[0], 0.0), *rows(second, 8.0)])
    fixed = seqvae.repair(tunes, long)
    assert {change.window for change in fixed.changes} == {1}
    assert all(change.where.startswith(("bar 3", "bar 4")) for change in fixed.changes)
    np.testing.assert_array_equal(fixed.item.tracks[0].notes[:4], long.tracks[0].notes[:4])


def rows(clip: Clip, offset: float) -> list[tuple[float, float, int, int]]:
    return [(start + offset, end + offset, int(pitch), int(loud)) for start, end, pitch, loud in clip.tracks[0].notes]


def test_a_hit_on_the_wrong_drum_is_put_right() -> None:
    model = model_of("drums")
    right = drum_clip(BEATS[0])
    found = seqvae.repair(model, wrong_pitch(right, 6, 49 - 38))
    np.testing.assert_array_equal(found.made.tokens, model.passage(right).tokens)
    assert found.changes[0].where == "bar 1 beat 4"
    assert "snare" in found.changes[0].now_named


def test_a_strength_that_is_none_is_refused_in_one_line() -> None:
    for strength in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(DataError, match=r"^the strength is .*; give a number above 0"):
            seqvae.repair(model_of("melody"), TUNES[0], strength=strength)


# -- the picture -------------------------------------------------------------------------------------------------------


def test_notes_are_changed_if_they_begin_elsewhere_or_have_another_pitch() -> None:
    before = notes_array([(0, 1, 60, 80), (1, 2, 62, 80), (2, 3, 64, 80)])
    after = notes_array([(0, 2, 60, 99), (1, 2, 63, 80), (2, 3, 64, 80), (3, 4, 65, 80)])
    gone, new = changed_notes(before, after)
    assert gone["pitch"].tolist() == [62]
    assert new["pitch"].tolist() == [63, 65]


def test_a_picture_shows_the_changes(tmp_path: Path) -> None:
    from matplotlib.image import imread

    tune = melody(3, bars=10)
    same = changes_strip(tune, tune, tmp_path / "same.png")
    other = changes_strip(tune, wrong_pitch(tune, 4, 3), tmp_path / "other.png")
    a, b = imread(same), imread(other)
    assert a.shape == b.shape
    assert 0 < (a != b).any(axis=2).sum() < 0.05 * a.shape[0] * a.shape[1]
    changes_strip(drum_clip(BEATS[0]), wrong_pitch(drum_clip(BEATS[0]), 3, 7), tmp_path / "drums.png")
    with pytest.raises(DataError, match="8 and 40 beats"):
        changes_strip(TUNES[0], tune, tmp_path / "no.png")


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("melody", "texts", "drums"):
        save_model(folder / f"{kind}.safetensors", saved(kind))
    wrong_pitch(TUNES[0], 2, 6).save(folder / "wrong.mid")
    TUNES[1].save(folder / "right.mid")
    (folder / "lines.txt").write_text("\n".join(["a man down a horse", *TEXTS[1:]]) + "\n")
    return folder


def run(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    assert main(["repair", *words]) == code
    said = capsys.readouterr()
    return said.out, said.err


def test_a_clip_is_repaired_and_pictured_and_the_changes_are_told(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(files / "wrong.mid"), "--model", str(files / "melody.safetensors"), "-o", str(tmp_path / "out")]
    out, err = run(words, capsys)
    assert out.split() == [str(tmp_path / "out" / name) for name in ("repaired.mid", "changes.png")]
    assert "1 change, nats saved:" in err
    assert " -> " in err
    made = Clip.load(tmp_path / "out" / "repaired.mid")
    assert made.provenance is not None
    assert made.provenance.verb == "repair"
    np.testing.assert_array_equal(made.tracks[0].notes["pitch"], TUNES[0].tracks[0].notes["pitch"])

    out, _ = run([*words, "--force", "--json"], capsys)
    values = json.loads(out)
    assert (values["verb"], values["strength"], values["changed"]) == ("repair", STRENGTH, 1)
    assert {"item", "where", "was_named", "now_named", "nats", "window", "step"} <= set(values["changes"][0])
    assert len(values["files"]) == 2

    words[0] = str(files / "right.mid")
    _, err = run([*words, "--force"], capsys)
    assert "nothing is changed" in err
    again = Clip.load(tmp_path / "out" / "repaired.mid")
    np.testing.assert_array_equal(again.tracks[0].notes, TUNES[1].tracks[0].notes)


def test_texts_are_printed_typed_or_from_a_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model", str(files / "texts.safetensors")]
    out, err = run(["a man down a horse", *model], capsys)
    assert out == "a man rides a horse\n"
    assert "word 3" in err
    out, err = run([str(files / "lines.txt"), *model], capsys)
    assert out.splitlines() == TEXTS
    assert "1 change in 1 of 4 lines" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["{}/wrong.mid", "--strength", "0"], 2, "--strength 0 is not above 0"),
        (["{}/wrong.mid", "--strength", "nan"], 2, "--strength nan is not above 0"),
        (["{}/none.mid", "--model", "{}/melody.safetensors"], 1, "none.mid: no such file"),
        (["{}/wrong.mid", "--model", "{}/texts.safetensors"], 1, "wrong.mid: is a .mid file"),
        (["{}/wrong.mid", "--model", "{}/drums.safetensors"], 1, "drums are asked for"),
        (["{}/wrong.mid", "--model", "{}/melody.safetensors", "-o", "{}/right.mid"], 1, "is a file; give a folder"),
    ],
)
def test_bad_input_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    _, err = run([word.format(files) for word in words], capsys, code)
    assert err.count("\n") == 1
    assert said in err


def test_the_help_says_the_strength_of_the_code() -> None:
    assert verb.USUAL_STRENGTH == STRENGTH
    assert KINDS  # every kind above was one of these
