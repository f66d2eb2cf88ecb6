"""One placed layer as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.modules.nn.depthwise import Conv2d
from striate.modules.nn.local import LocallyConnected2d
from striate.modules.nn.scale import ChannelNorm, ChannelScale, DropPath
from striate.modules.nn.whitening import WhiteningConv2d
from striate.modules.nn.window import ChannelMean, DepthPool, FixedFilter, GridMaxPool2d, PaddedConv2d, Widen
from striate.net.layers import activation, convolution, dropout, linear, pooling
from striate.net.layers import normalization as normalization
from striate.net.layers.axis import Axis
from striate.net.layers.value import Size
from striate.net.layout.layout import Placed
from striate.net.shape import Flat, Map, Shape


class ReLU(nn.ReLU):
    """max(x, 0).  may_overwrite: nothing but this layer reads its input."""

    def __init__(self, *, may_overwrite: bool) -> None:
        super().__init__(inplace=may_overwrite)
        self.may_overwrite = may_overwrite


class Linear(nn.Linear):
    """A fully connected layer that flattens feature maps by itself, channel by channel."""

    def forward(self, input: Tensor) -> Tensor:
        """N x ... -> N x features."""
        return super().forward(input.flatten(1))


def build_layer(placed: Placed, *, may_overwrite: bool) -> nn.Module:
    """The module of one layer.  may_overwrite: nothing else reads its input, so that an activation may."""
    shape = placed.input
    match placed.layer:
        case convolution.Conv() as conv:
            return _conv(conv, shape)
        case convolution.Local() as local:
            return _local(local, shape, placed.output)
        case convolution.Whiten(channels=channels, kernel=kernel, stride=stride):
            return WhiteningConv2d(shape.channels, channels, pair(kernel), pair(stride))
        case convolution.Filter(kind=kind):
            return FixedFilter(convolution.KERNELS[kind])
        case convolution.Grey():
            return ChannelMean()
        case pooling.MaxPool() | pooling.AvgPool() as pool:
            return _pool(pool, shape)
        case pooling.Pool(kind=kind, grid=grid):
            return nn.AdaptiveAvgPool2d(pair(grid)) if kind == "avg" else GridMaxPool2d(pair(grid))
        case pooling.DepthPool(kind=kind, depth=depth):
            return DepthPool(depth, mean=kind == "avg")
        case normalization.BatchNorm() as norm:
            return _batch_norm(norm, shape)
        case normalization.LayerNorm(eps=eps):
            return ChannelNorm(shape.channels, eps=eps)
        case normalization.LocalResponseNorm(neighbors=n, alpha=alpha, beta=beta, k=k):
            return nn.LocalResponseNorm(n, alpha=alpha, beta=beta, k=k)
        case normalization.Scale(start=start):
            return ChannelScale(shape.channels, start=start)
        case dropout.Dropout(share=share):
            return nn.Dropout(share)
        case dropout.Dropout2d(share=share):
            return nn.Dropout2d(share)
        case dropout.DropPath(share=share):
            return DropPath(share)
        case linear.Fc(features=features, nobias=nobias):
            return Linear(shape.elements, features, bias=not nobias)
        case linear.Flatten():
            return nn.Flatten()
        case linear.Softmax():
            return nn.Softmax(dim=1)
        case linear.Widen(channels=channels):
            return Widen(channels)
        case linear.Identity():
            return nn.Identity()
    return _activation(placed, may_overwrite)


def _batch_norm(layer: normalization.BatchNorm, shape: Shape) -> nn.Module:
    kind = nn.BatchNorm2d if isinstance(shape, Map) else nn.BatchNorm1d
    norm = kind(shape.channels, eps=layer.eps, momentum=layer.momentum)
    if layer.nogamma:
        # Weights files hold it all the same, as those of torch do.
        del norm.weight
        norm.register_buffer("weight", torch.ones(shape.channels))
    return norm


def _activation(placed: Placed, may_overwrite: bool) -> nn.Module:
    match placed.layer:
        case activation.Relu():
            return ReLU(may_overwrite=may_overwrite)
        case activation.Relu6():
            return nn.ReLU6()
        case activation.Leaky(slope=slope):
            return nn.LeakyReLU(slope)
        case activation.PRelu():
            return nn.PReLU(placed.input.channels)
        case activation.Elu(alpha=alpha):
            return nn.ELU(alpha)
        case activation.Sigmoid():
            return nn.Sigmoid()
        case activation.Tanh():
            return nn.Tanh()
        case activation.Gelu():
            return nn.GELU()
        case activation.Silu():
            return nn.SiLU()
        case activation.Maxout(pieces=pieces):
            return DepthPool(pieces)
    raise AssertionError(f"no module for {placed.layer.word}")


def pair(size: Size) -> tuple[int, int]:
    """A size as the plain tuple that torch takes."""
    return size.height, size.width


def _around(rows: Axis, columns: Axis) -> tuple[int, int, int, int]:
    return columns.before, columns.after, rows.before, rows.after


def _conv(conv: convolution.Conv, shape: Map | Flat) -> nn.Module:
    rows, columns = conv.axes(shape)
    if rows.before != rows.after or columns.before != columns.after:
        return PaddedConv2d(
            shape.channels,
            conv.channels,
            pair(conv.kernel),
            stride=pair(conv.stride),
            dilation=pair(conv.dilate),
            groups=conv.groups,
            bias=not conv.nobias,
            around=_around(rows, columns),
        )
    return Conv2d(
        shape.channels,
        conv.channels,
        pair(conv.kernel),
        stride=pair(conv.stride),
        padding=(rows.before, columns.before),
        dilation=pair(conv.dilate),
        groups=conv.groups,
        bias=not conv.nobias,
    )


def _local(local: convolution.Local, shape: Map | Flat, output: Map | Flat) -> nn.Module:
    assert isinstance(output, Map)
    return LocallyConnected2d(
        shape.channels,
        local.channels,
        pair(local.kernel),
        stride=pair(local.stride),
        padding=_around(*local.axes(shape)),
        dilation=pair(local.dilate),
        groups=local.groups,
        bias=not local.nobias,
        places=(output.height, output.width),
    )


def _pool(pool: pooling.MaxPool | pooling.AvgPool, shape: Map | Flat) -> nn.Module:
    rows, columns = pool.axes(shape)
    kernel = pair(pool.kernel)
    stride = (rows.stride, columns.stride)
    padding = (rows.before, columns.before)
    if isinstance(pool, pooling.MaxPool):
        return nn.MaxPool2d(kernel, stride, padding, ceil_mode=pool.ceil)
    return nn.AvgPool2d(kernel, stride, padding, ceil_mode=pool.ceil, count_include_pad=False)
