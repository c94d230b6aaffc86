"""The verbs that show: plot path, plot curves, plot map."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, inputs
from seqvae.cli.colours import colour_of
from seqvae.cli.common import DEFAULT_MODEL, UsageError, talk
from seqvae.cli.gather import Gathered, Inputs, Items, Split, SplitChoice, gather_or_stored
from seqvae.errors import ReadError

if TYPE_CHECKING:
    from seqvae.model import Model

Picture = Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="Where the picture goes.")]

NEIGHBOUR_ITEMS = 2_000
"""Of t-SNE and UMAP, where none are asked for: some ten seconds."""


class MethodChoice(StrEnum):
    """How z is laid on a plane."""

    pca = "pca"
    tsne = "tsne"
    umap = "umap"


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
    method: Annotated[
        MethodChoice, typer.Option("--method", help="Principal components, t-SNE or UMAP.")
    ] = MethodChoice.pca,
    colour: Annotated[
        str | None,
        typer.Option(
            "--colour",
            metavar="NAME",
            help="source, an attribute, a column of --labels; of lines also first.",
            show_default="source, or the first attribute",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE.csv", help="A table of what is known of the items.")
    ] = None,
    prior: Annotated[
        bool, typer.Option("--prior", help="Draw how the cloud of the items lies to the prior instead.")
    ] = False,
    split: Split = SplitChoice.test,
    items: Items = None,
    track: common.Track = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE.png", help="Where the picture goes.", show_default="map.png, prior.png"
        ),
    ] = None,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Draws where items lie in latent space, as posterior means on a plane.

    Without inputs it shows a run's dataset, or the windows that the model file carries. Colours: source (folder or
    file), whatever can be measured on items of the model's kind (density, pitch, length, ...), a column of a table
    whose rows name the items; of texts and raw symbols first, the first word or symbol.

    With --prior: which dimensions are used, and whether draws of the priors lie where the items lie.

    \b
    Example:
      seqvae plot map my-dataset --model runs/mine --colour density
      seqvae plot map songs/ --method tsne --labels genres.csv --colour genre
      seqvae plot map --prior --model drums-2bar
    """
    if prior and (colour is not None or labels is not None or method is not MethodChoice.pca):
        raise UsageError("--prior draws clouds and not items; leave --method, --colour and --labels out")
    if labels is not None and not labels.is_file():
        raise ReadError(f"{labels}: no such file; give a .csv with --labels")
    output = output or Path("prior.png" if prior else "map.png")
    _check_picture(output, force)
    seed = common.settle_seed(seed)
    loaded = common.load_model(model, device)
    if items is None and method is not MethodChoice.pca:
        items = NEIGHBOUR_ITEMS
    windows = gather_or_stored(loaded, inputs, model, split.value, items, seed, track)
    talk(windows.data)
    values = (
        _draw_prior(loaded, windows, output, seed, force)
        if prior
        else _draw_map(loaded, windows, output, method, colour, labels, seed, force)
    )
    common.report([output], {"data": windows.data, "items": len(windows.tokens), **values}, as_json)


def _draw_prior(model: Model, windows: Gathered, output: Path, seed: int, force: bool) -> dict[str, Any]:
    from seqvae.plot import posterior_against_prior

    means, stds = model.posterior(windows.tokens)
    fit = posterior_against_prior(means, stds, model.aggregate, output, title=model.name, seed=seed, overwrite=force)
    return fit.to_dict()


def _draw_map(
    model: Model,
    windows: Gathered,
    output: Path,
    method: MethodChoice,
    colour: str | None,
    labels: Path | None,
    seed: int,
    force: bool,
) -> dict[str, Any]:
    from seqvae.plot import latent_map
    from seqvae.projection import pca, tsne, umap

    chosen = colour_of(model, windows, colour, labels)
    z = model.encode(windows.tokens)
    match method:
        case MethodChoice.pca:
            projection = pca(z)
        case MethodChoice.tsne:
            projection = tsne(z, seed=seed)
        case MethodChoice.umap:
            projection = umap(z, seed=seed)
    title = f"{model.name}: {len(z):,} items"
    latent_map(projection, output, values=chosen.values, labels=chosen.labels, name=chosen.what, title=title,
               overwrite=force)  # fmt: skip
    explained = {} if projection.explained is None else {"explained": list(projection.explained)}
    return {"method": method.value, "colour": chosen.name, **explained}


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
