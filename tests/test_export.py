"""Exported models: other runtimes say what torch says, and a program that knows numpy alone draws the same tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kinds import KINDS, each_kind, untrained

from seqvae.cli.app import main
from seqvae.errors import ModelError
from seqvae.export import ABOUT, export_model, file_names
from seqvae.loading import from_saved, load
from seqvae.model import Model
from seqvae.passage import PLAIN

onnxruntime = pytest.importorskip("onnxruntime")
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))

import play_onnx  # noqa: E402


def controls_of(model: Model, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(model.control_of(rows)).reshape(len(rows), model.tokenizer.length, -1)


def check_player(model: Model, rows: np.ndarray[Any, Any], folder: Path) -> None:
    player = play_onnx.Player(folder)
    means, stds = model.network.posterior(rows)
    z, controls = model.draw(len(rows), seed=2), controls_of(model, rows)
    for row in range(len(rows)):
        mean, std = player.encode(rows[row])
        np.testing.assert_allclose(mean, means[row], atol=2e-4)
        np.testing.assert_allclose(std, stds[row], atol=2e-4)
        for temperature in (0.0, 0.9):
            given = controls[row : row + 1]
            expected = model.network.generate(z[row : row + 1], given, temperature, 5 + row, PLAIN)[0]
            found = player.generate(z[row], temperature, 5 + row, given[0] if given.shape[-1] else None)
            np.testing.assert_array_equal(found, expected)
        nothing = model.network.generate(z[row : row + 1], np.zeros_like(controls[:1]), 0.9, 5, PLAIN)[0]
        np.testing.assert_array_equal(player.generate(z[row], 0.9, 5), nothing)


@each_kind
def test_every_kind_plays_elsewhere(kind: str, tmp_path: Path) -> None:
    model, windows = untrained(kind)
    export_model(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(file_names(model, "onnx"))
    check_player(model, windows[:2], tmp_path)


@pytest.mark.parametrize("name", ["melody-2bar", "melody-16bar", "groove-2bar", "captions"])
def test_bundled_models_play_elsewhere(name: str, tmp_path: Path) -> None:
    model = load(name)
    export_model(model, tmp_path)
    check_player(model, model.held_out[:2], tmp_path)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", ["melody", "groove-tap", "text-words"])
def test_torchscript_says_what_onnx_says(kind: str, tmp_path: Path) -> None:
    model, windows = untrained(kind)
    for to in ("onnx", "torchscript"):
        (tmp_path / to).mkdir()
        export_model(model, tmp_path / to, to=to)
    onnx = {path.stem: onnxruntime.InferenceSession(str(path)) for path in (tmp_path / "onnx").glob("*.onnx")}
    script = {path.stem: torch.jit.load(path) for path in (tmp_path / "torchscript").glob("*.pt")}
    assert onnx.keys() == script.keys()
    said: dict[str, np.ndarray[Any, Any]] = {"tokens": windows[:1], "z": model.draw(1, seed=1)}
    for name in ("encode", "start", "step"):
        inputs = [each.name for each in onnx[name].get_inputs()]
        if name == "step":
            said |= {"gates": said["gates"][0], "outputs": said["outputs"][0], "token": windows[:1, 3]}
        theirs = onnx[name].run(None, {key: said[key] for key in inputs})
        with torch.no_grad():
            ours = script[name](*(torch.from_numpy(said[key]) for key in inputs))
        for result, mine, other in zip(onnx[name].get_outputs(), ours, theirs, strict=True):
            np.testing.assert_allclose(mine.numpy(), other, atol=1e-5)
            said[result.name] = other


def test_the_example_draws_what_sample_draws(tmp_path: Path) -> None:
    model = load("melody-2bar")
    export_model(model, tmp_path)
    run = [sys.executable, str(EXAMPLES / "play_onnx.py"), str(tmp_path), "1"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    (clip,) = model.sample(1, seed=1)
    canonical = model.tokenizer.canonical(np.array([json.loads(done.stdout)]))
    np.testing.assert_array_equal(canonical[0], model.tokenizer.encode(clip))


def test_all_that_a_program_needs_is_said(tmp_path: Path) -> None:
    model, _ = untrained("text-words")
    export_model(model, tmp_path)
    about = json.loads((tmp_path / ABOUT).read_text())
    assert about["token_names"][0] == [model.tokenizer.token_name(token) for token in range(about["parts"][0]["size"])]
    assert (about["hash"], about["z_size"], about["licence"]) == (model.hash, 4, "made up")
    factor = np.array(about["z_factor"])
    np.testing.assert_allclose(factor @ factor.T, model.aggregate.covariance, atol=1e-6)


def test_what_cannot_be_exported_says_so(tmp_path: Path) -> None:
    language, _ = untrained("text-words", z_size=0)
    with pytest.raises(ModelError, match="has no z to be exported"):
        export_model(language, tmp_path)
    kind = KINDS["melody"]
    from seqvae.checkpoint import SavedModel
    from seqvae.config import ModelSettings, Preset
    from seqvae.vae import SequenceVAE

    net = ModelSettings(z_size=4, decoder_sizes=(8,), encoder_size=4, segments=2, carry=True)
    vae = SequenceVAE(kind.alphabet, kind.length, net)
    saved = SavedModel(
        name="carried",
        preset=Preset(name="carried", description="", tokenizer=kind, model=net),  # type: ignore[arg-type]
        weights={name: weight.numpy() for name, weight in vae.state_dict().items()},
        aggregate_mean=np.zeros(4, np.float32),
        aggregate_covariance=np.eye(4, dtype=np.float32),
    )
    with pytest.raises(ModelError, match="follow one another"):
        export_model(from_saved(saved), tmp_path)
    assert not any(tmp_path.iterdir())


def test_without_onnx_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = untrained("melody")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match="pip install onnx, or --to torchscript"):
        export_model(model, tmp_path)
    export_model(model, tmp_path, to="torchscript")


def test_the_command_writes_all_or_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "melody"
    assert main(["export", "melody-2bar", "-o", str(out)]) == 0
    written = capsys.readouterr().out.split()
    assert written == [str(out / name) for name in ("encode.onnx", "start.onnx", "step.onnx", "model.json")]
    assert sorted(path.name for path in out.iterdir()) == sorted(Path(name).name for name in written)
    assert main(["export", "melody-2bar", "-o", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["export", "nothing", "-o", str(tmp_path / "x")]) == 1
    assert not (tmp_path / "x").exists()
