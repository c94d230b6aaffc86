"""The table of bundled models is that of the model files."""

from __future__ import annotations

from benchmarks import cards
from seqvae.checkpoint import bundled_models, load_model


def test_the_page_has_the_figures_of_the_files() -> None:
    page = cards.PAGE.read_text(encoding="utf-8")
    assert cards.with_tables(page) == page, "run: python -m benchmarks.cards --write"


def test_a_row_quotes_its_card() -> None:
    path = bundled_models()["melody-2bar"]
    model = load_model(path)
    line = cards.figures_row(path, model)
    accuracy = model.card["figures"]["free_token_accuracy"]
    assert f"| {accuracy['value']:.3f} |" in line and f"| {accuracy['n']:,} |" in line


def test_what_stands_around_the_tables_stays() -> None:
    page = f"before\n{cards.BEGIN}\nold\n{cards.END}\nafter\n"
    found = cards.with_tables(page)
    assert found.startswith("before\n") and found.endswith("\nafter\n") and "\nold\n" not in found
    assert cards.with_tables(found) == found


def test_together_they_fit_into_a_wheel() -> None:
    assert sum(path.stat().st_size for path in bundled_models().values()) <= 45e6
