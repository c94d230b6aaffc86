"""One text, a sentence or a paragraph, as words, characters or pieces of words.

Tokens: 0 the end, and all behind it; 1 unknown; 2… the vocabulary, the commonest first. All white space counts as one
space, letters are composed (NFC), and in lower case if asked for; what an unknown word was is not kept. So
`decode(encode(text))` is the text as the model reads it, and encoding that again gives the same tokens.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqvae.chords import progression_clip
from seqvae.errors import ConfigError, DataError
from seqvae.files import write_atomic
from seqvae.texts import SUFFIXES, quoted, read_texts
from seqvae.tokenizers import chordwords, subwords
from seqvae.tokenizers.base import Alphabet, Part, Tokens, Windows
from seqvae.tokenizers.words import UNKNOWN_WORD, join_words, split_words

END = 0
UNKNOWN = 1
FIRST = 2
MOST_TOKENS = 1 << 16
"""What a dataset's 16 bits can hold."""

UNKNOWN_LETTER = "\ufffd"
"""How an unknown character is shown; of words it is `<unk>`, as in the Penn Treebank."""

MOSTLY_UNKNOWN = 0.5
"""A text with a larger share of unknown tokens is none that the model can say anything of."""

UNITS = {"words": "word", "chars": "character", "subwords": "piece"}


