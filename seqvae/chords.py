"""Chords: symbols as people write them, tokens of a fixed vocabulary, notes, and the way between them.

A chord symbol keeps all that it says (`Chord`: root, every interval, bass), and is voiced so. A token keeps root and
quality, one of `QUALITIES`: extensions above the seventh and the bass are left out, a chord without a third counts as
the major one, an altered fifth counts only where the table has it. Token 0 is "no chord".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import DEFAULT_TEMPO_QPM, Clip, MeterChange, TempoChange, Track, grid_steps, notes_array
from seqvae.errors import DataError

NO_CHORD = 0

QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "sus4": (0, 5, 7),
    "sus2": (0, 2, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "dim": (0, 3, 6),
    "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "aug": (0, 4, 8),
}
"""Quality, as it is written after the root, and its semitones above the root. Token = 1 + 12 · quality + root."""

CHORD_SIZE = 1 + 12 * len(QUALITIES)
PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

CHORD_TRACK = "CHORDS"
VOICED_FROM, BASS_FROM = 54, 36
"""Chord tones are put into the octave from F#3, around middle C, and the bass into the octave from C2."""
CHORD_VELOCITY = 64

BASS_WEIGHT = 0.4
"""What the bass adds to a root when notes are read as a chord; 1 is a perfect agreement of all notes."""


ROOT = r"[A-G](?:bb|##|[b#])?"
_SYMBOL = re.compile(rf"({ROOT}):?(.*?)(?:/({ROOT}|[b#]*\d+))?$")
# Every spelling of a word becomes one letter, in this order: M major, m minor, d diminished, h half-diminished,
# a augmented, s suspended, & add, ~ leave out.
_SPELLINGS = tuple(
    (re.compile(pattern), letter)
    for pattern, letter in (
        ("add", "&"),
        (r"omit|no|\*", "~"),
        ("7?alt", "7#5b9"),
        (r"(?i:major|maj)|ma|Δ|\^", "M"),
        ("(?i:minor|min)|mi|^-", "m"),
        ("hdim|ø", "h"),
        (r"(?i:dim)|°|o(?=7|$)", "d"),
        (r"(?i:aug)|^\+", "a"),
        ("sus", "s"),
    )
)
_PIECE = re.compile(r"[Mmdha(),\s]|s[24]?|([&~]?)([b#+-]*)(\d+)")
_BAR_METER = re.compile(r"\(\d+/(1|2|4|8|16)\)$")
DEGREES = (0, 2, 4, 5, 7, 9, 11)
NO_CHORD_SYMBOLS = ("N.C.", "N", "NC", "N.C", "X", "&pause", "*")
REPEAT_SYMBOLS = (".", "%")


@dataclass(frozen=True, kw_only=True)
class Chord:
    """What a chord symbol says.

    Attributes:
        root: Pitch class 0-11, C is 0.
        intervals: Semitones above the root, ascending, the root's 0 among them; a ninth is 14.
        bass: Pitch class of the lowest note.
    """

    root: int
    intervals: tuple[int, ...]
    bass: int

    @property
    def quality(self) -> str:
        """The nearest of `QUALITIES`: its third (or fourth, or second), then fifth, then seventh or sixth.

        >>> parse_chord("G13").quality, parse_chord("C5").quality, parse_chord("Ebmaj9#11/G").quality
        ('7', '', 'maj7')
        """
        has = {interval for interval in self.intervals if interval < 12}
        if 4 in has:
            if 8 in has and not has & {7, 10}:
                return "aug"
            return "7" if 10 in has else "maj7" if 11 in has else "6" if 9 in has else ""
        if 3 in has:
            if 6 in has and 7 not in has:
                return "m7b5" if 10 in has else "dim7" if 9 in has else "dim"
            return "m7" if 10 in has else "m6" if 9 in has and 11 not in has else "m"
        if 5 in has or 2 in has:
            return "sus4" if 5 in has else "sus2"
        return "7" if 10 in has else "maj7" if 11 in has else ""

    @property
    def token(self) -> int:
        """The token, 1 … CHORD_SIZE - 1."""
        return 1 + 12 * list(QUALITIES).index(self.quality) + self.root

    def pitches(self) -> list[int]:
        """All that the symbol says as MIDI pitches: the bass, then close position around middle C."""
        tones = {(self.root + interval) % 12 for interval in self.intervals}
        return [BASS_FROM + self.bass, *sorted(VOICED_FROM + (tone - VOICED_FROM) % 12 for tone in tones)]


