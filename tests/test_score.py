"""Scores: MusicXML, ABC and kern become clips with their bar lines where they were; other files are refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.clip import Clip, MeterChange, TempoChange, Track, notes_array
from seqvae.errors import ReadError
from seqvae.midi import midi_bytes
from seqvae.score import SUFFIXES, abc_tunes, from_music21, read_clip, read_clips, to_music21

# -- scores by hand --------------------------------------------------------------------------------------------------


def note(step: str, octave: int, quarters: int, extra: str = "") -> str:
    """A MusicXML note of some quarters; `extra` goes where ties and grace marks do."""
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    grace = "<grace/>" if extra == "grace" else ""
    chord = "<chord/>" if extra == "chord" else ""
    duration = "" if grace else f"<duration>{quarters}</duration>"
    ties = {"start": '<tie type="start"/>', "stop": '<tie type="stop"/>'}.get(extra, "")
    if extra == "both":
        ties = '<tie type="stop"/><tie type="start"/>'
    return f"<note>{grace}{chord}{pitch}{duration}{ties}</note>"


def musicxml(*measures: str, transpose: str = "", part: str = "Flute", midi: str = "", extra_part: str = "") -> str:
    """A MusicXML score in 4/4, one division a quarter."""
    attributes = f"<divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time>{transpose}"
    measures = (f"<attributes>{attributes}</attributes>{measures[0]}", *measures[1:])
    body = "".join(f'<measure number="{number}">{measure}</measure>' for number, measure in enumerate(measures, 1))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="3.1"><part-list>'
        f'<score-part id="P1"><part-name>{part}</part-name>{midi}</score-part>{extra_part}</part-list>'
        f'<part id="P1">{body}</part></score-partwise>'
    )


def read(tmp_path: Path, text: str | bytes, name: str = "it.musicxml") -> Clip:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_clip(path)


def mxl(**files: str) -> bytes:
    """A zip archive of these files; `__` in a name stands for a slash."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return file.getvalue()


def notes(clip: Clip, index: int = 0) -> list[tuple[float, float, int]]:
    return [(start, end, pitch) for start, end, pitch, _ in clip.tracks[index].notes.tolist()]


WHOLE = note("C", 4, 4)
SCALE = musicxml(note("C", 4, 1) + note("D", 4, 1) + note("E", 4, 2), note("F", 4, 4))


# -- MusicXML --------------------------------------------------------------------------------------------------------


def test_notes_meter_name_and_program_of_a_score(tmp_path: Path) -> None:
    clip = read(tmp_path, SCALE)
    assert notes(clip) == [(0, 1, 60), (1, 2, 62), (2, 4, 64), (4, 8, 65)]
    assert clip.length_beats == 8
    assert clip.meters == (MeterChange(0, 4, 4),)
    assert clip.tempos == (TempoChange(0, 120),)
    assert [(part.name, part.program, part.is_drum) for part in clip.tracks] == [("Flute", 73, False)]
    assert clip.name == "it.musicxml"


@pytest.mark.parametrize("name", ["it.xml", "it.MusicXML", "it.mxl"])
def test_the_same_score_under_other_suffixes(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, SCALE, name).tracks == read(tmp_path, SCALE).tracks


def test_ties_are_one_note_and_a_repeated_note_is_two(tmp_path: Path) -> None:
    first = note("C", 4, 2) + note("C", 4, 2, "start")
    clip = read(tmp_path, musicxml(first, note("C", 4, 4, "both"), note("C", 4, 1, "stop") + note("C", 4, 3)))
    assert notes(clip) == [(0, 2, 60), (2, 9, 60), (9, 12, 60)]


def test_a_chord_is_its_notes_and_a_grace_note_is_none(tmp_path: Path) -> None:
    chord = note("D", 4, 0, "grace") + note("C", 4, 4, "start") + note("E", 4, 4, "chord")
    clip = read(tmp_path, musicxml(chord, note("C", 4, 4, "stop")))
    assert notes(clip) == [(0, 8, 60), (0, 4, 64)]


def test_a_pickup_stays_a_short_bar_of_the_same_meter(tmp_path: Path) -> None:
    score = musicxml(note("G", 4, 1), WHOLE, WHOLE, note("C", 4, 3)).replace('number="1"', 'number="0" implicit="yes"')
    clip = read(tmp_path, score)
    assert notes(clip) == [(0, 1, 67), (1, 5, 60), (5, 9, 60), (9, 12, 60)]
    assert clip.meters == (MeterChange(0, 4, 4), MeterChange(1, 4, 4))
    assert [(bar.start_beats, bar.length_beats) for bar in clip.bars()] == [(0, 1), (1, 4), (5, 4), (9, 4)]


