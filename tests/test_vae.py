"""Encoder, decoder and their equivalences, over every sort of alphabet and both decoders: batch = single, stepped =
whole, drawn = distributed as said, padding = nothing."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.config import ModelSettings
from seqvae.decoder import Drawing
from seqvae.embedding import StepEmbedding
from seqvae.errors import ConfigError
from seqvae.head import draw, within
from seqvae.tokenizers import Alphabet, Part
from seqvae.vae import SequenceVAE

LENGTH = 8
ALPHABETS = {
    "one": Alphabet(parts=(Part("voice", 11),)),
    "ends": Alphabet(parts=(Part("word", 11),), end=0),
    "parts": Alphabet(parts=(Part("high", 7), Part("low", 7), Part("drums", 16))),
    "controlled": Alphabet(parts=(Part("chord", 5, given=True), Part("key", 3, given=True), Part("voice", 11))),
    "numbers": Alphabet(
        parts=(Part("kick", 2), Part("snare", 2), *(Part(f"velocity {i}", 128, gate=i) for i in range(2)))
    ),
}
SETTINGS = {
    "shared": ModelSettings(pooling="last", readout="shared", decoder_sizes=(8,)),
    "positional": ModelSettings(decoder_sizes=(8, 6)),
    "segments": ModelSettings(decoder_sizes=(8,), segments=4),
    "carry": ModelSettings(decoder_sizes=(8,), segments=2, carry=True),
    "mean": ModelSettings(pooling="mean", encoder_dropout=0.5, decoder_sizes=(8,)),
    "max": ModelSettings(pooling="max", decoder_sizes=(8,)),
    "scaled": ModelSettings(pooling="max", mean_scale=0.7, decoder_sizes=(8,)),
    "scaled-segments": ModelSettings(
        pooling="mean", mean_scale=0.7, encoder_dropout=0.5, decoder_sizes=(8,), segments=4
    ),
    "tied": ModelSettings(tied=True, readout="shared", embedding_dropout=0.5, dropout=0.5, decoder_sizes=(8,)),
    "language-model": ModelSettings(z_size=0, mapping_size=3, dropout=0.5, decoder_sizes=(8, 6)),
}
OF_ALL = ("shared", "positional", "segments", "carry")
CASES = [(a, s) for a in ALPHABETS for s in OF_ALL if not (a == "ends" and s in ("segments", "carry"))]
CASES += [(a, s) for a in ("ends", "one") for s in ("mean", "max", "scaled", "tied", "language-model")]
CASES += [("parts", "scaled-segments"), ("parts", "max"), ("controlled", "mean"), ("controlled", "language-model")]


@pytest.fixture(params=CASES, ids="-".join)
def vae(request: pytest.FixtureRequest) -> SequenceVAE:
    name, size = request.param
    chosen = replace(
        SETTINGS[size],
        embedding_size=5,
        encoder_size=7,
        encoder_layers=2,
        pooling_size=3,
        z_size=4 if SETTINGS[size].z_size else 0,
        readout_size=6,
        conductor_size=6,
    )
    torch.manual_seed(0)
    made = SequenceVAE(ALPHABETS[name], LENGTH, chosen).double().eval()
    for weight in made.state_dict().values():  # buffers among them
        weight.add_(0.1 * torch.rand_like(weight))
    for weight in made.parameters():  # nothing may hide behind a zero
        weight.data += 0.3 * torch.randn_like(weight)
    return made


def tokens(vae: SequenceVAE, batch: int = 5, seed: int = 1) -> torch.Tensor:
    """Random tokens that obey the alphabet: padding behind the end, no number where there is no hit."""
    source = torch.Generator().manual_seed(seed)
    alphabet = vae.alphabet
    columns = [torch.randint(part.size, (batch, LENGTH), generator=source) for part in alphabet.parts]
    for index, part in enumerate(alphabet.parts):
        if part.gate is not None:
            columns[index] = columns[index] * columns[part.gate]
    found = torch.stack(columns, dim=-1) if alphabet.shape else columns[0]
    return found if alphabet.end is None else found * within(alphabet, found)


def uniform(vae: SequenceVAE, batch: int, seed: int = 3) -> torch.Tensor:
    return torch.rand(batch, LENGTH, *vae.alphabet.shape, generator=torch.Generator().manual_seed(seed))


def latents(batch: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(batch, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_batch_is_single(vae: SequenceVAE) -> None:
    x = tokens(vae)
    posterior = vae.encode(x)
    logits = vae.logits(posterior.mean, x)
    for i in range(len(x)):
        alone = vae.encode(x[i : i + 1])
        torch.testing.assert_close(alone.mean[0], posterior.mean[i])
        torch.testing.assert_close(alone.std[0], posterior.std[i])
        torch.testing.assert_close(vae.logits(alone.mean, x[i : i + 1])[0], logits[i])


def test_standard_deviation_is_positive(vae: SequenceVAE) -> None:
    if not vae.settings.z_size:
        assert vae.encode(tokens(vae)).kl().shape == (5, 0)
        return
    with torch.no_grad():
        vae.encoder.head.bias.fill_(-1e4)  # as if training had pushed σ to nothing
    posterior = vae.encode(tokens(vae))
    assert (posterior.std > 0).all() and posterior.kl().isfinite().all()


def test_outputs_see_earlier_parts_of_their_step_and_nothing_after(vae: SequenceVAE) -> None:
    x, z = tokens(vae, 1), latents(1)
    before = vae.logits(z, x)
    parts = vae.alphabet.parts
    for step in range(LENGTH):
        for index, part in enumerate(parts):
            changed = x.clone()
            place = (0, step, index) if vae.alphabet.shape else (0, step)
            changed[place] = (changed[place] + 1) % part.size
            after = vae.logits(z, changed)
            assert torch.equal(after[0, :step], before[0, :step])
            for block in vae.head.blocks:
                width = 1 if block.number else block.size
                for number in range(block.width):
                    columns = slice(block.columns.start + number * width, block.columns.start + (number + 1) * width)
                    same = torch.equal(after[0, step, columns], before[0, step, columns])
                    assert same or index < block.first + number


def test_greedy_generation_is_the_likeliest_of_teacher_forcing_on_itself(vae: SequenceVAE) -> None:
    z, given = latents(6), vae.given(tokens(vae, 6))
    made = vae.generate(z, given)
    inside = within(vae.alphabet, made)
    likeliest = vae.head.likeliest(vae.logits(z, made), made)
    assert torch.equal(likeliest[inside], made[inside])
    assert not made[~inside].any()
    if given is not None:
        assert torch.equal(vae.given(made), given)


def test_drawing_is_the_head_s_draw_of_teacher_forcing_on_itself(vae: SequenceVAE) -> None:
    z, given, numbers = latents(6), vae.given(tokens(vae, 6)), uniform(vae, 6)
    made = vae.generate(z, given, Drawing(temperature=0.7, uniform=numbers))
    inside = within(vae.alphabet, made)
    drawn = vae.head.draw(vae.logits(z, made), made, numbers, 0.7)
    assert torch.equal(drawn[inside], made[inside])


def test_generation_of_a_row_ignores_its_neighbours(vae: SequenceVAE) -> None:
    z, given, numbers = latents(6), vae.given(tokens(vae, 6)), uniform(vae, 6)
    together = vae.generate(z, given, Drawing(temperature=1.0, uniform=numbers))
    for i in range(6):
        own = slice(i, i + 1)
        alone = vae.generate(
            z[own], None if given is None else given[own], Drawing(temperature=1.0, uniform=numbers[own])
        )
        assert torch.equal(alone[0], together[i])


def test_scheduled_inputs_mix_the_models_own_tokens_in(vae: SequenceVAE) -> None:
    x, z = tokens(vae, 64), latents(64)
    plain = vae.decoder.inputs(x)
    assert torch.equal(vae.scheduled_inputs(z, x, 0.0, torch.Generator().manual_seed(0)), plain)
    mixed = vae.scheduled_inputs(z, x, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(mixed[:, 0], plain[:, 0])
    controls = vae.controls
    assert (
        (mixed[..., controls:] != plain[..., controls:]).double().mean() > 0.2 if controls else (mixed != plain).any()
    )


def test_what_stands_behind_the_end_changes_nothing() -> None:
    chosen = ModelSettings(embedding_size=5, encoder_size=7, encoder_layers=2, z_size=4, decoder_sizes=(8,))
    ways = (("last", "shared"), ("positional", "positional"), ("mean", "shared"), ("max", "shared"))
    for pooling, readout in ways:
        torch.manual_seed(1)
        made = SequenceVAE(ALPHABETS["ends"], LENGTH, replace(chosen, pooling=pooling, readout=readout)).double()
        x = tokens(made, 6)
        x[:, 4:] = 0  # all have ended by then
        whole, cut = made.encode(x), made.encode(x[:, :5])
        torch.testing.assert_close(cut.mean, whole.mean)
        nll = [made.head.nll(made.logits(whole.mean, some), some).sum(1) for some in (x, x[:, :5])]
        torch.testing.assert_close(nll[1], nll[0])
        dirty = x.clone()
        dirty[:, 6:] = 3
        torch.testing.assert_close(made.encode(dirty).mean, whole.mean)


def test_the_likelihood_of_a_step_is_that_of_its_parts_in_turn() -> None:
    """All tokens of a step of two parts: their probabilities sum to one, and to the margins of the first."""
    alphabet = Alphabet(parts=(Part("high", 3), Part("low", 4)))
    torch.manual_seed(0)
    made = SequenceVAE(alphabet, 1, ModelSettings(encoder_size=4, decoder_sizes=(5,), z_size=2)).double()
    made.head.coupling.weight.data.normal_()
    steps = torch.cartesian_prod(torch.arange(3), torch.arange(4))[:, None]
    z = latents(1)[:, :2].expand(len(steps), -1)
    probability = (-made.head.nll(made.logits(z, steps), steps)).exp().detach().view(3, 4)
    assert float(probability.sum()) == pytest.approx(1.0, abs=1e-6)
    conditional = probability / probability.sum(1, keepdim=True)
    assert (conditional - conditional[0]).abs().max() > 0.01  # the second part hears the first


def test_numbers_count_where_their_gate_does() -> None:
    made = SequenceVAE(ALPHABETS["numbers"], LENGTH, ModelSettings(encoder_size=4, decoder_sizes=(5,), z_size=4))
    x = tokens(made, 4)
    rests = torch.zeros_like(x)
    loud = rests.clone()
    loud[..., 2:] = 100  # velocities of nothing
    z = latents(4).float()
    assert torch.equal(made.head.nll(made.logits(z, rests), rests), made.head.nll(made.logits(z, rests), loud))
    embedding = StepEmbedding(ALPHABETS["numbers"], 3)
    assert torch.equal(embedding(rests), embedding(loud))
    struck = x.clone()
    struck[..., 0], struck[..., 2] = 1, 0
    harder = struck.clone()
    harder[..., 2] = 127
    assert not torch.equal(embedding(struck), embedding(harder))
    made_tokens = made.generate(z, None, Drawing(temperature=1.0, uniform=uniform(made, 4)))
    assert not (made_tokens[..., 2:][made_tokens[..., :2] == 0]).any()


def test_banned_tokens_are_never_drawn() -> None:
    torch.manual_seed(0)
    made = SequenceVAE(ALPHABETS["ends"], LENGTH, ModelSettings(encoder_size=4, decoder_sizes=(5,), z_size=4))
    banned = torch.zeros(11, dtype=torch.bool)
    banned[[1, 2, 3]] = True
    z = latents(200).float()
    for how in (Drawing(banned=banned), Drawing(banned=banned, temperature=1.0, uniform=uniform(made, 200))):
        assert not torch.isin(made.generate(z, None, how), torch.tensor([1, 2, 3])).any()


@pytest.mark.parametrize(("name", "segments"), [("one", 3), ("ends", 4)])
def test_segments_that_do_not_fit_are_refused(name: str, segments: int) -> None:
    with pytest.raises(ConfigError, match=f"model.segments is {segments}"):
        SequenceVAE(ALPHABETS[name], LENGTH, ModelSettings(segments=segments, z_size=12))


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


def test_a_segment_is_written_from_its_share_and_read_by_the_weights_of_all() -> None:
    """What a share alone says of a segment does not depend on which segment it is."""
    torch.manual_seed(0)
    chosen = replace(SETTINGS["segments"], z_size=8, conductor_size=6, encoder_size=5)
    made = SequenceVAE(ALPHABETS["one"], LENGTH, chosen).double()
    with torch.no_grad():
        for weight in (*made.decoder.conductor.parameters(), *made.decoder.start.parameters()):
            weight.zero_()  # a conductor that says nothing
    z = torch.zeros(1, 8, dtype=torch.float64)
    swapped = z.clone()
    z[0, 2:4], swapped[0, 6:8] = 1.5, 1.5
    plans, others = made.decoder.plans(z), made.decoder.plans(swapped)
    torch.testing.assert_close(plans[0, 1], others[0, 3])
    assert not torch.equal(plans[0, 1], plans[0, 3])
    with pytest.raises(ConfigError, match="share of z"):
        SequenceVAE(ALPHABETS["one"], LENGTH, replace(chosen, z_size=7))
