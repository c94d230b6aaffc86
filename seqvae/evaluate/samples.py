"""Whether the whole latent space decodes to something: samples of both priors against the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.dataset import window_keys
from seqvae.evaluate import likelihood, music, space
from seqvae.evaluate.bench import Bench
from seqvae.evaluate.ngram import Judge
from seqvae.tokenizers import Tokens
from seqvae.tokenizers.percussion import CLASSES

if TYPE_CHECKING:
    from seqvae.model import Prior

SEED_CHECKS = 8
FREQUENT = 1000  # tokens whose frequencies are compared one by one; the others together
MOST_BINS = 64

PRIORS: tuple[Prior, ...] = ("aggregate", "normal")

CONTROLS, JUDGES, DATA = range(2, 5)  # each draws from a generator of its own, as the two priors do


def measure_samples(bench: Bench, count: int) -> None:
    """Draws `count` samples of each prior and compares them with the data. Controls are those of random windows."""
    train = bench.train
    real = _statistics(bench, bench.windows, bench.originals)
    keys = None if train is None else np.unique(window_keys(space.comparable(train, bench.alphabet)))
    for number, prior in enumerate(PRIORS):
        rng = bench.rng("prior samples", number)
        z = bench.model.draw(count, prior=prior, seed=bench.seed)
        rows = bench.rng("prior samples", CONTROLS).integers(len(bench.windows), size=count)
        controls = bench.model.control_of(bench.windows[rows])
        raw = likelihood.free_running(bench.model, z, controls, temperature=bench.temperature, rng=rng)
        _measure(bench, prior, raw, real, keys)
        _measure_perplexity(bench, prior, raw)
    if keys is not None:
        known = _copied(bench, bench.windows, keys)
        what = "the data: equal to a training item's variant"
        bench.note("prior samples", "data_copied", float(known.mean()), "share", what)
    if bench.valid is not None:
        accepted = np.mean([bench.valid(item) for item in bench.originals])
        bench.note(
            "prior samples", "data_accepted", float(accepted), "share", "the data themselves: valid by the check"
        )
    if train is not None:
        _measure_data_perplexity(bench, train, count)


def _measure(
    bench: Bench,
    prior: Prior,
    raw: Tokens,
    real: dict[str, NDArray[np.int64]],
    keys: NDArray[np.complex128] | None,
) -> None:
    """Figures of one prior's samples: int64 (count, time[, part]), as the network has them."""

    def note(name: str, value: float, unit: str, what: str, n: int = len(raw)) -> None:
        bench.note("prior samples", f"{prior}_{name}", value, unit, f"{prior} prior: {what}", n)

    drawn = bench.model.tokenizer.canonical(raw)
    items = bench.items(drawn)
    full = bench.onset_counts(drawn).any(axis=1)
    within = space.comparable(raw == drawn, bench.alphabet).reshape(len(raw), -1).all(axis=1)
    note("nonempty", float(full.mean()), "share", "not empty")
    note("valid", float((full & within).mean()), "share", "not empty, within the grammar")
    if bench.valid is not None:
        note("accepted", float(np.mean([bench.valid(item) for item in items])), "share", "valid by the check given")
    note("unique", space.unique_share(space.comparable(drawn, bench.alphabet)), "share", "distinct")
    if keys is not None:
        note("copied", float(_copied(bench, drawn, keys).mean()), "share", "equal to a training item or its variant")
    for name, value, what in _density_ratios(bench, drawn):
        note(name, value, "ratio", what)
    for name, histogram in _statistics(bench, drawn, items).items():
        words = f"{bench.event} frequency" if name == "frequency" else name.replace("_", " ")
        note(f"{name}_overlap", space.shared_area(real[name], histogram), "share", f"{words}, overlap with the data's")
        note(f"{name}_kl", space.histogram_kl(real[name], histogram), "nats", f"{words}, KL of the data's to it")
    if bench.is_music:
        for name, value in _drum_ratios(bench, items):
            note(f"drum_density:{name}", value, "ratio", f"{name} hits against the data's")
    what = f"seeds whose 8 samples are not empty, {bench.event}s within a third of the data's"
    note("seeds_passed", _seed_checks(bench, prior) / SEED_CHECKS, "share", what, SEED_CHECKS)


def _measure_perplexity(bench: Bench, prior: Prior, raw: Tokens) -> None:
    """Samples judged by the data, and the data by samples, as many as there are training items (Zhao et al. 2018)."""
    drawn, how = bench.model.tokenizer.canonical(raw), f"{prior} prior, temperature {bench.temperature:g}"
    known = drawn
    if bench.judge is not None and bench.train is not None:
        what = f"{how}: perplexity of samples by 4-grams of train"
        value = bench.judge.perplexity(drawn)
        bench.note("prior samples", f"{prior}_forward_perplexity", value, "perplexity", what, len(drawn))
        known = drawn[: len(bench.train)]
    value = Judge.fit(known, bench.alphabet, bench.rng("prior samples", JUDGES)).perplexity(bench.windows)
    what = f"{how}: perplexity of the data by 4-grams of {len(known):,} samples"
    bench.note("prior samples", f"{prior}_reverse_perplexity", value, "perplexity", what)


