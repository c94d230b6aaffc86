"""The check that a user gives with --valid: a Python function that says of an item whether it is valid."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from seqvae.cli.common import UsageError, talk
from seqvae.errors import DataError

Check = Callable[[Any], bool]
"""An item (a clip, a line, an array) → whether it is valid."""

Valid = Annotated[
    str | None,
    typer.Option(
        "--valid",
        metavar="MODULE:FUNCTION",
        help="A Python function that says of an item whether it is valid; also FILE.py:FUNCTION.",
    ),
]
OnlyValid = Annotated[bool, typer.Option("--only-valid", help="Draw again until all items are valid; with --valid.")]

MOST_DRAWN = 64
"""So many times as many samples as are asked for are drawn at most, to find valid ones."""


def load_check(given: str) -> Check:
    """The function that `package.module:function` or `path.py:function` names.

    What it raises on an item becomes one line too: that is a fault in it, not an item that is not valid.

    Raises:
        DataError: It is not of that form, the module cannot be imported or has no such function.
    """
    module_name, colon, name = given.rpartition(":")
    if not (colon and module_name and name.isidentifier()):
        raise DataError(f"--valid {given!r} is not of the form package.module:function or path.py:function")
    try:
        module = _from_file(Path(module_name)) if module_name.endswith(".py") else _by_name(module_name)
    except (Exception, SystemExit) as error:  # whatever somebody else's module does when it is imported
        raise DataError(f"--valid {given}: cannot be imported ({_said(error)}); mend it or its path") from None
    function = getattr(module, name, None)
    if not callable(function):
        what = "is no function" if hasattr(module, name) else "is not in it"
        raise DataError(f"--valid {given}: {name} {what}; name a function that takes an item")

    def check(item: Any) -> bool:
        try:
            return bool(function(item))
        except Exception as error:  # likewise
            found = f"--valid {given}: it failed on {_shown(item)} ({_said(error)})"
            raise DataError(f"{found}; let it return False for what is not valid") from None

    return check


def asked_check(valid: str | None, only_valid: bool) -> Check | None:
    """What --valid names, before anything else is done; None if it is not given.

    Raises:
        UsageError: --only-valid without --valid.
        DataError: As `load_check`.
    """
    if only_valid and valid is None:
        raise UsageError("--only-valid needs --valid MODULE:FUNCTION, which says what that is")
    return None if valid is None else load_check(valid)


def draw_valid(
    draw: Callable[[int], list[Any]], n: int, check: Check | None, only_valid: bool
) -> tuple[list[Any], dict[str, int]]:
    """n items of `draw`, and what the check found in them, which is also said.

    Args:
        draw: Gives so many items; the first n of more are the same as n.
        n: How many are wanted.
        check: Of --valid, if it is given.
        only_valid: Leave out the others, and look at more until there are enough.

    Raises:
        DataError: Too few items pass the check, or it fails.
    """
    if check is None:
        return draw(n), {}
    drawn = n
    while True:
        items = draw(drawn)
        passed = [item for item in items if check(item)]
        if not only_valid or len(passed) >= n:
            break
        if drawn >= MOST_DRAWN * n:
            found = f"{len(passed):,} of {drawn:,} samples are valid, and {n:,} are asked for"
            raise DataError(f"{found}; ask for fewer with -n, or lower --temperature")
        drawn *= 2
    talk(f"{len(passed):,} of {drawn:,} samples are valid")
    return passed[:n] if only_valid else items, {"drawn": drawn, "valid": len(passed)}


def _by_name(name: str) -> Any:
    """A module as `python -m` finds it, also in the folder one stands in."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _from_file(path: Path) -> Any:
    """A file as a module; what lies beside it can be imported, as from a script."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"seqvae_valid_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _said(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _shown(item: Any) -> str:
    text = " ".join(repr(item).split())
    return text if len(text) <= 40 else f"{text[:40]}…"