def test_a_short_bar_inside_moves_the_bar_lines_behind_it(tmp_path: Path) -> None:
    clip = read(tmp_path, musicxml(WHOLE, note("C", 4, 3), WHOLE, WHOLE))
    assert [bar.start_beats for bar in clip.bars()] == [0, 4, 7, 11]


def test_a_repeat_sign_inside_a_bar_does_not_cut_it_in_two(tmp_path: Path) -> None:
    clip = read(tmp_path, musicxml(WHOLE, note("C", 4, 3), note("C", 4, 1), WHOLE))
    assert [bar.start_beats for bar in clip.bars()] == [0, 4, 8]


def test_a_change_of_meter_and_tempo_and_a_silent_end(tmp_path: Path) -> None:
    time = "<attributes><time><beats>6</beats><beat-type>8</beat-type></time></attributes>"
    beat = "<metronome><beat-unit>quarter</beat-unit><beat-unit-dot/><per-minute>60</per-minute></metronome>"
    mark = f"<direction><direction-type>{beat}</direction-type></direction>"
    rest = "<note><rest/><duration>3</duration></note>"
    clip = read(tmp_path, musicxml(WHOLE, time + mark + note("C", 4, 3), rest))
    assert clip.meters == (MeterChange(0, 4, 4), MeterChange(4, 6, 8))
    assert clip.tempos == (TempoChange(0, 120), TempoChange(4, 90))  # a dotted quarter of 60 is a quarter of 90
    assert clip.length_beats == 10


def test_a_transposing_instrument_sounds(tmp_path: Path) -> None:
    down = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    assert notes(read(tmp_path, musicxml(WHOLE, transpose=down, part="Clarinet in Bb"))) == [(0, 4, 58)]


def unpitched(step: str, octave: int) -> str:
    line = f"<unpitched><display-step>{step}</display-step><display-octave>{octave}</display-octave></unpitched>"
    return f"<note>{line}<duration>2</duration></note>"


def test_a_part_of_one_drum_is_that_drum(tmp_path: Path) -> None:
    instrument = '<score-instrument id="P1-I39"><instrument-name>Snare</instrument-name></score-instrument>'
    midi = '<midi-instrument id="P1-I39"><midi-channel>10</midi-channel><midi-unpitched>39</midi-unpitched>'
    snare = musicxml(unpitched("E", 4) * 2, part="Snare", midi=f"{instrument}{midi}</midi-instrument>")
    clip = read(tmp_path, snare)
    assert clip.tracks[0].is_drum
    assert notes(clip) == [(0, 2, 38), (2, 4, 38)]  # MusicXML counts drums from 1


def test_a_drum_set_is_read_by_its_lines(tmp_path: Path) -> None:
    clip = read(tmp_path, musicxml(unpitched("F", 4) + unpitched("C", 5), part="Drumset"))
    assert clip.tracks[0].is_drum
    assert notes(clip) == [(0, 2, 36), (2, 4, 38)]  # bass drum in the lowest space, snare in the third


def test_chord_symbols_sound_not(tmp_path: Path) -> None:
    symbol = "<harmony><root><root-step>C</root-step></root><kind>major</kind></harmony>"
    assert notes(read(tmp_path, musicxml(symbol + WHOLE))) == [(0, 4, 60)]


def test_a_score_in_utf_16_or_latin_1(tmp_path: Path) -> None:
    named = SCALE.replace("Flute", "Flöte")
    for data in (named.encode("utf-16"), named.replace("UTF-8", "ISO-8859-1").encode("latin-1")):
        assert read(tmp_path, data).tracks[0].name == "Flöte"


# -- compressed MusicXML ---------------------------------------------------------------------------------------------


def test_a_compressed_score_is_found_whatever_its_container_says(tmp_path: Path) -> None:
    expected = read(tmp_path, SCALE).tracks
    containers = ["", "<broken", '<container><rootfiles><rootfile full-path="gone.xml"/></rootfiles></container>']
    for container in containers:
        data = mxl(**{"META-INF__container.xml": container, "other.xml": "<note/>", "Score.XML": SCALE})
        assert read(tmp_path, data, "it.mxl").tracks == expected


def test_an_archive_without_a_score_or_with_too_large_a_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no MusicXML is in the archive"):
        read(tmp_path, mxl(**{"a.xml": "<note/>", "b.txt": SCALE}), "it.mxl")
    bomb = mxl(**{"a.xml": "<score-partwise>" + " " * 40 * 2**20})
    assert len(bomb) < 100_000
    with pytest.raises(ReadError, match="32 MB are read"):
        read(tmp_path, bomb, "it.mxl")
    whole = bytearray(mxl(**{"a.xml": SCALE}))
    with pytest.raises(ReadError, match="zip archive is damaged"):
        read(tmp_path, bytes(whole[:200]), "it.mxl")
    whole[60:70] = bytes(10)  # inside the compressed score
    with pytest.raises(ReadError, match="zip archive is damaged"):
        read(tmp_path, bytes(whole), "it.mxl")


