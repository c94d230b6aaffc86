"""The recurrent layer against torch's own."""

import pytest
import torch
from torch import nn

from seqvae.recurrent import LstmLayer


def reference(layer: LstmLayer) -> nn.LSTM:
    lstm = nn.LSTM(layer.input_size, layer.hidden_size)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(layer.weight_ih)
        lstm.weight_hh_l0.copy_(layer.weight_hh)
        lstm.bias_ih_l0.copy_(layer.bias)
        lstm.bias_hh_l0.zero_()
    return lstm


@pytest.mark.parametrize(("time", "batch", "inputs", "hidden"), [(7, 3, 5, 4), (1, 1, 1, 1), (32, 2, 6, 8)])
def test_outputs_and_gradients_are_those_of_torch(time: int, batch: int, inputs: int, hidden: int) -> None:
    torch.manual_seed(1)
    layer = LstmLayer(inputs, hidden).double()
    lstm = reference(layer).double()
    x = torch.randn(time, batch, inputs, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(batch, hidden, dtype=torch.float64, requires_grad=True) for _ in range(2))
    outputs, (last_hidden, last_cell) = layer(x, state)
    expected, (expected_hidden, expected_cell) = lstm(x, tuple(part.unsqueeze(0) for part in state))
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close((last_hidden, last_cell), (expected_hidden[0], expected_cell[0]))

    # A loss that uses every output, the last hidden and the last cell, so that each gradient path is checked.
    weights = torch.randn_like(expected)
    mine = (outputs * weights).sum() + last_hidden.square().sum() + (3 * last_cell).sin().sum()
    theirs = (expected * weights).sum() + expected_hidden.square().sum() + (3 * expected_cell).sin().sum()
    wrt = [layer.weight_ih, layer.weight_hh, layer.bias, x, *state]
    torch_wrt = [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, x, *state]
    torch.testing.assert_close(torch.autograd.grad(mine, wrt), torch.autograd.grad(theirs, torch_wrt))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_products_of_less_digits_have_gradients_near_the_exact_ones(kind: torch.dtype) -> None:
    torch.manual_seed(4)
    layer = LstmLayer(16, 32)
    x = torch.randn(12, 4, 16)
    weights = torch.randn(12, 4, 32)

    def gradients(of: LstmLayer, x: torch.Tensor) -> list[torch.Tensor]:
        outputs, _ = of(x)
        return list(torch.autograd.grad((outputs * weights).sum(), list(of.parameters())))

    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        found = gradients(layer, x)
    for rough, exact in zip(found, gradients(layer.double(), x.double()), strict=True):
        error = (rough.double() - exact).norm() / exact.norm()
        assert error < (2e-2 if kind == torch.bfloat16 else 1e-6)


def test_a_layer_that_is_not_trained_still_passes_gradients_on() -> None:
    torch.manual_seed(6)
    layer = LstmLayer(5, 4)
    x = torch.randn(6, 3, 5, requires_grad=True)
    found = [torch.autograd.grad(layer.train(mode)(x)[0].sum(), x)[0] for mode in (True, False)]
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_is_cpu() -> None:
    torch.manual_seed(5)
    layer = LstmLayer(5, 4)
    x = torch.randn(6, 3, 5)
    expected, _ = layer(x)
    outputs, _ = layer.cuda()(x.cuda())
    torch.testing.assert_close(outputs.cpu(), expected, atol=1e-5, rtol=1e-4)


def test_single_steps_are_the_whole_sequence() -> None:
    torch.manual_seed(2)
    layer = LstmLayer(5, 4).double()
    x = torch.randn(6, 3, 5, dtype=torch.float64)
    outputs, _ = layer(x)
    state = (torch.zeros(3, 4, dtype=torch.float64),) * 2
    for step in range(6):
        state = layer.step(nn.functional.linear(x[step], layer.weight_ih, layer.bias), state)
        torch.testing.assert_close(state[0], outputs[step])


def test_bfloat16_stays_near_float32() -> None:
    torch.manual_seed(3)
    layer = LstmLayer(16, 32)
    x = torch.randn(32, 4, 16)
    exact, _ = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = layer(x)
    assert rough.dtype == torch.bfloat16
    error = (rough.float() - exact).norm() / exact.norm()
    assert 1e-5 < error < 2e-2
