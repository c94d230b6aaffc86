"""What a model is given beside z: marks of clips, tables of labels, controls in words, their way through a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import PRESET, save_tiny

from seqvae.chords import chord_tones, parse_chord, progression_clip, symbol
from seqvae.cli.app import main
from seqvae.clip import Clip, Track, notes_array
from seqvae.config import Preset
from seqvae.corpus import prepare
from seqvae.dataset import Dataset
from seqvae.errors import ConfigError, DataError, SeqvaeError
from seqvae.evaluate import report_card
from seqvae.evaluate.control import fitting_share, voice_pitch_classes
from seqvae.keys import parse_key
from seqvae.loading import load
from seqvae.model import Model
from seqvae.tokenizers import MelodyTokenizer, PartsTokenizer
from seqvae.tokenizers.control import control_tokens, mark, marks_of, with_marks

GIVEN = ("chords", "key", "label:genre=jazz|pop")
TOKENIZER = PartsTokenizer(bars=1, given=GIVEN, parts=("melody",))


def tune(key: int = 0, name: str = "tune") -> Clip:
    """Two bars of melody over F, G and C, so many semitones higher, in a file with a chord track."""
    chords = progression_clip("F G | C").transpose(key)
    line = [(beat, beat + 1, pitch + key, 80) for beat, pitch in enumerate((65, 69, 67, 71, 72, 76, 67, 72))]
    melody = Track(notes=notes_array(line), name="MELODY")
    return Clip(tracks=(melody, *chords.tracks), length_beats=8.0, name=name)


# -- marks -------------------------------------------------------------------------------------------------------------


def test_marks_survive_files_and_cuts(tmp_path: Path) -> None:
    clip = with_marks(tune(), {"key": "D major", "genre": "jazz: free"})
    clip.save(tmp_path / "a.mid")
    assert marks_of(Clip.load(tmp_path / "a.mid")) == {"key": "D major", "genre": "jazz: free"}
    assert marks_of(clip.cut(4, 8)) == marks_of(clip)
    assert marks_of(with_marks(clip, {"genre": "pop"})) == {"key": "D major", "genre": "pop"}
    assert marks_of(tune()) == {}


def test_a_track_with_notes_is_no_mark() -> None:
    sounding = Track(notes=notes_array([(0, 1, 60, 80)]), name="key: D major")
    assert marks_of(Clip(tracks=(sounding, mark("genre", "pop"), Track(notes=notes_array(), name="Empty:")))) == {
        "genre": "pop"
    }


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_controls_come_back_from_a_clip(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [part.size for part in TOKENIZER.alphabet.parts]
    tokens = rng.integers(sizes, size=(TOKENIZER.length, len(sizes))) * (rng.random(len(sizes)) < 0.7)
    canonical = TOKENIZER.canonical(tokens)
    assert np.array_equal(TOKENIZER.encode(TOKENIZER.decode(tokens)), canonical)
    assert np.array_equal(canonical[:, 0], tokens[:, 0])  # chords may change at every step
    assert (canonical[:, 1:3] == tokens[0, 1:3]).all()  # a key and a label are of the whole window


@pytest.mark.parametrize("semitones", [-5, 0, 1, 6])
def test_controls_are_transposed_with_the_melody(semitones: int) -> None:
    plain, moved = (TOKENIZER.windows(tune(key)).tokens for key in (0, semitones))
    shifts = sorted(range(-6, 7), key=lambda s: (abs(s), -s))
    variant = TOKENIZER.augmentations[shifts.index(semitones)]
    assert np.array_equal(variant[np.arange(len(variant)), plain], moved)
    assert (moved[:, :, :2] > 0).all()


def test_a_third_of_the_training_goes_without_a_control_or_all() -> None:
    table = TOKENIZER.augmentations
    known = (table[:, :3, 1] > 0).astype(int)
    assert np.mean(known.all(axis=1)) == pytest.approx(2 / 3)
    assert {tuple(row) for row in known} == {(1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 0)}
    assert (table[:, 3, 2:] > 0).all()
    assert np.array_equal(table[0], np.tile(np.arange(table.shape[2]), (4, 1)))


def test_a_file_without_marks_has_the_key_of_its_notes() -> None:
    tokens = TOKENIZER.encode(tune(2))
    assert (tokens[:, 1] == parse_key("D")).all()
    assert (tokens[:, 2] == 0).all()
    assert symbol(int(tokens[0, 0])) == "G"
    # The whole file's, in each of its windows.
    windows = TOKENIZER.split(with_marks(tune(), {"genre": "pop"}))
    assert [marks_of(window) for window in windows] == [{"key": "C major", "genre": "pop"}] * 2


def test_a_melody_alone_has_unknown_chords() -> None:
    alone = Clip.from_notes([(0, 1, 60, 80), (1, 2, 64, 80), (2, 4, 67, 80)])
    assert (TOKENIZER.encode(alone)[:, 0] == 0).all()


# -- in words ----------------------------------------------------------------------------------------------------------


def test_controls_in_words() -> None:
    found = control_tokens(TOKENIZER, chords="Am | F G", key="Am", labels={"genre": "jazz"})
    assert found.shape == (2, 16, 3)
    assert [symbol(int(token)) for token in found[:, ::8, 0].ravel()] == ["Am", "Am", "F", "G"]
    assert (found[..., 1] == parse_key("A minor")).all()
    assert (found[..., 2] == 1).all()
    assert control_tokens(TOKENIZER, key="C").shape == (1, 16, 3)


def test_what_is_not_asked_for_stays_as_it_was() -> None:
    own = np.full((3, 16, 3), 2)
    found = control_tokens(TOKENIZER, chords="C G", own=own)
    assert [symbol(int(token)) for token in found[:, 0, 0]] == ["C", "G", "C"]  # repeated
    assert (found[..., 1:] == 2).all()
    assert (own == 2).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"labels": {"mood": "sad"}}, "m has no control 'mood'; its controls are: chords, key, genre"),
        ({"labels": {"genre": "rock"}}, "genre is never 'rock'; it can be: unknown, jazz, pop"),
        ({"key": "H"}, "'H' is no key"),
        ({"chords": "C foo"}, "'foo' is no chord symbol"),
        ({"chords": ""}, "there is no chord in it"),
    ],
)
def test_what_cannot_be_given_is_named(asked: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        control_tokens(TOKENIZER, model="m", **asked)  # type: ignore[arg-type]


def test_a_model_without_controls_says_so() -> None:
    with pytest.raises(DataError, match="melody-2bar has no control 'chords'; it has no controls"):
        control_tokens(MelodyTokenizer(), chords="C", model="melody-2bar")


@pytest.mark.parametrize("parts", [("melody", "key"), ("label:genre", "melody")])
def test_marks_are_given_and_not_drawn(parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="put it into `given`"):
        PartsTokenizer(parts=parts)


# -- tables of labels --------------------------------------------------------------------------------------------------


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    folder.mkdir()
    for number in range(4):
        tune(number).save(folder / f"{number}.mid")
    return folder


LABELLED = PartsTokenizer(bars=1, given=("chords", "label:genre"), parts=("melody",))


def test_labels_become_a_control(songs: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("\ufefffile,genre,year\n0.mid,pop,1\nsongs/1.mid,jazz,2\n2.mid,,3\nelse.mid,folk,4\n", "utf-8")
    report = prepare(songs, LABELLED, tmp_path / "data", labels=table, jobs=1)
    dataset = Dataset.open(tmp_path / "data")
    assert isinstance(dataset.tokenizer, PartsTokenizer)
    assert dataset.tokenizer.given == ("chords", "label:genre=jazz|pop")
    genres = {
        source.name: np.unique(dataset.tokens[source.first : source.last, :, 1]).tolist()
        for source in dataset.source_list()
    }
    assert genres == {"songs/0.mid": [2], "songs/1.mid": [1], "songs/2.mid": [0], "songs/3.mid": [0]}
    assert any("1 of 4 files have no labels" in note for note in report.notes)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "its first line is empty; the columns file"),
        ("name,genre\n0.mid,pop\n", "its first line is name,genre; the columns file"),
        ("file,genre\n0.mid\n", "row 2 has 1 columns and 2 are expected"),
        ("file,genre\nelse.mid,pop\n", "none of its 1 rows is about one of the 4 files"),
        ("file,genre\n0.mid,a|b\n", "has the genre 'a|b'"),
        ("file,mood\n0.mid,sad\n", "no file has the label 'genre'"),
        (None, "cannot be read as a table"),
    ],
)
def test_a_bad_table_is_one_line(songs: Path, tmp_path: Path, table: str | None, message: str) -> None:
    path = tmp_path / "labels.csv"
    if table is not None:
        path.write_text(table, "utf-8")
    with pytest.raises(SeqvaeError) as caught:
        prepare(songs, LABELLED, tmp_path / "data", labels=path, jobs=1)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_needs_a_table_and_a_table_a_label(songs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--labels"):
        prepare(songs, LABELLED, tmp_path / "data", jobs=1)
    (tmp_path / "labels.csv").write_text("file,genre\n0.mid,pop\n")
    with pytest.raises(ConfigError, match="this preset is given no label"):
        prepare(songs, MelodyTokenizer(), tmp_path / "data", labels=tmp_path / "labels.csv", jobs=1)


def test_labels_in_another_encoding(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("file,genre\n0.mid,Café\n".encode("latin-1"))
    with pytest.raises(SeqvaeError, match="is not in UTF-8"):
        prepare(songs, LABELLED, tmp_path / "data", labels=tmp_path / "labels.csv", jobs=1)


# -- through a model ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned nothing, with chords, a key and a genre as controls."""
    import torch

    from seqvae.checkpoint import SavedModel, save_model
    from seqvae.vae import SequenceVAE

    torch.manual_seed(0)
    preset = Preset(
        name="controlled", description="knows nothing", tokenizer=TOKENIZER, model=replace(PRESET.model, z_size=4)
    )
    vae = SequenceVAE(TOKENIZER.alphabet, TOKENIZER.length, preset.model)
    saved = SavedModel(
        name="controlled",
        preset=preset,
        weights={name: weight.numpy() for name, weight in vae.state_dict().items()},
        aggregate_mean=np.zeros(4, np.float32),
        aggregate_covariance=np.eye(4, dtype=np.float32),
        provenance={"items": 0},
        licence="made up",
        card={},
    )
    return save_model(tmp_path_factory.mktemp("model") / "controlled.safetensors", saved)


