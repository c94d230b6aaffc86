"""What `reconstruct` says of a reconstruction, for every kind: by hand, and as laws over all of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from kinds import KINDS, each_kind, random_tokens

from seqvae.cli.compare import compare, differences, show_comparison
from seqvae.tokenizers import PartsTokenizer, RawTokenizer


def compared(tokenizer, given, made):
    model = SimpleNamespace(tokenizer=tokenizer)
    return compare(model, SimpleNamespace(tokens=given), SimpleNamespace(tokens=made))


def test_a_difference_of_parts_says_which_part():
    tokenizer = PartsTokenizer(bars=2)
    given = np.zeros((2, tokenizer.length, 3), np.int64)
    names = [part.name for part in tokenizer.alphabet.parts]
    bass = names.index("bass")
    given[:, ::8, bass] = 5
    made = given.copy()
    made[0, 16, bass] = 7
    made[1, 8, names.index("drums")] = 1
    values = compared(tokenizer, given, made)
    first, second = values["differences"]
    assert first["where"] == "bar 2 beat 1 bass"
    assert (first["input"], first["reconstruction"]) == (tokenizer.token_name(5, bass), tokenizer.token_name(7, bass))
    assert second["where"] == "bar 3 beat 3 drums"
    assert values["parts"]["bass"] == {"token_accuracy": 63 / 64, "onset_accuracy": 7 / 8}
    assert values["parts"]["melody"] == {"token_accuracy": 1.0, "onset_accuracy": 1.0}
    assert values["token_accuracy"] == 190 / 192


def test_symbols_are_counted_over_the_windows_and_up_to_the_end():
    tokenizer = RawTokenizer(length=5, vocabulary=tuple("abc"))
    given = np.array([[1, 2, 0, 0, 0], [3, 3, 3, 0, 0]])
    made = np.array([[1, 2, 0, 2, 2], [3, 1, 0, 0, 0]])
    values = compared(tokenizer, given, made)
    assert [(one["where"], one["input"], one["reconstruction"]) for one in values["differences"]] == [
        ("symbol 4", "c", "a"),  # the first window has two
        ("symbol 5", "c", "end"),
    ]
    assert values["token_accuracy"] == 5 / 7
    assert "parts" not in values


@each_kind
def test_nothing_differs_from_itself_and_all_that_counts_is_listed(kind):
    tokenizer = KINDS[kind]
    given, made = (
        np.stack([tokenizer.canonical(random_tokens(tokenizer, seed + 10 * which)) for seed in range(3)])
        for which in (0, 1)
    )
    same = compared(tokenizer, given, given)
    assert (same["token_accuracy"], same["onset_accuracy"], same["differences"]) == (1.0, 1.0, [])
    found = differences(tokenizer, given, made)
    assert len(found) == ((given != made) & tokenizer.alphabet.counted(given)).sum()
    assert all(one["input"] != one["reconstruction"] for one in found)


def test_what_is_said(capsys: pytest.CaptureFixture[str]):
    tokenizer = RawTokenizer(length=5, vocabulary=tuple("abc"))
    given = np.tile([[1, 1, 1, 1, 0]], (10, 1))
    show_comparison(compared(tokenizer, given, given + (given == 1)))
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["tokens right 20.0%, onsets right 0.0%", "  symbol 1: b instead of a"]
    assert said[-1] == "  and 16 more (--json lists all)"
    assert len(said) == 26
