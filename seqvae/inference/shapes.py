"""The arrays of a network, by its settings: so that a file can be checked, and read, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seqvae.config import ModelSettings
from seqvae.errors import ModelError
from seqvae.tokenizers import Alphabet

Weights = Mapping[str, NDArray[np.float32]]
"""Name → array, as in torch's state of a `SequenceVAE`."""

Shapes = dict[str, tuple[int, ...]]


def check_weights(name: str, weights: Mapping[str, NDArray[np.generic]], expected: Shapes) -> None:
    """Raises `ModelError` if the arrays are not those of the settings; `name` is the model's."""
    for key in sorted(expected.keys() | weights.keys()):
        there, wanted = weights[key].shape if key in weights else None, expected.get(key)
        if there != wanted:
            found = f"its {key} is {there or 'missing'}, and its settings ask for {wanted or 'no such array'}"
            raise ModelError(f"{name}: its weights do not fit the preset's network ({found}); get the file again")


def weight_shapes(alphabet: Alphabet, length: int, settings: ModelSettings) -> Shapes:
    """Name → shape of each array of `SequenceVAE(alphabet, length, settings)`.

    Example:
        >>> from seqvae.tokenizers import Part
        >>> weight_shapes(Alphabet(parts=(Part("letter", 10),)), 16, ModelSettings())["decoder.output.weight"]
        (10, 320)
    """
    if settings.segments == 1:
        encoder = _encoder(alphabet, length, settings) if settings.z_size else {}
        return {**_under("encoder", encoder), **_under("decoder", _decoder(alphabet, length, settings))}
    size, step = settings.conductor_size, length // settings.segments
    share = settings.z_size // settings.segments
    whole, pooled = _reader(size, settings.segments, settings)
    segment, of_segment = _reader(settings.embedding_size, step, settings)
    inner = _decoder(alphabet, step, replace(settings, z_size=size))
    encoder = {
        "embedding.weight": (_rows(alphabet), settings.embedding_size),
        **_under("segment", segment),
        **_linear("summary", of_segment, size),
        **_linear("share", size, 2 * share),
        **_under("whole", whole),
        **_head(pooled, settings),
    }
    decoder = {
        **_linear("share", share, size),
        **_linear("start", settings.z_size, 2 * size),
        **_under("conductor", _lstm(size, size)),
        **_under("segment", inner),
        # The segments' own, under a second name.
        **{name: shape for name, shape in inner.items() if name.startswith(("embedding.", "output."))},
    }
    return {**_under("encoder", encoder), **_under("decoder", decoder)}


def _encoder(alphabet: Alphabet, length: int, settings: ModelSettings) -> Shapes:
    reader, pooled = _reader(settings.embedding_size, length, settings)
    embedding = {"embedding.weight": (_rows(alphabet), settings.embedding_size)}
    return {**embedding, **reader, **_head(pooled, settings)}


def _reader(width: int, length: int, settings: ModelSettings) -> tuple[Shapes, int]:
    """A bidirectional reader's, and the width of what it pools."""
    size, found, pooled = settings.encoder_size, Shapes(), 2 * settings.encoder_size
    for index in range(settings.encoder_layers):
        entering = width if index == 0 else 2 * size
        for way in ("forwards", "backwards"):
            found.update(_under(f"{way}.{index}", _lstm(entering, size)))
    if settings.pooling == "positional":
        found.update(_linear("pool", 2 * size, settings.pooling_size))
        pooled += length * settings.pooling_size
    return found, pooled


def _head(width: int, settings: ModelSettings) -> Shapes:
    found = _linear("head", width, 2 * settings.z_size)
    if settings.mean_scale:
        found.update({"head.center": (settings.z_size,), "head.spread": (settings.z_size,)})
    return found


def _decoder(alphabet: Alphabet, length: int, settings: ModelSettings) -> Shapes:
    z_size, view = settings.z_size, settings.readout_size if settings.z_size else 0
    found: Shapes = {"embedding.weight": (_rows(alphabet, with_start=True), settings.embedding_size)}
    if z_size:
        steps = length if settings.readout == "positional" else 1
        found.update(_linear("readout", z_size, steps * view))
        found.update(_linear("start", z_size, 2 * sum(settings.decoder_sizes)))
        sizes = [z_size, settings.mapping_size, settings.mapping_size, z_size] if settings.mapping_size else []
        for index, (entering, leaving) in enumerate(pairwise(sizes)):
            found.update(_linear(f"mapping.layers.{2 * index}", entering, leaving))  # activations stand between
    entering = settings.embedding_size + view
    for index, size in enumerate(settings.decoder_sizes):
        found.update(_under(f"layers.{index}", _lstm(entering, size)))
        entering = size
    found.update(_under("output", _output(entering + view, alphabet, settings)))
    return found


def _output(features: int, alphabet: Alphabet, settings: ModelSettings) -> Shapes:
    predicted = [part for part in alphabet.parts if not part.given]
    numbers = sum(part.gate is not None for part in predicted)
    width = sum(1 if part.gate is not None else part.size for part in predicted)
    found: Shapes = {"bias": (width,)}
    if settings.tied:
        found["project.weight"] = (settings.embedding_size, features)
    else:
        found["weight"] = (width, features)
    if numbers:
        found["log_scale"] = (numbers,)
    if alphabet.shape:
        found["coupling.weight"] = (_rows(alphabet), width)
    return found


def _rows(alphabet: Alphabet, *, with_start: bool = False) -> int:
    """Rows of an embedding: a number has one."""
    return sum(1 if part.gate is not None else part.size + with_start for part in alphabet.parts)


def _lstm(entering: int, size: int) -> Shapes:
    return {"weight_ih": (4 * size, entering), "weight_hh": (4 * size, size), "bias": (4 * size,)}


def _linear(name: str, entering: int, leaving: int) -> Shapes:
    return {f"{name}.weight": (leaving, entering), f"{name}.bias": (leaving,)}


def _under(name: str, shapes: Shapes) -> Shapes:
    return {f"{name}.{key}": shape for key, shape in shapes.items()}
