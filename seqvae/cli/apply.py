"""The verbs that change attributes of an item: `attribute apply`, `attribute sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, inputs
from seqvae.cli.common import UsageError, numbered, talk

if TYPE_CHECKING:
    from seqvae.attributes import AttributeVector
    from seqvae.model import Model
    from seqvae.passage import Passage

Input = Annotated[str, typer.Argument(metavar="CLIP", help="A file, or a text between quotes.", show_default=False)]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0.0,
        help="0 takes the likeliest token at each step, 1 draws freely.",
        show_default="as seqvae made the file, or 0",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="Same seed, same bytes.", show_default="as of the file, or 0"),
]


def apply(
    clip: Input,
    sets: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=AMOUNT", help="density=+1.5, in deviations of the data; may be repeated."),
    ],
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: common.Output = None,
    temperature: Temperature = None,
    seed: Seed = None,
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Changes attributes of an item: more notes, lower, without syncopation.

    Writes the edited item, and of music a picture of the input, its reconstruction and the edit; texts are printed. A
    file that seqvae wrote starts from its exact z. `seqvae attribute list` says which attributes there are.

    \b
    Example:
      seqvae attribute apply a.mid --set density=+1.5 --set pitch=-1 -o out
      seqvae attribute apply --model names "emma" --set length=2
    """
    from seqvae import edit

    amounts = parse_amounts(sets)
    given = inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    loaded = common.load_model(inputs.settle_model(model, [given]), device)
    vectors = edit.own_vectors(loaded)
    vectors.offset(amounts)
    target = common.plan(loaded.tokenizer, output, f"out-attribute-{given.stem}", ["edited"], force)
    passage = given.passage(loaded, re_encode=re_encode)
    again, edited = (edit.apply(loaded, passage, by, temperature=temperature, seed=seed) for by in ({}, amounts))
    picture = [("input", passage.item), ("reconstruction", again.item), ("edited", edited.item)]
    files = target.write([edited.item], picture)
    names = [*amounts, *(name for name in vectors if name not in amounts)]
    columns = [edit.attribute_values(loaded, one, names, vectors) for one in (passage, again, edited)]
    rows = [_change(vectors[name], name, amounts, *values) for name, *values in zip(names, *columns, strict=True)]
    _tell_changes(rows)
    values = {
        **_described(loaded, edited, "attribute apply", temperature, seed),
        "amounts": amounts,
        "attributes": rows,
    }
    common.deliver(loaded, [edited.item], files, values, as_json)


def sweep(
    clip: Input,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The attribute.", show_default=False)],
    first: Annotated[float, typer.Option("--from", help="The first amount, in deviations of the data.")] = -2.0,
    last: Annotated[float, typer.Option("--to", help="The last.")] = 2.0,
    steps: Annotated[int, typer.Option("--steps", min=2, max=1000, help="How many amounts, both among them.")] = 9,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: common.Output = None,
    temperature: Temperature = None,
    seed: Seed = None,
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Changes one attribute of an item by amounts from low to high: files and a picture, or lines on stdout.

    \b
    Example:
      seqvae attribute sweep a.mid density --from -2 --to 2 --steps 9
    """
    import numpy as np

    from seqvae import edit

    if not (np.isfinite(first) and np.isfinite(last) and first < last):
        raise UsageError(f"--from {first:g} --to {last:g} is no range; give the lower amount first, such as -2 and 2")
    given = inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    loaded = common.load_model(inputs.settle_model(model, [given]), device)
    vectors = edit.own_vectors(loaded)
    amounts = [float(amount) for amount in np.linspace(first, last, steps)]
    vectors.offset({name: first})
    stems = numbered("sweep", steps)
    target = common.plan(loaded.tokenizer, output, f"out-sweep-{given.stem}-{_in_a_path(name)}", stems, force)
    passage = given.passage(loaded, re_encode=re_encode)
    found = edit.sweep(loaded, passage, name, amounts, temperature=temperature, seed=seed)
    items = [one.item for one in found]
    measured = [edit.attribute_values(loaded, one, [name], vectors)[0] for one in found]
    titles = [f"{amount:+.2f}\n{name} {value:.2f}" for amount, value in zip(amounts, measured, strict=True)]
    files = target.write(items, list(zip(titles, items, strict=True)))
    distances = [loaded.distance(one.tokens, passage.tokens) for one in found]
    _tell_sweep(loaded, items, vectors[name], amounts, measured, distances, printed=not files and not as_json)
    rows = [
        {"amount": amount, name: value, "to_input": distance}
        for amount, value, distance in zip(amounts, measured, distances, strict=True)
    ]
    values = {**_described(loaded, found[0], "attribute sweep", temperature, seed), "attribute": name, "steps": rows}
    common.deliver(loaded, items, files, values, as_json)


def parse_amounts(words: Sequence[str]) -> dict[str, float]:
    """`["density=+1.5", "genre=jazz=1"]` → `{"density": 1.5, "genre=jazz": 1.0}`. Raises `UsageError`."""
    found: dict[str, float] = {}
    for word in words:
        name, equals, text = word.rpartition("=")
        try:
            amount = float(text)
        except ValueError:
            amount = float("nan")
        if not (equals and name) or amount - amount != 0.0:
            raise UsageError(f"--set {word!r} is not of the form NAME=NUMBER, such as density=+1.5")
        found[name] = found.get(name, 0.0) + amount
    return found


def _change(
    vector: AttributeVector, name: str, amounts: dict[str, float], before: float, again: float, after: float
) -> dict[str, Any]:
    """One row of what an edit did; `moved` is in deviations, from the reconstruction to the edit."""
    moved = (after - again) / vector.deviation
    asked = amounts.get(name, 0.0)
    return {"name": name, "asked": asked, "input": before, "reconstruction": again, "edited": after, "moved": moved}


def _tell_changes(rows: Sequence[dict[str, Any]]) -> None:
    width = max(len("attribute"), *(len(row["name"]) for row in rows))
    talk(f"{'attribute':{width}}   asked     moved     input  reconstruction    edited")
    for row in rows:
        asked = f"{row['asked']:+7.2f}" if row["asked"] else " " * 7
        values = f"{row['input']:9.2f}{row['reconstruction']:16.2f}{row['edited']:10.2f}"
        talk(f"{row['name']:{width}} {asked}   {row['moved']:+7.2f} {values}")


def _tell_sweep(
    model: Model,
    items: Sequence[Any],
    vector: AttributeVector,
    amounts: Sequence[float],
    measured: Sequence[float],
    distances: Sequence[float],
    printed: bool,
) -> None:
    talk(f"amount  {vector.what:>28}  to the input")
    for item, amount, value, distance in zip(items, amounts, measured, distances, strict=True):
        line = "" if printed else model.tokenizer.show(item)
        talk(f"{amount:+6.2f}  {value:28.2f}{distance:14.2f}" + (f"  {line}" if line else ""))


def _described(model: Model, made: Passage, verb: str, temperature: float | None, seed: int | None) -> dict[str, Any]:
    """What every answer says; seed and temperature as they were used."""
    from seqvae.passage import PLAIN

    used = getattr(made.item, "provenance", None)
    settled = (used.seed, used.temperature) if used is not None else (seed or 0, temperature or 0.0)
    return common.described(verb, model, settled[0], settled[1], PLAIN)


def _in_a_path(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
