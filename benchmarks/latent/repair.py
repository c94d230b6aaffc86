"""Repair, measured: k random wrong notes or words are put into windows that training did not see, and sought again.

python -m benchmarks.latent.repair                       the bundled models; prints tables (about 4 minutes)
python -m benchmarks.latent.repair runs/a=DATASET …      other models, each with a dataset (its test split)
python -m benchmarks.latent.repair --clips 10 --json     fewer windows; one JSON object

A bundled model is measured on the test split of `runs/MODEL-data` where that stands, else on the windows that it
carries. Of a melody one note in three gets another pitch, one is put in and one is left out; of drums a hit goes to
another drum, comes or goes; of a text a word or letter becomes another one of the same set of texts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import seqvae
from seqvae.dataset import Dataset
from seqvae.model import Model
from seqvae.passage import PLAIN
from seqvae.repairs import repair_tokens
from seqvae.tokenizers import Tokens

BUNDLED = ("melody-2bar", "drums-2bar", "captions", "names")
COUNTS = (1, 2, 4)
KINDS = ("other", "put in", "left out")
"""What a wrong step is: another note or word, one too many, one too few."""

OCTAVE = 12
VOTES = 16
GRADIENT_STEPS, GRADIENT_RATE, WRONG_SHARE = 30, 0.3, 0.05

Wrong = tuple[int, int]
"""A step, and the index of its kind in `KINDS`."""


# -- wrong notes -------------------------------------------------------------------------------------------------------


def windows_of(model: Model, dataset: Path | None, count: int) -> Tokens:
    """So many windows, of the dataset's test split without what training has too, or of those the model carries."""
    if dataset is not None:
        opened = Dataset.open(dataset)
        windows = np.asarray(opened.windows("test")[opened.unseen("test")], np.int64)
    else:
        windows = model.held_out
    if not len(windows):
        raise SystemExit(f"{model.name}: it carries no windows; give a dataset: {model.name}=FOLDER")
    chosen = np.random.default_rng(0).choice(len(windows), min(count, len(windows)), replace=False)
    return model.tokenizer.canonical(windows[np.sort(chosen)])


def spoil(
    model: Model, window: Tokens, pool: Tokens, count: int, rng: np.random.Generator
) -> tuple[Tokens, list[Wrong]]:
    """The window with `count` wrong steps, and which; fewer where it has no room. `pool` is where words come from."""
    kind = model.tokenizer.kind
    change = _wrong_word if model.tokenizer.alphabet.end is not None else _wrong_hit if kind == "drums" else _wrong_note
    spoilt, wrong = window.copy(), list[Wrong]()
    for _ in range(50):
        if len(wrong) == count:
            break
        step, which, token = change(model, window, pool, rng)
        if step >= 0 and token != window[step] and step not in [taken for taken, _ in wrong]:
            spoilt[step] = token
            wrong.append((step, which))
    return model.tokenizer.canonical(spoilt), wrong


def _wrong_note(model: Model, window: Tokens, pool: Tokens, rng: np.random.Generator) -> tuple[int, int, int]:
    first = 2  # the token of the lowest pitch
    which = int(rng.integers(3))
    places = np.flatnonzero(window < first if which == 1 else window >= first)
    if not len(places):
        return -1, which, 0
    step = int(rng.choice(places))
    near = window[step] if which != 1 else [*window[:step][window[:step] >= first], *window[window >= first]][0]
    pitch = int(near) + int(rng.choice([-1, 1])) * int(rng.integers(1, OCTAVE + 1))
    return step, which, 0 if which == 2 else int(np.clip(pitch, first, model.tokenizer.alphabet.largest - 1))


def _wrong_hit(model: Model, window: Tokens, pool: Tokens, rng: np.random.Generator) -> tuple[int, int, int]:
    classes = model.tokenizer.alphabet.largest.bit_length() - 1
    which = int(rng.integers(3))
    step = int(rng.integers(len(window))) if which == 1 else int(rng.choice(np.flatnonzero(window)))
    struck = int(window[step])
    hits = [bit for bit in range(classes) if struck >> bit & 1]
    free = [bit for bit in range(classes) if not struck >> bit & 1]
    gone = 1 << int(rng.choice(hits)) if which != 1 else 0
    new = 1 << int(rng.choice(free)) if which != 2 and free else 0
    return step, which, struck & ~gone | new


def _wrong_word(model: Model, window: Tokens, pool: Tokens, rng: np.random.Generator) -> tuple[int, int, int]:
    alphabet = model.tokenizer.alphabet
    words = pool[pool != alphabet.end]
    return int(rng.integers(max(1, alphabet.lengths(window[None])[0] - 1))), 0, int(rng.choice(words))


# -- ways to repair ----------------------------------------------------------------------------------------------------


def reconstruct(model: Model, tokens: Tokens) -> Tokens:
    """Encoded and decoded."""
    return _decoded(model, model.network.posterior(tokens)[0], tokens)


def vote(model: Model, tokens: Tokens) -> Tokens:
    """At each step the token that most of `VOTES` decoded draws of q(z|x) have."""
    mean, std = model.network.posterior(tokens)
    noise = np.random.default_rng(0).standard_normal((VOTES, *mean.shape)).astype(np.float32)
    votes = np.stack([_decoded(model, mean + std * each, tokens) for each in noise])
    most = np.zeros_like(tokens)
    for index in np.ndindex(tokens.shape):
        most[index] = np.bincount(votes[(slice(None), *index)]).argmax()
    return model.tokenizer.canonical(most)


