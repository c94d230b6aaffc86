"""Several simultaneous parts in one model: which track plays which, and their tokens side by side."""

from seqvae.tokenizers.parts.tokenizer import PartsStyle, PartsTokenizer

__all__ = ["PartsStyle", "PartsTokenizer"]
