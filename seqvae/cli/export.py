"""The verb `export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seqvae.cli import common


class ExportFormat(StrEnum):
    """What is written."""

    onnx = "onnx"
    torchscript = "torchscript"


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A bundled model's name, a .safetensors file, a run.")],
    to: Annotated[ExportFormat, typer.Option("--to", help="What the network is written as.")] = ExportFormat.onnx,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder.", show_default="out-export/MODEL")
    ] = None,
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Writes a model for programs without Python: plug-ins, browsers, Max.

    encode, start and step (and shift, where a step has several parts) as ONNX or TorchScript, and model.json with the
    tokenizer and all that is not arithmetic; docs/export.md says how to play it.

    \b
    Example:
      seqvae export melody-2bar -o melody
      seqvae export runs/mine --to torchscript -o mine
    """
    loaded = common.load_model(model, "cpu")
    folder = output or Path("out-export") / loaded.name

    from seqvae.export import export_model, file_names

    names = file_names(loaded, to.value)
    with common.whole_folder(folder, names, force) as aside:
        export_model(loaded, aside, to=to.value)
    common.report([folder / name for name in names], {"model": loaded.name, "to": to.value}, as_json)
