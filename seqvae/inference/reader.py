"""Tokens to a posterior, in numpy: see `seqvae.encoder` and `seqvae.hierarchy` for what is computed and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqvae.config import ModelSettings
from seqvae.inference.cells import Array, Cell, both_ways
from seqvae.inference.shapes import Weights
from seqvae.tokenizers import Alphabet, Tokens

MIN_STD = np.float32(1e-4)
"""As in `seqvae.encoder`."""


class Lookup:
    """Rows of tokens added up, as `StepEmbedding.look_up` does: of each symbol its own, of a number its part's."""

    def __init__(self, alphabet: Alphabet, *, with_start: bool = False) -> None:
        """`with_start` where each symbol part has one more token, its size."""
        parts = alphabet.parts
        rows = [1 if part.gate is not None else part.size + with_start for part in parts]
        firsts = np.cumsum([0, *rows[:-1]])
        self.plain = not alphabet.shape
        self.symbols = [index for index, part in enumerate(parts) if part.gate is None]
        self.numbers = [index for index, part in enumerate(parts) if part.gate is not None]
        self.gates = [part.gate for part in parts if part.gate is not None]
        self.firsts, self.number_rows = firsts[self.symbols], firsts[self.numbers]
        self.scales = np.array([1.0 / (parts[index].size - 1) for index in self.numbers], np.float32)
        self.sizes = np.array([parts[gate].size for gate in self.gates], np.int64)
        start = [0 if part.gate is not None else part.size for part in parts]
        self.start = np.array(start, np.int64).reshape(alphabet.shape)

    def rows(self, table: Array, tokens: Tokens) -> Array:
        """table (rows, width), tokens (…) or (…, part) → (…, width)."""
        if self.plain:
            return np.asarray(table[tokens])
        found: Array = table[tokens[..., self.symbols] + self.firsts].sum(axis=-2)
        if self.numbers:
            gates = tokens[..., self.gates]
            struck = (gates > 0) & (gates < self.sizes)  # a start token is no hit
            values = (tokens[..., self.numbers] * struck).astype(np.float32) * self.scales
            found = found + values @ table[self.number_rows]
        return found


class _Pooling:
    """A sequence of vectors to one, as `BidirectionalReader.read`."""

    def __init__(self, weights: Weights, name: str, length: int, settings: ModelSettings) -> None:
        self.layers = [
            (Cell(weights, f"{name}.forwards.{index}"), Cell(weights, f"{name}.backwards.{index}"))
            for index in range(settings.encoder_layers)
        ]
        self.length, self.settings = length, settings
        if settings.pooling == "positional":
            self.weight, self.bias = weights[f"{name}.pool.weight"].T, weights[f"{name}.pool.bias"]

    def read(self, inputs: Array, lengths: NDArray[np.int64] | None = None) -> Array:
        """inputs (time, batch, width); `lengths` where not all steps count → (batch, pooled)."""
        time, batch = inputs.shape[:2]
        counted = None if lengths is None else np.arange(time)[:, None] < lengths
        last = np.full(batch, time - 1) if lengths is None else lengths - 1
        outputs = inputs
        for ahead, back in self.layers:
            forward, backward = both_ways(ahead, back, outputs, _turned(outputs, last))
            ends = [way[last, np.arange(batch)] for way in (forward, backward)]
            outputs = np.concatenate([forward, _turned(backward, last)], axis=-1)
        if self.settings.pooling in ("mean", "max"):
            return _over_steps(outputs, counted, self.settings.pooling)
        vector = np.concatenate(ends, axis=-1)
        if self.settings.pooling == "positional":
            kept = outputs @ self.weight + self.bias
            if counted is not None:
                kept = kept * counted[..., None]
            wide = np.zeros((batch, self.length, self.settings.pooling_size), np.float32)
            wide[:, :time] = kept.transpose(1, 0, 2)
            vector = np.concatenate([wide.reshape(batch, -1), vector], axis=-1)
        return vector


def _turned(outputs: Array, last: NDArray[np.int64]) -> Array:
    """Each sequence backwards from its last step, what stands behind it still behind it."""
    steps = (last - np.arange(len(outputs))[:, None]) % len(outputs)
    return np.take_along_axis(outputs, steps[..., None], axis=0)


def _over_steps(outputs: Array, counted: NDArray[np.bool_] | None, how: str) -> Array:
    if how == "mean":
        if counted is None:
            return np.asarray(outputs.mean(axis=0))
        return np.asarray((outputs * counted[..., None]).sum(axis=0) / counted.sum(axis=0)[:, None].astype(np.float32))
    return np.asarray((outputs if counted is None else np.where(counted[..., None], outputs, -np.inf)).max(axis=0))


class _Head:
    """A vector to mean and deviation, as `PosteriorHead`."""

    def __init__(self, weights: Weights, settings: ModelSettings) -> None:
        self.weight, self.bias = weights["encoder.head.weight"].T, weights["encoder.head.bias"]
        self.mean_scale = np.float32(settings.mean_scale)
        if settings.mean_scale:
            self.center, self.spread = weights["encoder.head.center"], weights["encoder.head.spread"]

    def posterior(self, vector: Array, more: Array | None = None) -> tuple[Array, Array]:
        found = vector @ self.weight + self.bias
        mean, raw = np.split(found if more is None else found + more, 2, axis=1)
        if self.mean_scale:
            mean = self.mean_scale * (mean - self.center) / self.spread
        return mean, np.logaddexp(np.float32(0.0), raw) + MIN_STD


class Reader:
    """The encoder of a network without segments."""

    def __init__(self, weights: Weights, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        self.alphabet, self.lookup = alphabet, Lookup(alphabet)
        self.embedding = weights["encoder.embedding.weight"]
        self.pooling = _Pooling(weights, "encoder", length, settings)
        self.head = _Head(weights, settings)

    def posterior(self, tokens: Tokens) -> tuple[Array, Array]:
        """tokens int64 (n, time) or (n, time, part) → mean and standard deviation, float32 (n, z)."""
        lengths = None if self.alphabet.end is None else self.alphabet.lengths(tokens)
        read = self.lookup.rows(self.embedding, np.swapaxes(tokens, 0, 1))
        return self.head.posterior(self.pooling.read(read, lengths))


class SegmentedReader:
    """The encoder of a network with segments."""

    def __init__(self, weights: Weights, alphabet: Alphabet, length: int, settings: ModelSettings) -> None:
        self.segments, self.lookup = settings.segments, Lookup(alphabet)
        self.embedding = weights["encoder.embedding.weight"]
        self.segment = _Pooling(weights, "encoder.segment", length // settings.segments, settings)
        self.whole = _Pooling(weights, "encoder.whole", settings.segments, settings)
        self.summary, self.share = (
            (weights[f"encoder.{name}.weight"].T, weights[f"encoder.{name}.bias"]) for name in ("summary", "share")
        )
        self.head = _Head(weights, settings)

    def posterior(self, tokens: Tokens) -> tuple[Array, Array]:
        """As `Reader.posterior`."""
        count = len(tokens)
        pieces = tokens.reshape(count * self.segments, -1, *tokens.shape[2:])
        vectors = self.segment.read(self.lookup.rows(self.embedding, np.swapaxes(pieces, 0, 1)))
        vectors = (vectors @ self.summary[0] + self.summary[1]).reshape(count, self.segments, -1)
        shares = (vectors @ self.share[0] + self.share[1]).reshape(count, self.segments, 2, -1)
        return self.head.posterior(self.whole.read(vectors.swapaxes(0, 1)), shares.swapaxes(1, 2).reshape(count, -1))
