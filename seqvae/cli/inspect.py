"""The verbs that only look: models (what is bundled) and inspect (what a file is)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common
from seqvae.errors import DataError, ReadError

if TYPE_CHECKING:
    from seqvae.checkpoint import SavedModel
    from seqvae.clip import Clip


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One model, with its whole card.", show_default=False)
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Lists the bundled models, or shows one's card.

    \b
    Example:
      seqvae models
      seqvae models melody-2bar
    """
    from seqvae.checkpoint import bundled_models, find_model, load_model

    if name is not None:
        show(model_facts(load_model(find_model(name)), find_model(name)), as_json)
        return
    facts = [model_facts(load_model(path), path) for path in bundled_models().values()]
    if as_json:
        show({"models": facts}, as_json)
        return
    for fact in facts:
        size = f"{fact['parameters'] / 1e6:.1f}M parameters, z_size {fact['z_size']}"
        print(f"{fact['name']:20s} {size:32s} {fact['description']}")
    if not facts:
        common.talk("no model is bundled with this installation; train one with `seqvae train`")


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What to look at.", show_default=False)],
    as_json: common.AsJson = False,
) -> None:
    """Says what a file is.

    Music, a model, a run, a dataset or latent vectors.

    \b
    Example:
      seqvae inspect a.mid
    """
    if not path.exists():
        raise ReadError(f"{path}: no such file; give music, a model, a run folder, a dataset folder or an .npz")
    if path.is_dir():
        show(folder_facts(path), as_json)
    elif path.suffix == ".safetensors":
        from seqvae.checkpoint import load_model

        show(model_facts(load_model(path), path), as_json)
    elif path.suffix in (".npz", ".npy"):
        show(latent_facts(path), as_json)
    else:
        from seqvae.clip import Clip

        show(clip_facts(Clip.load(path)), as_json)


def show(facts: dict[str, Any], as_json: bool) -> None:
    """Prints facts on stdout, as JSON or as indented lines."""
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    card = facts.get("card", {})
    measured = "figures" in card  # a report card has a table of its own
    for line in lines({name: value for name, value in facts.items() if name != "card" or not measured}):
        print(line)
    if measured:
        from seqvae.evaluate import Card

        print(f"\n{Card.from_dict(card).table()}")


def lines(value: Any, indent: str = "") -> list[str]:
    """Nested dicts and lists as indented `name: value` lines; a list of plain values stays on one line."""
    if not isinstance(value, (dict, list)):
        return [f"{indent}{plain(value)}"]
    entries = value.items() if isinstance(value, dict) else ((str(number), one) for number, one in enumerate(value))
    found = []
    for name, inner in entries:
        if isinstance(inner, list) and not any(isinstance(one, (dict, list)) for one in inner):
            inner = ", ".join(plain(one) for one in inner) or "none"
        if isinstance(inner, (dict, list)) and inner:
            found += [f"{indent}{name}:", *lines(inner, indent + "  ")]
        else:
            found.append(f"{indent}{name}: {plain(inner) if inner not in ({}, []) else 'none'}")
    return found


def plain(value: Any) -> str:
    """A value in a few characters: four digits of a number, yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def model_facts(saved: SavedModel, path: Path) -> dict[str, Any]:
    """What a model file says of itself."""
    preset = saved.preset
    return {
        "kind": "model",
        "name": path.stem,
        "hash": saved.hash,
        "description": preset.description,
        "reads": preset.tokenizer.kind,
        "z_size": preset.model.z_size,
        "parameters": int(sum(array.size for array in saved.weights.values())),
        "bytes": path.stat().st_size,
        "licence": saved.licence,
        "card": saved.card,
        "training": saved.provenance,
        "preset": preset.to_dict(),
    }


def folder_facts(path: Path) -> dict[str, Any]:
    """What a run folder or a dataset folder is."""
    if (path / "dataset.json").is_file():
        from seqvae.dataset import SPLITS, Dataset, tokenizer_to_dict

        dataset = Dataset.open(path)
        return {
            "kind": "dataset",
            "hash": dataset.hash,
            "windows": {split: len(dataset.windows(split)) for split in SPLITS},
            "also_in_train": {split: int((~dataset.unseen(split)).sum()) for split in SPLITS if split != "train"},
            "sources": len(dataset.source_list()),
            "tokenizer": tokenizer_to_dict(dataset.tokenizer),
        }
    if (path / "best.safetensors").is_file():
        from seqvae.checkpoint import load_model

        best = path / "best.safetensors"
        return {**model_facts(load_model(best), best), "kind": "run", "name": path.name}
    raise DataError(f"{path}: a folder with neither dataset.json nor best.safetensors; give a dataset or a run")


def latent_facts(path: Path) -> dict[str, Any]:
    """What a file of z holds."""
    import numpy as np

    from seqvae.cli.latent import read_latents

    arrays = read_latents(path)
    return {
        "kind": "latent vectors",
        "arrays": {name: f"{array.dtype} {array.shape}" for name, array in arrays.items() if array.ndim},
        "model": str(arrays.get("model", "not said")),
        "model_hash": str(arrays.get("model_hash", "not said")),
        "finite": bool(np.isfinite(arrays["z"]).all()),
    }


def clip_facts(clip: Clip) -> dict[str, Any]:
    """What a piece of music holds."""
    from seqvae.tokenizers import MelodyTokenizer

    try:
        melody = MelodyTokenizer().melody_tracks(clip)[0]
    except DataError:
        melody = -1
    facts: dict[str, Any] = {
        "kind": "music",
        "bars": len(clip.bars()),
        "beats": clip.length_beats,
        "meters": [f"{meter.numerator}/{meter.denominator} at beat {meter.beat:g}" for meter in clip.meters],
        "tempos": [f"{tempo.tempo_qpm:.1f} at beat {tempo.beat:g}" for tempo in clip.tempos[:8]],
        "tempo_changes": len(clip.tempos) - 1,
        "tracks": [
            {
                "name": track.name or "unnamed",
                "notes": len(track.notes),
                "pitches": f"{track.notes['pitch'].min()}-{track.notes['pitch'].max()}" if len(track.notes) else "none",
                "program": "drums" if track.is_drum else track.program,
                "melody": index == melody,
            }
            for index, track in enumerate(clip.tracks)
        ],
    }
    if clip.provenance is not None:
        made = clip.provenance
        facts["made_by_seqvae"] = {
            "verb": made.verb,
            "model": made.model,
            "model_hash": made.model_hash,
            "seed": made.seed,
            "temperature": made.temperature,
            "windows": len(made.z),
            "z_size": made.z.shape[1],
        }
    return facts
