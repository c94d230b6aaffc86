"""Presets: the settings of a tokenizer, a model and a training. TOML in, JSON in the model file, `--set a.b=c` on top."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from seqvae.errors import ConfigError
from seqvae.tokenizers import MelodyTokenizer

DEFAULT_PRESET = "melody-2bar"

_strict = with_config(ConfigDict(extra="forbid"))


@_strict
@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The network.

    Attributes:
        embedding_size: Width of a token's embedding.
        encoder_size: Units of the encoder LSTM in each direction.
        encoder_layers: Bidirectional layers.
        pooling: How the encoder's outputs become one vector: `last` (the final state of each direction) or `positional`
            (each step's output projected to `pooling_size`, all steps side by side).
        pooling_size: Values kept of each step by `positional`.
        z_size: Size of the latent vector. 0 is a language model.
        decoder_sizes: Units of the decoder's LSTM layers, the first reads tokens and z.
        readout: How z reaches a step: `shared` (the same projection at each) or `positional` (one projection a step).
        readout_size: Values of z's projection that each step reads.
        dropout: On the decoder's outputs, in training.
    """

    embedding_size: int = 64
    encoder_size: int = 512
    encoder_layers: int = 1
    pooling: Literal["last", "positional"] = "positional"
    pooling_size: int = 16
    z_size: int = 128
    decoder_sizes: tuple[int, ...] = (256, 256)
    readout: Literal["shared", "positional"] = "positional"
    readout_size: int = 64
    dropout: float = 0.0


@_strict
@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings:
    """The loss: mean over items of Σ_t cross-entropy + β(step) · KL beyond the free nats.

    Attributes:
        beta: β at the end of its schedule. 0 with `autoencoder` is the plain autoencoder.
        beta_start: β at the beginning.
        schedule: `constant`, `linear`, `sigmoid`, `exponential` or `cyclical`.
        schedule_steps: Steps until β is reached; one cycle's length when cyclical.
        free_nats: KL that costs nothing, in nats: in all (`total`) or for each dimension.
        free_mode: `total` per item; `per_dim` each dimension's KL, per item; `per_dim_batch` on the batch mean.
        autoencoder: z is the posterior mean, with no noise and no KL.
        word_dropout: Share of the decoder's input tokens replaced by the start token.
        input_noise: Share of the encoder's input tokens replaced by random ones; the target stays clean.
        sampling_start, sampling_end: Share of decoder inputs drawn from the model's own predictions (scheduled sampling),
            linear from the first step to the last.
    """

    beta: float = 0.2
    beta_start: float = 0.0
    schedule: Literal["constant", "linear", "sigmoid", "exponential", "cyclical"] = "linear"
    schedule_steps: int = 10_000
    free_nats: float = 0.0
    free_mode: Literal["total", "per_dim", "per_dim_batch"] = "total"
    autoencoder: bool = False
    word_dropout: float = 0.0
    input_noise: float = 0.0
    sampling_start: float = 0.0
    sampling_end: float = 0.0


@_strict
@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The optimisation.

    Attributes:
        batch_size: Items a step.
        steps: Steps in all.
        learning_rate: Adam's, at its highest.
        learning_rate_end: At the last step, reached along a cosine.
        warmup_steps: Steps of linear growth at the start.
        clip_norm: Largest norm of the gradient.
        weight_average: Decay of the running average of the weights that is validated and saved; 0 for none.
        log_every, validate_every: In steps.
        valid_items: Items of the validation split that are looked at each time.
        patience: Stop after so many validations without a better one; 0 for never.
        precision: `bf16`, `fp32` or `auto` (bf16 where the machine is faster with it).
        workers: Parts of a batch that a CPU computes side by side; it belongs to the arithmetic, so a run keeps it.
    """

    batch_size: int = 256
    steps: int = 50_000
    learning_rate: float = 1e-3
    learning_rate_end: float = 1e-5
    warmup_steps: int = 500
    clip_norm: float = 1.0
    weight_average: float = 0.999
    log_every: int = 50
    validate_every: int = 1_000
    valid_items: int = 1_024
    patience: int = 0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    workers: int = 2


@_strict
@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything that decides a training but the data and the seed."""

    name: str
    description: str
    tokenizer: MelodyTokenizer = field(default_factory=MelodyTokenizer)
    model: ModelSettings = field(default_factory=ModelSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    train: TrainSettings = field(default_factory=TrainSettings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and TOML; `preset_from_dict` gives the same preset back."""
        return asdict(self)


_adapter = TypeAdapter(Preset)


def preset_from_dict(values: dict[str, Any], source: str = "preset") -> Preset:
    """Builds and checks a preset.

    Raises:
        ConfigError: A key is unknown, a value has the wrong type or range; the message names it.
    """
    try:
        return _adapter.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            raise ConfigError(f"{source}: unknown setting {where!r}; see docs/presets.md for the names") from None
        raise ConfigError(f"{source}: {where} is {first.get('input')!r}: {first['msg']}") from None


def preset_names() -> list[str]:
    """The presets that come with seqvae."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def load_preset(name: str | Path, overrides: Iterable[str] = ()) -> Preset:
    """A bundled preset by name, or a .toml file, with `--set` overrides such as "model.z_size=64" applied.

    Raises:
        ConfigError: There is no such preset, the file is no TOML, or a setting is wrong.

    >>> load_preset("melody-2bar", ["model.z_size=64"]).model.z_size
    64
    """
    path = Path(name)
    if path.suffix == ".toml":
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as a preset ({error}); give a .toml file") from None
    elif str(name) in preset_names():
        text = (_folder() / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise ConfigError(f"there is no preset {str(name)!r}; there are {', '.join(preset_names())}, or give a .toml file")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from None
    values.setdefault("name", path.stem)
    values.setdefault("description", "")
    for override in overrides:
        _set(values, override)
    return preset_from_dict(values, str(name))


def with_settings(preset: Preset, overrides: Iterable[str]) -> Preset:
    """The preset with `--set` overrides applied. Raises `ConfigError`."""
    values = preset.to_dict()
    for override in overrides:
        _set(values, override)
    return preset_from_dict(values, preset.name)


def rename(preset: Preset, name: str) -> Preset:
    """The same preset under another name."""
    return replace(preset, name=name)


def _set(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r} is not of the form section.name=value, such as model.z_size=64")
    *sections, name = key.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override!r}: {section!r} is a value, not a section")
        values = inner
    try:
        values[name] = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        values[name] = text.strip()  # a bare word is a string


def _folder() -> Any:
    """Presets lie beside the package in a checkout and inside it in a wheel."""
    bundled = resources.files("seqvae") / "presets"
    return bundled if bundled.is_dir() else Path(__file__).resolve().parent.parent / "presets"
