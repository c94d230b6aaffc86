"""Cold commands, as whole processes: wall time and memory, against a Python that only imports torch.

Folders of music come with a picture; results in one file (`--json` of `encode`) do not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Result, Row, Table, magenta_row
from seqvae.checkpoint import bundled_models

REPO = Path(__file__).resolve().parent.parent


def measure(quick: bool = False) -> Result:
    """With the bundled model: between the two example files, from nothing, and of one of them."""
    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        examples = [str(REPO / "examples" / name) for name in ("a.mid", "b.mid")]
        verbs = {
            "interpolate, 8 steps": ["interpolate", *examples, "--steps", "8", "-o", f"{folder}/path"],
            "sample, 16 clips": ["sample", "--seed", "1", "-o", f"{folder}/new"],
            "reconstruct": ["reconstruct", examples[0], "-o", f"{folder}/again"],
            "vary, 6 clips": ["vary", examples[0], "--seed", "1", "-o", f"{folder}/near"],
            "encode, no picture": ["encode", *examples, "-o", f"{folder}/z.npz"],
        }
        commands = {
            'python -c "import torch"': ["-c", "import torch"],
            "seqvae --help": ["-m", "seqvae", "--help"],
        }
        if "melody-2bar" in bundled_models():
            commands |= {f"seqvae {name}": ["-m", "seqvae", *words, "--force"] for name, words in verbs.items()}
        cost = {name: min(run([sys.executable, *command]) for _ in range(rounds)) for name, command in commands.items()}
    wall = [Row(name=name, value=seconds) for name, (seconds, _) in cost.items()]
    memory = [Row(name=name, value=megabytes) for name, (_, megabytes) in cost.items()]
    magenta = magenta_row("Magenta music_vae_generate")
    tables = [
        Table(title="wall time of the process", unit="s", rows=[*wall, magenta]),
        Table(title="largest memory of the process", unit="MB", rows=[*memory, magenta]),
    ]
    return Result(name="interpolate", tables=tables, about={"rounds": rounds})


# A child's peak begins with its parent's memory, which is copied before the program starts: the parent must be small.
LAUNCHER = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
processor = usage.ru_utime + usage.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, processor, usage.ru_maxrss]))
"""


class Cost(NamedTuple):
    """Of a process and those that it started: wall time, processor time of all, largest memory of one."""

    seconds: float
    processor_seconds: float
    megabytes: float


def cost(command: list[str]) -> Cost:
    """What a process of its own costs."""
    launcher = [sys.executable, "-S", "-c", LAUNCHER, *command]
    code, *found = json.loads(subprocess.run(launcher, check=True, capture_output=True, text=True).stdout)
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    seconds, processor_seconds, memory = found
    return Cost(seconds, processor_seconds, memory / (1e6 if sys.platform == "darwin" else 1e3))  # bytes there, else kB


def run(command: list[str]) -> tuple[float, float]:
    """Wall seconds and the largest resident megabytes of a process of its own."""
    found = cost(command)
    return found.seconds, found.megabytes
