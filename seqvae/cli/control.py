"""Options of what a model is given beside z: chords, key, labels; shared by the verbs that make items."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from seqvae.cli.common import UsageError
from seqvae.errors import DataError

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.passage import Passage
    from seqvae.tokenizers import Tokens


class ControlChoice(StrEnum):
    """Whose controls hold on the way from A to B."""

    moving = "moving"
    start = "from"
    end = "to"


Chords = Annotated[
    str | None,
    typer.Option(
        "--chords",
        metavar='"C G Am F"',
        help="Chords to follow, of models that are given them: one a bar, or bars between |.",
    ),
]
Key = Annotated[str | None, typer.Option("--key", metavar="D|F#m", help="The key to keep to, likewise.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help="A label such as genre=jazz, likewise."),
]
Whose = Annotated[
    ControlChoice,
    typer.Option("--control", help="Whose controls hold: A's (from), B's (to), or first A's, then B's."),
]


def asked_for(
    model: Model, chords: str | None, key: str | None, labels: Sequence[str] | None, own: Tokens | None = None
) -> Tokens | None:
    """What the options say as controls, int64 (windows, time, controls); None where they say nothing.

    Args:
        model: The model; it must have the controls that are asked for.
        chords, key, labels: The options.
        own: Controls that hold where none is asked for, int64 (windows, time, controls).

    Raises:
        UsageError: A label is not of the form NAME=VALUE.
        DataError: The model has no such control, or a control no such value; or it plays to a pattern, and has none.
    """
    from seqvae.perform import refuse_alone

    named = dict(parse_label(label) for label in labels or ())
    if chords is None and key is None and not named:
        if own is None:
            refuse_alone(model)
        return None
    return model.control(chords=chords, key=key, labels=named, own=own)


def on_the_way(
    model: Model,
    start: Passage,
    end: Passage,
    whose: ControlChoice,
    chords: str | None,
    key: str | None,
    labels: Sequence[str] | None,
) -> Tokens | None:
    """The control that holds from A to B; None where A's gives way to B's half way.

    Raises:
        UsageError, DataError: As `asked_for`; also if the model has no controls and some are to be kept.
    """
    own = model.control_of((end if whose is ControlChoice.end else start).tokens)
    asked = asked_for(model, chords, key, labels, own)
    if whose is not ControlChoice.moving and not own.shape[-1]:
        raise DataError(f"{model.name} has no controls; leave out --control {whose.value}, or choose another --model")
    return own if asked is None and whose is not ControlChoice.moving else asked


def parse_label(text: str) -> tuple[str, str]:
    """From "genre=jazz". Raises `UsageError`."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise UsageError(f"--label {text!r} is not of the form NAME=VALUE, such as genre=jazz")
    return name.strip(), value.strip()
