"""Encoder, decoder and their equivalences: batch = single, stepped = whole, drawn = distributed as said."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.config import ModelSettings
from seqvae.decoder import draw
from seqvae.vae import SequenceVAE

VOCAB, LENGTH = 11, 9


@pytest.fixture(params=[("last", "shared", (8,)), ("positional", "positional", (8, 6))], ids=["shared", "positional"])
def vae(request: pytest.FixtureRequest) -> SequenceVAE:
    pooling, readout, sizes = request.param
    torch.manual_seed(0)
    chosen = ModelSettings(
        embedding_size=5,
        encoder_size=7,
        encoder_layers=2,
        pooling=pooling,
        pooling_size=3,
        z_size=4,
        decoder_sizes=sizes,
        readout=readout,
        readout_size=6,
    )
    return SequenceVAE(VOCAB, LENGTH, chosen).double().eval()


def tokens(batch: int = 5) -> torch.Tensor:
    return torch.randint(VOCAB, (batch, LENGTH), generator=torch.Generator().manual_seed(1))


def test_batch_is_single(vae: SequenceVAE) -> None:
    x = tokens()
    posterior = vae.encode(x)
    logits = vae.logits(posterior.mean, x)
    for i in range(len(x)):
        alone = vae.encode(x[i : i + 1])
        torch.testing.assert_close(alone.mean[0], posterior.mean[i])
        torch.testing.assert_close(alone.std[0], posterior.std[i])
        torch.testing.assert_close(vae.logits(alone.mean, x[i : i + 1])[0], logits[i])


def test_standard_deviation_is_positive(vae: SequenceVAE) -> None:
    with torch.no_grad():
        vae.encoder.head.bias.fill_(-1e4)  # as if training had pushed σ to nothing
    posterior = vae.encode(tokens())
    assert (posterior.std > 0).all() and posterior.kl().isfinite().all()


def test_logits_do_not_see_their_own_or_later_tokens(vae: SequenceVAE) -> None:
    x, z = tokens(1), torch.zeros(1, 4, dtype=torch.float64)
    before = vae.logits(z, x)
    for step in range(LENGTH):
        changed = x.clone()
        changed[0, step] = (changed[0, step] + 1) % VOCAB
        after = vae.logits(z, changed)
        assert torch.equal(after[0, : step + 1], before[0, : step + 1])
        assert step + 1 == LENGTH or not torch.equal(after[0, step + 1], before[0, step + 1])


def test_greedy_generation_is_the_argmax_of_teacher_forcing_on_itself(vae: SequenceVAE) -> None:
    z = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    generated = vae.generate(z)
    assert torch.equal(vae.logits(z, generated).argmax(-1), generated)


def test_generation_of_a_row_ignores_its_neighbours(vae: SequenceVAE) -> None:
    source = torch.Generator().manual_seed(3)
    z = torch.randn(6, 4, dtype=torch.float64, generator=source)
    uniform = torch.rand(6, LENGTH, generator=source)
    together = vae.generate(z, temperature=1.0, uniform=uniform)
    for i in range(6):
        alone = vae.generate(z[i : i + 1], temperature=1.0, uniform=uniform[i : i + 1])
        assert torch.equal(alone[0], together[i])


def test_scheduled_inputs_mix_the_models_own_tokens_in(vae: SequenceVAE) -> None:
    x, z = tokens(64), torch.zeros(64, 4, dtype=torch.float64)
    plain = vae.decoder_inputs(x)
    assert torch.equal(vae.scheduled_inputs(z, x, 0.0, torch.Generator().manual_seed(0)), plain)
    mixed = vae.scheduled_inputs(z, x, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(mixed[:, 0], plain[:, 0])
    assert (mixed[:, 1:] != plain[:, 1:]).double().mean() > 0.5  # an untrained model rarely draws the truth
    assert mixed[:, 1:].max() < VOCAB


LOGITS = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]]))


@pytest.mark.parametrize(
    ("options", "probabilities"),
    [
        ({}, [0.1, 0.4, 0.2, 0.3]),
        ({"top_k": 2}, [0.0, 4 / 7, 0.0, 3 / 7]),
        ({"top_p": 0.5}, [0.0, 4 / 7, 0.0, 3 / 7]),  # .4 does not reach half, .4 + .3 does
        ({"top_p": 0.4}, [0.0, 1.0, 0.0, 0.0]),
        ({"temperature": 0.5}, [0.01 / 0.3, 0.16 / 0.3, 0.04 / 0.3, 0.09 / 0.3]),
    ],
)
def test_draws_follow_the_distribution(options: dict[str, float], probabilities: list[float]) -> None:
    count = 4000  # evenly spaced numbers give exact shares, so no luck is involved
    uniform = (torch.arange(count) + 0.5) / count
    drawn = draw(LOGITS.expand(count, -1), uniform, **{"temperature": 1.0, **options})  # type: ignore[arg-type]
    shares = torch.bincount(drawn, minlength=4) / count
    torch.testing.assert_close(shares, torch.tensor(probabilities), atol=2 / count, rtol=0)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), number=st.floats(0, 1, exclude_max=True))
def test_a_cold_draw_is_the_argmax(seed: int, number: float) -> None:
    logits = torch.randn(3, 8, generator=torch.Generator().manual_seed(seed)) * 5
    uniform = torch.full((3,), number)
    likeliest = draw(logits, None, temperature=0.0)
    assert torch.equal(draw(logits, uniform, temperature=1.0, top_k=1), likeliest)
    assert torch.equal(draw(logits, torch.zeros(3), temperature=1.0), likeliest)  # sorted: 0 is the likeliest
