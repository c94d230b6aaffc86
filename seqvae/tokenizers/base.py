"""What every kind of sequence offers to the layers below, which know tokens and nothing of music or words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError

Tokens = NDArray[np.int64]
"""int64 (time,) or, where a step has several parts, (time, part)."""


class Part(NamedTuple):
    """One of the things that a step says.

    Attributes:
        name: In words, such as "melody".
        size: Tokens 0 … size - 1.
        given: True for a control: it is put in beside z, and never drawn. Controls stand before all other parts.
        gate: For a number (a velocity, a timing) the index of the part whose token says, when it is not 0, that the
            number counts; such a part is predicted as token / (size - 1), bounded to 0 … 1. None for a symbol.
    """

    name: str
    size: int
    given: bool = False
    gate: int | None = None


@dataclass(frozen=True, kw_only=True)
class Alphabet:
    """What a step can be: all that the network needs to know of a kind of sequence.

    Attributes:
        parts: Of each step. With a single part, tokens are (time,), otherwise (time, part).
        end: The token that ends a sequence (all after it is `end` too), or None if each has the full length. Only
            where there is one part.

    Example:
        >>> alphabet = Alphabet(parts=(Part("word", 10),), end=0)
        >>> alphabet.lengths(np.array([[5, 3, 0, 0], [5, 3, 2, 1]])).tolist()
        [3, 4]
    """

    parts: tuple[Part, ...]
    end: int | None = None

    @property
    def largest(self) -> int:
        """The most tokens that a part has; what storage must hold."""
        return max(part.size for part in self.parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one step: () or (parts,)."""
        return () if len(self.parts) == 1 else (len(self.parts),)

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """bool `shape`: the parts that accuracies count, symbols that are drawn."""
        flags = np.array([not part.given and part.gate is None for part in self.parts])
        return flags.reshape(self.shape)

    @property
    def controls(self) -> tuple[Part, ...]:
        """The parts that are given."""
        return tuple(part for part in self.parts if part.given)

    def controls_of(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """The controls among tokens (…, time, part): (…, time, controls), where controls may be 0."""
        count = len(self.controls)
        return tokens[..., :count] if count else np.zeros((*tokens.shape, 0), np.int64)

    def controls_for(self, control: NDArray[np.int64] | None, n: int, length: int) -> NDArray[np.int64]:
        """A control for each of n windows, int64 (n, length, controls): one given for all, one each, or zeros.

        Raises:
            DataError: Its shape or its tokens are wrong.
        """
        shape = (n, length, len(self.controls))
        if control is None:
            return np.zeros(shape, np.int64)
        if control.shape not in (shape, shape[1:]) or not self.controls:
            found = f"the control is of shape {control.shape}"
            raise DataError(f"{found}; the model has {shape[2]} controls: give int64 (n, {shape[1]}, {shape[2]})")
        for index, part in enumerate(self.controls):
            _check_range(part, control[..., index])
        spread: NDArray[np.int64] = np.broadcast_to(control, shape).astype(np.int64)
        return spread

    def check(self, tokens: NDArray[Any], length: int) -> None:
        """Raises `DataError` if these are no tokens (n, length) or (n, length, part) of this alphabet."""
        if tokens.shape[1:] != (length, *self.shape) or not np.issubdtype(tokens.dtype, np.integer):
            wanted = ", ".join(str(size) for size in (length, *self.shape))
            found = f"tokens are {tokens.dtype} of shape {tokens.shape}"
            raise DataError(f"{found}; the model reads integers of shape (n, {wanted})")
        for index, part in enumerate(self.parts):
            _check_range(part, tokens[..., index] if self.shape else tokens)

    def lengths(self, tokens: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Steps that count, the end among them: (n, time) or (n, time, part) → int64 (n,)."""
        steps = tokens.shape[1]
        if self.end is None:
            return np.full(len(tokens), steps, np.int64)
        ended = tokens == self.end
        lengths: NDArray[np.int64] = np.where(ended.any(axis=1), ended.argmax(axis=1) + 1, steps)
        return lengths

    def counted(self, tokens: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """bool, the tokens' shape: False for padding after the end, for controls and for numbers."""
        within = np.arange(tokens.shape[1]) < self.lengths(tokens)[:, None]
        return within.reshape(*within.shape, *[1] * len(self.shape)) & np.broadcast_to(self.judged, tokens.shape)


def _check_range(part: Part, tokens: NDArray[np.integer[Any]]) -> None:
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < part.size:
        found = f"tokens of {part.name} lie between {tokens.min()} and {tokens.max()}"
        raise DataError(f"{found}; the model has tokens from 0 to {part.size - 1}")


def onsets(mask: Any, tokens: Any) -> Any:
    """Where something happens: `Tokenizer.onset_mask` looked up for tokens (…,) or (…, part), arrays or tensors."""
    return mask[tokens] if mask.ndim == 1 else mask[list(range(len(mask))), tokens]


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """What one source gives to a dataset.

    Attributes:
        tokens: (windows, time) or (windows, time, part), in time order.
        starts: Where each begins in its source, in the kind's own unit (beats for music), float64 (windows,).
        track: Which track or part of the source it came from, int64 (windows,).
        skipped: Why windows were left out, reason → count.
        played: What a report calls the tracks; their names if left out.
    """

    tokens: NDArray[np.int64]
    starts: NDArray[np.float64]
    track: NDArray[np.int64]
    skipped: dict[str, int]
    played: tuple[str, ...] = ()


class Tokenizer(Protocol):
    """Turns items (clips, strings) into tokens and back. An implementation is a frozen dataclass of its settings.

    `decode(encode(item))` gives the item as far as the tokens can say it, and `encode(decode(tokens))` gives
    `canonical(tokens)`: exactly, for every tokens. All tokens 0 is an item in which nothing happens (a rest, no words).
    """

    @property
    def kind(self) -> str:
        """The name in presets: `melody`, `text`, ..."""

    @property
    def alphabet(self) -> Alphabet:
        """What a step can be."""

    @property
    def length(self) -> int:
        """Steps in one window; the most, where sequences end by themselves."""

    @property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (size,) or (part, largest): tokens where something happens, for accuracies 'hold' cannot flatter."""

    @property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (variants, size) or (variants, part, largest): token → its token in that variant; row 0 the same."""

    @property
    def fitted(self) -> bool:
        """False as long as a vocabulary must be learned from data (see `fit`)."""

    def fit(self, items: Iterable[Any]) -> Tokenizer:
        """The tokenizer with the vocabulary of the items; itself where there is nothing to learn."""

    @property
    def suffix(self) -> str:
        """What the names of written files end in, such as ".mid"."""

    def token_name(self, token: int, part: int = 0) -> str:
        """A token in words, for messages and pictures."""

    def step_name(self, step: int) -> str:
        """Where a step lies, in words, counted from the item's first window; for messages."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of files that `read` takes end in, in lower case."""

    def read(self, path: Path) -> Any:
        """Reads a file as an item; of a file with several, the first."""

    def read_all(self, path: Path) -> list[Any]:
        """Reads every item of a file."""

    def parse(self, text: str) -> Any:
        """An item from what a person typed in place of a file. Raises `DataError` where a file is needed."""

    def show(self, item: Any) -> str:
        """An item as one line to print; "" where only a file can hold it."""

    def write(self, item: Any, path: Path, *, overwrite: bool) -> Path:
        """Writes an item to a file; what it writes, `read` gives back."""

    def windows(self, item: Any, track: str | None = None) -> Windows:
        """All windows of an item that are fit for training."""

    def split(self, item: Any, track: str | None = None) -> list[Any]:
        """Consecutive windows that cover the item, each an item; for using a model on it."""

    def join(self, items: Sequence[Any]) -> Any:
        """Puts windows together again."""

    def encode(self, item: Any) -> Tokens:
        """One window as tokens."""

    def decode(self, tokens: Tokens, style: Any = None) -> Any:
        """Tokens as an item, in a style (None: a plain one)."""

    def canonical(self, tokens: Tokens) -> Tokens:
        """The one way to write what these tokens mean."""

    def style(self, item: Any) -> Any:
        """What of an item its tokens leave out; it has `blend(other, amount)`. None where there is nothing."""
