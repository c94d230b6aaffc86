"""What attribute vectors do on windows that training did not see, and whether they keep what is promised of them.

    python -m benchmarks.latent.attributes                        # the vectors in the bundled melody-2bar
    python -m benchmarks.latent.attributes --fit --data DATASET   # fitted anew on its train split

Promised of `melody-2bar`: density, pitch, range, interval and syncopation-16th each follow their vector (mean Spearman
of at least 0.9 over −2 … +2), move by at least three times the largest leakage into the other four, and a random
direction of the same length does next to nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import machine
from seqvae import edit, load
from seqvae.attributes.effect import EffectReport
from seqvae.dataset import Dataset
from seqvae.model import Model

PROMISED = ("density", "pitch", "range", "interval", "syncopation-16th")
SPEARMAN, RATIO, CONTROL = 0.9, 3.0, 0.1
FITTED_ON, CHOSEN_ON = 8192, 512


def fitted(model: Model, data: Path, names: list[str], seed: int) -> Model:
    """The model with vectors fitted anew, each sparing the other four of `PROMISED`."""
    dataset, rng = Dataset.open(data), np.random.default_rng(seed)
    train, valid = dataset.windows("train"), dataset.windows("valid")[dataset.unseen("valid")]
    rows = [np.sort(rng.permutation(len(w))[:n]) for w, n in ((train, FITTED_ON), (valid, CHOSEN_ON))]
    vectors = edit.fit_attributes(
        model,
        train[rows[0]].astype(np.int64),
        names,
        against=[name for name in PROMISED if name in names],
        valid=valid[rows[1]].astype(np.int64),
        data=f"{data.name}, split train",
        seed=seed,
        tell=lambda line: print(line, file=sys.stderr),
    )
    return replace(model, attributes=vectors)


def verdicts(report: EffectReport) -> list[dict[str, Any]]:
    """Of each promised vector what was promised and what was found."""
    found = []
    for name in PROMISED:
        if name not in report.names:
            continue
        one = report.of(name)
        others = [report.attributes.index(other) for other in PROMISED if other in report.attributes and other != name]
        row = report.effects[report.names.index(name)]
        leakage = float(np.abs(row[others]).max(initial=0.0))
        ratio = one.effect / leakage if leakage else float("inf")
        kept = one.spearman >= SPEARMAN and ratio >= RATIO and abs(one.control) <= CONTROL
        found.append(
            {
                "name": name,
                "effect": one.effect,
                "spearman": one.spearman,
                "leakage": leakage,
                "ratio": ratio,
                "control": one.control,
                "control_largest": one.control_largest,
                "kept": kept,
            }
        )
    return found


def main() -> None:
    """Prints the effect matrix and the verdicts; `--json` one object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="melody-2bar")
    parser.add_argument("--data", type=Path, help="a dataset; its test split is looked at, not the model's own sample")
    parser.add_argument("--fit", action="store_true", help="fit the promised vectors anew on --data")
    parser.add_argument("--items", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    started = time.perf_counter()
    model, windows = load(asked.model), None
    if asked.data is not None:
        dataset = Dataset.open(asked.data)
        windows = dataset.windows("test")[dataset.unseen("test")].astype(np.int64)
    if asked.fit:
        if asked.data is None:
            parser.error("--fit needs --data")
        model = fitted(model, asked.data, list(PROMISED), asked.seed)
    report = edit.effect_report(model, windows, items=asked.items, seed=asked.seed)
    found = verdicts(report)
    split = "the model's own held-out windows" if asked.data is None else f"{asked.data.name}, split test"
    if asked.json:
        about = {"model": model.name, "model_hash": model.hash, "split": split, "machine": machine()}
        print(json.dumps({**about, "verdicts": found, **report.to_dict()}, ensure_ascii=False))
        return
    print(f"{model.name} ({model.hash}), {split}, {report.items} windows\n")
    print(report.table())
    print(f"\npromised: Spearman ≥ {SPEARMAN}, effect ≥ {RATIO:g} × leakage, |random| ≤ {CONTROL}")
    for one in found:
        said = f"Spearman {one['spearman']:.2f}, effect {one['effect']:.2f}, {one['ratio']:.1f} × leakage"
        print(f"  {one['name']:18} {'kept  ' if one['kept'] else 'MISSED'}  {said}, random {one['control']:+.2f}")
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
