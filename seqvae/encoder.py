"""Tokens to a posterior: a bidirectional LSTM, its outputs pooled to one vector, a mean and a standard deviation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqvae.config import ModelSettings
from seqvae.recurrent import LstmLayer

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


class Encoder(nn.Module):
    """Reads tokens (batch, time) and gives a `Posterior`."""

    def __init__(self, vocab_size: int, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.length = length
        self.pooling = settings.pooling
        self.embedding = nn.Embedding(vocab_size, settings.embedding_size)
        size = settings.encoder_size
        widths = [settings.embedding_size] + [2 * size] * (settings.encoder_layers - 1)
        self.forwards = nn.ModuleList(LstmLayer(width, size) for width in widths)
        self.backwards = nn.ModuleList(LstmLayer(width, size) for width in widths)
        pooled = 2 * size
        if self.pooling == "positional":
            self.pool = nn.Linear(2 * size, settings.pooling_size)
            pooled = length * settings.pooling_size + 2 * size
        self.head = nn.Linear(pooled, 2 * settings.z_size)
        nn.init.normal_(self.head.weight, std=0.5 * pooled**-0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Posterior:
        """tokens int64 (batch, time) → posterior of each item."""
        outputs = self.embedding(tokens.t())  # (time, batch, embedding)
        for ahead, back in zip(self.forwards, self.backwards, strict=True):
            forward_outputs, (forward_last, _) = ahead(outputs)
            backward_outputs, (backward_last, _) = back(outputs.flip(0))
            outputs = torch.cat([forward_outputs, backward_outputs.flip(0)], dim=-1)
        vector = torch.cat([forward_last, backward_last], dim=-1)
        if self.pooling == "positional":
            kept = self.pool(outputs).transpose(0, 1).flatten(1)  # (batch, time·pooling_size)
            vector = torch.cat([kept, vector], dim=-1)
        head = self.head(vector)
        # Under autocast the posterior still leaves in float32: KL and σ need the digits.
        mean, raw_std = head.to(torch.promote_types(head.dtype, torch.float32)).chunk(2, dim=-1)
        return Posterior(mean=mean, std=nn.functional.softplus(raw_std) + MIN_STD)
