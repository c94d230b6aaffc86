"""How many sequences a report card looks at: a core should be done with them in minutes, whatever their length."""

from __future__ import annotations

from typing import NamedTuple

from seqvae.tokenizers import Tokenizer

SHORT = 32  # steps of a sequence of which the most are looked at


class Amount(NamedTuple):
    """So many sequences of 32 steps and one part; of longer ones and of more parts fewer, but not less than `least`."""

    most: int
    least: int

    def of(self, tokenizer: Tokenizer) -> int:
        """How many sequences of this kind.

        >>> from seqvae.tokenizers import MelodyTokenizer
        >>> SAMPLES.of(MelodyTokenizer()), SAMPLES.of(MelodyTokenizer(bars=8)), SAMPLES.of(MelodyTokenizer(bars=32))
        (10000, 2500, 1000)
        """
        parts = sum(not part.given for part in tokenizer.alphabet.parts)
        return min(self.most, max(self.least, self.most * SHORT // (tokenizer.length * parts)))


ITEMS = Amount(8_192, 1_024)
SAMPLES = Amount(10_000, 1_000)
IW_ITEMS = Amount(512, 64)
