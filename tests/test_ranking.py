"""Ranking: what decides is the order of measures alone; nothing twice, nothing copied; on the command line too."""

from __future__ import annotations

import functools
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, equal, random_tokens, untrained
from tiny import TUNES, melody, trained

import seqvae
from seqvae.checkpoint import save_model
from seqvae.cli.app import main
from seqvae.errors import DataError, ReadError, SeqvaeError
from seqvae.fingerprints import Fingerprints, fingerprints_of
from seqvae.latent import edit_distance
from seqvae.loading import from_saved
from seqvae.model import Model
from seqvae.ranking import copied, rank, ranks

SOME_KINDS = ("melody", "drums", "groove", "trio", "melody-given", "raw-integers", "text-words", "text-chords")
some_kinds = pytest.mark.parametrize("kind", SOME_KINDS)

numbers = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=12)


@functools.cache
def windows_of(kind: str) -> np.ndarray:
    """A dozen different windows in which something happens."""
    model = untrained(kind)[0]
    drawn = (model.tokenizer.canonical(random_tokens(model.tokenizer, seed)[None])[0] for seed in itertools.count())
    return np.stack([*itertools.islice((one for one in drawn if model.happens(one)), 12)])


@functools.cache
def kind_and_items(kind: str) -> tuple[Model, list]:
    """A model of the kind that was trained on no window, and a dozen items."""
    model = replace(untrained(kind)[0], fingerprints=Fingerprints())
    return model, [model.tokenizer.decode(one) for one in windows_of(kind)]


def trained_on(model: Model, windows: np.ndarray) -> Model:
    return replace(model, fingerprints=fingerprints_of(model.tokenizer, windows))


def numbered(items: list, values: list[float]):
    """A measure that is so much of each item."""

    def measure(item: object) -> float:
        return next(value for one, value in zip(items, values, strict=True) if equal(one, item))

    return measure


# -- ranks -------------------------------------------------------------------------------------------------------------


@given(numbers, st.randoms())
def test_ranks_go_with_their_values(values, random):
    order = random.sample(range(len(values)), len(values))
    found = ranks(np.array(values))
    assert (ranks(np.array(values)[order]) == found[order]).all()
    assert found.min() >= 0 and found.max() <= 1


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=12))
def test_ranks_see_only_the_order(values):
    some = np.array(values, np.float64)
    assert (ranks(np.exp(some / 10) - 3) == ranks(some)).all()
    assert np.allclose(ranks(-some), 1 - ranks(some)) and math.isclose(ranks(some).mean(), 0.5)


def test_ranks_by_hand():
    assert ranks(np.array([3.0, 9.0, 3.0, math.nan, 5.0])).tolist() == [0.375, 1.0, 0.375, 0.0, 0.75]
    assert ranks(np.array([7.0])).tolist() == [1.0] and ranks(np.full(3, 2.0)).tolist() == [0.5] * 3


# -- items of every kind -----------------------------------------------------------------------------------------------


@some_kinds
@settings(max_examples=6)
@given(data=st.data())
def test_neither_the_order_of_items_nor_the_scale_of_a_measure_plays_a_part(kind, data):
    model, items = kind_and_items(kind)
    values = data.draw(st.lists(st.integers(-9, 9), min_size=len(items), max_size=len(items)))
    keep = data.draw(st.integers(1, len(items)))
    order = data.draw(st.permutations(range(len(items))))
    by, scaled = numbered(items, values), numbered(items, [value**3 + 2 for value in values])
    found = rank(model, items, [by], keep)
    moved = rank(model, [items[row] for row in order], [by], keep)
    assert [order[row] for row in moved.rows] == found.rows == rank(model, items, [scaled], keep).rows
    assert [found.score[row] for row in found.rows] == sorted((found.score[row] for row in found.rows), reverse=True)
    assert all(equal(item, items[row]) for item, row in zip(found.items, found.rows, strict=True))


@some_kinds
@settings(max_examples=6)
@given(data=st.data())
def test_nothing_is_kept_twice_while_there_is_something_else(kind, data):
    model, items = kind_and_items(kind)
    many = data.draw(st.lists(st.sampled_from(range(len(items))), min_size=2, max_size=20))
    diverse = data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    different = len(set(many))
    found = rank(model, [items[row] for row in many], [numbered(items, list(range(12)))], different, diverse=diverse)
    assert sorted(many[row] for row in found.rows) == sorted(set(many))
    more = rank(model, [items[row] for row in many], keep=len(many) + 5)
    assert sorted(more.rows) == list(range(len(many)))


