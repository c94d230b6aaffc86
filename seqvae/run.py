"""A run: the moving parts of a training, and the folder they are kept in.

preset.toml        the settings as resolved
metrics.jsonl      one line a logging interval and one a validation
best.safetensors   the model with the lowest validation loss so far
last/              everything a resume needs, in one file
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqvae.attributes.lessons import Lessons
from seqvae.checkpoint import (
    SavedModel,
    check_decoder,
    load_decoder,
    load_weights,
    read_arrays,
    save_model,
    write_arrays,
)
from seqvae.config import Preset, TrainSettings, preset_from_dict
from seqvae.dataset import Dataset, Sampler, Split
from seqvae.encoder import NoEncoder
from seqvae.errors import ConfigError, DataError, ModelError
from seqvae.files import write_atomic
from seqvae.fingerprints import Fingerprints, fingerprints_of
from seqvae.head import within
from seqvae.replay import ReplaySampler
from seqvae.runtime import Workers, autocast
from seqvae.team import Team
from seqvae.tokenizers import Tokenizer, onsets
from seqvae.vae import SequenceVAE

LAST = Path("last") / "state.safetensors"
BEST = "best.safetensors"
DECODER = Path("last") / "decoder.safetensors"
"""The model whose decoder is taken over when pretraining ends."""
RECORD = Path("last") / BEST
"""The best validated model, while a stopped run ships a better one that a resume must not know of."""
METRICS = "metrics.jsonl"

MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What Adam remembers of a weight."""

HELD_OUT = 256
"""Windows that a model file carries, so that it can be looked at where its data are not."""

Metrics = dict[str, Any]


@dataclass(kw_only=True)
class Progress:
    """Where a run stands; with the arrays of `last/` all that a resume needs.

    Attributes:
        step: Steps done. sampler: The sampler's three integers.
        best_loss: Lowest validation loss so far, at the final β. since_best: Validations since then.
        decays: How often a plateau has lowered the learning rate. since_decay: Validations without a better one since.
        seconds: Time spent training, over all sessions.
    """

    step: int = 0
    sampler: tuple[int, int, int] | None = None
    best_loss: float = math.inf
    since_best: int = 0
    decays: int = 0
    since_decay: int = 0
    seconds: float = 0.0


@dataclass(kw_only=True)
class Tally:
    """Sums since the last logged line, kept on the device until it is due."""

    sums: Tensor | None = None
    steps: int = 0

    def add(self, sums: Tensor) -> None:
        """Adds the sums of one step."""
        self.sums = sums if self.sums is None else self.sums + sums
        self.steps += 1