def _measure_data_perplexity(bench: Bench, train: NDArray[np.integer[Any]], count: int) -> None:
    """What the perplexities would be, were the samples held-out data, or training items."""
    rng = bench.rng("prior samples", DATA)
    some = np.sort(rng.permutation(len(train))[:count])
    learned = Judge.fit(train[some], bench.alphabet, rng)
    for name, found, what in (
        ("forward", bench.judge, "by 4-grams of train"),
        ("reverse", learned, f"by 4-grams of {len(some):,} training items"),
    ):
        if found is not None:
            value = found.perplexity(bench.windows)
            bench.note("prior samples", f"data_{name}_perplexity", value, "perplexity", f"the data: perplexity {what}")


def _copied(bench: Bench, tokens: Tokens, keys: NDArray[np.complex128]) -> NDArray[np.bool_]:
    """Which sequences equal a training window, whose keys are given, or a variant of one: bool (n,)."""
    alphabet, variants = bench.alphabet, bench.model.tokenizer.augmentations
    if alphabet.shape:
        variants = np.unique(variants[:, alphabet.judged], axis=0)  # with and without controls they are the same
    return space.copied(space.comparable(tokens, alphabet), keys, variants)


def _density_ratios(bench: Bench, drawn: Tokens) -> list[tuple[str, float, str]]:
    """Onsets of samples over those of the data, in all and by part: (name, ratio, what it is)."""
    here, there = (bench.onset_counts(tokens).mean(axis=0) for tokens in (drawn, bench.windows))
    found = [("density_ratio", float(here.sum() / max(there.sum(), 1e-9)), f"{bench.event}s against the data's")]
    if bench.alphabet.shape and not any(part.gate is not None for part in bench.alphabet.parts):
        names = [part.name for part, judged in zip(bench.alphabet.parts, bench.alphabet.judged, strict=True) if judged]
        for name, mine, other in zip(names, here, there, strict=True):
            found.append((f"density_ratio:{name}", float(mine / max(other, 1e-9)), f"{name} onsets against the data's"))
    return found


def _drum_ratios(bench: Bench, items: list[Any]) -> list[tuple[str, float]]:
    """Hits a sample of each drum class over those of the data, where the data have any."""
    here, there = (music.drum_hits(clips) / len(clips) for clips in (items, bench.originals))
    pairs = zip(CLASSES, here, there, strict=True)
    return [(name, float(mine / other)) for name, mine, other in pairs if other]


def _statistics(bench: Bench, tokens: Tokens, items: list[Any]) -> dict[str, NDArray[np.int64]]:
    """Histograms on fixed grids. Of all kinds how much happens in an item; the rest depends on the kind."""
    found = {"density": _counts_histogram(bench.onset_counts(tokens).sum(axis=1), tokens)}
    if bench.alphabet.end is not None:
        found = {"length": _counts_histogram(bench.alphabet.lengths(tokens), tokens)}
    if not bench.is_music:
        return found | {"frequency": _frequencies(bench, tokens)}
    tracks = bench.originals[0].tracks
    if any(not track.is_drum for track in tracks):
        found |= {"pitch_class": music.pitch_classes(items), "interval": music.intervals(items)}
    if any(track.is_drum for track in tracks):
        found |= {"drum": music.drum_hits(items)}
    return found


def _counts_histogram(counts: NDArray[np.int64], tokens: Tokens) -> NDArray[np.int64]:
    """Counts of 0 to as many as tokens have positions, in at most 64 bins of one width."""
    most = int(np.prod(tokens.shape[1:]))
    width = most // MOST_BINS + 1
    return np.bincount(counts // width, minlength=most // width + 1)


def _frequencies(bench: Bench, tokens: Tokens) -> NDArray[np.int64]:
    """How often each of the data's most frequent tokens occurs, and last all others together: int64."""
    size = bench.alphabet.largest
    here, there = (np.bincount(some[bench.alphabet.counted(some)], minlength=size) for some in (tokens, bench.windows))
    order = np.argsort(-there, kind="stable")
    return np.append(here[order[:FREQUENT]], here[order[FREQUENT:]].sum())


def _seed_checks(bench: Bench, prior: Prior) -> int:
    """Seeds for which all of 8 samples have an onset, and as many on average as the data to within a third."""
    passed = 0
    wanted = max(float(bench.onset_counts(bench.windows).sum(axis=1).mean()), 1e-9)
    for seed in range(bench.seed, bench.seed + SEED_CHECKS):
        rows = np.random.default_rng((seed, 4)).integers(len(bench.windows), size=8)
        controls = bench.model.control_of(bench.windows[rows])
        items = bench.model.sample(
            8,
            prior=prior,
            temperature=bench.temperature,
            seed=seed,
            control=controls if controls.shape[-1] else None,
        )
        tokens = np.stack([bench.model.tokenizer.encode(item) for item in items])
        onsets = bench.onset_counts(tokens).sum(axis=1)
        passed += bool(onsets.all() and abs(onsets.mean() / wanted - 1.0) <= 1 / 3)
    return passed
