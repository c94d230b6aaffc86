"""The verbs that make items of one item: reconstruct, vary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from seqvae.cli import common, control, inputs
from seqvae.cli.common import numbered, talk
from seqvae.cli.compare import compare, show_comparison

Input = Annotated[str, typer.Argument(metavar="INPUT", help="A file, or a text between quotes.", show_default=False)]


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
