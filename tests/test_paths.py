"""Paths through many items, even timing, grids and walks: laws first, then items of all kinds, then the commands."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kinds import KINDS, each_kind, equal, random_tokens, untrained
from numpy.typing import NDArray
from tiny import PRESET, TUNES, by_heart, melody, trained

import seqvae
from seqvae.checkpoint import save_model
from seqvae.cli.app import main
from seqvae.clip import Clip, Track, notes_array
from seqvae.errors import DataError
from seqvae.loading import from_saved
from seqvae.model import Model
from seqvae.paths import Distances, even_timing, evenest, fit_all, grid_between, path_through, plain_timing
from seqvae.plot import piano_roll_grid
from seqvae.tokenizers import DrumTokenizer, TextTokenizer

TEXTS = ["a man rides a horse", "two dogs run", "a cat sleeps on a red chair", "the sun goes down"]


@pytest.fixture(scope="module")
def model() -> Model:
    return from_saved(trained(), name="tiny")


def tokens_of(items: list[Any], tiny: Model) -> NDArray[np.int64]:
    return np.stack([tiny.tokenizer.encode(item) for item in items])


# -- timing ------------------------------------------------------------------------------------------------------------


@given(points=st.integers(2, 9), more=st.integers(0, 40))
def test_steps_are_shared_out_over_the_legs_and_every_point_is_one(points: int, more: int) -> None:
    timing = plain_timing(points, points + more)
    assert len(timing.legs) == points + more
    assert (timing.amounts[0], timing.legs[0], timing.amounts[-1], timing.legs[-1]) == (0.0, 0, 1.0, points - 2)
    assert timing.nearest[timing.points].tolist() == list(range(points))
    assert (np.diff(timing.legs + timing.amounts) > 0).all()
    counts = np.bincount(timing.legs[:-1])
    assert counts.max() - counts.min() <= 1


def test_a_path_of_two_points_is_evenly_spaced() -> None:
    np.testing.assert_array_equal(plain_timing(2, 8).amounts, np.linspace(0.0, 1.0, 8))


@pytest.mark.parametrize(("points", "steps", "message"), [(1, 8, "2 or more"), (4, 3, "ask for 4 or more")])
def test_too_few_points_or_steps_are_refused(points: int, steps: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        plain_timing(points, steps)


@st.composite
def lines(draw: st.DrawFn) -> tuple[NDArray[np.float64], int, NDArray[np.int64]]:
    """Distances between places of a made-up path, how many steps are to be chosen, and where it must pass."""
    steps, finer = draw(st.integers(2, 7)), draw(st.integers(1, 5))
    count = finer * (steps - 1) + 1
    places = draw(arrays(np.float64, (count, 2), elements=st.integers(0, 3).map(float)))
    inner = draw(st.sets(st.integers(1, steps - 1), max_size=steps - 2)) if steps > 2 else set()
    stops = np.array(sorted({0, *(finer * step for step in inner), count - 1}))
    return np.abs(places[:, None] - places[None]).sum(axis=-1), steps, stops


def share(distances: NDArray[np.float64], chosen: NDArray[np.int64]) -> float:
    moves = distances[chosen[:-1], chosen[1:]]
    return float(moves.max() / moves.sum()) if moves.sum() else 1.0


@given(line=lines())
@settings(max_examples=200, deadline=None)
def test_even_timing_goes_forward_passes_its_stops_and_is_never_less_even(
    line: tuple[NDArray[np.float64], int, NDArray[np.int64]],
) -> None:
    distances, steps, stops = line
    chosen = evenest(distances, steps, stops)
    assert len(chosen) == steps
    assert (np.diff(chosen) > 0).all()
    assert set(stops) <= set(chosen)
    plain = np.linspace(0, len(distances) - 1, steps).round().astype(int)
    assert share(distances, chosen) <= share(distances, plain) + 1e-9


@given(steps=st.integers(2, 9), finer=st.integers(1, 6))
def test_a_path_that_is_even_stays_as_it_is(steps: int, finer: int) -> None:
    place = np.arange(finer * (steps - 1) + 1)
    distances = np.abs(place[:, None] - place) / len(place)
    chosen = evenest(distances, steps, place[[0, -1]])
    np.testing.assert_array_equal(chosen, place[::finer])


def test_steps_go_where_the_change_is() -> None:
    # Nothing happens but on the last fifth of the way: 0 for 20 places, then 0.1 each for 5.
    position = np.concatenate([np.zeros(20), np.arange(1, 6) * 0.1])
    distances = np.abs(position[:, None] - position)
    chosen = evenest(distances, 5, np.array([0, 24]))
    moves = distances[chosen[:-1], chosen[1:]]
    assert moves.tolist() == pytest.approx([0.1, 0.1, 0.1, 0.2]) or sorted(moves) == pytest.approx([0.1, 0.1, 0.1, 0.2])
    assert share(distances, np.array([0, 6, 12, 18, 24])) == 1.0


def test_a_detour_may_make_it_even() -> None:
    # A jump cannot be divided, but there are places beside the straight way: 0 → 3 → 1 → 4.
    position = np.array([0.0, 0.0, 3.0, 3.0, 1.0, 1.0, 4.0])
    distances = np.abs(position[:, None] - position)
    chosen = evenest(distances, 4, np.array([0, 6]))
    assert share(distances, chosen) == pytest.approx(3 / 8)


@each_kind
def test_distances_are_those_of_the_model(kind: str) -> None:
    tiny, _ = untrained(kind)
    rows = np.stack([tiny.tokenizer.canonical(random_tokens(KINDS[kind], seed)) for seed in range(8)])
    items = np.concatenate([rows, rows[:2]]).reshape(5, 2, *rows.shape[1:])  # the last is the first again
    found = Distances.between(items, tiny.tokenizer.alphabet)
    assert found.distinct == 4
    assert found.which[4] == found.which[0]
    for i in range(5):
        for j in range(5):
            assert found.matrix[i, j] == pytest.approx(tiny.distance(items[i], items[j]))


# -- paths -------------------------------------------------------------------------------------------------------------


@given(steps=st.integers(2, 6), first=st.integers(0, 7), last=st.integers(0, 7), straight=st.booleans())
@settings(max_examples=10, deadline=None)
def test_a_path_of_two_is_interpolate(model: Model, steps: int, first: int, last: int, straight: bool) -> None:
    way = seqvae.lerp if straight else seqvae.slerp
    expected = model.interpolate(TUNES[first], TUNES[last], steps, path=way)
    assert seqvae.path(model, [TUNES[first], TUNES[last]], steps, straight=straight) == expected


@pytest.mark.parametrize("even", [False, True])
def test_a_path_through_many_passes_each(model: Model, even: bool) -> None:
    path = seqvae.path(model, TUNES[:4], 12, even=even)
    assert len(path) == 12
    found, wanted = tokens_of(path, model), tokens_of(TUNES[:4], model)
    places = [next(i for i, one in enumerate(found) if (one == tune).all()) for tune in wanted]
    assert places == sorted(places)
    assert places[0] == 0
    np.testing.assert_array_equal(found[-1], wanted[-1])
    assert seqvae.path(model, TUNES[:4], 12, even=even) == path


def test_the_inputs_of_unequal_length_all_fit(model: Model) -> None:
    given_items = [TUNES[0], melody(20, bars=5), melody(21, bars=4)]
    assert [clip.length_beats for clip in seqvae.path(model, given_items, 5)] == [24.0] * 5
    assert [clip.length_beats for clip in seqvae.path(model, given_items, 5, fit="cut")] == [8.0] * 5
    assert fit_all(model, []) == []


def test_even_timing_makes_the_largest_step_smaller(model: Model) -> None:
    def largest(path: list[Clip]) -> float:
        tokens = tokens_of(path, model)
        moves = [model.distance(a, b) for a, b in pairwise(tokens)]
        return max(moves) / sum(moves)

    pairs = [(TUNES[i], TUNES[i + 1]) for i in range(0, 8, 2)]
    plain, even = ([largest(seqvae.path(model, pair, 6, even=even)) for pair in pairs] for even in (False, True))
    assert all(after <= before + 1e-9 for before, after in zip(plain, even, strict=True))
    assert np.mean(even) < np.mean(plain)


def test_even_timing_of_equal_items_is_plain_and_says_that_there_is_one(model: Model) -> None:
    passages = [model.passage(TUNES[3])] * 2
    found = even_timing(model, passages, 5)
    assert found.distinct == 1
    np.testing.assert_array_equal(found.timing.amounts, plain_timing(2, 5).amounts)


def test_opposite_items_have_a_path_without_nan(model: Model) -> None:
    start = model.passage(TUNES[0])
    end = replace(start, z=-start.z)
    path = path_through(model, [start, end], even_timing(model, [start, end], 5).timing)
    assert all(np.isfinite(one.z).all() for one in path)


# -- grids -------------------------------------------------------------------------------------------------------------


def test_the_edges_of_a_grid_of_items_are_paths(model: Model) -> None:
    cells = seqvae.grid(model, *TUNES[:4], rows=3, columns=4)
    assert [len(row) for row in cells] == [4, 4, 4]
    tokens = np.stack([tokens_of(row, model) for row in cells])
    for edge, first, last in ((tokens[0], 0, 1), (tokens[-1], 2, 3), (tokens[:, 0], 0, 2), (tokens[:, -1], 1, 3)):
        path = model.interpolate(TUNES[first], TUNES[last], len(edge))
        np.testing.assert_array_equal(edge, tokens_of(path, model))
    assert cells[1][1].provenance.verb == "grid"


def test_tempo_and_loudness_are_mixed_of_four(model: Model) -> None:
    corners = [melody(i, tempo_qpm=tempo, velocity=10 * i + 40) for i, tempo in enumerate((60, 60, 240, 240))]
    cells = seqvae.grid(model, *corners, rows=3, columns=3)
    assert [round(row[1].tempos[0].tempo_qpm) for row in cells] == [60, 120, 240]
    assert int(cells[1][1].tracks[0].notes["velocity"].mean()) == 55


def test_a_grid_of_one_item_is_that_item_everywhere(model: Model) -> None:
    cells = seqvae.grid(model, *[TUNES[2]] * 4, rows=2, columns=3)
    for row in cells:
        np.testing.assert_array_equal(tokens_of(row, model), tokens_of([TUNES[2]] * 3, model))


def test_a_grid_of_one_row_is_refused(model: Model) -> None:
    with pytest.raises(DataError, match="at least 2"):
        seqvae.grid(model, *TUNES[:4], rows=1)


# -- walks -------------------------------------------------------------------------------------------------------------


def test_a_walk_begins_at_its_item_and_depends_on_its_seed_alone(model: Model) -> None:
    short, long, other = (seqvae.walk(model, TUNES[1], n, 0.5, seed=seed) for n, seed in ((3, 5), (6, 5), (6, 6)))
    np.testing.assert_array_equal(tokens_of(long[:1], model), tokens_of([TUNES[1]], model))
    z = [np.stack([clip.provenance.z for clip in walk]) for walk in (short, long, other)]
    np.testing.assert_array_equal(z[0], z[1][:3])
    assert (z[1][1:] != z[2][1:]).any()
    assert long[0].provenance.verb == "walk"


def test_a_walk_from_nowhere_begins_at_a_draw(model: Model) -> None:
    walk = seqvae.walk(model, steps=3, stride=0.2, seed=4)
    np.testing.assert_array_equal(walk[0].provenance.z, model.draw(1, seed=4))
    assert not np.array_equal(walk[1].provenance.z, model.draw(2, seed=4)[1:])
    assert [clip.length_beats for clip in seqvae.walk(model, melody(20, bars=4), 2)] == [16.0] * 2


@each_kind
def test_every_kind_has_paths_grids_and_walks(kind: str) -> None:
    tiny, windows = untrained(kind)
    items = [tiny.tokenizer.decode(row) for row in windows]
    items = [item for item in items if isinstance(item, Clip) or len(item)][:4]
    passages = [tiny.passage(item) for item in items]
    assert len(seqvae.path(tiny, items[:3], 5, even=True)) == 5
    path = path_through(tiny, passages, plain_timing(4, 7))
    for point, step in zip(passages, path[::2], strict=True):
        np.testing.assert_array_equal(step.z, point.z)
        np.testing.assert_array_equal(step.tokens, tiny.again(point).tokens)
    cells = grid_between(tiny, passages, 2, 3, temperature=0.7, seed=3)
    assert [len(row) for row in cells] == [3, 3]
    assert all(np.isfinite(cell.z).all() for row in cells for cell in row)
    walk = seqvae.walk(tiny, items[0], 3, 0.5, seed=1)
    assert all(equal(*pair) for pair in zip(walk, seqvae.walk(tiny, items[0], 3, 0.5, seed=1), strict=True))


def test_a_model_that_plays_to_a_pattern_walks_from_one_only() -> None:
    tiny, _ = untrained("groove-hits")
    with pytest.raises(DataError, match="draws none"):
        seqvae.walk(tiny)


def test_controls_hold_or_are_those_of_the_nearest() -> None:
    tiny, windows = untrained("melody-given")
    passages = [tiny.passage(tiny.tokenizer.decode(row)) for row in windows[:4]]
    own = [tiny.control_of(one.tokens) for one in passages]
    path = path_through(tiny, passages[:3], plain_timing(3, 7))
    for step, point in zip(path, (0, 0, 1, 1, 1, 2, 2), strict=True):
        np.testing.assert_array_equal(tiny.control_of(step.tokens), own[point])
    cells = grid_between(tiny, passages, 2, 2)
    for cell, point in zip([cell for row in cells for cell in row], range(4), strict=True):
        np.testing.assert_array_equal(tiny.control_of(cell.tokens), own[point])
    for row in grid_between(tiny, passages, 2, 2, control=own[3]):
        for cell in row:
            np.testing.assert_array_equal(tiny.control_of(cell.tokens), own[3])


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_a_grid_is_drawn_and_the_same_again(tmp_path: Path) -> None:
    clips = [melody(seed) for seed in range(6)]
    first = piano_roll_grid(clips, 3, tmp_path / "a.png", corners=("one", "two", "three", "four"))
    again = piano_roll_grid(clips, 3, tmp_path / "b.png", corners=("one", "two", "three", "four"))
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")
    piano_roll_grid([drum_clip(), Clip(length_beats=8.0)], 1, tmp_path / "drums.png")
    with pytest.raises(DataError, match="full rows"):
        piano_roll_grid(clips, 4, tmp_path / "c.png")


# -- the commands ------------------------------------------------------------------------------------------------------


def drum_clip(bars: int = 2, pitches: tuple[int, ...] = (36, 42, 38, 42)) -> Clip:
    """A beat in eighths."""
    notes = [(beat / 2, beat / 2 + 0.25, pitches[beat % len(pitches)], 90) for beat in range(8 * bars)]
    return Clip(tracks=(Track(notes=notes_array(notes), is_drum=True, name="kit"),), length_beats=4.0 * bars)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small models of three kinds, by the names that are bundled."""
    folder = tmp_path_factory.mktemp("models")
    text, beats = TextTokenizer(max_length=8).fit(TEXTS), [drum_clip(), drum_clip(pitches=(36, 38))]
    made = [
        replace(trained(), name="melody-2bar"),
        by_heart(replace(PRESET, name="captions", tokenizer=text), TEXTS, 80),
        by_heart(replace(PRESET, name="drums-2bar", tokenizer=DrumTokenizer()), beats, 0),
    ]
    return {one.name: save_model(folder / f"{one.name}.safetensors", one) for one in made}


