"""The benchmarks run and keep their form. What they measure is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
NAMES = ("training", "sampling", "prepare", "interpolate")


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
