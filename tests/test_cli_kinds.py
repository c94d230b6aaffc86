"""The command line with every kind of sequence: typed or in files, printed or written, on the model that fits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import PRESET, by_heart, melody

from seqvae.checkpoint import SavedModel, save_model
from seqvae.cli import inputs
from seqvae.cli.app import main
from seqvae.cli.inspect import PARTS
from seqvae.clip import Clip, MeterChange, Provenance, Track, notes_array
from seqvae.config import load_preset
from seqvae.loading import from_saved
from seqvae.tokenizers import DrumTokenizer, GrooveTokenizer, MelodyTokenizer, RawTokenizer, TextTokenizer, Tokenizer

TEXTS = [
    "a man rides a horse",
    "two dogs run on the beach",
    "a cat sleeps on a red chair",
    "the sun goes down",
    "a horse runs on the beach",
    "two men ride down the road",
]
PROGRESSIONS = ["C | G | Am | F", "Dm | G7 | C | .", "Am | F | C | G", "Em | Am | D | G"]
SUMS = ["x+1", "x*x", "1+x*x", "(x+1)*x"]

TEXT = TextTokenizer(max_length=8).fit(TEXTS)
CHORDS = TextTokenizer(max_length=12, chords=True, breaks="spaces").fit(PROGRESSIONS)


def model_of(name: str, tokenizer: Tokenizer, items: list[object], steps: int = 0) -> SavedModel:
    """A model of that kind; with no step it knows nothing."""
    return by_heart(replace(PRESET, name=name, tokenizer=tokenizer), items, steps)


def drum_clip(bars: int = 2, pitches: tuple[int, ...] = (36, 42, 38, 42)) -> Clip:
    """A beat in eighths."""
    notes = [(beat / 2, beat / 2 + 0.25, pitches[beat % len(pitches)], 90) for beat in range(8 * bars)]
    return Clip(tracks=(Track(notes=notes_array(notes), is_drum=True, name="kit"),), length_beats=4.0 * bars)


def waltz() -> Clip:
    """Four bars of 3/4."""
    return Clip.from_notes([(beat, beat + 1, 60 + beat, 80) for beat in range(12)], meter=(3, 4))


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Small models of several kinds, by the names that are bundled."""
    folder = tmp_path_factory.mktemp("models")
    made = [
        model_of("captions", TEXT, TEXTS, 120),
        model_of("chords", CHORDS, PROGRESSIONS),
        model_of("sums", RawTokenizer().fit(SUMS), SUMS, 80),
        model_of("melody-2bar", MelodyTokenizer(), [melody(0), melody(1)]),
        model_of("melody-2bar-3-4", MelodyTokenizer(meter="3/4"), [waltz(), waltz()]),
        model_of("drums-2bar", DrumTokenizer(), [drum_clip(), drum_clip(pitches=(36, 38))]),
        model_of("trio", replace(load_preset("trio-16bar").tokenizer, bars=1), [Clip(), Clip()]),
    ]
    return {model.name: save_model(folder / f"{model.name}.safetensors", model) for model in made}


