"""The verb `slide`: the sliders of a personal model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqvae.cli import common, inputs
from seqvae.cli.common import UsageError, numbered, talk

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.passage import Passage
    from seqvae.personal import Sliders


FARTHEST = 5.0
"""A slider's position: 2 is the end of what it was fitted to, and far beyond it there is only rubbish."""


def slide(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `seqvae finetune` wrote.")],
    positions: Annotated[
        list[str] | None,
        typer.Argument(metavar="N=POSITION", help="A slider by number or name, and where it is to stand: -2 to 2."),
    ] = None,
    clip: Annotated[
        str | None, typer.Option("--clip", metavar="CLIP", help="Move this one, in place of new ones.")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--count", min=1, max=10_000, help="How many new ones.")] = 8,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    output: common.Output = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.0, help="As in sample.", show_default="that of sample; 0 with --clip"),
    ] = None,
    seed: common.Seed = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Draws new items with some sliders of a personal model where you put them, or moves a clip there.

    0 is the middle of the clips that the model was made of, -2 and 2 are their ends; sliders that are not named stand
    where chance, or the clip, has them. What each does is printed first.

    \b
    Example:
      seqvae slide runs/mine 1=+1.5 3=-1 -n 8 -o out
      seqvae slide runs/mine density=2 --clip song.mid
    """
    from seqvae.cli.sample import usual_temperature
    from seqvae.perform import refuse_alone
    from seqvae.personal.slide import FILE, Sliders

    wanted = parse_positions(positions or ())
    model = common.load_model(str(run), device)
    found = Sliders.load(run / FILE, model)
    for line in found.describe():
        talk(line)
    for name in wanted:
        found.index(name)
    given = None if clip is None else inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    if given is None:
        refuse_alone(model)
        if track or bars or meter:
            raise UsageError("--track, --bars and --meter are of a clip; give one with --clip, or leave them out")
    stem = "slide" if given is None else given.stem
    target = common.plan(model.tokenizer, output, f"out-{stem}", numbered("slide", 1 if given else n), force)
    if temperature is None:
        temperature = usual_temperature(model) if given is None else 0.0
    seed = common.settle_seed(seed, used=given is None or bool(temperature))
    if given is None:
        made = _drawn(model, found, wanted, n, temperature, seed)
    else:
        made = _moved(model, found, wanted, given.passage(model), temperature, seed)
    items = [one.item for one in made]
    files = target.write(items, list(zip(target.names, items, strict=True))[:16], on_path=False)
    values = {"verb": "slide", "model": model.name, "model_hash": model.hash, "seed": seed, "temperature": temperature}
    common.deliver(model, items, files, {**values, "positions": wanted, "sliders": found.describe()}, as_json)


def _drawn(
    model: Model, sliders: Sliders, wanted: dict[str, float], n: int, temperature: float, seed: int
) -> list[Passage]:
    z = sliders.set(model.draw(n, seed=seed), wanted)
    return model.render(z[:, None], [[None]] * n, temperature=temperature, seed=seed, verb="slide")


def _moved(
    model: Model, sliders: Sliders, wanted: dict[str, float], passage: Passage, temperature: float, seed: int
) -> list[Passage]:
    z = sliders.set(passage.z, wanted, together=True)
    controls = [model.control_of(passage.tokens)]
    return model.render([z], [passage.styles], controls, temperature=temperature, seed=seed, verb="slide")


def parse_positions(words: Sequence[str]) -> dict[str, float]:
    """From "1=+1.5" or "density=-1".

    Raises:
        UsageError: One is of another form, or a slider is named twice.
    """
    found: dict[str, float] = {}
    for word in words:
        match = re.fullmatch(r"([\w.:-]+)=([+-]?(?:\d+\.?\d*|\.\d+))", word.strip())
        if match is None:
            raise UsageError(f"{word!r} is not of the form 1=+1.5: a slider's number or name, and where it is to stand")
        if match[1] in found:
            raise UsageError(f"slider {match[1]} is given twice; give it once")
        found[match[1]] = float(match[2])
        if abs(found[match[1]]) > FARTHEST:
            raise UsageError(f"{word!r} lies far beyond your clips, which end at -2 and 2; give {FARTHEST:g} at most")
    return found
