"""Gradients of the weights of convolutions as matrix products, which a CPU without AVX-512 computes faster."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# With fewer channels on either side oneDNN's own gradient is the faster one.
FEWEST = 64

# Windows are written side by side for so many bytes at a time, which stay in the cache.
PIECE_BYTES = 2**20


class Im2col(torch.autograd.Function):
    """A convolution of one group without dilation whose weight gradient is a sum of matrix products.

    dw = sum over pieces of dy' X, X a row for each place of the window: what it sees there, channels last.

    Shapes: x N x C x H x W, weight O x C x kh x kw, both channels last, float32.
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
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        found = None
        if of_x:
            found, _, _ = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, (True, False, False)
            )  # fmt: skip
        return (
            found,
            weight_gradient(gradient, x, weight, ctx.stride, ctx.padding) if of_weight else None,
            gradient.sum((0, 2, 3)) if of_bias and ctx.biased else None,
            None,
            None,
        )


def weight_gradient(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """dw[o, c, i, j] = sum over n, y, x of dy[n, o, y, x] * x[n, c, y * S + i - P, x * S + j - P]."""
    (out, channels, high, wide), (count, _, rows, columns) = weight.shape, gradient.shape
    dy = gradient.permute(0, 2, 3, 1)
    images = x.permute(0, 2, 3, 1)
    summed = x.new_zeros(out, high * wide * channels)
    row_bytes = columns * summed.shape[1] * x.element_size()
    some = min(count, max(1, PIECE_BYTES // (rows * row_bytes)))
    few = rows if some * rows * row_bytes <= PIECE_BYTES else max(1, PIECE_BYTES // row_bytes)
    # Its edges stay zero: only what lies within is written anew.
    height, width = (side + 2 * pad for side, pad in zip(x.shape[2:], padding, strict=True))
    padded = x.new_zeros(some, height, width, channels)
    within = padded[:, padding[0] : height - padding[0], padding[1] : width - padding[1]]
    patches = x.new_empty(some * few * columns, summed.shape[1])
    line = width * channels
    for first in range(0, count, some):
        n = min(some, count - first)
        within[:n] = images[first : first + n]
        for top in range(0, rows, few):
            m = min(few, rows - top)
            windows = padded.as_strided(
                (n, m, columns, high, wide * channels),
                (height * line, stride[0] * line, stride[1] * channels, line, 1),
                top * stride[0] * line,
            )
            seen = patches[: n * m * columns]
            seen.view(windows.shape).copy_(windows)
            given = dy[first : first + n, top : top + m].reshape(-1, out)
            summed.addmm_(given.t(), seen)
    return summed.view(out, high, wide, channels).permute(0, 3, 1, 2)
