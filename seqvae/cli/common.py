"""What the verbs share: options, talk on stderr, results on stdout, and folders written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from seqvae.errors import DataError, WriteError

if TYPE_CHECKING:
    from seqvae.clip import Clip
    from seqvae.model import Model
    from seqvae.passage import Passage

Item = TypeVar("Item")

DEFAULT_MODEL = "melody-2bar"

# -- options -----------------------------------------------------------------------------------------------------------

OutputFolder = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FOLDER", help="Folder to write to.", show_default="named after the input"),
]
ModelName = Annotated[
    str, typer.Option("--model", metavar="NAME|FILE|RUN", help="A bundled model, a .safetensors file or a run folder.")
]
DeviceName = Annotated[str, typer.Option("--device", help="Where the network runs: auto, cpu or cuda.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="Same seed, same bytes.", show_default="drawn, and printed"),
]
Temperature = Annotated[
    float, typer.Option("--temperature", min=0.0, help="0 takes the likeliest token at each step, 1 draws freely.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of paths.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that stand already.")]
ReEncode = Annotated[
    bool, typer.Option("--re-encode", help="Encode the notes even of a file that carries its own exact z.")
]
Track = Annotated[
    str | None, typer.Option("--track", metavar="N|NAME", help="Which track is meant, from 0, or its name.")
]
Bars = Annotated[str | None, typer.Option("--bars", metavar="5:7", help="Only these bars, from 1, both included.")]
Meter = Annotated[
    str | None, typer.Option("--meter", metavar="4/4", help="Count the beats in this meter, whatever the file says.")
]


class UsageError(typer.TyperException):
    """A wrong use of the command line that typer's own checks cannot see: exit code 2."""

    exit_code = 2


# -- talk and results --------------------------------------------------------------------------------------------------


def talk(message: str = "") -> None:
    """A line for the person at the terminal, on stderr."""
    print(message, file=sys.stderr)


def report(files: Sequence[Path], values: dict[str, Any], as_json: bool) -> None:
    """The result on stdout: the files' paths one a line, or one JSON object of `values` and `files`."""
    if as_json:
        print(json.dumps({**values, "files": [str(file) for file in files]}, ensure_ascii=False))
    else:
        for file in files:
            print(file)


def progress(items: Sequence[Item], label: str) -> Iterator[Item]:
    """The items, with a bar on stderr if they are many and someone is watching."""
    if len(items) < 50 or not sys.stderr.isatty():
        yield from items
        return
    with typer.progressbar(items, label=label, file=sys.stderr) as bar:
        yield from bar


def settle_seed(seed: int | None, used: bool = True) -> int:
    """The seed given, or a new one, said on stderr; 0 where nothing is drawn anyway."""
    import secrets

    if seed is not None or not used:
        return seed or 0
    drawn = secrets.randbelow(2**31)
    talk(f"seed {drawn}")
    return drawn


# -- inputs ------------------------------------------------------------------------------------------------------------


def load_model(name: str, device: str) -> Model:
    """Loads a model; here, so that `--help` imports no torch."""
    from seqvae import model

    return model.load(name, device=device)


def read_passage(
    model: Model,
    path: Path,
    *,
    track: str | None = None,
    bars: str | None = None,
    meter: str | None = None,
    re_encode: bool = False,
) -> Passage:
    """Reads a file whole, or some bars of it, as windows of the model's kind, and says where its z comes from."""
    item = model.tokenizer.read(path)
    if meter is not None:
        item = count_in(item, meter)
    if bars is not None:
        item = choose_bars(item, bars)
    passage = model.passage(item, track, re_encode=re_encode)
    if passage.restored:
        provenance = item.provenance
        made = f"seqvae {provenance.verb} made it with {provenance.model}, seed {provenance.seed}"
        talk(f"{path}: {made}; its exact z is read from the file (--re-encode encodes its notes)")
    return passage


def choose_bars(clip: Clip, bars: str) -> Clip:
    """The bars "5:7" of a clip, counted from 1, both included; "5" is one bar.

    Raises:
        UsageError: `bars` is not of that form.
        DataError: The clip has no such bars.
    """
    first_text, colon, last_text = bars.partition(":")
    last_text = last_text if colon else first_text
    if not (first_text.isdecimal() and last_text.isdecimal() and 1 <= int(first_text) <= int(last_text)):
        raise UsageError(f"--bars {bars!r} is not of the form 5:7, from 1, the first not after the last")
    first, last, found = int(first_text), int(last_text), clip.bars()
    if last > len(found):
        raise DataError(f"{clip.name or 'clip'}: there are {len(found)} bars and --bars {bars} asks for bar {last}")
    end = found[last - 1].start_beats + found[last - 1].length_beats
    return clip.cut(found[first - 1].start_beats, end)


