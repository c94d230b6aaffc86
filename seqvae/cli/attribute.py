"""The verbs of attribute vectors: `attribute fit`, `apply`, `sweep`, `report`, `list`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import apply, common, gather, inputs
from seqvae.cli.common import DEFAULT_MODEL, UsageError, talk
from seqvae.errors import DataError

if TYPE_CHECKING:
    from seqvae.attributes import AttributeVector
    from seqvae.attributes.labels import Labelled
    from seqvae.model import Model
    from seqvae.tokenizers import Tokens

attribute = typer.Typer(
    name="attribute",
    help="Fits attribute vectors, applies them, and says what they do.",
    rich_markup_mode=None,
)
attribute.command()(apply.apply)
attribute.command()(apply.sweep)

VALID_ITEMS = 512
"""Windows of the valid split of which those are drawn that effects are measured on."""

Data = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="DATASET|FILES|FOLDER",
        help="Windows to look at; may be repeated.",
        show_default="the dataset of a run; the model file's own sample",
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--attribute", metavar="NAME", help="Which; may be repeated.", show_default="all that there are"),
]
FixedSeed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Same seed, same result.")]


# -- fitting -----------------------------------------------------------------------------------------------------------


@attribute.command()
def fit(
    names: Names = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="TABLE.csv", help="Fit its columns: numbers or labels of items.")
    ] = None,
    having: Annotated[
        str | None,
        typer.Option("--with", metavar="A", help="Fit what the items of A have: a folder, files, a dataset, an item."),
    ] = None,
    lacking: Annotated[str | None, typer.Option("--without", metavar="B", help="... and those of B have not.")] = None,
    called: Annotated[str | None, typer.Option("--name", help="What --with has.", show_default="the name of A")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="NAME", help="Fit so that this attribute is not moved; may be repeated."),
    ] = None,
    data: Data = None,
    items: gather.Items = None,
    track: common.Track = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE.safetensors", help="Model file to write.", show_default="the model's own"
        ),
    ] = None,
    seed: FixedSeed = 0,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Finds directions of latent space along which attributes change, and stores them in the model file.

    One unit moves the attribute by one standard deviation of the data, as measured through the decoder on windows that
    were not fitted on: of a dataset those of the valid split, of files a quarter. A dataset is fitted on its train
    split. With neither attributes nor labels, everything is fitted that can be measured on the model's kind of items.

    A model of your own is updated in place (its weights and their hash stay as they are); a bundled one needs -o.

    \b
    Example:
      seqvae attribute fit --model runs/mine --data my-data
      seqvae attribute fit --attribute density --attribute pitch --against range --data my-songs -o my.safetensors
      seqvae attribute fit --labels moods.csv --data my-songs -o my.safetensors
      seqvae attribute fit --with happy/ --without sad/ -o my.safetensors
      seqvae attribute fit --model captions --with "a man with a hat" --without "a man" --name hat -o hats.safetensors
    """
    from seqvae import edit

    _check_fit(names, labels, having, lacking, called, data)
    source, place = _places(model, output, force)
    loaded = common.load_model(model, device)
    before = set(loaded.attributes)
    if having is not None and lacking is not None and (pair := _pair(loaded, having, lacking, track)):
        found = edit.fit_pair(loaded, called or inputs.Given(word=having).stem, *pair, seed=seed)
    else:
        windows, known = _windows(loaded, model, data, labels, having, lacking, called, items, seed, track)
        talk(f"fitted on: {windows.data}")
        found = edit.fit_attributes(
            loaded,
            windows.tokens,
            names or (),
            labels=known,
            against=against or (),
            valid=_valid(loaded, model, data, windows, seed, track),
            data=windows.data,
            seed=seed,
            tell=talk,
        )
    edit.store_attributes(source, found, place)
    fresh = [found[name] for name in found if name not in before or found[name] is not loaded.attributes[name]]
    values = {"verb": "attribute fit", "model": loaded.name, "model_hash": loaded.hash, "seed": seed}
    common.report([place], {**values, "vectors": [described(one) for one in fresh]}, as_json)


def _check_fit(
    names: Sequence[str] | None,
    labels: Path | None,
    having: str | None,
    lacking: str | None,
    called: str | None,
    data: Sequence[Path] | None,
) -> None:
    if (having is None) != (lacking is None):
        raise UsageError("--with and --without belong together; give both")
    if having is not None and (names or labels or data):
        raise UsageError("--with and --without are the data and the label; leave --attribute, --labels and --data out")
    if called is not None and having is None:
        raise UsageError("--name is for --with and --without; attributes and columns have names of their own")


def _places(model: str, output: Path | None, force: bool) -> tuple[Path, Path]:
    """The model's file, and where it is written with its vectors. Raises `UsageError`, `WriteError`."""
    from seqvae.checkpoint import bundled_models, find_model

    source = find_model(model)
    if output is None:
        if source in bundled_models().values():
            raise UsageError(f"{model} is bundled and stays as it is; give -o FILE.safetensors for a copy with vectors")
        return source, source
    if output.suffix != ".safetensors":
        raise UsageError(f"-o {output}: a model file is written; give a name that ends in .safetensors")
    if not (output.exists() and output.samefile(source)):
        common.check_file(output, force)
    return source, output


