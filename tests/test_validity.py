"""The check that --valid names: found, refused, failing, and drawing until enough is valid."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from seqvae.cli.app import main
from seqvae.cli.common import UsageError
from seqvae.cli.validity import MOST_DRAWN, asked_check, draw_valid, load_check
from seqvae.errors import DataError

RULES = """
import helper_of_rules

EVEN = 2

def even(item):
    return helper_of_rules.half(item) == item / EVEN

def fails(item):
    raise ValueError("no\\nnumber")
"""


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "helper_of_rules.py").write_text("def half(item):\n    return item // 2\n")
    path = tmp_path / "rules.py"
    path.write_text(RULES)
    return path


def test_a_file_with_what_lies_beside_it(rules: Path) -> None:
    even = load_check(f"{rules}:even")
    assert even(4) is True and even(5) is False


def test_a_module_where_one_stands(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(rules.parent)
    assert load_check("rules:even")(4) is True
    assert load_check("keyword:iskeyword")("if") is True


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("even", "is not of the form"),
        (":even", "is not of the form"),
        ("rules.py:", "is not of the form"),
        ("rules.py:not a name", "is not of the form"),
        ("nowhere.py:even", "no file nowhere.py"),
        ("no_such_module:even", "cannot be imported (ModuleNotFoundError"),
        ("{rules}:odd", "odd is not in it"),
        ("{rules}:EVEN", "EVEN is no function"),
        ("{broken}:even", "cannot be imported (SyntaxError"),
        ("{leaving}:even", "cannot be imported (SystemExit"),
    ],
)
def test_what_is_no_check(given: str, words: str, rules: Path) -> None:
    broken, leaving = rules.with_name("broken.py"), rules.with_name("leaving.py")
    broken.write_text("def even(:\n")
    leaving.write_text("raise SystemExit(3)\n")
    with pytest.raises(DataError) as caught:
        load_check(given.format(rules=rules, broken=broken, leaving=leaving))
    assert str(caught.value).startswith("--valid ") and words in str(caught.value) and "\n" not in str(caught.value)


def test_a_check_that_fails_says_on_what(rules: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_check(f"{rules}:fails")("x" * 100)
    message = str(caught.value)
    assert "failed on 'xxx" in message and "ValueError: no number" in message and len(message) < 300 + len(str(rules))


def numbers(count: int) -> list[Any]:
    return list(range(count))


def test_without_a_check_all_is_drawn(rules: Path) -> None:
    assert draw_valid(numbers, 3, None, False) == ([0, 1, 2], {})
    assert asked_check(None, False) is None and asked_check(f"{rules}:even", True) is not None
    with pytest.raises(UsageError, match="--only-valid needs --valid"):
        asked_check(None, True)


def test_the_share_is_told_and_only_valid_ones_are_kept(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_valid(numbers, 5, load_check(f"{rules}:even"), False) == ([0, 1, 2, 3, 4], {"drawn": 5, "valid": 3})
    assert capsys.readouterr().err == "3 of 5 samples are valid\n"
    assert draw_valid(numbers, 4, load_check(f"{rules}:even"), True) == ([0, 2, 4, 6], {"drawn": 8, "valid": 4})
    assert draw_valid(numbers, 2, load_check(f"{rules}:even"), True)[0] == [0, 2], "fewer are the first of more"


def test_too_few_are_valid(rules: Path) -> None:
    rules.write_text("def none(item):\n    return False\n")
    with pytest.raises(DataError, match=f"0 of {2 * MOST_DRAWN} samples are valid, and 2 are asked for"):
        draw_valid(numbers, 2, load_check(f"{rules}:none"), True)


def test_a_mistake_is_found_before_the_model_is_used(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--valid", "nonsense", "--model", "melody-2bar", str(rules)]) == 1
    assert capsys.readouterr().err.startswith("Error: --valid 'nonsense' is not of the form")
