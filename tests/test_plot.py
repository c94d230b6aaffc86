"""The pictures: what they show where, the same bytes each time, and nothing half-written."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from tiny import TUNES, melody

from seqvae.cli.app import main
from seqvae.clip import Clip, MeterChange, Track, notes_array
from seqvae.errors import DataError, WriteError
from seqvae.plot import changes_strip, piano_roll_strip, training_curves
from seqvae.plot.canvas import CATEGORIES, FROM_COLOUR, HAIR, INK, MUTED, PANEL, PAPER, TO_COLOUR
from seqvae.plot.curves import _smooth
from seqvae.plot.roll import chord_changes
from seqvae.plot.sheet import Panel, Sheet, rgb, text_width
from seqvae.plot.strip import part_names

fast = settings(max_examples=30)


def pixels(path: Path) -> np.ndarray:
    return matplotlib.image.imread(path)[..., :3]


def near(picture: np.ndarray, colour: str, tolerance: float = 0.02) -> np.ndarray:
    """Where a picture has a colour: bool (height, width)."""
    return np.abs(picture - np.array(to_rgb(colour))).max(axis=2) < tolerance


def columns_of(mask: np.ndarray) -> tuple[float, float]:
    """First and last column with a hit, as shares of the width."""
    columns = np.flatnonzero(mask.any(axis=0))
    return columns[0] / mask.shape[1], columns[-1] / mask.shape[1]


# -- piano rolls -------------------------------------------------------------------------------------------------------


def test_a_note_stands_where_it_sounds(tmp_path):
    clip = Clip.from_notes([(4, 6, 60, 127)], length_beats=8)
    mask = near(pixels(piano_roll_strip([clip], tmp_path / "a.png")), FROM_COLOUR)
    left, right = columns_of(mask)
    panel_left, panel_right = 0.36 / 12, 1 - 0.08 / 12
    width = panel_right - panel_left
    assert left == pytest.approx(panel_left + width * 4 / 8, abs=0.004)
    assert right == pytest.approx(panel_left + width * 6 / 8, abs=0.004)


def test_higher_is_further_up_and_softer_is_paler(tmp_path):
    clip = Clip.from_notes([(0, 2, 60, 127), (2, 4, 67, 127), (4, 6, 60, 20)], length_beats=8)
    picture = pixels(piano_roll_strip([clip], tmp_path / "a.png"))
    full = near(picture, FROM_COLOUR)
    width = full.shape[1]
    low_rows = np.flatnonzero(full[:, : width // 4].any(axis=1))
    high_rows = np.flatnonzero(full[:, width * 30 // 100 : width // 2].any(axis=1))
    assert high_rows.max() < low_rows.min()
    assert not full[:, width * 55 // 100 :].any()
    # The soft note lies at the height of the first, and has its own, paler, colour.
    row = picture[int(low_rows.mean()), width * 60 // 100]
    assert np.all(row > np.array(to_rgb(FROM_COLOUR)) + 0.2)
    assert row[2] > row[0]  # still blue


def test_the_path_goes_from_one_colour_to_another_unless_it_is_no_path(tmp_path):
    clip = Clip.from_notes([(0, 8, 60, 127)], length_beats=8)
    path = pixels(piano_roll_strip([clip] * 3, tmp_path / "a.png"))
    assert columns_of(near(path, FROM_COLOUR))[1] < 0.4
    assert columns_of(near(path, TO_COLOUR))[0] > 0.6
    plain = pixels(piano_roll_strip([clip] * 3, tmp_path / "b.png", path_colours=False))
    assert columns_of(near(plain, FROM_COLOUR))[1] > 0.9
    assert not near(plain, TO_COLOUR).any()


def test_many_clips_and_long_ones_wrap_into_rows(tmp_path):
    def height(clips: list[Clip]) -> int:
        return pixels(piano_roll_strip(clips, tmp_path / "a.png")).shape[0]

    assert height(TUNES) < height(TUNES * 2) < height(TUNES * 3)
    long = [melody(seed, bars=32) for seed in range(3)]
    assert height(TUNES[:3]) < height(long)
    assert pixels(piano_roll_strip(TUNES * 2, tmp_path / "a.png")).shape[1] == 2400


@pytest.mark.parametrize("kind", ["strip", "curves"])
def test_the_same_input_gives_the_same_bytes_whatever_the_users_settings(tmp_path, monkeypatch, kind):
    def draw() -> bytes:
        path = tmp_path / "a.png"
        return (piano_roll_strip(TUNES, path) if kind == "strip" else training_curves(metrics(), path)).read_bytes()

    first = draw()
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 30)
    assert draw() == first
    assert matplotlib.rcParams["axes.facecolor"] == "red"
    assert first.startswith(b"\x89PNG")
    assert b"Software" not in first


def test_the_edges(tmp_path):
    silence = Clip.from_notes([], length_beats=8)
    nothing = Clip()
    drums = Clip.from_notes([(0, 1, 36, 90)])
    waltz = Clip(tracks=drums.tracks, length_beats=6.0, meters=(MeterChange(0.0, 6, 8),))
    wide = Clip.from_notes([(0, 1, 0, 90), (1, 2, 127, 90)])
    piano_roll_strip([silence, nothing, drums, waltz, wide], tmp_path / "a.png")
    piano_roll_strip([nothing], tmp_path / "a.png")
    # A name in a script that the font lacks, a formula, a name much wider than its panel: no warning, no error.
    titles = ["月亮代表我的心\nx", "$\\frac{1", "long " * 40, "", "\n"]
    picture = pixels(piano_roll_strip([silence] * 5, tmp_path / "a.png", titles))
    gap = picture[:90, int(2400 * (0.36 + 3 * 11.56 / 5 - 0.03) / 12)]  # between the third title and the fourth
    assert np.all(gap == 1.0)


def drum_clip(hits: list[tuple[float, int, int]], beats: float = 8.0) -> Clip:
    """Hits are (beat, pitch, velocity)."""
    notes = notes_array([(beat, beat + 0.25, pitch, velocity) for beat, pitch, velocity in hits])
    return Clip(tracks=(Track(notes=notes, is_drum=True),), length_beats=beats)


def test_drums_have_nine_rows_the_kick_lowest(tmp_path):
    pitches = [36, 38, 42, 46, 45, 48, 50, 49, 51]  # kick, snare, closed and open hat, three toms, crash, ride
    picture = pixels(
        piano_roll_strip([drum_clip([(i / 2, p, 127) for i, p in enumerate(pitches)])], tmp_path / "a.png")
    )
    mask = near(picture, FROM_COLOUR)
    rows = [np.flatnonzero(mask[:, band].any(axis=1)).mean() for band in _bands(mask, len(pitches))]
    assert rows == sorted(rows, reverse=True)
    assert np.diff(rows).max() == pytest.approx(np.diff(rows).min(), abs=1.5)


def _bands(mask: np.ndarray, count: int) -> list[slice]:
    """The runs of columns that have a hit."""
    columns = np.flatnonzero(mask.any(axis=0))
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    assert len(runs) == count
    return [slice(run[0], run[-1] + 1) for run in runs]


def test_a_softer_hit_is_paler_and_what_no_kit_has_is_left_out(tmp_path):
    picture = pixels(piano_roll_strip([drum_clip([(0, 36, 127), (4, 36, 20)])], tmp_path / "a.png"))
    full = columns_of(near(picture, FROM_COLOUR))
    assert full[1] < 0.15
    row = int(np.flatnonzero(near(picture, FROM_COLOUR).any(axis=1)).mean())
    soft = picture[row, int(2400 * (0.62 + 11.3 * 0.505) / 12)]
    assert np.all(soft > np.array(to_rgb(FROM_COLOUR)) + 0.2)
    assert soft[2] > soft[0]
    only_foreign = pixels(piano_roll_strip([drum_clip([(0, 3, 127)])], tmp_path / "b.png"))
    assert not near(only_foreign, FROM_COLOUR).any()


def test_a_hit_beside_the_grid_has_a_line_to_its_place_where_there_is_room(tmp_path):
    straight, late = drum_clip([(2, 36, 127)]), drum_clip([(2.08, 36, 127)])

    def ink(clips: list[Clip]) -> int:
        panel = pixels(piano_roll_strip(clips, tmp_path / "a.png", [""] * len(clips)))[:, 130:]
        return int(near(panel, INK).sum())

    assert ink([straight]) == 0
    assert ink([late]) > 20
    assert ink([late] * 8) == 0  # a row of eight leaves a 16th too narrow
    mask = near(pixels(piano_roll_strip([late], tmp_path / "a.png")), FROM_COLOUR)
    assert columns_of(mask)[0] == pytest.approx((0.62 + 11.3 * 2.08 / 8) / 12, abs=0.001)


def test_parts_have_colours_of_their_own_and_drums_stand_below(tmp_path):
    high, low = ([(beat, beat + 1, pitch, 127) for beat in range(8)] for pitch in (72, 48))
    parts = tuple(Track(notes=notes_array(notes), name=name) for notes, name in ((high, "melody"), (low, "bass")))
    trio = Clip(tracks=(*parts, *drum_clip([(0, 36, 127)]).tracks), length_beats=8)
    picture = pixels(piano_roll_strip([trio, trio], tmp_path / "a.png"))
    upper, lower = (np.flatnonzero(near(picture, colour).sum(axis=1) > 1000) for colour in CATEGORIES[:2])
    assert len(upper)
    assert len(lower)
    assert upper.max() < lower.min()
    hits = near(picture[lower.max() + 20 :], FROM_COLOUR)
    assert hits.any()
    alone = Clip(tracks=parts[:1], length_beats=8)
    assert pixels(piano_roll_strip([alone, alone], tmp_path / "b.png")).shape[0] < picture.shape[0]


def test_chords_are_named_where_they_change(tmp_path):
    notes = [
        (beat, beat + 2, pitch, 60)
        for beat, root in ((0, 60), (2, 60), (4, 65))
        for pitch in (root, root + 4, root + 7)
    ]
    track = Track(notes=notes_array(notes), name="CHORDS")
    assert chord_changes(track) == [(0.0, "C"), (4.0, "F")]
    melody_alone = Clip.from_notes([(0, 8, 72, 80)])
    named = Clip(tracks=(*melody_alone.tracks, track), length_beats=8)
    assert part_names([named]) == []  # chords are no part with a colour
    with_names = pixels(piano_roll_strip([named], tmp_path / "a.png", [""]))
    assert near(with_names[:80], INK, 0.1).any()
    assert not near(pixels(piano_roll_strip([melody_alone], tmp_path / "b.png", [""]))[:80], INK, 0.1).any()


def test_chords_that_have_no_room_lose_their_names_and_nothing_else(tmp_path):
    notes = [(beat / 4, beat / 4 + 0.25, 60 + p + beat % 2, 60) for beat in range(256) for p in (0, 4, 7, 10)]
    clip = Clip(tracks=(Track(notes=notes_array(notes), name="CHORDS"),), length_beats=64)
    assert len(chord_changes(clip.tracks[0])) == 256
    piano_roll_strip([clip] * 3, tmp_path / "a.png")


def test_many_tracks_are_an_accompaniment_in_grey(tmp_path):
    tracks = [Track(notes=notes_array([(0, 8, 40 + 4 * i, 127)]), name=f"t{i}") for i in range(9)]
    clip = Clip(tracks=tuple(tracks), length_beats=8)
    assert part_names([clip]) == []
    picture = pixels(piano_roll_strip([clip], tmp_path / "a.png"))
    assert near(picture, FROM_COLOUR).any()
    assert not near(picture, CATEGORIES[1]).any()


@pytest.mark.parametrize(("clips", "titles"), [([], None), (TUNES[:2], ["one"])])
def test_what_cannot_be_drawn(tmp_path, clips, titles):
    with pytest.raises(DataError):
        piano_roll_strip(clips, tmp_path / "a.png", titles)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    target.write_text("mine")
    with pytest.raises(WriteError, match="--force"):
        piano_roll_strip(TUNES[:1], target, overwrite=False)
    assert target.read_text() == "mine"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqvae.files.os.replace", full)
    with pytest.raises(WriteError, match="No space left"):
        piano_roll_strip(TUNES[:1], target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert target.read_text() == "mine"


def test_pyplot_is_never_loaded(tmp_path):
    code = f"""
