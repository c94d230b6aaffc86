"""Plays an exported model with ONNX Runtime and numpy alone: what a plug-in or a page would do, in Python.

    pip install onnx onnxruntime
    seqvae export melody-2bar -o melody
    python examples/play_onnx.py melody 1

prints the tokens that `seqvae.load("melody-2bar").sample(1, seed=1)` is made of. Nothing of seqvae is imported.
"""

import json
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[Any]


class Player:
    """An exported model: tokens to z, z to tokens."""

    def __init__(self, folder: str | Path) -> None:
        """Of the folder that `seqvae export` wrote."""
        self.about = json.loads(Path(folder, "model.json").read_text(encoding="utf-8"))
        names = ["encode", "start", "step"] + ["shift"] * (len(self.about["parts"]) > 1)
        self.run = {name: onnxruntime.InferenceSession(str(Path(folder, f"{name}.onnx"))).run for name in names}

    def encode(self, tokens: Array) -> tuple[Array, Array]:
        """int64 (time,) or (time, part) → mean and standard deviation, float32 (z,)."""
        mean, std = self.run["encode"](None, {"tokens": tokens[None]})
        return mean[0], std[0]

    def draw_z(self, rng: np.random.Generator) -> Array:
        """A place where the training data lie: float32 (z,)."""
        about = self.about
        z: Array = np.array(about["z_mean"]) + np.array(about["z_factor"]) @ rng.standard_normal(about["z_size"])
        return z.astype(np.float32)

    def generate(self, z: Array, temperature: float = 0.0, seed: int = 0, given: Array | None = None) -> Array:
        """z (z,) → tokens int64 (time,) or (time, part). Segments are written side by side, then one after another."""
        about, several = self.about, len(self.about["parts"]) > 1
        rows, steps = about["segments"], about["steps"]
        parts = about["parts"] if several else about["parts"][:1]
        numbers = np.random.default_rng(seed).random((rows, steps, len(parts)), np.float32)
        gates, outputs, *states = self.run["start"](None, {"z": z[None]})
        names = [f"{kind}_{index}" for index in range(len(states) // 2) for kind in ("hidden", "cell")]
        token = np.tile(np.array(about["start"], np.int64).reshape(-1), (rows, 1))
        controls = sum(part["given"] for part in parts)
        given = np.zeros((rows * steps, controls), np.int64) if given is None else given
        tokens, ended = np.zeros((rows, steps, len(parts)), np.int64), np.zeros((rows, 1), bool)
        for t in range(steps):
            if controls:
                token[:, :controls] = given.reshape(rows, steps, -1)[:, t]
            read = {"token": token if several else token[:, 0], "gates": gates[t], "outputs": outputs[t]}
            said, *states = self.run["step"](None, {**read, **dict(zip(names, states, strict=True))})
            drawn = np.where(np.arange(len(parts)) < controls, token, 0)
            self._draw(said, drawn, numbers[:, t], temperature)
            if about["end"] is not None:  # after the end there is nothing but ends
                drawn = np.where(ended, about["end"], drawn)
                ended |= drawn == about["end"]
            tokens[:, t] = token = drawn
        return tokens.reshape(rows * steps, *([len(parts)] if several else []))

    def _draw(self, said: Array, tokens: Array, numbers: Array, temperature: float) -> None:
        """Fills in the tokens of one step, part after part: each sees those before it."""
        first = count = 0
        for index, part in enumerate(self.about["parts"]):
            if part["given"]:
                continue
            width = 1 if part["gate"] is not None else part["size"]
            more = self.run["shift"](None, {"tokens": tokens})[0] if len(self.about["parts"]) > 1 else 0.0
            own = (said + more)[:, first : first + width]
            first += width
            for row in range(len(tokens)):
                if part["gate"] is None:
                    tokens[row, index] = symbol(own[row], numbers[row, index], temperature)
                else:
                    deviation = temperature * self.about["number_deviations"][count]
                    value = number(own[row, 0], numbers[row, index], deviation, part["size"])
                    tokens[row, index] = value * (tokens[row, part["gate"]] > 0)
            count += part["gate"] is not None


def symbol(logits: Array, uniform: float, temperature: float) -> int:
    """The likeliest token; above temperature 0 the one where the cumulative distribution passes `uniform`."""
    if not temperature:
        return int(logits.argmax())
    scores = logits.astype(np.float64) / temperature
    order = np.argsort(-scores, kind="stable")
    cumulative = np.exp(scores[order] - scores[order[0]]).cumsum()
    return int(order[min((cumulative <= np.float64(uniform) * cumulative[-1]).sum(), len(order) - 1)])


def number(said: float, uniform: float, deviation: float, size: int) -> int:
    """A bounded number, the mean or drawn around it, as a token."""
    value = 1.0 / (1.0 + np.exp(-np.float64(said)))
    if deviation:
        value += deviation * NormalDist().inv_cdf(min(max(float(uniform), 1e-7), 1 - 1e-7))
    return int(np.rint(np.clip(value, 0.0, 1.0) * (size - 1)))


if __name__ == "__main__":
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    player = Player(sys.argv[1])
    print(player.generate(player.draw_z(np.random.default_rng((seed, 1))), temperature=0.8, seed=seed).tolist())