# -- symbols -------------------------------------------------------------------------------------------------------


def parse_chord(text: str) -> Chord | None:
    """A chord from its symbol, as in lead sheets ("F#m7b5", "C/E", "G7sus4") or after Harte ("A:min7/b3").

    None is "no chord": N.C., N, X.

    Raises:
        DataError: It is no chord symbol.

    >>> parse_chord("Am7/G")
    Chord(root=9, intervals=(0, 3, 7, 10), bass=7)
    """
    symbol = text.strip()
    if symbol in NO_CHORD_SYMBOLS:
        return None
    plain = symbol.replace("♭", "b").replace("♯", "#").replace("6/9", "69")
    match = _SYMBOL.match(plain)
    intervals = _intervals(match[2]) if match else None
    if match is None or intervals is None:
        raise DataError(f"{text!r} is no chord symbol; write it like C, Am, F#m7b5, Bbmaj7, G7sus4, C/E or N.C.")
    root = pitch_class(match[1])
    bass = root
    if match[3]:
        bass = pitch_class(match[3]) if match[3][0].isupper() else (root + _degree(match[3])) % 12
    return Chord(root=root, intervals=intervals, bass=bass)


def pitch_class(name: str) -> int:
    """0-11 of a note's name, such as "F#" or "Bb"."""
    return (DEGREES["CDEFGAB".index(name[0].upper())] + name.count("#") - name.count("b", 1)) % 12


def _degree(text: str) -> int:
    """Semitones of a degree of the major scale, such as b7 (10) or 9 (14)."""
    octave, degree = divmod(max(int(text.lstrip("b#+-")), 1) - 1, 7)
    return 12 * octave + DEGREES[degree] + sum(text.count(up) for up in "#+") - sum(text.count(down) for down in "b-")


@dataclass
class _Reading:
    """Tones of a symbol while its pieces are read from the left."""

    third: int = 4
    fifth: int = 7
    seventh: int = 10
    stacked: bool = False  # the number that says how high thirds are stacked has been read
    inside: bool = False  # of parentheses, where a number is a degree of the major scale
    added: set[int] = field(default_factory=set)
    left_out: set[int] = field(default_factory=set)

    def word(self, letter: str) -> None:
        match letter:
            case "M":
                self.seventh = 11
            case "m":
                self.third = 3
            case "d":
                self.third, self.fifth, self.seventh = 3, 6, 9
            case "h":
                self.third, self.fifth = 3, 6
                self.added.add(10)
            case "a":
                self.fifth = 8
            case "s" | "s2" | "s4":
                self.third = 2 if letter == "s2" else 5
            case "(" | ")":
                self.inside = letter == "("

    def number(self, verb: str, sign: str, number: str) -> None:
        if verb == "~":
            self.left_out.add({"3": self.third, "5": self.fifth}.get(number, _degree(sign + number)))
        elif sign and number == "5" and not verb:
            self.fifth = _degree(sign + number)
        elif verb or sign or self.inside or self.stacked:
            self.added.add(_degree(sign + number))
        else:
            self.stacked = True
            heights = {"6": (9,), "69": (9, 14), "7": (), "9": (14,), "11": (14, 17), "13": (14, 21)}
            self.added |= set(heights.get(number, (_degree(number),)))
            self.added |= {self.seventh} if number in ("7", "9", "11", "13") else set()
            self.left_out |= {"1": {self.third, self.fifth}, "5": {self.third}}.get(number, set())

    @property
    def intervals(self) -> tuple[int, ...]:
        return tuple(sorted({0} | ({self.third, self.fifth} - self.left_out) | self.added))


def _intervals(quality: str) -> tuple[int, ...] | None:
    """Semitones above the root that a symbol says after its root; None where something in it is unknown."""
    for pattern, letter in _SPELLINGS:
        quality = pattern.sub(letter, quality)
    reading, position = _Reading(), 0
    while position < len(quality):
        piece = _PIECE.match(quality, position)
        if piece is None:
            return None
        if piece[3] is None:
            reading.word(piece[0])
        elif int(piece[3]) in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 69):
            reading.number(piece[1], piece[2], piece[3])
        else:
            return None
        position = piece.end()
    return reading.intervals