@dataclass(kw_only=True, eq=False)
class Run:
    """The moving parts of a run.

    `beta` is that of a held KL, `planted` the model whose decoder is taken over, and `pieces` in how many a part of a
    batch is computed one after the other, as the device's memory has room.
    """

    preset: Preset
    dataset: Dataset
    folder: Path
    seed: int
    device: torch.device
    vae: SequenceVAE
    averaged: list[Tensor]
    optimizer: torch.optim.Optimizer
    sampler: Sampler
    workers: Workers
    onset_mask: Tensor
    judged: Tensor
    lessons: Lessons
    beta: Tensor
    team: Team = field(default_factory=Team)
    planted: SavedModel | None = None
    progress: Progress = field(default_factory=Progress)
    tally: Tally = field(default_factory=Tally)
    pieces: int = 1

    @property
    def parameters(self) -> list[Tensor]:
        """The weights, in a fixed order."""
        return list(self.vae.parameters())

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """Of the training windows."""
        return fingerprints_of(self.dataset.tokenizer, self.dataset.windows("train"))

    def counted(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Which tokens accuracies count (not padding, controls, numbers), and which of them are onsets."""
        inside = within(self.vae.alphabet, tokens)
        counted = inside.view(*inside.shape, *[1] * (tokens.ndim - 2)) & self.judged
        return counted, counted & onsets(self.onset_mask, tokens)


@contextmanager
def averaged_weights(run: Run) -> Iterator[None]:
    """Inside, the network has the averaged weights and is in evaluation mode."""

    def swap() -> None:
        if run.preset.train.weight_average:
            for weight, average in zip(run.parameters, run.averaged, strict=True):
                weight.data, average.data = average.data, weight.data

    run.vae.eval()
    swap()
    if run.preset.model.mean_scale:
        calibrate(run)
    try:
        yield
    finally:
        swap()
        run.vae.train()


def calibrate(run: Run) -> None:
    """Sets the normalisation of the means by the training set: it must not depend on a batch any more."""
    if not isinstance(run.vae.encoder, NoEncoder):
        run.vae.encoder.head.calibrate(lambda: posteriors(run)[0])


def restart_decoder(run: Run) -> None:
    """After pretraining: a decoder that has learned nothing, or the one to be taken over, and no memory of the old."""
    with torch.random.fork_rng([]):
        torch.manual_seed(run.seed + 1)
        fresh = SequenceVAE(run.vae.alphabet, run.vae.length, run.preset.model)
    if run.planted is not None:
        load_decoder(fresh, run.planted)
    run.vae.decoder.load_state_dict(fresh.decoder.state_dict())
    decoder = set(run.vae.decoder.parameters())
    for index, weight in enumerate(run.vae.parameters()):
        if weight in decoder:
            run.averaged[index] = weight.detach().clone()
            run.optimizer.state.pop(weight, None)
    run.progress.best_loss = math.inf
    for old in (BEST, RECORD) if run.team.leads else ():
        (run.folder / old).unlink(missing_ok=True)


def keep(run: Run) -> None:
    """Writes best.safetensors from the averaged weights, with the aggregate posterior's fit."""
    if not run.team.leads:
        return
    with averaged_weights(run):
        weights = {name: array.cpu().numpy().copy() for name, array in run.vae.state_dict().items()}
        mean, covariance = aggregate_fit(run)
    progress, settings = run.progress, run.preset.train
    model = SavedModel(
        name=run.preset.name,
        preset=run.preset,
        weights=weights,
        aggregate_mean=mean,
        aggregate_covariance=covariance,
        licence=run.dataset.licence,
        held_out=held_out_sample(run.dataset),
        fingerprints=run.fingerprints,
        provenance={
            "data": run.dataset.hash,
            "windows": len(run.dataset.own()),
            "steps": progress.step,
            "items": progress.step * settings.batch_size,
            "seconds": round(progress.seconds, 1),
            "seed": run.seed,
            "device": machine(run.device),
            "torch": torch.__version__,
        },
    )
    save_model(run.folder / BEST, model, overwrite=True)


def held_out_sample(dataset: Dataset, split: Split = "valid", items: int = HELD_OUT) -> NDArray[np.integer[Any]]:
    """At most `items` windows of a split that train has not, evenly from all of it: what a model file carries."""
    rows = np.flatnonzero(dataset.unseen(split))
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), items)).round().astype(int)]
    return np.asarray(dataset.windows(split)[some])


def keep_for_now(run: Run) -> None:
    """As `keep`, at a stop: the record is put aside, and a resumed run goes on from that."""
    if run.team.leads and (run.folder / BEST).exists():
        os.replace(run.folder / BEST, run.folder / RECORD)
    keep(run)


def posteriors(run: Run, items: int = 8192) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of training windows, evenly from all: float64 (items, z) both."""
    windows = run.dataset.own()
    rows = np.linspace(0, len(windows) - 1, min(len(windows), items)).round().astype(int)
    means, stds = [], []
    with torch.no_grad(), autocast(run.device, run.preset.train.precision):
        for some in np.array_split(windows[rows], max(1, len(rows) // 512)):
            posterior = run.vae.encode(torch.from_numpy(some.astype(np.int64)).to(run.device))
            means.append(posterior.mean.double())
            stds.append(posterior.std.double())
    return torch.cat(means), torch.cat(stds)


def aggregate_fit(run: Run) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and covariance of the aggregate posterior over training windows: Cov(μ) + mean of diag σ²."""
    mean, std = (found.cpu().numpy() for found in posteriors(run))
    centred = mean - mean.mean(0)
    covariance = centred.T @ centred / len(mean) + np.diag(np.square(std).mean(0))
    return mean.mean(0).astype(np.float32), covariance.astype(np.float32)


