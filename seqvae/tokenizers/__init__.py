"""The kinds of sequence. One literal table; nothing registers itself."""

from typing import Annotated, Any

from pydantic import Field

from seqvae.tokenizers.base import Alphabet, Part, Tokenizer, Tokens, Windows, onsets
from seqvae.tokenizers.drums import DrumTokenizer
from seqvae.tokenizers.groove import GrooveTokenizer
from seqvae.tokenizers.melody import MelodyTokenizer
from seqvae.tokenizers.parts import PartsTokenizer
from seqvae.tokenizers.raw import RawTokenizer
from seqvae.tokenizers.text import TextTokenizer

TOKENIZERS: dict[str, type[Any]] = {
    "melody": MelodyTokenizer,
    "drums": DrumTokenizer,
    "groove": GrooveTokenizer,
    "parts": PartsTokenizer,
    "raw": RawTokenizer,
    "text": TextTokenizer,
}

AnyTokenizer = Annotated[
    MelodyTokenizer | DrumTokenizer | GrooveTokenizer | PartsTokenizer | RawTokenizer | TextTokenizer,
    Field(discriminator="kind"),
]

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
    "TextTokenizer",
    "Tokenizer",
    "Tokens",
    "Windows",
    "onsets",
]
