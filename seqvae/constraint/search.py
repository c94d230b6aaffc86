"""Items that meet conditions: drawn, moved in latent space where that pays, decoded, measured and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqvae.constraint.conditions import Condition, Examples, Values, conditions_of, in_words, read_values
from seqvae.constraint.where import Asked, wheres_of
from seqvae.errors import DataError
from seqvae.latent import Z
from seqvae.model import SAMPLE_TEMPERATURE, Model, Prior
from seqvae.passage import PLAIN, Decoding, Passage
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.constraint.critic import Critic

By = Literal["auto", "rejection", "gradient", "actor"]
WAYS: tuple[By, ...] = ("auto", "rejection", "gradient", "actor")

BATCH = 128
"""Candidates that are decoded together, always as many, so that an item does not depend on how many are wanted."""

PILOT = 512
"""Plain samples whose quarters are the high and the low ones."""

LEARN = 2_048
"""Plain samples that networks are trained on."""

MOST_EXAMPLES = 2_048
"""Windows of data that are looked at."""

MOST_TRIED = 4_096
MOST_TRIED_EACH = 64
"""So many candidates are decoded at most, or so many for each item that is asked for, if that is more."""

FEW_VALUES = 16
"""Of plain samples on which something is known; fewer teach a critic nothing."""


@dataclass(kw_only=True, eq=False)
class Tally:
    """How many were decoded and how many of them met the conditions."""

    tried: int = 0
    met: int = 0

    @property
    def share(self) -> float:
        """Met over tried; NaN of nothing."""
        return self.met / self.tried if self.tried else float("nan")

    def add(self, met: NDArray[np.bool_]) -> None:
        """Counts some more."""
        self.tried += len(met)
        self.met += int(met.sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Candidates, decoded and measured: passages, and float64 (n, conditions)."""

    passages: list[Passage]
    values: Values


@dataclass(frozen=True, kw_only=True)
class How:
    """How items are drawn, as in `Model.sample`."""

    seed: int = 0
    prior: Prior = "aggregate"
    temperature: float = SAMPLE_TEMPERATURE
    style: Any = None
    control: Tokens | None = None
    decoding: Decoding = PLAIN


