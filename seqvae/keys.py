"""Keys: as people write them, their 25 tokens, and the key of a clip."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from seqvae.chords import DEGREES, PITCH_CLASSES, ROOT, pitch_class
from seqvae.clip import Clip
from seqvae.errors import DataError

UNKNOWN_KEY = 0
KEY_SIZE = 25
"""Unknown, twelve major keys from C, twelve minor keys from C."""


# Krumhansl & Kessler 1982: how well each degree fits into a major and a minor key.
KEY_PROFILES = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)

_KEY = re.compile(rf"({ROOT}|[a-g][b#]?)[ :-]*(.*)$")
_MODES = {"": "major", "M": "major", "maj": "major", "major": "major", "m": "minor", "min": "minor", "minor": "minor"}


def parse_key(text: str) -> int:
    """A key's token from "D", "F#m", "D minor", "Bb major", "d" (minor).

    Raises:
        DataError: It is no key.

    >>> parse_key("D"), parse_key("F#m"), key_name(parse_key("Bb minor"))
    (3, 19, 'Bb minor')
    """
    match = _KEY.match(text.strip())
    mode = None if match is None else _MODES.get(match[2] if len(match[2]) < 2 else match[2].lower())
    if match is None or mode is None:
        raise DataError(f"{text!r} is no key; write it like D, F#m, Bb or 'D minor'")
    minor = mode == "minor" or (match[1][0].islower() and not match[2])
    return 1 + 12 * minor + pitch_class(match[1])


def key_name(key: int) -> str:
    """A key in words; "unknown" for 0."""
    return f"{PITCH_CLASSES[(key - 1) % 12]} {'minor' if key > 12 else 'major'}" if key else "unknown"


def transpose(keys: NDArray[np.int64], semitones: int) -> NDArray[np.int64]:
    """Keys so many semitones higher: int64, the keys' shape."""
    places = keys - 1
    moved: NDArray[np.int64] = np.where(keys, 1 + places // 12 * 12 + (places + semitones) % 12, UNKNOWN_KEY)
    return moved


def key_tones() -> NDArray[np.bool_]:
    """Which pitch classes each key's scale holds: bool (KEY_SIZE, 12); minor has both sevenths; unknown holds none."""
    scales = np.zeros((KEY_SIZE, 12), bool)
    for key in range(1, KEY_SIZE):
        minor, tonic = divmod(key - 1, 12)
        scales[key, (tonic + np.array((0, 2, 3, 5, 7, 8, 10, 11) if minor else DEGREES)) % 12] = True
    return scales


def find_key(clip: Clip) -> int:
    """The key whose profile correlates best with how long each pitch class sounds (Krumhansl & Schmuckler).

    0 where fewer than three pitch classes sound.

    >>> from seqvae.chords import progression_clip
    >>> key_name(find_key(progression_clip("C G Am F")))
    'C major'
    """
    weights = np.zeros(12)
    for track in clip.tracks:
        if not track.is_drum:
            np.add.at(weights, track.notes["pitch"] % 12, track.notes["end_beats"] - track.notes["start_beats"])
    if (weights > 0).sum() < 3:
        return UNKNOWN_KEY
    profiles = [np.roll(profile, tonic) for profile in KEY_PROFILES for tonic in range(12)]
    return 1 + int(np.argmax([np.corrcoef(weights, profile)[0, 1] for profile in profiles]))
