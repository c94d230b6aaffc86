"""The kinds of sequence. One literal table; nothing registers itself."""

from typing import Annotated, Any

from pydantic import Field

from seqvae.tokenizers.base import Alphabet, Part, Tokenizer, Tokens, Windows, onsets
from seqvae.tokenizers.melody import MelodyTokenizer
from seqvae.tokenizers.raw import RawTokenizer

TOKENIZERS: dict[str, type[Any]] = {"melody": MelodyTokenizer, "raw": RawTokenizer}

AnyTokenizer = Annotated[MelodyTokenizer | RawTokenizer, Field(discriminator="kind")]

__all__ = [
    "TOKENIZERS",
    "Alphabet",
    "AnyTokenizer",
    "MelodyTokenizer",
    "Part",
    "RawTokenizer",
    "Tokenizer",
    "Tokens",
    "Windows",
    "onsets",
]
