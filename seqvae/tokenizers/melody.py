"""One voice on a grid. Tokens: 0 hold (nothing new), 1 note-off, 2… an onset of each pitch of the range.

The highest pitch wins a step, a new onset ends the sounding note, and a note that already sounds at a window's left
edge starts there. Roberts et al. 2018 (MusicVAE) use the same alphabet; unlike theirs, a window may begin in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqvae import clip as clips
from seqvae.clip import Clip, MeterChange, Style, TempoChange, Track
from seqvae.errors import ConfigError, DataError
from seqvae.score import SUFFIXES, read_clips
from seqvae.tokenizers.base import Alphabet, Part, Tokens, Windows

HOLD = 0
NOTE_OFF = 1
FIRST_ONSET = 2

# Meters whose bars serve as bars of another: how many of them make one.
EQUIVALENT_METERS: dict[str, dict[str, int]] = {
    "4/4": {"4/4": 1, "2/2": 1, "2/4": 2},
    "6/8": {"6/8": 1, "3/8": 2},
    "2/4": {"2/4": 1, "2/2": 1},
}

MELODY_NAMES = ("melody", "vocal", "voice", "lead", "sing", "solo", "soprano", "theme")
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True, kw_only=True)
class MelodyTokenizer:
    """A melody of `bars` bars.

    Attributes:
        bars: Bars in a window.
        meter: Meter of the window, such as "4/4", "3/4", "6/8".
        steps_per_beat: Grid steps in a quarter note: 4 for sixteenths, 6 or 12 for triplets.
        min_pitch, max_pitch: The pitch range; pitches outside are folded in by octaves.
        min_onsets: A training window needs as many.
        hop_bars: Training windows start every so many bars.
        max_transpose: Training transposes by -max … +max semitones.
        max_polyphony: A track is taken for a melody if at most this share of its onsets is covered by another note.
    """

    kind: Literal["melody"] = "melody"
    bars: int = 2
    meter: str = "4/4"
    steps_per_beat: int = 4
    min_pitch: int = 21
    max_pitch: int = 108
    min_onsets: int = 4
    hop_bars: int = 1
    max_transpose: int = 6
    max_polyphony: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.min_pitch <= self.max_pitch - 11 <= 116:
            found = f"tokenizer: the pitch range {self.min_pitch}-{self.max_pitch}"
            raise ConfigError(f"{found} is not within 0-127 and at least an octave; set min_pitch and max_pitch")
        if min(self.bars, self.steps_per_beat, self.hop_bars) < 1:
            raise ConfigError("tokenizer: bars, steps_per_beat and hop_bars must be 1 or more")
        if self.bar_beats * self.steps_per_beat % 1:
            found = f"tokenizer: a bar of {self.meter} is {self.bar_beats * self.steps_per_beat} steps long"
            raise ConfigError(f"{found}, not a whole number; choose another steps_per_beat")

    # -- shape ---------------------------------------------------------------------------------------------------------

    @cached_property
    def meter_change(self) -> MeterChange:
        """The meter as a change at beat 0."""
        numerator, slash, denominator = self.meter.partition("/")
        if not (slash and numerator.isdigit() and denominator.isdigit() and int(numerator) and int(denominator)):
            raise ConfigError(f"tokenizer: the meter {self.meter!r} is not of the form 4/4; set tokenizer.meter")
        return MeterChange(0.0, int(numerator), int(denominator))

    @property
    def bar_beats(self) -> float:
        """Length of one bar in quarter notes."""
        return self.meter_change.bar_beats

    @property
    def window_beats(self) -> float:
        """Length of a window in quarter notes."""
        return self.bars * self.bar_beats

    @property
    def length(self) -> int:
        """Steps in one window."""
        return round(self.window_beats * self.steps_per_beat)

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

    @property
    def fitted(self) -> bool:
        """Always: pitches are known beforehand."""
        return True

    def fit(self, items: Iterable[Clip]) -> MelodyTokenizer:
        """Itself."""
        return self

    @property
    def suffix(self) -> str:
        """Standard MIDI files."""
        return ".mid"

    def token_name(self, token: int, part: int = 0) -> str:
        """`hold`, `off` or a pitch such as `C4` (60)."""
        if token < FIRST_ONSET:
            return ("hold", "off")[token]
        pitch = token - FIRST_ONSET + self.min_pitch
        return f"{NOTE_NAMES[pitch % 12]}{pitch // 12 - 1}"

    def step_name(self, step: int) -> str:
        """Bar and beat, both from 1: `bar 2 beat 1.5` is an eighth after the second bar line."""
        bar, offset = divmod(step, round(self.bar_beats * self.steps_per_beat))
        return f"bar {bar + 1} beat {1 + offset / self.steps_per_beat:g}"

    # -- files ---------------------------------------------------------------------------------------------------------

    @property
    def suffixes(self) -> tuple[str, ...]:
        """All music files."""
        return SUFFIXES

    def read(self, path: Path) -> Clip:
        """Reads a music file. Raises `ReadError`."""
        return Clip.load(path)

    def read_all(self, path: Path) -> list[Clip]:
        """Reads every tune of a music file. Raises `ReadError`."""
        return read_clips(path)

    def parse(self, text: str) -> Clip:
        """Raises `DataError`: music is read from files."""
        raise DataError(f"{text}: no such file; give a music file ({' '.join(SUFFIXES)})")

    def show(self, item: Clip) -> str:
        """Nothing: a clip is heard."""
        return ""

    def write(self, item: Clip, path: Path, *, overwrite: bool) -> Path:
        """Writes a .mid file. Raises `WriteError`."""
        return item.save(path, overwrite=overwrite)

    # -- from a clip to windows ----------------------------------------------------------------------------------------

    def melody_tracks(self, clip: Clip, track: str | None = None) -> list[int]:
        """The tracks that can be read as a melody, the likeliest first; or the one named by number or name.

        Raises:
            DataError: No track qualifies, or none is called so.
        """
        if track is not None:
            return [find_track(clip, track)]
        found = [
            index
            for index, candidate in enumerate(clip.tracks)
            if not candidate.is_drum and len(candidate.notes) and polyphony(candidate.notes) <= self.max_polyphony
        ]
        if not found:
            raise DataError(f"{clip.name or 'clip'}: {no_melody_reason(clip, self.max_polyphony)}")

        def likelihood(index: int) -> tuple[bool, bool, float]:
            candidate = clip.tracks[index]
            named = any(word in candidate.name.lower() for word in MELODY_NAMES)
            is_bass = 32 <= candidate.program < 40
            return named, not is_bass, float(len(candidate.notes) * candidate.notes["pitch"].mean())

        return sorted(found, key=likelihood, reverse=True)

    def runs(self, clip: Clip) -> list[tuple[float, int]]:
        """Stretches of bars in this meter: (start in beats, number of whole bars of ours)."""
        accepted = EQUIVALENT_METERS.get(self.meter, {self.meter: 1})
        found: list[tuple[float, int]] = []
        start, halves, per_bar = 0.0, 0, 0
        for bar in clip.bars():
            parts = accepted.get(f"{bar.numerator}/{bar.denominator}", 0)
            whole = abs(bar.length_beats * bar.denominator - 4 * bar.numerator) < 1e-6
            if not (parts and whole):
                parts = 0
            if parts != per_bar or not parts:
                if halves:
                    found.append((start, -(-halves // per_bar)))
                start, halves = bar.start_beats, 0
            per_bar = parts
            halves += 1 if parts else 0
        if halves:
            found.append((start, -(-halves // per_bar)))
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
            tracks = sorted(self.melody_tracks(item, track))
        runs = self.runs(item)
        starts = np.array(
            [
                start + bar * self.bar_beats
                for start, bars in runs
                for bar in range(0, bars - self.bars + 1, self.hop_bars)
            ]
        )
        skipped: dict[str, int] = {}
        rows, row_starts, row_tracks = [], [], []
        for index in tracks if len(starts) else ():
            tokens = self._line_windows(item.tracks[index], starts)
            enough = self.onset_mask[tokens].sum(axis=1) >= self.min_onsets
            if not enough.all():
                reason = f"fewer than {self.min_onsets} onsets"
                skipped[reason] = skipped.get(reason, 0) + int((~enough).sum())
            rows.append(tokens[enough])
            row_starts.append(starts[enough])
            row_tracks.append(np.full(int(enough.sum()), index))
        if not runs and item.length_beats > 0:
            skipped[f"bars not in {self.meter}"] = len(item.bars())
        elif not len(starts):
            skipped[f"shorter than {self.bars} bars"] = 1
        return Windows(
            tokens=np.concatenate(rows) if rows else np.zeros((0, self.length), np.int64),
            starts=np.concatenate(row_starts) if rows else np.zeros(0),
            track=np.concatenate(row_tracks).astype(np.int64) if rows else np.zeros(0, np.int64),
            skipped=skipped,
        )

    def split(self, item: Clip, track: str | None = None) -> list[Clip]:
        """Consecutive windows of the likeliest melody track's top line; the last of a stretch is padded with silence.

        Raises:
            DataError: No track is a melody, or no bar is in this meter.
        """
        line = item.select(self.melody_tracks(item, track)[0])
        line = line.with_notes([voice(line.tracks[0].notes, self.steps_per_beat)])
        runs = self.runs(item)
        if not runs:
            meters = ", ".join(sorted({f"{meter.numerator}/{meter.denominator}" for meter in item.meters}))
            found = f"{item.name or 'clip'}: its meter is {meters} and the model's is {self.meter}"
            raise DataError(f"{found}; use --meter {self.meter} to count its beats so, or a model of that meter")
        found_windows = []
        for start, bars in runs:
            for bar in range(0, bars, self.bars):
                left = start + bar * self.bar_beats
                window = self._without_tails(line, left).cut(left, left + self.window_beats)
                found_windows.append(replace(window, meters=(self.meter_change,)))
        return found_windows

    def _without_tails(self, line: Clip, left_beats: float) -> Clip:
        """Leaves out notes that reach over a window's left edge by less than half a step: cut, they would be onsets."""
        starts, ends = clips.grid_steps(line.tracks[0].notes, self.steps_per_beat)
        left = round(left_beats * self.steps_per_beat)
        return line.with_notes([line.tracks[0].notes[(starts >= left) | (ends > left)]])

    def join(self, items: Sequence[Clip]) -> Clip:
        """Plays windows one after another."""
        return clips.join(items)

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
        left = np.floor(starts_beats * self.steps_per_beat + 0.5 + 1e-6).astype(np.int64)
        size = int(left.max()) + self.length
        onset_steps, end_steps, pitches = top_line(track.notes, self.steps_per_beat)
        line = np.zeros(size, np.int64)
        onsets = clips.fold_pitch(pitches, self.min_pitch, self.max_pitch) - self.min_pitch + FIRST_ONSET
        inside = (end_steps >= 0) & (end_steps < size)
        line[end_steps[inside]] = NOTE_OFF
        inside = (onset_steps >= 0) & (onset_steps < size)
        line[onset_steps[inside]] = onsets[inside]
        tokens: Tokens = line[left[:, None] + np.arange(self.length)]
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
    starts, _ = clips.grid_steps(notes, steps_per_beat)
    order = np.lexsort((-notes["pitch"].astype(np.int64), starts))
    distinct = np.append(True, np.diff(starts[order]) > 0) if len(notes) else np.zeros(0, bool)
    line: NDArray[np.void] = notes[order[distinct]]
    line["end_beats"][:-1] = np.minimum(line["end_beats"][:-1], line["start_beats"][1:])
    return line


