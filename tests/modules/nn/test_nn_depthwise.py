"""Gradients of convolutions that are ours: those of torch, whatever the window, the stride and the arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from striate.modules.nn import depthwise, im2col
from striate.modules.nn.depthwise import Conv2d, _Depthwise
from striate.modules.nn.im2col import weight_gradient as im2col_gradient
from striate.modules.nn.window import PaddedConv2d

CASES = [
    # kernel, stride, padding, height, width
    ((7, 7), (1, 1), (3, 3), 9, 11),
    ((5, 5), (2, 2), (2, 2), 9, 12),
    ((3, 8), (1, 3), (0, 5), 6, 14),
    ((1, 4), (2, 1), (0, 0), 5, 9),
    ((3, 3), (2, 2), (1, 1), 8, 7),
    ((3, 3), (2, 2), (1, 1), 7, 8),
    ((3, 3), (3, 2), (0, 2), 10, 9),
    ((2, 2), (4, 4), (0, 0), 11, 9),
]


def gradients(layer: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of the input, the weight and the bias."""
    x = x.clone().requires_grad_()
    y = layer(x)
    factor = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    (y * factor).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is not None
    found = [y, x.grad, layer.weight.grad]
    return found if layer.bias is None else [*found, layer.bias.grad]


def pair(case: tuple, bias: bool) -> tuple[nn.Conv2d, nn.Conv2d, Tensor]:  # type: ignore[type-arg]
    kernel, stride, padding, height, width = case
    ours = Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias)
    theirs = nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 6, height, width).contiguous(memory_format=torch.channels_last)
    return ours, theirs, x


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_torch(case: tuple, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[type-arg]
    monkeypatch.setattr(Conv2d, "takes_over", lambda self, x: True)
    ours, theirs, x = pair(case, bias)
    for found, wanted in zip(gradients(ours, x), gradients(theirs, x), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_bf16_is_as_near_as_torch(case: tuple) -> None:  # type: ignore[type-arg]
    ours, theirs, x = pair(case, bias=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(ours, x)
    wanted = gradients(theirs, x)
    assert found[0].dtype == torch.bfloat16
    assert [each.dtype for each in found[1:]] == [torch.float32] * 3
    for some, exact in zip(found, wanted, strict=True):
        assert (some.float() - exact).abs().max() <= 0.02 * exact.abs().max()


@pytest.mark.parametrize(
    ("layer", "bf16", "ours"),
    [
        (Conv2d(4, 4, 7, padding=3, groups=4), False, True),
        (Conv2d(4, 4, 3, padding=1, groups=4), True, False),
        (Conv2d(4, 4, 3, 2, padding=1, groups=4), True, True),
        (Conv2d(4, 4, 3, 2, padding=1, groups=4), False, False),
        (Conv2d(4, 8, 7, padding=3, groups=4), True, False),
        (Conv2d(4, 4, 7, padding=3), True, False),
        (Conv2d(4, 4, 7, padding=3, groups=4, dilation=2), True, False),
        (Conv2d(4, 4, 3, 2, padding=3, groups=4), True, False),
    ],
)
def test_only_slow_ones_are_taken_over(layer: Conv2d, bf16: bool, ours: bool) -> None:
    x = torch.randn(2, 4, 16, 16)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        made = layer(x)
        assert (type(made.grad_fn).__name__ == "_DepthwiseBackward") == ours
        with torch.no_grad():
            assert layer(x).grad_fn is None


def test_uneven_padding_is_taken_over_as_well() -> None:
    layer = PaddedConv2d(
        4, 4, (3, 3), stride=(2, 2), dilation=(1, 1), groups=4, bias=False, around=(0, 1, 0, 1)
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert type(layer(torch.randn(1, 4, 8, 8)).grad_fn).__name__ == "_DepthwiseBackward"


def test_a_gradient_nobody_asks_for_is_not_made() -> None:
    weight = torch.randn(4, 1, 7, 7, requires_grad=True)
    y = _Depthwise.apply(torch.randn(1, 4, 8, 8), weight, None, (1, 1), (3, 3))
    y.sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("piece_bytes", [1, 7_000, 4 * 2**20])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", [*CASES, ((1, 1), (1, 1), (0, 0), 5, 6), ((1, 1), (2, 2), (0, 0), 5, 6)])
def test_weight_gradients_as_matrix_products(
    case: tuple,  # type: ignore[type-arg]
    bias: bool,
    piece_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole batches, some images, and some rows of one at a time."""
    monkeypatch.setattr(im2col, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(depthwise, "FEWEST", 1)
    kernel, stride, padding, height, width = case
    ours = Conv2d(4, 5, kernel, stride, padding, bias=bias)
    theirs = nn.Conv2d(4, 5, kernel, stride, padding, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    ours.im2col = True
    x = torch.randn(3, 4, height, width).contiguous(memory_format=torch.channels_last)
    calls = []
    monkeypatch.setattr(im2col, "weight_gradient", lambda *given: calls.append(1) or im2col_gradient(*given))
    for found, wanted in zip(gradients(ours, x), gradients(theirs, x), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert calls == [1]


@pytest.mark.parametrize(
    ("layer", "taken"),
    [
        (Conv2d(64, 64, 3, padding=1), True),
        (Conv2d(64, 128, 1, 2), True),
        (Conv2d(32, 64, 3), False),
        (Conv2d(64, 32, 3), False),
        (Conv2d(64, 64, 3, groups=2), False),
        (Conv2d(64, 64, 3, dilation=2), False),
        (Conv2d(64, 64, 3, padding="same"), False),
    ],
)
def test_which_convolutions_take_them(layer: Conv2d, taken: bool) -> None:
    assert layer.takes_im2col() == taken
    layer.im2col = True
    x = torch.randn(1, layer.in_channels, 8, 8)
    name = layer(x).grad_fn.name()
    assert (name == "Im2colBackward") == taken
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).grad_fn.name() != "Im2colBackward"
    layer.im2col = False
    assert layer(x).grad_fn.name() == "ConvolutionBackward0"
