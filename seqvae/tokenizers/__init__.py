"""The kinds of sequence. One literal table; nothing registers itself."""

from typing import Annotated, Any

from pydantic import Field

from seqvae.tokenizers.base import Alphabet, Part, Tokenizer, Tokens, Windows, onsets
from seqvae.tokenizers.drums import DrumTokenizer
from seqvae.tokenizers.groove import GrooveTokenizer
from seqvae.tokenizers.melody import MelodyTokenizer
from seqvae.tokenizers.parts import PartsTokenizer
from seqvae.tokenizers.raw import RawTokenizer

TOKENIZERS: dict[str, type[Any]] = {
    "melody": MelodyTokenizer,
    "drums": DrumTokenizer,
    "groove": GrooveTokenizer,
    "parts": PartsTokenizer,
    "raw": RawTokenizer,
}

AnyTokenizer = Annotated[MelodyTokenizer | DrumTokenizer | GrooveTokenizer | PartsTokenizer | RawTokenizer, Field(discriminator="kind")]

__all__ = [
    "TOKENIZERS",
    "Alphabet",
    "AnyTokenizer",
    "DrumTokenizer",
    "GrooveTokenizer",
    "MelodyTokenizer",
    "Part",
    "PartsTokenizer",
    "RawTokenizer",
    "Tokenizer",
    "Tokens",
    "Windows",
    "onsets",
]
