"""Latent vectors on a plane: by principal components, t-SNE or UMAP. Numpy in, numpy out.

t-SNE and UMAP go by the angle between two z, as `nearest` does: by plain distance a melody's z have neighbours by their
length more than by what they say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import ConfigError, DataError

Method = Literal["pca", "tsne", "umap"]

EXTRA = 'install it with: pip install "seqvae[map]"'
PERPLEXITY = 30.0
"""Of t-SNE: about how many neighbours each item has; the usual value of van der Maaten and Hinton 2008."""

NEIGHBOURS = 15
"""Of UMAP: how many items around each one it looks at; the library's own default."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """A set of z on a plane.

    Attributes:
        points: float64 (n, 2).
        method: How they came there.
        explained: The share of all variance on each of the two axes; of principal components only. Distances on a
            t-SNE or UMAP say who is near whom, and no more: their axes have no unit and no direction.
    """

    points: NDArray[np.float64]
    method: Method
    explained: tuple[float, float] | None = None


def pca(z: NDArray[np.floating[Any]]) -> Projection:
    """Projects z (n, z_size) on the two directions of largest variance; each direction's largest weight is positive.

    Raises:
        DataError: There are fewer than 3 items, or one is not finite.

    >>> pca(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]])).points[:, 0].tolist()
    [-2.0, 0.0, 2.0]
    """
    _, directions, explained = principal_axes(z)
    return Projection(points=_centred(z) @ directions.T, method="pca", explained=explained)


def principal_axes(
    z: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Middle float64 (z,), the two directions of largest variance float64 (2, z), and their shares. As `pca`."""
    _check(z)
    centred = _centred(z)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(directions[:2]).argmax(axis=1)
    signed = directions[:2] * np.sign(directions[[0, 1], largest])[:, None]
    shares = np.square(singular) / max(float(np.square(singular).sum()), 1e-300)
    return z.mean(axis=0, dtype=np.float64), signed, (float(shares[0]), float(shares[1]))


def tsne(z: NDArray[np.floating[Any]], *, seed: int = 0, perplexity: float = PERPLEXITY) -> Projection:
    """Places z (n, z_size) so that neighbours stay neighbours: t-SNE (van der Maaten and Hinton 2008, Barnes-Hut).

    It begins at the principal components (Kobak and Berens 2019), so that large groups lie where these have them. The
    same z and seed give the same points on the same machine. 2,000 items take some ten seconds, 10,000 a minute or two.

    Args:
        z: float (n, z_size).
        seed: 0 or more.
        perplexity: About how many neighbours each item has; fewer if there are not three times as many items.

    Raises:
        DataError: There are fewer than 4 items, or one is not finite.
        ConfigError: scikit-learn is not installed.
    """
    _check(z, least=4)
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise ConfigError(f"t-SNE needs scikit-learn, which is not here; {EXTRA}") from None
    fewer = min(perplexity, (len(z) - 1) / 3.0)
    # Of one thread: the sums of several depend on which is first, and beside other work they wait for each other.
    with threadpool_limits(1):
        placer = TSNE(perplexity=fewer, metric="cosine", init=_beginning(z), learning_rate="auto", random_state=seed)
        points = placer.fit_transform(np.asarray(z, np.float32))
    return Projection(points=np.asarray(points, np.float64), method="tsne")


def umap(z: NDArray[np.floating[Any]], *, seed: int = 0, neighbours: int = NEIGHBOURS) -> Projection:
    """Places z (n, z_size) by its graph of neighbours: UMAP (McInnes, Healy and Melville 2018).

    The same z and seed give the same points on the same machine.

    Args:
        z: float (n, z_size).
        seed: 0 or more.
        neighbours: How many items around each one are looked at; fewer if there are not as many.

    Raises:
        DataError: There are fewer than 4 items, or one is not finite.
        ConfigError: umap-learn is not installed.
    """
    _check(z, least=4)
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError(f"UMAP needs umap-learn, which is not here; {EXTRA}, or choose t-SNE or PCA") from None
    fewer = min(neighbours, len(z) - 1)
    placer = UMAP(n_neighbors=fewer, metric="cosine", init=_beginning(z), random_state=seed, n_jobs=1)
    return Projection(points=np.asarray(placer.fit_transform(np.asarray(z, np.float32)), np.float64), method="umap")


def _beginning(z: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Where t-SNE and UMAP begin: the principal components, as small as t-SNE wants them (a deviation of 0.0001)."""
    points = pca(z).points
    return (1e-4 * points / max(float(points[:, 0].std()), 1e-300)).astype(np.float32)


def _centred(z: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(np.asarray(z, np.float64) - z.mean(axis=0, dtype=np.float64))


def _check(z: NDArray[np.floating[Any]], least: int = 3) -> None:
    if z.ndim != 2 or len(z) < least or z.shape[1] < 2:
        count, size = z.shape if z.ndim == 2 else (len(z), 1)
        found = f"{count:,} item{'s' * (count != 1)} of {size:,} dimension{'s' * (size != 1)} make no map"
        raise DataError(f"{found}; give {least} items or more, of 2 dimensions or more")
    if not np.isfinite(z).all():
        raise DataError("z holds values that are not finite; was it made by this version's encode?")
