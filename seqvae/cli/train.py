"""The verb `train`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli.common import AsJson, DeviceName, Force, Seed, UsageError, report, settle_seed, talk
from seqvae.errors import WriteError

if TYPE_CHECKING:
    from seqvae.run import Metrics
    from seqvae.train import Outcome

PRINT_SECONDS = 10.0
NATS_TO_BITS = 1.4426950408889634


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DATASET", help="A folder that `seqvae prepare` wrote.", show_default="folk tunes"
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", metavar="NAME|FILE", help="A bundled preset or a .toml file.", show_default="melody-2bar"
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Changes one setting of the preset.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="RUN", help="Run folder.", show_default="runs/PRESET")
    ] = None,
    time: Annotated[str | None, typer.Option("--time", metavar="30m", help="Stop in good order after so long.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, exactly.")] = False,
    init: Annotated[
        str | None, typer.Option("--init", metavar="NAME|FILE|RUN", help="Start from this model's weights.")
    ] = None,
    non_commercial: Annotated[
        bool, typer.Option("--non-commercial", help="Without --data: also the tunes whose licence forbids selling.")
    ] = False,
    seed: Seed = None,
    device: DeviceName = "auto",
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Trains a model; with no argument, on the public-domain folk tunes that music21 carries.

    Prints the loss (nats an item), KL (bits), accuracies (teacher-forced; at validations also free-running), active
    units, speed and the time left. Ctrl-C or --time stops in good order; --resume goes on, on a CPU to the same
    weights bit for bit.

    \b
    Example:
      seqvae train --preset melody-2bar-tiny --time 1m
      seqvae train --data my-dataset --set model.z_size=64 -o runs/mine
      seqvae train --resume -o runs/mine
    """
    from seqvae import train as training
    from seqvae.config import DEFAULT_PRESET, load_preset
    from seqvae.dataset import Dataset
    from seqvae.run import resumable

    limit = None if time is None else parse_duration(time)
    if resume:
        if settings or preset or init:
            raise UsageError("--resume goes on with the run's own settings; leave out --preset, --set and --init")
        run = output or Path("runs") / DEFAULT_PRESET
        chosen, seed, folder = resumable(run)
        dataset = Dataset.open(data or folder)
    else:
        chosen = load_preset(preset or DEFAULT_PRESET, settings or ())
        run = output or Path("runs") / chosen.name
        if run.exists() and not force and (not run.is_dir() or any(run.iterdir())):
            raise WriteError(f"{run}: stands already; --resume to go on, --force to start over, or another -o")
        seed = settle_seed(seed)
        dataset = Dataset.open(data) if data is not None else _folk_tunes(chosen.tokenizer, non_commercial)
    shown = _Printer(chosen.train.steps, limit)
    saved = None if init is None else _saved(init)
    outcome = training.train(
        chosen, dataset, run, seed=seed, device=device, seconds=limit, init=saved, resume=resume, report=shown
    )
    files = _pictures_and_samples(outcome)
    talk(f"{outcome.reason}: {describe(outcome.metrics)}")
    if outcome.warning:
        talk(f"Warning: {outcome.warning}")
    if outcome.metrics["step"] < chosen.train.steps:
        talk(f"go on with: seqvae train --resume -o {run}")
    report([run, *files] if as_json else [run], {"reason": outcome.reason, **outcome.metrics}, as_json)


def parse_duration(text: str) -> float:
    """Seconds of "90s", "30m", "2h" or "1h30m".

    Raises:
        UsageError: It is none of that form, or zero.
    """
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip())
    seconds = 0.0
    if match:
        seconds = sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True))
    if not seconds:
        raise UsageError(f"--time {text!r} is not a duration such as 90s, 30m or 1h30m")
    return seconds


class _Printer:
    """Prints a line of figures now and then: every validation, and training every `PRINT_SECONDS`."""

    def __init__(self, steps: int, limit: float | None) -> None:
        self.steps = steps
        self.limit = limit
        self.first: float | None = None
        self.printed = -PRINT_SECONDS
        self.speed = 0.0

    def __call__(self, metrics: Metrics) -> None:
        if self.first is None:
            self.first = metrics["seconds"]
        if metrics["split"] != "train":
            talk(f"  {describe(metrics)}")
            return
        self.speed = metrics["items_per_second"]
        if metrics["seconds"] - self.printed < PRINT_SECONDS:
            return
        self.printed = metrics["seconds"]
        left = (self.steps - metrics["step"]) * (metrics["seconds"] / max(1, metrics["step"]))
        if self.limit is not None:
            left = min(left, self.limit - (metrics["seconds"] - self.first))
        talk(f"{describe(metrics)}, {self.speed:,.0f} items/s, {clock(left)} left")


def describe(metrics: Metrics) -> str:
    """One line of figures from a line of metrics.jsonl."""
    words = [
        f"step {metrics['step']:,} {metrics['split']}: loss {metrics['loss']:.2f}",
        f"KL {metrics['kl'] * NATS_TO_BITS:.1f} bits",
        f"tokens {metrics['token_accuracy']:.3f}",
        f"onsets {metrics['onset_accuracy']:.3f}",
    ]
    if "free_token_accuracy" in metrics:
        words += [
            f"free-running {metrics['free_token_accuracy']:.3f} / {metrics['free_onset_accuracy']:.3f}",
            f"{metrics['active_units']} active units",
        ]
    return ", ".join(words)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _saved(name: str) -> Any:
    from seqvae.checkpoint import find_model, load_model

    return load_model(find_model(name))


def _folk_tunes(tokenizer: Any, non_commercial: bool) -> Any:
    """The dataset of music21's corpus, made on the first use and kept in the user's cache."""
    from seqvae.corpus import music21_dataset

    return music21_dataset(tokenizer, non_commercial=non_commercial, say=talk)


def _pictures_and_samples(outcome: Outcome) -> list[Path]:
    """curves.png and samples/ of a run: what a person looks at and listens to first."""
    from seqvae.clip import Clip
    from seqvae.model import load
    from seqvae.plot import piano_roll_strip, training_curves

    lines = (outcome.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    files = []
    if lines:
        files.append(training_curves([json.loads(line) for line in lines], outcome.run / "curves.png"))
    model = load(outcome.run, device="cpu")
    items = model.sample(8, seed=0)
    suffix = getattr(model.tokenizer, "suffix", ".txt")
    for index, item in enumerate(items, start=1):
        files.append(model.tokenizer.write(item, outcome.run / "samples" / f"sample-{index}{suffix}", overwrite=True))
    if all(isinstance(item, Clip) for item in items):
        files.append(piano_roll_strip(items, outcome.run / "samples" / "strip.png", path_colours=False))
    return files
