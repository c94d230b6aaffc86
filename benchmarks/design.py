"""What each choice in a preset gives: the same training with one choice changed, for the same number of items.

    python -m benchmarks.design melody-2bar --data DATASET [--steps 400] [-o FOLDER]
    python -m benchmarks.design melody-16bar --data DATASET --steps 500

β is still rising along the preset's schedule when it ends: this shows how soon each variant uses z. The datasets are
those of `data_scripts/melody_2bar.py` (for sixteen bars with `--preset melody-16bar`). Figures are of the validation
split, decoded from posterior means by the averaged weights; KL in bits. One seed a row.
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

PLAIN = [
    *("objective.attributes=[]", "objective.edited=0", "model.mapping_size=0"),
    *("model.encoder_size=256", "model.decoder_sizes=[512]", "train.learning_rate=2e-3"),
]
"""The two-bar network before its dimensions were attributes, which these comparisons are of."""

VARIANTS: dict[str, dict[str, list[str]]] = {
    "melody-2bar": {
        "plain": PLAIN,
        "shared readout (z the same at every step)": [*PLAIN, "model.readout=shared"],
        "pooling by last states only": [*PLAIN, "model.pooling=last"],
        "both: shared readout, last states": [*PLAIN, "model.readout=shared", "model.pooling=last"],
        "decoder 2 × 256": [*PLAIN, "model.decoder_sizes=[256, 256]"],
        "word dropout 0.2": [*PLAIN, "objective.word_dropout=0.2"],
    },
    "melody-16bar": {
        "bars planned by a conductor, decoded at once": [],
        "the same, the last token carried over bar lines": ["model.carry=true"],
        "flat": ["model.segments=1"],
    },
}


def main() -> None:
    """Trains each variant, prints a row as it ends, and writes design-PRESET.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.design")
    parser.add_argument("preset", choices=VARIANTS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data)
    rows = []
    print("| variant | free-running tokens | onsets | exact | KL bits | NLL nats | s |\n|---|---|---|---|---|---|---|")
    for name, settings in VARIANTS[arguments.preset].items():
        chosen = [*settings, f"train.workers={arguments.workers}"]
        rows.append({"variant": name, **measure(arguments.preset, dataset, chosen, arguments.steps)})
        row = rows[-1]
        accuracies = f"{row['free_token_accuracy']:.3f} | {row['free_onset_accuracy']:.3f} | {row['exact_match']:.3f}"
        found = f"{row['kl_bits']:.1f} | {row['recon_nll']:.2f} | {row['seconds']:.0f}"
        print(f"| {name} | {accuracies} | {found} |", flush=True)
        about = {"data": dataset.hash, "steps": arguments.steps, "items": rows[0]["items"], "rows": rows}
        target = arguments.output / f"design-{arguments.preset}.json"
        target.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def measure(name: str, dataset: Dataset, settings: list[str], steps: int) -> dict[str, float]:
    """One training; its last validation."""
    schedule = [f"train.steps={steps}", f"train.validate_every={steps}"]
    preset = load_preset(name, [*schedule, "train.weight_average=0.98", *settings])
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
