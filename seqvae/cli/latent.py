"""The verbs between items and their vectors: encode, decode."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, inputs
from seqvae.cli.common import DEFAULT_MODEL, numbered, talk
from seqvae.errors import DataError, ModelError, ReadError
from seqvae.files import write_atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqvae.model import Model


def encode(
    clips: Annotated[
        list[str], typer.Argument(metavar="INPUTS...", help="Files, or texts between quotes.", show_default=False)
    ],
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The .npz to write.")] = Path("z.npz"),
    model: common.FittingModel = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Writes the latent vectors of files to an .npz.

    One row a window; of a file of lines, each line. Arrays: z and std, float32 (rows, z_size), the posterior's mean and
    standard deviation; name and window, the file (of lines with its number, from 1) and the number of its window, from
    0; model and model_hash; of a conditional model control, int64 (rows, time, controls). `seqvae decode` reads it.

    \b
    Example:
      seqvae encode *.mid -o z.npz
      seqvae encode captions.txt --model captions
    """
    import numpy as np

    common.check_file(output, force)
    given = [inputs.Given(word=word, track=track, bars=bars, meter=meter) for word in clips]
    loaded = common.load_model(inputs.settle_model(model, given[:1]), device)
    found = [(one, one.passages(loaded, re_encode=re_encode)) for one in common.progress(given, "reading")]
    passages = [passage for _, several in found for passage in several]
    names = [
        one.word if len(several) == 1 else f"{one.word}:{number}"
        for one, several in found
        for number in range(1, len(several) + 1)
    ]
    rows: dict[str, Any] = {
        "z": np.concatenate([passage.z for passage in passages]),
        "std": np.concatenate([loaded.posterior(passage.tokens)[1] for passage in passages]),
        "name": np.concatenate([[name] * len(passage.z) for name, passage in zip(names, passages, strict=True)]),
        "window": np.concatenate([np.arange(len(passage.z)) for passage in passages]),
        "model": np.array(loaded.name),
        "model_hash": np.array(loaded.hash),
    }
    control = np.concatenate([loaded.control_of(passage.tokens) for passage in passages])
    if control.shape[-1]:
        rows["control"] = control
    content = io.BytesIO()
    np.savez_compressed(content, **rows)
    write_atomic(output, content.getvalue(), overwrite=force)
    talk(f"{len(clips)} inputs, {len(rows['z'])} windows, z_size {loaded.z_size}")
    values = {"verb": "encode", "model": loaded.name, "model_hash": loaded.hash, "windows": len(rows["z"])}
    common.report([output], values, as_json)


