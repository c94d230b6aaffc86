"""Variations of a motif, from hardly different to unrelated."""

from pathlib import Path

import seqvae

model = seqvae.load("melody-2bar")
motif = seqvae.Clip.load(Path(__file__).parent / "a.mid")
tokens = model.tokenizer.encode(motif)

for amount in (0.1, 0.3, 0.5, 0.9):
    for number, clip in enumerate(model.vary(motif, amount, n=3, seed=1), start=1):
        distance = seqvae.edit_distance(tokens, model.tokenizer.encode(clip))
        print(clip.save(f"out/vary/amount-{amount:g}-{number}.mid"), f"{distance:.0%} of its steps differ")
