"""`seqvae attribute`: vectors are fitted, stored, applied, swept and reported; wrong use is one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import PRESET, TUNES, by_heart, save_tiny, trained

from seqvae import checkpoint, edit
from seqvae.attributes.effect import measure_effects
from seqvae.checkpoint import load_model, save_model
from seqvae.cli.app import main
from seqvae.cli.apply import parse_amounts
from seqvae.cli.common import UsageError
from seqvae.clip import Clip
from seqvae.loading import from_saved, load
from seqvae.plot.heat import effect_heatmap
from seqvae.tokenizers import TextTokenizer

Run = Callable[..., tuple[int, list[str], str]]
PNG = b"\x89PNG"
LINES = [" ".join(["a", "dog", "and", "the", "cat", "runs", "far", "away"][:count]) for count in range(1, 9)]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundled melody-2bar without vectors, my.safetensors with a vector and held-out windows, a text model, clips."""
    folder = tmp_path_factory.mktemp("shelf")
    save_tiny(folder, "melody-2bar")
    model = from_saved(trained(), name="tiny")
    for number, clip in enumerate(model.decode(model.draw(48, seed=1))):
        clip.save(folder / "clips" / f"{number:02d}.mid")
    windows = np.stack([model.tokenizer.encode(clip) for clip in model.decode(model.draw(64, seed=2))])
    vectors = edit.fit_attributes(model, windows, ["pitch", "range"], against=["pitch", "range"])
    own = replace(trained(), attributes=tuple(vectors.values()), held_out=windows[:20].astype(np.uint8))
    save_model(folder / "my.safetensors", own)
    preset = replace(PRESET, name="lines", tokenizer=TextTokenizer(max_length=10).fit(LINES))
    save_model(folder / "lines.safetensors", by_heart(preset, LINES, 80))
    (folder / "lines.txt").write_text("\n".join(LINES * 8))
    for number in range(8):
        TUNES[number].save(folder / "few" / f"{number}.mid")
    TUNES[0].save(folder / "a.mid")
    TUNES[1].save(folder / "b.mid")
    return folder


@pytest.fixture
def run(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for path in shelf.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "my.safetensors").unlink()
    (tmp_path / "my.safetensors").write_bytes((shelf / "my.safetensors").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "bundled_models", lambda: {"melody-2bar": Path("melody-2bar.safetensors")})

    def call(*words: str) -> tuple[int, list[str], str]:
        code = main(["attribute", *words])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return call


def test_fit_updates_a_model_in_place_and_keeps_its_weights(run: Run) -> None:
    before = load_model(Path("my.safetensors"))
    code, out, err = run(
        "fit", "--model", "my.safetensors", "--data", "clips", "--attribute", "interval", "--seed", "1"
    )
    assert (code, out) == (0, ["my.safetensors"])
    assert "interval: " in err
    assert "one unit moves it by" in err
    after = load_model(Path("my.safetensors"))
    assert after.hash == before.hash
    assert [vector.name for vector in after.attributes] == ["pitch", "range", "interval"]
    assert np.array_equal(after.attributes[0].vector, before.attributes[0].vector)
    assert "clips, all" in after.attributes[2].data
    assert load("my.safetensors").attributes["interval"].items >= 32


def test_a_bundled_model_is_copied_and_not_touched(run: Run) -> None:
    bundled = Path("melody-2bar.safetensors").read_bytes()
    words = ["fit", "--data", "clips", "--attribute", "pitch"]
    code, out, err = run(*words)
    assert (code, out) == (2, [])
    assert "melody-2bar is bundled and stays as it is; give -o FILE.safetensors" in err
    code, out, _ = run(*words, "-o", "copy.safetensors", "--json")
    assert code == 0
    (said,) = json.loads(out[0])["vectors"]
    assert (said["name"], said["against"]) == ("pitch", [])
    assert list(load("copy.safetensors").attributes) == ["pitch"]
    assert Path("melody-2bar.safetensors").read_bytes() == bundled
    code, _, err = run(*words, "-o", "copy.safetensors")
    assert code == 1
    assert "copy.safetensors: exists already; give --force" in err


