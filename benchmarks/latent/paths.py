"""How even paths are, with and without --even, beside naive blending; and how far a walk goes at each stride.

python -m benchmarks.latent.paths                                         of the windows that melody-2bar, ... carry
python -m benchmarks.latent.paths melody-2bar=runs/melody-2bar-data ...   of datasets' test splits, unseen windows only
python -m benchmarks.latent.paths --json                                  one JSON object
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import seqvae
from seqvae.dataset import Dataset
from seqvae.errors import DataError
from seqvae.evaluate import space
from seqvae.model import Model
from seqvae.passage import Passage
from seqvae.paths import Timing, even_timing, path_through, plain_timing, walk_from
from seqvae.runtime import single_threaded
from seqvae.tokenizers import Tokens

MODELS = ("melody-2bar", "drums-2bar", "captions")
PAIRS, STEPS = 30, 8
CHAINS, CHAIN, CHAIN_STEPS = 8, 4, 24
WALKS, WALK_STEPS, STRIDES = 8, 16, (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
SEED = 0


def windows_of(model: Model, data: str) -> Tokens:
    """Windows that training did not see: those of the model, or of a dataset's test split."""
    if data:
        dataset = Dataset.open(data)
        return np.asarray(dataset.windows("test")[dataset.unseen("test")], np.int64)
    if not len(model.held_out):
        raise DataError(f"{model.name} carries no windows; give a dataset: {model.name}=FOLDER")
    return model.held_out


def drawn(model: Model, windows: Tokens, count: int, rng: np.random.Generator) -> list[Passage]:
    """So many different windows as passages."""
    found: list[Passage] = []
    for row in rng.permutation(len(windows)):
        passage = model.passage(model.tokenizer.decode(windows[row]))
        if len(passage.z) == 1:
            found.append(passage)
        if len(found) == count:
            break
    return found


Settle = Callable[[Model, list[Passage], int], Timing]
TIMINGS: dict[str, Settle] = {
    "plain": lambda model, points, steps: plain_timing(len(points), steps),
    "--even": lambda model, points, steps: even_timing(model, points, steps).timing,
}


def rows_of(model: Model, chains: list[list[Passage]], steps: int) -> list[dict[str, Any]]:
    """Each timing, and blending where paths have two ends: their figures."""
    found = []
    for name, settle in TIMINGS.items():
        started = time.process_time()
        paths = [path_through(model, points, settle(model, points, steps)) for points in chains]
        seconds = (time.process_time() - started) / len(chains)
        tokens = np.stack([[step.tokens[0] for step in path] for path in paths])
        found.append({"way": name, **figures(model, tokens, chains), "cpu_seconds": seconds})
    if len(chains[0]) == 2:
        a, b = (np.stack([points[end].tokens[0] for points in chains]) for end in (0, 1))
        blends = space.blend(a, b, steps, np.random.default_rng(SEED))
        blends = model.tokenizer.canonical(blends.reshape(-1, *a.shape[1:])).reshape(blends.shape)
        found.append({"way": "blending", **figures(model, blends, chains), "cpu_seconds": 0.0})
    return found


def figures(model: Model, paths: Tokens, chains: list[list[Passage]]) -> dict[str, float]:
    """Of paths int64 (paths, steps, time[, part])."""
    alphabet = model.tokenizer.alphabet
    steps = paths.shape[1]
    tried = space.comparable(paths, alphabet)
    starts, ends = (
        space.comparable(np.stack([points[end].tokens[0] for points in chains]), alphabet) for end in (0, -1)
    )
    quality = space.path_quality(tried, starts, ends, alphabet.end)
    moves = np.stack(
        [space.edit_distances(tried[:, step], tried[:, step + 1], alphabet.end) for step in range(steps - 1)], axis=1
    )
    found = {
        "largest_share": quality.largest_step,
        "largest_step": float(moves.max(axis=1).mean()),
        "whole": float(moves.sum(axis=1).mean()),
        "distinct": quality.distinct_steps,
    }
    # Whether steps lead from the first to the last means nothing where others lie between.
    return {**found, "spearman": quality.spearman} if len(chains[0]) == 2 else found


def walk_rows(model: Model, starts: list[Passage]) -> list[dict[str, float]]:
    """How far a step of a walk goes, and where the walk is at its end."""
    found = []
    for stride in STRIDES:
        walks = [walk_from(model, start, WALK_STEPS, stride, seed=SEED + i) for i, start in enumerate(starts)]
        tokens = [np.stack([step.tokens for step in walk]) for walk in walks]
        moves = np.array([[model.distance(a, b) for a, b in pairwise(walk)] for walk in tokens])
        whitened = [length_of(model, walk[-1].z) for walk in walks]
        found.append(
            {
                "stride": stride,
                "step": float(moves.mean()),
                "largest_step": float(moves.max(axis=1).mean()),
                "same": float((moves == 0.0).mean()),
                "to_start": float(np.mean([model.distance(walk[-1], walk[0]) for walk in tokens])),
                "distinct": float(np.mean([len(np.unique(walk, axis=0)) / WALK_STEPS for walk in tokens])),
                "radius": float(np.mean(whitened)),
            }
        )
    return found


def length_of(model: Model, z: NDArray[np.float32]) -> float:
    """|z − m| in the aggregate posterior's own widths, over √z_size: 1 on average of what is drawn from it."""
    aggregate = model.aggregate
    whitened = np.linalg.solve(aggregate.factor, (z[0] - aggregate.mean).astype(np.float64))
    return float(np.linalg.norm(whitened) / np.sqrt(len(whitened)))


def measured(name: str, data: str) -> dict[str, Any]:
    """All figures of one model."""
    model = seqvae.load(name)
    windows = windows_of(model, data)
    rng = np.random.default_rng(SEED)
    ends = drawn(model, windows, 2 * PAIRS, rng)
    pairs = [[ends[i], ends[i + PAIRS]] for i in range(PAIRS)]
    chains = [ends[CHAIN * i : CHAIN * (i + 1)] for i in range(CHAINS)]
    return {
        "model": model.name,
        "hash": model.hash,
        "split": f"test of {Path(data).name}" if data else "held_out of the model",
        "pairs": rows_of(model, pairs, STEPS),
        "chains": rows_of(model, chains, CHAIN_STEPS),
        "walks": walk_rows(model, ends[:WALKS]),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown."""
    names = list(rows[0])
    shown = [[one if isinstance(one, str) else f"{one:.3g}" for one in row.values()] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (names, ["---"] * len(names), *shown))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL[=DATASET]")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with single_threaded():
        found = [measured(*(word.partition("=")[::2])) for word in given.models]
    if given.json:
        print(json.dumps(found))
        return
    for one in found:
        print(f"\n{one['model']} ({one['hash']}), {one['split']}, seed {SEED}")
        print(
            f"\n{PAIRS} pairs, {STEPS} steps; the largest share is {1 / (STEPS - 1):.3g} at best\n{table(one['pairs'])}"
        )
        print(f"\n{CHAINS} paths through {CHAIN}, {CHAIN_STEPS} steps; {1 / (CHAIN_STEPS - 1):.3g} at best")
        print(f"{table(one['chains'])}\n\n{WALKS} walks of {WALK_STEPS} steps\n{table(one['walks'])}")


if __name__ == "__main__":
    main()
