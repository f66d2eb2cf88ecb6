"""The layers that torch lacks, each as loops over every number in float64: slow, and plain to see."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor


def places(height: int, width: int) -> itertools.product[tuple[int, int]]:
    return itertools.product(range(height), range(width))


def local(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    grid: tuple[int, int],
) -> Tensor:
    """y[n,o,i,j] = b[o,i,j] + sum over c,u,v of w[i,j,o,c,u,v] * x[n, c, i*S + u*D - P, j*S + v*D - P]."""
    batch, channels, height, width = x.shape
    groups, _, outputs, _ = weight.shape
    inner = channels // groups
    left, _, top, _ = padding
    y = torch.zeros(batch, groups * outputs, *grid, dtype=torch.float64)
    for n, group, o in itertools.product(range(batch), range(groups), range(outputs)):
        for i, j in places(*grid):
            total = 0.0 if bias is None else float(bias[group * outputs + o, i, j])
            for c, u, v in itertools.product(range(inner), range(kernel[0]), range(kernel[1])):
                row = i * stride[0] + u * dilation[0] - top
                column = j * stride[1] + v * dilation[1] - left
                if 0 <= row < height and 0 <= column < width:
                    place = (c * kernel[0] + u) * kernel[1] + v
                    factor = float(weight[group, i * grid[1] + j, o, place])
                    total += factor * float(x[n, group * inner + c, row, column])
            y[n, group * outputs + o, i, j] = total
    return y


def filtered(x: Tensor, kernel: tuple[tuple[float, ...], ...]) -> Tensor:
    """y[n,c,i,j] = sum over u,v of k[u,v] * x[n, c, i + u - 1, j + v - 1], zeros outside."""
    batch, channels, height, width = x.shape
    y = torch.zeros_like(x)
    for n, c in itertools.product(range(batch), range(channels)):
        for (i, j), (u, v) in itertools.product(places(height, width), places(3, 3)):
            row, column = i + u - 1, j + v - 1
            if 0 <= row < height and 0 <= column < width:
                y[n, c, i, j] += kernel[u][v] * float(x[n, c, row, column])
    return y


def channel_mean(x: Tensor) -> Tensor:
    """y[n,0,i,j] = sum over c of x[n,c,i,j] / C."""
    y = torch.zeros(x.shape[0], 1, *x.shape[2:], dtype=torch.float64)
    for n, (i, j) in itertools.product(range(x.shape[0]), places(*x.shape[2:])):
        y[n, 0, i, j] = sum(float(x[n, c, i, j]) for c in range(x.shape[1])) / x.shape[1]
    return y


def depth_pool(x: Tensor, depth: int, mean: bool) -> Tensor:
    """y[n,c,...] = max or mean of x[n, c*K .. c*K + K - 1, ...]."""
    flat = x.reshape(*x.shape[:2], -1)
    y = torch.zeros(x.shape[0], x.shape[1] // depth, flat.shape[2], dtype=torch.float64)
    for n, c, i in itertools.product(range(y.shape[0]), range(y.shape[1]), range(y.shape[2])):
        pieces = [float(flat[n, c * depth + k, i]) for k in range(depth)]
        y[n, c, i] = sum(pieces) / depth if mean else max(pieces)
    return y.reshape(*y.shape[:2], *x.shape[2:])


def grid_max(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """y[n,c,i,j] = max of x[n, c, floor(i*H/K) : ceil((i+1)*H/K), and the same of columns]."""
    batch, channels, height, width = x.shape
    y = torch.zeros(batch, channels, *grid, dtype=torch.float64)
    for n, c, (i, j) in itertools.product(range(batch), range(channels), places(*grid)):
        rows = range(i * height // grid[0], math.ceil((i + 1) * height / grid[0]))
        columns = range(j * width // grid[1], math.ceil((j + 1) * width / grid[1]))
        y[n, c, i, j] = max(float(x[n, c, row, column]) for row in rows for column in columns)
    return y


def widen(x: Tensor, channels: int) -> Tensor:
    """Zeros (CHANNELS - C) // 2, then x, then zeros."""
    y = torch.zeros(x.shape[0], channels, *x.shape[2:], dtype=torch.float64)
    before = (channels - x.shape[1]) // 2
    for c in range(x.shape[1]):
        y[:, before + c] = x[:, c]
    return y


def channel_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """y[n,c,...] = (x[n,c,...] - mean) / sqrt(var + eps) * gamma[c] + beta[c], mean and var over c."""
    flat = x.reshape(*x.shape[:2], -1)
    y = torch.zeros_like(flat)
    for n, i in itertools.product(range(flat.shape[0]), range(flat.shape[2])):
        numbers = [float(number) for number in flat[n, :, i]]
        mean = sum(numbers) / len(numbers)
        variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
        for c, number in enumerate(numbers):
            y[n, c, i] = (number - mean) / math.sqrt(variance + eps) * float(weight[c]) + float(bias[c])
    return y.reshape(x.shape)


def channel_scale(x: Tensor, weight: Tensor) -> Tensor:
    """y[n,c,...] = gamma[c] * x[n,c,...]."""
    y = torch.zeros_like(x)
    for n, c in itertools.product(range(x.shape[0]), range(x.shape[1])):
        y[n, c] = float(weight[c]) * x[n, c]
    return y


def padded_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    around: tuple[int, int, int, int],
) -> Tensor:
    """y[n,o,i,j] = b[o] + sum over c,u,v of w[o,c,u,v] * x[n, c, i*S + u*D - P, j*S + v*D - P].

    The shared weights of a convolution are those of `local`, the same at every place.
    """
    height, width = x.shape[2:]
    outputs, inner, *kernel = weight.shape
    left, right, top, bottom = around
    rows = (height + top + bottom - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    columns = (width + left + right - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    groups = x.shape[1] // inner
    shared = weight.reshape(groups, 1, outputs // groups, -1).expand(-1, rows * columns, -1, -1)
    spread = None if bias is None else bias.reshape(-1, 1, 1).expand(-1, rows, columns)
    return local(x, shared, spread, (kernel[0], kernel[1]), stride, around, dilation, (rows, columns))