def test_labels_sides_and_pairs_are_fitted(run: Run) -> None:
    names = [f"{number:02d}.mid,{'slow' if number % 2 else 'fast'}" for number in range(48)]
    Path("moods.csv").write_text("file,mood\n" + "\n".join(names))
    code, _, _ = run("fit", "--model", "my.safetensors", "--data", "clips", "--labels", "moods.csv")
    assert code == 0
    assert "mood=slow" in load("my.safetensors").attributes
    for number in range(48):
        place = Path("low" if number < 24 else "high") / f"{number}.mid"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(Path(f"clips/{number:02d}.mid").read_bytes())
    code, _, _ = run("fit", "--model", "my.safetensors", "--with", "low", "--without", "high", "--name", "lowness")
    assert code == 0
    assert load("my.safetensors").attributes["lowness"].what == "lowness (1 or 0)"
    code, _, _ = run("fit", "--model", "my.safetensors", "--with", "a.mid", "--without", "b.mid", "--name", "glasses")
    assert code == 0
    model = load("my.safetensors")
    assert model.attributes["glasses"].method == "pair"
    ends = model.encode([Clip.load("a.mid"), Clip.load("b.mid")])
    assert np.allclose(ends[1] + 1.0 * model.attributes["glasses"], ends[0], atol=1e-5)


def test_apply_writes_the_edit_and_a_picture(run: Run) -> None:
    words = ["apply", "a.mid", "--model", "my.safetensors", "--set", "pitch=+1.5", "--set", "range=-1"]
    code, out, err = run(*words, "-o", "out")
    assert (code, out) == (0, ["out/edited.mid", "out/strip.png"])
    assert Path("out/strip.png").read_bytes().startswith(PNG)
    assert [line.split()[0] for line in err.splitlines()][-3:] == ["attribute", "pitch", "range"]
    edited, model = Clip.load("out/edited.mid"), load("my.safetensors")
    assert edited.provenance is not None
    start = model.encode([TUNES[0]])
    wanted = start + 1.5 * model.attributes["pitch"] - 1.0 * model.attributes["range"]
    assert np.allclose(edited.provenance.z, wanted, atol=1e-5)
    # The file starts from its own z: back is where it came from.
    code, _, err = run(
        "apply", "out/edited.mid", "--model", "my.safetensors", "--set", "pitch=-1.5", "--set", "range=1", "-o", "back"
    )
    assert "its exact z is read from the file" in err
    back = Clip.load("back/edited.mid").provenance
    assert back is not None
    assert np.allclose(back.z, start, atol=1e-5)


def test_sweep_writes_every_step_and_a_picture(run: Run) -> None:
    code, out, err = run(
        "sweep", "a.mid", "pitch", "--from", "-1", "--to", "1", "--steps", "3", "--model", "my.safetensors", "-o", "s"
    )
    assert (code, out) == (
        0,
        [*(f"s/sweep-0{number}.mid" for number in (1, 2, 3)), "s/strip.png"],
    )
    assert [line.split()[0] for line in err.splitlines()[-3:]] == ["-1.00", "+0.00", "+1.00"]
    code, out, _ = run("sweep", "a.mid", "pitch", "--steps", "2", "--model", "my.safetensors", "--json")
    said = json.loads(out[0])
    assert [step["amount"] for step in said["steps"]] == [-2.0, 2.0]
    assert (said["verb"], said["attribute"]) == ("attribute sweep", "pitch")


def test_texts_are_fitted_and_printed(run: Run) -> None:
    code, _, _ = run("fit", "--model", "lines.safetensors", "--data", "lines.txt", "--attribute", "length")
    assert code == 1, "eight different lines are too few"
    model = load("lines.safetensors")
    windows = np.stack([model.tokenizer.encode(line) for line in model.decode(model.draw(80, seed=1))])
    edit.store_attributes(
        Path("lines.safetensors"), edit.fit_attributes(model, windows, ["length"]), Path("l.safetensors")
    )
    code, out, err = run("apply", "a dog and", "--model", "l.safetensors", "--set", "length=2")
    assert (code, len(out)) == (0, 1)
    assert err.splitlines()[-1].startswith("length")
    code, out, _ = run("sweep", "a dog and", "length", "--steps", "5", "--model", "l.safetensors")
    assert (code, len(out)) == (0, 5)


