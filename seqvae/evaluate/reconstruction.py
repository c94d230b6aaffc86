"""How much of an input its reconstruction keeps. On tokens; nothing here knows what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.tokenizers import Tokens


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Shares, each 0 to 1, or NaN where there is nothing to count.

    Attributes:
        tokens: Of all positions, those where the predicted token is the target's.
        onsets: Of the target's onset positions, those where the predicted token is the same onset (recall).
        onset_precision: Of the predicted onset positions, those where the target has the same onset. A model that
            strikes everywhere has a high recall and a low precision.
        onset_f1: Harmonic mean of the two.
        exact_match: Of all items, those that are equal at every position.
    """

    tokens: float
    onsets: float
    onset_precision: float
    onset_f1: float
    exact_match: float


def accuracy(target: Tokens, predicted: Tokens, onset_mask: NDArray[np.bool_]) -> Accuracy:
    """Compares reconstructions with their targets.

    Args:
        target: int64 (n, time).
        predicted: int64 (n, time).
        onset_mask: bool (vocab,), the tokenizer's.

    >>> mask = np.array([False, True, True])
    >>> found = accuracy(np.array([[1, 0, 2, 0]]), np.array([[1, 2, 0, 0]]), mask)
    >>> found.tokens, found.onsets, found.onset_precision
    (0.5, 0.5, 0.5)
    """
    right = target == predicted
    in_target, in_predicted = onset_mask[target], onset_mask[predicted]
    both = int((right & in_target).sum())
    return Accuracy(
        tokens=ratio(right.sum(), right.size),
        onsets=ratio(both, in_target.sum()),
        onset_precision=ratio(both, in_predicted.sum()),
        onset_f1=ratio(2 * both, in_target.sum() + in_predicted.sum()),
        exact_match=ratio(right.reshape(len(right), -1).all(axis=1).sum(), len(right)),
    )


def ratio(part: Any, whole: Any) -> float:
    """part / whole, or NaN of nothing."""
    return float(part) / float(whole) if whole else float("nan")
