"""What attributes are on real items, what measuring costs, and how keys compare with music21's.

python -m benchmarks.latent.measures             of the windows that the bundled models carry; prints Markdown tables
python -m benchmarks.latent.measures DATASET …   of datasets' test splits
python -m benchmarks.latent.measures --json      one JSON object
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes import attributes_of, measured
from seqvae.attributes.tonality import best_keys, key_of, lines_in, sounding_classes
from seqvae.checkpoint import bundled_models, load_model
from seqvae.clip import Clip
from seqvae.dataset import Dataset
from seqvae.tokenizers import Tokenizer

MOST = 1000
"""Items of a set that are measured, evenly."""

COMPARED = 100
"""Clips whose keys music21 finds too."""


def bundled() -> dict[str, tuple[Tokenizer, NDArray[Any]]]:
    """The windows that the bundled models carry, by model."""
    models = {name: load_model(path) for name, path in bundled_models().items()}
    return {name: (model.preset.tokenizer, model.held_out) for name, model in models.items() if len(model.held_out)}


def of_datasets(folders: Sequence[Path]) -> dict[str, tuple[Tokenizer, NDArray[Any]]]:
    """The test splits of datasets, without windows that train holds too."""
    found = {}
    for folder in folders:
        dataset = Dataset.open(folder)
        found[folder.resolve().name] = (dataset.tokenizer, dataset.windows("test")[dataset.unseen("test")])
    return found


def items_of(tokenizer: Tokenizer, tokens: NDArray[Any]) -> list[Any]:
    """At most `MOST` of the windows, evenly, decoded."""
    rows = np.unique(np.linspace(0, len(tokens) - 1, MOST).round().astype(int))
    return [tokenizer.decode(row) for row in tokens[rows].astype(np.int64)]


def statistics(tokenizer: Tokenizer, items: list[Any]) -> dict[str, Any]:
    """Mean, deviation and defined share of each attribute, and the time of all together."""
    attributes = attributes_of(tokenizer)
    started = time.process_time()
    values = np.ma.masked_invalid(measured(list(attributes.values()), items))
    seconds = time.process_time() - started
    rows = {
        name: {
            "mean": float(values[:, i].mean()),
            "deviation": float(values[:, i].std()),
            "defined": float((~np.ma.getmaskarray(values)[:, i]).mean()),
        }
        for i, name in enumerate(attributes)
        if values[:, i].count()
    }
    return {"items": len(items), "ms_per_item": 1e3 * seconds / len(items), "attributes": rows}


def against_music21(clips: list[Clip]) -> dict[str, Any]:
    """How often `analyze("key")` of music21 and `key_of` agree, and the time of both."""
    streams = [clip.to_music21() for clip in clips]
    started = time.process_time()
    theirs = [stream.analyze("key") for stream in streams]
    middle = time.process_time()
    mine = [key_of(clip) for clip in clips]
    done = time.process_time()
    tokens = [1 + key.tonic.pitchClass + 12 * (key.mode == "minor") for key in theirs]
    fitting = [best_keys(sounding_classes(*(line for _, line in lines_in(clip)))) for clip in clips]
    return {
        "clips": len(clips),
        "equal": sum(a == b for a, b in zip(tokens, mine, strict=True)),
        "among_the_best": sum(a in b for a, b in zip(tokens, fitting, strict=True)),
        "music21_ms": 1e3 * (middle - started) / len(clips),
        "seqvae_ms": 1e3 * (done - middle) / len(clips),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", type=Path)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    sets = of_datasets(chosen.datasets) if chosen.datasets else bundled()
    found: dict[str, Any] = {}
    for name, (tokenizer, tokens) in sets.items():
        items = items_of(tokenizer, tokens)
        found[name] = statistics(tokenizer, items)
        if isinstance(items[0], Clip) and tokenizer.kind == "melody":
            found[name]["keys"] = against_music21(items[:: max(1, len(items) // COMPARED)])
    print(json.dumps(found, indent=1) if chosen.json else "\n\n".join(map(tables, found, found.values())))


def tables(name: str, found: dict[str, Any]) -> str:
    """One set in Markdown."""
    lines = [f"**{name}**: {found['items']:,} items, {found['ms_per_item']:.3f} ms an item for all attributes", ""]
    lines += ["| attribute | mean | deviation | defined |", "|---|---|---|---|"]
    for attribute, row in found["attributes"].items():
        lines.append(f"| `{attribute}` | {row['mean']:.3g} | {row['deviation']:.3g} | {row['defined']:.0%} |")
    if "keys" in found:
        keys = found["keys"]
        agreed = f"{keys['equal']} of {keys['clips']} keys equal, {keys['among_the_best']} among the best"
        lines += ["", f"music21: {agreed}; {keys['music21_ms']:.1f} ms a clip, seqvae {keys['seqvae_ms']:.3f} ms"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
