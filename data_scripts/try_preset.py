"""Tries a preset on its corpus: prepares it, trains for a minute, evaluates, and walks between two held-out items.

A minute shows that all goes together and no more; docs/training.md says how the bundled models were trained.

    python data_scripts/try_preset.py drums-2bar
    python data_scripts/try_preset.py chords --from progressions.tsv.xz --time 3m -o out/try

Without --from the corpus is downloaded, or comes with a library that is installed (SCRIPTS, below, says which).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import fetch
import numpy as np

from seqvae.config import load_preset
from seqvae.dataset import Dataset, Split
from seqvae.errors import ConfigError, DataError

HERE = Path(__file__).resolve().parent

SCRIPTS = {
    "captions": "captions",
    "chorale-2bar": "chorales",  # music21
    "chords": "billboard",
    "digits": "digits",  # scikit-learn
    "drums-2bar": "groove",
    "equations": "equations",
    "groove-2bar": "groove",
    "groove-2bar-drumify": "groove",
    "groove-2bar-humanize": "groove",
    "leadsheet-4bar": "leadsheets",
    "melody-16bar": "melody_2bar",
    "melody-2bar": "music21_folk",  # music21; the bundled model's own is melody_2bar
    "melody-2bar-3-4": "music21_folk",
    "melody-2bar-6-8": "music21_folk",
    "melody-2bar-tiny": "music21_folk",
    "melody-2bar-triplets": "folk_meters",
    "melody-chords-2bar": "leadsheets",
    "names": "names",
    "ptb": "ptb",
    "ptb-best": "ptb",
    "text-chars": "shakespeare",
    "text-subwords": "captions",
    "text-words": "captions",
    "trio-16bar": "band_trio",
}
"""Preset → the script that builds a corpus for it."""


def commands(preset: str, source: Path | None, time: str, out: Path) -> list[list[str]]:
    """The commands that prepare and train. Raises `ConfigError`."""
    if preset not in SCRIPTS:
        raise ConfigError(f"{preset}: no corpus is known for this preset; there are {', '.join(SCRIPTS)}")
    data, run = str(out / "data"), str(out / "run")
    python, seqvae = [sys.executable], [sys.executable, "-m", "seqvae"]
    local = ["--from", str(source)] if source else []
    return [
        [*python, str(HERE / f"{SCRIPTS[preset]}.py"), *local, "--preset", preset, "-o", data, "--force"],
        [*seqvae, "train", "--preset", preset, "--data", data, "--time", time, "-o", run, "--seed", "1", "--force"],
    ]


def held_out(dataset: Dataset) -> Split:
    """The test split; of a small corpus that has none, the validation split. Raises `DataError`."""
    splits: tuple[Split, ...] = ("test", "valid")
    for split in splits:
        if dataset.unseen(split).sum() > 1:
            return split
    raise DataError(f"{dataset.folder}: nothing is held out; it needs more files")


def two_items(dataset: Dataset, split: Split, out: Path) -> list[Path]:
    """Two items of a split as files."""
    windows = dataset.windows(split)
    tokenizer, chosen = dataset.tokenizer, (0, len(windows) // 2)
    items = [tokenizer.decode(np.asarray(windows[row], np.int64)) for row in chosen]
    paths = [out / f"{name}{tokenizer.suffix}" for name in "ab"]
    return [tokenizer.write(item, path, overwrite=True) for item, path in zip(items, paths, strict=True)]


def main() -> None:
    """Runs it all; each command is shown before it runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", help="one of: " + ", ".join(SCRIPTS))
    parser.add_argument("--from", dest="source", type=Path, metavar="LOCAL", help="a local copy of the corpus")
    parser.add_argument("--time", default="1m", help="how long to train (default: %(default)s)")
    parser.add_argument("-o", dest="out", type=Path, default=Path("out/try"), help="folder (default: %(default)s)")
    args = parser.parse_args()
    load_preset(args.preset)
    out = args.out / args.preset
    for command in commands(args.preset, args.source, args.time, out):
        _run(command)
    dataset = Dataset.open(out / "data")
    split = held_out(dataset)
    a, b = map(str, two_items(dataset, split, out))
    seqvae, run = [sys.executable, "-m", "seqvae"], ["--model", str(out / "run"), "--seed", "1"]
    few = ["--split", split, "--items", "64", "--samples", "64", "--iw-samples", "0"]
    _run([*seqvae, "evaluate", str(out / "data"), *run, *few])
    _run([*seqvae, "interpolate", a, b, *run, "--steps", "8", "-o", str(out / "path"), "--force"])


def _run(command: list[str]) -> None:
    fetch.say(f"$ {' '.join(command)}")
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    fetch.run(main)
