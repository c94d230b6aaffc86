"""The verb `grid`: rows and columns of items between four corners."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from seqvae.cli import common, control, inputs
from seqvae.cli.common import UsageError, talk
from seqvae.cli.paths import EachBars, Fit, FitChoice, Straight, Tracks, fitted, folder_of, letter, with_files

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.passage import Passage
    from seqvae.tokenizers import Tokenizer, Tokens


class CornerChoice(StrEnum):
    """Whose controls hold in a grid."""

    nearest = "nearest"
    a = "a"
    b = "b"
    c = "c"
    d = "d"


Item = TypeVar("Item")

LARGEST_SIZE = 32
"""Rows or columns of a grid: more are a thousand files, and cells that nobody can read."""


def grid(
    a: Annotated[str, typer.Argument(metavar="A", help="The first row begins with it.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The first row ends with it.", show_default=False)],
    c: Annotated[str, typer.Argument(metavar="C", help="The last row begins with it.", show_default=False)],
    d: Annotated[str, typer.Argument(metavar="D", help="The last row ends with it.", show_default=False)],
    size: Annotated[str, typer.Option("--size", metavar="ROWSxCOLUMNS", help="Rows and columns, 2 to 32.")] = "8x8",
    straight: Straight = False,
    exact_corners: Annotated[
        bool, typer.Option("--exact-corners", help="The inputs themselves at the corners, not decoded.")
    ] = False,
    fit: Fit = FitChoice.loop,
    tracks: Tracks = None,
    bars: EachBars = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: common.Output = None,
    temperature: common.Temperature = 0.0,
    top_k: common.TopK = None,
    top_p: common.TopP = None,
    beam: common.Beam = None,
    ban_unk: common.BanUnknown = False,
    chords: control.Chords = None,
    key: control.Key = None,
    labels: control.Labels = None,
    whose: Annotated[
        CornerChoice, typer.Option("--control", help="Whose controls hold: the nearest corner's, or one corner's.")
    ] = CornerChoice.nearest,
    seed: common.Seed = None,
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes a grid of items between four: files, or texts between quotes.

    Of music, writes cell-01-01, cell-01-02, ... (row, column), all of them joined, and a picture. The joined file goes
    through the first row from left to right, through the second from right to left, and so on, so that each cell is
    beside the last. Of texts each row is a line, with tabs between its cells. Says which corner each cell is nearest
    to, and how far from it (edits of its tokens over its length). The edges are the paths that interpolate goes.

    \b
    Example:
      seqvae grid a.mid b.mid c.mid d.mid --size 8x8 -o out
      seqvae grid anna konrad oliver marie --model names --size 5x6
    """
    from seqvae.paths import grid_between

    rows, columns = parse_size(size)
    given = inputs.several((a, b, c, d), tracks or [], bars or [], meter)
    loaded = common.load_model(inputs.settle_model(model, given), device)
    target = common.plan(
        loaded.tokenizer, output, folder_of("grid", given), cell_names(rows, columns), force, joined=True
    )
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    corners = fitted(loaded, given, fit, re_encode)
    asked = control_in_grid(loaded, corners, whose, chords, key, labels)
    seed = common.settle_seed(seed, used=temperature > 0)
    drawn: dict[str, Any] = {"temperature": temperature, "seed": seed, "decoding": decoding}
    found = grid_between(loaded, corners, rows, columns, straight=straight, control=asked, **drawn)
    if exact_corners:
        found[0][0], found[0][-1], found[-1][0], found[-1][-1] = corners

    distances = [[[loaded.distance(cell.tokens, corner.tokens) for corner in corners] for cell in row] for row in found]
    items = [[cell.item for cell in row] for row in found]
    whole = [loaded.join(ploughed(found), temperature=temperature, seed=seed, verb="grid")]
    files = write_grid(target, items, whole, given)
    tell_grid(distances)
    values = {
        **common.described("grid", loaded, seed, temperature, decoding),
        "rows": rows,
        "columns": columns,
        "cells": told_cells(files, distances),
    }
    lines = lines_of(loaded.tokenizer, items)
    common.report(files, {**values, "items": [line.split("\t") for line in lines]} if lines else values, as_json, lines)


