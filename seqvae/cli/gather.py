"""Windows to look at: of a dataset's split, or of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvae.cli.common import talk
from seqvae.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqvae.corpus.reading import FileReading
    from seqvae.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """Windows to look at.

    Attributes:
        tokens: int64 (n, time) or (n, time, part).
        sources: The name of each one's source.
        train: The training windows of the dataset, or None.
        data: What this is, in words.
        split: The dataset's split, or `files`.
    """

    tokens: NDArray[np.int64]
    sources: list[str]
    train: NDArray[Any] | None
    data: str
    split: str


def gather(
    tokenizer: Tokenizer, inputs: Sequence[Path], split: str, items: int | None, seed: int, track: str | None
) -> Gathered:
    """Windows of a dataset's split that train does not hold, or all windows of files; at most `items`, drawn by `seed`.

    Without `items` as many as a report card looks at by default.

    Raises:
        DataError: The dataset is of another kind than the model, or there is no window.
        ReadError: An input does not exist.
    """
    import numpy as np

    from seqvae.evaluate import ITEMS

    datasets = [path for path in inputs if (path / "dataset.json").is_file()]
    if datasets and len(inputs) > 1:
        raise DataError(f"{datasets[0]}: is a dataset and stands among {len(inputs)} inputs; give it alone")
    found = _from_dataset(tokenizer, inputs[0], split) if datasets else _from_files(tokenizer, inputs, track)
    items = ITEMS.of(tokenizer) if items is None else items
    rows = np.sort(np.random.default_rng((seed, 3)).permutation(len(found.tokens))[:items])
    drawn = "" if len(rows) == len(found.tokens) else f", {len(rows):,} of {len(found.tokens):,} windows drawn"
    return Gathered(
        tokens=found.tokens[rows],
        sources=[found.sources[row] for row in rows],
        train=found.train,
        data=found.data + drawn,
        split=found.split,
    )


def _from_dataset(tokenizer: Tokenizer, folder: Path, split: str) -> Gathered:
    import numpy as np

    from seqvae.dataset import Dataset

    dataset = Dataset.open(folder)
    if _alphabet(dataset.tokenizer) != _alphabet(tokenizer):
        found, wanted = _in_words(dataset.tokenizer), _in_words(tokenizer)
        if found == wanted:
            found, wanted = f"other {found}", "its own"
        raise DataError(f"{folder}: holds {found}, and the model reads {wanted}; prepare it with the model's preset")
    windows, part = dataset.windows(split), dataset.unseen(split)  # type: ignore[arg-type]
    if not part.any():
        what = "are all in train too" if len(part) else "are none"
        raise DataError(f"{folder}: the windows of split {split} {what}; choose another with --split")
    names = [source.name for source in dataset.source_list()]
    of_window = dataset.sources(split)["source"]  # type: ignore[arg-type]
    seen = int((~part).sum())
    left_out = f" without {seen:,} windows that train holds too" if seen else ""
    return Gathered(
        tokens=windows[part].astype(np.int64),
        sources=[names[index] for index in of_window[part]],
        train=dataset.windows("train"),
        data=f"{folder.resolve().name} ({dataset.hash}), split {split}{left_out}",
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


def _from_files(tokenizer: Tokenizer, inputs: Sequence[Path], track: str | None) -> Gathered:
    """The distinct windows of files; what cannot be read is said and left out."""
    import numpy as np

    from seqvae.corpus.prepare import find_files, read_all
    from seqvae.corpus.reading import Reader
    from seqvae.dataset import window_keys

    files = find_files(inputs, tokenizer.suffixes)
    tokens, sources, useless = [], [], []
    for reading in read_all(files, Reader(tokenizer=tokenizer, track=track)):
        for item in reading.items:
            tokens.append(item.tokens)
            sources += [item.name] * len(item.tokens)
        if not any(len(item.tokens) for item in reading.items):
            useless.append(f"{reading.name}: {_why_not(reading)}")
    if not sources:
        raise DataError(f"none of {len(files)} files gives a window of the model's kind; the first: {useless[0]}")
    if useless:
        talk(f"{len(useless)} of {len(files)} files give no window; the first: {useless[0]}")
    found = np.concatenate(tokens)
    distinct = np.sort(np.unique(window_keys(found), return_index=True)[1])
    name = inputs[0].name if len(inputs) == 1 else f"{len(files)} files"
    return Gathered(
        tokens=found[distinct].astype(np.int64),
        sources=[sources[row] for row in distinct],
        train=None,
        data=f"{name}, all {len(distinct):,} distinct windows",
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
