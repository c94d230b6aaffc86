"""The benchmarks run and keep their form. What they measure is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import rate_distortion
from benchmarks.rate_distortion import Point
from seqvae.checkpoint import bundled_models, load_model
from seqvae.config import load_preset, with_settings
from seqvae.dataset import ORIGIN_DTYPE, SPLITS, Dataset, arrange, write_dataset
from seqvae.errors import DataError
from seqvae.run import BEST
from seqvae.train import train

REPO = Path(__file__).resolve().parent.parent
NAMES = ("training", "sampling", "prepare", "interpolate", "growth")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_and_writes_its_tables(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.run", name, "--quick", "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert result["machine"]["cores"] >= 1
    for table in result["tables"]:
        assert table["title"] in done.stdout
        assert table["rows"][0]["ratio"] == pytest.approx(1.0), "the first row is the baseline"
        assert all(row["value"] or row["note"] for row in table["rows"]), "what was not measured says why"


def test_an_unknown_benchmark_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.run", "training", "typo"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no benchmark typo" in done.stderr


# -- the rate-distortion curve ---------------------------------------------------------------------------------------


def point(method: str, kl: float, value: float, steps: int = 10) -> Point:
    overlaps = {
        f"{prior}_{name}_overlap": value
        for prior in ("aggregate", "normal")
        for name in ("density", "pitch_class", "interval")
    }
    return {
        "method": method,
        "name": f"{method} at {kl:g}",
        "steps": steps,
        "kl": kl,
        "kl_bits": kl / 0.7,
        "recon_nll": value,
        "negative_elbo": kl + value,
        "exact_match": value,
        "free_token_accuracy": value,
        "free_onset_accuracy": value,
        **overlaps,
    }


def test_a_point_is_compared_with_the_curve_over_beta_at_its_kl() -> None:
    line = [point("β", 10.0, 6.0), point("β", 30.0, 2.0), point("β", 20.0, 3.0)]
    line.append(point("β", 25.0, 1.0, steps=30))  # of more steps: no part of the curve
    nll = rate_distortion.READ["NLL"]
    assert [one["kl"] for one in rate_distortion.curve(line)] == [10.0, 20.0, 30.0]
    # At 12.5 nats the curve is 6 − 0.25 · 3 = 5.25.
    assert rate_distortion.beyond_curve(line, point("total", 12.5, 5.0), nll) == pytest.approx(-0.25)
    assert all(rate_distortion.beyond_curve(line, one, nll) == 0.0 for one in line[:3])
    assert rate_distortion.beyond_curve(line, point("total", 9.0, 5.0), nll) is None, "the curve ends before"
    assert "5.00 (−0.25)" in rate_distortion.table([*line, point("total", 12.5, 5.0)])


@pytest.mark.parametrize("name", rate_distortion.PLANS)
def test_every_point_of_a_curve_can_be_trained(name: str) -> None:
    saved = load_model(bundled_models()[name])
    plan = rate_distortion.PLANS[name]
    recipes = plan.recipes(saved.preset.model.z_size)
    assert len({recipe.name for recipe in recipes}) == len(recipes), "points are told apart by their names"
    assert saved.preset.objective.beta in plan.betas, "the bundled model's own β is the control"
    for recipe in recipes:
        aim = with_settings(saved.preset, [*rate_distortion.COMMON, *recipe.settings]).objective
        each = saved.preset.model.z_size if aim.free_mode == "per_dim_batch" else 1
        assert aim.free_nats * each == pytest.approx(plan.free_nats if aim.free_nats else 0.0, rel=0.01)
        assert recipe.method in rate_distortion.METHODS


def test_the_curve_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = melodies_of_three_splits(tmp_path / "data")
    small = ["model.encoder_size=8", "model.decoder_sizes=[8]", "model.z_size=4", "train.batch_size=8"]
    preset = load_preset("melody-2bar-tiny", [*small, "train.steps=1", "train.valid_items=8", "train.workers=1"])
    saved = load_model(train(preset, dataset, tmp_path / "run", seed=0, device="cpu").run / BEST)
    recipes = [rate_distortion.Recipe(method="β", name=f"β {b}", settings=(f"objective.beta={b}",)) for b in (0, 1)]
    output = tmp_path / "out.json"

    def measure(count: int, steps: int = 2) -> dict[str, Any]:
        amounts = {"steps": steps, "items": 8, "samples": 16}
        return rate_distortion.measure(saved, dataset, recipes[:count], output, **amounts, say=lambda line: None)

    before = measure(1)["points"]
    result = measure(2)
    assert result["points"][:2] == before
    assert [one["method"] for one in result["points"]] == ["bundled", "β", "β"]
    assert before[0]["recon_nll"] != before[1]["recon_nll"], "what is measured has been trained"
    monkeypatch.setattr(rate_distortion, "trained", None)
    assert measure(2) == result == json.loads(output.read_text(encoding="utf-8"))
    with pytest.raises(DataError, match="steps 2, not 3"):
        measure(2, steps=3)
    picture = rate_distortion.draw(result, rate_distortion.PLANS["melody-2bar"], tmp_path / "curve.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def melodies_of_three_splits(folder: Path) -> Dataset:
    tokenizer = load_preset("melody-2bar-tiny").tokenizer
    rng = np.random.default_rng(0)
    tokens = np.zeros((30, tokenizer.length), np.int64)
    tokens[:, ::4] = rng.integers(30, 60, size=(30, tokenizer.length // 4))
    folder.mkdir()
    write_dataset(
        folder,
        tokenizer=tokenizer,
        tokens=tokens,
        origins=np.zeros(30, ORIGIN_DTYPE),
        arrangement=arrange(tokens, (np.arange(30) % 3).astype(np.int8)),
        sources=[("made up", SPLITS[0], "0" * 40)],
        report={},
        licence="none",
    )
    return Dataset.open(folder)
