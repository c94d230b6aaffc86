"""The text that seqvae leaves in its own MIDI files: what the notes cannot say.

One text meta event, `seqvae:` and JSON: the clip's length (a MIDI file cannot say that it ends in silence), a checksum
of the notes, and, if a model made the clip, its `Provenance` with z as base64 of little-endian float32. When another
program changes the notes the checksum no longer fits, and the text is ignored: its z would be that of other music.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from seqvae.clip import Clip, Provenance, Track

MARK = "seqvae:"
VERSION = 1
CHECK_STEPS_PER_BEAT = 480


def sign(clip: Clip) -> str:
    """The text for a clip."""
    said: dict[str, Any] = {
        "version": VERSION,
        "length_beats": clip.length_beats,
        "notes": checksum(clip.tracks),
    }
    if (provenance := clip.provenance) is not None:
        z = np.ascontiguousarray(provenance.z, dtype="<f4")
        said["provenance"] = {
            "model": provenance.model,
            "model_hash": provenance.model_hash,
            "verb": provenance.verb,
            "seed": provenance.seed,
            "temperature": provenance.temperature,
            "z_shape": list(z.shape),
            "z": base64.b64encode(z.tobytes()).decode("ascii"),
            "length_beats": provenance.length_beats,
        }
    return MARK + json.dumps(said)


def find_signature(data: bytes) -> dict[str, Any] | None:
    """The JSON of the first signature in a file's bytes, or None."""
    position = data.find(MARK.encode() + b"{")
    if position < 0:
        return None
    try:
        said = json.JSONDecoder().raw_decode(data[position + len(MARK) :].decode("latin-1"))[0]
    except (ValueError, RecursionError):
        return None
    return said if said.get("version") == VERSION else None


def read_signature(said: dict[str, Any], tracks: Iterable[Track]) -> tuple[float, Provenance | None] | None:
    """The length in beats and the provenance, or None if the text is damaged or the notes are not those it signed."""
    try:
        length = float(said["length_beats"])
        if not 0 <= length < float("inf") or said["notes"] != checksum(tracks):
            return None
        if (inner := said.get("provenance")) is None:
            return length, None
        z = np.frombuffer(base64.b64decode(inner["z"], validate=True), dtype="<f4").astype(np.float32)
        provenance = Provenance(
            model=str(inner["model"]),
            model_hash=str(inner["model_hash"]),
            verb=str(inner["verb"]),
            seed=int(inner["seed"]),
            temperature=float(inner["temperature"]),
            z=z.reshape(inner["z_shape"]),
            length_beats=float(inner["length_beats"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return None
    return length, provenance


def checksum(tracks: Iterable[Track]) -> int:
    """CRC-32 of all notes, on a grid so fine that a change of resolution does not show."""
    crc = 0
    for track in tracks:
        columns = [np.rint(track.notes[name] * CHECK_STEPS_PER_BEAT) for name in ("start_beats", "end_beats")]
        columns += [track.notes["pitch"], track.notes["velocity"]]
        table = np.stack(columns, axis=1).astype("<i8")
        table = table[np.lexsort(table.T[::-1])]
        crc = zlib.crc32(table.tobytes(), crc)
    return crc
