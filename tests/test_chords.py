"""Chords and keys: symbols, tokens, voicings, progressions, and what is read from notes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvae import keys
from seqvae.chords import (
    CHORD_SIZE,
    NO_CHORD,
    PITCH_CLASSES,
    QUALITIES,
    Chord,
    chord_steps,
    chord_tones,
    parse_chord,
    parse_progression,
    progression_clip,
    progression_tokens,
    symbol,
    token_chord,
    transpose,
    voice_chords,
    voicing,
)
from seqvae.clip import Clip, notes_array
from seqvae.errors import DataError

tokens_strategy = st.lists(st.tuples(st.integers(0, CHORD_SIZE - 1), st.integers(1, 12)), min_size=1, max_size=8).map(
    lambda runs: np.repeat([token for token, _ in runs], [count for _, count in runs])
)


def token(text: str) -> int:
    chord = parse_chord(text)
    return chord.token if chord else NO_CHORD


# -- laws --------------------------------------------------------------------------------------------------------------


@given(tokens_strategy, st.sampled_from([1, 2, 4, 6, 12]))
def test_chords_that_were_voiced_are_read_back(tokens: np.ndarray, steps_per_beat: int) -> None:
    notes = voice_chords(tokens, steps_per_beat)
    assert np.array_equal(chord_steps(notes, steps_per_beat, len(tokens)), tokens)


@given(tokens_strategy, st.integers(-12, 12))
def test_transposing_commutes_with_reading(tokens: np.ndarray, semitones: int) -> None:
    notes = voice_chords(tokens, 4)
    notes["pitch"] += semitones
    assert np.array_equal(chord_steps(notes, 4, len(tokens)), transpose(tokens, semitones))


@pytest.mark.parametrize("each", range(CHORD_SIZE))
def test_a_token_has_a_symbol_which_has_the_token(each: int) -> None:
    assert token(symbol(each)) == each
    chord = token_chord(each)
    assert (chord is None) == (each == NO_CHORD)
    assert {pitch % 12 for pitch in voicing(each)} == set(np.flatnonzero(chord_tones()[each]))
    assert np.array_equal(transpose(transpose(np.array([each]), 5), -5), [each])


def test_no_two_qualities_have_the_same_notes_on_their_root() -> None:
    assert len(set(QUALITIES.values())) == len(QUALITIES)
    assert CHORD_SIZE <= 256  # tokens fit into a byte


# -- symbols -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "intervals", "reduced"),
    [
        ("C", (0, 4, 7), "C"),
        ("Am", (0, 3, 7), "Am"),
        ("A-", (0, 3, 7), "Am"),
        ("F#m7b5", (0, 3, 6, 10), "F#m7b5"),
        ("Fø7", (0, 3, 6, 10), "Fm7b5"),
        ("Bbmaj7", (0, 4, 7, 11), "Bbmaj7"),
        ("CM7", (0, 4, 7, 11), "Cmaj7"),
        ("CΔ", (0, 4, 7), "C"),
        ("Cm(maj7)", (0, 3, 7, 11), "Cm"),
        ("G7sus4", (0, 5, 7, 10), "Gsus4"),
        ("Gsus", (0, 5, 7), "Gsus4"),
        ("G13", (0, 4, 7, 10, 14, 21), "G7"),
        ("C6/9", (0, 4, 7, 9, 14), "C6"),
        ("Cadd9", (0, 4, 7, 14), "C"),
        ("C7#9", (0, 4, 7, 10, 15), "C7"),
        ("C+", (0, 4, 8), "Caug"),
        ("C+7", (0, 4, 8, 10), "C7"),
        ("C7-5", (0, 4, 6, 10), "C7"),
        ("Co7", (0, 3, 6, 9), "Cdim7"),
        ("C5", (0, 7), "C"),
        ("G7no3", (0, 7, 10), "G7"),
        ("A:min7", (0, 3, 7, 10), "Am7"),
        ("D:maj6(9)", (0, 4, 7, 9, 14), "D6"),
        ("D:sus4(b7,9)", (0, 5, 7, 10, 14), "Dsus4"),
        ("D:1(b3,b7)", (0, 3, 10), "Dm7"),
        ("D:hdim7", (0, 3, 6, 10), "Dm7b5"),
        ("D♭", (0, 4, 7), "C#"),
        ("Abb", (0, 4, 7), "G"),
    ],
)
def test_symbols_as_people_write_them(text: str, intervals: tuple[int, ...], reduced: str) -> None:
    chord = parse_chord(text)
    assert chord is not None
    assert (chord.intervals, symbol(chord.token)) == (intervals, reduced)


def test_the_bass() -> None:
    assert parse_chord("C/E") == Chord(root=0, intervals=(0, 4, 7), bass=4)
    assert parse_chord("D:min7/b3") == Chord(root=2, intervals=(0, 3, 7, 10), bass=5)
    chord = parse_chord("C/Bb")
    assert chord is not None
    assert chord.pitches() == [46, 55, 60, 64]  # Bb2, then G3 C4 E4


@pytest.mark.parametrize("text", ["N", "N.C.", "NC", "X"])
def test_no_chord(text: str) -> None:
    assert parse_chord(text) is None


@pytest.mark.parametrize("text", ["", "H", "c", "hello", "C7x", "Cm99", "C/H", "Dx", "C G"])
def test_what_is_no_symbol_is_named(text: str) -> None:
    with pytest.raises(DataError, match=re.escape(repr(text)) + " is no chord symbol"):
        parse_chord(text)


def test_every_symbol_of_billboard(shared_data: Path) -> None:
    import lzma

    with lzma.open(shared_data / "text/billboard_chords/progressions.tsv.xz", "rt", encoding="utf-8") as rows:
        symbols = {word for row in rows for word in row.split("\t")[4].split() if ":" in word}
    assert len(symbols) > 900
    reduced = {symbol(token(each)) for each in symbols}
    assert len(reduced) > 100
    sizes = [len(chord.intervals) for each in symbols if (chord := parse_chord(each))]
    assert min(sizes) >= 1
    assert max(sizes) <= 7


# -- progressions ------------------------------------------------------------------------------------------------------


def test_one_symbol_a_bar() -> None:
    clip = progression_clip("C G Am F")
    assert clip.length_beats == 16
    assert [symbol(each) for each in chord_steps(clip.tracks[0].notes, 1, 16)[::4]] == ["C", "G", "Am", "F"]
    waltz = progression_clip("C G", bar_beats=3.0)
    assert (waltz.length_beats, waltz.meters[0][1:]) == (6, (3, 4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C | F G | C", [(0, 4, "C"), (4, 6, "F"), (6, 8, "G"), (8, 12, "C")]),
        ("| C . . G |", [(0, 3, "C"), (3, 4, "G")]),
        ("C %", [(0, 4, "C"), (4, 8, "C")]),
        ("C | (2/4) F | N", [(0, 4, "C"), (4, 6, "F"), (6, 10, "N.C.")]),
        ("Dm7 | | G7", [(0, 4, "Dm7"), (4, 8, "G7")]),
        (". C", [(0, 4, "N.C."), (4, 8, "C")]),
    ],
)
def test_bars_and_beats(text: str, expected: list[tuple[float, float, str]]) -> None:
    spans = parse_progression(text)
    assert [(a, b, symbol(chord.token if chord else 0)) for a, b, chord in spans] == expected


def test_a_progression_on_a_grid_goes_on_to_the_end() -> None:
    tokens = progression_tokens(parse_progression("C | F G"), 12, 1)
    assert [symbol(each) for each in tokens] == ["C"] * 4 + ["F"] * 2 + ["G"] * 6


@pytest.mark.parametrize("text", ["", " | ", "|"])
def test_an_empty_progression_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="there is no chord in it"):
        parse_progression(text)


# -- from notes --------------------------------------------------------------------------------------------------------


def steps_of(notes: Sequence[tuple[float, float, int]], steps: int) -> list[str]:
    found = chord_steps(notes_array((start, end, pitch, 80) for start, end, pitch in notes), 1, steps)
    return [symbol(each) for each in found]


@pytest.mark.parametrize(
    ("pitches", "expected"),
    [
        ((64, 67, 72), "C"),  # first inversion
        ((55, 60, 64), "C"),
        ((48, 64, 67, 70), "C7"),
        ((60, 64, 67, 69), "C6"),
        ((57, 60, 64, 67), "Am7"),  # the same notes, another bass
        ((60, 62, 67), "Csus2"),
        ((55, 60, 62), "Gsus4"),
        ((48, 64, 67, 70, 74), "C7"),  # a ninth is left out
        ((48, 55), "C"),  # a power chord
        ((60, 63, 66, 69), "Cdim7"),
        ((63, 66, 69, 72), "Ebdim7"),
        ((54, 60, 62, 69), "D7"),
        ((60,), "N.C."),
    ],
)
def test_a_block_of_notes(pitches: tuple[int, ...], expected: str) -> None:
    assert steps_of([(0, 2, pitch) for pitch in pitches], 2) == [expected] * 2


def test_an_arpeggio_is_one_chord() -> None:
    notes = [(0, 1, 48), (1, 2, 55), (2, 3, 64), (3, 4, 60), (4, 5, 43), (5, 6, 59), (6, 7, 62), (7, 8, 55)]
    assert steps_of(notes, 8) == ["C"] * 4 + ["G"] * 4


def test_silence_has_no_chord() -> None:
    assert steps_of([(1, 2, 60), (1, 2, 64), (1, 2, 67)], 4) == ["N.C.", "C", "N.C.", "N.C."]
    assert steps_of([], 2) == ["N.C."] * 2
    assert steps_of([(1, 2, 60)], 0) == []


def test_a_chord_track_of_a_real_song(shared_data: Path, tmp_path: Path) -> None:
    import tarfile

    folder = shared_data / "music/pop909-aligned"
    archive = next(iter(sorted(folder.glob("*.tar*"))))
    with tarfile.open(archive) as tar:
        member = next(each for each in tar if each.name.endswith("001.mid"))
        tar.extract(member, tmp_path, filter="data")
    song = Clip.load(tmp_path / member.name)
    track = next(track for track in song.tracks if track.name == "CHORDS")
    tokens = chord_steps(track.notes, 4, int(song.length_beats * 4))
    assert [symbol(each) for each in tokens[16:80:8]] == ["B", "C#", "Bbm", "Ebm", "Bmaj7", "C#6", "F#", "F#"]
    assert keys.key_name(keys.find_key(song)) == "F# major"


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("D", "D major"),
        ("F#m", "F# minor"),
        ("D minor", "D minor"),
        ("Bb major", "Bb major"),
        ("d", "D minor"),
        ("A:min", "A minor"),
        ("Cb", "B major"),
        (" E maj ", "E major"),
    ],
)
def test_keys_as_people_write_them(text: str, name: str) -> None:
    assert keys.key_name(keys.parse_key(text)) == name


@pytest.mark.parametrize("text", ["", "H", "D lydian", "major", "Dm7"])
def test_what_is_no_key_is_named(text: str) -> None:
    with pytest.raises(DataError, match=re.escape(repr(text)) + " is no key"):
        keys.parse_key(text)


@given(st.integers(0, keys.KEY_SIZE - 1), st.integers(-12, 12))
def test_keys_have_names_and_can_be_moved(key: int, semitones: int) -> None:
    if key:
        assert keys.parse_key(keys.key_name(key)) == key
    moved = int(keys.transpose(np.array(key), semitones))
    assert (moved == 0) == (key == 0)
    assert np.array_equal(keys.key_tones()[moved], np.roll(keys.key_tones()[key], semitones))


@given(st.sampled_from(["C F G C", "Am Dm E7 Am"]), st.integers(0, 11))
def test_the_key_of_a_cadence_moves_with_it(text: str, semitones: int) -> None:
    key = keys.find_key(progression_clip(text).transpose(semitones))
    tonic = (semitones + (9 if text.startswith("A") else 0)) % 12
    assert keys.key_name(key) == f"{PITCH_CLASSES[tonic]} {'minor' if text.startswith('A') else 'major'}"


def test_too_few_notes_have_no_key() -> None:
    assert keys.find_key(Clip.from_notes([(0, 1, 60, 80), (1, 2, 64, 80)])) == keys.UNKNOWN_KEY
    assert keys.find_key(Clip()) == keys.UNKNOWN_KEY
