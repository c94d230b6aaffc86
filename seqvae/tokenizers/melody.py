"""One voice on a grid. Tokens: 0 hold (nothing new), 1 note-off, 2… an onset of each pitch of the range.

The highest pitch wins a step, a new onset ends the sounding note, and a note that already sounds at a window's left
edge starts there. Roberts et al. 2018 (MusicVAE) use the same alphabet; unlike theirs, a window may begin in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqvae import clip as clips
from seqvae.clip import Clip, Style, TempoChange, Track
from seqvae.errors import ConfigError, DataError
from seqvae.tokenizers.base import Alphabet, Part, Tokens, Windows
from seqvae.tokenizers.grid import Grid, find_track, polyphony

HOLD = 0
NOTE_OFF = 1
FIRST_ONSET = 2

MELODY_NAMES = ("melody", "vocal", "voice", "lead", "sing", "solo", "soprano", "theme")
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True, kw_only=True)
class MelodyTokenizer(Grid):
    """A melody of `bars` bars.

    Attributes:
        bars, meter, steps_per_beat, min_onsets, hop_bars: See `Grid`.
        min_pitch, max_pitch: The pitch range; pitches outside are folded in by octaves.
        max_transpose: Training transposes by -max … +max semitones.
        max_polyphony: A track is taken for a melody if at most this share of its onsets is covered by another note.
    """

    kind: Literal["melody"] = "melody"
    min_pitch: int = 21
    max_pitch: int = 108
    max_transpose: int = 6
    max_polyphony: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.min_pitch <= self.max_pitch - 11 <= 116:
            found = f"tokenizer: the pitch range {self.min_pitch}-{self.max_pitch}"
            raise ConfigError(f"{found} is not within 0-127 and at least an octave; set min_pitch and max_pitch")
        super().__post_init__()

    # -- shape ---------------------------------------------------------------------------------------------------------

    @cached_property
    def alphabet(self) -> Alphabet:
        """Hold, note-off and one onset for each pitch."""
        return Alphabet(parts=(Part("melody", FIRST_ONSET + self.max_pitch - self.min_pitch + 1),))

    @cached_property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (vocab,): True for onsets."""
        return np.arange(self.alphabet.largest) >= FIRST_ONSET

    @cached_property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (2·max_transpose + 1, vocab): the transpositions 0, +1, -1, +2, …; folded at the range's ends."""
        rows = []
        for shift in sorted(range(-self.max_transpose, self.max_transpose + 1), key=lambda s: (abs(s), -s)):
            pitches = np.arange(self.min_pitch, self.max_pitch + 1) + shift
            onsets = clips.fold_pitch(pitches, self.min_pitch, self.max_pitch) - self.min_pitch + FIRST_ONSET
            rows.append(np.concatenate([[HOLD, NOTE_OFF], onsets]))
        return np.stack(rows).astype(np.int64)

    def token_name(self, token: int, part: int = 0) -> str:
        """`hold`, `off` or a pitch such as `C4` (60)."""
        if token < FIRST_ONSET:
            return ("hold", "off")[token]
        pitch = token - FIRST_ONSET + self.min_pitch
        return f"{NOTE_NAMES[pitch % 12]}{pitch // 12 - 1}"

    # -- from a clip to windows ----------------------------------------------------------------------------------------

    def melody_tracks(self, clip: Clip, track: str | None = None) -> list[int]:
        """The tracks that can be read as a melody, the likeliest first; or the one named by number or name.

        Raises:
            DataError: No track qualifies, or none is called so.
        """
        if track is not None:
            return [find_track(clip, track)]

        def likelihood(index: int) -> tuple[bool, bool, float]:
            candidate = clip.tracks[index]
            named = any(word in candidate.name.lower() for word in MELODY_NAMES)
            is_bass = 32 <= candidate.program < 40
            return named, not is_bass, float(len(candidate.notes) * candidate.notes["pitch"].mean())

        return sorted(self._voices(clip), key=likelihood, reverse=True)

    def _voices(self, clip: Clip) -> list[int]:
        """The tracks that are one voice. Raises `DataError`: there is none."""
        found = [
            index
            for index, candidate in enumerate(clip.tracks)
            if not candidate.is_drum and len(candidate.notes) and polyphony(candidate.notes) <= self.max_polyphony
        ]
        if not found:
            raise DataError(f"{clip.name or 'clip'}: {no_melody_reason(clip, self.max_polyphony)}")
        return found

    def windows(self, item: Clip, track: str | None = None) -> Windows:
        """Every window of every melody track that has `min_onsets` onsets, one every `hop_bars` bars.

        `track` restricts to one, by number or name; "all" takes every pitched track, its top line.

        Raises:
            DataError: No track is a melody.
        """
        if track == "all":
            tracks = [i for i, t in enumerate(item.tracks) if not t.is_drum and len(t.notes)]
            if not tracks:
                raise DataError(f"{item.name or 'clip'}: {no_melody_reason(item, 1.0)}")
        else:
            tracks = self._voices(item) if track is None else [find_track(item, track)]
        starts = self.starts(item)
        lines = [(index, self._line_windows(item.tracks[index], starts)) for index in tracks if len(starts)]
        return self.gather(item, starts, lines, self.onset_mask)

    def split(self, item: Clip, track: str | None = None) -> list[Clip]:
        """Consecutive windows of the likeliest melody track's top line; the last of a stretch is padded with silence.

        Raises:
            DataError: No track is a melody, or no bar is in this meter.
        """
        line = item.select(self.melody_tracks(item, track)[0])
        line = line.with_notes([voice(line.tracks[0].notes, self.steps_per_beat)])
        return self.split_by(item, lambda left_beats: self.cut_window(line, left_beats))

    # -- tokens --------------------------------------------------------------------------------------------------------

    def encode(self, item: Clip) -> Tokens:
        """The clip's first `bars` bars as tokens: int64 (length,). Reads its likeliest melody track.

        A clip with no notes is silence. A clip that is too polyphonic is read by its top line.

        >>> tokenizer = MelodyTokenizer(bars=1)
        >>> tokenizer.encode(Clip.from_notes([(0, 1, 60, 80), (1.5, 4, 64, 80)])).tolist()
        [41, 0, 0, 0, 1, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        """
        pitched = [track for track in item.tracks if not track.is_drum and len(track.notes)]
        if not pitched:
            return np.zeros(self.length, np.int64)
        track = pitched[0] if len(pitched) == 1 else item.tracks[self.melody_tracks(item)[0]]
        window: Tokens = self._line_windows(track, np.zeros(1))[0]
        return window

    def _line_windows(self, track: Track, starts_beats: NDArray[np.float64]) -> NDArray[np.int64]:
        """The track's top line, cut at each start: int64 (windows, length)."""
        left = self.left_steps(starts_beats)
        size = int(left.max()) + self.length
        onset_steps, end_steps, pitches = top_line(track.notes, self.steps_per_beat)
        line = np.zeros(size, np.int64)
        onsets = clips.fold_pitch(pitches, self.min_pitch, self.max_pitch) - self.min_pitch + FIRST_ONSET
        inside = (end_steps >= 0) & (end_steps < size)
        line[end_steps[inside]] = NOTE_OFF
        inside = (onset_steps >= 0) & (onset_steps < size)
        line[onset_steps[inside]] = onsets[inside]
        tokens: Tokens = line.take(left[:, None] + np.arange(self.length))
        if len(onsets):
            before = np.searchsorted(onset_steps, left, side="right") - 1  # the last to begin at or before the edge
            sounds = (before >= 0) & (end_steps[before] > left)
            tokens[:, 0] = np.where(sounds, onsets[before], HOLD)
        return tokens

    def decode(self, tokens: Tokens, style: Style | None = None) -> Clip:
        """Tokens (length,) as a one-track clip of `bars` bars in the style given (120 qpm, piano, velocity 80)."""
        tokens = self.canonical(np.asarray(tokens, np.int64))
        events = np.flatnonzero(tokens)
        ends = np.append(events[1:], len(tokens))
        onsets = tokens[events] >= FIRST_ONSET
        notes = np.zeros(int(onsets.sum()), clips.NOTE_DTYPE)
        notes["start_beats"] = events[onsets] / self.steps_per_beat
        notes["end_beats"] = ends[onsets] / self.steps_per_beat
        notes["pitch"] = tokens[events[onsets]] - FIRST_ONSET + self.min_pitch
        notes["velocity"] = clips.DEFAULT_VELOCITY
        if style is not None:
            notes["velocity"] = np.clip(np.rint(style.velocities[events[onsets]]), 1, 127)
        track = Track(notes=notes, program=style.program if style else 0, name=style.name if style else "")
        return Clip(
            tracks=(track,),
            length_beats=self.window_beats,
            tempos=(TempoChange(0.0, style.tempo_qpm if style else clips.DEFAULT_TEMPO_QPM),),
            meters=(self.meter_change,),
        )

    def canonical(self, tokens: Tokens) -> Tokens:
        """Turns a note-off into a hold where nothing sounds: (…, length) → (…, length)."""
        tokens = np.asarray(tokens, np.int64)
        step = np.arange(tokens.shape[-1])
        last_event = np.maximum.accumulate(np.where(tokens != HOLD, step, -1), axis=-1)
        before = np.concatenate([np.full((*tokens.shape[:-1], 1), -1), last_event[..., :-1]], axis=-1)
        sounds = (before >= 0) & (np.take_along_axis(tokens, np.maximum(before, 0), axis=-1) >= FIRST_ONSET)
        canonical: Tokens = np.where((tokens == NOTE_OFF) & ~sounds, HOLD, tokens)
        return canonical

    def style(self, item: Clip) -> Style:
        """Tempo, program, name and the velocity at each step of the clip's first window."""
        pitched = [track for track in item.tracks if not track.is_drum and len(track.notes)]
        tempo = item.tempo_at(0.0)
        if not pitched:
            flat = np.full(self.length, clips.DEFAULT_VELOCITY, np.float32)
            track = item.tracks[0] if item.tracks else Track(notes=clips.notes_array())
            return Style(tempo_qpm=tempo, program=track.program, velocities=flat, name=track.name)
        track = pitched[0] if len(pitched) == 1 else item.tracks[self.melody_tracks(item)[0]]
        order = np.argsort(track.notes["pitch"], kind="stable")  # the highest of a step is written last
        steps = np.clip(clips.grid_steps(track.notes, self.steps_per_beat)[0][order], 0, self.length - 1)
        struck = np.zeros(self.length, np.float32)
        struck[steps] = track.notes["velocity"][order]
        latest = np.maximum.accumulate(np.where(struck > 0, np.arange(self.length), -1))
        latest = np.where(latest < 0, int(np.flatnonzero(struck)[0]), latest)
        return Style(tempo_qpm=tempo, program=track.program, velocities=struck[latest], name=track.name)


