"""Paths between pairs of items: through the model, and beside it through its controls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqvae.dataset import tokenizer_to_dict
from seqvae.errors import ModelError
from seqvae.evaluate import space
from seqvae.evaluate.bench import Bench
from seqvae.evaluate.ngram import Judge
from seqvae.latent import slerp
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

PATH_STEPS = 9


def check_autoencoder(model: Model, autoencoder: Model) -> None:
    """Whether a model is the plain autoencoder of the same kind of sequence, a control of `model`.

    Raises:
        ModelError: It has another tokenizer, or is no autoencoder.
    """
    ours, theirs = (tokenizer_to_dict(each.tokenizer) for each in (model, autoencoder))
    train = "train one on the same dataset with --set objective.autoencoder=true"
    if ours != theirs:
        names = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
        differ = f"tokenizer.{names[0]}" if ours["kind"] == theirs["kind"] else f"{theirs['kind']}, not {ours['kind']}"
        raise ModelError(
            f"the autoencoder {autoencoder.name} has another tokenizer than {model.name} ({differ}), so its paths "
            f"cannot be set beside; {train}"
        )
    if not autoencoder.preset.objective.autoencoder:
        raise ModelError(f"{autoencoder.name} was not trained as a plain autoencoder; {train}")


def measure_interpolation(bench: Bench, count: int, autoencoder: Model | None = None) -> None:
    """Paths between pairs of items, beside naive blending of their tokens, and beside an autoencoder's paths."""
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
    apart = float(space.edit_distances(windows[a], windows[b], bench.alphabet.end).mean())
    bench.note("interpolation", "pair_distance", apart, "distance", "from A to B", len(a))
    tries = [("path", paths, "path"), ("blend", blends, "naive blending")]
    if autoencoder is not None:
        tries.append(("autoencoder", _paths(_through(bench, autoencoder), a, b), "plain autoencoder"))
    for key, tried, name in tries:
        found = space.path_quality(space.comparable(tried, bench.alphabet), windows[a], windows[b], bench.alphabet.end)
        _note_path(bench, key, name, found, len(a))
        if bench.judge is not None:
            what = f"{name}: 4-gram cost, middle to ends"
            bench.note("interpolation", f"{key}_middle_cost", _middle_cost(bench.judge, tried), "ratio", what, len(a))


def _through(bench: Bench, model: Model) -> Bench:
    """The same windows through another model."""
    means, stds = model.posterior(bench.windows)
    return replace(bench, model=model, means=means, stds=stds)


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
