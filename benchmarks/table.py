"""A measurement: rows beside a baseline, printed as a table and kept as JSON with the machine it was taken on."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of doing it. `value` is None where it could not be measured; `note` says why, or anything else."""

    name: str
    value: float | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Ways of doing one thing. The first row is the baseline; ratios above 1 are better than it."""

    title: str
    unit: str
    rows: list[Row]
    more_is_better: bool = False

    def ratio(self, row: Row) -> float | None:
        """How many times better than the baseline."""
        baseline = self.rows[0].value
        if not row.value or not baseline:
            return None
        return row.value / baseline if self.more_is_better else baseline / row.value

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        found = [f"{self.title}", f"  {'':{width}}  {self.unit:>12}   ratio"]
        for row in self.rows:
            value = "–" if row.value is None else f"{row.value:,.4g}" if row.value < 1000 else f"{row.value:,.0f}"
            ratio = self.ratio(row)
            shown = "–" if ratio is None else f"{ratio:.2f}"
            found.append(f"  {row.name:{width}}  {value:>12}  {shown:>6}  {row.note}".rstrip())
        return "\n".join(found)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one benchmark found."""

    name: str
    tables: list[Table]
    about: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path = RESULTS) -> Path:
        """Writes NAME.json."""
        tables = []
        for table in self.tables:
            rows = [{**asdict(row), "ratio": table.ratio(row)} for row in table.rows]
            tables.append(
                {"title": table.title, "unit": table.unit, "more_is_better": table.more_is_better, "rows": rows}
            )
        said = {"name": self.name, "about": self.about, "machine": machine(), "tables": tables}
        path = folder / f"{self.name}.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def machine() -> dict[str, Any]:
    """The machine in words, and how busy it is: other work makes every figure worse, and ratios less so."""
    names = [line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    packages = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "symusic", "pretty_midi")}
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        **packages,
    }


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def magenta_row(what: str = "Magenta MusicVAE") -> Row:
    """The peer. It needs an old Python and TensorFlow, so it is seldom at hand; its row says so and does not vanish."""
    try:
        version = importlib.metadata.version("magenta")
    except importlib.metadata.PackageNotFoundError:
        return Row(name=what, value=None, note="not installed")
    return Row(name=what, value=None, note=f"magenta {version} is installed; measure it with its own scripts")


def seconds_of(function: Callable[[], Any], rounds: int) -> float:
    """The least of `rounds` timings, after one that does not count: the least is what other work disturbed least."""
    function()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        function()
        found.append(time.perf_counter() - started)
    return min(found)
