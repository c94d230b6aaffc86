"""z to tokens: an LSTM that reads its last token and a projection of z at every step; z also sets its first state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqvae.config import ModelSettings
from seqvae.recurrent import LstmLayer, State


class Decoder(nn.Module):
    """A flat LSTM decoder.

    The `positional` readout gives every step its own linear view of z, (time, readout, z) weights, so that what a step
    should be need not be counted out by the recurrence; `shared` gives all steps the same view, as MusicVAE does.
    """

    def __init__(self, vocab_size: int, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.length = length
        self.readout_size = settings.readout_size
        self.readout_steps = length if settings.readout == "positional" else 1
        # One more row than tokens: what is read before the first step, and in place of a dropped token.
        self.embedding = nn.Embedding(vocab_size + 1, settings.embedding_size)
        self.readout = nn.Linear(settings.z_size, self.readout_steps * settings.readout_size)
        self.start = nn.Linear(settings.z_size, 2 * sum(settings.decoder_sizes))
        widths = [settings.embedding_size + settings.readout_size, *settings.decoder_sizes[:-1]]
        self.sizes = settings.decoder_sizes
        self.layers = nn.ModuleList(LstmLayer(width, size) for width, size in zip(widths, self.sizes, strict=True))
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(settings.decoder_sizes[-1] + settings.readout_size, vocab_size)

    @property
    def start_token(self) -> int:
        """The extra token read before the first step."""
        return self.vocab_size

    def states(self, z: Tensor) -> list[State]:
        """The first state of each layer from z (batch, z)."""
        parts = torch.split(torch.tanh(self.start(z)), [size for size in self.sizes for _ in range(2)], dim=-1)
        return list(zip(parts[::2], parts[1::2], strict=True))

    def views(self, z: Tensor) -> Tensor:
        """What each step reads of z: (batch, z) → (time, batch, readout)."""
        views: Tensor = self.readout(z).view(len(z), self.readout_steps, self.readout_size).transpose(0, 1)
        return views.expand(self.length, -1, -1)

    def forward(self, z: Tensor, inputs: Tensor) -> Tensor:
        """Logits of every step, given the tokens read at each.

        Args:
            z: float32 (batch, z).
            inputs: int64 (batch, time), the target shifted right behind `start_token`.

        Returns:
            (batch, time, vocab).
        """
        views = self.views(z)
        outputs = torch.cat([self.embedding(inputs.t()).to(views.dtype), views], dim=-1)
        for layer, state in zip(self.layers, self.states(z), strict=True):
            outputs, _ = layer(outputs, state)
        outputs = torch.cat([self.dropout(outputs), views.to(outputs.dtype)], dim=-1)
        logits: Tensor = self.output(outputs)
        return logits.transpose(0, 1)

    def generate(
        self, z: Tensor, *, temperature: float = 0.0, uniform: Tensor | None = None, top_k: int = 0, top_p: float = 1.0
    ) -> Tensor:
        """Decodes z token by token.

        Args:
            z: float32 (batch, z).
            temperature: 0 takes the likeliest token; above, logits are divided by it and a token is drawn.
            uniform: float32 (batch, time) in [0, 1), one number for each draw; needed above temperature 0. A row's
                tokens depend on its own numbers alone, never on its neighbours in the batch.
            top_k: Draw among the k likeliest only; 0 for all.
            top_p: Draw among the likeliest that make up this probability only (nucleus).

        Returns:
            int64 (batch, time).
        """
        first, *others = (layer for layer in self.layers if isinstance(layer, LstmLayer))
        # Everything that does not depend on the token drawn is multiplied once, before the loop.
        from_token = nn.functional.linear(self.embedding.weight, first.weight_ih[:, : self.embedding.embedding_dim])
        views = self.views(z)
        from_view = nn.functional.linear(views, first.weight_ih[:, self.embedding.embedding_dim :], first.bias)
        split = self.output.in_features - self.readout_size
        view_logits = nn.functional.linear(views, self.output.weight[:, split:], self.output.bias)
        states = self.states(z)
        token = torch.full((len(z),), self.start_token, device=z.device)
        tokens = []
        for t in range(self.length):
            states[0] = first.step(from_view[t] + from_token[token], states[0])
            for i, layer in enumerate(others, start=1):
                gates = nn.functional.linear(states[i - 1][0], layer.weight_ih, layer.bias)
                states[i] = layer.step(gates, states[i])
            logits = torch.addmm(view_logits[t], states[-1][0], self.output.weight[:, :split].t())
            number = None if uniform is None else uniform[:, t]
            token = draw(logits, number, temperature=temperature, top_k=top_k, top_p=top_p)
            tokens.append(token)
        return torch.stack(tokens, dim=1)


def draw(logits: Tensor, uniform: Tensor | None, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """One token for each row, by inverting the cumulative distribution at `uniform`; the likeliest at temperature 0.

    Args:
        logits: (batch, vocab).
        uniform: (batch,) in [0, 1), or None at temperature 0.
        temperature, top_k, top_p: As in `Decoder.generate`.

    Returns:
        int64 (batch,).
    """
    if temperature == 0.0 or uniform is None:
        return logits.argmax(dim=-1)
    # Sorted by likelihood, so that cutting the tail is cutting the end; ties keep the order of the vocabulary.
    scores, order = (logits.double() / temperature).sort(dim=-1, descending=True, stable=True)
    probabilities = scores.softmax(dim=-1)
    if top_k:
        probabilities[:, top_k:] = 0.0
    if top_p < 1.0:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    cumulative = probabilities.cumsum(dim=-1)
    target = uniform.double().unsqueeze(-1) * cumulative[:, -1:]
    kept = (probabilities > 0).sum(dim=-1, keepdim=True)  # a number that rounds up to 1 must not leave the kept ones
    rank = (cumulative <= target).sum(dim=-1, keepdim=True).minimum(kept - 1).clamp(min=0)
    return order.gather(-1, rank).squeeze(-1)
