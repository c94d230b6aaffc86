"""The loss, worked by hand, and its KL against Monte Carlo."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae import objective
from seqvae.config import ObjectiveSettings
from seqvae.encoder import Posterior
from seqvae.head import StepHead
from seqvae.tokenizers import Alphabet, Part


def test_kl_is_the_expected_log_ratio() -> None:
    torch.manual_seed(0)
    posterior = Posterior(mean=torch.tensor([[0.5, -1.0]]), std=torch.tensor([[0.3, 1.7]]))
    z = posterior.draw(torch.randn(200_000, 2))
    q = torch.distributions.Normal(posterior.mean, posterior.std).log_prob(z)
    p = torch.distributions.Normal(0.0, 1.0).log_prob(z)
    torch.testing.assert_close(posterior.kl()[0], (q - p).mean(0), atol=0.02, rtol=0)


def test_the_log_ratio_is_that_of_the_densities_and_its_mean_the_kl() -> None:
    torch.manual_seed(0)
    posterior = Posterior(mean=torch.tensor([[0.5, -1.0]]), std=torch.tensor([[0.3, 1.7]]))
    noise = torch.randn(200_000, 1, 2)
    found, z = posterior.log_ratio(noise), posterior.draw(noise)
    q = torch.distributions.Normal(posterior.mean, posterior.std).log_prob(z)
    p = torch.distributions.Normal(0.0, 1.0).log_prob(z)
    torch.testing.assert_close(found, (q - p).sum(-1), atol=1e-4, rtol=1e-5)
    assert found.mean().item() == pytest.approx(posterior.kl().sum().item(), abs=0.02)


def test_the_bound_of_several_z_by_hand() -> None:
    # ln p(x|z) = ln 1/2 and ln 1/8, ln q/p = ln 2 and ln 1/2: weights 1/4 and 1/4, their mean 1/4.
    nll, ratio = torch.tensor([2.0, 8.0]).log()[:, None], torch.tensor([2.0, 0.5]).log()[:, None]
    kl = torch.tensor([[0.3, 0.2]])
    cost = objective.bound_without_kl(nll, ratio, kl, 1.0)
    assert (cost + kl.sum(1)).item() == pytest.approx(math.log(4))
    assert objective.bound_without_kl(nll[:1], ratio[:1], kl, 1.0).item() == pytest.approx(math.log(2))
    # At β = 0 the ratios do not count: (1/2 + 1/8) / 2.
    assert objective.bound_without_kl(nll, ratio, kl, 0.0).item() == pytest.approx(-math.log(5 / 16))


@given(seed=st.integers(0, 2**32), count=st.integers(2, 6))
def test_the_bound_of_several_z_is_no_more_than_their_mean_and_no_less_than_the_best(seed: int, count: int) -> None:
    source = torch.Generator().manual_seed(seed)
    nll, ratio = (5 * torch.rand(count, 3, generator=source, dtype=torch.float64) for _ in range(2))
    kl = torch.rand(3, 2, generator=source, dtype=torch.float64)
    bound = objective.bound_without_kl(nll, ratio, kl, 1.0) + kl.sum(1)
    each = nll + ratio
    assert (bound <= each.mean(0) + 1e-9).all() and (bound >= each.amin(0) - 1e-9).all()


def test_kl_of_the_prior_is_zero() -> None:
    assert Posterior(mean=torch.zeros(2, 3), std=torch.ones(2, 3)).kl().abs().max() == 0


def test_a_step_s_nll_is_in_nats() -> None:
    head = StepHead(2, Alphabet(parts=(Part("letter", 4),)))
    nll = head.nll(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long))  # uniform over four tokens
    torch.testing.assert_close(nll, torch.full((2, 3), math.log(4)))


KL = torch.tensor([[0.1, 2.0], [0.5, 0.0]])  # two items, two dimensions


@pytest.mark.parametrize(
    ("mode", "free", "expected"),
    [
        ("total", 0.0, (2.1 + 0.5) / 2),
        ("total", 1.0, (1.1 + 0.0) / 2),  # the item below one nat costs nothing; the other only its excess
        ("per_dim", 0.3, ((2.0 - 0.3) + (0.5 - 0.3)) / 2),
        ("per_dim_batch", 0.3, (0.3 - 0.3) + (1.0 - 0.3)),  # batch means 0.3 and 1.0
    ],
)
def test_free_nats(mode: str, free: float, expected: float) -> None:
    chosen = ObjectiveSettings(free_nats=free, free_mode=mode)  # type: ignore[arg-type]
    assert objective.penalised_kl(KL, chosen).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("schedule", ["linear", "sigmoid", "exponential"])
def test_schedules_rise_from_start_to_end(schedule: str) -> None:
    chosen = ObjectiveSettings(schedule=schedule, beta_start=0.1, beta=0.7, schedule_steps=100)  # type: ignore[arg-type]
    values = [objective.beta_at(step, chosen) for step in range(301)]
    assert values[0] == pytest.approx(0.1)
    assert values[100] == pytest.approx(0.7, abs=0.007)
    assert values[300] == pytest.approx(0.7, abs=1e-4)
    assert all(a <= b for a, b in itertools.pairwise(values))


def test_linear_and_cyclical_values() -> None:
    linear = ObjectiveSettings(schedule="linear", beta=1.0, schedule_steps=10)
    assert [objective.beta_at(step, linear) for step in (0, 5, 10, 99)] == [0.0, 0.5, 1.0, 1.0]
    cyclical = ObjectiveSettings(schedule="cyclical", beta=1.0, schedule_steps=8)
    assert [objective.beta_at(step, cyclical) for step in range(9)] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 0]
    constant = ObjectiveSettings(schedule="constant", beta=0.3)
    assert objective.beta_at(0, constant) == 0.3


def test_sigmoid_and_exponential_values() -> None:
    sigmoid = ObjectiveSettings(schedule="sigmoid", beta=1.0, schedule_steps=12)
    values = [objective.beta_at(step, sigmoid) for step in (0, 3, 6, 9, 12, 13)]
    low, quarter = 1 / (1 + math.exp(6)), 1 / (1 + math.exp(3))
    expected = (quarter - low) / (1 - 2 * low)
    assert values == pytest.approx([0.0, expected, 0.5, 1 - expected, 1.0, 1.0])
    exponential = ObjectiveSettings(schedule="exponential", beta=2.0, schedule_steps=10)
    assert [objective.beta_at(step, exponential) for step in (0, 5, 10)] == pytest.approx([0.0, 1.8, 1.98])


@pytest.mark.parametrize("schedule", ["constant", "linear", "sigmoid", "exponential", "cyclical"])
def test_pretraining_has_no_beta_and_the_schedule_begins_after_it(schedule: str) -> None:
    chosen = ObjectiveSettings(schedule=schedule, beta=0.7, beta_start=0.1, schedule_steps=8)  # type: ignore[arg-type]
    late = replace(chosen, pretraining_steps=5)
    assert [objective.beta_at(step, late) for step in range(5)] == [0.0] * 5
    assert [objective.beta_at(step + 5, late) for step in range(30)] == [
        objective.beta_at(step, chosen) for step in range(30)
    ]


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), free=st.floats(0, 3))
def test_free_nats_cost_more_the_finer_they_are_given(seed: int, free: float) -> None:
    """All modes are the KL without free nats; with them an item's or a dimension's excess is never set off (Jensen)."""
    kl = torch.rand(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3

    def cost(mode: str, free: float) -> float:
        chosen = ObjectiveSettings(free_nats=free, free_mode=mode)  # type: ignore[arg-type]
        return objective.penalised_kl(kl, chosen).item()

    for mode in ("total", "per_dim", "per_dim_batch"):
        assert cost(mode, 0.0) == pytest.approx(kl.sum(1).mean().item())
        assert 0 <= cost(mode, free) <= cost(mode, 0.0) + 1e-9
    assert cost("per_dim_batch", free) <= cost("per_dim", free) + 1e-9
    assert cost("total", 4 * free) <= cost("per_dim", free) + 1e-9


def test_a_held_kl_is_judged_as_no_less_than_its_target() -> None:
    held = ObjectiveSettings(target_nats=1.0)
    assert objective.judged_kl(KL, held).item() == pytest.approx(1.3)  # items have 2.1 and 0.5
    assert objective.judged_kl(KL / 2, held).item() == 1.0  # 0.65 falls short
    free = ObjectiveSettings(free_nats=1.0)
    assert objective.judged_kl(KL, free) == objective.penalised_kl(KL, free)


def test_held_beta_by_hand() -> None:
    chosen = ObjectiveSettings(target_nats=4.0, target_speed=0.1)
    cases = {5.0: 0.25, 4.0: 0.0, 3.0: -0.25, 0.0: -1.0, 400.0: 1.0}  # the error is clipped
    for kl, error in cases.items():
        found = objective.held_beta(torch.tensor(0.5), torch.tensor(kl), chosen).item()
        assert found == pytest.approx(0.5 * math.exp(0.1 * error))


@settings(deadline=None, max_examples=25)
@given(target=st.floats(0.5, 50), start=st.floats(1e-3, 50), share=st.floats(0.05, 0.9))
def test_a_held_beta_finds_the_target(target: float, start: float, share: float) -> None:
    """In a response that falls with β, as a VAE's does: KL(β) = K / (1 + β) reaches R at β = K / R − 1."""
    chosen = ObjectiveSettings(target_nats=target, target_speed=0.05)
    most, beta = target / share, torch.tensor(start, dtype=torch.float64)
    for _ in range(1500):
        beta = objective.held_beta(beta, most / (1 + beta), chosen)
    assert (most / (1 + beta)).item() == pytest.approx(target, rel=1e-3)


