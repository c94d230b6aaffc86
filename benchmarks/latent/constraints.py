"""Conditional samples of unconditional models: rejection sampling, gradient ascent and actors compared.

python -m benchmarks.latent.constraints                     the bundled models of MODELS; prints a Markdown table each
python -m benchmarks.latent.constraints melody-2bar         of one
python -m benchmarks.latent.constraints --json              one JSON object
python -m benchmarks.latent.constraints melody-2bar --data DATASET   n-grams of its train split judge realism

Whether an item meets its conditions is always measured on the decoded item, never read from a critic.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import seqvae
from seqvae.cli.sample import usual_temperature
from seqvae.constraint.conditions import Condition, Values, conditions_of, in_words, read_values
from seqvae.constraint.critic import climb, fit_actor, fit_critic
from seqvae.constraint.search import LEARN
from seqvae.constraint.where import parse_where
from seqvae.dataset import Dataset
from seqvae.evaluate import space
from seqvae.evaluate.ngram import Judge
from seqvae.latent import Z
from seqvae.model import Model
from seqvae.passage import PLAIN
from seqvae.tokenizers import Tokens

SEED = 1
CANDIDATES = 192
"""Moved draws of z that are decoded for each way and case."""

PAIRS = 256
"""Pairs of items whose edit distance is measured."""

RARE = "rare"
"""In a case: the top 5 % of plain samples."""

MODELS = {
    "melody-2bar": (
        ("density=high",),
        ("density=rare",),
        ("key=C",),
        ("pitch=low", "density=high"),
        ("pitch=high", "density=high", "diatonic=high"),
    ),
    "drums-2bar": (
        ("kick=middle",),
        ("syncopation=rare",),
        ("kick=low", "density=high"),
        ("kick=high", "snare=low", "syncopation=high"),
    ),
    "captions": (
        ("regex:dog>0",),
        ("word-length=rare",),
        ("length=high", "word-length=high"),
        ("length=high", "word-length=low", "distinct=high"),
    ),
}
"""Cases by model: conditions that must all hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """z decoded: tokens as the network has them and canonical, items, and CPU seconds."""

    z: Z
    raw: Tokens
    tokens: Tokens
    items: list[Any]
    seconds: float


def decode(model: Model, z: Z, seed: int) -> Decoded:
    """As `sample` decodes."""
    started = time.process_time()
    alphabet, length = model.tokenizer.alphabet, model.tokenizer.length
    controls = alphabet.controls_for(None, len(z), length)
    raw = model.network.generate(z, controls, usual_temperature(model), seed, PLAIN)
    tokens = model.tokenizer.canonical(raw)
    items = [model.tokenizer.decode(row) for row in tokens]
    return Decoded(z=z, raw=raw, tokens=tokens, items=items, seconds=time.process_time() - started)


def met(conditions: tuple[Condition, ...], values: Values) -> NDArray[np.bool_]:
    """Where all hold: of float64 (n, conditions)."""
    found: NDArray[np.bool_] = np.all([one.holds(values[:, index]) for index, one in enumerate(conditions)], axis=0)
    return found


def settle(model: Model, case: tuple[str, ...], plain: Decoded) -> tuple[tuple[Condition, ...], Values]:
    """The conditions of a case with their ranges, and their values of the plain samples."""
    texts = []
    for text in case:
        name, _, word = text.partition("=")
        if word == RARE:
            (asked,) = conditions_of(model, [parse_where(f"{name}>0")], None)
            known = read_values([asked], model, plain.items)[:, 0]
            text = f"{name}>={np.nanquantile(known, 0.95):.4g}"
        texts.append(text)
    asked_for = conditions_of(model, [parse_where(text) for text in texts], None)
    values = read_values(asked_for, model, plain.items)
    return tuple(one.settled(values[:, i], "plain samples") for i, one in enumerate(asked_for)), values


