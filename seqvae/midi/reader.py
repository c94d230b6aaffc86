"""Reads a MIDI file as a clip: takes the container apart, lets symusic read the tracks, and salvages what it cannot."""

from __future__ import annotations

import itertools
import math
import re
import stat
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import DEFAULT_TEMPO_QPM, NOTE_DTYPE, Clip, MeterChange, TempoChange, Track
from seqvae.errors import ReadError
from seqvae.midi.salvage import MAX_BEATS, TickScore, TickTrack, salvage
from seqvae.midi.signature import find_signature

MAX_BYTES = 64 * 1024 * 1024
MAX_DENOMINATOR = 64
HEADER = b"MThd"
TRACK = b"MTrk"
END_OF_TRACK = b"\xff\x2f\x00"
HEADER_REACH = 4096  # RIFF and MacBinary put at most so much before the MIDI header

# A system-exclusive event and then no status byte: symusic loses what follows.
RUNNING_AFTER_SYSEX = re.compile(rb"\xf7[\x80-\xff]{0,3}[\x00-\x7f][\x00-\x7f]")
# Delta times of four bytes. symusic's ticks are 32-bit integers and go round; no fewer than seven can bring them there.
LONG_DELTA = 0x88
MAX_LONG_DELTAS = 6
# A tempo or meter event of another length than the standard's: symusic takes what follows for its value.
ODD_META = re.compile(rb"\xff(?:\x51[^\x03]|\x58[^\x04])", re.DOTALL)

# Put behind a track's end: a note that ends here was never ended.
LATE_TICKS = 2**28 - 1
ALL_PITCHES_OFF = b"\0".join(bytes([pitch, 0]) for pitch in range(128))
ALL_OFF = [(bytes([0x90 | channel]), bytes([0x80 | channel]) + ALL_PITCHES_OFF) for channel in range(16)]

LOOKS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive (compressed MusicXML ends in .mxl)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"RIFF", "a RIFF file without MIDI inside, such as WAV"),
    (b"ID3", "an MP3"),
    (b"\xff\xfb", "an MP3"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"<", "XML or HTML"),
    (b"X:", "ABC (its suffix is .abc)"),
    (b"**", "kern (its suffix is .krn)"),
)


def read_midi(path: Path) -> Clip:
    """Reads a MIDI file.

    Raises:
        ReadError: It is missing, unreadable, or not MIDI.

    Example:
        >>> clip = read_midi(Path("examples/a.mid"))  # doctest: +SKIP
    """
    return clip_from_bytes(read_bytes(path), path.name, where=str(path))


def read_bytes(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        ReadError: It is missing, empty, no ordinary file, not permitted or larger than any music.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ReadError(f"{path}: it is a folder and a file is expected; give one of the files in it")
        if not stat.S_ISREG(status.st_mode):
            raise ReadError(f"{path}: it is a device or a pipe and a file is expected; save it as a file first")
        if status.st_size > MAX_BYTES:
            found = f"{path}: it has {status.st_size / 1e6:.0f} MB"
            raise ReadError(f"{found} and no music file is over {MAX_BYTES / 1e6:.0f} MB; check what it is")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ReadError(f"{path}: there is no such file; check the path") from None
    except PermissionError:
        raise ReadError(f"{path}: it may not be read (permission denied); change its rights with chmod") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ReadError(f"{path}: it cannot be read ({error}); check the path") from None
    if not data:
        raise ReadError(f"{path}: it is empty (0 bytes) and a music file is expected; export or download it again")
    return data


def clip_from_bytes(data: bytes, name: str, *, where: str = "") -> Clip:
    """Reads the bytes of a MIDI file. `where` is what messages call the file, `name` what the clip is called.

    Raises:
        ReadError: They are not MIDI.
    """
    division, bodies = split_chunks(data, where or name)
    signature = find_signature(data)
    score = None
    if signature is None and 0 < division < 0x8000:
        score = read_with_symusic(bodies, division)
    if score is None:
        score = salvage(bodies, ticks_per_beat(division))
    if signature is None:  # a track without notes means something only in our own files: a silent part
        score.tracks = [track for track in score.tracks if len(track.notes)]
    clip = to_clip(score, name)
    if signature is None:
        return clip
    length, provenance = signature
    if max((track.end_beats for track in clip.tracks), default=0.0) > length:  # another program added music
        length = clip.length_beats
    return replace(clip, length_beats=length, provenance=provenance)


# -- the container -----------------------------------------------------------------------------------------------------


def split_chunks(data: bytes, where: str) -> tuple[int, list[bytes]]:
    """The division word of the header and the bodies of all track chunks, whatever their number is said to be.

    Raises:
        ReadError: There is no MIDI header or no track.
    """
    start = data.find(HEADER, 0, HEADER_REACH)
    if start < 0:
        raise ReadError(f"{where}: it is {looks_like(data)} and a MIDI file is expected; check what it is")
    if len(data) < start + 14:
        raise ReadError(f"{where}: it breaks off inside the MIDI header ({len(data)} bytes); download it again")
    division = int.from_bytes(data[start + 12 : start + 14])
    bodies = []
    position = start + 8 + int.from_bytes(data[start + 4 : start + 8])
    if not is_chunk(data, position):
        position = data.find(TRACK, start)
    while 0 <= position < len(data):
        end = position + 8 + int.from_bytes(data[position + 4 : position + 8])
        if end != len(data) and not is_chunk(data, end):  # a wrong length: up to the next track
            end = data.find(TRACK, position + 4)
            end = len(data) if end < 0 else end
        if data[position : position + 4] == TRACK:
            bodies.append(data[position + 8 : end])
        position = end
    return division, bodies


def is_chunk(data: bytes, position: int) -> bool:
    """Whether four letters stand there, as at the start of a chunk."""
    name = data[position : position + 4]
    return len(name) == 4 and name.isalnum() and len(data) >= position + 8


def ticks_per_beat(division: int) -> float:
    """Ticks in a quarter note. SMPTE time counts ticks in a second; it is read at 120 quarter notes a minute."""
    if division < 0x8000:
        return float(division or 480)
    frames, ticks = 256 - (division >> 8), division & 0xFF
    frames_per_second = 30 / 1.001 if frames == 29 else frames
    return frames_per_second * max(ticks, 1) * 60 / DEFAULT_TEMPO_QPM


def looks_like(data: bytes) -> str:
    """What a file without a MIDI header seems to be, for messages."""
    for magic, kind in LOOKS:
        if data.lstrip()[: len(magic)] == magic:
            return kind
    if not data.strip(b"\0"):
        return "nothing but zero bytes"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:512]):
        return "text"
    return f"of an unknown kind (first bytes {data[:4].hex(' ')})"


