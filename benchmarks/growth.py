"""How cost grows with batch, length and the amount of data: 1 ×, 4 × and 16 × the work, each beside the first.

Where cost grows as the work does, the time for one item stays, and the ratio is 1; above 1, more is cheaper a piece.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks import prepare
from benchmarks.sampling import untrained
from benchmarks.table import Result, Row, Table, seconds_of
from benchmarks.training import made_up_dataset, our_speed
from seqvae.config import load_preset
from seqvae.loading import load
from seqvae.passage import PLAIN
from seqvae.tokenizers import MelodyTokenizer

FACTORS = (1, 4, 16)


def measure(quick: bool = False) -> Result:
    """Of melody-2bar's network and of made-up songs."""
    factors = FACTORS[:2] if quick else FACTORS
    with tempfile.TemporaryDirectory() as folder:
        tables = [
            _training(factors, Path(folder), 2 if quick else 8),
            _sampling(factors, 4 if quick else 64),
            _length(factors, 1 if quick else 3),
            *_preparing(factors, Path(folder), 4 if quick else 400),
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
    model, rows = load("melody-2bar"), []
    for factor in factors:
        n = count * factor
        z, controls = model.draw(n, seed=0), model.tokenizer.alphabet.controls_for(None, n, model.tokenizer.length)
        seconds = seconds_of(lambda z=z, controls=controls: model.network.generate(z, controls, 1.0, 0, PLAIN), 3)  # type: ignore[misc]
        rows.append(Row(name=f"{n:,} at once", value=1e3 * seconds / n))
    return Table(title="drawing, an item of two bars", unit="ms", rows=rows)


def _length(factors: tuple[int, ...], rounds: int) -> Table:
    rows, z = [], np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)
    for factor in factors:
        kind = MelodyTokenizer(bars=factor)
        controls = kind.alphabet.controls_for(None, 8, kind.length)
        for name, segments in (("flat", 1), ("in bars", factor)):
            if segments == 1 and name == "in bars":
                continue
            network = untrained(kind, replace(load_preset("melody-16bar").model, segments=segments, z_size=512))
            seconds = seconds_of(lambda to=network, given=controls: to.generate(z, given, 0.0, 0, PLAIN), rounds)  # type: ignore[misc]
            rows.append(Row(name=f"{factor} bars, {name}", value=1e3 * seconds / 8 / factor))
    return Table(title="drawing, 8 at once, a bar", unit="ms", rows=rows)


def _preparing(factors: tuple[int, ...], folder: Path, count: int) -> list[Table]:
    songs = prepare.write_songs(folder / "originals", count)
    return prepare.growth(songs, folder, tuple(count * factor for factor in factors))
