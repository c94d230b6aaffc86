"""Raw sequences: what is learned, what is typed, what is refused in one clear line."""

from __future__ import annotations

import importlib
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.cli.app import main
from seqvae.corpus.prepare import split_by_name
from seqvae.dataset import Dataset
from seqvae.errors import ConfigError, DataError, ReadError
from seqvae.loading import load
from seqvae.model import Prior
from seqvae.plot import image_grid
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


def test_one_long_line_does_not_make_all_windows_long() -> None:
    learned = RawTokenizer().fit(["ab", "b" * 10_000])
    assert learned.length == 256 and learned.windows("b" * 10_000).skipped == {"longer than 256": 1}
    assert RawTokenizer(length=300).fit(["ab"]).length == 300


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
        ("0 1", "the row has 2 integers and 3 are read"),
        ("", "has 0 integers"),
        ("0 1 x", "are no integers"),
        ("0 1 99999999999999999999", "are no integers"),
        ("row.npy", "no such file"),
    ],
)
def test_integers_that_cannot_be_typed(typed: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        IMAGES.parse(typed)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_rows_of_another_kind_are_refused() -> None:
    for row in (np.zeros(3), np.zeros((1, 3), int)):
        with pytest.raises(DataError, match="give a row of integers"):
            IMAGES.encode(row)


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


# -- from the command line ---------------------------------------------------------------------------------------------

TINY = [
    *("model.embedding_size=4", "model.encoder_size=8", "model.pooling_size=4", "model.z_size=4"),
    *("model.decoder_sizes=[16]", "model.readout_size=8", "train.batch_size=16", "train.steps=60"),
    *("train.learning_rate=0.02", "train.warmup_steps=2", "train.validate_every=60", "train.workers=1"),
    *("objective.beta=0.01", "train.weight_average=0.9"),
]


def seqvae(*line: str | Path, code: int = 0) -> None:
    assert main([str(word) for word in line]) == code


def made(folder: Path, preset: str, source: Path) -> Path:
    """A run: prepared from `source` and trained for a moment."""
    seqvae("prepare", source, "-o", folder / "data", "--preset", preset)
    chosen = [word for setting in TINY for word in ("--set", setting)]
    seqvae("train", "--preset", preset, "--data", folder / "data", "-o", folder / "run", "--seed", "1", *chosen)
    return folder / "run"


@pytest.fixture(scope="module")
def formulas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formulas")
    lines = [f"{a} {sign} sin( {b} )" for a in "x123" for sign in "+*/" for b in "x12"]
    (folder / "formulas.txt").write_text("\n".join([*lines, ""]))
    return made(folder, "equations", folder / "formulas.txt")


def test_typed_sequences_have_a_path_between_them(formulas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    seqvae("interpolate", "x+sin(1)", "3 * sin( x )", "--model", formulas, "--steps", "4", "--exact-ends")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0] == "x + sin( 1 )" and lines[-1] == "3 * sin( x )"


def test_samples_are_checked_and_only_valid_ones_kept(
    formulas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.py"
    rules.write_text("def has_x(line):\n    return 'x' in line\n")
    capsys.readouterr()
    draw = ("sample", "-n", "8", "--seed", "2", "--temperature", "1", "--model", formulas, "--valid", f"{rules}:has_x")
    seqvae(*draw)
    told = capsys.readouterr()
    lines = told.out.splitlines()
    valid = [line for line in lines if "x" in line]
    assert f"{len(valid)} of 8 samples are valid" in told.err and len(lines) == 8
    seqvae(*draw, "--only-valid", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["items"]) == 8 and all("x" in line for line in answer["items"])
    assert answer["items"][: len(valid)] == valid and answer["valid"] >= 8
    seqvae("sample", "-n", "2", "--model", formulas, "--beam", "3", "--seed", "1")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_card_has_the_share_that_is_valid(formulas: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.py"
    rules.write_text("def all_of_them(line):\n    return True\n")
    card = tmp_path / "card.json"
    few = ("--samples", "20", "--iw-samples", "0", "--seed", "1", "-o", card, "--valid", f"{rules}:all_of_them")
    seqvae("evaluate", "--model", formulas, *few)
    figures = json.loads(card.read_text())["figures"]
    assert figures["aggregate_accepted"]["value"] == figures["normal_accepted"]["value"] == 1.0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("reconstruct", "x + y"), "'y' is no symbol of this model"),
        (("reconstruct", "x + sin( 1 ) + x + x"), "symbols and at most"),
        (("interpolate", "x", "nowhere.txt"), "nowhere.txt: no such file"),
        (("sample", "--only-valid"), "--only-valid needs --valid"),
    ],
)
def test_bad_input_is_one_line(
    line: tuple[str, ...], words: str, formulas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([*line, "--model", str(formulas)]) in (1, 2)
    told = capsys.readouterr()
    assert told.out == "" and words in told.err and told.err.count("\n") == 1


def test_rows_of_integers_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(1).integers(0, 17, size=(40, 64))
    np.save(tmp_path / "rows.npy", rows)
    run = made(tmp_path, "digits", tmp_path / "rows.npy")
    model = load(run, device="cpu")
    (item,) = model.sample(1, seed=3)
    assert item.shape == (64,) and item.dtype == np.int64 and model.encode(rows[:3]).shape == (3, 4)
    np.save(tmp_path / "wrong.npy", rows[:, :63])
    capsys.readouterr()
    assert main(["reconstruct", str(tmp_path / "wrong.npy"), "--model", str(run)]) == 1
    assert "63 integers and 64 are read" in capsys.readouterr().err


# -- the corpora -------------------------------------------------------------------------------------------------------


def script(name: str) -> ModuleType:
    folder = str(Path(__file__).resolve().parent.parent / "data_scripts")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


@pytest.mark.parametrize(
    ("expression", "valid"),
    [
        *[("x", True), ("x + sin( 1 / x )", True), ("( x )", True), ("exp( ( x ) * 3 ) / 2", True)],
        *[("", False), ("x +", False), ("x x", False), ("sin( )", False), ("( x", False), ("x ( 1 )", False)],
        *[("+ x", False), ("x ) + ( x", False), ("sin( x ) sin( x )", False)],
    ],
)
def test_the_grammar_of_equations(expression: str, valid: bool) -> None:
    assert script("equations").parses(expression) is valid


def test_all_published_equations_parse(shared_data: Path) -> None:
    text = lzma.decompress((shared_data / "text/equations/equation2_15_dataset.txt.xz").read_bytes()).decode()
    lines = text.splitlines()
    assert len(lines) == 100_000 and all(map(script("equations").parses, lines[::20]))


@pytest.mark.parametrize("prior", ["aggregate", "normal"])
def test_the_bundled_model_writes_what_parses(prior: Prior) -> None:
    lines = load("equations", device="cpu").sample(300, prior=prior, temperature=0.0, seed=1)
    assert np.mean([script("equations").parses(line) for line in lines]) >= 0.95 and len(set(lines)) > 250


def test_the_bundled_model_keeps_what_it_reads(shared_data: Path) -> None:
    text = lzma.decompress((shared_data / "text/equations/equation2_15_dataset.txt.xz").read_bytes()).decode()
    held_out = [line for line in text.splitlines() if split_by_name(line.replace("/", " ")) == "test"][::10]
    model = load("equations", device="cpu")
    assert (
        np.mean([made == line for made, line in zip(model.decode(model.encode(held_out)), held_out, strict=True)])
        >= 0.99
    )


def run_script(name: str, *line: str | Path) -> subprocess.CompletedProcess[str]:
    path = Path(__file__).resolve().parent.parent / "data_scripts" / f"{name}.py"
    paths = os.pathsep.join([str(path.parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, str(path), *map(str, line)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("name", "lines"),
    [("equations", ["x + 1", "1 + x", "x + x"]), ("names", ["anna", "nana", "naan"]), ("digits", [])],
)
def test_a_local_copy_is_read(name: str, lines: list[str], tmp_path: Path) -> None:
    local = tmp_path / (f"{name}.txt" if lines else "images.npy")
    if lines:
        local.write_text("\n".join(lines) + "\n")
    else:
        np.save(local, np.arange(3 * 64).reshape(3, 64) % 17)
    done = run_script(name, "--from", local, "-o", tmp_path / "set")
    assert done.returncode == 0 and done.stdout == f"{tmp_path / 'set'}\n", done.stderr
    assert "licence: " in done.stderr and "NOT the expected" in done.stderr
    assert len(Dataset.open(tmp_path / "set").tokens) == 3
    again = run_script(name, "--from", local, "-o", tmp_path / "set")
    assert again.returncode == 1 and "--force" in again.stderr and "Traceback" not in again.stderr


def test_digits_are_in_scikit_learn(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    images = script("digits").images(None)
    assert images.shape == (1797, 64) and images.max() == 16


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_a_grid_of_images(tmp_path: Path) -> None:
    from matplotlib.image import imread

    images = np.zeros((1, 2, 8, 8), int)
    images[0, 1] = 16
    path = image_grid(images, tmp_path / "grid.png", levels=17)
    pixels = imread(path)[..., :3].mean(axis=-1)
    middle = pixels[pixels.shape[0] // 2]
    assert middle[pixels.shape[1] // 4] > 0.95 and middle[3 * pixels.shape[1] // 4] < 0.3
    assert path.read_bytes() == image_grid(images, path, levels=17).read_bytes()
    for wrong in (images[0], images - 1, images + 1, images[:0]):
        with pytest.raises(DataError):
            image_grid(wrong, path, levels=17)