# -- symusic -----------------------------------------------------------------------------------------------------------


def read_with_symusic(bodies: list[bytes], division: int) -> TickScore | None:
    """Reads well-formed tracks fast, or gives None where symusic refuses or would lose something."""
    import symusic

    if any(is_suspect(body) for body in bodies) or may_go_round(bodies):
        return None
    chunks = [end_open_notes(body) for body in bodies]
    header = HEADER + struct.pack(">IHHH", 6, 1, len(chunks), division)
    try:
        score: Any = symusic.Score.from_midi(  # Any: its stubs do not know its own attributes
            header + b"".join(TRACK + struct.pack(">I", len(c)) + c for c in chunks)
        )
    except (RuntimeError, ValueError, IndexError, OverflowError):
        return None
    tracks = list(score.tracks)
    notes, ends = notes_of(tracks)
    never_ended = notes[:, 1].max(initial=0) >= LATE_TICKS
    notes[:, 1] += notes[:, 0]
    beyond = notes.min(initial=0) < 0 or notes[:, 1].max(initial=0) > MAX_BEATS * division
    if never_ended or beyond:
        return None
    found = TickScore(ticks_per_beat=float(division))
    for track, (first, last) in zip(tracks, itertools.pairwise([0, *ends]), strict=True):
        name = track.name
        if "\ufffd" in name:
            return None
        found.tracks.append(
            TickTrack(notes=notes[first:last], program=track.program, is_drum=track.is_drum, name=name.rstrip("\0"))
        )
    tempos, meters = score.tempos.numpy(), score.time_signatures.numpy()
    found.tempos = list(zip(tempos["time"].tolist(), tempos["mspq"].tolist(), strict=True))
    found.meters = list(zip(*(meters[key].tolist() for key in ("time", "numerator", "denominator")), strict=True))
    return found


def notes_of(tracks: list[Any]) -> tuple[NDArray[np.int64], list[int]]:
    """All notes of symusic's tracks: int64 (notes, 4) of start, duration, pitch, velocity; where each track ends."""
    columns = [track.notes.numpy() for track in tracks]
    ends = list(itertools.accumulate(len(column["time"]) for column in columns))
    by_column = np.empty((4, ends[-1] if ends else 0), np.int64)
    if columns:
        for place, key in enumerate(("time", "duration", "pitch", "velocity")):
            by_column[place] = np.concatenate([column[key] for column in columns])
    return by_column.T, ends


def is_suspect(body: bytes) -> bool:
    """Whether symusic might lose something of this track without a word."""
    return bool(not body.endswith(END_OF_TRACK) or RUNNING_AFTER_SYSEX.search(body) or ODD_META.search(body))


