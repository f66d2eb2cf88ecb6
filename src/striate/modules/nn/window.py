"""Convolution with uneven padding, fixed kernels, and poolings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.modules.nn.depthwise import Conv2d


class PaddedConv2d(Conv2d):
    """A convolution whose padding differs between near and far side, as TensorFlow's SAME at stride 2.

    around: (left, right, top, bottom) rows and columns of zeros.
    Shapes: as torch.nn.Conv2d.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int],
        dilation: tuple[int, int],
        groups: int,
        bias: bool,
        around: tuple[int, int, int, int],
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias
        )
        self.around = around

    def forward(self, input: Tensor) -> Tensor:
        """N x C x H x W -> N x O x H' x W'."""
        return super().forward(F.pad(input, self.around))

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{super().extra_repr()}, around={self.around}"  # type: ignore[no-untyped-call]


class FixedFilter(nn.Module):
    """One known kernel on each channel by itself; nothing is trained.

    y[n,c] = kernel * x[n,c], a cross-correlation with zeros outside

    kernel: 3x3 numbers.  Shapes: N x C x H x W -> the same.
    """

    kernel: Tensor

    def __init__(self, kernel: tuple[tuple[float, ...], ...]) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.tensor(kernel, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x C x H x W."""
        channels = x.shape[1]
        weight = self.kernel.to(x.dtype).expand(channels, 1, 3, 3)
        return F.conv2d(x, weight, padding=1, groups=channels)


class ChannelMean(nn.Module):
    """The mean of all channels: one weight, 1/C, shared by them.  N x C x H x W -> N x 1 x H x W."""

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x 1 x H x W."""
        return x.mean(dim=1, keepdim=True)


class DepthPool(nn.Module):
    """The maximum or mean of each `depth` neighboring channels.

    y[n,c] = max or mean of x[n, c*depth : (c+1)*depth]

    Shapes: N x C x ... -> N x C/depth x ...  Source: Goodfellow et al. 2013.
    """

    def __init__(self, depth: int, *, mean: bool = False) -> None:
        super().__init__()
        self.depth = depth
        self.mean = mean

    def forward(self, x: Tensor) -> Tensor:
        """N x C x ... -> N x C/depth x ..."""
        pieces = x.reshape(x.shape[0], x.shape[1] // self.depth, self.depth, *x.shape[2:])
        return pieces.mean(dim=2) if self.mean else pieces.max(dim=2).values

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{self.depth}, {'mean' if self.mean else 'max'}"


class GridMaxPool2d(nn.AdaptiveMaxPool2d):
    """Adaptive maximum pooling that can be exported to ONNX, which has no operator for it.

    y[n,c,i,j] = max of x[n, c, floor(i*H/K) : ceil((i+1)*H/K), and the same of columns]

    grid: rows and columns of windows.  Shapes: N x C x H x W -> N x C x rows x columns.
    """

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__(grid)
        self.grid = grid

    def forward(self, input: Tensor) -> Tensor:
        """N x C x H x W -> N x C x rows x columns."""
        return self.windowed(input) if torch.compiler.is_exporting() else super().forward(input)

    def windowed(self, x: Tensor) -> Tensor:
        """The same without torch's own operator: one window for all, or rows and then columns."""
        (height, width), (rows, columns) = x.shape[2:], self.grid
        if height % rows == 0 and width % columns == 0:
            return F.max_pool2d(x, (height // rows, width // columns))
        for side, count in ((2, rows), (3, columns)):
            length = x.shape[side]
            ends = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
            windows = [x.narrow(side, start, end - start) for start, end in ends]
            x = torch.cat([window.amax(side, keepdim=True) for window in windows], side)
        return x


class Widen(nn.Module):
    """Zero channels added, half before and half behind.  N x C x H x W -> N x channels x H x W."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x channels x H x W."""
        more = self.channels - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, more // 2, more - more // 2))
