"""A track of chords as chord symbols: at each step the token of the chord that sounds there (`seqvae.chords`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqvae import chords
from seqvae import clip as clips
from seqvae.clip import Clip, Style, TempoChange, Track
from seqvae.tokenizers.base import Alphabet, Part, Tokens, Windows
from seqvae.tokenizers.grid import Grid


@dataclass(frozen=True, kw_only=True)
class ChordsTokenizer(Grid):
    """The chord symbols of `bars` bars, one token a step; 0 is no chord. It reads the clip's first track.

    Attributes:
        bars, meter, steps_per_beat, min_onsets, hop_bars: See `Grid`.
        max_transpose: Training transposes by -max … +max semitones.
    """

    max_transpose: int = 6

    @cached_property
    def alphabet(self) -> Alphabet:
        """No chord, and each root and quality."""
        return Alphabet(parts=(Part("chords", chords.CHORD_SIZE),))

    @cached_property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (size,): True for chords."""
        mask: NDArray[np.bool_] = np.arange(self.alphabet.largest) != chords.NO_CHORD
        return mask

    @cached_property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (2·max_transpose + 1, size): the transpositions 0, +1, -1, +2, …"""
        shifts = sorted(range(-self.max_transpose, self.max_transpose + 1), key=lambda s: (abs(s), -s))
        return np.stack([chords.transpose(np.arange(self.alphabet.largest), shift) for shift in shifts])

    def token_name(self, token: int, part: int = 0) -> str:
        """The chord symbol: `Am7`, or `N.C.`."""
        return chords.symbol(token)

    def windows(self, item: Clip, track: str | None = None) -> Windows:
        """Every window, one every `hop_bars` bars. `track` is ignored: there is one."""
        starts = self.starts(item)
        lines = [(0, self._windows(item.tracks[0], starts))] if len(starts) else []
        return self.gather(item, starts, lines, self.onset_mask)

    def split(self, item: Clip, track: str | None = None) -> list[Clip]:
        """Consecutive windows. Raises `DataError`: no bar is in this meter."""
        return self.split_by(item, lambda left_beats: self.cut_window(item, left_beats))

    def encode(self, item: Clip) -> Tokens:
        """The chords of the first `bars` bars: int64 (length,)."""
        window: Tokens = self._windows(item.tracks[0], np.zeros(1))[0]
        return window

    def _windows(self, track: Track, starts_beats: NDArray[np.float64]) -> NDArray[np.int64]:
        """The track's chords, cut at each start: int64 (windows, length)."""
        left = self.left_steps(starts_beats)
        line = chords.chord_steps(track.notes, self.steps_per_beat, int(left.max()) + self.length)
        windows: NDArray[np.int64] = line[left[:, None] + np.arange(self.length)]
        return windows

    def decode(self, tokens: Tokens, style: Style | None = None) -> Clip:
        """Tokens (length,) as a clip of chords, each as long as its token stays the same."""
        tokens = np.asarray(tokens, np.int64)
        edges = np.flatnonzero(np.diff(tokens, prepend=-1))
        ends = np.append(edges[1:], len(tokens))
        notes = [
            (start / self.steps_per_beat, end / self.steps_per_beat, pitch, self._velocity(style, start))
            for start, end in zip(edges.tolist(), ends.tolist(), strict=True)
            for pitch in chords.voicing(int(tokens[start]))
        ]
        track = Track(notes=clips.notes_array(notes), program=style.program if style else 0)
        return Clip(
            tracks=(track,),
            length_beats=self.window_beats,
            tempos=(TempoChange(0.0, style.tempo_qpm if style else clips.DEFAULT_TEMPO_QPM),),
            meters=(self.meter_change,),
        )

    def _velocity(self, style: Style | None, step: int) -> int:
        return int(np.clip(np.rint(style.velocities[step]), 1, 127)) if style else chords.CHORD_VELOCITY

    def canonical(self, tokens: Tokens) -> Tokens:
        """As they are."""
        return np.asarray(tokens, np.int64)

    def style(self, item: Clip) -> Style:
        """Tempo, program, and the track's mean velocity at all steps."""
        track = item.tracks[0]
        usual = float(track.notes["velocity"].mean()) if len(track.notes) else float(chords.CHORD_VELOCITY)
        velocities = np.full(self.length, usual, np.float32)
        return Style(tempo_qpm=item.tempo_at(0.0), program=track.program, velocities=velocities, name=track.name)
