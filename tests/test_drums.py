"""Drums: the map of nine classes, patterns on the grid, what of a kit is carried along, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvae.clip import Clip, MeterChange, Track, notes_array
from seqvae.errors import DataError
from seqvae.tokenizers import DrumTokenizer
from seqvae.tokenizers.percussion import CLASSES, KIT, WRITTEN, classes_of, drum_notes, struck_within

KICK, SNARE, CLOSED, OPEN = 1, 2, 4, 8
Note = tuple[float, float, int, int]


def kit(*notes: Note, beats: float = 8.0, **track: object) -> Clip:
    """A clip with one drum track."""
    drums = Track(notes=notes_array(notes), is_drum=True, **track)  # type: ignore[arg-type]
    return Clip(tracks=(drums,), length_beats=beats, name="a.mid")


@st.composite
def any_kit(draw: st.DrawFn, beats: float = 20.0) -> Clip:
    """Hits anywhere, of any pitch and length, on one or two drum tracks beside a pitched one."""
    times = st.floats(0, beats, allow_nan=False) | st.integers(0, int(beats * 4)).map(lambda step: step / 4)
    note = st.tuples(times, st.floats(0.01, 3), st.integers(0, 127), st.integers(1, 127))
    tracks = []
    for is_drum in (False, True, True):
        found = draw(st.lists(note, min_size=int(is_drum), max_size=20))
        notes = notes_array((start, start + length, pitch, velocity) for start, length, pitch, velocity in found)
        tracks.append(Track(notes=notes, is_drum=is_drum))
    return Clip(tracks=tuple(tracks), length_beats=np.ceil(max(track.end_beats for track in tracks) / 4) * 4)


# -- the map ---------------------------------------------------------------------------------------------------------


def test_each_pitch_has_one_class_and_each_class_is_written_as_itself() -> None:
    pitches = [pitch for of in KIT.values() for pitch in of]
    assert len(pitches) == len(set(pitches)) == 63
    assert len(CLASSES) == 9
    np.testing.assert_array_equal(classes_of(WRITTEN), np.arange(9))
    assert WRITTEN.tolist() == [36, 38, 42, 46, 45, 48, 50, 49, 51]
    assert {pitch for pitch in range(128) if classes_of(np.array([pitch]))[0] < 0}.isdisjoint(pitches)


def test_what_electronic_kits_have_is_in_the_map() -> None:
    """In the Groove corpus 22 and 26 are the edge of the hi-hat, 40 the rim of the snare."""
    names = [CLASSES[index] for index in classes_of(np.array([22, 26, 40, 37, 55, 53]))]
    assert names == ["closed hat", "open hat", "snare", "snare", "crash", "ride"]


# -- laws --------------------------------------------------------------------------------------------------------------


@given(clip=any_kit())
def test_a_token_says_which_classes_are_struck_there(clip: Clip) -> None:
    """The slow way: note by note, in Python's integers."""
    tokenizer = DrumTokenizer(bars=1, min_onsets=0)
    expected = [0] * 16
    for track in clip.tracks[1:]:
        for start, _, pitch, _ in track.notes.tolist():
            step, found = int(start * 4 + 0.5 + 1e-6), [pitch in of for of in KIT.values()]
            if step < 16 and any(found):
                expected[step] |= 1 << found.index(True)
    assert tokenizer.encode(clip).tolist() == expected


