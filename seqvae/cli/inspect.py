"""The verbs that only look: models (what is bundled) and inspect (what a file is)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common
from seqvae.cli.copied import copies_by_maker, copy_facts
from seqvae.errors import DataError, ReadError

if TYPE_CHECKING:
    from seqvae.checkpoint import SavedModel
    from seqvae.clip import Clip
    from seqvae.tokenizers import Tokenizer


LISTED, LONGEST = 24, 400
"""Of a vocabulary so many words are shown, of a value so many characters; --json has all."""

PARTS = ("melody", "bass", "chords", "drums")
"""What tracks are looked at for."""

KEY_FIGURES = {
    "free_token_accuracy": "free-running tokens",
    "free_onset_accuracy": "onsets",
    "exact_match": "exact",
}


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
        size = f"{fact['parameters'] / 1e6:.1f}M parameters, {fact['bytes'] / 1e6:.1f} MB, z_size {fact['z_size']}"
        print(f"{fact['name']:20s} {fact['reads']}: {fact['description']}")
        print(f"{'':20s} {'; '.join([size, *key_figures(fact['card'])])}")
        print(f"{'':20s} {fact['licence'] or 'no licence is stated'}")
    if not facts:
        common.talk("no model is bundled with this installation; train one with `seqvae train`")


def key_figures(card: dict[str, Any]) -> list[str]:
    """What of a card says most, in a few words; [] of a model that was not measured."""
    measured = {name: figure["value"] for name, figure in card.get("figures", {}).items()}
    words = [f"{what} {measured[name]:.3f}" for name, what in KEY_FIGURES.items() if name in measured]
    bits = [f"{measured['kl_bits']:.0f} bits"] if "kl_bits" in measured else []
    return [", ".join([*words, *bits])] if words else []


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What to look at.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME|FILE|RUN", help="Say also how this model reads the file.", show_default=False
        ),
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Says what a file is.

    Music, a text, a model, a run, a dataset or latent vectors. Of a clip that seqvae made, also which bars are copied
    from what its model was trained on. With --model which windows of any clip or text are, which track plays which
    part, and how much of a text is unknown.

    \b
    Example:
      seqvae inspect a.mid
      seqvae inspect a.mid --model melody-2bar
      seqvae inspect lines.txt --model captions
    """
    if not path.exists():
        raise ReadError(f"{path}: no such file; give music, a text, a model, a run folder, a dataset folder or an .npz")
    facts = file_facts(path)
    if model is not None:
        saved = load_saved(model)
        facts["under_the_model"] = under_model(path, saved.preset.tokenizer, model)
        facts["copied_from_train"] = copy_facts(path, saved, model)
    show(facts, as_json)


def file_facts(path: Path) -> dict[str, Any]:
    """What a file or folder is, by its ending."""
    from seqvae.texts import SUFFIXES

    if path.is_dir():
        return folder_facts(path)
    if path.suffix == ".safetensors":
        from seqvae.checkpoint import load_model

        return model_facts(load_model(path), path)
    if path.suffix in (".npz", ".npy"):
        return latent_facts(path)
    if path.suffix.lower() in SUFFIXES:
        return text_facts(path)
    from seqvae.clip import Clip

    clip = Clip.load(path)
    facts = clip_facts(clip)
    if clip.provenance is not None:
        facts["copied_from_train"] = copies_by_maker(path, clip.provenance)
    return facts


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
        if isinstance(inner, (list, tuple)) and not any(isinstance(one, (dict, list)) for one in inner):
            rest = f", … ({len(inner):,} in all)" if len(inner) > LISTED else ""
            inner = ", ".join(plain(one) for one in inner[:LISTED]) + rest or "none"
        if isinstance(inner, (dict, list)) and inner:
            found += [f"{indent}{name}:", *lines(inner, indent + "  ")]
        else:
            found.append(f"{indent}{name}: {plain(inner) if inner not in ({}, []) else 'none'}")
    return found