@dataclass(frozen=True, kw_only=True)
class TextTokenizer:
    """A line or a paragraph of text.

    Attributes:
        level: What a token is: `words`, `chars`, or `subwords` (needs the extra `seqvae[subwords]`).
        item: What a text of a .txt is: a `line`, or a `paragraph` (lines up to an empty one).
        column: Of a .csv or .tsv the column, by name or number from 1; of a .jsonl the field.
        breaks: Where words end: at spaces and `punctuation` (see `words`), or at `spaces` alone, for texts that come in
            tokens. Of words only.
        lowercase: All letters small.
        chords: Words are chord symbols: spelled in one way (see `chordwords`), trained in all twelve keys, and played
            where a .mid is written.
        max_length: Most tokens of a text, its end not counted.
        limit: Most tokens in the vocabulary that is learned.
        min_count: A word of the vocabulary occurs as often, in the texts that it is learned from.
        vocabulary: The words or characters of tokens 2, 3, …; none learns them.
        subwords: The tokenizer of `subwords`, as Hugging Face `tokenizers` writes it; "" learns it.
    """

    kind: Literal["text"] = "text"
    level: Literal["words", "chars", "subwords"] = "words"
    item: Literal["line", "paragraph"] = "line"
    column: str = "text"
    breaks: Literal["punctuation", "spaces"] = "punctuation"
    lowercase: bool = False
    chords: bool = False
    max_length: int = 40
    limit: int = 10_000
    min_count: int = 1
    vocabulary: tuple[str, ...] = ()
    subwords: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))  # JSON has lists
        if min(self.max_length, self.limit, self.min_count) < 1 or self.limit > MOST_TOKENS - FIRST:
            found = f"tokenizer: max_length is {self.max_length}, limit {self.limit}, min_count {self.min_count}"
            raise ConfigError(f"{found}; they must be 1 or more, and limit at most {MOST_TOKENS - FIRST}")
        if self.chords and (self.level, self.breaks, self.lowercase) != ("words", "spaces", False):
            raise ConfigError("tokenizer: chords are words between spaces; set level = words, breaks = spaces")
        if (self.subwords and self.level != "subwords") or (self.vocabulary and self.level == "subwords"):
            raise ConfigError("tokenizer: words and chars have a vocabulary, subwords a tokenizer of their own")
        wrong = next((each for each in self.vocabulary if not self._is_piece(each)), None)
        if wrong is not None or len(set(self.vocabulary)) < len(self.vocabulary):
            what = f"{wrong!r}, which is none of its {self.level}" if wrong is not None else "a word twice"
            raise ConfigError(f"tokenizer: the vocabulary has {what}; leave it empty to learn it with seqvae prepare")

    # -- shape ---------------------------------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        """The most tokens of a text, and its end."""
        return self.max_length + 1

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What tokens 2, 3, … are."""
        return subwords.vocabulary(self.subwords)[1:] if self.subwords else self.vocabulary

    @cached_property
    def alphabet(self) -> Alphabet:
        """The end, the unknown and the vocabulary."""
        return Alphabet(parts=(Part(UNITS[self.level], FIRST + len(self.names)),), end=END)

    @cached_property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (size,): True for all but the end, and for chords only."""
        mask: NDArray[np.bool_] = np.arange(self.alphabet.largest) != END
        if self.chords and chordwords.BAR in self._index:
            mask[self._index[chordwords.BAR]] = False
        return mask

    @cached_property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (variants, size): the text as it is; chords in twelve keys."""
        if self.chords:
            return chordwords.transpositions(self.vocabulary, FIRST, UNKNOWN)
        return np.arange(self.alphabet.largest)[None]

    @property
    def unknown(self) -> int:
        """The token for what the vocabulary has not."""
        return UNKNOWN

    @property
    def fitted(self) -> bool:
        """Whether the vocabulary is known."""
        return bool(self.vocabulary or self.subwords)

    def fit(self, items: Iterable[str]) -> TextTokenizer:
        """With the vocabulary of these texts, if the preset left it open.

        Raises:
            DataError: There is no text. ConfigError: The library that learns pieces of words is not installed.

        >>> TextTokenizer(limit=3).fit(["a dog", "a cat and a dog"]).vocabulary
        ('a', 'dog', 'and')
        """
        if self.fitted:
            return self
        texts = [plain for plain in map(self._plain, items) if plain]
        if not texts:
            raise DataError("there is no text to learn a vocabulary from; give files with a text a line")
        if self.level == "subwords":
            known = (text.replace(UNKNOWN_LETTER, " ") for text in texts)
            return replace(self, subwords=subwords.train(known, self.limit + 1, self.min_count))
        counts = Counter(piece for text in texts for piece in self._pieces(text))
        for shown in (UNKNOWN_WORD, UNKNOWN_LETTER):
            counts.pop(shown, None)
        kept = {piece: count for piece, count in counts.items() if count >= self.min_count}
        if not kept:
            raise DataError(f"no {UNITS[self.level]} occurs {self.min_count} times; lower tokenizer.min_count")
        if self.chords:
            return replace(self, vocabulary=tuple(chordwords.closed(kept, self.limit)))
        ranked = sorted(kept, key=lambda piece: (-kept[piece], piece))
        return replace(self, vocabulary=tuple(ranked[: self.limit]))

    def token_name(self, token: int, part: int = 0) -> str:
        """The word in quotes, `end` or `unknown`."""
        return "end" if token == END else "unknown" if token == UNKNOWN else repr(self.names[token - FIRST])

    def step_name(self, step: int) -> str:
        """Counted from 1: `word 3`."""
        return f"{UNITS[self.level]} {step + 1}"

    # -- files ---------------------------------------------------------------------------------------------------------

    @property
    def suffix(self) -> str:
        """Plain text."""
        return ".txt"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Plain text, tables and JSON lines."""
        return SUFFIXES

    def read(self, path: Path) -> str:
        """The first text of a file. Raises `ReadError` and `DataError`."""
        return self.read_all(path)[0]

    def read_all(self, path: Path) -> list[str]:
        """Every text of a file, empty ones left out; one empty text if all are. Raises `ReadError` and `DataError`."""
        return [text for text in self.read_lines(path) if text.strip()] or [""]

    def read_lines(self, path: Path) -> list[str]:
        """Every text of a file, empty ones too. Raises `ReadError` and `DataError`."""
        return read_texts(path, column=self.column, paragraphs=self.item == "paragraph")

    def line_key(self, item: str) -> bytes:
        """The text as it is cut into tokens; of chords, the same in every key."""
        plain = self._plain(item)
        if self.level == "words":
            plain = chordwords.beside_key(plain) if self.chords else " ".join(self._pieces(plain))
        return plain.encode()

    def parse(self, text: str) -> str:
        """The text itself; of chords without bars, one a bar.

        Raises:
            DataError: It is empty, or looks like a missing file.

        >>> TextTokenizer(chords=True, breaks="spaces").parse("C G Am F")
        'C | G | Am | F'
        """
        if Path(text).suffix.lower() in SUFFIXES and len(text.split()) == 1:
            raise DataError(f"{text}: no such file; give one that exists, or type a text between quotes")
        if not text.strip():
            raise DataError("the text is empty; type at least one word")
        words = text.split()
        return f" {chordwords.BAR} ".join(words) if self.chords and all(map(chordwords.is_chord, words)) else text

    def show(self, item: str) -> str:
        """The text as one line."""
        return " ".join(item.split())

    def write(self, item: str, path: Path, *, overwrite: bool) -> Path:
        """The text and a line end; as music where `path` ends in .mid and words are chords. Raises `WriteError`."""
        if path.suffix.lower() in (".mid", ".midi"):
            if not self.chords:
                raise DataError(f"{path}: only chords can be played, and this is a model of text; write a .txt")
            bars = item.replace(UNKNOWN_WORD, chordwords.NO_CHORD).replace("\n", f" {chordwords.BAR} ")
            return progression_clip(bars).save(path, overwrite=overwrite)
        return write_atomic(path, f"{item}\n".encode(), overwrite=overwrite)

    # -- windows -------------------------------------------------------------------------------------------------------

    def windows(self, item: str, track: str | None = None) -> Windows:
        """The text; nothing where it is empty, too long or mostly unknown."""
        ids, unknown = self._ids(self._plain(item))
        reason = ""
        if not ids:
            reason = "empty"
        elif len(ids) > self.max_length:
            reason = f"longer than {self.max_length} {self.level}"
        elif unknown > MOSTLY_UNKNOWN * len(ids):
            reason = f"mostly unknown {self.level}"
        rows = np.zeros((0 if reason else 1, self.length), np.int64)
        rows[:, : len(ids)] = ids if len(rows) else 0
        zeros = np.zeros(len(rows))
        skipped = {reason: 1} if reason else {}
        return Windows(tokens=rows, starts=zeros, track=zeros.astype(np.int64), skipped=skipped)

    def split(self, item: str, track: str | None = None) -> list[str]:
        """The text: it is its only window. Raises `DataError` if it is empty."""
        if not item.strip():
            raise DataError("the text is empty; give a line with at least one word")
        return [item]

    def join(self, items: Sequence[str]) -> str:
        """One a line."""
        return "\n".join(items)

    # -- tokens --------------------------------------------------------------------------------------------------------

    def encode(self, item: str) -> Tokens:
        """A text as tokens int64 (length,). An empty one is all 0.

        Raises:
            DataError: It is too long, or mostly unknown.
            ConfigError: The vocabulary is not learned yet.

        >>> TextTokenizer(max_length=5, vocabulary=("a", "dog", ".")).encode("a big dog.").tolist()
        [2, 1, 3, 4, 0, 0]
        """
        if not self.fitted:
            raise ConfigError("tokenizer: its vocabulary is not learned yet; seqvae prepare learns it from texts")
        ids, unknown = self._ids(self._plain(item))
        if len(ids) > self.max_length:
            found = f"{quoted(item)}: it has {len(ids):,} {self.level}"
            raise DataError(f"{found} and the model reads at most {self.max_length}; give a shorter text")
        if unknown > MOSTLY_UNKNOWN * len(ids):
            found = f"{quoted(item)}: {unknown} of its {len(ids)} {self.level} are unknown to the model"
            known = ", ".join(repr(name) for name in self.names[:6])
            raise DataError(f"{found}; it knows {len(self.names):,} of its training texts, such as {known}")
        return self._row(ids)

    def decode(self, tokens: Tokens, style: Any = None) -> str:
        """Tokens as a text of one line.

        >>> TextTokenizer(max_length=5, vocabulary=("a", "dog", ".")).decode(np.array([2, 3, 4, 0, 0, 0]))
        'a dog.'
        """
        row = self.canonical(tokens)
        return self._text(row[row != END].tolist())

    def canonical(self, tokens: Tokens) -> Tokens:
        """Nothing behind the end, which is there; of characters and pieces what encoding their text gives: (…, length).

        Spaces at a text's edges go, and pieces give way to the learned way to cut their text.
        """
        tokens = np.asarray(tokens, np.int64)
        ended: Tokens = np.where(np.logical_or.accumulate(tokens == END, axis=-1), END, tokens)
        ended[..., -1] = END
        if self.level == "words":
            return ended
        rows = [self._respelled(row[row != END].tolist()) for row in ended.reshape(-1, tokens.shape[-1])]
        return np.stack(rows).reshape(tokens.shape) if rows else ended

    def style(self, item: str) -> None:
        """Nothing: tokens say all."""
        return

    # -- inside --------------------------------------------------------------------------------------------------------

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: token for token, name in enumerate(self.names, FIRST)}

    def _plain(self, text: str) -> str:
        """A text in the one way that the vocabulary is learned from."""
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
        if self.lowercase:
            text = text.lower() if text.isascii() else unicodedata.normalize("NFC", text.lower())
        if self.level != "words":
            text = text.replace(UNKNOWN_WORD, UNKNOWN_LETTER).replace(subwords.SPACE, " ")
        words = text.split()
        return " ".join(map(chordwords.spell, words) if self.chords else words)

    def _is_piece(self, piece: str) -> bool:
        if self.level == "chars":
            return len(piece) == 1 and self._plain(f"_{piece}_") == f"_{piece}_"
        return self._pieces(self._plain(piece)) == [piece]

    def _pieces(self, plain: str) -> list[str]:
        if self.level == "chars":
            return list(plain)
        return plain.split() if self.breaks == "spaces" else split_words(plain)

    def _ids(self, plain: str) -> tuple[list[int], int]:
        """Tokens of a text, and how many of them are unknown without its saying so."""
        if self.level == "subwords":
            ids = [number + UNKNOWN for number in subwords.load(self.subwords).encode(plain).ids] if plain else []
            ids = ids[1:] if ids[:1] == [self._index.get(subwords.SPACE)] else ids  # a text begins a word anyway
            return ids, ids.count(UNKNOWN) - plain.count(UNKNOWN_LETTER)
        index, pieces = self._index, self._pieces(plain)
        ids = [index.get(piece, UNKNOWN) for piece in pieces]
        said = UNKNOWN_WORD if self.level == "words" else UNKNOWN_LETTER
        return ids, ids.count(UNKNOWN) - pieces.count(said)

    def _text(self, ids: Sequence[int]) -> str:
        if self.level == "words":
            words = [UNKNOWN_WORD if each == UNKNOWN else self.names[each - FIRST] for each in ids]
            return join_words(words) if self.breaks == "punctuation" else " ".join(words)
        letters = "".join(UNKNOWN_LETTER if each == UNKNOWN else self.names[each - FIRST] for each in ids)
        return self._plain(letters)

    def _row(self, ids: Sequence[int]) -> Tokens:
        row = np.zeros(self.length, np.int64)
        row[: len(ids)] = ids
        return row

    def _respelled(self, ids: list[int]) -> Tokens:
        """The tokens of what tokens say, as much of it as there is room for."""
        text = self._text(ids)
        again = self._ids(text)[0]
        while len(again) > self.max_length:  # the learned way to cut a text into pieces may need more of them
            text = self._plain(self._text(again[: self.max_length]))
            shorter = self._ids(text)[0]
            text = text[:-1] if len(shorter) > self.max_length else text
            again = self._ids(self._plain(text))[0]
        return self._row(again)
