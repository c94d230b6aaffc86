"""The laws that every kind of sequence obeys, and every decoder: the same tests for all, none of a kind's own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kinds import KINDS, any_tokens, each_kind, equal, random_tokens

from seqvae.checkpoint import load_model, read_arrays
from seqvae.config import Preset, preset_from_dict, to_toml, with_settings
from seqvae.dataset import ORIGIN_DTYPE, Dataset, arrange, tokenizer_from_dict, tokenizer_to_dict, write_dataset
from seqvae.errors import DataError, ReadError, WriteError
from seqvae.head import within
from seqvae.loading import load
from seqvae.run import BEST, LAST, resumable
from seqvae.tokenizers import TOKENIZERS, Tokenizer, onsets
from seqvae.train import train


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


# -- the network -------------------------------------------------------------------------------------------------------

TRAINED = ["melody-jig", "drums", "groove", "groove-humanize", "trio", "melody-given", "raw-integers", "raw-spaces"]
FLAT = [(kind, 1, False) for kind in [*TRAINED, "text-words"]]
CARRIED = [("melody-jig", 2, True), ("melody-given", 2, True)]
SIDE_BY_SIDE = [("groove", 4, False), ("trio", 4, False), ("raw-integers", 3, False)]

SMALL = [
    *("model.embedding_size=4", "model.encoder_size=6", "model.pooling_size=2", "model.z_size=12"),
    *("model.decoder_sizes=[8,6]", "model.readout_size=4", "model.conductor_size=5"),
    *("train.batch_size=8", "train.steps=4", "train.validate_every=2", "train.log_every=1", "train.warmup_steps=1"),
    *("train.valid_items=8", "train.workers=1", "train.learning_rate=0.01"),
    *("objective.word_dropout=0.1", "objective.input_noise=0.1", "objective.sampling_end=0.3"),
]


def case_name(case: tuple[str, int, bool]) -> str:
    kind, segments, carry = case
    return f"{kind}-{'flat' if segments == 1 else 'carried' if carry else 'segments'}"


@pytest.fixture(scope="module", params=FLAT + CARRIED + SIDE_BY_SIDE, ids=case_name)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: 4 steps of training on 30 items; its dataset lies in it too."""
    kind, segments, carry = request.param
    folder = tmp_path_factory.mktemp("run")
    make_dataset(KINDS[kind], folder / "data")
    train(preset_of(kind, segments, carry), Dataset.open(folder / "data"), folder / "whole", seed=3, device="cpu")
    return folder


def preset_of(kind: str, segments: int, carry: bool) -> Preset:
    plain = Preset(name=kind, description="made up", tokenizer=KINDS[kind])  # type: ignore[arg-type]
    return with_settings(plain, [*SMALL, f"model.segments={segments}", f"model.carry={str(carry).lower()}"])


def make_dataset(tokenizer: Tokenizer, folder: Path) -> None:
    tokens = np.stack([tokenizer.canonical(random_tokens(tokenizer, seed)) for seed in range(30)])
    folder.mkdir()
    write_dataset(
        folder,
        tokenizer=tokenizer,
        tokens=tokens,
        origins=np.zeros(len(tokens), ORIGIN_DTYPE),
        arrangement=arrange(tokens, np.array([0] * 22 + [1] * 4 + [2] * 4, np.int8)),
        sources=[("made up", "train", "0" * 40)],
        report={},
    )


def test_resumed_is_uninterrupted(run: Path) -> None:
    preset, dataset = resumable(run / "whole")[0], Dataset.open(run / "data")
    outcome = train(preset, dataset, run / "parts", seed=3, device="cpu", seconds=0.0)
    while outcome.reason != "all steps done":
        assert "seconds are over" in outcome.reason
        outcome = train(preset, dataset, run / "parts", seed=3, device="cpu", seconds=0.0, resume=True)
    (whole, about), (parts, other) = (read_arrays(run / name / LAST) for name in ("whole", "parts"))
    assert about["step"] == other["step"] == 4 and whole.keys() == parts.keys()
    for name in whole:
        assert whole[name].tobytes() == parts[name].tobytes(), name
    assert load_model(run / "whole" / BEST).hash == load_model(run / "parts" / BEST).hash


def test_a_model_survives_its_file_and_repeats_itself(run: Path) -> None:
    model, again = load(run / "whole", device="cpu"), load(run / "whole", device="cpu")
    assert model.tokenizer == again.tokenizer == Dataset.open(run / "data").tokenizer and model.hash == again.hash
    for temperature in (0.0, 1.0):
        three = model.sample(3, seed=5, temperature=temperature)
        two = again.sample(2, seed=5, temperature=temperature)
        for item, same in zip(three, two, strict=False):
            np.testing.assert_array_equal(model.tokenizer.encode(item), model.tokenizer.encode(same))


def test_what_goes_in_comes_out_in_shape(run: Path) -> None:
    model, dataset = load(run / "whole", device="cpu"), Dataset.open(run / "data")
    tokenizer, tokens = model.tokenizer, dataset.windows("test").astype(np.int64)
    z = model.encode(tokens)
    assert z.dtype == np.float32 and z.shape == (len(tokens), model.z_size) and np.isfinite(z).all()
    item = tokenizer.decode(tokens[0])
    np.testing.assert_array_equal(tokenizer.encode(item), tokens[0])
    np.testing.assert_allclose(model.encode([item]), z[:1], atol=1e-5)
    made = tokenizer.encode(model.reconstruct(item))
    sizes = np.array([part.size for part in tokenizer.alphabet.parts]).reshape(tokenizer.alphabet.shape)
    assert made.shape == tokens[0].shape and (made >= 0).all() and (made < sizes).all()
    given = np.array([part.given for part in tokenizer.alphabet.parts]).reshape(tokenizer.alphabet.shape)
    np.testing.assert_array_equal(np.where(given, made, 0), np.where(given, tokens[0], 0))


def test_batch_is_single_and_read_is_drawn(run: Path) -> None:
    """What is drawn greedily is what the network, reading it, finds likeliest: both decoders tell one story."""
    model, dataset = load(run / "whole", device="cpu"), Dataset.open(run / "data")
    vae, tokens = model.vae, torch.from_numpy(dataset.windows("test").astype(np.int64))
    with torch.no_grad():
        z = vae.encode(tokens).mean
        drawn = vae.generate(z, vae.given(tokens))
        logits = vae.logits(z, drawn)
        counts = within(vae.alphabet, drawn)
        torch.testing.assert_close(vae.head.likeliest(logits, drawn)[counts], drawn[counts])
        nll = vae.head.nll(logits, drawn)
        for row in range(len(tokens)):
            alone = drawn[row : row + 1]
            torch.testing.assert_close(vae.generate(z[row : row + 1], vae.given(tokens[row : row + 1])), alone)
            torch.testing.assert_close(vae.head.nll(vae.logits(z[row : row + 1], alone), alone)[0], nll[row])
    assert nll.shape == tokens.shape[:2] and nll.isfinite().all()
