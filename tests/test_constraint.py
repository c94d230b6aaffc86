"""Constraints: conditions are read and printed, critics and actors reach them, and every item returned meets them."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import untrained
from tiny import PRESET, TUNES, by_heart, melody, save_tiny, trained

import seqvae
from seqvae.attributes import Attribute, attribute_named
from seqvae.attributes.labels import Labelled
from seqvae.attributes.tonality import key_of
from seqvae.cli.app import main
from seqvae.clip import Clip, Track, notes_array
from seqvae.constraint import Examples, How, Search, Where, conditions, critic, parse_where, sample_where, search
from seqvae.constraint.conditions import Condition
from seqvae.constraint.where import wheres_of
from seqvae.errors import DataError
from seqvae.keys import parse_key
from seqvae.latent import AggregatePosterior
from seqvae.loading import from_saved
from seqvae.model import Model
from seqvae.tokenizers import DrumTokenizer, TextTokenizer

LINES = [
    "a dog runs",
    "two cats sleep on a red mat",
    "a man",
    "the dog eats",
    "one red cat",
    "a man and a dog sit on the mat",
    "cats run",
    "two men eat and sleep",
]


def beat(seed: int) -> Clip:
    rng = np.random.default_rng(seed)
    notes = [(step / 4, step / 4 + 0.25, int(rng.choice((36, 38, 42))), 90) for step in range(0, 32, 1 + seed % 4)]
    return Clip(tracks=(Track(notes=notes_array(notes), is_drum=True, name="kit"),), length_beats=8.0)


@functools.cache
def model_of(kind: str) -> Model:
    if kind == "melody":
        return from_saved(trained(), name=kind)
    tokenizer: Any = DrumTokenizer() if kind == "drums" else TextTokenizer(max_length=10).fit(LINES)
    items = [beat(seed) for seed in range(8)] if kind == "drums" else LINES
    return from_saved(by_heart(replace(PRESET, name=kind, tokenizer=tokenizer), items, 100), name=kind)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers for models that are as small as those here."""
    for module, name, value in (
        (search, "BATCH", 16),
        (search, "PILOT", 64),
        (search, "LEARN", 96),
        (search, "MOST_TRIED", 256),
        (search, "MOST_TRIED_EACH", 16),
        (critic, "WIDTH", 32),
        (critic, "CRITIC_STEPS", 200),
        (critic, "ACTOR_STEPS", 100),
    ):
        monkeypatch.setattr(module, name, value)


# -- conditions as text ------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["density", "syncopation-16th", "bass.pitch", "regex:(a|b)+", "regex:a>=b", "genre"])
FINITE = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
WHERES = st.one_of(
    st.builds(lambda name, word: Where(attribute=name, word=word), NAMES, st.sampled_from(["high", "middle", "F#m"])),
    st.builds(lambda name, end, strict: Where(attribute=name, low=end, above=strict), NAMES, FINITE, st.booleans()),
    st.builds(lambda name, end, strict: Where(attribute=name, high=end, below=strict), NAMES, FINITE, st.booleans()),
    st.builds(
        lambda name, a, b: Where(attribute=name, low=min(a, b), high=max(a, b)),
        NAMES.filter(lambda name: ">" not in name),
        FINITE,
        FINITE,
    ),
)


@given(where=WHERES)
@settings(deadline=None)
def test_a_condition_is_read_as_it_is_printed(where: Where) -> None:
    assert parse_where(str(where)) == where


