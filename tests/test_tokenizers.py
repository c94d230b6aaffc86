"""The melody tokenizer: its laws on any tokens and any clip, and the cases that others get wrong."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqvae.clip import Clip, MeterChange, Track, notes_array
from seqvae.errors import ConfigError, DataError
from seqvae.tokenizers import MelodyTokenizer, Tokens
from seqvae.tokenizers.melody import highest, voice

GRIDS = [
    MelodyTokenizer(),
    MelodyTokenizer(meter="3/4"),
    MelodyTokenizer(meter="6/8", bars=4),
    MelodyTokenizer(steps_per_beat=6, min_pitch=48, max_pitch=72),
    MelodyTokenizer(bars=1, steps_per_beat=12),
]
each_grid = pytest.mark.parametrize("tokenizer", GRIDS, ids=lambda t: f"{t.meter} x{t.bars} /{t.steps_per_beat}")


@st.composite
def any_tokens(draw: st.DrawFn, tokenizer: MelodyTokenizer) -> Tokens:
    """Tokens with runs of holds and note-offs in every place, sensible or not."""
    alphabet = st.sampled_from([0, 0, 0, 1]) | st.integers(0, tokenizer.alphabet.largest - 1)
    return np.array(draw(st.lists(alphabet, min_size=tokenizer.length, max_size=tokenizer.length)))


@st.composite
def any_clip(draw: st.DrawFn, beats: float = 20.0, pitches: tuple[int, int] = (30, 100)) -> Clip:
    """One track of notes anywhere: off the grid, overlapping, of any length."""
    times = st.floats(0, beats, allow_nan=False) | st.integers(0, int(beats * 4)).map(lambda step: step / 4)
    lengths = st.floats(0.01, 9) | st.integers(1, 12).map(lambda step: step / 4)
    note = st.tuples(times, lengths, st.integers(*pitches), st.integers(1, 127))
    notes = draw(st.lists(note, min_size=1, max_size=25))
    return Clip.from_notes([(start, start + length, pitch, velocity) for start, length, pitch, velocity in notes])


# -- laws ----------------------------------------------------------------------------------------------------------


@each_grid
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_encode_undoes_decode(tokenizer: MelodyTokenizer, data: st.DataObject) -> None:
    tokens = data.draw(any_tokens(tokenizer))
    canonical = tokenizer.canonical(tokens)
    np.testing.assert_array_equal(tokenizer.encode(tokenizer.decode(tokens)), canonical)
    np.testing.assert_array_equal(tokenizer.canonical(canonical), canonical)


@each_grid
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_reads_back_what_it_writes(
    tokenizer: MelodyTokenizer, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tokens = data.draw(any_tokens(tokenizer))
    path = tmp_path_factory.mktemp("clip") / "c.mid"
    tokenizer.write(tokenizer.decode(tokens), path, overwrite=False)
    np.testing.assert_array_equal(tokenizer.encode(tokenizer.read(path)), tokenizer.canonical(tokens))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_decode_undoes_encode_on_a_melody_of_the_grid(data: st.DataObject) -> None:
    tokenizer = GRIDS[0]
    clip = tokenizer.decode(data.draw(any_tokens(tokenizer)))
    again = tokenizer.decode(tokenizer.encode(clip), tokenizer.style(clip))
    assert again == clip


@settings(deadline=None, max_examples=80)
@given(clip=any_clip())
@example(clip=Clip.from_notes([(0, 1, 30, 1), (4, 13, 30, 1), (7.875, 8, 30, 1)], length_beats=16))  # rounded to 8
def test_split_and_encode_is_windows(clip: Clip) -> None:
    tokenizer = MelodyTokenizer(min_onsets=0, hop_bars=2)
    found = tokenizer.windows(clip, track="all")
    parts = tokenizer.split(clip, track="0")
    for row, start in zip(found.tokens, found.starts, strict=True):
        np.testing.assert_array_equal(row, tokenizer.encode(parts[int(start // tokenizer.window_beats)]))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(60, 64)), max_size=20))
def test_the_highest_note_of_each_step_and_of_equals_the_first(notes: list[tuple[int, int]]) -> None:
    steps, pitches = np.array(notes, np.int64).reshape(-1, 2).T
    ordered = sorted(range(len(notes)), key=lambda note: (steps[note], -pitches[note]))
    expected = [note for place, note in enumerate(ordered) if not place or steps[note] > steps[ordered[place - 1]]]
    assert highest(steps, pitches).tolist() == expected


@settings(deadline=None, max_examples=80)
@given(clip=any_clip(), hop=st.integers(1, 3), bars=st.integers(1, 3))
@example(clip=Clip.from_notes([(0, 2, 30, 1), (0.0625, 1.0625, 30, 1)], length_beats=4), hop=1, bars=1)
def test_a_window_is_the_clip_cut_and_encoded(clip: Clip, hop: int, bars: int) -> None:
    tokenizer = MelodyTokenizer(bars=bars, hop_bars=hop, min_onsets=0)
    # The voice first: of two notes of one pitch on one step the first counts, and a quantised clip has another order.
    melody = clip.with_notes([voice(clip.tracks[0].notes, 4)]).quantise(4)
    found = tokenizer.windows(clip, track="all")
    for row, start in zip(found.tokens, found.starts, strict=True):
        window = melody.cut(start, start + tokenizer.window_beats)
        np.testing.assert_array_equal(row, tokenizer.encode(window))


@settings(deadline=None, max_examples=60)
@given(clip=any_clip(beats=8.0, pitches=(40, 90)), row=st.integers(0, 12))
def test_transposition_commutes_with_encoding(clip: Clip, row: int) -> None:
    tokenizer = GRIDS[0]
    shift = [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6][row]
    moved = tokenizer.encode(clip.transpose(shift))
    np.testing.assert_array_equal(moved, tokenizer.augmentations[row][tokenizer.encode(clip)])


@each_grid
def test_augmentations_keep_the_alphabet(tokenizer: MelodyTokenizer) -> None:
    table = tokenizer.augmentations
    assert table.shape == (13, tokenizer.alphabet.largest) and table.dtype == np.int64
    np.testing.assert_array_equal(table[0], np.arange(tokenizer.alphabet.largest))
    np.testing.assert_array_equal(table[:, :2], [[0, 1]] * 13)
    np.testing.assert_array_equal(tokenizer.onset_mask[table], np.tile(tokenizer.onset_mask, (13, 1)))
    assert table.min() >= 0 and table.max() < tokenizer.alphabet.largest


@settings(deadline=None, max_examples=60)
@given(clip=any_clip(beats=7.9))
def test_silence_and_order_of_style_and_tokens(clip: Clip) -> None:
    tokenizer = GRIDS[0]
    style = tokenizer.style(clip)
    assert style.velocities.shape == (tokenizer.length,) and (style.velocities >= 1).all()
    decoded = tokenizer.decode(tokenizer.encode(clip), style).tracks[0].notes
    assert (np.diff(decoded["start_beats"]) > 0).all()  # one voice
    assert (decoded["end_beats"][:-1] <= decoded["start_beats"][1:]).all()


# -- worked cases ------------------------------------------------------------------------------------------------------

C4 = 60 - 21 + 2  # the token of a middle C's onset


def tokens_of(*notes: tuple[float, float, int], bars: int = 1, **kwargs: object) -> list[int]:
    clip = Clip.from_notes([(start, end, pitch, 80) for start, end, pitch in notes])
    tokens: list[int] = MelodyTokenizer(bars=bars, **kwargs).encode(clip).tolist()  # type: ignore[arg-type]
    return tokens


def test_hold_off_and_onset() -> None:
    assert tokens_of((0, 1, 60), (1.5, 2, 62)) == [C4, 0, 0, 0, 1, 0, C4 + 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_silence_first_and_a_rest_longer_than_a_bar() -> None:
    tokens = tokens_of((4.5, 5, 60), (11, 12, 62), bars=3)
    assert np.flatnonzero(tokens).tolist() == [18, 20, 44]
    assert [tokens[18], tokens[20], tokens[44]] == [C4, 1, C4 + 2]


def test_the_highest_pitch_wins_and_a_new_onset_ends_the_note() -> None:
    assert tokens_of((0, 4, 60), (0, 4, 64), (0, 4, 67), (2, 3, 60))[:13] == [C4 + 7] + [0] * 7 + [C4, 0, 0, 0, 1]


def test_rounding_is_half_up_and_a_short_note_gets_one_step() -> None:
    assert tokens_of((0.125, 0.13, 60))[:4] == [0, C4, 1, 0]
    assert tokens_of((0.12, 0.2, 60))[:4] == [C4, 1, 0, 0]


def test_a_note_over_the_windows_edge_starts_in_the_window_and_ends_in_it() -> None:
    clip = Clip.from_notes([(0, 6, 60, 80), (6, 7, 62, 80), (7, 8, 64, 80), (15, 18, 65, 80)])
    windows = MelodyTokenizer(min_onsets=1).windows(clip)
    assert windows.starts.tolist() == [0, 4, 8, 12]
    assert windows.tokens[1][0] == C4 and windows.tokens[1][8] == C4 + 2
    assert windows.tokens[3][12] == C4 + 5 and windows.tokens[3][24] == 1
    assert windows.tokens[2][28] == C4 + 5 and not windows.tokens[2][29:].any()  # overhangs to the right


def test_a_tail_of_less_than_half_a_step_is_no_onset_in_the_next_window() -> None:
    clip = Clip.from_notes([(6, 8.002, 72, 80), (8.5, 9, 60, 80)])
    assert MelodyTokenizer().encode(MelodyTokenizer().split(clip)[1])[:4].tolist() == [0, 0, C4, 0]


def test_a_pickup_bar_moves_the_bar_lines() -> None:
    meters = (MeterChange(0.0, 1, 4), MeterChange(1.0, 4, 4))
    notes = notes_array([(0, 1, 67, 80), *((1 + beat, 2 + beat, 60 + beat, 80) for beat in range(8))])
    clip = Clip(tracks=(Track(notes=notes),), length_beats=9.0, meters=meters)
    windows = MelodyTokenizer().windows(clip)
    assert windows.starts.tolist() == [1.0]
    assert windows.tokens[0][::4].tolist() == [C4 + beat for beat in range(8)]
    assert MelodyTokenizer().encode(MelodyTokenizer().split(clip)[0]).tolist() == windows.tokens[0].tolist()


@pytest.mark.parametrize(
    ("meter", "ours", "starts"),
    [
        ((4, 4), "4/4", [0, 4, 8]),
        ((2, 2), "4/4", [0, 4, 8]),
        ((2, 4), "4/4", [0, 4, 8]),  # two bars of 2/4 serve as one of 4/4
        ((3, 4), "3/4", [0, 3, 6, 9]),
        ((6, 8), "6/8", [0, 3, 6, 9]),
        ((3, 8), "6/8", [0, 3, 6, 9]),
        ((3, 4), "4/4", []),
        ((6, 8), "3/4", []),
    ],
)
def test_meters(meter: tuple[int, int], ours: str, starts: list[float]) -> None:
    clip = Clip.from_notes([(beat, beat + 1, 60, 80) for beat in range(15)], meter=meter)
    windows = MelodyTokenizer(meter=ours, min_onsets=1).windows(clip)
    assert windows.starts.tolist()[: len(starts)] == starts
    assert bool(len(windows.starts)) == bool(starts)
    assert starts or list(windows.skipped) == [f"bars not in {ours}"]


def test_triplets_on_their_grid_are_exact() -> None:
    third = 1 / 3
    tokens = tokens_of(*((i * third, (i + 1) * third, 60 + i) for i in range(12)), steps_per_beat=6)
    assert tokens[::2] == [C4 + i for i in range(12)] and not any(tokens[1::2])


def test_style_goes_in_and_comes_out() -> None:
    clip = Clip.from_notes([(0, 1, 60, 100), (1, 2, 62, 40)], program=73, tempo_qpm=90.0)
    tokenizer = MelodyTokenizer(bars=1)
    again = tokenizer.decode(tokenizer.encode(clip), tokenizer.style(clip))
    assert again.tracks[0].program == 73 and again.tempos[0].tempo_qpm == 90.0
    assert again.tracks[0].notes["velocity"].tolist() == [100, 40]


def test_pitches_outside_the_range_are_folded_by_octaves() -> None:
    tokenizer = MelodyTokenizer(bars=1, min_pitch=48, max_pitch=72)
    names = [tokenizer.token_name(t) for t in tokenizer.encode(Clip.from_notes([(0, 1, 12, 80), (1, 2, 110, 80)]))[:5]]
    assert names == ["C3", "hold", "hold", "hold", "D4"]


def test_names_of_tokens() -> None:
    assert [MelodyTokenizer().token_name(t) for t in (0, 1, 2, C4, 89)] == ["hold", "off", "A0", "C4", "C8"]


# -- which track -------------------------------------------------------------------------------------------------------


def band() -> Clip:
    tune = notes_array([(beat, beat + 1, 72, 80) for beat in range(8)])
    chords = notes_array([(beat, beat + 2, pitch, 80) for beat in range(0, 8, 2) for pitch in (60, 64, 67)])
    tracks = (
        Track(notes=tune, is_drum=True, name="Kit"),
        Track(notes=chords, name="Piano"),
        Track(notes=tune, program=33, name="Bass"),
        Track(notes=tune, program=73, name="Flute"),
        Track(notes=notes_array(), name="Words"),
    )
    return Clip(tracks=tracks, length_beats=8.0, name="band.mid")


def test_the_melody_is_found_and_can_be_named() -> None:
    tokenizer = MelodyTokenizer()
    assert tokenizer.melody_tracks(band()) == [3, 2]  # one voice, and not the bass
    assert tokenizer.melody_tracks(band(), "1") == [1]
    assert tokenizer.melody_tracks(band(), " bass") == [2]
    assert set(tokenizer.windows(band()).track.tolist()) == {2, 3}
    assert set(tokenizer.windows(band(), track="all").track.tolist()) == {1, 2, 3}


@pytest.mark.parametrize(
    ("track", "words"),
    [("9", "there is no track '9'"), ("horn", "0 Kit, 1 Piano"), ("0", "is a drum track"), ("Words", "has no notes")],
)
def test_a_wrong_track_is_one_clear_line(track: str, words: str) -> None:
    with pytest.raises(DataError, match="band") as error:
        MelodyTokenizer().split(band(), track)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_no_melody_says_why() -> None:
    kit, piano, *_ = band().tracks
    for tracks, words in (((kit,), "only drums"), ((), "no notes"), ((piano,), "choose one with --track")):
        with pytest.raises(DataError, match=words):
            MelodyTokenizer().split(Clip(tracks=tracks, length_beats=8.0, name="x.mid"))


def test_another_meter_says_so() -> None:
    with pytest.raises(DataError, match="its meter is 3/4 and the model's is 4/4; use --meter 4/4"):
        MelodyTokenizer().split(Clip.from_notes([(0, 3, 60, 80)], meter=(3, 4)))


@pytest.mark.parametrize(
    "settings_of",
    [
        {"meter": "4"},
        {"meter": "x/4"},
        {"meter": "0/4"},
        {"meter": "5/16", "steps_per_beat": 3},
        {"bars": 0},
        {"steps_per_beat": 0},
        {"min_pitch": 60, "max_pitch": 65},
        {"max_pitch": 128},
    ],
)
def test_settings_that_make_no_sense(settings_of: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        MelodyTokenizer(**settings_of).length  # type: ignore[arg-type]  # noqa: B018


def test_real_songs_read_the_same_whole_and_split(shared_data: Path, tmp_path: Path) -> None:
    """Every tenth Nottingham tune: `split` covers what `windows` finds."""
    import tarfile

    with tarfile.open(shared_data / "music" / "nottingham" / "nottingham.tar.xz") as archive:
        names = [name for name in archive.getnames() if "/melody/" in name and name.endswith(".mid")][::40]
        assert len(names) > 20
        for name in names:
            archive.extract(name, tmp_path, filter="data")
    checked = 0
    for name in names:
        clip = Clip.load(tmp_path / name)
        tokenizer = MelodyTokenizer(min_onsets=0, hop_bars=2)
        windows = tokenizer.windows(clip)
        if len(windows.starts):
            encoded = [tokenizer.encode(part) for part in tokenizer.split(clip)]
            assert any(np.array_equal(windows.tokens[0], row) for row in encoded)
            checked += 1
    assert checked > 5
