"""z to tokens: an LSTM that reads its last token and a projection of z at every step; z also sets its first state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqvae.config import ModelSettings
from seqvae.embedding import StepEmbedding
from seqvae.head import StepHead
from seqvae.recurrent import LstmLayer, State, dropped
from seqvae.tokenizers import Alphabet


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """How tokens are drawn from what the decoder says.

    Attributes:
        temperature: 0 takes the likeliest token; above, logits are divided by it and a token is drawn.
        uniform: float32 (batch, time) or (batch, time, part) in [0, 1), one number for each draw; needed above
            temperature 0. A row's tokens depend on its own numbers alone, never on its neighbours in the batch.
        top_k: Draw among the k likeliest only; 0 for all.
        top_p: Draw among the likeliest that make up this probability only (nucleus).
        banned: bool (size,), tokens never drawn, where a step has one part.
    """

    temperature: float = 0.0
    uniform: Tensor | None = None
    top_k: int = 0
    top_p: float = 1.0
    banned: Tensor | None = None


LIKELIEST = Drawing()


class Mapping(nn.Module):
    """z, and what two hidden layers make of it, added: (batch, z) → (batch, z). The identity before training."""

    def __init__(self, z_size: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(z_size, size), nn.GELU(), nn.Linear(size, size), nn.GELU(), nn.Linear(size, z_size)
        )
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor) -> Tensor:
        """The mapped z."""
        return z + self.layers(z)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """A flat LSTM decoder.

    The `positional` readout gives every step its own linear view of z, (time, readout, z) weights, so that what a step
    should be need not be counted out by the recurrence; `shared` gives all steps the same view, as MusicVAE does.

    Without a z (`z_size` 0) it is a language model.
    """

    def __init__(self, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        super().__init__()
        self.alphabet = alphabet
        self.length = length
        self.settings = settings
        self.readout_size = settings.readout_size if settings.z_size else 0
        self.readout_steps = length if settings.readout == "positional" else 1
        self.embedding = StepEmbedding(alphabet, settings.embedding_size, with_start=True)
        mapped = settings.z_size and settings.mapping_size
        self.mapping = Mapping(settings.z_size, settings.mapping_size) if mapped else nn.Identity()
        if settings.z_size:
            self.readout = nn.Linear(settings.z_size, self.readout_steps * settings.readout_size)
            self.start = nn.Linear(settings.z_size, 2 * sum(settings.decoder_sizes))
        widths = [settings.embedding_size + self.readout_size, *settings.decoder_sizes[:-1]]
        self.sizes = settings.decoder_sizes
        self.layers = nn.ModuleList(LstmLayer(width, size) for width, size in zip(widths, self.sizes, strict=True))
        tied = self.embedding if settings.tied else None
        self.output = StepHead(settings.decoder_sizes[-1] + self.readout_size, alphabet, tied)
        self.controls = sum(part.given for part in alphabet.parts)

    def states(self, z: Tensor) -> list[State]:
        """The first state of each layer from z (batch, z)."""
        if not self.settings.z_size:
            zeros = [self.embedding.weight.new_zeros(len(z), size) for size in self.sizes]
            return list(zip(zeros, zeros, strict=True))
        parts = torch.split(
            torch.tanh(self.start(self.mapping(z))), [size for size in self.sizes for _ in range(2)], dim=-1
        )
        return list(zip(parts[::2], parts[1::2], strict=True))

    def views(self, z: Tensor, steps: int) -> Tensor:
        """What each of the first `steps` steps reads of z: (batch, z) → (steps, batch, readout)."""
        if not self.settings.z_size:
            return self.embedding.weight.new_zeros(steps, len(z), 0)
        z = self.mapping(z)
        if self.readout_steps == 1:
            return self.readout(z)[None].expand(steps, -1, -1)  # type: ignore[no-any-return]
        rows = steps * self.readout_size
        read = nn.functional.linear(z, self.readout.weight[:rows], self.readout.bias[:rows])
        return read.view(len(z), steps, self.readout_size).transpose(0, 1)

    def inputs(self, tokens: Tensor, first: Tensor | None = None) -> Tensor:
        """What is read to predict `tokens`: the step before (the start token, or `first`), and this step's controls."""
        if first is None:
            first = self.embedding.start.expand(len(tokens), *self.alphabet.shape)
        shifted = torch.cat([first[:, None], tokens[:, :-1]], dim=1)
        if self.controls:
            shifted = torch.cat([tokens[..., : self.controls], shifted[..., self.controls :]], dim=-1)
        return shifted

    def features(self, z: Tensor, inputs: Tensor, source: torch.Generator | None = None) -> Tensor:
        """What the head reads at every step, given the tokens read at each.

        Args:
            z: float32 (batch, z), or so many times the rows of `inputs`, one set of them after the other: each sequence
                is read with several z.
            inputs: int64 (batch, time) or (batch, time, part), from `inputs`; time at most `length`.
            source: In training, draws what is dropped, the same beside every z of a sequence.

        Returns:
            (rows of z, time, features).
        """
        settings = self.settings
        views = self.views(z, inputs.shape[1])
        read = self.embedding(inputs.transpose(0, 1)).to(views.dtype)
        read = dropped(read, settings.embedding_dropout, settings.dropout_mask, source)
        copies = len(z) // len(inputs)
        outputs = torch.cat([read.repeat(1, copies, 1), views], dim=-1)
        for layer, state in zip(self.layers, self.states(z), strict=True):
            assert isinstance(layer, LstmLayer)
            recurrent = dropped(layer.weight_hh, settings.recurrent_dropout, "step", source)
            outputs, _ = layer(outputs, state, recurrent)
            outputs = dropped(outputs, settings.dropout, settings.dropout_mask, source, copies)
        return torch.cat([outputs, views.to(outputs.dtype)], dim=-1).transpose(0, 1)

    def forward(self, z: Tensor, inputs: Tensor, tokens: Tensor) -> Tensor:
        """The head's outputs at every step.

        Args:
            z, inputs: As for `features`.
            tokens: The targets, of the shape of `inputs`: parts of a step see those before them.

        Returns:
            (batch, time, width).
        """
        said: Tensor = self.output(self.features(z, inputs), tokens)
        return said

    def generate(
        self, z: Tensor, given: Tensor | None = None, how: Drawing = LIKELIEST, first: Tensor | None = None
    ) -> Tensor:
        """Decodes z token by token.

        Args:
            z: float32 (batch, z).
            given: Controls, int64 (batch, length, controls); None if there are none.
            how: How tokens are drawn.
            first: The step read before the first, int64 (batch,) or (batch, part); the start token by default.

        Returns:
            int64 (batch, length) or (batch, length, part).
        """
        unrolled = Unrolled(self, z)
        token = self.embedding.start.expand(len(z), *self.alphabet.shape) if first is None else first
        states = self.states(z)
        tokens = torch.zeros(len(z), self.length, *self.alphabet.shape, dtype=torch.int64, device=z.device)
        ended = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        for t in range(self.length):
            now = None if given is None else given[:, t]
            if now is not None:
                token = torch.cat([now, token[:, self.controls :]], dim=-1)
            outputs, states = unrolled.step(t, token, states)
            token = self.output.pick(
                outputs,
                now,
                None if how.uniform is None else how.uniform[:, t],
                shifts=unrolled.shifts,
                temperature=how.temperature,
                top_k=how.top_k,
                top_p=how.top_p,
                banned=how.banned,
            )
            if self.alphabet.end is not None:
                token = torch.where(ended, self.alphabet.end, token)
                ended = ended | (token == self.alphabet.end)
            tokens[:, t] = token
            if self.alphabet.end is not None and bool(ended.all()):
                tokens[:, t:] = self.alphabet.end
                break
        return tokens


