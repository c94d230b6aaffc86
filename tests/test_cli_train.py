"""The verb `train` from a shell's point of view."""

import json
import re
from pathlib import Path

import pytest

from seqvae.cli.app import main
from seqvae.cli.common import UsageError
from seqvae.cli.train import clock, parse_duration
from seqvae.clip import Clip, Track, notes_array
from seqvae.config import load_preset, preset_names
from tests.test_train import SMALL, make_dataset

SETTINGS = [part for setting in SMALL for part in ("--set", setting)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "data").folder


def train(*arguments: object) -> int:
    return main(["train", "--device", "cpu", *map(str, arguments)])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5m", 90), (" 1m5s ", 65)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "5", "m", "1x", "-1m", "1m1h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 61, 3661)] == ["0:00", "1:00", "1:01", "1:01:01"]


def test_a_training_leaves_a_run_folder_that_works(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    arguments = ["--data", data, "--preset", "melody-2bar-tiny", *SETTINGS, "-o", run, "--seed", 1]
    assert train(*arguments) == 0
    out, err = capsys.readouterr()
    assert out == f"{run}\n"
    assert "free-running" in err and "items/s" in err and "active units" in err
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    samples = {f"samples/sample-{i}.mid" for i in range(1, 9)}
    expected = {"preset.toml", "metrics.jsonl", "best.safetensors", "last/state.safetensors", "curves.png"}
    assert names == expected | samples | {"samples/strip.png"}

    assert train(*arguments) == 1  # a run is never trained over unasked
    assert "--resume" in capsys.readouterr().err
    assert train(*arguments, "--force", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["reason"] == "all steps done" and report["step"] == 12 and str(run) in report["files"]


def test_a_model_of_text_leaves_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{number} small {what}" for number in ("one", "two", "six") for what in ("dogs", "cats", "birds", "fish")]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    data, run = tmp_path / "data", tmp_path / "run"
    assert main(["prepare", str(tmp_path / "lines.txt"), "--preset", "text-words", "-o", str(data)]) == 0
    assert train("--data", data, "--preset", "text-words", *SETTINGS, "-o", run, "--seed", 1) == 0
    assert "free-running" in capsys.readouterr().err
    names = {path.relative_to(run).as_posix() for path in (run / "samples").iterdir()}
    assert names == {"samples/samples.txt"}
    words = (run / "samples" / "samples.txt").read_text().split()
    assert set(words) <= {word for line in lines for word in line.split()} | {"<unk>"}
    assert (run / "curves.png").is_file()
    assert main(["sample", "-n", "2", "--seed", "1", "--model", str(run), "--device", "cpu"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_model_of_drums_leaves_a_picture(tmp_path: Path) -> None:
    for number in range(12):
        notes = [(beat / 4, beat / 4 + 0.2, (36, 38, 42, 46)[(beat * number) % 4], 90) for beat in range(32)]
        Clip(tracks=(Track(notes=notes_array(notes), is_drum=True),), length_beats=8).save(tmp_path / f"{number}.mid")
    data, run = tmp_path / "data", tmp_path / "run"
    assert main(["prepare", str(tmp_path), "--preset", "drums-2bar", "-o", str(data)]) == 0
    assert train("--data", data, "--preset", "drums-2bar", *SETTINGS, "-o", run, "--seed", 1) == 0
    names = {path.name for path in (run / "samples").iterdir()}
    assert names == {"strip.png"} | {f"sample-{i}.mid" for i in range(1, 9)}


@pytest.mark.parametrize("preset", [name for name in preset_names() if load_preset(name).tokenizer.kind != "melody"])
def test_without_data_a_preset_names_the_script_that_makes_them(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--preset", preset, "-o", tmp_path / "run") == 1
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1
    assert f"seqvae prepare FILES --preset {preset}" in err
    script = re.search(r"python (data_scripts/\w+\.py)", err)
    assert script and (Path(__file__).resolve().parent.parent / script[1]).is_file()


def test_time_stops_and_resume_goes_on(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    long = ["--set", "train.steps=1000000"]
    given = ["--data", data, "--preset", "melody-2bar-tiny", *SETTINGS, *long, "-o", run, "--seed", 1]
    assert train(*given, "--time", "1s") == 0
    assert f"seqvae train --resume -o {run}" in capsys.readouterr().err
    before = len((run / "metrics.jsonl").read_text().splitlines())
    assert train("--resume", "-o", run, "--time", "1s") == 0
    assert len((run / "metrics.jsonl").read_text().splitlines()) > before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--data", "{tmp}/none"], 1, "does not exist"),
        (["--data", "{data}", "--preset", "no-such"], 1, "there is no preset 'no-such'"),
        (["--data", "{data}", "--set", "model.z_sise=3"], 1, "unknown setting 'model.z_sise'"),
        (["--data", "{data}", "--set", "model.z_size=0"], 1, "model.z_size is 0"),
        (["--data", "{data}", "--set", "model.z_size=many"], 1, "model.z_size is 'many'"),
        (["--data", "{data}", "--set", "z_size"], 1, "is not of the form"),
        (["--data", "{data}", "--set", "tokenizer.bars=4"], 1, "prepare with this preset"),
        (["--data", "{data}", "--init", "{tmp}/none.safetensors"], 1, "none.safetensors"),
        (["--data", "{data}", "--time", "soon"], 2, "is not a duration"),
        (["--data", "{data}", "--device", "tpu"], 1, "tpu"),
        (["--resume"], 1, "nothing to resume"),
        (["--resume", "--preset", "melody-2bar"], 2, "leave out --preset"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    run = tmp_path / "run"
    filled = [part.format(tmp=tmp_path, data=data) for part in arguments]
    assert main(["train", "--seed", "1", "-o", str(run), *filled]) == code
    out, err = capsys.readouterr()
    assert words in err and err.count("\n") == 1 and not out
    assert not run.exists()
