"""Beam search: the likeliest whole sequence of z, where the likeliest token at each step need not lead."""

from __future__ import annotations

import torch
from torch import Tensor

from seqvae.decoder import Decoder, Unrolled
from seqvae.errors import ConfigError
from seqvae.recurrent import State


def beam_search(decoder: Decoder, z: Tensor, width: int, banned: Tensor | None = None) -> Tensor:
    """The likeliest sequence among those that keep to the `width` likeliest beginnings at every step.

    Width 1 takes the likeliest token at each step; a width of all possible beginnings finds the likeliest sequence of
    all. Scores are plain log-likelihoods, the end token's among them, with no bonus for length. Of equals the first in
    the order of the vocabulary wins, so the result never varies.

    Args:
        decoder: Of one part a step.
        z: float32 (batch, z).
        width: Beginnings that are kept.
        banned: bool (size,), tokens that are never chosen.

    Returns:
        int64 (batch, length), the likeliest found for each row.

    Raises:
        ConfigError: Steps have several parts, or the width is below 1.
    """
    alphabet = decoder.alphabet
    if len(alphabet.parts) > 1:
        raise ConfigError(f"beam search is for one part a step, and here are {len(alphabet.parts)}; leave --beam out")
    if width < 1:
        raise ConfigError(f"the beam's width is {width}; it must be 1 or more")
    batch, size = len(z), alphabet.largest
    unrolled = Unrolled(decoder, z.repeat_interleave(width, dim=0))
    states = [(h.repeat_interleave(width, dim=0), c.repeat_interleave(width, dim=0)) for h, c in decoder.states(z)]
    token = decoder.embedding.start.expand(batch * width)
    # At first all beginnings are the same empty one: only the first of each row counts.
    scores = torch.full((batch, width), -torch.inf, dtype=torch.float64, device=z.device)
    scores[:, 0] = 0.0
    tokens = torch.zeros(batch, width, decoder.length, dtype=torch.int64, device=z.device)
    ended = torch.zeros(batch, width, dtype=torch.bool, device=z.device)
    for t in range(decoder.length):
        outputs, states = unrolled.step(t, token, states)
        ways = scores[..., None] + _log_likelihoods(outputs, banned, ended, alphabet.end).view(batch, width, size)
        best, way = ways.view(batch, -1).sort(dim=-1, descending=True, stable=True)
        scores, way = best[:, :width], way[:, :width]
        parent = way // size
        states = _rows(states, parent)
        tokens = tokens.gather(1, parent[..., None].expand_as(tokens))
        tokens[..., t] = way % size
        token = tokens[..., t].flatten()
        if alphabet.end is not None:
            ended = ended.gather(1, parent) | (tokens[..., t] == alphabet.end)
            if bool(ended.all()):
                tokens[..., t:] = alphabet.end
                break
    return tokens[:, 0]


def _log_likelihoods(outputs: Tensor, banned: Tensor | None, ended: Tensor, end: int | None) -> Tensor:
    """ln p of each next token, float64 (rows, size); what has ended goes on with its end, at no cost."""
    if banned is not None:
        outputs = outputs.masked_fill(banned, -torch.inf)
    likelihoods = outputs.double().log_softmax(dim=-1)
    if end is None:
        return likelihoods
    on = torch.full_like(likelihoods[0], -torch.inf)
    on[end] = 0.0
    return torch.where(ended.flatten()[:, None], on, likelihoods)


def _rows(states: list[State], parent: Tensor) -> list[State]:
    """The states of the beginnings that go on: parent int64 (batch, width)."""
    batch, width = parent.shape
    rows = (torch.arange(batch, device=parent.device)[:, None] * width + parent).flatten()
    return [(hidden[rows], cell[rows]) for hidden, cell in states]
