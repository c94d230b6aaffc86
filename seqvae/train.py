"""The training loop. A run is a folder; everything it does is a function of (preset, data, seed), so it resumes exactly."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqvae import objective
from seqvae.checkpoint import SavedModel, read_arrays, save_model, write_arrays
from seqvae.config import Preset, TrainSettings, preset_from_dict
from seqvae.dataset import Dataset, Sampler
from seqvae.errors import DataError, ModelError, SeqvaeError
from seqvae.files import write_atomic
from seqvae.runtime import Workers, autocast, choose_device, generator, single_threaded, stop_requests
from seqvae.vae import SequenceVAE

LAST = Path("last") / "state.safetensors"
BEST = "best.safetensors"
METRICS = "metrics.jsonl"
SAVE_SECONDS = 120.0

Metrics = dict[str, Any]
Report = Callable[[Metrics], None]


@dataclass(kw_only=True)
class Progress:
    """Where a run stands; with the arrays of `last/` all that a resume needs.

    Attributes:
        step: Steps done. sampler: The sampler's three integers.
        best_loss: Lowest validation loss so far, at the final β. since_best: Validations since then.
        seconds: Time spent training, over all sessions.
    """

    step: int = 0
    sampler: tuple[int, int, int] | None = None
    best_loss: float = math.inf
    since_best: int = 0
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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training ended: the run's folder, why it stopped, the last validation and a warning or ""."""

    run: Path
    reason: str
    metrics: Metrics
    warning: str


@dataclass(kw_only=True, eq=False)
class Trainer:
    """The moving parts of a run."""

    preset: Preset
    dataset: Dataset
    run: Path
    seed: int
    device: torch.device
    vae: SequenceVAE
    averaged: list[Tensor]
    optimizer: torch.optim.Optimizer
    sampler: Sampler
    workers: Workers
    progress: Progress = field(default_factory=Progress)
    tally: Tally = field(default_factory=Tally)

    @property
    def parameters(self) -> list[Tensor]:
        """The weights, in a fixed order."""
        return list(self.vae.parameters())


def train(
    preset: Preset,
    dataset: Dataset,
    run: Path,
    *,
    seed: int,
    device: str = "auto",
    seconds: float | None = None,
    init: SavedModel | None = None,
    resume: bool = False,
    report: Report = lambda metrics: None,
) -> Outcome:
    """Trains a model into a run folder.

    Args:
        preset: All settings. On resume those of the run go before.
        dataset: Prepared windows with the preset's tokenizer.
        run: The folder to write: preset.toml, metrics.jsonl, best.safetensors, last/.
        seed: Decides weights, order, variants and noise.
        device: As for `runtime.choose_device`.
        seconds: Stop in good order after so long.
        init: Start from this model's weights.
        resume: Go on where `last/` stands.
        report: Is given each line of metrics.jsonl as it is written.

    Raises:
        DataError: The dataset's tokens are not the preset's, or it has no training window.
        ModelError: Nothing to resume, or `init` has other shapes.
        WriteError: The run folder cannot be written.
    """
    trainer = _trainer(preset, dataset, run, seed, choose_device(device), init)
    if resume:
        _restore(trainer)
    else:
        write_atomic(run / "preset.toml", to_toml(preset.to_dict()).encode(), overwrite=True)
        write_atomic(run / METRICS, b"", overwrite=True)
        _save_last(trainer)
    try:
        with stop_requests() as asked, single_threaded():
            return _loop(trainer, seconds, asked, report)
    finally:
        trainer.workers.close()


def _loop(trainer: Trainer, seconds: float | None, asked: Callable[[], bool], report: Report) -> Outcome:
    settings, progress = trainer.preset.train, trainer.progress
    started = saved = time.monotonic()
    before = progress.seconds
    logged = started
    reason = "all steps done"
    validation: Metrics = {}
    while progress.step < settings.steps:
        trainer.tally.add(_step(trainer))
        progress.step += 1
        progress.sampler = trainer.sampler.state
        now = time.monotonic()
        progress.seconds = before + now - started
        if progress.step % settings.log_every == 0 or progress.step == settings.steps:
            _write_metrics(trainer, _log(trainer, logged), report)
            logged = now
        if progress.step % settings.validate_every == 0 or progress.step == settings.steps:
            validation = _validate_and_keep(trainer, report)
            if settings.patience and progress.since_best >= settings.patience:
                reason = f"no better validation in {settings.patience}"
                break
        if progress.step == settings.steps:
            break
        if seconds is not None and now - started >= seconds:
            reason = f"{seconds:g} seconds are over"
            break
        if asked():
            reason = "stopped on request"
            break
        if now - saved > SAVE_SECONDS:
            _save_last(trainer)
            saved = now
    if not validation or validation["step"] != progress.step:
        validation = validate(trainer)
        if not (trainer.run / BEST).exists():  # cut short before the first validation: still leave a model
            _keep(trainer)
    _save_last(trainer)
    return Outcome(run=trainer.run, reason=reason, metrics=validation, warning=collapse_warning(validation))


