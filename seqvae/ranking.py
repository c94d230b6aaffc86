"""Ranking: the best of many items by what can be measured on them, no two alike, none copied from training.

Measures are put together by their ranks, so that semitones and shares weigh the same whatever their scale. Of what
ranks high, each item kept is the one with the best balance of its score and its distance to those kept before
(maximal marginal relevance, Carbonell and Goldstein 1998).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes import attribute_named, attributes_of
from seqvae.distances import WORD, Lines, edit_matrix, lines_of
from seqvae.errors import DataError, ReadError
from seqvae.fingerprints import copies, window_hashes
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

Measure = Callable[[Any], float]
"""Of one item; the more, the better it ranks. NaN ranks last."""

DIVERSE = 0.3
"""How much the distance to what is kept already counts against the score."""

MOST_WORK = 1 << 28
"""Words of 64 steps that are compared for `novelty`, which bounds its time; so many known windows are looked at."""

KEYS = ("novelty", "likeness:FILE", "likelihood")


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Items and how they rank.

    Attributes:
        items: Those kept, the best first.
        rows: Which of the items given they are, from 0.
        score: Of every item given, float64 (n,): the weighted mean of its ranks, 0 the last to 1 the first in all.
        measures: By name, of every item given: float64 (n,).
        copied: bool (n,), the items of which training had a window, as far as the model knows.
        dropped: How many were left out for that.
    """

    items: list[Any]
    rows: list[int]
    score: NDArray[np.float64]
    measures: dict[str, NDArray[np.float64]]
    copied: NDArray[np.bool_]
    dropped: int


def rank(
    model: Model,
    items: Sequence[Any],
    by: Sequence[str | Measure] = (),
    keep: int | None = None,
    *,
    diverse: float = DIVERSE,
    allow_copies: bool = False,
    known: Tokens | None = None,
) -> Ranking:
    """The best of some items, best first; of equal ones the second only where there is nothing else.

    Args:
        model: Whose kind of items these are; it knows which are copied from its training.
        items: Items of any length, such as samples.
        by: What ranks them, the mean of the ranks if there are several: an attribute of the kind (`density`),
            `novelty` (edit distance to the nearest known window in any transposition, 0 of a copy), `likeness:FILE`
            (1 − edit distance to the nearest window of a file, or of a text), `likelihood` (how sure the decoder is of
            an item at its own place in latent space, nats a step); or a function of an item. `-density`: the less, the
            better; `density*2`: counts twice. Nothing: all rank the same, and those that differ most are kept.
        keep: How many; all without.
        diverse: 0 keeps those with the best scores, 1 those that lie farthest apart.
        allow_copies: Keep also what training had.
        known: Windows for `novelty`, int64 (n, time) or (n, time, part); the model's held-out ones without.

    Raises:
        DataError: A measure is not known or has nothing to go by; every item is a copy; a number is out of range.
        ReadError: A file cannot be read.

    Example:
        >>> model = load("melody-2bar")  # doctest: +SKIP
        >>> best = rank(model, model.sample(500), by=["novelty", "density*2"], keep=10).items  # doctest: +SKIP
    """
    if not len(items) or (keep is not None and keep < 1) or not 0.0 <= diverse <= 1.0:
        found = f"{keep} of {len(items)} items are to be kept, diverse by {diverse:g}"
        raise DataError(f"{found}; give an item or more, keep 1 or more, and a number from 0 to 1")
    candidates = Candidates.of(model, items)
    keys = [_key(one) for one in by]
    measures = {key.name: key.measured(candidates, known) for key in keys}
    score = np.average(
        [np.full(len(items), 0.5), *(ranks(key.sign * measures[key.name]) for key in keys)],
        axis=0,
        weights=[0.0 if keys else 1.0, *(key.weight for key in keys)],
    )
    allowed = ~candidates.copied | allow_copies
    if not allowed.any():
        found = f"each of the {len(items):,} items is copied from what {model.name} was trained on"
        raise DataError(f"{found}; allow copies, or draw more, with a higher temperature")
    rows = _chosen(candidates, score, np.flatnonzero(allowed), keep, diverse)
    return Ranking(
        items=[items[row] for row in rows],
        rows=rows,
        score=score,
        measures=measures,
        copied=candidates.copied,
        dropped=int((~allowed).sum()),
    )


