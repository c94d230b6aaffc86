"""What a network says of a step: a distribution over the tokens of each part, and draws from it.

Parts of one step are drawn in their order, and each sees those before it: its logits are shifted by a row for every
token already there, controls among them. The rest of the step (z, the past) is the features' affair.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqvae.embedding import StepEmbedding
from seqvae.errors import ConfigError
from seqvae.tokenizers import Alphabet

FIRST_SCALE = 0.1
"""Standard deviation of numbers before training, in parts of their range."""


class Block(NamedTuple):
    """Neighbouring parts of one size and sort, computed together. `columns` are theirs among the head's outputs."""

    first: int
    width: int
    size: int
    number: bool
    columns: slice


WIDE = 1024
"""Tokens from which on a vocabulary is large."""

LOOKED_AT = 512
"""Tokens of a large vocabulary among which a draw is looked for before all are sorted."""

ROUNDING = 1e-9
"""More than sums of a vocabulary's probabilities differ by when they are added in another order."""

CERTAIN = 1.0 - 1e-4
"""Below 1 by more than float32 rounds in a vocabulary's sum."""

WIDE_ROWS = 128
"""So many rows of a large vocabulary's outputs are a core's cache full."""


class StepHead(nn.Module):
    """Features to what each predicted part may be: logits of symbols, the mean of numbers before its sigmoid.

    Raises:
        ConfigError: It is to be tied to an embedding, and a step is more than one symbol.
    """

    _later: Tensor

    def __init__(self, features: int, alphabet: Alphabet, tied: StepEmbedding | None = None) -> None:
        super().__init__()
        predicted = blocks(alphabet)
        width = predicted[-1].columns.stop
        self.features = features
        linear = nn.Linear(features, width)
        self.bias = linear.bias
        self._tied = (tied,)  # in a tuple, so that its weights are not the head's own as well
        self.project: nn.Linear | None = None
        if tied is None:
            self.weight = linear.weight
        elif alphabet.shape:
            raise ConfigError("model.tied is for one symbol a step, and here a step has several parts; leave it out")
        else:
            self.project = nn.Linear(features, tied.embedding_dim, bias=False)
            nn.init.normal_(tied.weight, std=tied.embedding_dim**-0.5)
        self.alphabet = alphabet
        self.blocks = predicted
        self.coupling = StepEmbedding(alphabet, width) if alphabet.shape else None
        numbers = sum(block.width for block in predicted if block.number)
        self.log_scale = nn.Parameter(torch.full((numbers,), math.log(FIRST_SCALE))) if numbers else None
        if self.coupling is not None:
            nn.init.zeros_(self.coupling.weight)
            self.register_buffer("_later", _later(alphabet, predicted, width), persistent=False)

    def shifts(self) -> Tensor:
        """What each token adds to the outputs of later parts: (rows, width)."""
        assert self.coupling is not None
        return self.coupling.weight * self._later

    @property
    def rows(self) -> Tensor:
        """The weights from features to outputs: (width, features)."""
        return self.last if self.project is None else self.last @ self.project.weight

    @property
    def last(self) -> Tensor:
        """The last weights before the outputs, (width, n): of the embedding that it is tied to all but the start token.

        What they multiply is the features, or where the head is tied their projection.
        """
        (tied,) = self._tied
        return self.weight if tied is None else tied.weight[: len(self.bias)]

    def _factors(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What is multiplied, (…, n) and (width, n): an embedding's width is fewer than a vocabulary's."""
        return features if self.project is None else self.project(features), self.last

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Outputs (…, width), given the true tokens of the same steps, (…) or (…, part)."""
        outputs = nn.functional.linear(*self._factors(features), self.bias)
        if self.coupling is None:
            return outputs
        return outputs + self.coupling.look_up(self.shifts(), tokens)

    def nll(self, outputs: Tensor, tokens: Tensor) -> Tensor:
        """−ln p of each step in nats, all its parts, 0 after the end: (batch, time, width) → float32 (batch, time).

        A number is a Gaussian around the sigmoid of its output, with a learned width; its density is taken over a bin
        of 1 / (size − 1), so that the sum is in the same nats as that of symbols. It counts only where its gate does.
        """
        total = torch.zeros(tokens.shape[:2], device=outputs.device)
        for block in self.blocks:
            said, target = self._of(block, outputs).float(), self._targets(block, tokens)
            if block.number:
                scale = self._scale(block)
                error = (target / (block.size - 1) - said.sigmoid()) / scale
                each = 0.5 * error.square() + scale.log() + 0.5 * math.log(2 * math.pi) + math.log(block.size - 1)
                total = total + (each * self._struck(block, tokens)).sum(-1)
            else:
                each = nn.functional.cross_entropy(said.flatten(0, -2), target.flatten(), reduction="none")
                total = total + each.view(*tokens.shape[:2], block.width).sum(-1)
        return total * within(self.alphabet, tokens)

    def score(self, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """`nll`, and where the likeliest tokens are the true ones, of features: what a training step needs.

        A large vocabulary is not taken apart into outputs, a distribution and its logarithm, each as large as all
        steps times all words: see `_WideSoftmax`.

        Returns:
            float32 (batch, time), and bool of the shape of `tokens`.
        """
        if len(self.bias) < WIDE or self.coupling is not None:
            outputs = self(features, tokens)
            return self.nll(outputs, tokens), self.likeliest(outputs, tokens) == tokens
        vectors, weight = self._factors(features)
        device = vectors.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        given = (each.to(dtype) for each in (vectors.flatten(0, 1), weight, self.bias))
        nll, right = _WideSoftmax.apply(*given, tokens.flatten())  # type: ignore[no-untyped-call]
        return nll.view(tokens.shape) * within(self.alphabet, tokens), right.view(tokens.shape)

    def likeliest(self, outputs: Tensor, tokens: Tensor) -> Tensor:
        """The likeliest tokens, each part given the true ones before it; controls as given. The shape of `tokens`."""
        return self.draw(outputs, tokens, None, 0.0)

    def draw(self, outputs: Tensor, tokens: Tensor, uniform: Tensor | None, temperature: float) -> Tensor:
        """A token for each part given the true ones before it, at `uniform` (the shape of tokens) in [0, 1)."""
        drawn = tokens.clone()
        for block in self.blocks:
            said = self._of(block, outputs).float()
            numbers = None if uniform is None else self._targets(block, uniform)
            if block.number:
                chosen = self._round(block, said, numbers, temperature) * self._struck(block, drawn)
            else:
                flat = None if numbers is None else numbers.flatten()
                chosen = draw(said.flatten(0, -2), flat, temperature=temperature).view(said.shape[:-1])
            if self.alphabet.shape:
                drawn[..., block.first : block.first + block.width] = chosen
            else:
                drawn = chosen[..., 0]
        return drawn

    def pick(
        self,
        outputs: Tensor,
        given: Tensor | None,
        uniform: Tensor | None,
        *,
        shifts: Tensor | None,
        temperature: float,
        top_k: int = 0,
        top_p: float = 1.0,
        banned: Tensor | None = None,
    ) -> Tensor:
        """The tokens of one step, part after part, each seeing those before it.

        Args:
            outputs: (batch, width), what the features alone say.
            given: int64 (batch, controls), or None if there are none.
            uniform: (batch,) or (batch, part) in [0, 1), or None at temperature 0.
            shifts: What `shifts()` gives, None with one part: made once for all steps.
            temperature, top_k, top_p: As in `draw`.
            banned: bool (size,), tokens of the one part that are never drawn.

        Returns:
            int64 (batch,) or (batch, part).
        """
        if self.coupling is None or shifts is None:
            if banned is not None:
                outputs = outputs.masked_fill(banned, -torch.inf)
            return draw(outputs, uniform, temperature=temperature, top_k=top_k, top_p=top_p)
        tokens = torch.zeros(len(outputs), len(self.alphabet.parts), dtype=torch.int64, device=outputs.device)
        if given is not None:
            tokens[:, : self.blocks[0].first] = given
        for block in self.blocks:
            for part in range(block.first, block.first + block.width):
                # The zeros of parts yet to be drawn shift those after them alone.
                said = self._of(block, outputs + self.coupling.look_up(shifts, tokens))
                number = None if uniform is None else uniform[:, part]
                if block.number:
                    rounded = self._round(block, said, None if number is None else number[:, None], temperature)
                    tokens[:, part] = (rounded * self._struck(block, tokens))[:, part - block.first]
                else:
                    said = said[:, part - block.first]
                    tokens[:, part] = draw(said, number, temperature=temperature, top_k=top_k, top_p=top_p)
        return tokens

    def _of(self, block: Block, outputs: Tensor) -> Tensor:
        """The block's outputs: (…, width, size) of symbols, (…, width) of numbers."""
        own = outputs[..., block.columns]
        return own if block.number else own.view(*own.shape[:-1], block.width, block.size)

    def _targets(self, block: Block, values: Tensor) -> Tensor:
        """The block's parts of (…) or (…, part): (…, width)."""
        return values[..., block.first : block.first + block.width] if self.alphabet.shape else values[..., None]

    def _struck(self, block: Block, tokens: Tensor) -> Tensor:
        """Where the block's numbers count: bool (…, width)."""
        gates = [self.alphabet.parts[part].gate for part in range(block.first, block.first + block.width)]
        return tokens[..., gates] > 0

    def _scale(self, block: Block) -> Tensor:
        """Standard deviation of each number of the block: (width,)."""
        assert self.log_scale is not None
        numbers = [index for index, part in enumerate(self.alphabet.parts) if part.gate is not None]
        first = numbers.index(block.first)
        return self.log_scale[first : first + block.width].exp()

    def _round(self, block: Block, said: Tensor, uniform: Tensor | None, temperature: float) -> Tensor:
        """Numbers as tokens: the mean, or drawn around it."""
        value = said.float().sigmoid()
        if uniform is not None and temperature:
            spread = torch.special.ndtri(uniform.double().clamp(1e-7, 1 - 1e-7)).float()
            value = value + temperature * self._scale(block) * spread
        return (value.clamp(0.0, 1.0) * (block.size - 1)).round().long()


class _WideSoftmax(torch.autograd.Function):
    """−ln p of one token a row, under the softmax of vectors times weights, as one node.

    Over ten thousand words most of the time would go into passes over (rows, words) arrays in memory. Here a few rows
    at a time become exponentials while the cache has them, in the precision of the products; their sums scale the
    vectors and never the distribution. Which tokens are the likeliest is a by-product: of ties, which bfloat16
    makes now and then, each counts.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weight: Tensor, bias: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """vectors (n, width), weight (size, width), bias (size,), target int64 (n,) → float32 (n,) and bool (n,)."""
        exponentials = vectors.new_empty(len(vectors), len(weight))
        nll, right, totals = [], [], []
        count = WIDE_ROWS if vectors.device.type == "cpu" else len(vectors)
        for first in range(0, len(vectors), count):
            some, wanted, outputs = (each[first : first + count] for each in (vectors, target, exponentials))
            torch.addmm(bias, some, weight.t(), out=outputs)
            chosen = outputs.gather(1, wanted[:, None])[:, 0]
            top = outputs.amax(1)
            total = outputs.sub_(top[:, None]).exp_().sum(1, dtype=torch.float32)
            nll.append(total.log() + (top.float() - chosen.float()))
            right.append(chosen >= top)
            totals.append(total)
        ctx.save_for_backward(exponentials, torch.cat(totals), vectors, weight, target)
        rights = torch.cat(right)
        ctx.mark_non_differentiable(rights)
        return torch.cat(nll), rights

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        exponentials, totals, vectors, weight, target = ctx.saved_tensors
        grad = grads[0].to(vectors.dtype)[:, None]
        scale = (grads[0] / totals).to(vectors.dtype)[:, None]
        grad_vectors = scale * (exponentials @ weight) - grad * weight[target]
        grad_weight = (
            (exponentials.t() @ (scale * vectors)).float().index_add_(0, target, (grad * vectors).float(), alpha=-1)
        )
        grad_bias = (exponentials.t() @ scale)[:, 0].float().index_add_(0, target, grads[0].float(), alpha=-1)
        return grad_vectors, grad_weight.to(weight.dtype), grad_bias.to(weight.dtype), None


def blocks(alphabet: Alphabet) -> list[Block]:
    """The predicted parts, neighbours of one size and sort together."""
    found: list[Block] = []
    column = 0
    for index, part in enumerate(alphabet.parts):
        if part.given:
            continue
        number = part.gate is not None
        width = 1 if number else part.size
        last = found[-1] if found else None
        if last is not None and (last.size, last.number) == (part.size, number):
            columns = slice(last.columns.start, column + width)
            found[-1] = last._replace(width=last.width + 1, columns=columns)
        else:
            found.append(Block(index, 1, part.size, number, slice(column, column + width)))
        column += width
    return found


def within(alphabet: Alphabet, tokens: Tensor) -> Tensor:
    """True up to the end token, itself among them: (batch, time) or (batch, time, part) → bool (batch, time)."""
    if alphabet.end is None:
        return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    ended = (tokens == alphabet.end).long()
    return ended.cumsum(1) - ended == 0


def _later(alphabet: Alphabet, predicted: list[Block], width: int) -> Tensor:
    """1 where a token's row may shift an output, that is of a later part: (rows, width)."""
    part_of_column = torch.cat(
        [
            torch.arange(block.first, block.first + block.width).repeat_interleave(1 if block.number else block.size)
            for block in predicted
        ]
    )
    rows = [1 if part.gate is not None else part.size for part in alphabet.parts]
    part_of_row = torch.arange(len(rows)).repeat_interleave(torch.tensor(rows))
    assert len(part_of_column) == width
    return (part_of_row[:, None] < part_of_column[None, :]).float()


def draw(logits: Tensor, uniform: Tensor | None, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """One token for each row, by inverting the cumulative distribution at `uniform`; the likeliest at temperature 0.

    Args:
        logits: (batch, vocab).
        uniform: (batch,) in [0, 1), or None at temperature 0.
        temperature: Logits are divided by it.
        top_k: Draw among the k likeliest only; 0 for all.
        top_p: Draw among the likeliest that make up this probability only (nucleus).

    Returns:
        int64 (batch,).
    """
    if temperature == 0.0 or uniform is None:
        return logits.argmax(dim=-1)
    if logits.is_cuda:  # where to ask which rows are left takes longer than to draw them all
        return _ordered(logits, uniform, temperature, top_k, top_p)
    # The likeliest stands first in the order of `_inverted`: most draws of a trained network need no order.
    tokens = logits.argmax(dim=-1)
    rest = (~_is_likeliest(logits, uniform, temperature)).nonzero()[:, 0]
    if len(rest):
        tokens[rest] = _ordered(logits[rest], uniform[rest], temperature, top_k, top_p)
    return tokens


def _is_likeliest(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """Where it is certain that the likeliest token is drawn: bool (batch,). To cut the others makes it likelier."""
    apart = (logits - logits.amax(dim=-1, keepdim=True)).float() / temperature
    certain: Tensor = uniform * apart.exp().sum(dim=-1) < CERTAIN
    return certain


def _ordered(logits: Tensor, uniform: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    """As `_inverted`, without sorting all of a large vocabulary where that can be."""
    if top_k or top_p < 1.0 or logits.shape[-1] < WIDE:
        return _inverted(logits, uniform, temperature, top_k, top_p)
    # Sorting ten thousand words at each step takes longer than all else, and nearly all draws are among the likeliest.
    tokens, sure = _among_likeliest(logits, uniform, temperature)
    if not bool(sure.all()):
        tokens[~sure] = _inverted(logits[~sure], uniform[~sure], temperature)
    return tokens


def _among_likeliest(logits: Tensor, uniform: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """What `_inverted` draws, if it is certain without sorting all tokens: int64 (batch,) and bool (batch,).

    It is not where the token may be a less likely one, where another is just as likely, and where sums of another
    order may round to the other side.
    """
    values, order = logits.topk(LOOKED_AT + 1, dim=-1)
    top = values[:, :1].double() / temperature
    total = (logits.double() / temperature - top).exp().sum(dim=-1, keepdim=True)
    cumulative = (values.double() / temperature - top).exp().cumsum(dim=-1) / total
    target = uniform.double().unsqueeze(-1)
    rank = (cumulative <= target).sum(dim=-1, keepdim=True)
    within_reach = rank.clamp(max=LOOKED_AT - 1)
    tied = (values == values.gather(-1, within_reach)).sum(dim=-1) > 1
    clear = (cumulative - target).abs().amin(dim=-1) > ROUNDING
    return order.gather(-1, within_reach).squeeze(-1), (rank == within_reach).squeeze(-1) & clear & ~tied


def _inverted(logits: Tensor, uniform: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """As `draw`, above temperature 0."""
    # Sorted by likelihood, so that cutting the tail is cutting the end; ties keep the order of the vocabulary.
    scores, order = (logits.double() / temperature).sort(dim=-1, descending=True, stable=True)
    probabilities = scores.softmax(dim=-1)
    if top_k:
        probabilities[:, top_k:] = 0.0
    if top_p < 1.0:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    cumulative = probabilities.cumsum(dim=-1)
    target = uniform.double().unsqueeze(-1) * cumulative[:, -1:]
    kept = (probabilities > 0).sum(dim=-1, keepdim=True)  # a number that rounds up to 1 must not leave the kept ones
    rank = (cumulative <= target).sum(dim=-1, keepdim=True).minimum(kept - 1).clamp(min=0)
    return order.gather(-1, rank).squeeze(-1)
