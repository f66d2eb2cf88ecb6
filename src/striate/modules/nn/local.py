"""A locally connected layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[int, int]


class LocallyConnected2d(nn.Module):
    """The windows of a convolution with weights of their own at every place.

    y[n,o,l] = b[o,l] + sum over k of w[l,o,k] * window[n,l,k], l a place, k a channel, row and column

    in_channels, out_channels, kernel, stride, dilation, groups: as torch.nn.Conv2d.
    padding: (left, right, top, bottom), zeros.
    places: (rows, columns) of the output; images of a size that gives others are refused (RuntimeError).

    Shapes: N x C x H x W -> N x O x rows x columns.
    weight: groups x places x O/groups x (C/groups * K * K); bias: O x rows x columns.
    Source: Gregor and LeCun 2010.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Pair,
        *,
        stride: Pair = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
        bias: bool = True,
        places: Pair,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.dilation, self.padding = kernel, stride, dilation, padding
        self.groups, self.out_channels, self.places = groups, out_channels, places
        self.in_features = in_channels // groups * kernel[0] * kernel[1]
        shape = (groups, places[0] * places[1], out_channels // groups, self.in_features)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels, *places)) if bias else None
        nn.init.normal_(self.weight, std=self.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x O x rows x columns."""
        windows = F.pad(x, self.padding) if any(self.padding) else x
        batch, channels = x.shape[:2]
        for side in (0, 1):
            extent = self.dilation[side] * (self.kernel[side] - 1) + 1
            windows = windows.unfold(2 + side, extent, self.stride[side])[..., :: self.dilation[side]]
        # N x C x rows x columns x K x K, a view until here, copied once in the order that matmul reads.
        windows = windows.reshape(batch, self.groups, channels // self.groups, *windows.shape[2:])
        windows = windows.permute(1, 3, 4, 0, 2, 5, 6).clone(memory_format=torch.contiguous_format)
        windows = windows.reshape(self.groups, math.prod(self.places), batch, self.in_features)
        y = torch.matmul(windows, self.weight.transpose(2, 3))
        # Contiguous said, or the order in memory would depend on the batch.
        y = y.permute(2, 0, 3, 1).contiguous().reshape(batch, self.out_channels, *self.places)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{self.out_channels}, kernel={self.kernel}, stride={self.stride}, places={self.places}"
