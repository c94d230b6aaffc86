"""Ways through latent space: a path through many items, a grid between four, a walk that goes nowhere in particular.

`path`, `grid` and `walk` take and give items; `passages` has the same for those who hold passages; `timing` says where
the steps of a path lie.
"""

from seqvae.paths.items import grid, path, walk
from seqvae.paths.passages import EvenTiming, even_timing, fit_all, grid_between, path_through, walk_from
from seqvae.paths.timing import Distances, Timing, evenest, plain_timing

__all__ = [
    "Distances",
    "EvenTiming",
    "Timing",
    "even_timing",
    "evenest",
    "fit_all",
    "grid",
    "grid_between",
    "path",
    "path_through",
    "plain_timing",
    "walk",
    "walk_from",
]