def count_in(clip: Clip, meter: str) -> Clip:
    """The clip with its beats counted in one meter, such as "4/4".

    Raises:
        UsageError: `meter` is not of that form.
    """
    from seqvae.clip import MeterChange

    numerator, _, denominator = meter.partition("/")
    if not (numerator.isdecimal() and denominator.isdecimal() and int(numerator) and int(denominator)):
        raise UsageError(f"--meter {meter!r} is not of the form 4/4")
    return replace(clip, meters=(MeterChange(0.0, int(numerator), int(denominator)),))


def for_each_input(values: Sequence[str], option: str, inputs: int) -> list[str | None]:
    """An option that may be given once for all inputs, or once for each."""
    if len(values) not in (0, 1, inputs):
        raise UsageError(
            f"{option} is given {len(values)} times; give it once, or once for each of the {inputs} inputs"
        )
    if not values:
        return [None] * inputs
    return [*values] * inputs if len(values) == 1 else [*values]


# -- outputs -----------------------------------------------------------------------------------------------------------


def check_folder(folder: Path, names: Sequence[str], force: bool) -> None:
    """Refuses, before any work, to write where something stands already.

    Raises:
        WriteError: The folder is a file, or one of the files exists and `force` is False.
    """
    if folder.exists() and not folder.is_dir():
        raise WriteError(f"{folder}: is a file; give a folder with -o")
    if not folder.exists() and folder.suffix.lower() in (".mid", ".midi", ".png", ".npz", ".json", ".txt"):
        raise WriteError(f"{folder}: looks like a file and a folder is written; give a folder with -o")
    standing = [name for name in names if (folder / name).exists()]
    if standing and not force:
        raise WriteError(f"{folder / standing[0]}: exists already; give --force to overwrite or another folder with -o")


def plan_files(model: Model, folder: Path, stems: Sequence[str], force: bool) -> list[str]:
    """File names of the model's kind. Raises `WriteError`, before any work, if one of them stands already."""
    names = [stem + model.tokenizer.suffix for stem in stems]
    check_folder(folder, names, force)
    return names


@contextmanager
def whole_folder(folder: Path, names: Sequence[str], force: bool) -> Iterator[Path]:
    """A folder beside `folder` to write `names` into; they move to their place together if nothing went wrong.

    Raises:
        WriteError: Something stands in the way, or the place cannot be written.
    """
    check_folder(folder, names, force)
    aside = folder.parent / f".{folder.name}.{os.getpid()}.part"
    try:
        aside.mkdir(parents=True)
        yield aside
        if folder.exists():
            for name in names:
                os.replace(aside / name, folder / name)
        else:
            os.replace(aside, folder)
    except WriteError as error:
        raise WriteError(str(error).replace(str(aside), str(folder))) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"{folder}: cannot be written ({reason}); choose another folder with -o") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_items(
    model: Model,
    folder: Path,
    items: Sequence[tuple[str, Any]],
    force: bool,
    picture: Sequence[tuple[str, Any]] = (),
    on_path: bool = True,
) -> list[Path]:
    """Writes named items, and under `strip.png` a picture of some of them, all or none; their paths in order.

    `on_path` says that the pictured items follow one another, which their colours then show.
    """
    from seqvae.clip import Clip

    # A picture of other kinds of sequence is nothing that the plotter knows.
    drawn = [(title, item) for title, item in picture if isinstance(item, Clip)]
    names = [name for name, _ in items] + ["strip.png"] * bool(drawn)
    with whole_folder(folder, names, force) as aside:
        for name, item in progress(items, "writing"):
            model.tokenizer.write(item, aside / name, overwrite=True)
        if drawn:
            from seqvae.plot import piano_roll_strip

            clips, titles = [item for _, item in drawn], [Path(title).stem for title, _ in drawn]
            piano_roll_strip(clips, aside / "strip.png", titles=titles, path_colours=on_path)
    return [folder / name for name in names]


def check_file(path: Path, force: bool) -> None:
    """Refuses, before any work, to write over a file or a folder. Raises `WriteError`."""
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; give a file with -o")
    if path.exists() and not force:
        raise WriteError(f"{path}: exists already; give --force to overwrite or another name with -o")
