"""The table of all presets and bundled models, of the cards that are inside the model files: no figure is typed.

python -m benchmarks.cards            prints it
python -m benchmarks.cards --write    puts it into docs/models.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

from seqvae.checkpoint import SavedModel, bundled_models, load_model
from seqvae.config import load_preset, preset_names
from seqvae.files import write_atomic

PAGE = Path(__file__).resolve().parent.parent / "docs" / "models.md"
BEGIN, END = "<!-- python -m benchmarks.cards --write: begin -->", "<!-- end -->"

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


def figures_row(path: Path, model: SavedModel) -> str:
    """A bundled model's line."""
    found = model.card.get("figures", {})
    cells = [form.format(found[key]["value"]) if key in found else "–" for key, (_, form) in FIGURES.items()]
    items = max((figure["n"] for key, figure in found.items() if key in FIGURES), default=0)
    parameters = sum(array.size for array in model.weights.values())
    minutes = model.provenance.get("seconds", 0) / 60
    trained = f"{minutes:.0f} min, {model.provenance.get('device', '?')}"
    size = f"{parameters / 1e6:.1f}M, {path.stat().st_size / 1e6:.1f} MB"
    return row(f"`{path.stem}`", *cells, f"{items:,}", size, trained)


def tables() -> str:
    """All of it, in Markdown."""
    models = {name: (path, load_model(path)) for name, path in bundled_models().items()}
    headings = ["model", *(heading for heading, _ in FIGURES.values()), "test items", "parameters, file", "trained"]
    lines = [row(*headings), row(*["---"] * len(headings))]
    lines += [figures_row(*models[name]) for name in sorted(models)]
    total = sum(path.stat().st_size for path, _ in models.values()) / 1e6
    lines += ["", f"Together {total:.1f} MB. Their data:", ""]
    lines += [f"- `{name}`: {models[name][1].licence}" for name in sorted(models)]
    lines += ["", row("preset", "what", "steps", "bundled models"), row(*["---"] * 4)]
    for name in preset_names():
        preset = load_preset(name)
        made = ", ".join(f"`{model}`" for model in sorted(models) if models[model][1].preset.name == name)
        lines.append(row(f"`{name}`", preset.description, str(preset.tokenizer.length or "–"), made or "–"))
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """The page with the tables of today between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put it into docs/models.md")
    if parser.parse_args().write:
        write_atomic(PAGE, with_tables(PAGE.read_text(encoding="utf-8")).encode())
    else:
        print(tables())


if __name__ == "__main__":
    main()
