"""A clip: what music is here. Notes in quarter-note beats, tempo, meter and program, and pure functions on them.

Times are beats (quarter notes) from the first bar line; files, ticks and seconds stay in the readers and writers.
Every function returns a new clip; nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError

if TYPE_CHECKING:
    import music21
    import pretty_midi

NOTE_DTYPE = np.dtype([("start_beats", "f8"), ("end_beats", "f8"), ("pitch", "i2"), ("velocity", "i2")])
"""One note: start and end in beats, MIDI pitch 0-127, velocity 1-127."""

DEFAULT_TEMPO_QPM = 120.0
DEFAULT_VELOCITY = 80


class TempoChange(NamedTuple):
    """From `beat` on, `tempo_qpm` quarter notes a minute."""

    beat: float
    tempo_qpm: float


class MeterChange(NamedTuple):
    """From `beat` on, bars of `numerator`/`denominator`."""

    beat: float
    numerator: int
    denominator: int

    @property
    def bar_beats(self) -> float:
        """Length of one bar in quarter notes: 4/4 and 2/2 are 4, 6/8 is 3."""
        return 4.0 * self.numerator / self.denominator

    def has_bar_line(self, beat: float) -> bool:
        """Whether a bar of this meter begins at `beat`, counted from the change."""
        bars = (beat - self.beat) / self.bar_beats
        return abs(bars - round(bars)) * self.bar_beats < 1e-6


class Bar(NamedTuple):
    """One bar: where it starts and how long it is, in beats, and its meter."""

    start_beats: float
    length_beats: float
    numerator: int
    denominator: int


def notes_array(notes: Iterable[tuple[float, float, int, int]] = ()) -> NDArray[np.void]:
    """Makes a note array from (start_beats, end_beats, pitch, velocity), sorted by start, then pitch.

    >>> notes_array([(1, 2, 60, 80), (0, 1, 64, 80)])["pitch"].tolist()
    [64, 60]
    """
    array = np.array([tuple(note) for note in notes], dtype=NOTE_DTYPE)
    return np.sort(array, order=("start_beats", "pitch", "end_beats"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """One instrument's notes.

    Attributes:
        notes: `NOTE_DTYPE` array (notes,), sorted by start.
        program: General MIDI program 0-127 (0 is the piano); meaningless for drums.
        is_drum: True for channel 10, where a pitch is an instrument.
        name: The track's name, or "".
    """

    notes: NDArray[np.void]
    program: int = 0
    is_drum: bool = False
    name: str = ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Track):
            return NotImplemented
        mine = (self.program, self.is_drum, self.name)
        return mine == (other.program, other.is_drum, other.name) and np.array_equal(self.notes, other.notes)

    @property
    def end_beats(self) -> float:
        """Where the last note ends; 0 for a track without notes."""
        return float(self.notes["end_beats"].max()) if len(self.notes) else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Provenance:
    """How seqvae made a clip: enough to make it again, and its exact latent vectors.

    Attributes:
        model: Name of the model. model_hash: first 16 hex digits of the SHA-256 of its weights.
        verb: The command (`sample`, `interpolate`, ...).
        seed, temperature: As used. A temperature of 0 is argmax.
        z: float32 (windows, z_size); the latent vector of each window of the clip.
        length_beats: The clip's length, which a MIDI file cannot say when it ends in silence.
        content: First 16 hex digits of the SHA-256 of the clip's tokens. A file whose notes were edited since gives
            others, and z no longer describes it.
    """

    model: str
    model_hash: str
    verb: str
    seed: int
    temperature: float
    z: NDArray[np.float32]
    length_beats: float
    content: str = ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Provenance):
            return NotImplemented
        mine, its = ({**vars(provenance), "z": None} for provenance in (self, other))
        return mine == its and np.array_equal(self.z, other.z)


@dataclass(frozen=True, kw_only=True, eq=False)
class Style:
    """What tokens do not say: tempo, instrument and dynamics. Taken from an input, given to an output.

    Attributes:
        tempo_qpm: Quarter notes a minute.
        program: General MIDI program.
        velocities: float32 (steps,), or (steps, class) for drums; the velocity an onset at that step would have.
        name: Track name.
    """

    tempo_qpm: float
    program: int
    velocities: NDArray[np.float32]
    name: str = ""

    def blend(self, other: Style, amount: float) -> Style:
        """Moves from this style (amount 0) to `other` (1): tempo on a log scale, velocity linearly, program at 1/2."""
        tempo = float(np.exp((1 - amount) * np.log(self.tempo_qpm) + amount * np.log(other.tempo_qpm)))
        near = self if amount < 0.5 else other
        velocities = ((1 - amount) * self.velocities + amount * other.velocities).astype(np.float32)
        return Style(tempo_qpm=tempo, program=near.program, velocities=velocities, name=near.name)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A piece of music, or a window of one.

    Attributes:
        tracks: The tracks, in file order.
        length_beats: Where the clip ends (a window of two silent bars is still 8 beats long).
        tempos: Tempo changes by beat; the first is at 0.
        meters: Meter changes by beat; the first is at 0.
        name: Where it came from, for messages.
        provenance: Set if seqvae made it.

    Example:
        >>> tune = Clip.from_notes([(0, 1, 60, 80), (1, 3, 64, 80)])
        >>> tune.transpose(12).tracks[0].notes["pitch"].tolist()
        [72, 76]
    """

    tracks: tuple[Track, ...] = ()
    length_beats: float = 0.0
    tempos: tuple[TempoChange, ...] = (TempoChange(0.0, DEFAULT_TEMPO_QPM),)
    meters: tuple[MeterChange, ...] = (MeterChange(0.0, 4, 4),)
    name: str = ""
    provenance: Provenance | None = None

    # -- making ----------------------------------------------------------------------------------------------------

    @staticmethod
    def from_notes(
        notes: Iterable[tuple[float, float, int, int]],
        *,
        program: int = 0,
        tempo_qpm: float = DEFAULT_TEMPO_QPM,
        meter: tuple[int, int] = (4, 4),
        length_beats: float | None = None,
        name: str = "",
    ) -> Clip:
        """A one-track clip from (start_beats, end_beats, pitch, velocity) tuples; full bars long unless told."""
        track = Track(notes=notes_array(notes), program=program)
        change = MeterChange(0.0, *meter)
        bars = np.ceil(track.end_beats / change.bar_beats - 1e-9)
        length = float(bars * change.bar_beats) if length_beats is None else length_beats
        return Clip(
            tracks=(track,),
            length_beats=length,
            tempos=(TempoChange(0.0, tempo_qpm),),
            meters=(change,),
            name=name,
        )

    # -- doors: the only places where a clip knows of files or other libraries ---------------------------------------

    @staticmethod
    def load(path: str | Path) -> Clip:
        """Reads .mid, .midi, .kar, .rmi, .musicxml, .xml, .mxl, .abc or .krn.

        Raises:
            ReadError: The file is missing, unreadable, of another kind or damaged beyond salvage.
        """
        from seqvae import score

        return score.read_clip(Path(path))

    def save(self, path: str | Path, *, overwrite: bool = True) -> Path:
        """Writes a .mid file (written aside, then renamed).

        Raises:
            WriteError: The place cannot be written, or stands already and `overwrite` is False.
        """
        from seqvae import midi

        return midi.write_midi(self, Path(path), overwrite=overwrite)

    def to_pretty_midi(self) -> pretty_midi.PrettyMIDI:
        """The clip as a `pretty_midi.PrettyMIDI`, times in seconds."""
        from seqvae import midi

        return midi.to_pretty_midi(self)

    @staticmethod
    def from_pretty_midi(performance: pretty_midi.PrettyMIDI, name: str = "") -> Clip:
        """A clip from a `pretty_midi.PrettyMIDI`; its tick grid gives the beats."""
        from seqvae import midi

        return midi.from_pretty_midi(performance, name=name)

    def to_music21(self) -> music21.stream.Score:
        """The clip as a `music21.stream.Score`, one part a track."""
        from seqvae import score

        return score.to_music21(self)

    @staticmethod
    def from_music21(stream: Any, name: str = "") -> Clip:
        """A clip from any `music21` stream, one track a part; ties merged, grace notes left out."""
        from seqvae import score

        return score.from_music21(stream, name=name)

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def note_count(self) -> int:
        """Notes in all tracks."""
        return sum(len(track.notes) for track in self.tracks)

    def tempo_at(self, beat: float) -> float:
        """The tempo in force at `beat`, in quarter notes a minute."""
        return next(change.tempo_qpm for change in reversed(self.tempos) if change.beat <= beat or change.beat == 0)

    def meter_at(self, beat: float) -> MeterChange:
        """The meter in force at `beat`."""
        return next(change for change in reversed(self.meters) if change.beat <= beat + 1e-9 or change.beat == 0)

    def bars(self) -> list[Bar]:
        """The bars from 0 to the clip's end. A meter change starts a new bar, so the bar before it may be short.

        >>> [bar.start_beats for bar in Clip.from_notes([(0, 7, 60, 80)], meter=(3, 4)).bars()]
        [0.0, 3.0, 6.0]
        """
        return [
            bar._replace(start_beats=bar.start_beats + index * bar.length_beats) if index else bar
            for bar, count in self.equal_bars()
            for index in range(count)
        ]

    def equal_bars(self) -> list[tuple[Bar, int]]:
        """The same bars, where several of one length follow each other the first of them and their number."""
        found = []
        ends = [change.beat for change in self.meters[1:]] + [self.length_beats]
        for meter, end in zip(self.meters, ends, strict=True):
            end, beats = min(end, self.length_beats), meter.bar_beats
            count = int(np.ceil((end - meter.beat) / beats - 1e-6))
            last = meter.beat + (count - 1) * beats
            last_is_cut = count > 0 and end < self.length_beats and last + beats > end
            if count > last_is_cut:
                found.append((Bar(meter.beat, beats, *meter[1:]), count - last_is_cut))
            if last_is_cut:
                found.append((Bar(last, end - last, *meter[1:]), 1))
        return found

    # -- changing: each returns a new clip -----------------------------------------------------------------------------

    def with_notes(self, notes: Sequence[NDArray[np.void]]) -> Clip:
        """The same clip with each track's notes replaced; provenance goes, since z no longer describes it."""
        tracks = tuple(replace(track, notes=array) for track, array in zip(self.tracks, notes, strict=True))
        return replace(self, tracks=tracks, provenance=None)

    def select(self, track: int) -> Clip:
        """Only the track of that index (from 0).

        Raises:
            DataError: There is no such track.
        """
        if not 0 <= track < len(self.tracks):
            raise DataError(f"{self.name or 'clip'}: there is no track {track}; it has {len(self.tracks)}, from 0")
        return replace(self, tracks=(self.tracks[track],))

    def cut(self, start_beats: float, end_beats: float) -> Clip:
        """The part from `start_beats` to `end_beats`, moved to 0. Notes that reach over an edge are cut there."""
        arrays = []
        for track in self.tracks:
            inside = (track.notes["start_beats"] < end_beats) & (track.notes["end_beats"] > start_beats)
            kept = track.notes[inside].copy()
            kept["start_beats"] = np.maximum(kept["start_beats"], start_beats) - start_beats
            kept["end_beats"] = np.minimum(kept["end_beats"], end_beats) - start_beats
            arrays.append(kept)
        moved = self.with_notes(arrays)

        def inside_the_cut(beat: float) -> bool:
            return start_beats + 1e-9 < beat < end_beats

        tempos = [TempoChange(0.0, self.tempo_at(start_beats))]
        tempos += [TempoChange(c.beat - start_beats, c.tempo_qpm) for c in self.tempos if inside_the_cut(c.beat)]
        meters = [MeterChange(0.0, *self.meter_at(start_beats)[1:])]
        meters += [MeterChange(c.beat - start_beats, *c[1:]) for c in self.meters if inside_the_cut(c.beat)]
        return replace(moved, length_beats=end_beats - start_beats, tempos=tuple(tempos), meters=tuple(meters))

    def transpose(self, semitones: int) -> Clip:
        """Moves every note of every pitched track; a note that would leave 0-127 is moved back by octaves."""
        arrays = []
        for track in self.tracks:
            notes = track.notes.copy()
            if not track.is_drum:
                notes["pitch"] = fold_pitch(notes["pitch"] + semitones, 0, 127)
            arrays.append(notes)
        return self.with_notes(arrays)

    def quantise(self, steps_per_beat: int) -> Clip:
        """Rounds starts and ends to the grid, half up; a note shorter than a step gets one step. A projection."""
        arrays = []
        for track in self.tracks:
            starts, ends = grid_steps(track.notes, steps_per_beat)
            notes = track.notes.copy()
            notes["start_beats"] = starts / steps_per_beat
            notes["end_beats"] = ends / steps_per_beat
            arrays.append(np.sort(notes, order=("start_beats", "pitch", "end_beats")))
        return self.with_notes(arrays)