@some_kinds
def test_the_best_alone_where_diversity_counts_nothing(kind):
    model, items = kind_and_items(kind)
    found = rank(model, items, [numbered(items, list(range(len(items))))], 4, diverse=0.0)
    assert found.rows == [11, 10, 9, 8]


@pytest.mark.parametrize("kind", SOME_KINDS[:-1])  # a made-up line of chords is often another one transposed
def test_copies_are_left_out_and_last_in_novelty(kind):
    model, items = kind_and_items(kind)
    windows = windows_of(kind)
    knowing = trained_on(model, windows[2:5])
    assert np.flatnonzero(copied(knowing, items)).tolist() == [2, 3, 4]
    found = rank(knowing, items, ["novelty"], known=windows[:1])
    assert sorted(found.rows) == [0, 1, *range(5, 12)] and found.dropped == 3
    assert (found.measures["novelty"][[0, 2, 3, 4]] == 0).all() and (found.measures["novelty"][5:] > 0).all()
    assert rank(knowing, items, ["novelty"], 12, allow_copies=True, known=windows[:1]).dropped == 0
    with pytest.raises(DataError, match="each of the 3 items is copied"):
        rank(knowing, items[2:5], keep=1)


@some_kinds
def test_novelty_is_the_distance_to_the_nearest_in_any_variant(kind):
    model, items = kind_and_items(kind)
    windows = windows_of(kind)
    tokenizer = model.tokenizer
    own, known = windows[:3], windows[6:9]
    slow = [
        min(
            model.distance(one, variant[np.arange(len(variant)), other] if other.ndim > 1 else variant[other])
            for other in known
            for variant in tokenizer.augmentations
        )
        for one in own
    ]
    found = rank(model, items[:3], ["novelty"], known=known).measures["novelty"]
    assert np.allclose(found, slow)


@some_kinds
def test_likelihood_is_the_same_each_time_and_of_each_alone(kind):
    model, items = kind_and_items(kind)
    found = rank(model, items, ["likelihood"]).measures["likelihood"]
    assert (found < 0).all() or kind == "groove"  # a number has a density, which may be above 1
    alone = [rank(model, [item], ["likelihood"]).measures["likelihood"][0] for item in items[:3]]
    assert np.allclose(found[:3], alone, rtol=1e-4)


# -- by hand -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Model:
    return replace(from_saved(trained(), name="tiny"), fingerprints=None)


TALE = [melody(seed) for seed in range(20, 26)]


def test_what_the_model_knows_is_likelier_than_what_it_does_not(model):
    found = rank(model, [*TUNES[:3], *TALE[:3]], ["likelihood"])
    assert set(found.rows[:3]) == {0, 1, 2}


def test_an_attribute_either_way_and_twice(model):
    """Ranks by density 0, .5, 1 and by another 1, 0, .5: weighted 2 to 1, (2·0 + 1)/3, (2·.5 + 0)/3, (2·1 + .5)/3."""
    three = sorted(TALE, key=lambda clip: clip.note_count)
    three = [three[0], three[-2], three[-1]]
    counts = [clip.note_count for clip in three]
    assert len(set(counts)) == 3
    other = numbered(three, [3.0, 1.0, 2.0])
    found = rank(model, three, ["density*2", other])
    assert np.allclose(found.score, [1 / 3, 1 / 3, 2.5 / 3])
    assert found.measures["density"].tolist() == [count / 8 for count in counts]
    assert rank(model, three, ["-density"]).rows == [0, 1, 2] and rank(model, three, ["density"]).rows == [2, 1, 0]


def test_diversity_takes_the_far_one_before_the_next_best(model):
    """Scores 1, .5 and 0; the second differs from the first in one note, the third altogether."""
    first = TUNES[0]
    notes = first.tracks[0].notes.copy()
    notes["pitch"][-1] += 1
    items = [first, first.with_notes([notes]), TUNES[5]]
    by = numbered(items, [3.0, 2.0, 1.0])
    assert rank(model, items, [by], 2, diverse=0.0).rows == [0, 1]
    assert rank(model, items, [by], 2, diverse=0.9).rows == [0, 2]


def test_likeness_is_that_to_the_nearest_window(model, tmp_path):
    both = model.tokenizer.join([TUNES[3], TUNES[4]])
    path = both.save(tmp_path / "both.mid")
    found = rank(model, [*TUNES[3:5], TALE[0]], [f"likeness:{path}"]).measures[f"likeness:{path}"]
    tokens = [model.tokenizer.encode(clip) for clip in (TALE[0], TUNES[3], TUNES[4])]
    nearest = min(edit_distance(tokens[0], other) for other in tokens[1:])
    assert np.allclose(found, [1.0, 1.0, 1.0 - nearest])


