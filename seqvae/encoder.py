"""Tokens to a posterior: a bidirectional LSTM, its outputs pooled to one vector, a mean and a standard deviation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqvae.config import ModelSettings
from seqvae.embedding import StepEmbedding
from seqvae.head import within
from seqvae.recurrent import LstmLayer, dropped
from seqvae.tokenizers import Alphabet

MIN_STD = 1e-4
"""Added to every standard deviation, so that log σ stays finite."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """q(z|x), a diagonal Gaussian for each item. mean and std: float32 (batch, z), std > 0."""

    mean: Tensor
    std: Tensor

    def draw(self, noise: Tensor) -> Tensor:
        """mean + std·noise: the reparametrised sample (Kingma and Welling 2014, eq. 10). noise: (batch, z)."""
        return self.mean + self.std * noise

    def kl(self) -> Tensor:
        """KL(q ‖ N(0, I)) of each dimension in nats: ½(μ² + σ² − ln σ² − 1), float32 (batch, z)."""
        variance = self.std.square()
        return 0.5 * (self.mean.square() + variance - variance.log() - 1.0)

    def log_ratio(self, noise: Tensor) -> Tensor:
        """ln q(z|x) − ln N(z; 0, I) at z = `draw(noise)`: (…, batch, z) → (…, batch). Its mean over noise is the KL."""
        z = self.draw(noise)
        return (0.5 * (z.square() - noise.square()) - self.std.log()).sum(-1)


class BidirectionalReader(nn.Module):
    """A sequence of vectors to one vector: bidirectional LSTM layers and a pooling."""

    def __init__(self, width: int, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.length = length
        self.pooling = settings.pooling
        self.pooling_size = settings.pooling_size
        size = settings.encoder_size
        widths = [width] + [2 * size] * (settings.encoder_layers - 1)
        self.forwards = nn.ModuleList(LstmLayer(width, size) for width in widths)
        self.backwards = nn.ModuleList(LstmLayer(width, size) for width in widths)
        self.pooled = 2 * size
        if self.pooling == "positional":
            self.pool = nn.Linear(2 * size, settings.pooling_size)
            self.pooled += length * settings.pooling_size

    def read(self, inputs: Tensor, counted: Tensor | None = None) -> Tensor:
        """Reads what lies within each sequence; what stands after its end changes nothing.

        Args:
            inputs: (time, batch, width), time at most `length`.
            counted: bool (time, batch), True up to each sequence's end; None if all steps count.

        Returns:
            (batch, pooled).
        """
        outputs = inputs
        for ahead, back in zip(self.forwards, self.backwards, strict=True):
            forward_outputs, (forward_last, _) = ahead(outputs)
            backward_outputs, (backward_last, _) = back(_turned(outputs, counted))
            if counted is not None:
                last = counted.sum(0).sub(1)[None, :, None].expand(1, -1, forward_outputs.shape[-1])
                forward_last = forward_outputs.gather(0, last)[0]
                backward_last = backward_outputs.gather(0, last)[0]
            outputs = torch.cat([forward_outputs, _turned(backward_outputs, counted)], dim=-1)
        if self.pooling in ("mean", "max"):
            return _over_steps(outputs, counted, self.pooling)
        vector = torch.cat([forward_last, backward_last], dim=-1)
        if self.pooling == "positional":
            kept = self.pool(outputs)
            if counted is not None:
                kept = kept * counted[..., None]
            kept = kept.transpose(0, 1).flatten(1)  # (batch, time·pooling_size)
            missing = self.length * self.pooling_size - kept.shape[1]
            vector = torch.cat([nn.functional.pad(kept, (0, missing)), vector], dim=-1)
        return vector


def _turned(outputs: Tensor, counted: Tensor | None) -> Tensor:
    """Each sequence backwards, its padding still behind it: (time, batch, width) → the same shape."""
    if counted is None:
        return outputs.flip(0)
    steps = torch.arange(len(outputs), device=outputs.device)[:, None]
    index = (counted.sum(0) - 1 - steps) % len(outputs)
    return outputs.gather(0, index[..., None].expand_as(outputs))


def _over_steps(outputs: Tensor, counted: Tensor | None, how: str) -> Tensor:
    """The mean or the largest of each unit over the steps that count: (time, batch, width) → (batch, width)."""
    if how == "mean":
        if counted is None:
            return outputs.mean(0)
        return (outputs * counted[..., None]).sum(0) / counted.sum(0)[:, None].to(outputs.dtype)
    if counted is not None:
        outputs = outputs.masked_fill(~counted[..., None], -torch.inf)
    return outputs.amax(0)


class PosteriorHead(nn.Linear):
    """A vector to a posterior.

    With a `mean_scale` γ the means are normalised to mean 0 and deviation γ, over the batch in training and over the
    training set after (Zhu et al. 2020, whose shift is left at 0): then E[KL] ≥ z_size·γ²/2, whatever the decoder does.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, width: int, z_size: int, mean_scale: float = 0.0) -> None:
        super().__init__(width, 2 * z_size)
        nn.init.normal_(self.weight, std=0.5 * width**-0.5)
        nn.init.zeros_(self.bias)
        self.mean_scale = mean_scale
        if mean_scale:
            self.register_buffer("center", torch.zeros(z_size))
            self.register_buffer("spread", torch.ones(z_size))

    def posterior(self, vector: Tensor, more: Tensor | None = None) -> Posterior:
        """(batch, width) → the posterior of each; `more` (batch, 2·z) is added to what becomes its mean and width."""
        found = self(vector) if more is None else self(vector) + more
        # Under autocast the posterior still leaves in float32: KL and σ need the digits.
        mean, raw_std = found.to(torch.promote_types(found.dtype, torch.float32)).chunk(2, dim=-1)
        if self.mean_scale:
            center, spread = self.center, self.spread
            if self.training:
                center, spread = mean.mean(0), mean.std(0, correction=0) + MIN_STD
            mean = self.mean_scale * (mean - center) / spread
        return Posterior(mean=mean, std=nn.functional.softplus(raw_std) + MIN_STD)

    def calibrate(self, means: Callable[[], Tensor]) -> None:
        """Takes mean and deviation of a set of means, (items, z), into the normalisation that evaluation mode does.

        `means` gives them as the head makes them; while it is asked there is no normalisation but γ, so that what is
        found depends on the weights alone and not on what was found before.
        """
        self.center.zero_()
        self.spread.fill_(1.0)
        found = means() / self.mean_scale
        self.center.copy_(found.mean(0))
        self.spread.copy_(found.std(0, correction=0).clamp(min=MIN_STD))


