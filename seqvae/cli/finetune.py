"""The verb `finetune`: a model and a dozen of one's own clips → a personal model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqvae.cli import common
from seqvae.cli.common import UsageError, report, settle_seed, talk

if TYPE_CHECKING:
    from seqvae.corpus import Report
    from seqvae.personal import Personal
    from seqvae.personal.figures import Fidelity
    from seqvae.personal.tune import Begun, Plan

DEFAULT_TIME = "5m"

Steps = Annotated[int, typer.Option("--steps", min=0, help="Train for so many at most; 0 is --frozen.")]
Replay = Annotated[
    Path | None,
    typer.Option(
        "--replay",
        metavar="DATASET",
        help="The base's own data, a dataset, to replay.",
        show_default="what the base dreams",
    ),
]
BaseData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DATASET",
        help="The base's own data, whose test split shows what is forgotten.",
        show_default="the --replay, or the windows that the base's file carries",
    ),
]
Share = Annotated[
    float, typer.Option("--replay-share", min=0.0, max=0.99, help="Of every batch; 0 to train on the clips alone.")
]


def finetune(
    clips: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES|FOLDERS", help="Your clips, of the model's kind: 12 or more.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="RUN", help="Run folder.", show_default="runs/personal")
    ] = None,
    model: common.ModelName = common.DEFAULT_MODEL,
    time: Annotated[
        str, typer.Option("--time", metavar="5m", help="Stop training in good order after so long.")
    ] = DEFAULT_TIME,
    steps: Steps = 2000,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Train nothing: samples where your clips lie, and sliders; seconds.")
    ] = False,
    sliders: Annotated[int, typer.Option("--sliders", min=0, max=16, help="How many sliders to fit; 0 for none.")] = 4,
    replay: Replay = None,
    replay_share: Share = 0.5,
    base_data: BaseData = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, exactly.")] = False,
    track: Annotated[
        str | None, typer.Option("--track", metavar="N|NAME|PART=N|all", help="This track of each file; as in prepare.")
    ] = None,
    meter: common.Meter = None,
    seed: common.Seed = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: Annotated[bool, typer.Option("--force", help="Start over in a run folder that stands.")] = False,
) -> None:
    """Makes a model your own: encoder and decoder are trained on with your clips, and sliders are fitted to them.

    Says first what was found in the clips; 15 in 100 of them, 2 at least, are held out to stop the training and as
    many to judge it. Half of each batch is what the base draws itself, so that it forgets less. The result is a model
    like any other, that samples where your clips lie. Attribute vectors of the base are left out of a model that was
    trained (its latent space is another: fit them again); with --frozen they stay.

    \b
    Example:
      seqvae finetune my-clips --model melody-2bar --time 5m -o runs/mine
      seqvae finetune my-clips --frozen -o runs/mine-frozen
      seqvae finetune --resume -o runs/mine
      seqvae slide runs/mine 1=+1.5 3=-1 -n 8
    """
    from seqvae.cli.train import Printer, parse_duration
    from seqvae.personal.tune import Plan, finish

    run = output or Path("runs") / "personal"
    limit = parse_duration(time)
    if resume:
        begun = _go_on(clips, run, device)
    else:
        if not clips:
            raise UsageError("give your clips, files or folders of them; or --resume to go on with a run")
        plan = Plan(
            base=model,
            base_hash="",
            frozen=frozen,
            steps=steps,
            replay=None if replay is None else str(replay),
            replay_share=replay_share,
            base_data=None if base_data is None else str(base_data),
            sliders=sliders,
            seed=settle_seed(seed),
        )
        begun = _begin(plan, clips, run, track, meter, device, force)
    made = finish(begun, seconds=limit, device=device, resume=resume, report=Printer(begun.plan.steps, limit))
    _tell(made, begun)
    report([made.run], made.to_dict(), as_json)


def _go_on(clips: list[Path] | None, run: Path, device: str) -> Begun:
    from seqvae.personal.tune import reopen

    if clips:
        raise UsageError("--resume goes on with the clips of the run; leave yours out")
    return reopen(run, device)


def _begin(
    plan: Plan, clips: list[Path], run: Path, track: str | None, meter: str | None, device: str, force: bool
) -> Begun:
    from seqvae.personal.tune import begin

    begun = begin(plan, clips, run, track=track, meter=meter, device=device, force=force, tell=_tell_import)
    replayed = begun.dataset.replay
    if replayed:
        talk(
            f"{'replay':<11}{replayed:,} windows {'of ' + plan.replay if plan.replay else 'that the base drew itself'}"
        )
    return begun


def _tell_import(found: Report) -> None:
    from seqvae.cli.prepare import table

    for label, line in table(found):
        talk(f"{label:<11}{line}")


def _tell(made: Personal, begun: Begun) -> None:
    """The figures before and after, what samples became, and what the sliders do."""
    counts = ", ".join(f"{split} {count}" for split, count in made.clips.items())
    talk(f"{made.reason} ({made.seconds:.0f} s); clips: {counts}")
    if not made.steps and made.reason != "nothing to train":
        talk("nothing beat the base on your held-out clips: its weights were kept")
    for line in figures_table(made):
        talk(line)
    if made.base_before is None:
        talk("what the base forgot is not measured: its file carries no held-out windows; give its data with --data")
    for line in shift_table(made):
        talk(line)
    talk(f"{made.copied:.1%} of 256 samples are windows of your training clips")
    for line in made.sliders:
        talk(line)
    if made.sliders:
        talk(f"move them with: seqvae slide {made.run} 1=+1.5")
    if made.steps and begun.base.saved.attributes:
        talk("the base's attribute vectors do not fit the trained model and were left out: seqvae attribute fit")


def figures_table(made: Personal) -> Iterator[str]:
    """Lines of the base and of the personal model on both sets of held-out windows."""
    yield f"{'':<25}{'windows':>8}{'tokens':>8}{'onsets':>8}{'exact':>8}{'−ELBO':>9}{'at β':>8}"
    rows = (
        ("your held-out clips", made.own_before, made.own_after),
        ("the base's held-out data", made.base_before, made.base_after),
    )
    for what, before, after in rows:
        yield f"{what:<25}" + ("" if before is not None else f"{0:>8}")
        for name, found in (("base", before), ("personal", after)):
            if found is not None:
                yield f"  {name:<23}{_row(found)}"


def _row(found: Fidelity) -> str:
    shares = "".join(f"{value:>8.3f}" for value in (found.tokens, found.onsets, found.exact))
    return f"{found.windows:>8,}{shares}{found.minus_elbo:>9.2f}{found.loss:>8.2f}"


def shift_table(made: Personal) -> Iterator[str]:
    """Lines of the attributes of your clips, of the base's samples and of the personal model's."""
    if not made.shifts:
        return
    yield f"{'samples':<20}{'yours':>8}{'base':>8}{'personal':>10}   overlap with yours"
    for one in made.shifts:
        overlap = f"{one.overlap_before:.2f} → {one.overlap_after:.2f}"
        yield f"  {one.name:<18}{one.own:>8.3g}{one.before:>8.3g}{one.after:>10.3g}   {overlap}"
