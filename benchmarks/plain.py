"""The baseline: the same sizes in the plainest PyTorch, as MusicVAE is laid out.

`nn.LSTM` in float32, z concatenated to the decoder's input at every step; generation calls `nn.LSTM` step by step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqvae.config import ModelSettings


class PlainVAE(nn.Module):
    """A sequence VAE without any of seqvae's arrangements."""

    def __init__(self, vocab_size: int, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.length = length
        self.sizes = settings.decoder_sizes
        self.embedding = nn.Embedding(vocab_size + 1, settings.embedding_size)
        self.encoder = nn.LSTM(
            settings.embedding_size,
            settings.encoder_size,
            settings.encoder_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.head = nn.Linear(2 * settings.encoder_size, 2 * settings.z_size)
        self.start = nn.Linear(settings.z_size, 2 * sum(settings.decoder_sizes))
        widths = [settings.embedding_size + settings.z_size, *settings.decoder_sizes]
        pairs = zip(widths, settings.decoder_sizes, strict=False)
        self.layers = nn.ModuleList(nn.LSTM(width, size, batch_first=True) for width, size in pairs)
        self.output = nn.Linear(settings.decoder_sizes[-1], vocab_size)

    def loss(self, tokens: Tensor, beta: float) -> Tensor:
        """−ELBO with the KL weighted by β, in nats an item. tokens: int64 (batch, time)."""
        _, (hidden, _) = self.encoder(self.embedding(tokens))
        mean, raw_std = self.head(torch.cat([hidden[-2], hidden[-1]], dim=-1)).chunk(2, dim=-1)
        std = nn.functional.softplus(raw_std) + 1e-4
        z = mean + std * torch.randn_like(std)
        inputs = torch.cat([torch.full_like(tokens[:, :1], self.vocab_size), tokens[:, :-1]], dim=1)
        outputs = torch.cat([self.embedding(inputs), z.unsqueeze(1).expand(-1, tokens.shape[1], -1)], dim=-1)
        for layer, state in zip(self.layers, self.states(z), strict=True):
            outputs, _ = layer(outputs, state)
        logits = self.output(outputs).float()
        nll = nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="sum") / len(tokens)
        kl = 0.5 * (mean.square() + std.square() - 2 * std.log() - 1).sum(1).mean()
        loss: Tensor = nll + beta * kl
        return loss

    def states(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """First hidden and cell state of each layer, (1, batch, size)."""
        parts = torch.split(torch.tanh(self.start(z))[None], [size for size in self.sizes for _ in range(2)], dim=-1)
        return [(parts[2 * i].contiguous(), parts[2 * i + 1].contiguous()) for i in range(len(self.sizes))]

    def generate(self, z: Tensor) -> Tensor:
        """z (batch, z) → drawn tokens int64 (batch, time)."""
        states = self.states(z)
        token = torch.full((len(z),), self.vocab_size)
        tokens = []
        for _ in range(self.length):
            outputs = torch.cat([self.embedding(token), z], dim=-1).unsqueeze(1)
            for i, layer in enumerate(self.layers):
                outputs, states[i] = layer(outputs, states[i])
            token = torch.multinomial(self.output(outputs[:, 0]).softmax(dim=-1), 1)[:, 0]
            tokens.append(token)
        return torch.stack(tokens, dim=1)
