"""Training items a second: `seqvae.train` against the plain formulation of the same sizes, and the machine's ceiling.

The ceiling is the best bfloat16 matrix product of this run; a formulation's share of it is the useful work (what seqvae
multiplies in a step, forward and backward) over its time.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import PlainVAE
from benchmarks.table import Result, Row, Table, magenta_row, seconds_of
from seqvae.config import ModelSettings, Preset, load_preset
from seqvae.corpus import prepare
from seqvae.dataset import Dataset, Sampler
from seqvae.train import train
from seqvae.vae import SequenceVAE

MUSICVAE_SMALL = ModelSettings(
    encoder_size=512, z_size=256, decoder_sizes=(256, 256), pooling="last", readout="shared", readout_size=256
)
SHAPES = {
    "melody-2bar's shape, batch 128": (load_preset("melody-2bar").model, 128),
    "MusicVAE's small shape (encoder 512, decoder 2 × 256, z 256), batch 256": (MUSICVAE_SMALL, 256),
}


def measure(quick: bool = False) -> Result:
    """Runs the formulations in turn, several rounds, and takes the best of each."""
    steps, rounds = (2, 1) if quick else (10, 3)
    ceiling = gemm_gflops(torch.bfloat16, 256 if quick else 2048)
    float_ceiling = gemm_gflops(torch.float32, 256 if quick else 2048)
    tables = [
        Table(
            title="ceiling: large matrix products",
            unit="GFLOP/s",
            more_is_better=True,
            rows=[Row(name="float32", value=float_ceiling), Row(name="bfloat16", value=ceiling)],
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        dataset = made_up_dataset(Path(folder))
        for title, (model, batch) in SHAPES.items():
            plain = ["objective.attributes=[]", "objective.edited=0"]  # the baseline has neither
            sizes = [f"train.batch_size={2 if quick else batch}", "train.workers=2"]
            preset = load_preset("melody-2bar", [*sizes, *plain])
            preset = replace(preset, model=model)
            tables.append(compare(title, preset, dataset, Path(folder), steps, rounds, ceiling))
    return Result(
        name="training", tables=tables, about={"steps": steps, "rounds": rounds, "threads": torch.get_num_threads()}
    )


def compare(
    title: str, preset: Preset, dataset: Dataset, folder: Path, steps: int, rounds: int, ceiling: float
) -> Table:
    """Items a second of each formulation of one shape."""
    names = [
        "nn.LSTM, float32, z concatenated",
        "the same under bfloat16 autocast",
        "seqvae, float32",
        "seqvae, bfloat16",
    ]
    best = dict.fromkeys(names, 0.0)
    for _ in range(rounds):
        found = [plain_speed(preset, dataset, steps, cast) for cast in (False, True)]
        found += [our_speed(preset, dataset, folder, steps, precision) for precision in ("fp32", "bf16")]
        best = {name: max(best[name], speed) for name, speed in zip(names, found, strict=True)}
    work = work_gflop(preset)
    rows = [
        Row(name=name, value=best[name], note=f"{best[name] * work / ceiling:.0%} of the ceiling") for name in names
    ]
    title = f"{title}: {work:.2f} GFLOP an item"
    return Table(title=title, unit="items/s", rows=[*rows, magenta_row()], more_is_better=True)


def our_speed(preset: Preset, dataset: Dataset, folder: Path, steps: int, precision: str) -> float:
    """The trainer as a whole, second logging interval: the first one warms up."""
    settings = replace(
        preset.train,
        precision="bf16" if precision == "bf16" else "fp32",
        steps=2 * steps,
        log_every=steps,
        validate_every=10**9,
        valid_items=1,
    )
    lines: list[float] = []

    def keep(metrics: dict[str, object]) -> None:
        if metrics["split"] == "train":
            lines.append(float(str(metrics["items_per_second"])))

    train(replace(preset, train=settings), dataset, folder / "run", seed=0, device="cpu", report=keep)
    return lines[-1]


def plain_speed(preset: Preset, dataset: Dataset, steps: int, cast: bool) -> float:
    """The baseline in the usual loop: Adam, clipped gradients, the same sampler."""
    tokenizer = preset.tokenizer
    vae = PlainVAE(tokenizer.alphabet.largest, tokenizer.length, preset.model)
    optimizer = torch.optim.Adam(vae.parameters())
    windows, batch_size = dataset.windows("train"), preset.train.batch_size
    sampler = Sampler(windows, tokenizer.alphabet, tokenizer.augmentations, batch_size, seed=0)
    started = 0.0
    for step in range(2 * steps):
        if step == steps:
            started = time.perf_counter()
        tokens = torch.from_numpy(sampler.next().tokens)
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            loss = vae.loss(tokens, beta=0.5)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
    return steps * preset.train.batch_size / (time.perf_counter() - started)


def work_gflop(preset: Preset) -> float:
    """What one item's forward and backward pass multiplies and adds, in GFLOP: all matrix products of both.

    Counted in float64, whose recurrence is made of products that torch's counter sees; the fused layer of float32 and
    bfloat16 does the same in one call. Of an LSTM layer that is 3 · 2 · time · 4·hidden · (input + hidden).
    """
    tokenizer = preset.tokenizer
    vae = SequenceVAE(tokenizer.alphabet, tokenizer.length, preset.model).double()
    tokens = torch.zeros(2, tokenizer.length, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        posterior = vae.encode(tokens)
        vae.head.nll(vae.logits(posterior.mean, tokens), tokens).sum().backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) / len(tokens) / 1e9


def gemm_gflops(dtype: torch.dtype, size: int) -> float:
    """The speed of a square matrix product."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    return 2 * size**3 / seconds_of(lambda: a @ b, rounds=10) / 1e9


def made_up_dataset(folder: Path) -> Dataset:
    """Some melodies: speed does not depend on which."""
    from benchmarks.prepare import write_songs

    tokenizer = load_preset("melody-2bar").tokenizer
    write_songs(folder / "songs", count=32)
    prepare(folder / "songs", tokenizer, folder / "data", jobs=1, track="0")
    dataset = Dataset.open(folder / "data")
    assert np.ndim(dataset.windows("train")) == 2
    return dataset
