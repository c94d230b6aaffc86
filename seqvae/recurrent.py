"""One LSTM layer over a whole sequence: torch's arithmetic, arranged for the machine it runs on.

On CUDA it is cuDNN's fused layer. On the CPU the input's product for all steps is one matrix product before the loop,
the weight gradient one after it, and the loop itself is a single autograd node (benchmarks/training.py compares).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (batch, hidden)."""


def dropped(outputs: Tensor, share: float, mask: str, source: torch.Generator | None, copies: int = 1) -> Tensor:
    """Dropout (Srivastava et al. 2014) with numbers that a run can draw again, so that it resumes exactly.

    Args:
        outputs: (time, batch, width), or weights with a mask for each `step`: of each its own.
        share: Set to zero; the rest grows by 1 / (1 - share).
        mask: One for each `step`, or one for all steps of a `sequence` (Gal and Ghahramani 2016).
        source: Draws the mask; None outside training, when nothing is dropped.
        copies: The batch is so many copies of its first rows, which share their masks.
    """
    if source is None or not share:
        return outputs
    shape = list(outputs.shape if mask == "step" else (1, *outputs.shape[1:]))
    shape[1] //= copies
    kept = torch.rand(shape, generator=source, device=outputs.device) >= share
    kept = kept.repeat(1, copies, *[1] * (kept.ndim - 2)) if copies > 1 else kept
    return outputs * (kept / (1.0 - share)).to(outputs.dtype) if share < 1.0 else torch.zeros_like(outputs)


class LstmLayer(nn.Module):
    """One layer, one direction. Weights are laid out as in `nn.LSTM`: gates input, forget, cell, output.

    Example:
        >>> layer = LstmLayer(3, 5)
        >>> outputs, (hidden, cell) = layer(torch.zeros(7, 2, 3))
        >>> outputs.shape, torch.equal(outputs[-1], hidden)
        (torch.Size([7, 2, 5]), True)
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        nn.init.xavier_uniform_(self.weight_ih)
        for gate in self.weight_hh.data.chunk(4):
            nn.init.orthogonal_(gate)
        # Jozefowicz et al. 2015: a forget gate that starts open learns long spans sooner.
        self.bias.data[hidden_size : 2 * hidden_size] = 1.0

    def forward(
        self, inputs: Tensor, state: State | None = None, recurrent: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Runs the layer.

        Args:
            inputs: (time, batch, input).
            state: The state before the first step; zeros by default.
            recurrent: What stands for `weight_hh` this time, such as some of it dropped.

        Returns:
            Outputs (time, batch, hidden) and the state after the last step.
        """
        if state is None:
            zero = inputs.new_zeros(inputs.shape[1], self.hidden_size)
            state = (zero, zero)
        recurrent = self.weight_hh if recurrent is None else recurrent
        if inputs.is_cuda or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return self._fused(inputs, state, recurrent)
        gates = nn.functional.linear(inputs, self.weight_ih, self.bias)
        weight = recurrent.to(gates.dtype)
        hidden, cell = (part.to(gates.dtype) for part in state)
        outputs, last_cell = _Scan.apply(gates, weight, hidden, cell)  # type: ignore[no-untyped-call]
        return outputs, (outputs[-1], last_cell)

    def _fused(self, inputs: Tensor, state: State, recurrent: Tensor) -> tuple[Tensor, State]:
        """cuDNN's layer on the same weights. Under autocast torch casts the weights; the state must follow."""
        dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else inputs.dtype
        hidden, cell = (part.to(dtype).unsqueeze(0) for part in state)
        # The recurrent bias exists in cuDNN's layout only; a zero one keeps a single bias in the model.
        weights = [self.weight_ih, recurrent, self.bias, torch.zeros_like(self.bias)]
        weights = [weight.to(dtype) for weight in weights]
        outputs, last_hidden, last_cell = torch.lstm(
            inputs.to(dtype), (hidden, cell), weights, True, 1, 0.0, self.training, False, False
        )
        return outputs, (last_hidden[0], last_cell[0])

    def step(self, gates: Tensor, state: State) -> State:
        """One step, for generation.

        Args:
            gates: (batch, 4·hidden), the input's product with `weight_ih` plus the bias.
            state: The state before.
        """
        hidden, cell = state
        gates = torch.addmm(gates, hidden, self.weight_hh.t().to(gates.dtype))
        enter, forget, new, leave = gates.chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(cell), cell


