"""Options of conditions that samples must meet, and what is told of how many did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli.common import UsageError, talk

if TYPE_CHECKING:
    from seqvae.constraint import Examples, Search
    from seqvae.model import Model


class Way(StrEnum):
    """How conditions are met; see `seqvae.constraint.Search`."""

    auto = "auto"
    rejection = "rejection"
    gradient = "gradient"
    actor = "actor"


Wheres = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Only items that meet it: density=high (low, middle), density=2..3, 'pitch>60', key=C, genre=jazz. "
        "Several must all be met.",
    ),
]
By = Annotated[
    Way | None,
    typer.Option(
        "--by",
        help="How --where is met: plain samples are looked through (rejection), or z is moved towards it by gradient "
        "ascent or by an actor network.",
        show_default="auto: rejection, and gradient where too few plain samples meet it",
    ),
]
Table = Annotated[
    Path | None,
    typer.Option("--labels", metavar="CSV", help="Labels of what --data holds, for conditions such as genre=jazz."),
]

STORED_SPLIT = "train"


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What is asked for.

    Attributes:
        wheres: Conditions as they were given.
        by: How they are met.
        data: A dataset or files, or None.
        table: Of labels, or None.
    """

    wheres: Sequence[str]
    by: Way
    data: Path | None
    table: Path | None

    def search(self, model: Model, settings: Mapping[str, Any]) -> Search:
        """What looks for items, which are drawn with settings as of `How`. Raises `DataError`, `ReadError`."""
        from seqvae.constraint import How, Search

        examples = self._examples(model)
        return Search(model, self.wheres, by=self.by.value, how=How(**settings), examples=examples, tell=talk)

    def _examples(self, model: Model) -> Examples | None:
        if self.data is None:
            return None
        from seqvae.cli.gather import gather
        from seqvae.cli.labelled import labels_of
        from seqvae.constraint import Examples
        from seqvae.constraint.search import MOST_EXAMPLES

        found = gather(model.tokenizer, [self.data], STORED_SPLIT, MOST_EXAMPLES, 0, None)
        labels = labels_of(model.tokenizer, found, self.table) if self.table else []
        return Examples(tokens=found.tokens, labels=labels, name=found.data)


def asked_wheres(where: Sequence[str] | None, by: Way | None, data: Path | None, table: Path | None) -> Sought | None:
    """What the options say; None where no condition is given.

    Raises:
        UsageError: Options that only change how conditions are met, where there is none.
        DataError: A condition cannot be read.
    """
    if not where:
        if by is not None or table is not None:
            option = "--by" if by is not None else "--labels"
            raise UsageError(f"{option} is for --where; add a condition such as --where density=high")
        return None
    if table is not None and data is None:
        raise UsageError("--labels says what is known of --data; add the dataset or the files")
    from seqvae.constraint.where import wheres_of

    wheres_of(where)
    return Sought(wheres=where, by=by or Way.auto, data=data, table=table)


def told(search: Search) -> dict[str, Any]:
    """What the search found, said and for --json."""
    parts = []
    for tally, what in ((search.plain, "plain samples"), (search.moved, "candidates moved towards it")):
        if tally.tried:
            parts.append(f"{tally.met:,} of {tally.tried:,} {what} ({tally.share:.1%})")
    talk(f"{' and '.join(condition.describe() for condition in search.conditions)}: met by {', '.join(parts)}")
    tallies = {"plain": search.plain, "moved": search.moved}
    return {
        "where": [condition.describe() for condition in search.conditions],
        "by": search.by,
        "candidates": {name: {"tried": one.tried, "met": one.met} for name, one in tallies.items()},
    }