def machine(device: torch.device) -> str:
    """The device in words, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.machine()}"


def write_metrics(run: Run, metrics: Metrics) -> None:
    """Adds a line to metrics.jsonl."""
    if not run.team.leads:
        return
    with (run.folder / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(metrics) + "\n")


def start(
    preset: Preset,
    dataset: Dataset,
    folder: Path,
    seed: int,
    device: torch.device,
    init: SavedModel | None,
    planted: SavedModel | None = None,
    team: Team | None = None,
) -> Run:
    """A run before its first step.

    Raises:
        DataError: The data are another preset's.
        ConfigError: As `check_recipe`.
        ModelError: As `load_weights` and `check_decoder`.
    """
    tokenizer = dataset.tokenizer
    preset = adopted(preset, dataset)
    team = team or Team()
    check_recipe(preset, team)
    torch.manual_seed(seed)  # the initial weights only; all later randomness is drawn from keyed generators
    vae = SequenceVAE(tokenizer.alphabet, tokenizer.length, preset.model)
    if init is not None:
        load_weights(vae, init)
    if planted is not None:
        check_decoder(vae, tokenizer, planted)
        if not preset.objective.pretraining_steps:
            load_decoder(vae, planted)
    vae.to(device).train()
    settings = preset.train
    return Run(
        preset=preset,
        dataset=dataset,
        folder=folder,
        seed=seed,
        device=device,
        vae=vae,
        averaged=[weight.detach().clone() for weight in vae.parameters()],
        optimizer=optimizer_of(vae, settings),
        sampler=sampler_of(dataset, settings, seed),
        workers=Workers(parts_of(settings, device, team) // team.size),
        onset_mask=torch.from_numpy(tokenizer.onset_mask).to(device),
        judged=torch.from_numpy(tokenizer.alphabet.judged).to(device),
        lessons=Lessons.of_dataset(dataset, preset.objective.attributes, preset.objective.edited),
        beta=torch.tensor(preset.objective.beta, device=device),
        planted=planted,
        team=team,
    )


def parts_of(settings: TrainSettings, device: torch.device, team: Team) -> int:
    """Into how many parts a batch is cut, as many for each member of the team."""
    each = min(settings.workers, settings.batch_size) // team.size if device.type == "cpu" else 1
    return max(1, each) * team.size


def check_recipe(preset: Preset, team: Team) -> None:
    """Whether the sections of a preset go together.

    Raises:
        ConfigError: z is too small for its attributes, there is nothing to pretrain, or normalisation of nothing.
    """
    z_size, names, settings = preset.model.z_size, preset.objective.attributes, preset.train
    if len(names) > z_size:
        found = f"model.z_size is {z_size} and objective.attributes are {len(names)}"
        raise ConfigError(f"{found}; each takes a dimension of z, so give a larger z_size or fewer of them")
    if names and preset.objective.importance_samples > 1:
        raise ConfigError("objective.attributes are taught with one z an item; set objective.importance_samples=1")
    if settings.batch_size < team.size:
        found = f"train.batch_size is {settings.batch_size} and {team.size} processes share it"
        raise ConfigError(f"{found}; start fewer of them, or give a larger batch")
    if preset.objective.pretraining_steps and not z_size:
        raise ConfigError("model.z_size is 0: a language model has no encoder; set objective.pretraining_steps=0")
    parts = max(settings.workers, team.size)
    if preset.model.mean_scale and settings.batch_size < 2 * parts:
        found = f"model.mean_scale normalises each of the {parts} parts (train.workers) of a batch"
        raise ConfigError(f"{found}, and train.batch_size is {settings.batch_size}; give 2 items a part or more")


def optimizer_of(vae: SequenceVAE, settings: TrainSettings) -> torch.optim.Optimizer:
    """Adam, or plain gradient descent."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(vae.parameters(), lr=settings.learning_rate)
    return torch.optim.Adam(vae.parameters(), lr=settings.learning_rate, fused=True)


def sampler_of(
    dataset: Dataset, settings: TrainSettings, seed: int, state: tuple[int, int, int] | None = None
) -> Sampler:
    """Of the training windows; where the dataset has replay, with `settings.replay` of it in every batch."""
    kind, own = dataset.tokenizer, dataset.own()
    replayed = round(settings.replay * settings.batch_size) if dataset.replay else 0
    if not replayed:
        return Sampler(own, kind.alphabet, kind.augmentations, settings.batch_size, seed, state)
    replay = dataset.windows("train")[len(own) :]
    return ReplaySampler(own, replay, kind.alphabet, kind.augmentations, settings.batch_size, replayed, seed, state)


def adopted(preset: Preset, dataset: Dataset) -> Preset:
    """The preset with the vocabulary that the dataset's tokenizer learned, if its own has none yet.

    Raises:
        DataError: The dataset was prepared for sequences of another kind or shape.
    """
    theirs, ours = dataset.tokenizer, preset.tokenizer
    if theirs.kind == ours.kind and not ours.fitted:
        return replace(preset, tokenizer=theirs)  # type: ignore[arg-type]
    if (theirs.kind, theirs.length) != (ours.kind, ours.length) or theirs.alphabet != ours.alphabet:
        found = f"{dataset.folder}: its windows are {theirs.length} steps of {shape_in_words(theirs)}"
        wanted = f"preset {preset.name} has {ours.length} of {shape_in_words(ours)}"
        raise DataError(f"{found} and {wanted}; prepare with this preset, or train the one it was prepared for")
    return preset


