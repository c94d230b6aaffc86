"""Fingerprints: nothing overlooked, false alarms no more often than stated, 16 bits a window, the same everywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds import KINDS, each_kind, random_tokens
from tiny import PRESET, TUNES

from seqvae.checkpoint import SavedModel, load_model, save_model
from seqvae.clip import Clip
from seqvae.corpus import prepare
from seqvae.dataset import Dataset, vary
from seqvae.errors import DataError, ModelError
from seqvae.fingerprints import (
    LOW_BITS,
    Copies,
    Fingerprints,
    HashSet,
    compared_parts,
    copies,
    fingerprints_of,
    window_hashes,
)
from seqvae.tokenizers import MelodyTokenizer, Tokenizer

SCRIPTS = Path(__file__).resolve().parent.parent / "data_scripts"

GOLDEN_HASHES = ["4a6d4d7eee58e242", "fa315b797863ab01"]
GOLDEN_BYTES = "020000000e0000003625460f05"

SAVED = SavedModel(
    name="made up",
    preset=PRESET,
    weights={"weight": np.ones(3, np.float32)},
    aggregate_mean=np.zeros(8, np.float32),
    aggregate_covariance=np.eye(8, dtype=np.float32),
    card={"token_accuracy": 1.0},
)

hash_lists = st.lists(st.integers(0, 2**64 - 1), max_size=60).map(lambda some: np.array(some, np.uint64))
low_bits = st.integers(1, 20)


def some_hashes(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1 << 64, size=count, dtype=np.uint64)


def windows_of(tokenizer: Tokenizer, count: int, seed: int = 0) -> np.ndarray:
    return np.stack([tokenizer.canonical(random_tokens(tokenizer, seed + n)[None])[0] for n in range(count)])


# -- the set -----------------------------------------------------------------------------------------------------------


@given(hash_lists, low_bits)
def test_no_hash_that_was_put_in_is_overlooked(hashes, bits):
    assert HashSet.of(hashes, bits).has(hashes).all()


@given(hash_lists, low_bits)
def test_a_hash_is_reduced_as_big_integers_would(hashes, bits):
    slow = sorted(int(one) * len(hashes) * 2**bits >> 64 for one in hashes)
    assert HashSet.of(hashes, bits).values.tolist() == slow


@given(hash_lists, low_bits, st.lists(st.integers(0, 2**64 - 1), max_size=30))
def test_what_is_found_is_what_a_table_of_reduced_hashes_holds(hashes, bits, others):
    found = HashSet.of(hashes, bits).has(np.array(others, np.uint64))
    table = {int(one) * len(hashes) * 2**bits >> 64 for one in hashes}
    assert found.tolist() == [one * len(hashes) * 2**bits >> 64 in table for one in others]


@given(st.lists(st.tuples(hash_lists, low_bits), max_size=3))
def test_packing_goes_both_ways(sets):
    known = Fingerprints(sets=tuple(HashSet.of(hashes, bits) for hashes, bits in sets))
    again = Fingerprints.unpacked(known.packed())
    assert [(one.count, one.low_bits) for one in again.sets] == [(one.count, one.low_bits) for one in known.sets]
    assert all((a.values == b.values).all() for a, b in zip(again.sets, known.sets, strict=True))
    assert len(again) == sum(len(hashes) for hashes, _ in sets)


@given(st.integers(0, 3000), low_bits)
def test_a_hash_takes_two_bits_more_than_its_low_ones(count, bits):
    assert HashSet.of(some_hashes(count, count), bits).packed().nbytes <= 8 + 2 + count * (bits + 2) / 8


def test_false_alarms_are_as_rare_as_stated():
    """Of 400,000 strangers a share of 2^-8 within five standard deviations; of 2^-14 no more than so."""
    strangers = some_hashes(400_000, 1)
    for bits in (8, LOW_BITS):
        alarms = int(HashSet.of(some_hashes(50_000, 0), bits).has(strangers).sum())
        wanted = len(strangers) * 2.0**-bits
        assert wanted * 0.8 - 5 * wanted**0.5 < alarms < wanted + 5 * wanted**0.5


@given(st.integers(0, 200), st.data())
def test_a_cut_file_is_refused(count, data):
    whole = HashSet.of(some_hashes(count, 0)).packed()
    kept = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(ValueError, match=r"cut off|damaged"):
        Fingerprints.unpacked(whole[:kept])


def test_a_flipped_bit_is_noticed():
    whole = HashSet.of(some_hashes(10, 0)).packed()
    whole[-1] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        Fingerprints.unpacked(whole)


def test_the_bytes_are_the_same_on_every_machine():
    windows = np.array([[0, 1, 2, 3], [5, 0, 0, 0]])
    assert [f"{one:016x}" for one in window_hashes(windows)] == GOLDEN_HASHES
    assert HashSet.of(window_hashes(windows)).packed().tobytes().hex() == GOLDEN_BYTES
    assert window_hashes(windows.astype(np.uint8)).tolist() == window_hashes(windows).tolist()


def test_too_many_bits_are_an_error():
    for bits in (0, 21):
        with pytest.raises(DataError, match="1 to 20 bits"):
            HashSet.of(some_hashes(3, 0), bits)


def test_of_nothing_nothing_is_known():
    known = fingerprints_of(MelodyTokenizer(), np.zeros((0, 32), np.int64))
    assert len(known) == 0 and not len(known.packed()) and not known.has(some_hashes(5, 0)).any()
    assert not Fingerprints(sets=(HashSet.of(some_hashes(0, 0)),)).has(some_hashes(5, 0)).any()


# -- of windows --------------------------------------------------------------------------------------------------------


@each_kind
def test_every_training_window_is_known_as_it_is(kind):
    windows = windows_of(KINDS[kind], 40)
    known = fingerprints_of(KINDS[kind], windows.astype(np.uint16))
    assert (copies(KINDS[kind], known, windows).variant == 0).all()


@each_kind
def test_what_is_found_is_what_a_set_of_variants_holds(kind):
    """The slow way: every window in every variant, looked up as bytes."""
    tokenizer = KINDS[kind]
    mine, others = windows_of(tokenizer, 40), windows_of(tokenizer, 100, seed=1000)
    parts = compared_parts(tokenizer.alphabet) if tokenizer.alphabet.shape else slice(None)
    known = {one[..., parts].tobytes() for one in mine}
    varied = [
        vary(others, np.full(len(others), row), tokenizer.augmentations) for row in range(len(tokenizer.augmentations))
    ]
    slow = np.array([[one[..., parts].tobytes() in known for one in rows] for rows in varied]).any(axis=0)
    found = copies(tokenizer, fingerprints_of(tokenizer, mine), others)
    assert found.found[slow].all() and (found.found & ~slow).sum() <= 1


@given(st.integers(0, 12), st.integers(0, 10**6))
def test_transposed_copies_are_found(row, seed):
    """Within the middle two octaves, where no transposition is folded."""
    tokenizer = MelodyTokenizer()
    rng = np.random.default_rng(seed)
    windows = np.where(rng.random((20, 32)) < 0.5, 0, rng.integers(30, 60, (20, 32)))
    moved = vary(windows, np.full(20, row), tokenizer.augmentations)
    found = copies(tokenizer, fingerprints_of(tokenizer, windows), moved)
    back = vary(moved, found.variant, tokenizer.augmentations)
    assert found.found.all() and (back != windows).any(axis=1).sum() <= 1  # one may be a false alarm


@pytest.mark.parametrize(
    ("kind", "changed", "still"),
    [
        ("groove", slice(0, 9), False),  # the hits
        ("groove", slice(9, 27), True),  # how they are played
        ("melody-given", slice(0, -1), True),  # what the melody was told
        ("melody-given", slice(-1, None), False),
        ("groove-humanize", slice(0, 9), True),  # hits are given, and it plays: nothing but numbers
        ("groove-humanize", slice(9, 27), False),
    ],
)
def test_what_is_compared_of_several_parts(kind, changed, still):
    tokenizer = KINDS[kind]
    windows = windows_of(tokenizer, 20)
    known = fingerprints_of(tokenizer, windows)
    other = windows.copy()
    sizes = [part.size for part in tokenizer.alphabet.parts][changed]
    other[..., changed] = (other[..., changed] + 1) % sizes
    assert (copies(tokenizer, known, other).variant == 0).all() == still


def test_the_rate_of_false_alarms_grows_with_variants_and_sets():
    one = HashSet.of(some_hashes(10, 0))
    melody, drums = KINDS["melody"], KINDS["drums"]
    empty = np.zeros((0, 32), np.int64)
    assert copies(drums, Fingerprints(sets=(one,)), empty).false_alarms == 2**-14
    assert copies(melody, Fingerprints(sets=(one,)), empty).false_alarms == 13 * 2**-14
    assert copies(melody, Fingerprints(sets=(one, one)), empty).false_alarms == 26 * 2**-14
    assert not copies(melody, Fingerprints(), np.zeros((3, 32), np.int64)).found.any()


def test_a_model_that_was_trained_on_knows_both():
    melody = KINDS["melody"]
    first, second = windows_of(melody, 10), windows_of(melody, 10, seed=99)
    both = fingerprints_of(melody, first) | fingerprints_of(melody, second)
    assert len(both) == 20
    assert copies(melody, Fingerprints.unpacked(both.packed()), np.concatenate([first, second])).found.all()
    assert Copies(variant=np.array([-1, 0, 2]), false_alarms=0.0).found.tolist() == [False, True, True]


# -- in files ----------------------------------------------------------------------------------------------------------


def test_a_model_file_keeps_them(tmp_path):
    known = fingerprints_of(KINDS["melody"], windows_of(KINDS["melody"], 30))
    path = save_model(tmp_path / "m.safetensors", replace(SAVED, fingerprints=known))
    assert load_model(path).fingerprints.packed().tobytes() == known.packed().tobytes()
    assert load_model(path).hash == SAVED.hash
    assert load_model(save_model(tmp_path / "none.safetensors", SAVED)).fingerprints is None


def test_damaged_ones_are_a_line(tmp_path):
    class Cut(Fingerprints):
        def packed(self):
            return super().packed()[:-3]

    known = Cut(sets=(HashSet.of(some_hashes(30, 0)),))
    path = save_model(tmp_path / "m.safetensors", replace(SAVED, fingerprints=known))
    with pytest.raises(ModelError, match=r"m\.safetensors: its description is damaged \(fingerprints are cut off\)"):
        load_model(path)


def furnish(*line: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "furnish.py"), *map(str, line)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def melodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("melodies")
    for number, tune in enumerate(TUNES * 2):
        shifted = [(n["start_beats"], n["end_beats"], n["pitch"] + number // 8, 80) for n in tune.tracks[0].notes]
        Clip.from_notes(shifted).save(folder / "in" / f"{number}.mid")
    prepare(folder / "in", MelodyTokenizer(), folder / "set", split=lambda name: "train" if "1" in name else "test")
    return folder / "set"


def test_furnishing_leaves_the_model_and_adds_what_lies_beside_it(melodies, tmp_path):
    dataset = Dataset.open(melodies)
    saved = replace(SAVED, provenance={"data": dataset.hash})
    path = save_model(tmp_path / "m.safetensors", saved)
    done = furnish(path, "--data", melodies)
    assert done.returncode == 0 and re.search(r"held-out windows, \d+ known", done.stdout), done.stderr
    found = load_model(path)
    assert (found.hash, found.card, found.provenance) == (saved.hash, saved.card, saved.provenance)
    train = dataset.windows("train").astype(np.int64)
    assert (copies(dataset.tokenizer, found.fingerprints, train).variant == 0).all()
    unseen = dataset.windows("test")[dataset.unseen("test")]
    assert len(found.held_out) and {one.tobytes() for one in found.held_out} <= {one.tobytes() for one in unseen}


def test_other_data_are_refused(melodies, tmp_path):
    path = save_model(tmp_path / "m.safetensors", SAVED)
    before = path.read_bytes()
    done = furnish(path, "--data", melodies)
    assert done.returncode == 1 and "was trained on None; give that one with --data" in done.stderr
    assert path.read_bytes() == before and "Traceback" not in done.stderr


def test_a_dataset_that_is_none_is_a_line(tmp_path):
    path = save_model(tmp_path / "m.safetensors", SAVED)
    done = furnish(path, "--data", tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
