"""What the copy check misses and invents, what novelty and likelihood are worth, what diversity costs.

python -m benchmarks.latent.ranking              of the bundled models; prints Markdown tables
python -m benchmarks.latent.ranking DATASET …    the copy check and novelty also against the data they were trained on
python -m benchmarks.latent.ranking --json       one JSON object
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.checkpoint import SavedModel, bundled_models, load_model
from seqvae.dataset import Dataset, window_keys
from seqvae.distances import edit_matrix, lines_of
from seqvae.evaluate import likelihood, space
from seqvae.fingerprints import compared_parts, copies
from seqvae.latent import Z
from seqvae.loading import from_saved
from seqvae.model import Model
from seqvae.ranking import rank
from seqvae.tokenizers import Tokens, onsets

STRANGERS, WIDE_STRANGERS = 100_000, 10_000  # windows of several parts take longer to shuffle
JUDGED = ("melody-2bar", "drums-2bar", "captions")
WINDOWS = 150
DRAWN, KEPT = 200, 10
NEW = 40

Row = dict[str, Any]


def main() -> None:
    """Reads the command line, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", type=Path, metavar="DATASET")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    saved = {name: load_model(path) for name, path in bundled_models().items()}
    saved = {name: model for name, model in saved.items() if model.fingerprints is not None and len(model.held_out)}
    opened = [Dataset.open(folder) for folder in arguments.datasets]
    data = {name: each for name, model in saved.items() for each in opened if each.hash == model.provenance["data"]}
    melodies = from_saved(saved["melody-2bar"])
    found: dict[str, list[Row]] = {
        "Strangers (held-out windows with their steps shuffled) taken for copies": [
            strangers(name, model) for name, model in saved.items()
        ],
        "The copy check on the test split, against the windows themselves": [
            against_data(name, saved[name], dataset) for name, dataset in data.items()
        ],
        "Intact windows against damaged ones (a fifth of their onsets changed)": [
            row for name in JUDGED for row in damaged(name, from_saved(saved[name]))
        ],
        f"Of {DRAWN} samples of melody-2bar {KEPT} kept by density": diversity(melodies),
        f"Novelty of {NEW} samples by the stored windows, and by those of train": [
            novelty(name, from_saved(saved[name]), data[name]) for name in ("melody-2bar", "drums-2bar") if name in data
        ],
    }
    if arguments.json:
        print(json.dumps(found))
        return
    for title, rows in found.items():
        if rows:
            print(f"{title}\n\n{table(rows)}\n")


def table(rows: Sequence[Row]) -> str:
    """Rows of one form as Markdown."""
    cells = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    lines = ["| " + " | ".join(line) + " |" for line in [list(rows[0]), *cells]]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def strangers(name: str, saved: SavedModel) -> Row:
    """How often windows that nobody wrote are taken for copies, beside the share stated."""
    assert saved.fingerprints is not None
    tokenizer, rng = saved.preset.tokenizer, np.random.default_rng(0)
    count = STRANGERS if saved.held_out.ndim == 2 else WIDE_STRANGERS
    rows = saved.held_out[rng.integers(len(saved.held_out), size=count)].astype(np.int64)
    rows = rng.permuted(rows, axis=1) if rows.ndim == 2 else np.stack([rng.permutation(one) for one in rows])
    found = copies(tokenizer, saved.fingerprints, tokenizer.canonical(rows))
    bits = saved.fingerprints.packed().nbytes * 8 / len(saved.fingerprints)
    return {
        "model": name,
        "trained on": len(saved.fingerprints),
        "bits a window": bits,
        "taken for copies": float(found.found.mean()),
        "stated, at most": found.false_alarms,
    }


def against_data(name: str, saved: SavedModel, dataset: Dataset) -> Row:
    """What the fingerprints miss and invent on the test split, where the training windows are at hand."""
    assert saved.fingerprints is not None
    tokenizer = dataset.tokenizer
    test = dataset.windows("test").astype(np.int64)
    train = np.asarray(dataset.windows("train"))
    variants, parts = tokenizer.augmentations, compared_parts(tokenizer.alphabet)
    said, known = test, train
    if tokenizer.alphabet.shape:
        variants, said, known = np.unique(variants[:, parts], axis=0), test[..., parts], train[..., parts]
    true = space.copied(said, np.unique(window_keys(known)), variants)
    found = copies(tokenizer, saved.fingerprints, test).found
    return {
        "model": name,
        "test windows": len(test),
        "copies": int(true.sum()),
        "missed": int((true & ~found).sum()),
        "false alarms": int((found & ~true).sum()),
    }


