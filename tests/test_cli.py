"""The command line: what it writes, prints and exits with; every mistake is one line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import TUNES, melody, save_tiny

import seqvae
from seqvae import dataset as datasets
from seqvae.cli import common, inputs, latent
from seqvae.cli.app import VERBS, main
from seqvae.clip import Clip
from seqvae.errors import DataError, ReadError, WriteError
from seqvae.files import replacing_folder
from seqvae.loading import load
from seqvae.tokenizers import MelodyTokenizer


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture
def place(tmp_path, monkeypatch, model_file) -> Path:
    """An empty folder to stand in, with a.mid, b.mid, long.mid and tiny.safetensors."""
    monkeypatch.chdir(tmp_path)
    TUNES[0].save("a.mid")
    melody(1, tempo_qpm=90, program=24, velocity=100).save("b.mid")
    melody(20, bars=5).save("long.mid")
    Path("tiny.safetensors").write_bytes(model_file.read_bytes())
    return tmp_path


@pytest.fixture
def seqvae_command(place, capsys):
    """Runs a command line with the tiny model where a model is needed: exit code, stdout lines, stderr."""

    def command(*arguments: object) -> tuple[int, list[str], str]:
        words = [str(argument) for argument in arguments]
        if words[0] in ("sample", "interpolate", "reconstruct", "vary", "encode", "decode") and "--model" not in words:
            words += ["--model", "tiny.safetensors"]
        code = main(words)
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return command


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_line(err: str) -> str:
    """The only line of stderr, which must be an error."""
    assert err.count("\n") == 1, err
    assert err.startswith("Error: "), err
    return err.strip()


# -- the shell itself --------------------------------------------------------------------------------------------------


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_and_help_load_not_even_numpy():
    helps = [["--help"], *([verb, "--help"] for verb in VERBS)]
    heavy = "('torch', 'music21', 'matplotlib', 'numpy', 'symusic')"
    check = f"print([m for m in {heavy} if m in sys.modules])"
    assert run_python(f"import sys, seqvae; {check}") == "[]\n"
    body = f"from seqvae.cli.app import main; [main(words) for words in {helps!r}]"
    assert run_python(f"import sys; {body}; {check}").splitlines()[-1] == "[]"


def test_the_public_names_are_there():
    for name in seqvae.__all__:
        assert getattr(seqvae, name) is not None
    assert set(dir(seqvae)) == set(seqvae.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seqvae.nothing


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_has_an_example_of_its_own(verb, capsys):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example:" in text
    assert f"  seqvae {verb} " in text or f"  seqvae {verb}\n" in text


def test_help_lists_the_verbs_and_no_verb_is_wrong_usage(capsys):
    assert main(["--help"]) == 0
    listing = capsys.readouterr().out
    assert all(f"\n  {verb}" in listing for verb in VERBS)
    assert main([]) == 2


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"seqvae {seqvae.__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["interpolate", "a", "b", "--steps", "1"], "--steps"),
        (["interpolate", "a"], "'B'"),
        (["sample", "--modle", "x"], "--model"),
        (["nonsense"], "nonsense"),
        (["sample", "-n", "0"], "-n"),
        (["sample", "--temperature", "-1"], "--temperature"),
        (["sample", "--prior", "other"], "--prior"),
        (["vary", "a", "--amount", "1.5"], "--amount"),
        (["interpolate", "a", "b", "--fit", "stretch"], "--fit"),
        (["sample", "--seed", "x"], "--seed"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(words, expected, capsys):
    assert main(words) == 2
    assert expected in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (KeyboardInterrupt(), 130, ""),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left on device", "x.mid"), 1, "x.mid: No space left on device"),
        (DataError("two\nlines"), 1, "two lines"),
    ],
)
def test_whatever_goes_wrong_inside_is_one_line(error, code, expected, seqvae_command, monkeypatch):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(common, "load_model", fail)
    found, out, err = seqvae_command("sample", "-n", 1)
    assert (found, out) == (code, [])
    assert expected in err
    assert err.count("\n") <= 1


def test_a_bug_of_ours_is_not_hidden(seqvae_command, monkeypatch):
    monkeypatch.setattr(common, "load_model", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        seqvae_command("sample", "-n", 1)


def test_a_reader_that_leaves_early_is_no_drama():
    script = f"{sys.executable} -m seqvae --help | true"
    environment = {**os.environ, "PYTHONPATH": str(Path(seqvae.__file__).parent.parent)}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stderr == ""


def test_python_m_exits_with_the_code_and_no_traceback(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(seqvae.__file__).parent.parent)}
    command = [sys.executable, "-m", "seqvae", "inspect", "missing.mid"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "missing.mid" in one_line(done.stderr)


# -- interpolate -------------------------------------------------------------------------------------------------------


def test_interpolate_writes_the_steps_the_whole_and_a_picture(seqvae_command):
    code, out, err = seqvae_command("interpolate", "a.mid", "b.mid", "--steps", 4)
    names = ["step-01.mid", "step-02.mid", "step-03.mid", "step-04.mid", "joined.mid", "strip.png"]
    assert code == 0
    assert out == [f"out-interpolate-a-b/{name}" for name in names]
    assert sorted(files(Path("out-interpolate-a-b"))) == sorted(names)
    assert Path(out[-1]).read_bytes().startswith(b"\x89PNG")
    first, last, joined = (Clip.load(out[i]) for i in (0, 3, 4))
    np.testing.assert_array_equal(first.tracks[0].notes["pitch"], TUNES[0].tracks[0].notes["pitch"])
    assert (round(last.tempos[0].tempo_qpm), last.tracks[0].program) == (90, 24)
    assert joined.length_beats == 32
    table = [line.split() for line in err.splitlines()]
    assert table[0] == ["step", "to", "A", "to", "B"]
    assert (table[1][1], table[4][2]) == ("0.00", "0.00")


def test_the_same_command_writes_the_same_bytes(seqvae_command):
    for verb in (["interpolate", "a.mid", "b.mid"], ["sample", "-n", 3], ["vary", "a.mid"]):
        for folder in ("one", "two"):
            assert seqvae_command(*verb, "--temperature", 1, "--seed", 5, "-o", f"{verb[0]}-{folder}")[0] == 0
        assert files(Path(f"{verb[0]}-one")) == files(Path(f"{verb[0]}-two"))
    assert seqvae_command("sample", "-n", 3, "--temperature", 1, "--seed", 6, "-o", "other")[0] == 0
    assert files(Path("other")) != files(Path("sample-one"))


def test_interpolate_between_a_file_and_itself(seqvae_command):
    code, _, err = seqvae_command("interpolate", "a.mid", "a.mid", "--steps", 3)
    assert code == 0
    assert [line.split()[1:] for line in err.splitlines()[1:]] == [["0.00", "0.00"]] * 3


def test_exact_ends_are_the_inputs_themselves(seqvae_command):
    melody(30).save("new.mid")  # a tune that the model does not know by heart
    code, out, err = seqvae_command("interpolate", "new.mid", "b.mid", "--steps", 3, "--exact-ends")
    assert code == 0
    np.testing.assert_array_equal(Clip.load(out[0]).tracks[0].notes, melody(30).tracks[0].notes)
    assert err.splitlines()[1].split()[1] == "0.00"


def test_lerp_and_slerp_share_their_ends_only(seqvae_command):
    assert seqvae_command("interpolate", "a.mid", "b.mid", "--steps", 3, "-o", "sphere")[0] == 0
    assert seqvae_command("interpolate", "a.mid", "b.mid", "--steps", 3, "--lerp", "-o", "line")[0] == 0
    sphere, line = files(Path("sphere")), files(Path("line"))
    assert sphere["step-01.mid"] == line["step-01.mid"]
    assert sphere["step-02.mid"] != line["step-02.mid"]


@pytest.mark.parametrize(("fit", "beats"), [("loop", 24), ("pad", 24), ("cut", 8)])
def test_inputs_longer_than_a_window_are_used_whole(seqvae_command, fit, beats):
    code, out, err = seqvae_command("interpolate", "a.mid", "long.mid", "--steps", 2, "--fit", fit)
    assert code == 0
    assert f"--fit {fit}" in err
    assert Clip.load(out[0]).length_beats == beats


def test_bars_and_track_choose_for_both_or_for_each(seqvae_command):
    tracks = (melody(1).tracks[0], TUNES[0].tracks[0])
    Clip(tracks=tracks, length_beats=8.0, name="two").save("two.mid")
    code, out, _ = seqvae_command("interpolate", "two.mid", "two.mid", "--steps", 2, "--track", 1, "--track", 0)
    assert code == 0
    first, last = Clip.load(out[0]), Clip.load(out[1])
    np.testing.assert_array_equal(first.tracks[0].notes["pitch"], TUNES[0].tracks[0].notes["pitch"])
    np.testing.assert_array_equal(last.tracks[0].notes["pitch"], melody(1).tracks[0].notes["pitch"])
    code, out, _ = seqvae_command("interpolate", "long.mid", "a.mid", "--steps", 2, "--bars", "3:4", "--bars", "1:2")
    assert code == 0
    assert Clip.load(out[0]).length_beats == 8
    code, _, err = seqvae_command("interpolate", "a.mid", "b.mid", *["--bars", "1:2"] * 3, "-o", "x")
    assert code == 2
    assert "3 times" in one_line(err)


def test_json_says_all_in_one_object(seqvae_command):
    code, out, _ = seqvae_command("interpolate", "a.mid", "b.mid", "--steps", 3, "--json")
    said = json.loads("\n".join(out))
    assert code == 0
    assert said["files"][0] == "out-interpolate-a-b/step-01.mid"
    assert [step["file"] for step in said["steps"]] == said["files"][:3]
    assert said["steps"][0]["to_a"] == said["steps"][2]["to_b"] == 0.0
    assert (said["model"], said["temperature"]) == ("tiny", 0.0)


# -- writing -----------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_without_force(seqvae_command):
    Path("x").mkdir()
    Path("x/step-02.mid").write_text("mine")
    Path("x/notes.txt").write_text("mine")
    code, out, err = seqvae_command("interpolate", "a.mid", "b.mid", "--steps", 3, "-o", "x")
    assert (code, out) == (1, [])
    assert "step-02.mid: exists already; give --force" in one_line(err)
    assert sorted(files(Path("x"))) == ["notes.txt", "step-02.mid"]
    assert seqvae_command("interpolate", "a.mid", "b.mid", "--steps", 3, "-o", "x", "--force")[0] == 0
    assert Path("x/notes.txt").read_text() == "mine"
    assert Path("x/step-02.mid").read_bytes().startswith(b"MThd")
    assert sorted(Path().glob(".*")) == []


def test_a_full_disk_leaves_nothing_behind(seqvae_command, monkeypatch, place):
    before = files(place)
    written = []

    def write(self: object, item: Clip, path: Path, *, overwrite: bool) -> Path:
        if len(written) == 2:
            raise WriteError(f"{path}: cannot be written (No space left on device); make room")
        written.append(path)
        return item.save(path, overwrite=overwrite)

    monkeypatch.setattr("seqvae.tokenizers.MelodyTokenizer.write", write)
    for folder in ("new", "deep/er"):
        written.clear()
        code, out, err = seqvae_command("sample", "-n", 4, "--seed", 1, "-o", folder)
        assert (code, out) == (1, [])
        assert f"{folder}/sample-03.mid: cannot be written (No space left" in one_line(err)
        assert files(place) == before
        assert not Path(folder).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_one_line(seqvae_command, place):
    Path("locked").mkdir(mode=0o500)
    code, _, err = seqvae_command("sample", "-n", 1, "--seed", 1, "-o", "locked/x")
    assert code == 1
    assert "locked/x: cannot be written (Permission denied)" in one_line(err)


def test_a_file_where_a_folder_is_due_and_the_other_way_round(seqvae_command):
    assert "a.mid: is a file" in one_line(seqvae_command("sample", "-o", "a.mid")[2])
    assert "looks like a file" in one_line(seqvae_command("reconstruct", "a.mid", "-o", "new.mid")[2])
    assert "a.mid/x" in one_line(seqvae_command("sample", "-n", 1, "--seed", 1, "-o", "a.mid/x")[2])
    Path("z.npz").mkdir()
    assert "z.npz: is a folder" in one_line(seqvae_command("encode", "a.mid")[2])


def test_new_folders_have_ordinary_permissions(seqvae_command):
    assert seqvae_command("sample", "-n", 1, "--seed", 1, "-o", "new")[0] == 0
    Path("plain").mkdir()
    assert Path("new").stat().st_mode == Path("plain").stat().st_mode


# -- sample, vary, reconstruct -----------------------------------------------------------------------------------------


def test_samples_in_files_are_those_of_one_file_whatever_was_in_memory(seqvae_command, tmp_path, monkeypatch):
    monkeypatch.setattr("seqvae.model.SAMPLED_AT_ONCE", 5)
    monkeypatch.setattr("seqvae.cli.sample.COUNTED_AT_ONCE", 3)
    _, out, _ = seqvae_command("sample", "-n", "20", "--seed", "3", "-o", tmp_path / "many", "--json")
    assert len(json.loads("".join(out))["files"]) == 21  # and a picture
    monkeypatch.setattr("seqvae.model.SAMPLED_AT_ONCE", 1024)
    seqvae_command("sample", "-n", "20", "--seed", "3", "--keep", "20", "--allow-copies", "-o", tmp_path / "kept")

    def notes(name):
        return sorted(str(Clip.load(path).tracks) for path in (tmp_path / name).glob("*.mid"))

    assert notes("many") == notes("kept")


def test_sample_says_the_seed_that_it_drew(seqvae_command):
    code, out, err = seqvae_command("sample", "-n", 2, "-o", "first")
    assert code == 0
    assert [Path(line).name for line in out] == ["sample-01.mid", "sample-02.mid", "strip.png"]
    word, seed = err.split()
    assert word == "seed"
    assert seqvae_command("sample", "-n", 2, "-o", "again", "--seed", seed)[0] == 0
    assert files(Path("first")) == files(Path("again"))


def test_no_seed_is_drawn_where_nothing_is(seqvae_command):
    assert "seed" not in seqvae_command("interpolate", "a.mid", "b.mid")[2]
    assert "seed" in seqvae_command("interpolate", "a.mid", "b.mid", "--temperature", 0.5, "--force")[2]


def test_vary_prints_how_far_it_went(seqvae_command):
    code, out, err = seqvae_command("vary", "a.mid", "--amount", 0, "-n", 3, "--seed", 1)
    assert code == 0
    assert [Path(line).name for line in out] == ["vary-01.mid", "vary-02.mid", "vary-03.mid", "strip.png"]
    assert [line.split()[-1] for line in err.splitlines()[1:]] == ["0.00"] * 3
    err = seqvae_command("vary", "a.mid", "--amount", 0.001, "-n", 3, "--seed", 1, "--force")[2]
    assert "3 of 3 are the input again; a larger --amount changes more" in err


def test_reconstruct_shows_where_it_differs(seqvae_command):
    code, out, err = seqvae_command("reconstruct", "a.mid", "--json")
    said = json.loads(out[0])
    assert (code, said["token_accuracy"], said["onset_accuracy"], said["differences"]) == (0, 1.0, 1.0, [])
    code, out, err = seqvae_command("reconstruct", "long.mid", "--bars", "3:5", "--json")
    said = json.loads(out[0])
    assert code == 0
    assert f"tokens right {said['token_accuracy']:.1%}" in err
    model = load("tiny.safetensors")
    given = model.passage(inputs.choose_bars(Clip.load("long.mid"), "3:5"))
    made = model.again(given)
    assert said["token_accuracy"] == (given.tokens == made.tokens).mean()
    assert len(said["differences"]) == (given.tokens != made.tokens).sum()
    window, step = np.argwhere(given.tokens != made.tokens)[0]
    first = said["differences"][0]
    assert first["where"] == f"bar {window * 2 + step // 16 + 1} beat {step % 16 / 4 + 1:g}"
    assert first["input"] == model.tokenizer.token_name(given.tokens[window, step])
    assert first["where"] in err


# -- encode and decode -------------------------------------------------------------------------------------------------


def test_encode_and_decode_are_there_and_back(seqvae_command):
    code, out, _ = seqvae_command("encode", "a.mid", "long.mid", "-o", "z.npz")
    assert (code, out) == (0, ["z.npz"])
    with np.load("z.npz", allow_pickle=False) as arrays:
        assert arrays["z"].shape == arrays["std"].shape == (4, 8)
        assert arrays["name"].tolist() == ["a.mid", "long.mid", "long.mid", "long.mid"]
        assert arrays["window"].tolist() == [0, 0, 1, 2]
        assert str(arrays["model"]) == "tiny"
    code, out, _ = seqvae_command("decode", "z.npz")
    assert (code, out) == (0, ["out-decode-z/item-01-a.mid", "out-decode-z/item-02-long.mid"])
    np.testing.assert_array_equal(Clip.load(out[0]).tracks[0].notes["pitch"], TUNES[0].tracks[0].notes["pitch"])
    assert Clip.load(out[1]).length_beats == 24


def test_encode_writes_the_same_bytes_again(seqvae_command):
    assert seqvae_command("encode", "a.mid", "-o", "one.npz")[0] == 0
    assert seqvae_command("encode", "a.mid", "-o", "two.npz")[0] == 0
    assert Path("one.npz").read_bytes() == Path("two.npz").read_bytes()
    assert "exists already" in one_line(seqvae_command("encode", "a.mid", "-o", "one.npz")[2])


def test_the_same_file_twice_is_two_items():
    arrays = {"name": np.array(["a", "a", "a"]), "window": np.array([0, 1, 0])}
    names, groups = latent.grouped(arrays, np.arange(6).reshape(3, 2))
    assert (names, [len(z) for z in groups]) == (["item-01-a", "item-02-a"], [2, 1])


def test_a_bare_array_is_decoded_row_by_row(seqvae_command):
    z = load("tiny.safetensors").encode(TUNES[:3])
    np.save("z.npy", z)
    np.savez("z1.npz", whatever=z[0])
    assert [Path(line).name for line in seqvae_command("decode", "z.npy")[1]] == [f"item-0{i}.mid" for i in (1, 2, 3)]
    code, out, _ = seqvae_command("decode", "z1.npz")
    assert code == 0
    np.testing.assert_array_equal(Clip.load(out[0]).tracks[0].notes["pitch"], TUNES[0].tracks[0].notes["pitch"])


def test_our_own_files_keep_their_exact_z(seqvae_command):
    z = np.random.default_rng(0).standard_normal((1, 8)).astype(np.float32)
    np.save("z.npy", z)
    ours = seqvae_command("decode", "z.npy")[1][0]
    code, _, err = seqvae_command("encode", ours, "-o", "back.npz")
    assert code == 0
    assert "exact z is read from the file" in err
    np.testing.assert_array_equal(np.load("back.npz")["z"], z)
    code, _, err = seqvae_command("encode", ours, "-o", "anew.npz", "--re-encode")
    assert "exact" not in err
    assert (np.load("anew.npz")["z"] != z).any()


def write_nan():
    np.save("bad.npy", np.full((2, 8), np.nan))


def write_pickle():
    np.save("bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def write_text():
    Path("bad.npy").write_text("hello")


def write_truncated():
    np.save("bad.npy", np.zeros((2, 8)))
    Path("bad.npy").write_bytes(Path("bad.npy").read_bytes()[:-8])


def write_empty():
    Path("bad.npy").write_bytes(b"")


def write_zip_of_text():
    import zipfile

    with zipfile.ZipFile("bad.npy", "w") as archive:
        archive.writestr("z.npy", "hello")


def write_damaged_zip():
    content = io.BytesIO()
    np.savez(content, z=np.zeros((20, 8)))
    data = bytearray(content.getvalue())
    data[400] ^= 0xFF
    Path("bad.npy").write_bytes(bytes(data))


def write_other_names():
    with Path("bad.npy").open("wb") as stream:
        np.savez(stream, x=np.zeros((2, 8)), y=np.zeros((2, 8)))


def write_other_size():
    np.save("bad.npy", np.zeros((2, 9)))


def write_no_rows():
    np.save("bad.npy", np.zeros((0, 8)))


def write_words():
    np.save("bad.npy", np.full((2, 8), "a"))


def write_folder():
    Path("bad.npy").mkdir()


def write_nothing():
    pass


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_read_or_refused_whatever_the_damage(tmp_path, save):
    content = io.BytesIO()
    save(content, z=np.random.default_rng(0).standard_normal((3, 8)), name=np.array(["a", "b", "c"]))
    whole = content.getvalue()
    path, rng, refused = tmp_path / "z.npz", np.random.default_rng(1), 0
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            latent.read_latents(path)
        except (ReadError, DataError):
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "write",
    [
        write_nan,
        write_pickle,
        write_text,
        write_truncated,
        write_empty,
        write_zip_of_text,
        write_damaged_zip,
        write_other_names,
        write_other_size,
        write_no_rows,
        write_words,
        write_folder,
        write_nothing,
    ],
)
def test_what_is_no_z_is_one_line(seqvae_command, write):
    write()
    code, out, err = seqvae_command("decode", "bad.npy")
    assert (code, out) == (1, [])
    assert len(one_line(err)) < 250
    assert not Path("out-decode-bad").exists()


def test_the_z_of_another_model_is_refused(seqvae_command):
    np.savez("z.npz", z=np.zeros((1, 8)), model="other", model_hash="f" * 16)
    assert "are of model other" in one_line(seqvae_command("decode", "z.npz")[2])


# -- inputs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [["interpolate", "X", "a.mid"], ["vary", "X"], ["reconstruct", "X"], ["encode", "X"]])
def test_an_input_that_cannot_be_used_is_one_line(seqvae_command, place, verb):
    Path("empty.mid").write_bytes(b"")
    Path("text.mid").write_text("no music here")
    Path("wrong.xyz").write_text("?")
    Path("folder").mkdir()
    Clip.from_notes([], length_beats=8).save("silent.mid")
    melody(0).save("a3.mid")
    waltz = Clip.from_notes([(i, i + 1, 60 + i, 80) for i in range(6)], meter=(3, 4))
    waltz.save("waltz.mid")
    before = set(files(place))
    for name in ("empty.mid", "text.mid", "wrong.xyz", "folder", "missing.mid", "silent.mid", "waltz.mid"):
        code, out, err = seqvae_command(*[name if word == "X" else word for word in verb])
        assert (code, out) == (1, []), name
        assert name.split(".")[0] in one_line(err)
    assert set(files(place)) == before


def test_meter_counts_another_way(seqvae_command):
    Clip.from_notes([(i, i + 1, 60 + i, 80) for i in range(12)], meter=(3, 4)).save("waltz.mid")
    code, out, _ = seqvae_command("reconstruct", "waltz.mid", "--meter", "4/4")
    assert code == 0
    assert Clip.load(out[0]).length_beats == 16
    for wrong in ("4", "0/4", "x/y", "4/4/4"):
        code, _, err = seqvae_command("reconstruct", "waltz.mid", "--meter", wrong, "--force")
        assert code == 2
        assert "not of the form 4/4" in one_line(err)


@pytest.mark.parametrize("bars", ["0:1", "2:1", "x", "1:2:3", "", ":", "-1:2", "1.5"])
def test_bars_of_another_form_are_wrong_usage(bars):
    with pytest.raises(common.UsageError, match="5:7"):
        inputs.choose_bars(melody(0), bars)


def test_bars_are_counted_from_1_and_both_ends_belong():
    clip = melody(0, bars=4)
    assert inputs.choose_bars(clip, "2:3").length_beats == 8
    np.testing.assert_array_equal(inputs.choose_bars(clip, "2").tracks[0].notes, clip.cut(4, 8).tracks[0].notes)
    with pytest.raises(DataError, match="there are 4 bars and --bars 4:5 asks for bar 5"):
        inputs.choose_bars(clip, "4:5")


def test_a_track_that_is_not_there_is_one_line(seqvae_command):
    assert "no track '7'" in one_line(seqvae_command("vary", "a.mid", "--track", 7)[2])


@pytest.mark.parametrize("name", ["nobody", "missing.safetensors", "a.mid", "."])
def test_a_model_that_is_not_there_is_one_line(seqvae_command, name):
    code, _, err = seqvae_command("sample", "--model", name)
    assert code == 1
    one_line(err)


# -- models and inspect ------------------------------------------------------------------------------------------------


def test_models_shows_a_card(seqvae_command):
    code, out, _ = seqvae_command("models", "tiny.safetensors")
    assert code == 0
    assert "name: tiny" in out
    assert "  token_accuracy: 1" in out
    said = json.loads(seqvae_command("models", "tiny.safetensors", "--json")[1][0])
    assert said["card"] == {"token_accuracy": 1.0}
    assert said["licence"] == "made up"
    code, out, _ = seqvae_command("models", "--json")
    assert code == 0
    assert isinstance(json.loads(out[0])["models"], list)


def test_inspect_says_what_music_holds(seqvae_command):
    code, out, _ = seqvae_command("inspect", "b.mid")
    assert code == 0
    assert "kind: music" in out
    assert "meters: 4/4 at beat 0" in out
    assert "tempos: 90.0 at beat 0" in out
    assert "    program: 24" in out
    assert "    melody: yes" in out
    made = seqvae_command("sample", "-n", 1, "--seed", 3)[1][0]
    said = json.loads(seqvae_command("inspect", made, "--json")[1][0])
    assert said["made_by_seqvae"]["verb"] == "sample"
    assert said["made_by_seqvae"]["seed"] == 3


def test_inspect_knows_models_runs_and_z(seqvae_command):
    run = Path("run")
    run.mkdir()
    (run / "best.safetensors").write_bytes(Path("tiny.safetensors").read_bytes())
    seqvae_command("encode", "a.mid")
    for path, kind in (("tiny.safetensors", "model"), ("run", "run"), ("z.npz", "latent vectors")):
        code, out, _ = seqvae_command("inspect", path)
        assert (code, out[0]) == (0, f"kind: {kind}")


def test_inspect_counts_a_dataset(seqvae_command):
    tokenizer = MelodyTokenizer()
    tokens = np.stack([tokenizer.encode(TUNES[i]) for i in (0, 1, 2, 3, 0)]).astype(np.uint8)
    split = np.array([0, 0, 0, 1, 2], np.int8)
    with replacing_folder(Path("set"), force=False) as aside:
        datasets.write_dataset(
            aside,
            tokenizer=tokenizer,
            tokens=tokens,
            origins=np.zeros(5, datasets.ORIGIN_DTYPE),
            arrangement=datasets.arrange(tokens, split),
            sources=[("one", "train", "0" * 40)],
            report={},
        )
    said = json.loads(seqvae_command("inspect", "set", "--json")[1][0])
    assert said["kind"] == "dataset"
    assert said["windows"] == {"train": 3, "valid": 1, "test": 1}
    assert said["also_in_train"] == {"valid": 0, "test": 1}
    assert said["tokenizer"]["meter"] == "4/4"
    assert seqvae_command("inspect", "set")[1][0] == "kind: dataset"


def test_inspect_of_what_is_nothing_is_one_line(seqvae_command):
    Path("empty").mkdir()
    for name in ("empty", "missing", "missing.npz"):
        code, out, err = seqvae_command("inspect", name)
        assert (code, out) == (1, [])
        one_line(err)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes it")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error(closed: str) -> None:
    command = f"'{sys.executable}' -m seqvae models {closed}"
    assert subprocess.run(command, shell=True, check=False, stderr=subprocess.DEVNULL).returncode == 0