def voice(notes: NDArray[np.void], steps_per_beat: int) -> NDArray[np.void]:
    """One voice from many notes: of each grid step the highest onset (the first of equals), cut at the next."""
    line: NDArray[np.void] = notes[highest(clips.grid_steps(notes, steps_per_beat)[0], notes["pitch"])]
    line["end_beats"][:-1] = np.minimum(line["end_beats"][:-1], line["start_beats"][1:])
    return line


def top_line(
    notes: NDArray[np.void], steps_per_beat: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Onset steps, end steps and pitches of the one voice that tokens can say: `voice` on the grid."""
    starts, ends = clips.grid_steps(notes, steps_per_beat)
    line = highest(starts, notes["pitch"])
    starts, ends = starts[line], ends[line]
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
    return starts, ends, notes["pitch"][line].astype(np.int64)


def highest(steps: NDArray[np.int64], pitches: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Of each step the note with the highest pitch, the first of equals: their indices, in the order of the steps."""
    count = len(steps)
    if not count:
        return np.zeros(0, np.int64)
    order = None if (steps[1:] >= steps[:-1]).all() else np.argsort(steps, kind="stable")
    if order is not None:
        steps, pitches = steps[order], pitches[order]
    firsts = np.flatnonzero(np.append(True, steps[1:] > steps[:-1]))
    back = np.arange(count - 1, -1, -1)  # largest for the first
    found = count - 1 - np.maximum.reduceat(pitches * np.int64(count) + back, firsts) % count
    return found if order is None else order[found]


def no_melody_reason(clip: Clip, max_polyphony: float) -> str:
    """Why a clip has no melody, and what to do."""
    pitched = [(i, t) for i, t in enumerate(clip.tracks) if not t.is_drum and len(t.notes)]
    if not pitched:
        what = "only drums" if any(len(t.notes) for t in clip.tracks) else "no notes"
        return f"it has {what} and a melody is asked for; give a file with a pitched track"
    shares = ", ".join(f"{i} {t.name or 'unnamed'} {polyphony(t.notes):.0%}" for i, t in pitched)
    limit = f"{max_polyphony:.0%}"
    return f"no track is one voice (notes that overlap: {shares}; at most {limit}); choose one with --track"
