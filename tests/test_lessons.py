"""What a training step is given: attributes in deviations, and copies with other attributes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_train import make_dataset
from tiny import TUNES

from seqvae.attributes import attribute_named, measured
from seqvae.attributes.disturb import EDITS, FIRST_PITCH, disturbed_melody, push_onsets, reorder, shift_pitch, stretch
from seqvae.attributes.lessons import Lessons
from seqvae.errors import ConfigError
from seqvae.tokenizers import MelodyTokenizer

TOKENIZER = MelodyTokenizer()
SIZE = TOKENIZER.alphabet.largest
TUNE_TOKENS = np.stack([TOKENIZER.encode(tune) for tune in TUNES])


def of(tokens: np.ndarray, name: str) -> float:
    return attribute_named(TOKENIZER, name).measure(TOKENIZER.decode(TOKENIZER.canonical(tokens[None])[0]))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31), row=st.integers(0, 7), edit=st.integers(0, len(EDITS) - 1))
def test_every_edit_gives_tokens_of_the_alphabet(seed: int, row: int, edit: int) -> None:
    found = EDITS[edit](TUNE_TOKENS[row].copy(), np.random.default_rng(seed), SIZE)
    assert found.shape == TUNE_TOKENS[row].shape
    assert found.min() >= 0 and found.max() < SIZE
    silence = np.zeros(TOKENIZER.length, np.int64)
    assert not EDITS[edit](silence.copy(), np.random.default_rng(seed), SIZE).any(), "of nothing comes nothing"


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), row=st.integers(0, 7))
def test_edits_leave_alone_what_they_should(seed: int, row: int) -> None:
    tokens, rng = TUNE_TOKENS[row], np.random.default_rng(seed)
    onsets = tokens >= FIRST_PITCH
    for edit in (shift_pitch, stretch, reorder):
        assert ((edit(tokens.copy(), rng, SIZE) >= FIRST_PITCH) == onsets).all(), "the rhythm stays"
    pushed = push_onsets(tokens.copy(), rng, SIZE)
    assert sorted(pushed[pushed >= FIRST_PITCH]) == sorted(tokens[onsets]), "the pitches stay"
    assert sorted(reorder(tokens.copy(), rng, SIZE)) == sorted(tokens), "so does their number"


def test_together_they_move_every_attribute_both_ways() -> None:
    rng = np.random.default_rng(0)
    for name in ("density", "pitch", "range", "interval", "syncopation-16th"):
        change = [of(disturbed_melody(tokens, rng, SIZE), name) - of(tokens, name) for tokens in TUNE_TOKENS] * 1
        for _ in range(10):
            change += [of(disturbed_melody(tokens, rng, SIZE), name) - of(tokens, name) for tokens in TUNE_TOKENS]
        assert max(change) > 0
        assert min(change) < 0 or name == "syncopation-16th"  # these tunes have none to lose


def test_a_lesson_is_standardised_and_only_some_are_disturbed(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", windows=400)
    lessons = Lessons.of_dataset(dataset, ("pitch", "range"), 0.3)
    tokens = dataset.windows("train").astype(np.int64)
    lesson = lessons.of(tokens, np.random.default_rng(1))
    assert np.allclose(lesson.targets.mean(0), 0, atol=1e-5) and np.allclose(lesson.targets.std(0), 1, atol=1e-5)
    assert 0.2 < lesson.given.mean() < 0.4
    assert (lesson.read == tokens)[~lesson.given].all()
    assert (lesson.read != tokens)[lesson.given].any(axis=1).mean() > 0.5
    again = lessons.of(tokens, np.random.default_rng(1))
    assert (again.read == lesson.read).all()
    values = measured([attribute_named(TOKENIZER, "pitch")], [TOKENIZER.decode(row) for row in tokens])[:, 0]
    assert np.corrcoef(values, lesson.targets[:, 0])[0, 1] == pytest.approx(1.0)


def test_without_attributes_a_lesson_is_its_tokens(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    tokens = dataset.windows("train").astype(np.int64)
    rng = np.random.default_rng(1)
    lesson = Lessons.of_dataset(dataset, (), 0.0).of(tokens, rng)
    assert lesson.read is tokens and lesson.targets.shape == (len(tokens), 0) and not lesson.given.any()
    assert rng.random() == np.random.default_rng(1).random(), "nothing is drawn"
    with pytest.raises(ConfigError, match="without objective"):
        Lessons.of_dataset(dataset, (), 0.3)
