"""What is known of items beside what can be measured on them: from a table, from two folders, from two items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvae.corpus.labels import read_table
from seqvae.errors import DataError
from seqvae.texts import quoted

MOST_VALUES = 64
"""A column of more different words is no label, but text, dates or names."""

Names = Sequence[str | tuple[str, ...]]
"""Of each item its name, or the names it can go by, the surest first: `("folk/a.mid",)`, `("names.txt:7", "emma")`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """An attribute that is known of items instead of being measured on them.

    Attributes:
        name: The column, `rating`; or the column and one of its values, `genre=jazz`, which is 1 or 0.
        what: In words.
        values: float64 (items,); NaN where nothing is known.
    """

    name: str
    what: str
    values: NDArray[np.float64]


def read_labels(path: Path, names: Names, *, as_read: Callable[[str], str] | None = None) -> list[Labelled]:
    """The columns of a .csv as attributes of items.

    Its first row names the columns. One column names items, the one that names the most of them: files with or without
    their folders and endings, or texts themselves. A column of numbers is one attribute; a column of words is one for
    each of its values, 1 or 0. Empty cells say nothing.

    Args:
        path: The table, in UTF-8.
        names: Of each item. Several items may go by one name, such as the windows of a file: all have its labels.
        as_read: For texts, in place of files: one as a model reads it (in lower case, say), so that it is found however
            a table writes it.

    Raises:
        ReadError: It cannot be read.
        DataError: It has no second column, no row is about any of the items, rows contradict each other, or no column
            holds numbers or labels.

    >>> table = Path("labels.csv")  # doctest: +SKIP
    >>> [label.name for label in read_labels(table, ["a.mid", "b.mid"])]  # doctest: +SKIP
    ['genre=folk', 'genre=jazz', 'rating']
    """
    header, rows = read_table(path)
    if len(header) < 2:
        found = f"{path}: its first line is {','.join(header) or 'empty'}"
        raise DataError(f"{found}; a column that names items and one or more labels are expected, such as file,genre")
    columns = [[row[index] for row in rows] for index in range(len(header))]
    wanted = [one if isinstance(one, tuple) else (one,) for one in names]
    # The first of equals: the leftmost column, and names as they stand before shortened ones.
    shortened = LENGTHS if as_read is None else (str, as_read)
    ways: list[tuple[int, Callable[[str], str]]] = [
        (index, shorten) for index in range(len(header)) for shorten in shortened
    ]
    matches = [_match(columns[index], wanted, shorten) for index, shorten in ways]
    best = int(np.argmax([(match >= 0).sum() for match in matches]))
    (naming, shorten), row_of = ways[best], matches[best]
    if not (row_of >= 0).any():
        raise _no_match(path, rows, wanted)
    _check_rows(path, rows, naming, shorten, set(row_of.tolist()))
    labels = [
        label
        for index, column in enumerate(columns)
        if index != naming
        for label in _labels_of(path, header[index], column, row_of)
    ]
    if not labels:
        others = ", ".join(name for index, name in enumerate(header) if index != naming)
        found = f"{path}: neither numbers nor labels (at most {MOST_VALUES} different words a column) are in {others}"
        raise DataError(f"{found}; give a column such as genre or rating")
    return labels


def without_opposites(labels: Sequence[Labelled]) -> list[Labelled]:
    """Without those that only say what a later one denies: of yes and no, or true and false, the last is left.

    >>> yes = Labelled(name="live=yes", what="", values=np.array([1.0, 0.0, np.nan]))
    >>> no = Labelled(name="live=no", what="", values=1 - yes.values)
    >>> [label.name for label in without_opposites([no, yes])]
    ['live=yes']
    """
    return [
        label
        for index, label in enumerate(labels)
        if not any(np.array_equal(1 - label.values, later.values, equal_nan=True) for later in labels[index + 1 :])
    ]


def two_sides(name: str, having: int, lacking: int) -> Labelled:
    """An attribute of items of which the first `having` have it and the following `lacking` have not.

    >>> two_sides("happy", 2, 1).values.tolist()
    [1.0, 1.0, 0.0]
    """
    values = np.repeat((1.0, 0.0), (having, lacking))
    return Labelled(name=name, what=f"{name} (1 or 0)", values=values)


# -- rows and items ----------------------------------------------------------------------------------------------------


def _file_name(name: str) -> str:
    """Without folders."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    """Without folders and ending."""
    return _file_name(name).rsplit(".", 1)[0]


LENGTHS: tuple[Callable[[str], str], ...] = (str, _file_name, _stem)
"""How much of a name is compared."""


def _match(
    column: Sequence[str], wanted: Sequence[tuple[str, ...]], shorten: Callable[[str], str]
) -> NDArray[np.int64]:
    """The first row that is about each item, int64 (items,); −1 where none is."""
    row_of: dict[str, int] = {}
    for number, cell in enumerate(column):
        row_of.setdefault(shorten(cell), number)
    row_of.pop("", None)
    return np.array([next((row_of[n] for n in map(shorten, one) if n in row_of), -1) for one in wanted], np.int64)


def _check_rows(
    path: Path, rows: Sequence[Sequence[str]], naming: int, shorten: Callable[[str], str], used: set[int]
) -> None:
    """Raises `DataError` if two rows are about the same items and differ."""
    first_of = {shorten(rows[row][naming]): row for row in used if row >= 0}
    for number, row in enumerate(rows):
        first = first_of.get(shorten(row[naming]), number)
        if any(cell != rows[first][index] for index, cell in enumerate(row) if index != naming):
            found = f"{path}: rows {first + 2} and {number + 2} both name {quoted(shorten(row[naming]))} and differ"
            raise DataError(f"{found}; keep one of them")


def _no_match(path: Path, rows: Sequence[Sequence[str]], wanted: Sequence[tuple[str, ...]]) -> DataError:
    row = quoted(rows[0][0]) if rows else "nothing"
    if not any(any(one) for one in wanted):
        return DataError(f"{path}: nothing is known of where the items come from; give the files that it names")
    item = next(quoted(name) for name in reversed(wanted[0]) if name) if any(wanted[0]) else "nothing"
    found = f"{path}: 0 of {len(wanted):,} items are named by its {len(rows):,} rows"
    return DataError(f"{found}: the first row says {row}, the first item is {item}; name items in one of its columns")


def _labels_of(path: Path, name: str, cells: Sequence[str], row_of: NDArray[np.int64]) -> list[Labelled]:
    """One column as attributes of items; none where it is neither of numbers nor of labels."""
    said = [cells[row] if row >= 0 else "" for row in row_of.tolist()]
    numbers = [_number(cell) for cell in said]
    if not any(said):
        return []
    if all(number is not None for number, cell in zip(numbers, said, strict=True) if cell):
        values = np.array([np.nan if number is None else number for number in numbers], np.float64)
        return [Labelled(name=name, what=f"{name} ({path.name})", values=values)]
    distinct = sorted({cell for cell in said if cell})
    if len(distinct) > MOST_VALUES:
        return []
    words = np.array(said)
    known = words != ""
    return [
        Labelled(
            name=f"{name}={value}",
            what=f"{name} is {value} ({path.name})",
            values=np.where(known, words == value, np.nan).astype(np.float64),
        )
        for value in distinct
    ]


def _number(cell: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
