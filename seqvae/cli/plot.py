"""The verbs that show: plot path, plot curves, plot map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, inputs
from seqvae.cli.common import DEFAULT_MODEL, UsageError, talk
from seqvae.cli.gather import Inputs, Items, Split, SplitChoice, dataset_of_run, gather, group_labels
from seqvae.errors import DataError, ReadError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqvae.model import Model

Picture = Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="Where the picture goes.")]

COLOURS_OF_LINES = {"length": "tokens", "first": "first token"}
"""What a map of texts or raw symbols can show, in words."""

plot = typer.Typer(
    name="plot", help="Draws PNG pictures: of clips, of a training, of latent space.", rich_markup_mode=None
)


@plot.command("path")
def plot_path(
    files: Annotated[list[Path], typer.Argument(metavar="CLIPS", help="Clips, in order.", show_default=False)],
    output: Picture = Path("strip.png"),
    plain: Annotated[
        bool, typer.Option("--plain", help="One colour for all: the clips are no path from first to last.")
    ] = False,
    track: common.Track = None,
    bars: common.Bars = None,
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Draws clips side by side as piano rolls.

    \b
    Example:
      seqvae plot path interpolation/*.mid -o strip.png
    """
    from seqvae.clip import Clip
    from seqvae.plot import piano_roll_strip
    from seqvae.tokenizers.grid import find_track

    _check_picture(output, force)
    clips = []
    for file in files:
        clip = Clip.load(file)
        clip = clip if track is None else clip.select(find_track(clip, track, "part", drums=True))
        clips.append(clip if bars is None else inputs.choose_bars(clip, bars))
    titles = [file.stem for file in files]
    drawn = piano_roll_strip(clips, output, titles, path_colours=not plain, overwrite=force)
    common.report([drawn], {}, as_json)


@plot.command("curves")
def plot_curves(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or its metrics.jsonl.", show_default=False)],
    output: Picture = Path("curves.png"),
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Draws the curves of a training: reconstruction, KL, accuracies, active units.

    \b
    Example:
      seqvae plot curves runs/mine -o curves.png
    """
    from seqvae.plot import training_curves

    _check_picture(output, force)
    drawn = training_curves(read_metrics(run), output, overwrite=force)
    common.report([drawn], {}, as_json)


@plot.command("map")
def plot_map(
    inputs: Inputs = None,
    colour: Annotated[
        str, typer.Option("--colour", metavar="NAME", help="source, density, pitch or another attribute.")
    ] = "source",
    split: Split = SplitChoice.test,
    items: Items = None,
    track: common.Track = None,
    output: Picture = Path("map.png"),
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Draws where items lie in latent space: posterior means on their first two principal components.

    Colours: source (folder or file); of music density, pitch, range, interval, diatonic, syncopation-16th,
    syncopation-8th; of texts and raw symbols length, and first (the first word or symbol).

    \b
    Example:
      seqvae plot map my-dataset --model runs/mine --colour density
      seqvae plot map names.txt --model names --colour first
    """
    from seqvae.attributes.music import MELODIC
    from seqvae.plot import latent_map, pca

    attributes = {attribute.name: attribute for attribute in MELODIC}

    if colour not in ("source", *attributes, *COLOURS_OF_LINES):
        known = ", ".join(("source", *attributes, *COLOURS_OF_LINES))
        raise UsageError(f"--colour {colour!r} is unknown; there are {known}")
    _check_picture(output, force)
    inputs = inputs or [dataset_of_run(model)]
    seed = common.settle_seed(seed)
    loaded = common.load_model(model, device)
    windows = gather(loaded.tokenizer, inputs, split.value, items, seed, track)
    projection = pca(loaded.encode(windows.tokens))
    talk(windows.data)
    if colour in ("source", "first"):
        labels = group_labels(windows.sources) if colour == "source" else _first_tokens(loaded, windows.tokens)
        drawn = latent_map(projection, output, labels=labels, name=colour, overwrite=force)
    else:
        values = _attribute(loaded, windows.tokens, colour)
        what = attributes[colour].what if colour in attributes else COLOURS_OF_LINES[colour]
        drawn = latent_map(projection, output, values=values, name=what, overwrite=force)
    common.report([drawn], {"explained": list(projection.explained)}, as_json)


def _attribute(model: Model, tokens: NDArray[np.int64], name: str) -> NDArray[np.float64]:
    """An attribute of each window's item, float64 (n,)."""
    import numpy as np

    from seqvae.attributes import attribute_named
    from seqvae.clip import Clip

    if name in COLOURS_OF_LINES:
        _check_lines(model, name)
        lengths: NDArray[np.float64] = (tokens != model.tokenizer.alphabet.end).sum(axis=1).astype(np.float64)
        return lengths
    found = [model.tokenizer.decode(row) for row in tokens]
    if not isinstance(found[0], Clip):
        raise DataError(f"--colour {name} is of music, and {model.name} is not; use source, length or first")
    return np.array([attribute_named(model.tokenizer, name).measure(clip) for clip in found])


def _first_tokens(model: Model, tokens: NDArray[np.int64]) -> list[str]:
    """The first word or symbol of each item, as it is written."""
    _check_lines(model, "first")
    return [model.tokenizer.token_name(int(token)).strip("'\"") for token in tokens[:, 0]]


def _check_lines(model: Model, colour: str) -> None:
    if model.tokenizer.alphabet.end is None:
        raise DataError(f"--colour {colour} is of lines that end by themselves, and {model.name} has none; use source")


def _check_picture(path: Path, force: bool) -> None:
    if path.suffix.lower() != ".png":
        raise UsageError(f"-o {str(path)!r} does not end in .png; pictures are PNG files")
    common.check_file(path, force)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl; a last line that a stopped run left half-written is left out.

    Raises:
        ReadError: It is missing or is something else.
    """
    path = run / "metrics.jsonl" if run.is_dir() else run
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ReadError(f"{path}: cannot be read ({reason}); give a run folder or its metrics.jsonl") from None
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines):
                break
            raise ReadError(f"{path}: line {number} is no JSON; give the metrics.jsonl of a run") from None
        if not isinstance(row, dict):
            raise ReadError(f"{path}: line {number} is no set of figures; give the metrics.jsonl of a run")
        found.append(row)
    return found
