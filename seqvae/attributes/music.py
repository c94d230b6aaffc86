"""What can be measured on a clip: one function an attribute, with its formula."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import Attribute, ratio
from seqvae.clip import NOTE_DTYPE, Clip


def density(clip: Clip) -> float:
    """Onsets per beat, of all tracks."""
    return ratio(clip.note_count, clip.length_beats)


def mean_pitch(clip: Clip) -> float:
    """Mean MIDI pitch; NaN of silence."""
    return ratio(pitches_of(clip).sum(), len(pitches_of(clip)))


def pitch_range(clip: Clip) -> float:
    """Semitones from the lowest note to the highest."""
    pitches = pitches_of(clip)
    return float(np.ptp(pitches)) if len(pitches) else float("nan")


def mean_interval(clip: Clip) -> float:
    """Mean of |Δpitch| from note to note, in semitones."""
    steps = np.abs(np.diff(pitches_of(clip)))
    return ratio(steps.sum(), len(steps))


def diatonic_share(clip: Clip) -> float:
    """Share of notes in C major."""
    pitches = pitches_of(clip)
    return ratio(np.isin(pitches % 12, (0, 2, 4, 5, 7, 9, 11)).sum(), len(pitches))


def syncopation_16th(clip: Clip) -> float:
    """Share of onsets on an odd 16th with none on the 16th before (Roberts et al. 2018, section 5.3)."""
    steps = set(_sixteenths(clip))
    return ratio(sum(step % 2 == 1 and step - 1 not in steps for step in steps), len(steps))


def syncopation_8th(clip: Clip) -> float:
    """Share of onsets on an off 8th with none on the 16th or the 8th before (Roberts et al. 2018, section 5.3)."""
    steps = set(_sixteenths(clip))
    off = sum(step % 4 == 2 and step - 1 not in steps and step - 2 not in steps for step in steps)
    return ratio(off, len(steps))


def _sixteenths(clip: Clip) -> list[int]:
    """The 16ths on which pitched notes begin, or drums where there are no others."""
    pitched = sorted_notes(clip)["start_beats"]
    starts = pitched if len(pitched) else np.concatenate([np.zeros(0), *(t.notes["start_beats"] for t in clip.tracks)])
    return [int(step) for step in np.floor(starts * 4 + 0.5)]


def pitches_of(clip: Clip) -> NDArray[np.int64]:
    """The pitches of all notes in time order, drums aside: int64 (notes,)."""
    return sorted_notes(clip)["pitch"].astype(np.int64)


def sorted_notes(clip: Clip) -> NDArray[np.void]:
    """The notes of all tracks in time order, drums aside."""
    arrays = [track.notes for track in clip.tracks if not track.is_drum]
    if len(arrays) == 1:
        return arrays[0]
    notes = np.concatenate(arrays) if arrays else np.zeros(0, NOTE_DTYPE)
    return np.sort(notes, order=("start_beats", "pitch"))


MELODIC = (
    Attribute(name="density", what="onsets per beat", measure=density),
    Attribute(name="pitch", what="mean pitch (MIDI)", measure=mean_pitch),
    Attribute(name="range", what="pitch range (semitones)", measure=pitch_range),
    Attribute(name="interval", what="mean interval (semitones)", measure=mean_interval),
    Attribute(name="diatonic", what="share in C major", measure=diatonic_share),
    Attribute(name="syncopation-16th", what="16th syncopation (share)", measure=syncopation_16th),
    Attribute(name="syncopation-8th", what="8th syncopation (share)", measure=syncopation_8th),
)
"""Of clips with pitched notes."""