class _Scan(torch.autograd.Function):
    """The recurrence on the CPU, forward and backward written out so that each step is a handful of in-place calls."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """gates (time, batch, 4·hidden), weight (4·hidden, hidden) → outputs (time, batch, hidden), last cell."""
        time, batch, width = gates.shape
        size = width // 4
        hiddens = gates.new_empty(time + 1, batch, size)
        cells = gates.new_empty(time + 1, batch, size)
        squashed = gates.new_empty(time, batch, size)  # tanh of the cell
        active = torch.empty_like(gates)  # the gates after their nonlinearity
        hiddens[0], cells[0] = hidden, cell
        transposed = weight.t()
        # unbind once: indexing a tensor at every step costs more than the step's arithmetic.
        steps = zip(gates.unbind(0), active.unbind(0), squashed.unbind(0), strict=True)
        hidden_at, cell_at = hiddens.unbind(0), cells.unbind(0)
        for t, (gate, act, squash) in enumerate(steps):
            torch.addmm(gate, hidden_at[t], transposed, out=act)
            act[:, : 2 * size].sigmoid_()
            act[:, 2 * size : 3 * size].tanh_()
            act[:, 3 * size :].sigmoid_()
            new_cell = cell_at[t + 1]
            torch.mul(act[:, size : 2 * size], cell_at[t], out=new_cell)
            new_cell.addcmul_(act[:, :size], act[:, 2 * size : 3 * size])
            torch.tanh(new_cell, out=squash)
            torch.mul(act[:, 3 * size :], squash, out=hidden_at[t + 1])
        ctx.save_for_backward(hiddens, cells, squashed, active, weight)
        return hiddens[1:], cells[time].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        grad_outputs, grad_cell = grads
        hiddens, cells, squashed, active, weight = ctx.saved_tensors
        time, batch, width = active.shape
        size = width // 4
        grad_gates = torch.empty_like(active)
        grad_hidden = torch.zeros_like(cells[0])
        grad_cell = grad_cell.clone()
        ops = torch.ops.aten
        out_at, cell_at, squash_at = grad_outputs.unbind(0), cells.unbind(0), squashed.unbind(0)
        act_at, grad_at = active.unbind(0), grad_gates.unbind(0)
        for t in range(time - 1, -1, -1):
            act, squash, grad = act_at[t], squash_at[t], grad_at[t]
            enter, forget, new, leave = (act[:, k * size : (k + 1) * size] for k in range(4))
            grad_hidden = grad_hidden.add_(out_at[t])
            grad_cell.add_(ops.tanh_backward(grad_hidden * leave, squash))
            ops.sigmoid_backward.grad_input(grad_cell * new, enter, grad_input=grad[:, :size])
            ops.sigmoid_backward.grad_input(grad_cell * cell_at[t], forget, grad_input=grad[:, size : 2 * size])
            ops.tanh_backward.grad_input(grad_cell * enter, new, grad_input=grad[:, 2 * size : 3 * size])
            ops.sigmoid_backward.grad_input(grad_hidden * squash, leave, grad_input=grad[:, 3 * size :])
            grad_cell = grad_cell.mul_(forget)
            grad_hidden = torch.mm(grad, weight)
        flat = grad_gates.view(time * batch, width)
        grad_weight = flat.t() @ hiddens[:-1].reshape(time * batch, size)
        return grad_gates, grad_weight, grad_hidden, grad_cell
