"""z is a numpy array: a direction that means "more notes", found from samples and added to a melody."""

from pathlib import Path

import numpy as np

import seqvae

model = seqvae.load("melody-2bar")

# As in MusicVAE: the mean of those with the most, less the mean of those with the fewest.
z = model.draw(512, seed=1)
onsets = np.array([clip.note_count for clip in model.decode(z)])
low, high = np.quantile(onsets, [0.25, 0.75])
more_notes = z[onsets >= high].mean(axis=0) - z[onsets <= low].mean(axis=0)

melody = seqvae.Clip.load(Path(__file__).parent / "a.mid")
for amount in (-1.0, 0.0, 1.0):
    clip = model.decode(model.encode([melody]) + amount * more_notes)[0]
    print(clip.save(f"out/attribute/{amount:+g}.mid"), f"{clip.note_count} notes")
