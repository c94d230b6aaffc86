"""The recipes of training, as it runs them: what each does to the weights, and that a run with it resumes exactly."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_train import assert_same_run, make_dataset

from seqvae import head as heads
from seqvae import train as training
from seqvae import validation
from seqvae.checkpoint import SavedModel, load_decoder, load_model, load_weights
from seqvae.cli.app import main
from seqvae.config import ModelSettings, Preset, load_preset
from seqvae.dataset import Dataset
from seqvae.encoder import PosteriorHead
from seqvae.errors import ConfigError, ModelError
from seqvae.head import StepHead, within
from seqvae.loading import load
from seqvae.recurrent import dropped
from seqvae.run import BEST, DECODER, Run, restart_decoder, start
from seqvae.runtime import generator
from seqvae.tokenizers import Alphabet, Part
from seqvae.train import learning_rate_at, train
from seqvae.vae import SequenceVAE

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


SMALL = [
    *("model.embedding_size=6", "model.encoder_size=8", "model.pooling=last", "model.z_size=4"),
    *("model.decoder_sizes=[10]", "model.readout=shared", "model.readout_size=5"),
    *("train.batch_size=12", "train.steps=12", "train.log_every=4", "train.validate_every=4", "train.warmup_steps=2"),
    *("train.valid_items=4", "train.precision=fp32", "train.learning_rate=1e-2", "objective.beta=0.5"),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("recipes") / "data", windows=30)


def small(*more: str) -> Preset:
    return load_preset("melody-2bar-tiny", [*SMALL, *more])


def run_of(dataset: Dataset, folder: Path, *more: str, planted: SavedModel | None = None) -> Run:
    return start(small(*more), dataset, folder, 3, CPU, None, planted)


@pytest.fixture
def go(dataset: Dataset, tmp_path: Path) -> Iterator[list[Run]]:
    """Runs to be closed."""
    runs: list[Run] = []
    yield runs
    for run in runs:
        run.workers.close()


def steps(run: Run, count: int) -> None:
    for _ in range(count):
        training._step(run)
        run.progress.step += 1


def weights_of(module: torch.nn.Module) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in module.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def saved_of(vae: SequenceVAE, preset: Preset) -> SavedModel:
    size = preset.model.z_size
    return SavedModel(
        name="donor",
        preset=preset,
        weights={name: array.detach().numpy().copy() for name, array in vae.state_dict().items()},
        aggregate_mean=np.zeros(size, np.float32),
        aggregate_covariance=np.eye(size, dtype=np.float32),
    )


def donor(*more: str) -> SavedModel:
    """A language model that has learned nothing, whose weights are far from those that training starts from."""
    preset = small("model.z_size=0", *more)
    torch.manual_seed(8)
    vae = SequenceVAE(preset.tokenizer.alphabet, preset.tokenizer.length, preset.model)
    for weight in vae.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    return saved_of(vae, preset)


# -- resuming --------------------------------------------------------------------------------------------------------


class KilledError(Exception):
    pass


RECIPES = {
    "all at once": (
        *("objective.pretraining_steps=6", "objective.target_nats=3.0", "objective.target_speed=0.1"),
        *("objective.aggressive_steps=4", "objective.encoder_updates=2", "model.mean_scale=0.7", "model.pooling=max"),
        *("model.tied=true", "model.dropout=0.3", "model.embedding_dropout=0.2", "model.dropout_mask=sequence"),
        *("train.workers=2", "objective.free_nats=1.0", "objective.free_mode=per_dim_batch"),
    ),
    "sgd": ("train.optimizer=sgd", "train.decay=plateau", "train.plateau_validations=1", "train.learning_rate=0.5"),
    "language model": ("model.z_size=0", "model.tied=true", "model.recurrent_dropout=0.3", "train.workers=2"),
    "segments": ("model.segments=2", "model.conductor_size=6", "model.mean_scale=0.5", "model.dropout=0.2"),
    "several z": (
        *("objective.importance_samples=3", "model.dropout=0.3", "model.dropout_mask=sequence", "train.workers=2"),
        *("objective.free_nats=0.3", "objective.free_mode=per_dim_batch", "objective.sampling_end=0.5"),
    ),
    "a given decoder": ("objective.pretraining_steps=6", "model.pooling=mean"),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_killed_around_the_restart_resumes_bit_for_bit(
    recipe: str, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = small(*RECIPES[recipe])
    given = donor() if "given" in recipe else None
    train(preset, dataset, tmp_path / "whole", seed=3, device="cpu", decoder=given)
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)  # after every step
    really, blows = training._step, iter((5, 6, 7, None))
    killed_at = next(blows)

    def step(run: Run) -> torch.Tensor:
        sums = really(run)
        if run.progress.step == killed_at:  # done, and lost: nothing of it is saved yet
            raise KilledError
        return sums

    monkeypatch.setattr(training, "_step", step)
    resume = False
    while killed_at is not None:
        with pytest.raises(KilledError):
            train(preset, dataset, tmp_path / "killed", seed=3, device="cpu", decoder=given, resume=resume)
        killed_at, resume, given = next(blows), True, None
    train(preset, dataset, tmp_path / "killed", seed=3, device="cpu", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


# -- pretraining -----------------------------------------------------------------------------------------------------


def test_the_decoder_starts_anew_after_pretraining_and_the_encoder_does_not(
    dataset: Dataset, tmp_path: Path, go: list[Run]
) -> None:
    go += [run_of(dataset, tmp_path, "objective.pretraining_steps=3", f"train.workers={n}") for n in (1, 2)]
    for run in go:
        steps(run, 3)
        encoder, decoder = weights_of(run.vae.encoder), weights_of(run.vae.decoder)
        averages, count = [average.clone() for average in run.averaged], len(encoder)
        (run.folder / BEST).write_bytes(b"of pretraining")
        restart_decoder(run)
        assert same(weights_of(run.vae.encoder), encoder) and same(run.averaged[:count], averages[:count])
        new = weights_of(run.vae.decoder)
        assert same(run.averaged[count:], new)
        assert not any(torch.equal(a, b) for a, b in zip(new, decoder, strict=True))
        state = run.optimizer.state
        assert all(state[weight]["step"] == 3 for weight in run.vae.encoder.parameters())
        assert not any(weight in state for weight in run.vae.decoder.parameters())
        assert not (run.folder / BEST).exists()
    # It does not depend on what was learned before.
    assert same(weights_of(go[0].vae.decoder), weights_of(go[1].vae.decoder))


def test_pretraining_pays_for_no_kl_and_ships_nothing_once_the_decoder_is_new(dataset: Dataset, tmp_path: Path) -> None:
    preset = small("objective.pretraining_steps=4", "objective.schedule=constant", "train.validate_every=2")
    lines: list[dict[str, float]] = []
    train(preset, dataset, tmp_path, seed=3, device="cpu", report=lines.append)
    for line in lines:
        pays = line["loss"] - line["recon_nll"]
        assert (pays == pytest.approx(0, abs=1e-4)) == (line["step"] <= 4), line
    assert load_model(tmp_path / BEST).provenance["steps"] > 4


def test_stopped_in_pretraining_the_autoencoder_ships_with_no_word_of_collapse(
    dataset: Dataset, tmp_path: Path
) -> None:
    outcome = train(small("objective.pretraining_steps=100"), dataset, tmp_path, seed=3, device="cpu", seconds=0.0)
    assert outcome.metrics["step"] == 1 and (tmp_path / BEST).exists() and outcome.warning == ""


@pytest.mark.parametrize("more", [("objective.autoencoder=true",), ("model.z_size=0",)])
def test_neither_an_autoencoder_nor_a_language_model_collapses(
    more: tuple[str, ...], dataset: Dataset, tmp_path: Path
) -> None:
    outcome = train(small(*more, "train.steps=1"), dataset, tmp_path, seed=3, device="cpu")
    assert outcome.warning == ""
    crushed = train(small("train.steps=1", "objective.beta=1000"), dataset, tmp_path / "vae", seed=3, device="cpu")
    assert ("collapsed" in crushed.warning) == (crushed.metrics["kl"] < 1 or not crushed.metrics["active_units"])


# -- a decoder that is taken over ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", ["false", "true"])
@pytest.mark.parametrize("readout", ["shared", "positional"])
def test_with_a_language_models_decoder_z_says_nothing_yet(tied: str, readout: str) -> None:
    shape = (f"model.tied={tied}", "model.decoder_sizes=[10,7]", "model.mapping_size=3")
    given, preset = donor(*shape), small(*shape, f"model.readout={readout}")
    kind = preset.tokenizer
    language = SequenceVAE(kind.alphabet, kind.length, given.preset.model)
    load_weights(language, given)
    vae = SequenceVAE(kind.alphabet, kind.length, preset.model)
    load_decoder(vae, given)
    language, vae = language.double(), vae.double()
    tokens = torch.randint(90, (5, kind.length))
    z = 3 * torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    said = vae.logits(z, tokens)
    torch.testing.assert_close(said, language.logits(z[:, :0], tokens), rtol=0, atol=1e-12)
    assert torch.equal(vae.generate(z), language.generate(z[:, :0]))
    # The encoder knows the tokens as the language model does, which has one more to begin with.
    assert torch.equal(vae.encoder.embedding.weight, language.decoder.embedding.weight[:-1])
    # But z can learn to say something.
    vae.head.nll(said, tokens).sum().backward()
    gradients = [vae.decoder.start.weight.grad, vae.decoder.layers[0].weight_ih.grad[:, 6:]]
    assert all(gradient is not None and gradient.abs().max() > 1e-6 for gradient in gradients)


def test_a_given_decoder_is_there_from_the_start_or_after_pretraining(
    dataset: Dataset, tmp_path: Path, go: list[Run]
) -> None:
    given = donor()
    for pretraining in (0, 2):
        run = run_of(dataset, tmp_path, f"objective.pretraining_steps={pretraining}", planted=given)
        go.append(run)
        for moment in range(3):
            if pretraining and moment == pretraining:
                restart_decoder(run)
            theirs = given.weights["decoder.layers.0.weight_hh"]
            assert (moment == pretraining) == np.array_equal(run.vae.decoder.layers[0].weight_hh.detach(), theirs)
            steps(run, 1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("model.decoder_sizes=[8]",), r"decoder.layers.0.weight_ih is \(32, 6\).*trained has \(40, 11\)"),
        (("model.decoder_sizes=[10,10]",), r"layers.1.weight_ih is \(40, 10\).*has none"),
        (("model.tied=true",), "output.project.weight"),
        (("tokenizer.max_pitch=100",), "its tokens are not those of the data"),
    ],
)
def test_a_decoder_that_does_not_fit_is_one_clear_line(
    more: tuple[str, ...], message: str, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message) as error:
        train(small(), dataset, tmp_path / "run", seed=3, device="cpu", decoder=donor(*more))
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_a_new_run_in_an_old_folder_forgets_its_decoder(dataset: Dataset, tmp_path: Path) -> None:
    quick = small("train.steps=1", "train.validate_every=1")
    train(quick, dataset, tmp_path, seed=3, device="cpu", decoder=donor())
    assert (tmp_path / DECODER).exists()
    train(quick, dataset, tmp_path, seed=3, device="cpu")
    assert not (tmp_path / DECODER).exists()


def test_the_command_takes_a_language_models_decoder(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "--data", str(dataset.folder), "--preset", "melody-2bar-tiny", "--seed", "1"]
    common += [word for setting in (*SMALL, "train.steps=1") for word in ("--set", setting)]
    language, vae = str(tmp_path / "lm"), str(tmp_path / "vae")
    assert main([*common, "--set", "model.z_size=0", "-o", language]) == 0
    assert main([*common, "--set", "objective.pretraining_steps=0", "--decoder", language, "-o", vae]) == 0
    capsys.readouterr()
    wider = ["--set", "model.decoder_sizes=[12]", "-o", str(tmp_path / "wider")]
    assert main([*common, "--decoder", language, *wider]) == 1
    said = capsys.readouterr().err.strip()
    assert "give a model of the same preset" in said.splitlines()[-1] and "Traceback" not in said
    # And a language model has no latent space.
    clip = str(next((tmp_path / "lm" / "samples").glob("*.mid")))
    for verb, inputs in {"encode": [clip], "reconstruct": [clip], "vary": [clip], "walk": []}.items():
        assert main([verb, *inputs, "--model", language, "-o", str(tmp_path / verb)]) == 1
        assert "no latent space" in capsys.readouterr().err.splitlines()[-1]


# -- means of fixed scale --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), size=st.floats(0.1, 30), scale=st.floats(0.1, 2), batch=st.integers(2, 9))
def test_scaled_means_have_a_least_kl_whatever_the_weights(seed: int, size: float, scale: float, batch: int) -> None:
    torch.manual_seed(seed)
    head = PosteriorHead(6, 4, scale).double()
    for weight in head.parameters():
        weight.data = size * torch.randn_like(weight)
    posterior = head.posterior(torch.randn(batch, 6, dtype=torch.float64))
    assert posterior.kl().sum(1).mean() >= 0.98 * 4 * scale**2 / 2  # but for MIN_STD
    torch.testing.assert_close(posterior.mean.mean(0), torch.zeros(4, dtype=torch.float64), atol=1e-9, rtol=0)


def test_calibrated_means_have_the_scale_over_the_set_and_ignore_their_batch() -> None:
    torch.manual_seed(0)
    head = PosteriorHead(6, 4, 0.7).double().eval()
    vectors = 3 + 2 * torch.randn(50, 6, dtype=torch.float64)
    for _ in range(2):  # the second finds the same, whatever stood there
        head.calibrate(lambda: head.posterior(vectors).mean.detach())
        means = head.posterior(vectors).mean.detach()
        torch.testing.assert_close(means.mean(0), torch.zeros(4, dtype=torch.float64), atol=1e-9, rtol=0)
        torch.testing.assert_close(means.std(0, correction=0), torch.full((4,), 0.7, dtype=torch.float64))
    torch.testing.assert_close(head.posterior(vectors[:1]).mean[0], means[0])


@pytest.mark.parametrize("more", [(), ("model.segments=2", "model.conductor_size=6")])
def test_a_model_of_scaled_means_keeps_its_normalisation(
    more: tuple[str, ...], dataset: Dataset, tmp_path: Path
) -> None:
    train(small("model.mean_scale=0.7", "train.workers=2", *more), dataset, tmp_path, seed=3, device="cpu")
    model, half = load(tmp_path), load_model(tmp_path / BEST).half()
    windows = dataset.windows("train").astype(np.int64)
    means, stds = model.posterior(windows)
    np.testing.assert_allclose(means.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(means.std(0), 0.7, rtol=1e-4)
    np.testing.assert_allclose(np.diag(model.aggregate.covariance), 0.49 + np.square(stds).mean(0), rtol=1e-3)
    vae = SequenceVAE(model.tokenizer.alphabet, model.tokenizer.length, model.preset.model).eval()
    load_weights(vae, half)
    rough = vae.encode(torch.from_numpy(windows)).mean.detach().numpy()
    np.testing.assert_allclose(rough, means, atol=0.05)


def test_a_part_of_one_item_cannot_be_normalised(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.batch_size is 3; give 2 items a part"):
        run_of(dataset, tmp_path, "model.mean_scale=0.5", "train.batch_size=3", "train.workers=2")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("objective.pretraining_steps=5",), "no encoder"),
        (('objective.attributes=["pitch"]',), "z_size is 0 and objective.attributes are 1"),
        (("model.segments=2",), "no segments"),
    ],
)
def test_what_a_language_model_cannot_have_is_one_clear_line(
    more: tuple[str, ...], message: str, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_of(dataset, tmp_path, "model.z_size=0", *more)


# -- a held KL, slow decoders ----------------------------------------------------------------------------------------


def test_beta_moves_towards_the_target_and_is_logged(dataset: Dataset, tmp_path: Path) -> None:
    lines: list[dict[str, float]] = []
    held = ("objective.target_nats=1000", "objective.target_speed=0.1", "objective.pretraining_steps=4")
    train(small(*held, "train.log_every=1"), dataset, tmp_path, seed=3, device="cpu", report=lines.append)
    betas = [line["beta"] for line in lines if line["split"] == "train"]
    assert betas[:4] == [0.0] * 4
    kl = [line["kl"] for line in lines if line["split"] == "train"][4:]
    # From `beta`, each step by the KL of its batch, as far below the target as it is.
    factors = [math.exp(0.1 * max(-1.0, (each - 1000) / 1000)) for each in kl]
    expected = [0.5 * math.prod(factors[: index + 1]) for index in range(len(factors))]
    assert betas[4:] == pytest.approx(expected, rel=1e-4)


def test_the_decoder_moves_with_the_last_of_the_encoders_updates_only(
    dataset: Dataset, tmp_path: Path, go: list[Run]
) -> None:
    slow = ("objective.aggressive_steps=4", "objective.encoder_updates=2", "objective.pretraining_steps=1")
    run = run_of(dataset, tmp_path, *slow)
    go.append(run)
    steps(run, 1)
    restart_decoder(run)
    moved = []
    for _ in range(6):
        encoder, decoder = weights_of(run.vae.encoder), weights_of(run.vae.decoder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "restart_decoder", lambda run: None)  # it is done
            steps(run, 1)
        assert not same(weights_of(run.vae.encoder), encoder)
        moved.append(not same(weights_of(run.vae.decoder), decoder))
    assert moved == [False, True, False, True, True, True]
    counts = {int(run.optimizer.state[weight]["step"]) for weight in run.vae.decoder.parameters()}
    assert counts == {4}


# -- several z an item -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [1, 2])
def test_the_loss_of_several_z_is_the_bound_of_each_decoded_alone(
    segments: int, dataset: Dataset, tmp_path: Path, go: list[Run]
) -> None:
    more = ("objective.importance_samples=4", "objective.schedule=constant", "objective.beta=1", "train.workers=1")
    run = run_of(dataset, tmp_path, *more, f"model.segments={segments}", "model.conductor_size=6")
    go.append(run)
    tokens = torch.from_numpy(dataset.windows("train")[:5].astype(np.int64))
    source = generator(CPU, run.seed, 0, 0)
    with torch.no_grad():
        posterior = run.vae.encode(tokens)
        noise = torch.randn((4, 5, 4), generator=source)
        weights = []
        for each in noise:
            z = posterior.draw(each)
            q = torch.distributions.Normal(posterior.mean, posterior.std).log_prob(z).sum(1)
            p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
            weights.append(p - q - run.vae.head.nll(run.vae.logits(z, tokens), tokens).sum(1))
        bound = math.log(4) - torch.stack(weights).logsumexp(0)
    plain = training.Portion(tokens, tokens, torch.zeros(5, 0), torch.zeros(5, dtype=torch.bool))
    _, sums = training._part(run, plain, 1.0, 0)
    assert (sums[0] / 5).item() == pytest.approx(bound.mean().item(), rel=1e-5)
    cost, _, kl, *_ = validation._judge(run, tokens, noise)  # and validation judges by the same
    torch.testing.assert_close(cost + kl.sum(1), bound, rtol=1e-5, atol=1e-4)


def test_free_nats_are_given_back_by_the_bound_of_several_z(dataset: Dataset, tmp_path: Path, go: list[Run]) -> None:
    more = ("objective.importance_samples=3", "objective.schedule=constant", "objective.beta=1", "train.workers=1")
    free = ("objective.free_nats=0.02", "objective.free_mode=per_dim_batch")
    tokens = torch.from_numpy(dataset.windows("train")[:5].astype(np.int64))
    plain = training.Portion(tokens, tokens, torch.zeros(5, 0), torch.zeros(5, dtype=torch.bool))
    losses = []
    for settings_ in (more, more + free):
        run = run_of(dataset, tmp_path, *settings_)
        go.append(run)
        losses.append(training._part(run, plain, 1.0, 0)[1][0].item() / 5)
    kl = go[0].vae.encode(tokens).kl().mean(0)
    assert losses[0] - losses[1] == pytest.approx(kl.clamp(max=0.02).sum().item(), abs=1e-4)


@pytest.mark.parametrize("mask", ["step", "sequence"])
@pytest.mark.parametrize("segments", [1, 2])
def test_several_z_of_a_sequence_have_one_mask(segments: int, mask: str) -> None:
    more = (f"model.segments={segments}", "model.conductor_size=6", f"model.dropout_mask={mask}")
    preset = small(*more, "model.dropout=0.5", "model.embedding_dropout=0.5", "model.decoder_sizes=[10,7]")
    kind = preset.tokenizer
    vae = SequenceVAE(kind.alphabet, kind.length, preset.model)
    inputs, z = vae.decoder.inputs(torch.randint(90, (5, kind.length))), torch.randn(5, 4)
    thrice = vae.decoder.features(z.repeat(3, 1), inputs, torch.Generator().manual_seed(2))
    once = vae.decoder.features(z, inputs, torch.Generator().manual_seed(2))
    torch.testing.assert_close(thrice, once.repeat(3, 1, 1))


def test_attributes_are_taught_with_one_z(dataset: Dataset, tmp_path: Path) -> None:
    more = ("objective.importance_samples=2", 'objective.attributes=["density"]')
    with pytest.raises(ConfigError, match=r"set objective\.importance_samples=1"):
        run_of(dataset, tmp_path, *more)


# -- optimisers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [1e9, 0.01])
def test_sgd_is_a_step_down_the_clipped_gradient(clip: float, dataset: Dataset, tmp_path: Path, go: list[Run]) -> None:
    plain = ("train.optimizer=sgd", "train.learning_rate=0.3", "train.warmup_steps=0", "train.workers=1")
    go += [run_of(dataset, tmp_path, *plain, f"train.clip_norm={clip}") for _ in range(2)]
    run, twin = go
    before = weights_of(run.vae)
    lesson = twin.lessons.of(twin.sampler.next().tokens, np.random.default_rng((twin.seed, 0)))
    portion = training.Portion(*(torch.from_numpy(array) for array in lesson))
    gradients, _ = training._part(twin, portion, 1.0, 0)
    norm = math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients))
    steps(run, 1)
    for weight, old, gradient in zip(run.parameters, before, gradients, strict=True):
        torch.testing.assert_close(weight.detach(), old - 0.3 * gradient * min(1.0, clip / norm), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("pretraining", [0, 3])
def test_a_plateau_lowers_the_rate_until_it_ends_the_training(
    pretraining: int, dataset: Dataset, tmp_path: Path
) -> None:
    flat = ["train.decay=plateau", "train.learning_rate=1e-30", "train.learning_rate_end=3e-31"]
    often = ["train.validate_every=1", "train.log_every=1", "train.warmup_steps=0", "train.weight_average=0"]
    lines: list[dict[str, float]] = []
    preset = small(*flat, *often, f"objective.pretraining_steps={pretraining}", "train.patience=9")
    outcome = train(preset, dataset, tmp_path, seed=3, device="cpu", report=lines.append)
    # Nothing counts in pretraining. Then the first validation is the best; two more and the rate halves; two more
    # and it would be a quarter, which is below the lowest.
    assert outcome.reason == "the learning rate is at its lowest" and outcome.metrics["step"] == pretraining + 5
    rates = [line["learning_rate"] for line in lines if line["split"] == "train"]
    assert rates == pytest.approx([1e-30] * (pretraining + 3) + [5e-31] * 2, rel=1e-6, abs=0)


def test_a_cosine_begins_anew_after_pretraining() -> None:
    chosen = small("objective.pretraining_steps=20", "train.steps=60", "train.warmup_steps=5")
    plain = small("train.steps=40", "train.warmup_steps=5")
    rates = [learning_rate_at(step, chosen) for step in range(60)]
    assert rates[20:] == pytest.approx([learning_rate_at(step, plain) for step in range(40)])
    assert rates[:5] == pytest.approx([2e-3, 4e-3, 6e-3, 8e-3, 1e-2]) and set(rates[5:20]) == {1e-2}


# -- dropout, tied embeddings, a wide softmax ------------------------------------------------------------------------


@settings(deadline=None, max_examples=10)
@given(share=st.floats(0.05, 0.9), seed=st.integers(0, 2**32))
def test_a_locked_mask_is_one_for_all_steps_and_keeps_the_mean(share: float, seed: int) -> None:
    ones = torch.ones(7, 40, 50)

    def masked(mask: str) -> torch.Tensor:
        return dropped(ones, share, mask, torch.Generator().manual_seed(seed))

    locked, free = masked("sequence"), masked("step")
    assert torch.equal(locked, locked[:1].expand_as(locked)) and not torch.equal(free, free[:1].expand_as(free))
    for found in (locked, free):
        assert found.unique().tolist() == pytest.approx([0.0, 1 / (1 - share)])
        assert (found == 0).float().mean().item() == pytest.approx(share, abs=0.06)
    assert torch.equal(locked, masked("sequence"))  # a pure function of the generator
    assert dropped(ones, share, "step", None) is ones
    assert not dropped(ones, 1.0, "step", torch.Generator()).any()


def test_recurrent_weights_are_dropped_in_training_and_learn_where_they_are_not() -> None:
    preset = small("model.recurrent_dropout=0.5")
    vae = SequenceVAE(preset.tokenizer.alphabet, preset.tokenizer.length, preset.model)
    z, inputs = torch.randn(2, 4), torch.randint(90, (2, 32))
    weight = vae.decoder.layers[0].weight_hh
    found = vae.decoder.features(z, inputs, torch.Generator().manual_seed(5))
    (gradient,) = torch.autograd.grad(found.sum(), weight)
    kept = dropped(torch.ones_like(weight), 0.5, "step", torch.Generator().manual_seed(5))
    assert 0.3 < (kept == 0).float().mean() < 0.7 and torch.equal(gradient == 0, kept == 0)
    weight.data *= kept
    torch.testing.assert_close(vae.decoder.features(z, inputs), found)


def test_a_step_of_training_drops_and_an_evaluation_does_not(dataset: Dataset, tmp_path: Path) -> None:
    preset = small("model.dropout=0.5", "model.embedding_dropout=0.5", "model.dropout_mask=sequence")
    vae = SequenceVAE(preset.tokenizer.alphabet, preset.tokenizer.length, preset.model).train()
    z, inputs = torch.zeros(2, 4), torch.zeros(2, 32, dtype=torch.long)
    plain = vae.decoder.features(z, inputs)
    assert torch.equal(plain, vae.decoder.features(z, inputs))
    source = torch.Generator().manual_seed(0)
    once, again = (vae.decoder.features(z, inputs, source) for _ in range(2))
    zeros = (once[..., :10] == 0).detach()  # the LSTM's own ten
    assert zeros.any() and torch.equal(zeros, zeros[:, :1].expand_as(zeros)) and not torch.equal(once, again)
    assert not (plain == 0).any()


@pytest.mark.parametrize("segments", [1, 2])
def test_the_encoder_drops_in_training_alone_and_as_its_source_says(segments: int) -> None:
    preset = small("model.encoder_dropout=0.5", f"model.segments={segments}")
    vae = SequenceVAE(preset.tokenizer.alphabet, preset.tokenizer.length, preset.model).train()
    tokens = torch.randint(90, (3, 32))
    plain = vae.encode(tokens).mean
    assert torch.equal(plain, vae.encode(tokens).mean)
    first, again, other = (vae.encode(tokens, torch.Generator().manual_seed(n)).mean for n in (1, 1, 2))
    assert torch.equal(first, again) and not torch.allclose(first, other) and not torch.allclose(first, plain)
    none = small("model.encoder_dropout=1.0", f"model.segments={segments}")
    blind = SequenceVAE(none.tokenizer.alphabet, none.tokenizer.length, none.model)
    found = blind.encode(tokens, torch.Generator()).mean
    torch.testing.assert_close(found, found[:1].expand_as(found))  # with all of it dropped, nothing is seen


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weight_decay_shrinks_matrices_by_their_share_and_nothing_else(
    optimizer: str, dataset: Dataset, tmp_path: Path, go: list[Run]
) -> None:
    common = (f"train.optimizer={optimizer}", "train.warmup_steps=0", "train.learning_rate=0.01")
    decays = (0.0, 3.0)
    go += [run_of(dataset, tmp_path / str(decay), *common, f"train.weight_decay={decay}") for decay in decays]
    before = [weight.clone() for weight in weights_of(go[0].vae)]
    for run in go:
        steps(run, 1)
    rate = go[0].optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(0.01, rel=0.01)
    for old, plain, shrunk in zip(before, weights_of(go[0].vae), weights_of(go[1].vae), strict=True):
        expected = rate * 3.0 * old if old.dim() > 1 else torch.zeros_like(old)
        torch.testing.assert_close(plain - shrunk, expected, atol=1e-6, rtol=1e-3)


WORDS = Alphabet(parts=(Part("word", 11),), end=0)
TIED = ModelSettings(
    embedding_size=5, encoder_size=6, pooling="last", z_size=3, decoder_sizes=(7,), readout="shared", tied=True
)


def words(batch: int = 5, length: int = 6) -> torch.Tensor:
    tokens = torch.randint(11, (batch, length), generator=torch.Generator().manual_seed(1))
    return tokens * within(WORDS, tokens)


def tied_vae() -> SequenceVAE:
    torch.manual_seed(0)
    return SequenceVAE(WORDS, 6, TIED).double()


def test_tied_embeddings_have_the_gradient_of_both_their_uses() -> None:
    vae, tokens, z = tied_vae(), words(), torch.randn(5, 3, dtype=torch.float64)

    def loss() -> torch.Tensor:
        return vae.head.nll(vae.logits(z, tokens), tokens).double().sum()

    names = {name for name, _ in vae.named_parameters()}
    assert not any(name.startswith("decoder.output._tied") for name in names)
    weights = (vae.decoder.embedding.weight, vae.head.project.weight)
    gradients = torch.autograd.grad(loss(), weights)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            for place in ((1, 2), (3, 0), (4, 4)):
                kept = weight[place].item()
                ends = []
                for change in (2e-3, -2e-3):  # the likelihood is summed in float32
                    weight[place] = kept + change
                    ends.append(loss().item())
                weight[place] = kept
                assert gradient[place].item() == pytest.approx((ends[0] - ends[1]) / 4e-3, rel=1e-2, abs=2e-3)


def test_the_rows_of_a_tied_head_are_what_it_multiplies() -> None:
    vae = tied_vae()
    plain = StepHead(vae.head.features, WORDS).double()
    with torch.no_grad():
        plain.weight.copy_(vae.head.rows)
        plain.bias.copy_(vae.head.bias.normal_())
    features = torch.randn(4, 6, vae.head.features, dtype=torch.float64)
    torch.testing.assert_close(vae.head(features, words(4)), plain(features, words(4)))


def test_several_parts_have_no_tied_embedding() -> None:
    with pytest.raises(ConfigError, match=r"model\.tied is for one symbol a step"):
        SequenceVAE(Alphabet(parts=(Part("a", 3), Part("b", 4))), 6, TIED)


@pytest.mark.parametrize("tied", [False, True])
def test_the_wide_softmax_is_the_softmax(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    vae = SequenceVAE(WORDS, 6, replace(TIED, tied=tied)).double()
    tokens = words(9)
    features = torch.randn(9, 6, vae.head.features, dtype=torch.float64, requires_grad=True)
    upstream = torch.rand(9, 6)  # so that no two steps weigh alike
    leaves = [features, *(w for w in vae.decoder.parameters())]

    def graded() -> tuple[list[torch.Tensor], list[torch.Tensor | None]]:
        nll, right = vae.head.score(features, tokens)
        return [nll, right], list(torch.autograd.grad((nll * upstream).sum(), leaves, allow_unused=True))

    found, gradients = graded()
    monkeypatch.setattr(heads, "WIDE", 4)
    monkeypatch.setattr(heads, "WIDE_ROWS", 7)  # which 54 rows are no multiple of
    wide, wide_gradients = graded()
    torch.testing.assert_close(wide[0], found[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(wide[1], found[1])
    for a, b in zip(wide_gradients, gradients, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert not wide[0][~within(WORDS, tokens)].any()


def test_the_wide_softmax_under_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, tokens = SequenceVAE(WORDS, 6, TIED), words(40)
    monkeypatch.setattr(heads, "WIDE", 4)
    features = torch.randn(40, 6, vae.head.features, requires_grad=True)

    def graded() -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        nll, _ = vae.head.score(features, tokens)
        leaves = (features, vae.decoder.embedding.weight, vae.head.bias)
        return nll, torch.autograd.grad(nll.sum(), leaves)

    nll, gradients = graded()
    with torch.autocast("cpu", torch.bfloat16):
        rough, rough_gradients = graded()
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, nll, rtol=0.03, atol=0.03)
    assert rough.mean().item() == pytest.approx(nll.mean().item(), rel=5e-3)
    for a, b in zip(rough_gradients, gradients, strict=True):
        assert a.dtype == torch.float32 and (a - b).norm() < 0.02 * b.norm()
