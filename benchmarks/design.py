"""What each choice in `melody-2bar` gives: the same training with one choice changed, for the same number of items.

    python -m benchmarks.design --data DATASET [--steps 400] [-o FOLDER]

β is still rising along the preset's schedule when it ends: this shows how soon each variant uses z. The dataset is the
one of `data_scripts/melody_2bar.py`. Figures are of its validation split, decoded from posterior means by the averaged
weights; KL in bits. One seed a row.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

from seqvae.config import load_preset
from seqvae.dataset import Dataset
from seqvae.train import train

VARIANTS = {
    "melody-2bar": [],
    "shared readout (z the same at every step)": ["model.readout=shared"],
    "pooling by last states only": ["model.pooling=last"],
    "both: shared readout, last states": ["model.readout=shared", "model.pooling=last"],
    "decoder 2 × 256": ["model.decoder_sizes=[256, 256]"],
    "word dropout 0.2": ["objective.word_dropout=0.2"],
}


def main() -> None:
    """Trains each variant, prints a row as it ends, and writes design.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.design")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data)
    rows = []
    print("| variant | free-running tokens | onsets | exact | KL bits | NLL nats |\n|---|---|---|---|---|---|")
    for name, settings in VARIANTS.items():
        rows.append({"variant": name, **measure(dataset, settings, arguments.steps)})
        row = rows[-1]
        accuracies = f"{row['free_token_accuracy']:.3f} | {row['free_onset_accuracy']:.3f} | {row['exact_match']:.3f}"
        print(f"| {name} | {accuracies} | {row['kl_bits']:.1f} | {row['recon_nll']:.2f} |", flush=True)
        about = {"data": dataset.hash, "steps": arguments.steps, "items": rows[0]["items"], "rows": rows}
        (arguments.output / "design.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def measure(dataset: Dataset, settings: list[str], steps: int) -> dict[str, float]:
    """One training; its last validation."""
    schedule = [f"train.steps={steps}", f"train.validate_every={steps}"]
    preset = load_preset("melody-2bar", [*schedule, "train.weight_average=0.98", *settings])
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        metrics = train(preset, dataset, Path(folder) / "run", seed=0, device="cpu").metrics
    return {
        **{name: metrics[name] for name in ("free_token_accuracy", "free_onset_accuracy", "exact_match", "recon_nll")},
        "kl_bits": metrics["kl"] / math.log(2),
        "items": steps * preset.train.batch_size,
        "seconds": round(time.monotonic() - started, 1),
    }


if __name__ == "__main__":
    main()
