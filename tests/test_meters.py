"""The bundled models of other meters on real tunes that they have not seen, and on what is not their meter."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

import seqvae
from seqvae.checkpoint import bundled_models
from seqvae.clip import Clip
from seqvae.corpus.prepare import split_by_name
from seqvae.errors import DataError

METERS = {"melody-2bar-3-4": "3/4", "melody-2bar-6-8": "6/8"}
WALTZ = [(beat, beat + 0.9, pitch, 80) for beat, pitch in enumerate((60, 64, 67, 72, 71, 67))]


@pytest.mark.parametrize("name", METERS)
def test_a_model_keeps_its_meter(name: str) -> None:
    model = seqvae.load(name)
    numerator, denominator = map(int, METERS[name].split("/"))
    clip = Clip.from_notes(WALTZ, meter=(numerator, denominator))
    (again,) = model.decode(model.encode([clip]))
    assert again.meters[0][1:] == (numerator, denominator) and again.length_beats == 6.0
    with pytest.raises(DataError, match=f"its meter is 4/4 and the model's is {METERS[name]}"):
        model.tokenizer.split(Clip.from_notes(WALTZ))


@pytest.mark.slow
@pytest.mark.parametrize("name", METERS)
def test_real_tunes_come_back(name: str, shared_data: Path, tmp_path: Path) -> None:
    """Of held-out folk tunes 95 of 100 tokens, and 90 of 100 onsets, free-running: what a bundled model must reach."""
    with tarfile.open(shared_data / "music" / "folk-tunes" / "folk-tunes.tar.xz") as file:
        wanted = [member for member in file if member.name.endswith(".mid") and split_by_name(member.name) == "test"]
        file.extractall(tmp_path, wanted, filter="data")
    model = seqvae.load(name)
    tokenizer = model.tokenizer
    found = [tokenizer.windows(Clip.load(path)).tokens for path in sorted(tmp_path.rglob("*.mid"))]
    windows = np.concatenate([tokens for tokens in found if len(tokens)])
    assert len(windows) > 200
    back = np.stack(
        [tokenizer.encode(clip) for clip in model.decode(model.encode(list(map(tokenizer.decode, windows))))]
    )
    onsets = tokenizer.onset_mask[windows]
    assert (back == windows).mean() >= 0.95
    assert (back == windows)[onsets].mean() >= 0.9


def test_there_is_a_model_for_each() -> None:
    assert set(METERS) <= set(bundled_models())
