"""The verbs that make items of items: interpolate, reconstruct, vary."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, control, inputs
from seqvae.cli.common import numbered, talk
from seqvae.cli.compare import compare, show_comparison

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.passage import Decoding, Passage
    from seqvae.tokenizers import Tokens


class FitChoice(StrEnum):
    """What to do with the shorter of two inputs, or the longer."""

    loop = "loop"
    pad = "pad"
    cut = "cut"


Input = Annotated[str, typer.Argument(metavar="INPUT", help="A file, or a text between quotes.", show_default=False)]


def interpolate(
    a: Annotated[str, typer.Argument(metavar="A", help="Where the path begins.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="Where it ends.", show_default=False)],
    steps: Annotated[int, typer.Option("--steps", min=2, help="Items on the path, both ends among them.")] = 8,
    straight: Annotated[bool, typer.Option("--lerp", help="Go straight and not along the sphere (slerp).")] = False,
    exact_ends: Annotated[
        bool, typer.Option("--exact-ends", help="The inputs themselves at the ends, not decoded.")
    ] = False,
    fit: Annotated[
        FitChoice,
        typer.Option("--fit", help="Inputs of unequal length: loop or pad the shorter one, or cut the longer one."),
    ] = FitChoice.loop,
    tracks: Annotated[
        list[str] | None,
        typer.Option(
            "--track", metavar="N|NAME|PART=N", help="Which track, from 0; of parts melody=2,bass=0; twice for A and B."
        ),
    ] = None,
    bars: Annotated[
        list[str] | None, typer.Option("--bars", metavar="5:7", help="Only these bars, from 1; twice for A and B.")
    ] = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: common.Output = None,
    temperature: common.Temperature = 0.0,
    top_k: common.TopK = None,
    top_p: common.TopP = None,
    beam: common.Beam = None,
    ban_unk: common.BanUnknown = False,
    chords: control.Chords = None,
    key: control.Key = None,
    labels: control.Labels = None,
    whose: control.Whose = control.ControlChoice.moving,
    seed: common.Seed = None,
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes a path of items from A to B: files, or texts between quotes.

    Of music, writes step-01, step-02, ..., all of them joined, and a picture; texts are printed, one a line. Says how
    far each step lies from A and from B: edits of its tokens over its length, 0 the same, 1 nothing in common. Inputs
    longer than the model's window are used whole, window by window.

    \b
    Example:
      seqvae interpolate a.mid b.mid --steps 8
      seqvae interpolate a.mid b.mid --bars 5:8 --track melody -o path
      seqvae interpolate "a man rides a horse" "two dogs on a beach" --steps 8
    """
    given = inputs.both(a, b, tracks or [], bars or [], meter)
    loaded = common.load_model(inputs.settle_model(model, given), device)
    folder = f"out-interpolate-{given[0].stem}-{given[1].stem}"
    target = common.plan(loaded.tokenizer, output, folder, numbered("step", steps), force, joined=True)
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    start, end = (one.passage(loaded, re_encode=re_encode) for one in given)
    if len(start.z) != len(end.z):
        talk(f"{a} has {len(start.z)} windows and {b} has {len(end.z)}: --fit {fit.value}")
    start, end = loaded.fit(start, end, fit.value)
    asked = control.on_the_way(loaded, start, end, whose, chords, key, labels)
    seed = common.settle_seed(seed, used=temperature > 0)
    found = path_between(loaded, start, end, steps, straight, asked, temperature, seed, decoding)
    if exact_ends:
        found[0], found[-1] = start, end

    rows = [(loaded.distance(one.tokens, start.tokens), loaded.distance(one.tokens, end.tokens)) for one in found]
    items = [one.item for one in found]
    whole = [loaded.join(found, temperature=temperature, seed=seed, verb="interpolate")]
    named = list(zip(target.names, items, strict=False))
    files = target.write(items + whole * (len(target.names) > steps), named)
    tell_path(loaded, items, rows, printed=not files and not as_json)
    values = {**common.described("interpolate", loaded, seed, temperature, decoding), "steps": told(files, rows)}
    common.deliver(loaded, items, files, values, as_json)


