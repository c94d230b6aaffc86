"""What the verbs share: options, talk on stderr, results on stdout, and folders written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from seqvae.errors import DataError, WriteError
from seqvae.files import write_atomic

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.passage import Decoding
    from seqvae.tokenizers import Tokenizer

Item = TypeVar("Item")

DEFAULT_MODEL = "melody-2bar"

# -- options -----------------------------------------------------------------------------------------------------------

Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FOLDER|FILE",
        help="Folder to write to; of texts also one file, an item a line.",
        show_default="a folder named after the input; texts are printed",
    ),
]
ModelName = Annotated[
    str, typer.Option("--model", metavar="NAME|FILE|RUN", help="A bundled model, a .safetensors file or a run folder.")
]
FittingModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|FILE|RUN",
        help="A bundled model, a .safetensors file or a run folder.",
        show_default="the bundled one that fits the input",
    ),
]
DeviceName = Annotated[str, typer.Option("--device", help="Where the network runs: auto, cpu or cuda.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="Same seed, same bytes.", show_default="drawn, and printed"),
]
Temperature = Annotated[
    float, typer.Option("--temperature", min=0.0, help="0 takes the likeliest token at each step, 1 draws freely.")
]
TopK = Annotated[
    int | None, typer.Option("--top-k", min=1, help="Draw among the k likeliest tokens only; with a temperature.")
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", min=0.0, max=1.0, help="Draw among the likeliest that make up this share; likewise."),
]
Beam = Annotated[
    int | None, typer.Option("--beam", min=1, metavar="N", help="The likeliest of N sequences; texts and raw only.")
]
BanUnknown = Annotated[bool, typer.Option("--ban-unk", help="Of texts: never the token for unknown words.")]
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="How many.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of paths.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that stand already.")]
ReEncode = Annotated[
    bool, typer.Option("--re-encode", help="Encode the notes even of a file that carries its own exact z.")
]
Track = Annotated[
    str | None,
    typer.Option(
        "--track", metavar="N|NAME|PART=N", help="Which track is meant, from 0 or by name; of parts melody=2,bass=0."
    ),
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


def report(files: Sequence[Path], values: dict[str, Any], as_json: bool, lines: Sequence[str] = ()) -> None:
    """The result on stdout: lines, or the files' paths one a line; or one JSON object of `values` and `files`."""
    if as_json:
        found = known_only({**values, "files": [str(file) for file in files]})
        print(json.dumps(found, ensure_ascii=False, allow_nan=False))
    else:
        for line in files or lines:
            print(line)


def known_only(value: Any) -> Any:
    """For JSON, which has no NaN and no infinity: null in their place.

    >>> known_only({"swing": float("nan"), "kick": [0.5]})
    {'swing': None, 'kick': [0.5]}
    """
    match value:
        case dict():
            return {name: known_only(one) for name, one in value.items()}
        case list() | tuple():
            return [known_only(one) for one in value]
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value


def described(verb: str, model: Model, seed: int, temperature: float, decoding: Decoding) -> dict[str, Any]:
    """What every JSON answer says; of the decoding what is not plain."""
    from seqvae.passage import PLAIN

    chosen = {name: value for name, value in vars(decoding).items() if value != getattr(PLAIN, name)}
    facts = {"verb": verb, "model": model.name, "model_hash": model.hash, "seed": seed, "temperature": temperature}
    return {**facts, **chosen}


def deliver(model: Model, items: Sequence[Any], files: list[Path], values: dict[str, Any], as_json: bool) -> None:
    """The result on stdout: paths, or where there is no file the items as lines; JSON has both."""
    lines = [model.tokenizer.show(item) for item in items] if is_lines(model.tokenizer) else []
    report(files, {**values, "items": lines} if lines else values, as_json, lines)


def progress(items: Iterable[Item], label: str, count: int | None = None) -> Iterator[Item]:
    """The items, with a bar on stderr if they are many and someone is watching; `count` of those without a length."""
    count = len(items) if isinstance(items, Sized) else count or 0
    if count < 50 or not sys.stderr.isatty():
        yield from items
        return
    with typer.progressbar(items, length=count, label=label, file=sys.stderr) as bar:
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
    from seqvae import loading

    return loading.load(name, device=device)


def decoding_of(
    model: Model, *, temperature: float, top_k: int | None, top_p: float | None, beam: int | None, ban_unknown: bool
) -> Decoding:
    """How tokens are drawn.

    Raises:
        UsageError: Two ways of drawing are asked for at once.
        DataError: The model's kind has no unknown word, or several parts a step.
    """
    from seqvae.passage import Decoding

    alphabet, unknown = model.tokenizer.alphabet, getattr(model.tokenizer, "unknown", None)
    if (top_k or top_p is not None) and not temperature:
        raise UsageError("--top-k and --top-p choose among what is drawn; add --temperature 1, or leave them out")
    if beam and temperature:
        raise UsageError("--beam looks for the likeliest and --temperature draws; give one of them")
    if beam and len(alphabet.parts) > 1:
        raise DataError(f"--beam is for one part a step and {model.name} has {len(alphabet.parts)}; leave it out")
    if ban_unknown and unknown is None:
        raise DataError(
            f"--ban-unk is for texts, and {model.name} knows every {model.tokenizer.kind} token; leave it out"
        )
    return Decoding(
        top_k=top_k or 0,
        top_p=1.0 if top_p is None else top_p,
        beam=beam or 0,
        banned=(unknown,) if ban_unknown and unknown is not None else (),
    )


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