@given(clip=any_kit())
def test_windows_are_the_pieces_encoded(clip: Clip) -> None:
    tokenizer = DrumTokenizer(min_onsets=0, hop_bars=2)
    found, pieces = tokenizer.windows(clip), tokenizer.split(clip)
    for row, start in zip(found.tokens, found.starts, strict=True):
        np.testing.assert_array_equal(row, tokenizer.encode(pieces[int(start // 8)]))


@given(clip=any_kit())
def test_notes_without_a_class_are_counted_one_by_one(clip: Clip) -> None:
    outside = sum(int((classes_of(track.notes["pitch"]) < 0).sum()) for track in clip.tracks[1:])
    skipped = DrumTokenizer(bars=1).windows(clip).skipped
    assert sum(count for reason, count in skipped.items() if "no drum" in reason) == outside
    assert sum(drum_notes(clip).outside.values()) == outside


@given(clip=any_kit(beats=7.5))
def test_a_pattern_keeps_how_loud_it_is_played(clip: Clip) -> None:
    """Of a cell's notes the loudest counts; every hit of the pattern is there, and as loud."""
    tokenizer = DrumTokenizer()
    again = tokenizer.decode(tokenizer.encode(clip), tokenizer.style(clip))
    loudest: dict[tuple[int, int], int] = {}
    for track in clip.tracks[1:]:
        classes = classes_of(track.notes["pitch"]).tolist()
        for (start, _, _, velocity), of in zip(track.notes.tolist(), classes, strict=True):
            cell = int(start * 4 + 0.5 + 1e-6), of
            if of >= 0 and cell[0] < tokenizer.length:
                loudest[cell] = max(loudest.get(cell, 0), velocity)
    played = again.tracks[0].notes
    cells = zip((played["start_beats"] * 4).astype(int).tolist(), classes_of(played["pitch"]).tolist(), strict=True)
    assert dict(zip(cells, played["velocity"].tolist(), strict=True)) == loudest


# -- worked cases ------------------------------------------------------------------------------------------------------


def test_a_rock_beat() -> None:
    beat = kit(
        (0, 1, 36, 90), (0, 0.1, 42, 60), (0.98, 2, 38, 99), (1.02, 1.1, 42, 60), (2, 9, 35, 80), (3, 3.1, 46, 70)
    )
    tokens = DrumTokenizer(bars=1).encode(beat)
    assert np.flatnonzero(tokens).tolist() == [0, 4, 8, 12]
    assert tokens[[0, 4, 8, 12]].tolist() == [KICK + CLOSED, SNARE + CLOSED, KICK, OPEN]


def test_names() -> None:
    tokenizer = DrumTokenizer()
    assert tokenizer.token_name(0) == "rest" and tokenizer.token_name(KICK + CLOSED) == "kick+closed hat"
    assert tokenizer.step_name(18) == "bar 2 beat 1.5"


def test_all_drum_tracks_are_one_kit_and_pitched_ones_are_not_read() -> None:
    bass = Track(notes=notes_array([(0, 4, 36, 80), (1, 2, 38, 80)]), program=33)
    first, second = kit((0, 1, 36, 80)).tracks[0], kit((2, 3, 38, 80)).tracks[0]
    clip = Clip(tracks=(bass, first, second), length_beats=4.0)
    tokenizer = DrumTokenizer(bars=1, min_onsets=0)
    assert np.flatnonzero(tokenizer.encode(clip)).tolist() == [0, 8]
    assert np.flatnonzero(tokenizer.windows(clip, "2").tokens[0]).tolist() == [8]
    assert np.flatnonzero(tokenizer.windows(clip, "0").tokens[0]).tolist() == [0, 4]
    piece = tokenizer.split(clip, "0")[0]
    assert piece.tracks[0].is_drum and piece.tracks[0].program == 0


def test_what_is_held_over_a_bar_line_is_not_struck_again() -> None:
    """A crash of two bars is one hit; one struck a little early belongs to the bar that it is early for."""
    clip = kit((3.5, 12, 49, 80), (7.95, 8.2, 36, 80), beats=16.0)
    first, second = DrumTokenizer().split(clip)
    assert np.flatnonzero(DrumTokenizer().encode(first)).tolist() == [14]
    assert np.flatnonzero(DrumTokenizer().encode(second)).tolist() == [0]
    chosen = struck_within(clip, 8.0, 16.0).cut(8.0, 16.0)
    assert chosen.tracks[0].notes[["start_beats", "pitch"]].tolist() == [(0.0, 36)]


def test_style_goes_along() -> None:
    clip = kit((0, 1, 36, 100), (1, 2, 36, 50), (2, 3, 42, 31), program=16, name="Kit")
    style = DrumTokenizer(bars=1).style(clip)
    assert (style.tempo_qpm, style.program, style.name) == (120.0, 16, "Kit")
    assert style.velocities.shape == (16, 9)
    assert style.velocities[[0, 3, 4, 15], 0].tolist() == [100, 100, 50, 50]
    assert style.velocities[0, 2] == 31 and style.velocities[0, 8] == pytest.approx(181 / 3)
    made = DrumTokenizer(bars=1).decode(np.array([1, 0, 0, 4] + [0] * 12), style)
    assert made.tracks[0].is_drum and made.tracks[0].program == 16
    assert made.tracks[0].notes["velocity"].tolist() == [100, 31]
    half = style.blend(DrumTokenizer(bars=1).style(kit((0, 1, 36, 50))), 0.5)
    assert half.velocities.shape == (16, 9) and half.velocities[0, 0] == 75


def test_silence_is_a_kit_that_rests() -> None:
    tokenizer = DrumTokenizer(bars=1)
    silent = tokenizer.decode(np.zeros(16, np.int64))
    assert silent.tracks[0].is_drum and not silent.note_count and silent.length_beats == 4
    assert not tokenizer.encode(silent).any() and not tokenizer.encode(Clip()).any()
    assert len(tokenizer.split(silent)) == 1
    assert (tokenizer.style(silent).velocities == 80).all()


@pytest.mark.parametrize(
    ("clip", "track", "message"),
    [
        (
            Clip.from_notes([(0, 1, 60, 80)], name="a.mid"),
            None,
            "a.mid: it has no drum track and drums are asked for; ",
        ),
        (Clip(name="a.mid"), None, "a.mid: it has no notes and drums are asked for"),
        (kit((0, 1, 36, 80), name="Kit"), "bass", "a.mid: there is no track 'bass'; it has: 0 Kit"),
        (kit(), "0", "a.mid: track '0' has no notes and drums are asked for"),
    ],
    ids=["pitched only", "empty", "no such track", "a track without notes"],
)
def test_refusals_are_one_line(clip: Clip, track: str | None, message: str) -> None:
    for use in (DrumTokenizer().windows, DrumTokenizer().split):
        with pytest.raises(DataError) as caught:
            use(clip, track)
        assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_another_meter_is_said() -> None:
    waltz = Clip(tracks=kit((0, 1, 36, 80)).tracks, length_beats=6.0, meters=(MeterChange(0.0, 3, 4),), name="w.mid")
    assert DrumTokenizer().windows(waltz).skipped == {"bars not in 4/4": 2}
    with pytest.raises(DataError, match=r"w\.mid: its meter is 3/4 and the model's is 4/4"):
        DrumTokenizer().split(waltz)
    assert len(DrumTokenizer(meter="3/4").windows(waltz).tokens) == 0  # one onset, and 4 are needed
    assert len(DrumTokenizer(meter="3/4", min_onsets=1).windows(waltz).tokens) == 1


def test_reads_back_what_it_writes(tmp_path: Path) -> None:
    tokenizer = DrumTokenizer()
    tokens = np.random.default_rng(3).integers(0, 512, tokenizer.length)
    tokenizer.write(tokenizer.decode(tokens), tmp_path / "a.mid", overwrite=False)
    np.testing.assert_array_equal(tokenizer.encode(tokenizer.read(tmp_path / "a.mid")), tokens)
