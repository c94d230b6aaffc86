"""The examples run as they stand, with a model that was trained in a moment, and write what they say they write."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import save_tiny

from seqvae import Clip, checkpoint
from seqvae.config import load_preset
from seqvae.vae import SequenceVAE

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(path for path in EXAMPLES.glob("*.py") if path.name not in ("make_clips.py", "play_onnx.py"))
PLANE = EXAMPLES / "digits_plane.py"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), "melody-2bar")


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path != PLANE], ids=lambda path: path.stem)
def test_an_example_runs(
    script: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "bundled_models", lambda: {"melody-2bar": tiny_model})
    runpy.run_path(str(script), run_name="__main__")
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mid"))
    printed = sorted(line.split(".mid")[0] + ".mid" for line in capsys.readouterr().out.splitlines())
    assert written == printed != []
    assert all(Clip.load(tmp_path / name).length_beats >= 8 for name in written)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_is_short(script: Path) -> None:
    assert script.read_text(encoding="utf-8").count("\n") < 40


def test_the_plane_of_digits_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["model.embedding_size=2", "model.encoder_size=4", "model.decoder_sizes=[4]", "model.readout_size=2"]
    preset = load_preset("digits", small)
    torch.manual_seed(0)
    vae = SequenceVAE(preset.tokenizer.alphabet, preset.tokenizer.length, preset.model)
    saved = checkpoint.SavedModel(
        name="digits",
        preset=preset,
        weights={name: weight.numpy() for name, weight in vae.state_dict().items()},
        aggregate_mean=np.zeros(2, np.float32),
        aggregate_covariance=np.eye(2, dtype=np.float32),
        provenance={},
        licence="made up",
        card={},
    )
    path = checkpoint.save_model(tmp_path / "digits.safetensors", saved)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "bundled_models", lambda: {"digits": path})
    runpy.run_path(str(PLANE), run_name="__main__")
    assert capsys.readouterr().out == "out/digits-plane.png\n"
    assert (tmp_path / "out" / "digits-plane.png").read_bytes()[:4] == b"\x89PNG"
