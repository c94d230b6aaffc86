"""Presets: the settings of a tokenizer, a model and a training. TOML in, JSON in the model, `--set a.b=c` on top."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from seqvae.errors import ConfigError
from seqvae.tokenizers import TOKENIZERS, AnyTokenizer, MelodyTokenizer

DEFAULT_PRESET = "melody-2bar"

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_strict = with_config(ConfigDict(extra="forbid"))


@_strict
@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The network.

    Attributes:
        embedding_size: Width of a token's embedding.
        encoder_size: Units of the encoder LSTM in each direction.
        encoder_layers: Bidirectional layers.
        pooling: How the encoder's outputs become one vector: `last` (the final state of each direction), `mean` or
            `max` over the steps (Long et al. 2019), or `positional` (each step's output projected to `pooling_size`,
            all steps side by side).
        pooling_size: Values kept of each step by `positional`.
        z_size: Size of the latent vector; 0 for none: the decoder alone, a language model.
        mean_scale: γ of a batch normalisation of the posterior's means with this fixed scale (Zhu et al. 2020), so
            that the KL is at least about z_size·γ²/2; 0 for none.
        decoder_sizes: Units of the decoder's LSTM layers, the first reads tokens and z.
        readout: How z reaches a step: `shared` (the same projection at each) or `positional` (one projection a step).
        readout_size: Values of z's projection that each step reads.
        mapping_size: Units of a small network that reads z before the decoder does and adds what it makes of it, so
            that one part of z can say how the rest is meant; 0 for none.
        tied: The decoder's embedding is also what its outputs are compared with (Press and Wolf 2017; Inan et al.
            2017), through a projection to `embedding_size`. For sequences of one symbol a step.
        encoder_dropout: On the embeddings that the encoder reads and on what it pools, in training.
        embedding_dropout: On the embeddings that the decoder reads, in training.
        dropout: On the outputs of each of the decoder's layers, in training.
        recurrent_dropout: Of the decoder's recurrent weights themselves, in training (Merity et al. 2018).
        dropout_mask: Drawn anew for each `step`, or once for a `sequence`: variational or locked dropout (Gal and
            Ghahramani 2016).
        segments: 1 decodes a sequence in one go; more, in so many equal segments (bars, for music) that a conductor
            LSTM plans, as MusicVAE's hierarchy does.
        conductor_size: Units of the conductor, and the size of a segment's plan.
        carry: A segment reads the last token before it; without, all segments are drawn at once.
    """

    embedding_size: Count = 64
    encoder_size: Count = 512
    encoder_layers: Count = 1
    pooling: Literal["last", "mean", "max", "positional"] = "positional"
    pooling_size: Count = 16
    z_size: Whole = 128
    mean_scale: Weight = 0.0
    decoder_sizes: Annotated[tuple[Count, ...], Field(min_length=1)] = (256, 256)
    readout: Literal["shared", "positional"] = "positional"
    readout_size: Count = 64
    mapping_size: Whole = 0
    tied: bool = False
    encoder_dropout: Share = 0.0
    embedding_dropout: Share = 0.0
    dropout: Share = 0.0
    recurrent_dropout: Share = 0.0
    dropout_mask: Literal["step", "sequence"] = "step"
    segments: Count = 1
    conductor_size: Count = 256
    carry: bool = False


