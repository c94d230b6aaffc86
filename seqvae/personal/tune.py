"""From a base and a person's clips to a personal model: a run folder like any other, with the figures beside it.

personal.json        what it was made of, and once it is done its figures
data/                the clips as a dataset, the replay among its training windows
best.safetensors     the model, with the clips' aggregate posterior, so that `sample` draws where they lie
sliders.safetensors  the sliders, if any
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqvae.checkpoint import SavedModel, load_model, save_model
from seqvae.config import ObjectiveSettings, Preset
from seqvae.corpus.report import Report
from seqvae.dataset import Dataset
from seqvae.errors import ConfigError, ModelError, WriteError
from seqvae.files import write_atomic
from seqvae.fingerprints import Fingerprints, fingerprints_of
from seqvae.latent import AggregatePosterior
from seqvae.personal.base import Base, dreamed, held_out_windows, open_base_data, some_of
from seqvae.personal.clips import Clips, read_clips, write_clips
from seqvae.personal.figures import Fidelity, Shift, copied_share, drawn, fidelity, shifts
from seqvae.personal.slide import FILE as SLIDERS_FILE
from seqvae.personal.slide import sliders as fit_sliders

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.run import Metrics
    from seqvae.tokenizers import Tokens
    from seqvae.train import Outcome

ABOUT = "personal.json"
DATA = "data"
STEPS = 2000
BATCH = 32
SECONDS = 300.0
REPLAY_SHARE = 0.5
SLIDERS = 4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked for; kept in personal.json for a resume.

    Attributes:
        base: The base's name, and `base_hash` its weights'.
        frozen: The weights stay, and only where samples are drawn and the sliders are the person's.
        steps: At most so many; 0 is the same as frozen.
        replay: A dataset of the base's own data, or None: then it dreams them.
        replay_share: Of each batch.
        base_data: A dataset on whose test split forgetting is measured, or None: then that of `replay`.
        sliders: How many; 0 for none.
        seed: Decides everything.
    """

    base: str
    base_hash: str
    frozen: bool = False
    steps: int = STEPS
    replay: str | None = None
    replay_share: float = REPLAY_SHARE
    base_data: str | None = None
    sliders: int = SLIDERS
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Begun:
    """A run folder with its data: all that `finish` needs.

    Attributes:
        run: The folder.
        plan: What is asked for.
        base: The model to start from.
        dataset: The clips, and the replay.
    """

    run: Path
    plan: Plan
    base: Base
    dataset: Dataset


@dataclass(frozen=True, kw_only=True)
class Personal:
    """A personal model.

    Attributes:
        run: Its folder, which every verb takes as --model.
        reason: Why the training ended.
        steps: Of the model that was kept; 0 if nothing beat the base.
        seconds: Of training.
        clips: How many clips each split has.
        own_before, own_after: On held-out windows of the clips; None if train has them all.
        base_before, base_after: On windows that the base's training did not see; None if there are none at hand.
        shifts: What became of the attributes of what it draws.
        copied: Share of its samples that are windows of the training clips.
        sliders: What each slider does, in words.
    """

    run: Path
    reason: str
    steps: int
    seconds: float
    clips: Mapping[str, int]
    own_before: Fidelity | None
    own_after: Fidelity | None
    base_before: Fidelity | None
    base_after: Fidelity | None
    shifts: Sequence[Shift]
    copied: float
    sliders: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "run": str(self.run)}


def finetune(
    base: str | Path,
    clips: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    seconds: float | None = SECONDS,
    steps: int = STEPS,
    frozen: bool = False,
    replay: str | Path | None = None,
    replay_share: float = REPLAY_SHARE,
    base_data: str | Path | None = None,
    sliders: int = SLIDERS,
    track: str | None = None,
    meter: str | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
) -> Personal:
    """Makes a personal model of a dozen clips or more.

    Encoder and decoder are trained on from the base's weights at a low rate. A share of every batch is what the base
    knows already (`replay`), since a network that sees only new data forgets the old; training stops when held-out
    clips get no better, and the best model is kept, the base itself among them.

    Args:
        base: A bundled model, a file or a run folder.
        clips: Files, and folders that are searched through.
        out: The run folder to write.
        seconds: Stop after so long; None for no limit. 0 trains nothing.
        steps: Of 32 windows, at most. 0 trains nothing.
        frozen: Train nothing: the base's weights, with the clips' own aggregate posterior, and sliders.
        replay: The base's own data, a dataset; without it, what the base dreams.
        replay_share: Of each batch; 0 for no replay.
        base_data: The base's own data, whose test split shows what is forgotten: `replay` if left out, or else the
            held-out windows that the base's file carries.
        sliders: How many sliders to fit; 0 for none.
        track, meter: As in `corpus.prepare`.
        seed: Same seed, same weights.
        device: As for `load`.
        force: Start over in a run folder that stands.

    Raises:
        ReadError, DataError: As `read_clips`; the replay is of another kind.
        ModelError: There is no such base.
        WriteError: `out` stands already, or cannot be written.

    Example:
        >>> mine = finetune("melody-2bar", "my-clips", "runs/mine", seconds=60)  # doctest: +SKIP
        >>> load(mine.run).sample(8)  # doctest: +SKIP
    """
    plan = Plan(
        base=str(base),
        base_hash="",
        frozen=frozen or seconds == 0,
        steps=steps,
        replay=None if replay is None else str(replay),
        replay_share=replay_share,
        base_data=None if base_data is None else str(base_data),
        sliders=sliders,
        seed=seed,
    )
    inputs = [Path(clips)] if isinstance(clips, str | Path) else [Path(one) for one in clips]
    begun = begin(plan, inputs, Path(out), track=track, meter=meter, device=device, force=force)
    return finish(begun, seconds=seconds, device=device)