@pytest.fixture(scope="module")
def model(model_file: Path) -> Model:
    return load(model_file, device="cpu")


def chords_of(clip: Clip) -> list[str]:
    """The chord of each bar."""
    return [
        symbol(int(TOKENIZER.encode(clip.cut(beat, beat + 4))[0, 0])) for beat in range(0, int(clip.length_beats), 4)
    ]


def test_samples_have_the_chords_they_are_given(model: Model) -> None:
    control = model.control(chords="C G Am F", key="C", labels={"genre": "pop"})
    few, more = (model.sample(n, control=control, seed=3, temperature=1.0) for n in (2, 3))
    assert few == more[:2]
    for clip in more:
        assert (clip.length_beats, chords_of(clip)) == (16.0, ["C", "G", "Am", "F"])
        assert marks_of(clip) == {"key": "C major", "genre": "pop"}
        # One z, four windows.
        assert clip.provenance is not None
        assert (clip.provenance.z == clip.provenance.z[0]).all()
    assert chords_of(model.sample(1)[0]) == ["N.C."]


def test_a_path_keeps_or_changes_its_control(model: Model) -> None:
    a, b = (model.passage(tune(key)) for key in (0, 2))
    assert [chords_of(one.item) for one in model.between(a, b, 4)] == [["F", "C"]] * 2 + [["G", "D"]] * 2
    own = model.control_of(b.tokens)
    assert [chords_of(one.item) for one in model.between(a, b, 3, control=own)] == [["G", "D"]] * 3
    asked = model.control(chords="Am Em", own=model.control_of(a.tokens))
    found = model.between(a, b, 3, control=asked)
    assert [chords_of(one.item) for one in found] == [["Am", "Em"]] * 3
    assert [marks_of(one.item)["key"] for one in found] == ["C major"] * 3


