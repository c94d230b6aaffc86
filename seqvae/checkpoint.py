"""One safetensors file is a model; its metadata say all about it. Nothing is ever unpickled.

Arrays: `vae.*` (the weights), `aggregate.mean` (z,) and `aggregate.triangle` (z·(z + 1)/2,) (the Gaussian fit of the
aggregate posterior: of its symmetric covariance the lower triangle, row by row), `held_out` (windows that training did
not see, for reports without data), `fingerprints` (hashes of those that it saw), `attributes.vectors` and
`attributes.probes` (vectors, z). Metadata: one JSON under the key "seqvae": format, name, preset, provenance, licence,
card, and of each attribute vector what is no array.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from seqvae.attributes import AttributeVector
from seqvae.config import Preset, preset_from_dict
from seqvae.errors import ConfigError, ModelError
from seqvae.files import write_atomic
from seqvae.fingerprints import Fingerprints
from seqvae.tokenizers import Tokenizer

if TYPE_CHECKING:
    from seqvae.vae import SequenceVAE

FORMAT = 1
WEIGHTS = "vae."
ATTRIBUTE_ARRAYS = ("vector", "probe")


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedModel:
    """What a model file holds.

    Attributes:
        name: The model's name.
        preset: Its settings, which rebuild tokenizer and network.
        weights: Name → float array of the network, without the "vae." prefix.
        aggregate_mean, aggregate_covariance: float32 (z,) and (z, z), the aggregate posterior's Gaussian fit.
        provenance: How it was trained: data and its hash, steps, items, seconds, machine, seed, versions.
        licence: Of the model and the data it was trained on.
        card: Measured figures, by name.
        attributes: Directions of its latent space, fitted with this very model.
        held_out: A sample of windows that training did not see, uint8 or uint16 (n, time) or (n, time, part); may be
            empty.
        fingerprints: Of the windows that training saw; None of a file of an earlier version.
    """

    name: str
    preset: Preset
    weights: Mapping[str, NDArray[Any]]
    aggregate_mean: NDArray[np.float32]
    aggregate_covariance: NDArray[np.float32]
    provenance: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    card: dict[str, Any] = field(default_factory=dict)
    attributes: Sequence[AttributeVector] = ()
    held_out: NDArray[np.integer[Any]] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    fingerprints: Fingerprints | None = None

    @cached_property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 over names and bytes of the weights, as stored."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.weights[name]).tobytes())
        return digest.hexdigest()[:16]

    def half(self) -> SavedModel:
        """The same with weights in float16, as bundled models are stored."""
        return replace(self, weights={name: array.astype(np.float16) for name, array in self.weights.items()})


def bundled_models() -> dict[str, Path]:
    """The models that come with seqvae: name → file."""
    folder = Path(str(resources.files("seqvae") / "models"))
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def find_model(name: str | Path) -> Path:
    """The file of a bundled model, of a run folder (its best), or the file itself.

    Raises:
        ModelError: There is none.
    """
    path, bundled = Path(name), bundled_models()
    if str(name) in bundled:
        return bundled[str(name)]
    if path.is_dir():
        best = path / "best.safetensors"
        if not best.is_file():
            raise ModelError(
                f"{path}: is a folder without best.safetensors; give the folder of a finished or begun run"
            )
        return best
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise ModelError(
                f"{path}: no such file; give a .safetensors file that stands, a run folder or a model's name"
            )
        return path
    if path.exists():
        raise ModelError(f"{path}: is no model; give a .safetensors file, a run folder or a model's name")
    known = ", ".join(bundled) or "none here"
    raise ModelError(
        f"there is no model {str(name)!r}; bundled are {known}; or give a .safetensors file or a run folder"
    )


def save_model(path: Path, model: SavedModel, *, overwrite: bool = True) -> Path:
    """Writes a model file. Raises `WriteError`."""
    arrays = {WEIGHTS + name: np.ascontiguousarray(array) for name, array in model.weights.items()}
    arrays["aggregate.mean"] = np.ascontiguousarray(model.aggregate_mean, np.float32)
    arrays["aggregate.triangle"] = model.aggregate_covariance[np.tril_indices(len(model.aggregate_mean))].astype("f4")
    if len(model.held_out):
        arrays["held_out"] = np.ascontiguousarray(model.held_out)
    if model.fingerprints is not None:
        arrays["fingerprints"] = model.fingerprints.packed()
    if model.attributes:
        arrays["attributes.vectors"] = np.stack([one.vector for one in model.attributes]).astype(np.float32)
        arrays["attributes.probes"] = np.stack([one.probe for one in model.attributes]).astype(np.float32)
    about = {
        "format": FORMAT,
        "name": model.name,
        "preset": model.preset.to_dict(),
        "provenance": model.provenance,
        "licence": model.licence,
        "card": model.card,
        "attributes": [
            {name: value for name, value in vars(one).items() if name not in ATTRIBUTE_ARRAYS}
            for one in model.attributes
        ],
    }
    return write_arrays(path, arrays, about, overwrite=overwrite)


def load_model(path: Path) -> SavedModel:
    """Reads a model file.

    Raises:
        ModelError: It is missing, damaged, no seqvae model, or of a later format.
    """
    arrays, about = read_arrays(path)
    preset = _preset(path, arrays, about)
    try:
        return SavedModel(
            name=about["name"],
            preset=preset,
            weights={name.removeprefix(WEIGHTS): a for name, a in arrays.items() if name.startswith(WEIGHTS)},
            aggregate_mean=arrays["aggregate.mean"],
            aggregate_covariance=_covariance(arrays),
            provenance=about["provenance"],
            licence=about["licence"],
            card=about["card"],
            attributes=_attributes(arrays, about),
            held_out=arrays.get("held_out", np.zeros((0, 0), np.uint8)),
            fingerprints=Fingerprints.unpacked(arrays["fingerprints"]) if "fingerprints" in arrays else None,
        )
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise _damaged(path, error) from None


def load_preset_of(path: Path) -> Preset:
    """The preset of a model file, whose arrays stay where they are. Raises `ModelError` as `load_model`."""
    with _opened(path) as (file, about):
        return _preset(path, file.keys(), about)


def _preset(path: Path, names: Iterable[str], about: Mapping[str, Any]) -> Preset:
    if not any(name.startswith(WEIGHTS) for name in names) or "preset" not in about:
        raise ModelError(f"{path}: a safetensors file, but no seqvae model; give one that `seqvae train` wrote")
    if about.get("format") != FORMAT:
        found = f"{path}: model format {about.get('format')}, and this seqvae reads {FORMAT}"
        raise ModelError(f"{found}; install the seqvae that wrote it")
    try:
        return preset_from_dict(about["preset"], str(path))
    except (TypeError, ValueError, ConfigError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path}: its description is damaged ({error}); get the file again")


def _covariance(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The aggregate posterior's, (z, z); the files of earlier versions hold it whole."""
    if "aggregate.triangle" not in arrays:
        return arrays["aggregate.covariance"]
    size = len(arrays["aggregate.mean"])
    covariance = np.zeros((size, size), np.float32)
    covariance[np.tril_indices(size)] = arrays["aggregate.triangle"]
    return covariance + np.tril(covariance, -1).T