def begin(
    plan: Plan,
    inputs: Sequence[Path],
    run: Path,
    *,
    track: str | None = None,
    meter: str | None = None,
    device: str = "auto",
    force: bool = False,
    tell: Callable[[Report], None] = lambda report: None,
) -> Begun:
    """Reads the clips, `tell`s what was met, makes the replay, and writes both into the run folder.

    Raises as `finetune`.
    """
    if not 0.0 <= plan.replay_share < 1.0:
        raise ConfigError(f"the share of replay is {plan.replay_share:g}; give 0 (none) to less than 1, such as 0.5")
    if run.exists() and not force and (not run.is_dir() or any(run.iterdir())):
        raise WriteError(f"{run}: stands already; --resume to go on, --force to start over, or another -o")
    base = Base.load(plan.base, device)
    theirs = None if plan.replay is None else open_base_data(base.model, plan.replay)
    clips = read_clips(inputs, base.model.tokenizer, track=track, meter=meter)
    tell(clips.report)
    plan = replace(plan, base_hash=base.saved.hash)
    replayed, what = _replay(plan, base, theirs, clips)
    dataset = write_clips(clips, run / DATA, replay=replayed, replayed=what, licence=base.saved.licence, force=force)
    _write(run, {"plan": asdict(plan), "import": clips.report.to_dict()})
    return Begun(run=run, plan=plan, base=base, dataset=dataset)


def _replay(plan: Plan, base: Base, theirs: Dataset | None, clips: Clips) -> tuple[Tokens, str]:
    """Windows of the base, and what they are in words."""
    if plan.frozen or not plan.steps or not plan.replay_share:
        return clips.tokens[:0], ""
    if theirs is not None:
        return some_of(theirs, seed=plan.seed), f"replay: {theirs.folder.resolve().name}"
    return dreamed(base.model, clips.train(), seed=plan.seed), f"replay: dreamed by {base.model.name}"


