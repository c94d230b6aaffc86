"""What a training step reads and what it aims at: items, copies of them with other attributes, and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import Attribute, measured
from seqvae.attributes.disturb import disturbed_melody
from seqvae.attributes.table import attribute_named
from seqvae.dataset import Dataset
from seqvae.errors import ConfigError
from seqvae.tokenizers import MelodyTokenizer, Tokenizer, Tokens

SCALED_ON = 4096
"""Windows, evenly from the training split, that mean and deviation are taken from."""


class Lesson(NamedTuple):
    """What one step of training is given.

    Attributes:
        tokens: What is to be decoded, int64 (n, time) or (n, time, part).
        read: What the encoder reads, of the same shape: the tokens, or a disturbed copy.
        targets: The attributes of `tokens` in deviations from the data's mean, float32 (n, attributes).
        given: bool (n,), whether `read` is disturbed: then its posterior is given the attributes of the tokens.
    """

    tokens: Tokens
    read: Tokens
    targets: NDArray[np.float32]
    given: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lessons:
    """Makes lessons of tokens.

    Attributes:
        tokenizer: Turns tokens into the items that are measured.
        attributes: What is measured; may be none.
        mean, deviation: Of the training data, float64 (attributes,).
        disturbed: Share of items that are read from a disturbed copy.
    """

    tokenizer: Tokenizer
    attributes: tuple[Attribute, ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    disturbed: float

    @staticmethod
    def of_dataset(dataset: Dataset, names: Sequence[str], disturbed: float) -> Lessons:
        """The attributes of those names, scaled by the training split.

        Raises:
            DataError: The kind has no such attribute.
            ConfigError: One does not vary in the data; or items of a kind are to be disturbed that cannot be.
        """
        tokenizer = dataset.tokenizer
        if disturbed and not (names and isinstance(tokenizer, MelodyTokenizer)):
            what = "without objective.attributes" if not names else f"of kind {tokenizer.kind}"
            raise ConfigError(f"objective.disturbed is for melodies with objective.attributes, not {what}; set it to 0")
        attributes = tuple(attribute_named(tokenizer, name) for name in names)
        windows = dataset.windows("train")
        rows = np.linspace(0, len(windows) - 1, min(len(windows), SCALED_ON)).round().astype(int)
        values = measured(
            attributes, [tokenizer.decode(row) for row in windows[rows].astype(np.int64)] if names else []
        )
        defined = np.ma.masked_invalid(values)
        mean, deviation = (
            np.ma.filled(found, 0.0).reshape(-1) for found in (defined.mean(axis=0), defined.std(axis=0))
        )
        for name, spread in zip(names, deviation, strict=False):
            if not spread:
                raise ConfigError(f"objective.attributes: {name} is the same in all the data; leave it out")
        return Lessons(tokenizer=tokenizer, attributes=attributes, mean=mean, deviation=deviation, disturbed=disturbed)

    def of(self, tokens: Tokens, rng: np.random.Generator) -> Lesson:
        """The lesson of tokens (n, time) or (n, time, part); `rng` decides which are disturbed, and how."""
        read, given = tokens, np.zeros(len(tokens), bool)
        if self.disturbed:
            given = rng.random(len(tokens)) < self.disturbed
            read = tokens.copy()
            for row in np.flatnonzero(given):
                read[row] = disturbed_melody(tokens[row], rng, self.tokenizer.alphabet.largest)
        return Lesson(tokens=tokens, read=read, targets=self._measured(tokens), given=given)

    def _measured(self, tokens: Tokens) -> NDArray[np.float32]:
        """float32 (n, attributes); 0, the mean, where one is not defined."""
        if not self.attributes:
            return np.zeros((len(tokens), 0), np.float32)
        values = measured(self.attributes, [self.tokenizer.decode(row) for row in tokens])
        return np.nan_to_num((values - self.mean) / self.deviation).astype(np.float32)