def test_report_and_list(run: Run) -> None:
    code, out, err = run("report", "--model", "my.safetensors", "-o", "heat.png", "--items", "10")
    assert code == 0
    assert "effect of one unit" in out[0]
    assert any(line.startswith("random, for pitch") for line in out)
    assert out[-1] == "heat.png"
    assert "20 windows that training did not see" in err
    assert Path("heat.png").read_bytes().startswith(PNG)
    code, out, _ = run(
        "report", "--model", "my.safetensors", "--data", "clips", "--attribute", "pitch", "--items", "5", "--json"
    )
    said = json.loads(out[0])
    assert (said["items"], said["attributes"], [row["name"] for row in said["vectors"]]) == (
        5,
        ["pitch", "range"],
        ["pitch"],
    )
    code, out, _ = run("list", "--model", "my.safetensors")
    assert code == 0
    assert out[0].startswith("pitch ")
    assert any(line.startswith("density ") and line.endswith("no vector") for line in out)
    assert json.loads(run("list", "--model", "my.safetensors", "--json")[1][0])["vectors"][1]["against"] == ["pitch"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            "apply a.mid --model my.safetensors --set mood=1",
            1,
            "my has no vector of the attribute 'mood'; it has pitch, range",
        ),
        ("apply a.mid --model my.safetensors --set pitch=lots", 2, "--set 'pitch=lots' is not of the form NAME=NUMBER"),
        ("apply a.mid --model my.safetensors --set pitch=nan", 2, "is not of the form NAME=NUMBER"),
        ("apply a.mid --model my.safetensors --set 1.5", 2, "is not of the form NAME=NUMBER"),
        ("apply a.mid --model my.safetensors", 2, "--set"),
        (
            "apply a.mid --set pitch=1",
            1,
            "melody-2bar has no vector of the attribute 'pitch'; it has none; fit one with",
        ),
        ("sweep a.mid pitch --from 1 --to -1 --model my.safetensors", 2, "--from 1 --to -1 is no range"),
        ("sweep a.mid pitch --from 1 --to 1 --model my.safetensors", 2, "is no range"),
        ("sweep a.mid mood --model my.safetensors", 1, "has no vector of the attribute 'mood'"),
        ("report --data clips", 1, "has no attribute vectors; fit some with: seqvae attribute fit"),
        ("report --model my.safetensors -o heat.pdf", 2, "give a name that ends in .png"),
        ("report --model my.safetensors --attribute mood", 1, "has no vector of the attribute 'mood'"),
        ("fit --model my.safetensors --with a.mid", 2, "--with and --without belong together"),
        ("fit --model my.safetensors --with a.mid --without b.mid --data clips", 2, "leave --attribute"),
        ("fit --model my.safetensors --data clips --name x", 2, "--name is for --with and --without"),
        ("fit --model my.safetensors --with a.mid --without a.mid", 1, "sees no difference between the two items"),
        ("fit --model my.safetensors --data clips --attribute mood", 1, "has no attribute 'mood'"),
        ("fit --model my.safetensors --data a.mid --attribute pitch", 1, "is 66.5 on all of 1 items"),
        ("fit --model my.safetensors --data few --attribute pitch", 1, "at least 8 on each side are needed"),
        ("fit --model my.safetensors --data clips --labels none.csv", 1, "none.csv"),
        ("fit --data clips -o x.pt", 2, "give a name that ends in .safetensors"),
        ("fit -o x.safetensors", 1, "carries no windows to look at; give a dataset, files or folders"),
        ("list --model nothing", 1, "there is no model 'nothing'"),
    ],
)
def test_wrong_use_is_one_clear_line(words: str, code: int, message: str, run: Run) -> None:
    before = Path("my.safetensors").read_bytes()
    found, out, err = run(*words.split())
    assert (found, out) == (code, [])
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err
    assert Path("my.safetensors").read_bytes() == before


def test_labels_that_name_no_item_are_refused(run: Run) -> None:
    Path("moods.csv").write_text("file,mood\nother.mid,slow\n")
    code, _, err = run("fit", "--model", "my.safetensors", "--data", "clips", "--labels", "moods.csv")
    assert code == 1
    assert "0 of " in err.splitlines()[-1]


def test_vectors_of_other_weights_are_refused(run: Run) -> None:
    saved = load_model(Path("my.safetensors"))
    weights = {name: array + np.float32(0.01) for name, array in saved.weights.items()}
    save_model(Path("other.safetensors"), replace(saved, weights=weights))
    code, _, err = run("report", "--model", "other.safetensors")
    assert code == 1
    assert "was fitted for model" in err
    assert "seqvae attribute fit" in err


def test_amounts_add_up_and_names_may_hold_equals_signs() -> None:
    assert parse_amounts(["density=+1.5", "density=-1", "genre=jazz=2"]) == {"density": 0.5, "genre=jazz": 2.0}
    with pytest.raises(UsageError, match="NAME=NUMBER"):
        parse_amounts(["=2"])


def test_a_heat_map_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    found = measure_effects(
        lambda z: z.astype(np.float64),
        np.zeros((4, 2), np.float32),
        {"b": np.array([0.5, 1.0])},
        ["a", "b"],
        against={"b": ["a"]},
    )
    one, two = (effect_heatmap(found, tmp_path / f"{name}.png").read_bytes() for name in "xy")
    assert one == two
    assert one.startswith(PNG)