def test_items_of_several_windows_are_means_of_theirs(model):
    long = model.tokenizer.join([TUNES[0], TALE[0]])
    knowing = trained_on(model, np.stack([model.tokenizer.encode(TUNES[0])]))
    known = np.stack([model.tokenizer.encode(TALE[1])])
    assert copied(knowing, [long, TALE[0]]).tolist() == [True, False]
    found = rank(knowing, [long, TALE[0]], ["novelty"], allow_copies=True, known=known).measures["novelty"]
    assert math.isclose(found[0], found[1] / 2)  # a copy, and what the other is


def test_a_text_is_like_a_text():
    model, items = kind_and_items("text-words")
    assert rank(model, items, [f"likeness:{items[7]}"]).rows[0] == 7


def test_without_measures_the_most_different_are_kept(model):
    items = [TUNES[0]] * 5 + [TUNES[1], TUNES[2]]
    found = rank(model, items, keep=3)
    assert {5, 6} < set(found.rows) and (found.score == 0.5).all() and found.measures == {}


def test_a_model_that_does_not_know_finds_no_copies(model):
    assert not copied(model, TUNES).any() and copied(model, []).shape == (0,)
    assert rank(model, TUNES, keep=2).dropped == 0


@pytest.mark.parametrize(
    ("by", "changes", "words"),
    [
        (["smell"], {}, "a melody item is not ranked by 'smell'; it is by density, "),
        (["likeness"], {}, "likeness:FILE"),
        (["likeness:none.mid"], {}, "none.mid: no such file"),
        (["density*0"], {}, "nothing to rank by"),
        ([""], {}, "nothing to rank by"),
        (["novelty"], {}, "tiny holds no windows to be new against"),
        ([], {"keep": 0}, "keep 1 or more"),
        ([], {"items": []}, "give an item or more"),
        ([], {"diverse": 1.5}, "a number from 0 to 1"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(model, by, changes, words):
    given = {"items": TUNES[:2], **changes}
    with pytest.raises(SeqvaeError, match=words.replace("*", r"\*")) as raised:
        rank(model, given.pop("items"), by, **given)
    assert isinstance(raised.value, DataError | ReadError) and "\n" not in str(raised.value)


def test_it_is_at_the_door():
    assert seqvae.rank is rank and seqvae.copied is copied and "rank" in dir(seqvae)


# -- on the command line -----------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder to stand in, with a model that was trained on all of its tunes but one, and a tune."""
    monkeypatch.chdir(tmp_path)
    windows = np.stack([trained().preset.tokenizer.encode(tune) for tune in TUNES])
    known = fingerprints_of(KINDS["melody"], windows[1:])
    saved = replace(trained(), fingerprints=known, held_out=windows[:1].astype(np.uint8))
    save_model(tmp_path / "tiny.safetensors", saved)
    TUNES[0].save("a.mid")
    return tmp_path


def sample(*words: object) -> int:
    return main(["sample", "--seed", "1", "--model", "tiny.safetensors", *map(str, words)])


def test_the_best_are_numbered_and_told(place, capsys):
    line = ("-n", 24, "--keep", 3, "--rank", "novelty,-density*2", "--rank", "likeness:a.mid", "--allow-copies")
    assert sample(*line, "-o", "best", "--json") == 0
    told = capsys.readouterr()
    values = json.loads(told.out)
    assert values["files"] == ["best/sample-01.mid", "best/sample-02.mid", "best/sample-03.mid", "best/strip.png"]
    assert values["ranked"] == 24 and [one["name"] for one in values["kept"]] == [
        "sample-01.mid",
        "sample-02.mid",
        "sample-03.mid",
    ]
    scores = [one["score"] for one in values["kept"]]
    assert scores == sorted(scores, reverse=True)
    assert set(values["kept"][0]["measures"]) == {"novelty", "density", "likeness:a.mid"}
    table = told.err.splitlines()
    assert table[-4].split() == ["score", "novelty", "density", "likeness"] and table[-1].startswith("sample-03.mid")
    assert sample("-n", 24, "-o", "all", "--json") == 0
    capsys.readouterr()
    kept = values["kept"][0]["drawn_as"]
    assert Path(f"all/sample-{kept:02d}.mid").read_bytes() == Path("best/sample-01.mid").read_bytes()


def test_copies_are_said_or_left_out(place, capsys):
    """Told to draw without chance, the model says its tunes by heart."""
    line = ("-n", 16, "--temperature", 0, "--json")
    assert sample(*line, "-o", "all") == 0
    told = capsys.readouterr()
    known = json.loads(told.out)["copied"]
    assert 0 < known < 16 and f"{known} of 16" in told.err and "copied from the training data (--keep N" in told.err
    assert sample(*line, "--keep", 16, "-o", "new") == 0
    told = capsys.readouterr()
    values = json.loads(told.out)
    assert len(values["kept"]) == 16 - known and not any(one["copied"] for one in values["kept"])
    assert "left out (--allow-copies keeps them)" in told.err
    assert len(list(Path("new").glob("*.mid"))) == 16 - known


def test_valid_is_something_to_rank_by(place, capsys):
    Path("rules.py").write_text("def short(clip):\n    return clip.note_count < 9\n")
    assert sample("-n", 12, "--rank", "valid", "--valid", "rules.py:short", "--json") == 0
    kept = json.loads(capsys.readouterr().out)["kept"]
    valid = [one["measures"]["valid"] for one in kept]
    assert valid == sorted(valid, reverse=True) and set(valid) <= {0.0, 1.0}


def test_novelty_against_files_of_ones_own(place, capsys):
    assert sample("-n", 4, "--rank", "novelty", "--data", "a.mid", "-o", "x") == 0
    assert "novelty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--rank", " , "], 2, "--rank is empty"),
        (["--rank", "valid"], 2, "--rank valid needs --valid"),
        (["--diverse", 0.5], 2, "add --keep N"),
        (["--allow-copies"], 2, "add one of them"),
        (["--data", "a.mid"], 2, "add --rank novelty"),
        (["--rank", "novelty", "--data", "b.mid"], 1, "b.mid"),
        (["--rank", "smell"], 1, "not ranked by 'smell'"),
    ],
)
def test_a_wrong_use_is_one_line(place, capsys, words, code, told):
    assert sample("-n", 3, *words) == code
    out, err = capsys.readouterr()
    assert out == "" and told in err and err.count("\n") == 1
    assert not Path("out-sample").exists()


