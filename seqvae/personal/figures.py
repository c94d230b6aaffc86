"""What a personal model is like beside its base: how well it keeps what it is given, and what it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes import attributes_of, measured
from seqvae.dataset import window_keys
from seqvae.passage import PLAIN
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

BINS = 12
SAMPLES = 256


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Figures of one model on some windows.

    Attributes:
        windows: How many.
        tokens, onsets, exact: Of their free-running reconstructions from the posterior mean, shares.
        minus_elbo: Reconstruction NLL of one draw of z + KL, nats a window, mean.
        loss: The same with β times the KL, as the model was trained: what a training that stops early minds.
    """

    windows: int
    tokens: float
    onsets: float
    exact: float
    minus_elbo: float
    loss: float


def fidelity(model: Model, windows: Tokens, seed: int = 0) -> Fidelity | None:
    """Measures int64 (n, time) or (n, time, part); None of no windows."""
    if not len(windows):
        return None
    from seqvae.evaluate.likelihood import teacher_forced
    from seqvae.evaluate.reconstruction import accuracy
    from seqvae.evaluate.space import gaussian_kl

    means, stds = model.network.posterior(windows)
    again = model.network.generate(means, model.control_of(windows), 0.0, 0, PLAIN)
    right = accuracy(windows, again, model.tokenizer.onset_mask, model.tokenizer.alphabet)
    noise = np.random.default_rng((seed, 7)).standard_normal(means.shape, np.float32)
    nll = teacher_forced(model, means + stds * noise, windows).nll
    kl = gaussian_kl(means, stds).sum(axis=1)
    objective = model.preset.objective
    return Fidelity(
        windows=len(windows),
        tokens=right.tokens,
        onsets=right.onsets,
        exact=right.exact_match,
        minus_elbo=float((nll + kl).mean()),
        loss=float((nll + (0.0 if objective.autoencoder else objective.beta) * kl).mean()),
    )


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One attribute of what is drawn, before and after.

    Attributes:
        name, what: The attribute and its unit.
        own, before, after: Its mean in the person's clips, in the base's samples and in the personal model's.
        overlap_before, overlap_after: Of its histogram with that of the person's clips, 0 to 1.
    """

    name: str
    what: str
    own: float
    before: float
    after: float
    overlap_before: float
    overlap_after: float


def drawn(model: Model, like: Tokens, *, items: int = SAMPLES, seed: int = 0) -> Tokens:
    """So many samples, as `Model.sample` draws them, as tokens; under the controls of `like`."""
    from seqvae.model import SAMPLE_TEMPERATURE

    rows = np.random.default_rng((seed, 8)).integers(len(like), size=items)
    z = model.draw(items, seed=seed)
    made = model.network.generate(z, model.control_of(like[rows]), SAMPLE_TEMPERATURE, seed, PLAIN)
    return model.tokenizer.canonical(made)


def shifts(model: Model, own: Tokens, before: Tokens, after: Tokens) -> list[Shift]:
    """What became of each attribute that the model's kind has; tokens of the clips and of both models' samples."""
    attributes = list(attributes_of(model.tokenizer).values())
    values = [measured(attributes, [model.tokenizer.decode(row) for row in tokens]) for tokens in (own, before, after)]
    found = []
    for column, attribute in enumerate(attributes):
        clean = [of[:, column][np.isfinite(of[:, column])] for of in values]
        if not all(len(of) for of in clean):
            continue
        found.append(
            Shift(
                name=attribute.name,
                what=attribute.what,
                own=float(clean[0].mean()),
                before=float(clean[1].mean()),
                after=float(clean[2].mean()),
                overlap_before=overlap(clean[0], clean[1], clean),
                overlap_after=overlap(clean[0], clean[2], clean),
            )
        )
    return found


def overlap(a: NDArray[np.float64], b: NDArray[np.float64], together: Sequence[NDArray[np.float64]]) -> float:
    """Shared area of two histograms on one grid of `BINS` over the range of all: 1 the same, 0 nothing in common.

    >>> ones, twos = np.ones(4), np.full(4, 2.0)
    >>> overlap(ones, twos, [ones, twos]), overlap(ones, ones, [ones, twos])
    (0.0, 1.0)
    """
    edges = np.histogram_bin_edges(np.concatenate(list(together)), BINS)
    left, right = (np.histogram(of, edges)[0] / len(of) for of in (a, b))
    return float(np.minimum(left, right).sum())


def copied_share(tokens: Tokens, train: NDArray[np.integer[Any]]) -> float:
    """The share of `tokens` that are windows of `train`, as they are."""
    return float(np.isin(window_keys(tokens), window_keys(train)).mean())
