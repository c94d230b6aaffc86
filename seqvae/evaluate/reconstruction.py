"""How much of an input its reconstruction keeps. On tokens; nothing here knows what they mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import ratio
from seqvae.tokenizers import Alphabet, Tokens, onsets


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Shares, each 0 to 1, or NaN where there is nothing to count.

    Attributes:
        tokens: Of all positions that count, those where the predicted token is the target's. An end token counts; what
            stands after the target's end, controls and numbers do not.
        onsets: Of the target's onset positions, those where the predicted token is the same onset (recall).
        onset_precision: Of the predicted onset positions, those where the target has the same onset. A model that
            strikes everywhere has a high recall and a low precision.
        onset_f1: Harmonic mean of the two.
        exact_match: Of all items, those that are equal at every position that counts.
    """

    tokens: float
    onsets: float
    onset_precision: float
    onset_f1: float
    exact_match: float


def accuracy(target: Tokens, predicted: Tokens, onset_mask: NDArray[np.bool_], alphabet: Alphabet) -> Accuracy:
    """Compares reconstructions with their targets.

    Args:
        target: int64 (n, time) or (n, time, part).
        predicted: int64, the same shape.
        onset_mask: bool (size,) or (part, largest), the tokenizer's.
        alphabet: The tokenizer's.

    >>> from seqvae.tokenizers import Part
    >>> mask = np.array([False, True, True])
    >>> alphabet = Alphabet(parts=(Part("melody", 3),))
    >>> found = accuracy(np.array([[1, 0, 2, 0]]), np.array([[1, 2, 0, 0]]), mask, alphabet)
    >>> found.tokens, found.onsets, found.onset_precision
    (0.5, 0.5, 0.5)
    """
    return _shares(target == predicted, alphabet.counted(target), *_struck(target, predicted, onset_mask, alphabet))


def part_accuracies(
    target: Tokens, predicted: Tokens, onset_mask: NDArray[np.bool_], alphabet: Alphabet
) -> dict[str, Accuracy]:
    """The same for each part that is judged, by its name; {} where a step has one part."""
    if not alphabet.shape:
        return {}
    arrays = (target == predicted, alphabet.counted(target), *_struck(target, predicted, onset_mask, alphabet))
    return {
        part.name: _shares(*(array[..., index] for array in arrays))
        for index, part in enumerate(alphabet.parts)
        if alphabet.judged[index]
    }


def _struck(
    target: Tokens, predicted: Tokens, onset_mask: NDArray[np.bool_], alphabet: Alphabet
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where onsets are in the target, and in the prediction: also after the target's end, where they are too many."""
    return onsets(onset_mask, target) & alphabet.judged, onsets(onset_mask, predicted) & alphabet.judged


def _shares(
    right: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    in_target: NDArray[np.bool_],
    in_predicted: NDArray[np.bool_],
) -> Accuracy:
    both = int((right & in_target).sum())
    return Accuracy(
        tokens=ratio((right & counted).sum(), counted.sum()),
        onsets=ratio(both, in_target.sum()),
        onset_precision=ratio(both, in_predicted.sum()),
        onset_f1=ratio(2 * both, in_target.sum() + in_predicted.sum()),
        exact_match=ratio((right | ~counted).reshape(len(right), -1).all(axis=1).sum(), counted.any() * len(right)),
    )