import sys
import numpy as np
from seqvae.clip import Clip
from seqvae.plot import latent_map, piano_roll_strip, training_curves
from seqvae.projection import pca
assert "matplotlib" not in sys.modules
piano_roll_strip([Clip.from_notes([(0, 1, 60, 80)])], r"{tmp_path}/a.png")
assert "matplotlib" not in sys.modules
training_curves([{{"step": 1, "kl": 1.0}}], r"{tmp_path}/b.png")
latent_map(pca(np.eye(4)), r"{tmp_path}/c.png", values=np.arange(4.0))
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_cold_path_with_its_picture_imports_neither_matplotlib_nor_torch(tmp_path):
    examples = Path(__file__).resolve().parent.parent / "examples"
    words = ["interpolate", *(str(examples / name) for name in ("a.mid", "b.mid")), "-o", str(tmp_path / "path")]
    code = f"""
import sys
from seqvae.cli.app import main
assert main({words!r}) == 0
assert not {{"matplotlib", "torch"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert pixels(tmp_path / "path" / "strip.png").shape[1] == 2400


# -- what they are drawn on --------------------------------------------------------------------------------------------


def whole_pixels(sheet: Sheet, folder: Path) -> np.ndarray:
    return np.rint(pixels(sheet.save(folder / "sheet.png", overwrite=True)) * 255).astype(int)


def panel_on(sheet: Sheet) -> Panel:
    """100 pixels wide and high, a beat and a row 10 of them each, at 50 from the left and the top."""
    panel = Panel(sheet=sheet, left=50, top=50, right=150, bottom=150, beats=10.0, low=0.0, high=10.0)
    panel.clear()
    return panel


edges = st.integers(-5, 110)


@fast
@given(st.lists(st.tuples(edges, edges, edges, edges, st.sampled_from(CATEGORIES)), max_size=5))
def test_a_sheet_is_read_back_as_it_was_drawn(tmp_path_factory, boxes):
    sheet = Sheet(0.5)
    expected = np.full((100, 2400, 3), 255)
    for left, top, right, bottom, colour in boxes:
        sheet.box(left, top, right, bottom, colour)
        expected[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = np.rint(255 * rgb(colour))
    np.testing.assert_array_equal(whole_pixels(sheet, tmp_path_factory.getbasetemp()), expected)


def test_a_panel_puts_beats_and_rows_on_pixels(tmp_path):
    sheet = Sheet(1.0)
    panel = panel_on(sheet)
    panel.boxes(2.0, 4.0, 7.0, 8.0, [INK])  # beats 2 to 4 are at 70 to 90, rows 7 to 8 at 80 to 70
    panel.uprights(5.0, HAIR, 0.36)  # a pixel: at 100
    panel.levels(5.0, 6.0, 9.0, MUTED, 0.72)  # two: around 100
    panel.frames(6.0, 8.0, 1.0, 3.0, TO_COLOUR, 0.72)  # beats 6 to 8 are at 110 to 130, rows 1 to 3 at 140 to 120
    found = whole_pixels(sheet, tmp_path)
    expected = np.full_like(found, 255)
    for rows, columns, colour in (
        (slice(50, 150), slice(50, 150), PANEL),
        (slice(70, 80), slice(70, 90), INK),
        (slice(50, 150), slice(100, 101), HAIR),
        (slice(99, 101), slice(110, 140), MUTED),
        (slice(119, 141), slice(109, 131), TO_COLOUR),
        (slice(121, 139), slice(111, 129), PANEL),
    ):
        expected[rows, columns] = np.rint(255 * rgb(colour))
    np.testing.assert_array_equal(found, expected)


def test_what_reaches_beyond_a_panel_is_cut_off(tmp_path):
    sheet = Sheet(1.0)
    panel = panel_on(sheet)
    panel.boxes([-3.0, 8.0], [1.0, 13.0], [-2.0, 9.0], [1.0, 30.0], [INK] * 2, 0.7)
    panel.frames(-1.0, 11.0, -1.0, 11.0, INK, 1.0)
    panel.uprights([-2.0, 0.0, 10.0, 12.0], INK, 2.0)
    panel.levels([-2.0, 0.0, 10.0, 12.0], -5.0, 20.0, INK, 2.0)
    found = whole_pixels(sheet, tmp_path)
    assert np.any(found[50:150, 50:150] < 128)
    found[50:150, 50:150] = 255
    assert np.all(found == 255)


def test_notes_that_follow_on_one_pitch_are_apart_and_the_thinnest_is_seen(tmp_path):
    sheet = Sheet(1.0)
    panel = panel_on(sheet)
    for row, gap in ((2.0, 0.7), (4.0, 0.2)):
        panel.boxes([2.0, 4.0], [4.0, 6.0], row, row + 1, [INK] * 2, gap)
    panel.boxes([2.0, 2.02], [2.02, 2.04], 6.0, 7.0, [INK, TO_COLOUR], 0.7)  # a fifth of a pixel each
    found = whole_pixels(sheet, tmp_path)
    ground, ink = np.rint(255 * rgb(PANEL)), np.rint(255 * rgb(INK))
    for row in (125, 105):
        line = found[row, 70:110]
        apart = np.flatnonzero(np.all(line == ground, axis=1))
        assert 0 < np.sum((apart > 15) & (apart < 25)) <= 2
        assert np.all(line[2:18] == ink) and np.all(line[22:38] == ink)
    assert np.all(found[85, 70] == np.rint(255 * rgb(TO_COLOUR)))


@pytest.mark.parametrize(("side", "before"), [("left", 0.0), ("middle", 0.5), ("right", 1.0)])
def test_words_are_as_wide_as_measured_and_stand_where_they_are_put(tmp_path, side, before):
    width = text_width("Hello", 9.0)
    sheet = Sheet(0.5)
    sheet.text(1000.0, 60.0, "Hello", points=9.0, side=side)
    inked = np.any(whole_pixels(sheet, tmp_path) < 200, axis=2)
    columns, rows = np.flatnonzero(inked.any(axis=0)), np.flatnonzero(inked.any(axis=1))
    assert columns[0] == pytest.approx(1000 - before * width, abs=5)
    assert columns[-1] == pytest.approx(1000 + (1 - before) * width, abs=5)
    assert abs(rows[-1] - 59) <= 1  # an H stands on its line
    assert text_width("Hello", 9.0, "-Bold") > width > text_width("Hello", 7.0)


@pytest.mark.parametrize("words", ["月亮", "😀", "a\udce9b", "\t\x00", "a\r\nb\nc", "\u2028", ""])
def test_words_without_letters_in_the_font_are_boxes_in_one_line(tmp_path, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sheet = Sheet(0.5)
        sheet.text(100.0, 60.0, words, points=9.0)
    rows = np.flatnonzero(np.any(whole_pixels(sheet, tmp_path) < 200, axis=(1, 2)))
    assert not len(rows) or 30 < rows[0] <= rows[-1] < 70
    assert text_width(words, 9.0) >= 0


@pytest.mark.parametrize("colour", [*CATEGORIES, INK, PAPER, PANEL])
def test_colours_are_those_of_matplotlib(colour):
    np.testing.assert_array_equal(rgb(colour), to_rgb(colour))


def test_changes_are_struck_out_and_coloured(tmp_path):
    before = Clip.from_notes([(0, 2, 60, 90), (4, 6, 64, 90)], length_beats=8)
    after = Clip.from_notes([(0, 2, 60, 90), (4, 6, 67, 90)], length_beats=8)
    picture = pixels(changes_strip(before, after, tmp_path / "a.png"))[60:]  # without the legend
    gone, new = near(picture, TO_COLOUR), near(picture, FROM_COLOUR)
    left, width = 0.36 / 12, (12 - 0.36 - 0.08) / 12
    assert columns_of(new) == pytest.approx((left + width / 2, left + width * 6 / 8), abs=0.001)
    assert columns_of(gone) == pytest.approx((left + width * 3.92 / 8, left + width * 6.08 / 8), abs=0.001)
    assert np.flatnonzero(new.any(axis=1)).max() < np.flatnonzero(gone.any(axis=1)).min()
    assert new.sum() > gone.sum() > 0  # filled, and an outline


# -- training curves ---------------------------------------------------------------------------------------------------


def metrics(steps: int = 40) -> list[dict[str, float | str]]:
    lines: list[dict[str, float | str]] = []
    for step in range(1, steps + 1):
        lines.append({"split": "train", "step": step, "recon_nll": 50 / step, "kl": step / 2, "beta": 0.2})
        if step % 10 == 0:
            lines.append({"split": "valid", "step": step, "recon_nll": 55 / step, "free_onset_accuracy": step / steps})
    return lines


def test_curves_show_both_splits_and_forgive_gaps(tmp_path):
    lines = metrics()
    picture = pixels(training_curves(lines, tmp_path / "a.png"))
    first_panel = picture[: picture.shape[0] // 2, : picture.shape[1] // 3]
    assert near(first_panel, FROM_COLOUR).any()
    assert near(first_panel, TO_COLOUR).any()
    lines[3]["recon_nll"] = float("nan")
    del lines[5]["kl"]
    training_curves([*lines, {"step": 41, "split": "train", "kl": None}], tmp_path / "b.png")
    training_curves(lines[:1], tmp_path / "c.png")


def test_curves_are_the_same_bytes_and_in_the_order_of_the_steps(tmp_path):
    first = training_curves(metrics(), tmp_path / "a.png").read_bytes()
    assert training_curves(metrics()[::-1], tmp_path / "b.png").read_bytes() == first


@pytest.mark.parametrize(
    "lines", [[], [{"step": 3}], [{"split": "train", "kl": 2.0}], [{"step": 1, "kl": float("inf")}]]
)
def test_no_curve_is_an_error(tmp_path, lines):
    with pytest.raises(DataError, match="nothing to draw"):
        training_curves(lines, tmp_path / "a.png")


@fast
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.integers(1, 9))
def test_smoothing_is_the_mean_around(values, width):
    array = np.array(values)
    found = _smooth(array, width)
    for at in range(len(array)):
        reach = min(width, at, len(array) - 1 - at)
        assert found[at] == pytest.approx(array[at - reach : at + reach + 1].mean(), abs=1e-9)


def test_smoothing_leaves_a_straight_line_as_it_is():
    line = 3.0 - 0.5 * np.arange(50)
    np.testing.assert_allclose(_smooth(line, 7), line)


# -- the verb ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def plot(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(["plot", *(str(argument) for argument in arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_plot_path_draws_files_in_order(plot):
    for number, tune in enumerate(TUNES[:3]):
        tune.save(f"{number}.mid")
    assert plot("path", "0.mid", "1.mid", "2.mid") == (0, "strip.png\n", "")
    assert plot("path", "0.mid", "1.mid", "2.mid", "-o", "b.png", "--bars", "2", "--plain")[0] == 0
    assert pixels(Path("strip.png")).shape == pixels(Path("b.png")).shape
    code, _, err = plot("path", "0.mid")
    assert code == 1
    assert "strip.png: exists already" in err
    assert plot("path", "0.mid", "--force", "--json") == (0, '{"files": ["strip.png"]}\n', "")


def test_plot_curves_draws_a_run(plot):
    Path("run").mkdir()
    Path("run/metrics.jsonl").write_text('{"step": 1, "kl": 2.0}\n{"step": 2, "kl": 1.0}\n{"step": 3, "k')
    assert plot("curves", "run") == (0, "curves.png\n", "")
    assert plot("curves", "run/metrics.jsonl", "-o", "b.png")[0] == 0
    assert Path("b.png").read_bytes() == Path("curves.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Missing command"),
        (("path",), 2, "CLIPS"),
        (("path", "nowhere.mid"), 1, "nowhere.mid"),
        (("path", "one.mid", "-o", "a.jpg"), 2, "does not end in .png"),
        (("path", "one.mid", "-o", "folder.png"), 1, "is a folder"),
        (("path", "one.mid", "--track", "7"), 1, "no track '7'"),
        (("curves", "nowhere"), 1, "nowhere"),
        (("curves", "one.mid"), 1, "metrics.jsonl"),
        (("curves", "words.jsonl"), 1, "line 1 is no JSON"),
        (("curves", "list.jsonl"), 1, "line 1 is no set of figures"),
    ],
)
def test_mistakes_are_one_line(plot, arguments, code, words):
    TUNES[0].save("one.mid")
    Path("folder.png").mkdir()
    Path("words.jsonl").write_text("step, kl\n1, 2\n")
    Path("list.jsonl").write_text("[1]\n[2]\n")
    before = sorted(Path().rglob("*"))
    found, out, err = plot(*arguments)
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert words in err
    assert sorted(Path().rglob("*")) == before
