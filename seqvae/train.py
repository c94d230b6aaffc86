"""The training loop. What it does is a function of (preset, data, seed) alone, so a run resumes exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqvae import objective
from seqvae.checkpoint import SavedModel, load_model, save_model
from seqvae.config import ObjectiveSettings, Preset, TrainSettings, to_toml
from seqvae.dataset import Dataset
from seqvae.errors import SeqvaeError
from seqvae.files import write_atomic
from seqvae.run import (
    BEST,
    DECODER,
    METRICS,
    RECORD,
    Metrics,
    Run,
    Tally,
    keep,
    keep_for_now,
    restart_decoder,
    restore,
    save_last,
    start,
    write_metrics,
)
from seqvae.runtime import (
    autocast,
    choose_device,
    generator,
    is_device_failure,
    is_out_of_memory,
    single_threaded,
    stop_requests,
)
from seqvae.team import Team
from seqvae.validation import is_autoencoder, validate

SAVE_SECONDS = 120.0
"""How much work a kill may cost, at most."""

Report = Callable[[Metrics], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training ended: the run's folder, why it stopped, the last validation and a warning or ""."""

    run: Path
    reason: str
    metrics: Metrics
    warning: str


def train(
    preset: Preset,
    dataset: Dataset,
    folder: Path,
    *,
    seed: int,
    device: str = "auto",
    seconds: float | None = None,
    init: SavedModel | None = None,
    decoder: SavedModel | None = None,
    resume: bool = False,
    report: Report = lambda metrics: None,
    say: Callable[[str], None] = lambda words: None,
) -> Outcome:
    """Trains a model into a run folder. Started by torchrun, each process computes a part of every batch (`Team`).

    Args:
        preset: All settings. On resume those of the run go before.
        dataset: Prepared windows with the preset's tokenizer.
        folder: The run's, to write: preset.toml, metrics.jsonl, best.safetensors, last/.
        seed: Decides weights, order, variants and noise.
        device: As for `runtime.choose_device`.
        seconds: Stop in good order after so long.
        init: Start from this model's weights.
        decoder: The decoder starts as this model's, after pretraining if there is any; a language model's will do.
        resume: Go on where `last/` stands.
        report: Is given each line of metrics.jsonl as it is written.
        say: Is told in words what the user should know while it runs.

    Raises:
        DataError: The dataset's tokens are not the preset's, or it has no training window.
        ConfigError: Settings that do not go together (see `run.check_recipe`).
        ModelError: Nothing to resume, or `init` or `decoder` has other shapes, or `decoder` other tokens.
        WriteError: The run folder cannot be written.
        SeqvaeError: The loss is no number any more, a GPU has failed, or not even one item has room in its memory.
    """
    if resume and (folder / DECODER).is_file():
        decoder = load_model(folder / DECODER)
    place = choose_device(device)
    team = Team.join(place)
    run = start(preset, dataset, folder, int(team.agree(seed, place)), place, init, decoder, team)
    if resume:
        restore(run)
    elif run.team.leads:
        write_atomic(folder / "preset.toml", to_toml(run.preset.to_dict()).encode(), overwrite=True)
        write_atomic(folder / METRICS, b"", overwrite=True)
        for old in (BEST, RECORD, DECODER):
            (folder / old).unlink(missing_ok=True)
        if decoder is not None:
            save_model(folder / DECODER, decoder, overwrite=True)
        save_last(run)
    if init is not None and not resume:  # what it starts from is the first to beat
        with single_threaded():
            _validate_and_keep(run, report)
    try:
        with stop_requests() as asked, single_threaded():
            return _loop(run, seconds, asked, report, say)
    except RuntimeError as error:
        if not is_device_failure(error):
            raise
        found = f"{run.device} has failed ({str(error).splitlines()[0]})"
        kept = "what was trained up to two minutes ago is kept"
        raise SeqvaeError(f"{found}; {kept}: go on with --resume, on the CPU with --device cpu") from None
    finally:
        run.workers.close()
        run.team.leave()


