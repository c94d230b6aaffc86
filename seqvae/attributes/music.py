"""What can be measured on pitched notes: one function an attribute, with its formula.

In the formulas p₁ … pₙ are MIDI pitches and t₁ … tₙ onsets in beats, of one line in time order; several lines are
pooled. A track called "chords" beside others is left out (but the key is that of all that sounds), drums too.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes.base import Attribute, ratio
from seqvae.attributes.tonality import Line, lines_in, share_in_key, sounding_classes
from seqvae.clip import Clip

C_MAJOR = frozenset((0, 2, 4, 5, 7, 9, 11))
CHORDS = "chords"
TWELFTHS = 12
"""Times between onsets are told apart to the twelfth of a beat, which holds sixteenths and triplets."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """The pitched notes of a clip as plain lists, which are faster than arrays of a dozen notes.

    Attributes:
        length_beats: Of the clip.
        lines: One a track that sounds.
        chords: The lines that are left out, but sound.
    """

    length_beats: float
    lines: tuple[Line, ...]
    chords: tuple[Line, ...] = ()

    @cached_property
    def starts(self) -> list[float]:
        """Every note's onset, in beats."""
        return [start for line in self.lines for start in line.starts]

    @cached_property
    def sixteenths(self) -> set[int]:
        """The 16ths, from 0, on which notes begin."""
        return steps_of(self.starts, 4)

    @cached_property
    def pitches(self) -> list[int]:
        """Every note's MIDI pitch."""
        return [pitch for line in self.lines for pitch in line.pitches]

    @cached_property
    def intervals(self) -> list[int]:
        """Semitones from note to note of each line."""
        return [b - a for line in self.lines for a, b in pairwise(line.pitches)]


def lines_of(clip: Clip) -> Lines:
    """The view of a clip that is measured here."""
    found = lines_in(clip)
    beside = len(clip.tracks) > 1
    chords = tuple(line for track, line in found if beside and track.name == CHORDS)
    lines = tuple(line for track, line in found if not (beside and track.name == CHORDS))
    return Lines(length_beats=clip.length_beats, lines=lines, chords=chords)


@functools.cache
def lines_of_part(name: str) -> Callable[[Clip], Lines]:
    """As `lines_of`, of the tracks of that name alone."""

    def view(clip: Clip) -> Lines:
        return lines_of(replace(clip, tracks=tuple(track for track in clip.tracks if track.name == name)))

    return view


# -- rhythm: of drums too ----------------------------------------------------------------------------------------------


class Rhythm(Protocol):
    """What rhythms are measured on."""

    @property
    def length_beats(self) -> float:
        """Of the clip."""

    @property
    def starts(self) -> Sequence[float]:
        """Every note's onset, in beats, in any order."""

    @property
    def sixteenths(self) -> set[int]:
        """The 16ths, from 0, on which notes begin."""


def density(rhythm: Rhythm) -> float:
    """Onsets per beat: n / length."""
    return ratio(len(rhythm.starts), rhythm.length_beats)


def syncopation_16th(rhythm: Rhythm) -> float:
    """Share of the onset times on an odd 16th with none on the 16th before (Roberts et al. 2018, section 5.3).

    |{s ∈ S : s odd, s − 1 ∉ S}| / |S|, where S are the 16ths, from 0, on which a note begins.
    """
    steps = rhythm.sixteenths
    return ratio(sum(step % 2 == 1 and step - 1 not in steps for step in steps), len(steps))


def syncopation_8th(rhythm: Rhythm) -> float:
    """Share of the onset times on an off 8th with none on the 16th or the 8th before (Roberts et al. 2018, 5.3).

    |{s ∈ S : s mod 4 = 2, s − 1 ∉ S, s − 2 ∉ S}| / |S|, S as for 16ths.
    """
    steps = rhythm.sixteenths
    return ratio(sum(step % 4 == 2 and step - 1 not in steps and step - 2 not in steps for step in steps), len(steps))


def entropy(rhythm: Rhythm) -> float:
    """Entropy of the times between onsets, in bits: −Σ P(d) log₂ P(d), d = tᵢ₊₁ − tᵢ to the twelfth of a beat.

    0 where all are equally long. Of onset times, whatever sounds at each; NaN of fewer than two.
    """
    times = sorted(steps_of(rhythm.starts, TWELFTHS))
    counts = Counter(b - a for a, b in pairwise(times)).values()
    total = len(times) - 1
    return sum(count / total * math.log2(total / count) for count in counts) if counts else math.nan


def steps_of(starts: Iterable[float], steps_per_beat: int) -> set[int]:
    """The steps of a grid, from 0, on which notes begin."""
    return {math.floor(start * steps_per_beat + 0.5) for start in starts}


# -- pitch -------------------------------------------------------------------------------------------------------------