def numbered(stem: str, count: int) -> list[str]:
    """step-01, step-02, ...: as many digits as the count needs, at least two, so that files sort."""
    width = max(2, len(str(count)))
    return [f"{stem}-{number:0{width}d}" for number in range(1, count + 1)]


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


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where results go: a folder, one file, or, of what can be shown as a line, stdout.

    Attributes:
        tokenizer: Of the kind that is written.
        place: The folder or the file; None for stdout.
        names: Of the files in a folder.
        force: Whether what stands there may be replaced.
    """

    tokenizer: Tokenizer
    place: Path | None
    names: list[str]
    force: bool

    @property
    def is_file(self) -> bool:
        """Whether all goes to one file."""
        return self.place is not None and is_one_file(self.tokenizer, self.place)

    def write(
        self,
        items: Iterable[Any],
        picture: Sequence[tuple[str, Any]] = (),
        on_path: bool = True,
        columns: int | None = None,
    ) -> list[Path]:
        """Writes items, in a folder one a file, and of music `strip.png` with a picture of some; all or none.

        A title is a file's name, shown without its ending, or two lines as they are. `on_path` says that the pictured
        items follow one another, which their colours then show; `columns` that they are the cells of a grid, row by
        row, and the picture is `grid.png`.
        """
        if self.place is None:
            return []
        if self.is_file:
            return [self._write_together(list(items), self.place)]
        from seqvae.clip import Clip

        # A picture of other kinds of sequence is nothing that the plotter knows.
        drawn = [(title, item) for title, item in picture if isinstance(item, Clip)]
        picture_name = "strip.png" if columns is None else "grid.png"
        names = self.names + [picture_name] * bool(drawn)
        with whole_folder(self.place, names, self.force) as aside:
            for name, item in progress(zip(self.names, items, strict=True), "writing", len(self.names)):
                self.tokenizer.write(item, aside / name, overwrite=True)
            if drawn:
                from seqvae.plot import piano_roll_grid, piano_roll_strip

                clips = [item for _, item in drawn]
                titles = [title if "\n" in title else Path(title).stem for title, _ in drawn]
                if columns is None:
                    piano_roll_strip(clips, aside / picture_name, titles=titles, path_colours=on_path)
                else:
                    corners = [titles[index] for index in (0, columns - 1, -columns, -1)]
                    piano_roll_grid(clips, columns, aside / picture_name, corners=corners)
        return [self.place / name for name in names]

    def _write_together(self, items: Sequence[Any], path: Path) -> Path:
        """One item a line of a text; or all of them joined, in whatever the file's name ends in."""
        import numpy as np

        if path.suffix.lower() in LINE_SUFFIXES:
            lines = "".join(f"{self.tokenizer.show(item)}\n" for item in items)
            return write_atomic(path, lines.encode(), overwrite=self.force)
        rows = isinstance(items[0], np.ndarray)
        return self.tokenizer.write(np.stack(items) if rows else self.tokenizer.join(items), path, overwrite=self.force)


LINE_SUFFIXES = (".txt", ".text")


def plan(
    tokenizer: Tokenizer, output: Path | None, folder: str, stems: Sequence[str], force: bool, joined: bool = False
) -> Target:
    """Where results go: `output`; without it `folder` for music, and stdout for what can be shown as lines.

    Args:
        tokenizer: Of the kind that is written.
        output, force: As on the command line.
        folder: The default.
        stems: Of the files in a folder.
        joined: Music has one more, with all of them one after another.

    Raises:
        WriteError: Before any work, if something stands there.
    """
    heard = not is_lines(tokenizer)
    place = Path(folder) if output is None and heard else output
    names = [stem + tokenizer.suffix for stem in (*stems, *["joined"] * (joined and heard))]
    if place is not None and is_one_file(tokenizer, place):
        check_ending(tokenizer, place)
        check_file(place, force)
    elif place is not None:
        check_folder(place, names, force)
    return Target(tokenizer=tokenizer, place=place, names=names, force=force)


def is_lines(tokenizer: Tokenizer) -> bool:
    """Whether its items are lines: texts, raw symbols."""
    from seqvae.tokenizers.lines import LineReader

    return isinstance(tokenizer, LineReader)


def is_one_file(tokenizer: Tokenizer, place: Path) -> bool:
    """Whether all items go to a file of that name: of lines, where the name has an ending and is no folder."""
    return is_lines(tokenizer) and bool(place.suffix) and not place.is_dir()


def check_ending(tokenizer: Tokenizer, path: Path) -> None:
    """Refuses a name that promises what is not written, such as lines in a .wav. Raises `WriteError`."""
    played = (".mid", ".midi") if tokenizer.kind == "text" else ()  # the tokenizer says whether it has chords
    known = tuple(dict.fromkeys((*LINE_SUFFIXES, tokenizer.suffix, *played)))
    if path.suffix.lower() not in known:
        raise WriteError(f"{path}: its suffix is {path.suffix!r} and one of {' '.join(known)} is expected; rename it")


def check_file(path: Path, force: bool) -> None:
    """Refuses, before any work, to write over a file or a folder. Raises `WriteError`."""
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; give a file with -o")
    if path.exists() and not force:
        raise WriteError(f"{path}: exists already; give --force to overwrite or another name with -o")
