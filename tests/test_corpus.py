"""Preparing: every window of every readable file, once, in the split of its file's name, whatever the processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.align import later
from seqvae.clip import Clip, MeterChange
from seqvae.corpus import Report, folk, music21_dataset, prepare, windows
from seqvae.corpus.finding import find_files
from seqvae.corpus.prepare import parse_meter, split_by_name
from seqvae.corpus.reading import ItemReading
from seqvae.corpus.report import general, meter_advice
from seqvae.dataset import SPLITS, Dataset, arrange
from seqvae.errors import ConfigError, DataError, ReadError, WriteError
from seqvae.tokenizers import MelodyTokenizer

TOKENIZER = MelodyTokenizer()
preparing = sys.modules["seqvae.corpus.prepare"]


def tune(seed: int, bars: int = 6, meter: tuple[int, int] = (4, 4)) -> Clip:
    """Eighths and quarters; two of them share no window."""
    rng = np.random.default_rng(seed)
    notes, beat, end = [], 0.0, bars * 4.0 * meter[0] / meter[1]
    while beat < end:
        length = float(rng.choice([0.5, 1.0]))
        notes.append((beat, min(beat + length, end), int(rng.integers(55, 80)), 80))
        beat += length
    return Clip.from_notes(notes, meter=meter)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Twelve tunes in two folders."""
    folder = tmp_path / "songs"
    for index in range(12):
        tune(index).save(folder / ("a" if index % 2 else "b") / f"{index:02d}.mid")
    return folder


def same_files(one: Path, two: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in two.iterdir())
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


# -- what comes out ----------------------------------------------------------------------------------------------------


def test_every_window_of_every_file(songs: Path, tmp_path: Path) -> None:
    report = prepare(songs, TOKENIZER, tmp_path / "set")
    dataset = Dataset.open(tmp_path / "set")
    sources = dataset.source_list()
    assert [source.name for source in sources] == sorted(
        f"songs/{path.relative_to(songs).as_posix()}" for path in songs.rglob("*.mid")
    )
    for source in sources:
        path = songs.parent / source.name
        expected = TOKENIZER.windows(Clip.load(path))
        split_rows = dataset.tokens[source.first : source.last]
        np.testing.assert_array_equal(split_rows, expected.tokens)
        origins = dataset.origins[source.first : source.last]
        assert origins["start"].tolist() == expected.starts.tolist() and set(origins["source"]) == {source.id}
        assert source.sha1 == hashlib.sha1(path.read_bytes()).hexdigest()
        first, last = dataset.splits[source.split]
        assert first <= source.first < source.last <= last
    assert sum(report.windows.values()) == len(dataset.tokens) == 12 * 5
    assert (report.files, report.read, report.sources, report.meters) == (12, 12, 12, {"4/4": (12, 72)})
    assert dataset.report() == json.loads(json.dumps(report.to_dict()))


