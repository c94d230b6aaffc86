"""A few sliders in the latent space of a model, learned from one's clips, each named by what it was measured to do.

After MidiMe (Dinculescu, Engel and Roberts 2019), which trains a small VAE of four dimensions on the z of a frozen
MusicVAE. Here the small VAE is linear: its optimum is probabilistic PCA (Lucas et al. 2019), which is solved at once,
and networks with a hidden layer learned a few hundred z by heart. It explains z and, beside it, the attributes of the
windows, which count as much: else a slider is a direction that z varies along but nobody hears.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes import Attribute, attributes_of, measured
from seqvae.checkpoint import read_arrays, write_arrays
from seqvae.errors import DataError, ModelError
from seqvae.latent import Z
from seqvae.passage import PLAIN
from seqvae.tokenizers import Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

FILE = "sliders.safetensors"
GAINS = (1.0, 1.5, 2.0, 2.5, 3.0)
"""How much further than the small VAE says a slider may move z: near moves are undone by a decoder that corrects."""
TARGET = 0.5
"""What one unit is to move some attribute by, in deviations of the clips: the smallest gain that does is taken."""
POSITIONS = (-2.0, -1.0, 0.0, 1.0, 2.0)
JUDGED = 32
"""Windows on which effects are measured."""


@dataclass(frozen=True, kw_only=True)
class Slider:
    """What one slider does.

    Attributes:
        attribute, what: The one it moves most, and that in words; "" where nothing measured moves.
        effect: Of one unit on that attribute, in deviations of the clips: from −2 to 2, a quarter of the change.
        monotone: Spearman's rank correlation of position and attribute from −2 to 2, mean over windows.
        gain: How much further than the small VAE says it moves z.
        also: The next attribute that it moves by at least half as much, and by how much; "" and 0.
    """

    attribute: str
    what: str
    effect: float
    monotone: float
    gain: float
    also: str
    also_effect: float

    def __str__(self) -> str:
        if not self.attribute:
            return "moves nothing that is measured"
        also = f", {self.also} {self.also_effect:+.2f}" if self.also else ""
        return f"{self.attribute} {self.effect:+.2f} a unit (monotone {self.monotone:.2f}){also}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sliders:
    """The sliders of one model. A position is in deviations of the clips: 0 is their middle, −2 and 2 their ends.

    Attributes:
        model, model_hash: Whose latent space they are of.
        mean: float64 (z,), of the clips' z.
        probe: float64 (sliders, z): positions are probe·(z − mean).
        moves: float64 (sliders, z): what one unit adds to z.
        about: What each does.
        explained: Share of the variance of the clips' z that their positions account for.
        windows: How many it was learned from.
    """

    model: str
    model_hash: str
    mean: NDArray[np.float64]
    probe: NDArray[np.float64]
    moves: NDArray[np.float64]
    about: Sequence[Slider]
    explained: float
    windows: int

    def __len__(self) -> int:
        return len(self.moves)

    def read(self, z: Z) -> NDArray[np.float64]:
        """Where the sliders stand: (…, z) → float64 (…, sliders)."""
        positions: NDArray[np.float64] = (np.asarray(z, np.float64) - self.mean) @ self.probe.T
        return positions

    def set(self, z: Z, positions: Mapping[Any, float], *, together: bool = False) -> Z:
        """z moved so that some sliders stand where they are asked to; all else of it stays.

        Args:
            z: float32 (…, z).
            positions: Of sliders by number, from 1, or by the name of their attribute (int or str).
            together: All rows of (n, z) are one item, and move alike, by what their mean needs.

        Returns:
            float32, the shape of z; without positions z itself.

        Raises:
            DataError: There is no such slider, two have that name, or a position is not finite.
        """
        moved = np.array(z, np.float64)
        here = self.read(z)
        for name, position in positions.items():
            index = self.index(name)
            if not np.isfinite(position):
                raise DataError(f"slider {name} is to stand at {position}; give a number from -2 to 2, such as 1.5")
            away = position - here[..., index]
            away = np.broadcast_to(away.mean(), away.shape) if together else away
            moved += away[..., None] * self.moves[index]
        return moved.astype(np.float32)

    def index(self, name: int | str) -> int:
        """Of a slider by its number from 1 or its attribute, from 0. Raises `DataError`."""
        if isinstance(name, int) or name.isdecimal():
            if not 1 <= int(name) <= len(self):
                raise DataError(f"there is no slider {name}; there are 1 to {len(self)}")
            return int(name) - 1
        found = [index for index, one in enumerate(self.about) if one.attribute == name]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{number} ({one.attribute})" for number, one in enumerate(self.about, 1))
        what = f"{len(found)} sliders move {name!r} most" if found else f"no slider is named {name!r}"
        raise DataError(f"{what}; give a number: {known}")

    def describe(self) -> list[str]:
        """A line for each."""
        return [f"slider {number}: {one}" for number, one in enumerate(self.about, 1)]

    def save(self, path: Path) -> Path:
        """Writes a file of arrays. Raises `WriteError`."""
        arrays = {"mean": self.mean, "probe": self.probe, "moves": self.moves}
        about = {
            "sliders": [asdict(one) for one in self.about],
            "model": self.model,
            "model_hash": self.model_hash,
            "explained": self.explained,
            "windows": self.windows,
        }
        return write_arrays(path, arrays, about, overwrite=True)

    @staticmethod
    def load(path: Path, model: Model) -> Sliders:
        """Reads a file that `save` wrote.

        Raises:
            ModelError: It is missing, damaged, or of another model.
        """
        if not path.is_file():
            raise ModelError(f"{path}: there are no sliders; make some with: seqvae finetune CLIPS --frozen -o RUN")
        arrays, about = read_arrays(path)
        try:
            found = Sliders(
                model=about["model"],
                model_hash=about["model_hash"],
                mean=arrays["mean"],
                probe=arrays["probe"],
                moves=arrays["moves"],
                about=tuple(Slider(**one) for one in about["sliders"]),
                explained=about["explained"],
                windows=about["windows"],
            )
        except (KeyError, TypeError) as error:
            raise ModelError(f"{path}: is no file of sliders ({error}); make it again with seqvae finetune") from None
        if found.model_hash != model.hash:
            whose = f"{path}: its sliders are of model {found.model_hash} and {model.name} is {model.hash}"
            raise ModelError(f"{whose}; make them again with seqvae finetune")
        return found


# -- from clips to sliders ---------------------------------------------------------------------------------------------


def sliders(model: Model, windows: Tokens, n: int = 4, *, held_out: Tokens | None = None, seed: int = 0) -> Sliders:
    """Learns sliders from the windows of some clips, in less than a minute on one core.

    Args:
        model: Whose latent space; it is not changed.
        windows: int64 (windows, time) or (windows, time, part), more than n.
        n: How many sliders.
        held_out: Other windows to measure what the sliders do; `windows` themselves if left out or empty.
        seed: Decides on which windows effects are measured.

    Raises:
        DataError: Too few windows, or n is below 1.

    Example:
        >>> model = load("melody-2bar")  # doctest: +SKIP
        >>> mine = sliders(model, np.stack([model.tokenizer.encode(clip) for clip in clips]))  # doctest: +SKIP
        >>> brighter = model.decode(mine.set(model.draw(8), {1: 1.5}))  # doctest: +SKIP
    """
    if n < 1:
        raise DataError(f"{n} sliders are asked for; ask for 1 or more, such as 4")
    if len(windows) < n + 2:
        raise DataError(f"{n} sliders are asked for and there are {len(windows)} windows; {n + 2} are needed")
    attributes = list(attributes_of(model.tokenizer).values())
    z, _ = model.network.posterior(windows)
    values = _measured(model, attributes, windows)
    probe, moves = small_vae(z, values, n)
    judged = windows if held_out is None or not len(held_out) else held_out
    rows = np.random.default_rng((seed, 9)).permutation(len(judged))[:JUDGED]
    plain = Sliders(
        model=model.name,
        model_hash=model.hash,
        mean=z.mean(axis=0, dtype=np.float64),
        probe=probe,
        moves=moves,
        about=(),
        explained=_explained(z, probe, moves),
        windows=len(windows),
    )
    return _named(plain, model, attributes, judged[np.sort(rows)], moments(values)[1])


def small_vae(z: Z, values: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The linear VAE of z and attributes at its optimum, read from z alone.

    Probabilistic PCA (Tipping & Bishop 1999) of [z − mean, c·standardised attributes], c such that both halves have the
    same variance: loadings W = U(Λ − σ²)^½ and noise σ², the mean of the eigenvalues left out. Given z, the latent's
    posterior mean is (WᵀW + σ²I)⁻¹Wᵀ(z − mean) with the rows of W that belong to z.

    Args:
        z: float32 (windows, z).
        values: float64 (windows, attributes); NaN where one is not defined.
        n: Dimensions.

    Returns:
        probe float64 (n, z), such that probe·(z − mean) has deviation 1, and what one unit adds to z, float64 (n, z).
    """
    centred = np.asarray(z, np.float64) - z.mean(axis=0, dtype=np.float64)
    middle, deviation = moments(values)
    filled = np.where(np.isfinite(values), values - middle, 0.0)
    heard = filled[:, deviation > 1e-9] / deviation[deviation > 1e-9]
    weight = np.sqrt(np.square(centred).sum() / max(np.square(heard).sum(), 1e-9)) if heard.size else 0.0
    together = np.concatenate([centred, weight * heard], axis=1)
    _, singular, directions = np.linalg.svd(together, full_matrices=False)
    spread = singular**2 / len(z)
    noise = max(float(spread[n:].sum()) / max(1, together.shape[1] - n), 1e-6 * float(spread[0]))
    loadings = directions[:n].T * np.sqrt(np.maximum(spread[:n] - noise, 0.0))
    of_z = loadings[: z.shape[1]]
    probe = np.linalg.solve(of_z.T @ of_z + noise * np.eye(n), of_z.T)
    scale = np.maximum((centred @ probe.T).std(axis=0), 1e-9)
    return probe / scale[:, None], of_z.T * scale[:, None]