@pytest.fixture
def seqvae_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> Any:
    """Runs a command line beside a.mid … d.mid, long.mid and beat.mid: exit code, stdout lines, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seqvae.checkpoint.bundled_models", lambda: models)
    for name, tune in zip("abcd", TUNES, strict=False):
        tune.save(f"{name}.mid")
    melody(20, bars=5).save("long.mid")
    drum_clip().save("beat.mid")
    drum_clip(pitches=(36, 38)).save("march.mid")

    def command(*arguments: object) -> tuple[int, list[str], str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return command


def one_line(err: str) -> str:
    """The only line of stderr, which must be an error."""
    assert err.count("\n") == 1, err
    assert err.startswith("Error: "), err
    return err.strip()


def test_interpolate_goes_through_many(seqvae_command: Any, model: Model) -> None:
    code, out, err = seqvae_command("interpolate", "a.mid", "b.mid", "c.mid", "--steps", 7)
    assert code == 0
    assert [Path(file).name for file in out] == [*(f"step-0{i}.mid" for i in range(1, 8)), "joined.mid", "strip.png"]
    assert Path(out[0]).parent.name == "out-interpolate-a-b-c"
    for step, tune in ((0, 0), (3, 1), (6, 2)):
        found = tokens_of([Clip.load(out[step])], model)
        np.testing.assert_array_equal(found, tokens_of([TUNES[tune]], model))
    assert Clip.load(out[7]).length_beats == 56
    table = [line.split() for line in err.splitlines()]
    assert (table[1][:2], table[2][:3], table[4][:2]) == (["1", "A"], ["2", "A-B", "0.33"], ["4", "B"])
    assert table[1][2] == table[4][2] == table[7][3] == "0.00"  # B begins the second leg
    said = json.loads(seqvae_command("interpolate", "a.mid", "b.mid", "c.mid", "--json", "-o", "x")[1][0])
    assert [step["leg"] for step in said["steps"]] == [1] * 3 + [2] * 5
    assert {"file", "amount", "to_a", "to_b"} <= set(said["steps"][0])


def test_exact_ends_are_all_inputs_themselves(seqvae_command: Any) -> None:
    melody(30).save("new.mid")  # a tune that the model does not know by heart
    code, out, _ = seqvae_command("interpolate", "a.mid", "new.mid", "b.mid", "--steps", 5, "--exact-ends")
    assert code == 0
    np.testing.assert_array_equal(Clip.load(out[2]).tracks[0].notes, melody(30).tracks[0].notes)


def test_options_once_or_once_for_each_of_many(seqvae_command: Any) -> None:
    words = ("interpolate", "long.mid", "long.mid", "long.mid", "--steps", 3)
    code, out, _ = seqvae_command(*words, "--bars", "1:2", "--bars", "3:4", "--bars", "2:3", "-o", "each")
    assert code == 0
    assert Clip.load(out[0]).length_beats == 8
    assert seqvae_command(*words, "--bars", "1:2", "-o", "once")[0] == 0
    code, _, err = seqvae_command(*words, "--bars", "1:2", "--bars", "3:4", "-o", "x")
    assert code == 2
    assert "once for each of the 3 inputs" in one_line(err)


def test_many_of_unequal_length_say_how_they_fit(seqvae_command: Any) -> None:
    code, out, err = seqvae_command("interpolate", "a.mid", "long.mid", "b.mid", "--steps", 3)
    assert code == 0
    assert err.splitlines()[0] == "a.mid has 1 windows, long.mid has 3 and b.mid has 1: --fit loop"
    assert Clip.load(out[0]).length_beats == 24


def test_more_inputs_than_steps_are_wrong_usage(seqvae_command: Any) -> None:
    code, out, err = seqvae_command("interpolate", "a.mid", "b.mid", "c.mid", "--steps", 2)
    assert (code, out) == (2, [])
    assert "--steps 2 are fewer than the 3 inputs" in one_line(err)


def test_even_steps_say_where_they_are_and_the_same_again(seqvae_command: Any) -> None:
    words = ("interpolate", "a.mid", "b.mid", "--steps", 5, "--even")
    code, out, err = seqvae_command(*words, "-o", "one")
    assert code == 0
    assert seqvae_command(*words, "-o", "two")[1] == [file.replace("one", "two") for file in out]
    assert [Path(file).read_bytes() for file in out] == [Path(file.replace("one", "two")).read_bytes() for file in out]
    table = [line.split() for line in err.splitlines()]
    assert (table[1][1], table[5][1]) == ("A", "B")
    assert all(line[1] == "A-B" for line in table[2:5])


def test_a_path_with_too_few_items_says_so_in_a_line(seqvae_command: Any) -> None:
    code, out, err = seqvae_command("interpolate", "a.mid", "a.mid", "--steps", 4, "--even")
    assert (code, len(out)) == (0, 6)
    assert err.splitlines()[0].startswith("--even: the path has 1 item for 4 steps, so some repeat")


def test_inputs_of_two_kinds_are_both_named(seqvae_command: Any) -> None:
    code, out, err = seqvae_command("interpolate", "a.mid", "beat.mid")
    assert (code, out) == (1, [])
    said = one_line(err)
    assert "a.mid has a melody in 4/4 (melody-2bar) and beat.mid has only drums (drums-2bar)" in said
    assert "no bundled model reads both" in said
    code, out, err = seqvae_command("grid", "beat.mid", "march.mid", "beat.mid", "c.mid")
    assert (code, out) == (1, [])
    assert "beat.mid has only drums (drums-2bar) and c.mid has a melody" in one_line(err)


def test_grid_writes_its_cells_the_whole_and_a_picture(seqvae_command: Any, model: Model) -> None:
    code, out, err = seqvae_command("grid", "a.mid", "b.mid", "c.mid", "d.mid", "--size", "3x2")
    assert code == 0
    names = [f"cell-0{row}-0{column}.mid" for row in (1, 2, 3) for column in (1, 2)]
    assert out == [f"out-grid-a-b-c-d/{name}" for name in [*names, "joined.mid", "grid.png"]]
    corners = tokens_of([Clip.load(out[index]) for index in (0, 1, 4, 5)], model)
    np.testing.assert_array_equal(corners, tokens_of(TUNES[:4], model))
    cells, joined = [Clip.load(file) for file in out[:6]], Clip.load(out[6])
    # The second row goes back: its second cell comes before its first.
    np.testing.assert_array_equal(
        joined.provenance.z, np.concatenate([cells[i].provenance.z for i in (0, 1, 3, 2, 4, 5)])
    )
    assert {clip.provenance.verb for clip in (*cells, joined)} == {"grid"}
    table = [line.split() for line in err.splitlines()]
    assert table[1] == ["1", "A", "0.00", "B", "0.00"]
    assert table[3] == ["3", "C", "0.00", "D", "0.00"]


def test_a_grid_in_json(seqvae_command: Any) -> None:
    words = ("grid", "a.mid", "b.mid", "c.mid", "long.mid", "--size", "2x3", "--temperature", 1, "--seed", 5, "--json")
    said = json.loads(seqvae_command(*words)[1][0])
    assert (said["rows"], said["columns"], said["seed"], len(said["cells"])) == (2, 3, 5, 6)
    last = said["cells"][-1]
    assert (last["row"], last["column"], last["file"]) == (2, 3, "out-grid-a-b-c-long/cell-02-03.mid")
    assert {"to_a", "to_b", "to_c", "to_d"} <= set(last)
    first = [Path(file).read_bytes() for file in said["files"]]
    said = json.loads(seqvae_command(*words, "--force")[1][0])
    assert [Path(file).read_bytes() for file in said["files"]] == first


def test_a_grid_of_texts_is_rows_of_cells(seqvae_command: Any) -> None:
    words = ("grid", *TEXTS, "--size", "2x3")
    code, out, _ = seqvae_command(*words)
    assert (code, len(out)) == (0, 2)
    rows = [line.split("\t") for line in out]
    assert [rows[0][0], rows[0][2], rows[1][0], rows[1][2]] == TEXTS
    said = json.loads(seqvae_command(*words, "--json")[1][0])
    assert said["items"] == rows
    assert seqvae_command(*words, "-o", "grid.txt")[1] == ["grid.txt"]
    assert Path("grid.txt").read_text().splitlines() == out


def test_grids_and_walks_of_drums(seqvae_command: Any) -> None:
    code, out, err = seqvae_command("grid", "beat.mid", "march.mid", "march.mid", "beat.mid", "--size", "2x2")
    assert (code, len(out)) == (0, 6)
    assert err.startswith("model drums-2bar")
    code, out, _ = seqvae_command("walk", "beat.mid", "--steps", 2, "--seed", 1)
    assert (code, len(out)) == (0, 4)


def test_exact_corners_are_the_inputs(seqvae_command: Any) -> None:
    melody(30).save("new.mid")
    code, out, _ = seqvae_command("grid", "a.mid", "new.mid", "b.mid", "c.mid", "--size", "2x2", "--exact-corners")
    assert code == 0
    np.testing.assert_array_equal(Clip.load(out[1]).tracks[0].notes, melody(30).tracks[0].notes)


@pytest.mark.parametrize("size", ["8", "1x4", "4x33", "axb", "0x0", "99999x2"])
def test_sizes_that_are_none_are_wrong_usage(seqvae_command: Any, size: str) -> None:
    code, out, err = seqvae_command("grid", "a.mid", "b.mid", "c.mid", "d.mid", "--size", size)
    assert (code, out) == (2, [])
    assert "is not of the form 8x8" in one_line(err)


def test_walk_writes_its_steps_and_says_how_far(seqvae_command: Any) -> None:
    code, out, err = seqvae_command("walk", "a.mid", "--steps", 3, "--stride", 0.6, "--seed", 1)
    assert code == 0
    assert out == [
        f"out-walk-a/{name}" for name in ("step-01.mid", "step-02.mid", "step-03.mid", "joined.mid", "strip.png")
    ]
    table = [line.split() for line in err.splitlines()]
    assert table[1] == ["1", "0.00", "0.00"]
    assert table[2][1] == table[2][2]  # of the second step the last is the first
    said = json.loads(seqvae_command("walk", "--steps", 4, "--seed", 1, "--json")[1][0])
    assert (said["verb"], said["stride"], len(said["steps"])) == ("walk", 0.3, 4)
    code, out, _ = seqvae_command("walk", TEXTS[0], "--steps", 3, "--seed", 1, "--stride", 0)
    assert (code, out) == (0, [TEXTS[0]] * 3)


def test_a_part_of_no_input_is_wrong_usage(seqvae_command: Any) -> None:
    code, out, err = seqvae_command("walk", "--bars", "1:2")
    assert (code, out) == (2, [])
    assert "what of an INPUT is meant" in one_line(err)