@_strict
@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings:
    """The loss: mean over items of Σ_t cross-entropy + β(step) · KL beyond the free nats.

    Attributes:
        beta: β at the end of its schedule. 0 with `autoencoder` is the plain autoencoder.
        beta_start: β at the beginning.
        schedule: `constant`, `linear`, `sigmoid`, `exponential` or `cyclical`.
        schedule_steps: Steps until β is reached; one cycle's length when cyclical.
        pretraining_steps: So many steps at first train the plain autoencoder; then the decoder starts anew, and β's
            schedule with it (Li et al. 2019): the encoder says something before the decoder can do without.
        target_nats: KL that is held by a Lagrange multiplier: β starts at `beta` and grows while the KL is above this
            and shrinks while it is below (Rezende and Viola 2018; Pelsmaeker and Aziz 2020); 0 for none.
        target_speed: Largest change of ln β in a step while a target is held.
        aggressive_steps: In so many steps at first (after pretraining) the decoder moves only once in
            `encoder_updates`, so that the encoder keeps up with it (He et al. 2019, with a fixed number of updates).
        encoder_updates: See there.
        free_nats: KL that costs nothing, in nats: in all (`total`) or for each dimension.
        free_mode: `total` per item; `per_dim` each dimension's KL, per item; `per_dim_batch` on the batch mean.
        autoencoder: z is the posterior mean, with no noise and no KL.
        importance_samples: So many z of each item are decoded, and the loss is the bound that they make together (Burda
            et al. 2016), which is tighter than that of one. The free nats are given back in it.
        word_dropout: Share of the decoder's input tokens replaced by the start token.
        input_noise: Share of the encoder's input tokens replaced by random ones; the target stays clean.
        attributes: Names (see `seqvae.attributes`): the first dimensions of z, in this order, are trained to be
            these, in deviations from their mean (Pati & Lerch 2020 regularise their order; here it is the value).
        attribute_weight: What the squared distance of those dimensions from the attributes costs, in nats.
        edited: Share of items of which the encoder reads a copy with other attributes, made by random edits, while
            the attributes beside that content are those of the item to be written: the decoder learns the least change
            that brings the attributes about. Melodies only, and with `attributes`.
        sampling_start, sampling_end: Share of decoder inputs drawn from the model's own predictions (scheduled
            sampling), linear from the first step to the last.
    """

    beta: Weight = 0.2
    beta_start: Weight = 0.0
    schedule: Literal["constant", "linear", "sigmoid", "exponential", "cyclical"] = "linear"
    schedule_steps: Count = 10_000
    pretraining_steps: Whole = 0
    target_nats: Weight = 0.0
    target_speed: Weight = 0.01
    aggressive_steps: Whole = 0
    encoder_updates: Count = 10
    free_nats: Weight = 0.0
    free_mode: Literal["total", "per_dim", "per_dim_batch"] = "total"
    autoencoder: bool = False
    importance_samples: Count = 1
    word_dropout: Share = 0.0
    input_noise: Share = 0.0
    attributes: tuple[str, ...] = ()
    attribute_weight: Weight = 10.0
    edited: Share = 0.0
    sampling_start: Share = 0.0
    sampling_end: Share = 0.0


@_strict
@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The optimisation.

    Attributes:
        batch_size: Items a step.
        steps: Steps in all.
        optimizer: `adam`, or `sgd` without momentum.
        learning_rate: At its highest.
        learning_rate_end: At its lowest, the last step's.
        decay: How it gets there: along a `cosine`, or on a `plateau`, times `plateau_factor` after each
            `plateau_validations` in a row without a better one. Then training ends when it would sink below its lowest.
        plateau_validations, plateau_factor: See there.
        warmup_steps: Steps of linear growth at the start.
        clip_norm: Largest norm of the gradient.
        weight_decay: Each step takes learning rate × this share from every matrix, biases left alone (Loshchilov and
            Hutter 2019). Rows of rare tokens, which Adam moves far, feel it most.
        weight_average: Decay of the running average of the weights that is validated and saved; 0 for none.
        log_every, validate_every: In steps.
        valid_items: Items of the validation split that are looked at each time.
        patience: Stop after so many validations without a better one; 0 for never.
        replay: Share of each batch that is drawn from the dataset's replay windows, where it has some (see `finetune`).
        precision: `bf16`, `fp32` or `auto` (bf16 where the machine is faster with it).
        workers: Parts of a batch that a CPU computes side by side; it belongs to the arithmetic, so a run keeps it.
    """

    batch_size: Count = 256
    steps: Count = 50_000
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: Weight = 1e-3
    learning_rate_end: Weight = 1e-5
    decay: Literal["cosine", "plateau"] = "cosine"
    plateau_validations: Count = 2
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    warmup_steps: Whole = 500
    clip_norm: Weight = 1.0
    weight_decay: Weight = 0.0
    weight_average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    log_every: Count = 50
    validate_every: Count = 1_000
    valid_items: Count = 1_024
    patience: Whole = 0
    replay: Annotated[float, Field(ge=0, lt=1)] = 0.5
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    workers: Count = 2


@_strict
@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything that decides a training but the data and the seed."""

    name: str
    description: str
    tokenizer: AnyTokenizer = field(default_factory=MelodyTokenizer)
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
        # The tokenizer's kind stands in the place of an error, but not in a preset's keys.
        where = ".".join(str(part) for part in first["loc"] if part not in TOKENIZERS)
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
        raise ConfigError(
            f"there is no preset {str(name)!r}; there are {', '.join(preset_names())}, or give a .toml file"
        )
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


def to_toml(values: dict[str, Any]) -> str:
    """A preset's values as TOML: plain values first, then one table a section."""
    lines = [f"{key} = {_toml_value(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for section, inner in values.items():
        if isinstance(inner, dict):
            lines += ["", f"[{section}]", *(f"{key} = {_toml_value(value)}" for key, value in inner.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(each) for each in value) + "]"
    # JSON's numbers, booleans and strings are TOML's, but for pairs of surrogates and a bare DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
