"""Pieces of words: byte-pair encoding by Hugging Face `tokenizers` (the extra `seqvae[subwords]`).

The trained tokenizer is one JSON text, kept in the settings, so that a model needs nothing beside itself. A piece that
begins a word begins with a low line (U+2581); a character that was not met in training is the unknown token.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from seqvae.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Pieces

SPACE = "\u2581"
UNKNOWN_PIECE = "<unk>"


def train(texts: Iterable[str], size: int, min_count: int) -> str:
    """Learns at most `size` pieces, the unknown one among them, from texts. The same texts give the same JSON."""
    library = _library()
    model = library.models.BPE(unk_token=UNKNOWN_PIECE)
    pieces = library.Tokenizer(model)
    pieces.pre_tokenizer = library.pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    trainer = library.trainers.BpeTrainer(
        vocab_size=size, min_frequency=max(2, min_count), special_tokens=[UNKNOWN_PIECE], show_progress=False
    )
    pieces.train_from_iterator(texts, trainer)
    settings = json.loads(pieces.to_str())
    settings["added_tokens"] = []  # they would be searched for in texts
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":"))


@functools.lru_cache(maxsize=8)
def load(settings: str) -> Pieces:
    """The trained tokenizer. Raises `ConfigError` if `settings` is none, or the library is not installed."""
    try:
        pieces: Pieces = _library().Tokenizer.from_str(settings)
    except Exception as error:  # the library raises plain Exception
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"tokenizer.subwords is no tokenizer of Hugging Face's ({str(error)[:60]})") from None
    return pieces


@functools.lru_cache(maxsize=8)
def vocabulary(settings: str) -> tuple[str, ...]:
    """Its pieces, in the order of their numbers; the library is not needed. Raises `ConfigError`."""
    try:
        numbers: dict[str, int] = json.loads(settings)["model"]["vocab"]
        return tuple(sorted(numbers, key=lambda piece: numbers[piece]))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"tokenizer.subwords is no tokenizer of Hugging Face's ({str(error)[:60]})") from None


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError:
        found = "level = subwords needs the package tokenizers, which is not installed"
        raise ConfigError(f"{found}; run pip install 'seqvae[subwords]', or take words or chars") from None
    return tokenizers
