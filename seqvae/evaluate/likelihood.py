"""Likelihoods of a model, in nats per sequence: what the network says of given tokens, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqvae.latent import AggregatePosterior, Z
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

ROWS = 512
"""Sequences that go through the decoder at once: more would not stay in a core's cache, and are slower."""

LOGITS = 2**25
"""Numbers that the decoder puts out at once: fewer sequences where they are long or the vocabulary is large."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Forced:
    """What the decoder says when it reads the true tokens.

    Attributes:
        nll: −ln p(x|z) of each item, all its parts but controls, up to its end; float64 (n,).
        predicted: The likeliest token of each step up to the end, the shape of the tokens read.
    """

    nll: NDArray[np.float64]
    predicted: Tokens


def teacher_forced(model: Model, z: Z, tokens: Tokens) -> Forced:
    """Reads `tokens` int64 (n, time) or (n, time, part) step by step given z float32 (n, z)."""
    import torch

    nll, predicted = np.zeros(len(tokens)), np.zeros_like(tokens)
    lengths = model.tokenizer.alphabet.lengths(tokens)
    order = np.argsort(lengths, kind="stable")  # sequences of like length go together, and no further than the longest
    with torch.inference_mode():
        for chunk in _chunks(len(tokens), tokens.shape[1] * len(model.vae.head.bias)):
            rows = order[chunk]
            steps = int(lengths[rows].max())
            target = torch.from_numpy(tokens[rows, :steps]).to(model.device)
            logits = model.vae.logits(torch.from_numpy(z[rows]).to(model.device), target)
            nll[rows] = model.vae.head.nll(logits, target).sum(1).double().cpu().numpy()
            predicted[rows, :steps] = model.vae.head.likeliest(logits, target).cpu().numpy()
    beyond = np.arange(tokens.shape[1]) >= lengths[:, None]
    predicted[beyond] = tokens[beyond]
    return Forced(nll=nll, predicted=predicted)


def free_running(
    model: Model, z: Z, controls: Tokens, *, temperature: float = 0.0, rng: np.random.Generator | None = None
) -> Tokens:
    """Decodes z (n, z) as the network has it, not canonical: int64 (n, time) or (n, time, part).

    `controls`, int64 (n, time, controls), stand beside z, 0 of them for most models. Above temperature 0 `rng` draws.
    """
    import torch

    from seqvae.decoder import Drawing

    tokens = np.zeros((len(z), model.tokenizer.length, *model.tokenizer.alphabet.shape), np.int64)
    with torch.inference_mode():
        for rows in _chunks(len(z)):
            uniform = None
            if temperature:
                assert rng is not None
                uniform = torch.from_numpy(rng.random(tokens[rows].shape, np.float32)).to(model.device)
            place = torch.from_numpy(z[rows]).to(model.device)
            given = torch.from_numpy(controls[rows]).to(model.device) if controls.shape[-1] else None
            how = Drawing(temperature=temperature, uniform=uniform)
            tokens[rows] = model.vae.generate(place, given, how).cpu().numpy()
    return tokens


def iw_nll(
    model: Model,
    tokens: Tokens,
    means: Z,
    stds: Z,
    *,
    samples: int,
    rng: np.random.Generator,
    watch: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float64]:
    """`iw_bounds` of the one prior that the network was trained with, N(0, I): float64 (n,)."""
    priors = (AggregatePosterior.standard(means.shape[1]),)
    (found,) = iw_bounds(model, tokens, means, stds, priors=priors, samples=samples, rng=rng, watch=watch)
    return np.asarray(found)


def iw_bounds(
    model: Model,
    tokens: Tokens,
    means: Z,
    stds: Z,
    *,
    priors: Sequence[AggregatePosterior],
    samples: int,
    rng: np.random.Generator,
    watch: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float64]:
    """Upper bounds of −ln p(x) that tighten as `samples` grow (Burda et al. 2016, eq. 8), float64 (priors, n).

    −[logsumexp_k(ln p(x|z_k) + ln p(z_k) − ln q(z_k|x)) − ln K] with z_k ~ q(z|x), the same for each prior p. With
    one sample it is an estimate of −ELBO. An item's z_k depend on its row alone, whatever is computed beside it.

    Args:
        model: The model.
        tokens: int64 (n, time) or (n, time, part).
        means: q's means, float32 (n, z). stds: its standard deviations.
        priors: What z is drawn from; none of them may have been fitted to these tokens.
        samples: K.
        rng: Draws z_k.
        watch: Is told the share that is done, from 0 to 1.
    """
    from seqvae.runtime import in_batches

    bounds, seeds = np.zeros((len(priors), len(tokens))), rng.integers(2**63, size=len(tokens))
    lengths = model.tokenizer.alphabet.lengths(tokens)
    order, nll_of = np.argsort(lengths, kind="stable"), _scorer(model)
    done: list[int] = []

    def bound(part: slice) -> None:
        rows = order[part]
        sources = [np.random.default_rng(seed) for seed in seeds[rows]]
        total = np.full((len(priors), len(rows)), -np.inf)
        for left in range(0, samples, ROWS):
            shape = min(ROWS, samples - left), means.shape[1]
            noise = np.stack([source.standard_normal(shape, np.float32) for source in sources])
            z = means[rows, None] + stds[rows, None] * noise
            joint = np.stack([prior.log_density(z) for prior in priors]) - nll_of(z, tokens[rows])
            log_weights = joint - _log_posterior(noise, stds[rows, None])
            total = np.logaddexp(total, log_sum_exp(log_weights, axis=2))
        bounds[:, rows] = np.log(samples) - total
        done.append(int(lengths[rows].sum()))
        watch(sum(done) / int(lengths.sum()))

    in_batches(bound, len(tokens), model.device, size=max(1, ROWS // samples))
    return bounds


def _scorer(model: Model) -> Callable[[Z, Tokens], NDArray[np.float64]]:
    """−ln p(x|z) of many z of each item: float32 (n, samples, z), tokens (n, time[, part]) → float64 (n, samples)."""
    import torch

    from seqvae.decoder import Decoder
    from seqvae.evaluate.scoring import Scorer

    decoder, alphabet = model.vae.decoder, model.tokenizer.alphabet

    def one_by_one(z: Z, tokens: Tokens) -> NDArray[np.float64]:
        repeated = np.repeat(tokens, z.shape[1], axis=0)
        return teacher_forced(model, z.reshape(-1, z.shape[-1]), repeated).nll.reshape(z.shape[:2])

    if not isinstance(decoder, Decoder) or alphabet.shape:
        return one_by_one
    with torch.inference_mode():
        scorer = Scorer(decoder)

    def together(z: Z, tokens: Tokens) -> NDArray[np.float64]:
        lengths = alphabet.lengths(tokens)
        given = (z, tokens[:, : lengths.max()], lengths)
        return scorer.nll(*(torch.from_numpy(each).to(model.device) for each in given)).cpu().numpy()

    return together


def _log_posterior(noise: Z, stds: Z) -> NDArray[np.float64]:
    """ln q(z|x) for z = mean + std·noise: (…, z) → (…)."""
    terms: NDArray[np.float64] = -0.5 * (np.float64(noise) ** 2 + np.log(2.0 * np.pi)) - np.log(np.float64(stds))
    return np.asarray(terms.sum(axis=-1))


def log_sum_exp(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """ln Σ exp along an axis, without overflow."""
    top = values.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis))


def _chunks(count: int, numbers: int = 1) -> Iterator[slice]:
    """Rows that go through at once, each of which makes so many numbers."""
    rows = max(1, min(ROWS, LOGITS // numbers))
    return (slice(left, left + rows) for left in range(0, count, rows))