class Search:
    """Looks for items of a model that meet conditions.

    Every item that it gives was decoded, measured and found to meet them all. The k-th is the same however many are
    taken, and the same for the same seed.

    Three ways, and `auto`:

    - `rejection`: plain samples; those that meet the conditions are kept. The truest, and slow where few do.
    - `gradient`: plain draws of z are moved by gradient ascent under a critic of the conditions.
    - `actor`: they are moved by a network that is trained under critics of the conditions and of realism.
    - `auto`: rejection among as many plain samples as networks are trained on anyway; where these do not hold enough,
      gradient, if more of its first candidates meet the conditions than of the plain samples.

    Attributes:
        conditions: With their ranges, once something was taken.
        plain, moved: How many of the plain samples, and of those moved, met the conditions.

    Example:
        >>> search = Search(load("melody-2bar"), {"density": "high"}, how=How(seed=1))  # doctest: +SKIP
        >>> [passage.item for passage in search.take(8)]  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model,
        where: Asked,
        *,
        by: By = "auto",
        how: How | None = None,
        examples: Examples | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        if by not in WAYS:
            raise DataError(f"{by!r} is no way to meet conditions; use one of {', '.join(WAYS)}")
        self.model, self.by, self.how = model, by, how or How()
        self.conditions: tuple[Condition, ...] = conditions_of(model, wheres_of(where), examples)
        self.examples = _some(examples)
        self.plain, self.moved = Tally(), Tally()
        self._tell = tell or (lambda _: None)
        self._draws = 0
        self._found: list[Passage] = []
        self._stream = self._candidates()

    def take(self, n: int) -> list[Passage]:
        """The first n that meet the conditions.

        Raises:
            DataError: So many were not found among as many candidates as are tried at most.
        """
        if n < 1:
            raise DataError(f"{n} samples are asked for; ask for 1 or more")
        most = max(MOST_TRIED, MOST_TRIED_EACH * n)
        while len(self._found) < n:
            if self.plain.tried + self.moved.tried >= most:
                raise DataError(self._too_few(n))
            self._found += next(self._stream)
        return self._found[:n]

    # -- inside --------------------------------------------------------------------------------------------------------

    def _candidates(self) -> Iterator[list[Passage]]:
        """Batches of candidates, of each those that meet the conditions."""
        waiting = self._settle()
        if self.by in ("rejection", "auto"):
            learned = list(waiting)
            for drawn in waiting:
                yield self._met(drawn, self.plain)
            while self.by == "rejection" or self.plain.tried < LEARN:
                drawn = self._draw()
                learned += [drawn] * (self.by == "auto")
                yield self._met(drawn, self.plain)
        else:
            learned = waiting
            while sum(len(drawn.passages) for drawn in learned) < LEARN:
                learned.append(self._draw())
            for drawn in learned:
                self._met(drawn, self.plain)
        mover = self._mover(learned)
        learned = []
        while True:
            worse = self.by == "auto" and self.moved.tried and self.moved.share <= self.plain.share
            yield self._met(self._draw(None if worse else mover), self.plain if worse else self.moved)

    def _settle(self) -> list[Drawn]:
        """Gives high, low and middle their ranges; of the examples, or of the first plain samples, which it returns."""
        if not any(condition.relative for condition in self.conditions):
            return []
        pilot = []
        if self.examples is not None:
            values, name = self._of_examples(self.examples)[2], self.examples.name
        else:
            pilot = [self._draw() for _ in range(PILOT // BATCH)]
            values = np.concatenate([drawn.values for drawn in pilot])
            name = f"{len(values):,} plain samples of {self.model.name}"
        self.conditions = tuple(
            condition.settled(values[:, index], name) for index, condition in enumerate(self.conditions)
        )
        return pilot

    def _draw(self, mover: Any = None) -> Drawn:
        """The next batch, where a mover says."""
        how = self.how
        seed = int(np.random.SeedSequence((how.seed, 20, self._draws)).generate_state(1)[0])
        self._draws += 1
        z = self.model.draw(BATCH, prior=how.prior, seed=seed)
        return decoded(self.model, z if mover is None else mover(z), self.conditions, how, seed)

    def _met(self, drawn: Drawn, tally: Tally) -> list[Passage]:
        """Those of a batch that meet all conditions, and in which something happens."""
        met = np.ones(len(drawn.passages), bool)
        for index, condition in enumerate(self.conditions):
            met &= condition.holds(drawn.values[:, index])
        if self.model.tokenizer.alphabet.judged.any():
            met &= [self.model.happens(passage.tokens) for passage in drawn.passages]
        tally.add(met)
        return [drawn.passages[row] for row in np.flatnonzero(met)]

    def _mover(self, learned: Sequence[Drawn]) -> Any:
        """Trains the networks: what moves draws of z, float32 (n, z) → (n, z)."""
        from seqvae.constraint.critic import climb, fit_actor

        plain = f"{in_words(self.conditions)}: {self.plain.met:,} of {self.plain.tried:,} plain samples meet it"
        self._tell(f"{plain}; networks are trained on them, which takes seconds")
        critic, means, stds = self._critic(learned)
        if self.by != "actor":
            return lambda z: climb(critic, z)
        real = self._real()
        return fit_actor(critic, *((means, stds) if real is None else real), seed=self.how.seed).move

    def _critic(self, learned: Sequence[Drawn]) -> tuple[Critic, Z, Z]:
        """A critic of the conditions, and the posteriors that it was trained on."""
        from seqvae.constraint.critic import fit_critic

        tokens = np.concatenate([passage.tokens for drawn in learned for passage in drawn.passages])
        windows = [len(passage.tokens) for drawn in learned for passage in drawn.passages]
        values = np.repeat(np.concatenate([drawn.values for drawn in learned]), windows, axis=0)
        means, stds = self.model.network.posterior(tokens)
        if self.examples is not None:
            more = self._of_examples(self.examples)
            means, stds = np.concatenate([means, more[0]]), np.concatenate([stds, more[1]])
            values = np.concatenate([values, more[2]])
        for condition, column in zip(self.conditions, values.T, strict=True):
            known = column[np.isfinite(column)]
            if len(known) < FEW_VALUES or known.min() == known.max():
                found = f"is {known[0]:g} in all {len(known):,}" if len(known) else "is known of none"
                raise DataError(
                    f"{condition.where}: {condition.what} {found} of {len(column):,} plain samples of "
                    f"{self.model.name}, so nothing can be learned of it; ask for something that they differ in"
                )
        aggregate = self.model.aggregate
        return fit_critic(self.conditions, means, stds, values, aggregate, seed=self.how.seed), means, stds

    def _of_examples(self, examples: Examples) -> tuple[Z, Z, Values]:
        """Their posteriors, float32 (n, z) twice, and what the conditions look at, float64 (n, conditions)."""
        means, stds = self.model.posterior(examples.tokens)
        items = [self.model.tokenizer.decode(row) for row in examples.tokens]
        return means, stds, read_values(self.conditions, self.model, items, means)

    def _real(self) -> tuple[Z, Z] | None:
        """Posteriors of real items: of the examples, or the model file's windows; None where there are neither."""
        tokens = self.model.held_out if self.examples is None else self.examples.tokens
        return self.model.posterior(tokens) if len(tokens) else None

    def _too_few(self, n: int) -> str:
        """What was found, in a line."""
        asked, plain, moved = in_words(self.conditions), self.plain, self.moved
        found = f"{asked}: {plain.met:,} of {plain.tried:,} plain samples meet it"
        if moved.tried:
            found += f", and {moved.met:,} of {moved.tried:,} that were moved towards it"
        hint = "ask for less" if len(self.conditions) == 1 else "ask for fewer conditions at once"
        return f"{found}; {n:,} are asked for: {hint}, or for fewer with -n"


