"""The latent plane of the model `digits` in one picture: what each of its places decodes to."""

from statistics import NormalDist

import numpy as np

import seqvae
from seqvae.plot import image_grid

PLACES = 16

model = seqvae.load("digits")
along = [NormalDist().inv_cdf((place + 0.5) / PLACES) for place in range(PLACES)]
z = np.array([(x, y) for y in reversed(along) for x in along], np.float32)
images = np.stack(model.decode(z)).reshape(PLACES, PLACES, 8, 8)
print(image_grid(images, "out/digits-plane.png", levels=model.tokenizer.alphabet.largest))