# -- one step --------------------------------------------------------------------------------------------------------


def _step(trainer: Trainer) -> Tensor:
    """One update of the weights. Returns the sums of `_part`, on the device: nothing waits for it."""
    settings, step = trainer.preset.train, trainer.progress.step
    tokens = torch.from_numpy(trainer.sampler.next().tokens).to(trainer.device, non_blocking=True)
    parts = tokens.chunk(trainer.workers.count)
    shares = [len(part) / len(tokens) for part in parts]
    numbers = range(len(parts))
    results = trainer.workers.map(lambda part, share, n: _part(trainer, part, share, n), parts, shares, numbers)
    # Summed in a fixed order: threads must not decide the last bit.
    gradients = [torch.stack(each).sum(0) if len(each) > 1 else each[0] for each in zip(*(r[0] for r in results))]
    for weight, gradient in zip(trainer.parameters, gradients, strict=True):
        weight.grad = gradient
    torch.nn.utils.clip_grad_norm_(trainer.parameters, settings.clip_norm)
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate_at(step, settings)
    trainer.optimizer.step()
    if settings.weight_average:
        # A young average would remember the random start: it grows into its decay.
        decay = min(settings.weight_average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(trainer.averaged, trainer.parameters, 1 - decay)
    return torch.stack([result[1] for result in results]).sum(0)


def _part(trainer: Trainer, tokens: Tensor, share: float, number: int) -> tuple[Sequence[Tensor], Tensor]:
    """Gradients of one part of the batch, weighted by its share, and its sums for the log."""
    settings, step = trainer.preset.objective, trainer.progress.step
    vae, source = trainer.vae, generator(trainer.device, trainer.seed, step, number)
    with autocast(trainer.device, trainer.preset.train.precision):
        noisy = objective.add_noise(tokens, settings.input_noise, vae.vocab_size, source)
        posterior = vae.encode(noisy)
        noise = torch.randn(posterior.mean.shape, generator=source, device=trainer.device)
        z = posterior.mean if settings.autoencoder else posterior.draw(noise)
        sampled = objective.sampling_share(step, trainer.preset.train.steps, settings)
        inputs = vae.scheduled_inputs(z, tokens, sampled, source) if sampled else vae.decoder_inputs(tokens)
        inputs = objective.drop_tokens(inputs, settings.word_dropout, vae.decoder.start_token, source)
        logits = vae.decoder(z, inputs)
    nll = objective.reconstruction_nll(logits, tokens)
    kl = posterior.kl()
    loss = nll.mean()
    if not settings.autoencoder:
        loss = loss + objective.beta_at(step, settings) * objective.penalised_kl(kl, settings)
    gradients = torch.autograd.grad(loss * share, trainer.parameters, allow_unused=True)
    gradients = tuple(torch.zeros_like(w) if g is None else g for g, w in zip(gradients, trainer.parameters))
    with torch.no_grad():
        right = logits.argmax(-1) == tokens
        onsets = torch.from_numpy(trainer.dataset.tokenizer.onset_mask).to(trainer.device)[tokens]
        counts = [right.sum(), (right & onsets).sum(), onsets.sum(), torch.tensor(tokens.numel())]
        sums = [loss.detach() * len(tokens), nll.sum(), kl.sum(), *(c.float() for c in counts)]
    return gradients, torch.stack([value.to(trainer.device) for value in sums])


def learning_rate_at(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, then a cosine from `learning_rate` to `learning_rate_end`."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, settings.steps))))
    return warm * (settings.learning_rate_end + (settings.learning_rate - settings.learning_rate_end) * cosine)


def _log(trainer: Trainer, started: float) -> Metrics:
    """Closes a logging interval: the one place where the host waits for the device."""
    progress, preset, tally = trainer.progress, trainer.preset, trainer.tally
    assert tally.sums is not None
    loss, nll, kl, right, right_onsets, onsets, tokens = tally.sums.double().tolist()
    items = tally.steps * preset.train.batch_size
    trainer.tally = Tally()
    if not math.isfinite(loss):
        found = f"the loss became {loss} by step {progress.step}"
        raise SeqvaeError(f"{found}; lower train.learning_rate or set train.precision=fp32, and start again")
    return {
        "split": "train",
        "step": progress.step,
        "items": progress.step * preset.train.batch_size,
        "loss": loss / items,
        "recon_nll": nll / items,
        "kl": kl / items,
        "beta": objective.beta_at(progress.step - 1, preset.objective),
        "token_accuracy": right / tokens,
        "onset_accuracy": right_onsets / max(1.0, onsets),
        "learning_rate": learning_rate_at(progress.step - 1, preset.train),
        "items_per_second": items / max(1e-9, time.monotonic() - started),
        "seconds": progress.seconds,
    }


# -- validation ------------------------------------------------------------------------------------------------------


def validate(trainer: Trainer) -> Metrics:
    """The averaged weights on a fixed sample of the validation split (of train, if that split is empty)."""
    preset = trainer.preset
    split = "valid" if len(trainer.dataset.windows("valid")) else "train"
    windows = trainer.dataset.windows(split)
    rows = np.linspace(0, len(windows) - 1, min(len(windows), preset.train.valid_items)).round().astype(int)
    tokens = torch.from_numpy(windows[rows].astype(np.int64)).to(trainer.device)
    source = generator(trainer.device, trainer.seed, 2**32)
    onsets = torch.from_numpy(trainer.dataset.tokenizer.onset_mask).to(trainer.device)[tokens]
    vae = trainer.vae
    with _averaged_weights(trainer), torch.no_grad(), autocast(trainer.device, preset.train.precision):
        posterior = vae.encode(tokens)
        noise = torch.randn(posterior.mean.shape, generator=source, device=trainer.device)
        z = posterior.mean if preset.objective.autoencoder else posterior.draw(noise)
        logits = vae.logits(z, tokens)
        forced = vae.logits(posterior.mean, tokens).argmax(-1) == tokens
        free = vae.generate(posterior.mean) == tokens
    nll, kl = objective.reconstruction_nll(logits, tokens), posterior.kl()
    beta = 0.0 if preset.objective.autoencoder else preset.objective.beta
    return {
        "split": split,
        "step": trainer.progress.step,
        "loss": float(nll.mean() + beta * objective.penalised_kl(kl, preset.objective)),
        "recon_nll": float(nll.mean()),
        "kl": float(kl.sum(1).mean()),
        "token_accuracy": float(forced.float().mean()),
        "onset_accuracy": float(forced[onsets].float().mean()),
        "free_token_accuracy": float(free.float().mean()),
        "free_onset_accuracy": float(free[onsets].float().mean()),
        "exact_match": float(free.all(1).float().mean()),
        "active_units": int((posterior.mean.var(0, correction=0) >= 0.01).sum()),
        "kl_units": int((kl.mean(0) > 0.05).sum()),
        "items": len(tokens),
        "seconds": trainer.progress.seconds,
    }


def collapse_warning(metrics: Metrics) -> str:
    """In words, if the latent variable carries next to nothing; else ""."""
    if metrics["active_units"] and metrics["kl"] >= 1.0:
        return ""
    found = f"the posterior has collapsed: KL {metrics['kl']:.2f} nats, {metrics['active_units']} active units"
    return f"{found}; lower objective.beta, or give objective.free_nats, or a longer objective.schedule_steps"


class _averaged_weights:
    """Inside, the network has the averaged weights."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def __enter__(self) -> None:
        self.trainer.vae.eval()
        if self.trainer.preset.train.weight_average:
            self._swap()

    def __exit__(self, *_: object) -> None:
        self.trainer.vae.train()
        if self.trainer.preset.train.weight_average:
            self._swap()

    def _swap(self) -> None:
        for weight, average in zip(self.trainer.parameters, self.trainer.averaged, strict=True):
            weight.data, average.data = average.data, weight.data


def _validate_and_keep(trainer: Trainer, report: Report) -> Metrics:
    metrics = validate(trainer)
    progress = trainer.progress
    # β still rising changes what is learned, not how it is judged: the loss here is at the final β.
    if metrics["loss"] < progress.best_loss:
        progress.best_loss, progress.since_best = metrics["loss"], 0
        _keep(trainer)
    else:
        progress.since_best += 1
    _write_metrics(trainer, metrics, report)
    _save_last(trainer)
    return metrics


# -- files -----------------------------------------------------------------------------------------------------------


def _keep(trainer: Trainer) -> None:
    """Writes best.safetensors from the averaged weights, with the aggregate posterior's fit."""
    with _averaged_weights(trainer):
        weights = {name: array.cpu().numpy().copy() for name, array in trainer.vae.state_dict().items()}
        mean, covariance = aggregate_fit(trainer)
    progress, settings = trainer.progress, trainer.preset.train
    model = SavedModel(
        name=trainer.preset.name,
        preset=trainer.preset,
        weights=weights,
        aggregate_mean=mean,
        aggregate_covariance=covariance,
        licence=trainer.dataset.licence,
        provenance={
            "data": trainer.dataset.hash,
            "windows": len(trainer.dataset.windows("train")),
            "steps": progress.step,
            "items": progress.step * settings.batch_size,
            "seconds": round(progress.seconds, 1),
            "seed": trainer.seed,
            "device": machine(trainer.device),
            "torch": torch.__version__,
        },
    )
    save_model(trainer.run / BEST, model, overwrite=True)


def aggregate_fit(trainer: Trainer, items: int = 8192) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and covariance of the aggregate posterior over training windows: Cov(μ) + mean of diag σ²."""
    windows = trainer.dataset.windows("train")
    rows = np.linspace(0, len(windows) - 1, min(len(windows), items)).round().astype(int)
    means, variances = [], []
    with torch.no_grad(), autocast(trainer.device, trainer.preset.train.precision):
        for some in np.array_split(windows[rows], max(1, len(rows) // 512)):
            posterior = trainer.vae.encode(torch.from_numpy(some.astype(np.int64)).to(trainer.device))
            means.append(posterior.mean.double().cpu().numpy())
            variances.append(posterior.std.square().double().cpu().numpy())
    mean = np.concatenate(means)
    centred = mean - mean.mean(0)
    covariance = centred.T @ centred / len(mean) + np.diag(np.concatenate(variances).mean(0))
    return mean.mean(0).astype(np.float32), covariance.astype(np.float32)


def machine(device: torch.device) -> str:
    """The device in words, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.machine()}"


def _write_metrics(trainer: Trainer, metrics: Metrics, report: Report) -> None:
    with (trainer.run / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(metrics) + "\n")
    report(metrics)


def _trainer(
    preset: Preset, dataset: Dataset, run: Path, seed: int, device: torch.device, init: SavedModel | None
) -> Trainer:
    tokenizer = dataset.tokenizer
    if (tokenizer.vocab_size, tokenizer.length) != (preset.tokenizer.vocab_size, preset.tokenizer.length):
        found = f"{dataset.folder}: its windows have {tokenizer.length} steps of {tokenizer.vocab_size} tokens"
        wanted = f"preset {preset.name} has {preset.tokenizer.length} of {preset.tokenizer.vocab_size}"
        raise DataError(f"{found} and {wanted}; prepare with this preset, or train the one it was prepared for")
    torch.manual_seed(seed)  # the initial weights only; all later randomness is drawn from keyed generators
    vae = SequenceVAE(tokenizer.vocab_size, tokenizer.length, preset.model)
    if init is not None:
        load_weights(vae, init)
    vae.to(device).train()
    settings = preset.train
    return Trainer(
        preset=preset,
        dataset=dataset,
        run=run,
        seed=seed,
        device=device,
        vae=vae,
        averaged=[weight.detach().clone() for weight in vae.parameters()],
        optimizer=torch.optim.Adam(vae.parameters(), lr=settings.learning_rate, fused=True),
        sampler=Sampler(dataset.windows("train"), tokenizer.augmentations, settings.batch_size, seed),
        workers=Workers(settings.workers if device.type == "cpu" else 1),
    )


def load_weights(vae: SequenceVAE, saved: SavedModel) -> None:
    """Puts a model file's weights into a network. Raises `ModelError` if the shapes differ."""
    try:
        vae.load_state_dict({name: torch.from_numpy(np.asarray(a, np.float32)) for name, a in saved.weights.items()})
    except RuntimeError as error:
        reason = str(error).splitlines()[1 if "\n" in str(error) else 0].strip()
        raise ModelError(f"model {saved.name}: its weights do not fit the preset's network ({reason})") from None


def _save_last(trainer: Trainer) -> None:
    """Everything a resume needs, in one file, so that it is whole or not there."""
    arrays: dict[str, NDArray[Any]] = {}
    moments = trainer.optimizer.state_dict()["state"]
    for index, (weight, average) in enumerate(zip(trainer.parameters, trainer.averaged, strict=True)):
        arrays[f"weight.{index}"] = weight.detach().cpu().numpy()
        arrays[f"average.{index}"] = average.cpu().numpy()
        for name in ("exp_avg", "exp_avg_sq") if index in moments else ():
            arrays[f"{name}.{index}"] = moments[index][name].cpu().numpy()
    progress, tally = trainer.progress, trainer.tally
    if tally.sums is not None:
        arrays["tally"] = tally.sums.cpu().numpy()
    about = {
        "tally_steps": tally.steps,
        "step": progress.step,
        "sampler": list(progress.sampler or trainer.sampler.state),
        "best_loss": progress.best_loss if math.isfinite(progress.best_loss) else None,
        "since_best": progress.since_best,
        "seconds": progress.seconds,
        "seed": trainer.seed,
        "preset": trainer.preset.to_dict(),
        "data": trainer.dataset.hash,
        "folder": str(trainer.dataset.folder.absolute()),
    }
    write_arrays(trainer.run / LAST, arrays, about, overwrite=True)


def resumable(run: Path) -> tuple[Preset, int, Path]:
    """The preset, seed and dataset folder of a run that can go on. Raises `ModelError` if there is nothing to resume."""
    if not (run / LAST).is_file():
        raise ModelError(f"{run}: nothing to resume (no {LAST}); start it without --resume")
    _, about = read_arrays(run / LAST)
    return preset_from_dict(about["preset"], str(run)), int(about["seed"]), Path(about["folder"])


def _restore(trainer: Trainer) -> None:
    arrays, about = read_arrays(trainer.run / LAST)
    if about["data"] != trainer.dataset.hash:
        raise DataError(f"{trainer.run}: was trained on other data ({about['data']}, not {trainer.dataset.hash})")
    progress = trainer.progress
    progress.step, progress.seconds, progress.since_best = about["step"], about["seconds"], about["since_best"]
    progress.best_loss = math.inf if about["best_loss"] is None else about["best_loss"]
    seed, epoch, index = about["sampler"]
    progress.sampler = (seed, epoch, index)
    if "tally" in arrays:
        trainer.tally = Tally(sums=torch.from_numpy(arrays["tally"]).to(trainer.device), steps=about["tally_steps"])
    settings = trainer.preset.train
    trainer.sampler = Sampler(
        trainer.dataset.windows("train"),
        trainer.dataset.tokenizer.augmentations,
        settings.batch_size,
        trainer.seed,
        state=progress.sampler,
    )
    state = trainer.optimizer.state_dict()
    for index, weight in enumerate(trainer.parameters):
        weight.data = torch.from_numpy(arrays[f"weight.{index}"]).to(trainer.device)
        trainer.averaged[index] = torch.from_numpy(arrays[f"average.{index}"]).to(trainer.device)
        if progress.step:
            state["state"][index] = {
                "step": torch.tensor(float(progress.step), device=trainer.device),
                "exp_avg": torch.from_numpy(arrays[f"exp_avg.{index}"]),
                "exp_avg_sq": torch.from_numpy(arrays[f"exp_avg_sq.{index}"]),
            }
    trainer.optimizer.load_state_dict(state)
    # Lines after the saved step will be written again.
    lines = (trainer.run / METRICS).read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.startswith("{") and line.endswith("}") and json.loads(line)["step"] <= progress.step]
    write_atomic(trainer.run / METRICS, "".join(line + "\n" for line in kept).encode())


def to_toml(values: dict[str, Any]) -> str:
    """A preset's values as TOML: plain values first, then one table a section."""
    lines = [f"{key} = {_toml_value(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for section, inner in values.items():
        if isinstance(inner, dict):
            lines += ["", f"[{section}]", *(f"{key} = {_toml_value(value)}" for key, value in inner.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(each) for each in value) + "]"
    # JSON's numbers, booleans and strings are TOML's.
    return json.dumps(value)
