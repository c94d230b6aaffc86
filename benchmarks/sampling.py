"""How long it takes to draw 1, 8, 64 and 1,024 items: seqvae against `nn.LSTM` called step by step, same sizes.

The ceiling is the time in which the same cores make what the decoder's loop has to multiply, at the speed of a large
float32 product. A second set of tables has sixteen bars, decoded side by side and one after the other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from benchmarks.plain import PlainVAE
from benchmarks.table import Result, Row, Table, magenta_row, seconds_of
from benchmarks.training import gemm_gflops
from seqvae.config import ModelSettings, load_preset
from seqvae.decoder import Drawing
from seqvae.loading import load
from seqvae.network import Network
from seqvae.passage import PLAIN
from seqvae.tokenizers import Tokenizer
from seqvae.vae import SequenceVAE

COUNTS = (1, 8, 64, 1024)
LONG_COUNTS = (1, 8, 64)


def measure(quick: bool = False) -> Result:
    """Of the bundled two-bar model, as how sure a network is decides what a draw costs; all else is untrained."""
    tables = [
        *(_short(count, quick) for count in (COUNTS[:2] if quick else COUNTS)),
        *(_long(count, quick) for count in (LONG_COUNTS[:1] if quick else LONG_COUNTS)),
    ]
    return Result(name="sampling", tables=tables, about={"threads": torch.get_num_threads()})


def _short(count: int, quick: bool) -> Table:
    model = load("melody-2bar")
    network = model.network
    plain = PlainVAE(network.alphabet.largest, network.length, network.settings).eval()
    z = model.draw(count, seed=0)
    there, uniform = torch.from_numpy(z), torch.rand(count, network.length)
    controls = network.alphabet.controls_for(None, count, network.length)
    rounds = 1 if quick else 5 if count > 64 else 20
    with torch.inference_mode():
        stepped = seconds_of(lambda: plain.generate(there), rounds)
        how = Drawing(temperature=1.0, uniform=uniform)
        in_torch = seconds_of(lambda: network.vae.generate(there, None, how), rounds)
    ours = seconds_of(lambda: network.generate(z, controls, 1.0, 0, PLAIN), rounds)
    whole = seconds_of(lambda: model.sample(count, temperature=1.0), rounds)
    speed = gemm_gflops(torch.float32, 256 if quick else 2048)
    work = count * loop_gflop(network.settings, network.alphabet.largest, network.length)
    ceiling = work / speed
    rows = [
        Row(name="nn.LSTM stepped", value=1e3 * stepped),
        Row(name="seqvae, torch", value=1e3 * in_torch, note=f"{ceiling / in_torch:.0%} of the ceiling"),
        Row(name="seqvae", value=1e3 * ours, note=f"{ceiling / ours:.0%} of the ceiling"),
        Row(name="seqvae, model.sample", value=1e3 * whole, note="z drawn, clips made"),
        Row(name="ceiling", value=1e3 * ceiling, note=f"{work:.3g} GFLOP at {speed:.0f} GFLOP/s"),
        magenta_row(),
    ]
    return Table(title=f"{count:,} at once", unit="ms", rows=rows)


def loop_gflop(settings: ModelSettings, vocab_size: int, length: int) -> float:
    """What the decoder's loop has to multiply for an item: z's view and the states, into gates and outputs."""
    sizes, below, total = settings.decoder_sizes, settings.readout_size, 0
    for size in sizes:
        total += (below + size) * 4 * size
        below = size
    return 2e-9 * length * (total + (settings.readout_size + sizes[-1]) * vocab_size)


def untrained(kind: Tokenizer, settings: ModelSettings) -> Network:
    """A network of these settings, on the CPU."""
    vae = SequenceVAE(kind.alphabet, kind.length, settings)
    weights = {name: weight.numpy() for name, weight in vae.state_dict().items()}
    return Network(weights=weights, alphabet=kind.alphabet, length=kind.length, settings=settings, place="cpu")


def _long(count: int, quick: bool) -> Table:
    """Likeliest tokens: neither is trained, and an untrained network's draws cost more than a trained one's."""
    preset = load_preset("melody-16bar")
    kind = preset.tokenizer
    rounds = 1 if quick else 5 if count > 8 else 40
    z = np.random.default_rng(0).standard_normal((count, preset.model.z_size)).astype(np.float32)
    controls = kind.alphabet.controls_for(None, count, kind.length)
    seconds = []
    for segments in (1, preset.model.segments):
        network = untrained(kind, replace(preset.model, segments=segments))
        seconds.append(seconds_of(lambda net=network: net.generate(z, controls, 0.0, 0, PLAIN), rounds))  # type: ignore[misc]
    plain = PlainVAE(kind.alphabet.largest, kind.length, preset.model).eval()
    with torch.inference_mode():
        stepped = seconds_of(lambda: plain.generate(torch.from_numpy(z)), rounds)
    rows = [
        Row(name="flat", value=1e3 * seconds[0]),
        Row(name="in bars, side by side", value=1e3 * seconds[1], note=f"{stepped / seconds[1]:.1f} × nn.LSTM"),
        Row(name="flat, nn.LSTM stepped", value=1e3 * stepped),
    ]
    return Table(title=f"sixteen bars, {count} at once", unit="ms", rows=rows)
