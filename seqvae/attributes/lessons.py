"""What a training step reads and what it is to write: items, the same with an attribute changed, and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import Attribute, measured
from seqvae.attributes.edits import EDITS
from seqvae.attributes.table import attribute_named
from seqvae.dataset import Dataset
from seqvae.errors import ConfigError
from seqvae.tokenizers import MelodyTokenizer, Tokenizer, Tokens

FARTHEST = 2.2
"""Deviations: a little more than vectors are asked to go."""

SECOND_EDIT = 0.25

SCALED_ON = 4096
"""Windows, evenly from the training split, that mean and deviation are taken from."""


class Lesson(NamedTuple):
    """What one step of training is given.

    Attributes:
        tokens: What is to be decoded, int64 (n, time) or (n, time, part): what was read, or that changed.
        read: What the encoder reads, of the same shape.
        targets: The attributes of `tokens` in deviations from the data's mean, float32 (n, attributes).
        given: bool (n,), whether `tokens` are changed: then the posterior of `read` is given their attributes.
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
        edited: Share of items that are decoded with attributes changed.
    """

    tokenizer: Tokenizer
    attributes: tuple[Attribute, ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    edited: float

    @staticmethod
    def of_dataset(dataset: Dataset, names: Sequence[str], edited: float) -> Lessons:
        """The attributes of those names, scaled by the training split.

        Raises:
            DataError: The kind has no such attribute.
            ConfigError: One does not vary in the data; or there is no rule to change any.
        """
        tokenizer = dataset.tokenizer
        if edited and not (isinstance(tokenizer, MelodyTokenizer) and any(name in EDITS for name in names)):
            found = f"of kind {tokenizer.kind} with objective.attributes {', '.join(names) or 'none'}"
            rules = f"there are rules for melodies only, and {', '.join(EDITS)}"
            raise ConfigError(f"objective.edited is {edited:g} and items are {found}; {rules}")
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
        return Lessons(tokenizer=tokenizer, attributes=attributes, mean=mean, deviation=deviation, edited=edited)

    def of(self, tokens: Tokens, rng: np.random.Generator) -> Lesson:
        """The lesson of tokens (n, time) or (n, time, part); `rng` decides which are changed, and how."""
        changed, given = tokens, np.zeros(len(tokens), bool)
        if self.edited:
            given = rng.random(len(tokens)) < self.edited
            changed = tokens.copy()
            for row in np.flatnonzero(given):
                changed[row] = self._changed(changed[row], rng)
        return Lesson(tokens=changed, read=tokens, targets=self._measured(changed), given=given)

    def _changed(self, tokens: Tokens, rng: np.random.Generator) -> Tokens:
        """One attribute by up to `FARTHEST` deviations either way, and now and then a second one."""
        known = [index for index, attribute in enumerate(self.attributes) if attribute.name in EDITS]
        for index in rng.permutation(known)[: 1 + (rng.random() < SECOND_EDIT)]:
            amount = rng.uniform(-FARTHEST, FARTHEST) * self.deviation[index]
            tokens = EDITS[self.attributes[index].name](tokens, amount, self.tokenizer.alphabet.largest)
        changed: Tokens = self.tokenizer.canonical(tokens[None])[0]
        return changed

    def _measured(self, tokens: Tokens) -> NDArray[np.float32]:
        """float32 (n, attributes); 0, the mean, where one is not defined."""
        if not self.attributes:
            return np.zeros((len(tokens), 0), np.float32)
        values = measured(self.attributes, [self.tokenizer.decode(row) for row in tokens])
        return np.nan_to_num((values - self.mean) / self.deviation).astype(np.float32)