def shape_in_words(tokenizer: Tokenizer) -> str:
    """Such as "melody (melody 90)" or "parts (melody 90, bass 90, drums 512)"."""
    return f"{tokenizer.kind} ({', '.join(f'{part.name} {part.size}' for part in tokenizer.alphabet.parts)})"


def save_last(run: Run) -> None:
    """Everything a resume needs, in one file, so that it is whole or not there."""
    if not run.team.leads:
        return
    arrays: dict[str, NDArray[Any]] = {"beta": run.beta.cpu().numpy()}
    moments = run.optimizer.state_dict()["state"]
    for index, (weight, average) in enumerate(zip(run.parameters, run.averaged, strict=True)):
        arrays[f"weight.{index}"] = weight.detach().cpu().numpy()
        arrays[f"average.{index}"] = average.cpu().numpy()
        for name in MOMENTS if "step" in moments.get(index, {}) else ():
            arrays[f"{name}.{index}"] = moments[index][name].cpu().numpy()
    progress, tally = run.progress, run.tally
    if tally.sums is not None:
        arrays["tally"] = tally.sums.cpu().numpy()
    about = {
        "tally_steps": tally.steps,
        "step": progress.step,
        "sampler": list(progress.sampler or run.sampler.state),
        "best_loss": progress.best_loss if math.isfinite(progress.best_loss) else None,
        "since_best": progress.since_best,
        "decays": progress.decays,
        "since_decay": progress.since_decay,
        "seconds": progress.seconds,
        "seed": run.seed,
        "preset": run.preset.to_dict(),
        "data": run.dataset.hash,
        "folder": str(run.dataset.folder.absolute()),
    }
    write_arrays(run.folder / LAST, arrays, about, overwrite=True)


def resumable(folder: Path) -> tuple[Preset, int, Path]:
    """The preset, seed and dataset folder of a run that can go on. Raises `ModelError` if there is none."""
    if not (folder / LAST).is_file():
        raise ModelError(f"{folder}: nothing to resume (no {LAST}); start it without --resume")
    _, about = read_arrays(folder / LAST)
    return preset_from_dict(about["preset"], str(folder)), int(about["seed"]), Path(about["folder"])


def restore(run: Run) -> None:
    """Puts a run where its `last/` stands. Raises `ModelError` if that is damaged, `DataError` if the data changed."""
    arrays, about = read_arrays(run.folder / LAST)
    if about["data"] != run.dataset.hash:
        raise DataError(f"{run.folder}: was trained on other data ({about['data']}, not {run.dataset.hash})")
    if run.team.leads and (run.folder / RECORD).exists():
        os.replace(run.folder / RECORD, run.folder / BEST)
    progress = run.progress
    for name in ("step", "seconds", "since_best", "decays", "since_decay"):
        setattr(progress, name, about.get(name, 0))  # runs of earlier versions have no decays, and no held β
    progress.best_loss = math.inf if about["best_loss"] is None else about["best_loss"]
    seed, epoch, index = about["sampler"]
    progress.sampler = (seed, epoch, index)
    if "tally" in arrays:
        run.tally = Tally(sums=torch.from_numpy(arrays["tally"]).to(run.device), steps=about["tally_steps"])
    run.sampler = sampler_of(run.dataset, run.preset.train, run.seed, progress.sampler)
    state = run.optimizer.state_dict()
    for index, weight in enumerate(run.parameters):
        weight.data = torch.from_numpy(arrays[f"weight.{index}"]).to(run.device)
        run.averaged[index] = torch.from_numpy(arrays[f"average.{index}"]).to(run.device)
        if f"step.{index}" in arrays:
            state["state"][index] = {
                name: torch.from_numpy(arrays[f"{name}.{index}"]).to(run.device) for name in MOMENTS
            }
    if "beta" in arrays:
        run.beta = torch.from_numpy(arrays["beta"]).to(run.device)
    run.optimizer.load_state_dict(state)
    if not run.team.leads:
        return
    # Lines after the saved step will be written again.
    lines = (run.folder / METRICS).read_text(encoding="utf-8").splitlines()
    whole = [line for line in lines if line.endswith("}")]
    kept = [line for line in whole if json.loads(line)["step"] <= progress.step]
    write_atomic(run.folder / METRICS, "".join(line + "\n" for line in kept).encode())