def may_go_round(bodies: list[bytes]) -> bool:
    """Whether a track has so many long delta times that symusic's ticks might go round."""
    few = long_deltas(b"".join(bodies)) <= MAX_LONG_DELTAS  # all at once, which is faster and finds no fewer
    return not few and any(long_deltas(body) > MAX_LONG_DELTAS for body in bodies)


def long_deltas(data: bytes) -> int:
    """How many delta times of four bytes there may be: a byte from `LONG_DELTA` on, two that go on, and a last one."""
    numbers = np.frombuffer(data, np.uint8)
    goes_on = numbers >= 0x80
    long = (numbers[:-3] >= LONG_DELTA) & goes_on[1:-2] & goes_on[2:-1] & ~goes_on[3:]
    return int(np.count_nonzero(long))


def end_open_notes(body: bytes) -> bytes:
    """Adds, long after the track's end, a note-off for every pitch: symusic drops a note that is never ended."""
    offs = b"\0".join([off for note_on, off in ALL_OFF if note_on in body])
    if not offs:
        return body
    late = bytes([0xB0, 0, 0]) + b"\xff\xff\xff\x7f"  # what the delta time before the track's end belongs to
    return body.removesuffix(END_OF_TRACK) + late + offs + b"\0" + END_OF_TRACK


# -- from ticks to beats -----------------------------------------------------------------------------------------------


def to_clip(score: TickScore, name: str) -> Clip:
    """Ticks to beats; a note without length gets one tick; the clip ends with the bar of its last note."""
    per_beat = score.ticks_per_beat
    tempos = {0: DEFAULT_TEMPO_QPM}
    tempos |= {tick: 60e6 / microseconds for tick, microseconds in score.tempos if microseconds > 0}
    meters = {0: (4, 4)}
    meters |= {
        tick: (numerator, denominator)
        for tick, numerator, denominator in score.meters
        if numerator > 0 and 0 < denominator <= MAX_DENOMINATOR
    }
    clip = Clip(
        tracks=tuple(
            Track(notes=notes, program=track.program, is_drum=track.is_drum, name=track.name)
            for track, notes in zip(
                score.tracks, to_beats([track.notes for track in score.tracks], per_beat), strict=True
            )
        ),
        tempos=tuple(TempoChange(tick / per_beat, qpm) for tick, qpm in sorted(tempos.items())),
        meters=tuple(MeterChange(tick / per_beat, *meter) for tick, meter in sorted(meters.items())),
        name=name,
    )
    return replace(clip, length_beats=end_of_bar(clip.meters, max((t.end_beats for t in clip.tracks), default=0.0)))


def to_beats(tracks: Sequence[NDArray[np.int64]], ticks_per_beat: float) -> list[NDArray[np.void]]:
    """Notes of each track, (notes, 4) ticks, as sorted `NOTE_DTYPE` arrays: all at once, as most tracks are short."""
    if not tracks:
        return []
    lengths = [len(notes) for notes in tracks]
    start, end, pitch, velocity = (np.concatenate([notes[:, place] for notes in tracks]) for place in range(4))
    order = sorting(np.repeat(np.arange(len(tracks)), lengths), start, pitch, end)
    start, end, pitch, velocity = start[order], end[order], pitch[order], velocity[order]
    found = np.empty(len(start), NOTE_DTYPE)
    found["start_beats"] = start / ticks_per_beat
    found["end_beats"] = np.maximum(end, start + 1) / ticks_per_beat
    found["pitch"] = pitch
    found["velocity"] = velocity
    ends = list(itertools.accumulate(lengths))
    return [found[last - length : last] for last, length in zip(ends, lengths, strict=True)]


def sorting(
    track: NDArray[np.int64], start: NDArray[np.int64], pitch: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The order of notes by track, start, pitch and end; equal ones as they were."""
    if start.max(initial=0) < 1 << 28:
        # Three in one number: most are in order already, and a stable sort is fast then. The end tells seldom.
        numbers = (track << 28 | start) << 7 | pitch
        order = np.argsort(numbers, kind="stable")
        numbers, ends = numbers[order], end[order]
        if not ((numbers[1:] == numbers[:-1]) & (ends[1:] < ends[:-1])).any():
            return order
    return np.lexsort((end, pitch, start, track))


def end_of_bar(meters: Sequence[MeterChange], beat: float) -> float:
    """The first bar line at or after `beat`."""
    meter = next(change for change in reversed(meters) if change.beat < beat or change.beat == 0)
    following = next((change.beat for change in meters if change.beat >= beat and change.beat > 0), float("inf"))
    bars = math.ceil((beat - meter.beat) / meter.bar_beats - 1e-6)
    return min(meter.beat + bars * meter.bar_beats, following)
