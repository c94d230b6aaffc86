"""z to tokens, in numpy: see `seqvae.decoder` and `seqvae.hierarchy` for what is computed and why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from seqvae.config import ModelSettings
from seqvae.inference.cells import Array, Cell, State
from seqvae.inference.draws import Draw, Picker
from seqvae.inference.reader import Lookup
from seqvae.inference.shapes import Weights
from seqvae.latent import Z
from seqvae.tokenizers import Alphabet, Tokens


class Writer:
    """A flat decoder. All that depends on weights alone is multiplied once, when it is made."""

    def __init__(
        self, weights: Weights, alphabet: Alphabet, length: int, settings: ModelSettings, name: str = "decoder"
    ) -> None:
        """The arrays under `name`."""
        self.weights, self.name = weights, name
        self.alphabet, self.length, self.settings = alphabet, length, settings
        self.readout_size = settings.readout_size if settings.z_size else 0
        self.lookup, self.picker = Lookup(alphabet, with_start=True), Picker(weights, f"{name}.output", alphabet)
        self.controls = self.picker.given
        self.cells = [Cell(weights, f"{name}.layers.{index}") for index in range(len(settings.decoder_sizes))]
        embedding = weights[f"{name}.embedding.weight"]
        width = embedding.shape[1]
        # What each token adds to the first layer's gates, and the start token with them.
        self.from_token = embedding @ self.cells[0].entering[:width]
        self.from_view = np.ascontiguousarray(self.cells[0].entering[width:])
        if settings.tied:
            rows = embedding[: len(self.picker.bias)] @ weights[f"{name}.output.project.weight"]
        else:
            rows = weights[f"{name}.output.weight"]
        split = rows.shape[1] - self.readout_size
        self.outputs_of_state = np.ascontiguousarray(rows[:, :split].T)
        self.outputs_of_view = np.ascontiguousarray(rows[:, split:].T)

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
        entering, view_outputs = self._of_views(z)
        states, end = self._states(z), self.alphabet.end
        token = np.broadcast_to(self.lookup.start, (len(z), *self.alphabet.shape)) if first is None else first
        tokens = np.zeros((len(z), self.length, *self.alphabet.shape), np.int64)
        ended = np.zeros(len(z), bool)
        for t in range(self.length):
            now = None if given is None else given[:, t]
            if now is not None:
                token = np.concatenate([now, token[:, self.controls :]], axis=1)
            view = t if len(entering) > 1 else 0
            states = self._step(entering[view] + self.lookup.rows(self.from_token, token), states)
            outputs = states[-1][0] @ self.outputs_of_state + view_outputs[view]
            token = self.picker.pick(outputs, now, None if how.uniform is None else how.uniform[:, t], how)
            if end is not None:
                token = np.where(ended, end, token)
                ended |= token == end
            tokens[:, t] = token
            if end is not None and ended.all():
                tokens[:, t:] = end
                break
        return tokens

    def _step(self, gates: Array, states: list[State]) -> list[State]:
        """All layers' next states; `gates` (batch, 4·hidden) enters the first."""
        after: list[State] = []
        for cell, state in zip(self.cells, states, strict=True):
            after.append(cell.step(cell.gates(after[-1][0]) if after else gates, state))
        return after

    def _of_views(self, z: Z) -> tuple[Array, Array]:
        """What each step reads of z: in the first layer's gates, with their bias, and in the outputs, with theirs.

        (steps, batch, 4·hidden) and (steps, batch, width), of one step if all steps read the same.
        """
        views = np.zeros((1, len(z), 0), np.float32)
        if self.settings.z_size:
            views = self._linear("readout", self._mapped(z)).reshape(len(z), -1, self.readout_size).swapaxes(0, 1)
        return views @ self.from_view + self.cells[0].bias, views @ self.outputs_of_view + self.picker.bias

    def _states(self, z: Z) -> list[State]:
        """The first state of each layer."""
        sizes = [cell.size for cell in self.cells for _ in range(2)]
        found = np.zeros((len(z), sum(sizes)), np.float32)
        if self.settings.z_size:
            found = np.tanh(self._linear("start", self._mapped(z)))
        parts = np.split(found, np.cumsum(sizes)[:-1], axis=1)
        return list(zip(parts[::2], parts[1::2], strict=True))

    def _mapped(self, z: Z) -> Z:
        if not self.settings.mapping_size:
            return z
        between = _gelu(self._linear("mapping.layers.2", _gelu(self._linear("mapping.layers.0", z))))
        return z + self._linear("mapping.layers.4", between)

    def _linear(self, name: str, vectors: Array) -> Array:
        return vectors @ self.weights[f"{self.name}.{name}.weight"].T + self.weights[f"{self.name}.{name}.bias"]


_erf = np.frompyfunc(math.erf, 1, 1)


def _gelu(x: Array) -> Array:
    """x·Φ(x) (Hendrycks and Gimpel 2016)."""
    return x * np.asarray(0.5 + 0.5 * _erf(x * math.sqrt(0.5)), np.float32)


class SegmentedWriter:
    """A decoder with a conductor; its segments are written side by side unless they carry the last token over."""

    def __init__(self, weights: Weights, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        self.length, self.segments, self.carry = length, settings.segments, settings.carry
        self.share, self.start = (
            (weights[f"decoder.{name}.weight"].T, weights[f"decoder.{name}.bias"]) for name in ("share", "start")
        )
        self.conductor = Cell(weights, "decoder.conductor")
        inner = replace(settings, z_size=settings.conductor_size)
        self.segment = Writer(weights, alphabet, length // settings.segments, inner, "decoder.segment")

    def plans(self, z: Z) -> Array:
        """What each segment is made from: (batch, z) → (batch, segments, conductor)."""
        shares = z.reshape(len(z), self.segments, -1) @ self.share[0] + self.share[1]
        hidden, cell = np.split(np.tanh(z @ self.start[0] + self.start[1]), 2, axis=1)
        plans = []
        for number in range(self.segments):
            hidden, cell = self.conductor.step(self.conductor.gates(shares[:, number]), (hidden, cell))
            plans.append(hidden)
        return np.stack(plans, axis=1) + shares

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
