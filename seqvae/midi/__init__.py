"""MIDI files and clips: tolerant reading, exact writing.

`reader` takes the file apart and lets symusic read it; `salvage` reads what symusic refuses or would lose; `signature`
is the text that seqvae leaves in its own files; `writer` makes the bytes.
"""

from seqvae.midi.reader import clip_from_bytes, end_of_bar, read_bytes, read_midi
from seqvae.midi.writer import from_pretty_midi, midi_bytes, to_pretty_midi, write_midi

__all__ = [
    "clip_from_bytes",
    "end_of_bar",
    "from_pretty_midi",
    "midi_bytes",
    "read_bytes",
    "read_midi",
    "to_pretty_midi",
    "write_midi",
]
