"""Controls: what is given beside z and never drawn. The key and labels of a whole window; chords, step by step.

A key or a label is said of a clip by an empty track whose name says it, "key: D major" or "genre: jazz": such a mark
survives every MIDI file and cut, and sounds nowhere. Where windows of one clip differ, it says the value of each: "key:
D major | G major". A file without a mark has the key that its notes suggest, and no label (0, unknown).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqvae import keys
from seqvae.chords import parse_progression, progression_tokens
from seqvae.clip import DEFAULT_TEMPO_QPM, DEFAULT_VELOCITY, Clip, Style, TempoChange, Track, notes_array
from seqvae.errors import DataError
from seqvae.tokenizers.base import Alphabet, Part, Tokenizer, Tokens, Windows
from seqvae.tokenizers.grid import Grid

CHORDS, KEY = "chords", "key"
UNKNOWN = 0
UNKNOWN_NAME = "unknown"
WINDOWS = " | "
"""Stands between the values of several windows."""

KEY_NAMES = tuple(keys.key_name(key) for key in range(1, keys.KEY_SIZE))


# -- marks -------------------------------------------------------------------------------------------------------------


def mark(name: str, value: str) -> Track:
    """The empty track that says it."""
    return Track(notes=notes_array(), name=f"{name}: {value}")


def with_marks(clip: Clip, marks: Mapping[str, str]) -> Clip:
    """The clip with marks, name → value, in place of those it had of these names.

    >>> marks_of(with_marks(Clip(), {"genre": "jazz"}))
    {'genre': 'jazz'}
    """
    left = dict(marks)
    tracks = []
    for track in clip.tracks:
        name = next((name for name in _said(track) if name in marks), None)
        tracks.append(track if name is None else mark(name, left.pop(name, marks[name])))
    return replace(clip, tracks=(*tracks, *(mark(name, value) for name, value in left.items())))


def join_marks(joined: Clip, items: Sequence[Clip]) -> Clip:
    """A clip of several windows with the marks of each of them."""
    said = [marks_of(item) for item in items]
    return with_marks(joined, {name: _joined([one.get(name, UNKNOWN_NAME) for one in said]) for name in said[0]})


def _joined(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else WINDOWS.join(values)


def marks_of(clip: Clip) -> dict[str, str]:
    """The marks of a clip, name → value."""
    found: dict[str, str] = {}
    for track in clip.tracks:
        found |= _said(track)
    return found


def _said(track: Track) -> dict[str, str]:
    name, colon, value = track.name.partition(":")
    return {name.strip(): value.strip()} if colon and value.strip() and not len(track.notes) else {}


@dataclass(frozen=True, kw_only=True)
class MarkTokenizer(Grid):
    """One mark of a window as a part: the same token at each step; 0 is unknown.

    Attributes:
        bars, meter, steps_per_beat, min_onsets, hop_bars: See `Grid`.
        name: Of the mark: "key", or a label's column.
        values: What it can be; token i + 1 is `values[i]`.
        max_transpose: Training transposes keys by -max … +max semitones; labels stay.
    """

    name: str = KEY
    values: tuple[str, ...] = KEY_NAMES
    max_transpose: int = 6

    @cached_property
    def alphabet(self) -> Alphabet:
        """Unknown, and each value."""
        return Alphabet(parts=(Part(self.name, 1 + len(self.values)),))

    @cached_property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (size,): nothing happens."""
        return np.zeros(self.alphabet.largest, bool)

    @cached_property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (2·max_transpose + 1, size): the transpositions 0, +1, -1, +2, …"""
        shifts = sorted(range(-self.max_transpose, self.max_transpose + 1), key=lambda s: (abs(s), -s))
        tokens = np.arange(self.alphabet.largest)
        return np.stack([keys.transpose(tokens, shift) if self.name == KEY else tokens for shift in shifts])

    def token_name(self, token: int, part: int = 0) -> str:
        """The value, or "unknown"."""
        return self.values[token - 1] if token else UNKNOWN_NAME

    def tokens_of(self, item: Clip) -> list[int]:
        """The clip's mark, of each window or of all; else the key of its notes, else 0, as for labels never met."""
        said = marks_of(item).get(self.name)
        if said is None:
            return [keys.find_key(item) if self.name == KEY else UNKNOWN]
        return [self.values.index(one) + 1 if one in self.values else UNKNOWN for one in said.split(WINDOWS)]

    def _at(self, item: Clip, left_beats: NDArray[np.float64]) -> NDArray[np.int64]:
        """The token of the windows that begin there: int64 (windows,)."""
        tokens = np.array(self.tokens_of(item))
        places = (left_beats / self.window_beats + 1e-6).astype(np.int64)
        return tokens[np.clip(places, 0, len(tokens) - 1)]

    def windows(self, item: Clip, track: str | None = None) -> Windows:
        """Every window, one every `hop_bars` bars. `track` is ignored."""
        starts = self.starts(item)
        lines = [(0, np.repeat(self._at(item, starts)[:, None], self.length, axis=1))] if len(starts) else []
        return self.gather(item, starts, lines, self.onset_mask)

    def split(self, item: Clip, track: str | None = None) -> list[Clip]:
        """Consecutive windows of the mark alone. Raises `DataError`: no bar is in this meter."""

        def cut(left_beats: float) -> Clip:
            token = int(self._at(item, np.array([left_beats]))[0])
            marked = replace(item, tracks=(mark(self.name, self.token_name(token)),), provenance=None)
            return self.cut_window(marked, left_beats)

        return self.split_by(item, cut)

    def encode(self, item: Clip) -> Tokens:
        """The mark at each step: int64 (length,)."""
        return np.full(self.length, self.tokens_of(item)[0], np.int64)

    def decode(self, tokens: Tokens, style: Style | None = None) -> Clip:
        """Tokens (length,) as a clip that bears the first one's mark and has no notes."""
        return Clip(
            tracks=(mark(self.name, self.token_name(int(tokens[0]))),),
            length_beats=self.window_beats,
            tempos=(TempoChange(0.0, style.tempo_qpm if style else DEFAULT_TEMPO_QPM),),
            meters=(self.meter_change,),
        )

    def canonical(self, tokens: Tokens) -> Tokens:
        """The first step's token at all: (…, length) → (…, length)."""
        tokens = np.asarray(tokens, np.int64)
        return np.broadcast_to(tokens[..., :1], tokens.shape).copy()

    def style(self, item: Clip) -> Style:
        """The tempo; the rest is as for any track."""
        velocities = np.full(self.length, DEFAULT_VELOCITY, np.float32)
        return Style(tempo_qpm=item.tempo_at(0.0), program=0, velocities=velocities)


