"""What a training step is given: attributes in deviations, and copies with other attributes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_train import make_dataset
from tiny import TUNES

from seqvae.attributes import attribute_named, measured
from seqvae.attributes.edits import EDITS, FIRST_PITCH
from seqvae.attributes.lessons import Lessons
from seqvae.errors import ConfigError
from seqvae.tokenizers import MelodyTokenizer

TOKENIZER = MelodyTokenizer()
SIZE = TOKENIZER.alphabet.largest
TUNE_TOKENS = np.stack([TOKENIZER.encode(tune) for tune in TUNES])


NAMES = tuple(EDITS)
AMOUNT = {"density": 0.5, "pitch": 5.0, "range": 4.0, "interval": 1.0, "syncopation-16th": 0.3}


def all_of(tokens: np.ndarray) -> np.ndarray:
    item = TOKENIZER.decode(TOKENIZER.canonical(tokens[None])[0])
    return measured([attribute_named(TOKENIZER, name) for name in NAMES], [item])[0]


@settings(deadline=None, max_examples=80)
@given(row=st.integers(0, 7), name=st.sampled_from(NAMES), amount=st.floats(-3.0, 3.0))
def test_every_edit_gives_tokens_of_the_alphabet(row: int, name: str, amount: float) -> None:
    asked = amount * AMOUNT[name]
    found = EDITS[name](TUNE_TOKENS[row].copy(), asked, SIZE)
    assert found.shape == TUNE_TOKENS[row].shape and found.min() >= 0 and found.max() < SIZE
    assert (EDITS[name](TUNE_TOKENS[row].copy(), asked, SIZE) == found).all(), "there is one right answer"
    silence = np.zeros(TOKENIZER.length, np.int64)
    assert not EDITS[name](silence.copy(), asked, SIZE).any(), "of nothing comes nothing"
    one = silence.copy()
    one[0] = 40
    assert ((EDITS[name](one, asked, SIZE) >= FIRST_PITCH).sum() >= 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_moves_its_attribute_and_hardly_another(name: str) -> None:
    own = NAMES.index(name)
    scale = np.array([AMOUNT[each] for each in NAMES])
    moved = {}
    for amount in (-1.0, 0.0, 1.0):
        edited = [EDITS[name](tokens.copy(), amount * AMOUNT[name], SIZE) for tokens in TUNE_TOKENS]
        changes = [(all_of(after) - all_of(before)) / scale for after, before in zip(edited, TUNE_TOKENS, strict=True)]
        moved[amount] = np.mean(changes, axis=0)
    rise = (moved[1.0] - moved[-1.0]) / 2
    assert moved[1.0][own] > 0.5
    assert moved[-1.0][own] < -0.5 or name == "syncopation-16th"  # these tunes have none to lose
    assert abs(moved[0.0]).max() == 0.0
    assert abs(np.delete(rise, own)).max() < 0.75 * rise[own]  # wild tunes: far less on real ones


def test_a_transposition_and_a_push_leave_what_they_should() -> None:
    for tokens in TUNE_TOKENS:
        higher = EDITS["pitch"](tokens.copy(), 3.0, SIZE)
        onsets = tokens >= FIRST_PITCH
        assert (higher[onsets] == tokens[onsets] + 3).all() and (higher[~onsets] == tokens[~onsets]).all()
        pushed = EDITS["syncopation-16th"](tokens.copy(), 0.5, SIZE)
        assert sorted(pushed[pushed >= FIRST_PITCH]) == sorted(tokens[onsets]), "the pitches stay"
        for name in ("range", "interval"):
            assert ((EDITS[name](tokens.copy(), 2.0, SIZE) >= FIRST_PITCH) == onsets).all(), "the rhythm stays"


def test_a_lesson_is_standardised_and_only_some_are_changed(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", windows=400)
    lessons = Lessons.of_dataset(dataset, ("pitch", "range"), 0.3)
    tokens = dataset.windows("train").astype(np.int64)
    lesson = lessons.of(tokens, np.random.default_rng(1))
    plain = Lessons.of_dataset(dataset, ("pitch", "range"), 0.0).of(tokens, np.random.default_rng(1))
    assert np.allclose(plain.targets.mean(0), 0, atol=1e-5) and np.allclose(plain.targets.std(0), 1, atol=1e-5)
    assert plain.tokens is plain.read is tokens and not plain.given.any()
    assert 0.2 < lesson.given.mean() < 0.4
    assert lesson.read is tokens
    assert (lesson.tokens == tokens)[~lesson.given].all()
    assert (lesson.tokens != tokens)[lesson.given].any(axis=1).mean() > 0.8
    assert (lesson.targets == plain.targets)[~lesson.given].all()
    assert (lessons.of(tokens, np.random.default_rng(1)).tokens == lesson.tokens).all()
    values = measured([attribute_named(TOKENIZER, "pitch")], [TOKENIZER.decode(row) for row in tokens])[:, 0]
    assert np.corrcoef(values, plain.targets[:, 0])[0, 1] == pytest.approx(1.0)


def test_without_attributes_a_lesson_is_its_tokens(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    tokens = dataset.windows("train").astype(np.int64)
    rng = np.random.default_rng(1)
    lesson = Lessons.of_dataset(dataset, (), 0.0).of(tokens, rng)
    assert (
        lesson.read is lesson.tokens is tokens and lesson.targets.shape == (len(tokens), 0) and not lesson.given.any()
    )
    assert rng.random() == np.random.default_rng(1).random(), "nothing is drawn"
    with pytest.raises(ConfigError, match="rules for melodies only"):
        Lessons.of_dataset(dataset, (), 0.3)