# -- helpers -----------------------------------------------------------------------------------------------------------


def parse_size(size: str) -> tuple[int, int]:
    """Rows and columns of "8x8". Raises `UsageError`.

    >>> parse_size("3x5")
    (3, 5)
    """
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", size.strip().lower())
    rows, columns = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (2 <= rows <= LARGEST_SIZE and 2 <= columns <= LARGEST_SIZE):
        raise UsageError(f"--size {size!r} is not of the form 8x8: rows x columns, 2 to {LARGEST_SIZE} each")
    return rows, columns


def cell_names(rows: int, columns: int) -> list[str]:
    """The stems of a grid's files, row by row."""
    return [f"cell-{row:02d}-{column:02d}" for row in range(1, rows + 1) for column in range(1, columns + 1)]


def control_in_grid(
    model: Model,
    corners: Sequence[Passage],
    whose: CornerChoice,
    chords: str | None,
    key: str | None,
    labels: Sequence[str] | None,
) -> Tokens | None:
    """The control that holds in the whole grid; None where each cell has that of its nearest corner."""
    corner = corners[0 if whose is CornerChoice.nearest else "abcd".index(whose.value)]
    keep = control.ControlChoice.moving if whose is CornerChoice.nearest else control.ControlChoice.start
    return control.on_the_way(model, corner, corner, keep, chords, key, labels)


def ploughed(rows: Sequence[Sequence[Item]]) -> list[Item]:
    """All cells in the order in which they are heard: like an ox that ploughs, every other row from its end.

    >>> ploughed([["a", "b"], ["c", "d"]])
    ['a', 'b', 'd', 'c']
    """
    return [cell for index, row in enumerate(rows) for cell in row[:: -1 if index % 2 else 1]]


def write_grid(
    target: common.Target, items: Sequence[Sequence[Any]], whole: Sequence[Any], given: Sequence[inputs.Given]
) -> list[Path]:
    """Writes the cells, of music joined too and with a picture; to one file of lines a row a line."""
    cells = [cell for row in items for cell in row]
    if target.place is not None and target.is_file and target.place.suffix.lower() in common.LINE_SUFFIXES:
        from seqvae.files import write_atomic

        lines = "".join(f"{line}\n" for line in lines_of(target.tokenizer, items))
        return [write_atomic(target.place, lines.encode(), overwrite=target.force)]
    if target.place is not None and target.is_file and target.place.suffix.lower() in (".mid", ".midi"):
        return target.write(ploughed(items))
    titles, columns = [""] * len(cells), len(items[0])
    for corner, index in zip(given, (0, columns - 1, -columns, -1), strict=True):
        titles[index] = f"{corner.stem}{target.tokenizer.suffix}"
    picture = list(zip(titles, cells, strict=True))
    return target.write(cells + list(whole) * (len(target.names) > len(cells)), picture, columns=columns)


def tell_grid(distances: Sequence[Sequence[Sequence[float]]]) -> None:
    """The nearest corner of each cell, and how far it is."""
    talk("row  the nearest corner, and how far it is")
    for number, row in enumerate(distances, start=1):
        nearest = [min(range(4), key=cell.__getitem__) for cell in row]
        cells = "".join(f"  {letter(corner)} {cell[corner]:.2f}" for corner, cell in zip(nearest, row, strict=True))
        talk(f"{number:3d}{cells}")


def told_cells(files: Sequence[Path], distances: Sequence[Sequence[Sequence[float]]]) -> list[dict[str, Any]]:
    """The cells for JSON, row by row, with the distances to the four corners."""
    said = [
        {"row": row, "column": column, **dict(zip(("to_a", "to_b", "to_c", "to_d"), cell, strict=True))}
        for row, line in enumerate(distances, start=1)
        for column, cell in enumerate(line, start=1)
    ]
    return with_files(files, said)


def lines_of(tokenizer: Tokenizer, items: Sequence[Sequence[Any]]) -> list[str]:
    """Of what can be printed, a line for each row with tabs between its cells."""
    return ["\t".join(tokenizer.show(cell) for cell in row) for row in items] if common.is_lines(tokenizer) else []