# -- what a person asks for --------------------------------------------------------------------------------------------


def control_tokens(
    tokenizer: Tokenizer,
    *,
    chords: str | None = None,
    key: str | None = None,
    labels: Mapping[str, str] | None = None,
    own: Tokens | None = None,
    model: str = "this model",
) -> Tokens:
    """Controls as tokens.

    Args:
        tokenizer: Whose alphabet has them.
        chords: A progression, "C G Am F": one symbol a bar, or bars between |. The last goes on to its window's end.
        key: Such as "D", "F#m".
        labels: Column → value.
        own: What holds where none is asked for, int64 (windows, time, controls); chords are repeated, or cut, to as
            many windows. Without it, 0 (unknown) holds, and there are as many windows as the chords fill.
        model: What messages call it.

    Returns:
        int64 (windows, time, controls).

    Raises:
        DataError: The tokenizer has no such control, or a control no such value; the message says what there is.
    """
    given = [part for part in tokenizer.alphabet.parts if part.given]
    names = [part.name for part in given]
    asked = {CHORDS: chords, KEY: key, **(labels or {})}
    wanted = {name: value for name, value in asked.items() if value is not None}
    for name in wanted:
        if name not in names:
            has = f"its controls are: {', '.join(names)}" if names else "it has no controls"
            raise DataError(f"{model} has no control {name!r}; {has}; choose another with --model")
    line = _chord_line(tokenizer, chords) if chords is not None else np.zeros((1, tokenizer.length), np.int64)
    tokens = np.zeros((len(line), tokenizer.length, len(given)), np.int64) if own is None else own.copy()
    for name, value in wanted.items():
        place = names.index(name)
        if name == CHORDS:
            tokens[..., place] = line[np.arange(len(tokens)) % len(line)]
        elif name == KEY:
            tokens[..., place] = keys.parse_key(value)
        else:
            tokens[..., place] = _label(tokenizer, given[place], place, value)
    return tokens


def _chord_line(tokenizer: Tokenizer, text: str) -> NDArray[np.int64]:
    """A progression as tokens of each step, as many windows as it fills: int64 (windows, time)."""
    assert isinstance(tokenizer, Grid), "only music is given chords"
    spans = parse_progression(text, tokenizer.bar_beats)
    steps = round(spans[-1].end_beats * tokenizer.steps_per_beat)
    windows = max(1, -(-steps // tokenizer.length))
    tokens = progression_tokens(spans, windows * tokenizer.length, tokenizer.steps_per_beat)
    return tokens.reshape(windows, tokenizer.length)


def _label(tokenizer: Tokenizer, part: Part, place: int, value: str) -> int:
    values = [tokenizer.token_name(token, place) for token in range(part.size)]
    if value not in values:
        raise DataError(f"{part.name} is never {value!r}; it can be: {', '.join(values)}")
    return values.index(value)
