"""How near a performance comes to the one that was played: velocity, timing, hits; and the baselines beside a model.

Errors are means of absolute differences, over the cells (step and class) that are struck in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqvae.evaluate.likelihood import free_running
from seqvae.latent import Z
from seqvae.tokenizers import GrooveTokenizer, Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

BLOCK = 256  # windows whose distances to all of train are held at once


@dataclass(frozen=True, kw_only=True)
class GrooveErrors:
    """How far one set of windows lies from another.

    Attributes:
        velocity: Mean absolute difference, of 127.
        timing_steps: Mean absolute difference, in steps of the grid.
        timing_ms: The same in milliseconds, at the windows' own tempi; NaN if those are not known.
        hit_f1: F1 of the hits: 1 where they are given.
        cells: Hits that the other figures are the mean over.
    """

    velocity: float
    timing_steps: float
    timing_ms: float
    hit_f1: float
    cells: int


def groove_errors(
    tokenizer: GrooveTokenizer,
    predicted: Tokens,
    played: Tokens,
    tempos_qpm: NDArray[np.float64] | None = None,
) -> GrooveErrors:
    """Compares windows, int64 (n, time, part) both; `tempos_qpm` is (n,), quarter notes a minute."""
    mine, true = predicted[..., tokenizer.hits] > 0, played[..., tokenizer.hits] > 0
    both = mine & true
    loud = np.abs(predicted[..., tokenizer.loudness] - played[..., tokenizer.loudness])[both]
    late = np.abs(predicted[..., tokenizer.timing] - played[..., tokenizer.timing])[both] / tokenizer.ticks_per_step
    milliseconds = np.full(len(late), np.nan)
    if tempos_qpm is not None:
        step_ms = 60_000 / tempos_qpm / tokenizer.steps_per_beat
        milliseconds = late * np.repeat(step_ms, both.sum(axis=(1, 2)))
    found = int(both.sum())
    return GrooveErrors(
        velocity=float(loud.mean()) if found else float("nan"),
        timing_steps=float(late.mean()) if found else float("nan"),
        timing_ms=float(milliseconds.mean()) if found else float("nan"),
        hit_f1=2 * found / max(1, int(mine.sum() + true.sum())),
        cells=found,
    )


# -- baselines: windows (n, time, part) with the hits of `played` ------------------------------------------------------


def quantised(tokenizer: GrooveTokenizer, train: Tokens, played: Tokens) -> Tokens:
    """Every hit on the grid, as loud as the mean of train."""
    loud = train[..., tokenizer.loudness]
    return tokenizer.straight(played, round(float(loud[loud > 0].mean())))


def usual(tokenizer: GrooveTokenizer, train: Tokens, played: Tokens) -> Tokens:
    """Every hit as loud and as late as train's are in the mean at that step of the bar and in that class."""
    bar = tokenizer.length // tokenizer.bars
    struck = train[..., tokenizer.hits] > 0
    made = tokenizer.straight(played)
    for numbers in (tokenizer.loudness, tokenizer.timing):
        values = train[..., numbers].reshape(-1, bar, struck.shape[-1])
        counts = struck.reshape(values.shape).sum(axis=0)
        overall = values.sum() / max(1, counts.sum())
        # A cell that is hardly ever struck leans on the mean of its class, and that on the mean of all.
        by_class = (values.sum(axis=(0, 1)) + 10 * overall) / (counts.sum(axis=0) + 10)
        means = (values.sum(axis=0) + 10 * by_class) / (counts + 10)
        made[..., numbers] = np.rint(np.tile(means, (tokenizer.bars, 1)))
    return tokenizer.canonical(made)


def nearest(tokenizer: GrooveTokenizer, train: Tokens, played: Tokens) -> Tokens:
    """The numbers of train's window with the most similar hits; where that has none, the usual ones."""
    near = train[_nearest(train[..., tokenizer.hits] > 0, played[..., tokenizer.hits] > 0)]
    made = usual(tokenizer, train, played)
    shared = (near[..., tokenizer.hits] > 0) & (played[..., tokenizer.hits] > 0)
    for numbers in (tokenizer.loudness, tokenizer.timing):
        made[..., numbers] = np.where(shared, near[..., numbers], made[..., numbers])
    return tokenizer.canonical(made)


def nearest_rhythm(tokenizer: GrooveTokenizer, train: Tokens, played: Tokens) -> Tokens:
    """Train's window with the most similar rhythm, whatever is struck: hits and all."""
    rhythms = [of[..., tokenizer.hits].max(axis=-1) > 0 for of in (train, played)]
    found = _nearest(*rhythms)
    return train[found]


def _nearest(train: NDArray[np.bool_], windows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each window the row of train at the least Hamming distance, the first of equals: int64 (n,)."""
    rows = train.reshape(len(train), -1).astype(np.float32)
    found = []
    for first in range(0, len(windows), BLOCK):
        some = windows[first : first + BLOCK].reshape(-1, rows.shape[1]).astype(np.float32)
        found.append((rows.sum(axis=1) - 2 * some @ rows.T).argmin(axis=1))
    return np.concatenate(found) if found else np.zeros(0, np.int64)


# -- models ------------------------------------------------------------------------------------------------------------


def performed(model: Model, played: Tokens, z: Z | None = None) -> Tokens:
    """What a model plays under the controls of `played`: with the aggregate posterior's mean, or z (n, z)."""
    vectors = np.repeat(model.aggregate.mean[None], len(played), axis=0) if z is None else z
    drawn = free_running(model, vectors.astype(np.float32), model.control_of(played))
    return model.tokenizer.canonical(drawn)
