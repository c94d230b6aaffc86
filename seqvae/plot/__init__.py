"""Pictures: piano-roll strips, training curves, maps of latent space, grids of images.

All are PNG, the same bytes for the same input.
"""

from seqvae.plot.changes import changes_strip
from seqvae.plot.curves import training_curves
from seqvae.plot.grid import piano_roll_grid
from seqvae.plot.images import image_grid
from seqvae.plot.map import latent_map
from seqvae.plot.prior import posterior_against_prior
from seqvae.plot.strip import piano_roll_strip

__all__ = [
    "changes_strip",
    "image_grid",
    "latent_map",
    "piano_roll_grid",
    "piano_roll_strip",
    "posterior_against_prior",
    "training_curves",
]