@given(text=st.text(st.sampled_from("ab=<>.2- "), max_size=12))
@settings(deadline=None)
def test_any_text_is_a_condition_or_one_line_of_an_error(text: str) -> None:
    with suppress(DataError):  # anything else is a bug
        where = parse_where(text)
        assert parse_where(str(where)) == where


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("density=high", Where(attribute="density", word="high")),
        (" density >= 2.50 ", Where(attribute="density", low=2.5)),
        ("density=2..", Where(attribute="density", low=2.0)),
        ("density=..2", Where(attribute="density", high=2.0)),
        ("density<2", Where(attribute="density", high=2.0, below=True)),
        ("contour=-1..-0.5", Where(attribute="contour", low=-1.0, high=-0.5)),
        ("length=3", Where(attribute="length", low=3.0, high=3.0)),
        ("key=A minor", Where(attribute="key", word="A minor")),
        ("regex:x=y>0", Where(attribute="regex:x=y", low=0.0, above=True)),
    ],
)
def test_conditions_worked_by_hand(text: str, expected: Where) -> None:
    assert parse_where(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("density", "no form that is known"),
        ("=high", "no form that is known"),
        ("density=", "no form that is known"),
        ("density=..", "no form that is known"),
        ("density=3..2", "empty range"),
        ("density>high", "is no number"),
        ("density=2..x", "no form that is known"),
    ],
)
def test_what_is_no_condition(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_where(text)


def test_conditions_in_python() -> None:
    asked = {"density": "high", "pitch": (60, 72), "range": ">2", "length": 3, "interval": "1..2"}
    assert list(map(str, wheres_of(asked))) == [
        "density=high",
        "pitch=60..72",
        "range>2",
        "length=3",
        "interval=1..2",
    ]
    assert wheres_of("density=high") == wheres_of(["density=high"]) == wheres_of([parse_where("density=high")])
    for wrong in ({}, [], {"density": None}, {"density": (3, 2)}):
        with pytest.raises(DataError):
            wheres_of(wrong)


# -- what they ask -----------------------------------------------------------------------------------------------------


def numeric(text: str) -> Condition:
    where = parse_where(text)
    ends = {name: getattr(where, name) for name in ("low", "high", "above", "below")}
    return Condition(where=where, what="size", attribute=Attribute(name="size", what="size", of=float), **ends)


def test_a_range_holds_its_ends_or_not_and_never_what_is_not_defined() -> None:
    values = np.array([1.0, 2.0, 2.5, 3.0, np.nan])
    assert numeric("size=2..3").holds(values).tolist() == [False, True, True, True, False]
    assert numeric("size>2").holds(values).tolist() == [False, False, True, True, False]
    assert numeric("size<2").holds(values).tolist() == [True, False, False, False, False]
    assert numeric("size<=2").holds(values).tolist() == [True, True, False, False, False]


@given(values=st.lists(st.integers(0, 9), min_size=2, max_size=60).filter(lambda found: len(set(found)) > 1))
@settings(deadline=None)
def test_high_middle_and_low_share_all_values_out_in_order(values: list[int]) -> None:
    seen = np.array(values, np.float64)
    high = numeric("size=high").settled(seen, "all")
    low = numeric("size=low").settled(seen, "all")
    assert not (high.holds(seen) & low.holds(seen)).any()
    assert high.holds(seen).any()
    assert low.holds(seen).any()
    sets = high.holds(seen).astype(int) + low.holds(seen)
    if sets.all():
        with pytest.raises(DataError, match="between"):
            numeric("size=middle").settled(seen, "all")
    else:
        assert (sets + numeric("size=middle").settled(seen, "all").holds(seen) == 1).all()


def test_quarters_of_what_does_not_vary_are_refused() -> None:
    with pytest.raises(DataError, match="size is 2 in all 8 of the data"):
        numeric("size=high").settled(np.full(8, 2.0), "the data")
    with pytest.raises(DataError, match="known of none"):
        numeric("size=high").settled(np.full(8, np.nan), "the data")


# -- networks on a decoder whose attribute is a linear function of z ---------------------------------------------------

SIZE = 6
AGGREGATE = AggregatePosterior(mean=np.arange(SIZE, dtype=np.float64), covariance=np.diag(1.0 + np.arange(SIZE)))
SLOPE = np.array([1.0, -0.5, 0.25, 0.0, 0.0, 0.5])


def linear(z: Any) -> Any:
    """Mean 0 and deviation 1 over draws of the aggregate."""
    centred = np.asarray(z, np.float64) - AGGREGATE.mean
    return centred @ SLOPE / math.sqrt(SLOPE @ AGGREGATE.covariance @ SLOPE)


@functools.cache
def linear_critic(text: str) -> critic.Critic:
    z = AGGREGATE.sample(600, np.random.default_rng(1))
    return critic.fit_critic([numeric(text)], z, np.zeros_like(z), linear(z)[:, None], AGGREGATE, seed=1)


@pytest.mark.parametrize("text", ["size>2.33", "size<=-2", "size=1.8..3.2"])
def test_gradient_and_actor_reach_what_plain_draws_rarely_meet(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(critic, "ACTOR_STEPS", 300)
    condition, fitted = numeric(text), linear_critic(text)
    z = AGGREGATE.sample(400, np.random.default_rng(2))
    plain = condition.holds(linear(z)).mean()
    climbed = critic.climb(fitted, z)
    real = AGGREGATE.sample(600, np.random.default_rng(3))
    acted = critic.fit_actor(fitted, real, np.zeros_like(real), seed=1).move(z)
    assert plain < 0.06
    assert condition.holds(linear(climbed)).mean() > 8 * plain
    assert condition.holds(linear(acted)).mean() > 8 * plain
    assert np.ptp(climbed @ np.array([0, 0, 0, 1.0, 0, 0])) > 1.0, "what is not asked for keeps its variety"


def test_ascent_stays_where_draws_lie() -> None:
    fitted = linear_critic("size>2.33")
    z = AGGREGATE.sample(200, np.random.default_rng(2))
    lengths = [np.linalg.norm(fitted.whitening.whiten(some).numpy(), axis=1) for some in (z, critic.climb(fitted, z))]
    assert (lengths[1] <= np.maximum(lengths[0], critic.radius(SIZE)) * 1.0001).all()


def test_the_critic_knows_what_is_likely() -> None:
    fitted = linear_critic("size>2.33")
    z = AGGREGATE.sample(2000, np.random.default_rng(4))
    likely = fitted.probability(z)
    far = linear(z)
    assert likely[far > 2.3].mean() > 5 * likely[far < 1.0].mean()


def test_networks_are_the_same_for_the_same_seed_and_leave_others_numbers_alone() -> None:
    import torch

    z = AGGREGATE.sample(100, np.random.default_rng(1))
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    moved = []
    for seed in (1, 1, 2):
        fitted = critic.fit_critic([numeric("size>1")], z, z * 0, linear(z)[:, None], AGGREGATE, seed=seed)
        moved.append(
            critic.fit_actor(fitted, z, z * 0, seed=seed).move(z).tobytes() + critic.climb(fitted, z).tobytes()
        )
    assert moved[0] == moved[1] != moved[2]
    assert torch.equal(torch.rand(3), before)


@given(mean=st.floats(-4, 4), size=st.floats(0.1, 3), low=st.floats(-5, 5), width=st.floats(0.05, 6))
@settings(deadline=None)
def test_the_share_within_a_range_is_that_of_the_normal_distribution(
    mean: float, size: float, low: float, width: float
) -> None:
    import torch

    normal = NormalDist(mean, size)
    found = critic.log_share_within(
        torch.tensor([mean], dtype=torch.float64), torch.tensor([size], dtype=torch.float64), low, low + width
    )
    assert math.exp(float(found)) == pytest.approx(normal.cdf(low + width) - normal.cdf(low), abs=2e-6)
    open_end = critic.log_share_within(torch.tensor([mean]), torch.tensor([size]), low, math.inf)
    assert math.exp(float(open_end)) == pytest.approx(1.0 - normal.cdf(low), abs=1e-4)


def test_the_radius_holds_nine_in_ten_draws() -> None:
    for size in (2, 8, 128):
        lengths = np.linalg.norm(np.random.default_rng(0).standard_normal((20_000, size)), axis=1)
        assert (lengths <= critic.radius(size)).mean() == pytest.approx(0.9, abs=0.015)


# -- items -------------------------------------------------------------------------------------------------------------

KINDS = [("melody", "pitch"), ("drums", "density"), ("text", "length")]
TEMPERATURE = 1.0


@pytest.mark.parametrize(("kind", "name"), KINDS)
@pytest.mark.parametrize("by", ["auto", "rejection", "gradient", "actor"])
def test_every_item_meets_the_conditions_and_the_first_are_the_same_of_more(kind: str, name: str, by: Any) -> None:
    model = model_of(kind)
    looked = Search(model, {name: "high"}, by=by, how=How(seed=3, temperature=TEMPERATURE))
    items = [passage.item for passage in looked.take(5)]
    (condition,) = looked.conditions
    attribute = attribute_named(model.tokenizer, name)
    assert math.isfinite(condition.low)
    assert all(attribute.measure(item) >= condition.low for item in items)
    again = sample_where(model, {name: "high"}, 2, by=by, seed=3, temperature=TEMPERATURE)
    assert again == items[:2]
    tally = looked.plain if by == "rejection" else looked.moved
    assert tally.tried >= tally.met
    assert by == "auto" or tally.met >= 5


def test_another_seed_gives_other_items() -> None:
    found = [seqvae.sample_where(model_of("melody"), "pitch=high", 3, seed=s, temperature=1.0) for s in (1, 2)]
    assert found[0] != found[1]


def test_several_conditions_hold_at_once() -> None:
    model = model_of("melody")
    items = sample_where(model, {"pitch": "high", "density": "middle"}, 3, seed=1, temperature=1.0)
    looked = Search(model, {"pitch": "high", "density": "middle"}, how=How(seed=1, temperature=1.0))
    assert [passage.item for passage in looked.take(3)] == items
    for condition in looked.conditions:
        assert condition.attribute is not None
        assert condition.holds(np.array([condition.attribute.measure(item) for item in items])).all()


def test_a_key_is_a_condition_of_pitched_music() -> None:
    model = model_of("melody")
    pool = model.decode(model.draw(64, seed=1), temperature=1.0)
    name = max("CDEFGAB", key=lambda each: sum(key_of(clip) == parse_key(each) for clip in pool))
    items = sample_where(model, {"key": name}, 2, seed=1, temperature=1.0)
    assert [key_of(item) for item in items] == [parse_key(name)] * 2


def test_high_is_that_of_the_examples_where_there_are_some() -> None:
    model = model_of("melody")
    tokens = np.stack([model.tokenizer.encode(tune) for tune in TUNES])
    looked = Search(model, "pitch>60", how=How(temperature=1.0), examples=Examples(tokens=tokens))
    assert looked.conditions[0].low == 60
    looked = Search(model, "pitch=high", how=How(temperature=1.0), examples=Examples(tokens=tokens))
    looked.take(1)
    pitches = sorted(attribute_named(model.tokenizer, "pitch").measure(tune) for tune in TUNES)
    assert looked.conditions[0].low == pytest.approx(pitches[4])  # of so few the halves, see `attributes.base.sides`


def test_a_label_is_read_from_the_item_encoded_again() -> None:
    model = model_of("melody")
    draws = model.draw(96, seed=9)
    items = [clip for clip in model.decode(draws, temperature=0.0) if clip.note_count]
    tokens = np.stack([model.tokenizer.encode(item) for item in items])
    z = model.encode(tokens)
    happy = (z[:, 0] > np.median(z[:, 0])).astype(np.float64)
    labels = [
        Labelled(name="mood=happy", what="mood", values=happy),
        Labelled(name="mood=sad", what="m", values=1 - happy),
    ]
    examples = Examples(tokens=tokens, labels=labels)
    looked = Search(model, "mood=happy", how=How(seed=1, temperature=0.0), examples=examples)
    passages = looked.take(4)
    reading = looked.conditions[0].reading
    assert reading is not None
    assert (reading.of(conditions.encoded(model, [passage.item for passage in passages])) >= 0.5).all()
    with pytest.raises(DataError, match="the label mood has the values happy, sad"):
        Search(model, "mood=bored", examples=examples)
    noise = [Labelled(name="coin=up", what="coin", values=np.random.default_rng(1).integers(0, 2, len(z)) * 1.0)]
    with pytest.raises(DataError, match="its z does not hold this label"):
        Search(model, "coin=up", examples=Examples(tokens=tokens, labels=noise))


@pytest.mark.parametrize(
    ("kind", "where", "said"),
    [
        ("melody", "brightness=high", "a melody item has no attribute 'brightness'; it has density, "),
        ("melody", "density=dense", "is a number and 'dense' is none"),
        ("melody", "key=H", "'H' is no key"),
        ("melody", "key=high", "asked for by its name"),
        ("drums", "key=C", "a drums item has no attribute 'key'"),
        ("text", "regex:(=high", "no regular expression"),
    ],
)
def test_what_cannot_be_asked_for(kind: str, where: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        Search(model_of(kind), where)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("by", ["rejection", "gradient", "auto"])
def test_what_nothing_meets_is_given_up_with_the_count(by: Any) -> None:
    looked = Search(model_of("text"), "length>9.5", by=by, how=How(temperature=1.0))
    with pytest.raises(DataError, match=r"length>9.5: 0 of \d+ plain samples meet it.* 2 are asked for"):
        looked.take(2)
    assert looked.plain.tried + looked.moved.tried <= 256 + 96


def test_what_never_varies_teaches_nothing() -> None:
    with pytest.raises(DataError, match="is 0 in all 64"):
        Search(model_of("text"), "regex:zzz=high").take(1)
    with pytest.raises(DataError, match="nothing can be learned of it"):
        Search(model_of("text"), "regex:zzz>0", by="gradient").take(1)


def test_odd_requests() -> None:
    with pytest.raises(DataError, match="ask for 1 or more"):
        Search(model_of("text"), "length>1").take(0)
    with pytest.raises(DataError, match="'magic' is no way"):
        Search(model_of("text"), "length>1", by="magic")  # type: ignore[arg-type]


def test_models_of_other_kinds_are_searched_too() -> None:
    for kind, where in (("trio", "density>0"), ("raw-integers", "mean>0.5"), ("groove", "density>0")):
        model, _ = untrained(kind)
        attribute = attribute_named(model.tokenizer, parse_where(where).attribute)
        low = parse_where(where).low
        items = sample_where(model, where, 2, temperature=1.0)
        assert all(attribute.measure(item) > low for item in items)


# -- command line ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_tiny(tmp_path)
    for number in range(24):
        melody(number).save(tmp_path / "songs" / f"{number}.mid")
    monkeypatch.chdir(tmp_path)
    return tmp_path


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(shelf: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(["sample", "--model", "tiny.safetensors", "--seed", "1", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_where_on_the_command_line(run: Run) -> None:
    code, out, err = run("--where", "pitch=high", "--where", "density>0", "-n", "3", "-o", "a", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert len(told["files"]) == 4  # three and a picture
    assert told["candidates"]["plain"]["met"] >= 3
    assert told["where"][0].startswith("pitch=high (mean pitch (MIDI) >=")
    low = float(told["where"][0].rpartition(">=")[2].rstrip(")"))
    pitch = attribute_named(model_of("melody").tokenizer, "pitch")
    assert all(pitch.measure(Clip.load(file)) >= low - 0.01 for file in told["files"][:3])
    assert "plain samples" in err
    first = [Path(file).read_bytes() for file in told["files"][:3]]
    code, out, err = run("--where", "pitch=high", "--where", "density>0", "-n", "2", "-o", "b")
    assert code == 0, err
    assert [Path(file).read_bytes() for file in out.split()[:2]] == first[:2]


def test_where_with_data_and_ranking(run: Run) -> None:
    words = ("--where", "density=high", "--data", "songs", "-n", "4", "--keep", "2", "--rank", "pitch", "-o", "a")
    code, out, err = run(*words, "--by", "gradient")
    assert code == 0, err
    assert len(out.split()) == 3
    assert "moved towards it" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--by", "actor"], 2, "--by is for --where"),
        (["--labels", "a.csv"], 2, "--labels is for --where"),
        (["--where", "density=high", "--labels", "a.csv"], 2, "--labels says what is known of --data"),
        (["--where", "density"], 1, "no form that is known"),
        (["--where", "density=3..2"], 1, "empty range"),
        (["--where", "glitter=high"], 1, "has no attribute 'glitter'"),
        (["--where", "density>99"], 1, "0 of 256 plain samples meet it"),
    ],
)
def test_wrong_uses_are_one_line(run: Run, words: list[str], code: int, said: str) -> None:
    if "density>99" in words:
        words = [*words, "--by", "rejection"]
    found, out, err = run(*words)
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
