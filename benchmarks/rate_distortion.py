"""The rate-distortion curve of a music preset: what β, free bits and a held KL give, each from the same bundled model.

    python -m benchmarks.rate_distortion --model melody-2bar --data DATASET --steps 150 -o OUT.json --picture OUT.png

Every point goes on from the bundled model's weights for so many steps with one thing changed, the objective, and is
then measured on windows of the test split that train has not. A point is no training of its own: it says where the
objective pulls a trained network, and `LONGER` repeats one with more steps to see how far it has got. Points that
stand in OUT.json are not trained again, so it can be stopped and called again; when all stand it draws and prints.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.table import machine
from seqvae.checkpoint import SavedModel, find_model, load_model
from seqvae.cli.sample import usual_temperature
from seqvae.config import Preset, with_settings
from seqvae.dataset import Dataset
from seqvae.errors import DataError, SeqvaeError
from seqvae.evaluate import report_card
from seqvae.files import write_atomic
from seqvae.latent import AggregatePosterior
from seqvae.loading import from_saved
from seqvae.model import Model
from seqvae.plot.canvas import CATEGORIES, INK, MUTED, figure_of, save
from seqvae.run import averaged_weights, posteriors, start
from seqvae.runtime import single_threaded
from seqvae.train import _step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = dict[str, Any]
"""A measured point: `method`, `name`, `settings`, `steps`, `seconds`, and the figures of `FIGURES`."""

COMMON = (
    *("objective.schedule=constant", "objective.free_nats=0", "objective.target_nats=0"),
    *("train.learning_rate=1e-3", "train.learning_rate_end=2e-5", "train.warmup_steps=20"),
    *("train.weight_average=0.98", "train.workers=1"),
)
"""Of every point: a short warm-up for Adam, which starts without its moments, and an average that forgets the start."""

SEED = 1
FITTED_ON = 2048
"""Training windows that the aggregate posterior is fitted on."""

LONGER = 2
"""How many times the steps of the point that shows how far the others have settled."""

FIRST_BETAS = 3
"""So many points of the curve over β come before the other methods."""

FIGURES = (
    *("kl", "kl_bits", "recon_nll", "negative_elbo", "active_units", "kl_units", "marginal_kl"),
    *("forced_token_accuracy", "free_token_accuracy", "free_onset_accuracy", "exact_match"),
    *(
        f"{prior}_{name}"
        for prior in ("aggregate", "normal")
        for name in (
            *("nonempty", "valid", "unique", "density_ratio", "seeds_passed"),
            *("density_overlap", "pitch_class_overlap", "interval_overlap"),
        )
    ),
)
"""Of the report card (docs/measures.md)."""

METHODS = {
    "β": "β",
    "total": "free nats of an item (total), as MusicVAE",
    "per_dim_batch": "free nats of each dimension (per_dim_batch)",
    "target": "KL held at a target",
}
"""A line of the picture each → its name there."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a point changes.

    Attributes:
        method: Of `METHODS`.
        name: In the table.
        settings: As for `--set`.
        times: So many times the steps.
    """

    method: str
    name: str
    settings: tuple[str, ...]
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which points a model's curve has.

    Attributes:
        betas: Of the curve over β; the bundled model's own among them, as the control of going on at all.
        free_nats: MusicVAE's free bits (48 of two bars, 256 of sixteen), in nats.
        free_beta: β beyond them.
        target: Held KL, in nats: that of MusicVAE's released model.
        longer: β of the point with `LONGER` times the steps.
        published: Figures of other models on other data: KL in bits, token accuracy, name.
    """

    betas: tuple[float, ...]
    free_nats: float
    free_beta: float
    target: float
    longer: float
    published: tuple[tuple[float, float, str], ...]

    def recipes(self, z_size: int) -> list[Recipe]:
        """All points, the most telling first. Free nats of each dimension add up to as many as those of an item."""
        each = round(self.free_nats / z_size, 3)
        free = [
            Recipe(
                method=mode,
                name=f"{mode} {nats:g} nats, β {self.free_beta:g}",
                settings=(
                    *(f"objective.beta={self.free_beta}", f"objective.free_nats={nats}"),
                    f"objective.free_mode={mode}",
                ),
            )
            for mode, nats in (("total", self.free_nats), ("per_dim_batch", each))
        ]
        held = Recipe(
            method="target",
            name=f"KL held at {self.target:g} nats",
            # The multiplier has few steps here to get where it belongs.
            settings=("objective.beta=0.5", f"objective.target_nats={self.target}", "objective.target_speed=0.1"),
        )
        line = [_of_beta(beta) for beta in self.betas]
        return [*line[:FIRST_BETAS], *free, _of_beta(self.longer, LONGER), held, *line[FIRST_BETAS:]]


