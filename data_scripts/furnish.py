"""Puts into a bundled model what lies beside its weights: held-out windows, and fingerprints of the training windows.

    python data_scripts/furnish.py MODEL.safetensors --data DATASET [-o FILE]

Weights, hash, card and attribute vectors stay as they are. The dataset must be the one that it was trained on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from seqvae.checkpoint import SavedModel, load_model, save_model
from seqvae.dataset import Dataset
from seqvae.errors import DataError, SeqvaeError
from seqvae.fingerprints import fingerprints_of
from seqvae.run import held_out_sample


def furnish(saved: SavedModel, dataset: Dataset) -> SavedModel:
    """The model with windows of the test split and the fingerprints of train. Raises `DataError` of other data."""
    trained_on = saved.provenance.get("data")
    if dataset.hash != trained_on:
        found = f"{dataset.folder}: is dataset {dataset.hash}, and {saved.name} was trained on {trained_on}"
        raise DataError(f"{found}; give that one with --data")
    known = fingerprints_of(dataset.tokenizer, dataset.windows("train"))
    return replace(saved, held_out=held_out_sample(dataset, "test"), fingerprints=known)


def main() -> int:
    """Reads the command line; 0 done, 1 an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the dataset that the model was trained on")
    parser.add_argument("-o", "--output", type=Path, help="where to write; the model file itself without")
    arguments = parser.parse_args()
    try:
        furnished = furnish(load_model(arguments.model), Dataset.open(arguments.data))
        path = save_model(arguments.output or arguments.model, furnished)
    except SeqvaeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    known = len(furnished.fingerprints or ())
    print(f"{path} ({path.stat().st_size:,} bytes, {len(furnished.held_out)} held-out windows, {known:,} known)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
