"""The kinds of sequence. One literal table; nothing registers itself."""

from seqvae.tokenizers.base import Alphabet, Part, Tokenizer, Tokens, Windows, onsets
from seqvae.tokenizers.melody import MelodyTokenizer

TOKENIZERS = {"melody": MelodyTokenizer}

AnyTokenizer = MelodyTokenizer

__all__ = ["TOKENIZERS", "Alphabet", "AnyTokenizer", "MelodyTokenizer", "Part", "Tokenizer", "Tokens", "Windows", "onsets"]
