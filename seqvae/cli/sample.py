"""The verb `sample`: new items from nothing but a seed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, control, validity
from seqvae.cli.common import DEFAULT_MODEL, numbered

if TYPE_CHECKING:
    from seqvae.tokenizers import Tokenizer

MUSIC_TEMPERATURE = 0.8
"""Of `sample`: as dense as the data, where the likeliest tokens are sparser. The model's own default is the same."""

LINE_TEMPERATURE = 0.0
"""Of `sample`: what varies is z; each line is the likeliest that its z can say."""


class PriorChoice(StrEnum):
    """Where samples are drawn from."""

    aggregate = "aggregate"
    normal = "normal"


SampleTemperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0.0,
        help="Of samples: 0 takes the likeliest token at each step, 1 draws freely.",
        show_default=f"{MUSIC_TEMPERATURE:g} for music, {LINE_TEMPERATURE:g} for texts and raw",
    ),
]


def sample(
    n: common.Count = 16,
    prior: Annotated[
        PriorChoice, typer.Option("--prior", help="Draw where the training data lie, or from N(0, I).")
    ] = PriorChoice.aggregate,
    output: common.Output = None,
    temperature: SampleTemperature = None,
    top_k: common.TopK = None,
    top_p: common.TopP = None,
    beam: common.Beam = None,
    ban_unk: common.BanUnknown = False,
    valid: validity.Valid = None,
    only_valid: validity.OnlyValid = False,
    chords: control.Chords = None,
    key: control.Key = None,
    labels: control.Labels = None,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes new items from nothing but a seed: files, or lines on stdout.

    With --chords, items are as long as the chords, each with one z for all its windows.

    \b
    Example:
      seqvae sample -n 16 --seed 1 -o new
      seqvae sample --model melody-chords-2bar --chords "C G Am F" --key C
      seqvae sample --model captions --temperature 0.7 --top-p 0.9
      seqvae sample --model equations --valid my_rules.py:parses --only-valid
    """
    check = validity.asked_check(valid, only_valid)
    loaded = common.load_model(model, device)
    asked = control.asked_for(loaded, chords, key, labels)
    target = common.plan(loaded.tokenizer, output, "out-sample", numbered("sample", n), force)
    if temperature is None:
        temperature = 0.0 if beam else usual_temperature(loaded.tokenizer)
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    seed = common.settle_seed(seed)

    def draw(count: int) -> list[Any]:
        return loaded.sample(
            count, prior=prior.value, temperature=temperature, seed=seed, control=asked, decoding=decoding
        )

    items, found = validity.draw_valid(draw, n, check, only_valid)
    picture = list(zip(target.names, items, strict=True))[:16]
    files = target.write(items, picture, on_path=False)
    values = {**common.described("sample", loaded, seed, temperature, decoding), "prior": prior.value, **found}
    common.deliver(loaded, items, files, values, as_json)


# -- helpers -----------------------------------------------------------------------------------------------------------


def usual_temperature(tokenizer: Tokenizer) -> float:
    """Of samples, where none is given."""
    return LINE_TEMPERATURE if common.is_lines(tokenizer) else MUSIC_TEMPERATURE