def decoded(model: Model, z: Z, conditions: Sequence[Condition], how: How, seed: int) -> Drawn:
    """What z, float32 (n, z), sounds or reads like, and the values of the conditions' measures."""
    windows = len(how.control) if how.control is not None and how.control.ndim == 3 else 1
    alphabet, length = model.tokenizer.alphabet, model.tokenizer.length
    controls = alphabet.controls_for(how.control, windows, length)
    passages = model.render(
        np.repeat(z[:, None], windows, axis=1),
        [[how.style] * windows] * len(z),
        [controls] * len(z),
        temperature=how.temperature,
        seed=seed,
        decoding=how.decoding,
        verb="sample",
    )
    means = None
    if any(condition.reading is not None for condition in conditions):
        # As the item will be read again: by its notes, window by window.
        means, _ = model.network.posterior(np.concatenate([passage.tokens for passage in passages]))
        means = means.reshape(len(passages), windows, -1).mean(axis=1)
    values = read_values(conditions, model, [passage.item for passage in passages], means)
    return Drawn(passages=passages, values=values)


def _some(examples: Examples | None) -> Examples | None:
    """At most so many of them as are looked at."""
    if examples is None or len(examples.tokens) <= MOST_EXAMPLES:
        return examples
    rows = np.sort(np.random.default_rng(14).permutation(len(examples.tokens))[:MOST_EXAMPLES])
    return Examples(tokens=examples.tokens[rows], name=examples.name)


def sample_where(
    model: Model,
    where: Asked,
    n: int = 1,
    *,
    by: By = "auto",
    seed: int = 0,
    prior: Prior = "aggregate",
    temperature: float = SAMPLE_TEMPERATURE,
    style: Any = None,
    control: Tokens | None = None,
    decoding: Decoding = PLAIN,
    examples: Examples | None = None,
) -> list[Any]:
    """n new items that meet all conditions: each was decoded, measured and checked.

    Args:
        model: Any.
        where: Such as `{"density": "high", "key": "C"}` or `["pitch>=60", "density=2..3"]`. high and low are the top
            and the bottom quarter of the examples, or of the model's own samples, and middle lies between.
        n: How many.
        by: `auto`, `rejection`, `gradient` or `actor` (see `Search`).
        seed: Same seed, same items; item i is the same whatever n is.
        prior, temperature, style, control, decoding: As in `Model.sample`.
        examples: Real items. Conditions on labels need some; quarters are then theirs.

    Raises:
        DataError: A condition cannot be read or names nothing that there is, or too few items meet it.

    Example:
        >>> model = load("melody-2bar")  # doctest: +SKIP
        >>> clips = sample_where(model, {"density": "high"}, n=8, seed=1)  # doctest: +SKIP
    """
    how = How(seed=seed, prior=prior, temperature=temperature, style=style, control=control, decoding=decoding)
    return [passage.item for passage in Search(model, where, by=by, how=how, examples=examples).take(n)]
