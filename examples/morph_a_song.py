"""A song that begins as one melody and ends as another: each window is one step further along its own path."""

from pathlib import Path

import numpy as np

import seqvae

HERE = Path(__file__).parent
WINDOWS = 8

model = seqvae.load("melody-2bar")
a, b = (model.passage(seqvae.Clip.load(HERE / name)) for name in ("a.mid", "b.mid"))

windows = []
for number, amount in enumerate(np.linspace(0.0, 1.0, WINDOWS)):
    here, there = number % len(a.z), number % len(b.z)  # both loop until the song is full
    z = seqvae.slerp(a.z[here], b.z[there], WINDOWS)[number]
    style = a.styles[here].blend(b.styles[there], float(amount))
    windows += model.decode(z, style=style)

song = model.tokenizer.join(windows)
print(song.save("out/morph.mid"), f"{song.length_beats:g} beats, {song.note_count} notes")
