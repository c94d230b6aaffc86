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
from seqvae.evaluate.holes import measure_holes, say_holes
from seqvae.evaluate.interpolation import check_autoencoder, measure_interpolation
from seqvae.evaluate.reconstruction import accuracy, part_accuracies
from seqvae.evaluate.samples import measure_samples
from seqvae.latent import AggregatePosterior, Z
from seqvae.tokenizers import GrooveTokenizer, Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

CONTINUITY_LENGTHS = (0.25, 0.5, 1.0)
FEWEST_TO_JUDGE = 32  # items below which active units and mutual information say nothing of collapse

AGAINST_COLLAPSE = (
    "train an autoencoder first (objective.pretraining_steps), give nats free (objective.free_nats=0.25 with "
    "objective.free_mode=per_dim_batch), fix the spread of the means (model.mean_scale=0.7), hold the KL where you "
    "want it (objective.target_nats), or lower objective.beta"
)


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
    iw_width: float = 1.0,
    samples: int | None = None,
    pairs: int = 256,
    temperature: float = 0.0,
    valid: Valid | None = None,
    autoencoder: Model | None = None,
    progress: Callable[[str], None] = lambda stage: None,
    watch: Callable[[float], None] = lambda share: None,
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
        iw_width: Importance samples are drawn from q with its standard deviations times this. The bound holds for any;
            it is tighter where q, as free nats leave it, is narrower than the true posterior. Choose it on other items.
        samples: Of each prior; 0 leaves them out, None goes by their length.
        pairs: Paths, and items whose neighbourhood is looked at; 0 leaves both out.
        temperature: Of the prior samples.
        valid: Whether an item is as it should be, by a rule of its own kind; the share of such samples is a figure.
        autoencoder: A model with the same tokenizer, trained with objective.autoencoder=true: a control of the paths.
        progress: Is told what is being measured.
        watch: Is told the share of the importance samples that is done, from 0 to 1.

    Raises:
        DataError: There is no window, it is of another kind than the model's, or `iw_width` is not above 0.
        ModelError: The autoencoder has another tokenizer, or is none.

    Example:
        >>> card = report_card(model, dataset.windows("test"))                                 # doctest: +SKIP
        >>> card["free_token_accuracy"]                                                        # doctest: +SKIP
        0.95
    """
    if not len(windows):
        raise DataError("there is no window to evaluate on; give files with at least one window of the model's length")
    if not 0.0 < iw_width < math.inf:
        raise DataError(f"the width of the importance samples is {iw_width:g}; give a number above 0, 1 for q as it is")
    if autoencoder is not None:
        check_autoencoder(model, autoencoder)
    tokens = np.asarray(windows, np.int64)
    progress("reconstruction" if model.z_size else "likelihood")
    means, stds = model.posterior(tokens) if model.z_size else np.zeros((2, len(tokens), 0), np.float32)
    bench = Bench(
        model=model,
        windows=tokens,
        means=means,
        stds=stds,
        split=split,
        seed=seed,
        temperature=temperature,
        valid=valid,
        train=train_windows,
    )
    if not model.z_size:
        _language_model(bench)
        return _card(bench, data)
    _reconstruction(bench)
    progress("likelihood")
    rng = bench.rng("likelihood")
    _likelihood(bench, rng)
    if iw_samples:
        items = IW_ITEMS.of(model.tokenizer) if iw_items is None else iw_items
        _importance(bench, iw_samples, items, iw_width, rng, watch)
    progress("latent use")
    _latent_use(bench)
    if samples != 0 and bench.compares:
        progress("prior samples")
        measure_samples(bench, samples or SAMPLES.of(model.tokenizer))
    if pairs and bench.compares:
        progress("continuity")
        _continuity(bench, pairs)
        progress("interpolation")
        measure_interpolation(bench, pairs, autoencoder)
    if any(part.given for part in bench.alphabet.parts):
        progress("control")
        measure_control(bench)
    return _card(bench, data)


def _card(bench: Bench, data: str) -> Card:
    return Card(
        model=bench.model.name,
        model_hash=bench.model.hash,
        data=data,
        temperature=bench.temperature,
        figures=tuple(bench.figures),
        verdicts=_verdicts(bench) if bench.model.z_size else (),
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


def _language_model(bench: Bench) -> None:
    """Without a z the likelihood is exact, and there is nothing to reconstruct from."""
    forced = likelihood.teacher_forced(bench.model, bench.means, bench.windows)
    found = accuracy(bench.windows, forced.predicted, bench.model.tokenizer.onset_mask, bench.alphabet)
    bench.note("likelihood", "forced_token_accuracy", found.tokens, "share", "token accuracy, teacher-forced")
    _tokens(bench)
    bench.note("likelihood", "nll", forced.nll.mean(), "nats", "NLL, exact, a sequence")
    _perplexity(bench, "perplexity", "exact", forced.nll, bench.windows)


def _likelihood(bench: Bench, rng: np.random.Generator) -> None:
    z = bench.means + bench.stds * rng.standard_normal(bench.means.shape, np.float32)
    nll = likelihood.teacher_forced(bench.model, z, bench.windows).nll
    kl = space.gaussian_kl(bench.means, bench.stds).sum(axis=1)
    to_aggregate = bench.model.aggregate.kl_from(bench.means, bench.stds)
    _tokens(bench)
    bench.note("likelihood", "recon_nll", nll.mean(), "nats", "reconstruction NLL, a sequence")
    bench.note("likelihood", "kl", kl.mean(), "nats", "KL, a sequence")
    bench.note("likelihood", "kl_bits", kl.mean() / math.log(2), "bits", "KL, a sequence")
    bench.note("likelihood", "negative_elbo", nll.mean() + kl.mean(), "nats", "−ELBO, a sequence")
    _perplexity(bench, "negative_elbo_perplexity", "by −ELBO", nll + kl, bench.windows)
    bound = nll + to_aggregate
    bench.note(
        "likelihood", "aggregate_negative_elbo", bound.mean(), "nats", "−ELBO with the aggregate prior, a sequence"
    )
    _perplexity(bench, "aggregate_negative_elbo_perplexity", "by −ELBO with the aggregate prior", bound, bench.windows)


def _importance(
    bench: Bench, samples: int, items: int, width: float, rng: np.random.Generator, watch: Callable[[float], None]
) -> None:
    rows = np.sort(rng.permutation(len(bench.windows))[:items])
    tokens, means, stds = bench.windows[rows], bench.means[rows], bench.stds[rows] * np.float32(width)
    priors = AggregatePosterior.standard(means.shape[1]), bench.model.aggregate
    found = likelihood.iw_bounds(bench.model, tokens, means, stds, priors=priors, samples=samples, rng=rng, watch=watch)
    bench.note("likelihood", "iw_samples", samples, "samples", "importance samples of an item, K", n=len(rows))
    if width != 1.0:
        bench.note("likelihood", "iw_width", width, "times", "their width, in standard deviations of q", n=len(rows))
    for values, start, end in zip(found, ("", "aggregate_"), ("", " and the aggregate prior"), strict=True):
        what = f"importance-weighted NLL, K = {samples}{end}"
        bench.note("likelihood", f"{start}iw_nll", values.mean(), "nats", f"{what}, a sequence", n=len(rows))
        _perplexity(bench, f"{start}iw_perplexity", f"by {what}", values, tokens)


def _tokens(bench: Bench) -> None:
    """How many tokens the likelihoods sum up, of all parts that are not given."""
    parts = sum(not part.given for part in bench.alphabet.parts)
    count = int(bench.alphabet.lengths(bench.windows).sum()) * parts
    ends = "" if bench.alphabet.end is None else ", end tokens among them"
    bench.note("likelihood", "tokens", count, "tokens", f"tokens counted{ends}")


def _perplexity(bench: Bench, name: str, how: str, nll: NDArray[np.float64], tokens: Tokens) -> None:
    """Of a token, the end token counted; only of sequences that have one."""
    if bench.alphabet.end is not None:
        value = float(np.exp(nll.sum() / bench.alphabet.lengths(tokens).sum()))
        bench.note("likelihood", name, value, "perplexity", f"perplexity {how} (end tokens counted)", n=len(tokens))


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
    measure_holes(bench)


def _continuity(bench: Bench, count: int) -> None:
    rng = bench.rng("continuity")
    rows = np.sort(rng.permutation(len(bench.windows))[:count])

    def decode(z: Z) -> Tokens:
        return space.comparable(bench.decode(z, bench.windows[rows]), bench.alphabet)

    for length in CONTINUITY_LENGTHS:
        moved = space.continuity(decode, bench.means[rows], length, rng, bench.alphabet.end)
        what = f"edit distance between decode(μ) and decode(μ + ε), |ε| = {length:g}"
        bench.note("continuity", f"continuity_{length:g}", moved, "distance", what, len(rows))


# -- in words --------------------------------------------------------------------------------------------------------


def _verdicts(bench: Bench) -> tuple[str, ...]:
    figures = {figure.name: figure.value for figure in bench.figures}
    count, size = len(bench.windows), bench.model.z_size
    mi, ceiling = figures["mutual_information"], math.log(count)
    active, used = figures["active_units"], figures["kl_units"]
    said = []
    if count < FEWEST_TO_JUDGE:
        said.append(f"{count} items are too few to judge the latent space; give {FEWEST_TO_JUDGE} or more")
    elif active == 0 or mi < 0.1:
        said.append(
            f"the posterior has collapsed: z tells {mi:.2f} nats of its input, {active:.0f} of {size} dimensions vary: "
            f"decoding ignores it. {AGAINST_COLLAPSE}"
        )
    elif min(active, used) < size / 4:
        said.append(
            f"the posterior has collapsed in part: {min(active, used):.0f} of {size} dimensions are used, the others "
            f"repeat the prior. A smaller model.z_size would do the same; for more of them: {AGAINST_COLLAPSE}"
        )
    if count >= FEWEST_TO_JUDGE and mi > ceiling - 0.1:
        said.append(
            f"mutual information is at its ceiling ln {count} = {ceiling:.2f} nats: it is at least that, and the "
            "marginal KL at most what stands here; more items would tell"
        )
    if count >= FEWEST_TO_JUDGE:
        said += say_holes(figures)
    if figures.get("aggregate_nonempty", 1.0) < 1.0:
        said.append(
            "some samples of the aggregate prior are empty; a higher objective.beta makes the space more complete"
        )
    return tuple(said)
