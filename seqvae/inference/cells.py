"""LSTM layers in numpy, step by step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqvae.inference.shapes import Weights

Array = NDArray[np.float32]
State = tuple[Array, Array]
"""Hidden and cell state, each float32 (batch, hidden)."""


class Cell:
    """One layer, one direction, arranged for steps: σ(x) = ½ + ½·tanh(x/2), so that one tanh makes all four gates.

    The halves go into the weights, where they are exact.
    """

    def __init__(self, weights: Weights, name: str) -> None:
        """The arrays `weight_ih`, `weight_hh` and `bias` under `name`."""
        recurrent = weights[f"{name}.weight_hh"]
        self.size = recurrent.shape[1]
        halves = np.full((4 * self.size, 1), 0.5, np.float32)
        halves[2 * self.size : 3 * self.size] = 1.0
        self.entering = np.ascontiguousarray((weights[f"{name}.weight_ih"] * halves).T)
        self.recurrent = np.ascontiguousarray((recurrent * halves).T)
        self.bias = weights[f"{name}.bias"] * halves[:, 0]

    def gates(self, inputs: Array) -> Array:
        """What enters at each step: (…, input) → (…, 4·hidden)."""
        return inputs @ self.entering + self.bias

    def step(self, gates: Array, state: State) -> State:
        """The state after a step that `gates`, (batch, 4·hidden), enters."""
        return stepped(gates + state[0] @ self.recurrent, state[1])


def stepped(gates: Array, cell: Array) -> State:
    """Hidden and cell state from all that enters, halved as in `Cell`: (…, 4·hidden), (…, hidden) → (…, hidden)."""
    size = cell.shape[-1]
    acts = np.tanh(gates)
    acts[..., : 2 * size] = 0.5 * acts[..., : 2 * size] + 0.5
    acts[..., 3 * size :] = 0.5 * acts[..., 3 * size :] + 0.5
    after = acts[..., size : 2 * size] * cell + acts[..., :size] * acts[..., 2 * size : 3 * size]
    return acts[..., 3 * size :] * np.tanh(after), after


def both_ways(ahead: Cell, back: Cell, inputs: Array, turned: Array) -> tuple[Array, Array]:
    """Outputs of two layers side by side, a step of both at once.

    Args:
        inputs: What the first reads, (time, batch, input).
        turned: What the second reads.

    Returns:
        (time, batch, hidden) of each.
    """
    gates = np.stack([ahead.gates(inputs), back.gates(turned)], axis=1)  # (time, way, batch, 4·hidden)
    recurrent = np.stack([ahead.recurrent, back.recurrent])
    hidden = cell = np.zeros((*gates.shape[1:3], ahead.size), np.float32)
    outputs = np.zeros((len(gates), *hidden.shape), np.float32)
    for t, entering in enumerate(gates):
        hidden, cell = stepped(entering + hidden @ recurrent, cell)
        outputs[t] = hidden
    return outputs[:, 0], outputs[:, 1]
