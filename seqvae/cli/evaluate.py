"""The verb `evaluate`: what a model is like, in figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from seqvae.cli import common, validity
from seqvae.cli.common import DEFAULT_MODEL, talk
from seqvae.cli.gather import Inputs, Items, Split, SplitChoice, dataset_of_run, gather
from seqvae.cli.sample import SampleTemperature, usual_temperature
from seqvae.files import write_atomic


def evaluate(
    inputs: Inputs = None,
    split: Split = SplitChoice.test,
    items: Items = None,
    iw_samples: Annotated[
        int, typer.Option("--iw-samples", min=0, help="Samples an item for the importance-weighted likelihood.")
    ] = 100,
    iw_items: Annotated[
        int | None,
        typer.Option("--iw-items", min=1, help="Items it is measured on.", show_default="512, fewer of long ones"),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", min=0, help="Samples of each prior; 0 for none.", show_default="10,000, fewer of long ones"
        ),
    ] = None,
    temperature: SampleTemperature = None,
    valid: validity.Valid = None,
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
    and --valid says which of them are valid.

    \b
    Example:
      seqvae evaluate my-dataset --model runs/mine
      seqvae evaluate songs/ --model melody-2bar --json
    """
    from seqvae.evaluate import report_card

    if output is not None:
        common.check_file(output, force)
    check = None if valid is None else validity.load_check(valid)
    inputs = inputs or [dataset_of_run(model)]
    seed = common.settle_seed(seed)
    loaded = common.load_model(model, device)
    windows = gather(loaded.tokenizer, inputs, split.value, items, seed, track)
    card = report_card(
        loaded,
        windows.tokens,
        data=windows.data,
        split=windows.split,
        seed=seed,
        train_windows=windows.train,
        iw_samples=iw_samples,
        iw_items=iw_items,
        samples=samples,
        temperature=usual_temperature(loaded.tokenizer) if temperature is None else temperature,
        valid=check,
        progress=_say_stage,
    )
    files = []
    if output is not None:
        content = json.dumps(card.to_dict(), ensure_ascii=False, indent=1) + "\n"
        files.append(write_atomic(output, content.encode(), overwrite=force))
        talk(card.table())
    elif not as_json:
        print(card.table())
    common.report(files, card.to_dict(), as_json)


def _say_stage(stage: str) -> None:
    if sys.stderr.isatty():
        talk(f"measuring: {stage}")
