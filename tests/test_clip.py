"""Laws of clips: quantising, transposing, cutting, joining, bars, styles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvae.clip import (
    NOTE_DTYPE,
    Clip,
    MeterChange,
    Provenance,
    Style,
    TempoChange,
    Track,
    fold_pitch,
    grid_steps,
    join,
    notes_array,
)
from seqvae.errors import DataError

BEATS = st.floats(0, 64, allow_nan=False).map(lambda beat: round(beat, 4))


@st.composite
def clips(draw: st.DrawFn, low: int = 0, high: int = 127) -> Clip:
    """One to three tracks of notes anywhere in up to 16 bars."""
    note = st.tuples(BEATS, st.floats(0.001, 8), st.integers(low, high), st.integers(1, 127))
    tracks = [
        Track(
            notes=notes_array((start, start + length, pitch, velocity) for start, length, pitch, velocity in notes),
            program=draw(st.integers(0, 127)),
            is_drum=draw(st.booleans()),
        )
        for notes in draw(st.lists(st.lists(note, max_size=12), min_size=1, max_size=3))
    ]
    meter = draw(st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 2), (7, 8)]))
    return Clip(
        tracks=tuple(tracks), length_beats=draw(st.integers(1, 80)) * 1.0, meters=(MeterChange(0.0, *meter),), name="it"
    )


def bar_starts(clip: Clip) -> list[float]:
    return [bar.start_beats for bar in clip.bars()]


# -- quantising ------------------------------------------------------------------------------------------------------


@given(clips(), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_quantise_is_a_projection(clip: Clip, steps_per_beat: int) -> None:
    once = clip.quantise(steps_per_beat)
    assert once.quantise(steps_per_beat) == once


@given(clips(), st.sampled_from([4, 6, 12]))
def test_quantise_moves_an_onset_by_half_a_step_at_most_and_leaves_no_note_without_length(
    clip: Clip, steps_per_beat: int
) -> None:
    for before, after in zip(clip.tracks, clip.quantise(steps_per_beat).tracks, strict=True):
        starts = np.sort(after.notes["start_beats"])
        assert (np.abs(np.sort(before.notes["start_beats"]) - starts) <= (0.5 + 1e-5) / steps_per_beat).all()
        lengths = (after.notes["end_beats"] - after.notes["start_beats"]) * steps_per_beat
        assert (np.rint(lengths) >= 1).all()
        assert np.allclose(lengths, np.rint(lengths))


def test_rounding_is_half_up() -> None:
    # On a grid of 4: 0.125 beats is step 0.5 and goes up to 1; 0.124 is step 0.496 and goes down; 2.5 goes up to 3.
    notes = notes_array([(0.125, 0.625, 60, 80), (1.124, 1.125, 61, 80)])
    starts, ends = grid_steps(notes, 4)
    assert starts.tolist() == [1, 4]
    assert ends.tolist() == [3, 5]


def test_quantise_counts_a_tick_below_the_half_as_the_half() -> None:
    # A triplet's half at 480 ticks: 0.1249999 is meant to be 0.125.
    assert grid_steps(notes_array([(0.12499999, 1, 60, 80)]), 4)[0].tolist() == [1]


# -- transposing -----------------------------------------------------------------------------------------------------


@given(clips(low=24, high=103), st.integers(-24, 24))
def test_transposing_there_and_back_is_the_identity_inside_the_range(clip: Clip, semitones: int) -> None:
    assert clip.transpose(semitones).transpose(-semitones) == clip


@given(clips(), st.integers(-200, 200))
def test_transposing_keeps_pitch_classes_drums_and_the_midi_range(clip: Clip, semitones: int) -> None:
    for before, after in zip(clip.tracks, clip.transpose(semitones).tracks, strict=True):
        pitches = after.notes["pitch"].astype(int)
        assert ((pitches >= 0) & (pitches <= 127)).all()
        if before.is_drum:
            assert after == before
        else:
            assert ((pitches - before.notes["pitch"] - semitones) % 12 == 0).all()


@given(st.lists(st.integers(-300, 300)), st.integers(0, 100), st.integers(11, 27))
def test_folding_moves_by_octaves_into_the_range_and_leaves_what_is_inside(
    pitches: list[int], low: int, span: int
) -> None:
    pitch = np.array(pitches, dtype=np.int64)
    folded = fold_pitch(pitch, low, low + span)
    assert ((folded >= low) & (folded <= low + span)).all()
    assert ((folded - pitch) % 12 == 0).all()
    inside = (pitch >= low) & (pitch <= low + span)
    assert (folded[inside] == pitch[inside]).all()


def test_what_changes_the_notes_drops_the_provenance() -> None:
    provenance = Provenance(
        model="m",
        model_hash="0",
        verb="sample",
        seed=1,
        temperature=0.5,
        z=np.zeros((1, 2), np.float32),
        length_beats=4.0,
    )
    clip = replace(Clip.from_notes([(0, 1, 60, 80)]), provenance=provenance)
    for changed in (clip.transpose(1), clip.quantise(4), clip.cut(0, 4), join([clip, clip])):
        assert changed.provenance is None


# -- cutting and joining -----------------------------------------------------------------------------------------------


@given(clips(), st.data())
def test_joining_what_was_cut_at_a_bar_line_sounds_as_before(clip: Clip, data: st.DataObject) -> None:
    bars = clip.bars()
    length = bars[-1].start_beats + bars[-1].length_beats
    clip = replace(clip, length_beats=length).cut(0, length)
    place = data.draw(st.sampled_from(bars)).start_beats
    pieces = [clip.cut(left, right) for left, right in ((0, place), (place, length)) if left < right]
    whole = join(pieces)
    assert whole.length_beats == length
    assert whole.tempos == clip.tempos
    assert bar_starts(whole) == bar_starts(clip)
    assert sounding(whole) == sounding(clip)


def sounding(clip: Clip) -> list[set[tuple[int, int, float]]]:
    """Each track's sounding (pitch, velocity) with its length: a note that a cut splits sounds as long in two."""
    found = []
    for track in clip.tracks:
        total: dict[tuple[int, int], float] = {}
        for start, end, pitch, velocity in track.notes.tolist():
            total[pitch, velocity] = total.get((pitch, velocity), 0.0) + end - start
        found.append({(pitch, velocity, round(length, 6)) for (pitch, velocity), length in total.items()})
    return found


