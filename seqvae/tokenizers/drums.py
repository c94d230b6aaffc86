"""Drum patterns on a grid: a token is the set of the classes struck at a step, one bit for each of the nine.

All drum tracks of a clip are one kit. Roberts et al. 2018 (MusicVAE) use the same 512 tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqvae import clip as clips
from seqvae.clip import Clip, Style, TempoChange, Track
from seqvae.tokenizers.base import Alphabet, Part, Tokens, Windows
from seqvae.tokenizers.grid import Grid
from seqvae.tokenizers.percussion import CLASSES, WRITTEN, DrumNotes, drum_notes, kit_track

TICKS_PER_BEAT = 480
"""The finest time that any MIDI file here keeps: shorter notes are not made, nor finer timing."""


@dataclass(frozen=True, kw_only=True)
class DrumGrid(Grid, ABC):
    """What drum patterns and grooves share: which notes a window has, and what of them tokens leave out."""

    def notes_on_grid(self, item: Clip, track: str | None = None) -> tuple[DrumNotes, NDArray[np.int64]]:
        """The clip's drum notes and the grid step of each. Raises `DataError`: there are no drums."""
        found = drum_notes(item, track)
        return found, clips.grid_steps(found.notes, self.steps_per_beat)[0]

    def split(self, item: Clip, track: str | None = None) -> list[Clip]:
        """Consecutive windows of the kit; the last of a stretch is padded with silence.

        Raises:
            DataError: There is no drum track, or no bar is in this meter.
        """
        found, steps = self.notes_on_grid(item, track)
        kit = replace(item, tracks=(kit_track(item, found),), provenance=None)

        def cut(left_beats: float) -> Clip:
            left = round(left_beats * self.steps_per_beat)
            inside = found.notes[(steps >= left) & (steps < left + self.length)].copy()
            # One that is played a little early belongs to the bar line that it is early for.
            inside["start_beats"] = np.maximum(inside["start_beats"], left_beats)
            inside["end_beats"] = np.maximum(inside["end_beats"], inside["start_beats"] + 1 / TICKS_PER_BEAT)
            return kit.with_notes([inside]).cut(left_beats, left_beats + self.window_beats)

        return self.split_by(item, cut)

    def left_out(self, found: DrumNotes) -> dict[str, int]:
        """Notes outside the map: a reason for each pitch, and how many."""
        return {f"notes of pitch {pitch}, which is no drum": count for pitch, count in sorted(found.outside.items())}

    @property
    @abstractmethod
    def onset_mask(self) -> NDArray[np.bool_]:
        """As `Tokenizer.onset_mask`."""

    @abstractmethod
    def cut_tokens(
        self, found: DrumNotes, steps: NDArray[np.int64], starts_beats: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """The kit, cut at each start: int64 (windows, length) or (windows, length, part)."""

    def windows(self, item: Clip, track: str | None = None) -> Windows:
        """Every window of the kit with `min_onsets` onsets, one every `hop_bars` bars.

        `track` reads one track alone, by number or name, as drums; a pitched one too.

        Raises:
            DataError: There is no drum track.
        """
        found, steps = self.notes_on_grid(item, track)
        starts = self.starts(item)
        lines = [(found.tracks[0], self.cut_tokens(found, steps, starts))] if found.tracks and len(starts) else []
        windows = self.gather(item, starts, lines, self.onset_mask)
        return replace(windows, skipped={**windows.skipped, **self.left_out(found)})

    def clip_of(self, notes: NDArray[np.void], style: Style | None) -> Clip:
        """A window with these drum notes."""
        order = np.argsort(notes["start_beats"], kind="stable")
        program, name = (style.program, style.name) if style else (0, "")
        return Clip(
            tracks=(Track(notes=notes[order], program=program, is_drum=True, name=name),),
            length_beats=self.window_beats,
            tempos=(TempoChange(0.0, style.tempo_qpm if style else clips.DEFAULT_TEMPO_QPM),),
            meters=(self.meter_change,),
        )

    def velocities(self, item: Clip) -> NDArray[np.float32]:
        """float32 (length, class): how loud a hit at each step would be, going by the last one of its class.

        Before a class's first hit it is as loud as that; a class that never sounds has the mean of all.
        """
        found, steps = self.notes_on_grid(item)
        inside = (steps >= 0) & (steps < self.length)
        steps, classes, loud = steps[inside], found.classes[inside], found.notes["velocity"][inside]
        struck = np.zeros((self.length, len(CLASSES)), np.float32)
        np.maximum.at(struck, (steps, classes), loud.astype(np.float32))
        latest = np.maximum.accumulate(np.where(struck > 0, np.arange(self.length)[:, None], -1), axis=0)
        latest = np.where(latest < 0, (struck > 0).argmax(axis=0), latest)
        filled = np.take_along_axis(struck, latest, axis=0)
        usual = float(loud.mean()) if len(loud) else float(clips.DEFAULT_VELOCITY)
        return np.where(filled > 0, filled, np.float32(usual))

    def style(self, item: Clip) -> Style:
        """Tempo, kit, name and how loud each class is at each step of the clip's first window."""
        drums = [track for track in item.tracks if track.is_drum]
        sounding = [track for track in drums if len(track.notes)]
        first = (sounding or drums or [Track(notes=clips.notes_array())])[0]
        return Style(
            tempo_qpm=item.tempo_at(0.0),
            program=first.program,
            velocities=self.velocities(replace(item, tracks=tuple(drums) or (replace(first, is_drum=True),))),
            name=first.name,
        )


@dataclass(frozen=True, kw_only=True)
class DrumTokenizer(DrumGrid):
    """A drum pattern of `bars` bars.

    Attributes:
        bars, meter, steps_per_beat, min_onsets, hop_bars: See `Grid`; an onset is a step at which something is struck.
    """

    kind: Literal["drums"] = "drums"

    @cached_property
    def alphabet(self) -> Alphabet:
        """One token for each set of classes."""
        return Alphabet(parts=(Part("drums", 1 << len(CLASSES)),))

    @cached_property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (512,): True for every set but the empty one."""
        return np.arange(self.alphabet.largest) > 0

    @cached_property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (1, 512): there is no transposing of drums."""
        return np.arange(self.alphabet.largest)[None]

    def token_name(self, token: int, part: int = 0) -> str:
        """`rest`, or what is struck: `kick+closed hat`."""
        return "+".join(name for bit, name in enumerate(CLASSES) if token >> bit & 1) or "rest"

    def encode(self, item: Clip) -> Tokens:
        """The clip's first `bars` bars as tokens: int64 (length,). A clip without notes is silence.

        Raises:
            DataError: It has notes, and none on a drum track.

        >>> from seqvae.clip import notes_array
        >>> beat = Track(notes=notes_array([(0, 1, 36, 90), (0, 1, 42, 60), (1, 2, 38, 90)]), is_drum=True)
        >>> DrumTokenizer(bars=1).encode(Clip(tracks=(beat,), length_beats=4.0)).tolist()
        [5, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        """
        if not item.note_count:
            return np.zeros(self.length, np.int64)
        window: Tokens = self.cut_tokens(*self.notes_on_grid(item), np.zeros(1))[0]
        return window

    def cut_tokens(
        self, found: DrumNotes, steps: NDArray[np.int64], starts_beats: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """The kit, cut at each start: int64 (windows, length)."""
        left = self.left_steps(starts_beats)
        line = np.zeros(int(left.max()) + self.length, np.int64)
        inside = (steps >= 0) & (steps < len(line))
        np.bitwise_or.at(line, steps[inside], 1 << found.classes[inside])
        windows: NDArray[np.int64] = line.take(left[:, None] + np.arange(self.length))
        return windows

    def decode(self, tokens: Tokens, style: Style | None = None) -> Clip:
        """Tokens (length,) as a drum clip of `bars` bars in the style given (120 qpm, velocity 80)."""
        steps, classes = np.nonzero(np.asarray(tokens, np.int64)[:, None] >> np.arange(len(CLASSES)) & 1)
        notes = np.zeros(len(steps), clips.NOTE_DTYPE)
        notes["start_beats"] = steps / self.steps_per_beat
        notes["end_beats"] = (steps + 1) / self.steps_per_beat
        notes["pitch"] = WRITTEN[classes]
        notes["velocity"] = clips.DEFAULT_VELOCITY
        if style is not None:
            notes["velocity"] = np.clip(np.rint(style.velocities[steps, classes]), 1, 127)
        return self.clip_of(notes, style)

    def canonical(self, tokens: Tokens) -> Tokens:
        """As they are: every set of drums is written in one way."""
        return np.asarray(tokens, np.int64)
