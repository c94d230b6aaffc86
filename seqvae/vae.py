"""The sequence VAE: an encoder, a decoder, and how a training batch goes through both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqvae.config import ModelSettings
from seqvae.decoder import LIKELIEST, Decoder, Drawing
from seqvae.encoder import Encoder, NoEncoder, Posterior
from seqvae.errors import ConfigError
from seqvae.head import StepHead
from seqvae.hierarchy import SegmentedDecoder, SegmentedEncoder
from seqvae.tokenizers import Alphabet


class SequenceVAE(nn.Module):
    """A variational autoencoder of token sequences (Bowman et al. 2016; Roberts et al. 2018).

    Raises:
        ConfigError: `segments` do not divide the length, or sequences end by themselves.

    Example:
        >>> from seqvae.tokenizers import Part
        >>> alphabet = Alphabet(parts=(Part("letter", 10),))
        >>> vae = SequenceVAE(alphabet, 16, ModelSettings(encoder_size=8, decoder_sizes=(8,), z_size=4))
        >>> tokens = torch.randint(10, (3, 16))
        >>> posterior = vae.encode(tokens)
        >>> vae.logits(posterior.mean, tokens).shape, vae.generate(posterior.mean).shape
        (torch.Size([3, 16, 10]), torch.Size([3, 16]))
    """

    def __init__(self, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.alphabet = alphabet
        self.length = length
        self.encoder: Encoder | SegmentedEncoder | NoEncoder
        self.decoder: Decoder | SegmentedDecoder
        if not settings.z_size:
            if settings.segments > 1:
                raise ConfigError("model.z_size is 0: a language model has no segments; set model.segments to 1")
            self.encoder, self.decoder = NoEncoder(), Decoder(alphabet, length, settings)
            return
        if settings.segments == 1:
            self.encoder, self.decoder = Encoder(alphabet, length, settings), Decoder(alphabet, length, settings)
            return
        if settings.z_size % settings.segments:
            found = f"model.z_size is {settings.z_size} and model.segments {settings.segments}"
            raise ConfigError(f"{found}; each segment has its own share of z, so give a z_size that it divides")
        if length % settings.segments or alphabet.end is not None:
            found = f"model.segments is {settings.segments} and a sequence has {length} steps"
            why = "segments are of equal length" if alphabet.end is None else "these sequences end anywhere"
            raise ConfigError(f"{found}; {why}, so give a divisor of it, or 1 where sequences end by themselves")
        self.encoder = SegmentedEncoder(alphabet, length, settings)
        self.decoder = SegmentedDecoder(alphabet, length, settings)

    @property
    def head(self) -> StepHead:
        """What turns the decoder's outputs into likelihoods and tokens."""
        return self.decoder.output

    @property
    def controls(self) -> int:
        """How many parts of a step are given, not drawn: the first ones."""
        return sum(part.given for part in self.alphabet.parts)

    def given(self, tokens: Tensor) -> Tensor | None:
        """The controls of tokens (batch, time, part): (batch, time, controls), None if there are none."""
        return tokens[..., : self.controls] if self.controls else None

    def encode(self, tokens: Tensor, source: torch.Generator | None = None) -> Posterior:
        """tokens int64 (batch, time) or (batch, time, part) → posterior, mean and std float32 (batch, z).

        `source`, in training, draws what is dropped.
        """
        posterior: Posterior = self.encoder(tokens, source)
        return posterior

    def logits(self, z: Tensor, tokens: Tensor) -> Tensor:
        """The head's outputs (batch, time, width) for targets `tokens`, read step by step, given z (batch, z)."""
        logits: Tensor = self.decoder(z, self.decoder.inputs(tokens), tokens)
        return logits

    def score(
        self, z: Tensor, tokens: Tensor, inputs: Tensor | None = None, source: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """How likely tokens are given z, or several z of each sequence.

        Args:
            z: float32 (batch, z), or so many times as many rows, one set of them after the other.
            tokens: int64 (batch, time) or (batch, time, part).
            inputs: What the decoder reads; what stands before each of the tokens by default.
            source: In training, draws what is dropped.

        Returns:
            −ln p(x|z) float32 (samples, batch), and where the likeliest tokens given the first z are the true ones,
            bool of the shape of `tokens`.
        """
        samples = len(z) // len(tokens)
        features = self.decoder.features(z, self.decoder.inputs(tokens) if inputs is None else inputs, source)
        nll, right = self.head.score(features, tokens.repeat(samples, *[1] * (tokens.ndim - 1)))
        return nll.sum(1).view(samples, -1), right[: len(tokens)]

    def generate(self, z: Tensor, given: Tensor | None = None, how: Drawing = LIKELIEST) -> Tensor:
        """Tokens int64 (batch, length) or (batch, length, part) from z (batch, z); see `Decoder.generate`."""
        return self.decoder.generate(z, given, how)

    def scheduled_inputs(self, z: Tensor, tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """Decoder inputs of which `share` are drawn from the model's own predictions (Bengio et al. 2015).

        In two passes, so that the fused recurrence stays: predict every step from the true tokens, draw from that,
        mix. The gradient flows through the second pass only (Mihaylova and Martins 2019).
        """
        inputs = self.decoder.inputs(tokens)
        with torch.no_grad():
            outputs = self.decoder(z, inputs, tokens)
            numbers = torch.rand(tokens.shape, generator=generator, device=tokens.device)
            drawn = self.decoder.inputs(self.head.draw(outputs, tokens, numbers, 1.0))
        own = torch.rand(tokens.shape[:2], generator=generator, device=tokens.device) < share
        return torch.where(own.view(*own.shape, *[1] * (tokens.ndim - 2)), drawn, inputs)
