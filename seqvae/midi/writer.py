"""Writes a clip as a MIDI file: the same clip, the same bytes; what is on a grid is read back exactly.

The bytes are made here, in forty lines, and not by pretty_midi's writer: that one goes through seconds, so a tick can
move where tempos change, and it has no text events to carry the signature.
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip, Track
from seqvae.errors import DataError, WriteError
from seqvae.files import write_atomic
from seqvae.midi.reader import clip_from_bytes
from seqvae.midi.salvage import MAX_BEATS
from seqvae.midi.signature import sign

if TYPE_CHECKING:
    import pretty_midi

# Ticks per beat to choose from, the first that holds all times exactly. 480 holds grids of 4, 5, 6, 12 and 16 steps a
# beat; the others the files that came in on 384 and 1024.
RESOLUTIONS = (480, 1920, 15360)
MAX_TICKS = 2**28 - 1
MAX_MICROSECONDS = 2**24 - 1
DENOMINATORS = tuple(2**power for power in range(7))
TEXT, NAME, TEMPO, METER, END_OF_TRACK = 0x01, 0x03, 0x51, 0x58, 0x2F
DRUM_CHANNEL = 9
PITCHED_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)

Event = tuple[int, int, bytes]
"""Tick, rank within the tick, message."""


def write_midi(clip: Clip, path: Path, *, overwrite: bool = True) -> Path:
    """Writes a clip and returns the path. Folders that are missing are made.

    Raises:
        WriteError: The place cannot be written, or stands already and `overwrite` is False.

    Example:
        >>> write_midi(Clip.from_notes([(0, 1, 60, 80)]), Path("c.mid"))  # doctest: +SKIP
    """
    try:
        data = midi_bytes(clip)
    except DataError as error:
        raise WriteError(f"{path}: {error}") from None
    return write_atomic(path, data, overwrite=overwrite)


def to_pretty_midi(clip: Clip) -> pretty_midi.PrettyMIDI:
    """The clip as a `pretty_midi.PrettyMIDI`, times in seconds."""
    import pretty_midi

    return pretty_midi.PrettyMIDI(io.BytesIO(midi_bytes(clip)))


def from_pretty_midi(performance: pretty_midi.PrettyMIDI, name: str = "") -> Clip:
    """A clip from a `pretty_midi.PrettyMIDI`; its tick grid gives the beats."""
    file = io.BytesIO()
    performance.write(file)
    return clip_from_bytes(file.getvalue(), name)


# -- bytes -------------------------------------------------------------------------------------------------------------


def midi_bytes(clip: Clip) -> bytes:
    """The clip as a type 1 MIDI file: tempos, meters and the signature in the first track, then its tracks.

    Raises:
        DataError: The clip holds something that MIDI has no numbers for.
    """
    check(clip)
    resolution = choose_resolution(clip)
    pitched = itertools.cycle(PITCHED_CHANNELS)
    chunks = [chunk(conductor_events(clip, resolution))]
    for track in clip.tracks:
        channel = DRUM_CHANNEL if track.is_drum else next(pitched)
        chunks.append(chunk(track_events(track, channel, resolution)))
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(chunks), resolution)
    return header + b"".join(chunks)


def check(clip: Clip) -> None:
    """Raises DataError where a number does not fit into a MIDI file."""
    beats = all_beats(clip)
    wrong = beats[~((beats >= 0) & (beats <= MAX_BEATS))]
    if len(wrong):
        raise DataError(f"a time is beat {wrong[0]:g} and 0 to {MAX_BEATS} is expected; cut the clip")
    for meter in clip.meters:
        if not 0 < meter.numerator < 256 or meter.denominator not in DENOMINATORS:
            found = f"a meter is {meter.numerator}/{meter.denominator}"
            raise DataError(f"{found} and MIDI has 1-255 over a power of two; use another meter")
    for tempo in clip.tempos:
        if not 60e6 / MAX_MICROSECONDS <= tempo.tempo_qpm <= 60e6:
            raise DataError(f"a tempo is {tempo.tempo_qpm:g} and 3.6 to 60 million is expected; use another tempo")
    for index, track in enumerate(clip.tracks):
        for what, values, low in (("pitch", track.notes["pitch"], 0), ("velocity", track.notes["velocity"], 1)):
            if len(values) and not low <= values.min() <= values.max() <= 127:
                found = f"track {index} has a {what} of {values.min() if values.min() < low else values.max()}"
                raise DataError(f"{found} and {low} to 127 is expected; change the notes")
        if not 0 <= track.program <= 127:
            raise DataError(f"track {index} has program {track.program} and 0 to 127 is expected; change it")


def all_beats(clip: Clip) -> NDArray[np.float64]:
    """Every time in the clip."""
    notes = [track.notes[key] for track in clip.tracks for key in ("start_beats", "end_beats")]
    changes = [tempo.beat for tempo in clip.tempos] + [meter.beat for meter in clip.meters]
    return np.concatenate([*notes, np.array(changes, dtype=np.float64)])


def choose_resolution(clip: Clip) -> int:
    """The coarsest of `RESOLUTIONS` on which every time is a whole number of ticks; the first if none is."""
    beats = all_beats(clip)
    for resolution in RESOLUTIONS:
        ticks = beats * resolution
        if ticks.max(initial=0) <= MAX_TICKS and np.allclose(ticks, np.rint(ticks), rtol=0, atol=1e-6):
            return resolution
    return RESOLUTIONS[0]


def conductor_events(clip: Clip, resolution: int) -> list[Event]:
    """Signature, tempos and meters."""
    events = [(0, 0, meta(TEXT, sign(clip).encode("utf-8")))]
    for tempo in clip.tempos:
        microseconds = round(60e6 / tempo.tempo_qpm).to_bytes(3)
        events.append((round(tempo.beat * resolution), 1, meta(TEMPO, microseconds)))
    for meter in clip.meters:
        payload = bytes([meter.numerator, meter.denominator.bit_length() - 1, 24, 8])
        events.append((round(meter.beat * resolution), 2, meta(METER, payload)))
    return events


def track_events(track: Track, channel: int, resolution: int) -> list[Event]:
    """Name, program and notes. At one tick notes end before others begin."""
    events = [(0, 0, meta(NAME, track.name.encode("utf-8")))] if track.name else []
    events.append((0, 1, bytes([0xC0 | channel, track.program])))
    starts = np.rint(track.notes["start_beats"] * resolution).astype(np.int64)
    ends = np.maximum(np.rint(track.notes["end_beats"] * resolution).astype(np.int64), starts + 1)
    columns = (starts, ends, track.notes["pitch"], track.notes["velocity"])
    for start, end, pitch, velocity in zip(*(column.tolist() for column in columns), strict=True):
        events.append((start, 3, bytes([0x90 | channel, pitch, velocity])))
        events.append((end, 2, bytes([0x80 | channel, pitch, 0])))
    return events


def meta(kind: int, payload: bytes) -> bytes:
    """A meta event."""
    return bytes([0xFF, kind]) + vlq(len(payload)) + payload


def chunk(events: Iterable[Event]) -> bytes:
    """A track chunk from events in any order; those of one tick and rank stay in the order given."""
    body, now = [], 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        body.append(vlq(tick - now) + message)
        now = tick
    data = b"".join(body) + b"\0" + meta(END_OF_TRACK, b"")
    return b"MTrk" + struct.pack(">I", len(data)) + data


def vlq(value: int) -> bytes:
    """A variable-length quantity."""
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))
