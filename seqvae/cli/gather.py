"""Windows to look at: of a dataset, of files, or those that a model file carries; and the options that say which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli.common import UsageError, talk
from seqvae.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqvae.corpus.reading import FileReading
    from seqvae.model import Model
    from seqvae.tokenizers import Tokenizer


class SplitChoice(StrEnum):
    """A part of a dataset."""

    train = "train"
    valid = "valid"
    test = "test"


Inputs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="DATASET|FILES|FOLDERS",
        help="A dataset folder, or files and folders of them.",
        show_default="the dataset of --model, if that is a run",
    ),
]
Split = Annotated[SplitChoice, typer.Option("--split", help="Which part of a dataset.")]
Items = Annotated[
    int | None,
    typer.Option(
        "--items",
        min=1,
        help="Look at so many windows at most, drawn with the seed.",
        show_default="8,192, fewer of long ones",
    ),
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """Windows to look at.

    Attributes:
        tokens: int64 (n, time) or (n, time, part); of `collect` in whatever integers they are stored.
        sources: The name of each one's source; "" where it is not known.
        starts: Where each begins in its source, in the kind's own unit, float64 (n,); NaN where it is not known.
        train: The training windows of the dataset, or None.
        data: What this is, in words.
        split: The dataset's split, `all` of them, `files`, or `stored`.
    """

    tokens: NDArray[Any]
    sources: list[str]
    starts: NDArray[np.float64]
    train: NDArray[Any] | None
    data: str
    split: str


def gather(
    tokenizer: Tokenizer,
    inputs: Sequence[Path],
    split: str,
    items: int | None,
    seed: int,
    track: str | None,
    *,
    every: bool = False,
) -> Gathered:
    """Windows of a dataset's split that train does not hold, or distinct windows of files; at most `items`, by `seed`.

    Without `items` as many as a report card looks at by default. With `every`, windows that train holds and those that
    files hold again count too, and all of them unless `items` says fewer.

    Raises:
        DataError: The dataset is of another kind than the model, or there is no window.
        ReadError: An input does not exist.
    """
    from seqvae.evaluate import ITEMS

    found = _found(tokenizer, inputs, split, track, every)
    most = len(found.tokens) if every else ITEMS.of(tokenizer)
    return _drawn(found, most if items is None else items, seed)


def gather_or_stored(
    model: Model,
    inputs: Sequence[Path] | None,
    given: str,
    split: str,
    items: int | None,
    seed: int,
    track: str | None,
) -> Gathered:
    """As `gather`; without inputs of the dataset of a run, or the windows that the model file carries.

    Args:
        model: Loaded from `given`, the word on the command line.
        inputs, split, items, seed, track: As in `gather`.

    Raises:
        DataError: There are no inputs, and the model carries no windows.
    """
    if not inputs and Path(given).is_dir():
        inputs = [dataset_of_run(given)]
    if inputs:
        return gather(model.tokenizer, inputs, split, items, seed, track)
    return _drawn(stored(model), len(model.held_out) if items is None else items, seed)


def stored(model: Model) -> Gathered:
    """The windows that the model file carries; training did not see them. Raises `DataError` if there are none."""
    import numpy as np

    count = len(model.held_out)
    if not count:
        raise DataError(f"{model.name}: its file carries no windows to look at; give a dataset, files or folders")
    return Gathered(
        tokens=model.held_out.astype(np.int64),
        sources=[""] * count,
        starts=np.full(count, np.nan),
        train=None,
        data=f"{model.name}'s own sample of {count:,} windows that training did not see",
        split="stored",
    )


def collect(tokenizer: Tokenizer, inputs: Sequence[Path], track: str | None) -> Gathered:
    """Every window of a dataset, of all its splits and where it lies on disk, or of files. Raises as `gather`."""
    return _found(tokenizer, inputs, None, track)


def dataset_of_run(model: str) -> Path:
    """The dataset that a run was trained on.

    Raises:
        UsageError: The model is no run.
    """
    if not Path(model).is_dir():
        raise UsageError(f"give a dataset, files or folders; the figures in {model}'s file: seqvae models {model}")
    from seqvae.run import resumable

    return resumable(Path(model))[2]


# -- inside ----------------------------------------------------------------------------------------------------------


def _found(
    tokenizer: Tokenizer, inputs: Sequence[Path], split: str | None, track: str | None, every: bool = False
) -> Gathered:
    """All windows; of a dataset those of a split, or of all splits (None)."""
    datasets = [path for path in inputs if (path / "dataset.json").is_file()]
    if datasets and len(inputs) > 1:
        raise DataError(f"{datasets[0]}: is a dataset and stands among {len(inputs)} inputs; give it alone")
    if datasets:
        return _from_dataset(tokenizer, inputs[0], split, every)
    return _from_files(tokenizer, inputs, track, every)


def _drawn(found: Gathered, items: int, seed: int) -> Gathered:
    """At most so many of them, in their order, as int64."""
    import numpy as np

    rows = np.sort(np.random.default_rng((seed, 3)).permutation(len(found.tokens))[:items])
    drawn = "" if len(rows) == len(found.tokens) else f", {len(rows):,} of {len(found.tokens):,} windows drawn"
    return Gathered(
        tokens=found.tokens[rows].astype(np.int64),
        sources=[found.sources[row] for row in rows],
        starts=found.starts[rows],
        train=found.train,
        data=found.data + drawn,
        split=found.split,
    )


def _from_dataset(tokenizer: Tokenizer, folder: Path, split: str | None, every: bool) -> Gathered:
    import numpy as np

    from seqvae.dataset import Dataset

    dataset = Dataset.open(folder)
    if _alphabet(dataset.tokenizer) != _alphabet(tokenizer):
        found, wanted = _in_words(dataset.tokenizer), _in_words(tokenizer)
        if found == wanted:
            found, wanted = f"other {found}", "its own"
        raise DataError(f"{folder}: holds {found}, and the model reads {wanted}; prepare it with the model's preset")
    names = [source.name for source in dataset.source_list()]
    name = f"{folder.resolve().name} ({dataset.hash})"
    if split is None:
        return Gathered(
            tokens=dataset.tokens,
            sources=[names[index] for index in dataset.origins["source"]],
            starts=dataset.origins["start"],
            train=None,
            data=f"{name}, all {len(dataset.tokens):,} windows",
            split="all",
        )
    windows, part = dataset.windows(split), dataset.unseen(split)  # type: ignore[arg-type]
    if every:
        part = np.ones(len(windows), bool)
    if not part.any():
        what = "are all in train too" if len(part) else "are none"
        raise DataError(f"{folder}: the windows of split {split} {what}; choose another with --split")
    origins = dataset.sources(split)[part]  # type: ignore[arg-type]
    seen = int((~part).sum())
    left_out = f" without {seen:,} windows that train holds too" if seen else ""
    return Gathered(
        tokens=windows[part],
        sources=[names[index] for index in origins["source"]],
        starts=origins["start"],
        train=dataset.windows("train"),
        data=f"{name}, split {split}{left_out}",
        split=split,
    )


def _alphabet(tokenizer: Tokenizer) -> tuple[Any, ...]:
    """What two tokenizers must share for their tokens to mean the same."""
    parts = tokenizer.alphabet.parts
    names = [tuple(tokenizer.token_name(t, i) for t in range(part.size)) for i, part in enumerate(parts)]
    return tokenizer.kind, tokenizer.length, tokenizer.step_name(tokenizer.length - 1), parts, tuple(names)


def _in_words(tokenizer: Tokenizer) -> str:
    """A tokenizer's windows, shortly."""
    sizes = " + ".join(f"{part.size:,}" for part in tokenizer.alphabet.parts)
    most = "at most " if tokenizer.alphabet.end is not None else ""
    return f"{tokenizer.kind} of {most}{tokenizer.length} steps of {sizes} tokens"