def _of_beta(beta: float, times: int = 1) -> Recipe:
    more = f", {times} × the steps" if times > 1 else ""
    return Recipe(method="β", name=f"β {beta:g}{more}", settings=(f"objective.beta={beta}",), times=times)


PLANS = {
    "melody-2bar": Plan(
        betas=(0.4, 1.0, 0.7, 0.2, 0.6),
        free_nats=33.3,
        free_beta=1.0,
        target=40.2,
        longer=1.0,
        published=((58.0, 0.95, "MusicVAE's released model, on its own data"),),
    ),
    "melody-16bar": Plan(
        betas=(0.3, 1.0, 0.8),
        free_nats=177.4,
        free_beta=1.0,
        target=192.0,
        longer=1.0,
        published=((277.0, 0.90, "MusicVAE's released model, teacher-forced, on its own data"),),
    ),
}


# -- measuring -------------------------------------------------------------------------------------------------------


def trained(preset: Preset, dataset: Dataset, init: SavedModel) -> Model:
    """The model that stands after the preset's steps from `init`, its weights averaged.

    Not by `seqvae.train.train`: that keeps the best of its validations, the start among them, and for so few steps
    its validations and files would take longer than the steps.
    """
    run = start(preset, dataset, Path(), SEED, torch.device("cpu"), init)
    with single_threaded():
        for _ in range(preset.train.steps):
            _step(run)
            run.progress.step += 1
    run.workers.close()
    with averaged_weights(run):
        weights = {name: array.numpy().copy() for name, array in run.vae.state_dict().items()}
        means, stds = posteriors(run, FITTED_ON)
    fit = AggregatePosterior.fit(means.float().numpy(), stds.float().numpy())
    return from_saved(
        SavedModel(
            name=preset.name,
            preset=run.preset,
            weights=weights,
            aggregate_mean=fit.mean.astype(np.float32),
            aggregate_covariance=fit.covariance.astype(np.float32),
        )
    )


def figures(model: Model, dataset: Dataset, items: int, samples: int) -> dict[str, float]:
    """The figures of `FIGURES` on windows of the test split, evenly from all that train has not."""
    windows = np.asarray(dataset.windows("test")[dataset.unseen("test")], np.int64)
    rows = np.linspace(0, len(windows) - 1, min(len(windows), items)).round().astype(int)
    card = report_card(
        model,
        windows[rows],
        iw_samples=0,
        samples=samples,
        pairs=0,
        temperature=usual_temperature(model),
    )
    found = {figure.name: figure.value for figure in card.figures}
    return {name: round(found[name], 4) for name in FIGURES if name in found}


