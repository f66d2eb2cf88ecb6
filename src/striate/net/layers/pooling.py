"""Layers that summarize: over windows, over the whole map, or over channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from striate.net.layers.argument import Misfit, count, flag, one_of, size, unset_size
from striate.net.layers.axis import Axis
from striate.net.layers.layer import Layer, Saves, as_map, slid
from striate.net.layers.value import Size
from striate.net.shape import Flat, Map, Shape

# A maximum keeps where it was found, as int64.
INDEX_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Pooled(Layer):
    """The arguments that `maxpool` and `avgpool` share."""

    kernel: Size = size()
    stride: Size | None = unset_size(least=1)
    pad: Size | None = unset_size()
    ceil: bool = flag()

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        rows, columns = (self._axis(side) for side in (0, 1))
        return rows, columns

    def _axis(self, side: int) -> Axis:
        stride = self.kernel[side] if self.stride is None else self.stride[side]
        pad = 0 if self.pad is None else self.pad[side]
        if 2 * pad > self.kernel[side]:
            raise Misfit(
                f"pad {pad} lets a window of {self.kernel[side]} lie wholly in the padding",
                expected="pad <= F/2",
                cure=f"pad {min(self.kernel) // 2}",
            )
        return Axis(self.kernel[side], stride, before=pad, after=pad, ceil=self.ceil)

    def out(self, shape: Shape) -> Map:
        shape = as_map(self, shape)
        return Map(shape.channels, *slid(self, shape, *self.axes(shape)))


@final
@dataclass(frozen=True, slots=True)
class MaxPool(_Pooled):
    """The largest value in each window.

    y[c,i,j] = max over u,v of x[c, i*S + u - P, j*S + v - P]

    maxpool K|KxK [stride S] [pad P] [ceil].  The stride is the window unless said.  Padding never wins.
    `ceil` keeps a last window that is partly outside.

    Shapes: C x H x W -> C x (floor((H + 2P - F) / S) + 1) x the same of W.
    Use: to halve the map and keep what stands out, wherever it stands.
    Not: where the exact place matters; a `conv ... stride 2` keeps more.
    Source: Riesenhuber and Poggio 1999; Krizhevsky et al. 2012, section 3.4 (overlapping).
    """

    word: ClassVar[str] = "maxpool"

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True, image_bytes=INDEX_BYTES * self.out(shape).elements)


@final
@dataclass(frozen=True, slots=True)
class AvgPool(_Pooled):
    """The mean of each window.

    y[c,i,j] = mean over u,v of x[c, i*S + u - P, j*S + v - P], padding not counted

    avgpool K|KxK [stride S] [pad P] [ceil].  The stride is the window unless said.

    Shapes: as `maxpool`.
    Use: a smooth halving, as in the first LeNet.
    Not: where one strong response in a window should win: see `maxpool`.
    Source: LeCun et al. 1998, section II.B (there with a trained scale and bias).
    """

    word: ClassVar[str] = "avgpool"

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Pool(Layer):
    """Global or adaptive pooling: the whole map in a fixed number of windows.

    y[c,i,j] = mean or max of x[c, floor(i*H/K) : ceil((i+1)*H/K), and the same of columns]

    pool avg|max [K|KxK].  1x1 unless said, which is global pooling.

    Shapes: C x H x W -> C x K x K.
    Use: before the last fc, so that images of any size fit.
    Not: early; it forgets where things are.
    Source: Lin, Chen and Yan 2013 (Network in Network), section 3.2.
    """

    word: ClassVar[str] = "pool"
    kind: str = one_of("avg", "max")
    grid: Size = size(default=Size(1, 1))

    def windows(self, shape: Shape) -> tuple[tuple[range, ...], tuple[range, ...]]:
        """The rows of each window, and the columns of each."""
        shape = as_map(self, shape)
        sides = zip(shape[1:], self.grid, strict=True)
        rows, columns = (
            tuple(range(i * length // count, -(-(i + 1) * length // count)) for i in range(count))
            for length, count in sides
        )
        return rows, columns

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        # Where the grid does not divide a side the windows differ: none is larger or farther from the next.
        rows, columns = (
            Axis(max(len(window) for window in windows), -(-length // len(windows)))
            for windows, length in zip(self.windows(shape), as_map(self, shape)[1:], strict=True)
        )
        return rows, columns

    def out(self, shape: Shape) -> Map:
        return Map(as_map(self, shape).channels, self.grid.height, self.grid.width)

    def saves(self, shape: Shape) -> Saves:
        if self.kind == "max":
            return Saves(input=True, image_bytes=INDEX_BYTES * self.out(shape).elements)
        return Saves(input=self.grid != Size(1, 1))


@final
@dataclass(frozen=True, slots=True)
class DepthPool(Layer):
    """Pooling over channels: K neighboring channels become one.

    y[c] = max or mean of x[c*K .. c*K + K - 1]

    depthpool max|avg K.

    Shapes: C x H x W -> C/K x H x W; plain features likewise.
    Use: to become invariant to whatever the K channels differ in, rotation for instance.
    Not: where K does not divide the channels.
    Source: Goodfellow et al. 2013 (Maxout), section 3.
    """

    word: ClassVar[str] = "depthpool"
    kind: str = one_of("max", "avg")
    depth: int = count()

    def out(self, shape: Shape) -> Shape:
        return fewer_channels(shape, self.depth)

    def saves(self, shape: Shape) -> Saves:
        if self.kind == "max":
            return Saves(image_bytes=INDEX_BYTES * self.out(shape).elements)
        return Saves()


def fewer_channels(shape: Shape, factor: int) -> Shape:
    """The shape with channels / factor; raises Misfit where it does not divide."""
    if shape.channels % factor:
        raise Misfit(
            f"{factor} does not divide the {shape.channels} channels here",
            expected="a number that divides the channels",
            cure=f"{shape.channels + factor - shape.channels % factor} channels in the layer before",
        )
    if isinstance(shape, Map):
        return Map(shape.channels // factor, shape.height, shape.width)
    return Flat(shape.features // factor)
