"""Logits and numbers to tokens, in numpy: the same draws as `seqvae.head` makes of the same uniform numbers."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from seqvae.inference.cells import Array
from seqvae.inference.reader import Lookup
from seqvae.inference.shapes import Weights
from seqvae.tokenizers import Alphabet, Part, Tokens

Numbers = NDArray[np.float64]

CERTAIN = np.float32(1.0 - 1e-4)
"""Below 1 by more than float32 rounds in a vocabulary's sum."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """How tokens are drawn; as `seqvae.decoder.Drawing`, with arrays of numpy."""

    temperature: float = 0.0
    uniform: Array | None = None
    top_k: int = 0
    top_p: float = 1.0
    banned: tuple[int, ...] = ()


def draw(logits: Array, uniform: Array | None, how: Draw) -> Tokens:
    """One token of each row, (batch, vocab) → int64 (batch,): the likeliest, or at `uniform` (batch,) in [0, 1)."""
    likeliest = np.asarray(logits.argmax(axis=-1))
    if how.temperature == 0.0 or uniform is None:
        return likeliest
    # The likeliest stands first in the order of `_inverted`: most draws of a trained network need no order.
    with np.errstate(all="ignore"):  # near temperature 0 the quotients leave float32, and are not certain
        weights = np.exp((logits - logits.max(axis=-1, keepdims=True)) / np.float32(how.temperature))
        certain = uniform * weights.sum(axis=-1) < CERTAIN
    others = np.flatnonzero(~certain)
    if len(others):
        likeliest[others] = _inverted(logits[others], uniform[others], how)
    return likeliest


def _inverted(logits: Array, uniform: Array, how: Draw) -> Tokens:
    """The token of each row where the cumulative distribution, the likeliest first, reaches `uniform`."""
    order = _order(logits)
    scores = np.take_along_axis(logits, order, axis=-1).astype(np.float64) / how.temperature
    probabilities = np.exp(scores - scores[:, :1])
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    if how.top_k:
        probabilities[:, how.top_k :] = 0.0
    if how.top_p < 1.0:
        before = probabilities.cumsum(axis=-1) - probabilities
        probabilities[before >= how.top_p] = 0.0
    cumulative = probabilities.cumsum(axis=-1)
    kept = (probabilities > 0).sum(axis=-1)
    rank = (cumulative <= uniform.astype(np.float64)[:, None] * cumulative[:, -1:]).sum(axis=-1)
    rank = np.maximum(np.minimum(rank, kept - 1), 0)
    return np.asarray(np.take_along_axis(order, rank[:, None], axis=-1)[:, 0])


def _order(logits: Array) -> Tokens:
    """The tokens of each row, the likeliest first, equals in the order of the vocabulary: int64 (batch, vocab).

    Numpy sorts whole numbers ten times as fast as it finds a stable order of others: the bits of a float32 are those
    of a number that grows with its size, and its place in the vocabulary goes behind them.
    """
    size = logits.shape[-1]
    bits = (logits + np.float32(0.0)).view(np.int32).astype(np.int64)  # + 0 makes −0 and 0 equal
    falling = np.where(bits < 0, bits & 0x7FFFFFFF, -bits)
    return np.asarray(np.sort(falling * size + np.arange(size), axis=-1) % size)


class Picker:
    """The head: what it says of a step to tokens, part after part, each seeing those before it."""

    def __init__(self, weights: Weights, name: str, alphabet: Alphabet) -> None:
        """The arrays under `name`."""
        self.alphabet = alphabet
        self.given = sum(part.given for part in alphabet.parts)
        widths = [0 if part.given else 1 if part.gate is not None else part.size for part in alphabet.parts]
        ends = np.cumsum(widths)
        self.columns = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
        self.bias = weights[f"{name}.bias"]
        if f"{name}.log_scale" in weights:
            self.scales = np.exp(weights[f"{name}.log_scale"])
        if alphabet.shape:
            self.lookup = Lookup(alphabet)
            self.shifts = weights[f"{name}.coupling.weight"] * _later(alphabet, self.columns)

    def pick(self, outputs: Array, given: Tokens | None, uniform: Array | None, how: Draw) -> Tokens:
        """The tokens of one step.

        Args:
            outputs: (batch, width), what the features alone say.
            given: int64 (batch, controls), or None if there are none.
            uniform: (batch,) or (batch, part) in [0, 1), or None at temperature 0.
            how: Temperature and limits.

        Returns:
            int64 (batch,) or (batch, part).
        """
        if not self.alphabet.shape:
            if how.banned:
                outputs[:, list(how.banned)] = -np.inf
            return draw(outputs, uniform, how)
        tokens = np.zeros((len(outputs), len(self.alphabet.parts)), np.int64)
        if given is not None:
            tokens[:, : self.given] = given
        for index in range(self.given, len(self.alphabet.parts)):
            part = self.alphabet.parts[index]
            # The zeros of parts yet to be drawn shift those after them alone.
            columns = self.columns[index]
            said = outputs[:, columns] + self.lookup.rows(self.shifts[:, columns], tokens)
            number = None if uniform is None else uniform[:, index]
            if part.gate is None:
                tokens[:, index] = draw(said, number, how)
            else:
                struck = np.flatnonzero(tokens[:, part.gate] > 0)
                number = None if number is None else number[struck]
                tokens[struck, index] = self._number(part, index, said[struck, 0], number, how)
        return tokens

    def _number(self, part: Part, index: int, said: Array, uniform: Array | None, how: Draw) -> Tokens:
        """A number as a token: the mean, or drawn around it."""
        value = np.float32(0.5) * np.tanh(np.float32(0.5) * said) + np.float32(0.5)
        if uniform is not None and how.temperature:
            rank = sum(each.gate is not None for each in self.alphabet.parts[:index])
            normal = NormalDist()
            spread = [normal.inv_cdf(min(max(float(u), 1e-7), 1 - 1e-7)) for u in uniform]
            value = value + how.temperature * self.scales[rank] * np.array(spread, np.float32)
        return np.asarray(np.rint(np.clip(value, 0.0, 1.0) * (part.size - 1)), np.int64)


def _later(alphabet: Alphabet, columns: list[slice]) -> Array:
    """1 where a token's row may shift an output, that is of a later part: (rows, width)."""
    part_of_column = np.repeat(np.arange(len(columns)), [each.stop - each.start for each in columns])
    rows = [1 if part.gate is not None else part.size for part in alphabet.parts]
    part_of_row = np.repeat(np.arange(len(rows)), rows)
    return (part_of_row[:, None] < part_of_column).astype(np.float32)