# -- ABC and kern ----------------------------------------------------------------------------------------------------

TUNE = "X:1\nT:A tune\nM:3/4\nL:1/8\nQ:1/4=90\nK:C\nG2|C2 D2 E2|F4:|\n"


def test_an_abc_tune_with_a_pickup_and_a_repeat(tmp_path: Path) -> None:
    clip = read(tmp_path, TUNE, "it.abc")
    assert notes(clip) == [(0, 1, 67), (1, 2, 60), (2, 3, 62), (3, 4, 64), (4, 6, 65)]  # played once
    assert clip.meters == (MeterChange(0, 3, 4), MeterChange(1, 3, 4))
    assert clip.tempos == (TempoChange(0, 90),)
    assert clip.name == "it.abc"


def test_bars_that_do_not_fill_their_meter_get_no_meter_of_their_own(tmp_path: Path) -> None:
    # music21 makes 1/8 of the eighth that is too much in the first bar, and forgets the tune's meter before it.
    clip = read(tmp_path, "X:1\nM:2/4\nL:1/8\nK:C\nCDEFG|CDEF|CDEF|\n", "it.abc")
    assert {meter[1:] for meter in clip.meters} == {(2, 4)}
    assert [bar.start_beats for bar in clip.bars()] == [0, 2, 2.5, 4.5]


def test_all_tunes_of_an_abc_file_with_the_files_header(tmp_path: Path) -> None:
    path = tmp_path / "many.abc"
    path.write_text("%abc-2.1\nM:6/8\nL:1/8\n\n" + "\n".join(f"X:{i}\nT:t\nK:C\nCDE FGA|\n" for i in range(3)))
    clips = read_clips(path)
    assert [clip.name for clip in clips] == ["many.abc#1", "many.abc#2", "many.abc#3"]
    assert [clip.note_count for clip in clips] == [6, 6, 6]
    assert {clip.meters[0][1:] for clip in clips} == {(6, 8)}
    assert read_clip(path) == clips[0]


def test_a_broken_tune_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "many.abc"
    path.write_text(TUNE + "\nX:2\nM:4/4\nL:1/\nK:H##\n(3:::[C|C/0\n\n" + TUNE.replace("X:1", "X:3"))
    assert [clip.note_count for clip in read_clips(path)][:1] == [5]
    assert len(read_clips(path)) >= 2


def test_a_file_of_one_tune_is_not_split() -> None:
    assert len(abc_tunes(TUNE)) == 1
    assert abc_tunes("no tune") == ["no tune"]


def test_kern_with_two_voices(tmp_path: Path) -> None:
    clip = read(
        tmp_path, "**kern\t**kern\n*M4/4\t*M4/4\n=1\t=1\n2C\t4c\n.\t4d\n[2D\t2e\n=2\t=2\n1D]\t1f\n*-\t*-\n", "it.krn"
    )
    assert [notes(clip, index) for index in (0, 1)] == [  # kern writes the lowest voice first
        [(0, 1, 60), (1, 2, 62), (2, 4, 64), (4, 8, 65)],
        [(0, 2, 48), (2, 8, 50)],
    ]


# -- which file is what ----------------------------------------------------------------------------------------------


def test_midi_is_known_by_its_first_bytes_whatever_the_suffix(tmp_path: Path) -> None:
    tune = Clip.from_notes([(0, 1, 60, 80)])
    for name in ("it.xml", "it.bin", "it", "it.MID", "it.kar"):
        assert read(tmp_path, midi_bytes(tune), name).tracks == tune.tracks