def mean_pitch(notes: Lines) -> float:
    """Mean MIDI pitch: Σ p / n."""
    return ratio(sum(notes.pitches), len(notes.pitches))


def pitch_range(notes: Lines) -> float:
    """Semitones from the lowest note to the highest: max p − min p."""
    return float(max(notes.pitches) - min(notes.pitches)) if notes.pitches else math.nan


def mean_interval(notes: Lines) -> float:
    """Mean size of the steps from note to note, in semitones: Σ |pᵢ₊₁ − pᵢ| / (n − 1)."""
    return ratio(sum(map(abs, notes.intervals)), len(notes.intervals))


def stepwise_share(notes: Lines) -> float:
    """Share of conjunct motion: of the steps from note to note, those of one or two semitones up or down."""
    return ratio(sum(abs(interval) in (1, 2) for interval in notes.intervals), len(notes.intervals))


def contour_slope(notes: Lines) -> float:
    """How steeply lines rise, in semitones a beat: Σ (t − t̄)(p − p̄) / Σ (t − t̄)², the line of least squares.

    Means are of each line. Falling is negative; NaN where no line has two onsets.
    """
    rise = run = 0.0
    for line in notes.lines:
        start, pitch = sum(line.starts) / len(line.starts), sum(line.pitches) / len(line.pitches)
        rise += sum((t - start) * (p - pitch) for t, p in zip(line.starts, line.pitches, strict=True))
        run += sum((t - start) ** 2 for t in line.starts)
    return ratio(rise, run)


def diatonic_share(notes: Lines) -> float:
    """Share of the notes in C major: |{i : pᵢ mod 12 ∈ {0, 2, 4, 5, 7, 9, 11}}| / n."""
    return ratio(sum(pitch % 12 in C_MAJOR for pitch in notes.pitches), len(notes.pitches))


def in_key_share(notes: Lines) -> float:
    """Share of the notes in the clip's own key, which is that of music21's `analyze("key")` (see `tonality`).

    The minor scale has both sevenths. Of keys that fit equally well, the one with the largest share.
    """
    return share_in_key([pitch % 12 for pitch in notes.pitches], sounding_classes(*notes.lines, *notes.chords))


# -- form --------------------------------------------------------------------------------------------------------------


def repetition(notes: Lines) -> float:
    """Share of the motifs that repeat another: 1 − different motifs / motifs.

    A motif is three notes in a row: two intervals in semitones and the two times between the onsets, to the twelfth of
    a beat; so it is the same at any height and place. One less the type-token ratio of "m-types" (Müllensiefen 2009,
    FANTASTIC), with times in place of classes of duration. NaN of fewer than three notes.
    """
    motifs: list[object] = []
    for line in notes.lines:
        times = [math.floor(start * TWELFTHS + 0.5) for start in line.starts]
        places = list(zip(times, line.pitches, strict=True))
        moves = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(places)]
        motifs += pairwise(moves)
    return 1 - len(set(motifs)) / len(motifs) if motifs else math.nan


def note_length(notes: Lines) -> float:
    """Mean length of a note in beats: Σ (end − start) / n."""
    return ratio(sum(sum(line.ends) - sum(line.starts) for line in notes.lines), len(notes.pitches))


MELODIC = (
    Attribute(name="density", what="onsets per beat", of=density, view=lines_of),
    Attribute(name="pitch", what="mean pitch (MIDI)", of=mean_pitch, view=lines_of),
    Attribute(name="range", what="pitch range (semitones)", of=pitch_range, view=lines_of),
    Attribute(name="interval", what="mean interval (semitones)", of=mean_interval, view=lines_of),
    Attribute(name="diatonic", what="share in C major", of=diatonic_share, view=lines_of),
    Attribute(name="syncopation-16th", what="16th syncopation (share)", of=syncopation_16th, view=lines_of),
    Attribute(name="syncopation-8th", what="8th syncopation (share)", of=syncopation_8th, view=lines_of),
    Attribute(name="in-key", what="share in its own key", of=in_key_share, view=lines_of),
    Attribute(name="stepwise", what="stepwise motion (share)", of=stepwise_share, view=lines_of),
    Attribute(name="contour", what="contour slope (semitones a beat)", of=contour_slope, view=lines_of),
    Attribute(name="entropy", what="rhythmic entropy (bits)", of=entropy, view=lines_of),
    Attribute(name="repetition", what="repeated motifs (share)", of=repetition, view=lines_of),
    Attribute(name="note-length", what="mean note length (beats)", of=note_length, view=lines_of),
)
"""Of clips with pitched notes."""


def pitches_of(clip: Clip) -> NDArray[np.int64]:
    """The pitches of all notes, track by track, drums aside: int64 (notes,)."""
    arrays = [track.notes["pitch"].astype(np.int64) for track in clip.tracks if not track.is_drum]
    return np.concatenate([np.zeros(0, np.int64), *arrays])
