"""How well models of grooves do their work on the Groove test split, beside simple baselines.

    python -m benchmarks.groove humanize --model RUN --data DATASET
    python -m benchmarks.groove drumify --model RUN --data DATASET
    python -m benchmarks.groove reconstruct --model RUN --data DATASET

DATASET is what `data_scripts/groove.py` makes with the model's preset. `humanize`: all hits are given, the errors are
those of velocity and timing. `drumify`: a tapped rhythm is given, hits count too. `reconstruct`: the whole performance
is encoded and decoded. Milliseconds are at the tempo that each file's name says.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvae.dataset import Dataset, Split
from seqvae.errors import DataError, SeqvaeError
from seqvae.evaluate import groove
from seqvae.loading import load
from seqvae.model import Model
from seqvae.tokenizers import GrooveTokenizer, Tokens

DRAWS = 5
Method = Callable[[GrooveTokenizer, Tokens, Tokens], Tokens]

BASELINES: dict[str, dict[str, Method]] = {
    "humanize": {
        "quantised, one velocity": groove.quantised,
        "mean of the step and class": groove.usual,
        "nearest pattern of train": groove.nearest,
    },
    "drumify": {"nearest rhythm of train": groove.nearest_rhythm},
    "reconstruct": {"quantised, one velocity": groove.quantised, "nearest pattern of train": groove.nearest},
}


def tempos(dataset: Dataset, split: Split) -> NDArray[np.float64]:
    """The tempo of each window's file, from names such as 1_funk_80_beat_4-4.mid: float64 (n,)."""
    names = [str(source.name) for source in dataset.source_list()]
    found = [re.search(r"_(\d+)_(?:beat|fill)_", name) for name in names]
    if not all(found):
        raise DataError(f"{names[0]}: no tempo in the name; is it a dataset of the Groove corpus?")
    of_source = np.array([float(match.group(1)) for match in found if match])
    tempos: NDArray[np.float64] = of_source[dataset.sources(split)["source"]]
    return tempos


def methods(model: Model, task: str, train: Tokens, played: Tokens) -> dict[str, list[Tokens]]:
    """What each method plays for the windows `played`; several where z is drawn."""
    tokenizer = model.tokenizer
    assert isinstance(tokenizer, GrooveTokenizer)
    made = {name: [method(tokenizer, train, played)] for name, method in BASELINES[task].items()}
    if task == "reconstruct":
        z = model.encode(played)
        return {**made, model.name: [groove.performed(model, played, z)]}
    draws = [model.draw(len(played), seed=seed) for seed in range(DRAWS)]
    return {
        **made,
        f"{model.name}, mean z": [groove.performed(model, played)],
        f"{model.name}, drawn z": [groove.performed(model, played, z) for z in draws],
    }


def measure(model: Model, dataset: Dataset, task: str, split: Split) -> list[str]:
    """The lines of the table."""
    tokenizer = model.tokenizer
    if not isinstance(tokenizer, GrooveTokenizer):
        raise DataError(f"{model.name}: its tokens are {tokenizer.kind}; give a model of grooves")
    control = {"humanize": "hits", "drumify": "tap", "reconstruct": "none"}[task]
    if tokenizer.control != control:
        raise DataError(f"{model.name}: its control is {tokenizer.control} and {task} needs {control}; give another")
    unseen = dataset.unseen(split)
    played = np.asarray(dataset.windows(split)[unseen], np.int64)
    train = np.asarray(dataset.windows("train"), np.int64)
    speeds = tempos(dataset, split)[unseen]
    lines = [
        f"{task}: {len(played)} windows of the {split} split that train has not, dataset {dataset.hash}, "
        f"model {model.name} {model.hash}",
        f"{'method':<36}{'timing, ms':>12}{'steps':>8}{'velocity':>10}{'hit F1':>8}",
    ]
    for name, tries in methods(model, task, train, played).items():
        errors = [groove.groove_errors(tokenizer, made, played, speeds) for made in tries]

        def mean(field: str, errors: list[groove.GrooveErrors] = errors) -> float:
            return math.fsum(getattr(one, field) for one in errors) / len(errors)

        lines.append(
            f"{name:<36}{mean('timing_ms'):>12.2f}{mean('timing_steps'):>8.4f}"
            f"{mean('velocity'):>10.2f}{mean('hit_f1'):>8.3f}"
        )
    return lines


def main() -> int:
    """Prints the table; 0 done, 1 an error."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.groove", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=BASELINES)
    parser.add_argument("--model", required=True, help="a run folder, a .safetensors file or a bundled model")
    parser.add_argument("--data", type=Path, required=True, help="the dataset that it was trained on")
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    arguments = parser.parse_args()
    try:
        lines = measure(load(arguments.model), Dataset.open(arguments.data), arguments.task, arguments.split)
        print("\n".join(lines))
    except SeqvaeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
