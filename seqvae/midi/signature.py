"""The text that seqvae leaves in its own MIDI files: what the notes cannot say.

One text meta event, `seqvae:` and JSON: the clip's length (a MIDI file cannot say that it ends in silence) and, if a
model made the clip, its `Provenance`, with z as base64 of little-endian float32.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from seqvae.clip import Clip, Provenance

MARK = "seqvae:"
VERSION = 1


def sign(clip: Clip) -> str:
    """The text for a clip."""
    said: dict[str, Any] = {"version": VERSION, "length_beats": clip.length_beats}
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
            "content": provenance.content,
        }
    return MARK + json.dumps(said)


def find_signature(data: bytes) -> tuple[float, Provenance | None] | None:
    """A MIDI file's length in beats and provenance; None if seqvae did not write it or the text is damaged."""
    position = data.find(MARK.encode() + b"{")
    if position < 0:
        return None
    try:
        said = json.JSONDecoder().raw_decode(data[position + len(MARK) :].decode("latin-1"))[0]
        length = float(said["length_beats"])
        if said["version"] != VERSION or not 0 <= length < float("inf"):
            return None
        return length, read_provenance(said["provenance"]) if "provenance" in said else None
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def read_provenance(said: dict[str, Any]) -> Provenance:
    """Provenance from JSON. Raises KeyError, TypeError or ValueError where it is damaged."""
    z = np.frombuffer(base64.b64decode(said["z"], validate=True), dtype="<f4").astype(np.float32)
    return Provenance(
        model=str(said["model"]),
        model_hash=str(said["model_hash"]),
        verb=str(said["verb"]),
        seed=int(said["seed"]),
        temperature=float(said["temperature"]),
        z=z.reshape(said["z_shape"]),
        length_beats=float(said["length_beats"]),
        content=str(said["content"]),
    )
