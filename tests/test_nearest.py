"""The nearest neighbours of an item: it is its own nearest, near is mutual, and how they are found is no matter."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, untrained
from tiny import PRESET, TUNES, by_heart, melody, save_tiny, trained

import seqvae
from seqvae import nearby
from seqvae.checkpoint import save_model
from seqvae.cli.app import main
from seqvae.clip import Clip, Track, notes_array
from seqvae.dataset import Dataset
from seqvae.errors import DataError
from seqvae.loading import from_saved
from seqvae.nearby import nearest
from seqvae.passage import Passage
from seqvae.tokenizers import Tokens

KINDS_SEARCHED = ("melody", "drums", "groove", "trio", "melody-given", "raw-integers", "text-words", "text-chords")
kinds_searched = pytest.mark.parametrize("kind", KINDS_SEARCHED)


@pytest.fixture(scope="module")
def tiny() -> seqvae.Model:
    return from_saved(trained())


def passage(model: seqvae.Model, tokens: Tokens) -> Passage:
    """Of one window, whatever it holds: a person cannot type an empty line, and a dataset has none."""
    item = model.tokenizer.decode(tokens)
    z = np.zeros((1, model.z_size), np.float32)
    return Passage(item=item, windows=[item], tokens=tokens[None], z=z, styles=[None])


# -- laws ------------------------------------------------------------------------------------------------------------


@kinds_searched
def test_an_item_is_its_own_nearest_and_near_is_mutual(kind):
    model, windows = untrained(kind)
    tokens = windows[np.sort(np.unique(windows.reshape(12, -1), axis=0, return_index=True)[1])]
    angles = np.zeros((len(tokens), len(tokens)))
    for row, one in enumerate(tokens):
        found = nearest(model, passage(model, one), tokens, len(tokens))
        assert found[0].angle == 0.0
        assert (found[0].row, found[0].edits) == (row, 0.0) or found[0].edits == 0.0
        assert [near.angle for near in found] == sorted(near.angle for near in found)
        assert sorted(near.row for near in found) == list(range(len(tokens)))
        angles[row, [near.row for near in found]] = [near.angle for near in found]
    np.testing.assert_allclose(angles, angles.T, atol=0.002)
    assert angles.max() <= 180.0


@kinds_searched
@settings(max_examples=5)
@given(chunk=st.integers(1, 13), n=st.integers(1, 15), asked=st.integers(0, 11))
def test_how_many_are_encoded_at_once_is_no_matter(kind, chunk, n, asked):
    model, windows = untrained(kind)
    item = passage(model, windows[asked])
    whole = nearest(model, item, windows, n)
    assert len(whole) == min(n, 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearby, "CHUNK", chunk)
        parts = nearest(model, item, windows, n)
    np.testing.assert_allclose([one.angle for one in parts], [one.angle for one in whole], atol=0.002)
    # Two that lie equally near may change places; all others may not.
    angle = {one.row: one.angle for one in nearest(model, item, windows, 12)}
    for here, there in zip(parts, whole, strict=True):
        assert here.row == there.row or angle[here.row] == pytest.approx(angle[there.row], abs=0.002)


def test_the_angle_is_that_of_the_posterior_means(tiny):
    tokens = np.stack([tiny.tokenizer.encode(tune) for tune in TUNES])
    z = tiny.posterior(tokens)[0].astype(np.float64)
    found = nearest(tiny, TUNES[3], tokens, 8)
    cosine = {near.row: z[3] @ z[near.row] / np.linalg.norm(z[3]) / np.linalg.norm(z[near.row]) for near in found}
    for near in found[1:]:
        assert near.angle == pytest.approx(np.degrees(np.arccos(cosine[near.row])), abs=0.002)
        assert near.edits == tiny.distance(tokens[3], tokens[near.row])
    assert found[1].row == max((row for row in cosine if row != 3), key=cosine.__getitem__)


def test_equals_stand_in_their_order_and_stored_integers_do(tiny):
    tokens = np.stack([tiny.tokenizer.encode(TUNES[row]) for row in (1, 0, 1, 0, 1)]).astype(np.uint8)
    assert [near.row for near in nearest(tiny, TUNES[0], tokens, 5)] == [1, 3, 0, 2, 4]


def test_items_and_tokens_and_a_dataset_are_one(tiny, tmp_path):
    for number, tune in enumerate(TUNES):
        tune.save(tmp_path / "songs" / f"{number}.mid")
    assert main(["prepare", str(tmp_path / "songs"), "-o", str(tmp_path / "set")]) == 0
    dataset = Dataset.open(tmp_path / "set")
    by_dataset = nearest(tiny, TUNES[2], dataset, 4)
    assert by_dataset == nearest(tiny, TUNES[2], np.asarray(dataset.tokens).astype(np.int64), 4)
    items = [tiny.tokenizer.decode(row) for row in np.asarray(dataset.tokens)]
    assert by_dataset == nearest(tiny, tiny.passage(TUNES[2]), items, 4)


# -- cases -----------------------------------------------------------------------------------------------------------


def test_of_a_long_item_any_window_counts_but_silence(tiny):
    silence = Clip.from_notes([], length_beats=8)
    long = tiny.tokenizer.join([TUNES[4], silence, TUNES[6]])
    found = nearest(tiny, long, [silence, *TUNES], 9)
    assert [(near.row, near.window, near.angle) for near in found[:2]] == [(5, 0, 0.0), (7, 2, 0.0)]
    assert all(near.window != 1 for near in found)
    (only,) = nearest(tiny, tiny.passage(long), [silence], 1)
    assert only.window != 1 and only.angle > 0.0


def test_silence_is_near_silence(tiny):
    # A clip without notes is one that the model reads if a model made it.
    rest = replace(tiny.sample(1, seed=1)[0], tracks=())
    assert nearest(tiny, rest, [*TUNES, Clip.from_notes([], length_beats=8)], 1)[0].angle == 0.0


def test_a_z_that_a_clip_carries_plays_no_part(tiny):
    made = tiny.sample(3, seed=5)
    assert tiny.passage(made[1]).restored
    near = nearest(tiny, made[1], made, 1)[0]
    assert (near.row, near.angle, near.edits) == (1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("n", "among", "words"),
    [
        (0, TUNES, "0 neighbours"),
        (3, [], "no windows"),
        (3, np.zeros((4, 7), np.int64), "(n, 32)"),
        (3, np.full((4, 32), 10_000), "10000"),
    ],
)
def test_what_cannot_be_searched(tiny, n, among, words):
    with pytest.raises(DataError) as caught:
        nearest(tiny, TUNES[0], among, n)
    assert words in str(caught.value).replace("10,000", "10000")
    assert "\n" not in str(caught.value)


# -- the verb --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path)
    for number, tune in enumerate(TUNES):
        tune.save(tmp_path / "songs" / f"{number}.mid")

    def command(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


TINY = ("--model", "tiny.safetensors")


def test_neighbours_are_listed_and_written(run):
    code, out, err = run("neighbours", "songs/3.mid", "--data", "songs", "-n", 3, *TINY)
    assert code == 0
    heading, first, *others = out.splitlines()
    assert heading.split() == ["near", "angle", "edits", "where"]
    assert first.split() == ["1", "0.0°", "0.00", "songs/3.mid", "bar", "1"]
    assert len(others) == 2
    assert "songs, all 8 distinct windows" in err

    code, out, err = run("neighbours", "songs/3.mid", "--data", "songs", "-n", 3, *TINY, "-o", "near")
    assert out.splitlines() == [f"near/{name}" for name in ("near-01.mid", "near-02.mid", "near-03.mid", "strip.png")]
    assert first in err
    assert Clip.load("near/near-01.mid").tracks[0].notes["pitch"].tolist() == TUNES[3].tracks[0].notes["pitch"].tolist()
    assert run("neighbours", "songs/3.mid", "--data", "songs", "-n", 3, *TINY, "-o", "near")[0] == 1


def test_neighbours_as_json_say_of_which_window_they_are(run):
    melody(20, bars=4).save("songs/long.mid")
    _, out, _ = run("neighbours", "songs/long.mid", "--data", "songs", "-n", 40, *TINY, "--json")
    told = json.loads(out)
    assert told["verb"] == "neighbours"
    assert {"row", "window", "angle", "edits", "where", "source"} == set(told["neighbours"][0])
    own = [one for one in told["neighbours"] if one["source"] == "songs/long.mid"]
    assert {(one["window"], one["where"], one["angle"]) for one in own} >= {
        (0, "songs/long.mid bar 1", 0.0),
        (1, "songs/long.mid bar 3", 0.0),
    }
    heading = run("neighbours", "songs/long.mid", "--data", "songs", *TINY)[1].splitlines()[0]
    assert heading.split() == ["near", "angle", "edits", "window", "where"]


def test_neighbours_of_the_windows_that_the_model_carries(run):
    tokens = np.stack([PRESET.tokenizer.encode(tune) for tune in TUNES[:5]]).astype(np.uint8)
    save_model(Path("carries.safetensors"), replace(trained(), held_out=tokens))
    code, out, err = run("neighbours", "songs/2.mid", "-n", 2, "--model", "carries.safetensors")
    assert code == 0
    assert out.splitlines()[1].split() == ["1", "0.0°", "0.00", "window", "3"]
    assert "sample of 5 windows" in err


def test_neighbours_of_texts_are_printed(run):
    lines = ["a b c", "c b a", "b b", "a c a b"]
    Path("lines.txt").write_text("\n".join(lines))
    preset = replace(PRESET, name="words", tokenizer=KINDS["text-words"].fit(lines))
    save_model(Path("words.safetensors"), by_heart(preset, lines, steps=20))
    code, out, _ = run("neighbours", "b b", "--data", "lines.txt", "-n", 2, "--model", "words.safetensors")
    assert code == 0
    assert out.splitlines()[1].split() == ["1", "0.0°", "0.00", "lines.txt:3", "b", "b"]
    line = ("neighbours", "a b c", "--data", "lines.txt", "-n", 2, "--model", "words.safetensors")
    assert run(*line, "-o", "near.txt")[1] == "near.txt\n"
    assert Path("near.txt").read_text().splitlines()[0] == "a b c"
    assert json.loads(run(*line, "--json")[1])["neighbours"][0]["item"] == "a b c"


def drums(pitch: int) -> Clip:
    """One drum on every beat of two bars."""
    notes = notes_array([(beat, beat + 0.25, pitch, 90) for beat in range(8)])
    return Clip(tracks=(Track(notes=notes, is_drum=True),), length_beats=8.0)


def test_neighbours_of_drums(run):
    beats = [drums(pitch) for pitch in (36, 38, 42)]
    for number, beat in enumerate(beats):
        beat.save(f"beats/{number}.mid")
    preset = replace(PRESET, name="drums", tokenizer=KINDS["drums"])
    save_model(Path("drums.safetensors"), by_heart(preset, beats, steps=20))
    code, out, _ = run("neighbours", "beats/1.mid", "--data", "beats", "--model", "drums.safetensors", "-o", "near")
    assert code == 0
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "INPUT"),
        (("songs/3.mid", *TINY), 1, "carries no windows"),
        (("songs/3.mid", "--data", "nowhere", *TINY), 1, "nowhere: does not exist"),
        (("nowhere.mid", "--data", "songs", *TINY), 1, "nowhere.mid: no such file"),
        (("songs/3.mid", "--data", "songs", "-n", "0", *TINY), 2, "-n"),
        (("songs/3.mid", "--data", "songs", "-o", "a.mid", *TINY), 1, "looks like a file"),
        (("songs/3.mid", "--data", "texts", *TINY), 1, "no file of music"),
        (("songs/3.mid", "--data", "songs", "--bars", "9", *TINY), 1, "asks for bar 9"),
    ],
)
def test_mistakes_are_one_line(run, arguments, code, words):
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("no music")
    found, out, err = run("neighbours", *arguments)
    assert (found, out) == (code, "")
    assert err.splitlines()[-1].startswith("Error: ")
    assert words in err
    assert "Traceback" not in err
