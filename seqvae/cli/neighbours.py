"""The verb `neighbours`: what lies nearest to an item in latent space."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, inputs
from seqvae.cli.common import numbered, talk
from seqvae.cli.gather import Gathered, collect, dataset_of_run, stored
from seqvae.cli.labelled import names_of

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.nearby import Neighbour
    from seqvae.passage import Passage

FEW_CHUNKS = 4
"""So many thousands of windows are searched without a progress bar: a few seconds."""

SHOWN_LETTERS = 48


def neighbours(
    clip: Annotated[str, typer.Argument(metavar="INPUT", help="A file, or a text between quotes.", show_default=False)],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="DATASET|FILES|FOLDER",
            help="Where to look: all windows of it; may be repeated.",
            show_default="the dataset of a run; the model file's own sample",
        ),
    ] = None,
    n: common.Count = 10,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER|FILE",
            help="Write the neighbours there, and of music a picture; of texts also one file, an item a line.",
            show_default="only the table",
        ),
    ] = None,
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Finds the items that lie nearest to one: those that the model takes for its like.

    Near is a small angle between two z: 0 for a copy, 90 for nothing in common. Beside it stands the edit distance:
    edits of the tokens over their length. Of an item longer than the model's window, neighbours of any of its windows.

    \b
    Example:
      seqvae neighbours a.mid --data my-songs/
      seqvae neighbours a.mid --bars 5:6 --data my-dataset -n 16 -o near
      seqvae neighbours "a man rides a horse" --data captions.txt
    """
    given = inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    word = inputs.settle_model(model, [given])
    loaded = common.load_model(word, device)
    windows = searched(loaded, word, data)
    count = min(n, len(windows.tokens))
    target = None if output is None else common.plan(loaded.tokenizer, output, "", numbered("near", count), force)
    passage = given.passage(loaded, re_encode=True)
    talk(windows.data)

    from seqvae.nearby import nearest

    found = nearest(loaded, passage, windows.tokens, count, watch=_with_bar)
    rows = [one.row for one in found]
    places = places_of(loaded, windows, rows)
    items = [
        loaded.tokenizer.decode(windows.tokens[one.row].astype("int64"), passage.styles[one.window]) for one in found
    ]
    lines = _table(loaded, passage, found, places, items)
    files: list[Path] = []
    if target is not None:
        titles = [
            f"{place}\n{one.angle:.1f}° · edits {one.edits:.2f}" for one, place in zip(found, places, strict=True)
        ]
        asked = passage.windows[found[0].window]
        picture = [(f"{given.stem}\nthe input", asked), *zip(titles, items, strict=True)][:17]
        files = target.write(items, picture, on_path=False)
        for line in lines:
            talk(line)
    told = _told(loaded, windows, found, places, items, files)
    values = {"verb": "neighbours", "model": loaded.name, "model_hash": loaded.hash, "data": windows.data}
    common.report(files, {**values, "neighbours": told}, as_json, lines)


def searched(model: Model, given: str, data: Sequence[Path] | None) -> Gathered:
    """All windows of `data`; without it of the dataset of a run, or those that the model file carries.

    Raises:
        DataError, ReadError: As `gather`.
    """
    if not data and Path(given).is_dir():
        data = [dataset_of_run(given)]
    return collect(model.tokenizer, data, None) if data else stored(model)


def places_of(model: Model, windows: Gathered, rows: Sequence[int]) -> list[str]:
    """Where some windows come from, in words: `folk/a.mid bar 5`, `names.txt:7`."""
    some = replace(
        windows,
        tokens=windows.tokens[list(rows)],
        sources=[windows.sources[row] for row in rows],
        starts=windows.starts[list(rows)],
    )
    if not any(some.sources):
        return [f"window {row + 1}" for row in rows]
    if common.is_lines(model.tokenizer):
        return [names[0] for names in names_of(model.tokenizer, some)]
    per_unit = getattr(model.tokenizer, "steps_per_beat", 1)
    steps = [model.tokenizer.step_name(round(start * per_unit)).removesuffix(" beat 1") for start in some.starts]
    return [f"{source} {step}" for source, step in zip(some.sources, steps, strict=True)]


def _table(
    model: Model, passage: Passage, found: Sequence[Neighbour], places: Sequence[str], items: Sequence[Any]
) -> list[str]:
    """A line each: angle, edits, of which window if there are several, where, and the item if it can be said."""
    width = min(SHOWN_LETTERS, max(len(place) for place in places))
    several = len(passage.tokens) > 1
    lines = ["near   angle  edits" + "  window" * several + "  where"]
    for number, (one, place, item) in enumerate(zip(found, places, items, strict=True), start=1):
        of = f"{one.window + 1:8d}" * several
        shown = place if len(place) <= SHOWN_LETTERS else f"…{place[1 - SHOWN_LETTERS :]}"
        line = f"{number:4d}{one.angle:7.1f}°{one.edits:7.2f}{of}  {shown:{width}}  {model.tokenizer.show(item)}"
        lines.append(line.rstrip())
    return lines


def _told(
    model: Model,
    windows: Gathered,
    found: Sequence[Neighbour],
    places: Sequence[str],
    items: Sequence[Any],
    files: Sequence[Path],
) -> list[dict[str, Any]]:
    """The neighbours for JSON."""
    told = []
    for number, (one, place, item) in enumerate(zip(found, places, items, strict=True)):
        of_item = {"item": model.tokenizer.show(item)} if common.is_lines(model.tokenizer) else {}
        own_file = {"file": str(files[number])} if len(files) >= len(found) else {}
        source = {"source": windows.sources[one.row]} if windows.sources[one.row] else {}
        told.append({**vars(one), "where": place, **source, **of_item, **own_file})
    return told


def _with_bar(chunks: Sequence[slice]) -> Iterable[slice]:
    """The chunks, with a bar on stderr if they are many and someone is watching."""
    if len(chunks) <= FEW_CHUNKS or not sys.stderr.isatty():
        yield from chunks
        return
    with typer.progressbar(chunks, label="encoding", file=sys.stderr) as bar:
        yield from bar
