"""Paths, grids and walks of items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seqvae.passage import Fit
from seqvae.paths.passages import even_timing, fit_all, grid_between, path_through, walk_from
from seqvae.paths.timing import plain_timing
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model


def path(
    model: Model,
    items: Sequence[Any],
    steps: int = 8,
    *,
    even: bool = False,
    straight: bool = False,
    fit: Fit = "loop",
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Any]:
    """Items on the way from the first through each to the last, all of them among the steps, decoded.

    Args:
        model: The model.
        items: Two or more, of any length; window by window, all made to `fit` the longest (`cut`: the shortest).
        steps: How many in all. They are shared out over the legs, as equally as can be.
        even: Re-time the steps so that each differs from the last by about as much (see `even_timing`).
        straight: Go by `lerp`, not along the sphere by `slerp`.
        fit, temperature, seed: As in `Model.interpolate`, which a path of two equals.

    Raises:
        DataError: There are fewer than 2 items, or more than steps.

    Example:
        >>> clips = [Clip.load(name) for name in ("a.mid", "b.mid", "c.mid")]  # doctest: +SKIP
        >>> morph = path(load("melody-2bar"), clips, steps=24, even=True)  # doctest: +SKIP
    """
    passages = fit_all(model, [model.passage(item) for item in items], fit)
    timing = plain_timing(len(passages), steps)
    if even:
        timing = even_timing(model, passages, steps, straight=straight).timing
    found = path_through(model, passages, timing, straight=straight, temperature=temperature, seed=seed)
    return [one.item for one in found]


def grid(
    model: Model,
    a: Any,
    b: Any,
    c: Any,
    d: Any,
    rows: int = 8,
    columns: int = 8,
    *,
    straight: bool = False,
    fit: Fit = "loop",
    temperature: float = 0.0,
    seed: int = 0,
) -> list[list[Any]]:
    """Rows of items between four: a and b at the ends of the first row, c and d at those of the last.

    Its edges are the paths between its corners, and its inside goes evenly from edge to edge (`latent.surface`).

    Args:
        model: The model.
        a, b, c, d: Items of any length.
        rows, columns: At least 2.
        straight, fit, temperature, seed: As in `path`.

    Raises:
        DataError: There are fewer than 2 rows or columns.

    Example:
        >>> cells = grid(load("melody-2bar"), *(Clip.load(f"{name}.mid") for name in "abcd"))  # doctest: +SKIP
        >>> cells[3][4].save("middle.mid")  # doctest: +SKIP
    """
    corners = fit_all(model, [model.passage(item) for item in (a, b, c, d)], fit)
    found = grid_between(model, corners, rows, columns, straight=straight, temperature=temperature, seed=seed)
    return [[one.item for one in row] for row in found]


def walk(
    model: Model,
    item: Any = None,
    steps: int = 16,
    stride: float = 0.3,
    *,
    control: Tokens | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Any]:
    """Items of a random walk that stays where the data are (`latent.wander`).

    Args:
        model: The model.
        item: Where it starts; a draw of the aggregate posterior if left out.
        steps: How many, the start among them. A longer walk of the same seed begins as a shorter one.
        stride: 0 stays, 1 jumps to an unrelated place at each step.
        control: What holds all the way, int64 (windows, time, controls); the item's own if left out.
        temperature: Of the decoding, as everywhere.
        seed: Decides the way.

    Raises:
        DataError: The stride is not between 0 and 1, or the model plays only to a pattern and there is no item.

    Example:
        >>> clips = walk(load("melody-2bar"), Clip.load("a.mid"), stride=0.4, seed=1)  # doctest: +SKIP
    """
    start = None if item is None else model.passage(item)
    found = walk_from(model, start, steps, stride, control=control, temperature=temperature, seed=seed)
    return [one.item for one in found]
