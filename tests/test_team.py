"""Several processes train as one does: the same losses and weights, one writer, and one clear end if one dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_train import make_dataset

from seqvae.checkpoint import read_arrays
from seqvae.cli.app import main
from seqvae.config import load_preset
from seqvae.errors import ConfigError
from seqvae.run import LAST, check_recipe, parts_of
from seqvae.team import Team

SMALL = [
    *("model.encoder_size=8", "model.decoder_sizes=[12]", "model.z_size=4", "train.batch_size=12"),
    *("train.log_every=2", "train.validate_every=4", "train.warmup_steps=2", "train.precision=fp32"),
    *("objective.word_dropout=0.1", "model.dropout=0.2"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("team") / "data").folder


def command(data: Path, run: Path, *more: str, resume: bool = False) -> list[str]:
    if resume:
        return ["train", "--resume", "-o", str(run), "--device", "cpu", *more]
    settings = [word for setting in SMALL for word in ("--set", setting)]
    common = ["train", "--preset", "melody-2bar-tiny", "--data", str(data), "-o", str(run), "--device", "cpu"]
    return [*common, *settings, "--seed", "3", *more]


def together(size: int, words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
    return subprocess.run(
        [*launcher, "-m", "seqvae", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def lines_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def same_course(one: Path, two: Path) -> None:
    """The same figures line for line, and weights that differ by no more than sums in another order do."""
    for ours, theirs in zip(lines_of(one), lines_of(two), strict=True):
        for name in ("split", "step"):
            assert ours[name] == theirs[name]
        for name in ("loss", "recon_nll", "kl"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4), (ours["step"], name)
    (weights, about), (others, _) = read_arrays(one / LAST), read_arrays(two / LAST)
    assert about["step"] == 8
    for name in weights:
        np.testing.assert_allclose(weights[name], others[name], rtol=1e-3, atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_two_processes_go_the_way_of_one_and_one_goes_on_from_two(data: Path, tmp_path: Path) -> None:
    steps = ["--set", "train.steps=8"]
    assert main(command(data, tmp_path / "one", *steps, "--set", "train.workers=2")) == 0
    done = together(2, command(data, tmp_path / "two", *steps, "--set", "train.workers=2"))
    assert done.returncode == 0, done.stderr
    same_course(tmp_path / "one", tmp_path / "two")
    assert done.stdout.count(str(tmp_path / "two")) == 1  # one of them talks
    assert done.stderr.count("all steps done") == 1
    assert (tmp_path / "two" / "best.safetensors").is_file()
    # Stopped in the middle, it goes on alone.
    cut = command(data, tmp_path / "cut", *steps, "--set", "train.workers=2", "--time", "0.01s")
    assert together(2, cut).returncode == 0
    assert 0 < read_arrays(tmp_path / "cut" / LAST)[1]["step"] < 8
    assert main(command(data, tmp_path / "cut", resume=True)) == 0
    same_course(tmp_path / "one", tmp_path / "cut")


@pytest.mark.slow
def test_one_that_dies_ends_all_with_one_clear_message(data: Path, tmp_path: Path) -> None:
    """The second process ends in its third step."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "if os.environ.get('RANK') == '1':\n"
        "    import torch.distributed as d\n"
        "    real, calls = d.all_reduce, []\n"
        "    def dying(*given, **named):\n"
        "        calls.append(1)\n"
        "        if len(calls) == 3:\n"
        "            os._exit(9)\n"
        "        return real(*given, **named)\n"
        "    d.all_reduce = dying\n"
    )
    words = command(data, tmp_path / "run", "--set", "train.steps=100000")
    done = together(2, words, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1 and "another process of this training has ended" in said[0] and "--resume" in said[0]
    assert read_arrays(tmp_path / "run" / LAST)[1]["step"] >= 0  # nothing that was saved is lost


def test_a_team_without_its_others_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"WORLD_SIZE is 2, .* start them with torchrun") as error:
        Team.join(torch.device("cpu"))
    assert "\n" not in str(error.value)


def test_several_processes_prepare_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "-o", str(tmp_path / "run")]) == 2
    assert "give it with --data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("workers", "batch", "size", "expected"),
    [(2, 12, 1, 2), (2, 12, 2, 2), (1, 12, 2, 2), (4, 12, 2, 4), (3, 12, 2, 2), (2, 12, 5, 5), (8, 3, 2, 2)],
)
def test_a_batch_is_cut_into_as_many_parts_for_each(workers: int, batch: int, size: int, expected: int) -> None:
    preset = load_preset("melody-2bar-tiny", [f"train.workers={workers}", f"train.batch_size={batch}"])
    assert parts_of(preset.train, torch.device("cpu"), Team(size=size)) == expected
    assert expected <= batch and expected % size == 0
    check_recipe(preset, Team(size=size))


def test_a_batch_smaller_than_its_team_is_refused() -> None:
    preset = load_preset("melody-2bar-tiny", ["train.batch_size=3"])
    with pytest.raises(ConfigError, match="batch_size is 3 and 4 processes share it"):
        check_recipe(preset, Team(size=4))
