"""The table of all presets and bundled models, of the cards that are inside the model files: no figure is typed.

python -m benchmarks.cards            prints it
python -m benchmarks.cards --write    puts it into docs/models.md
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

from seqvae.checkpoint import SavedModel, bundled_models, load_model
from seqvae.config import load_preset, preset_names
from seqvae.files import write_atomic
from seqvae.tokenizers import TOKENIZERS

REPO = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- python -m benchmarks.cards --write: {} -->", "<!-- end -->"

FIGURES = {
    "free_token_accuracy": ("tokens", "{:.3f}"),
    "free_onset_accuracy": ("onsets", "{:.3f}"),
    "exact_match": ("whole items", "{:.3f}"),
    "kl_bits": ("KL, bits", "{:.1f}"),
    "negative_elbo": ("−ELBO, nats", "{:.1f}"),
}
"""Of the card → heading and form of a column."""


def row(*cells: str) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cells_of(model: SavedModel, figures: dict[str, tuple[str, str]]) -> list[str]:
    """Figures of a card as they are shown; a dash for what it has not."""
    found = model.card.get("figures", {})
    return [form.format(found[key]["value"]) if key in found else "–" for key, (_, form) in figures.items()]


def figures_row(path: Path, model: SavedModel) -> str:
    """A bundled model's line."""
    found = model.card.get("figures", {})
    items = max((figure["n"] for key, figure in found.items() if key in FIGURES), default=0)
    parameters = sum(array.size for array in model.weights.values())
    minutes = model.provenance.get("seconds", 0) / 60
    trained = f"{minutes:.0f} min, {model.provenance.get('device', '?')}"
    size = f"{parameters / 1e6:.1f}M, {path.stat().st_size / 1e6:.1f} MB"
    return row(f"`{path.stem}`", *cells_of(model, FIGURES), f"{items:,}", size, trained)


def models_table() -> str:
    """The bundled models with their figures, and the licences of their data."""
    models = {name: (path, load_model(path)) for name, path in bundled_models().items()}
    headings = ["model", *(heading for heading, _ in FIGURES.values()), "test items", "parameters, file", "trained"]
    lines = [row(*headings), row(*["---"] * len(headings))]
    lines += [figures_row(*models[name]) for name in sorted(models)]
    total = sum(path.stat().st_size for path, _ in models.values()) / 1e6
    lines += ["", f"Together {total:.1f} MB. Their data:", ""]
    lines += [f"- `{name}`: {models[name][1].licence}" for name in sorted(models)]
    return "\n".join(lines)


def short_table() -> str:
    """The bundled models in few words, for the README."""
    shown = {key: FIGURES[key] for key in ("free_token_accuracy", "exact_match", "kl_bits")}
    lines = [row("model", "what", *(heading for heading, _ in shown.values()), "MB"), row(*["---"] * 6)]
    for name, path in sorted(bundled_models().items()):
        model = load_model(path)
        cells = cells_of(model, shown)
        lines.append(row(f"`{name}`", model.preset.description, *cells, f"{path.stat().st_size / 1e6:.1f}"))
    return "\n".join(lines)


def presets_table() -> str:
    """All presets, and the bundled models that were trained with them."""
    made: dict[str, list[str]] = {}
    for name, path in bundled_models().items():
        made.setdefault(load_model(path).preset.name, []).append(f"`{name}`")
    lines = [row("preset", "kind", "what", "steps", "bundled models"), row(*["---"] * 5)]
    for name in preset_names():
        preset = load_preset(name)
        tokenizer = preset.tokenizer
        models = ", ".join(sorted(made.get(name, ["–"])))
        lines.append(row(f"`{name}`", tokenizer.kind, preset.description, str(tokenizer.length or "–"), models))
    return "\n".join(lines)


def settings_tables() -> str:
    """The settings of every kind of tokenizer but melodies, of whose page it is a part."""
    lines = []
    for kind, tokenizer in TOKENIZERS.items():
        if kind == "melody":
            continue
        summary, *_ = (inspect.getdoc(tokenizer) or "").splitlines()
        lines += [f'### `kind = "{kind}"`', "", summary, "", row("setting", "default", "meaning"), row(*["---"] * 3)]
        said = attributes(tokenizer)
        for field in dataclasses.fields(tokenizer):
            if field.name != "kind":
                default = json.dumps(field.default, ensure_ascii=False)
                meaning = said[field.name].replace("|", "\\|")
                lines.append(row(f"`{field.name}`", f"`{default}`", meaning))
        lines.append("")
    return "\n".join(lines).rstrip()


def attributes(tokenizer: type) -> dict[str, str]:
    """Setting → what the class's docstring says of it."""
    _, _, section = (inspect.getdoc(tokenizer) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    for names, text in re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n     .*)*)", section, re.MULTILINE):
        meaning = " ".join(text.split())
        plain, _, onset = meaning.partition("See `Grid`")
        for name in names.split(", "):
            note = onset if name == "min_onsets" else "."
            found[name] = meaning if plain else f"As for melodies{note}"
    return found


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "short": ("README.md", short_table),
    "models": ("docs/models.md", models_table),
    "presets": ("docs/presets.md", presets_table),
    "settings": ("docs/presets.md", settings_tables),
}
"""Name of a table → its page, and what makes it."""


def with_tables(page: Path) -> str:
    """The page's text with its tables of today between their marks."""
    text = page.read_text(encoding="utf-8")
    for name, (where, table) in TABLES.items():
        if Path(where).name == page.name:
            before, begin, rest = text.partition(BEGIN.format(name))
            _, end, after = rest.partition(END)
            assert begin and end, f"{page} has lost its marks of {name}"
            text = f"{before}{begin}\n{table()}\n{end}{after}"
    return text


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put them into the docs")
    if not parser.parse_args().write:
        print("\n\n".join(table() for _, table in TABLES.values()))
        return
    for name in sorted({where for where, _ in TABLES.values()}):
        write_atomic(REPO / name, with_tables(REPO / name).encode())


if __name__ == "__main__":
    main()
