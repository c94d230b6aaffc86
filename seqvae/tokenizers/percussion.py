"""The nine kinds of drum, and the drum notes of a clip.

The kinds are those of Roberts et al. 2018 (MusicVAE); the map takes in what General MIDI and electronic kits have.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import NOTE_DTYPE, Clip, Track
from seqvae.errors import DataError
from seqvae.tokenizers.grid import find_track

KIT: dict[str, tuple[int, ...]] = {
    "kick": (36, 35),
    "snare": (38, 27, 28, 31, 32, 33, 34, 37, 39, 40, 56, 65, 66, 75, 85),
    "closed hat": (42, 44, 54, 68, 69, 70, 71, 73, 78, 80, 22),
    "open hat": (46, 67, 72, 74, 79, 81, 26),
    "low tom": (45, 29, 41, 43, 61, 64, 84),
    "mid tom": (48, 47, 60, 63, 77, 86, 87),
    "high tom": (50, 30, 62, 76, 83),
    "crash": (49, 52, 55, 57, 58),
    "ride": (51, 53, 59, 82),
}
"""Each class with the MIDI pitches that belong to it; the first is the one that is written."""

CLASSES = tuple(KIT)
WRITTEN = np.array([pitches[0] for pitches in KIT.values()], np.int64)
OUTSIDE = -1
EARLY_BEATS = 0.125
"""A hit so much before a bar line is meant for it: half a step of a grid of sixteenths."""

_CLASS_OF_PITCH = np.full(128, OUTSIDE, np.int64)
for _number, _pitches in enumerate(KIT.values()):
    _CLASS_OF_PITCH[list(_pitches)] = _number


class DrumNotes(NamedTuple):
    """The drum notes of a clip.

    Attributes:
        notes: `NOTE_DTYPE` (notes,), sorted by start; only those that are in the map.
        classes: int64 (notes,), the index of each note's class in `CLASSES`.
        tracks: The indices of the tracks that were read.
        outside: How many notes were left out, by pitch.
    """

    notes: NDArray[np.void]
    classes: NDArray[np.int64]
    tracks: list[int]
    outside: dict[int, int]


def classes_of(pitches: NDArray[np.integer]) -> NDArray[np.int64]:
    """MIDI pitches → the index of each one's class, -1 where it has none.

    >>> classes_of(np.array([36, 40, 22, 21])).tolist()
    [0, 1, 2, -1]
    """
    classes: NDArray[np.int64] = _CLASS_OF_PITCH[pitches]
    return classes


def drum_notes(clip: Clip, track: str | None = None) -> DrumNotes:
    """The notes of all drum tracks together, or of the one track named, which may be a pitched one.

    Raises:
        DataError: There is no drum track with notes, or no track is called so.
    """
    if track is None or track == "all":
        tracks = [index for index, found in enumerate(clip.tracks) if found.is_drum and len(found.notes)]
        if not tracks and clip.note_count:
            found = f"{clip.name or 'clip'}: it has no drum track and drums are asked for"
            raise DataError(f"{found}; give a file that has one, or say with --track which to read as drums")
        if not tracks and not any(one.is_drum for one in clip.tracks):
            raise DataError(f"{clip.name or 'clip'}: it has no notes and drums are asked for; give another file")
    else:
        tracks = [find_track(clip, track, "drums", drums=True)]
    arrays = [clip.tracks[index].notes for index in tracks]
    notes = np.concatenate(arrays) if arrays else np.zeros(0, NOTE_DTYPE)
    notes = notes[np.argsort(notes["start_beats"], kind="stable")]
    classes = classes_of(notes["pitch"])
    known = classes != OUTSIDE
    outside = dict(Counter(notes["pitch"][~known].tolist()))
    return DrumNotes(notes[known], classes[known], tracks, outside)


def kit_track(clip: Clip, found: DrumNotes) -> Track:
    """The notes found, as one drum track with the first one's program and name."""
    drums = [track for track in clip.tracks if track.is_drum]
    read = [clip.tracks[index] for index in found.tracks]
    first = (read or drums or [Track(notes=found.notes)])[0]
    return Track(notes=found.notes, program=first.program if first.is_drum else 0, is_drum=True, name=first.name)


def struck_within(clip: Clip, start_beats: float, end_beats: float) -> Clip:
    """Without the drum notes of other bars: a drum belongs where it is struck, or a 32nd later, however long it is."""
    arrays = []
    for track in clip.tracks:
        struck = track.notes["start_beats"]
        inside = (struck >= start_beats - EARLY_BEATS) & (struck < end_beats - EARLY_BEATS)
        arrays.append(track.notes[inside] if track.is_drum else track.notes)
    return clip.with_notes(arrays)