@pytest.mark.slow
def test_the_number_of_processes_does_not_show(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (songs / "broken.mid").write_bytes(b"MThd")
    prepare(songs, TOKENIZER, tmp_path / "one", jobs=1)
    monkeypatch.setattr(preparing, "SMALL_CORPUS", 0)
    monkeypatch.setattr(preparing, "CHUNK_FILES", 2)
    seen: list[tuple[int, int]] = []
    prepare(songs, TOKENIZER, tmp_path / "two", jobs=2, progress=lambda done, total: seen.append((done, total)))
    assert same_files(tmp_path / "one", tmp_path / "two")
    assert seen == [(done, 13) for done in range(1, 14)]


def test_the_place_does_not_show(songs: Path, tmp_path: Path) -> None:
    prepare(songs, TOKENIZER, tmp_path / "one")
    elsewhere = tmp_path / "far" / "away" / "songs"
    elsewhere.parent.mkdir(parents=True)
    songs.rename(elsewhere)
    prepare(elsewhere, TOKENIZER, tmp_path / "two")
    assert same_files(tmp_path / "one", tmp_path / "two")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_names_that_are_no_text_and_the_current_folder(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = min(songs.rglob("*.mid"))
    os.rename(first, os.fsencode(first.parent) + b"/odd-\xff.mid")
    monkeypatch.setattr(preparing, "SMALL_CORPUS", 0)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    report = prepare(songs, MelodyTokenizer(), ".", jobs=1)
    assert report.read == report.files == 12
    assert "odd-" in (tmp_path / "here" / "sources.jsonl").read_text()


def test_files_are_found_in_order(songs: Path) -> None:
    for name in (".hidden/x.mid", ".x.mid", "a/notes.txt", "a/B.MID", "a/b/c.mid"):
        (songs / name).parent.mkdir(exist_ok=True)
        tune(0).save(songs / "t.mid").rename(songs / name)
    single = songs / "a" / "notes.txt"
    names = [name for _, name in find_files([songs, single], TOKENIZER.suffixes)]
    assert names == [
        *(f"songs/a/{index:02d}.mid" for index in range(1, 12, 2)),
        "songs/a/B.MID",
        "songs/a/b/c.mid",
        *(f"songs/b/{index:02d}.mid" for index in range(0, 12, 2)),
        "notes.txt",
    ]
    found = find_files([songs, single], TOKENIZER.suffixes)
    assert all(path.is_file() and path.name == name.split("/")[-1] for path, name in found)
    chosen = find_files([songs], TOKENIZER.suffixes, include=["*/a/*"], exclude=["*.MID", "*/01.mid"])
    assert [name for _, name in chosen][:2] == ["songs/a/03.mid", "songs/a/05.mid"] and len(chosen) == 6


def test_what_cannot_be_used_is_counted(songs: Path, tmp_path: Path) -> None:
    (songs / "a" / "text.mid").write_text("this is no music")
    (songs / "a" / "more text.mid").write_text("nor this")
    (songs / "a" / "twin of 00.mid").write_bytes((songs / "b" / "00.mid").read_bytes())
    tune(50, bars=1).save(songs / "short.mid")
    tune(51, meter=(3, 4)).save(songs / "waltz.mid")
    Clip.from_notes([(0, 8, 60, 80)]).save(songs / "one note.mid")
    Clip.from_notes([(beat, beat + 4, 60 + pitch, 80) for beat in range(8) for pitch in (0, 4, 7)]).save(
        songs / "c.mid"
    )
    report = prepare(songs, TOKENIZER, tmp_path / "set")
    assert (report.files, report.read, report.items, report.sources) == (19, 17, 16, 12)
    assert [(group.count, sorted(group.examples)) for group in report.rejected.values()] == [
        (2, ["songs/a/more text.mid", "songs/a/text.mid"])
    ]
    assert report.duplicate_files.examples == ["songs/b/00.mid = songs/a/twin of 00.mid"]
    assert {reason: group.count for reason, group in report.unused.items()} == {
        "no track is one voice": 1,
        "fewer than 4 onsets": 1,
        "shorter than 2 bars": 1,
        "bars not in 4/4": 1,
    }
    assert any("3/4" in advice for advice in report.advice) and any("--track" in advice for advice in report.advice)


def test_duplicate_windows(tmp_path: Path) -> None:
    four = [(beat, beat + 1, 60 + beat % 4, 80) for beat in range(16)]  # four equal bars: three equal windows
    Clip.from_notes(four).save(tmp_path / "songs" / "a.mid")
    tune(1).save(tmp_path / "songs" / "b.mid")
    report = prepare(tmp_path / "songs", TOKENIZER, tmp_path / "set", split=lambda name: "train")
    assert sum(report.duplicate_windows.values()) == 2


def test_one_track_all_tracks(tmp_path: Path) -> None:
    two = replace(tune(0), tracks=(replace(tune(0).tracks[0], name="Flute"), replace(tune(1).tracks[0], name="Oboe")))
    two.save(tmp_path / "songs" / "duo.mid")
    tune(2).save(tmp_path / "songs" / "solo.mid")
    both = prepare(tmp_path / "songs", TOKENIZER, tmp_path / "both", track="all")
    assert both.tracks["Flute"] == both.tracks["Oboe"] == 1 and sum(both.windows.values()) == 15
    oboe = prepare(tmp_path / "songs", TOKENIZER, tmp_path / "oboe", track="oboe")
    assert oboe.tracks == {"Oboe": 1} and oboe.unused["there is no track …"].count == 1


def test_several_tunes_in_a_file(tmp_path: Path) -> None:
    tunes = [
        f"X:{number}\nT:Tune {number}\nM:4/4\nL:1/4\nK:C\n{bar}|\n"
        for number, bar in enumerate(["CDEF|GABc", "cBAG|FEDC"])
    ]
    (tmp_path / "book.abc").write_text("\n".join(tunes))
    prepare(tmp_path / "book.abc", TOKENIZER, tmp_path / "set")
    assert [source.name for source in Dataset.open(tmp_path / "set").source_list()] == [
        "book.abc#0001",
        "book.abc#0002",
    ]


# -- meter and grid ----------------------------------------------------------------------------------------------------


def test_meter_counts_beats_anew(tmp_path: Path) -> None:
    whole = tune(3)
    replace(whole, meters=(MeterChange(0.0, 1, 4),)).save(tmp_path / "songs" / "a.mid")
    with pytest.raises(DataError, match=r"1/4, which no music has: --meter 4/4"):
        prepare(tmp_path / "songs", TOKENIZER, tmp_path / "set")
    report = prepare(tmp_path / "songs", TOKENIZER, tmp_path / "set", meter="4/4")
    assert sum(report.windows.values()) == 5
    np.testing.assert_array_equal(Dataset.open(tmp_path / "set").tokens, TOKENIZER.windows(whole).tokens)


def test_align_puts_notes_back(tmp_path: Path) -> None:
    bars = [note for bar in range(8) for note in [(4 * bar, 4 * bar + 2, 50 + bar, 80), *eighths(4 * bar + 2, bar)]]
    clip = Clip.from_notes(bars)
    late = later(clip, 0.62, clip.meters)
    late.save(tmp_path / "late.mid")
    report = prepare(tmp_path / "late.mid", TOKENIZER, tmp_path / "raw")
    assert report.grid["shifted"].count == 1 and any("--align" in advice for advice in report.advice)
    prepare(tmp_path / "late.mid", TOKENIZER, tmp_path / "set", align=True)
    dataset = Dataset.open(tmp_path / "set")
    # The silence at the end makes one window more.
    np.testing.assert_array_equal(dataset.tokens[:7], TOKENIZER.windows(clip).tokens)
    np.testing.assert_allclose(dataset.origins["start"], 0.62 + 4 * np.arange(8), atol=0.01)  # beats of the file


def eighths(beat: float, seed: int) -> list[tuple[float, float, int, int]]:
    return [(beat + n / 2, beat + n / 2 + 0.5, 60 + (7 * n + 3 * seed) % 12, 80) for n in range(4)]


def test_align_leaves_good_files_alone(songs: Path, tmp_path: Path) -> None:
    prepare(songs, TOKENIZER, tmp_path / "one")
    prepare(songs, TOKENIZER, tmp_path / "two", align=True)
    assert Dataset.open(tmp_path / "one").hash == Dataset.open(tmp_path / "two").hash


def test_pickups_lead_into_a_window(tmp_path: Path) -> None:
    clip = tune(4)
    upbeat = replace(later(clip, 1.0, (MeterChange(0.0, 4, 4), MeterChange(1.0, 4, 4))), length_beats=25.0)
    upbeat.save(tmp_path / "upbeat.mid")
    prepare(tmp_path / "upbeat.mid", TOKENIZER, tmp_path / "set")
    assert Dataset.open(tmp_path / "set").origins["start"].tolist() == [-3.0, 1.0, 5.0, 9.0, 13.0, 17.0]


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_windows_are_kept_once_however_they_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    """Against `arrange`, which has all in memory."""
    rng = np.random.default_rng(parts)
    tokens = rng.integers(2, size=(60, 4)).repeat(8, axis=1)  # of 16 sorts, so nearly all repeat
    sizes = [7, 1, 30, 2, 20]
    splits = np.repeat(np.array([0, 2, 1, 0, 2], np.int8), sizes)
    monkeypatch.setattr(windows, "PART", 60 // parts)
    files = windows.WindowFiles(tmp_path / "raw", TOKENIZER)
    for number, rows in enumerate(np.split(np.arange(60), np.cumsum(sizes)[:-1])):
        nothing: dict[str, Any] = {"skipped": {}, "facts": None, "track": rows, "starts": rows * 0.5}
        files.add(ItemReading(name=f"{number}.mid", tokens=tokens[rows].astype(np.uint8), **nothing), "0" * 40)
    state = splits.copy()
    once, expected = files.keep_once(state), arrange(tokens, splits)
    assert (once.splits, once.duplicates, once.seen) == (expected.splits, expected.duplicates, expected.seen)
    np.testing.assert_array_equal(np.concatenate(list(files.tokens(state))), tokens[expected.order])
    origins = np.concatenate(list(files.origins(state)))
    assert origins["track"].tolist() == expected.order.tolist()
    assert origins["unseen"].tolist() == expected.unseen.tolist()
    assert origins["source"].tolist() == np.repeat(np.arange(5), sizes)[expected.order].tolist()
    files.close()


@given(st.lists(st.integers(0, 9), max_size=40))
def test_the_first_file_of_equal_ones_is_known(contents: list[int]) -> None:
    sums = windows.Checksums(len(contents))
    found = [sums.first(hashlib.sha1(bytes([c])).hexdigest(), number) for number, c in enumerate(contents)]
    assert found == [contents.index(c) for c in contents]


@pytest.mark.parametrize("meter", ["4", "4/", "0/4", "4/3", "x/4", "99/4", "-4/4"])
def test_bad_meter(meter: str) -> None:
    with pytest.raises(ConfigError, match="--meter"):
        parse_meter(meter)


# -- splits ------------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=20).filter(lambda name: "/" not in name), st.text(max_size=10))
def test_split_rule(name: str, folder: str) -> None:
    percent = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 100
    expected = "test" if percent < 5 else "valid" if percent < 10 else "train"
    assert split_by_name(name) == split_by_name(f"{folder}/{name}") == expected


def test_split_rule_on_real_names() -> None:
    splits = [split_by_name(f"pop909-aligned/{number:03d}.mid") for number in range(1, 910)]
    # Counted once: a change of the rule would make every quoted figure wrong.
    assert [splits.count(split) for split in SPLITS] == [831, 35, 43]


@settings(max_examples=15)
@given(st.lists(st.sampled_from(SPLITS), min_size=1, max_size=12))
def test_small_collections_have_what_a_training_needs(
    tmp_path_factory: pytest.TempPathFactory, rule: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("small")
    for index in range(len(rule)):
        tune(index).save(folder / "songs" / f"{index:02d}.mid")
    report = prepare(folder / "songs", TOKENIZER, folder / "set", split=lambda name: rule[int(Path(name).stem)])
    dataset = Dataset.open(folder / "set")
    assert report.windows["train"] and report.windows["valid"]
    assert len(dataset.tokens) == 5 * len(rule)
    moved = sum(source.split != rule[index] for index, source in enumerate(dataset.source_list()))
    assert moved == len(report.notes) - (len(rule) == 1)
    if {"train", "valid", "test"} <= set(rule):
        assert not moved


def test_one_source_keeps_its_end_for_validation(tmp_path: Path) -> None:
    tune(0, bars=21).save(tmp_path / "a.mid")
    report = prepare(tmp_path / "a.mid", TOKENIZER, tmp_path / "set")
    assert report.windows == {"train": 18, "valid": 2, "test": 0} and "one source" in report.notes[0]
    assert Dataset.open(tmp_path / "set").sources("valid")["start"].tolist() == [72.0, 76.0]


def test_one_window(tmp_path: Path) -> None:
    tune(0, bars=2).save(tmp_path / "a.mid")
    assert prepare(tmp_path / "a.mid", TOKENIZER, tmp_path / "set").windows == {"train": 1, "valid": 0, "test": 0}


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: there is no file of music; endings read are .*\.mid"):
        prepare(tmp_path / "empty", TOKENIZER, tmp_path / "set")
    with pytest.raises(ReadError, match="does not exist"):
        prepare(tmp_path / "nowhere", TOKENIZER, tmp_path / "set")
    tune(0).save(tmp_path / "music" / "a.mid")
    with pytest.raises(DataError, match="--include"):
        prepare(tmp_path / "music", TOKENIZER, tmp_path / "set", include=["*.abc"])
    assert not (tmp_path / "set").exists()


def test_nothing_left(tmp_path: Path) -> None:
    for index in range(3):
        tune(index, meter=(3, 4)).save(tmp_path / "waltzes" / f"{index}.mid")
    (tmp_path / "waltzes" / "x.mid").write_text("no music")
    with pytest.raises(DataError) as error:
        prepare(tmp_path / "waltzes", TOKENIZER, tmp_path / "set")
    message = str(error.value)
    assert "\n" not in message and "no window in 4 files (3 × bars not in 4/4; 1 × " in message and "3/4" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["waltzes"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(OSError(28, "No space left on device"), WriteError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_stopped_halfway(
    songs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    expected: type[BaseException],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(preparing, "write_blocks", fail)
    with pytest.raises(expected):
        prepare(songs, TOKENIZER, tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["songs"]


def test_nothing_is_read_before_the_place_is_known_to_be_free(songs: Path, tmp_path: Path) -> None:
    prepare(songs, TOKENIZER, tmp_path / "set")
    seen: list[int] = []
    with pytest.raises(WriteError, match="--force"):
        prepare(songs, TOKENIZER, tmp_path / "set", progress=lambda done, _: seen.append(done))
    assert not seen
    prepare(songs, TOKENIZER, tmp_path / "set", force=True)


@dataclass(frozen=True, kw_only=True)
class Fragile(MelodyTokenizer):
    """A tokenizer whose parser has a fault in C, or in Python."""

    def read_all(self, path: Path) -> list[Clip]:
        if "crash" in path.name:
            os._exit(11)
        if "raise" in path.name:
            raise IndexError("list index out of range")
        return super().read_all(path)


@pytest.mark.slow
def test_a_file_that_kills_its_process_costs_itself_only(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "SMALL_CORPUS", 0)
    monkeypatch.setattr(preparing, "CHUNK_FILES", 4)
    (songs / "a" / "crash.mid").write_bytes(b"MThd")
    (songs / "b" / "raise.mid").write_bytes(b"MThd 2")
    report = prepare(songs, Fragile(), tmp_path / "set", jobs=2)
    assert (report.files, report.read, report.sources) == (14, 12, 12)
    assert {reason: group.examples for reason, group in report.rejected.items()} == {
        "the reader crashed on it, or ran out of memory": ["songs/a/crash.mid"],
        "the reader failed: IndexError: list index out of range": ["songs/b/raise.mid"],
    }


@dataclass(frozen=True, kw_only=True)
class Unlucky(MelodyTokenizer):
    """A tokenizer whose process is killed once, by no fault of the file."""

    def read_all(self, path: Path) -> list[Clip]:
        if path.name == "05.mid" and not (path.parent / "killed").exists():
            (path.parent / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read_all(path)


@pytest.mark.slow
def test_a_process_that_is_killed_costs_nothing(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(songs, TOKENIZER, tmp_path / "one", jobs=1)
    monkeypatch.setattr(preparing, "SMALL_CORPUS", 0)
    monkeypatch.setattr(preparing, "CHUNK_FILES", 2)
    prepare(songs, Unlucky(), tmp_path / "two", jobs=2)
    assert (songs / "a" / "killed").exists() and same_files(tmp_path / "one", tmp_path / "two")


FORKING = """
import os, signal, sys, time
from seqvae.corpus.workers import Died, in_order

def fragile(number):
    if number == 7 or number == 11 and not os.path.exists(sys.argv[1]):
        open(sys.argv[1], "w").close()
        os.kill(os.getpid(), signal.SIGKILL if number == 7 else signal.SIGSEGV)
    if number == 20:
        raise KeyError(number)
    return os.getpid(), number

found = []
try:
    for result in in_order(fragile, range(24), 3):
        found.append(-1 if isinstance(result, Died) else result[1])
except KeyError as error:
    print(found, repr(error))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="where nothing is forked")
def test_forked_processes_that_die_are_replaced_and_what_they_raise_is_raised(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(FORKING)
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    line = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "died")]
    done = subprocess.run(line, env=alone, capture_output=True, text=True, timeout=60, check=False)
    expected = [number if number != 7 else -1 for number in range(20)]
    assert done.stdout == f"{expected} KeyError(20)\n", done.stderr


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(songs: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    lines = [
        "import threading",
        "threading.Thread(target=threading.Event().wait, daemon=True).start()  # so that it cannot be forked",
        "from seqvae.corpus import prepare",
        "from seqvae.tokenizers import MelodyTokenizer",
        "import sys",
        "sys.modules['seqvae.corpus.prepare'].SMALL_CORPUS = 0",
        f"prepare({str(songs)!r}, MelodyTokenizer(), {str(tmp_path / 'set')!r}, jobs=2)",
    ]
    script.write_text("\n".join(lines))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "under `if __name__ == '__main__':`" in done.stderr.splitlines()[-1]


# -- the report --------------------------------------------------------------------------------------------------------


def test_reasons_without_particulars() -> None:
    assert general("track 'Oboe' has no notes") == "track … has no notes"
    assert general("it ends after 1234 bytes; send it again") == "it ends after … bytes"
    assert general("(all of it)") == "(all of it)"


def test_meter_advice() -> None:
    assert "--meter 4/4" in meter_advice("1/4", 617, "4/4")
    assert "tokenizer.meter=5/4" in meter_advice("5/4", 3, "4/4")
    assert "--preset melody-2bar-3-4" in meter_advice("3/4", 3, "4/4")


def test_hostile_files_are_read_or_rejected(shared_data: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(shared_data / "music" / "hostile" / "hostile-clean.tar.xz") as archive:
        members = [member for member in archive if member.name.endswith((".mid", ".MID", ".midi"))]
        archive.extractall(tmp_path, members, filter="data")
    report = prepare(tmp_path, TOKENIZER, tmp_path / "set", track="all", meter="4/4", jobs=1)
    assert report.read + sum(group.count for group in report.rejected.values()) == report.files == len(members)
    assert not any("failed" in reason for reason in [*report.rejected, *report.unused])


# -- the verb ----------------------------------------------------------------------------------------------------------


def command(*args: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "seqvae", "prepare", *map(str, args)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def test_the_verb(songs: Path, tmp_path: Path) -> None:
    done = command(songs, "-o", tmp_path / "set", "--set", "tokenizer.bars=1", "--licence", "mine")
    assert done.returncode == 0 and done.stdout == f"{tmp_path / 'set'}\n"
    assert "12: 12 read" in done.stderr and "4/4 72" in done.stderr
    dataset = Dataset.open(tmp_path / "set")
    assert dataset.tokenizer.length == 16 and dataset.licence == "mine"
    again = command(songs, "-o", tmp_path / "set")
    assert again.returncode == 1 and again.stderr.count("\n") == 1 and "--force" in again.stderr
    as_json = command(songs, "-o", tmp_path / "set", "--force", "--json")
    told = json.loads(as_json.stdout)
    assert (
        told["dataset"] == str(tmp_path / "set")
        and told["windows"] == Dataset.open(tmp_path / "set").report()["windows"]
    )


@pytest.mark.parametrize(
    ("flags", "code"),
    [(["--meter", "4/x"], 1), (["--set", "tokenizer.bar=3"], 1), (["--jobs", "0"], 2), (["--preset", "none"], 1)],
)
def test_wrong_flags(songs: Path, tmp_path: Path, flags: list[str], code: int) -> None:
    done = command(songs, "-o", tmp_path / "set", *flags)
    assert done.returncode == code and done.stderr.count("\n") == 1 and not done.stdout
    assert not (tmp_path / "set").exists()


# -- music21's folk tunes ----------------------------------------------------------------------------------------------

ABC = "X:{number}\nT:{title}\nM:4/4\nL:1/4\nK:C\nCDE{note}|GAB{note}|cBA{note}|\n\n"


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tune books in music21's place, and an empty cache."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    tunes = [("Sailor's Boots, The", "d"), ("A: B / C", "e"), ("", "f")]
    text = "".join(ABC.format(number=n, title=title, note=note) for n, (title, note) in enumerate(tunes, 1))
    (folder / "book1.abc").write_text("% a header\n" + text)
    (folder / "book2.abc").write_text(ABC.format(number=7, title="Last", note="g"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folk, "PUBLIC_DOMAIN", ("one",))
    monkeypatch.setattr(folk, "NON_COMMERCIAL", ("two",))
    monkeypatch.setattr(folk, "_books", lambda name: sorted(folder.glob("*.abc"))[: 2 if name == "one" else 1])
    return folder


def test_folk_tunes_are_read_once(books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    dataset = music21_dataset(TOKENIZER, jobs=1, say=said.append)
    names = [source.name for source in dataset.source_list()]
    assert names == [
        "one/0000_The_Sailor_s_Boots.mid",
        "one/0001_A_B_C.mid",
        "one/0002_untitled.mid",
        "one/0003_Last.mid",
    ]
    assert "public domain" in dataset.licence and "non-commercial" not in dataset.licence and said
    monkeypatch.setattr(folk, "_read_book", None)  # nothing is parsed again, not for another tokenizer either
    assert music21_dataset(TOKENIZER, jobs=1).folder == dataset.folder
    other = music21_dataset(MelodyTokenizer(bars=1), jobs=1)
    assert other.folder != dataset.folder and other.tokenizer.length == 16


def test_non_commercial_tunes_only_if_asked(books: Path) -> None:
    both = music21_dataset(TOKENIZER, non_commercial=True, jobs=1)
    assert "non-commercial" in both.licence
    assert {name.split("/")[0] for name in (source.name for source in both.source_list())} <= {"one", "two"}
    assert both.folder != music21_dataset(TOKENIZER, jobs=1).folder


def test_a_damaged_cache_is_made_again(books: Path) -> None:
    folder = music21_dataset(TOKENIZER, jobs=1).folder
    (folder / "tokens.npy").write_bytes(b"")
    assert len(music21_dataset(TOKENIZER, jobs=1).tokens) > 0


def test_an_interrupted_reading_leaves_no_half_collection(
    books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folk.music21_folders(["one"], jobs=1, progress=stop)
    assert list((tmp_path / "cache" / "seqvae").rglob("*.mid")) == []
    assert len(list(folk.music21_folders(["one"], jobs=1)[0].glob("*.mid"))) == 4


def test_an_unwritable_cache(books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(WriteError, match="XDG_CACHE_HOME"):
        music21_dataset(TOKENIZER, jobs=1)


def test_music21s_own_books_are_there() -> None:
    counts = {name: len(folk._books(name)) for name in (*folk.PUBLIC_DOMAIN, *folk.NON_COMMERCIAL)}
    assert all(counts.values())
    with pytest.raises(ReadError, match="no such"):
        folk._books("no such")


def test_reports_are_plain_data(songs: Path, tmp_path: Path) -> None:
    report = prepare(songs, TOKENIZER, tmp_path / "set")
    assert isinstance(report, Report) and json.loads(json.dumps(report.to_dict()))["files"] == 12