def top_line(
    notes: NDArray[np.void], steps_per_beat: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Onset steps, end steps and pitches of the one voice that tokens can say."""
    line = voice(notes, steps_per_beat)
    starts, ends = clips.grid_steps(line, steps_per_beat)
    return starts, ends, line["pitch"].astype(np.int64)


def polyphony(notes: NDArray[np.void]) -> float:
    """The share of notes that start while another goes on for more than a 16th: chords, not legato."""
    starts = np.sort(notes["start_beats"])
    order = np.argsort(notes["start_beats"], kind="stable")
    reach = np.maximum.accumulate(notes["end_beats"][order])
    return float((starts[1:] < reach[:-1] - 0.25).mean()) if len(notes) > 1 else 0.0


def find_track(clip: Clip, track: str) -> int:
    """The index of the track with that number (from 0) or name (case and spaces aside).

    Raises:
        DataError: There is none with notes, or it is a drum track.
    """
    named = [i for i, t in enumerate(clip.tracks) if t.name.strip().lower() == track.strip().lower()]
    index = int(track) if track.isdigit() else (named[0] if named else -1)
    listing = ", ".join(f"{i} {t.name or 'unnamed'}" for i, t in enumerate(clip.tracks))
    if not 0 <= index < len(clip.tracks):
        raise DataError(f"{clip.name or 'clip'}: there is no track {track!r}; it has: {listing}")
    if clip.tracks[index].is_drum or not len(clip.tracks[index].notes):
        what = "is a drum track" if clip.tracks[index].is_drum else "has no notes"
        raise DataError(f"{clip.name or 'clip'}: track {track!r} {what} and a melody is asked for; it has: {listing}")
    return index


def no_melody_reason(clip: Clip, max_polyphony: float) -> str:
    """Why a clip has no melody, and what to do."""
    pitched = [(i, t) for i, t in enumerate(clip.tracks) if not t.is_drum and len(t.notes)]
    if not pitched:
        what = "only drums" if any(len(t.notes) for t in clip.tracks) else "no notes"
        return f"it has {what} and a melody is asked for; give a file with a pitched track"
    shares = ", ".join(f"{i} {t.name or 'unnamed'} {polyphony(t.notes):.0%}" for i, t in pitched)
    limit = f"{max_polyphony:.0%}"
    return f"no track is one voice (notes that overlap: {shares}; at most {limit}); choose one with --track"
