"""Which attributes a kind of sequence has, by name."""

from __future__ import annotations

from seqvae.attributes.base import Attribute
from seqvae.attributes.music import MELODIC
from seqvae.errors import DataError
from seqvae.tokenizers import Tokenizer


def attributes_of(tokenizer: Tokenizer) -> dict[str, Attribute]:
    """The attributes that are measured on items of a kind, by name."""
    if tokenizer.kind in ("melody", "parts", "drums", "groove"):
        return {attribute.name: attribute for attribute in MELODIC}
    return {}


def attribute_named(tokenizer: Tokenizer, name: str) -> Attribute:
    """One attribute.

    Raises:
        DataError: The kind has none of that name.
    """
    known = attributes_of(tokenizer)
    if name not in known:
        raise DataError(f"a {tokenizer.kind} has no attribute {name!r}; it has {', '.join(known) or 'none'}")
    return known[name]