def test_a_target_out_of_reach_does_not_run_away() -> None:
    chosen = ObjectiveSettings(target_nats=4.0, target_speed=1.0)
    for kl, end in ((100.0, objective.HELD_RANGE[1]), (0.0, objective.HELD_RANGE[0])):
        beta = torch.tensor(1.0)
        for _ in range(30):
            beta = objective.held_beta(beta, torch.tensor(kl), chosen)
        assert beta.item() == pytest.approx(end)


def test_the_decoder_moves_at_the_last_of_each_encoder_updates() -> None:
    chosen = ObjectiveSettings(pretraining_steps=3, aggressive_steps=8, encoder_updates=4)
    moves = [objective.decoder_moves(step, chosen) for step in range(14)]
    assert moves == [True] * 3 + [False, False, False, True] * 2 + [True] * 3
    assert all(objective.decoder_moves(step, ObjectiveSettings()) for step in range(5))


def test_sampling_share_is_linear_over_the_training() -> None:
    chosen = ObjectiveSettings(sampling_start=0.2, sampling_end=0.6)
    assert [objective.sampling_share(s, 100, chosen) for s in (0, 50, 100)] == pytest.approx([0.2, 0.4, 0.6])


@settings(deadline=None, max_examples=25)
@given(share=st.floats(0.05, 1.0), seed=st.integers(0, 2**32))
def test_dropped_tokens_never_touch_the_first(share: float, seed: int) -> None:
    inputs = torch.arange(400).view(20, 20) % 7
    dropped = objective.drop_tokens(inputs, share, torch.tensor(99), 0, torch.Generator().manual_seed(seed))
    assert torch.equal(dropped[:, 0], inputs[:, 0])
    changed = dropped != inputs
    assert (dropped[changed] == 99).all()
    assert abs(changed[:, 1:].float().mean().item() - share) < 0.15


