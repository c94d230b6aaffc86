"""Datasets: what is written is read, splits are distinct and marked, the sampler is a pure function of its state."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqvae import dataset as datasets
from seqvae.dataset import ORIGIN_DTYPE, SPLITS, Dataset, Sampler, arrange
from seqvae.errors import ConfigError, DataError, WriteError
from seqvae.files import replacing_folder
from seqvae.tokenizers import Alphabet, MelodyTokenizer, Part

TOKENIZER = MelodyTokenizer(bars=1)


def random_tokens(count: int, seed: int = 0, width: int = 16, vocab: int = 90) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(vocab, size=(count, width)).astype(np.uint8)


def write(folder: Path, tokens: NDArray[Any], split: NDArray[np.int8], *, force: bool = False) -> Dataset:
    origins = np.zeros(len(tokens), ORIGIN_DTYPE)
    origins["source"] = np.asarray(split)
    origins["start"] = np.arange(len(tokens))
    with replacing_folder(folder, force=force) as aside:
        datasets.write_dataset(
            aside,
            tokenizer=TOKENIZER,
            tokens=tokens,
            origins=origins,
            arrangement=arrange(tokens, split),
            sources=[(f"{name}.mid", name, "0" * 40) for name in SPLITS],
            report={"kept": len(tokens)},
            licence="none",
        )
    return Dataset.open(folder)


@pytest.fixture
def written(tmp_path: Path) -> Dataset:
    return write(tmp_path / "set", random_tokens(20), np.repeat(np.arange(3, dtype=np.int8), [12, 5, 3]))


# -- arranging -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=60),
    width=st.integers(1, 4),
)
def test_arrange_agrees_with_the_obvious_way(rows: list[tuple[int, int]], width: int) -> None:
    tokens = np.array([[value] * width for value, _ in rows], np.uint8).reshape(-1, width)
    found = arrange(tokens, np.array([split for _, split in rows], np.int8))
    expected: list[int] = []
    seen_in: dict[str, list[int]] = {}
    for index, split in enumerate(SPLITS):
        first = len(expected)
        for row, (value, of) in enumerate(rows):
            if of == index and value not in seen_in.setdefault(split, []):
                seen_in[split].append(value)
                expected.append(row)
        assert found.splits[split] == (first, len(expected))
        in_split = sum(of == index for _, of in rows)
        assert found.duplicates[split] == in_split - (len(expected) - first)
    assert found.order.tolist() == expected
    train = seen_in.get("train", [])
    first_held_out = found.splits["train"][1]
    assert found.unseen.tolist() == [
        place < first_held_out or rows[row][0] not in train for place, row in enumerate(expected)
    ]


def test_keys_tell_every_single_change_apart() -> None:
    base = np.zeros(32, np.uint8)
    variants = [base]
    for step in range(32):
        for token in range(1, 90):
            changed = base.copy()
            changed[step] = token
            variants.append(changed)
    assert len(np.unique(datasets.window_keys(np.stack(variants)))) == len(variants)


# -- files -----------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(written: Dataset) -> None:
    tokens = random_tokens(20)
    assert written.tokenizer == TOKENIZER
    assert [len(written.windows(split)) for split in SPLITS] == [12, 5, 3]
    np.testing.assert_array_equal(written.windows("valid"), tokens[12:17])
    assert isinstance(written.tokens, np.memmap) and written.tokens.dtype == np.uint8
    assert written.sources("test")["start"].tolist() == [17, 18, 19]
    assert [(s.name, s.first, s.last) for s in written.source_list()] == [
        ("train.mid", 0, 12),
        ("valid.mid", 12, 17),
        ("test.mid", 17, 20),
    ]
    assert written.report() == {"kept": 20}
    assert written.licence == "none"


def test_windows_also_in_train_are_marked(tmp_path: Path) -> None:
    tokens = random_tokens(6)
    tokens[4] = tokens[1]  # a test window that train has
    tokens[2] = tokens[0]  # twice in train
    opened = write(tmp_path / "set", tokens, np.array([0, 0, 0, 1, 2, 2], np.int8))
    assert opened.unseen("train").tolist() == [True, True]
    assert opened.unseen("test").tolist() == [False, True]


def test_same_data_same_bytes(tmp_path: Path) -> None:
    split = np.repeat(np.arange(3, dtype=np.int8), [12, 5, 3])
    one, two = (write(tmp_path / name, random_tokens(20), split) for name in "ab")
    other = write(tmp_path / "c", random_tokens(20, seed=1), split)
    assert one.hash == two.hash != other.hash
    for file in sorted(path.name for path in one.folder.iterdir()):
        assert (one.folder / file).read_bytes() == (two.folder / file).read_bytes()


def test_wide_vocabularies_take_two_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOKENIZER.__dict__, "alphabet", Alphabet(parts=(Part("melody", 512),)))
    tokens = np.array([[500] * 16, [499] * 16], np.uint16)
    opened = write(tmp_path / "set", tokens, np.array([0, 1], np.int8))
    assert opened.tokens.dtype == np.uint16 and int(opened.windows("valid").max()) == 499


@pytest.mark.parametrize("missing", ["tokens.npy", "origins.npy", "dataset.json"])
def test_missing_file(written: Dataset, missing: str) -> None:
    (written.folder / missing).unlink()
    with pytest.raises(DataError, match=r"set: .*prepare") as error:
        Dataset.open(written.folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["tokens.npy", "origins.npy", "dataset.json"])
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_damaged_byte_is_never_read_as_data(tmp_path_factory: pytest.TempPathFactory, name: str, data: Any) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "set"
    opened = write(folder, random_tokens(20), np.repeat(np.arange(3, dtype=np.int8), [12, 5, 3]))
    whole = tuple((opened.windows(s).tolist(), opened.unseen(s).tolist()) for s in SPLITS)
    raw = bytearray((folder / name).read_bytes())
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(raw)
    # A change may touch nothing that matters, such as white space in the JSON; then the data is what it was.
    with contextlib.suppress(DataError):
        again = Dataset.open(folder)
        assert tuple((again.windows(s).tolist(), again.unseen(s).tolist()) for s in SPLITS) == whole


def test_another_version_says_so(written: Dataset) -> None:
    header = json.loads((written.folder / "dataset.json").read_text())
    (written.folder / "dataset.json").write_text(json.dumps(header | {"format": 99}))
    with pytest.raises(DataError, match="format 99"):
        Dataset.open(written.folder)


def test_open_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Dataset.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is no dataset"):
        Dataset.open(tmp_path)


def test_nothing_is_overwritten_without_force(written: Dataset) -> None:
    split = np.zeros(4, np.int8)
    with pytest.raises(WriteError, match="--force"):
        write(written.folder, random_tokens(4), split)
    assert len(Dataset.open(written.folder).windows("train")) == 12
    assert len(write(written.folder, random_tokens(4), split, force=True).windows("train")) == 4


def test_force_replaces_datasets_only(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mid").write_bytes(b"MThd")
    with pytest.raises(WriteError, match="no dataset"):
        write(tmp_path / "music", random_tokens(4), np.zeros(4, np.int8), force=True)
    assert (tmp_path / "music" / "song.mid").read_bytes() == b"MThd"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), DataError("no")])
def test_a_failure_leaves_what_stood_and_nothing_else(written: Dataset, failure: BaseException) -> None:
    kind = WriteError if isinstance(failure, OSError) else type(failure)

    def stop_halfway() -> None:
        with replacing_folder(written.folder, force=True) as aside:
            (aside / "tokens.npy").write_bytes(b"half")
            raise failure

    with pytest.raises(kind):
        stop_halfway()
    assert [path.name for path in written.folder.parent.iterdir()] == ["set"]
    assert len(Dataset.open(written.folder).windows("train")) == 12


# -- sampling --------------------------------------------------------------------------------------------------------

sizes = st.integers(1, 40)


@settings(deadline=None, max_examples=60)
@given(count=sizes, batch=sizes, seed=st.integers(0, 2**63), before=st.integers(0, 9))
def test_resumed_is_uninterrupted(count: int, batch: int, seed: int, before: int) -> None:
    tokens = random_tokens(count)
    whole = Sampler(tokens, TOKENIZER.alphabet, TOKENIZER.augmentations, batch, seed)
    for _ in range(before):
        whole.next()
    resumed = Sampler(tokens, TOKENIZER.alphabet, TOKENIZER.augmentations, batch, 0, state=whole.state)
    for _ in range(4):
        np.testing.assert_array_equal(whole.next().tokens, resumed.next().tokens)
        assert whole.state == resumed.state


@settings(deadline=None, max_examples=60)
@given(count=sizes, batch=sizes, seed=st.integers(0, 9))
def test_every_epoch_has_each_window_once(count: int, batch: int, seed: int) -> None:
    sampler = Sampler(random_tokens(count), TOKENIZER.alphabet, TOKENIZER.augmentations, batch, seed)
    draws = [sampler.draw()[0] for _ in range(-(-3 * count // batch))]
    assert {len(rows) for rows in draws} == {batch}
    stream = np.concatenate(draws)[: 3 * count].reshape(3, count)
    assert all(sorted(epoch) == list(range(count)) for epoch in stream.tolist())


@settings(deadline=None, max_examples=30)
@given(batch=sizes, other=sizes)
def test_the_stream_does_not_depend_on_the_batch_size(batch: int, other: int) -> None:
    streams = []
    for size in (batch, other):
        sampler = Sampler(random_tokens(17), TOKENIZER.alphabet, TOKENIZER.augmentations, size, 3)
        streams.append(np.concatenate([sampler.next().tokens for _ in range(-(-60 // size))])[:60])
    np.testing.assert_array_equal(streams[0], streams[1])


def test_batches_are_transposed_windows() -> None:
    tokens = random_tokens(50)
    sampler = Sampler(tokens, TOKENIZER.alphabet, TOKENIZER.augmentations, 50, 1)
    rows, variants = Sampler(tokens, TOKENIZER.alphabet, TOKENIZER.augmentations, 50, 1).draw()
    batch = sampler.next()
    assert batch.tokens.dtype == np.int64
    for got, row, variant in zip(batch.tokens, rows, variants, strict=True):
        assert got.tolist() == [TOKENIZER.augmentations[variant][token] for token in tokens[row]]
    assert len(set(variants.tolist())) > 5


def test_order_and_variants_change_with_epoch_and_seed() -> None:
    one = Sampler(random_tokens(64), TOKENIZER.alphabet, TOKENIZER.augmentations, 64, 1)
    (order, variants), (next_order, next_variants) = one.draw(), one.draw()
    other_order, _ = Sampler(random_tokens(64), TOKENIZER.alphabet, TOKENIZER.augmentations, 64, 2).draw()
    assert order.tolist() != next_order.tolist() and order.tolist() != other_order.tolist()
    assert variants[np.argsort(order)].tolist() != next_variants[np.argsort(next_order)].tolist()


def test_variants_are_drawn_evenly() -> None:
    sampler = Sampler(random_tokens(2000), TOKENIZER.alphabet, TOKENIZER.augmentations, 2000, 5)
    counts = np.bincount(np.concatenate([sampler.draw()[1] for _ in range(10)]), minlength=13)
    assert len(counts) == 13 and counts.min() > 1300 and counts.max() < 1800  # 20,000 / 13 = 1538, sigma 38


def test_several_parts_a_step() -> None:
    rng = np.random.default_rng(0)
    alphabet = Alphabet(parts=(Part("a", 5), Part("b", 3)))
    tokens = np.stack([rng.integers(part.size, size=(40, 8)) for part in alphabet.parts], axis=-1)
    tables = np.stack([np.tile(np.arange(5), (2, 1)), np.array([[4, 3, 2, 1, 0], [2, 1, 0, 0, 0]])])
    rows, variants = Sampler(tokens, alphabet, tables, 40, 1).draw()
    batch = Sampler(tokens, alphabet, tables, 40, 1).next().tokens
    expected = [
        [[tables[v][k][t] for k, t in enumerate(step)] for step in tokens[r]]
        for r, v in zip(rows, variants, strict=True)
    ]
    assert batch.tolist() == expected and set(variants.tolist()) == {0, 1}


def ending_tokens(count: int, length: int = 20) -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    tokens = rng.integers(1, 9, size=(count, length), dtype=np.uint8)
    tokens[np.arange(length) >= rng.integers(0, length, size=(count, 1))] = 0
    return tokens


ENDING = Alphabet(parts=(Part("word", 9),), end=0)
SAME = np.arange(9)[None]


def test_batches_are_of_like_length_and_cut_at_the_longest() -> None:
    tokens = ending_tokens(600)
    sampler = Sampler(tokens, ENDING, SAME, 20, 1)
    drawn, spread, longest = [], [], []
    for _ in range(30):
        state = sampler.state
        rows, _ = Sampler(tokens, ENDING, SAME, 20, 1, state=state).draw()
        batch = sampler.next().tokens
        lengths = ENDING.lengths(tokens[rows])
        assert batch.shape == (20, lengths.max()) and (tokens[rows][:, lengths.max() :] == 0).all()
        np.testing.assert_array_equal(batch, tokens[rows][:, : lengths.max()])
        drawn += rows.tolist()
        spread.append(int(np.ptp(lengths)))
        longest.append(int(lengths.max()))
    assert sorted(drawn) == list(range(600))
    assert max(spread) <= 2 and longest != sorted(longest)  # alike inside, in random order outside


@pytest.mark.parametrize(
    ("count", "batch", "seed", "error"), [(0, 4, 0, DataError), (4, 0, 0, ConfigError), (4, 4, -1, ConfigError)]
)
def test_bad_sampler(count: int, batch: int, seed: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        Sampler(random_tokens(count), TOKENIZER.alphabet, TOKENIZER.augmentations, batch, seed)