def gradient(model: Model, tokens: Tokens) -> Tokens:
    """Decoded from the z that is likeliest if a few tokens are any: ascent on Σ ln((1−ε)p + ε/V) − β·½|z|²."""
    import torch

    from seqvae.runtime import single_threaded

    target = torch.from_numpy(tokens)
    z = torch.from_numpy(model.network.posterior(tokens)[0]).requires_grad_()
    optimiser = torch.optim.Adam([z], GRADIENT_RATE)
    size = model.tokenizer.alphabet.largest
    with single_threaded():
        for _ in range(GRADIENT_STEPS):
            said = model.vae.logits(z, target).log_softmax(-1).gather(-1, target[..., None])[..., 0]
            robust = torch.logaddexp(said + np.log1p(-WRONG_SHARE), torch.full_like(said, np.log(WRONG_SHARE / size)))
            loss = -robust.sum() + model.preset.objective.beta * 0.5 * z.square().sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return _decoded(model, z.detach().numpy(), tokens)


def _decoded(model: Model, z: NDArray[np.float32], tokens: Tokens) -> Tokens:
    found = model.network.generate(z, model.control_of(tokens), 0.0, 0, PLAIN)
    return model.tokenizer.canonical(found)


WAYS: dict[str, Callable[[Model, Tokens], Tokens]] = {
    "nothing": lambda model, tokens: tokens,
    "reconstruct": reconstruct,
    "vote of 16 draws": vote,
    "gradient on z": gradient,
    "repair": lambda model, tokens: repair_tokens(model, tokens),
}


# -- figures -----------------------------------------------------------------------------------------------------------


def figures(model: Model, clean: Tokens, spoilt: Tokens, made: Tokens) -> dict[str, float]:
    """Shares: of the wrong steps those found and put right, of the right ones those damaged, of all the right ones."""
    counted = model.tokenizer.alphabet.counted(clean)
    wrong, right = (spoilt != clean) & counted, (spoilt == clean) & counted

    def share(of: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
        return float(of[where].mean()) if where.any() else float("nan")

    return {
        "found": share(made != spoilt, wrong),
        "corrected": share(made == clean, wrong),
        "damaged": share(made != clean, right),
        "before": share(spoilt == clean, counted),
        "after": share(made == clean, counted),
    }


def measure(model: Model, clean: Tokens, counts: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each count of wrong steps and each way; 0 wrong steps first, where all that is changed is damage."""
    rows: list[dict[str, Any]] = []
    for count in (0, *counts):
        rng = np.random.default_rng(count)
        spoilt, wrong = zip(*(spoil(model, window, clean, count, rng) for window in clean), strict=True)
        given = np.stack(spoilt)
        for way, run in WAYS.items():
            made = run(model, given)
            row = {"wrong": count, "way": way, **figures(model, clean, given, made)}
            if way == "repair":
                row |= by_kind(clean, given, made, wrong)
                row["again"] = float((repair_tokens(model, made) == made).reshape(len(made), -1).all(axis=1).mean())
            rows.append(row)
    return rows


def by_kind(clean: Tokens, spoilt: Tokens, made: Tokens, wrong: Sequence[list[Wrong]]) -> dict[str, float]:
    """The share found and corrected of each kind of wrong step."""
    found: dict[str, list[tuple[bool, bool]]] = {kind: [] for kind in KINDS}
    for row, steps in enumerate(wrong):
        for step, which in steps:
            if spoilt[row, step] != clean[row, step]:
                found[KINDS[which]].append((made[row, step] != spoilt[row, step], made[row, step] == clean[row, step]))
    shares = {kind: np.mean(seen, axis=0) for kind, seen in found.items() if seen}
    return {
        f"{kind}: {name}": float(v[i]) for kind, v in shares.items() for i, name in enumerate(("found", "corrected"))
    }


def table(name: str, windows: int, rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    columns = ("found", "corrected", "damaged", "before", "after")
    lines = [
        f"{name}, {windows} windows",
        "",
        f"| wrong | way | {' | '.join(columns)} |",
        "| --: | --- |" + " --: |" * 5,
    ]
    for row in rows:
        shares = ["–" if np.isnan(row[column]) else f"{row[column]:.1%}" for column in columns]
        lines.append(f"| {row['wrong']} | {row['way']} | {' | '.join(shares)} |")
    lines.append("")
    for row in rows:
        if row["way"] == "repair" and row["wrong"]:
            kinds = [f"{key} {value:.0%}" for key, value in row.items() if ": " in key]
            lines.append(f"{row['wrong']} wrong: {', '.join(kinds)}; repaired again the same: {row['again']:.0%}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latent.repair", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL[=DATASET]", default=list(BUNDLED))
    parser.add_argument("--clips", type=int, default=25, help="windows of each model")
    parser.add_argument("--wrong", type=int, nargs="+", default=list(COUNTS), help="how many wrong steps in each")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    asked = parser.parse_args(words)
    found = {}
    for word in asked.models:
        name, _, folder = word.partition("=")
        usual = Path("runs") / f"{name}-data"
        model = seqvae.load(name)
        clean = windows_of(model, Path(folder) if folder else usual if usual.is_dir() else None, asked.clips)
        rows = measure(model, clean, asked.wrong)
        found[name] = {"windows": len(clean), "rows": rows}
        if not asked.json:
            print(table(name, len(clean), rows), end="\n\n", flush=True)
    if asked.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