def plain(value: Any) -> str:
    """A value in a few characters: four digits of a number, yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


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


def text_facts(path: Path) -> dict[str, Any]:
    """What a text holds: lines of a .txt, rows of a table, objects of a .jsonl."""
    import statistics

    from seqvae.files import read_lines

    lines = read_lines(path)
    words = [len(line.split()) for line in lines if line.strip()]
    return {
        "kind": "text",
        "lines": len(lines),
        "empty": len(lines) - len(words),
        "different": len({line for line in lines if line.strip()}),
        "words": sum(words),
        "words_a_line": f"{min(words, default=0)} to {max(words, default=0)}, "
        f"half of them {statistics.median(words) if words else 0:g} or more",
        "characters": sum(map(len, lines)),
        "begins": next((line[:80] for line in lines if line.strip()), ""),
    }


def load_saved(name: str) -> SavedModel:
    """A model's file. Raises `ModelError`."""
    from seqvae.checkpoint import find_model, load_model

    return load_model(find_model(name))


def under_model(path: Path, tokenizer: Tokenizer, name: str) -> dict[str, Any]:
    """How a model reads a file: of lines lengths and what is unknown, of music which track plays which part.

    Raises:
        DataError: It cannot read it at all; the message says why.
    """
    from seqvae.cli.inputs import Given
    from seqvae.tokenizers import PartsTokenizer

    given = Given(word=str(path))
    if common.is_lines(tokenizer):
        return {"model": name, "reads": tokenizer.kind, **line_facts(tokenizer, given.read_all(tokenizer))}
    item = given.read(tokenizer)
    parts = tokenizer.describe(item) if isinstance(tokenizer, PartsTokenizer) else []
    windows = tokenizer.windows(item)
    return {
        "model": name,
        "reads": tokenizer.kind,
        **({"parts": dict(line.split(": ", 1) for line in parts)} if parts else {}),
        "windows_to_use": len(tokenizer.split(item)),
        "windows_to_train_on": len(windows.tokens),
        **({"left_out": windows.skipped} if windows.skipped else {}),
    }


def line_facts(tokenizer: Tokenizer, items: list[Any]) -> dict[str, Any]:
    """Lines as a model reads them: how many it can, why not the others, and the share of unknown tokens."""
    from collections import Counter

    from seqvae.cli.inputs import unknown_tokens

    left_out: Counter[str] = Counter()
    unknown = steps = used = 0
    for item in items:
        try:
            windows = tokenizer.windows(item)
        except DataError as error:  # a symbol that the model has not
            left_out[str(error).rpartition(": ")[2]] += 1
            continue
        left_out.update(windows.skipped)
        found = unknown_tokens(tokenizer, windows.tokens)
        used, unknown, steps = used + len(windows.tokens), unknown + found[0], steps + found[1]
    shares = {"tokens": steps, "unknown": f"{unknown / max(steps, 1):.1%}"} if steps else {}
    return {"lines_to_use": used, **({"left_out": dict(left_out)} if left_out else {}), **shares}


def clip_facts(clip: Clip) -> dict[str, Any]:
    """What a piece of music holds, and which track would play which part."""
    from seqvae.tokenizers import MelodyTokenizer
    from seqvae.tokenizers.parts.assign import ROLES, cast

    try:
        melody = MelodyTokenizer().melody_tracks(clip)[0]
    except DataError:
        melody = -1
    cast_of = cast(clip, {part: ROLES[part] for part in PARTS})
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
                "plays": [part for part, played in cast_of.items() if index in played],
            }
            for index, track in enumerate(clip.tracks)
        ],
        **drum_facts(clip),
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


def drum_facts(clip: Clip) -> dict[str, Any]:
    """The drums of a clip by class, and the pitches that no class has; nothing where there are none."""
    from collections import Counter

    from seqvae.tokenizers.percussion import CLASSES, drum_notes

    if not any(track.is_drum and len(track.notes) for track in clip.tracks):
        return {}
    found = drum_notes(clip)
    struck = Counter(found.classes.tolist())
    facts: dict[str, Any] = {"drums": {name: struck[index] for index, name in enumerate(CLASSES) if struck[index]}}
    if found.outside:
        outside = [f"pitch {pitch}: {count}" for pitch, count in sorted(found.outside.items())]
        facts["outside_the_drum_map"] = outside
    return facts
