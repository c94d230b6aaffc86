"""Draws many melodies and keeps those that move most smoothly, by a measure of one's own."""

import numpy as np

import seqvae


def mean_leap(clip: seqvae.Clip) -> float:
    """Mean interval from note to note in semitones; infinite for fewer than four notes."""
    pitches = clip.tracks[0].notes["pitch"].astype(int)
    return float(np.abs(np.diff(pitches)).mean()) if len(pitches) >= 4 else float("inf")


model = seqvae.load("melody-2bar")
clips = model.sample(64, temperature=0.8, seed=1)

for rank, clip in enumerate(sorted(clips, key=mean_leap)[:4], start=1):
    print(clip.save(f"out/ranked/{rank}.mid"), f"{mean_leap(clip):.1f} semitones from note to note")