def test_dropping_a_step_drops_its_parts_but_never_controls() -> None:
    inputs = torch.zeros(20, 20, 3, dtype=torch.long)
    dropped = objective.drop_tokens(inputs, 0.5, torch.tensor([7, 8, 9]), 1, torch.Generator().manual_seed(0))
    assert not dropped[..., 0].any()
    assert torch.equal(dropped[..., 1] == 8, dropped[..., 2] == 9)
    assert 0.3 < (dropped[..., 1] == 8).float().mean() < 0.7


FIVE = Alphabet(parts=(Part("letter", 5),))


def test_noise_keeps_tokens_in_the_vocabulary_and_its_share() -> None:
    tokens = torch.zeros(100, 100, dtype=torch.long)
    noisy = objective.add_noise(tokens, 0.5, FIVE, torch.Generator().manual_seed(0))
    assert noisy.min() >= 0 and noisy.max() == 4
    assert (noisy != 0).float().mean().item() == pytest.approx(0.5 * 4 / 5, abs=0.02)
    assert torch.equal(objective.add_noise(tokens, 0.0, FIVE, torch.Generator()), tokens)


def test_noise_keeps_ends_controls_and_numbers() -> None:
    ending = replace(FIVE, end=0)
    tokens = torch.tensor([[1, 2, 3, 0, 0]]).repeat(200, 1)
    noisy = objective.add_noise(tokens, 1.0, ending, torch.Generator().manual_seed(0))
    assert not noisy[:, 3:].any() and (noisy[:, :3] > 0).all() and len(noisy[:, 0].unique()) == 4
    several = Alphabet(parts=(Part("chord", 5, given=True), Part("hit", 2), Part("velocity", 128, gate=1)))
    tokens = torch.ones(50, 4, 3, dtype=torch.long)
    noisy = objective.add_noise(tokens, 1.0, several, torch.Generator().manual_seed(0))
    assert (noisy[..., [0, 2]] == 1).all() and 0.3 < noisy[..., 1].float().mean() < 0.7


def test_attributes_cost_the_squared_distance_of_the_first_dimensions() -> None:
    chosen = ObjectiveSettings(attributes=("a", "b"), attribute_weight=3.0)
    z, targets = torch.tensor([[1.0, 2.0, 9.0], [0.0, 0.0, 9.0]]), torch.tensor([[1.0, 0.0], [1.0, -1.0]])
    assert objective.attribute_cost(z, targets, chosen).tolist() == [12.0, 6.0]
    assert objective.attribute_cost(z, targets[:, :0], chosen).tolist() == [0.0, 0.0]


def test_attributes_are_given_to_some_posteriors_and_the_others_keep_what_was_read() -> None:
    posterior = Posterior(mean=torch.arange(6.0).view(2, 3), std=torch.ones(2, 3))
    found = objective.with_attributes(posterior, torch.tensor([[-1.0], [-2.0]]), torch.tensor([True, False]))
    assert found.mean.tolist() == [[-1.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert found.std.tolist() == posterior.std.tolist()
    assert objective.with_attributes(posterior, torch.zeros(2, 0), torch.tensor([True, False])) is posterior


def test_given_attributes_teach_the_decoder_alone() -> None:
    posterior = Posterior(mean=torch.ones(2, 3, requires_grad=True), std=torch.ones(2, 3, requires_grad=True))
    objective.with_attributes(posterior, torch.zeros(2, 1), torch.tensor([True, False])).draw(
        torch.ones(2, 3)
    ).sum().backward()
    for leaf in (posterior.mean, posterior.std):
        assert leaf.grad is not None and leaf.grad.tolist() == [[0.0] * 3, [1.0] * 3]
