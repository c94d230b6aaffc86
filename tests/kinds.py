"""One small tokenizer of every kind, or several where settings change what it does, for the laws that all obey."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import strategies as st

from seqvae.config import ModelSettings, Preset
from seqvae.tokenizers import (
    DrumTokenizer,
    GrooveTokenizer,
    MelodyTokenizer,
    PartsTokenizer,
    RawTokenizer,
    TextTokenizer,
    Tokenizer,
    Tokens,
)

if TYPE_CHECKING:
    from seqvae.model import Model

TEXTS = [
    "A dog doesn't eat 3.5 (green) apples, does it?",
    'He said: "no", "maybe" – and [well-known] $5!',
    "नमस्ते दुनिया, “été” x̂ 😀 <unk> a\x7fb",
    "ab abc abcab bcab ab's a  b 'n' c",
]

KINDS: dict[str, Tokenizer] = {
    "melody": MelodyTokenizer(),
    "melody-jig": MelodyTokenizer(bars=1, meter="6/8", min_pitch=48, max_pitch=72, max_transpose=2),
    "drums": DrumTokenizer(),
    "groove": GrooveTokenizer(bars=1),
    "groove-hits": GrooveTokenizer(bars=1, control="hits"),
    "groove-tap": GrooveTokenizer(bars=1, control="tap"),
    "groove-humanize": GrooveTokenizer(bars=1, control="hits"),
    "groove-drumify": GrooveTokenizer(bars=1, control="tap"),
    "trio": PartsTokenizer(bars=1),
    "lead-sheet": PartsTokenizer(bars=1, parts=("chords", "melody")),
    "melody-given": PartsTokenizer(bars=1, given=("key", "chords", "label:mood=calm|wild"), parts=("melody",)),
    "raw-characters": RawTokenizer(length=8, vocabulary=(" ", '"', "a", "é", "\x7f", "😀")),
    "raw-spaces": RawTokenizer(symbols="spaces", length=7, vocabulary=("(", "+", "s", "sin", "sin(", "x", "[x]")),
    "raw-integers": RawTokenizer(symbols="integers", length=6, size=5),
    "text-words": TextTokenizer(max_length=7).fit(TEXTS),
    "text-spaces": TextTokenizer(max_length=6, breaks="spaces", lowercase=True).fit(TEXTS),
    "text-chars": TextTokenizer(max_length=9, level="chars").fit(TEXTS),
    "text-subwords": TextTokenizer(max_length=8, level="subwords", limit=80).fit(TEXTS),
    "text-chords": TextTokenizer(max_length=9, breaks="spaces", chords=True).fit(["C | A:min/b3 . | N (2/4)"]),
}

each_kind = pytest.mark.parametrize("kind", KINDS)


def random_tokens(tokenizer: Tokenizer, seed: int, empty: float = 0.4) -> Tokens:
    """Any tokens of the alphabet, sensible or not: int64 (time,) or (time, part); a share is 0."""
    rng = np.random.default_rng(seed)
    sizes = np.array([part.size for part in tokenizer.alphabet.parts]).reshape(tokenizer.alphabet.shape)
    tokens: Tokens = rng.integers(sizes, size=(tokenizer.length, *tokenizer.alphabet.shape))
    return np.where(rng.random(tokens.shape) < empty, 0, tokens)


def any_tokens(kind: str) -> st.SearchStrategy[Tokens]:
    """`random_tokens`, from full to empty."""
    amounts = st.sampled_from([0.0, 0.4, 0.9, 1.0])
    return st.builds(random_tokens, st.just(KINDS[kind]), st.integers(0, 2**32 - 1), amounts)


def equal(a: Any, b: Any) -> bool:
    """Whether two items of one kind are the same."""
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


@functools.cache
def untrained(kind: str, z_size: int = 4) -> tuple[Model, Tokens]:
    """A model that has learned nothing (with a `z_size` of 0 a language model), and a dozen random windows."""
    import torch

    from seqvae.checkpoint import SavedModel
    from seqvae.loading import from_saved
    from seqvae.vae import SequenceVAE

    tokenizer = KINDS[kind]
    sizes = {"embedding_size": 4, "encoder_size": 4, "pooling_size": 2, "readout_size": 4}
    net = ModelSettings(z_size=z_size, decoder_sizes=(8,), **sizes)
    torch.manual_seed(0)
    saved = SavedModel(
        name=kind,
        preset=Preset(name=kind, description="untrained", tokenizer=tokenizer, model=net),  # type: ignore[arg-type]
        weights={
            name: weight.numpy()
            for name, weight in SequenceVAE(tokenizer.alphabet, tokenizer.length, net).state_dict().items()
        },
        aggregate_mean=np.zeros(z_size, np.float32),
        aggregate_covariance=np.eye(z_size, dtype=np.float32),
        provenance={},
        licence="made up",
        card={},
    )
    rows = [tokenizer.canonical(random_tokens(tokenizer, seed)) for seed in range(12)]
    return from_saved(saved, name=kind), np.stack(rows)
