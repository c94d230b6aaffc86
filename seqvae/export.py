"""A model for programs without Python: its network as ONNX or TorchScript, and all else as JSON.

What changes with every token is one small function, `step`; what depends on z alone is computed before by
`start`. The program that plays the model reads tokens in and draws them out: docs/export.md says how, in twenty lines.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

import seqvae
from seqvae.dataset import tokenizer_to_dict
from seqvae.decoder import Decoder, Unrolled
from seqvae.errors import ModelError
from seqvae.hierarchy import SegmentedDecoder
from seqvae.model import Model
from seqvae.recurrent import LstmLayer
from seqvae.vae import SequenceVAE

Format = Literal["onnx", "torchscript"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".pt"}
OPSET = 17
ABOUT = "model.json"


class _Encode(nn.Module):
    """Tokens (1, time[, part]) → mean and std (1, z)."""

    def __init__(self, vae: SequenceVAE) -> None:
        super().__init__()
        self.encoder = vae.encoder

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self.encoder(tokens)
        return posterior.mean, posterior.std


class _Start(nn.Module):
    """z (1, z) → what each step reads of it, in the first layer's gates and in the outputs; the first states."""

    def __init__(self, vae: SequenceVAE) -> None:
        super().__init__()
        self.whole = vae.decoder

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        decoder = self.whole
        if isinstance(decoder, SegmentedDecoder):
            z, decoder = decoder.plans(z)[0], decoder.segment
        ready = Unrolled(decoder, z)
        return ready.from_view, ready.view_outputs, *(part for state in decoder.states(z) for part in state)


class _Step(nn.Module):
    """The token before, what `start` gave for this step, and the states → outputs and new states."""

    from_token: Tensor
    weight: Tensor

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        with torch.no_grad():
            ready = Unrolled(decoder, torch.zeros(1, decoder.settings.z_size))
        self.register_buffer("from_token", ready.from_token.detach())
        self.register_buffer("weight", ready.weight.detach())
        self.embedding, self.layers = decoder.embedding, decoder.layers

    def forward(self, token: Tensor, gates: Tensor, outputs: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        after: list[Tensor] = []
        gates = gates + self.embedding.look_up(self.from_token, token)
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, LstmLayer)
            if index:
                gates = nn.functional.linear(after[-2], layer.weight_ih, layer.bias)
            after += layer.step(gates, (states[2 * index], states[2 * index + 1]))
        return outputs + after[-2] @ self.weight, *after


class _Shift(nn.Module):
    """The tokens of a step so far (rows, part), 0 for those to come → what they add to the outputs of later parts."""

    shifts: Tensor

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.coupling = decoder.output.coupling
        self.register_buffer("shifts", decoder.output.shifts().detach())

    def forward(self, tokens: Tensor) -> Tensor:
        assert self.coupling is not None
        return self.coupling.look_up(self.shifts, tokens)


def file_names(model: Model, to: Format) -> list[str]:
    """What `export_model` writes."""
    parts = ("encode", "start", "step", "shift") if model.tokenizer.alphabet.shape else ("encode", "start", "step")
    return [*(f"{part}{SUFFIXES[to]}" for part in parts), ABOUT]


def export_model(model: Model, folder: Path, *, to: Format = "onnx") -> None:
    """Writes `encode`, `start`, `step` (and `shift`, of steps with several parts) and `model.json` into a folder.

    Args:
        model: Any but a language model, and none whose segments carry a token over.
        folder: One that stands.
        to: `onnx` or `torchscript`.

    Raises:
        ModelError: The model is one that cannot be exported, or the package `onnx` is not installed.

    Example:
        >>> from seqvae import load
        >>> export_model(load("melody-2bar"), Path("melody"))  # doctest: +SKIP
    """
    vae, settings = model.vae, model.preset.model
    if not settings.z_size:
        raise ModelError(f"{model.name}: a language model has no z to be exported; give a model with one")
    if to == "onnx":
        _check_onnx()
    if settings.segments > 1 and settings.carry:
        raise ModelError(f"{model.name}: its segments follow one another (model.carry), which is not exported")
    decoder = vae.decoder.segment if isinstance(vae.decoder, SegmentedDecoder) else vae.decoder
    tokens = torch.zeros(1, vae.length, *vae.alphabet.shape, dtype=torch.int64)
    z = torch.zeros(1, settings.z_size)
    with torch.no_grad():
        gates, outputs, *states = _Start(vae)(z)
    token = decoder.embedding.start.expand(settings.segments, *vae.alphabet.shape).clone()
    names = [f"{kind}_{index}" for index in range(len(decoder.sizes)) for kind in ("hidden", "cell")]
    parts: dict[str, tuple[nn.Module, tuple[Tensor, ...], list[str], list[str]]] = {
        "encode": (_Encode(vae), (tokens,), ["tokens"], ["mean", "std"]),
        "start": (_Start(vae), (z,), ["z"], ["gates", "outputs", *names]),
        "step": (
            _Step(decoder),
            (token, gates[0], outputs[0], *states),
            ["token", "gates", "outputs", *names],
            ["said", *(f"{name}_after" for name in names)],
        ),
    }
    if vae.alphabet.shape:
        parts["shift"] = (_Shift(decoder), (torch.zeros_like(token),), ["tokens"], ["outputs"])
    for name, (module, given, inputs, results) in parts.items():
        _write(module.eval(), given, folder / f"{name}{SUFFIXES[to]}", to, inputs, results)
    (folder / ABOUT).write_text(json.dumps(about(model, decoder, to), indent=1) + "\n", encoding="utf-8")


def _check_onnx() -> None:
    try:
        import onnx  # noqa: F401 (torch does, when all else is done)
    except ImportError:
        raise ModelError("ONNX files are written by the package onnx: pip install onnx, or --to torchscript") from None


def _write(
    module: nn.Module, given: tuple[Tensor, ...], path: Path, to: Format, inputs: Sequence[str], results: Sequence[str]
) -> None:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on constants of the trace, which are meant to be such
        traced = torch.jit.trace(module, given, check_trace=False)  # type: ignore[no-untyped-call]
        if to == "torchscript":
            torch.jit.save(torch.jit.freeze(traced), path)
            return
        torch.onnx.export(
            traced,
            given,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(results),
        )


def about(model: Model, decoder: Decoder, to: Format) -> dict[str, Any]:
    """All that is not arithmetic: what tokens mean, what is read first, where z lies, what numbers are drawn with."""
    alphabet, tokenizer = model.tokenizer.alphabet, model.tokenizer
    scale = decoder.output.log_scale
    return {
        "format": to,
        "seqvae": seqvae.__version__,
        "name": model.name,
        "hash": model.hash,
        "licence": model.licence,
        "tokenizer": tokenizer_to_dict(tokenizer),
        "steps": decoder.length,
        "segments": model.preset.model.segments,
        "parts": [part._asdict() for part in alphabet.parts],
        "end": alphabet.end,
        "start": decoder.embedding.start.tolist(),
        "number_deviations": [] if scale is None else scale.exp().tolist(),
        "z_size": model.z_size,
        "z_mean": model.aggregate.mean.tolist(),
        "z_factor": model.aggregate.factor.tolist(),
        "token_names": [
            [tokenizer.token_name(token, part=index) for token in range(part.size)] if part.gate is None else []
            for index, part in enumerate(alphabet.parts)
        ],
    }