def reopen(run: Path, device: str = "auto") -> Begun:
    """A run that was begun and can go on.

    Raises:
        ModelError: There is none in the folder, or its base is another by now.
    """
    path = run / ABOUT
    if not path.is_file():
        raise ModelError(f"{run}: nothing to resume (no {ABOUT}); start it without --resume")
    try:
        plan = Plan(**json.loads(path.read_text(encoding="utf-8"))["plan"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: is damaged ({error}); start over with --force") from None
    if plan.frozen or not plan.steps:
        raise ModelError(f"{run}: its weights stay as they are, so there is nothing to resume; start over with --force")
    base = Base.load(plan.base, device)
    if base.saved.hash != plan.base_hash:
        found = f"{run}: was begun with {plan.base} {plan.base_hash}, and that is {base.saved.hash} now"
        raise ModelError(f"{found}; start over with --force")
    return Begun(run=run, plan=plan, base=base, dataset=Dataset.open(run / DATA))


def finish(
    begun: Begun,
    *,
    seconds: float | None = SECONDS,
    device: str = "auto",
    resume: bool = False,
    report: Callable[[Metrics], None] = lambda metrics: None,
) -> Personal:
    """Trains, if that is planned, fits the sliders, and measures before and after."""
    from seqvae.loading import load

    started = time.monotonic()
    plan, run = begun.plan, begun.run
    outcome = None
    if plan.frozen or not plan.steps:
        _save(begun, settled_base(begun))
    else:
        outcome = _train(begun, seconds=seconds, device=device, resume=resume, report=report)
        _save(begun, _settled(begun, load_model(run / "best.safetensors")))
    model = load(run, device=device)
    names: list[str] = []
    if plan.sliders:
        own = np.asarray(begun.dataset.own(), np.int64)
        fitted = fit_sliders(model, own, plan.sliders, held_out=_held_out(begun.dataset), seed=plan.seed)
        fitted.save(run / SLIDERS_FILE)
        names = fitted.describe()
    else:
        (run / SLIDERS_FILE).unlink(missing_ok=True)
    made = measure(begun, model, outcome, names, time.monotonic() - started)
    about = json.loads((run / ABOUT).read_text(encoding="utf-8"))
    _write(run, {**about, "result": made.to_dict()})
    return made


def _train(
    begun: Begun, *, seconds: float | None, device: str, resume: bool, report: Callable[[Metrics], None]
) -> Outcome:
    from seqvae.run import LAST, resumable
    from seqvae.train import train

    plan, run = begun.plan, begun.run
    resume = resume and (run / LAST).is_file()  # it may have been stopped before its first step
    preset = resumable(run)[0] if resume else tuned(begun.base.saved.preset, run.name, plan)
    return train(
        preset,
        begun.dataset,
        run,
        seed=plan.seed,
        device=device,
        seconds=seconds,
        init=begun.base.saved,
        resume=resume,
        report=report,
    )


def tuned(preset: Preset, name: str, plan: Plan) -> Preset:
    """The base's preset for a short training on little data: β and chance as they ended, a low and short-lived rate.

    Dimensions that the base was taught to be attributes are left as they are learned: what they are measured against
    would be another mean and deviation.
    """
    theirs = preset.objective
    objective = ObjectiveSettings(
        beta=theirs.beta,
        schedule="constant",
        target_nats=theirs.target_nats,
        target_speed=theirs.target_speed,
        free_nats=theirs.free_nats,
        free_mode=theirs.free_mode,
        autoencoder=theirs.autoencoder,
        word_dropout=theirs.word_dropout,
        input_noise=theirs.input_noise,
        sampling_start=theirs.sampling_end,
        sampling_end=theirs.sampling_end,
    )
    settings = replace(
        preset.train,
        batch_size=BATCH,
        steps=plan.steps,
        optimizer="adam",
        learning_rate=5e-4,
        learning_rate_end=5e-5,
        decay="cosine",
        warmup_steps=20,
        weight_average=0.98,
        log_every=10,
        validate_every=20,
        valid_items=256,
        patience=8,
        replay=plan.replay_share,
    )
    return replace(preset, name=name, objective=objective, train=settings)


def settled_base(begun: Begun) -> SavedModel:
    """The base's own weights with the clips' aggregate posterior: vectors fitted for the base are good for it too."""
    from seqvae.run import held_out_sample

    base, own = begun.base, np.asarray(begun.dataset.own(), np.int64)
    aggregate = AggregatePosterior.fit(*base.model.network.posterior(own))
    return replace(
        base.saved,
        name=begun.run.name,
        aggregate_mean=aggregate.mean.astype(np.float32),
        aggregate_covariance=aggregate.covariance.astype(np.float32),
        card={},
        held_out=held_out_sample(begun.dataset),
    )


def _settled(begun: Begun, best: SavedModel) -> SavedModel:
    """The best model of a training; if that is where it began, the base's weights as they are stored."""
    theirs = begun.base.saved.weights
    if all(np.array_equal(best.weights[name], np.asarray(theirs[name], np.float32)) for name in theirs):
        return settled_base(begun)
    return best


def _save(begun: Begun, model: SavedModel) -> None:
    """Writes best.safetensors, with whose child it is; it knows the windows of the base's training and its own."""
    parent = {
        "base": begun.base.model.name,
        "base_hash": begun.plan.base_hash,
        "replay": begun.plan.replay or "dreamed",
    }
    provenance = {**model.provenance, "personal": parent}
    own = fingerprints_of(begun.dataset.tokenizer, begun.dataset.own())
    known = (begun.base.saved.fingerprints or Fingerprints()) | own
    save_model(begun.run / "best.safetensors", replace(model, provenance=provenance, fingerprints=known))


def _held_out(dataset: Dataset) -> Tokens:
    """The windows of the clips that the training has not, of both splits."""
    parts = [dataset.windows(split)[dataset.unseen(split)] for split in ("valid", "test")]
    return np.asarray(np.concatenate(parts), np.int64)


def measure(begun: Begun, model: Model, outcome: Outcome | None, sliders: list[str], seconds: float) -> Personal:
    """Both models on windows that neither was trained on, and what both draw."""
    base, dataset, seed = begun.base.model, begun.dataset, begun.plan.seed
    folder = begun.plan.base_data or begun.plan.replay
    theirs = None if folder is None else open_base_data(base, folder)
    own = np.asarray(dataset.windows("test")[dataset.unseen("test")], np.int64)
    old = held_out_windows(base, theirs)
    train = np.asarray(dataset.own(), np.int64)
    every = np.concatenate([train, *(np.asarray(dataset.windows(split), np.int64) for split in ("valid", "test"))])
    before, after = drawn(base, every, seed=seed), drawn(model, every, seed=seed)
    counts = [source.split for source in dataset.source_list() if not source.name.startswith("replay: ")]
    return Personal(
        run=begun.run,
        reason="nothing to train" if outcome is None else outcome.reason,
        steps=0 if model.hash == base.hash else int(model.training["steps"]),
        seconds=round(seconds, 1),
        clips={split: counts.count(split) for split in ("train", "valid", "test")},
        own_before=fidelity(base, own, seed),
        own_after=fidelity(model, own, seed),
        base_before=fidelity(base, old, seed),
        base_after=fidelity(model, old, seed),
        shifts=shifts(model, every, before, after),
        copied=copied_share(after, train),
        sliders=sliders,
    )


def _write(run: Path, about: dict[str, Any]) -> None:
    write_atomic(run / ABOUT, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode(), overwrite=True)
