"""Reads a MIDI track whatever its state: every event that can still be made out, up to where nothing can.

Differences from a strict reader, all of them met in files of the wild:
  1. A data byte over 127 is taken as 127; a note on such a pitch is left out.
  2. Status bytes that no standard defines are skipped.
  3. Running status goes on after meta and system-exclusive events.
  4. Meta events are skipped by their length, whatever they hold (a key signature of mode 255).
  5. A track that breaks off, or that jumps beyond `MAX_BEATS`, ends there.
  6. A note that is never ended is ended by the last note-off of its pitch, else at the end of its track.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAX_BEATS = 200_000
"""More than a day at 120 qpm. What lies beyond is damage, and a clip so long would fill the memory."""

NAME, END_OF_TRACK, SET_TEMPO, METER = 0x03, 0x2F, 0x51, 0x58

# Data bytes after a system status byte; those that are not here have none.
SYSTEM_SIZES = {0xF1: 1, 0xF2: 2, 0xF3: 1}


@dataclass(kw_only=True)
class TickTrack:
    """One instrument's notes in ticks.

    Attributes:
        notes: int64 (notes, 4): start, end, pitch, velocity.
    """

    notes: NDArray[np.int64]
    program: int
    is_drum: bool
    name: str


@dataclass(kw_only=True)
class TickScore:
    """What a MIDI file says, in ticks.

    Attributes:
        ticks_per_beat: Ticks in a quarter note.
        tracks: Split by (track, channel, program), in that order; without notes only if a program is set.
        tempos: (tick, microseconds in a quarter note) in file order.
        meters: (tick, numerator, denominator) in file order.
    """

    ticks_per_beat: float
    tracks: list[TickTrack] = field(default_factory=list)
    tempos: list[tuple[int, int]] = field(default_factory=list)
    meters: list[tuple[int, int, int]] = field(default_factory=list)


def salvage(tracks: list[bytes], ticks_per_beat: float) -> TickScore:
    """Reads the bodies of MTrk chunks."""
    score = TickScore(ticks_per_beat=ticks_per_beat)
    for body in tracks:
        _TrackReader(body, score).read()
    return score


def text(payload: bytes) -> str:
    """Decodes a name: UTF-8 if it is, else Latin-1. Trailing NULs go."""
    try:
        found = payload.decode("utf-8")
    except UnicodeDecodeError:
        found = payload.decode("latin-1")
    return found.rstrip("\0")


class _TrackReader:
    """The state while one track is read: position, time, running status, open notes."""

    def __init__(self, body: bytes, score: TickScore) -> None:
        self.body = body
        self.score = score
        self.tick = 0
        self.name = ""
        self.programs: dict[int, int] = {}
        self.open: dict[int, list[tuple[int, int, int]]] = {}  # channel·128 + pitch → (start, velocity, program)
        self.last_off: dict[int, int] = {}
        self.notes: list[tuple[int, int, int, int, int]] = []  # (channel·128 + program, start, end, pitch, velocity)

    def read(self) -> None:
        """Reads all events and adds the track's instruments to the score."""
        body, size = self.body, len(self.body)
        max_tick = int(MAX_BEATS * self.score.ticks_per_beat)
        position, running = 0, 0
        while position < size:
            delta, position = vlq(body, position)
            if self.tick + delta > max_tick:
                break
            self.tick += delta
            if position >= size:
                break
            status = body[position]
            if status < 0x80:
                status = running
            else:
                position += 1
            if status >= 0xF0:
                position = self._system(status, position)
            elif status:
                running = status
                if 0xC0 <= status < 0xE0:
                    first, second = body[position] if position < size else 0, 0
                    position += 1
                elif position + 1 < size:
                    first, second = body[position], body[position + 1]
                    position += 2
                else:
                    break
                self._channel(status, first, second)
            else:
                position += 1  # a data byte before any status byte
        self._close()

    def _channel(self, status: int, first: int, second: int) -> None:
        """A note-on, note-off or program change; others say nothing to a clip."""
        kind, channel = status & 0xF0, status & 0x0F
        if kind > 0x90:
            if kind == 0xC0:
                self.programs[channel] = min(first, 127)
            return
        if first > 127:
            return
        key = channel * 128 + first
        if kind == 0x90 and second:
            self.open.setdefault(key, []).append((self.tick, min(second, 127), self.programs.get(channel, 0)))
            return
        self.last_off[key] = self.tick
        if sounding := self.open.get(key):
            self._end(key, sounding.pop(0), self.tick)

    def _end(self, key: int, note: tuple[int, int, int], end: int) -> None:
        start, velocity, program = note
        self.notes.append((key // 128 * 128 + program, start, end, key % 128, velocity))

    def _system(self, status: int, position: int) -> int:
        """Skips or reads a meta, system-exclusive or other system event; returns the position behind it."""
        body = self.body
        if status == 0xFF:
            kind = body[position] if position < len(body) else END_OF_TRACK
            length, start = vlq(body, position + 1)
            if kind == END_OF_TRACK:
                return len(body)
            self._meta(kind, body[start : start + length])
            return start + length
        if status in (0xF0, 0xF7):
            length, start = vlq(body, position)
            if start + length <= len(body):
                return start + length
            end = body.find(b"\xf7", start)  # no sensible length: go by the end mark
            return end + 1 if end >= 0 else len(body)
        return position + SYSTEM_SIZES.get(status, 0)

    def _meta(self, kind: int, payload: bytes) -> None:
        """A name, tempo or meter; others say nothing to a clip."""
        if kind == NAME:
            self.name = text(payload)
        elif kind == SET_TEMPO and len(payload) >= 3:
            self.score.tempos.append((self.tick, int.from_bytes(payload[:3])))
        elif kind == METER and len(payload) >= 2:
            self.score.meters.append((self.tick, payload[0], 1 << min(payload[1], 15)))

    def _close(self) -> None:
        """Ends what still sounds and sorts the notes into instruments."""
        for key, sounding in self.open.items():
            for note in sounding:
                off = self.last_off.get(key, -1)
                self._end(key, note, off if off > note[0] else self.tick)
        notes = np.array(self.notes, dtype=np.int64).reshape(-1, 5)
        instruments = sorted(set(notes[:, 0].tolist())) or [c * 128 + p for c, p in sorted(self.programs.items())]
        for instrument in instruments:
            channel, program = divmod(instrument, 128)
            mine = notes[notes[:, 0] == instrument, 1:]
            self.score.tracks.append(TickTrack(notes=mine, program=program, is_drum=channel == 9, name=self.name))


def vlq(body: bytes, position: int) -> tuple[int, int]:
    """Reads a variable-length quantity of at most four bytes: (value, position behind it)."""
    value = 0
    for byte in body[position : position + 4]:
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, position
