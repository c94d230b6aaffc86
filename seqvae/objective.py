"""The loss, in nats: reconstruction plus β times the KL that is not free. Pure functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqvae.config import ObjectiveSettings
from seqvae.encoder import Posterior
from seqvae.tokenizers import Alphabet

HELD_RANGE = (1e-4, 100.0)
"""β that a multiplier may take: where a target is out of reach it must not run away."""


def penalised_kl(kl: Tensor, settings: ObjectiveSettings) -> Tensor:
    """The KL that costs, a scalar in nats per item, after the free nats of the named mode.

    Args:
        kl: Raw KL of each item and dimension, (batch, z).
        settings: `free_nats` f and `free_mode`:
            total: mean over items of max(Σ_j KL_j − f, 0) (Roberts et al. 2018 say f = 48 bits);
            per_dim: mean over items of Σ_j max(KL_j, f) − f (Kingma et al. 2016, one group a dimension, per item);
            per_dim_batch: Σ_j max(mean over items of KL_j, f) − f (Kingma et al. 2016, eq. 16).
    """
    free = settings.free_nats
    if settings.free_mode == "total":
        return (kl.sum(dim=1) - free).clamp(min=0).mean()
    if settings.free_mode == "per_dim":
        return (kl - free).clamp(min=0).sum(dim=1).mean()
    return (kl.mean(dim=0) - free).clamp(min=0).sum()


def bound_without_kl(nll: Tensor, log_ratio: Tensor, kl: Tensor, beta: Tensor | float) -> Tensor:
    """What an item costs beside its KL, so that together they are the bound of several z, in nats: (batch,).

    With one z it is the reconstruction's NLL. With K it is −ln (1/K) Σ_k exp(−NLL_k − β·ratio_k) − β·KL: with the whole
    KL added, the importance-weighted bound (Burda et al. 2016, eq. 8; β tempers its ratios); with free nats, that many
    less.

    Args:
        nll: −ln p(x|z_k), (samples, batch).
        log_ratio: ln q(z_k|x) − ln p(z_k), (samples, batch), of `Posterior.log_ratio`.
        kl: (batch, z).
        beta: β.
    """
    if len(nll) == 1:
        return nll[0]
    weighted = torch.logsumexp(-nll - beta * log_ratio, dim=0) - math.log(len(nll))
    return -weighted - beta * kl.sum(1)


def judged_kl(kl: Tensor, settings: ObjectiveSettings) -> Tensor:
    """The KL that a validation charges, a scalar in nats per item: `penalised_kl`.

    Where a KL is held, all of it, and no less than the target: of two models the better is the one with the better
    bound, but not because it falls short.

    Args:
        kl: As for `penalised_kl`.
    """
    if settings.target_nats:
        return kl.sum(dim=1).mean().clamp(min=settings.target_nats)
    return penalised_kl(kl, settings)


def beta_at(step: int, settings: ObjectiveSettings) -> float:
    """β at a training step (from 0, after pretraining, in which it is 0).

    `linear` and `sigmoid` (Bowman et al. 2016) go from `beta_start` to `beta` in `schedule_steps`; `exponential` closes
    the same distance by a factor (99 % after `schedule_steps`; MusicVAE's); `cyclical` repeats a linear rise over the
    first half of each cycle of `schedule_steps` and holds the rest (Fu et al. 2019, R = 0.5).
    """
    if is_pretraining(step, settings):
        return 0.0
    step -= settings.pretraining_steps
    start, end = settings.beta_start, settings.beta
    progress = min(1.0, step / max(1, settings.schedule_steps))
    match settings.schedule:
        case "constant":
            share = 1.0
        case "linear":
            share = progress
        case "sigmoid":
            low = 1 / (1 + math.exp(6.0))  # from -6 to 6, stretched to reach both ends exactly
            share = (1 / (1 + math.exp(6.0 - 12.0 * progress)) - low) / (1 - 2 * low)
        case "exponential":
            share = 1.0 - 0.01 ** (step / max(1, settings.schedule_steps))
        case "cyclical":
            share = min(1.0, 2.0 * (step % settings.schedule_steps) / settings.schedule_steps)
    return start + (end - start) * share


def is_pretraining(step: int, settings: ObjectiveSettings) -> bool:
    """Whether a step (from 0) trains the plain autoencoder before the decoder starts anew (Li et al. 2019)."""
    return step < settings.pretraining_steps


def decoder_moves(step: int, settings: ObjectiveSettings) -> bool:
    """Whether a step (from 0) updates the decoder too: at first only the last of each `encoder_updates` does.

    He et al. 2019 update the encoder until the bound no longer rises, and end that when the mutual information falls;
    here both numbers are settings, so that a run is a function of its preset and seed.
    """
    since = step - settings.pretraining_steps
    return not 0 <= since < settings.aggressive_steps or (since + 1) % settings.encoder_updates == 0


def held_beta(beta: Tensor, kl: Tensor, settings: ObjectiveSettings) -> Tensor:
    """The next β of a Lagrange multiplier that holds the KL at `target_nats` R: ln β += speed · clip((KL − R) / R, ±1).

    Ascent on the multiplier of the constraint KL = R, in its logarithm so that it stays positive (Rezende and Viola
    2018, eq. 4, do so for the reconstruction; Pelsmaeker and Aziz 2020 for a least rate).

    Args:
        beta: (), as it stands.
        kl: (), the raw KL of the batch, nats an item.
    """
    error = ((kl - settings.target_nats) / settings.target_nats).clamp(-1.0, 1.0)
    return (beta * torch.exp(settings.target_speed * error)).clamp(*HELD_RANGE)


def sampling_share(step: int, steps: int, settings: ObjectiveSettings) -> float:
    """The share of decoder inputs that the model draws itself at a step, linear over the training."""
    progress = min(1.0, step / max(1, steps))
    return settings.sampling_start + (settings.sampling_end - settings.sampling_start) * progress


def drop_tokens(inputs: Tensor, share: float, start: Tensor, controls: int, generator: torch.Generator) -> Tensor:
    """Word dropout (Bowman et al. 2016): the start token in place of each step but the first, with probability `share`.

    Args:
        inputs: int64 (batch, time) or (batch, time, part).
        share: 0 to 1.
        start: The start token, int64 () or (part,).
        controls: The first so many parts are never dropped.
        generator: Draws which.
    """
    if not share:
        return inputs
    dropped = torch.rand(inputs.shape[:2], generator=generator, device=inputs.device) < share
    dropped[:, 0] = False
    if not start.ndim:
        return torch.where(dropped, start, inputs)
    kept = torch.arange(len(start), device=inputs.device) < controls
    return torch.where(dropped[..., None] & ~kept, start, inputs)


def with_attributes(posterior: Posterior, targets: Tensor, given: Tensor) -> Posterior:
    """Posteriors of which some have the attributes that are wanted instead of those that were read.

    Those teach the decoder alone: what the encoder says of a copy that it was not asked to change shall stay as exact
    as it is, so nothing flows back to it.

    Args:
        posterior: (batch, z).
        targets: (batch, attributes), in deviations from the mean; may have no columns.
        given: bool (batch,), whose first dimensions become the targets.
    """
    if not targets.shape[1]:
        return posterior
    wanted = torch.cat([targets, posterior.mean[:, targets.shape[1] :].detach()], dim=1)
    mean = torch.where(given[:, None], wanted, posterior.mean)
    return Posterior(mean=mean, std=torch.where(given[:, None], posterior.std.detach(), posterior.std))


def attribute_cost(z: Tensor, targets: Tensor, settings: ObjectiveSettings) -> Tensor:
    """What it costs that the first dimensions of z are not the attributes: nats of each item, (batch,).

    γ · Σ_k (z_k − a_k)². With z drawn from the posterior its mean is γ · Σ_k ((μ_k − a_k)² + σ_k²): the posterior of
    these dimensions narrows to σ² ≈ β / 2γ.

    Args:
        z: (batch, z), before it is blurred.
        targets: a, (batch, attributes), in deviations from the mean; may have no columns.
    """
    return settings.attribute_weight * (z[:, : targets.shape[1]] - targets).square().sum(1)


def add_noise(tokens: Tensor, share: float, alphabet: Alphabet, generator: torch.Generator) -> Tensor:
    """Denoising (Vincent et al. 2008): each symbol is redrawn uniformly with probability `share`.

    Controls, numbers and the end stay; nothing is redrawn as the end.
    """
    if not share:
        return tokens
    noisy = torch.rand(tokens.shape, generator=generator, device=tokens.device) < share
    sizes = torch.tensor([part.size for part in alphabet.parts], device=tokens.device).view(alphabet.shape)
    first = 0 if alphabet.end is None else 1  # the end is token 0
    numbers = torch.rand(tokens.shape, generator=generator, device=tokens.device, dtype=torch.float64)
    random = first + (numbers * (sizes - first)).long()
    if alphabet.end is not None:
        noisy = noisy & (tokens != alphabet.end)
    return torch.where(noisy & torch.from_numpy(alphabet.judged).to(tokens.device), random, tokens)