def moments(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each column where it is defined, float64 (attributes,); 0 of nothing."""
    defined = np.ma.masked_invalid(values)
    return np.ma.filled(defined.mean(axis=0), 0.0), np.ma.filled(defined.std(axis=0), 0.0)


def _explained(z: Z, probe: NDArray[np.float64], moves: NDArray[np.float64]) -> float:
    centred = np.asarray(z, np.float64) - z.mean(axis=0, dtype=np.float64)
    rest = centred - centred @ probe.T @ moves
    return float(1.0 - np.square(rest).sum() / max(np.square(centred).sum(), 1e-12))


def _measured(model: Model, attributes: Sequence[Attribute], tokens: Tokens) -> NDArray[np.float64]:
    return measured(attributes, [model.tokenizer.decode(row) for row in tokens])


def _named(
    plain: Sliders, model: Model, attributes: Sequence[Attribute], windows: Tokens, deviations: NDArray[np.float64]
) -> Sliders:
    """The sliders with their gains, turned so that the attribute each moves most rises, strongest first."""
    z, _ = model.network.posterior(windows)
    controls = model.control_of(windows)
    found = []
    for index in range(len(plain)):
        probe, move = plain.probe[index], plain.moves[index]
        for gain in GAINS:
            curve = _curve(model, attributes, z, controls, (plain.mean, probe, gain * move))
            effects = _effects(curve, deviations)
            if np.abs(effects).max(initial=0.0) >= TARGET:
                break
        best = int(np.abs(effects).argmax()) if len(effects) else 0
        sign = -1.0 if len(effects) and effects[best] < 0 else 1.0
        about = _about(attributes, sign * effects, sign * curve, gain)
        found.append((about, sign * probe, sign * gain * move))
    found.sort(key=lambda one: -one[0].effect)
    return Sliders(
        model=plain.model,
        model_hash=plain.model_hash,
        mean=plain.mean,
        probe=np.stack([probe for _, probe, _ in found]),
        moves=np.stack([move for _, _, move in found]),
        about=tuple(about for about, _, _ in found),
        explained=plain.explained,
        windows=plain.windows,
    )


def _curve(
    model: Model,
    attributes: Sequence[Attribute],
    z: Z,
    controls: Tokens,
    slider: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Attributes with one slider, (mean, probe, move), at each of `POSITIONS`: float64 (positions, windows, attrs)."""
    mean, probe, move = slider
    here = (z - mean) @ probe
    places = [z + (position - here)[:, None] * move for position in POSITIONS]
    rows = np.concatenate(places).astype(np.float32)
    drawn = model.network.generate(rows, np.concatenate([controls] * len(POSITIONS)), 0.0, 0, PLAIN)
    values = _measured(model, attributes, model.tokenizer.canonical(drawn))
    return values.reshape(len(POSITIONS), len(z), len(attributes))


def _effects(curve: NDArray[np.float64], deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean change of a unit over the whole way, in deviations; 0 of attributes that do not vary."""
    change = (curve[-1] - curve[0]) / (POSITIONS[-1] - POSITIONS[0])
    counted = np.isfinite(change)
    mean = np.where(counted, change, 0.0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    varies = deviations > 1e-9
    return np.asarray(np.where(varies, mean / np.where(varies, deviations, 1.0), 0.0))


def _about(
    attributes: Sequence[Attribute], effects: NDArray[np.float64], curve: NDArray[np.float64], gain: float
) -> Slider:
    from seqvae.evaluate.space import spearman

    order = np.argsort(-np.abs(effects), kind="stable")
    if not len(order) or not effects[order[0]]:
        return Slider(attribute="", what="", effect=0.0, monotone=0.0, gain=gain, also="", also_effect=0.0)
    best = order[0]
    ways = curve[:, np.isfinite(curve[:, :, best]).all(axis=0), best].T
    steps = np.arange(len(POSITIONS))
    ranks = np.nan_to_num([spearman(steps, way) for way in ways]) if len(ways) else np.zeros(1)
    second = order[1] if len(order) > 1 and abs(effects[order[1]]) >= abs(effects[best]) / 2 else None
    return Slider(
        attribute=attributes[best].name,
        what=attributes[best].what,
        effect=float(effects[best]),
        monotone=float(ranks.mean()),
        gain=gain,
        also="" if second is None else attributes[second].name,
        also_effect=0.0 if second is None else float(effects[second]),
    )
