"""Several parts in one model: who plays what, and their tokens side by side."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import random_tokens

from seqvae import chords
from seqvae.clip import Clip, Track, notes_array
from seqvae.config import load_preset
from seqvae.errors import ConfigError, DataError
from seqvae.tokenizers import PartsTokenizer, Tokens
from seqvae.tokenizers.parts.assign import best_matching, role_of

SETS: dict[str, PartsTokenizer] = {
    "satb": PartsTokenizer(bars=1, parts=("soprano", "alto", "tenor", "bass")),
    "trio": PartsTokenizer(bars=1),
    "lead sheet": PartsTokenizer(bars=2, meter="3/4", parts=("chords", "melody"), max_transpose=3),
    "given chords": PartsTokenizer(bars=1, given=("chords",), parts=("melody", "bass")),
    "given key": PartsTokenizer(bars=1, given=("key", "label:mood=calm|wild"), parts=("melody",)),
    "a duo": PartsTokenizer(bars=1, meter="6/8", parts=("violin 55-100", "viola 48-84")),
}
each_set = pytest.mark.parametrize("name", SETS)
seeds = st.integers(0, 2**32 - 1)
shares = st.sampled_from([0.0, 0.5, 0.9])


def some_tokens(tokenizer: PartsTokenizer, seed: int, empty: float) -> Tokens:
    """Tokens of which every third has chords that last, as chords do."""
    tokens = random_tokens(tokenizer, seed, empty)
    if seed % 3 == 0:
        tokens = np.repeat(tokens[:: tokenizer.steps_per_beat], tokenizer.steps_per_beat, axis=0)[: len(tokens)]
    return tokens


def line(pitches: Sequence[int], *, beats: float = 1.0, start: float = 0.0) -> np.ndarray:
    """Notes one after another."""
    return notes_array((start + i * beats, start + (i + 1) * beats, pitch, 80) for i, pitch in enumerate(pitches))


def band(**changes: Track) -> Clip:
    """Two bars of a small band: lead, piano chords, bass, drums."""
    tracks = {
        "piano": Track(
            notes=notes_array((b, b + 1, p, 60) for b in range(8) for p in (60, 64, 67)), program=0, name="Piano"
        ),
        "lead": Track(notes=line([72, 74, 76, 77, 79, 77, 76, 74]), program=80, name="Lead"),
        "low": Track(notes=line([36, 36, 43, 43, 36, 36, 43, 43]), program=33, name="Fingered"),
        "drums": Track(notes=notes_array((b / 2, b / 2 + 0.1, 36 + 6 * (b % 2), 90) for b in range(16)), is_drum=True),
    }
    return Clip(tracks=tuple((tracks | changes).values()), length_beats=8.0, name="band.mid")


# -- laws --------------------------------------------------------------------------------------------------------------


@each_set
@settings(max_examples=25)
@given(seed=seeds, empty=shares)
def test_what_is_decoded_is_encoded_again(name: str, seed: int, empty: float) -> None:
    tokenizer = SETS[name]
    tokens = some_tokens(tokenizer, seed, empty)
    clip = tokenizer.decode(tokens)
    assert np.array_equal(tokenizer.encode(clip), tokenizer.canonical(tokens))
    styled = tokenizer.decode(tokens, tokenizer.style(clip))
    assert np.array_equal(tokenizer.encode(styled), tokenizer.canonical(tokens))
    assert [len(track.notes) for track in styled.tracks] == [len(track.notes) for track in clip.tracks]


@each_set
def test_through_a_midi_file(name: str, tmp_path: Path) -> None:
    tokenizer = SETS[name]
    for seed in range(6):
        tokens = tokenizer.canonical(some_tokens(tokenizer, seed, 0.6))
        path = tokenizer.write(tokenizer.decode(tokens), tmp_path / f"{seed}.mid", overwrite=False)
        assert np.array_equal(tokenizer.encode(tokenizer.read(path)), tokens)
        assert len(tokenizer.split(tokenizer.read(path))) == 1


@each_set
@settings(max_examples=20)
@given(seed=seeds, empty=shares)
def test_windows_joined_are_split_into_the_same(name: str, seed: int, empty: float) -> None:
    tokenizer = SETS[name]
    both = [tokenizer.canonical(some_tokens(tokenizer, seed + k, empty)) for k in range(2)]
    if name == "given key":
        both[1][:, :2] = both[0][:, :2]  # a clip says its key once
    for tokens in both:
        tokens[0, len(tokenizer.given) :] = [first if first != 1 else 0 for first in tokens[0, len(tokenizer.given) :]]
    clip = tokenizer.join([tokenizer.decode(tokens) for tokens in both])
    windows = tokenizer.split(clip)
    assert len(windows) == 2
    for window, tokens in zip(windows, both, strict=True):
        assert np.array_equal(tokenizer.encode(window), tokenizer.canonical(tokens))


@each_set
@settings(max_examples=20)
@given(seed=seeds, variant=st.integers(0, 200))
def test_pitched_parts_move_together_and_drums_stay(name: str, seed: int, variant: int) -> None:
    tokenizer = SETS[name]
    tokens = some_tokens(tokenizer, seed, 0.5)
    table = tokenizer.augmentations
    count = 2 * tokenizer.max_transpose + 1
    assert len(table) % count == 0
    row = table[variant % count]
    moved = row[np.arange(tokens.shape[1]), tokens]
    shift = sorted(range(-tokenizer.max_transpose, tokenizer.max_transpose + 1), key=lambda s: (abs(s), -s))
    interval = shift[variant % count]
    before, after = tokenizer.decode(tokens), tokenizer.decode(moved)
    for mine, its in zip(before.tracks, after.tracks, strict=True):
        change = (its.notes["pitch"].astype(int) - mine.notes["pitch"]) % 12 if mine.name != "chords" else None
        if mine.is_drum:
            assert mine == its
        elif change is not None:
            assert (change == interval % 12).all()
    for place, part in enumerate(tokenizer.roles):
        if part == "chords":
            assert np.array_equal(moved[:, place], chords.transpose(tokens[:, place], interval))


@each_set
def test_the_shape_of_things(name: str) -> None:
    tokenizer = SETS[name]
    alphabet = tokenizer.alphabet
    parts, largest = len(alphabet.parts), alphabet.largest
    assert tokenizer.onset_mask.shape == (parts, largest) == tokenizer.augmentations.shape[1:]
    assert [part.given for part in alphabet.parts] == [True] * len(tokenizer.given) + [False] * len(tokenizer.parts)
    for place, part in enumerate(alphabet.parts):
        assert tokenizer.augmentations[:, place, : part.size].max() < part.size
        assert not tokenizer.onset_mask[place, part.size :].any()
        assert tokenizer.onset_mask[place].any() != part.given
        names = [tokenizer.token_name(token, place) for token in range(part.size)]
        assert len(set(names)) == part.size
    silence = tokenizer.decode(np.zeros((tokenizer.length, parts), np.int64))
    assert silence.note_count == 0
    assert not tokenizer.encode(Clip(length_beats=8.0)).any()


@given(seed=seeds, rows=st.integers(0, 5), columns=st.integers(0, 4))
def test_matching_is_the_best_of_all(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    fitness = np.where(rng.random((rows, columns)) < 0.4, 0.0, rng.integers(1, 50, (rows, columns)).astype(float))
    found = best_matching(fitness)

    def worth(choice: Sequence[int]) -> tuple[int, float]:
        played = [(row, column) for column, row in enumerate(choice) if row >= 0]
        if len({row for row, _ in played}) < len(played) or any(fitness[pair] <= 0 for pair in played):
            return -1, 0.0
        return len(played), float(sum(fitness[pair] for pair in played))

    assert worth(found) == max(worth(choice) for choice in itertools.product(range(-1, rows), repeat=columns))


@given(st.permutations([(72, 74), (65, 67), (60, 62), (53, 55)]))
def test_unnamed_voices_are_told_by_their_pitch(order: list[tuple[int, int]]) -> None:
    clip = Clip(tracks=tuple(Track(notes=line(pitches * 2)) for pitches in order), length_beats=4.0)
    chosen = SETS["satb"].cast(clip)
    assert [order[tracks[0]][0] for tracks in chosen.values()] == [72, 65, 60, 53]


# -- which track plays what ----------------------------------------------------------------------------------------


def test_a_band_is_cast_by_program_and_name() -> None:
    tokenizer = PartsTokenizer(parts=("melody", "bass", "drums", "chords"))
    assert tokenizer.cast(band()) == {"melody": (1,), "bass": (2,), "drums": (3,), "chords": (0,)}
    assert tokenizer.describe(band())[:2] == [
        "melody: track 1 Lead (program 80), 8 notes, pitches 72-79",
        "bass: track 2 Fingered (program 33), 8 notes, pitches 36-43",
    ]
    assert PartsTokenizer().describe(band())[-1] == "not used: 0 Piano"


def test_names_go_before_programs() -> None:
    named = band(low=Track(notes=line([50, 52, 53, 55]), program=0, name="Bass"))
    decoy = Track(notes=line([72] * 8), program=38, name="synth effect")
    assert PartsTokenizer().cast(replace(named, tracks=(*named.tracks, decoy)))["bass"] == (2,)


def test_a_lead_that_doubles_the_bass_is_no_melody() -> None:
    growl = Track(notes=line([36, 36, 43, 43] * 2), program=80, name="Square Lead")
    clip = band(lead=growl, piano=Track(notes=line([72, 74, 76, 77] * 2), program=11))
    assert PartsTokenizer().cast(clip)["melody"] == (0,)


def test_a_bass_whose_notes_are_held_too_long_is_one_still() -> None:
    legato = notes_array((b, b + 1.5, 36 + b % 5, 80) for b in range(8))
    legato["end_beats"][::2] -= 0.5
    thick = Track(notes=legato, program=34)
    assert PartsTokenizer().cast(band(low=thick))["bass"] == (2,)
    assert PartsTokenizer(silent_parts=1).cast(band(low=replace(thick, program=0)))["bass"] == ()


def test_all_drum_tracks_are_one_kit() -> None:
    clip = band()
    more = replace(clip, tracks=(*clip.tracks, Track(notes=line([49]), is_drum=True, name="Crash")))
    assert PartsTokenizer().cast(more)["drums"] == (3, 4)
    drums = PartsTokenizer().encode(more)[:, 2]
    assert PartsTokenizer().token_name(int(drums[0]), 2) == "kick+crash"


def test_the_users_word_goes_before_all() -> None:
    tokenizer = PartsTokenizer()
    assert tokenizer.cast(band(), "melody=0,bass=Lead") == {"melody": (0,), "bass": (1,), "drums": (3,)}
    window = tokenizer.split(band(), "melody=0")[0]
    assert tokenizer.encode(window)[0, 0] == 2 + 67 - 36  # the top of C E G, G4


@pytest.mark.parametrize(
    ("track", "message"),
    [
        ("2", "say which plays which: --track melody=0,bass=1,drums=2"),
        ("melody=", "say which plays which"),
        ("flute=2", "there is no part 'flute'; there are melody, bass, drums"),
        ("melody=9", "there is no track '9'; it has: 0 Piano (program 0)"),
        ("bass=Tuba", "there is no track 'Tuba'"),
        ("bass=3", "track '3' is a drum track and cannot play the bass"),
    ],
)
def test_a_wrong_word_is_one_line(track: str, message: str) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        PartsTokenizer().cast(band(), track)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trio_without_bass() -> None:
    lonely = band(low=Track(notes=line([84, 86, 88, 89]), program=73, name="Flute"))
    with pytest.raises(DataError) as caught:
        PartsTokenizer().split(lonely)
    assert str(caught.value) == (
        "band.mid: no track plays the bass (it has: 0 Piano (program 0), 1 Lead (program 80), 2 Flute (program 73), "
        "3 unnamed (drums)); choose with --track bass=N, or add such a track"
    )
    with pytest.raises(DataError, match="no track plays the bass"):
        PartsTokenizer().encode(lonely)
    with pytest.raises(DataError, match="no track plays the bass"):
        PartsTokenizer().windows(lonely)
    allowed = PartsTokenizer(silent_parts=1)
    window = allowed.split(lonely)[0]
    assert [len(track.notes) for track in window.tracks] == [8, 0, 16]
    assert len(allowed.windows(lonely).tokens)


def test_a_file_without_chords_is_no_error_where_chords_are_given() -> None:
    tokenizer = SETS["given chords"]
    alone = replace(band(), tracks=band().tracks[1:3])
    assert not tokenizer.encode(alone)[:, 0].any()
    assert tokenizer.encode(band())[0, 0] == chords.parse_chord("C").token  # type: ignore[union-attr]


# -- windows -----------------------------------------------------------------------------------------------------------


def test_windows_are_what_split_windows_encode_to() -> None:
    tokenizer = PartsTokenizer(bars=1, parts=("melody", "bass", "drums", "chords"))
    found = tokenizer.windows(band())
    assert found.starts.tolist() == [0.0, 4.0]
    for tokens, window in zip(found.tokens, tokenizer.split(band()), strict=True):
        assert np.array_equal(tokens, tokenizer.encode(window))


def test_a_note_over_the_edge_goes_on() -> None:
    long = band(low=Track(notes=line([36], beats=8.0), program=33, name="Bass"))
    tokens = PartsTokenizer(bars=1).windows(long).tokens
    assert tokens[1, 0, 1] == tokens[0, 0, 1] == 2 + 36 - 24


def test_every_part_sounds_in_a_training_window() -> None:
    early = band(low=Track(notes=line([36, 36]), program=33, name="Bass"))
    found = PartsTokenizer(bars=1).windows(early)
    assert (found.starts.tolist(), found.skipped) == ([0.0], {"a part is silent": 1})
    assert PartsTokenizer(bars=1, silent_parts=1).windows(early).starts.tolist() == [0.0, 4.0]


def test_every_melody_is_used_unless_one_is_named() -> None:
    other = Track(notes=line([60, 62, 64, 65, 67, 65, 64, 62]), program=73, name="Flute")
    clip = replace(band(), tracks=(*band().tracks, other))
    tokenizer = PartsTokenizer()
    assert tokenizer.windows(clip).track.tolist() == [1, 4]
    assert tokenizer.windows(clip, "melody=Flute").track.tolist() == [4]
    named = replace(clip, tracks=(*band().tracks, replace(other, name="Melody")))
    assert tokenizer.windows(named).track.tolist() == [4]
    sheet = PartsTokenizer(parts=("chords", "melody")).windows(clip)
    assert sheet.track.tolist() == [1, 4]


def test_the_report_says_who_played(tmp_path: Path) -> None:
    from seqvae.corpus import prepare

    band().save(tmp_path / "songs" / "a.mid")
    report = prepare(tmp_path / "songs", PartsTokenizer(), tmp_path / "set", split=lambda name: "train")
    assert report.tracks == {"melody: Lead": 1, "bass: Fingered": 1, "drums: unnamed": 1}
    replace(band(), tracks=band().tracks[:2]).save(tmp_path / "duo" / "b.mid")
    with pytest.raises(DataError, match=r"1 files lack a part: --track PART=N, or --set tokenizer\.silent_parts=1"):
        prepare(tmp_path / "duo", PartsTokenizer(), tmp_path / "none")


def test_bars_of_another_meter() -> None:
    with pytest.raises(DataError, match="its meter is 4/4 and the model's is 3/4"):
        PartsTokenizer(meter="3/4").split(band())
    found = PartsTokenizer(meter="3/4").windows(band())
    assert found.tokens.shape == (0, 24, 3)
    assert found.skipped == {"bars not in 3/4": 2}


def test_style_travels_part_by_part() -> None:
    tokenizer = PartsTokenizer()
    here = tokenizer.style(band())
    slow = replace(
        band(lead=Track(notes=line([72] * 8), program=56)), tempos=(band().tempos[0]._replace(tempo_qpm=30),)
    )
    there = tokenizer.style(slow)
    middle = here.blend(there, 0.5)
    assert middle.tempo_qpm == pytest.approx(60.0)  # on a log scale, between 120 and 30
    clips = [tokenizer.decode(tokenizer.encode(band()), style) for style in (here, here.blend(there, 0.75), None)]
    assert [track.program for track in clips[0].tracks[:2]] == [80, 33]
    assert clips[1].tracks[0].program == 56
    assert [track.name for track in clips[1].tracks] == ["melody", "bass", "drums"]
    assert [track.program for track in clips[2].tracks[:2]] == [0, 33]
    assert set(clips[0].tracks[2].notes["velocity"].tolist()) == {90}


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": ("melody",)}, "at least two"),
        ({"parts": (), "given": ("chords", "key")}, "at least two"),
        ({"parts": ("bass", "bass")}, "part 'bass' is there twice"),
        ({"parts": ("melody", "kazoo")}, "part 'kazoo': known are melody, bass"),
        ({"parts": ("melody", "kazoo 60-65")}, "'kazoo 48-84', an octave or more"),
        ({"parts": ("melody", "drums 1-90")}, "drums has no pitch range"),
        ({"parts": ("melody", "key")}, "put it into `given`"),
    ],
)
def test_wrong_settings(settings: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PartsTokenizer(**settings)  # type: ignore[arg-type]


def test_any_voice_has_its_range() -> None:
    name, role = role_of("viola 48-84")
    assert (name, role.kind, role.low, role.high, role.centre) == ("viola", "voice", 48, 84, 66.0)
    assert role_of("bass 28-55")[1].program == 33


@pytest.mark.parametrize("preset", ["chorale-2bar", "leadsheet-4bar", "trio-16bar"])
def test_presets(preset: str) -> None:
    tokenizer = load_preset(preset).tokenizer
    assert isinstance(tokenizer, PartsTokenizer)
    assert tokenizer.fitted


# -- real music --------------------------------------------------------------------------------------------------------


def test_a_chorale_of_music21() -> None:
    from importlib import util

    found = util.find_spec("music21")
    assert found is not None and found.submodule_search_locations
    path = Path(found.submodule_search_locations[0], "corpus", "bach", "bwv317.mxl")
    tokenizer = load_preset("chorale-2bar").tokenizer
    assert isinstance(tokenizer, PartsTokenizer)
    clip = tokenizer.read(path)
    assert tokenizer.cast(clip) == {"soprano": (0,), "alto": (1,), "tenor": (2,), "bass": (3,)}
    found_windows = tokenizer.windows(clip)
    split = [tokenizer.encode(window) for window in tokenizer.split(clip)]
    assert len(found_windows.tokens) == 15
    for index, tokens in enumerate(split):
        assert np.array_equal(found_windows.tokens[2 * index], tokens)


def test_unnamed_chorales_are_cast_right(shared_data: Path) -> None:
    with tarfile.open(shared_data / "music" / "jsb-chorales" / "jsb-chorales.tar.xz") as archive:
        member = next(name for name in archive.getnames() if name.endswith("Jsb16thSeparated.json"))
        content = archive.extractfile(member)
        assert content is not None
        pieces = json.load(content)["test"]
    for piece in pieces:
        steps = np.array(piece)
        tracks = [
            Track(notes=notes_array((i / 4, (i + 1) / 4, int(p), 80) for i, p in enumerate(steps[:, v]) if p >= 0))
            for v in (2, 0, 3, 1)
        ]
        clip = Clip(tracks=tuple(tracks), length_beats=len(steps) / 4)
        assert list(SETS["satb"].cast(clip).values()) == [(1,), (3,), (0,), (2,)]
