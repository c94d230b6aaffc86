"""Attributes as what a training aims at: of tokens, in deviations from the data's mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import Attribute, measured
from seqvae.attributes.table import attribute_named
from seqvae.dataset import Dataset
from seqvae.errors import ConfigError
from seqvae.tokenizers import Tokenizer

SCALED_ON = 4096
"""Windows, evenly from the training split, that mean and deviation are taken from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AttributeTargets:
    """Attributes of tokens, standardised.

    Attributes:
        tokenizer: Turns tokens into the items that are measured.
        attributes: What is measured; may be none.
        mean, deviation: Of the training data, float64 (attributes,).
    """

    tokenizer: Tokenizer
    attributes: tuple[Attribute, ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @staticmethod
    def of_dataset(dataset: Dataset, names: Sequence[str]) -> AttributeTargets:
        """The attributes of those names, scaled by the training split.

        Raises:
            DataError: The kind has no such attribute.
            ConfigError: One does not vary in the data.
        """
        tokenizer = dataset.tokenizer
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
        return AttributeTargets(tokenizer=tokenizer, attributes=attributes, mean=mean, deviation=deviation)

    def of(self, tokens: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """float32 (n, attributes) of tokens (n, time) or (n, time, part); 0, the mean, where one is not defined."""
        if not self.attributes:
            return np.zeros((len(tokens), 0), np.float32)
        values = measured(self.attributes, [self.tokenizer.decode(row) for row in tokens])
        return np.nan_to_num((values - self.mean) / self.deviation).astype(np.float32)