def reconstruct(
    clip: Input,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    output: common.Output = None,
    temperature: common.Temperature = 0.0,
    top_k: common.TopK = None,
    top_p: common.TopP = None,
    beam: common.Beam = None,
    ban_unk: common.BanUnknown = False,
    seed: common.Seed = None,
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Encodes an item, decodes it, shows the differences; of a file of lines, each line.

    Bars are counted from the first one used.

    \b
    Example:
      seqvae reconstruct a.mid --bars 1:4
      seqvae reconstruct "a man rides a horse"
    """
    given = inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    loaded = common.load_model(inputs.settle_model(model, [given]), device)
    passages = given.passages(loaded, re_encode=True)
    stems = ["reconstruction"] if len(passages) == 1 else numbered("reconstruction", len(passages))
    target = common.plan(loaded.tokenizer, output, f"out-reconstruct-{given.stem}", stems, force)
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    seed = common.settle_seed(seed, used=temperature > 0)
    made = loaded.render(
        [passage.z for passage in passages],
        [passage.styles for passage in passages],
        [loaded.control_of(passage.tokens) for passage in passages],
        temperature=temperature,
        seed=seed,
        decoding=decoding,
        verb="reconstruct",
    )
    items = [one.item for one in made]
    files = target.write(items, [("input", passages[0].item), ("reconstruction", items[0])])
    compared = [compare(loaded, before, after) for before, after in zip(passages, made, strict=True)]
    values = compared[0] if len(compared) == 1 else together(compared)
    tell_comparison(values)
    values = {**common.described("reconstruct", loaded, seed, temperature, decoding), **values}
    common.deliver(loaded, items, files, values, as_json)


def vary(
    clip: Input,
    amount: Annotated[
        float, typer.Option("--amount", min=0.0, max=1.0, help="0 is the item decoded, 1 unrelated to it.")
    ] = 0.5,
    n: common.Count = 6,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: common.Output = None,
    temperature: common.Temperature = 0.0,
    top_k: common.TopK = None,
    top_p: common.TopP = None,
    beam: common.Beam = None,
    ban_unk: common.BanUnknown = False,
    chords: control.Chords = None,
    key: control.Key = None,
    labels: control.Labels = None,
    seed: common.Seed = None,
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes neighbours of an item: files, or lines on stdout.

    Says how far each lies from it (edits of its tokens over its length).

    \b
    Example:
      seqvae vary a.mid --amount 0.6 -n 6
      seqvae vary "a man rides a horse" --amount 0.5
    """
    given = inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    loaded = common.load_model(inputs.settle_model(model, [given]), device)
    target = common.plan(loaded.tokenizer, output, f"out-vary-{given.stem}", numbered("vary", n), force)
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    passage = given.passage(loaded, re_encode=re_encode)
    asked = control.asked_for(loaded, chords, key, labels, loaded.control_of(passage.tokens))
    seed = common.settle_seed(seed)
    found = loaded.around(passage, amount, n, control=asked, temperature=temperature, seed=seed, decoding=decoding)

    items = [one.item for one in found]
    picture = [("input", passage.item), *zip(target.names, items, strict=True)][:17]
    files = target.write(items, picture, on_path=False)
    distances = [loaded.distance(one.tokens, passage.tokens) for one in found]
    talk("item  to the input")
    for number, distance in enumerate(distances, start=1):
        talk(f"{number:4d}{distance:14.2f}")
    if amount and 2 * distances.count(0.0) >= n:
        talk(f"{distances.count(0.0)} of {n} are the input again; a larger --amount changes more")
    values = {**common.described("vary", loaded, seed, temperature, decoding), "amount": amount, "distances": distances}
    common.deliver(loaded, items, files, values, as_json)


# -- helpers -----------------------------------------------------------------------------------------------------------


def path_between(
    model: Model,
    start: Passage,
    end: Passage,
    steps: int,
    straight: bool,
    control: Tokens | None,
    temperature: float,
    seed: int,
    decoding: Decoding,
) -> list[Passage]:
    """The passages of `interpolate`."""
    from seqvae.latent import lerp, slerp

    path = lerp if straight else slerp
    return model.between(
        start, end, steps, path=path, control=control, temperature=temperature, seed=seed, decoding=decoding
    )


def told(files: Sequence[Path], rows: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """The steps of a path for JSON, each with its file if it has one of its own."""
    own = [{"file": str(file)} for file in files] if len(files) >= len(rows) else [{} for _ in rows]
    return [{**file, "to_a": to_a, "to_b": to_b} for file, (to_a, to_b) in zip(own, rows, strict=False)]


def tell_path(model: Model, items: Sequence[Any], rows: Sequence[tuple[float, float]], printed: bool) -> None:
    """How far each step lies from both ends; with what it is, if it can be said in a line and is not printed anyway."""
    talk("step   to A   to B")
    for number, (item, (to_a, to_b)) in enumerate(zip(items, rows, strict=True), start=1):
        line = "" if printed else model.tokenizer.show(item)
        talk(f"{number:4d}{to_a:7.2f}{to_b:7.2f}" + (f"  {line}" if line else ""))


def tell_comparison(values: dict[str, Any]) -> None:
    """Says what `compare` or `together` found."""
    if "inputs" in values:
        exact, right = values["exact"], values["token_accuracy"]
        talk(f"{values['inputs']:,} lines, {exact:.1%} of them exact, {right:.1%} of their tokens right")
    else:
        show_comparison(values)


def together(compared: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What `compare` says of many inputs: how many come back exactly, and the mean of their accuracies."""
    accuracies = [one["token_accuracy"] for one in compared]
    return {
        "inputs": len(compared),
        "exact": sum(not one["differences"] for one in compared) / len(compared),
        "token_accuracy": sum(accuracies) / len(accuracies),
        "accuracies": accuracies,
    }
