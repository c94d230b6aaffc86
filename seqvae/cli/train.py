"""The verb `train`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli.common import AsJson, DeviceName, Force, Seed, UsageError, is_lines, report, settle_seed, talk
from seqvae.cli.sample import usual_temperature
from seqvae.errors import DataError, WriteError
from seqvae.files import write_atomic

if TYPE_CHECKING:
    from seqvae.config import Preset
    from seqvae.dataset import Dataset
    from seqvae.run import Metrics
    from seqvae.train import Outcome

PRINT_SECONDS = 10.0
NATS_TO_BITS = 1.4426950408889634
SAMPLED_CLIPS, SAMPLED_LINES = 8, 24

DATA_SCRIPTS = {
    **dict.fromkeys(("drums-2bar", "groove-2bar", "groove-2bar-humanize", "groove-2bar-drumify"), "groove"),
    "trio-16bar": "band_trio",
    "chorale-2bar": "chorales",
    **dict.fromkeys(("leadsheet-4bar", "melody-chords-2bar"), "leadsheets"),
    "captions": "captions",
    "chords": "billboard",
    "text-chars": "shakespeare",
    **dict.fromkeys(("text-words", "text-subwords", "ptb", "ptb-best"), "ptb"),
    "equations": "equations",
    "names": "names",
    "digits": "digits",
}
"""Preset → the script that makes its data."""


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
    decoder: Annotated[
        str | None,
        typer.Option(
            "--decoder",
            metavar="NAME|FILE|RUN",
            help="Start the decoder as this model's (after objective.pretraining_steps); a language model's will do.",
        ),
    ] = None,
    non_commercial: Annotated[
        bool, typer.Option("--non-commercial", help="Without --data: also the tunes whose licence forbids selling.")
    ] = False,
    seed: Seed = None,
    device: DeviceName = "auto",
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Trains a model; a melody preset without --data on the public-domain folk tunes that music21 carries.

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
    leads = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, one checks, writes and talks
    if data is None and not resume and os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("several processes train on one dataset: make it first, and give it with --data")
    if resume:
        if settings or preset or init or decoder:
            own = "--preset, --set, --init and --decoder"
            raise UsageError(f"--resume goes on with the run's own settings; leave out {own}")
        run = output or Path("runs") / DEFAULT_PRESET
        chosen, seed, folder = resumable(run)
        dataset = Dataset.open(data or folder)
    else:
        chosen = load_preset(preset or DEFAULT_PRESET, settings or ())
        run = output or Path("runs") / chosen.name
        if leads and run.exists() and not force and (not run.is_dir() or any(run.iterdir())):
            raise WriteError(f"{run}: stands already; --resume to go on, --force to start over, or another -o")
        dataset = Dataset.open(data) if data is not None else _without_data(chosen, non_commercial)
        seed = settle_seed(seed, used=leads)
    shown = Printer(chosen.train.steps, limit)
    outcome = training.train(
        chosen,
        dataset,
        run,
        seed=seed,
        device=device,
        seconds=limit,
        init=None if init is None else _saved(init),
        decoder=None if decoder is None else _saved(decoder),
        resume=resume,
        report=shown,
        say=talk,
    )
    if not leads:
        return
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


class Printer:
    """Prints a line of figures now and then: every validation, and training every `PRINT_SECONDS`."""

    def __init__(self, steps: int, limit: float | None) -> None:
        self.steps = steps
        self.limit = limit
        self.first: float | None = None
        self.printed = -PRINT_SECONDS
        self.speed = 0.0

    def __call__(self, metrics: Metrics) -> None:
        """Prints this line of figures, if it is time."""
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


def _without_data(preset: Preset, non_commercial: bool) -> Dataset:
    """The dataset of music21's folk tunes, made on the first use and kept in the user's cache.

    Raises:
        DataError: The preset is not for melodies; what makes its data is said.
    """
    from seqvae.corpus import music21_dataset

    if preset.tokenizer.kind == "melody":
        return music21_dataset(preset.tokenizer, non_commercial=non_commercial, say=talk)
    script = DATA_SCRIPTS.get(preset.name)
    own = f"seqvae prepare FILES --preset {preset.name} -o DATASET"
    how = f"python data_scripts/{script}.py --preset {preset.name} -o DATASET, or {own}" if script else own
    raise DataError(
        f"preset {preset.name}: no data come with seqvae but folk tunes; give --data, which this makes: {how}"
    )


def _pictures_and_samples(outcome: Outcome) -> list[Path]:
    """curves.png and samples/ of a run: what a person looks at, reads and listens to first."""
    from seqvae.loading import load
    from seqvae.plot import piano_roll_strip, training_curves

    lines = (outcome.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    files = []
    if lines:
        files.append(training_curves([json.loads(line) for line in lines], outcome.run / "curves.png"))
    model = load(outcome.run, device="cpu")
    folder = outcome.run / "samples"
    if is_lines(model.tokenizer):
        items = model.sample(SAMPLED_LINES, seed=0, temperature=usual_temperature(model))
        text = "".join(f"{model.tokenizer.show(item)}\n" for item in items)
        return [*files, write_atomic(folder / "samples.txt", text.encode())]
    items = model.sample(SAMPLED_CLIPS, seed=0, temperature=usual_temperature(model))
    for index, item in enumerate(items, start=1):
        path = folder / f"sample-{index}{model.tokenizer.suffix}"
        files.append(model.tokenizer.write(item, path, overwrite=True))
    return [*files, piano_roll_strip(items, folder / "strip.png", path_colours=False)]
