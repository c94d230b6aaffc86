"""From a name, a file or a run folder to a `Model`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqvae.attributes import AttributeVectors
from seqvae.checkpoint import SavedModel, find_model, load_model
from seqvae.config import DEFAULT_PRESET
from seqvae.errors import ModelError
from seqvae.inference import check_weights, weight_shapes
from seqvae.latent import AggregatePosterior
from seqvae.model import Model
from seqvae.network import Network


def load(name: str | Path = DEFAULT_PRESET, *, device: str = "auto") -> Model:
    """Loads a model.

    Args:
        name: A bundled model's name, a .safetensors file, or a run folder.
        device: `auto` (CUDA where there is one), `cpu` or `cuda`.

    Raises:
        ModelError: There is no such model, or its file is damaged, foreign or of a later format.
        ConfigError: There is no such device.

    Example:
        >>> model = load("melody-2bar")  # doctest: +SKIP
        >>> clips = model.sample(4, seed=1)  # doctest: +SKIP
    """
    path = find_model(name)
    saved = load_model(path)
    return from_saved(saved, name=path.parent.name if path.name == "best.safetensors" else path.stem, device=device)


def from_saved(saved: SavedModel, *, name: str = "", device: str = "cpu") -> Model:
    """A model from what its file holds, or from a training that goes on.

    Raises:
        ModelError: The weights are not those of its preset.
        ConfigError: There is no such device.
    """
    preset = saved.preset
    alphabet, length = preset.tokenizer.alphabet, preset.tokenizer.length
    check_weights(saved.name, saved.weights, weight_shapes(alphabet, length, preset.model))
    weights = {name: np.asarray(array, np.float32) for name, array in saved.weights.items()}
    network = Network(weights=weights, alphabet=alphabet, length=length, settings=preset.model, place=device)
    if not network.is_on_cpu:
        network.device  # noqa: B018 (says now, not at the first note, that there is no such device)
    mean = np.asarray(saved.aggregate_mean, np.float64)
    covariance = np.asarray(saved.aggregate_covariance, np.float64)
    z_size = preset.model.z_size
    if mean.shape != (z_size,) or covariance.shape != (z_size, z_size):
        found = f"{name or saved.name}: its aggregate posterior is of shape {mean.shape} and {covariance.shape}"
        raise ModelError(f"{found}, not ({z_size},) and ({z_size}, {z_size}); get the file again")
    return Model(
        name=name or saved.name,
        hash=saved.hash,
        preset=preset,
        card=saved.card,
        licence=saved.licence,
        training=saved.provenance,
        aggregate=AggregatePosterior(mean=mean, covariance=covariance),
        attributes=_vectors(saved, name or saved.name),
        held_out=saved.held_out.astype(np.int64),
        fingerprints=saved.fingerprints,
        network=network,
    )


def _vectors(saved: SavedModel, name: str) -> AttributeVectors:
    """The attribute vectors of a file. Raises `ModelError` if one belongs to other weights."""
    for vector in saved.attributes:
        if vector.model_hash != saved.hash or vector.vector.shape != (saved.preset.model.z_size,):
            found = f"{name}: its attribute vector {vector.name!r} was fitted for model {vector.model_hash}"
            raise ModelError(f"{found} and this is {saved.hash}; fit it again with: seqvae attribute fit")
    return AttributeVectors(saved.attributes, model=name)