def measure(
    saved: SavedModel,
    dataset: Dataset,
    recipes: Sequence[Recipe],
    output: Path,
    *,
    steps: int,
    items: int,
    samples: int,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Trains and measures the points that `output` has not yet, and writes it after each.

    Raises:
        DataError: `output` holds points of another model, other data or other amounts.
    """
    about = {
        "model": saved.name,
        "model_hash": from_saved(saved).hash,
        "data": dataset.hash,
        "steps": steps,
        "seed": SEED,
        "common": list(COMMON),
        "batch_size": saved.preset.train.batch_size,
        "items": items,
        "samples": samples,
    }
    result = opened(output, about)
    points: list[Point] = result["points"]
    if not points:
        bundled = figures(from_saved(saved, name=saved.name), dataset, items, samples)
        points.append({"method": "bundled", "name": "as bundled", "settings": [], "steps": 0, **bundled})
        write(output, result)
    for recipe in recipes:
        if recipe.name in {point["name"] for point in points}:
            continue
        length = steps * recipe.times
        changed = [*COMMON, *recipe.settings, f"train.steps={length}"]
        started = time.process_time()
        model = trained(with_settings(saved.preset, changed), dataset, saved)
        found = figures(model, dataset, items, samples)
        cost = round(time.process_time() - started, 1)
        about_it = {"method": recipe.method, "name": recipe.name, "settings": list(recipe.settings)}
        points.append({**about_it, "steps": length, "cpu_seconds": cost, **found})
        result["machine"] = machine()
        write(output, result)
        say(f"{recipe.name}: KL {found['kl_bits']:.1f} bits, onsets {found['free_onset_accuracy']:.3f}, {cost:.0f} s")
    write(output, result)
    return result


def opened(output: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What stands in `output`, or nothing yet. Raises `DataError` if it was measured in another way."""
    if not output.exists():
        return {"about": about, "points": []}
    result: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    for key, value in about.items():
        if (theirs := result["about"].get(key)) != value:
            raise DataError(f"{output}: its points have {key} {theirs!r}, not {value!r}; give another -o")
    return result


def write(output: Path, result: dict[str, Any]) -> None:
    """Whole or not at all."""
    write_atomic(output, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())


# -- reading it ------------------------------------------------------------------------------------------------------


def sample_overlap(point: Point, prior: str = "aggregate") -> float:
    """How like the data a prior's samples are: mean overlap of density, pitch classes and intervals, 0 to 1."""
    names = ("density_overlap", "pitch_class_overlap", "interval_overlap")
    return math.fsum(point[f"{prior}_{name}"] for name in names) / len(names)


READ: dict[str, Callable[[Point], float]] = {
    "NLL": lambda point: float(point["recon_nll"]),
    "tokens": lambda point: float(point["free_token_accuracy"]),
    "onsets": lambda point: float(point["free_onset_accuracy"]),
    "samples": sample_overlap,
    "N(0, 1) samples": lambda point: sample_overlap(point, "normal"),
}
"""What is compared at equal KL."""


def beyond_curve(points: Sequence[Point], point: Point, read: Callable[[Point], float]) -> float | None:
    """A figure of a point less that of the curve over β at the same KL, between its neighbours linearly.

    The curve is that of the points with the fewest steps. None beyond its ends.
    """
    line = curve(points)
    rates = [one["kl"] for one in line]
    if not line or not rates[0] <= point["kl"] <= rates[-1]:
        return None
    return read(point) - float(np.interp(point["kl"], rates, [read(one) for one in line]))


def curve(points: Sequence[Point], method: str = "β") -> list[Point]:
    """The points of a method, by their KL; of more steps than the others none."""
    found = [point for point in points if point["method"] == method]
    fewest = min((point["steps"] for point in found), default=0)
    return sorted((point for point in found if point["steps"] == fewest), key=lambda point: float(point["kl"]))


def table(points: Sequence[Point]) -> str:
    """All points by their KL, as Markdown; in brackets the difference from the curve over β at the same KL."""
    heads = ["point", "KL, bits", "NLL, nats", "−ELBO", "tokens", "onsets", "whole", "samples", "N(0, 1) samples"]
    lines = [heads, ["---"] * len(heads)]
    for point in sorted(points, key=lambda point: float(point["kl"])):
        cells = {
            "NLL": "{:.2f}",
            "tokens": "{:.4f}",
            "onsets": "{:.4f}",
            "samples": "{:.3f}",
            "N(0, 1) samples": "{:.3f}",
        }
        shown = {name: form.format(READ[name](point)) for name, form in cells.items()}
        for name in cells:
            less = None if point in curve(points) else beyond_curve(points, point, READ[name])
            if less is not None:
                shown[name] += f" ({cells[name].replace(':', ':+').format(less)})".replace("-", "−")
        lines.append(
            [
                *(point["name"], f"{point['kl_bits']:.1f}", shown["NLL"], f"{point['negative_elbo']:.2f}"),
                *(shown["tokens"], shown["onsets"], f"{point['exact_match']:.3f}"),
                *(shown["samples"], shown["N(0, 1) samples"]),
            ]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# -- the picture -----------------------------------------------------------------------------------------------------

PANELS = {
    "distortion: reconstruction NLL, nats an item": "NLL",
    "free-running token accuracy": "tokens",
    "free-running onset accuracy": "onsets",
    "samples of the aggregate prior: overlap with the data's statistics": "samples",
}


def draw(result: dict[str, Any], plan: Plan, path: Path) -> Path:
    """Rate against distortion, accuracies and the likeness of prior samples: one line a method."""
    points = result["points"]
    with figure_of(7.4) as figure:
        panels = figure.subplots(2, 2, squeeze=False).flatten()
        figure.subplots_adjust(left=0.045, right=0.985, wspace=0.12, hspace=0.25, bottom=0.065, top=0.955)
        for panel, (title, name) in zip(panels, PANELS.items(), strict=True):
            _panel(panel, title, points, READ[name])
        for rate, accuracy, name in plan.published:
            panels[1].plot(rate, accuracy, "*", color=MUTED, markersize=9, label=name)
        panels[1].legend(loc="lower right", fontsize=7, labelcolor=MUTED)
        for panel in panels[2:]:
            panel.set_xlabel("rate: KL, bits an item")
        return save(figure, path, overwrite=True)


def _panel(panel: Axes, title: str, points: Sequence[Point], read: Callable[[Point], float]) -> None:
    for (method, name), colour in zip(METHODS.items(), CATEGORIES, strict=False):
        line = curve(points, method)
        label = name if title.startswith("distortion") else ""
        rates, values = [one["kl_bits"] for one in line], [read(one) for one in line]
        panel.plot(rates, values, "o-", color=colour, linewidth=1.3, markersize=4, label=label)
        if method == "β":
            rising = bool(line) and values[-1] > values[0]
            for one, rate, value in zip(line, rates, values, strict=True):
                beside = (5, -9) if rising else (4, 4)
                panel.annotate(
                    one["name"], (rate, value), beside, textcoords="offset points", fontsize=6.5, color=colour
                )
            longer = [one for one in points if one["method"] == method and one not in line]
            label = f"β, {LONGER} × the steps" if title.startswith("distortion") else ""
            panel.plot(
                [one["kl_bits"] for one in longer],
                [read(one) for one in longer],
                "o",
                color=colour,
                markerfacecolor="none",
                markersize=6,
                label=label,
            )
    start = [one for one in points if one["method"] == "bundled"]
    label = "as bundled, where all begin" if title.startswith("distortion") else ""
    panel.plot(
        [one["kl_bits"] for one in start], [read(one) for one in start], "D", color=INK, markersize=5, label=label
    )
    panel.set_title(title, loc="left", pad=5)
    panel.margins(0.07)
    panel.grid()
    panel.set_axisbelow(True)
    if title.startswith("distortion"):
        panel.legend(loc="upper right", fontsize=7, labelcolor=MUTED)


def main() -> int:
    """Measures, prints the table and draws; 0 done, 1 an error."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rate_distortion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=PLANS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the dataset that it was trained on")
    parser.add_argument("--points", type=int, help="only the first so many of the plan; the others another time")
    parser.add_argument("--steps", type=int, default=150, help="of each point")
    parser.add_argument("--items", type=int, default=1024, help="windows of the test split")
    parser.add_argument("--samples", type=int, default=1000, help="of each prior")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file, also to go on from")
    parser.add_argument("--picture", type=Path, help=".png file")
    arguments = parser.parse_args()
    plan = PLANS[arguments.model]
    try:
        saved = load_model(find_model(arguments.model))
        amounts = {"steps": arguments.steps, "items": arguments.items, "samples": arguments.samples}
        recipes = plan.recipes(saved.preset.model.z_size)[: arguments.points]
        dataset = Dataset.open(arguments.data)
        result = measure(saved, dataset, recipes, arguments.output, **amounts, say=_talk)
        print(table(result["points"]))
        if arguments.picture:
            print(draw(result, plan, arguments.picture))
    except SeqvaeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _talk(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
