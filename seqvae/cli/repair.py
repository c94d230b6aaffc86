"""The verb `repair`: an item without what the model finds wrong in it, and a list of what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, inputs
from seqvae.cli.common import UsageError, numbered, talk

if TYPE_CHECKING:
    from seqvae.cli.common import Target
    from seqvae.repairs import Change, Repair

USUAL_STRENGTH = 1.0  # seqvae.repairs.STRENGTH, here so that --help imports nothing; a test holds them equal
PICTURE = "changes.png"
CHANGES_SHOWN = 24


def repair(
    clip: Annotated[str, typer.Argument(metavar="INPUT", help="A file, or a text in quotes.", show_default=False)],
    strength: Annotated[
        float,
        typer.Option("--strength", help="How sure the model must be: 1 is ln V nats for V tokens; less changes more."),
    ] = USUAL_STRENGTH,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    output: common.Output = None,
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Changes the notes or words that the model finds wrong, and leaves the others.

    Says what was changed, where, and how many nats each change saves (what the model was trained to make small). Of
    music, writes the repaired clip and a picture with the wrong notes struck out; texts are printed, of a file each
    line. Bars are counted from the first one used.

    \b
    Example:
      seqvae repair a.mid
      seqvae repair take.mid --bars 1:8 --strength 0.8 -o out/
      seqvae repair "a man rides an horse"
    """
    if not 0.0 < strength < float("inf"):
        raise UsageError(f"--strength {strength:g} is not above 0; give a number such as 1; less changes more")
    given = inputs.Given(word=clip, track=track, bars=bars, meter=meter)
    loaded = common.load_model(inputs.settle_model(model, [given]), device)
    passages = given.passages(loaded, re_encode=True)
    stems = ["repaired"] if len(passages) == 1 else numbered("repaired", len(passages))
    target = common.plan(loaded.tokenizer, output, f"out-repair-{given.stem}", stems, force)
    if target.place is not None and not target.is_file and not common.is_lines(loaded.tokenizer):
        common.check_folder(target.place, [*target.names, PICTURE], force)

    from seqvae.passage import PLAIN
    from seqvae.repairs import repair_passage

    found = [repair_passage(loaded, one, strength=strength) for one in common.progress(passages, "repairing")]
    files = _write(target, found)
    _tell(found)
    values = {
        **common.described("repair", loaded, 0, 0.0, PLAIN),
        "strength": strength,
        "changed": sum(len(one.changes) for one in found),
        "changes": [{"item": number, **asdict(each)} for number, one in enumerate(found) for each in one.changes],
    }
    common.deliver(loaded, [one.item for one in found], files, values, as_json)


def _write(target: Target, found: Sequence[Repair]) -> list[Path]:
    """The items, and of one clip the picture of its changes; all or none."""
    from seqvae.clip import Clip

    given, made = found[0].given.item, found[0].item
    if target.place is None or target.is_file or not isinstance(given, Clip):
        return target.write([one.item for one in found])
    from seqvae.plot import changes_strip

    names = [*target.names, PICTURE]
    with common.whole_folder(target.place, names, target.force) as aside:
        made.save(aside / names[0])
        changes_strip(given, made, aside / PICTURE)
    return [target.place / name for name in names]


def _tell(found: Sequence[Repair]) -> None:
    """What was changed, a line each; of several items how much in all."""
    changed = [one for one in found if one.changes]
    total = sum(len(one.changes) for one in found)
    if len(found) > 1:
        talk(f"{total:,} change{'s' * (total != 1)} in {len(changed):,} of {len(found):,} lines")
        return
    if not total:
        talk("nothing is changed: no change saves as much as --strength asks (less changes more)")
        return
    talk(f"{total} {'change' if total == 1 else 'changes'}, nats saved:")
    for line in table(found[0].changes[:CHANGES_SHOWN]):
        talk(line)
    if total > CHANGES_SHOWN:
        talk(f"  and {total - CHANGES_SHOWN} more (--json lists all)")


def table(changes: Sequence[Change]) -> list[str]:
    """A line for each change, in columns: where, from what, to what, and the nats.

    >>> from seqvae.repairs import Change
    >>> change = Change(window=0, step=3, part=0, was=5, now=7, where="bar 1 beat 2", was_named="C4", now_named="D4",
    ...                 nats=6.25)
    >>> table([change])
    ['  bar 1 beat 2  C4 -> D4   6.2']
    """
    rows: list[tuple[Any, ...]] = [(one.where, one.was_named, one.now_named, one.nats) for one in changes]
    where, was, now = (max(len(row[column]) for row in rows) for column in range(3))
    return [f"  {row[0]:{where}}  {row[1]:{was}} -> {row[2]:{now}} {row[3]:5.1f}" for row in rows]