@given(st.lists(clips(), min_size=1, max_size=4))
def test_cutting_what_was_joined_gives_the_parts(parts: list[Clip]) -> None:
    parts = [
        replace(part.cut(0, part.length_beats), tracks=part.cut(0, part.length_beats).tracks[:1]) for part in parts
    ]
    parts = [replace(part, tracks=(replace(part.tracks[0], program=0, is_drum=False),)) for part in parts]
    whole = join(parts)
    assert whole.note_count == sum(part.note_count for part in parts)
    offset = 0.0
    for part in parts:
        again = whole.cut(offset, offset + part.length_beats)
        offset += part.length_beats
        assert again.length_beats == part.length_beats
        assert again.tempos == part.tempos
        assert again.tracks[0].notes["pitch"].tolist() == part.tracks[0].notes["pitch"].tolist()
        for name in ("start_beats", "end_beats"):
            assert np.allclose(again.tracks[0].notes[name], part.tracks[0].notes[name])


def test_a_note_over_the_edge_of_a_cut_is_in_both_parts() -> None:
    clip = Clip.from_notes([(3, 6, 60, 80)])
    assert clip.cut(0, 4).tracks[0].notes.tolist() == [(3, 4, 60, 80)]
    assert clip.cut(4, 8).tracks[0].notes.tolist() == [(0, 2, 60, 80)]


def test_a_cut_takes_along_the_tempo_and_the_meter_in_force_and_the_changes_inside() -> None:
    clip = Clip(
        length_beats=20.0,
        tempos=(TempoChange(0, 100), TempoChange(6, 90), TempoChange(10, 80)),
        meters=(MeterChange(0, 4, 4), MeterChange(4, 3, 4), MeterChange(13, 2, 4)),
    )
    part = clip.cut(7, 15)
    assert part.tempos == (TempoChange(0, 90), TempoChange(3, 80))
    assert part.meters == (MeterChange(0, 3, 4), MeterChange(6, 2, 4))


def test_joining_keeps_a_short_bar_short() -> None:
    pickup = Clip(length_beats=5.0, meters=(MeterChange(0, 4, 4), MeterChange(1, 4, 4)))
    assert bar_starts(pickup) == [0, 1]
    assert bar_starts(join([pickup, pickup])) == [0, 1, 5, 6]


def test_joining_begins_a_bar_with_each_clip() -> None:
    short = Clip(length_beats=3.5)
    assert bar_starts(join([short, short])) == [0, 3.5]


def test_joining_leaves_out_changes_behind_a_clips_end() -> None:
    first = Clip(length_beats=4.0, tempos=(TempoChange(0, 100), TempoChange(6, 50)), meters=(
        MeterChange(0, 4, 4), MeterChange(4, 3, 4)))  # fmt: skip
    second = Clip(length_beats=4.0, tempos=(TempoChange(0, 100),))
    whole = join([first, second])
    assert whole.tempos == (TempoChange(0, 100),)
    assert whole.meters == (MeterChange(0, 4, 4),)


def test_joining_gives_another_program_a_track_of_its_own() -> None:
    piano, flute = Clip.from_notes([(0, 1, 60, 80)]), Clip.from_notes([(0, 1, 62, 80)], program=73)
    whole = join([piano, flute, piano])
    assert [(track.program, track.notes["start_beats"].tolist()) for track in whole.tracks] == [(0, [0, 8]), (73, [4])]


