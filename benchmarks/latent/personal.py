"""Personal models: what a dozen clips of another style gain, and what the base forgets, by each way of making one.

    python -m benchmarks.latent.personal                              Bach's sopranos, from the installed music21
    python -m benchmarks.latent.personal --full --base-data DATASET   also 200 clips, more steps, the base's true data
    python -m benchmarks.latent.personal --model drums-2bar --clips FOLDER --base-data DATASET

The chorales are in no data of melody-2bar. Own figures are of held-out clips, the base's of windows that its training
did not see: of the test split of --base-data, or those that the model's file carries. One seed; `at β` is the loss that
training minds, −ELBO has the whole KL; overlap is the mean over attributes of the samples' histograms with the clips'.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib import util
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seqvae.corpus.prepare import find_files
from seqvae.corpus.reading import Reader
from seqvae.loading import load
from seqvae.personal import Personal, finetune

SIZES, FULL_SIZES = (12, 50), (12, 50, 200)
STEPS, FULL_STEPS = 60, 400
COLUMNS = ("tokens", "onsets", "exact", "minus_elbo", "loss")
HEAD = "| clips | way | own tokens | onsets | exact | −ELBO | at β | base tokens | onsets | exact | −ELBO | at β |"


def main() -> None:
    """Prints a row for each size and way, or one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latent.personal")
    parser.add_argument("--model", default="melody-2bar")
    parser.add_argument("--clips", type=Path, help="another person's clips; a folder")
    parser.add_argument("--track", help="which track of each of them")
    parser.add_argument("--base-data", type=Path, help="the dataset of the base")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of clips, from 12")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = measure(given, quiet=given.json)
    if given.json:
        print(json.dumps({"model": given.model, "seed": given.seed, "rows": rows}))


def measure(given: argparse.Namespace, quiet: bool) -> list[dict[str, Any]]:
    """All ways for all sizes."""
    sizes = given.sizes or (FULL_SIZES if given.full else SIZES)
    files, track = clips_of(given, max(sizes))
    steps = given.steps or (FULL_STEPS if given.full else STEPS)
    ways: dict[str, dict[str, Any]] = {
        "frozen": {"frozen": True},
        "tuned": {"replay_share": 0.0, "sliders": 0},
        "tuned, dreamed replay": {"sliders": 0},
    }
    if given.full and given.base_data is not None:
        ways["tuned, true replay"] = {"replay": given.base_data, "sliders": 0}
    rows: list[dict[str, Any]] = []
    if not quiet:
        print(f"{HEAD} overlap | copied | s |\n|{'---|' * 15}", flush=True)
    for size in sizes:
        if size > len(files):
            continue
        for way, options in ways.items():
            with tempfile.TemporaryDirectory(prefix="seqvae-") as folder:
                made = finetune(
                    given.model,
                    files[:size],
                    Path(folder, "mine"),
                    seconds=None,
                    steps=steps,
                    track=track,
                    seed=given.seed,
                    base_data=given.base_data,
                    **options,
                )
            new = [] if way != "frozen" else [row(size, "base", made, before=True)]
            new.append(row(size, way, made, before=False))
            rows += new
            for one in [] if quiet else new:
                print(shown(one), flush=True)
            for line in [] if quiet else made.sliders:
                print(f"    {line}")
    return rows


def clips_of(given: argparse.Namespace, count: int) -> tuple[list[Path], str | None]:
    """The first so many files that the model can use, in an order of their own, and which track of each is read."""
    folder, track = given.clips, given.track
    include: tuple[str, ...] = ()
    if folder is None:
        found = util.find_spec("music21")
        assert found is not None and found.submodule_search_locations
        folder, track, include = Path(found.submodule_search_locations[0], "corpus", "bach"), "0", ("*/bwv*.mxl",)
    reader = Reader(tokenizer=load(given.model).tokenizer, track=track)
    files = find_files([folder], reader.tokenizer.suffixes, include)
    rows = np.random.default_rng(given.seed).permutation(len(files))
    usable = (files[row][0] for row in rows if any(len(item.tokens) for item in reader.read(*files[row]).items))
    return list(islice(usable, count)), track


def row(size: int, way: str, made: Personal, *, before: bool) -> dict[str, Any]:
    """One row's figures."""
    own, base = (made.own_before, made.base_before) if before else (made.own_after, made.base_after)
    overlaps = [one.overlap_before if before else one.overlap_after for one in made.shifts]
    return {
        "files": size,
        "way": way,
        "own": vars(own) if own else None,
        "base": vars(base) if base else None,
        "overlap": float(np.mean(overlaps)),
        "copied": None if before else made.copied,
        "steps": None if before else made.steps,
        "seconds": None if before else made.seconds,
        "sliders": [] if before else list(made.sliders),
    }


def shown(one: dict[str, Any]) -> str:
    """A row of the printed table."""
    cells = [str(one["files"]), one["way"]]
    for found in (one["own"], one["base"]):
        cells += [f"{found[name]:.{3 if name in COLUMNS[:3] else 2}f}" if found else "–" for name in COLUMNS]
    cells.append(f"{one['overlap']:.2f}")
    cells += ["", ""] if one["copied"] is None else [f"{one['copied']:.3f}", f"{one['seconds']:.0f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
