"""What kinds offer whose files hold many small items, one a line: texts and raw symbols."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class LineReader(Protocol):
    """A tokenizer whose items are lines. Each is its own source: it goes to a split by its content, not by its file."""

    @property
    def unknown(self) -> int | None:
        """The token for what the vocabulary has not; None where there is no such token."""

    def read_lines(self, path: Path) -> list[Any]:
        """Every item of a file, in order, the empty ones too (`windows` says that they are)."""

    def line_key(self, item: Any) -> bytes:
        """The same for equal items, however they are written: what decides an item's split."""
