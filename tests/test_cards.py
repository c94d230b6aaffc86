"""The table of bundled models is that of the model files."""

from __future__ import annotations

import dataclasses
import zlib
from pathlib import Path

import pytest

from benchmarks import cards
from seqvae.checkpoint import bundled_models, load_model
from seqvae.tokenizers import TOKENIZERS


@pytest.mark.parametrize("name", ["README.md", "docs/models.md", "docs/presets.md"])
def test_the_page_is_that_of_the_files(name: str) -> None:
    page = cards.REPO / name
    assert cards.with_tables(page) == page.read_text(encoding="utf-8"), "run: python -m benchmarks.cards --write"


def test_a_row_quotes_its_card() -> None:
    path = bundled_models()["melody-2bar"]
    model = load_model(path)
    line = cards.figures_row(path, model)
    accuracy = model.card["figures"]["free_token_accuracy"]
    assert f"| {accuracy['value']:.3f} |" in line and f"| {accuracy['n']:,} |" in line


def test_what_stands_around_the_tables_stays(tmp_path: Path) -> None:
    page = tmp_path / "models.md"
    page.write_text(f"before\n{cards.BEGIN.format('models')}\nold\n{cards.END}\nafter\n")
    found = cards.with_tables(page)
    assert found.startswith("before\n") and found.endswith("\nafter\n") and "\nold\n" not in found
    page.write_text(found)
    assert cards.with_tables(page) == found


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_setting_is_explained_in_its_class(kind: str) -> None:
    fields = {field.name for field in dataclasses.fields(TOKENIZERS[kind])} - {"kind"}
    assert fields - set(cards.attributes(TOKENIZERS[kind])) == set()


def test_together_they_fit_into_a_wheel() -> None:
    """A wheel is a zip: 45 MB of it, as it is downloaded."""
    assert sum(len(zlib.compress(path.read_bytes())) for path in bundled_models().values()) <= 45e6