def grid_steps(notes: NDArray[np.void], steps_per_beat: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end of each note on the grid: int64 (notes,) steps, rounded half up, at least one step long."""
    # The small bias keeps a beat that a tick grid writes as 0.12499999 on the side where the score has it.
    starts = np.floor(notes["start_beats"] * steps_per_beat + 0.5 + 1e-6).astype(np.int64)
    ends = np.floor(notes["end_beats"] * steps_per_beat + 0.5 + 1e-6).astype(np.int64)
    return starts, np.maximum(ends, starts + 1)


def fold_pitch(pitch: NDArray[Any], low: int, high: int) -> NDArray[Any]:
    """Moves pitches outside [low, high] inside by whole octaves; the range must span an octave or more."""
    if low <= pitch.min(initial=low) and pitch.max(initial=high) <= high:
        return pitch
    above = np.maximum(0, -(-(pitch - high) // 12)) * 12
    below = np.maximum(0, -(-(low - pitch) // 12)) * 12
    folded: NDArray[Any] = pitch - above + below
    return folded


def join(clips: Sequence[Clip]) -> Clip:
    """Plays clips one after another. Track i of the result is track i of each; its program and name are the first's.

    A clip whose track i has another program than the first's gets a track of its own, so no sound is lost.

    >>> a = Clip.from_notes([(0, 1, 60, 80)])
    >>> join([a, a]).tracks[0].notes["start_beats"].tolist()
    [0.0, 4.0]
    """
    if not clips:
        raise DataError("there is no clip to join; give one or more")
    offset = 0.0
    voices: dict[tuple[int, int, bool], tuple[str, list[NDArray[np.void]]]] = {}
    tempos: list[TempoChange] = []
    meters: list[MeterChange] = []
    for clip in clips:
        for index, track in enumerate(clip.tracks):
            moved = track.notes.copy()
            moved["start_beats"] += offset
            moved["end_beats"] += offset
            key = (index, track.program, track.is_drum)
            voices.setdefault(key, (track.name, []))[1].append(moved)
        # A change at or after the clip's end would fall into the next one.
        for tempo in clip.tempos:
            inside = tempo.beat < clip.length_beats
            if inside and (not tempos or tempos[-1].tempo_qpm != tempo.tempo_qpm):
                tempos.append(TempoChange(tempo.beat + offset, tempo.tempo_qpm))
        for meter in clip.meters:
            moved_meter = MeterChange(meter.beat + offset, *meter[1:])
            goes_on = meters and meters[-1][1:] == meter[1:] and meters[-1].has_bar_line(moved_meter.beat)
            if meter.beat < clip.length_beats and not goes_on:
                meters.append(moved_meter)
        offset += clip.length_beats
    tracks = tuple(
        Track(notes=np.concatenate(arrays), program=program, is_drum=is_drum, name=name)
        for (_, program, is_drum), (name, arrays) in sorted(voices.items(), key=lambda voice: voice[0][0])
    )
    return Clip(
        tracks=tracks,
        length_beats=offset,
        tempos=tuple(tempos) or clips[0].tempos[:1],
        meters=tuple(meters) or clips[0].meters[:1],
        name=clips[0].name,
    )