def _loop(
    run: Run, seconds: float | None, asked: Callable[[], bool], report: Report, say: Callable[[str], None]
) -> Outcome:
    settings, progress = run.preset.train, run.progress
    started = saved = time.monotonic()
    before = progress.seconds
    logged = started
    reason = "all steps done"
    validation: Metrics = {}
    while progress.step < settings.steps:
        pieces = run.pieces
        run.tally.add(_step(run))
        if run.pieces > pieces:
            say(f"out of memory on {run.device}: batches are computed in {run.pieces} pieces from here on, added up")
        progress.step += 1
        progress.sampler = run.sampler.state
        now = time.monotonic()
        progress.seconds = before + now - started
        if progress.step % settings.log_every == 0 or progress.step == settings.steps:
            _tell(run, _log(run, logged), report)
            logged = now
        if progress.step % settings.validate_every == 0 or progress.step == settings.steps:
            validation = _validate_and_keep(run, report)
            if settings.patience and progress.since_best >= settings.patience:
                reason = f"no better validation in {settings.patience}"
                break
            if settings.decay == "plateau" and plateau_rate(progress.decays, settings) < settings.learning_rate_end:
                reason = "the learning rate is at its lowest"
                break
        if progress.step == settings.steps:
            break
        over = seconds is not None and now - started >= seconds
        # A team agrees only now and then: it would wait for its slowest member at every step.
        if run.team.size == 1 or progress.step % settings.log_every == 0:
            if run.team.any(over, run.device):
                reason = f"{seconds or 0:g} seconds are over"
                break
            if run.team.any(asked(), run.device):
                reason = "stopped on request"
                break
        if now - saved > SAVE_SECONDS:
            save_last(run)
            saved = now
    if not validation or validation["step"] != progress.step:
        # Cut short: what stands now ships if it is better.
        validation = validate(run)
        if run.team.leads and (validation["loss"] < progress.best_loss or not (run.folder / BEST).exists()):
            keep_for_now(run)
    save_last(run)
    codes = run.preset.model.z_size and not is_autoencoder(run)
    warning = collapse_warning(validation, run.preset.objective) if codes else ""
    return Outcome(run=run.folder, reason=reason, metrics=validation, warning=warning)


def _tell(run: Run, metrics: Metrics, report: Report) -> None:
    write_metrics(run, metrics)
    if run.team.leads:
        report(metrics)


# -- one step --------------------------------------------------------------------------------------------------------


def _step(run: Run) -> Tensor:
    """One update of the weights. Returns the sums of `_part`, on the device: nothing waits for it."""
    settings, step, aim = run.preset.train, run.progress.step, run.preset.objective
    if step and step == aim.pretraining_steps:
        restart_decoder(run)
    rng = np.random.default_rng((run.seed, step))
    tensors = [torch.from_numpy(array) for array in run.lessons.of(run.sampler.next().tokens, rng)]
    if run.device.type == "cuda":  # a copy from ordinary memory would wait for the device
        tensors = [tensor.pin_memory().to(run.device, non_blocking=True) for tensor in tensors]
    count = run.workers.count
    all_parts = [Portion(*some) for some in zip(*(t.tensor_split(count * run.team.size) for t in tensors), strict=True)]
    numbers = range(run.team.rank * count, (run.team.rank + 1) * count)
    parts = [all_parts[number] for number in numbers if len(all_parts[number].tokens)]
    shares = [len(part.tokens) / len(tensors[0]) for part in parts]
    results = _computed(run, parts, shares, numbers)
    # Summed in a fixed order: threads must not decide the last bit.
    gradients = [
        torch.stack(each).sum(0) if len(each) > 1 else each[0] for each in zip(*(r[0] for r in results), strict=True)
    ]
    *gradients, sums = run.team.sum([*gradients, torch.stack([result[1] for result in results]).sum(0)])
    still = set() if objective.decoder_moves(step, aim) else set(run.vae.decoder.parameters())
    for weight, gradient in zip(run.parameters, gradients, strict=True):
        weight.grad = None if weight in still else gradient
    torch.nn.utils.clip_grad_norm_(run.parameters, settings.clip_norm)
    rate = learning_rate_at(step, run.preset, run.progress.decays)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    if settings.weight_decay:
        matrices = [weight for weight in run.parameters if weight.dim() > 1 and weight not in still]
        with torch.no_grad():
            torch._foreach_mul_(matrices, 1.0 - rate * settings.weight_decay)
    run.optimizer.step()
    if settings.weight_average:
        # A young average would remember the random start: it grows into its decay.
        since = steps_since_start(step, aim)
        decay = min(settings.weight_average, (1 + since) / (10 + since))
        with torch.no_grad():
            torch._foreach_lerp_(run.averaged, run.parameters, 1 - decay)
    if aim.target_nats and not objective.is_pretraining(step, aim):
        run.beta = objective.held_beta(run.beta, sums[2] / len(tensors[0]), aim)
    return sums


