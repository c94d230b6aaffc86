"""The verbs `finetune` and `slide` from a shell's point of view."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_personal import BEATS, drum_clip
from tiny import melody, save_tiny

from seqvae.cli.app import main
from seqvae.cli.slide import parse_positions
from seqvae.clip import Clip
from seqvae.loading import load
from seqvae.personal import Sliders
from seqvae.personal.slide import FILE


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a folder of clips, and a frozen personal model with sliders."""
    folder = tmp_path_factory.mktemp("personal")
    save_tiny(folder)
    for number in range(13):
        melody(100 + number).save(folder / "clips" / f"{number}.mid")
    (folder / "clips" / "broken.mid").write_bytes(b"nothing")
    assert finetune(folder / "clips", "--model", folder / "tiny.safetensors", "--frozen", "-o", folder / "frozen") == 0
    return folder


def finetune(*arguments: object) -> int:
    return main(["finetune", "--device", "cpu", "--seed", "1", *map(str, arguments)])


def slide(*arguments: object) -> int:
    return main(["slide", "--device", "cpu", *map(str, arguments)])


def test_the_report_comes_first_and_the_model_is_one_like_any_other(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place / "mine"
    arguments = [place / "clips", "--model", place / "tiny.safetensors", "--steps", 10, "--sliders", 2, "-o", run]
    assert finetune(*arguments) == 0
    out, err = capsys.readouterr()
    assert out == f"{run}\n"
    said = ["files      14: 13 read, 1 rejected", "replay", "step 0 valid", "your held-out clips", "is not measured"]
    places = [err.index(words) for words in (*said, "overlap with yours", "slider 1: ", "slider 2: ")]
    assert places == sorted(places)
    assert main(["sample", "-n", "2", "--seed", "1", "--model", str(run), "-o", str(place / "new")]) == 0
    assert finetune(*arguments) == 1 and "--resume to go on" in capsys.readouterr().err
    assert finetune(*arguments, "--force", "--json", "--frozen") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 0 and found["own_before"] == found["own_after"] and len(found["sliders"]) == 2
    assert found["files"] == [str(run)] and {one["name"] for one in found["shifts"]} >= {"density", "pitch"}


def test_a_run_that_was_stopped_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--model", place / "tiny.safetensors", "--sliders", 0]
    whole, cut = place / "whole", place / "cut"
    assert finetune(place / "clips", *base, "--steps", 30, "--time", "10m", "-o", whole) == 0
    assert finetune(place / "clips", *base, "--steps", 30, "--time", "0.001s", "-o", cut) == 0
    assert "are over" in capsys.readouterr().err
    assert finetune("--resume", "-o", cut, "--time", "10m") == 0
    assert load(whole).hash == load(cut).hash


def test_sliders_put_new_items_and_a_clip_where_they_are_asked_to(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load(place / "frozen", device="cpu")
    sliders = Sliders.load(place / "frozen" / FILE, model)
    out = place / "slid"
    assert slide(place / "frozen", "1=+1.5", "2=-1", "-n", 3, "--seed", 4, "-o", out) == 0
    printed = capsys.readouterr()
    files = [Path(line) for line in printed.out.splitlines()]
    assert [file.name for file in files] == ["slide-01.mid", "slide-02.mid", "slide-03.mid", "strip.png"]
    assert "slider 1: " in printed.err
    z = np.concatenate([Clip.load(file).provenance.z for file in files[:3]])  # type: ignore[union-attr]
    np.testing.assert_array_equal(z, sliders.set(model.draw(3, seed=4), {1: 1.5, 2: -1.0}))

    clip = place / "clips" / "3.mid"
    assert slide(place / "frozen", "1=2", "--clip", clip, "-o", place / "moved", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["positions"] == {"1": 2.0} and found["verb"] == "slide"
    moved = Clip.load(found["files"][0]).provenance
    assert moved is not None and moved.verb == "slide"
    np.testing.assert_allclose(moved.z, sliders.set(model.passage(Clip.load(clip)).z, {1: 2.0}, together=True))


def test_positions_are_read_as_they_are_typed() -> None:
    assert parse_positions(["1=+1.5", "3=-1", "open-hat=.5", " 2=0 "]) == {
        "1": 1.5,
        "3": -1.0,
        "open-hat": 0.5,
        "2": 0.0,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give your clips"),
        (["{place}/none"], 1, "does not exist"),
        (["{place}/clips/1.mid"], 1, "1 usable clip in 1 file; a personal model needs 12 or more, so add 11"),
        (["{place}/clips", "--time", "soon"], 2, "is not a duration"),
        (["{place}/clips", "--replay", "{place}/clips"], 1, "is no dataset"),
        (["{place}/clips", "--replay-share", "1.5"], 2, "--replay-share"),
        (["{place}/clips", "--model", "no-such"], 1, "there is no model 'no-such'"),
        (["{place}/beats"], 1, "no window in 16 files"),
        (["{place}/clips", "--resume", "-o", "{place}/frozen"], 2, "leave yours out"),
        (["--resume", "-o", "{place}/frozen"], 1, "nothing to resume"),
        (["--resume", "-o", "{place}/nowhere"], 1, "nothing to resume"),
    ],
)
def test_a_wrong_finetune_is_one_line(
    place: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, _ in enumerate(BEATS):
        drum_clip(number).save(place / "beats" / f"{number}.mid")
    base = [] if {"--model", "--resume"} & {*arguments} else ["--model", f"{place}/tiny.safetensors"]
    out = [] if "-o" in arguments else ["-o", f"{place}/failed"]
    assert finetune(*(word.format(place=place) for word in arguments), *base, *out) == code
    printed, err = capsys.readouterr()
    assert words in err and err.startswith("Error: ") and err.count("\n") == 1 and not printed
    assert not (place / "failed").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{place}/frozen", "9=1"], 1, "there is no slider 9; there are 1 to 4"),
        (["{place}/frozen", "gravity=1"], 1, "no slider is named 'gravity'"),
        (["{place}/frozen", "1"], 2, "is not of the form 1=+1.5"),
        (["{place}/frozen", "1=1", "1=2"], 2, "given twice"),
        (["{place}/frozen", "1=1000"], 2, "lies far beyond your clips"),
        (["{place}/frozen", "1=1", "--bars", "1:2"], 2, "give one with --clip"),
        (["{place}/tiny.safetensors", "1=1"], 1, "there are no sliders"),
        (["{place}/none", "1=1"], 1, "there is no model"),
    ],
)
def test_a_wrong_slide_is_one_line(
    place: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert slide(*(word.format(place=place) for word in arguments), "-o", place / "failed") == code
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (place / "failed").exists()