def _pair(model: Model, having: str, lacking: str, track: str | None) -> tuple[Any, Any] | None:
    """The two items, if no more than two are given: two typed ones, or two files with one each."""
    given = [inputs.Given(word=word, track=track) for word in (having, lacking)]
    if any(Path(one.word).is_dir() for one in given if one.is_file):
        return None
    found = [one.read_all(model.tokenizer) for one in given]
    return (found[0][0], found[1][0]) if all(len(items) == 1 for items in found) else None


def _windows(
    model: Model,
    given: str,
    data: Sequence[Path] | None,
    labels: Path | None,
    having: str | None,
    lacking: str | None,
    called: str | None,
    items: int | None,
    seed: int,
    track: str | None,
) -> tuple[gather.Gathered, list[Labelled]]:
    """The windows to fit on and what is known of them."""
    from dataclasses import replace

    from seqvae.attributes.labels import without_opposites
    from seqvae.cli.labelled import gather_sides, labels_of

    if having is not None and lacking is not None:
        sides, label = gather_sides(model.tokenizer, Path(having), Path(lacking), "train", items, seed, track)
        return sides, [replace(label, name=called or label.name, what=f"{called or label.name} (1 or 0)")]
    windows = gather.gather_or_stored(model, data, given, "train", items, seed, track)
    return windows, [] if labels is None else without_opposites(labels_of(model.tokenizer, windows, labels))


def _valid(
    model: Model, given: str, data: Sequence[Path] | None, windows: gather.Gathered, seed: int, track: str | None
) -> Tokens | None:
    """Windows of the dataset's valid split, if it is one and has some."""
    if windows.split != "train" or windows.train is None:
        return None
    try:
        return gather.gather_or_stored(model, data, given, "valid", VALID_ITEMS, seed, track).tokens
    except DataError:
        return None


# -- what there is -----------------------------------------------------------------------------------------------------


@attribute.command()
def report(
    names: Names = None,
    data: Data = None,
    split: gather.Split = gather.SplitChoice.test,
    items: Annotated[int, typer.Option("--items", min=2, help="So many held-out windows are moved.")] = 128,
    track: common.Track = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.png", help="Draw the matrix as a heat map.")
    ] = None,
    seed: FixedSeed = 0,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Measures what every vector does to every attribute, on windows that training did not see.

    z + amount · vector is decoded for nine amounts from -2 to 2, and the attributes are measured on what comes out: the
    slope with its 95 % interval, how steadily the attribute follows (Spearman), the largest leakage into others, and
    the same of a random direction of equal length.

    \b
    Example:
      seqvae attribute report --model melody-2bar
      seqvae attribute report --model runs/mine --data my-data -o effects.png
    """
    from seqvae import edit

    if output is not None and output.suffix.lower() != ".png":
        raise UsageError(f"-o {output}: a picture is drawn; give a name that ends in .png")
    if output is not None:
        common.check_file(output, force)
    loaded = common.load_model(model, device)
    chosen = [loaded.attributes[name].name for name in names or loaded.attributes]
    windows = gather.gather_or_stored(loaded, data, model, split.value, None, seed, track)
    talk(f"measured on: {windows.data}")
    found = edit.effect_report(loaded, windows.tokens, names=chosen, items=items, seed=seed, tell=_teller(len(chosen)))
    files = []
    if output is not None:
        from seqvae.plot.heat import effect_heatmap

        files = [effect_heatmap(found, output, title=f"{loaded.name}: effect of one unit, in deviations")]
    if not as_json:
        print(found.table())
    values = {"verb": "attribute report", "model": loaded.name, "model_hash": loaded.hash, "data": windows.data}
    common.report(files, {**values, **found.to_dict()}, as_json)


@attribute.command(name="list")
def list_(
    model: common.ModelName = DEFAULT_MODEL,
    as_json: common.AsJson = False,
) -> None:
    """Lists the attribute vectors of a model, and what else can be measured on its items.

    \b
    Example:
      seqvae attribute list --model melody-2bar
    """
    from seqvae.attributes import attributes_of
    from seqvae.checkpoint import find_model, load_model

    saved = load_model(find_model(model))
    fitted = {one.name for one in saved.attributes}
    others = [one for name, one in attributes_of(saved.preset.tokenizer).items() if name not in fitted]
    lines = [f"{model} has no vectors; fit some with: seqvae attribute fit"] if not saved.attributes else []
    width = max((len(name) for name in (*fitted, *(other.name for other in others))), default=0)
    for one in saved.attributes:
        spared = f", leakage {one.leakage:.2f}" + (f" into {', '.join(one.against)}" if one.against else "")
        unit = f"one unit: {one.effect:.2f} of {one.deviation:.3g}"
        lines.append(f"{one.name:{width}}  {one.what}; {unit}, Spearman {one.spearman:.2f}{spared}; {one.method}")
    lines += [f"{other.name:{width}}  {other.what}; no vector" for other in others]
    values = {
        "model": model,
        "vectors": [described(one) for one in saved.attributes],
        "measured": {other.name: other.what for other in others},
    }
    common.report([], values, as_json, lines)


def described(vector: AttributeVector) -> dict[str, Any]:
    """A vector for JSON, without its arrays."""
    return {name: value for name, value in vars(vector).items() if name not in ("vector", "probe")}


def _teller(count: int) -> Any:
    """Says which vector's turn it is, if there are several."""
    numbers = iter(range(1, count + 1))

    def tell(name: str) -> None:
        talk(f"{next(numbers)}/{count} {name}")

    return tell if count > 1 else None