def copied(model: Model, items: Sequence[Any]) -> NDArray[np.bool_]:
    """Of which items training had a window, as it is or transposed: bool (n,); False where the model does not know.

    What the model knows are fingerprints: see `seqvae.fingerprints` for what is compared, and for the false alarms.
    """
    return Candidates.of(model, items).copied if len(items) else np.zeros(0, bool)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0, the least, to 1, the greatest; the mean of their ranks for equal ones; NaN counts as least of all."""
    if len(values) == 1:
        return np.ones(1)
    solid = np.where(np.isnan(values), -np.inf, values)
    _, inverse, counts = np.unique(solid, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2.0)[inverse] / (len(values) - 1))


# -- what is ranked ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """Items as a model's tokens.

    Attributes:
        model, items: As given.
        windows: Of all items, one after another: int64 (windows, time) or (windows, time, part).
        owner: Which item each window is of, int64 (windows,).
        lines: Each item as one line of symbols.
        known: Which windows training had, bool (windows,).
    """

    model: Model
    items: Sequence[Any]
    windows: Tokens
    owner: NDArray[np.int64]
    lines: Lines
    known: NDArray[np.bool_]

    @staticmethod
    def of(model: Model, items: Sequence[Any]) -> Candidates:
        """From one item or more. Raises `DataError` as `Model.passage`."""
        tokens = [tokens_of(model, item) for item in items]
        windows = np.concatenate(tokens)
        known = np.zeros(len(windows), bool)
        if model.fingerprints is not None:
            known = copies(model.tokenizer, model.fingerprints, windows).found
        return Candidates(
            model=model,
            items=items,
            windows=windows,
            owner=np.repeat(np.arange(len(items)), [len(one) for one in tokens]),
            lines=lines_of(tokens, model.tokenizer.alphabet),
            known=known,
        )

    @property
    def copied(self) -> NDArray[np.bool_]:
        """Items with a window that training had, bool (n,)."""
        return np.bincount(self.owner, self.known, len(self.items)) > 0

    def mean(self, of_windows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Over the windows of each item: float64 (windows,) → (n,)."""
        return np.asarray(np.bincount(self.owner, of_windows) / np.bincount(self.owner))


def tokens_of(model: Model, item: Any) -> Tokens:
    """The windows of an item: int64 (windows, time) or (windows, time, part). Raises `DataError` as `Model.passage`."""
    try:
        windows = model.tokenizer.split(item)
    except DataError:
        return model.passage(item).tokens  # a silent clip of the model's own is known by what it carries
    return np.stack([model.tokenizer.encode(window) for window in windows])


def _chosen(
    candidates: Candidates, score: NDArray[np.float64], allowed: NDArray[np.int64], keep: int | None, diverse: float
) -> list[int]:
    """The rows kept, by falling score; of equal scores by content, so that the order of the items plays no part."""
    content = window_hashes(candidates.lines.symbols)
    allowed = allowed[np.lexsort((content[allowed], -score[allowed]))]
    if keep is None or keep >= len(allowed):
        return [int(row) for row in allowed]
    lines, scores = candidates.lines[allowed], score[allowed]
    picked = [0]
    apart = np.full(len(allowed), np.inf)
    while len(picked) < keep:
        apart = np.minimum(apart, edit_matrix(lines[picked[-1:]], lines)[0])
        value = (1.0 - diverse) * scores + diverse * apart
        value[apart == 0.0] -= 2.0  # below all that is not there yet
        value[picked] = -np.inf
        picked.append(int(value.argmax()))
    return [int(allowed[place]) for place in sorted(picked)]


