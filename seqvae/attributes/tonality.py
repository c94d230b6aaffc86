"""Keys as attributes see them: music21's key analysis, fast enough for every clip that a model decodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip, Track
from seqvae.keys import UNKNOWN_KEY, key_tones

# How well each degree fits into a major and a minor key: Aarden 2003 ("Dynamic melodic expectancy"), from the Essen
# collection of folk songs, as Humdrum's `keycor` has them; what `stream.analyze("key")` of music21 takes.
AARDEN_ESSEN = (
    (17.7661, 0.145624, 14.9265, 0.160186, 19.8049, 11.3587, 0.291248, 22.062, 0.145624, 8.15494, 0.232998, 4.95122),
    (18.2648, 0.737619, 14.0499, 16.8599, 0.702494, 14.4362, 0.702494, 18.6161, 4.56621, 1.93186, 7.37619, 1.75623),
)
EQUAL = 1e-9
"""Keys whose fits differ by less fit equally well."""


def _profiles() -> NDArray[np.float64]:
    """Of the keys 1 … 24 in order: float64 (24, 12), each of mean 0 and length 1."""
    rows = np.array([np.roll(profile, tonic) for profile in AARDEN_ESSEN for tonic in range(12)])
    rows -= rows.mean(axis=1, keepdims=True)
    normal: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normal


_PROFILES = _profiles()
_SCALES = [frozenset(np.flatnonzero(scale).tolist()) for scale in key_tones()]


class Line(NamedTuple):
    """The notes of one track in time order: onsets and ends in beats, MIDI pitches."""

    starts: list[float]
    ends: list[float]
    pitches: list[int]


def lines_in(clip: Clip) -> list[tuple[Track, Line]]:
    """The pitched tracks of a clip that sound, with their notes as plain lists."""
    return [
        (track, Line(notes["start_beats"].tolist(), notes["end_beats"].tolist(), notes["pitch"].tolist()))
        for track in clip.tracks
        if not track.is_drum and len(notes := track.notes)
    ]


def best_keys(weights: Sequence[float]) -> list[int]:
    """The tokens of the keys that fit best, several where they fit equally well; none where all 12 weights are equal.

    A key's profile correlates with how long each pitch class sounds (Krumhansl & Schmuckler; Krumhansl 1990); here with
    the profiles of Aarden and Essen. So does `stream.analyze("key")` of music21, whose answer is always among these.

    Args:
        weights: Of the pitch classes from C: beats.
    """
    centred = np.array(weights)
    centred -= centred.sum() / 12
    fit = _PROFILES @ centred
    least = fit.max() - EQUAL * sum(weights)
    return [key for key, value in enumerate(fit.tolist(), start=1) if value > least] if least > 0 else []


def sounding_classes(*lines: Line) -> list[float]:
    """How many beats each pitch class sounds: 12 floats from C."""
    weights = [0.0] * 12
    for line in lines:
        for start, end, pitch in zip(line.starts, line.ends, line.pitches, strict=True):
            weights[pitch % 12] += end - start
    return weights


def key_of(clip: Clip) -> int:
    """The token of the key that fits best (see `keys`): 1-12 major from C, 13-24 minor from C, 0 unknown.

    Of keys that fit equally well the first. Unknown is the key of silence, and where all pitch classes sound equally
    long. (`keys.find_key`, which models of given keys use, has the profiles of Krumhansl and Kessler.)

    >>> from seqvae.keys import key_name
    >>> key_name(key_of(Clip.from_notes([(i, i + 1, p, 80) for i, p in enumerate((62, 66, 69, 74, 73, 74))])))
    'D major'
    """
    found = best_keys(sounding_classes(*(line for _, line in lines_in(clip))))
    return found[0] if found else UNKNOWN_KEY


def share_in_key(pitch_classes: Sequence[int], weights: Sequence[float]) -> float:
    """The share of notes that the best key's scale holds; the largest of equally good keys. NaN where there is none."""
    keys = best_keys(weights)
    if not keys or not pitch_classes:
        return float("nan")
    return max(sum(each in _SCALES[key] for each in pitch_classes) for key in keys) / len(pitch_classes)
