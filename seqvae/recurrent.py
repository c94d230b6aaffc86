"""One LSTM layer over a whole sequence: the machine's own fused one, cuDNN's on CUDA and oneDNN's on the CPU.

It is called with this layer's weights, so that they have one bias, a first state of the caller's and, where some are
dropped, other recurrent weights than their own. A whole sequence is one call, which holds no lock while it computes.
"""

from __future__ import annotations

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
        device = inputs.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else inputs.dtype
        if state is None:
            zero = inputs.new_zeros(inputs.shape[1], self.hidden_size)
            state = (zero, zero)
        hidden, cell = (part.to(dtype).unsqueeze(0) for part in state)
        recurrent = self.weight_hh if recurrent is None else recurrent
        # The second bias is the layout's; a zero one keeps a single bias in the model.
        weights = [each.to(dtype) for each in (self.weight_ih, recurrent, self.bias, torch.zeros_like(self.bias))]
        # Without dropout, training means to keep what the gradient needs.
        keep = torch.is_grad_enabled()
        outputs, hidden, cell = torch.lstm(inputs.to(dtype), (hidden, cell), weights, True, 1, 0.0, keep, False, False)
        return outputs, (hidden[0], cell[0])

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
