"""Files a second from MIDI to a dataset folder, against pretty_midi that only reads the same files."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks.table import Result, Row, Table, seconds_of
from seqvae.clip import Clip, Track, notes_array
from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.corpus.prepare import find_files

READ_BY_PRETTY_MIDI = 40


def measure(quick: bool = False) -> Result:
    """On the folder that SEQVAE_BENCHMARK_FILES names, or on made-up songs of a melody and an accompaniment."""
    given = os.environ.get("SEQVAE_BENCHMARK_FILES")
    with tempfile.TemporaryDirectory() as folder:
        songs = Path(given) if given else write_songs(Path(folder) / "songs", count=4 if quick else 400)
        files = [path for path, _ in find_files([songs], (".mid", ".midi"), (), ())]
        some = files[:: max(1, len(files) // READ_BY_PRETTY_MIDI)]
        seconds = seconds_of(lambda: read_with_pretty_midi(some), rounds=1)
        rows = [Row(name="pretty_midi, reading only", value=len(some) / seconds, note=f"{len(some)} of the files")]
        for jobs in (1, os.cpu_count() or 1):
            started = time.perf_counter()
            report = prepare(
                songs, load_preset("melody-2bar").tokenizer, Path(folder) / f"data-{jobs}", jobs=jobs, force=True
            )
            speed = len(files) / (time.perf_counter() - started)
            windows = sum(report.windows.values())
            rows.append(Row(name=f"seqvae prepare, --jobs {jobs}", value=speed, note=f"{windows:,} windows written"))
    source = songs.name if given else "made up: a melody and chords, 64 bars"
    table = Table(title=f"{len(files):,} files", unit="files/s", rows=rows, more_is_better=True)
    return Result(name="prepare", tables=[table], about={"files": source})


def read_with_pretty_midi(paths: list[Path]) -> None:
    """What a script does that reads MIDI files with pretty_midi."""
    import pretty_midi

    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pretty_midi.PrettyMIDI(str(path))


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
        Clip(tracks=tracks, length_beats=256.0).save(folder / f"song-{number:04d}.mid")
    return folder
