"""Models small enough to be trained inside a test: one knows eight melodies by heart, others what they are given."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqvae.checkpoint import SavedModel, save_model
from seqvae.clip import Clip
from seqvae.config import ModelSettings, Preset
from seqvae.latent import AggregatePosterior

PRESET = Preset(
    name="tiny",
    description="eight melodies by heart",
    model=ModelSettings(
        embedding_size=16, encoder_size=32, pooling_size=4, z_size=8, decoder_sizes=(48,), readout_size=16
    ),
)


def melody(seed: int, bars: int = 2, tempo_qpm: float = 120.0, program: int = 0, velocity: int = 80) -> Clip:
    """A made-up tune in quarters and eighths with a rest here and there; the last note ends on the last bar line."""
    rng = np.random.default_rng(seed)
    notes, beat, end = [], 0.0, 4.0 * bars
    while beat < end:
        length = min(float(rng.choice([0.5, 1.0, 1.5])), end - beat)
        if rng.random() < 0.85 or beat == 0 or beat + length == end:
            notes.append((beat, beat + length, int(rng.integers(55, 80)), velocity))
        beat += length
    return Clip.from_notes(notes, tempo_qpm=tempo_qpm, program=program, name=f"tune {seed}")


TUNES = [melody(seed) for seed in range(8)]


@functools.cache
def trained() -> SavedModel:
    """The model, trained once a process."""
    return by_heart(PRESET, TUNES)


def by_heart(preset: Preset, items: Sequence[Any], steps: int = 150) -> SavedModel:
    """A model that knows a few items: an autoencoder with a little noise on z, so that neighbours mean something."""
    from seqvae.runtime import single_threaded

    # Threads that wait for each other at every tiny product make this a hundred times slower on a busy machine.
    with single_threaded():
        return _train(preset, items, steps)


def _train(preset: Preset, items: Sequence[Any], steps: int) -> SavedModel:
    import torch

    from seqvae.vae import SequenceVAE

    torch.manual_seed(0)
    tokenizer = preset.tokenizer
    tokens = torch.from_numpy(np.stack([tokenizer.encode(item) for item in items]))
    vae = SequenceVAE(tokenizer.alphabet, tokenizer.length, preset.model)
    optimiser = torch.optim.Adam(vae.parameters(), 1e-2)
    for _ in range(steps):
        posterior = vae.encode(tokens)
        z = posterior.mean + 0.05 * torch.randn_like(posterior.mean)
        loss = vae.head.nll(vae.logits(z, tokens), tokens).mean() + 1e-3 * posterior.mean.square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        posterior = vae.encode(tokens)
    aggregate = AggregatePosterior.fit(posterior.mean.numpy(), posterior.std.numpy())
    return SavedModel(
        name=preset.name,
        preset=preset,
        weights={name: weight.numpy() for name, weight in vae.state_dict().items()},
        aggregate_mean=aggregate.mean.astype(np.float32),
        aggregate_covariance=aggregate.covariance.astype(np.float32),
        provenance={"items": len(items)},
        licence="made up",
        card={"token_accuracy": 1.0},
    )


def save_tiny(folder: Path, name: str = "tiny") -> Path:
    """The model as a file."""
    return save_model(folder / f"{name}.safetensors", trained())
