"""−ln p(x|z) of many z of the same sequences: what importance weights are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqvae.decoder import Decoder
from seqvae.head import WIDE
from seqvae.recurrent import LstmLayer, State
from seqvae.runtime import multiplies_bf16

OUTPUTS = 256 * 10_000
"""Outputs held at once: what a core's cache still has when they are added up."""


class Scorer:
    """A flat decoder of one symbol a step, made ready to score many z of each sequence.

    All z of a sequence read the same tokens, so that what those add to the gates is multiplied once for all of them.
    Outputs over a large vocabulary would take most of the time if they went through memory: a few rows of them are
    made, added up and forgotten at a time.

    Products are of bfloat16 where the vocabulary is large and the hardware multiplies it. States, gates and sums stay
    float32, and so does the output of the true token, in the numerator as in the sum: what is left is the rounding of
    the other tokens' outputs.

    Example:
        >>> from seqvae.config import ModelSettings
        >>> from seqvae.tokenizers import Alphabet, Part
        >>> decoder = Decoder(Alphabet(parts=(Part("letter", 5),)), 8, ModelSettings(decoder_sizes=(8,), z_size=4))
        >>> tokens, lengths = torch.zeros(3, 8, dtype=torch.int64), torch.full((3,), 8)
        >>> Scorer(decoder).nll(torch.zeros(3, 100, 4), tokens, lengths).shape
        torch.Size([3, 100])
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype | None = None) -> None:
        """`dtype`, of products, is chosen as said above where it is left out."""
        head, (self.first, *others) = decoder.output, (each for each in decoder.layers if isinstance(each, LstmLayer))
        if dtype is None:
            wide = len(head.bias) >= WIDE and multiplies_bf16(head.bias.device)
            dtype = torch.bfloat16 if wide else head.bias.dtype
        self.decoder, self.dtype = decoder, dtype
        self.recurrent = [layer.weight_hh.t().to(dtype) for layer in (self.first, *others)]
        self.entering = [(layer.weight_ih.t().to(dtype), layer.bias) for layer in others]
        self.exact, self.exact_bias = head.last, head.bias
        self.projection = None if head.project is None else head.project.weight.t().to(dtype)
        high = head.bias.to(dtype)
        low = (head.bias - high).to(dtype)  # what rounding a bias moves is the same at every step: it would add up
        self.weight = torch.cat([self.exact.t().to(dtype), high[None], low[None]])

    @torch.no_grad()
    def nll(self, z: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """−ln p(x|z) in nats of each z of each sequence.

        Args:
            z: float32 (items, samples, z).
            tokens: int64 (items, time).
            lengths: How many tokens of each item count, int64 (items,).

        Returns:
            float64 (items, samples).
        """
        items, samples = z.shape[:2]
        decoder, flat = self.decoder, z.flatten(0, 1)
        states, views = decoder.states(flat), decoder.views(flat, tokens.shape[1])
        width = decoder.embedding.embedding_dim
        read = decoder.embedding(decoder.inputs(tokens).t())
        from_tokens = nn.functional.linear(read, self.first.weight_ih[:, :width], self.first.bias)
        total = torch.zeros(items, samples, dtype=torch.float64, device=z.device)
        for t in range(tokens.shape[1]):
            if not t or decoder.readout_steps > 1:  # otherwise the view of z is the same at every step
                from_view = nn.functional.linear(views[t], self.first.weight_ih[:, width:])
            gates = from_view.view(items, samples, -1) + from_tokens[t, :, None]
            states = self._step(gates.flatten(0, 1), states)
            features = torch.cat([states[-1][0], views[t]], dim=1).to(self.dtype)
            nll = self._nll(features, tokens[:, t].repeat_interleave(samples)).view(items, samples)
            total += nll * (t < lengths)[:, None]
        return total

    def _step(self, gates: Tensor, states: list[State]) -> list[State]:
        """All layers' next states; `gates` float32 (rows, 4·hidden) is what enters the first."""
        after: list[State] = []
        for index, ((hidden, cell), weight) in enumerate(zip(states, self.recurrent, strict=True)):
            if index:
                entering, bias = self.entering[index - 1]
                gates = (after[-1][0].to(self.dtype) @ entering) + bias
            gates = gates + hidden.to(self.dtype) @ weight
            enter, forget, new, leave = gates.chunk(4, dim=1)
            cell = torch.addcmul(forget.sigmoid_() * cell, enter.sigmoid_(), new.tanh_())
            after.append((leave.sigmoid_() * cell.tanh(), cell))
        return after

    def _nll(self, features: Tensor, target: Tensor) -> Tensor:
        """Of rows of features, `dtype` (rows, features), and their true tokens int64 (rows,): float32 (rows,)."""
        vectors = features if self.projection is None else features @ self.projection
        exact = (vectors.float() * self.exact[target]).sum(1) + self.exact_bias[target]
        vectors = torch.cat([vectors, vectors.new_ones(len(vectors), 2)], dim=1)
        size = len(self.exact)
        rows = max(1, OUTPUTS // size)
        held = vectors.new_empty(min(rows, len(vectors)), size)
        found = []
        for first in range(0, len(vectors), rows):
            some, true, wanted = (each[first : first + rows] for each in (vectors, exact, target[:, None]))
            outputs = torch.mm(some, self.weight, out=held[: len(some)])
            top = outputs.amax(1, keepdim=True)
            outputs.sub_(top).exp_()
            shift = top[:, 0].float()
            rest = outputs.sum(1, dtype=torch.float32) - outputs.gather(1, wanted)[:, 0].float()
            found.append(torch.log(rest.clamp(min=0.0) + torch.exp(true - shift)) + (shift - true))
        return torch.cat(found)