def _attributes(arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> tuple[AttributeVector, ...]:
    return tuple(
        AttributeVector(
            vector=arrays["attributes.vectors"][row],
            probe=arrays["attributes.probes"][row],
            **{**one, "against": tuple(one["against"])},
        )
        for row, one in enumerate(about.get("attributes", ()))
    )


def load_weights(vae: SequenceVAE, saved: SavedModel) -> None:
    """Puts a model file's weights into a network. Raises `ModelError` if the shapes differ."""
    import torch  # here, so that a model's description can be read without it

    try:
        vae.load_state_dict({name: torch.from_numpy(np.array(a, np.float32)) for name, a in saved.weights.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split()[:24])
        raise ModelError(f"{saved.name}: its weights do not fit the preset's network ({reason})") from None


DECODER_WEIGHTS = "decoder."
FIRST_STATE = "decoder.start."


def check_decoder(vae: SequenceVAE, tokenizer: Tokenizer, saved: SavedModel) -> None:
    """Whether a model's decoder can be taken over.

    Raises:
        ModelError: Its tokens are others, or its weights are of other shapes, but for what a language model's lack:
            the columns that read z.
    """
    if token_names(saved.preset.tokenizer) != token_names(tokenizer):
        raise ModelError(f"{saved.name}: its tokens are not those of the data; give a model trained on the same data")
    own = vae.state_dict()
    columns = 0 if saved.preset.model.z_size else vae.settings.readout_size
    for name, array in saved.weights.items():
        if not name.startswith(DECODER_WEIGHTS):
            continue
        there = tuple(own[name].shape) if name in own else ()
        if there not in (array.shape, (*array.shape[:-1], array.shape[-1] + columns)):
            found = f"{saved.name}: its {name} is {array.shape}, and the network to be trained has {there or 'none'}"
            raise ModelError(f"{found}; give a model of the same preset, such as one trained with model.z_size=0")


def token_names(tokenizer: Tokenizer) -> list[list[str]]:
    """Every token of every part, in words."""
    parts = enumerate(tokenizer.alphabet.parts)
    return [[tokenizer.token_name(token, part=index) for token in range(part.size)] for index, part in parts]


def load_decoder(vae: SequenceVAE, saved: SavedModel) -> None:
    """Takes a model's decoder over; what reads z, if that has none, starts at zero.

    So a language model's decoder says exactly what the language model says, whatever z is, and learns from there what
    z is good for. Weights of the network that the model lacks, z's readout, stay as they are. An encoder that reads
    the same tokens starts with the decoder's embeddings: which words are alike need not be learned again.
    """
    import torch

    own = vae.state_dict()
    read, reads = saved.weights.get("decoder.embedding.weight"), own.get("encoder.embedding.weight")
    if read is not None and reads is not None and reads.shape == (len(read) - 1, read.shape[1]):  # without the start
        reads.copy_(torch.from_numpy(np.array(read[:-1], np.float32)))
    for name, array in saved.weights.items():
        if name.startswith(DECODER_WEIGHTS):
            own[name].zero_()
            own[name][tuple(slice(0, size) for size in array.shape)] = torch.from_numpy(np.array(array, np.float32))
    if not any(name.startswith(FIRST_STATE) for name in saved.weights):
        for name, weight in own.items():
            if name.startswith(FIRST_STATE):
                weight.zero_()


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: dict[str, Any], *, overwrite: bool) -> Path:
    """A safetensors file of arrays and one JSON. Raises `WriteError`."""
    content = to_safetensors(dict(arrays), metadata={"seqvae": json.dumps(about)})
    return write_atomic(path, content, overwrite=overwrite)


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the JSON of a file that `write_arrays` wrote. Raises `ModelError`."""
    with _opened(path) as (file, about):
        return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 (not a dict)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A safetensors file and its JSON. Raises `ModelError`."""
    if path.is_dir():
        raise ModelError(f"{path}: a folder, and a .safetensors file is expected")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file, json.loads((file.metadata() or {}).get("seqvae", "{}"))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; `seqvae models` lists the bundled models") from None
    except (OSError, SafetensorError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: not a whole safetensors file ({reason}); get it again or give another") from None
