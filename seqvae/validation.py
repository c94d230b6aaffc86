"""How a model stands while it is trained: the validation set under the averaged weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from seqvae import objective
from seqvae.dataset import Split
from seqvae.head import within
from seqvae.run import Metrics, Run, averaged_weights
from seqvae.runtime import autocast, generator

VALID_ROWS = 128
"""Items validated at once: the logits of more would not fit into a small machine's memory."""


def validate(run: Run) -> Metrics:
    """The averaged weights on a fixed sample of the validation split (of train, if that split is empty)."""
    preset = run.preset
    split: Split = "valid" if len(run.dataset.windows("valid")) else "train"
    windows = run.dataset.windows(split)
    rows = np.linspace(0, len(windows) - 1, min(len(windows), preset.train.valid_items)).round().astype(int)
    # Of like length together, so that little of what stands after an end is computed.
    some = windows[rows[np.argsort(run.dataset.tokenizer.alphabet.lengths(windows[rows]), kind="stable")]]
    tokens = torch.from_numpy(some.astype(np.int64)).to(run.device)
    source = generator(run.device, run.seed, 2**32)
    samples = 1 if is_autoencoder(run) else preset.objective.importance_samples
    noise = torch.randn((samples, len(tokens), preset.model.z_size), generator=source, device=run.device)
    rows_at_once = max(1, VALID_ROWS // samples)
    chunks = zip(torch.split(tokens, rows_at_once), torch.split(noise, rows_at_once, dim=1), strict=True)
    with averaged_weights(run), torch.no_grad(), autocast(run.device, preset.train.precision):
        parts = [_judge(run, *some) for some in chunks]
    cost, nll, kl, mean, forced, free = (torch.cat(each) for each in zip(*parts, strict=True))
    counted, onsets = run.counted(tokens)
    beta = final_beta(run)
    return {
        "split": split,
        "step": run.progress.step,
        "loss": float(cost.mean() + beta * objective.judged_kl(kl, preset.objective)),
        "recon_nll": float(nll.mean()),
        "kl": float(kl.sum(1).mean()),
        "token_accuracy": _share(forced[counted]),
        "onset_accuracy": _share(forced[onsets]),
        "free_token_accuracy": _share(free[counted]),
        "free_onset_accuracy": _share(free[onsets]),
        "exact_match": float((free | ~counted).flatten(1).all(1).float().mean()),
        "active_units": int(((mean - mean.mean(0)).square().mean(0) >= 0.01).sum()),
        "kl_units": int((kl.mean(0) > 0.05).sum()),
        "items": len(tokens),
        "seconds": run.progress.seconds,
    }


def final_beta(run: Run) -> float:
    """β by which a validation judges: 1 where a KL is held, as `objective.beta` is only where its multiplier began."""
    settings = run.preset.objective
    return 0.0 if is_autoencoder(run) else 1.0 if settings.target_nats else settings.beta


def is_autoencoder(run: Run) -> bool:
    """Whether what stands now was trained as a plain autoencoder."""
    settings = run.preset.objective
    return settings.autoencoder or 0 < run.progress.step <= settings.pretraining_steps


def _share(right: Tensor) -> float:
    """The share that is True; 0 of nothing, as in models that draw nothing but numbers."""
    return float(right.float().mean()) if right.numel() else 0.0


def _judge(run: Run, tokens: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
    """Cost beside the KL, NLL, KL, means, and where the tokens read and the tokens generated are right.

    noise: (samples, items, z).
    """
    vae = run.vae
    posterior = vae.encode(tokens)
    z = posterior.mean if is_autoencoder(run) else posterior.draw(noise).flatten(0, 1)
    longest = int(within(vae.alphabet, tokens).sum(1).max())
    short = tokens[:, :longest]
    nll, _ = vae.score(z, short)
    cost = objective.bound_without_kl(nll, posterior.log_ratio(noise), posterior.kl(), final_beta(run))
    _, forced = vae.score(posterior.mean, short)
    rest = torch.zeros_like(tokens[:, longest:], dtype=torch.bool)
    free = vae.generate(posterior.mean, vae.given(tokens)) == tokens
    return cost, nll.mean(0), posterior.kl(), posterior.mean, torch.cat([forced, rest], dim=1), free