def damaged(name: str, model: Model) -> list[Row]:
    """How often the intact window of a pair has the better value, and an intact one than any damaged one."""
    tokenizer, rng = model.tokenizer, np.random.default_rng(0)
    intact = model.held_out[:WINDOWS]
    broken = intact.copy()
    lengths = tokenizer.alphabet.lengths(intact)
    pool = intact[np.arange(intact.shape[1]) < lengths[:, None]]
    pool = pool[onsets(tokenizer.onset_mask, pool)]
    for row, length in enumerate(lengths):
        struck = np.flatnonzero(onsets(tokenizer.onset_mask, intact[row][:length]))
        some = rng.permutation(struck)[: max(1, len(struck) // 5)]
        broken[row, some] = rng.choice(pool, len(some))
    values = [measures(model, windows) for windows in (intact, broken)]
    density = onsets(tokenizer.onset_mask, intact).sum(axis=1)
    return [
        {
            "model": name,
            "measure": measure,
            "of a pair": float((whole > bad).mean()),
            "of any two": float((whole[:, None] > bad).mean()),
            "ρ with onsets": space.spearman(whole, density),
        }
        for measure, whole, bad in ((measure, values[0][measure], values[1][measure]) for measure in values[0])
    ]


def measures(model: Model, windows: Tokens) -> dict[str, NDArray[np.float64]]:
    """What could be called likely, the more the likelier; nats a step but the last."""
    means, stds = model.posterior(windows)
    lengths = model.tokenizer.alphabet.lengths(windows)
    nll = likelihood.teacher_forced(model, means, windows).nll
    bound = likelihood.iw_nll(model, windows, means, stds, samples=8, rng=np.random.default_rng(1))
    return {
        "ln p(x at its z), `likelihood`": -nll / lengths,
        "ELBO at the mean": -(nll + kl(means, stds)) / lengths,
        "bound of ln p(x), 8 draws": -bound / lengths,
        "density of the aggregate": model.aggregate.log_density(means),
    }


def kl(means: Z, stds: Z) -> NDArray[np.float64]:
    """Of the posteriors to N(0, I), float64 (n,)."""
    return np.asarray(space.gaussian_kl(means, stds).sum(axis=1))


def diversity(model: Model) -> list[Row]:
    """What is kept for several --diverse: how good, and how far apart; beside items at random."""
    items = model.sample(DRAWN, seed=0)
    rows = []
    for diverse in (0.0, 0.1, 0.3, 0.6, 1.0, None):
        ranking = rank(model, items, ["density"], KEPT, diverse=diverse or 0.0)
        kept = ranking.rows if diverse is not None else list(range(KEPT))
        lines = lines_of([model.tokenizer.encode(items[row])[None] for row in kept], model.tokenizer.alphabet)
        apart = edit_matrix(lines, lines)[np.triu_indices(len(kept), 1)]
        rows.append(
            {
                "--diverse": "at random" if diverse is None else diverse,
                "mean score": float(ranking.score[kept].mean()),
                "mean distance": float(apart.mean()),
                "nearest two": float(apart.min()),
            }
        )
    return rows


def novelty(name: str, model: Model, dataset: Dataset) -> Row:
    """Whether the stored windows put samples in the order in which far more of train puts them."""
    items = model.sample(NEW, seed=0)
    stored = rank(model, items, ["novelty"], allow_copies=True).measures["novelty"]
    train = np.asarray(dataset.windows("train"))
    full = rank(model, items, ["novelty"], allow_copies=True, known=train.astype(np.int64)).measures["novelty"]
    return {
        "model": name,
        "to the stored": float(stored.mean()),
        "to train": float(full.mean()),
        "rank correlation": space.spearman(stored, full),
    }


if __name__ == "__main__":
    main()