class Unrolled:
    """A decoder ready to go step by step: all that no token changes is multiplied once, before the first step."""

    def __init__(self, decoder: Decoder, z: Tensor) -> None:
        """z: (batch, z)."""
        self.first, *self.others = (layer for layer in decoder.layers if isinstance(layer, LstmLayer))
        self.embedding, head = decoder.embedding, decoder.output
        width = self.embedding.embedding_dim
        # One view for all steps is multiplied once: over a large vocabulary its outputs are the largest array here.
        views = decoder.views(z, decoder.length if decoder.readout_steps > 1 else 1)
        self.from_token = nn.functional.linear(self.embedding.weight, self.first.weight_ih[:, :width])
        from_view = nn.functional.linear(views, self.first.weight_ih[:, width:], self.first.bias)
        self.from_view = from_view.expand(decoder.length, -1, -1)
        rows, split = head.rows, head.features - decoder.readout_size
        self.view_outputs = nn.functional.linear(views, rows[:, split:], head.bias).expand(decoder.length, -1, -1)
        self.weight = rows[:, :split].t()
        self.shifts = None if head.coupling is None else head.shifts()

    def step(self, t: int, tokens: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """Step t after `tokens` int64 (batch,) or (batch, part): what the features say to the head, new states."""
        states = list(states)
        states[0] = self.first.step(self.from_view[t] + self.embedding.look_up(self.from_token, tokens), states[0])
        for i, layer in enumerate(self.others, start=1):
            states[i] = layer.step(nn.functional.linear(states[i - 1][0], layer.weight_ih, layer.bias), states[i])
        return torch.addmm(self.view_outputs[t], states[-1][0], self.weight), states
