"""The report card of a model: all measures on one set of windows, each with unit, count, split and seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip
from seqvae.errors import DataError
from seqvae.evaluate import likelihood, music, space
from seqvae.evaluate.ngram import NGram
from seqvae.evaluate.reconstruction import accuracy
from seqvae.latent import Z, slerp
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model, Prior

Section = Literal["reconstruction", "likelihood", "latent use", "prior samples", "continuity", "interpolation"]

CONTINUITY_LENGTHS = (0.25, 0.5, 1.0)
PATH_STEPS = 9
SEED_CHECKS = 8
FEWEST_TO_JUDGE = 32  # items below which active units and mutual information say nothing of collapse
NGRAM_WINDOWS = 50_000


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        name: Its key in JSON.
        section: Where it stands in the table.
        what: What it is, in words.
        value: The number.
        unit: `share`, `nats`, `bits`, `dimensions`, `ratio`, `correlation` or `distance`.
        n: Over how many items.
        split: Of which set they are.
        seed: Of all that was drawn for it.
    """

    name: str
    section: Section
    what: str
    value: float
    unit: str
    n: int
    split: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Card:
    """A report card.

    Attributes:
        model, model_hash: Which model.
        data: What it was measured on, in words.
        temperature: Of the prior samples.
        figures: The numbers, in the order of the table.
        verdicts: What they mean, in words, with what to do where something is wrong.
    """

    model: str
    model_hash: str
    data: str
    temperature: float
    figures: tuple[Figure, ...]
    verdicts: tuple[str, ...]

    def __getitem__(self, name: str) -> float:
        """The value of a figure by its name."""
        return {figure.name: figure.value for figure in self.figures}[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` gives the same card back."""
        figures = {figure.name: asdict(figure) for figure in self.figures}
        for values in figures.values():
            del values["name"]
        about = {key: getattr(self, key) for key in ("model", "model_hash", "data", "temperature")}
        return {**about, "figures": figures, "verdicts": list(self.verdicts)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Card:
        """A card from what `to_dict` gave."""
        figures = tuple(Figure(name=name, **figure) for name, figure in values["figures"].items())
        about = {key: values[key] for key in ("model", "model_hash", "data", "temperature")}
        return Card(figures=figures, verdicts=tuple(values["verdicts"]), **about)

    def table(self) -> str:
        """The card as text: a line a figure, the verdicts below."""
        width = max((len(figure.what) for figure in self.figures), default=0)
        found = [f"{self.model} ({self.model_hash}) on {self.data}"]
        section = ""
        for figure in self.figures:
            if figure.section != section:
                section = figure.section
                found += ["", f"{section.upper():{width}}  {'value':>9}  {'unit':11}  {'n':>7}"]
            value = f"{figure.value:#.4g}" if abs(figure.value) < 1000 and figure.value % 1 else f"{figure.value:,.0f}"
            found.append(f"{figure.what:{width}}  {value:>9}  {figure.unit:11}  {figure.n:>7,}")
        if self.figures:
            found += [
                "",
                f"{self.figures[0].split}, seed {self.figures[0].seed}; samples at temperature {self.temperature:g}",
            ]
        return "\n".join(found + [f"! {verdict}" for verdict in self.verdicts])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bench:
    """What the measures share: the model, the windows and their posteriors, and where figures are put down."""

    model: Model
    windows: Tokens
    means: Z
    stds: Z
    split: str
    seed: int
    temperature: float
    figures: list[Figure] = field(default_factory=list)

    def note(self, section: Section, name: str, value: float, unit: str, what: str, n: int | None = None) -> None:
        """Puts a figure down; one that cannot be measured on this set (0 of 0) is left out."""
        if math.isfinite(value):
            count = len(self.windows) if n is None else n
            self.figures.append(
                Figure(
                    name=name,
                    section=section,
                    what=what,
                    value=float(value),
                    unit=unit,
                    n=count,
                    split=self.split,
                    seed=self.seed,
                )
            )

    def rng(self, section: Section, part: int = 0) -> np.random.Generator:
        """A generator of its own for each section: one more figure here changes none there."""
        return np.random.default_rng((self.seed, 2, get_args(Section).index(section), part))

    def decode(self, z: Z) -> Tokens:
        """z (n, z) → the likeliest tokens, canonical."""
        return self.model.tokenizer.canonical(likelihood.free_running(self.model, z))

    def items(self, tokens: Tokens) -> list[Any]:
        """Tokens (n, time) as items."""
        return [self.model.tokenizer.decode(row) for row in tokens]


def report_card(
    model: Model,
    windows: NDArray[np.integer[Any]],
    *,
    data: str = "windows",
    split: str = "test",
    seed: int = 0,
    train_windows: NDArray[np.integer[Any]] | None = None,
    iw_samples: int = 100,
    iw_items: int = 512,
    samples: int = 10_000,
    pairs: int = 256,
    temperature: float = 0.0,
    progress: Callable[[str], None] = lambda stage: None,
) -> Card:
    """Measures a model.

    Args:
        model: The model.
        windows: (n, time) tokens, not of the training set: leave out those that also occur there.
        data: What they are, in words.
        split: Which set, for the figures.
        seed: Decides all that is drawn.
        train_windows: (m, time); with them, copies among the samples are counted and an n-gram model judges paths.
        iw_samples: K of iw_nll; 0 leaves it out.
        iw_items: iw_nll is measured on so many items.
        samples: Prior samples; 0 leaves them out.
        pairs: Paths, and items whose neighbourhood is looked at; 0 leaves both out.
        temperature: Of the prior samples.
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
    bench = _Bench(model=model, windows=tokens, means=means, stds=stds, split=split, seed=seed, temperature=temperature)
    _reconstruction(bench)
    progress("likelihood")
    _likelihood(bench, iw_samples, iw_items)
    progress("latent use")
    _latent_use(bench)
    if samples:
        progress("prior samples")
        _prior_samples(bench, samples, train_windows)
    if pairs:
        progress("continuity")
        _continuity(bench, pairs)
        progress("interpolation")
        _interpolation(bench, pairs, train_windows)
    figures = tuple(bench.figures)
    return Card(
        model=model.name,
        model_hash=model.hash,
        data=data,
        temperature=temperature,
        figures=figures,
        verdicts=_verdicts(bench),
    )


# -- the sections ----------------------------------------------------------------------------------------------------


def _reconstruction(bench: _Bench) -> None:
    mask = bench.model.tokenizer.onset_mask
    forced = likelihood.teacher_forced(bench.model, bench.means, bench.windows).predicted
    free = bench.decode(bench.means)
    for key, predicted, how in (("forced", forced, "teacher-forced"), ("free", free, "free-running")):
        found = accuracy(bench.windows, predicted, mask)
        bench.note("reconstruction", f"{key}_token_accuracy", found.tokens, "share", f"token accuracy, {how}")
        bench.note("reconstruction", f"{key}_onset_accuracy", found.onsets, "share", f"onset accuracy, {how}")
        bench.note(
            "reconstruction", f"{key}_onset_precision", found.onset_precision, "share", f"onset precision, {how}"
        )
        bench.note("reconstruction", f"{key}_onset_f1", found.onset_f1, "share", f"onset F1, {how}")
    bench.note("reconstruction", "exact_match", found.exact_match, "share", "exact match, free-running")
    originals, copies = bench.items(bench.windows), bench.items(free)
    if isinstance(originals[0], Clip):
        for key, with_offsets, what in (("", False, "onset, pitch"), ("_offset", True, "onset, pitch, offset")):
            score = music.note_score(originals, copies, with_offsets=with_offsets)
            bench.note("reconstruction", f"note_f1{key}", score.f1, "share", f"note F1 ({what}), free-running")


def _likelihood(bench: _Bench, iw_samples: int, iw_items: int) -> None:
    rng = bench.rng("likelihood")
    z = bench.means + bench.stds * rng.standard_normal(bench.means.shape, np.float32)
    nll = float(likelihood.teacher_forced(bench.model, z, bench.windows).nll.mean())
    kl = float(space.gaussian_kl(bench.means, bench.stds).sum(axis=1).mean())
    bench.note("likelihood", "recon_nll", nll, "nats", "reconstruction NLL, a sequence")
    bench.note("likelihood", "kl", kl, "nats", "KL, a sequence")
    bench.note("likelihood", "kl_bits", kl / math.log(2), "bits", "KL, a sequence")
    bench.note("likelihood", "negative_elbo", nll + kl, "nats", "−ELBO, a sequence")
    if iw_samples:
        rows = np.sort(rng.permutation(len(bench.windows))[:iw_items])
        values = likelihood.iw_nll(
            bench.model, bench.windows[rows], bench.means[rows], bench.stds[rows], samples=iw_samples, rng=rng
        )
        what = f"importance-weighted NLL, K = {iw_samples}, a sequence"
        bench.note("likelihood", "iw_nll", float(values.mean()), "nats", what, n=len(rows))


def _latent_use(bench: _Bench) -> None:
    kl = float(space.gaussian_kl(bench.means, bench.stds).sum(axis=1).mean())
    mi = space.mutual_information(bench.means, bench.stds, bench.rng("latent use"))
    size = bench.model.z_size
    active, used = space.active_units(bench.means), space.kl_units(bench.means, bench.stds)
    bench.note("latent use", "active_units", active, "dimensions", f"active units of {size} (variance of μ ≥ 0.01)")
    bench.note("latent use", "kl_units", used, "dimensions", f"of {size} with a mean KL over 0.05 nat")
    bench.note("latent use", "mutual_information", mi, "nats", "mutual information of x and z")
    bench.note("latent use", "mutual_information_ceiling", math.log(len(bench.windows)), "nats", "its ceiling, ln n")
    bench.note("latent use", "marginal_kl", kl - mi, "nats", "marginal KL (KL − mutual information)")


def _prior_samples(bench: _Bench, count: int, train: NDArray[np.integer[Any]] | None) -> None:
    tokenizer = bench.model.tokenizer
    real = _statistics(bench, bench.windows)
    priors: tuple[Prior, ...] = ("aggregate", "normal")
    for number, prior in enumerate(priors):
        z = bench.model.draw(count, prior=prior, seed=bench.seed)
        rng = bench.rng("prior samples", number)
        raw = likelihood.free_running(bench.model, z, temperature=bench.temperature, rng=rng)
        drawn = tokenizer.canonical(raw)

        def note(name: str, value: float, unit: str, what: str, n: int = count, prior: str = prior) -> None:
            bench.note("prior samples", f"{prior}_{name}", value, unit, f"{prior} prior: {what}", n)

        full = tokenizer.onset_mask[drawn].any(axis=1)
        note("nonempty", float(full.mean()), "share", "not empty")
        note("valid", float((full & (raw == drawn).all(axis=1)).mean()), "share", "not empty, within the grammar")
        note("unique", space.unique_share(drawn), "share", "distinct")
        if train is not None:
            copied = space.copied(drawn, train, tokenizer.augmentations)
            note("copied", float(copied.mean()), "share", "equal to a training item or its variant")
        density = tokenizer.onset_mask[drawn].sum() / count
        real_density = max(tokenizer.onset_mask[bench.windows].sum() / len(bench.windows), 1e-9)
        note("density_ratio", float(density / real_density), "ratio", "onsets against the data's")
        for name, histogram in _statistics(bench, drawn).items():
            words = f"{name.replace('_', ' ')} histogram"
            note(
                f"{name}_overlap",
                space.shared_area(real[name], histogram),
                "share",
                f"{words}, overlap with the data's",
            )
            note(f"{name}_kl", space.histogram_kl(real[name], histogram), "nats", f"{words}, KL of the data's to it")
        passed = _seed_checks(bench, prior, float(real_density))
        what = "seeds whose 8 samples are not empty, density within a third of the data's"
        note("seeds_passed", passed / SEED_CHECKS, "share", what, SEED_CHECKS)
    if train is not None:
        known = float(space.copied(bench.windows, train, tokenizer.augmentations).mean())
        bench.note(
            "prior samples", "data_copied", known, "share", "the data themselves: equal to a training item's variant"
        )


def _statistics(bench: _Bench, tokens: Tokens) -> dict[str, NDArray[np.int64]]:
    """Histograms on fixed grids: onsets an item, and for music pitch classes and intervals."""
    onsets = bench.model.tokenizer.onset_mask[tokens].sum(axis=1)
    found = {"density": np.bincount(onsets, minlength=tokens.shape[1] + 1)}
    items = bench.items(tokens)
    if isinstance(items[0], Clip):
        found |= {"pitch_class": music.pitch_classes(items), "interval": music.intervals(items)}
    return found


def _seed_checks(bench: _Bench, prior: Prior, real_density: float) -> int:
    """Seeds for which all of 8 samples have an onset, and as many on average as the data to within a third."""
    passed = 0
    tokenizer = bench.model.tokenizer
    for seed in range(bench.seed, bench.seed + SEED_CHECKS):
        items = bench.model.sample(8, prior=prior, temperature=bench.temperature, seed=seed)
        onsets = np.array([tokenizer.onset_mask[tokenizer.encode(item)].sum() for item in items])
        passed += bool(onsets.all() and abs(onsets.mean() / real_density - 1.0) <= 1 / 3)
    return passed


def _continuity(bench: _Bench, count: int) -> None:
    rng = bench.rng("continuity")
    rows = np.sort(rng.permutation(len(bench.windows))[:count])
    for length in CONTINUITY_LENGTHS:
        moved = space.continuity(bench.decode, bench.means[rows], length, rng)
        what = f"edit distance between decode(μ) and decode(μ + ε), |ε| = {length:g}"
        bench.note("continuity", f"continuity_{length:g}", moved, "distance", what, len(rows))


def _interpolation(bench: _Bench, count: int, train: NDArray[np.integer[Any]] | None) -> None:
    """Paths between pairs of items, beside naive blending of their tokens."""
    rng = bench.rng("interpolation")
    order = rng.permutation(len(bench.windows))
    half = min(count, len(order) // 2)
    a, b = order[:half], order[half : 2 * half]
    differ = (bench.windows[a] != bench.windows[b]).any(axis=1)
    a, b = a[differ], b[differ]
    if not len(a):
        return
    starts, ends = bench.windows[a], bench.windows[b]
    z = slerp(bench.means[a], bench.means[b], PATH_STEPS).swapaxes(0, 1)
    paths = bench.decode(z.reshape(-1, z.shape[-1])).reshape(len(a), PATH_STEPS, -1)
    blends = bench.model.tokenizer.canonical(space.blend(starts, ends, PATH_STEPS, rng))
    judge = None
    if train is not None:
        some = np.sort(rng.permutation(len(train))[:NGRAM_WINDOWS])
        judge = NGram.fit(train[some], bench.model.tokenizer.vocab_size)
    apart = float(space.edit_distances(starts, ends).mean())
    bench.note("interpolation", "pair_distance", apart, "distance", "from A to B", len(a))
    for key, tried, name in (("path", paths, "path"), ("blend", blends, "naive blending")):
        _note_path(bench, key, name, space.path_quality(tried, starts, ends), len(a))
        if judge is not None:
            cost = judge.nll(tried.reshape(-1, tried.shape[-1])).reshape(len(a), PATH_STEPS).mean(axis=0)
            ratio = float(cost[PATH_STEPS // 2] / (cost[[0, -1]].mean()))
            bench.note(
                "interpolation", f"{key}_middle_cost", ratio, "ratio", f"{name}: 4-gram cost, middle to ends", len(a)
            )


def _note_path(bench: _Bench, key: str, name: str, found: space.PathQuality, n: int) -> None:
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


def _verdicts(bench: _Bench) -> tuple[str, ...]:
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
