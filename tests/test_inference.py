"""The network in numpy says what torch's says: posteriors, states and tokens, over every sort of alphabet."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_vae import ALPHABETS, CASES, LENGTH, SETTINGS

from seqvae import cores, head
from seqvae import network as network_room
from seqvae.checkpoint import bundled_models, load_model
from seqvae.config import ModelSettings
from seqvae.decoder import Drawing
from seqvae.errors import DataError, ModelError
from seqvae.head import draw as draw_in_torch
from seqvae.inference import Reader, SegmentedReader, SegmentedWriter, Writer, check_weights, weight_shapes
from seqvae.inference.draws import Draw, draw
from seqvae.loading import load
from seqvae.network import Network
from seqvae.passage import PLAIN
from seqvae.vae import SequenceVAE

CASES = [*CASES, ("one", "mapped"), ("ends", "mapped"), ("numbers", "mapped")]
MORE = {"mapped": ModelSettings(mapping_size=9, decoder_sizes=(8, 6, 5))}


def network(alphabet: str, size: str, seed: int = 0) -> SequenceVAE:
    chosen = replace(
        {**SETTINGS, **MORE}[size],
        embedding_size=5,
        encoder_size=7,
        encoder_layers=2,
        pooling_size=3,
        z_size=4 if {**SETTINGS, **MORE}[size].z_size else 0,
        readout_size=6,
        conductor_size=6,
    )
    torch.manual_seed(seed)
    made = SequenceVAE(ALPHABETS[alphabet], LENGTH, chosen).eval().requires_grad_(False)
    for weight in made.state_dict().values():
        weight.add_(0.4 * torch.randn_like(weight))
        if weight.dim() == 1 and weight.shape == (4,):  # a spread is positive
            weight.abs_().add_(0.5)
    return made


def arrays(vae: SequenceVAE) -> dict[str, np.ndarray[Any, Any]]:
    return {name: weight.numpy() for name, weight in vae.state_dict().items()}


def parts_of(vae: SequenceVAE) -> tuple[Any, Any]:
    given = (arrays(vae), vae.alphabet, vae.length, vae.settings)
    segmented = vae.settings.segments > 1
    reader = (SegmentedReader if segmented else Reader)(*given) if vae.settings.z_size else None
    return reader, (SegmentedWriter if segmented else Writer)(*given)


def tokens_of(vae: SequenceVAE, batch: int, seed: int = 1) -> np.ndarray[Any, Any]:
    sizes = [part.size for part in vae.alphabet.parts]
    shape = (batch, LENGTH, len(sizes))
    tokens = np.random.default_rng(seed).integers(0, sizes, shape)
    tokens = tokens if vae.alphabet.shape else tokens[..., 0]
    if vae.alphabet.end is not None:
        tokens[np.arange(LENGTH) >= vae.alphabet.lengths(tokens)[:, None]] = vae.alphabet.end
    return tokens


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_shapes_are_those_of_torch(case: tuple[str, str]) -> None:
    vae = network(*case)
    expected = {name: tuple(weight.shape) for name, weight in vae.state_dict().items()}
    assert weight_shapes(vae.alphabet, vae.length, vae.settings) == expected


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_models_are_of_the_shapes_of_their_settings(name: str) -> None:
    saved = load_model(bundled_models()[name])
    kind = saved.preset.tokenizer
    check_weights(name, saved.weights, weight_shapes(kind.alphabet, kind.length, saved.preset.model))


@pytest.mark.parametrize("case", [case for case in CASES if case[1] != "language-model"], ids="-".join)
def test_posteriors_are_those_of_torch(case: tuple[str, str]) -> None:
    vae = network(*case)
    reader, _ = parts_of(vae)
    tokens = tokens_of(vae, 9)
    said = vae.encode(torch.from_numpy(tokens))
    mean, std = reader.posterior(tokens)
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean, said.mean, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(std, said.std, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("how", ["likeliest", "drawn", "cold", "top-k", "nucleus", "banned"])
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_tokens_are_those_of_torch(case: tuple[str, str], how: str) -> None:
    vae = network(*case)
    _, writer = parts_of(vae)
    batch = 7
    if how == "banned" and vae.alphabet.shape:
        return
    rng = np.random.default_rng(3)
    z = rng.standard_normal((batch, vae.settings.z_size)).astype(np.float32)
    uniform = None if how == "likeliest" else rng.random((batch, LENGTH, *vae.alphabet.shape), np.float32)
    given = tokens_of(vae, batch)[..., : vae.controls] if vae.controls else None
    options: dict[str, Any] = {"temperature": {"likeliest": 0.0, "cold": 0.3}.get(how, 1.2)}
    options |= {"top-k": {"top_k": 3}, "nucleus": {"top_p": 0.6}}.get(how, {})
    banned = (2, 5) if how == "banned" else ()
    mask = torch.zeros(vae.alphabet.largest, dtype=torch.bool)
    mask[list(banned)] = True
    there = Drawing(
        uniform=None if uniform is None else torch.from_numpy(uniform), banned=mask if banned else None, **options
    )
    with torch.inference_mode():
        expected = vae.generate(torch.from_numpy(z), None if given is None else torch.from_numpy(given), there)
    found = writer.generate(z, given, Draw(uniform=uniform, banned=banned, **options))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected.numpy())
    assert len(np.unique(found)) > 1
    if how == "banned":
        assert not np.isin(found, banned).any()


def test_a_row_has_its_tokens_whatever_stands_beside_it() -> None:
    vae = network("ends", "positional")
    _, writer = parts_of(vae)
    rng = np.random.default_rng(0)
    z, uniform = rng.standard_normal((12, 4)).astype(np.float32), rng.random((12, LENGTH), np.float32)
    whole = writer.generate(z, None, Draw(temperature=1.0, uniform=uniform))
    for row in range(12):
        alone = Draw(temperature=1.0, uniform=uniform[row : row + 1])
        np.testing.assert_array_equal(writer.generate(z[row : row + 1], None, alone)[0], whole[row])


@pytest.mark.parametrize("name", ["melody-2bar", "melody-16bar"])
def test_rows_shared_out_among_cores_are_those_decoded_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "core_count", lambda: 3)
    model = load(name)
    z = model.draw(101, seed=3)
    controls = model.tokenizer.alphabet.controls_for(None, 1, model.tokenizer.length)
    whole = model.network.generate(z, controls.repeat(101, axis=0), 0.8, 5, PLAIN)
    for row in (0, 1, 47, 48, 99, 100):
        alone = model.network.generate(z[row : row + 1], controls, 0.8, 5 + row, PLAIN)
        np.testing.assert_array_equal(alone[0], whole[row])


@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33, 96, 97, 1000])
def test_every_row_is_in_one_slice(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "core_count", lambda: 2)
    seen = np.zeros(rows, int)
    cores.share_out(lambda part: np.add(seen[part], 1, out=seen[part]), rows, unit=16, most=3)  # type: ignore[arg-type]
    assert seen.tolist() == [1] * rows


def test_what_a_thread_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "core_count", lambda: 2)

    def fail(part: slice) -> None:
        if part.start:
            raise DataError("no")

    with pytest.raises(DataError, match=r"^no$"):
        cores.share_out(fail, 64, unit=16, most=3)


@pytest.mark.parametrize("spread", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("temperature", [1e-40, 1e-3, 0.7, 5.0])
def test_draws_that_need_no_order_are_those_of_the_order(spread: float, temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = (spread * rng.standard_normal((400, 37))).astype(np.float32)
    logits[:100] = np.round(logits[:100])
    logits[50:150, 3:9] = -np.inf
    logits[150:160, 11], logits[150:160, 13] = 0.0, -0.0  # equals
    uniform = rng.random(400).astype(np.float32)
    uniform[:8], uniform[8:16] = 0.0, np.float32(1.0) - np.float32(2**-24)
    expected = head._inverted(torch.from_numpy(logits), torch.from_numpy(uniform), temperature)
    found = draw_in_torch(torch.from_numpy(logits), torch.from_numpy(uniform), temperature=temperature)
    assert found.tolist() == expected.tolist()
    assert draw(logits, uniform, Draw(temperature=temperature)).tolist() == expected.tolist()


def test_draws_of_a_large_vocabulary_and_of_ties_are_those_of_torch() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((300, 2000)).astype(np.float32) * 3
    logits[100:] = np.round(logits[100:])  # many are equal
    uniform = rng.random(300).astype(np.float32)
    uniform[:2] = 0.0, np.float32(1.0) - np.float32(2**-24)
    for options in ({}, {"top_k": 7}, {"top_p": 0.5}, {"top_k": 40, "top_p": 0.9}):
        drawn = draw_in_torch(torch.from_numpy(logits), torch.from_numpy(uniform), temperature=0.9, **options)
        np.testing.assert_array_equal(draw(logits, uniform, Draw(temperature=0.9, **options)), drawn.numpy())


def test_arrays_that_are_missing_extra_or_of_another_shape_are_named() -> None:
    vae = network("one", "shared")
    expected = weight_shapes(vae.alphabet, vae.length, vae.settings)
    good = arrays(vae)
    check_weights("mine", good, expected)
    wrong = {
        r"decoder.start.bias is missing, .* \(16,\)": {k: v for k, v in good.items() if k != "decoder.start.bias"},
        r"decoder.more is \(2,\), .* no such array": {**good, "decoder.more": np.zeros(2, np.float32)},
        r"encoder.head.bias is \(3,\), .* \(8,\)": {**good, "encoder.head.bias": np.zeros(3, np.float32)},
    }
    for message, weights in wrong.items():
        with pytest.raises(ModelError, match=f"^mine: its weights do not fit the preset's network .its {message}"):
            check_weights("mine", weights, expected)


# -- the door ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["melody-2bar", "melody-16bar", "groove-2bar", "captions", "drums-2bar"])
def test_the_door_gives_the_same_by_numpy_and_by_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(name)
    z = model.draw(12, seed=3)
    rows = model.held_out[:12]
    controls = model.tokenizer.alphabet.controls_for(None, 12, model.tokenizer.length)
    in_numpy = [model.network.generate(z, controls, temperature, 5, PLAIN) for temperature in (0.0, 0.8)]
    mean, std = model.network.posterior(rows)
    monkeypatch.setattr(network_room, "FEW", 0)
    monkeypatch.setattr(Network, "_generate_in_numpy", Network._generate_in_torch)
    in_torch = [model.network.generate(z, controls, temperature, 5, PLAIN) for temperature in (0.0, 0.8)]
    np.testing.assert_array_equal(in_numpy, in_torch)
    there = model.network.posterior(rows)
    np.testing.assert_allclose(mean, there[0], atol=2e-4)
    np.testing.assert_allclose(std, there[1], atol=2e-4)


def test_the_verbs_of_a_musician_import_no_torch(tmp_path: Path) -> None:
    """Nor do they need much memory: what a song's path, copies and variations are made with is numpy."""
    examples = Path(__file__).resolve().parent.parent / "examples"
    a, b = str(examples / "a.mid"), str(examples / "b.mid")
    for number, words in enumerate((["interpolate", a, b], ["sample", "-n", "3"], ["reconstruct", a], ["vary", a])):
        code = (
            "import sys\nfrom seqvae.cli.app import main\n"
            f"code = main({[*words, '-o', str(tmp_path / str(number))]!r})\n"
            "assert code == 0 and 'torch' not in sys.modules, (code, 'torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_gpu_is_looked_for_only_where_a_driver_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Network(weights={}, alphabet=ALPHABETS["one"], length=LENGTH, settings=SETTINGS["shared"], place="auto")
    monkeypatch.setattr(network_room, "GPU_DRIVERS", ())
    assert there.is_on_cpu and "device" not in vars(there)
    monkeypatch.setattr(network_room, "GPU_DRIVERS", ("/",))
    asked = replace(there)
    assert asked.is_on_cpu == (not torch.cuda.is_available()) and "device" in vars(asked)
