"""The verbs that go somewhere: interpolate from item to item, walk at random."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, control, inputs
from seqvae.cli.common import UsageError, numbered, talk

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.passage import Decoding, Passage
    from seqvae.paths import Timing
    from seqvae.tokenizers import Tokens


class FitChoice(StrEnum):
    """What to do with the shorter of two inputs, or the longer."""

    loop = "loop"
    pad = "pad"
    cut = "cut"


Straight = Annotated[bool, typer.Option("--lerp", help="Go straight and not along the sphere (slerp).")]
Fit = Annotated[
    FitChoice,
    typer.Option("--fit", help="Inputs of unequal length: loop or pad the shorter ones, or cut the longer ones."),
]
Tracks = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="N|NAME|PART=N",
        help="Which track, from 0; of parts melody=2,bass=0; once, or once for each.",
    ),
]
EachBars = Annotated[
    list[str] | None,
    typer.Option("--bars", metavar="5:7", help="Only these bars, from 1; once for all inputs, or once for each."),
]


def interpolate(
    a: Annotated[str, typer.Argument(metavar="A", help="Where the path begins.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="Where it ends, or goes on to C.", show_default=False)],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[C]...", help="Where it goes from there.", show_default=False)
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=2, help="Items on the path, all inputs among them.")] = 8,
    even: Annotated[
        bool, typer.Option("--even", help="Time the steps so that each changes about as much as the others.")
    ] = False,
    straight: Straight = False,
    exact_ends: Annotated[
        bool, typer.Option("--exact-ends", help="The inputs themselves where the path passes them, not decoded.")
    ] = False,
    fit: Fit = FitChoice.loop,
    tracks: Tracks = None,
    bars: EachBars = None,
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
    """Makes a path of items from A to B, and on to C, ...: files, or texts between quotes.

    Of music, writes step-01, step-02, ..., all of them joined, and a picture; texts are printed, one a line. Says how
    far each step lies from the two inputs it is between: edits of its tokens over its length, 0 the same, 1 nothing in
    common. Inputs longer than the model's window are used whole, window by window.

    \b
    Example:
      seqvae interpolate a.mid b.mid --steps 8
      seqvae interpolate a.mid b.mid c.mid d.mid --steps 24 --even
      seqvae interpolate a.mid b.mid --bars 5:8 --track melody -o path
      seqvae interpolate "a man rides a horse" "two dogs on a beach" --steps 8
    """
    from seqvae.paths import path_through

    given = inputs.several((a, b, *(more or ())), tracks or [], bars or [], meter)
    if steps < len(given):
        raise UsageError(f"--steps {steps} are fewer than the {len(given)} inputs, which are all steps; give more")
    loaded = common.load_model(inputs.settle_model(model, given), device)
    target = common.plan(
        loaded.tokenizer, output, folder_of("interpolate", given), numbered("step", steps), force, joined=True
    )
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    points = fitted(loaded, given, fit, re_encode)
    asked = control.on_the_way(loaded, points[0], points[-1], whose, chords, key, labels)
    seed = common.settle_seed(seed, used=temperature > 0)
    timing = settle_timing(loaded, points, steps, even, straight, asked, decoding)
    drawn: dict[str, Any] = {"temperature": temperature, "seed": seed, "decoding": decoding}
    found = path_through(loaded, points, timing, straight=straight, control=asked, **drawn)
    if exact_ends:
        found = [points[timing.nearest[i]] if timing.points[i] else one for i, one in enumerate(found)]

    rows = [
        (loaded.distance(one.tokens, points[leg].tokens), loaded.distance(one.tokens, points[leg + 1].tokens))
        for one, leg in zip(found, timing.legs, strict=True)
    ]
    items = [one.item for one in found]
    whole = [loaded.join(found, temperature=temperature, seed=seed, verb="interpolate")]
    named = titled(target.names, items, timing, given)
    files = target.write(items + whole * (len(target.names) > steps), named)
    lines = [loaded.tokenizer.show(item) if files or as_json else "" for item in items]
    tell_path(timing, rows, lines, plain=len(given) == 2 and not even)
    values = {**common.described("interpolate", loaded, seed, temperature, decoding), "even": even}
    common.deliver(loaded, items, files, {**values, "steps": told(files, rows, timing)}, as_json)


def walk(
    clip: Annotated[
        str | None,
        typer.Argument(
            metavar="INPUT", help="Where it starts: a file, or a text between quotes.", show_default="a draw"
        ),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Items on the walk, the start among them.")] = 16,
    stride: Annotated[
        float, typer.Option("--stride", min=0.0, max=1.0, help="0 stays, 1 goes to an unrelated place at each step.")
    ] = 0.3,
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
    """Walks at random from an item, or from a draw, and stays where the training data are.

    Of music, writes step-01, step-02, ..., all of them joined, and a picture; texts are printed, one a line. Says how
    far each step lies from the one before and from the first. A longer walk of the same seed begins as a shorter one.

    \b
    Example:
      seqvae walk a.mid --steps 16 --stride 0.3 --seed 1
      seqvae walk --model drums-2bar --stride 0.5
    """
    from seqvae.paths import walk_from

    if clip is None and (track, bars, meter, re_encode) != (None, None, None, False):
        raise UsageError("--track, --bars, --meter and --re-encode say what of an INPUT is meant; give one")
    given = [] if clip is None else [inputs.Given(word=clip, track=track, bars=bars, meter=meter)]
    loaded = common.load_model(inputs.settle_model(model, given), device)
    target = common.plan(
        loaded.tokenizer, output, folder_of("walk", given), numbered("step", steps), force, joined=True
    )
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    start = given[0].passage(loaded, re_encode=re_encode) if given else None
    own = loaded.control_of(start.tokens) if start else None
    asked = control.asked_for(loaded, chords, key, labels, own)
    seed = common.settle_seed(seed)
    drawn: dict[str, Any] = {"temperature": temperature, "seed": seed, "decoding": decoding}
    found = walk_from(loaded, start, steps, stride, control=asked, **drawn)

    rows = [
        (loaded.distance(one.tokens, before.tokens), loaded.distance(one.tokens, found[0].tokens))
        for before, one in zip([found[0], *found], found, strict=False)
    ]
    items = [one.item for one in found]
    whole = [loaded.join(found, temperature=temperature, seed=seed, verb="walk")]
    files = target.write(items + whole * (len(target.names) > steps), list(zip(target.names, items, strict=False)))
    lines = [loaded.tokenizer.show(item) if files or as_json else "" for item in items]
    talk("step  to the last  to the first")
    for number, ((to_last, to_first), line) in enumerate(zip(rows, lines, strict=True), start=1):
        talk(f"{number:4d}{to_last:13.2f}{to_first:14.2f}" + (f"  {line}" if line else ""))
    values = {**common.described("walk", loaded, seed, temperature, decoding), "stride": stride}
    own_files = with_files(files, [{"to_last": to_last, "to_first": to_first} for to_last, to_first in rows])
    common.deliver(loaded, items, files, {**values, "steps": own_files}, as_json)


# -- helpers -----------------------------------------------------------------------------------------------------------


def folder_of(verb: str, given: Sequence[inputs.Given]) -> str:
    """The folder for results where none is given: named after the inputs, or after the first and last of many."""
    stems = [one.stem for one in given]
    named = stems if len(stems) <= 4 else [stems[0], f"{len(stems) - 2}-more", stems[-1]]
    return "-".join(["out", verb, *named])


def fitted(model: Model, given: Sequence[inputs.Given], fit: FitChoice, re_encode: bool) -> list[Passage]:
    """The inputs as passages of equally many windows; says so where they had not."""
    from seqvae.paths import fit_all

    passages = [one.passage(model, re_encode=re_encode) for one in given]
    lengths = [len(one.z) for one in passages]
    if len(set(lengths)) > 1:
        has = [f"{one} has {length}" for one, length in zip(given, lengths, strict=True)]
        talk(f"{', '.join([f'{has[0]} windows', *has[1:-1]])} and {has[-1]}: --fit {fit.value}")
    return fit_all(model, passages, fit.value)


def settle_timing(
    model: Model,
    points: Sequence[Passage],
    steps: int,
    even: bool,
    straight: bool,
    control: Tokens | None,
    decoding: Decoding,
) -> Timing:
    """Where the steps lie; says so if the path has not as many different items."""
    from seqvae.paths import even_timing, plain_timing

    if not even:
        return plain_timing(len(points), steps)
    found = even_timing(model, points, steps, straight=straight, control=control, decoding=decoding)
    if found.distinct < steps:
        items = "item" if found.distinct == 1 else "different items"
        talk(f"--even: the path has {found.distinct} {items} for {steps} steps, so some repeat; fewer --steps has none")
    return found.timing


def letter(index: int) -> str:
    """The name of an input: A to Z, then its number.

    >>> letter(0), letter(26)
    ('A', '27')
    """
    return ascii_uppercase[index] if index < len(ascii_uppercase) else str(index + 1)


def place_of(timing: Timing, step: int) -> str:
    """Where a step lies: at an input, or how far between two."""
    if timing.points[step]:
        return letter(int(timing.nearest[step]))
    leg = int(timing.legs[step])
    return f"{letter(leg)}-{letter(leg + 1)} {timing.amounts[step]:.2f}"


def tell_path(timing: Timing, rows: Sequence[tuple[float, float]], lines: Sequence[str], plain: bool) -> None:
    """How far each step lies from the inputs it is between, and of a path that is not plain where it is."""
    talk("step   to A   to B" if plain else "step  where        to the two")
    for number, ((to_a, to_b), line) in enumerate(zip(rows, lines, strict=True), start=1):
        where = "" if plain else f"  {place_of(timing, number - 1):9s}"
        talk(f"{number:4d}{where}{to_a:7.2f}{to_b:7.2f}" + (f"  {line}" if line else ""))


def titled(
    names: Sequence[str], items: Sequence[Any], timing: Timing, given: Sequence[inputs.Given]
) -> list[tuple[str, Any]]:
    """Steps with titles for a picture; of a path through many, with the inputs' names where it passes them."""
    titles = list(names[: len(items)])
    if len(given) > 2:
        for step, inside in enumerate(timing.points):
            suffix = Path(titles[step]).suffix
            stem = titles[step].removesuffix(suffix)
            titles[step] = f"{stem}\n{given[timing.nearest[step]].stem if inside else ''}{suffix}"
    return list(zip(titles, items, strict=True))


def with_files(files: Sequence[Path], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows for JSON, each with its file if it has one of its own."""
    own = [{"file": str(file)} for file in files] if len(files) >= len(rows) else [{} for _ in rows]
    return [{**file, **row} for file, row in zip(own, rows, strict=False)]


def told(files: Sequence[Path], rows: Sequence[tuple[float, float]], timing: Timing) -> list[dict[str, Any]]:
    """The steps of a path for JSON: leg 1 goes from A to B, and the distances are to the ends of the leg."""
    places = zip(timing.legs.tolist(), timing.amounts.tolist(), rows, strict=True)
    said = [{"leg": leg + 1, "amount": amount, "to_a": to_a, "to_b": to_b} for leg, amount, (to_a, to_b) in places]
    return with_files(files, said)
