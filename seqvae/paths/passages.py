"""Paths, grids and walks of passages: what each step is decoded from, in which style and under which control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae import latent
from seqvae.passage import PLAIN, Decoding, Fit, Passage
from seqvae.paths.timing import Distances, Timing, evenest, stops_of, timing_of
from seqvae.perform import refuse_alone
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

FINER = 16
"""Of even timing: places that are tried for each step; fewer where there are many steps or the items are long."""

SYMBOLS = 24_000
"""Places times symbols of an item, for which the distances of all pairs take about a second."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EvenTiming:
    """A timing whose steps differ by about as much.

    Attributes:
        timing: The timing.
        distinct: How many different items were found on the path, at most; with fewer than steps some steps repeat.
    """

    timing: Timing
    distinct: int


def even_timing(
    model: Model,
    passages: Sequence[Passage],
    steps: int,
    *,
    straight: bool = False,
    control: Tokens | None = None,
    decoding: Decoding = PLAIN,
) -> EvenTiming:
    """The timing of a path through passages of equally many windows whose steps are most alike (`evenest`).

    The path is decoded at up to 16 times as many places as it has steps, likeliest token by likeliest token, and of
    these places the steps are chosen by the edit distances between them. Every passage remains a step. A jump between
    two neighbouring places cannot be divided: the decoder goes there in one.
    """
    stops = stops_of(len(passages), steps)
    length = model.tokenizer.length * len(passages[0].z)
    finer = int(np.clip(SYMBOLS // (length * (steps - 1)), 2, FINER))
    places = timing_of(stops * finer)
    z = latent.along(np.stack([one.z for one in passages]), places.legs, places.amounts, straight)
    controls = _controls(model, passages, places.nearest, control)
    flat = z.reshape(-1, z.shape[-1])
    found = model.network.generate(flat, np.concatenate(controls), 0.0, 0, decoding)
    tokens = model.tokenizer.canonical(found).reshape(*z.shape[:2], *found.shape[1:])
    distances = Distances.between(tokens, model.tokenizer.alphabet)
    chosen = evenest(distances.matrix, steps, stops * finer)
    timing = Timing(legs=places.legs[chosen], amounts=places.amounts[chosen])
    return EvenTiming(timing=timing, distinct=distances.distinct)


def fit_all(model: Model, passages: Sequence[Passage], how: Fit = "loop") -> list[Passage]:
    """Passages of equally many windows: as many as the longest has, with `cut` as the shortest."""
    if not passages:
        return []
    measure = (min if how == "cut" else max)(passages, key=lambda one: len(one.z))
    return [model.fit(one, measure, how)[0] for one in passages]


def path_through(
    model: Model,
    passages: Sequence[Passage],
    timing: Timing,
    *,
    straight: bool = False,
    control: Tokens | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    decoding: Decoding = PLAIN,
) -> list[Passage]:
    """The steps of a path through passages of equally many windows; styles travel along.

    `control`, int64 (windows, time, controls), holds all the way; without it that of the nearest passage.
    """
    z = latent.along(np.stack([one.z for one in passages]), timing.legs, timing.amounts, straight)
    styles = [
        blend(passages[leg].styles, passages[leg + 1].styles, amount)
        for leg, amount in zip(timing.legs, timing.amounts.tolist(), strict=True)
    ]
    controls = _controls(model, passages, timing.nearest, control)
    return model.render(z, styles, controls, temperature=temperature, seed=seed, decoding=decoding, verb="interpolate")


def grid_between(
    model: Model,
    corners: Sequence[Passage],
    rows: int,
    columns: int,
    *,
    straight: bool = False,
    control: Tokens | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    decoding: Decoding = PLAIN,
) -> list[list[Passage]]:
    """Rows of passages between four of equally many windows, in reading order; styles and controls as on a path."""
    a, b, c, d = corners
    cells = latent.surface(a.z, b.z, c.z, d.z, rows, columns, straight)
    downs, rights = (np.linspace(0.0, 1.0, count).tolist() for count in (rows, columns))
    places = [(down, right) for down in downs for right in rights]
    styles = [blend(blend(a.styles, b.styles, right), blend(c.styles, d.styles, right), down) for down, right in places]
    nearest = np.array([2 * (down >= 0.5) + (right >= 0.5) for down, right in places])
    found = model.render(
        cells.reshape(-1, *cells.shape[2:]),
        styles,
        _controls(model, corners, nearest, control),
        temperature=temperature,
        seed=seed,
        decoding=decoding,
        verb="grid",
    )
    return [found[first : first + columns] for first in range(0, len(found), columns)]


def walk_from(
    model: Model,
    start: Passage | None,
    steps: int,
    stride: float,
    *,
    control: Tokens | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    decoding: Decoding = PLAIN,
) -> list[Passage]:
    """The steps of a walk from a passage, in its style, each window on a way of its own; or from a draw.

    From a draw all windows, as many as `control` has (one without), are of one z.
    """
    # Seeds of (seed, 1) draw z and of (seed, 2, …) empty samples again: these numbers must not be the same.
    rng = np.random.default_rng((seed, 4))
    if start is None:
        if control is None:
            refuse_alone(model)
        latent.check_space(model.z_size)
        z = latent.wander(model.draw(1, seed=seed), steps, stride, rng, model.aggregate)
        z = np.repeat(z, 1 if control is None else len(control), axis=1)
    else:
        z = latent.wander(start.z, steps, stride, rng, model.aggregate)
        control = model.control_of(start.tokens) if control is None else control
    styles = [None] * z.shape[1] if start is None else start.styles
    return model.render(
        z,
        [styles] * steps,
        None if control is None else [control] * steps,
        temperature=temperature,
        seed=seed,
        decoding=decoding,
        verb="walk",
    )


def blend(here: Sequence[Any], there: Sequence[Any], amount: float) -> list[Any]:
    """The styles of each window on the way from one passage to another; None in kinds that have no style."""
    return [one and one.blend(other, amount) for one, other in zip(here, there, strict=True)]


def _controls(
    model: Model, passages: Sequence[Passage], nearest: NDArray[np.int64], control: Tokens | None
) -> list[Tokens]:
    """What each step is given beside z, int64 (windows, time, controls)."""
    own = [model.control_of(one.tokens) if control is None else control for one in passages]
    return [own[index] for index in nearest]
