"""Sequences of anything: names, formulas, progressions, images as rows of numbers.

Symbols (`characters`, `spaces`) are lines of text of any length up to the window's: token 0 ends them, 1… are the
vocabulary. `integers` are arrays of one length whose numbers are the tokens. Both learn from data what a preset leaves
open: the symbols or the size, and the length.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import ConfigError, DataError, ReadError
from seqvae.files import read_lines, write_atomic
from seqvae.tokenizers.base import Alphabet, Part, Tokens, Windows

END = 0
MOST_TOKENS = 1 << 16
"""What a dataset's 16 bits can hold."""

MOST_LEARNED = 256
"""No length above is learned of lines: one long line must not make a network of them all."""

SHOWN = 30
"""So much of a vocabulary or a line is repeated in a message."""

Item = str | NDArray[np.int64]
"""A line of symbols, or int64 (length,)."""


@dataclass(frozen=True, kw_only=True)
class RawTokenizer:
    """A sequence of symbols or integers, one a line of a text, or one a row of an .npy array.

    Attributes:
        symbols: What a token is: each of a line's `characters`; its words between `spaces` (typed without spaces, a
            line is cut into the longest symbols there are); or `integers`.
        length: Steps of a window: of symbols the most, the end among them; of integers all. 0 learns it (of symbols at
            most 256; longer lines are left out).
        vocabulary: The symbols of tokens 1, 2, …; none learns them.
        size: Integers lie between 0 and size - 1; 0 learns it.
    """

    kind: Literal["raw"] = "raw"
    symbols: Literal["characters", "spaces", "integers"] = "characters"
    length: int = 0
    vocabulary: tuple[str, ...] = ()
    size: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))  # JSON has lists
        if min(self.length, self.size) < 0 or max(self.size, len(self.vocabulary) + 1) > MOST_TOKENS:
            found = f"tokenizer: length is {self.length}, size {self.size}, symbols {len(self.vocabulary)}"
            raise ConfigError(f"{found}; they must be 0 or more, and tokens at most {MOST_TOKENS}")
        if self.symbols == "integers" and self.vocabulary:
            raise ConfigError("tokenizer: integers have no vocabulary; set size, or symbols to characters or spaces")
        if self.symbols != "integers" and self.size:
            raise ConfigError("tokenizer: size is for integers; set the vocabulary, or leave both to be learned")
        wrong = [symbol for symbol in self.vocabulary if not self._is_symbol(symbol)]
        if wrong or len(set(self.vocabulary)) < len(self.vocabulary):
            what = f"{wrong[0]!r} in the vocabulary" if wrong else "a symbol twice in the vocabulary"
            raise ConfigError(f"tokenizer: there is {what}; symbols are {self.symbols}, no line ends, each once")

    def _is_symbol(self, symbol: str) -> bool:
        if self.symbols == "spaces":
            return len(symbol.split()) == 1 and symbol == symbol.strip()
        return len(symbol) == 1 and symbol not in "\n\r"

    # -- shape ---------------------------------------------------------------------------------------------------------

    @cached_property
    def alphabet(self) -> Alphabet:
        """Symbols behind their end; or integers, which have none."""
        if self.symbols == "integers":
            return Alphabet(parts=(Part("integer", max(self.size, 1)),))
        return Alphabet(parts=(Part("symbol", 1 + len(self.vocabulary)),), end=END)

    @cached_property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (size,): all but the end; of integers all but 0, which is the ground of an image."""
        return np.arange(self.alphabet.largest) > 0

    @cached_property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (1, size): none but the sequence itself."""
        return np.arange(self.alphabet.largest)[None]

    @property
    def fitted(self) -> bool:
        """Whether tokens and length are known."""
        return bool(self.length and (self.size or self.vocabulary))

    def fit(self, items: Iterable[Item]) -> RawTokenizer:
        """With what the preset left open learned from items; symbols are sorted.

        Raises:
            DataError: There is no item, integers are negative or of several lengths, or there are too many symbols.

        >>> RawTokenizer().fit(["anna", "bo"])
        RawTokenizer(kind='raw', symbols='characters', length=5, vocabulary=('a', 'b', 'n', 'o'), size=0)
        """
        if self.fitted:
            return self
        if self.symbols == "integers":
            return self._fit_integers([np.asarray(item) for item in items])
        longest, found = 0, set(self.vocabulary)
        for line in items:
            parts = self._cut(str(line)) if self.vocabulary else self._whole(str(line))
            longest = max(longest, len(parts))
            found.update([] if self.vocabulary else parts)
        if not longest:
            raise DataError("there is no symbol to learn a vocabulary from; give a text with a sequence a line")
        if len(found) >= MOST_TOKENS:
            raise DataError(f"there are {len(found):,} different symbols, at most {MOST_TOKENS - 1:,} are possible")
        length = self.length or min(longest + 1, MOST_LEARNED)
        return replace(self, length=length, vocabulary=self.vocabulary or tuple(sorted(found)))

    def _fit_integers(self, rows: list[NDArray[np.int64]]) -> RawTokenizer:
        lengths = sorted({len(row) for row in rows} - {0})
        if not lengths or (len(lengths) > 1 and not self.length):
            found = f"rows have {lengths[0]} to {lengths[-1]} integers" if lengths else "there is no row of integers"
            raise DataError(f"{found}; give rows of one length, or set tokenizer.symbols to spaces")
        low, high = min(int(row.min()) for row in rows if len(row)), max(int(row.max()) for row in rows if len(row))
        if low < 0 or high >= MOST_TOKENS:
            raise DataError(f"integers lie between {low} and {high}; shift them to 0 … {MOST_TOKENS - 1}")
        return replace(self, length=self.length or lengths[0], size=self.size or high + 1)

    @property
    def suffix(self) -> str:
        """Text for symbols, .npy for integers."""
        return ".npy" if self.symbols == "integers" else ".txt"

    def token_name(self, token: int, part: int = 0) -> str:
        """The symbol, `end`, or the integer."""
        if self.symbols == "integers":
            return str(token)
        return "end" if token == END else self.vocabulary[token - 1]

    def step_name(self, step: int) -> str:
        """Counted from 1: `symbol 3`."""
        return f"{self.alphabet.parts[0].name} {step + 1}"

    # -- files ---------------------------------------------------------------------------------------------------------

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Text, and arrays of integers."""
        return (".npy", ".txt") if self.symbols == "integers" else (".txt",)

    def read(self, path: Path) -> Item:
        """The first line, or the first row. Raises `ReadError`."""
        return self.read_all(path)[0]

    def read_all(self, path: Path) -> list[Item]:
        """Every line or row, the empty ones too. Raises `ReadError`."""
        if self.symbols != "integers":
            return list(read_lines(path))
        if path.suffix.lower() == ".npy":
            return list(read_rows(path))
        lines = read_lines(path)
        try:
            return [integers(line) for line in lines]
        except ValueError:
            number, line = next((n, line) for n, line in enumerate(lines, 1) if not _are_integers(line))
            raise ReadError(
                f"{path}: line {number} is {line[:SHOWN]!r} and no integers; write them between spaces"
            ) from None

    def read_lines(self, path: Path) -> list[Item]:
        """The same: the items of a file are its lines. Raises `ReadError`."""
        return self.read_all(path)

    def line_key(self, item: Item) -> bytes:
        """The line, however many spaces are between its words."""
        line = self.show(item)
        return (" ".join(line.split()) if self.symbols == "spaces" else line).encode()

    @property
    def unknown(self) -> None:
        """There is no such token: a sequence with a foreign symbol is refused."""

    def parse(self, text: str) -> Item:
        """A line as typed. Raises `DataError` if it is no sequence of this vocabulary, or looks like a missing file.

        >>> RawTokenizer(symbols="spaces", length=9, vocabulary=("sin(", "+", "x", ")")).parse("x+sin(x)")
        'x + sin( x )'
        """
        if Path(text).suffix.lower() in self.suffixes:
            raise DataError(f"{text}: no such file; give one that exists, or type a sequence between quotes")
        if self.symbols == "integers":
            try:
                item: Item = integers(text)
            except ValueError:
                found = f"{_shortened(text)!r}: are no integers"
                raise DataError(f"{found}; write them between spaces, or give a file") from None
        else:
            item = text
        tokens = self.encode(item)
        if not len(self._counted(tokens)):
            raise DataError("the sequence is empty; type at least one symbol")
        return self.decode(tokens)

    def show(self, item: Item) -> str:
        """A line: symbols as they are written, integers between spaces."""
        return item if isinstance(item, str) else " ".join(map(str, item.tolist()))

    def write(self, item: Item, path: Path, *, overwrite: bool) -> Path:
        """A line of text, or an .npy of one row. Raises `WriteError`."""
        if isinstance(item, str):
            return write_atomic(path, f"{item}\n".encode(), overwrite=overwrite)
        content = io.BytesIO()
        np.save(content, np.asarray(item, np.int64), allow_pickle=False)
        return write_atomic(path, content.getvalue(), overwrite=overwrite)

    # -- windows -------------------------------------------------------------------------------------------------------

    def windows(self, item: Item, track: str | None = None) -> Windows:
        """The sequence, or nothing where it is empty or too long. Raises `DataError` on foreign symbols."""
        parts = self._cut(item) if isinstance(item, str) else item
        reason = "empty" if not len(parts) else f"longer than {self.length}" if len(parts) > self.length else ""
        if reason:
            rows = np.zeros((0, self.length), np.int64)
        else:
            rows = (self._padded(parts) if isinstance(parts, list) else self._checked(parts))[None]
        return Windows(
            tokens=rows,
            starts=np.zeros(len(rows)),
            track=np.zeros(len(rows), np.int64),
            skipped={reason: 1} if reason else {},
        )

    def split(self, item: Item, track: str | None = None) -> list[Item]:
        """A line is its only window; integers are cut into windows if they fill them."""
        if isinstance(item, str) or not len(item) or len(item) % self.length:
            return [item]
        return list(item.reshape(-1, self.length))

    def join(self, items: Sequence[Item]) -> Item:
        """One behind the other."""
        if self.symbols == "integers":
            return np.concatenate([np.asarray(item, np.int64) for item in items])
        return (" " if self.symbols == "spaces" else "").join(str(item) for item in items if len(item))

    # -- tokens --------------------------------------------------------------------------------------------------------

    def encode(self, item: Item) -> Tokens:
        """A sequence as tokens int64 (length,), its end and 0s behind it.

        Raises:
            DataError: A symbol is not in the vocabulary, an integer out of range, or the sequence is too long.

        >>> RawTokenizer(length=5, vocabulary=("a", "b")).encode("abba").tolist()
        [1, 2, 2, 1, 0]
        """
        if self.symbols == "integers":
            return self._checked(np.asarray(item))
        parts = self._cut(str(item))
        if len(parts) > self.length:
            found = f"{_shortened(str(item))!r} has {len(parts)} symbols"
            raise DataError(f"{found} and at most {self.length} are read; give a shorter one")
        return self._padded(parts)

    def decode(self, tokens: Tokens, style: Any = None) -> Item:
        """Tokens as a line or as an array."""
        if self.symbols == "integers":
            return np.array(tokens, np.int64)
        glue = " " if self.symbols == "spaces" else ""
        return glue.join(self.vocabulary[token - 1] for token in self._counted(tokens))

    def canonical(self, tokens: Tokens) -> Tokens:
        """Nothing stands behind the end: (…, length) → (…, length)."""
        tokens = np.asarray(tokens, np.int64)
        if self.alphabet.end is None:
            return tokens
        canonical: Tokens = np.where(np.logical_and.accumulate(tokens != END, axis=-1), tokens, END)
        return canonical

    def style(self, item: Item) -> None:
        """Tokens say everything."""

    def _counted(self, tokens: Tokens) -> NDArray[np.int64]:
        """The tokens before the end."""
        canonical = self.canonical(tokens)
        return canonical if self.alphabet.end is None else canonical[canonical != END]

    @cached_property
    def _index(self) -> dict[str, int]:
        return {symbol: token for token, symbol in enumerate(self.vocabulary, start=1)}

    @cached_property
    def _longest_symbol(self) -> int:
        return max(map(len, self.vocabulary), default=0)

    def _whole(self, line: str) -> list[str]:
        """A line's symbols where none is known yet."""
        return line.split() if self.symbols == "spaces" else list(line)

    def _cut(self, line: str) -> list[str]:
        """A line's symbols, all of the vocabulary."""
        found = []
        for word in self._whole(line):
            if word in self._index:  # as nearly all are
                found.append(word)
                continue
            while word:
                sizes = range(min(len(word), self._longest_symbol), 0, -1)
                size = next((size for size in sizes if word[:size] in self._index), 0)
                if not size:
                    known = _shortened(" ".join(self.vocabulary))
                    raise DataError(f"{_shortened(line)!r}: {word[:1]!r} is no symbol of this model; it knows {known}")
                found.append(word[:size])
                word = word[size:]
        return found

    def _padded(self, parts: list[str]) -> Tokens:
        tokens = np.full(self.length, END, np.int64)
        tokens[: len(parts)] = [self._index[part] for part in parts]
        return tokens

    def _checked(self, row: NDArray[Any]) -> Tokens:
        if row.ndim != 1 or not np.issubdtype(row.dtype, np.integer):
            raise DataError(f"the sequence is {row.dtype} of shape {row.shape}; give a row of integers")
        if len(row) != self.length:
            raise DataError(f"the row has {len(row)} integers and {self.length} are read; give so many")
        if row.min() < 0 or row.max() >= self.size:
            found = f"integers lie between {row.min()} and {row.max()}"
            raise DataError(f"{found} and the model's between 0 and {self.size - 1}; give those only")
        return row.astype(np.int64)


