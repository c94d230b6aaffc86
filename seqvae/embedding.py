"""What a step's tokens look like to a network: one vector, the sum over its parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqvae.tokenizers import Alphabet


class StepEmbedding(nn.Embedding):
    """A row for each token of each symbol part; one row for each number part, scaled by the number where it counts.

    Example:
        >>> from seqvae.tokenizers import Part
        >>> two = Alphabet(parts=(Part("hit", 2), Part("velocity", 128, gate=0)))
        >>> StepEmbedding(two, 8)(torch.tensor([[[1, 90], [0, 0]]])).shape
        torch.Size([1, 2, 8])
    """

    _firsts: Tensor
    _scales: Tensor
    _gate_sizes: Tensor

    def __init__(self, alphabet: Alphabet, size: int, *, with_start: bool = False) -> None:
        """`with_start` gives every symbol part one more token, its size: what is read before the first step."""
        rows = [1 if part.gate is not None else part.size + with_start for part in alphabet.parts]
        super().__init__(sum(rows), size)
        self.alphabet = alphabet
        firsts = [sum(rows[:index]) for index in range(len(rows))]
        self.symbols = [index for index, part in enumerate(alphabet.parts) if part.gate is None]
        self.numbers = [index for index, part in enumerate(alphabet.parts) if part.gate is not None]
        self.gates = [part.gate for part in alphabet.parts if part.gate is not None]
        self.number_rows = [firsts[index] for index in self.numbers]
        scales = [1.0 / (alphabet.parts[index].size - 1) for index in self.numbers]
        sizes = [alphabet.parts[gate].size for gate in self.gates]
        self.register_buffer("_firsts", torch.tensor([firsts[index] for index in self.symbols]), persistent=False)
        self.register_buffer("_scales", torch.tensor(scales), persistent=False)
        self.register_buffer("_gate_sizes", torch.tensor(sizes), persistent=False)

    @property
    def start(self) -> Tensor:
        """The start token of each part (0 for numbers): int64 () or (parts,)."""
        tokens = torch.zeros(len(self.alphabet.parts), dtype=torch.int64, device=self.weight.device)
        for index in self.symbols:
            tokens[index] = self.alphabet.parts[index].size
        return tokens.view(self.alphabet.shape)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens int64 (…) or (…, part) → (…, size)."""
        return self.look_up(self.weight, tokens)

    def look_up(self, rows: Tensor, tokens: Tensor) -> Tensor:
        """The same on rows that are linear images of `weight`: (rows, width) → (…, width)."""
        if not self.alphabet.shape:
            return nn.functional.embedding(tokens, rows)
        indices = (tokens[..., self.symbols] + self._firsts).flatten(0, -2)
        found = nn.functional.embedding_bag(indices, rows, mode="sum").view(*tokens.shape[:-1], -1)
        if self.numbers:
            gates = tokens[..., self.gates]
            struck = (gates > 0) & (gates < self._gate_sizes)  # a start token is no hit
            values = tokens[..., self.numbers] * self._scales * struck
            found = found + values.to(rows.dtype) @ rows[self.number_rows]
        return found