def steps_since_start(step: int, settings: ObjectiveSettings) -> int:
    """Steps since the weights were new: since the first, or since the decoder started anew."""
    return step if objective.is_pretraining(step, settings) else step - settings.pretraining_steps


class Portion(NamedTuple):
    """A part of a batch on its device; see `Lesson`."""

    tokens: Tensor
    read: Tensor
    targets: Tensor
    given: Tensor


def _computed(
    run: Run, parts: list[Portion], shares: list[float], numbers: range
) -> list[tuple[Sequence[Tensor], Tensor]]:
    """`_part` of each part, in more pieces where the memory has no room, until not even one item has."""
    while True:
        try:
            return run.workers.map(lambda *given: _in_pieces(run, *given), parts, shares, numbers[: len(parts)])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if run.pieces >= max(len(part.tokens) for part in parts):
            found = f"out of memory on {run.device}, with one item at a time"
            fewer = "fewer objective.importance_samples, " * (run.preset.objective.importance_samples > 1)
            raise SeqvaeError(f"{found}; train with {fewer}a smaller model.decoder_sizes, or on another device")
        run.pieces *= 2
        torch.cuda.empty_cache()


def _in_pieces(run: Run, portion: Portion, share: float, number: int) -> tuple[Sequence[Tensor], Tensor]:
    """`_part` of a portion, its pieces one after the other, gradients added up: the same step in less memory.

    But for noise, of which each piece has its own, and free nats of a batch's mean, which become those of a piece's.
    """
    if run.pieces == 1:
        return _part(run, portion, share, number)
    pieces = [Portion(*some) for some in zip(*(each.tensor_split(run.pieces) for each in portion), strict=True)]
    total: list[Tensor] = []
    for index, piece in enumerate(pieces):
        if not len(piece.tokens):
            continue
        part_of_it = share * len(piece.tokens) / len(portion.tokens)
        gradients, sums = _part(run, piece, part_of_it, number * run.pieces + index)
        if total:
            torch._foreach_add_(total, [*gradients, sums])
        else:
            total = [*gradients, sums]
    return total[:-1], total[-1]


def _part(run: Run, portion: Portion, share: float, number: int) -> tuple[Sequence[Tensor], Tensor]:
    """Gradients of one part of the batch, weighted by its share, and its sums for the log."""
    tokens, read, targets, given = portion
    settings, step = run.preset.objective, run.progress.step
    vae, source = run.vae, generator(run.device, run.seed, step, number)
    with autocast(run.device, run.preset.train.precision):
        posterior = vae.encode(objective.add_noise(read, settings.input_noise, vae.alphabet, source), source)
        wanted = objective.with_attributes(posterior, targets, given)
        plain_code = settings.autoencoder or objective.is_pretraining(step, settings)
        samples = 1 if plain_code else settings.importance_samples
        noise = torch.randn((samples, *posterior.mean.shape), generator=source, device=run.device)
        z = wanted.mean if plain_code else wanted.draw(noise).flatten(0, 1)
        sampled = objective.sampling_share(step, run.preset.train.steps, settings)
        first = z[: len(tokens)]
        inputs = vae.scheduled_inputs(first, tokens, sampled, source) if sampled else vae.decoder.inputs(tokens)
        start = vae.decoder.embedding.start
        inputs = objective.drop_tokens(inputs, settings.word_dropout, start, vae.controls, source)
        nll, right = vae.score(z, tokens, inputs, source)
    plain, beta = ~given, beta_of(run, step)
    share_plain = plain.float().mean()
    kl = posterior.kl()
    cost = objective.bound_without_kl(nll, posterior.log_ratio(noise), kl, beta)
    loss = cost.mean() + (objective.attribute_cost(first, targets, settings) * plain).mean()
    kl = kl[plain] if settings.edited else kl  # to choose rows waits for the device
    if not plain_code and len(kl):
        loss = loss + beta * objective.penalised_kl(kl, settings) * share_plain
    gradients = torch.autograd.grad(loss * share, run.parameters, allow_unused=True)
    gradients = tuple(torch.zeros_like(w) if g is None else g for g, w in zip(gradients, run.parameters, strict=True))
    with torch.no_grad():
        counted, onsets = run.counted(tokens)
        counts = [(right & counted).sum(), (right & onsets).sum(), onsets.sum(), counted.sum()]
        sums = [loss.detach() * len(tokens), nll.mean(0).sum(), kl.sum() / share_plain.clamp(min=1e-6)]
        sums += [count.float() for count in counts]
    return gradients, torch.stack(sums)