def test_joining_nothing_is_refused_and_empty_clips_are_not() -> None:
    with pytest.raises(DataError, match="no clip to join"):
        join([])
    assert join([Clip(), Clip()]) == Clip()


# -- bars ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([(4, 4), (3, 4), (6, 8), (5, 16)])), max_size=5),
    st.integers(0, 48),
)
def test_bars_follow_one_another_without_a_gap_and_hold_every_meter_change(
    changes: list[tuple[int, tuple[int, int]]], length: int
) -> None:
    meters = {0: (4, 4)} | dict(changes)
    clip = Clip(
        length_beats=float(length),
        meters=tuple(MeterChange(float(beat), *meter) for beat, meter in sorted(meters.items())),
    )
    bars = clip.bars()
    reached = 0.0
    for bar in bars:
        assert bar.start_beats == pytest.approx(reached)
        assert 0 < bar.length_beats <= 4 * bar.numerator / bar.denominator + 1e-9
        assert (bar.numerator, bar.denominator) == clip.meter_at(bar.start_beats)[1:]
        reached = bar.start_beats + bar.length_beats
    assert reached >= length
    starts = {round(bar.start_beats, 6) for bar in bars}
    assert {float(beat) for beat in meters if beat < length} <= starts


def test_a_meter_change_cuts_the_bar_before_it_short() -> None:
    clip = Clip(length_beats=8.0, meters=(MeterChange(0, 4, 4), MeterChange(5, 3, 4)))
    assert [(bar.start_beats, bar.length_beats) for bar in clip.bars()] == [(0, 4), (4, 1), (5, 3)]


def test_an_empty_clip_has_no_bars() -> None:
    assert Clip().bars() == []
    assert Clip.from_notes([]).length_beats == 0


@pytest.mark.parametrize(("meter", "length"), [((4, 4), 8.0), ((3, 4), 6.0), ((6, 8), 6.0), ((2, 2), 8.0)])
def test_a_clip_from_notes_is_whole_bars_long(meter: tuple[int, int], length: float) -> None:
    assert Clip.from_notes([(0, 4.5, 60, 80)], meter=meter).length_beats == length


def test_tempo_and_meter_at_a_change_are_the_new_ones() -> None:
    clip = Clip(
        length_beats=8.0,
        tempos=(TempoChange(0, 100), TempoChange(4, 50)),
        meters=(MeterChange(0, 4, 4), MeterChange(4, 3, 4)),
    )
    assert [clip.tempo_at(beat) for beat in (0, 3.99, 4, 99)] == [100, 100, 50, 50]
    assert [clip.meter_at(beat).numerator for beat in (0, 3.99, 4, 99)] == [4, 4, 3, 3]


# -- the rest --------------------------------------------------------------------------------------------------------


def test_notes_are_sorted_and_may_be_none() -> None:
    assert notes_array().dtype == NOTE_DTYPE
    assert notes_array([(1, 2, 60, 1), (0, 1, 64, 2), (0, 1, 62, 3)])["pitch"].tolist() == [62, 64, 60]


def test_selecting_a_track_that_is_not_there_names_the_clip() -> None:
    clip = replace(Clip.from_notes([(0, 1, 60, 80)]), name="a.mid")
    assert clip.select(0) == clip
    with pytest.raises(DataError, match=r"a\.mid: there is no track 1; it has 1"):
        clip.select(1)


def test_a_blend_starts_at_one_style_and_ends_at_the_other() -> None:
    slow = Style(tempo_qpm=60.0, program=73, velocities=np.full(4, 40, np.float32), name="flute")
    fast = Style(tempo_qpm=240.0, program=80, velocities=np.full(4, 100, np.float32), name="lead")
    assert slow.blend(fast, 0.0).tempo_qpm == pytest.approx(60)
    assert slow.blend(fast, 1.0).tempo_qpm == pytest.approx(240)
    half = slow.blend(fast, 0.5)  # the tempo's geometric mean: sqrt(60 · 240) = 120
    assert half.tempo_qpm == pytest.approx(120)
    assert half.velocities.tolist() == [70] * 4
    assert [slow.blend(fast, amount).program for amount in (0, 0.49, 0.5, 1)] == [73, 73, 80, 80]


def test_provenance_and_tracks_compare_by_what_they_hold() -> None:
    def provenance(value: float) -> Provenance:
        z = np.full((2, 3), value, np.float32)
        return Provenance(model="m", model_hash="0", verb="v", seed=1, temperature=0.0, z=z, length_beats=8.0)

    assert provenance(1) == provenance(1)
    assert provenance(1) != provenance(2)
    assert Clip.from_notes([(0, 1, 60, 80)]) == Clip.from_notes([(0, 1, 60, 80)])
    assert Clip.from_notes([(0, 1, 60, 80)]) != Clip.from_notes([(0, 1, 60, 81)])