def decode(
    latents: Annotated[
        Path, typer.Argument(metavar="Z", help="An .npz of `seqvae encode`, or a bare .npy or .npz of z.")
    ],
    output: common.Output = None,
    temperature: common.Temperature = 0.0,
    top_k: common.TopK = None,
    top_p: common.TopP = None,
    beam: common.Beam = None,
    ban_unk: common.BanUnknown = False,
    seed: common.Seed = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FILE|RUN",
            help="A bundled model, a .safetensors file or a run folder.",
            show_default="the bundled one that the file names",
        ),
    ] = None,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes items from latent vectors in a file.

    From an .npz of `seqvae encode`, one item for each input that was encoded; from a bare array (n, z_size), one for
    each row.

    \b
    Example:
      seqvae decode z.npz -o again
    """
    import numpy as np

    arrays = read_latents(latents)
    loaded = common.load_model(model or maker_of(arrays), device)
    made_by = str(arrays.get("model_hash", loaded.hash))
    if made_by != loaded.hash:
        found = f"{latents}: its z are of model {arrays.get('model', 'unknown')} ({made_by})"
        raise ModelError(f"{found} and this one is {loaded.name} ({loaded.hash}); choose that model with --model")
    stems, groups = grouped(arrays, np.atleast_2d(arrays["z"]))
    target = common.plan(loaded.tokenizer, output, f"out-decode-{latents.stem}", stems, force)
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    seed = common.settle_seed(seed, used=temperature > 0)
    plain = [[None] * len(z) for z in groups]
    controls = controls_of(loaded, arrays, groups)
    made = loaded.render(groups, plain, controls, temperature=temperature, seed=seed, decoding=decoding, verb="decode")
    items = [one.item for one in made]
    files = target.write(items)
    common.deliver(loaded, items, files, common.described("decode", loaded, seed, temperature, decoding), as_json)


# -- helpers -----------------------------------------------------------------------------------------------------------


def maker_of(arrays: dict[str, NDArray[Any]]) -> str:
    """The bundled model that an .npz says made it, or else the usual one."""
    from seqvae.checkpoint import bundled_models

    maker = str(arrays.get("model", DEFAULT_MODEL))
    return maker if maker in bundled_models() else DEFAULT_MODEL


def controls_of(
    model: Model, arrays: dict[str, NDArray[Any]], groups: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.int64]]:
    """The controls of each group of rows, int64 (rows, time, controls): those of the file, or none.

    Raises:
        DataError: The file's do not fit the model.
    """
    import numpy as np

    rows = sum(len(group) for group in groups)
    tokenizer = model.tokenizer
    shape = (rows, tokenizer.length, sum(part.given for part in tokenizer.alphabet.parts))
    control = arrays.get("control", np.zeros(shape, np.int64))
    if control.shape != shape or not np.issubdtype(control.dtype, np.integer):
        raise DataError(f"the controls are {control.dtype} of shape {control.shape}; {model.name} has {shape}")
    return np.split(control.astype(np.int64), np.cumsum([len(group) for group in groups])[:-1])


def read_latents(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz or .npy; `z` is always among them. Never unpickles.

    Raises:
        ReadError: The file is missing, of another kind or damaged.
        DataError: It has several arrays and none is called z, or z is not a row or rows of numbers.
    """
    import struct
    import zipfile
    import zlib

    import numpy as np

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror}); give an .npz or .npy of z") from None
    try:
        content = np.load(io.BytesIO(data), allow_pickle=False)
        found = {"z": content} if isinstance(content, np.ndarray) else {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile):
        what = "is no .npz or .npy of plain numbers, or a damaged one"
        raise ReadError(f"{path}: {what}; `seqvae encode` writes one") from None
    arrays = {name: array for name, array in found.items() if isinstance(array, np.ndarray)}  # not a zip's other files
    if "z" not in arrays and len(arrays) == 1:
        arrays = {"z": next(iter(arrays.values()))}
    if "z" not in arrays:
        raise DataError(
            f"{path}: has the arrays {', '.join(sorted(arrays)) or 'none'}, and none is called z; name one so"
        )
    z = arrays["z"]
    if z.ndim not in (1, 2) or not z.size or not np.issubdtype(z.dtype, np.number):
        raise DataError(f"{path}: z is {z.dtype} of shape {z.shape}; rows of numbers (n, z_size) are expected")
    return arrays


def grouped(arrays: dict[str, NDArray[Any]], z: NDArray[Any]) -> tuple[list[str], list[NDArray[np.float32]]]:
    """Names of items, and the rows of each, in order: rows of one file next to each other are one item."""
    import numpy as np

    labels = arrays.get("name")
    if labels is None or labels.shape != (len(z),) or arrays.get("window", labels).shape != (len(z),):
        return numbered("item", len(z)), [z[i : i + 1] for i in range(len(z))]
    starts = np.flatnonzero(np.append(True, (labels[1:] != labels[:-1]) | (arrays["window"][1:] == 0)))
    numbers = numbered("item", len(starts))
    names = [f"{number}-{Path(str(labels[start])).stem}" for number, start in zip(numbers, starts, strict=True)]
    return names, np.split(z, starts[1:])
