"""seqvae: LSTM variational autoencoders of short sequences. A clip becomes a vector; between vectors lies other music.

Example:
    >>> import seqvae
    >>> model = seqvae.load("melody-2bar")  # doctest: +SKIP
    >>> z = model.encode([seqvae.Clip.load("a.mid"), seqvae.Clip.load("b.mid")])  # doctest: +SKIP
    >>> clips = model.decode(seqvae.slerp(z[0], z[1], 8), temperature=0.5, seed=1)  # doctest: +SKIP
    >>> clips[3].save("c.mid")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqvae.attributes import attribute_named, attributes_of, measured
    from seqvae.attributes.labels import read_labels
    from seqvae.clip import Clip, Provenance, Style, Track
    from seqvae.constraint import Examples, sample_where
    from seqvae.edit import apply, effect_report, fit_attributes, fit_pair, store_attributes, sweep
    from seqvae.errors import ConfigError, DataError, ModelError, ReadError, SeqvaeError, WriteError
    from seqvae.latent import AggregatePosterior, edit_distance, lerp, neighbours, slerp
    from seqvae.loading import load
    from seqvae.model import Model
    from seqvae.nearby import Neighbour, nearest
    from seqvae.passage import Decoding, Passage
    from seqvae.paths import grid, path, walk
    from seqvae.personal import Personal, Sliders, finetune, sliders
    from seqvae.projection import Projection, pca, tsne, umap
    from seqvae.ranking import Ranking, copied, rank
    from seqvae.repairs import Change, Repair, repair

__version__ = "0.1.0"

# Public name → where it lives. Looked up on first use, so that `import seqvae` costs neither torch nor numpy.
_HOMES = {
    "attribute_named": "attributes",
    "attributes_of": "attributes",
    "measured": "attributes",
    "read_labels": "attributes.labels",
    "Clip": "clip",
    "Provenance": "clip",
    "Style": "clip",
    "Track": "clip",
    "apply": "edit",
    "effect_report": "edit",
    "fit_attributes": "edit",
    "fit_pair": "edit",
    "store_attributes": "edit",
    "sweep": "edit",
    "Examples": "constraint",
    "sample_where": "constraint",
    "ConfigError": "errors",
    "DataError": "errors",
    "ModelError": "errors",
    "ReadError": "errors",
    "SeqvaeError": "errors",
    "WriteError": "errors",
    "AggregatePosterior": "latent",
    "Neighbour": "nearby",
    "nearest": "nearby",
    "Projection": "projection",
    "pca": "projection",
    "tsne": "projection",
    "umap": "projection",
    "Decoding": "passage",
    "edit_distance": "latent",
    "lerp": "latent",
    "neighbours": "latent",
    "slerp": "latent",
    "Model": "model",
    "Passage": "passage",
    "load": "loading",
    "Ranking": "ranking",
    "copied": "ranking",
    "rank": "ranking",
    "grid": "paths",
    "path": "paths",
    "walk": "paths",
    "Personal": "personal",
    "Sliders": "personal",
    "finetune": "personal",
    "sliders": "personal",
    "Change": "repairs",
    "Repair": "repairs",
    "repair": "repairs",
}

__all__ = [
    "AggregatePosterior",
    "Change",
    "Clip",
    "ConfigError",
    "DataError",
    "Decoding",
    "Examples",
    "Model",
    "ModelError",
    "Neighbour",
    "Passage",
    "Personal",
    "Projection",
    "Provenance",
    "Ranking",
    "ReadError",
    "Repair",
    "SeqvaeError",
    "Sliders",
    "Style",
    "Track",
    "WriteError",
    "__version__",
    "apply",
    "attribute_named",
    "attributes_of",
    "copied",
    "edit_distance",
    "effect_report",
    "finetune",
    "fit_attributes",
    "fit_pair",
    "grid",
    "lerp",
    "load",
    "measured",
    "nearest",
    "neighbours",
    "path",
    "pca",
    "rank",
    "read_labels",
    "repair",
    "sample_where",
    "slerp",
    "sliders",
    "store_attributes",
    "sweep",
    "tsne",
    "umap",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seqvae' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"seqvae.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
