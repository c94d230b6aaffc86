"""Which distance in latent space finds an item's siblings: the choice behind `seqvae neighbours`.

python -m benchmarks.latent.neighbours melody-2bar=runs/melody-2bar-data drums-2bar=runs/drums-2bar-data
python -m benchmarks.latent.neighbours MODEL=DATASET --json

Of a dataset's test split, without windows that train holds too, some windows are asked for and all are searched:

source        share of the ten nearest that are of the same file, those that overlap in time left out
edits         mean edit distance of the ten nearest
edited 1/4    how often the nearest to a copy, a quarter of its steps taken from another window, is its original
moved         how often the original is among the ten nearest to a copy transposed by 1 to 6 semitones
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.dataset import Dataset
from seqvae.evaluate.space import comparable, edit_distances
from seqvae.loading import load
from seqvae.model import Model

SEARCHED, ASKED, NEAREST = 2000, 100, 10
BASELINES = ("edits of the tokens", "drawn at random")

Array = NDArray[np.float64]


def distances(mean: Array, std: Array, means: Array, stds: Array, whiten: Array) -> dict[str, Array]:
    """One posterior (z,) to many (n, z), by name: float64 (n,) each."""
    apart = means - mean
    squares, variance, variances = np.square(apart), np.square(std), np.square(stds)

    def angle(a: Array, b: Array) -> Array:
        return np.asarray(np.arccos(np.clip(b @ a / np.linalg.norm(a) / np.linalg.norm(b, axis=1), -1.0, 1.0)))

    return {
        "angle": angle(mean, means),
        "angle, whitened by the means": angle(mean @ whiten, means @ whiten),
        "Euclidean": squares.sum(axis=1),
        "Euclidean, whitened by the means": np.square(apart @ whiten).sum(axis=1),
        "Mahalanobis under the noise": (squares / (variance + variances)).sum(axis=1),
        "Wasserstein": squares.sum(axis=1) + np.square(stds - std).sum(axis=1),
        "symmetric KL": ((squares + variance) / variances + (squares + variances) / variance).sum(axis=1),
    }


def copies(model: Model, tokens: NDArray[np.int64], asked: NDArray[np.int64], rng: np.random.Generator) -> Any:
    """Changed copies of the windows asked for, by name of the column."""
    originals = tokens[asked]
    others = tokens[rng.integers(0, len(tokens), len(asked))]
    taken = rng.random(originals.shape[:2]) < 0.25
    made = {
        "edited 1/4": model.tokenizer.canonical(
            np.where(taken.reshape(*taken.shape, *[1] * (tokens.ndim - 2)), others, originals)
        )
    }
    variants = model.tokenizer.augmentations
    if len(variants) > 1:
        chosen = variants[rng.integers(1, len(variants), len(asked))]
        rows = [v[one] if v.ndim == 1 else v[np.arange(len(v)), one] for v, one in zip(chosen, originals, strict=True)]
        made["moved"] = np.stack(rows)
    return made


def measure(model: Model, folder: Path) -> dict[str, dict[str, float]]:
    """Distance → column → figure."""
    dataset = Dataset.open(folder)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(np.flatnonzero(dataset.unseen("test")))[:SEARCHED])
    tokens, origins = dataset.windows("test")[rows].astype(np.int64), dataset.sources("test")[rows]
    asked = rng.permutation(len(tokens))[:ASKED]
    means, stds = (part.astype(np.float64) for part in model.posterior(tokens))
    values, axes = np.linalg.eigh(np.cov(means, rowvar=False))
    whiten = axes / np.sqrt(np.maximum(values, 1e-3))
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def rankings(one: NDArray[np.int64], mean: Array, std: Array) -> dict[str, Array]:
        compared = comparable(tokens, model.tokenizer.alphabet)
        same = np.broadcast_to(comparable(one, model.tokenizer.alphabet), compared.shape)
        edits = edit_distances(same, compared, model.tokenizer.alphabet.end)
        ties = 1e-6 * rng.random((2, len(tokens)))
        return {
            **distances(mean, std, means, stds, whiten),
            BASELINES[0]: edits + ties[0],
            BASELINES[1]: 1e6 * ties[1],
            "": edits,
        }

    window = model.tokenizer.length / getattr(model.tokenizer, "steps_per_beat", 1)
    for row in asked:
        near = rankings(tokens[row : row + 1], means[row], stds[row])
        edits = near.pop("")
        of_source = origins["source"] == origins["source"][row]
        overlap = of_source & (np.abs(origins["start"] - origins["start"][row]) < window)
        kept = np.flatnonzero(~overlap)
        for name, far in near.items():
            best = kept[np.argsort(far[kept], kind="stable")[:NEAREST]]
            found[name]["edits"].append(float(edits[best].mean()))
            if of_source[kept].any() and not of_source.all() and not hasattr(model.tokenizer, "level"):
                found[name]["source"].append(float(of_source[best].mean()))
    for column, made in copies(model, tokens, asked, rng).items():
        first = 1 if column == "edited 1/4" else NEAREST
        for one, row, mean, std in zip(made, asked, *model.posterior(made), strict=True):
            for name, far in rankings(one[None], mean.astype(np.float64), std.astype(np.float64)).items():
                if name:
                    found[name][column].append(float((far < far[row]).sum() < first))
    return {name: {column: float(np.mean(list_)) for column, list_ in of.items()} for name, of in found.items()}


def table(title: str, found: dict[str, dict[str, float]]) -> str:
    """In Markdown."""
    columns = [column for column in ("source", "edited 1/4", "moved", "edits") if column in found["angle"]]
    lines = [f"**{title}**", "", f"| distance | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in found.items():
        lines.append(f"| {name} | {' | '.join(f'{row[column]:.2f}' for column in columns)} |")
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="MODEL=DATASET")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    pairs = [pair.partition("=") for pair in chosen.pairs]
    found = {name: measure(load(name), Path(folder)) for name, _, folder in pairs}
    print(json.dumps(found, indent=1) if chosen.json else "\n\n".join(table(*one) for one in found.items()))


if __name__ == "__main__":
    main()
