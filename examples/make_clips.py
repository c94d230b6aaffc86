"""Makes a.mid and b.mid, the two melodies that the README and the other examples use. Composed for seqvae; CC0."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from seqvae import Clip

Tune = list[tuple[float, float, int]]
"""Start and length in beats, and MIDI pitch."""

# A plain tune in D, as a flute would play it at a dance: quarters and eighths, steps and a leap home.
A: Tune = [
    *((0, 1, 69), (1, 0.5, 74), (1.5, 0.5, 76), (2, 1, 78), (3, 0.5, 74), (3.5, 0.5, 76)),
    *((4, 0.5, 79), (4.5, 0.5, 78), (5, 0.5, 76), (5.5, 0.5, 74), (6, 1, 69), (7, 1, 74)),
]

# A riff in C minor off the beat, as a game of 1990 would have it: 3-3-2, a note over the bar line, a blue fifth.
B: Tune = [
    *((0, 0.75, 72), (0.75, 0.75, 75), (1.5, 0.5, 77), (2.25, 0.25, 79), (2.5, 0.5, 77), (3.25, 0.25, 75)),
    *((3.5, 0.75, 70), (4.5, 0.25, 75), (4.75, 0.5, 77), (5.25, 0.25, 78), (5.5, 0.5, 79), (6.25, 0.25, 82)),
    *((6.5, 0.25, 79), (6.75, 0.5, 77), (7.25, 0.25, 75), (7.5, 0.5, 72)),
]


def accented(tune: Tune, on_the_beat: int, off_the_beat: int) -> Iterator[tuple[float, float, int, int]]:
    """Notes with velocities: one for the beats, one for between them, and more for the first of a bar."""
    for start, length, pitch in tune:
        velocity = on_the_beat if start % 1 == 0 else off_the_beat
        yield start, start + length, pitch, velocity + 12 * (start % 4 == 0)


def one_track(tune: Tune, name: str, program: int, tempo_qpm: float, velocities: tuple[int, int]) -> Clip:
    """A clip of one named track."""
    clip = Clip.from_notes(accented(tune, *velocities), program=program, tempo_qpm=tempo_qpm)
    return replace(clip, tracks=(replace(clip.tracks[0], name=name),))


CLIPS = {
    "a.mid": one_track(A, "Flute", 73, 100, (84, 70)),
    "b.mid": one_track(B, "Square lead", 80, 132, (92, 104)),
}

if __name__ == "__main__":
    for name, clip in CLIPS.items():
        print(clip.save(Path(__file__).parent / name))