def figures(model: Model, judge: Judge, found: Decoded, hits: NDArray[np.bool_]) -> dict[str, float]:
    """Of the candidates that were decoded, and of those that met the conditions."""
    alphabet = model.tokenizer.alphabet
    within = space.comparable(found.raw == found.tokens, alphabet).reshape(len(hits), -1).all(axis=1)
    full = np.array([model.happens(row) for row in found.tokens])
    row = {"met": float(hits.mean()), "valid": float((within & full).mean())}
    tokens = space.comparable(found.tokens[hits], alphabet)
    if len(tokens) < 2:
        return {**row, "unique": np.nan, "apart": np.nan, "density": np.nan, "cost": np.nan}
    left = np.random.default_rng(SEED).integers(0, len(tokens), PAIRS)
    right = (left + np.random.default_rng(SEED + 1).integers(1, len(tokens), PAIRS)) % len(tokens)
    aggregate = model.aggregate
    expected = aggregate.log_density(aggregate.sample(2000, np.random.default_rng(SEED))).mean()
    return {
        **row,
        "unique": space.unique_share(tokens),
        "apart": float(space.edit_distances(tokens[left], tokens[right], alphabet.end).mean()),
        "density": float(aggregate.log_density(found.z[hits]).mean() - expected),
        "cost": judge.perplexity(found.tokens[hits]),
    }


def case_rows(model: Model, case: tuple[str, ...], plain: Decoded, judge: Judge) -> list[dict[str, Any]]:
    """One case by the three ways."""
    conditions, values = settle(model, case, plain)
    hits = met(conditions, values)
    unseen = np.arange(len(hits)) >= len(hits) // 2  # the judge may have learned from the others
    shown = {"conditions": in_words(conditions)}

    def row(way: str, found: Decoded, hits: NDArray[np.bool_], setup: float, seconds: float) -> dict[str, Any]:
        share = hits.mean()
        cost = {"decodes_a_hit": 1 / share, "ms_a_hit": 1e3 * seconds / hits.sum()} if hits.any() else {}
        return {**shown, "way": way, **figures(model, judge, found, hits), **cost, "setup_s": setup}

    rows = [row("rejection", part(plain, unseen), hits[unseen], 0.0, plain.seconds * unseen.mean())]
    started = time.process_time()
    means, stds = model.network.posterior(plain.tokens)
    critic = fit_critic(conditions, means, stds, values, model.aggregate, seed=SEED)
    learned = time.process_time() - started
    start = model.draw(CANDIDATES, seed=SEED + 1)
    for way in ("gradient", "actor"):
        started = time.process_time()
        mover = fit_actor(critic, means, stds, seed=SEED).move if way == "actor" else lambda z: climb(critic, z)
        setup = plain.seconds + learned + time.process_time() - started
        started = time.process_time()
        found = decode(model, mover(start), SEED + 50_000)
        hits = met(conditions, read_values(conditions, model, found.items))
        rows.append(row(way, found, hits, setup, time.process_time() - started))
    return rows


def part(found: Decoded, rows: NDArray[np.bool_]) -> Decoded:
    """Some of them."""
    items = [item for item, kept in zip(found.items, rows, strict=True) if kept]
    return Decoded(z=found.z[rows], raw=found.raw[rows], tokens=found.tokens[rows], items=items, seconds=found.seconds)


def measured(name: str, data: Path | None) -> dict[str, Any]:
    """All cases of one model."""
    model = seqvae.load(name)
    plain = decode(model, model.draw(LEARN, seed=SEED), SEED)
    known = plain.tokens[: LEARN // 2] if data is None else Dataset.open(data).windows("train")
    judge = Judge.fit(known, model.tokenizer.alphabet, np.random.default_rng(SEED))
    rows = [row for case in MODELS[name] for row in case_rows(model, case, plain, judge)]
    what = "plain samples of the model" if data is None else f"train of {data.resolve().name}"
    return {"model": name, "hash": model.hash, "judge": f"4-grams of {what}", "rows": rows}


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown."""
    names = list(rows[0])
    cells = [[row.get(name, np.nan) for name in names] for row in rows]
    shown = [[one if isinstance(one, str) else f"{one:.3g}" for one in row] for row in cells]
    return "\n".join("| " + " | ".join(row) + " |" for row in (names, ["---"] * len(names), *shown))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--data", type=Path, help="a dataset of the model's kind")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = [measured(name, arguments.data) for name in arguments.models]
    if arguments.json:
        print(json.dumps(found))
        return
    for one in found:
        print(f"{one['model']} ({one['hash']}); cost: perplexity by {one['judge']}\n\n{table(one['rows'])}\n")


if __name__ == "__main__":
    main()
