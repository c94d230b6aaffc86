"""Model files: what is written is read; what is damaged is refused in one line."""

import contextlib
import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from seqvae import files
from seqvae.checkpoint import SavedModel, load_model, save_model
from seqvae.config import load_preset
from seqvae.errors import ModelError, WriteError
from seqvae.files import write_atomic


def small_model() -> SavedModel:
    rng = np.random.default_rng(0)
    return SavedModel(
        name="small",
        preset=load_preset("melody-2bar-tiny"),
        weights={"a.weight": rng.normal(size=(3, 4)).astype(np.float32), "b": np.ones(2, np.float32)},
        aggregate_mean=np.zeros(2, np.float32),
        aggregate_covariance=np.eye(2, dtype=np.float32),
        provenance={"steps": 5},
        licence="CC0",
        card={"kl_bits": 58.0},
    )


def test_written_is_read(tmp_path: Path) -> None:
    model = small_model()
    loaded = load_model(save_model(tmp_path / "deep" / "m.safetensors", model))
    assert (loaded.name, loaded.preset, loaded.provenance, loaded.licence, loaded.card, loaded.hash) == (
        (model.name, model.preset, model.provenance, model.licence, model.card, model.hash)
    )
    for name in model.weights:
        np.testing.assert_array_equal(loaded.weights[name], model.weights[name])
    half = load_model(save_model(tmp_path / "h.safetensors", model.half()))
    assert half.weights["a.weight"].dtype == np.float16 and half.hash != model.hash
    np.testing.assert_allclose(half.weights["a.weight"], model.weights["a.weight"], rtol=1e-3)


def test_same_model_same_bytes(tmp_path: Path) -> None:
    one = save_model(tmp_path / "1.safetensors", small_model()).read_bytes()
    assert one == save_model(tmp_path / "2.safetensors", small_model()).read_bytes()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_one_clear_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(save_model(folder / "m.safetensors", small_model()).read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    content = content[:cut]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "m.safetensors").write_bytes(content)
    with contextlib.suppress(ModelError):
        load_model(folder / "m.safetensors")  # anything but a model or a ModelError fails


def test_a_missing_file_a_folder_and_a_stranger(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="a folder"):
        load_model(tmp_path)
    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="no seqvae model"):
        load_model(tmp_path / "x.safetensors")


def test_a_later_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqvae.checkpoint.FORMAT", 99)
    save_model(tmp_path / "m.safetensors", small_model())
    monkeypatch.undo()
    with pytest.raises(ModelError, match="format 99"):
        load_model(tmp_path / "m.safetensors")


def test_nothing_is_overwritten_unasked_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = write_atomic(tmp_path / "f", b"old")
    with pytest.raises(WriteError, match="--force"):
        write_atomic(target, b"new", overwrite=False)
    with pytest.raises(WriteError, match="a folder stands there"):
        write_atomic(tmp_path, b"new")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(WriteError, match="No space left"):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


def test_written_files_obey_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        mode = write_atomic(tmp_path / "f", b"x").stat().st_mode & 0o777
    finally:
        os.umask(mask)
    assert mode == 0o640
