"""Eight steps from one melody to another, each saved as a MIDI file."""

from pathlib import Path

import seqvae

HERE = Path(__file__).parent

model = seqvae.load("melody-2bar")
a, b = seqvae.Clip.load(HERE / "a.mid"), seqvae.Clip.load(HERE / "b.mid")

for number, clip in enumerate(model.interpolate(a, b, steps=8), start=1):
    print(clip.save(f"out/interpolate/step-{number}.mid"), f"{clip.tempo_at(0):.0f} qpm, {clip.note_count} notes")
