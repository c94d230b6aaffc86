"""Pictures: piano-roll strips, training curves, a map of latent space, grids of images.

All are PNG, the same bytes for the same input.
"""

from seqvae.plot.curves import training_curves
from seqvae.plot.images import image_grid
from seqvae.plot.map import Projection, latent_map, pca
from seqvae.plot.strip import piano_roll_strip

__all__ = ["Projection", "image_grid", "latent_map", "pca", "piano_roll_strip", "training_curves"]
