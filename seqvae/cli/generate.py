"""The verbs that use a model: sample, interpolate, reconstruct, vary, encode, decode."""

from __future__ import annotations

import io
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common
from seqvae.cli.common import DEFAULT_MODEL, talk
from seqvae.cli.compare import compare, show_comparison
from seqvae.errors import DataError, ModelError, ReadError
from seqvae.files import write_atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqvae.model import Model


class FitChoice(StrEnum):
    """What to do with the shorter of two inputs, or the longer."""

    loop = "loop"
    pad = "pad"
    cut = "cut"


class PriorChoice(StrEnum):
    """Where samples are drawn from."""

    aggregate = "aggregate"
    normal = "normal"


Input = Annotated[Path, typer.Argument(metavar="CLIP", help="A file of the model's kind.", show_default=False)]
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="How many.")]


def sample(
    n: Count = 16,
    prior: Annotated[
        PriorChoice, typer.Option("--prior", help="Draw where the training data lie, or from N(0, I).")
    ] = PriorChoice.aggregate,
    output: common.OutputFolder = None,
    temperature: common.Temperature = 0.8,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes new items from nothing but a seed.

    \b
    Example:
      seqvae sample -n 16 --seed 1 -o new
    """
    folder = output or Path("out-sample")
    loaded = common.load_model(model, device)
    names = common.plan_files(loaded, folder, numbered("sample", n), force)
    seed = common.settle_seed(seed)
    items = loaded.sample(n, prior=prior.value, temperature=temperature, seed=seed)
    named = list(zip(names, items, strict=True))
    files = common.write_items(loaded, folder, named, force, picture=named[:16], on_path=False)
    values = described("sample", loaded, seed, temperature)
    common.report(files, {**values, "prior": prior.value}, as_json)


def interpolate(
    a: Annotated[Path, typer.Argument(metavar="A", help="Where the path begins.", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", help="Where it ends.", show_default=False)],
    steps: Annotated[int, typer.Option("--steps", min=2, help="Items on the path, both ends among them.")] = 8,
    straight: Annotated[bool, typer.Option("--lerp", help="Go straight and not along the sphere (slerp).")] = False,
    exact_ends: Annotated[
        bool, typer.Option("--exact-ends", help="The inputs themselves at the ends, not decoded.")
    ] = False,
    fit: Annotated[
        FitChoice,
        typer.Option("--fit", help="Inputs of unequal length: loop or pad the shorter one, or cut the longer one."),
    ] = FitChoice.loop,
    tracks: Annotated[
        list[str] | None, typer.Option("--track", metavar="N|NAME", help="Which track, from 0; twice for A and B.")
    ] = None,
    bars: Annotated[
        list[str] | None, typer.Option("--bars", metavar="5:7", help="Only these bars, from 1; twice for A and B.")
    ] = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: common.OutputFolder = None,
    temperature: common.Temperature = 0.0,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes a path of items from A to B.

    Writes step-01, step-02, ..., all of them joined, and a picture. Prints how far each step lies from A and from B:
    edits of its tokens over its length, 0 the same, 1 nothing in common. Inputs longer than the model's window are
    used whole, window by window.

    \b
    Example:
      seqvae interpolate a.mid b.mid --steps 8
      seqvae interpolate a.mid b.mid --bars 5:8 --track melody -o path
    """
    from seqvae.latent import lerp, slerp

    folder = output or Path(f"out-interpolate-{a.stem}-{b.stem}")
    track_of, bars_of = (
        common.for_each_input(tracks or [], "--track", 2),
        common.for_each_input(bars or [], "--bars", 2),
    )
    loaded = common.load_model(model, device)
    names = common.plan_files(loaded, folder, [*numbered("step", steps), "joined"], force)
    start, end = (
        common.read_passage(loaded, path, track=track_of[i], bars=bars_of[i], meter=meter, re_encode=re_encode)
        for i, path in enumerate((a, b))
    )
    if len(start.z) != len(end.z):
        talk(f"{a} has {len(start.z)} windows and {b} has {len(end.z)}: --fit {fit.value}")
    start, end = loaded.fit(start, end, fit.value)
    seed = common.settle_seed(seed, used=temperature > 0)
    path = lerp if straight else slerp
    found = loaded.between(start, end, steps, path=path, temperature=temperature, seed=seed)
    if exact_ends:
        found[0], found[-1] = start, end

    rows = [(loaded.distance(one.tokens, start.tokens), loaded.distance(one.tokens, end.tokens)) for one in found]
    joined = loaded.join(found, temperature=temperature, seed=seed, verb="interpolate")
    named = list(zip(names, [*(one.item for one in found), joined], strict=True))
    files = common.write_items(loaded, folder, named, force, picture=named[:-1])
    talk("step   to A   to B")
    for number, (to_a, to_b) in enumerate(rows, start=1):
        talk(f"{number:4d}{to_a:7.2f}{to_b:7.2f}")
    distances = [
        {"file": str(file), "to_a": to_a, "to_b": to_b} for file, (to_a, to_b) in zip(files, rows, strict=False)
    ]
    common.report(files, {**described("interpolate", loaded, seed, temperature), "steps": distances}, as_json)


def reconstruct(
    clip: Input,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    output: common.OutputFolder = None,
    temperature: common.Temperature = 0.0,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Encodes an item, decodes it, shows the differences.

    Bars are counted from the first one used.

    \b
    Example:
      seqvae reconstruct a.mid --bars 1:4
    """
    folder = output or Path(f"out-reconstruct-{clip.stem}")
    loaded = common.load_model(model, device)
    names = common.plan_files(loaded, folder, ["reconstruction"], force)
    given = common.read_passage(loaded, clip, track=track, bars=bars, meter=meter, re_encode=True)
    seed = common.settle_seed(seed, used=temperature > 0)
    made = loaded.again(given, temperature=temperature, seed=seed)

    picture = [("input", given.item), ("reconstruction", made.item)]
    files = common.write_items(loaded, folder, [(names[0], made.item)], force, picture=picture)
    values = compare(loaded, given, made)
    show_comparison(values)
    common.report(files, {**described("reconstruct", loaded, seed, temperature), **values}, as_json)


def vary(
    clip: Input,
    amount: Annotated[
        float, typer.Option("--amount", min=0.0, max=1.0, help="0 is the item decoded, 1 unrelated to it.")
    ] = 0.3,
    n: Count = 6,
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: common.OutputFolder = None,
    temperature: common.Temperature = 0.0,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes neighbours of an item.

    Prints how far each lies from it (edits of its tokens over its length).

    \b
    Example:
      seqvae vary a.mid --amount 0.3 -n 6
    """
    folder = output or Path(f"out-vary-{clip.stem}")
    loaded = common.load_model(model, device)
    names = common.plan_files(loaded, folder, numbered("vary", n), force)
    given = common.read_passage(loaded, clip, track=track, bars=bars, meter=meter, re_encode=re_encode)
    seed = common.settle_seed(seed)
    found = loaded.around(given, amount, n, temperature=temperature, seed=seed)

    items = [one.item for one in found]
    named = list(zip(names, items, strict=True))
    picture = [("input", given.item), *named][:17]
    files = common.write_items(loaded, folder, named, force, picture=picture, on_path=False)
    distances = [loaded.distance(one.tokens, given.tokens) for one in found]
    talk("item  to the input")
    for number, distance in enumerate(distances, start=1):
        talk(f"{number:4d}{distance:14.2f}")
    values = described("vary", loaded, seed, temperature)
    common.report(files, {**values, "amount": amount, "distances": distances}, as_json)


def encode(
    clips: Annotated[
        list[Path], typer.Argument(metavar="CLIPS...", help="Files of the model's kind.", show_default=False)
    ],
    track: common.Track = None,
    bars: common.Bars = None,
    meter: common.Meter = None,
    re_encode: common.ReEncode = False,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The .npz to write.")] = Path("z.npz"),
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Writes the latent vectors of files to an .npz.

    One row a window. Arrays: z and std, float32 (rows, z_size), the posterior's mean and standard deviation; name and
    window, the file and the number of its window from 0; model and model_hash. `seqvae decode` reads it.

    \b
    Example:
      seqvae encode *.mid -o z.npz
    """
    import numpy as np

    common.check_file(output, force)
    loaded = common.load_model(model, device)
    passages = [
        common.read_passage(loaded, path, track=track, bars=bars, meter=meter, re_encode=re_encode)
        for path in common.progress(clips, "reading")
    ]
    rows: dict[str, Any] = {
        "z": np.concatenate([passage.z for passage in passages]),
        "std": np.concatenate([loaded.posterior(passage.tokens)[1] for passage in passages]),
        "name": np.concatenate([[str(path)] * len(found.z) for path, found in zip(clips, passages, strict=True)]),
        "window": np.concatenate([np.arange(len(passage.z)) for passage in passages]),
        "model": np.array(loaded.name),
        "model_hash": np.array(loaded.hash),
    }
    content = io.BytesIO()
    np.savez_compressed(content, **rows)
    write_atomic(output, content.getvalue(), overwrite=force)
    talk(f"{len(clips)} files, {len(rows['z'])} windows, z_size {loaded.z_size}")
    values = {"verb": "encode", "model": loaded.name, "model_hash": loaded.hash, "windows": len(rows["z"])}
    common.report([output], values, as_json)


def decode(
    latents: Annotated[
        Path, typer.Argument(metavar="Z", help="An .npz of `seqvae encode`, or a bare .npy or .npz of z.")
    ],
    output: common.OutputFolder = None,
    temperature: common.Temperature = 0.0,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes items from latent vectors in a file.

    From an .npz of `seqvae encode`, one item for each file that was encoded; from a bare array (n, z_size), one for
    each row.

    \b
    Example:
      seqvae decode z.npz -o again
    """
    import numpy as np

    arrays = read_latents(latents)
    folder = output or Path(f"out-decode-{latents.stem}")
    loaded = common.load_model(model, device)
    made_by = str(arrays.get("model_hash", loaded.hash))
    if made_by != loaded.hash:
        found = f"{latents}: its z are of model {arrays.get('model', 'unknown')} ({made_by})"
        raise ModelError(f"{found} and this one is {loaded.name} ({loaded.hash}); choose that model with --model")
    names, groups = grouped(arrays, np.atleast_2d(arrays["z"]))
    names = common.plan_files(loaded, folder, names, force)
    seed = common.settle_seed(seed, used=temperature > 0)
    plain = [[None] * len(z) for z in groups]
    items = loaded.render(groups, plain, temperature=temperature, seed=seed, verb="decode")
    named = [(name, made.item) for name, made in zip(names, items, strict=True)]
    files = common.write_items(loaded, folder, named, force)
    common.report(files, described("decode", loaded, seed, temperature), as_json)


# -- helpers -----------------------------------------------------------------------------------------------------------


def numbered(stem: str, count: int) -> list[str]:
    """step-01, step-02, ...: as many digits as the count needs, at least two, so that files sort."""
    width = max(2, len(str(count)))
    return [f"{stem}-{number:0{width}d}" for number in range(1, count + 1)]


def described(verb: str, model: Model, seed: int, temperature: float) -> dict[str, Any]:
    """What every JSON answer says."""
    return {"verb": verb, "model": model.name, "model_hash": model.hash, "seed": seed, "temperature": temperature}


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
