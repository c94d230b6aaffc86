"""Every recipe against collapse on the Penn Treebank, from the same language model, for the same number of steps.

    python -m benchmarks.ptb.recipes --data DATASET --decoder runs/ptb-lm [--steps 642] [--items 512] [-o FILE]

Each row is `presets/ptb.toml` with one recipe in place of its own. The decoder starts as the language model's, so that
a row shows what a recipe makes of z and not how far a decoder has learned the language. Figures are of so many test
sentences, evenly from all of them; K importance samples. Rows that stand in FILE are not run again. One seed a row.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from seqvae.checkpoint import load_model
from seqvae.config import load_preset
from seqvae.dataset import Dataset
from seqvae.evaluate import report_card
from seqvae.files import write_atomic
from seqvae.loading import load
from seqvae.train import train

PLAIN = ("objective.pretraining_steps=0", "objective.free_nats=0", "objective.schedule=constant")
HALF = "{half}"
"""In a setting: half of the steps of a run."""

RECIPES: dict[str, tuple[str, ...]] = {
    "β = 1 from the start": PLAIN,
    "free bits, 0.25 nats a dimension": (*PLAIN, "objective.free_nats=0.25"),
    "pretraining, then the same with a warm-up": (
        *(f"objective.pretraining_steps={HALF}", f"objective.schedule_steps={HALF}"),
    ),
    "BatchNorm on μ, γ = 0.7": (*PLAIN, "model.mean_scale=0.7"),
    # β starts small: one that has to fall first meets a posterior that collapsed in the meantime.
    "KL held at 8 nats": (*PLAIN, "objective.target_nats=8", "objective.beta=0.05"),
    "word dropout 0.4": (*PLAIN, "objective.word_dropout=0.4"),
    "linear warm-up": (*PLAIN, "objective.schedule=linear", f"objective.schedule_steps={HALF}"),
    "aggressive encoder": (*PLAIN, f"objective.aggressive_steps={HALF}"),
    "free bits, 8 nats in all": (*PLAIN, "objective.free_nats=8", "objective.free_mode=total"),
    "β = 0.5": (*PLAIN, "objective.beta=0.5"),
    "cyclical, two cycles": (*PLAIN, "objective.schedule=cyclical", f"objective.schedule_steps={HALF}"),
    "free bits, 0.25 nats a dimension and item": (
        *PLAIN,
        "objective.free_nats=0.25",
        "objective.free_mode=per_dim",
    ),
    "free bits, pooling by the last state": (*PLAIN, "objective.free_nats=0.25", "model.pooling=last"),
    "free bits, no dropout in the encoder": (*PLAIN, "objective.free_nats=0.25", "model.encoder_dropout=0"),
}
"""With pretraining a run has half as many steps more."""

FIGURES = (
    *("recon_nll", "kl", "negative_elbo", "iw_nll", "negative_elbo_perplexity", "iw_perplexity"),
    *("aggregate_iw_perplexity", "mutual_information", "active_units", "kl_units", "marginal_kl"),
)


def main() -> None:
    """Runs what is missing, writes the file after each row, prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ptb.recipes")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--decoder", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=642)
    parser.add_argument("--items", type=int, default=512)
    parser.add_argument("--samples", type=int, default=50, help="K")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "recipes.json")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data)
    rows: list[dict[str, Any]] = []
    if arguments.output.exists():
        rows = json.loads(arguments.output.read_text(encoding="utf-8"))["rows"]
    for name, settings in RECIPES.items():
        if any(row["recipe"] == name for row in rows):
            continue
        rows.append({"recipe": name, **measure(dataset, settings, arguments)})
        about = {
            "data": dataset.hash,
            "decoder": load_model(arguments.decoder / "best.safetensors").hash,
            **{key: getattr(arguments, key) for key in ("steps", "items", "samples", "seed")},
            "rows": rows,
        }
        write_atomic(arguments.output, (json.dumps(about, indent=1) + "\n").encode(), overwrite=True)
    print(table(rows))


def measure(dataset: Dataset, settings: tuple[str, ...], arguments: argparse.Namespace) -> dict[str, Any]:
    """One training and its figures on test sentences."""
    half = arguments.steps // 2
    chosen = [setting.format(half=half) for setting in settings]
    pretraining = half if any("pretraining_steps={half}" in setting for setting in settings) else 0
    steps = arguments.steps + pretraining
    fixed = [f"train.steps={steps}", f"train.validate_every={steps}", "train.valid_items=256"]
    fixed += ["train.weight_average=0.99", "train.learning_rate=1e-3"]
    preset = load_preset("ptb", [*fixed, *chosen])
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(
            *(preset, dataset, Path(folder) / "run"),
            seed=arguments.seed,
            device="cpu",
            decoder=load_model(arguments.decoder / "best.safetensors"),
        )
        seconds = round(time.monotonic() - started)
        model = load(outcome.run)
        windows = dataset.windows("test")
        rows = np.linspace(0, len(windows) - 1, min(len(windows), arguments.items)).round().astype(int)
        card = report_card(
            *(model, windows[rows]),
            seed=arguments.seed,
            iw_samples=arguments.samples,
            iw_items=len(rows),
            samples=0,
            pairs=0,
        )
    found = {figure.name: figure.value for figure in card.figures if figure.name in FIGURES}
    return {"settings": chosen, "steps": steps, "seconds": seconds, **found}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a table of Markdown."""
    lines = [
        "| recipe | −ELBO | PPL | iw NLL | iw PPL | with the aggregate prior | KL | MI | AU | marginal KL | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        likelihood = f"{row['negative_elbo']:.1f} | {row['negative_elbo_perplexity']:.1f} | {row['iw_nll']:.1f}"
        use = (
            f"{row['kl']:.1f} | {row['mutual_information']:.1f} | {row['active_units']:.0f} | {row['marginal_kl']:.1f}"
        )
        perplexities = f"{row['iw_perplexity']:.1f} | {row['aggregate_iw_perplexity']:.1f}"
        lines.append(f"| {row['recipe']} | {likelihood} | {perplexities} | {use} | {row['seconds']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
