"""What the measures of a report card share: the model, the windows and their posteriors, and the figures so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip
from seqvae.evaluate import likelihood
from seqvae.evaluate.figures import Figure, Section
from seqvae.evaluate.ngram import Judge
from seqvae.latent import Z
from seqvae.tokenizers import Alphabet, Tokens, onsets

if TYPE_CHECKING:
    from seqvae.model import Model

JUDGE = 5  # the judge draws from a generator of its own

Valid = Callable[[Any], bool]
"""Whether an item is as it should be, by a rule of its own kind: a formula that parses, a molecule that exists."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """The work bench.

    Attributes:
        model: The model.
        windows: int64 (n, time) or (n, time, part).
        means, stds: Of their posteriors, float32 (n, z).
        split, seed: As in `Figure`.
        temperature: Of the prior samples.
        valid: An item's validity, or None.
        train: Training windows, or None.
        figures: The numbers so far.
    """

    model: Model
    windows: Tokens
    means: Z
    stds: Z
    split: str
    seed: int
    temperature: float
    valid: Valid | None = None
    train: NDArray[np.integer[Any]] | None = None
    figures: list[Figure] = field(default_factory=list)

    @property
    def alphabet(self) -> Alphabet:
        """Of the model's tokenizer."""
        return self.model.tokenizer.alphabet

    @cached_property
    def originals(self) -> list[Any]:
        """The windows as items."""
        return self.items(self.windows)

    @property
    def is_music(self) -> bool:
        """Whether items are clips."""
        return isinstance(self.originals[0], Clip)

    @property
    def event(self) -> str:
        """What a token is called where something happens: onset, word, symbol."""
        return "onset" if self.is_music else self.alphabet.parts[-1].name

    @cached_property
    def compares(self) -> bool:
        """False of a model that draws nothing but numbers: then no sequences can be compared."""
        return bool(self.alphabet.judged.any())

    @cached_property
    def judge(self) -> Judge | None:
        """n-grams of the training windows, if there are any."""
        return None if self.train is None else Judge.fit(self.train, self.alphabet, self.rng("prior samples", JUDGE))

    def note(self, section: Section, name: str, value: float, unit: str, what: str, n: int | None = None) -> None:
        """Puts a figure down; one that cannot be measured on this set (0 of 0) is left out."""
        if math.isfinite(value):
            count = len(self.windows) if n is None else n
            self.figures.append(
                Figure(
                    name=name,
                    section=section,
                    what=what,
                    value=float(value),
                    unit=unit,
                    n=count,
                    split=self.split,
                    seed=self.seed,
                )
            )

    def rng(self, section: Section, part: int = 0) -> np.random.Generator:
        """A generator of its own for each section: one more figure here changes none there."""
        return np.random.default_rng((self.seed, 2, get_args(Section).index(section), part))

    def decode(self, z: Z, like: Tokens) -> Tokens:
        """z (n, z) → the likeliest tokens, canonical, under the controls of `like` (n, time[, part])."""
        drawn = likelihood.free_running(self.model, z, self.model.control_of(like))
        return self.model.tokenizer.canonical(drawn)

    def items(self, tokens: Tokens) -> list[Any]:
        """Tokens (n, time) or (n, time, part) as items."""
        return [self.model.tokenizer.decode(row) for row in tokens]

    def onset_counts(self, tokens: Tokens) -> NDArray[np.int64]:
        """Onsets of each item and part that is judged: int64 (n, parts), one column where a step has one part."""
        struck = onsets(self.model.tokenizer.onset_mask, tokens) & self.alphabet.judged
        counts = struck.reshape(*tokens.shape[:2], -1).sum(axis=1)
        return np.asarray(counts[:, np.atleast_1d(self.alphabet.judged)])
