"""The verbs of drummers: `groove humanize`, `groove drumify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from seqvae.cli import common, inputs
from seqvae.cli.common import numbered

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.passage import Passage

groove = typer.Typer(
    name="groove", help="Plays drums: humanizes a straight pattern, puts a kit to a rhythm.", rich_markup_mode=None
)

Clip = Annotated[str, typer.Argument(metavar="CLIP", help="A music file.", show_default=False)]
Count = Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many performances.")]
Amount = Annotated[
    float, typer.Option("--amount", min=0.0, max=1.0, help="0 is the usual way to play it, 1 a drummer drawn from all.")
]
GrooveModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|FILE|RUN",
        help="A bundled model, a .safetensors file or a run folder.",
        show_default="groove-2bar-humanize, groove-2bar-drumify",
    ),
]


@groove.command()
def humanize(
    clip: Clip,
    n: Count = 1,
    amount: Amount = 0.5,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    output: common.Output = None,
    temperature: common.Temperature = 0.0,
    seed: common.Seed = None,
    model: GrooveModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Plays a drum pattern as a drummer would: the same hits, with velocity and timing.

    What velocity and timing the file has is left aside; its tempo, its kit and every single drum are kept.

    \b
    Example:
      seqvae groove humanize pattern.mid
      seqvae groove humanize pattern.mid -n 8 --amount 1 -o played
    """
    from seqvae import perform

    given = inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    loaded = common.load_model(model or perform.PRESET_OF["hits"], device)
    target = common.plan(loaded.tokenizer, output, f"out-humanize-{given.stem}", numbered("humanize", n), force)
    item = given.read(loaded.tokenizer)
    seed = common.settle_seed(seed, used=bool(amount or temperature))
    made = perform.humanize(loaded, item, n, amount=amount, temperature=temperature, seed=seed, track=track)
    _deliver("humanize", loaded, target, made, amount, temperature, seed, as_json)


@groove.command()
def drumify(
    clip: Clip,
    n: Count = 1,
    amount: Amount = 0.5,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    output: common.Output = None,
    temperature: common.Temperature = 0.0,
    seed: common.Seed = None,
    model: GrooveModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Puts a whole drum kit to a rhythm: one tapped on anything, or the onsets of any track.

    Of a file with drums their rhythm is taken, of one with a single track that one's; otherwise say which with --track
    (`--track all` takes every onset).

    \b
    Example:
      seqvae groove drumify tapped.mid
      seqvae groove drumify song.mid --track bass -n 4 -o kits
    """
    from seqvae import perform

    given = inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    loaded = common.load_model(model or perform.PRESET_OF["tap"], device)
    target = common.plan(loaded.tokenizer, output, f"out-drumify-{given.stem}", numbered("drumify", n), force)
    item = given.read(loaded.tokenizer)
    seed = common.settle_seed(seed, used=bool(amount or temperature))
    made = perform.drumify(loaded, item, n, amount=amount, temperature=temperature, seed=seed, track=track)
    _deliver("drumify", loaded, target, made, amount, temperature, seed, as_json)


def _deliver(
    verb: str,
    model: Model,
    target: common.Target,
    made: list[Passage],
    amount: float,
    temperature: float,
    seed: int,
    as_json: bool,
) -> None:
    """Writes the performances and says how many hits they have."""
    from seqvae.passage import PLAIN

    items = [passage.item for passage in made]
    files = target.write(items, list(zip(target.names, items, strict=True))[:17], on_path=False)
    hits = [item.note_count for item in items]
    common.talk(f"{verb}: hits {', '.join(str(count) for count in hits)}")
    values = {**common.described(verb, model, seed, temperature, PLAIN), "amount": amount, "hits": hits}
    common.deliver(model, items, files, values, as_json)
