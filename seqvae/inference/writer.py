"""z to tokens, in numpy: see `seqvae.decoder` and `seqvae.hierarchy` for what is computed and why."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from seqvae.config import ModelSettings
from seqvae.inference.cells import UNIT, Array, Cell, Layer, Linear, State, blocks_of
from seqvae.inference.draws import Draw, Picker
from seqvae.inference.reader import Lookup
from seqvae.inference.shapes import Weights
from seqvae.latent import Z
from seqvae.tokenizers import Alphabet, Tokens


class Writer:
    """A flat decoder. All that depends on weights alone is multiplied once, when it is made.

    `unit` is how many z make `UNIT` rows.
    """

    unit = UNIT

    def __init__(
        self, weights: Weights, alphabet: Alphabet, length: int, settings: ModelSettings, name: str = "decoder"
    ) -> None:
        """The arrays under `name`."""
        self.alphabet, self.length, self.settings = alphabet, length, settings
        self.readout_size = settings.readout_size if settings.z_size else 0
        self.lookup, self.picker = Lookup(alphabet, with_start=True), Picker(weights, f"{name}.output", alphabet)
        self.controls = self.picker.given
        first, *others = (Cell(weights, f"{name}.layers.{index}") for index in range(len(settings.decoder_sizes)))
        embedding = weights[f"{name}.embedding.weight"]
        width = embedding.shape[1]
        # What each token adds to the first layer's gates, and the start token with them.
        self.from_token = embedding @ first.entering[:width]
        # What the columns of `_Past` add to each layer's gates, and to the outputs.
        self.layers = [
            Layer(np.concatenate([first.bias[None], first.entering[width:], first.recurrent])),
            *(Layer(np.concatenate([cell.entering, cell.recurrent])) for cell in others),
        ]
        self.biases = [cell.bias[None] for cell in others]
        if settings.tied:
            rows = embedding[: len(self.picker.bias)] @ weights[f"{name}.output.project.weight"]
        else:
            rows = weights[f"{name}.output.weight"]
        of_state, of_view = np.split(rows, [rows.shape[1] - self.readout_size], axis=1)
        of_others = np.zeros((len(rows), sum(settings.decoder_sizes[:-1])), np.float32)
        self.outputs = Linear(np.concatenate([self.picker.bias[:, None], of_view, of_others, of_state], axis=1))
        if settings.z_size:
            self.readout, self.start = (_linear(weights, f"{name}.{part}") for part in ("readout", "start"))
            mapping = (0, 2, 4) if settings.mapping_size else ()
            self.mapping = [_linear(weights, f"{name}.mapping.layers.{index}") for index in mapping]

    def generate(self, z: Z, given: Tokens | None, how: Draw, first: Tokens | None = None) -> Tokens:
        """Decodes z token by token.

        Args:
            z: float32 (batch, z).
            given: Controls, int64 (batch, length, controls); None if there are none.
            how: How tokens are drawn.
            first: The step read before the first; the start token by default.

        Returns:
            int64 (batch, length) or (batch, length, part).
        """
        past, end = _Past(self, z), self.alphabet.end
        token = np.broadcast_to(self.lookup.start, (len(z), *self.alphabet.shape)) if first is None else first
        tokens = np.zeros((len(z), self.length, *self.alphabet.shape), np.int64)
        ended = np.zeros(len(z), bool)
        for t in range(self.length):
            now = None if given is None else given[:, t]
            if now is not None:
                token = np.concatenate([now, token[:, self.controls :]], axis=1)
            outputs = past.step(t, self.lookup.rows(self.from_token, token))
            token = self.picker.pick(outputs, now, None if how.uniform is None else how.uniform[:, t], how)
            if end is not None:
                token = np.where(ended, end, token)
                ended |= token == end
            tokens[:, t] = token
            if end is not None and ended.all():
                tokens[:, t:] = end
                break
        return tokens

    def views_and_states(self, z: Z) -> tuple[Array, list[State]]:
        """What each step reads of z, (steps, batch, readout), of one step if all read the same; the first states."""
        sizes = np.repeat(self.settings.decoder_sizes, 2)
        if not self.settings.z_size:
            views, found = np.zeros((1, len(z), 0), np.float32), np.zeros((len(z), sizes.sum()), np.float32)
        else:
            z = self._mapped(z)
            views = self.readout(z).reshape(len(z), -1, self.readout_size).swapaxes(0, 1)
            found = np.tanh(self.start(z))
        parts = np.split(found, np.cumsum(sizes)[:-1], axis=1)
        return views, list(zip(parts[::2], parts[1::2], strict=True))

    def _mapped(self, z: Z) -> Z:
        if not self.mapping:
            return z
        first, second, third = self.mapping
        return z + third(_gelu(second(_gelu(first(z)))))


def _linear(weights: Weights, name: str) -> Linear:
    return Linear(weights[f"{name}.weight"], weights[f"{name}.bias"])


class _Past:
    """All that a step reads but its token, side by side in one array, stepped in place: 1, z, the states of each layer.

    The first layer reads its beginning, the others the layer below and themselves, and the outputs all of it: each is
    one product.
    """

    def __init__(self, writer: Writer, z: Z) -> None:
        """Before the first step."""
        self.layers, self.biases, self.outputs = writer.layers, writer.biases, writer.outputs
        self.views, states = writer.views_and_states(z)
        hiddens = [hidden for hidden, _ in states]
        self.row = np.concatenate([np.ones((len(z), 1), np.float32), self.views[0], *hiddens], axis=1)
        ends = np.cumsum([1 + writer.readout_size, *(hidden.shape[1] for hidden in hiddens)])
        self.view = self.row[:, 1 : ends[0]]
        self.hiddens = [self.row[:, left:right] for left, right in pairwise(ends)]
        begins = [0, *ends[:-2]]
        self.read = [self.row[:, left:right] for left, right in zip(begins, ends[1:], strict=True)]
        self.cells = [blocks_of(cell, layer.width).copy() for layer, (_, cell) in zip(self.layers, states, strict=True)]

    def step(self, t: int, entering: Array) -> Array:
        """Step t after a token that adds `entering` (batch, 4·hidden) to the first layer's gates: the outputs."""
        if t < len(self.views):
            self.view[:] = self.views[t]
        for layer, read, cell, hidden, bias in zip(
            self.layers, self.read, self.cells, self.hiddens, [entering, *self.biases], strict=True
        ):
            layer.step(read, bias, cell, hidden)
        return self.outputs(self.row)


