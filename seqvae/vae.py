"""The sequence VAE: an encoder, a decoder, and how a training batch goes through both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqvae.config import ModelSettings
from seqvae.decoder import Decoder, draw
from seqvae.encoder import Encoder, Posterior


class SequenceVAE(nn.Module):
    """A variational autoencoder of token sequences (Bowman et al. 2016; Roberts et al. 2018).

    Example:
        >>> vae = SequenceVAE(10, 16, ModelSettings(encoder_size=8, decoder_sizes=(8,), z_size=4))
        >>> tokens = torch.randint(10, (3, 16))
        >>> posterior = vae.encode(tokens)
        >>> vae.logits(posterior.mean, tokens).shape, vae.generate(posterior.mean).shape
        (torch.Size([3, 16, 10]), torch.Size([3, 16]))
    """

    def __init__(self, vocab_size: int, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.vocab_size = vocab_size
        self.length = length
        self.encoder = Encoder(vocab_size, length, settings)
        self.decoder = Decoder(vocab_size, length, settings)

    def encode(self, tokens: Tensor) -> Posterior:
        """tokens int64 (batch, time) → posterior, mean and std float32 (batch, z)."""
        posterior: Posterior = self.encoder(tokens)
        return posterior

    def decoder_inputs(self, tokens: Tensor) -> Tensor:
        """What the decoder reads to predict `tokens`: the same shifted right behind the start token."""
        start = torch.full_like(tokens[:, :1], self.decoder.start_token)
        return torch.cat([start, tokens[:, :-1]], dim=1)

    def logits(self, z: Tensor, tokens: Tensor) -> Tensor:
        """Teacher-forced logits (batch, time, vocab) for targets `tokens` int64 (batch, time), given z (batch, z)."""
        logits: Tensor = self.decoder(z, self.decoder_inputs(tokens))
        return logits

    def generate(
        self, z: Tensor, *, temperature: float = 0.0, uniform: Tensor | None = None, top_k: int = 0, top_p: float = 1.0
    ) -> Tensor:
        """Tokens int64 (batch, time) from z (batch, z); see `Decoder.generate`."""
        return self.decoder.generate(z, temperature=temperature, uniform=uniform, top_k=top_k, top_p=top_p)

    def scheduled_inputs(self, z: Tensor, tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """Decoder inputs of which `share` are drawn from the model's own predictions (Bengio et al. 2015).

        In two passes, so that the fused recurrence stays: predict every step from the true tokens, draw from that,
        mix. The gradient flows through the second pass only (Mihaylova and Martins 2019).
        """
        inputs = self.decoder_inputs(tokens)
        with torch.no_grad():
            logits = self.decoder(z, inputs).float().flatten(0, 1)
            numbers = torch.rand(len(logits), generator=generator, device=logits.device)
            drawn = draw(logits, numbers, temperature=1.0).view_as(tokens)
        own = torch.rand(tokens[:, 1:].shape, generator=generator, device=tokens.device) < share
        mixed = torch.where(own, drawn[:, :-1], inputs[:, 1:])
        return torch.cat([inputs[:, :1], mixed], dim=1)