def test_items_keep_their_own_control(model: Model) -> None:
    passage = model.passage(tune(5))
    assert (chords_of(model.reconstruct(tune(5))), marks_of(passage.item)["key"]) == (["Bb", "F"], "F major")
    assert [chords_of(one.item) for one in model.around(passage, 0.5, 2)] == [["Bb", "F"]] * 2
    asked = model.control(chords="Dm", own=model.control_of(passage.tokens))
    assert chords_of(model.around(passage, 0.0, 1, control=asked)[0].item) == ["Dm", "Dm"]


def test_a_file_made_under_controls_gives_its_z_back(model: Model, tmp_path: Path) -> None:
    control = model.control(chords="C | F G | Dm", key="C")
    control[1, :, 1] = parse_key("F")  # windows may differ
    model.sample(1, control=control, seed=1)[0].save(tmp_path / "a.mid")
    passage = model.passage(Clip.load(tmp_path / "a.mid"))
    assert passage.restored
    assert np.array_equal(model.control_of(passage.tokens), control)


def test_on_the_command_line(model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> list[Clip]:
        assert main([*words, "--model", str(model_file), "--seed", "1", "--json"]) == 0
        return [Clip.load(file) for file in json.loads(capsys.readouterr().out)["files"] if file.endswith(".mid")]

    made = run(
        "sample", "-n", "2", "--chords", "C | F G", "--key", "C", "--label", "genre=jazz", "-o", str(tmp_path / "s")
    )
    assert [chords_of(clip) for clip in made] == [["C", "F"]] * 2
    assert marks_of(made[0]) == {"key": "C major", "genre": "jazz"}
    for key in (0, 2):
        tune(key).save(tmp_path / f"{key}.mid")
    a, b = str(tmp_path / "0.mid"), str(tmp_path / "2.mid")
    for whose, wanted in (("moving", ["F", "G", "G"]), ("from", ["F"] * 3), ("to", ["G"] * 3)):
        steps = run("interpolate", a, b, "--steps", "3", "--control", whose, "-o", str(tmp_path / whose))
        assert [chords_of(clip)[0] for clip in steps[:3]] == wanted
    assert chords_of(run("vary", a, "-n", "1", "--chords", "Em", "-o", str(tmp_path / "v"))[0]) == ["Em", "Em"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["--key", "C", "--label", "mood=sad"],
            1,
            "controlled has no control 'mood'; its controls are: chords, key, genre",
        ),
        (["--label", "genre"], 2, "is not of the form NAME=VALUE"),
        (["--chords", "C Foo"], 1, "'Foo' is no chord symbol"),
    ],
)
def test_what_the_model_has_not_is_one_line(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert main(["sample", "-n", "1", *words, "--model", str(model_file), "-o", str(tmp_path / "s")]) == code
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert not (tmp_path / "s").exists()


def test_a_model_without_controls_keeps_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(tmp_path)
    tune().save(tmp_path / "a.mid")
    words = ["interpolate", str(tmp_path / "a.mid"), str(tmp_path / "a.mid"), "-o", str(tmp_path / "out")]
    assert main([*words, "--model", str(tmp_path / "tiny.safetensors"), "--control", "from"]) == 1
    assert "tiny has no controls; leave out --control from" in capsys.readouterr().err


# -- the measure -------------------------------------------------------------------------------------------------------


def test_the_share_of_notes_that_fit() -> None:
    c, g = (chord.token for name in ("C", "G") if (chord := parse_chord(name)))
    struck = np.array([[[0], [-1], [2], [7]], [[0], [1], [2], [3]]])
    control = np.array([[c, c, g, g], [0, 0, c, c]])
    # C in C, D in G and G in G fit, D and Eb in C do not; the rest is silent, or its chord unknown.
    assert fitting_share(struck, control, chord_tones()) == 3 / 5
    assert np.isnan(fitting_share(struck, np.zeros_like(control), chord_tones()))


def test_voices_are_read_as_pitch_classes() -> None:
    tokens = TOKENIZER.encode(tune())[None]
    found = voice_pitch_classes(TOKENIZER, tokens)
    assert found[0, ::4, 0].tolist() == [5, 9, 7, 11]
    assert (np.delete(found[0, :, 0], np.arange(0, 16, 4)) == -1).all()


def test_a_card_says_whether_controls_are_followed(model: Model) -> None:
    windows = np.concatenate([TOKENIZER.windows(tune(key)).tokens for key in range(12)])
    card = report_card(model, windows, samples=0, pairs=0, iw_samples=0)
    # In the made-up tunes each note is of its key, and each of a chord's notes is of the chord.
    assert card["key_data"] == 1.0
    assert card["chords_data"] == fitting_share(voice_pitch_classes(TOKENIZER, windows), windows[..., 0], chord_tones())
    assert {"chords_kept", "chords_followed", "chords_chance", "key_sampled", "key_sampled_chance"} <= {
        figure.name for figure in card.figures
    }
