"""Gradients of depthwise convolutions on a CPU, where torch's own take many times as long as the convolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from striate.modules.nn.im2col import FEWEST, Im2col

# oneDNN has a fast gradient of the weights of windows up to this many columns wide.
WIDEST = 3


class Conv2d(nn.Conv2d):
    """torch.nn.Conv2d, with faster gradients where it is depthwise, and where `im2col` says so.

    im2col: the gradient of the weights as matrix products (see `Im2col`); set by whoever found them faster here.
    Shapes: as torch.nn.Conv2d.
    """

    im2col = False

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.im2col and self.takes_im2col() and input.dtype == torch.float32 and _in_training(input):
            assert isinstance(self.padding, tuple)
            found: Tensor = Im2col.apply(input, weight, bias, self.stride, self.padding)  # type: ignore[no-untyped-call]
            return found
        if not self.takes_over(input):
            plain: Tensor = super()._conv_forward(input, weight, bias)
            return plain
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        padding = self.padding
        assert isinstance(padding, tuple)
        made: Tensor = _Depthwise.apply(input, weight, bias, self.stride, padding)  # type: ignore[no-untyped-call]
        return made

    def takes_im2col(self) -> bool:
        """Whether `im2col` changes anything, and can be faster."""
        return (
            min(self.in_channels, self.out_channels) >= FEWEST
            and self.groups == 1
            and self.dilation == (1, 1)
            and not isinstance(self.padding, str)
        )

    def takes_over(self, x: Tensor) -> bool:
        """Whether torch's own gradients are far slower here than those below."""
        if (
            not self.groups == self.in_channels == self.out_channels
            or self.dilation != (1, 1)
            or isinstance(self.padding, str)
            or any(pad >= window for pad, window in zip(self.padding, self.kernel_size, strict=True))
            or not _in_training(x, autocast=True)
        ):
            return False
        in_bf16 = x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
        return self.kernel_size[1] > WIDEST or (in_bf16 and self.stride != (1, 1))


def _in_training(x: Tensor, *, autocast: bool = False) -> bool:
    """Whether gradients of a convolution are wanted, on a CPU.  autocast: in mixed precision as well."""
    return (
        x.device.type == "cpu"
        and torch.is_grad_enabled()
        and not torch.compiler.is_exporting()
        and (autocast or not torch.is_autocast_enabled("cpu"))
    )


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution.

    Gradient of the input: with a stride, that of the output between zeros, and a convolution with the mirrored
    window over it; oneDNN's own takes 5 to 100 times as long in bf16.
    Gradient of the weights: that of three columns of the window after the other; oneDNN's own takes 10 times
    as long for all at once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.biased = stride, padding, bias is not None
        return F.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        return (
            _of_input(gradient, x, weight, ctx.stride, ctx.padding) if of_x else None,
            _of_weight(gradient, x, weight, ctx.stride, ctx.padding) if of_weight else None,
            gradient.sum((0, 2, 3)) if of_bias and ctx.biased else None,
            None,
            None,
        )


def _of_input(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """dx[i] = sum over k of w[k] * dy[(i + P - k) / S], where that is whole."""
    window = weight.shape[2:]
    if stride != (1, 1):
        rows, columns = (
            side + 2 * pad - taps + 1 for side, pad, taps in zip(x.shape[2:], padding, window, strict=True)
        )
        shape = (*gradient.shape[:2], rows, columns)
        between = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
        between[:, :, :: stride[0], :: stride[1]] = gradient
        gradient = between
    around = [taps - 1 - pad for taps, pad in zip(window, padding, strict=True)]
    return F.conv2d(gradient, weight.flip(2, 3), padding=around, groups=len(weight))


def _of_weight(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """dw[k] = sum over i of dy[i] * x[i * S + k - P], some columns k at once."""
    taps = weight.shape[3]
    if taps <= WIDEST:
        return _native(gradient, x, weight, stride, padding)
    wide = F.pad(x, (padding[1], padding[1]))
    reach = (gradient.shape[3] - 1) * stride[1]
    found = []
    for first in range(0, taps, WIDEST):
        part = weight[..., first : first + WIDEST]
        seen = wide[..., first : first + reach + part.shape[3]].contiguous(memory_format=torch.channels_last)
        found.append(_native(gradient, seen, part.contiguous(), stride, (padding[0], 0)))
    return torch.cat(found, dim=3)


def _native(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """torch's own gradient of the weights."""
    _, found, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), (False, True, False)
    )
    assert isinstance(found, Tensor)
    return found
