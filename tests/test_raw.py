"""Raw sequences: what is learned, what is typed, what is refused in one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.errors import ConfigError, DataError, ReadError
from seqvae.tokenizers import RawTokenizer

FORMULAS = ["x + sin( x )", "1 * x", "exp( x ) / 2"]
EQUATIONS = RawTokenizer(symbols="spaces").fit(FORMULAS)

# -- what is learned ---------------------------------------------------------------------------------------------------


def test_a_vocabulary_is_learned_and_sorted() -> None:
    assert EQUATIONS.vocabulary == (")", "*", "+", "/", "1", "2", "exp(", "sin(", "x")
    assert EQUATIONS.length == 6 and EQUATIONS.fitted and not RawTokenizer(symbols="spaces").fitted
    assert EQUATIONS.encode("1 * x").tolist() == [5, 2, 9, 0, 0, 0]


def test_only_what_is_open_is_learned() -> None:
    assert RawTokenizer(length=20).fit(["ab"]).length == 20
    given = RawTokenizer(vocabulary=("b", "a")).fit(["ab"])
    assert given.vocabulary == ("b", "a") and given.length == 3
    with pytest.raises(DataError, match="'c' is no symbol"):
        RawTokenizer(vocabulary=("b", "a")).fit(["abc"])


@settings(max_examples=50)
@given(lines=st.lists(st.text(st.characters(exclude_characters="\r\n"), min_size=1), min_size=1, max_size=6))
def test_every_line_it_was_fitted_to_is_kept(lines: list[str]) -> None:
    characters = RawTokenizer().fit(lines)
    assert [characters.decode(characters.encode(line)) for line in lines] == lines
    assert all((characters.encode(line) == 0).any() for line in lines), "each has its end"
    words = [" ".join(line.split()) for line in lines if line.split()]
    if words:
        spaces = RawTokenizer(symbols="spaces").fit(lines)
        assert [spaces.decode(spaces.encode(line)) for line in words] == words


def test_integers_are_their_own_tokens() -> None:
    learned = RawTokenizer(symbols="integers").fit(np.array([[0, 4, 1], [2, 2, 2]]))
    assert (learned.length, learned.size, learned.alphabet.end) == (3, 5, None)
    assert learned.encode(np.array([0, 4, 1], np.uint8)).tolist() == [0, 4, 1]
    assert learned.onset_mask.tolist() == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("tokenizer", "items", "words"),
    [
        (RawTokenizer(), [], "no symbol to learn"),
        (RawTokenizer(symbols="spaces"), ["  ", ""], "no symbol to learn"),
        (RawTokenizer(symbols="integers"), [], "no row of integers"),
        (RawTokenizer(symbols="integers", length=3), [np.zeros(0, int)], "no row of integers"),
        (RawTokenizer(symbols="integers"), [np.array([1, 2]), np.array([1])], "1 to 2 integers"),
        (RawTokenizer(symbols="integers"), [np.array([-1, 2])], "between -1 and 2"),
        (RawTokenizer(symbols="integers"), [np.array([1, 70_000])], "between 1 and 70000"),
    ],
)
def test_what_cannot_be_learned_from(tokenizer: RawTokenizer, items: list[object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        tokenizer.fit(items)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": -1},
        {"symbols": "integers", "vocabulary": ("a",)},
        {"symbols": "integers", "size": 70_000},
        {"size": 3},
        {"vocabulary": ("a", "a")},
        {"vocabulary": ("ab",)},
        {"vocabulary": ("\n",)},
        {"symbols": "spaces", "vocabulary": ("a b",)},
        {"symbols": "spaces", "vocabulary": ("",)},
        {"symbols": "spaces", "vocabulary": (" a",)},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="tokenizer: "):
        RawTokenizer(**wrong)  # type: ignore[arg-type]


# -- what is typed -----------------------------------------------------------------------------------------------------


def test_symbols_typed_without_spaces() -> None:
    assert EQUATIONS.parse("x+sin(x)") == "x + sin( x )"
    assert EQUATIONS.parse(" 1*x ") == EQUATIONS.parse("1  * x") == "1 * x"


def test_the_longest_symbol_wins_and_written_symbols_are_kept() -> None:
    greedy = RawTokenizer(symbols="spaces", length=9, vocabulary=("s", "in", "sin", "i", "n"))
    assert greedy.parse("sin") == "sin"
    assert greedy.parse("s in") == "s in"
    assert greedy.parse("sins") == "sin s"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("y + x", "'y + x': 'y' is no symbol of this model; it knows"),
        ("x + sin x", "'s' is no symbol"),
        ("x + x + x + x", "has 7 symbols and at most 6 are read"),
        ("", "the sequence is empty"),
        ("  ", "the sequence is empty"),
        ("x.txt", "x.txt: no such file"),
    ],
)
def test_what_cannot_be_typed(typed: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        EQUATIONS.parse(typed)
    assert words in str(caught.value) and "\n" not in str(caught.value)


IMAGES = RawTokenizer(symbols="integers", length=3, size=5)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("0 1 5", "between 0 and 5 and the model's between 0 and 4"),
        ("0 -1 2", "between -1 and 2"),
        ("0 1", "shape (2,) and 3 integers are read"),
        ("", "shape (0,)"),
        ("0 1 x", "are no integers"),
        ("0 1 99999999999999999999", "are no integers"),
        ("row.npy", "no such file"),
    ],
)
def test_integers_that_cannot_be_typed(typed: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        IMAGES.parse(typed)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_integers_typed() -> None:
    item = IMAGES.parse("0 4  1")
    assert isinstance(item, np.ndarray) and item.tolist() == [0, 4, 1] and IMAGES.show(item) == "0 4 1"


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"ab\nb\n", b"ab\r\nb\r\n", b"ab\rb", b"\xef\xbb\xbfab\nb"])
def test_line_ends_and_byte_order_marks(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert RawTokenizer().read_all(path) == ["ab", "b"]
    assert RawTokenizer().read(path) == "ab"


def test_empty_lines_and_long_ones_are_left_out_and_counted() -> None:
    tokenizer = RawTokenizer(length=3, vocabulary=("a",))
    assert tokenizer.windows("").skipped == {"empty": 1}
    assert tokenizer.windows("aaaa").skipped == {"longer than 3": 1}
    assert tokenizer.windows("aaa").tokens.tolist() == [[1, 1, 1]]
    with pytest.raises(DataError, match="'b' is no symbol"):
        tokenizer.windows("ab")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"caf\xe9\n", "(line 1, byte 3 is 0xe9); save it as UTF-8")],
)
def test_texts_that_cannot_be_read(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(ReadError) as caught:
        RawTokenizer().read_all(path)
    assert str(caught.value).startswith(f"{path}: ") and words in str(caught.value)


def test_rows_of_an_array_and_lines_of_integers(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 4], [2, 2, 2]], np.uint8)
    np.save(tmp_path / "a.npy", rows)
    (tmp_path / "a.txt").write_text("0 1 4\n2 2 2\n")
    for name in ("a.npy", "a.txt"):
        np.testing.assert_array_equal(IMAGES.read_all(tmp_path / name), rows)
    (tmp_path / "a.txt").write_text("0 1 4\n2 b 2\n")
    with pytest.raises(ReadError, match="line 2 is '2 b 2' and no integers"):
        IMAGES.read_all(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.zeros((2, 3)), "is float64 of shape"),
        (np.zeros((2, 3, 4), int), "shape"),
        (np.zeros((0, 3), int), "is empty"),
    ],
)
def test_arrays_that_cannot_be_read(rows: np.ndarray, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", rows)
    with pytest.raises(ReadError, match=words):
        IMAGES.read(tmp_path / "a.npy")


def test_arrays_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    good = tmp_path / "good.npy"
    np.save(good, np.zeros((4, 3), int))
    pickled = np.array([{"a": 1}], object)
    np.save(tmp_path / "object.npy", pickled, allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.zeros(3, int))
    contents = [
        b"",
        b"not an array",
        good.read_bytes()[:-5],
        (tmp_path / "object.npy").read_bytes(),
        (tmp_path / "several.npz").read_bytes(),
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ReadError) as caught:
            IMAGES.read_all(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
