"""A direction of latent space that means "denser": fitted, added to a melody, and how far each step moved it."""

from pathlib import Path

import numpy as np

import seqvae

model = seqvae.load("melody-2bar")
vectors = model.attributes

if "density" not in vectors:  # a model that has no vectors learns one from its own samples
    samples = model.decode(model.draw(400, seed=1))
    windows = np.stack([model.tokenizer.encode(clip) for clip in samples])
    vectors = seqvae.fit_attributes(model, windows, ["density"], data="its own samples")

density = vectors["density"]
melody = model.passage(seqvae.Clip.load(Path(__file__).parent / "a.mid"))
for amount in (-1.5, 0.0, 1.5):
    edited = seqvae.apply(model, melody, {"density": amount}, vectors=vectors)
    assert np.allclose(edited.z, melody.z + amount * density, atol=1e-5)  # nothing but a sum
    print(edited.item.save(f"out/attribute/{amount:+g}.mid"), f"{edited.item.note_count} notes")