def token_chord(token: int) -> Chord | None:
    """The chord of a token in root position; None for 0."""
    if token == NO_CHORD:
        return None
    quality, root = divmod(token - 1, 12)
    return Chord(root=root, intervals=list(QUALITIES.values())[quality], bass=root)


def symbol(token: int) -> str:
    """A token as a symbol, such as "F#m7b5"; "N.C." for 0. `parse_chord(symbol(token)).token` is the token."""
    quality, root = divmod(token - 1, 12)
    return PITCH_CLASSES[root] + list(QUALITIES)[quality] if token else NO_CHORD_SYMBOLS[0]


def voicing(token: int) -> list[int]:
    """A token as MIDI pitches: a bass note and close position around middle C; none for 0."""
    chord = token_chord(token)
    return chord.pitches() if chord else []


def transpose(tokens: NDArray[np.int64], semitones: int) -> NDArray[np.int64]:
    """Chord tokens so many semitones higher: int64, the tokens' shape."""
    places = tokens - 1
    moved: NDArray[np.int64] = np.where(tokens, 1 + places // 12 * 12 + (places + semitones) % 12, NO_CHORD)
    return moved


# -- progressions --------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """A chord (None for none) from `start_beats` to `end_beats`."""

    start_beats: float
    end_beats: float
    chord: Chord | None


def parse_progression(text: str, bar_beats: float = 4.0) -> list[Span]:
    """Chords in time: one symbol a bar ("C G Am F"), or bars between | shared equally by what stands in them.

    "." and "%" go on with the chord before; "C . . G | F" changes on the fourth beat. A meter in parentheses, "(2/4)",
    gives its own bar that length.

    Raises:
        DataError: A word is no chord symbol, or there is none at all.

    >>> [(span.start_beats, span.chord.token) for span in parse_progression("C | F G")]
    [(0.0, 1), (4.0, 6), (6.0, 8)]
    """
    bars = [bar.split() for bar in text.split("|")] if "|" in text else [[word] for word in text.split()]
    spans: list[Span] = []
    start = 0.0
    for bar in filter(None, bars):
        length, words = bar_beats, [word for word in bar if not _BAR_METER.match(word)]
        if len(words) < len(bar):
            numerator, denominator = next(word for word in bar if _BAR_METER.match(word)).strip("()").split("/")
            length = 4.0 * int(numerator) / int(denominator)
        for index, word in enumerate(words or REPEAT_SYMBOLS[:1]):
            ends = start + length * (index + 1) / max(len(words), 1)
            begins = start + length * index / max(len(words), 1)
            repeated = word in REPEAT_SYMBOLS
            chord = (spans[-1].chord if spans else None) if repeated else parse_chord(word)
            if repeated and spans and index:
                spans[-1] = spans[-1]._replace(end_beats=ends)
            else:
                spans.append(Span(begins, ends, chord))
        start += length
    if not spans:
        raise DataError('there is no chord in it; write a progression like "C G Am F" or "C | F G | C"')
    return spans


def progression_tokens(spans: Sequence[Span], steps: int, steps_per_beat: int) -> NDArray[np.int64]:
    """The chord of each step: int64 (steps,). The last chord goes on; a change between two steps falls to the next."""
    tokens = np.zeros(steps, np.int64)
    for span in spans:
        tokens[int(np.ceil(span.start_beats * steps_per_beat - 1e-6)) :] = span.chord.token if span.chord else NO_CHORD
    return tokens


def progression_clip(text: str, *, bar_beats: float = 4.0, tempo_qpm: float = DEFAULT_TEMPO_QPM) -> Clip:
    """A progression as a clip of one track, every symbol struck, with all that it says. See `parse_progression`.

    >>> progression_clip("C G Am F").length_beats
    16.0
    """
    spans = parse_progression(text, bar_beats)
    notes = [
        (span.start_beats, span.end_beats, pitch, CHORD_VELOCITY)
        for span in spans
        if span.chord
        for pitch in span.chord.pitches()
    ]
    numerator, denominator = (int(bar_beats), 4) if bar_beats == int(bar_beats) else (round(bar_beats * 2), 8)
    return Clip(
        tracks=(Track(notes=notes_array(notes), name=CHORD_TRACK),),
        length_beats=spans[-1].end_beats,
        tempos=(TempoChange(0.0, tempo_qpm),),
        meters=(MeterChange(0.0, numerator, denominator),),
        name=text,
    )


# -- notes ---------------------------------------------------------------------------------------------------------


def voice_chords(tokens: NDArray[np.integer], steps_per_beat: int) -> NDArray[np.void]:
    """Tokens (steps,) as notes: a bass note and close position, held as long as the token stays.

    `chord_steps` gives the tokens back exactly.
    """
    changes = np.flatnonzero(np.diff(tokens, prepend=-1, append=-1))
    notes = [
        (start / steps_per_beat, end / steps_per_beat, pitch, CHORD_VELOCITY)
        for start, end in itertools.pairwise(changes)
        for pitch in voicing(int(tokens[start]))
    ]
    return notes_array(notes)


def chord_steps(notes: NDArray[np.void], steps_per_beat: int, steps: int) -> NDArray[np.int64]:
    """The chord of each step from the notes of a chord track: int64 (steps,).

    Three or more pitch classes that sound together at a step are its chord. Otherwise what sounds in its beat, or two
    or four beats, counts (arpeggios), and where that is less than three too, two that sound at the step. A step at
    which nothing sounds has no chord.
    """
    roll = np.zeros((128, steps), np.float64)
    starts, ends = grid_steps(notes, steps_per_beat)
    for start, end, pitch in zip(starts, ends, notes["pitch"], strict=True):
        roll[pitch, max(start, 0) : max(end, 0)] = 1
    chosen, bass, found = _evidence(roll)
    sounds = chosen.sum(axis=0) > 0
    for beats in (1, 2, 4):
        width = beats * steps_per_beat
        left = np.arange(0, steps, width)
        if not steps:
            break
        wider, its_bass, many = (
            np.repeat(each, width, axis=-1)[..., :steps] for each in _evidence(np.add.reduceat(roll, left, axis=1))
        )
        use = (found < 3) & (many >= 3)
        chosen, bass, found = np.where(use, wider, chosen), np.where(use, its_bass, bass), np.where(use, many, found)
    tokens = match_chords(chosen.T, bass)
    chords: NDArray[np.int64] = np.where(sounds & (found >= 2), tokens, NO_CHORD)
    return chords


def _evidence(roll: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each column of a roll (128, n): weight of each pitch class (12, n), bass (n,), pitch classes found (n,)."""
    padded = np.concatenate([roll, np.zeros((4, roll.shape[1]))])
    weights = padded.reshape(11, 12, -1).max(axis=0)
    return weights, (roll > 0).argmax(axis=0) % 12, (weights > 0).sum(axis=0)


def match_chords(weights: NDArray[np.float64], bass: NDArray[np.int64]) -> NDArray[np.int64]:
    """The token that agrees best with pitch classes of weights (n, 12) over a bass (n,): int64 (n,), never 0.

    Agreement: the share of weight in the chord less the share outside it, less the share of the chord that is missing,
    and `BASS_WEIGHT` if the root is the bass. Notes of just one chord on its root give that chord.
    """
    templates = chord_tones()[1:].astype(np.float64)
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    inside = shares @ templates.T
    present = (weights > 0) @ templates.T / templates.sum(axis=1)
    on_root = np.arange(CHORD_SIZE - 1) % 12 == bass[:, None]
    score = 2 * inside + present + BASS_WEIGHT * on_root
    # Equal but for rounding: the quality that stands first.
    best: NDArray[np.int64] = 1 + np.argmax(np.round(score, 9), axis=1)
    return best


def chord_tones() -> NDArray[np.bool_]:
    """Which pitch classes each chord token holds: bool (CHORD_SIZE, 12); "no chord" holds none."""
    tones = np.zeros((CHORD_SIZE, 12), bool)
    for token in range(1, CHORD_SIZE):
        quality, root = divmod(token - 1, 12)
        tones[token, [(root + interval) % 12 for interval in list(QUALITIES.values())[quality]]] = True
    return tones
