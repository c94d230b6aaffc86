"""LSTM layers in numpy, step by step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqvae.inference.shapes import Weights

Array = NDArray[np.float32]
State = tuple[Array, Array]
"""Hidden and cell state, each float32 (batch, hidden)."""

UNIT = 16
"""Rows that a core's registers hold: multiples of it are multiplied in the least time."""

ROWS = 3 * UNIT
"""Rows stepped together: enough that calling numpy is little of the time, few enough for products to be `SMALL`."""

SMALL = 2**18
"""Multiplications up to which OpenBLAS has one thread and takes the factors as they lie, instead of copying them first.

For few rows to copy the weights takes longer than the product, and its threads get in the way of ours.
"""


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


def in_blocks(matrix: Array, unit: int = 0) -> Array:
    """Weights whose product with `ROWS` rows is `SMALL` ones side by side: (k, n) → (blocks, k, width).

    The width divides `unit`; without one, zeros fill the last block up.
    """
    reads, columns = matrix.shape
    most = max(1, min(64, SMALL // (ROWS * reads)))
    if unit:
        width = max(each for each in range(1, most + 1) if unit % each == 0)
    else:
        count = -(-columns // most)
        width = -(-columns // count)
        matrix = np.pad(matrix, ((0, 0), (0, count * width - columns)))
    return np.ascontiguousarray(matrix.reshape(reads, -1, width).swapaxes(0, 1))


def blocks_of(rows: Array, width: int) -> Array:
    """The same numbers as the product with such weights has them, a view: (batch, n) → (blocks, batch, width)."""
    return rows.reshape(len(rows), -1, width).swapaxes(0, 1)


class Linear:
    """A linear map, its weights in blocks."""

    def __init__(self, weight: Array, bias: Array | float = 0.0) -> None:
        """weight (width, read), as torch has it."""
        self.size = len(weight)
        self.blocks, self.bias = in_blocks(weight.T), bias

    def __call__(self, rows: Array) -> Array:
        """(batch, read) → (batch, width)."""
        found: Array = np.matmul(rows, self.blocks).swapaxes(0, 1).reshape(len(rows), -1)
        return np.asarray(found[:, : self.size] + self.bias)


class Layer:
    """A layer that is stepped in place. Gates and cells are in blocks (see `in_blocks`)."""

    def __init__(self, weight: Array) -> None:
        """weight (read, 4·hidden), of all that is multiplied at a step, with the halves of `Cell`."""
        self.weight = in_blocks(weight, weight.shape[1] // 4)
        self.width = self.weight.shape[2]

    def step(self, read: Array, entering: Array, cell: Array, hidden: Array) -> None:
        """One step.

        Args:
            read: (batch, read).
            entering: What is added to their product, (batch, 4·hidden), or (1, 4·hidden) for all rows.
            cell: (blocks, batch, width); is moved on.
            hidden: (batch, hidden), maybe a part of `read`; becomes the new state.
        """
        gates: Array = np.matmul(read, self.weight)
        gates += blocks_of(entering, self.width)
        np.tanh(gates, out=gates)
        enter, forget, new, leave = gates.reshape(4, *cell.shape)
        for gate in (gates[: 2 * len(cell)], leave):
            gate *= 0.5
            gate += 0.5
        cell *= forget
        enter *= new
        cell += enter
        np.tanh(cell, out=new)
        np.multiply(leave, new, out=blocks_of(hidden, self.width))
