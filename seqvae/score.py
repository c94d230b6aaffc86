"""Scores and clips: MusicXML, ABC and kern by music21, and the one place that tells formats apart by suffix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvae.clip import Clip
from seqvae.errors import ReadError
from seqvae.midi import read_midi

if TYPE_CHECKING:
    import music21

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
SCORE_SUFFIXES = (".musicxml", ".xml", ".mxl", ".abc", ".krn")
SUFFIXES = MIDI_SUFFIXES + SCORE_SUFFIXES


def read_clip(path: Path) -> Clip:
    """Reads a music file of any kind in `SUFFIXES`; of a file with many tunes, the first.

    Raises:
        ReadError: It is missing, of another kind, or damaged beyond salvage.
    """
    return read_clips(path)[0]


def read_clips(path: Path) -> list[Clip]:
    """Reads every tune of a music file.

    Raises:
        ReadError: It is missing, of another kind, or damaged beyond salvage.
    """
    if path.suffix.lower() in MIDI_SUFFIXES:
        return [read_midi(path)]
    raise ReadError(f"{path}: its suffix is {path.suffix!r} and one of {' '.join(SUFFIXES)} is expected")


def to_music21(clip: Clip) -> music21.stream.Score:
    """The clip as a `music21.stream.Score`, one part a track."""
    raise NotImplementedError


def from_music21(stream: Any, name: str = "") -> Clip:
    """A clip from any `music21` stream."""
    raise NotImplementedError
