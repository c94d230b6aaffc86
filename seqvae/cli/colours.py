"""What a map is coloured by: where items come from, what can be measured on them, or what a table says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqvae.cli import common
from seqvae.cli.gather import Gathered, group_labels
from seqvae.cli.labelled import labels_of
from seqvae.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqvae.attributes.labels import Labelled
    from seqvae.model import Model

SOURCE, FIRST = "source", "first"
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, eq=False)
class Colour:
    """One value or one word an item; neither where nothing is known.

    Attributes:
        name: As it was asked for; "" for none.
        what: In words, with the unit.
        values: float64 (n,), NaN where it is not defined.
        labels: n words.
    """

    name: str = ""
    what: str = ""
    values: NDArray[np.float64] | None = None
    labels: list[str] | None = None


def colour_of(model: Model, windows: Gathered, name: str | None, table: Path | None) -> Colour:
    """The colour of each window.

    Args:
        model: Whose kind says what can be measured.
        windows: What is shown.
        name: `source`, `first`, an attribute or a column; if left out the table's only column, the source where that is
            known and not always the same, or the first attribute.
        table: Labels, a .csv.

    Raises:
        DataError: There is nothing of that name, or it is of no use for these windows.
        ReadError: The table cannot be read.
    """
    from seqvae.attributes import attributes_of

    columns = {} if table is None else _columns(labels_of(model.tokenizer, windows, table))
    if name is None and columns:
        if len(columns) > 1:
            raise DataError(f"{table}: has the columns {', '.join(columns)}; choose one with --colour")
        name = next(iter(columns))
    if name is None:
        several = len(set(windows.sources)) > 1
        name = SOURCE if several else next(iter(attributes_of(model.tokenizer)), None)
    if name is None:
        return Colour()
    if name in columns:
        return columns[name]
    if name == SOURCE:
        if not any(windows.sources):
            raise DataError(
                "--colour source: the model's own sample does not say where it is from; give a dataset or files"
            )
        return Colour(name=name, what=name, labels=group_labels(windows.sources))
    if name == FIRST and common.is_lines(model.tokenizer):
        words = [model.tokenizer.token_name(int(token)).strip("'\"") for token in windows.tokens[:, 0]]
        return Colour(name=name, what="first symbol", labels=words)
    return _measured(model, windows, name, list(columns))


def _measured(model: Model, windows: Gathered, name: str, columns: list[str]) -> Colour:
    """An attribute of each window's item."""
    from seqvae.attributes import attribute_named, measured

    try:
        attribute = attribute_named(model.tokenizer, name)
    except DataError as error:
        others = [SOURCE, *[FIRST] * common.is_lines(model.tokenizer), *columns]
        raise DataError(f"--colour {name}: {error}; or {', '.join(others)}") from None
    items = (model.tokenizer.decode(row) for row in common.progress(list(windows.tokens), "measuring"))
    return Colour(name=name, what=attribute.what, values=measured([attribute], items)[:, 0])


def _columns(labels: list[Labelled]) -> dict[str, Colour]:
    """Columns of numbers as values, and those of words, which come as one attribute a word, as words again."""
    import numpy as np

    columns: dict[str, Colour] = {}
    for label in labels:
        column, equals, word = label.name.partition("=")
        if not equals:
            columns[column] = Colour(name=column, what=label.what, values=label.values)
            continue
        words = columns[column].labels if column in columns else None
        words = [UNKNOWN] * len(label.values) if words is None else words
        has = np.nan_to_num(label.values) > 0
        found = [word if here else before for here, before in zip(has, words, strict=True)]
        columns[column] = Colour(name=column, what=column, labels=found)
    return columns