class Encoder(BidirectionalReader):
    """Reads tokens (batch, time) or (batch, time, part) and gives a `Posterior`."""

    def __init__(self, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        super().__init__(settings.embedding_size, length, settings)
        self.alphabet = alphabet
        self.settings = settings
        self.embedding = StepEmbedding(alphabet, settings.embedding_size)
        self.head = PosteriorHead(self.pooled, settings.z_size, settings.mean_scale)

    def forward(self, tokens: Tensor, source: torch.Generator | None = None) -> Posterior:
        """tokens int64 (batch, time) or (batch, time, part) → the posterior of each item.

        `source`, in training, draws what is dropped.
        """
        share, mask = self.settings.encoder_dropout, self.settings.dropout_mask
        counted = None if self.alphabet.end is None else within(self.alphabet, tokens).t()
        read = dropped(self.embedding(tokens.transpose(0, 1)), share, mask, source)
        return self.head.posterior(dropped(self.read(read, counted), share, "step", source))


class NoEncoder(nn.Module):
    """What stands before a language model: posteriors of no dimension."""

    def forward(self, tokens: Tensor, source: torch.Generator | None = None) -> Posterior:
        """tokens int64 (batch, time) or (batch, time, part) → mean and std (batch, 0)."""
        nothing = torch.zeros(len(tokens), 0, device=tokens.device)
        return Posterior(mean=nothing, std=nothing)
