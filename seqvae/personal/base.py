"""The base of a personal model: the model it starts from, and what is left of the data that made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqvae.checkpoint import SavedModel, find_model, load_model
from seqvae.dataset import Dataset
from seqvae.errors import DataError
from seqvae.passage import PLAIN
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

REPLAY_ITEMS = 2048
REPLAY_TEMPERATURE = 0.8
TEST_ITEMS = 256
"""Windows on which forgetting is measured."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Base:
    """A model to start from.

    Attributes:
        name: As it was asked for: a bundled name, a file or a run folder.
        saved: Its file.
        model: It.
    """

    name: str
    saved: SavedModel
    model: Model

    @staticmethod
    def load(name: str | Path, device: str = "auto") -> Base:
        """Raises `ModelError` if there is no such model."""
        from seqvae.loading import from_saved

        path = find_model(name)
        saved = load_model(path)
        called = path.parent.name if path.name == "best.safetensors" else path.stem
        return Base(name=str(name), saved=saved, model=from_saved(saved, name=called, device=device))


def dreamed(model: Model, like: Tokens, *, items: int = REPLAY_ITEMS, seed: int = 0) -> Tokens:
    """Windows that the model draws itself, to stand for data that are not at hand (Shin et al. 2017).

    z comes from the aggregate posterior; those in which nothing happens are left out.

    Args:
        model: The base.
        like: Windows whose controls go with the z, where the model has such; int64 (n, time, part).
        items: How many.
        seed: Decides all.

    Returns:
        int64 (at most items, time) or (…, time, part).
    """
    z = model.draw(items, seed=seed)
    rows = np.random.default_rng((seed, 5)).integers(len(like), size=items)
    drawn = model.network.generate(z, model.control_of(like[rows]), REPLAY_TEMPERATURE, seed, PLAIN)
    tokens = model.tokenizer.canonical(drawn)
    if not model.tokenizer.alphabet.judged.any():
        return tokens
    return tokens[[model.happens(row) for row in tokens]]


def open_base_data(model: Model, folder: str | Path) -> Dataset:
    """The base's own data. Raises `DataError` if they are of another kind."""
    from seqvae.run import shape_in_words

    dataset = Dataset.open(folder)
    theirs, ours = dataset.tokenizer, model.tokenizer
    if (theirs.kind, theirs.length, theirs.alphabet) != (ours.kind, ours.length, ours.alphabet):
        found = f"{folder}: its windows are {theirs.length} steps of {shape_in_words(theirs)}"
        wanted = f"{model.name} reads {ours.length} of {shape_in_words(ours)}"
        raise DataError(f"{found} and {wanted}; give the data that the model was trained on, or leave it out")
    return dataset


def some_of(dataset: Dataset, items: int = REPLAY_ITEMS, seed: int = 0) -> Tokens:
    """At most so many training windows of the base's data, drawn by the seed."""
    windows = dataset.own()
    rows = np.sort(np.random.default_rng((seed, 6)).permutation(len(windows))[:items])
    return np.asarray(windows[rows], np.int64)


def held_out_windows(model: Model, dataset: Dataset | None, items: int = TEST_ITEMS) -> Tokens:
    """What forgetting is measured on: the data's test split, else the windows that the model's file carries."""
    from seqvae.run import held_out_sample

    held = model.held_out if dataset is None else held_out_sample(dataset, "test", items)
    rows = np.linspace(0, len(held) - 1, min(len(held), items)).round().astype(int)
    return np.asarray(held[rows], np.int64)
