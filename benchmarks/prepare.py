"""Files a second from MIDI to a dataset folder, against pretty_midi that only reads the same files; and how it grows.

The command is run as a process. Processor seconds (user and system, of all processes) say more than wall time where
other work is done beside it.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interpolate import Cost, cost
from benchmarks.table import Result, Row, Table
from seqvae.clip import Clip, Track, notes_array
from seqvae.corpus.finding import find_files

READ_BY_PRETTY_MIDI = 40

FILES, COUNTS = "SEQVAE_BENCHMARK_FILES", "SEQVAE_BENCHMARK_COUNTS"
"""A folder of MIDI files, and how many copies of them are prepared, such as 1000,10000,100000."""

SEMITONES = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6)


def measure(quick: bool = False) -> Result:
    """On the folder that SEQVAE_BENCHMARK_FILES names, or on made-up songs of a melody and an accompaniment."""
    given = os.environ.get(FILES)
    with tempfile.TemporaryDirectory() as place:
        songs = Path(given) if given else write_songs(Path(place) / "songs", count=4 if quick else 400)
        files = [path for path, _ in find_files([songs], (".mid", ".midi"))]
        some = files[:: max(1, len(files) // READ_BY_PRETTY_MIDI)]
        wall, processor = seconds_of_pretty_midi(some)
        costs = {
            f"seqvae prepare, --jobs {jobs}": prepare(songs, Path(place), jobs) for jobs in (1, os.cpu_count() or 1)
        }
        tables = [
            _speed("files a second", files, len(some) / wall, {name: found.seconds for name, found in costs.items()}),
            _speed(
                "files a processor second",
                files,
                len(some) / processor,
                {name: found.processor_seconds for name, found in costs.items()},
            ),
            *growth(songs, Path(place), (2, 4) if quick else counts()),
        ]
    source = songs.name if given else "made up: a melody and chords, 64 bars"
    return Result(name="prepare", tables=tables, about={"files": source})


def _speed(title: str, files: list[Path], pretty_midi: float, seconds: dict[str, float]) -> Table:
    rows = [Row(name="pretty_midi, reading only", value=pretty_midi, note="some of the files")]
    rows += [Row(name=name, value=len(files) / found) for name, found in seconds.items()]
    return Table(title=f"{title}, of {len(files):,}", unit="files/s", rows=rows, more_is_better=True)


def prepare(songs: Path, place: Path, jobs: int) -> Cost:
    """What the command costs; its dataset is removed."""
    data = place / "data"
    words = ["prepare", str(songs), "-o", str(data), "--jobs", str(jobs), "--force"]
    found = cost([sys.executable, "-m", "seqvae", *words])
    shutil.rmtree(data)
    return found


# -- how it grows ------------------------------------------------------------------------------------------------------


def counts() -> tuple[int, ...]:
    """How many files to prepare, least first."""
    return tuple(int(count) for count in os.environ.get(COUNTS, "400,1600,6400").split(","))


def growth(songs: Path, place: Path, numbers: tuple[int, ...]) -> list[Table]:
    """Time and memory of so many files, and of more of them."""
    copies, there = place / "copies", 0
    wall, processor, memory = [], [], []
    for number in numbers:
        write_copies(copies, songs, range(there, number))
        there = number
        found = prepare(copies, place, os.cpu_count() or 1)
        name = f"{number:,} files"
        wall.append(Row(name=name, value=1e3 * found.seconds / number, note=f"{found.seconds:.1f} s"))
        processor.append(Row(name=name, value=1e3 * found.processor_seconds / number))
        memory.append(Row(name=name, value=found.megabytes))
    shutil.rmtree(copies)
    return [
        Table(title="preparing, a file", unit="ms", rows=wall),
        Table(title="preparing, a file, processor time", unit="ms", rows=processor),
        Table(title="preparing, largest memory of a process", unit="MB", rows=memory),
    ]


def write_copies(folder: Path, songs: Path, numbers: range) -> None:
    """Copies of the songs, by number: all transposed by 0, 1, -1, … semitones, and after twelve of these as before.

    Each has its number in a chunk that readers skip, so that no two have the same bytes.
    """
    originals = [path for path, _ in find_files([songs], (".mid", ".midi"))]
    for number in numbers:
        times, which = divmod(number, len(originals))
        below = folder / f"{times:04d}"
        below.mkdir(parents=True, exist_ok=True)
        data = transposed(originals[which], SEMITONES[times % len(SEMITONES)])
        (below / f"{which:05d}.mid").write_bytes(data + b"CoPy" + struct.pack(">II", 4, number))


def transposed(path: Path, semitones: int) -> bytes:
    """A file with its pitched tracks so much higher; as it is where it has a pitch that would leave MIDI's."""
    import symusic

    try:
        score: Any = symusic.Score(path)  # Any: its stubs do not know its own attributes
        for track in score.tracks:
            if not track.is_drum:
                track.shift_pitch(semitones, inplace=True)
        data: bytes = score.dumps_midi()
    except (ValueError, RuntimeError):
        data = path.read_bytes()
    return data


# -- what it is compared with, and on ----------------------------------------------------------------------------------


def seconds_of_pretty_midi(paths: list[Path]) -> tuple[float, float]:
    """Wall and processor seconds of what a script does that reads MIDI files with pretty_midi."""
    import pretty_midi

    started, worked = time.perf_counter(), time.process_time()
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pretty_midi.PrettyMIDI(str(path))
    return time.perf_counter() - started, time.process_time() - worked


def write_songs(folder: Path, count: int) -> Path:
    """Made-up songs: 64 bars of a melody in eighths and of chords in quarters, about 1,100 notes each."""
    folder.mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        melody = [(i / 2, i / 2 + 0.5, int(pitch), 90) for i, pitch in enumerate(rng.integers(60, 80, 512))]
        roots = rng.integers(40, 52, 256)
        chords = [(i, i + 1, int(root + k), 60) for i, root in enumerate(roots) for k in (0, 4, 7)]
        tracks = (
            Track(notes=notes_array(melody), name="melody"),
            Track(notes=notes_array(chords), name="piano"),
        )
        path = Clip(tracks=tracks, length_beats=256.0).save(folder / f"song-{number:04d}.mid")
        path.write_bytes(transposed(path, 0))  # by another program: files of our own are read more slowly
    return folder