def inspected(capsys, *words: object) -> dict:
    assert main(["inspect", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["copied_from_train"]


def test_inspect_says_which_bars_are_copied(place, capsys):
    tokenizer = KINDS["melody"]
    higher = [(n["start_beats"], n["end_beats"], n["pitch"] + 2, 80) for n in TUNES[3].tracks[0].notes]
    song = tokenizer.join([TALE[0], TUNES[2], seqvae.Clip.from_notes(higher)])
    song.save("song.mid")
    found = inspected(capsys, "song.mid", "--model", "tiny.safetensors")
    assert found["where"] == ["bars 3-4 as it is", "bars 5-6 2 semitones lower"]
    assert (found["as_they_are"], found["transposed"]) == (1, 1) and found["windows"] >= 3
    assert found["false_alarms"] == "at most 0.08% of windows"


def test_inspect_asks_the_model_that_made_a_clip(place, capsys, monkeypatch):
    assert sample("-n", 1, "--temperature", 0, "-o", "new") == 0
    capsys.readouterr()
    assert "that model is not here" in inspected(capsys, "new/sample-01.mid")["not_looked_for"]
    monkeypatch.setattr("seqvae.checkpoint.bundled_models", lambda: {"tiny": Path("tiny.safetensors")})
    assert inspected(capsys, "new/sample-01.mid")["windows"] == 1
    weights = {name: array + 1 for name, array in trained().weights.items()}
    save_model(Path("tiny.safetensors"), replace(trained(), weights=weights))
    assert "version" in inspected(capsys, "new/sample-01.mid")["not_looked_for"]


def test_inspect_says_which_lines_are_copied(place, capsys):
    model, windows = untrained("text-words")[0], windows_of("text-words")
    lines = [model.tokenizer.decode(one) for one in windows[:4]]
    known = fingerprints_of(model.tokenizer, windows[1:2])
    saved = replace(trained(), name="words", preset=model.preset, fingerprints=known)
    save_model(Path("words.safetensors"), saved)
    Path("lines.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    found = inspected(capsys, "lines.txt", "--model", "words.safetensors")
    assert found["as_they_are"] == 1 and len(found["where"]) == 1
    save_model(Path("words.safetensors"), replace(saved, fingerprints=None))
    told = inspected(capsys, "lines.txt", "--model", "words.safetensors")
    assert "does not say what it was trained on" in told["not_looked_for"]