def _from_files(tokenizer: Tokenizer, inputs: Sequence[Path], track: str | None, every: bool) -> Gathered:
    """The distinct windows of files, or every one of them; what cannot be read is said and left out."""
    import numpy as np

    from seqvae.corpus.prepare import find_files, read_all
    from seqvae.corpus.reading import Reader
    from seqvae.dataset import window_keys

    files = find_files(inputs, tokenizer.suffixes)
    tokens, starts, sources, useless = [], [], [], []
    for reading in read_all(files, Reader(tokenizer=tokenizer, track=track)):
        for item in reading.items:
            tokens.append(item.tokens)
            starts.append(item.starts)
            sources += [item.name] * len(item.tokens)
        if not any(len(item.tokens) for item in reading.items):
            useless.append(f"{reading.name}: {_why_not(reading)}")
    if not sources:
        raise DataError(f"none of {len(files)} files gives a window of the model's kind; the first: {useless[0]}")
    if useless:
        talk(f"{len(useless)} of {len(files)} files give no window; the first: {useless[0]}")
    found = np.concatenate(tokens)
    distinct = np.sort(np.unique(window_keys(found), return_index=True)[1])
    kept = np.arange(len(found)) if every else distinct
    counted = (
        f"{len(found):,} windows, {len(distinct):,} of them distinct" if every else f"{len(kept):,} distinct windows"
    )
    name = inputs[0].name if len(inputs) == 1 else f"{len(files)} files"
    return Gathered(
        tokens=found[kept],
        sources=[sources[row] for row in kept],
        starts=np.concatenate(starts)[kept],
        train=None,
        data=f"{name}, all {counted}",
        split="files",
    )


def _why_not(reading: FileReading) -> str:
    """Why a file gave no window."""
    for item in reading.items:
        if item.error or item.skipped:
            return item.error or ", ".join(f"{count} × {what}" for what, count in item.skipped.items())
    return reading.error or "nothing in it"


def group_labels(names: Sequence[str]) -> list[str]:
    """A short label for each source: the first folder in which they differ, or the file's name if they share one.

    >>> group_labels(["all/folk/a.mid", "all/folk/b.mid", "all/pop/c.mid"])
    ['folk', 'folk', 'pop']
    >>> group_labels(["all/a.mid", "all/b.mid"])
    ['a.mid', 'b.mid']
    """
    parts = [name.split("/") for name in names]
    depth = 0
    while all(len(part) > depth + 1 for part in parts) and len({part[depth] for part in parts}) == 1:
        depth += 1
    return [part[depth] if len(part) > depth + 1 else part[-1] for part in parts]
