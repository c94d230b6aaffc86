"""The examples run as they stand, with a model that was trained in a moment, and write what they say they write."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from tiny import save_tiny

from seqvae import Clip, checkpoint

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "make_clips.py")


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), "melody-2bar")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
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
