"""The report card of a model: all measures on one set of windows, each with unit, count, split and seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.evaluate import likelihood, music, space, text
from seqvae.evaluate.amounts import IW_ITEMS, SAMPLES
from seqvae.evaluate.bench import Bench, Valid
from seqvae.evaluate.control import measure_control
from seqvae.evaluate.figures import Card
from seqvae.evaluate.groove import groove_errors
from seqvae.evaluate.ngram import Judge
from seqvae.evaluate.reconstruction import accuracy, part_accuracies
from seqvae.evaluate.samples import measure_samples
from seqvae.latent import Z, slerp
from seqvae.tokenizers import GrooveTokenizer, Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

CONTINUITY_LENGTHS = (0.25, 0.5, 1.0)
PATH_STEPS = 9
FEWEST_TO_JUDGE = 32  # items below which active units and mutual information say nothing of collapse


def report_card(
    model: Model,
    windows: NDArray[np.integer[Any]],
    *,
    data: str = "windows",
    split: str = "test",
    seed: int = 0,
    train_windows: NDArray[np.integer[Any]] | None = None,
    iw_samples: int = 100,
    iw_items: int | None = None,
    samples: int | None = None,
    pairs: int = 256,
    temperature: float = 0.0,
    valid: Valid | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Card:
    """Measures a model.

    Args:
        model: The model.
        windows: (n, time) or (n, time, part) tokens, not of the training set: leave out those that also occur there.
        data: What they are, in words.
        split: Which set, for the figures.
        seed: Decides all that is drawn.
        train_windows: (m, time) or (m, time, part); with them, copies among the samples are counted and an n-gram
            model judges samples and paths.
        iw_samples: K of iw_nll; 0 leaves it out.
        iw_items: iw_nll is measured on so many items; None goes by their length (see `amounts`).
        samples: Of each prior; 0 leaves them out, None goes by their length.
        pairs: Paths, and items whose neighbourhood is looked at; 0 leaves both out.
        temperature: Of the prior samples.
        valid: Whether an item is as it should be, by a rule of its own kind; the share of such samples is a figure.
        progress: Is told what is being measured.

    Raises:
        DataError: There is no window, or it is of another kind than the model's.

    Example:
        >>> card = report_card(model, dataset.windows("test"))                                 # doctest: +SKIP
        >>> card["free_token_accuracy"]                                                        # doctest: +SKIP
        0.95
    """
    if not len(windows):
        raise DataError("there is no window to evaluate on; give files with at least one window of the model's length")
    tokens = np.asarray(windows, np.int64)
    progress("reconstruction")
    means, stds = model.posterior(tokens)
    bench = Bench(
        model=model,
        windows=tokens,
        means=means,
        stds=stds,
        split=split,
        seed=seed,
        temperature=temperature,
        valid=valid,
    )
    _reconstruction(bench)
    progress("likelihood")
    _likelihood(bench, iw_samples, IW_ITEMS.of(model.tokenizer) if iw_items is None else iw_items)
    progress("latent use")
    _latent_use(bench)
    if samples != 0 and bench.compares:
        progress("prior samples")
        measure_samples(bench, samples or SAMPLES.of(model.tokenizer), train_windows)
    if pairs and bench.compares:
        progress("continuity")
        _continuity(bench, pairs)
        progress("interpolation")
        _interpolation(bench, pairs, train_windows)
    if any(part.given for part in bench.alphabet.parts):
        progress("control")
        measure_control(bench)
    return Card(
        model=model.name,
        model_hash=model.hash,
        data=data,
        temperature=temperature,
        figures=tuple(bench.figures),
        verdicts=_verdicts(bench),
    )


# -- the sections ----------------------------------------------------------------------------------------------------


def _reconstruction(bench: Bench) -> None:
    mask, alphabet, event = bench.model.tokenizer.onset_mask, bench.alphabet, bench.event
    forced = likelihood.teacher_forced(bench.model, bench.means, bench.windows).predicted
    free = bench.decode(bench.means, bench.windows)
    for key, predicted, how in (("forced", forced, "teacher-forced"), ("free", free, "free-running")):

        def note(name: str, value: float, what: str, key: str = key, how: str = how) -> None:
            bench.note("reconstruction", f"{key}_{name}", value, "share", f"{what}, {how}")

        found = accuracy(bench.windows, predicted, mask, alphabet)
        note("token_accuracy", found.tokens, "token accuracy")
        note("onset_accuracy", found.onsets, f"{event} accuracy")
        note("onset_precision", found.onset_precision, f"{event} precision")
        note("onset_f1", found.onset_f1, f"{event} F1")
        for name, part in part_accuracies(bench.windows, predicted, mask, alphabet).items():
            note(f"token_accuracy:{name}", part.tokens, f"{name}: token accuracy")
            note(f"onset_accuracy:{name}", part.onsets, f"{name}: onset accuracy")
            note(f"onset_f1:{name}", part.onset_f1, f"{name}: onset F1")
    bench.note("reconstruction", "exact_match", found.exact_match, "share", "exact match, free-running")
    if isinstance(bench.model.tokenizer, GrooveTokenizer):
        _performance(bench, bench.model.tokenizer, free)
    elif bench.is_music:
        _notes(bench, free)
    elif isinstance(bench.originals[0], str):
        _words(bench, free)


def _notes(bench: Bench, free: Tokens) -> None:
    """Notes against notes, on the grid."""
    copies = bench.items(free)
    kinds = [("", False, "onset, pitch")]
    if any(not track.is_drum for track in bench.originals[0].tracks):  # a drum has no end
        kinds.append(("_offset", True, "onset, pitch, offset"))
    for key, with_offsets, what in kinds:
        score = music.note_score(bench.originals, copies, with_offsets=with_offsets)
        bench.note("reconstruction", f"note_f1{key}", score.f1, "share", f"note F1 ({what}), free-running")


def _performance(bench: Bench, tokenizer: GrooveTokenizer, free: Tokens) -> None:
    """How loud and how late hits are, beside the same hits played straight."""
    straight = tokenizer.straight(bench.windows, round(_mean_loudness(tokenizer, bench.windows)))
    for key, played, how in (("free", free, "free-running"), ("straight", straight, "hits straight and equally loud")):
        found = groove_errors(tokenizer, played, bench.windows)
        for name, value, unit, what in (
            ("velocity_error", found.velocity, "velocity", "velocity error of hits in both"),
            ("timing_error", found.timing_steps, "steps", "timing error of hits in both"),
        ):
            bench.note("reconstruction", f"{key}_{name}", value, unit, f"{what}, {how}")


def _mean_loudness(tokenizer: GrooveTokenizer, windows: Tokens) -> float:
    loud = windows[..., tokenizer.loudness]
    return float(loud[loud > 0].mean()) if loud.any() else 0.0


def _words(bench: Bench, free: Tokens) -> None:
    """Words against words; not where items have too few of them."""
    copies = bench.items(free)
    bleu, first = text.corpus_bleu(bench.originals, copies), text.first_words_match(bench.originals, copies)
    bench.note("reconstruction", "bleu", bleu, "BLEU", "BLEU-4 of the corpus, free-running")
    bench.note("reconstruction", "first_words", first, "share", "first three words match, free-running")


def _likelihood(bench: Bench, iw_samples: int, iw_items: int) -> None:
    rng = bench.rng("likelihood")
    z = bench.means + bench.stds * rng.standard_normal(bench.means.shape, np.float32)
    nll = likelihood.teacher_forced(bench.model, z, bench.windows).nll
    kl = space.gaussian_kl(bench.means, bench.stds).sum(axis=1)
    bench.note("likelihood", "recon_nll", nll.mean(), "nats", "reconstruction NLL, a sequence")
    bench.note("likelihood", "kl", kl.mean(), "nats", "KL, a sequence")
    bench.note("likelihood", "kl_bits", kl.mean() / math.log(2), "bits", "KL, a sequence")
    bench.note("likelihood", "negative_elbo", nll.mean() + kl.mean(), "nats", "−ELBO, a sequence")
    _perplexity(bench, "negative_elbo", "by −ELBO", nll + kl, bench.windows)
    if iw_samples:
        rows = np.sort(rng.permutation(len(bench.windows))[:iw_items])
        values = likelihood.iw_nll(
            bench.model, bench.windows[rows], bench.means[rows], bench.stds[rows], samples=iw_samples, rng=rng
        )
        what = f"importance-weighted NLL, K = {iw_samples}"
        bench.note("likelihood", "iw_nll", values.mean(), "nats", f"{what}, a sequence", n=len(rows))
        _perplexity(bench, "iw", f"by {what}", values, bench.windows[rows])


def _perplexity(bench: Bench, key: str, how: str, nll: NDArray[np.float64], tokens: Tokens) -> None:
    """Of a token, the end token counted; only of sequences that have one."""
    if bench.alphabet.end is not None:
        value = float(np.exp(nll.sum() / bench.alphabet.lengths(tokens).sum()))
        what = f"perplexity {how} (end tokens counted)"
        bench.note("likelihood", f"{key}_perplexity", value, "perplexity", what, n=len(tokens))


def _latent_use(bench: Bench) -> None:
    kl = float(space.gaussian_kl(bench.means, bench.stds).sum(axis=1).mean())
    mi = space.mutual_information(bench.means, bench.stds, bench.rng("latent use"))
    size = bench.model.z_size
    active, used = space.active_units(bench.means), space.kl_units(bench.means, bench.stds)
    bench.note("latent use", "active_units", active, "dimensions", f"active units of {size} (variance of μ ≥ 0.01)")
    bench.note("latent use", "kl_units", used, "dimensions", f"of {size} with a mean KL over 0.05 nat")
    bench.note("latent use", "mutual_information", mi, "nats", "mutual information of x and z")
    bench.note("latent use", "mutual_information_ceiling", math.log(len(bench.windows)), "nats", "its ceiling, ln n")
    bench.note("latent use", "marginal_kl", kl - mi, "nats", "marginal KL (KL − mutual information)")


def _continuity(bench: Bench, count: int) -> None:
    rng = bench.rng("continuity")
    rows = np.sort(rng.permutation(len(bench.windows))[:count])

    def decode(z: Z) -> Tokens:
        return space.comparable(bench.decode(z, bench.windows[rows]), bench.alphabet)

    for length in CONTINUITY_LENGTHS:
        moved = space.continuity(decode, bench.means[rows], length, rng, bench.alphabet.end)
        what = f"edit distance between decode(μ) and decode(μ + ε), |ε| = {length:g}"
        bench.note("continuity", f"continuity_{length:g}", moved, "distance", what, len(rows))


def _interpolation(bench: Bench, count: int, train: NDArray[np.integer[Any]] | None) -> None:
    """Paths between pairs of items, beside naive blending of their tokens."""
    rng = bench.rng("interpolation")
    order = rng.permutation(len(bench.windows))
    half = min(count, len(order) // 2)
    a, b = order[:half], order[half : 2 * half]
    windows = space.comparable(bench.windows, bench.alphabet)
    differ = (windows[a] != windows[b]).any(axis=tuple(range(1, windows.ndim)))
    a, b = a[differ], b[differ]
    if not len(a):
        return
    paths = _paths(bench, a, b)
    blends = space.blend(bench.windows[a], bench.windows[b], PATH_STEPS, rng)
    blends = bench.model.tokenizer.canonical(blends.reshape(-1, *paths.shape[2:])).reshape(paths.shape)
    judge = None if train is None else Judge.fit(train, bench.alphabet, rng)
    apart = float(space.edit_distances(windows[a], windows[b], bench.alphabet.end).mean())
    bench.note("interpolation", "pair_distance", apart, "distance", "from A to B", len(a))
    for key, tried, name in (("path", paths, "path"), ("blend", blends, "naive blending")):
        found = space.path_quality(space.comparable(tried, bench.alphabet), windows[a], windows[b], bench.alphabet.end)
        _note_path(bench, key, name, found, len(a))
        if judge is not None:
            what = f"{name}: 4-gram cost, middle to ends"
            bench.note("interpolation", f"{key}_middle_cost", _middle_cost(judge, tried), "ratio", what, len(a))


def _paths(bench: Bench, a: NDArray[np.int64], b: NDArray[np.int64]) -> Tokens:
    """Decoded paths between windows a and b, int64 (pairs, steps, time[, part]).

    A's controls hold for the first half of the steps and B's from there, as `interpolate` does.
    """
    z = slerp(bench.means[a], bench.means[b], PATH_STEPS).swapaxes(0, 1)
    nearer = np.where(np.linspace(0.0, 1.0, PATH_STEPS) < 0.5, a[:, None], b[:, None])
    decoded = bench.decode(z.reshape(-1, z.shape[-1]), bench.windows[nearer.ravel()])
    return decoded.reshape(len(a), PATH_STEPS, *decoded.shape[1:])


def _middle_cost(judge: Judge, tried: Tokens) -> float:
    """Nats a step of the middles over those of the ends: paths (pairs, steps, time[, part])."""
    flat = tried.reshape(-1, *tried.shape[2:])
    nats, steps = (
        found.reshape(len(tried), -1).sum(axis=0) for found in (judge.nll(flat), judge.alphabet.lengths(flat))
    )
    cost = nats / steps
    return float(cost[PATH_STEPS // 2] / cost[[0, -1]].mean())


def _note_path(bench: Bench, key: str, name: str, found: space.PathQuality, n: int) -> None:
    def note(suffix: str, value: float, unit: str, what: str) -> None:
        bench.note("interpolation", f"{key}_{suffix}", value, unit, f"{name}: {what}", n)

    middle = PATH_STEPS // 2
    note("spearman", found.spearman, "correlation", "steps lead from A to B (Spearman)")
    note("middle_to_a", float(found.to_start[middle]), "distance", "from the middle to A")
    note("middle_to_b", float(found.to_end[middle]), "distance", "from the middle to B")
    note("largest_step", found.largest_step, "share", f"largest step over the sum ({1 / (PATH_STEPS - 1):.3g} at best)")
    note("distinct_steps", found.distinct_steps, "share", f"distinct of {PATH_STEPS} steps")
    note("exact_ends", found.exact_ends, "share", "ends are A and B exactly")


# -- in words --------------------------------------------------------------------------------------------------------


def _verdicts(bench: Bench) -> tuple[str, ...]:
    figures = {figure.name: figure.value for figure in bench.figures}
    count, size = len(bench.windows), bench.model.z_size
    active, mi, ceiling = figures["active_units"], figures["mutual_information"], math.log(count)
    said = []
    if count < FEWEST_TO_JUDGE:
        said.append(f"{count} items are too few to judge the latent space; give {FEWEST_TO_JUDGE} or more")
    elif active == 0 or mi < 0.1:
        said.append(
            f"the posterior has collapsed: z tells {mi:.2f} nats of its input, {active:.0f} of {size} dimensions vary: "
            "decoding ignores it. Lower objective.beta, or raise it from 0 over more steps (objective.schedule_steps), "
            "or give objective.free_nats; or train with objective.autoencoder=true first and go on with --init"
        )
    elif active < size / 4:
        said.append(
            f"{active:.0f} of {size} dimensions are used; a model with a smaller model.z_size would do the same"
        )
    if count >= FEWEST_TO_JUDGE and mi > ceiling - 0.1:
        said.append(
            f"mutual information is at its ceiling ln {count} = {ceiling:.2f} nats: it is at least that, and the "
            "marginal KL at most what stands here; more items would tell"
        )
    if figures.get("aggregate_nonempty", 1.0) < 1.0:
        said.append(
            "some samples of the aggregate prior are empty; a higher objective.beta makes the space more complete"
        )
    return tuple(said)
