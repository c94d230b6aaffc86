"""How cost grows with batch, length and the amount of data: 1 ×, 4 × and 16 × the work, each beside the first.

Where cost grows as the work does, the time for one item stays, and the ratio is 1; above 1, more is cheaper a piece.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.interpolate import run
from benchmarks.prepare import write_songs
from benchmarks.table import Result, Row, Table, seconds_of
from benchmarks.training import made_up_dataset, our_speed
from seqvae.config import load_preset
from seqvae.decoder import Drawing
from seqvae.tokenizers import MelodyTokenizer
from seqvae.vae import SequenceVAE

FACTORS = (1, 4, 16)

PREPARE = """
import sys
from seqvae.config import load_preset
from seqvae.corpus import prepare
if __name__ == "__main__":
    prepare(sys.argv[1], load_preset("melody-2bar").tokenizer, sys.argv[2], jobs=1, split=lambda name: "train")
"""


def measure(quick: bool = False) -> Result:
    """Of melody-2bar's network, untrained, and of made-up songs."""
    factors = FACTORS[:2] if quick else FACTORS
    with tempfile.TemporaryDirectory() as folder:
        tables = [
            _training(factors, Path(folder), 2 if quick else 8),
            _sampling(factors, 4 if quick else 64),
            _length(factors, 1 if quick else 3),
            *_preparing(factors, Path(folder), 4 if quick else 100),
        ]
    return Result(name="growth", tables=tables, about={"threads": torch.get_num_threads()})


def _training(factors: tuple[int, ...], folder: Path, steps: int) -> Table:
    dataset, rows = made_up_dataset(folder), []
    for factor in factors:
        settings = [f"train.batch_size={32 * factor}", "objective.attributes=[]", "objective.edited=0"]
        speed = our_speed(load_preset("melody-2bar", settings), dataset, folder, steps, "auto")
        rows.append(Row(name=f"batch {32 * factor}", value=1e3 / speed))
    return Table(title="training, an item", unit="ms", rows=rows)


def _sampling(factors: tuple[int, ...], count: int) -> Table:
    preset, rows = load_preset("melody-2bar"), []
    vae = SequenceVAE(preset.tokenizer.alphabet, preset.tokenizer.length, preset.model).eval()
    for factor in factors:
        n = count * factor
        how = Drawing(temperature=1.0, uniform=torch.rand(n, vae.length))
        z = torch.randn(n, preset.model.z_size)
        with torch.inference_mode():
            seconds = seconds_of(lambda z=z, how=how: vae.generate(z, None, how), 3)  # type: ignore[misc]
        rows.append(Row(name=f"{n:,} at once", value=1e3 * seconds / n))
    return Table(title="drawing, an item of two bars", unit="ms", rows=rows)


def _length(factors: tuple[int, ...], rounds: int) -> Table:
    rows = []
    for factor in factors:
        kind = MelodyTokenizer(bars=factor)
        for name, segments in (("flat", 1), ("in bars", factor)):
            if segments == 1 and name == "in bars":
                continue
            settings = replace(load_preset("melody-16bar").model, segments=segments, z_size=512)
            vae = SequenceVAE(kind.alphabet, kind.length, settings).eval()
            z = torch.randn(8, 512)
            with torch.inference_mode():
                seconds = seconds_of(lambda z=z, vae=vae: vae.generate(z), rounds)  # type: ignore[misc]
            rows.append(Row(name=f"{factor} bars, {name}", value=1e3 * seconds / 8 / factor))
    return Table(title="drawing, 8 at once, a bar", unit="ms", rows=rows)


def _preparing(factors: tuple[int, ...], folder: Path, count: int) -> list[Table]:
    script = folder / "prepare.py"
    script.write_text(PREPARE, encoding="utf-8")
    songs = write_songs(folder / "originals", count)
    names = np.array(sorted(songs.glob("*.mid")))
    seconds, memory = [], []
    for factor in factors:
        place = folder / f"songs-{factor}"
        place.mkdir()
        for copy in range(factor):
            for path in names:  # the same notes in another file: a comment at its end makes other bytes
                (place / f"{copy}-{path.name}").write_bytes(path.read_bytes() + bytes([copy]))
        wall, megabytes = run([sys.executable, str(script), str(place), str(folder / f"data-{factor}")])
        files = count * factor
        seconds.append(Row(name=f"{files:,} files", value=1e3 * wall / files))
        memory.append(Row(name=f"{files:,} files", value=megabytes))
    return [
        Table(title="preparing, a file", unit="ms", rows=seconds),
        Table(title="preparing, largest memory", unit="MB", rows=memory),
    ]
