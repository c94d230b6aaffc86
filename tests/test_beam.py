"""Beam search: as wide as all sequences it is exhaustive, of width 1 it is greedy, and wider is never worse."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.beam import beam_search
from seqvae.config import ModelSettings
from seqvae.decoder import Decoder, Drawing
from seqvae.errors import ConfigError
from seqvae.tokenizers import Alphabet, Part
from seqvae.vae import SequenceVAE

SIZE, LENGTH = 3, 4
ENDING = Alphabet(parts=(Part("symbol", SIZE),), end=0)
FIXED = Alphabet(parts=(Part("symbol", SIZE),))
each_alphabet = pytest.mark.parametrize("alphabet", [ENDING, FIXED], ids=["ending", "fixed"])


def make(alphabet: Alphabet, seed: int, readout: str = "positional") -> SequenceVAE:
    torch.manual_seed(seed)
    chosen = ModelSettings(
        embedding_size=4,
        encoder_size=4,
        z_size=3,
        decoder_sizes=(5, 4),
        readout=readout,
        readout_size=3,  # type: ignore[arg-type]
    )
    vae = SequenceVAE(alphabet, LENGTH, chosen).double().eval()
    with torch.no_grad():
        for weight in vae.decoder.parameters():
            weight.mul_(4.0)  # sharp and tangled: greedy is often wrong
    return vae


def latents(seed: int, rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def score(vae: SequenceVAE, z: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return -vae.head.nll(vae.logits(z, tokens), tokens).sum(dim=1)


def flat(vae: SequenceVAE) -> Decoder:
    assert isinstance(vae.decoder, Decoder)
    return vae.decoder


def every_sequence(alphabet: Alphabet) -> torch.Tensor:
    found = {tuple(row) for row in itertools.product(range(SIZE), repeat=LENGTH)}
    if alphabet.end is not None:
        found = {row for row in found if 0 not in row or not any(row[row.index(0) :])}
    return torch.tensor(sorted(found))


@each_alphabet
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), banned=st.sampled_from([None, 1, 2]))
def test_wide_enough_it_is_exhaustive(alphabet: Alphabet, seed: int, banned: int | None) -> None:
    vae, z = make(alphabet, seed), latents(seed)
    mask = None if banned is None else torch.arange(SIZE) == banned
    everything = every_sequence(alphabet)
    if banned is not None:
        everything = everything[(everything != banned).all(dim=1)]
    with torch.no_grad():
        found = beam_search(flat(vae), z, SIZE**LENGTH, mask)
    for row in range(len(z)):
        allowed = score_without(vae, z[row : row + 1], everything, mask)
        assert found[row].tolist() == everything[allowed.argmax()].tolist()


def score_without(
    vae: SequenceVAE, z: torch.Tensor, sequences: torch.Tensor, banned: torch.Tensor | None
) -> torch.Tensor:
    """ln p of each sequence when banned tokens are out of the question: the slow way."""
    with torch.no_grad():
        logits = vae.logits(z.expand(len(sequences), -1), sequences)
    if banned is not None:
        logits = logits.masked_fill(banned, -torch.inf)
    each = logits.log_softmax(-1).gather(-1, sequences[..., None])[..., 0]
    if vae.alphabet.end is not None:
        ended = (sequences == vae.alphabet.end).long()
        each = each * (ended.cumsum(1) - ended == 0)
    return each.sum(dim=1)


@each_alphabet
@pytest.mark.parametrize("readout", ["shared", "positional"])
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), banned=st.sampled_from([None, 0, 2]))
def test_width_one_is_greedy(alphabet: Alphabet, readout: str, seed: int, banned: int | None) -> None:
    vae, z = make(alphabet, seed, readout), latents(seed)
    mask = None if banned is None else torch.arange(SIZE) == banned
    with torch.no_grad():
        greedy = vae.generate(z, how=Drawing(banned=mask))
        assert torch.equal(beam_search(flat(vae), z, 1, mask), greedy)


@each_alphabet
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_the_widest_is_at_least_as_likely_as_any(alphabet: Alphabet, seed: int) -> None:
    vae, z = make(alphabet, seed), latents(seed)
    with torch.no_grad():
        scores = torch.stack([score(vae, z, beam_search(flat(vae), z, width)) for width in (1, 2, 5, SIZE**LENGTH)])
    assert (scores[-1] >= scores - 1e-5).all()


@each_alphabet
def test_batch_is_single_and_again_is_the_same(alphabet: Alphabet) -> None:
    vae, z = make(alphabet, 5), latents(5, rows=6)
    with torch.no_grad():
        found = beam_search(flat(vae), z, 3)
        assert torch.equal(found, beam_search(flat(vae), z, 3))
        for row in range(len(z)):
            assert torch.equal(beam_search(flat(vae), z[row : row + 1], 3)[0], found[row])


def test_greedy_is_misled_and_the_beam_is_not() -> None:
    seeds = [seed for seed in range(40) if differs(seed)]
    assert len(seeds) > 3, "the cases above can tell the two apart"


def differs(seed: int) -> bool:
    vae, z = make(ENDING, seed), latents(seed)
    with torch.no_grad():
        return not torch.equal(beam_search(flat(vae), z, 9), vae.generate(z))


def test_what_cannot_be_searched() -> None:
    several = Alphabet(parts=(Part("a", 3), Part("b", 3)))
    vae = SequenceVAE(several, LENGTH, ModelSettings(encoder_size=4, z_size=3, decoder_sizes=(4,)))
    with pytest.raises(ConfigError, match="one part a step, and here are 2"):
        beam_search(flat(vae), torch.zeros(1, 3), 2)
    with pytest.raises(ConfigError, match="width is 0"):
        beam_search(flat(make(FIXED, 0)), latents(0), 0)