@pytest.fixture
def seqvae_command(tmp_path, monkeypatch, models, capsys):
    """Runs a command line in an empty folder where these models are bundled: exit code, stdout lines, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seqvae.checkpoint.bundled_models", lambda: models)

    def command(*arguments: object) -> tuple[int, list[str], str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return command


def one_line(err: str) -> str:
    """The only line of stderr, which must be an error."""
    assert err.count("\n") == 1, err
    assert err.startswith("Error: "), err
    return err.strip()


# -- texts -------------------------------------------------------------------------------------------------------------


def test_two_sentences_make_a_path_of_lines(seqvae_command):
    code, out, err = seqvae_command("interpolate", TEXTS[0], TEXTS[1], "--steps", 5)
    assert code == 0
    assert (len(out), out[0], out[-1]) == (5, TEXTS[0], TEXTS[1])
    lines = err.splitlines()
    assert lines[0] == "model captions (the input is a text)"
    assert lines[2].split() == ["1", "0.00", lines[2].split()[2]]
    assert list(Path().iterdir()) == []


def test_texts_go_to_one_file_or_to_a_folder(seqvae_command):
    path = ("interpolate", TEXTS[0], TEXTS[1], "--steps", 3)
    printed = seqvae_command(*path)[1]
    code, out, err = seqvae_command(*path, "-o", "path.txt")
    assert (code, out) == (0, ["path.txt"])
    assert Path("path.txt").read_text().splitlines() == printed
    assert err.splitlines()[2].endswith(TEXTS[0])  # the table says what the file holds
    code, out, _ = seqvae_command(*path, "-o", "folder")
    assert (code, out) == (0, [f"folder/step-0{number}.txt" for number in (1, 2, 3)])
    assert [Path(file).read_text() for file in out] == [f"{line}\n" for line in printed]
    for place in ("path.txt", "folder"):
        code, out, err = seqvae_command(*path, "-o", place)
        assert (code, out) == (1, [])
        assert "exists already" in err.splitlines()[-1]
        assert seqvae_command(*path, "-o", place, "--force")[0] == 0


def test_json_holds_the_texts(seqvae_command):
    said = json.loads(seqvae_command("interpolate", TEXTS[0], TEXTS[1], "--steps", 3, "--json")[1][0])
    assert (said["items"][0], said["items"][2], said["files"]) == (TEXTS[0], TEXTS[1], [])
    assert said["steps"][0]["to_a"] == said["steps"][2]["to_b"] == 0.0
    said = json.loads(seqvae_command("vary", TEXTS[0], "-n", 2, "--seed", 1, "--json")[1][0])
    assert len(said["items"]) == len(said["distances"]) == 2


def test_files_of_lines_give_what_is_typed_in_them(seqvae_command):
    Path("a.txt").write_text(f"{TEXTS[0]}\n")
    Path("many.txt").write_text("\n".join(TEXTS))
    Path("windows.txt").write_bytes("\ufeff".encode() + "\r\n\r\n".join(TEXTS).encode())
    typed = seqvae_command("interpolate", TEXTS[0], TEXTS[0], "--steps", 2)[1]
    for name in ("a.txt", "many.txt", "windows.txt"):
        code, out, err = seqvae_command("interpolate", "a.txt", name, "--steps", 2)
        assert (code, out) == (0, typed)
        assert ("the first of its 6 lines is used" in err) == (name != "a.txt")
    # What works on one item after the other takes every line.
    code, out, err = seqvae_command("reconstruct", "windows.txt")
    assert (code, out) == (0, TEXTS)
    assert "6 lines, 100.0% of them exact" in err
    assert seqvae_command("encode", "windows.txt", "a typed text")[0] == 1  # two of three words are unknown
    assert seqvae_command("encode", "windows.txt", "a man", "-o", "z.npz")[0] == 0
    with np.load("z.npz") as arrays:
        assert arrays["name"].tolist() == [*(f"windows.txt:{number}" for number in range(1, 7)), "a man"]
        assert str(arrays["model"]) == "captions"
    assert seqvae_command("decode", "z.npz")[1][:6] == TEXTS  # the file names the model


def test_reconstruct_says_which_words_differ(seqvae_command):
    code, out, err = seqvae_command("reconstruct", "a man rides the horse")
    assert code == 0
    said = err.splitlines()[1:]
    assert out != ["a man rides the horse"]
    assert any(line.strip().startswith("word ") for line in said)


def test_samples_of_text_are_its_likeliest_unless_told(seqvae_command):
    first = seqvae_command("sample", "-n", 4, "--seed", 3, "--model", "captions")
    assert (first[0], len(first[1])) == (0, 4)
    assert seqvae_command("sample", "-n", 4, "--seed", 3, "--model", "captions", "--temperature", 0) == first
    warm = seqvae_command("sample", "-n", 4, "--seed", 3, "--model", "captions", "--temperature", 2)
    assert warm[1] != first[1]


def test_unknown_words_are_said(seqvae_command):
    code, _, err = seqvae_command("vary", "a man rides a zebra", "--seed", 1)
    assert code == 0
    assert "'a man rides a zebra': 1 token is not in captions's vocabulary, of 5" in err


def test_ways_of_drawing(seqvae_command):
    sample = ("sample", "-n", 12, "--seed", 5, "--model", "captions")
    likeliest = seqvae_command(*sample)[1]
    assert seqvae_command(*sample, "--beam", 1)[1] == likeliest
    assert seqvae_command(*sample, "--temperature", 3, "--top-k", 1)[1] == likeliest
    assert seqvae_command(*sample, "--temperature", 1, "--top-p", 0)[1] == likeliest
    hot = (*sample, "--temperature", 50)
    assert any("<unk>" in line for line in seqvae_command(*hot)[1])
    assert not any("<unk>" in line for line in seqvae_command(*hot, "--ban-unk")[1])
    said = json.loads(seqvae_command(*sample, "--beam", 3, "--ban-unk", "--json")[1][0])
    assert (said["beam"], said["banned"], said["temperature"]) == (3, [1], 0.0)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--model", "captions", "--top-k", "3"], 2, "add --temperature 1"),
        (["--model", "captions", "--beam", "3", "--temperature", "1"], 2, "give one of them"),
        (["--model", "trio", "--beam", "3"], 1, "--beam is for one part a step"),
        (["--model", "melody-2bar", "--ban-unk"], 1, "--ban-unk is for texts"),
        (["--model", "captions", "-o", "a.txt/b"], 1, "a.txt"),
    ],
)
def test_ways_that_do_not_go_together(seqvae_command, options, code, words):
    Path("a.txt").write_text("mine")
    found, out, err = seqvae_command("sample", "--seed", 1, *options)
    assert (found, out) == (code, [])
    assert words in one_line(err)


# -- chords, raw, drums ------------------------------------------------------------------------------------------------


def test_chords_are_printed_and_played(seqvae_command):
    code, out, err = seqvae_command("interpolate", "C G Am F", "Dm G7 C", "--steps", 3)
    assert (code, len(out)) == (0, 3)
    assert "model chords (the input is a chord progression)" in err
    assert seqvae_command("sample", "-n", 2, "--seed", 1, "--model", "chords", "-o", "x.mid")[1] == ["x.mid"]
    assert isinstance(Clip.load("x.mid"), Clip)
    code, out, err = seqvae_command("sample", "-n", 1, "--seed", 1, "--model", "captions", "-o", "y.mid")
    assert (code, out) == (1, [])
    assert "only chords can be played" in one_line(err)


def test_raw_sequences_are_lines_too(seqvae_command):
    code, out, _ = seqvae_command("interpolate", "x+1", "(x+1)*x", "--steps", 3, "--model", "sums")
    assert (code, out[0], out[-1]) == (0, "x+1", "(x+1)*x")
    assert "'y' is no symbol" in one_line(seqvae_command("vary", "x+y", "--model", "sums")[2])


def test_drums_are_files_with_a_picture(seqvae_command):
    drum_clip().save("a.mid")
    drum_clip(pitches=(36, 38)).save("b.mid")
    code, out, err = seqvae_command("interpolate", "a.mid", "b.mid", "--steps", 2)
    assert code == 0
    assert [Path(file).name for file in out] == ["step-01.mid", "step-02.mid", "joined.mid", "strip.png"]
    assert err.startswith("model drums-2bar (the input has only drums)\n")
    replace(drum_clip(), meters=(MeterChange(0.0, 7, 8),)).save("odd.mid")
    code, out, err = seqvae_command("reconstruct", "odd.mid")
    assert (code, out) == (1, [])
    assert "its meter is 7/8 and the model's is 4/4" in one_line(err)  # of drums, though none of the models fits


def test_a_reconstruction_of_parts_says_which_part_differs(seqvae_command):
    tracks = tuple(replace(melody(i).tracks[0], name=name) for i, name in enumerate(("melody", "bass")))
    Clip(tracks=(*tracks, *drum_clip().tracks), length_beats=8).save("trio.mid")
    code, out, err = seqvae_command("reconstruct", "trio.mid", "--model", "trio", "--json")
    assert code == 0
    assert "trio.mid: bass: track 1" in err
    where = {difference["where"].split()[-1] for difference in json.loads(out[0])["differences"]}
    assert where <= {"melody", "bass", "drums"}
    assert len(where) == 3
    code, _, err = seqvae_command("vary", "trio.mid", "--model", "trio", "--track", "melody=1,bass=0", "--seed", 1)
    assert code == 0
    assert "trio.mid: bass: track 0" in err


def test_how_far_apart_grooves_lie_does_not_depend_on_how_loud_they_are():
    tokenizer = GrooveTokenizer(bars=1)
    model = from_saved(model_of("groove", tokenizer, [Clip(), Clip()]))
    straight = drum_clip(1)
    softer = straight.with_notes([np.array(straight.tracks[0].notes)])
    softer.tracks[0].notes["velocity"] = 30
    tokens = [tokenizer.encode(clip) for clip in (straight, softer, drum_clip(1, pitches=(36, 38)))]
    assert (tokens[0] != tokens[1]).any()
    assert model.distance(tokens[0], tokens[1]) == 0.0
    assert model.distance(tokens[0], tokens[2]) > 0.2


# -- the model that fits -----------------------------------------------------------------------------------------------


def test_the_usual_model_is_not_announced(seqvae_command):
    melody(3).save("a.mid")
    drums_too = Clip(tracks=(*melody(4).tracks, *drum_clip().tracks), length_beats=8)
    drums_too.save("b.mid")
    code, _, err = seqvae_command("interpolate", "a.mid", "b.mid", "--steps", 2)
    assert code == 0
    assert "model" not in err


def test_the_meter_chooses_the_model_unless_it_is_given(seqvae_command):
    waltz().save("w.mid")
    code, _, err = seqvae_command("vary", "w.mid", "--seed", 1)
    assert (code, err.splitlines()[0]) == (0, "model melody-2bar-3-4 (the input is in 3/4)")
    code, _, err = seqvae_command("vary", "w.mid", "--seed", 1, "--meter", "4/4", "--force")
    assert code == 0
    assert "model" not in err


def test_what_a_model_made_goes_back_to_it(seqvae_command):
    provenance = Provenance(
        model="melody-2bar-3-4", model_hash="0" * 16, verb="sample", seed=0, temperature=0.0,
        z=np.zeros((1, 8), np.float32), length_beats=6.0,
    )  # fmt: skip
    replace(waltz(), provenance=provenance).save("ours.mid")
    code, _, err = seqvae_command("vary", "ours.mid", "--seed", 1)
    assert (code, err.splitlines()[0]) == (0, "model melody-2bar-3-4 (it made the input)")


def test_inputs_that_no_model_fits_together_are_one_line(seqvae_command):
    melody(3).save("tune.mid")
    drum_clip().save("drums.mid")
    code, out, err = seqvae_command("interpolate", "tune.mid", "drums.mid")
    assert (code, out) == (1, [])
    assert "drums.mid" in one_line(err)
    assert "only drums" in err


def test_a_text_file_that_no_model_fits_is_read_as_text_and_said_so(seqvae_command):
    Path("long.txt").write_text("a man " * 5000)
    assert "10,000 words" in one_line(seqvae_command("reconstruct", "long.txt")[2])


def test_a_file_is_named_for_what_is_in_it(seqvae_command):
    code, out, err = seqvae_command("sample", "-n", 1, "--seed", 1, "--model", "captions", "-o", "x.wav")
    assert (code, out) == (1, [])
    assert "one of .txt .text .mid .midi is expected" in one_line(err)
    assert not Path("x.wav").exists()


def test_without_a_model_of_text_a_sentence_is_one_line(seqvae_command, monkeypatch, models):
    monkeypatch.setattr("seqvae.checkpoint.bundled_models", lambda: {"melody-2bar": models["melody-2bar"]})
    assert "no bundled model reads it as a sequence" in one_line(seqvae_command("vary", "a man rides")[2])


@pytest.mark.parametrize(
    "word", ["no.mid", "./no", "songs/no.abc", "lines.txt", "../no", "notes.docx", "/no/where", "a b.mid"]
)
def test_a_missing_file_is_no_sentence(seqvae_command, word):
    for model in ((), ("--model", "captions"), ("--model", "melody-2bar")):
        code, out, err = seqvae_command("vary", word, *model)
        assert (code, out) == (1, [])
        assert f"{word}: no such file" in one_line(err)


@pytest.mark.parametrize("text", ["x/2", "1+sin(x)/x", "The end.", "Mr. Bean.", "a/b", "3.5", "C/E", "no", "e.g. this"])
def test_what_is_typed_is_not_taken_for_a_file(text):
    assert not inputs.looks_like_a_file(text)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["vary", "word " * 10_000, "--model", "captions"], 1, "10,000 words"),
        (["vary", "", "--model", "captions"], 1, "empty"),
        (["vary", "猫は赤い椅子で眠る", "--model", "captions"], 1, "unknown"),
        (["vary", "empty.txt", "--model", "captions"], 1, "empty"),
        (["vary", "blank.txt", "--model", "captions"], 1, "empty"),
        (["vary", "latin.txt", "--model", "captions"], 1, "UTF-8"),
        (["vary", "tune.mid", "--model", "captions"], 1, "is a .mid file, and text models read"),
        (["vary", "folder", "--model", "captions"], 1, "is a folder, and text models read"),
        (["vary", "drums.mid", "--model", "melody-2bar"], 1, "only drums"),
        (["vary", "tune.mid", "--model", "drums-2bar"], 1, "no drum track"),
        (["vary", "tune.mid", "--model", "trio"], 1, "bass"),
        (["vary", "a man", "--model", "melody-2bar"], 1, "no such file"),
        (["vary", "a man", "--model", "captions", "--bars", "1:2"], 2, "--bars is for music"),
        (["vary", "a man", "--model", "captions", "--meter", "4/4"], 2, "--meter is for music"),
        (["vary", "x+1+1+1+1+1+1+1", "--model", "sums"], 1, "at most"),
    ],
)
def test_bad_input_is_one_line(seqvae_command, words, code, said):
    Path("empty.txt").write_text("")
    Path("blank.txt").write_text(" \n\n")
    Path("latin.txt").write_bytes("café\n".encode("latin-1"))
    Path("folder").mkdir()
    melody(0).save("tune.mid")
    drum_clip().save("drums.mid")
    before = sorted(Path().rglob("*"))
    found, out, err = seqvae_command(*words, "--seed", 1)
    assert (found, out) == (code, [])
    assert said in one_line(err)
    assert len(err) < 400
    assert sorted(Path().rglob("*")) == before


# -- maps --------------------------------------------------------------------------------------------------------------


def test_maps_of_texts_have_colours_of_their_own(seqvae_command):
    Path("lines.txt").write_text("\n".join(TEXTS))
    drum_clip(bars=8, pitches=(36, 42, 38)).save("drums.mid")
    plot = ("plot", "map", "lines.txt", "--model", "captions", "--seed", 1)
    pictures = []
    for colour in ("source", "first", "length"):
        assert seqvae_command(*plot, "--colour", colour, "-o", f"{colour}.png")[1] == [f"{colour}.png"]
        pictures.append(Path(f"{colour}.png").read_bytes())
    assert len(set(pictures)) == 3
    code, out, err = seqvae_command(*plot, "--colour", "density", "-o", "x.png")
    assert (code, out) == (1, [])
    assert "or source, first" in err
    code, out, err = seqvae_command(
        "plot", "map", "drums.mid", "--model", "drums-2bar", "--colour", "first", "-o", "x.png"
    )
    assert (code, out) == (1, [])
    assert "no attribute 'first'" in err.splitlines()[-1]


# -- prepare, inspect, models ------------------------------------------------------------------------------------------


def test_prepare_reads_a_column_and_says_what_it_met(seqvae_command):
    rows = [f'"number {number} is a fine number",{number}' for number in range(40)]
    Path("table.csv").write_text("\n".join(["review,stars", *rows, ",3"]))
    code, out, err = seqvae_command(
        "prepare", "table.csv", "--preset", "text-words", "--column", "review", "-o", "data"
    )
    assert (code, out) == (0, ["data"])
    table = {line[:11].strip(): line[11:] for line in err.splitlines() if line[:11].strip()}
    assert table["lines"].startswith("41: 40 are used, 1 are not")
    assert "tempo" not in table
    assert table["vocabulary"].endswith(" tokens")
    assert seqvae_command("prepare", "table.csv", "--preset", "text-words", "--field", "1", "-o", "same")[0] == 0
    code, out, err = seqvae_command("prepare", "table.csv", "--preset", "text-words", "-o", "other")
    assert (code, out) == (1, [])
    assert "has no column 'text'" in one_line(err)
    assert not Path("other").exists()


def test_inspect_a_text_also_under_a_model(seqvae_command):
    Path("lines.txt").write_text("\n".join([*TEXTS, "", "a zebra rides a horse", TEXTS[0]]))
    said = json.loads(seqvae_command("inspect", "lines.txt", "--json")[1][0])
    assert (said["kind"], said["lines"], said["empty"], said["different"]) == ("text", 9, 1, 7)
    said = json.loads(seqvae_command("inspect", "lines.txt", "--model", "captions", "--json")[1][0])["under_the_model"]
    steps = sum(len(line.split()) for line in TEXTS) + 5 + 5
    assert (said["lines_to_use"], said["tokens"], said["unknown"]) == (8, steps, f"{1 / steps:.1%}")
    Path("sums.txt").write_text("x+1\nx+y\nx+1+1+1+1+1+1+1\n")
    said = json.loads(seqvae_command("inspect", "sums.txt", "--model", "sums", "--json")[1][0])["under_the_model"]
    assert said["lines_to_use"] == 1
    assert sum(said["left_out"].values()) == 2


def test_inspect_says_who_plays_what(seqvae_command):
    names = ("Lead", "E-Bass", "Strings")
    chords = [(beat, beat + 2, pitch, 60) for beat in range(0, 8, 2) for pitch in (55, 59, 62)]
    low = melody(1).transpose(-24).tracks[0]
    tracks = (melody(0).tracks[0], replace(low, program=33), Track(notes=notes_array(chords)))
    named = tuple(replace(track, name=name) for track, name in zip(tracks, names, strict=True))
    odd = drum_clip(pitches=(36, 3, 38, 3))
    Clip(tracks=(*named, *odd.tracks), length_beats=8).save("band.mid")
    said = json.loads(seqvae_command("inspect", "band.mid", "--json")[1][0])
    assert [track["plays"] for track in said["tracks"]] == [[part] for part in PARTS]
    assert said["drums"] == {"kick": 4, "snare": 4}
    assert said["outside_the_drum_map"] == ["pitch 3: 8"]
    said = json.loads(seqvae_command("inspect", "band.mid", "--model", "trio", "--json")[1][0])["under_the_model"]
    assert said["parts"]["bass"].startswith("track 1 E-Bass")
    assert said["windows_to_use"] == 2
    melody(0).save("tune.mid")
    assert "no track plays the bass" in one_line(seqvae_command("inspect", "tune.mid", "--model", "trio")[2])


def test_models_lists_kind_size_and_licence(seqvae_command):
    code, out, _ = seqvae_command("models")
    assert code == 0
    listed = {line.split()[0]: line for line in out if not line.startswith(" ")}
    assert set(listed) == {"captions", "chords", "sums", "melody-2bar", "melody-2bar-3-4", "drums-2bar", "trio"}
    assert " text: " in listed["captions"]
    assert out.count(" " * 21 + "made up") == 7
    long_list = seqvae_command("models", "chords")[1]
    assert max(map(len, long_list)) < 500
    assert any("in all)" in line for line in long_list)
