"""The laws that every kind of sequence obeys, and every decoder: the same tests for all, none of a kind's own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kinds import KINDS, any_tokens, each_kind, equal

from seqvae.config import Preset, preset_from_dict, to_toml
from seqvae.dataset import tokenizer_from_dict, tokenizer_to_dict
from seqvae.errors import DataError, ReadError, WriteError
from seqvae.tokenizers import TOKENIZERS, onsets


def test_no_kind_is_left_out() -> None:
    assert {tokenizer.kind for tokenizer in KINDS.values()} == set(TOKENIZERS)
    assert all(type(tokenizer) is TOKENIZERS[tokenizer.kind] for tokenizer in KINDS.values())


# -- tokens ------------------------------------------------------------------------------------------------------------


@each_kind
@settings(max_examples=20)
@given(data=st.data())
def test_encode_undoes_decode(kind: str, data: st.DataObject) -> None:
    tokenizer, tokens = KINDS[kind], data.draw(any_tokens(kind))
    again = tokenizer.encode(tokenizer.decode(tokens))
    assert again.dtype == np.int64
    np.testing.assert_array_equal(again, tokenizer.canonical(tokens))


@each_kind
@settings(max_examples=20)
@given(data=st.data())
def test_canonical_is_a_projection_that_keeps_what_happens(kind: str, data: st.DataObject) -> None:
    tokenizer, tokens = KINDS[kind], data.draw(any_tokens(kind))
    canonical = tokenizer.canonical(tokens)
    assert canonical.dtype == np.int64
    np.testing.assert_array_equal(tokenizer.canonical(canonical), canonical)
    both = tokenizer.canonical(np.stack([tokens, canonical]))  # and it works on many at a time
    np.testing.assert_array_equal(both, [canonical, canonical])
    if tokenizer.alphabet.end is None:
        np.testing.assert_array_equal(onsets(tokenizer.onset_mask, canonical), onsets(tokenizer.onset_mask, tokens))


@each_kind
def test_all_zeros_is_nothing(kind: str) -> None:
    tokenizer = KINDS[kind]
    nothing = np.zeros((tokenizer.length, *tokenizer.alphabet.shape), np.int64)
    np.testing.assert_array_equal(tokenizer.canonical(nothing), nothing)
    assert not onsets(tokenizer.onset_mask, nothing).any()
    np.testing.assert_array_equal(tokenizer.encode(tokenizer.decode(nothing)), nothing)


@each_kind
@settings(max_examples=12)
@given(data=st.data())
def test_dressing_changes_no_token(kind: str, data: st.DataObject) -> None:
    tokenizer = KINDS[kind]
    item, other = (tokenizer.decode(data.draw(any_tokens(kind))) for _ in range(2))
    style = tokenizer.style(other)
    mixed = style and style.blend(tokenizer.style(item), data.draw(st.floats(0, 1)))
    tokens = tokenizer.encode(item)
    for dress in (style, mixed):
        np.testing.assert_array_equal(tokenizer.encode(tokenizer.decode(tokens, dress)), tokens)
    assert equal(tokenizer.decode(tokens, tokenizer.style(item)), item)


# -- tables ------------------------------------------------------------------------------------------------------------


@each_kind
def test_the_alphabet_holds_together(kind: str) -> None:
    tokenizer = KINDS[kind]
    alphabet = tokenizer.alphabet
    assert tokenizer.fitted and tokenizer.fit([]) == tokenizer
    assert all(part.size > 0 for part in alphabet.parts) and tokenizer.length > 0
    assert alphabet.end is None or len(alphabet.parts) == 1
    given = [part.given for part in alphabet.parts]
    assert given == sorted(given, reverse=True), "controls stand first"
    gates = [(part, alphabet.parts[part.gate]) for part in alphabet.parts if part.gate is not None]
    assert all(gate.gate is None and part.size > 1 for part, gate in gates)
    mask = tokenizer.onset_mask
    assert mask.dtype == bool and mask.shape == (*alphabet.shape, alphabet.largest)
    for part, row in zip(alphabet.parts, np.atleast_2d(mask), strict=True):
        assert not row[part.size :].any() and not row[0]
        assert not (row.any() and part.gate is not None)
        assert not (row.any() and part.given and alphabet.judged.any()), "controls only where no symbol is drawn"


@each_kind
def test_augmentations_are_other_readings_of_the_same(kind: str) -> None:
    tokenizer = KINDS[kind]
    alphabet, table = tokenizer.alphabet, tokenizer.augmentations
    assert table.dtype == np.int64 and table.shape[1:] == (*alphabet.shape, alphabet.largest)
    rows = table.reshape(len(table), -1, alphabet.largest)
    mask = np.atleast_2d(tokenizer.onset_mask)
    for index, part in enumerate(alphabet.parts):
        variants = rows[:, index, : part.size]
        np.testing.assert_array_equal(variants[0], np.arange(part.size))
        assert variants.min() >= 0 and variants.max() < part.size
        np.testing.assert_array_equal(variants[:, 0], 0)  # nothing stays nothing
        np.testing.assert_array_equal(mask[index][variants], np.tile(mask[index][: part.size], (len(table), 1)))


@each_kind
def test_every_token_and_step_has_a_name(kind: str) -> None:
    tokenizer = KINDS[kind]
    for index, part in enumerate(tokenizer.alphabet.parts):
        names = [tokenizer.token_name(token, index) for token in range(part.size)]
        assert all(names) and len(set(names)) == part.size
    steps = [tokenizer.step_name(step) for step in range(tokenizer.length)]
    assert all(steps) and len(set(steps)) == tokenizer.length


@each_kind
def test_settings_survive_json_and_toml(kind: str) -> None:
    tokenizer = KINDS[kind]
    again = tokenizer_from_dict(json.loads(json.dumps(tokenizer_to_dict(tokenizer))))
    assert again == tokenizer and type(again) is type(tokenizer)
    preset = Preset(name="a", description="b", tokenizer=tokenizer)  # type: ignore[arg-type]
    assert preset_from_dict(json.loads(json.dumps(preset.to_dict()))) == preset
    assert preset_from_dict(tomllib.loads(to_toml(preset.to_dict()))) == preset


# -- files and windows -------------------------------------------------------------------------------------------------


@each_kind
@settings(max_examples=8)
@given(data=st.data())
def test_reads_back_what_it_writes(kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizer, tokens = KINDS[kind], data.draw(any_tokens(kind))
    path = tmp_path_factory.mktemp("item") / f"a{tokenizer.suffix}"
    assert tokenizer.suffix in tokenizer.suffixes
    assert tokenizer.write(tokenizer.decode(tokens), path, overwrite=False) == path
    (only,) = tokenizer.read_all(path)
    for item in (only, tokenizer.read(path)):
        np.testing.assert_array_equal(tokenizer.encode(item), tokenizer.canonical(tokens))
    with pytest.raises(WriteError, match="exists already"):
        tokenizer.write(only, path, overwrite=False)


@each_kind
@settings(max_examples=12)
@given(data=st.data())
def test_windows_are_tokens(kind: str, data: st.DataObject) -> None:
    tokenizer = KINDS[kind]
    item = tokenizer.decode(data.draw(any_tokens(kind)))
    try:
        found = tokenizer.windows(item)
    except DataError:
        assume(False)
    assert found.tokens.dtype == np.int64 and found.starts.dtype == np.float64 and found.track.dtype == np.int64
    assert found.tokens.shape == (len(found.starts), tokenizer.length, *tokenizer.alphabet.shape)
    assert found.starts.shape == found.track.shape and (np.diff(found.starts) >= 0).all()
    sizes = np.array([part.size for part in tokenizer.alphabet.parts]).reshape(tokenizer.alphabet.shape)
    assert (found.tokens >= 0).all() and (found.tokens < sizes).all()
    np.testing.assert_array_equal(tokenizer.canonical(found.tokens), found.tokens)
    if len(found.tokens):
        np.testing.assert_array_equal(found.tokens[0], tokenizer.encode(item))
    elif onsets(tokenizer.onset_mask, tokenizer.encode(item)).any():
        assert sum(found.skipped.values()) > 0, "what is left out is counted"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].alphabet.end is None])  # joined lines are one
@settings(max_examples=12)
@given(data=st.data())
def test_split_undoes_join(kind: str, data: st.DataObject) -> None:
    tokenizer = KINDS[kind]
    windows = [tokenizer.canonical(data.draw(any_tokens(kind))) for _ in range(data.draw(st.integers(1, 3)))]
    joined = tokenizer.join([tokenizer.decode(tokens) for tokens in windows])
    try:
        parts = tokenizer.split(joined)
    except DataError:
        assume(False)
    drawn = ~np.array([part.given for part in tokenizer.alphabet.parts]).reshape(tokenizer.alphabet.shape)
    again = np.stack([tokenizer.encode(part) for part in parts])
    # A control that a window does not state is still that of the window before.
    np.testing.assert_array_equal(np.where(drawn, again, 0), np.where(drawn, windows, 0))


@each_kind
def test_what_is_shown_can_be_typed(kind: str) -> None:
    tokenizer = KINDS[kind]
    tokens = np.ones((tokenizer.length, *tokenizer.alphabet.shape), np.int64)
    tokens[-1] = 0
    line = tokenizer.show(tokenizer.decode(tokens))
    assert "\n" not in line
    if line:
        np.testing.assert_array_equal(tokenizer.encode(tokenizer.parse(line)), tokens)
    else:  # it is heard: only a file can hold it
        with pytest.raises(DataError, match="no such file"):
            tokenizer.parse("a")
    with pytest.raises(DataError, match="no such file"):
        tokenizer.parse(f"nowhere{tokenizer.suffix}")


@each_kind
def test_a_missing_file_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"nowhere.*;") as caught:
        KINDS[kind].read_all(tmp_path / f"nowhere{KINDS[kind].suffix}")
    assert "\n" not in str(caught.value)
