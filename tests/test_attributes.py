"""Attributes: what is measured on items of every kind, what is known of them from tables and folders."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, any_tokens, each_kind
from tiny import melody

from seqvae.attributes import Attribute, attribute_named, attributes_of, measured
from seqvae.attributes.base import check_values, sides
from seqvae.attributes.drums import DRUMS, strokes_of, syncopation
from seqvae.attributes.groove import playing
from seqvae.attributes.labels import read_labels, two_sides, without_opposites
from seqvae.attributes.music import MELODIC
from seqvae.attributes.tonality import AARDEN_ESSEN, best_keys, key_of, lines_in, sounding_classes
from seqvae.cli.gather import gather
from seqvae.cli.labelled import gather_sides, labels_of, names_of
from seqvae.clip import Clip, MeterChange, Track, notes_array
from seqvae.errors import DataError, ReadError
from seqvae.keys import key_name
from seqvae.tokenizers import MelodyTokenizer, Tokenizer, chordwords
from seqvae.tokenizers.percussion import CLASSES, KIT

TUNE = KINDS["melody"]


def values_of(attributes: Sequence[Attribute], item: object) -> dict[str, float]:
    return {attribute.name: attribute.measure(item) for attribute in attributes}


def same(a: float, b: float) -> bool:
    return a == pytest.approx(b, abs=1e-9, nan_ok=True)


def tune(*pitches: int) -> Clip:
    return Clip.from_notes([(i, i + 1, pitch, 80) for i, pitch in enumerate(pitches)])


def kit(*strokes: tuple[float, str], bars: int = 1, meter: tuple[int, int] = (4, 4), velocity: int = 80) -> Clip:
    notes = notes_array([(beat, beat + 0.25, KIT[name][0], velocity) for beat, name in strokes])
    change = MeterChange(0.0, *meter)
    return Clip(tracks=(Track(notes=notes, is_drum=True),), length_beats=bars * change.bar_beats, meters=(change,))


# -- every kind --------------------------------------------------------------------------------------------------------


@each_kind
@given(data=st.data())
@settings(max_examples=10)
def test_every_attribute_is_a_number_or_nan_and_never_a_warning(kind: str, data: st.DataObject) -> None:
    tokenizer = KINDS[kind]
    item = tokenizer.decode(data.draw(any_tokens(kind)))
    known = attributes_of(tokenizer)
    assert known
    assert list(known) == [attribute.name for attribute in known.values()]
    row = measured(list(known.values()), [item])
    assert row.shape == (1, len(known))
    assert not np.isinf(row).any()
    for value, attribute in zip(row[0], known.values(), strict=True):
        assert same(value, attribute.measure(item)), attribute.name


@each_kind
def test_nothing_has_nothing_that_can_be_said_of_it(kind: str) -> None:
    tokenizer = KINDS[kind]
    nothing = tokenizer.decode(np.zeros((tokenizer.length, *tokenizer.alphabet.shape), np.int64))
    counts = {"length", "mean", "spread", "filled", *(name.replace(" ", "-") for name in CLASSES)}
    counts |= set() if kind == "text-chords" else {"density"}  # a text without chords has no bars
    for name, attribute in attributes_of(tokenizer).items():
        value = attribute.measure(nothing)
        assert value == 0.0 if name.removeprefix("drums.") in counts else math.isnan(value), name


@each_kind
@given(data=st.data())
@settings(max_examples=10)
def test_a_file_measures_as_what_was_written(kind: str, tmp_path_factory: pytest.TempPathFactory, data) -> None:
    tokenizer = KINDS[kind]
    item = tokenizer.decode(tokenizer.canonical(data.draw(any_tokens(kind))))
    if not (item.note_count if isinstance(item, Clip) else len(item)):
        return
    path = tokenizer.write(item, tmp_path_factory.mktemp("items") / f"item{tokenizer.suffix}", overwrite=True)
    # A MIDI file does not say how long the silence at its end is: the window that the model reads does.
    read = tokenizer.decode(tokenizer.encode(tokenizer.read(path)), tokenizer.style(tokenizer.read(path)))
    attributes = list(attributes_of(tokenizer).values())
    before, after = measured(attributes, [item, read])
    for attribute, old, new in zip(attributes, before, after, strict=True):
        assert same(old, new), attribute.name


@each_kind
def test_what_does_not_exist_is_said_with_what_does(kind: str) -> None:
    tokenizer = KINDS[kind]
    names = list(attributes_of(tokenizer))
    with pytest.raises(DataError, match=f"has no attribute 'nonesuch'; it has {re.escape(names[0])}"):
        attribute_named(tokenizer, "nonesuch")
    for name in names:
        assert attribute_named(tokenizer, name).name == name
    with pytest.raises(DataError, match=f"did you mean {re.escape(names[0])}[?]"):
        attribute_named(tokenizer, names[0][:-1] + "q" if len(names[0]) > 4 else names[0] + "s")


# -- pitched notes -----------------------------------------------------------------------------------------------------


@st.composite
def melodies(draw: st.DrawFn) -> Clip:
    """One line on a grid of 16ths, with rests."""
    steps = draw(st.lists(st.integers(0, 31), min_size=1, max_size=16, unique=True).map(sorted))
    ends = [*steps[1:], 32]
    gaps = [draw(st.integers(1, end - step)) for step, end in zip(steps, ends, strict=True)]
    pitches = draw(st.lists(st.integers(48, 84), min_size=len(steps), max_size=len(steps)))
    notes = [(s / 4, (s + gap) / 4, p, 80) for s, gap, p in zip(steps, gaps, pitches, strict=True)]
    return Clip.from_notes(notes, length_beats=8)


@given(clip=melodies(), shift=st.integers(-24, 24))
def test_transposing_moves_the_pitch_and_nothing_else(clip: Clip, shift: int) -> None:
    before, after = values_of(MELODIC, clip), values_of(MELODIC, clip.transpose(shift))
    assert same(after.pop("pitch"), before.pop("pitch") + shift)
    diatonic = after.pop("diatonic"), before.pop("diatonic")
    assert diatonic[0] == diatonic[1] or shift % 12
    for name, value in before.items():
        assert same(after[name], value), name


@given(clip=melodies(), bars=st.integers(1, 3))
def test_a_silent_bar_before_changes_only_the_density(clip: Clip, bars: int) -> None:
    notes = clip.tracks[0].notes.copy()
    for field in ("start_beats", "end_beats"):
        notes[field] += 4 * bars
    later = replace(clip.with_notes([notes]), length_beats=clip.length_beats + 4 * bars)
    before, after = values_of(MELODIC, clip), values_of(MELODIC, later)
    assert same(after.pop("density") * later.length_beats, before.pop("density") * clip.length_beats)
    for name, value in before.items():
        assert same(after[name], value), name


@given(clip=melodies())
def test_shares_are_shares(clip: Clip) -> None:
    found = values_of(MELODIC, clip)
    for name in ("diatonic", "in-key", "stepwise", "repetition", "syncopation-16th", "syncopation-8th"):
        assert math.isnan(found[name]) or 0.0 <= found[name] <= 1.0, name
    assert found["syncopation-16th"] + found["syncopation-8th"] <= 1.0
    assert 0.0 <= found["entropy"] <= math.log2(clip.note_count) or clip.note_count < 2
    assert found["interval"] <= found["range"] or clip.note_count < 2


@given(clip=melodies())
def test_a_mirrored_melody_falls_as_steeply_as_it_rose(clip: Clip) -> None:
    notes = clip.tracks[0].notes.copy()
    notes["pitch"] = 132 - notes["pitch"]
    before, after = values_of(MELODIC, clip), values_of(MELODIC, clip.with_notes([notes]))
    assert same(after["contour"], -before["contour"])
    for name in ("interval", "stepwise", "range", "repetition", "entropy"):
        assert same(after[name], before[name]), name


def test_attributes_worked_by_hand() -> None:
    clip = Clip.from_notes([(0, 1, 60, 80), (1.25, 2, 64, 80), (2.5, 3, 61, 80), (3, 4, 60, 80)])
    times, pitches = np.array([0, 1.25, 2.5, 3]), np.array([60, 64, 61, 60])
    assert values_of(MELODIC, clip) == {
        "density": 1.0,
        "pitch": 61.25,
        "range": 4.0,
        "interval": pytest.approx((4 + 3 + 1) / 3),
        "diatonic": 0.75,
        "syncopation-16th": 0.25,  # the onset at 1.25: an odd 16th, nothing on the 16th before
        "syncopation-8th": 0.25,  # the onset at 2.5: an off 8th, nothing on the 16th and the 8th before
        "in-key": 0.75,  # C sounds for 2 beats, E for 0.75: C major, without the C#
        "stepwise": pytest.approx(1 / 3),
        "contour": pytest.approx(np.polyfit(times, pitches, 1)[0]),
        "entropy": pytest.approx(2 / 3 * math.log2(3 / 2) + 1 / 3 * math.log2(3)),  # 1.25, 1.25, 0.5
        "repetition": 0.0,
        "note-length": pytest.approx((1 + 0.75 + 0.5 + 1) / 4),
    }


def test_an_onset_just_before_takes_the_syncopation_away() -> None:
    def shares(*beats: float) -> tuple[float, float]:
        found = values_of(MELODIC, Clip.from_notes([(beat, beat + 0.25, 60, 80) for beat in beats]))
        return found["syncopation-16th"], found["syncopation-8th"]

    assert shares(0.5) == (0.0, 1.0)
    assert shares(0.0, 0.5) == (0.0, 0.0)  # the 8th before
    assert shares(0.25, 0.5) == (0.5, 0.0)  # the 16th before, itself an odd one
    assert shares(0.0, 0.25) == (0.0, 0.0)


def test_a_motif_repeats_at_any_height() -> None:
    measure = attribute_named(TUNE, "repetition").measure
    assert measure(tune(60, 62, 64, 66, 68)) == pytest.approx(1 - 1 / 3)  # three times a rise of two tones
    assert measure(tune(60, 62, 64, 65, 67, 69)) == pytest.approx(1 - 3 / 4)  # ++, +half, half+, ++
    assert measure(tune(60, 62, 65, 66)) == 0.0
    assert math.isnan(measure(tune(60, 62)))


def test_even_notes_have_no_entropy_and_two_lengths_one_bit() -> None:
    measure = attribute_named(TUNE, "entropy").measure
    assert measure(tune(60, 61, 62, 63)) == 0.0
    dotted = Clip.from_notes([(0, 0.75, 60, 80), (0.75, 1, 60, 80), (1, 1.75, 60, 80)])
    assert measure(dotted) == pytest.approx(1.0)
    triplets = Clip.from_notes([(i / 3, (i + 1) / 3, 60, 80) for i in range(7)])
    assert measure(triplets) == 0.0


# -- several parts -----------------------------------------------------------------------------------------------------


def band() -> Clip:
    melody_track = Track(notes=notes_array([(0, 1, 72, 80), (1, 2, 74, 80)]), name="melody")
    bass = Track(notes=notes_array([(0, 1, 40, 80), (1, 2, 52, 80)]), name="bass")
    drums = Track(notes=notes_array([(0, 1, 36, 80), (2, 3, 38, 80), (2, 3, 42, 80)]), is_drum=True, name="drums")
    chords = Track(notes=notes_array([(0, 4, 61, 80), (0, 4, 65, 80), (0, 4, 68, 80)]), name="chords")
    return Clip(tracks=(melody_track, bass, drums, chords), length_beats=4.0)


def test_lines_are_pooled_and_chords_left_out() -> None:
    found = values_of(MELODIC, band())
    assert found["density"] == 1.0
    assert found["pitch"] == (72 + 74 + 40 + 52) / 4
    assert found["interval"] == (2 + 12) / 2  # within each line, never from one to the other
    assert found["contour"] == pytest.approx((2 + 12) / 2)
    alone = replace(band(), tracks=band().tracks[3:])
    assert values_of(MELODIC, alone)["pitch"] == pytest.approx((61 + 65 + 68) / 3)


def test_the_key_is_that_of_all_that_sounds() -> None:
    assert key_name(key_of(band())) == "C# major"
    assert values_of(MELODIC, band())["in-key"] == 0.25  # the 72 of 72, 74, 40, 52


def test_a_part_is_measured_by_its_name() -> None:
    trio = KINDS["trio"]
    assert attribute_named(trio, "bass.pitch").measure(band()) == 46.0
    assert attribute_named(trio, "melody.pitch").measure(band()) == 73.0
    assert attribute_named(trio, "drums.density").measure(band()) == 0.75
    assert attribute_named(trio, "drums.kick").measure(band()) == 0.25
    assert "drums.kick" in attributes_of(trio)
    assert not any(name.startswith("drums.") for name in attributes_of(KINDS["lead-sheet"]))
    with pytest.raises(DataError, match=r"no attribute 'bass\.kick'; it has bass\.density"):
        attribute_named(trio, "bass.kick")
    with pytest.raises(DataError, match=r"no attribute 'chords\.pitch'; it has none"):
        attribute_named(KINDS["lead-sheet"], "chords.pitch")


# -- keys --------------------------------------------------------------------------------------------------------------


@given(clip=melodies())
def test_the_best_key_is_the_one_that_correlates_best(clip: Clip) -> None:
    weights = sounding_classes(*(line for _, line in lines_in(clip)))
    fits = [np.corrcoef(weights, np.roll(profile, tonic))[0, 1] for profile in AARDEN_ESSEN for tonic in range(12)]
    assert best_keys(weights) == [1 + key for key, fit in enumerate(fits) if fit > max(fits) - 1e-9]


def test_silence_and_all_tones_alike_have_no_key() -> None:
    assert key_of(Clip(length_beats=8.0)) == 0
    assert key_of(tune(*range(60, 72))) == 0
    assert math.isnan(attribute_named(TUNE, "in-key").measure(tune(*range(60, 72))))


def agrees_with_music21(clip: Clip) -> None:
    found = clip.to_music21().analyze("key")
    token = 1 + found.tonic.pitchClass + 12 * (found.mode == "minor")
    mine = best_keys(sounding_classes(*(line for _, line in lines_in(clip))))
    assert token in mine, clip.name
    assert len(mine) > 1 or key_of(clip) == token


def test_keys_are_those_of_music21_on_made_up_tunes() -> None:
    for seed in range(12):
        agrees_with_music21(melody(seed))


def test_keys_are_those_of_music21_on_chorales() -> None:
    from music21 import corpus

    for name in ("bach/bwv66.6", "bach/bwv57.8"):
        chorale = Clip.from_music21(corpus.parse(name), name=name)
        agrees_with_music21(chorale)
        for start in range(0, int(chorale.length_beats) - 8, 8):
            window = chorale.cut(start, start + 8)
            agrees_with_music21(window)
            agrees_with_music21(window.select(0))


# -- drums -------------------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_the_classes_add_up(data: st.DataObject) -> None:
    clip = KINDS["drums"].decode(data.draw(any_tokens("drums")))
    found = values_of(DRUMS, clip)
    assert found["density"] == pytest.approx(sum(found[name.replace(" ", "-")] for name in CLASSES))
    assert found["density"] == clip.note_count / clip.length_beats


def test_drums_worked_by_hand() -> None:
    beat = kit((0, "kick"), (0, "closed hat"), (0.5, "closed hat"), (1, "snare"), (1, "closed hat"), (2.75, "kick"))
    found = values_of(DRUMS, beat)
    assert (found["density"], found["kick"], found["closed-hat"], found["ride"]) == (1.5, 0.5, 0.75, 0.0)
    assert found["syncopation-16th"] == 0.25  # of 0, 0.5, 1 and 2.75 the last
    assert found["repetition"] == 0.0
    assert found["entropy"] == pytest.approx(2 / 3 * math.log2(3 / 2) + 1 / 3 * math.log2(3))  # 0.5, 0.5, 1.75
    assert values_of(DRUMS, kit(*((beat, "kick") for beat in range(4))))["repetition"] == 0.75


def test_drums_outside_the_kit_are_not_counted() -> None:
    odd = Track(notes=notes_array([(0, 1, 36, 80), (1, 2, 21, 80)]), is_drum=True)
    assert values_of(DRUMS, Clip(tracks=(odd,), length_beats=4.0))["density"] == 0.25


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5], 0.5),
        ([i + late for i in range(4) for late in (0, 2 / 3)], 2 / 3),
        ([i + late for i in range(4) for late in (0, 0.75)], 0.75),
        ([i / 4 for i in range(16)], 0.5),  # straight 16ths
        ([i / 2 + late for i in range(8) for late in (0, 0.3)], 0.6),  # swung 16ths
        ([0, 1, 2, 3], math.nan),
        ([i / 3 for i in range(12)], math.nan),  # full triplets have no pairs
        ([0, 0.02, 0.5, 1, 1.01, 1.5, 2], 0.5),  # a flam is one stroke
    ],
)
def test_swing_is_what_the_first_of_a_pair_takes(beats: list[float], expected: float) -> None:
    beat = kit(*((beat, "closed hat") for beat in beats), (0.3, "kick"))
    assert values_of(DRUMS, beat)["swing"] == pytest.approx(expected, nan_ok=True, abs=0.01)


@pytest.mark.parametrize(
    ("beats", "meter", "expected"),
    [
        ([0, 1, 2, 3], (4, 4), 0),
        ([0, 1, 1.5, 3], (4, 4), 2),  # an 8th (−3) held over the half bar (−1)
        ([0, 0.75], (4, 4), 3),  # a 16th (−4); silence after it reaches the half bar (−1)
        ([0, 1, 2.75], (4, 4), 3),  # a beat (−2) held over the half bar (−1), a 16th (−4) over the last beat (−2)
        ([0, 1, 2], (3, 4), 0),
        ([0, 0.5], (6, 8), 1),  # an 8th (−2) held over the half bar (−1)
    ],
)
def test_syncopation_as_longuet_higgins_and_lee_count_it(beats: list[float], meter, expected: float) -> None:
    strokes = strokes_of(kit(*((beat, "snare") for beat in beats), (0.25, "closed hat"), meter=meter))
    assert syncopation(strokes) == expected


def test_syncopation_is_a_bar() -> None:
    once = kit((0, "kick"), (1.5, "snare"), (3, "snare"))
    twice = kit((0, "kick"), (1.5, "snare"), (3, "snare"), (4, "kick"), (5.5, "snare"), (7, "snare"), bars=2)
    assert syncopation(strokes_of(once)) == syncopation(strokes_of(twice)) == 2
    assert math.isnan(syncopation(strokes_of(kit((0, "ride")))))


# -- grooves -----------------------------------------------------------------------------------------------------------


def test_playing_worked_by_hand() -> None:
    notes = notes_array([(0.0, 0.2, 36, 100), (0.55, 0.7, 42, 60), (0.975, 1.2, 38, 80)])
    clip = Clip(tracks=(Track(notes=notes, is_drum=True),), length_beats=4.0)
    found = values_of(playing(4), clip)
    assert found["velocity"] == 80.0
    assert found["velocity-spread"] == pytest.approx(math.sqrt(800 / 3))
    offsets = [0.0, 0.2, -0.1]  # of a 16th
    assert found["timing"] == pytest.approx(sum(offsets) / 3)
    assert found["timing-spread"] == pytest.approx(np.std(offsets))


@given(data=st.data(), late=st.integers(-20, 20))
@settings(max_examples=20)
def test_playing_late_changes_the_timing_and_not_the_pattern(data: st.DataObject, late: int) -> None:
    groove = KINDS["groove"]
    tokens = groove.straight(groove.canonical(data.draw(any_tokens("groove"))))
    tokens[0] = 0  # nothing is played before the first step
    moved = np.array(tokens)
    moved[..., groove.timing] = np.where(tokens[..., groove.hits] > 0, groove.middle + late, 0)
    known = list(attributes_of(groove).values())
    before, after = (
        dict(zip(attributes_of(groove), row, strict=True))
        for row in measured(known, [groove.decode(tokens), groove.decode(moved)])
    )
    assert same(after.pop("timing"), before.pop("timing") + late / groove.ticks_per_step)
    before.pop("swing"), after.pop("swing")  # of a late row of hats the first pair is longer: from the bar line
    for name, value in before.items():
        assert same(after[name], value), name


def test_what_is_given_is_no_attribute() -> None:
    assert set(attributes_of(KINDS["groove-hits"])) == {
        *("swing", "velocity", "velocity-spread", "timing", "timing-spread"),
    }
    assert "kick" in attributes_of(KINDS["groove-tap"])


# -- texts and raw sequences -------------------------------------------------------------------------------------------


def test_texts_worked_by_hand() -> None:
    text = "It's a dog, a big dog."
    found = values_of(list(attributes_of(KINDS["text-words"]).values()), text)
    assert found == {"length": 6.0, "word-length": pytest.approx(15 / 6), "distinct": pytest.approx(4 / 6)}


def test_progressions_worked_by_hand() -> None:
    found = values_of(list(attributes_of(KINDS["text-chords"]).values()), "| C Am7 | . N.C. | F6 C/E |")
    assert found == {"length": 4.0, "density": 4 / 3, "distinct": 0.75, "minor": 0.25, "rich": 0.5}


@given(data=st.data(), variant=st.integers(0, 11))
@settings(max_examples=20)
def test_a_progression_measures_the_same_in_every_key(data: st.DataObject, variant: int) -> None:
    text = data.draw(st.lists(st.sampled_from(["C", "Am7", "F#m", "|", "G/B", "N.C.", "Bbsus4"]), max_size=9))
    moved = " ".join(chordwords.in_all_keys(word)[variant] for word in text)
    known = list(attributes_of(KINDS["text-chords"]).values())
    before, after = measured(known, [" ".join(text), moved])
    np.testing.assert_array_equal(before, after)


def test_raw_sequences_worked_by_hand() -> None:
    line = values_of(list(attributes_of(KINDS["raw-characters"]).values()), "anna ")
    assert line == {"length": 5.0, "distinct": 0.6}
    words = values_of(list(attributes_of(KINDS["raw-spaces"]).values()), "sin x + sin")
    assert words == {"length": 4.0, "distinct": 0.75}
    row = values_of(list(attributes_of(KINDS["raw-integers"]).values()), np.array([0, 4, 0, 4]))
    assert row == {"mean": 2.0, "spread": 2.0, "filled": 0.5}


def test_matches_of_a_pattern_are_counted() -> None:
    words = KINDS["text-words"]
    assert attribute_named(words, r"regex:\bdogs?\b").measure("a dog, two dogs and a dogma") == 2.0
    assert attribute_named(words, "regex:a*").measure("banana") == 3.0  # empty ones do not count
    assert attribute_named(words, "regex:(?i)B").measure("bB") == 2.0
    assert attribute_named(words, "regex:B").measure("bB") == 1.0
    assert attribute_named(KINDS["raw-integers"], r"regex:\b4\b").measure(np.array([0, 4, 3, 4])) == 2.0


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("text-words", "regex:(dog", r"regex:\(dog: is no regular expression \(missing \)"),
        ("text-words", "regex:", "nothing stands behind the colon"),
        ("melody", "regex:a", "a regular expression is of texts, and a melody is none"),
    ],
)
def test_a_bad_pattern_is_one_clear_line(kind: str, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        attribute_named(KINDS[kind], name)
    assert "\n" not in str(caught.value)


# -- enough, and varied ------------------------------------------------------------------------------------------------

numbers = st.lists(st.one_of(st.integers(0, 5).map(float), st.just(math.nan)), max_size=60).map(np.array)


@given(values=numbers)
def test_sides_are_above_and_below(values: np.ndarray) -> None:
    values = values.astype(np.float64)
    high, low = sides(values)
    assert not (high & low).any()
    assert not (high | low)[np.isnan(values)].any()
    if len(set(values[np.isfinite(values)])) > 1:
        assert high.any()
        assert low.any()
        assert values[high].min() > values[low].max()


def test_sides_worked_by_hand() -> None:
    high, low = sides(np.roll(np.arange(40.0), 5))
    assert np.flatnonzero(high).tolist() == [0, 1, 2, 3, 4, *range(35, 40)]  # a quarter
    assert np.flatnonzero(low).tolist() == [*range(5, 15)]
    for count, above, below in ((31, 8, 8), (20, 8, 8), (16, 8, 8), (9, 4, 5), (2, 1, 1)):
        high, low = sides(np.arange(float(count)))
        assert (high.sum(), low.sum()) == (above, below)
    high, low = sides(np.array([0.0] * 8 + [1.0, 2.0]))  # both quartiles are 0
    assert (high.sum(), low.sum()) == (2, 8)
    high, low = sides(np.array([1.0] * 8 + [0.0]))
    assert (high.sum(), low.sum()) == (8, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.5] * 40, "mood: is 1.5 on all of 40 items, and something can be learned only where it varies"),
        ([1.0] * 30 + [0.0] * 7, "30 items have much of it and 7 little, of 37 .* at least 8 on each side are needed"),
        (list(range(14)), "7 items have much of it and 7 little"),
        ([math.nan] * 9, "0 items have much of it and 0 little, of 0"),
        ([math.nan] * 9 + [1.0], "is 1 on all of 1 items"),
    ],
)
def test_too_little_to_learn_from_is_said(values: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_values("mood", np.array(values, np.float64))


def test_enough_is_enough() -> None:
    check_values("mood", np.array([1.0] * 8 + [0.0] * 8))
    check_values("rating", np.arange(16.0))
    check_values("mood", np.array([1.0, 0.0]), least=1)


# -- tables ------------------------------------------------------------------------------------------------------------


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_names_items_as_it_likes(tmp_path: Path) -> None:
    path = table(
        tmp_path, "rating,genre,live,file,note\n3,jazz,no,a.mid,\n4.5,folk,yes,deep/b.mid,\n,jazz,,c.mid,\n,pop,no,e,\n"
    )
    names = ["x/a.mid", "x/b.mid", "x/b.mid", "c.mid", "d.mid", "e.mid"]
    found = {label.name: label for label in read_labels(path, names)}
    assert list(found) == ["rating", "genre=folk", "genre=jazz", "genre=pop", "live=no", "live=yes"]
    np.testing.assert_array_equal(found["rating"].values, [3, 4.5, 4.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found["genre=jazz"].values, [1, 0, 0, 1, np.nan, 0])
    np.testing.assert_array_equal(found["live=yes"].values, [0, 1, 1, np.nan, np.nan, 0])
    assert found["genre=jazz"].what == "genre is jazz (labels.csv)"
    kept = [label.name for label in without_opposites(list(found.values()))]
    assert kept == ["rating", "genre=folk", "genre=jazz", "genre=pop", "live=yes"]
    bare = table(tmp_path, "song,rating\na,1\nb,2\n")
    (rating,) = read_labels(bare, ["x/a.mid", "x/b.mid"])
    assert rating.values.tolist() == [1.0, 2.0]


@given(order=st.randoms(use_true_random=False), rows=st.integers(1, 30))
@settings(max_examples=20)
def test_the_order_of_rows_and_columns_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: random.Random, rows: int
) -> None:
    names = [f"song-{i}.mid" for i in range(rows)]
    columns = {"file": names, "key": [f"k{i % 3}" for i in range(rows)], "n": [str(i / 2) for i in range(rows)]}
    heads, lines = list(columns), list(range(rows))
    order.shuffle(heads)
    order.shuffle(lines)
    text = "\n".join([",".join(heads), *(",".join(columns[head][line] for head in heads) for line in lines)])
    found = {label.name: label.values for label in read_labels(table(tmp_path_factory.mktemp("t"), text), names)}
    assert found["n"].tolist() == [i / 2 for i in range(rows)]
    if rows > 2:
        assert sum(found[f"key=k{i}"] for i in range(3)).tolist() == [1.0] * rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,genre\nq.mid,jazz\n", r"0 of 2 items are named by its 1 rows: the first row says 'q\.mid', the first "),
        ("file,genre\n", "0 of 2 items are named by its 0 rows: the first row says nothing"),
        ("file\na.mid\n", "its first line is file; a column that names items and one or more labels are expected"),
        ("", "its first line is empty"),
        ("file,genre\na.mid,jazz\na.mid,folk\n", r"rows 2 and 3 both name 'a\.mid' and differ; keep one"),
        ("file,genre\na.mid,jazz,9\n", "row 2 has 3 columns and 2 are expected"),
        ("file,genre\na.mid,\nb.mid,\n", "neither numbers nor labels .* are in genre"),
    ],
)
def test_a_table_that_says_nothing_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_labels(table(tmp_path, text), ["a.mid", "b.mid"])
    assert "\n" not in str(caught.value)


def test_items_without_names_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing is known of where the items come from; give the files"):
        read_labels(table(tmp_path, "file,genre\nq.mid,jazz\n"), ["", ""])


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"cannot be read as a table \(No such file or directory\); give a \.csv"):
        read_labels(tmp_path / "none.csv", ["a"])


def test_words_that_are_all_different_are_no_labels(tmp_path: Path) -> None:
    rows = "".join(f"{i}.mid,word{i},{i}\n" for i in range(70))
    assert [
        label.name for label in read_labels(table(tmp_path, f"file,title,n\n{rows}"), ["1.mid", "2.mid", "3.mid"])
    ] == [
        *("title=word1", "title=word2", "title=word3"),
        "n",
    ]
    names = [f"{i}.mid" for i in range(70)]
    assert [label.name for label in read_labels(table(tmp_path, f"file,title,n\n{rows}"), names)] == ["n"]


def test_a_repeated_row_and_equal_file_names_in_other_folders(tmp_path: Path) -> None:
    path = table(tmp_path, "file,n\nx/a.mid,1\ny/a.mid,2\nx/a.mid,1\n")
    (found,) = read_labels(path, ["y/a.mid", "x/a.mid"])
    assert found.values.tolist() == [2.0, 1.0]
    with pytest.raises(DataError, match=r"both name 'a\.mid'"):
        read_labels(path, ["z/a.mid"])


# -- windows -----------------------------------------------------------------------------------------------------------


def songs(folder: Path, seeds: Sequence[int]) -> Path:
    for seed in seeds:
        melody(seed).save(folder / f"{seed}.mid")
    return folder


def test_windows_have_the_labels_of_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    windows = gather(TUNE, [songs(tmp_path / "songs", range(6))], "test", None, 0, None)
    path = table(
        tmp_path, "file,mood\n" + "".join(f"{seed}.mid,{'calm' if seed < 2 else 'wild'}\n" for seed in range(5))
    )
    found = {label.name: label.values for label in labels_of(TUNE, windows, path)}
    expected = {"0": 0.0, "1": 0.0, "5": np.nan}
    np.testing.assert_array_equal(
        found["mood=wild"], [expected.get(Path(source).stem, 1.0) for source in windows.sources]
    )
    assert "5 of 6 windows have labels" in capsys.readouterr().err


def test_lines_are_named_by_number_and_by_text(tmp_path: Path) -> None:
    words = KINDS["text-words"]
    texts = tmp_path / "texts.txt"
    texts.write_text("a dog\ngreen apples\nit eat\n", encoding="utf-8")
    windows = gather(words, [texts], "test", None, 0, None)
    assert names_of(words, windows)[1] == ("texts.txt:2", "green apples", "texts.txt")
    (found,) = labels_of(words, windows, table(tmp_path, "text,n\ntexts.txt:3,3\n"))
    assert found.values[2] == 3.0
    assert np.isnan(found.values[:2]).all()
    (found,) = labels_of(words, windows, table(tmp_path, "text,n\n  a   dog ,1\ngreen apples,2\n"))
    np.testing.assert_array_equal(found.values, [1, 2, np.nan])


def test_two_folders_are_two_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    happy, sad = songs(tmp_path / "very happy", [1, 2, 3]), songs(tmp_path / "sad", [3, 4])
    windows, label = gather_sides(TUNE, happy, sad, "test", None, 0, None)
    assert label.name == "very-happy"
    assert label.values.tolist() == [1.0, 1.0, 0.0]  # the tune that is in both is left out
    assert len(windows.tokens) == len(windows.sources) == len(windows.starts) == 3
    assert "1 windows are in" in capsys.readouterr().err
    np.testing.assert_array_equal(windows.tokens[2], TUNE.encode(melody(4)))
    with pytest.raises(DataError, match=r"all its windows are in .* too; give two that differ"):
        gather_sides(TUNE, sad, sad, "test", None, 0, None)


def test_two_items_are_two_sides(tmp_path: Path) -> None:
    folder = songs(tmp_path, [1, 2])
    windows, label = gather_sides(TUNE, folder / "1.mid", folder / "2.mid", "test", None, 0, None)
    assert label.values.tolist() == [1.0, 0.0]
    assert label.name == "1"
    check_values(label.name, label.values, least=1)
    np.testing.assert_array_equal(windows.tokens[0], TUNE.encode(melody(1)))


def test_two_sides_of_counts() -> None:
    assert two_sides("glasses", 1, 2).values.tolist() == [1.0, 0.0, 0.0]


# -- documentation -----------------------------------------------------------------------------------------------------


def test_every_measure_is_documented() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "attributes.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    tokenizers: list[Tokenizer] = [TUNE, MelodyTokenizer(), *(KINDS[kind] for kind in KINDS)]
    names = {name.removeprefix("drums.") for tokenizer in tokenizers for name in attributes_of(tokenizer)}
    assert {*names, "regex:PATTERN"} - documented == set()
