"""What only text has: words matched with words. A word is what stands between blanks; n-grams are of words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from seqvae.attributes.base import ratio

BLEU_ORDER = 4
FIRST_WORDS = 3


def corpus_bleu(references: Sequence[str], candidates: Sequence[str]) -> float:
    """BLEU-4 of a corpus, 0 to 100, one reference each (Papineni et al. 2002); NaN if no reference has four words.

    The geometric mean of the precisions of 1- to 4-grams, pooled over the corpus, each n-gram counted at most as often
    as its reference has it, times the brevity penalty exp(1 − r/c) where the candidates are shorter in all. As
    sacrebleu with `tokenize="none"` and `smooth_method="none"`: 0 where no 4-gram is right.

    >>> round(corpus_bleu(["the cat sat on the mat"], ["the cat sat on a mat"]), 1)
    53.7
    """
    pairs = [(one.split(), other.split()) for one, other in zip(references, candidates, strict=True)]
    if not any(len(reference) >= BLEU_ORDER for reference, _ in pairs):
        return float("nan")
    log_precision = 0.0
    for order in range(1, BLEU_ORDER + 1):
        matched = total = 0
        for reference, candidate in pairs:
            given = _grams(candidate, order)
            matched += (given & _grams(reference, order)).total()
            total += given.total()
        if not matched:
            return 0.0
        log_precision += math.log(matched / total) / BLEU_ORDER
    wanted, given_words = (sum(map(len, side)) for side in zip(*pairs, strict=True))
    return 100.0 * math.exp(log_precision + min(0.0, 1.0 - wanted / given_words))


def _grams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[first:] for first in range(order)), strict=False))


def first_words_match(references: Sequence[str], candidates: Sequence[str]) -> float:
    """Share of the references with three words or more whose first three the candidate begins with."""
    firsts = [
        (one.split()[:FIRST_WORDS], other.split()[:FIRST_WORDS])
        for one, other in zip(references, candidates, strict=True)
    ]
    long = [(one, other) for one, other in firsts if len(one) == FIRST_WORDS]
    return ratio(sum(one == other for one, other in long), len(long))