def beta_of(run: Run, step: int) -> Tensor | float:
    """β at a step: of the schedule, or as it stands where a KL is held, which pretraining does not."""
    settings = run.preset.objective
    held = settings.target_nats and not objective.is_pretraining(step, settings)
    return run.beta if held else objective.beta_at(step, settings)


def learning_rate_at(step: int, preset: Preset, decays: int = 0) -> float:
    """Linear warm-up from every start (see `steps_since_start`), then as `TrainSettings.decay` says.

    Pretraining has no decay: it ends at the rate at which the decoder begins.
    """
    settings, since = preset.train, steps_since_start(step, preset.objective)
    warm = min(1.0, (since + 1) / max(1, settings.warmup_steps))
    if settings.decay == "plateau":
        return warm * plateau_rate(decays, settings)
    if objective.is_pretraining(step, preset.objective):
        return warm * settings.learning_rate
    steps = settings.steps - preset.objective.pretraining_steps
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, since / max(1, steps))))
    return warm * (settings.learning_rate_end + (settings.learning_rate - settings.learning_rate_end) * cosine)


def plateau_rate(decays: int, settings: TrainSettings) -> float:
    """The learning rate after so many decays on a plateau."""
    return settings.learning_rate * settings.plateau_factor**decays


def _log(run: Run, started: float) -> Metrics:
    """Closes a logging interval: the one place where the host waits for the device."""
    progress, preset, tally = run.progress, run.preset, run.tally
    assert tally.sums is not None
    loss, nll, kl, right, right_onsets, onsets, tokens = tally.sums.double().tolist()
    items = tally.steps * preset.train.batch_size
    run.tally = Tally()
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
        "beta": float(beta_of(run, progress.step - 1)),
        "token_accuracy": right / max(1.0, tokens),
        "onset_accuracy": right_onsets / max(1.0, onsets),
        "learning_rate": learning_rate_at(progress.step - 1, preset, progress.decays),
        "items_per_second": items / max(1e-9, time.monotonic() - started),
        "seconds": progress.seconds,
    }


def collapse_warning(metrics: Metrics, settings: ObjectiveSettings) -> str:
    """In words, with what to change, if the latent variable carries next to nothing; else ""."""
    if metrics["active_units"] and metrics["kl"] >= 1.0:
        return ""
    found = f"the posterior has collapsed: KL {metrics['kl']:.2f} nats, {metrics['active_units']} active units"
    change = "model.mean_scale or objective.free_nats (a least KL), objective.target_nats (a held one)"
    first = "objective.pretraining_steps (an encoder that knows something first)"
    lower = f"or lower objective.beta from {settings.beta:g}"
    return f"{found}, so a sequence hardly depends on z; set {change}, {first}, {lower}: see docs/training.md"


def _validate_and_keep(run: Run, report: Report) -> Metrics:
    metrics = validate(run)
    metrics["loss"] = run.team.agree(metrics["loss"], run.device)
    progress = run.progress
    # β still rising changes what is learned, not how it is judged: the loss here is at the final β.
    if metrics["loss"] < progress.best_loss:
        progress.best_loss, progress.since_best, progress.since_decay = metrics["loss"], 0, 0
        keep(run)
    elif not objective.is_pretraining(progress.step - 1, run.preset.objective):  # which is as long as asked for
        progress.since_best += 1
        progress.since_decay += 1
        if progress.since_decay >= run.preset.train.plateau_validations:
            progress.decays, progress.since_decay = progress.decays + 1, 0
    _tell(run, metrics, report)
    save_last(run)
    return metrics
