"""Long sequences in segments: a conductor plans each, and one decoder writes them, all side by side.

Roberts et al. 2018 (MusicVAE), section 3.2, with one difference that learning depends on (docs/training.md): every
segment has its own share of z, z_size / segments numbers, written and read by the same weights for all segments, so
that what is learned of one bar holds for all. What segments have in common goes through the conductor, whose first
state sees all of z, and through the encoder's second level, which adds to every share.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from seqvae.config import ModelSettings
from seqvae.decoder import LIKELIEST, Decoder, Drawing
from seqvae.embedding import StepEmbedding
from seqvae.encoder import BidirectionalReader, Posterior, PosteriorHead
from seqvae.recurrent import LstmLayer, dropped
from seqvae.tokenizers import Alphabet


class SegmentedEncoder(nn.Module):
    """Reads each segment to a vector, the vectors to a `Posterior`."""

    def __init__(self, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.settings, self.segments = settings, settings.segments
        self.embedding = StepEmbedding(alphabet, settings.embedding_size)
        self.segment = BidirectionalReader(settings.embedding_size, length // settings.segments, settings)
        self.summary = nn.Linear(self.segment.pooled, settings.conductor_size)
        self.share = nn.Linear(settings.conductor_size, 2 * settings.z_size // settings.segments)
        self.whole = BidirectionalReader(settings.conductor_size, settings.segments, settings)
        self.head = PosteriorHead(self.whole.pooled, settings.z_size, settings.mean_scale)

    def forward(self, tokens: Tensor, source: torch.Generator | None = None) -> Posterior:
        """tokens int64 (batch, time) or (batch, time, part) → the posterior of each item; see `Encoder.forward`."""
        share, mask = self.settings.encoder_dropout, self.settings.dropout_mask
        pieces = _segments(tokens, self.segments)
        read = dropped(self.embedding(pieces.transpose(0, 1)), share, mask, source)
        vectors = self.summary(dropped(self.segment.read(read), share, "step", source))
        vectors = vectors.view(len(tokens), self.segments, -1)
        # Means of all shares, then their widths, as the head has them.
        shares = self.share(vectors).view(len(tokens), self.segments, 2, -1).transpose(1, 2).flatten(1)
        return self.head.posterior(self.whole.read(vectors.transpose(0, 1)), shares)


class SegmentedDecoder(nn.Module):
    """A conductor LSTM over segments and a `Decoder` for each; the same methods as `Decoder`.

    With `carry` a segment's first step reads the last token before it, so that segments follow one another when tokens
    are drawn; without, it reads the start token, and all segments are drawn at once.
    """

    def __init__(self, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.length = length
        self.segments, self.carry = settings.segments, settings.carry
        size = settings.conductor_size
        self.share = nn.Linear(settings.z_size // settings.segments, size)
        self.start = nn.Linear(settings.z_size, 2 * size)
        self.conductor = LstmLayer(size, size)
        self.segment = Decoder(alphabet, length // settings.segments, replace(settings, z_size=size))
        self.embedding, self.output = self.segment.embedding, self.segment.output

    def plans(self, z: Tensor) -> Tensor:
        """What each segment is made from: (batch, z) → (batch, segments, conductor)."""
        shares = self.share(z.view(len(z), self.segments, -1)).transpose(0, 1)
        hidden, cell = torch.tanh(self.start(z)).chunk(2, dim=-1)
        outputs, _ = self.conductor(shares, (hidden, cell))
        plans: Tensor = outputs + shares
        return plans.transpose(0, 1)

    def inputs(self, tokens: Tensor) -> Tensor:
        """What is read to predict `tokens`, as `Decoder.inputs`."""
        if self.carry:
            return self.segment.inputs(tokens)
        shifted: Tensor = self.segment.inputs(_segments(tokens, self.segments))
        return shifted.view_as(tokens)

    def features(self, z: Tensor, inputs: Tensor, source: torch.Generator | None = None) -> Tensor:
        """What the head reads at every step, as `Decoder.features`."""
        plans = self.plans(z).flatten(0, 1)
        found: Tensor = self.segment.features(plans, _segments(inputs, self.segments), source)
        return found.reshape(len(z), inputs.shape[1], -1)

    def forward(self, z: Tensor, inputs: Tensor, tokens: Tensor) -> Tensor:
        """The head's outputs at every step, as `Decoder.forward`."""
        said: Tensor = self.output(self.features(z, inputs), tokens)
        return said

    def generate(self, z: Tensor, given: Tensor | None = None, how: Drawing = LIKELIEST) -> Tensor:
        """Decodes z, as `Decoder.generate`."""
        plans = self.plans(z)
        if not self.carry:
            numbers = None if how.uniform is None else _segments(how.uniform, self.segments)
            controls = None if given is None else _segments(given, self.segments)
            tokens = self.segment.generate(plans.flatten(0, 1), controls, replace(how, uniform=numbers))
            return tokens.view(len(z), self.length, *tokens.shape[2:])
        step = self.segment.length
        found: list[Tensor] = []
        for number in range(self.segments):
            steps = slice(number * step, (number + 1) * step)
            drawing = replace(how, uniform=None if how.uniform is None else how.uniform[:, steps])
            controls = None if given is None else given[:, steps]
            before = found[-1][:, -1] if found else None
            found.append(self.segment.generate(plans[:, number], controls, drawing, before))
        return torch.cat(found, dim=1)


def _segments(tokens: Tensor, segments: int) -> Tensor:
    """(batch, time, …) → (batch·segments, time / segments, …)."""
    return tokens.reshape(len(tokens) * segments, tokens.shape[1] // segments, *tokens.shape[2:])
