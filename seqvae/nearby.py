"""The nearest neighbours of an item in a model's latent space, among the windows of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.dataset import Dataset
from seqvae.errors import DataError
from seqvae.latent import Z
from seqvae.passage import Passage
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

CHUNK = 1024
"""So many windows are encoded at once: whatever their number, memory holds the z of no more."""

DIGITS = 3
"""Of an angle in degrees. Further digits are the rounding of the network's products, not the same in every batch."""


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A window near an item.

    Attributes:
        row: Which of the windows that were searched, from 0.
        window: Which window of the item it is near, from 0; the nearest one.
        angle: Between their posterior means, seen from the origin: 0 to 180 degrees.
        edits: Edit distance of their tokens over their length: 0 equal to 1.
    """

    row: int
    window: int
    angle: float
    edits: float


def nearest(
    model: Model,
    item: Any,
    among: Dataset | Tokens | Sequence[Any],
    n: int = 10,
    *,
    track: str | None = None,
    watch: Callable[[Sequence[slice]], Iterable[slice]] = iter,
) -> list[Neighbour]:
    """The n windows nearest to an item, the nearest first; of equals the one that stands first.

    Near is a small angle between posterior means. Of the distances that were tried (docs/latent-space.md) it finds
    most windows of the same piece and most transposed copies, and changed copies as well as any. A z that a clip
    carries plays no part: an item and its copy have angle 0, whoever made them. Of an item of several windows, a
    neighbour is near any one; those in which nothing happens are passed over if there are others.

    Args:
        model: Whose latent space.
        item: Of any length, or its `Passage`.
        among: A dataset (all its windows), tokens (n, time) or (n, time, part), or items, the first window of each.
        n: How many; fewer if there are not as many.
        track: Which track of the item, where it has several.
        watch: Is given the chunks, and gives them back one by one; to show progress.

    Raises:
        DataError: There is nothing to search, it is of another kind than the model, or n is below 1.

    Example:
        >>> model = load("melody-2bar")  # doctest: +SKIP
        >>> test = Dataset.open("melodies").windows("test")  # doctest: +SKIP
        >>> [(near.row, near.angle) for near in nearest(model, Clip.load("a.mid"), test, 2)]  # doctest: +SKIP
        [(481, 21.337), (7302, 24.061)]
    """
    if n < 1:
        raise DataError(f"{n} neighbours are asked for; ask for 1 or more")
    tokens = _tokens(model, among)
    if not len(tokens):
        raise DataError("there are no windows to search; give data that has some")
    passage = item if isinstance(item, Passage) else model.passage(item, track)
    heard = [row for row, window in enumerate(passage.tokens) if model.happens(window)] or range(len(passage.tokens))
    asked = np.array(heard, np.int64)
    directions = _unit(model.posterior(passage.tokens[asked])[0])
    angles, rows, windows = np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)
    for part in watch([slice(left, left + CHUNK) for left in range(0, len(tokens), CHUNK)]):
        found = _angles(_unit(model.posterior(np.asarray(tokens[part]))[0]), directions)
        angles = np.concatenate([angles, found.min(axis=1)])
        rows = np.concatenate([rows, np.arange(part.start, part.start + len(found))])
        windows = np.concatenate([windows, asked[found.argmin(axis=1)]])
        best = np.lexsort((rows, angles))[:n]
        angles, rows, windows = angles[best], rows[best], windows[best]
    return [
        Neighbour(
            row=row,
            window=window,
            angle=angle,
            edits=model.distance(passage.tokens[window], np.asarray(tokens[row]).astype(np.int64)),
        )
        for row, window, angle in zip(rows.tolist(), windows.tolist(), angles.tolist(), strict=True)
    ]


def _tokens(model: Model, among: Dataset | Tokens | Sequence[Any]) -> NDArray[np.integer[Any]]:
    """(n, time) or (n, time, part), as they are stored."""
    if isinstance(among, Dataset):
        return among.tokens
    if isinstance(among, np.ndarray):
        return among
    rows = [model.tokenizer.encode(item) for item in among]
    return np.stack(rows) if rows else np.zeros(0, np.int64)


def _unit(z: Z) -> NDArray[np.float64]:
    """Directions, float64 (n, z); a z of 0 has none, and is at a right angle to all."""
    exact = z.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(exact / np.where(length > 0, length, 1.0))


def _angles(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees between directions: (n, z) and (m, z) → float64 (n, m)."""
    cosine = np.clip(a @ b.T, -1.0, 1.0)
    return np.asarray(np.round(np.degrees(np.arccos(cosine)), DIGITS))