def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path) -> None:
    for name, found in (("it.mp3", "its suffix is '.mp3'"), ("it", "it has no suffix")):
        with pytest.raises(ReadError, match=found) as caught:
            read(tmp_path, "something", name)
        assert all(suffix in str(caught.value) for suffix in SUFFIXES)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("it.xml", "<html></html>", "MusicXML is expected"),
        ("it.xml", "<score-partwise><part>", "music21 cannot read it as musicxml"),
        ("it.musicxml", "<!DOCTYPE a [<!ENTITY b 'c'>]><score-partwise/>", "XML entities"),
        ("it.krn", "no kern at all", "music21 cannot read it as humdrum"),
        ("it.abc", "", "it is empty"),
        ("it.mid", "no midi", "MIDI file is expected"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ReadError, match=what) as caught:
        read(tmp_path, text, name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_score_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        read_clip(tmp_path / "none.xml")
    with pytest.raises(ReadError, match="folder"):
        read_clip(tmp_path)


# -- to music21 and back ---------------------------------------------------------------------------------------------


@st.composite
def grid_clips(draw: st.DrawFn) -> Clip:
    """Clips on a grid of 4 or 12, one to three tracks, two meters, two tempos."""
    steps = draw(st.sampled_from([4, 12]))
    length = draw(st.integers(1, 4)) * 4.0
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        single = st.tuples(
            st.integers(0, int(length) * steps - 1), st.integers(1, 2 * steps), st.integers(0, 127), st.integers(1, 127)
        )
        found = {
            (start, pitch): (start, span, pitch, velocity) for start, span, pitch, velocity in draw(st.lists(single))
        }
        table = [(a / steps, (a + span) / steps, pitch, velocity) for a, span, pitch, velocity in found.values()]
        is_drum = draw(st.booleans())
        program = 0 if is_drum else draw(st.integers(0, 127))
        name = draw(st.sampled_from(["", "Melody", "Flöte"]))
        parts.append(Track(notes=notes_array(table), program=program, is_drum=is_drum, name=name))
    meters = (MeterChange(0.0, 4, 4),)
    if draw(st.booleans()):
        meters = (MeterChange(0.0, 4, 4), MeterChange(1.0, 4, 4), MeterChange(5.0, 3, 4))
    tempos = (TempoChange(0.0, 100.0), TempoChange(2.5, 66.0)) if draw(st.booleans()) else (TempoChange(0.0, 90.0),)
    return Clip(tracks=tuple(parts), tempos=tempos, meters=meters)


@settings(max_examples=25)
@given(grid_clips())
def test_a_clip_comes_back_from_music21(clip: Clip) -> None:
    again = from_music21(to_music21(clip))
    assert again.tracks == clip.tracks
    assert again.tempos == clip.tempos
    assert [meter for meter in again.meters if meter.beat < again.length_beats or meter.beat == 0] == [
        meter for meter in clip.meters if meter.beat < again.length_beats or meter.beat == 0
    ]


def test_music21_writes_what_a_clip_says_as_musicxml(tmp_path: Path) -> None:
    clip = Clip.from_notes([(0, 1, 60, 80), (0, 1, 64, 80), (1, 4, 67, 80), (4, 8, 65, 80)], program=73, tempo_qpm=90)
    path = to_music21(clip).write("musicxml", fp=tmp_path / "it.musicxml")
    again = read_clip(Path(path))
    assert notes(again) == notes(clip)
    assert again.tempos == clip.tempos
    assert again.tracks[0].program == 73


def test_any_music21_stream_will_do() -> None:
    import music21

    tune = music21.converter.parse("tinyNotation: 3/4 c4 d8 e8 f4 g2.")
    clip = from_music21(tune, name="tiny")
    assert notes(clip) == [(0, 1, 60), (1, 1.5, 62), (1.5, 2, 64), (2, 3, 65), (3, 6, 67)]
    assert (clip.name, clip.meters, clip.length_beats) == ("tiny", (MeterChange(0, 3, 4),), 6)
    assert from_music21(music21.stream.Stream()).note_count == 0
    opus = music21.stream.Opus([music21.stream.Score([tune])])
    assert notes(from_music21(opus)) == notes(clip)


def test_a_written_clarinet_is_sounded_once_and_the_stream_left_alone() -> None:
    import music21

    part = music21.stream.Part([music21.instrument.Clarinet(), music21.note.Note("C4")])
    part.atSoundingPitch = False
    assert notes(from_music21(music21.stream.Score([part]))) == [(0, 1, 58)]
    assert part.recurse().notes.first().pitch.midi == 60


# -- the hostile scores ----------------------------------------------------------------------------------------------


def test_the_scores_of_the_hostile_set_are_read(shared_data: Path, tmp_path: Path) -> None:
    with tarfile.open(shared_data / "music" / "hostile" / "hostile-clean.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "hostile" / "note-seq"
    counts = {
        path.name: [clip.note_count for clip in read_clips(path)]
        for path in sorted(folder.iterdir())
        if path.suffix in (".xml", ".mxl", ".abc") and path.name != "el_capitan.xml"  # 22 parts: seconds
    }
    assert len(counts) == 17
    assert counts["flute_scale.xml"] == counts["flute_scale.mxl"] == counts["flute_scale_with_png.mxl"] == [8]
    assert counts["english.abc"] == [74, 77, 93]
    assert counts["chord_symbols.xml"] == [0]
    assert all(sum(found) for name, found in counts.items() if name != "chord_symbols.xml")
    meters = read_clip(folder / "meter_test.xml").meters
    assert [meter.numerator for meter in meters[:6]] == [1, 2, 3, 4, 5, 6]
    assert [bar.length_beats for bar in read_clip(folder / "st_anne.xml").bars()][:2] == [1, 4]
