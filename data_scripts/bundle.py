"""Makes a bundled model of a run: weights in float16, measured on the test split, the card and the licence inside.

    python data_scripts/bundle.py RUN --data DATASET [--name NAME] [-o seqvae/models]

The card is that of the file as it ships: what is measured is the float16 model, on test windows that train has not.
Beside it lie held-out windows and fingerprints, as data_scripts/furnish.py puts them in.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from furnish import furnish

from seqvae.checkpoint import find_model, load_model, save_model
from seqvae.cli.sample import usual_temperature
from seqvae.cli.validity import load_check
from seqvae.dataset import Dataset
from seqvae.errors import SeqvaeError
from seqvae.evaluate import ITEMS, report_card
from seqvae.loading import from_saved

MODELS = Path(__file__).resolve().parent.parent / "seqvae" / "models"


def bundle(run: Path, data: Path, name: str | None, folder: Path, valid: str | None = None) -> Path:
    """Measures and writes the model; `valid` as in `seqvae evaluate --valid`. Raises `SeqvaeError`."""
    saved = load_model(find_model(run)).half()
    saved = replace(saved, name=name or saved.name)
    dataset = Dataset.open(data)
    windows = dataset.windows("test")[dataset.unseen("test")]
    drawn = np.random.default_rng(0).permutation(len(windows))[: ITEMS.of(dataset.tokenizer)]
    windows = windows[np.sort(drawn)]
    model = from_saved(saved, name=saved.name)
    card = report_card(
        model,
        windows,
        data=f"test split of dataset {dataset.hash}, windows that train has left out",
        split="test",
        train_windows=dataset.windows("train"),
        temperature=usual_temperature(model),
        valid=None if valid is None else load_check(valid),
        progress=lambda stage: print(f"measuring {stage}", file=sys.stderr),
    )
    print(card.table())
    furnished = furnish(replace(saved, card=card.to_dict()), dataset)
    return save_model(folder / f"{saved.name}.safetensors", furnished)


def main() -> int:
    """Reads the command line; 0 done, 1 an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the dataset that the run was trained on")
    parser.add_argument("--name", help="the model's name; the preset's by default")
    parser.add_argument("--valid", metavar="FILE.py:FUNCTION", help="says whether a sample is valid, for the card")
    parser.add_argument("-o", "--output", type=Path, default=MODELS)
    arguments = parser.parse_args()
    try:
        path = bundle(arguments.run, arguments.data, arguments.name, arguments.output, arguments.valid)
    except SeqvaeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"{path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
