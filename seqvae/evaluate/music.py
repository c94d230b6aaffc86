"""What only music has: notes matched with notes, statistics of melodies and drums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import ratio
from seqvae.attributes.music import pitches_of
from seqvae.clip import Clip
from seqvae.tokenizers.percussion import CLASSES, classes_of

MAX_INTERVAL = 24  # semitones; wider leaps are counted there
OFFSET_SHARE = 0.2
MIN_OFFSET_BEATS = 0.1

# -- notes against notes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NoteScore:
    """Precision, recall and F1 of notes; NaN where there is none to count."""

    precision: float
    recall: float
    f1: float


def note_score(references: Sequence[Clip], estimates: Sequence[Clip], *, with_offsets: bool) -> NoteScore:
    """Notes of estimates that are in the references, all clips pooled.

    A note is found if one of the same onset and pitch is there, and with `with_offsets` if the end agrees too. As
    `mir_eval.transcription.precision_recall_f1_overlap`, with four differences:

    1. Times are beats on a grid, so onsets must be equal instead of within 50 ms: the same on any grid wider than that.
    2. Ends agree within 20 % of the reference's length, as there, and at least 0.1 beat, which is its 50 ms at 120 qpm.
    3. Notes are pooled over all clips before dividing; a mean over clips would weigh a note by how few its clip has.

    4. A note is of its track: one that another track plays is not found.

    No track may have two notes of one onset and pitch.
    """
    found = wanted = given = 0
    for reference, estimate in zip(references, estimates, strict=True):
        mine, other = _note_ends(reference), _note_ends(estimate)
        wanted, given = wanted + len(mine), given + len(other)
        for note, end in mine.items():
            other_end = other.get(note)
            tolerance = max(MIN_OFFSET_BEATS, OFFSET_SHARE * (end - note[1])) if with_offsets else float("inf")
            found += other_end is not None and abs(other_end - end) <= tolerance + 1e-6
    return NoteScore(precision=ratio(found, given), recall=ratio(found, wanted), f1=ratio(2 * found, given + wanted))


def _note_ends(clip: Clip) -> dict[tuple[int, float, int], float]:
    """(track, onset in beats, pitch) → end in beats."""
    found: dict[tuple[int, float, int], float] = {}
    for index, track in enumerate(clip.tracks):
        starts, pitches = np.round(track.notes["start_beats"], 6).tolist(), track.notes["pitch"].tolist()
        found.update(zip(zip(repeat(index), starts, pitches), track.notes["end_beats"].tolist(), strict=True))
    return found


# -- statistics of a set ---------------------------------------------------------------------------------------------


def pitch_classes(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """How many notes each pitch class has, drums aside: int64 (12,), from C."""
    return np.bincount(np.concatenate([pitches_of(clip) % 12 for clip in clips]), minlength=12)


def intervals(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """How many steps from note to note of one track each interval has: int64 (49,), from −24 to 24 semitones."""
    pitches = [track.notes["pitch"] for clip in clips for track in clip.tracks if not track.is_drum]
    steps = np.concatenate([np.diff(line.astype(np.int64)) for line in pitches])
    return np.bincount(np.clip(steps, -MAX_INTERVAL, MAX_INTERVAL) + MAX_INTERVAL, minlength=2 * MAX_INTERVAL + 1)


def drum_hits(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """How many hits each class of `percussion.CLASSES` has: int64 (9,)."""
    hits = [classes_of(track.notes["pitch"]) for clip in clips for track in clip.tracks if track.is_drum]
    found = np.concatenate([np.zeros(0, np.int64), *hits])
    return np.bincount(found[found >= 0], minlength=len(CLASSES))
