"""The verb `evaluate`: what a model is like, in figures."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from seqvae.cli import common, validity
from seqvae.cli.common import DEFAULT_MODEL, talk
from seqvae.cli.gather import Inputs, Items, SplitChoice, dataset_of_run, gather
from seqvae.cli.sample import SampleTemperature, usual_temperature
from seqvae.files import write_atomic


def _count_or_all(text: str) -> int:
    """A number of items, 1 or more; `all` is a number that no set has."""
    if text == "all":
        return sys.maxsize
    if not text.isdecimal() or not int(text):
        raise typer.BadParameter(f"{text!r} is no number of items; give 1 or more, or all")
    return int(text)


def evaluate(
    inputs: Inputs = None,
    split: Annotated[
        SplitChoice | None,
        typer.Option("--split", help="Which part of a dataset; of files, which one they are.", show_default="test"),
    ] = None,
    items: Items = None,
    every_item: Annotated[
        bool,
        typer.Option("--every-item", help="All items, also the same ones again and those that train holds."),
    ] = False,
    iw_samples: Annotated[
        int, typer.Option("--iw-samples", min=0, help="Samples an item for the importance-weighted likelihood.")
    ] = 100,
    iw_items: Annotated[
        int | None,
        typer.Option(
            "--iw-items",
            metavar="N|all",
            parser=_count_or_all,
            help="Items it is measured on.",
            show_default="512, fewer of long ones",
        ),
    ] = None,
    iw_width: Annotated[
        float,
        typer.Option("--iw-width", help="Their width, in standard deviations of the posterior (see docs/measures.md)."),
    ] = 1.0,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", min=0, help="Samples of each prior; 0 for none.", show_default="10,000, fewer of long ones"
        ),
    ] = None,
    temperature: SampleTemperature = None,
    valid: validity.Valid = None,
    autoencoder: Annotated[
        str | None,
        typer.Option(
            "--autoencoder",
            metavar="NAME|FILE|RUN",
            help="Set a plain autoencoder's paths beside: a model with the same tokenizer and objective.autoencoder.",
            show_default=False,
        ),
    ] = None,
    track: common.Track = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.json", help="Write the card there too.", show_default=False),
    ] = None,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Measures a model: reconstruction, likelihood, use of the latent space, prior samples, smoothness.

    Of a dataset's split, windows that also occur in train are left out. --temperature is that of the prior samples,
    and --valid says which of them are valid. For figures to set beside published ones give the file itself, with
    --every-item and --iw-items all.

    \b
    Example:
      seqvae evaluate my-dataset --model runs/mine
      seqvae evaluate songs/ --model melody-2bar --json
      seqvae evaluate test.txt --model runs/mine --split test --every-item --iw-samples 500 --iw-items all
    """
    from seqvae.evaluate import report_card

    if output is not None:
        common.check_file(output, force)
    check = None if valid is None else validity.load_check(valid)
    inputs = inputs or [dataset_of_run(model)]
    seed = common.settle_seed(seed)
    loaded = common.load_model(model, device)
    name = (split or SplitChoice.test).value
    windows = gather(loaded.tokenizer, inputs, name, items, seed, track, every=every_item)
    card = report_card(
        loaded,
        windows.tokens,
        data=windows.data,
        split=windows.split if split is None else name,
        seed=seed,
        train_windows=windows.train,
        iw_samples=iw_samples,
        iw_items=iw_items,
        iw_width=iw_width,
        samples=samples,
        temperature=usual_temperature(loaded) if temperature is None else temperature,
        valid=check,
        autoencoder=None if autoencoder is None else common.load_model(autoencoder, device),
        progress=_say_stage,
        watch=_say_share(),
    )
    files = []
    if output is not None:
        content = json.dumps(common.known_only(card.to_dict()), ensure_ascii=False, indent=1) + "\n"
        files.append(write_atomic(output, content.encode(), overwrite=force))
        talk(card.table())
    elif not as_json:
        print(card.table())
    common.report(files, card.to_dict(), as_json)


def _say_stage(stage: str) -> None:
    if sys.stderr.isatty():
        talk(f"measuring: {stage}")


def _say_share() -> Callable[[float], None]:
    """Told the share of the importance samples that is done, it says so, and how long the rest will take."""
    started = time.monotonic()

    def say(share: float) -> None:
        left = (time.monotonic() - started) * (1 - share) / share
        print(f"\r  importance samples: {share:6.1%}, {left / 60:.0f} min left ", end="", file=sys.stderr, flush=True)
        if share == 1.0:
            talk()

    return say if sys.stderr.isatty() else lambda share: None
