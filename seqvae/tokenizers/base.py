"""What every kind of sequence offers to the layers below, which know tokens and nothing of music or words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
"""int64 (time,) or (time, part)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """What one source gives to a dataset.

    Attributes:
        tokens: (windows, time) in time order.
        starts: Where each begins in its source, in the kind's own unit (beats for music), float64 (windows,).
        track: Which track or part of the source it came from, int64 (windows,).
        skipped: Why windows were left out, reason → count.
    """

    tokens: NDArray[np.int64]
    starts: NDArray[np.float64]
    track: NDArray[np.int64]
    skipped: dict[str, int]


class Tokenizer(Protocol):
    """Turns items (clips, strings) into tokens and back. An implementation is a frozen dataclass of its settings.

    `decode(encode(item))` gives the item as far as the tokens can say it, and `encode(decode(tokens))` gives
    `canonical(tokens)`: exactly, for every tokens.
    """

    @property
    def kind(self) -> str:
        """The name in presets: `melody`, `text`, ..."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens; tokens are 0 … vocab_size - 1."""

    @property
    def length(self) -> int:
        """Steps in one window."""

    @property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (vocab,): the tokens where something happens, for the accuracies that 'hold' cannot flatter."""

    @property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (variants, vocab): each row maps a token to its token in that variant. Row 0 is the identity."""

    @property
    def suffix(self) -> str:
        """What the names of written files end in, such as ".mid"."""

    def token_name(self, token: int) -> str:
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
