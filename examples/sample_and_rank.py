"""Draws many melodies and keeps four that the model believes in, that move smoothly and differ; none is copied."""

import numpy as np

import seqvae


def smoothness(clip: seqvae.Clip) -> float:
    """Minus the mean interval from note to note in semitones; not defined for fewer than four notes."""
    pitches = clip.tracks[0].notes["pitch"].astype(int)
    return -float(np.abs(np.diff(pitches)).mean()) if len(pitches) >= 4 else float("nan")


model = seqvae.load("melody-2bar")
clips = model.sample(64, temperature=0.8, seed=1)
ranking = seqvae.rank(model, clips, by=["likelihood", smoothness], keep=4)

for number, (clip, row) in enumerate(zip(ranking.items, ranking.rows, strict=True), start=1):
    leap = -ranking.measures["smoothness"][row]
    print(clip.save(f"out/ranked/{number}.mid"), f"{leap:.1f} semitones from note to note")