def _gelu(x: Array) -> Array:
    """x·Φ(x) (Hendrycks and Gimpel 2016), Φ within 10⁻⁷ (Abramowitz and Stegun, 7.1.26): numpy has no erf."""
    share = 1.0 / (1.0 + (0.3275911 * math.sqrt(0.5)) * np.abs(x))
    powers = np.float32(1.061405429) * share
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        powers += factor
        powers *= share
    tail = 0.5 * powers * np.exp(-0.5 * x * x)  # Φ of −|x|
    return np.asarray(x * np.where(x < 0.0, tail, 1.0 - tail))


class SegmentedWriter:
    """A decoder with a conductor; its segments are written side by side unless they carry the last token over.

    `unit` as of `Writer`.
    """

    def __init__(self, weights: Weights, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        self.length, self.segments, self.carry = length, settings.segments, settings.carry
        self.share, self.start = (_linear(weights, f"decoder.{part}") for part in ("share", "start"))
        self.unit = UNIT if self.carry else max(1, UNIT // self.segments)
        conductor = Cell(weights, "decoder.conductor")
        self.entering, self.conductor = Linear(conductor.entering.T, conductor.bias), Layer(conductor.recurrent)
        inner = replace(settings, z_size=settings.conductor_size)
        self.segment = Writer(weights, alphabet, length // settings.segments, inner, "decoder.segment")

    def plans(self, z: Z) -> Array:
        """What each segment is made from: (batch, z) → (batch, segments, conductor)."""
        shares = self.share(z.reshape(len(z) * self.segments, -1))
        entering = self.entering(shares).reshape(len(z), self.segments, -1)
        shares = shares.reshape(len(z), self.segments, -1)
        hidden, cell = np.split(np.tanh(self.start(z)), 2, axis=1)
        cell = blocks_of(cell, self.conductor.width).copy()
        plans = np.zeros_like(shares)
        for number in range(self.segments):
            self.conductor.step(hidden, entering[:, number], cell, plans[:, number])
            hidden = plans[:, number]
        return np.asarray(plans + shares)

    def generate(self, z: Z, given: Tokens | None, how: Draw) -> Tokens:
        """As `Writer.generate`."""
        plans, step = self.plans(z), self.segment.length
        if not self.carry:
            rows = len(z) * self.segments
            numbers = None if how.uniform is None else how.uniform.reshape(rows, step, *how.uniform.shape[2:])
            controls = None if given is None else given.reshape(rows, step, -1)
            tokens = self.segment.generate(plans.reshape(rows, -1), controls, replace(how, uniform=numbers))
            return tokens.reshape(len(z), self.length, *tokens.shape[2:])
        found: list[Tokens] = []
        for number in range(self.segments):
            steps = slice(number * step, (number + 1) * step)
            numbers = None if how.uniform is None else how.uniform[:, steps]
            controls = None if given is None else given[:, steps]
            before = found[-1][:, -1] if found else None
            found.append(self.segment.generate(plans[:, number], controls, replace(how, uniform=numbers), before))
        return np.concatenate(found, axis=1)
