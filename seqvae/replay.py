"""Replay: batches of which a fixed share is older data, so that a model that learns new things forgets less of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.dataset import Batch, Sampler
from seqvae.tokenizers import Alphabet


class ReplaySampler(Sampler):
    """A sampler each of whose batches has the same share of replay: own windows first, then the replay's.

    Both kinds have epochs of their own. `state` is that of the own windows: where the replay's stand follows from it,
    since every batch has equally many of each.
    """

    def __init__(
        self,
        own: NDArray[np.integer[Any]],
        replay: NDArray[np.integer[Any]],
        alphabet: Alphabet,
        augmentations: NDArray[np.int64],
        batch_size: int,
        replayed: int,
        seed: int,
        state: tuple[int, int, int] | None = None,
    ) -> None:
        """As a `Sampler` of `own`, with `replayed` of `replay` in every batch of `batch_size`; some of both."""
        super().__init__(own, alphabet, augmentations, batch_size - replayed, seed, state)
        seed, epoch, index = self.state
        batches = (epoch * len(own) + index) // self.batch_size
        there = (seed + 1, *divmod(batches * replayed, len(replay)))
        self.replay = Sampler(replay, alphabet, augmentations, replayed, seed, there)

    def next(self) -> Batch:
        """The next batch, (own + replayed, time, …)."""
        own, again = super().next().tokens, self.replay.next().tokens
        time = max(own.shape[1], again.shape[1])
        # Sequences that end by themselves are cut at the longest of their part; the end is token 0.
        return Batch(np.concatenate([_filled(own, time), _filled(again, time)]))

    __next__ = next


def _filled(tokens: NDArray[np.int64], time: int) -> NDArray[np.int64]:
    return np.pad(tokens, ((0, 0), (0, time - tokens.shape[1]), *[(0, 0)] * (tokens.ndim - 2)))