def integers(line: str) -> NDArray[np.int64]:
    """int64 (n,) of numbers between spaces. Raises ValueError where there is something else.

    >>> integers("3 1 4").tolist()
    [3, 1, 4]
    """
    try:
        return np.array([int(word) for word in line.split()], np.int64)
    except OverflowError as error:
        raise ValueError(error) from None


def _are_integers(line: str) -> bool:
    try:
        integers(line)
    except ValueError:
        return False
    return True


def read_rows(path: Path) -> NDArray[np.int64]:
    """The rows of an .npy of integers (n, time) or (time,): int64 (n, time).

    Raises:
        ReadError: It is missing, damaged, empty, or holds something else.
    """
    try:
        with path.open("rb") as file:
            rows = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise ReadError(f"{path}: cannot be opened ({error.strerror or error}); give an .npy of integers") from None
    except (ValueError, EOFError) as error:  # numpy's words for a damaged header, pickles, a cut file
        raise ReadError(f"{path}: is no .npy of integers ({str(error)[:60]}); write it with numpy.save") from None
    if not np.issubdtype(rows.dtype, np.integer) or rows.ndim not in (1, 2):
        raise ReadError(
            f"{path}: is {rows.dtype} of shape {rows.shape}, not integers (n, time); give an array of those"
        )
    if not rows.size:
        raise ReadError(f"{path}: is empty; give a file with something in it")
    return np.atleast_2d(rows).astype(np.int64)


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
