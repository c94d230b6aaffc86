"""A passage: an item of any length as a model sees it, and how two of unequal length are made to fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from seqvae.latent import Z
from seqvae.tokenizers import Tokens

Fit = Literal["loop", "pad", "cut"]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How tokens are drawn, beside the temperature.

    Attributes:
        top_k: Among the k likeliest only; 0 for all.
        top_p: Among the likeliest that make up this probability only (nucleus).
        banned: Tokens that are never drawn, where a step has one part.
        beam: Instead of drawing, the best of so many sequences looked at side by side; 0 for none.
    """

    top_k: int = 0
    top_p: float = 1.0
    banned: tuple[int, ...] = ()
    beam: int = 0


PLAIN = Decoding()
Join = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Passage:
    """An item of any length as a model sees it: consecutive windows.

    Attributes:
        item: The windows joined; of an item of the model's own, unchanged since, that one.
        windows: Each window as an item of its own.
        tokens: int64 (windows, time).
        z: float32 (windows, z).
        styles: What each window's tokens leave out.
        restored: True if z was read from the file, where seqvae had left it, and not computed from the notes.
    """

    item: Any
    windows: list[Any]
    tokens: Tokens
    z: Z
    styles: list[Any]
    restored: bool = False


def fit_passages(a: Passage, b: Passage, how: Fit, rest: Passage, join: Join) -> tuple[Passage, Passage]:
    """Two passages of equally many windows.

    Args:
        a, b: The passages.
        how: `loop` repeats the windows of the shorter one, `pad` lets it rest, `cut` shortens the longer one.
        rest: One window in which nothing happens.
        join: Joins windows, as `Tokenizer.join`.
    """
    count = min(len(a.z), len(b.z)) if how == "cut" else max(len(a.z), len(b.z))
    return _to_length(a, count, how, rest, join), _to_length(b, count, how, rest, join)


def _to_length(passage: Passage, count: int, how: Fit, rest: Passage, join: Join) -> Passage:
    have = len(passage.z)
    if have == count:
        return passage
    if how == "pad":
        missing = count - have
        windows = passage.windows + rest.windows * missing
        tokens = np.concatenate([passage.tokens, np.repeat(rest.tokens, missing, axis=0)])
        z = np.concatenate([passage.z, np.repeat(rest.z, missing, axis=0)])
        # A rest keeps the tempo and the instrument of what came before it.
        styles = passage.styles + passage.styles[-1:] * missing
    else:
        order = [index % have for index in range(count)]
        windows = [passage.windows[index] for index in order]
        tokens, z = passage.tokens[order], passage.z[order]
        styles = [passage.styles[index] for index in order]
    return Passage(item=join(windows), windows=windows, tokens=tokens, z=z, styles=styles, restored=passage.restored)


def content_hash(tokens: Tokens) -> str:
    """First 16 hex digits of the SHA-256 of tokens, as int64."""
    return hashlib.sha256(np.ascontiguousarray(tokens, np.int64).tobytes()).hexdigest()[:16]


def carried_z(item: Any, tokens: Tokens, model_hash: str, z_size: int) -> Z | None:
    """The z that an item of a model's carries, (windows, z), if its tokens are still those it was made of."""
    provenance = getattr(item, "provenance", None)
    if provenance is None or provenance.model_hash != model_hash or provenance.z.shape != (len(tokens), z_size):
        return None
    if not z_size:  # a language model's
        return None
    z: Z = provenance.z
    return z if provenance.content == content_hash(tokens) else None
