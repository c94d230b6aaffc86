"""How long it takes to draw 1, 8, 64 and 1,024 items: seqvae against `nn.LSTM` called step by step, same sizes."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.plain import PlainVAE
from benchmarks.table import Result, Row, Table, magenta_row, seconds_of
from seqvae.checkpoint import SavedModel
from seqvae.config import load_preset
from seqvae.decoder import Drawing
from seqvae.inference import Writer
from seqvae.inference.draws import Draw
from seqvae.loading import from_saved
from seqvae.vae import SequenceVAE

COUNTS = (1, 8, 64, 1024)


def measure(quick: bool = False) -> Result:
    """Untrained weights: the time does not depend on what is drawn, except for the notes that `sample` has to make."""
    preset = load_preset("melody-2bar")
    tokenizer, z_size = preset.tokenizer, preset.model.z_size
    torch.manual_seed(0)
    plain = PlainVAE(tokenizer.alphabet.largest, tokenizer.length, preset.model).eval()
    ours = SequenceVAE(tokenizer.alphabet, tokenizer.length, preset.model).eval()
    model = from_saved(
        SavedModel(
            name="untrained",
            preset=preset,
            weights={name: weight.numpy() for name, weight in ours.state_dict().items()},
            aggregate_mean=np.zeros(z_size, np.float32),
            aggregate_covariance=np.eye(z_size, dtype=np.float32),
        )
    )
    weights = {name: weight.numpy() for name, weight in ours.state_dict().items()}
    writer = Writer(weights, tokenizer.alphabet, tokenizer.length, preset.model)
    tables = []
    for count in COUNTS[:2] if quick else COUNTS:
        z = torch.randn(count, z_size)
        uniform = torch.rand(count, tokenizer.length)
        rounds = 1 if quick else 3 if count > 64 else 10
        with torch.inference_mode():
            stepped = seconds_of(lambda z=z: plain.generate(z), rounds)  # type: ignore[misc]
            how = Drawing(temperature=1.0, uniform=uniform)
            hoisted = seconds_of(lambda z=z, how=how: ours.generate(z, None, how), rounds)  # type: ignore[misc]
        given = Draw(temperature=1.0, uniform=uniform.numpy())
        in_numpy = seconds_of(lambda z=z, given=given: writer.generate(z.numpy(), None, given), rounds)  # type: ignore[misc]
        whole = seconds_of(lambda count=count: model.sample(count, temperature=1.0), rounds)  # type: ignore[misc]
        rows = [
            Row(name="nn.LSTM stepped", value=1e3 * stepped),
            Row(name="seqvae, torch", value=1e3 * hoisted, note=f"{1e6 * hoisted / tokenizer.length:,.0f} µs a step"),
            Row(name="seqvae, numpy", value=1e3 * in_numpy, note=f"{1e6 * in_numpy / tokenizer.length:,.0f} µs a step"),
            Row(name="seqvae, model.sample", value=1e3 * whole, note="z drawn, clips made"),
            magenta_row(),
        ]
        tables.append(Table(title=f"{count:,} at once", unit="ms", rows=rows))
    return Result(name="sampling", tables=tables, about={"shape": preset.name, "threads": torch.get_num_threads()})
