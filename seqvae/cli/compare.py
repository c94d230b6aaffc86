"""How a reconstruction differs from its input, in shares and in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from seqvae.cli.common import talk

if TYPE_CHECKING:
    from seqvae.evaluate.reconstruction import Accuracy
    from seqvae.model import Model
    from seqvae.passage import Passage
    from seqvae.tokenizers import Tokenizer, Tokens

DIFFERENCES_SHOWN = 24


def compare(model: Model, given: Passage, made: Passage) -> dict[str, Any]:
    """Accuracies and differences between two passages of equally many windows, by part where a step has several.

    Onset accuracy is the share of the input's onsets (of text, words) that the reconstruction has at their step. What
    stands after the input's end, controls and numbers are not compared.
    """
    from seqvae.evaluate.reconstruction import accuracy, part_accuracies

    tokenizer = model.tokenizer
    against = (given.tokens, made.tokens, tokenizer.onset_mask, tokenizer.alphabet)
    parts = {name: _shares(found) for name, found in part_accuracies(*against).items()}
    return {
        **_shares(accuracy(*against)),
        **({"parts": parts} if parts else {}),
        "differences": differences(tokenizer, given.tokens, made.tokens),
    }


def _shares(found: Accuracy) -> dict[str, float]:
    """The two accuracies; 1 where there is nothing to compare."""
    shares = {"token_accuracy": found.tokens, "onset_accuracy": found.onsets}
    return {name: 1.0 if math.isnan(share) else share for name, share in shares.items()}


def differences(tokenizer: Tokenizer, given: Tokens, made: Tokens) -> list[dict[str, str]]:
    """Every position that counts and differs, in words: tokens (windows, time) or (windows, time, part)."""
    import numpy as np

    alphabet = tokenizer.alphabet
    lengths = alphabet.lengths(given)
    if alphabet.end is not None:
        lengths -= (given == alphabet.end).any(axis=1)
    firsts = np.cumsum(lengths) - lengths  # where each window begins in the whole
    found = []
    for at in np.argwhere((given != made) & alphabet.counted(given)):
        window, step, *rest = at.tolist()
        part = rest[0] if rest else 0
        where = tokenizer.step_name(int(firsts[window]) + step)
        found.append(
            {
                "where": f"{where} {alphabet.parts[part].name}" if rest else where,
                "input": tokenizer.token_name(int(given[tuple(at)]), part),
                "reconstruction": tokenizer.token_name(int(made[tuple(at)]), part),
            }
        )
    return found


def show_comparison(values: dict[str, Any]) -> None:
    """Says what `compare` found."""
    for name, shares in {"": values, **values.get("parts", {})}.items():
        prefix = f"{name}: " if name else ""
        talk(f"{prefix}tokens right {shares['token_accuracy']:.1%}, onsets right {shares['onset_accuracy']:.1%}")
    for one in values["differences"][:DIFFERENCES_SHOWN]:
        talk(f"  {one['where']}: {one['reconstruction']} instead of {one['input']}")
    if len(values["differences"]) > DIFFERENCES_SHOWN:
        talk(f"  and {len(values['differences']) - DIFFERENCES_SHOWN} more (--json lists all)")
