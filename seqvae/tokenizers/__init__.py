"""The kinds of sequence. One literal table; nothing registers itself."""

from seqvae.tokenizers.base import Tokenizer, Tokens, Windows
from seqvae.tokenizers.melody import MelodyTokenizer

TOKENIZERS = {"melody": MelodyTokenizer}

__all__ = ["TOKENIZERS", "MelodyTokenizer", "Tokenizer", "Tokens", "Windows"]
