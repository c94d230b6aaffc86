"""Training: it learns, it repeats itself bit for bit, and it resumes as if nothing had happened."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from seqvae import train as training
from seqvae.attributes import attribute_named, measured
from seqvae.checkpoint import load_model, load_weights, read_arrays
from seqvae.config import ObjectiveSettings, Preset, load_preset, to_toml, with_settings
from seqvae.dataset import ORIGIN_DTYPE, SPLITS, Dataset, arrange, write_dataset
from seqvae.errors import DataError, ModelError, SeqvaeError
from seqvae.loading import load
from seqvae.run import BEST, LAST, Run, resumable
from seqvae.tokenizers import MelodyTokenizer
from seqvae.train import collapse_warning, learning_rate_at, train
from seqvae.vae import SequenceVAE

SMALL = [
    "model.encoder_size=16",
    "model.decoder_sizes=[24]",
    "model.z_size=8",
    "train.batch_size=12",
    "train.steps=12",
    "train.log_every=4",
    "train.validate_every=6",
    "train.warmup_steps=2",
    "objective.word_dropout=0.1",
    "objective.input_noise=0.1",
    "objective.sampling_end=0.3",
]

ATTRIBUTES = ['objective.attributes=["pitch","interval"]', "objective.edited=0.3"]


def make_dataset(folder: Path, windows: int = 50, max_transpose: int = 6) -> Dataset:
    tokenizer = MelodyTokenizer(max_transpose=max_transpose)
    rng = np.random.default_rng(0)
    tokens = np.zeros((windows, tokenizer.length), np.int64)
    tokens[:, ::4] = rng.integers(30, 60, size=(windows, tokenizer.length // 4))
    split = np.where(np.arange(windows) % 5 == 4, 1, 0).astype(np.int8)
    folder.mkdir()
    origins = np.zeros(windows, ORIGIN_DTYPE)
    write_dataset(
        folder,
        tokenizer=tokenizer,
        tokens=tokens,
        origins=origins,
        arrangement=arrange(tokens, split),
        sources=[("made up", SPLITS[0], "0" * 40)],
        report={},
        licence="none",
    )
    return Dataset.open(folder)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def preset() -> Preset:
    return load_preset("melody-2bar-tiny", [*SMALL, *ATTRIBUTES])


def weights(run: Path) -> dict[str, np.ndarray]:
    arrays, about = read_arrays(run / LAST)
    assert about["step"] == 12
    return arrays


def assert_same_run(a: Path, b: Path) -> None:
    mine, theirs = weights(a), weights(b)
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert mine[name].tobytes() == theirs[name].tobytes(), name
    assert load_model(a / BEST).hash == load_model(b / BEST).hash
    clocks = ("seconds", "items_per_second")
    lines = [
        [
            {k: v for k, v in json.loads(line).items() if k not in clocks}
            for line in (run / "metrics.jsonl").read_text().splitlines()
        ]
        for run in (a, b)
    ]
    assert lines[0] == lines[1]


def test_same_seed_same_weights_other_seed_others(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train(preset, dataset, tmp_path / name, seed=seed, device="cpu")
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert load_model(tmp_path / "a" / BEST).hash != load_model(tmp_path / "c" / BEST).hash


def test_resumed_is_uninterrupted_bit_for_bit(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    train(preset, dataset, tmp_path / "whole", seed=3, device="cpu")
    outcome = train(preset, dataset, tmp_path / "parts", seed=3, device="cpu", seconds=0.0)
    assert "seconds are over" in outcome.reason and outcome.metrics["step"] == 1
    pieces = 1
    while outcome.reason != "all steps done":
        again, seed, folder = resumable(tmp_path / "parts")
        assert (again, seed, folder) == (preset, 3, dataset.folder.absolute())
        outcome = train(again, dataset, tmp_path / "parts", seed=seed, device="cpu", seconds=0.0, resume=True)
        pieces += 1
    assert pieces == 12  # one step at a time
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


CHILD = """
import sys
from pathlib import Path
from seqvae import train as training
from seqvae.dataset import Dataset
from seqvae.run import resumable
training.SAVE_SECONDS = 0.0
preset, seed, folder = resumable(Path(sys.argv[1]))
print("ready", flush=True)
training.train(preset, Dataset.open(folder), Path(sys.argv[1]), seed=seed, device="cpu", resume=True,
               report=lambda metrics: print(metrics["step"], flush=True))
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_resumes_bit_for_bit(
    tmp_path: Path, dataset: Dataset, preset: Preset, blow: signal.Signals
) -> None:
    train(preset, dataset, tmp_path / "whole", seed=5, device="cpu")
    train(preset, dataset, tmp_path / "killed", seed=5, device="cpu", seconds=0.0)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "killed")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.stdout.readline()  # the first logged step
    child.send_signal(blow)
    child.communicate()
    # The machine may have been faster than the blow; what matters is that going on ends in the same place.
    train(preset, dataset, tmp_path / "killed", seed=5, device="cpu", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_overfits_eight_windows_to_exact_reconstruction(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", windows=8, max_transpose=0)
    optimisation = ["train.batch_size=8", "train.steps=220", "train.learning_rate=1e-2", "train.weight_average=0.8"]
    rest = ["train.validate_every=220", "train.log_every=220", "objective.beta=0.01", "train.precision=fp32"]
    chosen = load_preset("melody-2bar-tiny", optimisation + rest)
    train(chosen, dataset, tmp_path / "run", seed=1, device="cpu")
    saved = load_model(tmp_path / "run" / BEST)
    vae = SequenceVAE(dataset.tokenizer.alphabet, dataset.tokenizer.length, saved.preset.model)
    load_weights(vae, saved)
    tokens = torch.from_numpy(dataset.windows("train").astype(np.int64))
    with torch.no_grad():
        assert torch.equal(vae.eval().generate(vae.encode(tokens).mean), tokens)


def test_the_plain_autoencoder_has_no_noise_and_no_kl_in_its_loss(
    tmp_path: Path, dataset: Dataset, preset: Preset
) -> None:
    lines: list[dict[str, float]] = []
    plain = with_settings(
        preset, ["objective.autoencoder=true", "objective.beta=5.0", "objective.attributes=[]", "objective.edited=0"]
    )
    train(plain, dataset, tmp_path / "run", seed=1, device="cpu", report=lines.append)
    assert all(line["loss"] == pytest.approx(line["recon_nll"], rel=1e-5) for line in lines)


def test_init_starts_from_the_models_weights(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    train(preset, dataset, tmp_path / "first", seed=1, device="cpu")
    saved = load_model(tmp_path / "first" / BEST)
    still = with_settings(preset, ["train.steps=1", "train.learning_rate=0.0", "train.learning_rate_end=0.0"])
    train(still, dataset, tmp_path / "second", seed=2, device="cpu", init=saved)
    assert load_model(tmp_path / "second" / BEST).hash == saved.hash
    other = with_settings(preset, ["model.z_size=9"])
    with pytest.raises(ModelError, match="do not fit"):
        train(other, dataset, tmp_path / "third", seed=2, device="cpu", init=saved)
    assert not (tmp_path / "third").exists()


def test_patience_stops_early(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    frozen = ["train.learning_rate=0.0", "train.learning_rate_end=0.0", "train.validate_every=1", "train.patience=2"]
    outcome = train(with_settings(preset, frozen), dataset, tmp_path / "run", seed=1, device="cpu")
    assert outcome.reason == "no better validation in 2" and outcome.metrics["step"] == 3


def test_a_training_that_diverges_says_so(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    wild = with_settings(preset, ["train.learning_rate=1e30", "train.clip_norm=1e30", "train.log_every=2"])
    with pytest.raises(SeqvaeError, match="lower train"):
        train(wild, dataset, tmp_path / "run", seed=1, device="cpu")


def test_the_aggregate_fit_and_provenance_are_stored(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    train(preset, dataset, tmp_path / "run", seed=1, device="cpu")
    saved = load_model(tmp_path / "run" / BEST)
    assert saved.aggregate_mean.shape == (8,)
    np.testing.assert_allclose(saved.aggregate_covariance, saved.aggregate_covariance.T, atol=1e-6)
    assert np.linalg.eigvalsh(saved.aggregate_covariance).min() > 0
    assert saved.provenance["data"] == dataset.hash and saved.provenance["seed"] == 1 and saved.licence == "none"
    assert load_preset(tmp_path / "run" / "preset.toml") == preset


def test_the_first_dimensions_become_the_attributes(tmp_path: Path) -> None:
    optimisation = ["train.batch_size=16", "train.steps=200", "train.learning_rate=1e-2", "train.weight_average=0.8"]
    rest = ["train.validate_every=200", "objective.beta=0.1", 'objective.attributes=["pitch","range"]']
    asked = [*optimisation, *rest, "model.z_size=8"]
    data = make_dataset(tmp_path / "data", windows=60, max_transpose=0)
    train(load_preset("melody-2bar-tiny", asked), data, tmp_path / "run", seed=1)
    model = load(tmp_path / "run")
    tokens = data.windows("train").astype(np.int64)
    items = [model.tokenizer.decode(row) for row in tokens]
    values = measured([attribute_named(model.tokenizer, name) for name in ("pitch", "range")], items)
    z = model.encode(tokens)
    for dimension in range(2):
        assert np.corrcoef(z[:, dimension], values[:, dimension])[0, 1] > 0.9
    assert abs(np.corrcoef(z[:, 2], values[:, 0])[0, 1]) < 0.9


def test_an_attribute_that_is_none_or_never_varies_is_one_clear_line(tmp_path: Path, dataset: Dataset) -> None:
    for name, message in (("beauty", "no attribute 'beauty'"), ("syncopation-16th", "syncopation-16th is the same")):
        preset = load_preset("melody-2bar-tiny", [*SMALL, f'objective.attributes=["{name}"]'])
        with pytest.raises(SeqvaeError, match=message):
            train(preset, dataset, tmp_path / "run", seed=1)


def test_wrong_data_and_nothing_to_resume_are_one_clear_line(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    other = with_settings(preset, ["tokenizer.bars=1"])
    with pytest.raises(DataError, match="has 16 of melody"):
        train(other, dataset, tmp_path / "run", seed=1, device="cpu")
    with pytest.raises(ModelError, match="nothing to resume"):
        resumable(tmp_path / "run")
    train(preset, dataset, tmp_path / "run", seed=1, device="cpu")
    changed = make_dataset(tmp_path / "changed", windows=51)
    with pytest.raises(DataError, match="other data"):
        train(preset, changed, tmp_path / "run", seed=1, device="cpu", resume=True)


def test_learning_rate_warms_up_and_ends_low() -> None:
    chosen = load_preset("melody-2bar-tiny", ["train.steps=100", "train.warmup_steps=10", "train.learning_rate=1.0"])
    rates = [learning_rate_at(step, chosen) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(rates[9], abs=0.02)
    assert rates[100] == pytest.approx(chosen.train.learning_rate_end)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_collapse_is_said_in_words() -> None:
    chosen = ObjectiveSettings(beta=0.7)
    said = collapse_warning({"kl": 0.2, "active_units": 0}, chosen)
    assert "KL 0.20 nats, 0 active units" in said and "lower objective.beta from 0.7" in said and "\n" not in said
    for name in ("model.mean_scale", "objective.free_nats", "objective.target_nats", "objective.pretraining_steps"):
        section, _, setting = name.partition(".")
        assert name in said and hasattr(getattr(Preset(name="", description=""), section), setting)
    assert "collapsed" in collapse_warning({"kl": 40.0, "active_units": 0}, chosen)
    assert collapse_warning({"kl": 40.0, "active_units": 8}, chosen) == ""


def test_toml_gives_the_preset_back(tmp_path: Path, preset: Preset) -> None:
    (tmp_path / "p.toml").write_text(to_toml(preset.to_dict()))
    assert load_preset(tmp_path / "p.toml") == preset


def test_a_stopped_run_ships_what_stands_if_it_is_better(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    longer = with_settings(preset, ["train.steps=50", "train.validate_every=2"])
    losses, better = {}, []
    for step in range(1, 8):
        outcome = train(longer, dataset, tmp_path, seed=1, device="cpu", seconds=0.0, resume=step > 1)
        losses[step] = outcome.metrics["loss"]
        kept = load_model(tmp_path / BEST).provenance["steps"]
        validated = [losses[n] for n in range(2, step, 2)]
        if not validated or losses[step] < min(validated):
            assert kept == step
            better.append(step)
    assert {1, 3, 5, 7} & set(better[1:])  # else nothing was shown


def test_stopping_is_prompt_and_leaves_the_run_whole(tmp_path: Path, dataset: Dataset, preset: Preset) -> None:
    long = with_settings(preset, ["train.steps=100000"])
    begin = time.monotonic()
    outcome = train(long, dataset, tmp_path / "run", seed=1, device="cpu", seconds=0.5)
    assert time.monotonic() - begin < 30
    assert outcome.metrics["step"] < 100000 and (tmp_path / "run" / BEST).exists()


def test_out_of_memory_a_batch_goes_in_pieces_and_the_step_is_the_same(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ["objective.autoencoder=true", "objective.word_dropout=0", "objective.input_noise=0"]
    preset = load_preset("melody-2bar-tiny", [*SMALL, *plain, "objective.sampling_end=0", "train.precision=fp32"])
    train(preset, dataset, tmp_path / "whole", seed=3, device="cpu")
    really, said = training._part, []

    def part(
        run: Run, portion: training.Portion, share: float, number: int
    ) -> tuple[Sequence[torch.Tensor], torch.Tensor]:
        if len(portion.tokens) > 2:
            raise torch.OutOfMemoryError
        return really(run, portion, share, number)

    monkeypatch.setattr(training, "_part", part)
    train(preset, dataset, tmp_path / "pieces", seed=3, device="cpu", say=said.append)
    assert len(said) == 1 and "in 4 pieces" in said[0]  # six items a part: in two of three they had no room yet
    whole, pieces = weights(tmp_path / "whole"), weights(tmp_path / "pieces")
    for name in whole:
        np.testing.assert_allclose(whole[name], pieces[name], rtol=1e-3, atol=2e-4, err_msg=name)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_no_room_for_one_item_is_one_clear_line(
    error: Exception, tmp_path: Path, dataset: Dataset, preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def part(*given: object) -> None:
        raise error

    monkeypatch.setattr(training, "_part", part)
    with pytest.raises(SeqvaeError, match="out of memory on cpu, with one item at a time; train with a smaller model"):
        train(preset, dataset, tmp_path / "run", seed=3, device="cpu")


def test_a_gpu_that_fails_loses_nothing_that_was_saved(
    tmp_path: Path, dataset: Dataset, preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(preset, dataset, tmp_path / "whole", seed=3, device="cpu")
    really = training._step

    def step(run: Run) -> torch.Tensor:
        if run.progress.step == 8:
            raise RuntimeError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")
        return really(run)

    with monkeypatch.context() as broken:
        broken.setattr(training, "_step", step)
        with pytest.raises(SeqvaeError, match=r"cpu has failed \(CUDA error: unspecified launch failure\).*--resume"):
            train(preset, dataset, tmp_path / "failed", seed=3, device="cpu")
    train(preset, dataset, tmp_path / "failed", seed=3, device="cpu", resume=True)
    assert weights(tmp_path / "whole").keys() == weights(tmp_path / "failed").keys()
    whole, failed = weights(tmp_path / "whole"), weights(tmp_path / "failed")
    assert all(np.array_equal(whole[name], failed[name]) for name in whole)