# -- by what -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Key:
    """One of the things that items are ranked by.

    Attributes:
        name: As given, without sign and weight.
        sign: 1 or −1.
        weight: Above 0.
        function: A measure of the caller's own, if it is one.
    """

    name: str
    sign: float = 1.0
    weight: float = 1.0
    function: Measure | None = None

    def measured(self, candidates: Candidates, known: Tokens | None) -> NDArray[np.float64]:
        """Of every item: float64 (n,). Raises `DataError`, `ReadError`."""
        kind, _, given = self.name.partition(":")
        function = self.function
        if function is None and kind == "novelty":
            return _novelty(candidates, candidates.model.held_out if known is None else known)
        if function is None and kind == "likeness" and given:
            return _likeness(candidates, given)
        if function is None and kind == "likelihood":
            return _likelihood(candidates)
        if function is None:
            tokenizer = candidates.model.tokenizer
            if self.name not in attributes_of(tokenizer):
                known_keys = ", ".join((*attributes_of(tokenizer), *KEYS))
                raise DataError(f"a {tokenizer.kind} item is not ranked by {self.name!r}; it is by {known_keys}")
            function = attribute_named(tokenizer, self.name).measure
        return np.array([function(item) for item in candidates.items], np.float64)


def _key(given: str | Measure) -> _Key:
    """From "density", "-density", "likeness:a.mid*2" or a function. Raises `DataError`."""
    if callable(given):
        return _Key(name=getattr(given, "__name__", "measure"), function=given)
    found = re.fullmatch(r"(-?)(.+?)(?:\*(\d+(?:\.\d+)?))?", given.strip())
    if found is None or (found[3] and not float(found[3])):
        raise DataError(f"{given!r} is nothing to rank by; give a name such as density, -density or density*2")
    return _Key(name=found[2], sign=-1.0 if found[1] else 1.0, weight=float(found[3] or 1.0))


def _novelty(candidates: Candidates, known: Tokens) -> NDArray[np.float64]:
    """Edit distance to the nearest known window in any variant, 0 of a copy; the mean over an item's windows."""
    model = candidates.model
    if not len(known):
        found = f"{model.name} holds no windows to be new against, as files of earlier versions do"
        raise DataError(f"{found}; give some (--data), or train it again")
    tokenizer = model.tokenizer
    own = lines_of(list(candidates.windows[:, None]), tokenizer.alphabet)
    steps = own.symbols.shape[1]
    most = max(1, MOST_WORK // (len(own) * steps * -(-steps // WORD) * len(tokenizer.augmentations)))
    some = known[np.linspace(0, len(known) - 1, min(len(known), most)).round().astype(int)].astype(np.int64)
    distance = np.ones(len(own))
    for variant in tokenizer.augmentations:
        varied = variant[np.arange(len(variant)), some] if some.ndim > 2 else variant[some]
        there = lines_of(list(varied[:, None]), tokenizer.alphabet)
        distance = np.minimum(distance, edit_matrix(own, there).min(axis=1))
    return candidates.mean(np.where(candidates.known, 0.0, distance))


def _likeness(candidates: Candidates, given: str) -> NDArray[np.float64]:
    """1 − edit distance of each window to the nearest of the file's; the mean over an item's windows."""
    model, path = candidates.model, Path(given)
    if not path.exists() and path.suffix.lower() in model.tokenizer.suffixes:
        raise ReadError(f"{path}: no such file; give likeness: a file that stands")
    like = model.tokenizer.read(path) if path.exists() else model.tokenizer.parse(given)
    alphabet = model.tokenizer.alphabet
    there = lines_of(list(tokens_of(model, like)[:, None]), alphabet)
    own = lines_of(list(candidates.windows[:, None]), alphabet)
    return candidates.mean(1.0 - edit_matrix(own, there).min(axis=1))


def _likelihood(candidates: Candidates) -> NDArray[np.float64]:
    """ln p(x | z at its posterior mean) over the steps that count, in nats (An and Cho 2015): the mean over windows.

    An item that the model would not say gets little of it, where the bound of ln p(x) mostly counts what happens in an
    item (docs/ranking.md).
    """
    from seqvae.evaluate.likelihood import teacher_forced

    model, windows = candidates.model, candidates.windows
    nll = teacher_forced(model, model.network.posterior(windows)[0], windows).nll
    return candidates.mean(-nll / model.tokenizer.alphabet.lengths(windows))
