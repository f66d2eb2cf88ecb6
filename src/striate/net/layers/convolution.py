"""Layers that slide a window of weights: shared, not shared, or fixed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from striate.errors import counted
from striate.net.layers.argument import Misfit, count, flag, one_of, size, unset_size
from striate.net.layers.axis import Axis
from striate.net.layers.layer import Layer, Saves, as_map, slid
from striate.net.layers.value import Size
from striate.net.shape import Map, Shape

ONE = Size(1, 1)

# 3x3 kernels of the image-processing textbooks (Gonzalez and Woods, ch. 3), as cross-correlations.
KERNELS: dict[str, tuple[tuple[float, ...], ...]] = {
    "sobel-x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel-y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "blur": ((1 / 16, 2 / 16, 1 / 16), (2 / 16, 4 / 16, 2 / 16), (1 / 16, 2 / 16, 1 / 16)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
    "identity": ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
}


@dataclass(frozen=True, slots=True)
class _Windowed(Layer):
    """The arguments that `conv` and `local` share."""

    channels: int = count()
    kernel: Size = size(default=ONE)
    stride: Size = size(default=ONE, keyed=True)
    pad: Size | None = unset_size()
    dilate: Size = size(default=ONE, keyed=True)
    groups: int = count(default=1, keyed=True)
    valid: bool = flag()
    same: bool = flag()
    nobias: bool = flag()

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        length = as_map(self, shape)
        return self._axis(0, length.height), self._axis(1, length.width)

    def _axis(self, side: int, length: int) -> Axis:
        kernel, stride, dilation = self.kernel[side], self.stride[side], self.dilate[side]
        extent = dilation * (kernel - 1) + 1
        if sum((self.valid, self.same, self.pad is not None)) > 1:
            raise Misfit(
                "the padding is given twice",
                expected="one of pad, valid and same",
                cure="leave out all but one",
            )
        if self.valid:
            return Axis(kernel, stride, dilation)
        if self.pad is not None:
            return Axis(kernel, stride, dilation, self.pad[side], self.pad[side])
        if self.same:
            windows = -(-length // stride)
            total = max(0, (windows - 1) * stride + extent - length)
            return Axis(kernel, stride, dilation, total // 2, total - total // 2)
        if (extent - 1) % 2:
            raise Misfit(
                f"a window of {self.kernel} has no middle, so the usual padding dilate*(F-1)/2 is not whole",
                expected="an odd window, or the padding said",
                cure="same, which keeps the size at stride 1",
            )
        return Axis(kernel, stride, dilation, (extent - 1) // 2, (extent - 1) // 2)

    def out(self, shape: Shape) -> Map:
        shape = as_map(self, shape)
        for what, number in (("input", shape.channels), ("output", self.channels)):
            if number % self.groups:
                raise Misfit(
                    f"groups {self.groups} does not divide the {number} {what} channels",
                    expected="groups that divide the channels of the input and of the output",
                    cure=f"groups {_largest_divisor(shape.channels, self.channels, self.groups)}",
                )
        return Map(self.channels, *slid(self, shape, *self.axes(shape)))

    def window_weights(self, shape: Shape) -> int:
        """Weights that one output channel reads through, kernel height * width * channels / groups."""
        return self.kernel.height * self.kernel.width * (as_map(self, shape).channels // self.groups)

    def multiply_adds(self, shape: Shape) -> int:
        return self.out(shape).elements * self.window_weights(shape)


@final
@dataclass(frozen=True, slots=True)
class Conv(_Windowed):
    """Convolution: the same small window of weights slides over the whole map.

    y[o,i,j] = b[o] + sum over c,u,v of w[o,c,u,v] * x[c, i*S + u*D - P, j*S + v*D - P]

    conv CHANNELS [KxK] [stride S] [pad P | valid | same] [dilate D] [groups G] [nobias].  The window is
    1x1 unless said.  The padding is P = D*(F-1)/2, which keeps the size at stride 1; `valid` has none;
    `same` pads so that the output is ceil(N/S), an odd row at the far end (TensorFlow's SAME).
    `groups` splits the channels into that many separate convolutions; as many as there are channels
    makes it depthwise.

    Shapes: C x H x W -> CHANNELS x (floor((H + 2P - D*(F-1) - 1) / S) + 1) x the same of W.
    Use: wherever a pattern may stand anywhere in the image.
    Not: where the place itself says what to look for, as in aligned faces: see `local`.
    Source: LeCun et al. 1998, section II; Dumoulin and Visin 2016.
    """

    word: ClassVar[str] = "conv"

    def weights(self, shape: Shape) -> int:
        return self.channels * (self.window_weights(shape) + (not self.nobias))

    def saves(self, shape: Shape) -> Saves:
        shape = as_map(self, shape)
        rows, columns = self.axes(shape)
        if rows.before == rows.after and columns.before == columns.after:
            return Saves(input=True)
        # Uneven padding is written into a copy, and the copy is kept.
        height = shape.height + rows.before + rows.after
        width = shape.width + columns.before + columns.after
        return Saves(image_bytes=4 * shape.channels * height * width)


@final
@dataclass(frozen=True, slots=True)
class Local(_Windowed):
    """Locally connected: the windows of a convolution, but each place has weights of its own.

    y[o,i,j] = b[o,i,j] + sum over c,u,v of w[i,j,o,c,u,v] * x[c, i*S + u*D - P, j*S + v*D - P]

    local CHANNELS [KxK], with all that `conv` takes.

    Shapes: as `conv`.  Weights: those of the convolution times the number of places, biases as well.
    Use: aligned images (faces, scans), where each place has its own patterns.
    Not: photographs; it needs far more weights and data than `conv`.
    Source: Gregor and LeCun 2010; Taigman et al. 2014 (DeepFace).
    """

    word: ClassVar[str] = "local"

    def weights(self, shape: Shape) -> int:
        return self.out(shape).elements * (self.window_weights(shape) + (not self.nobias))

    def saves(self, shape: Shape) -> Saves:
        # The windows of all places, copied out of the map.
        places = self.out(shape).height * self.out(shape).width
        return Saves(image_bytes=4 * places * self.groups * self.window_weights(shape))


@final
@dataclass(frozen=True, slots=True)
class Whiten(Layer):
    """Patches in whitened coordinates: fixed windows that decorrelate what they read; biases alone are trained.

    y[2k]   = b[2k]   + v[k] . p / sqrt(l[k] + e),   y[2k+1] = b[2k+1] - v[k] . p / sqrt(l[k] + e)

    p is the window at (i*S, j*S) as one vector, v[k] and l[k] the eigenvectors and eigenvalues of the mean
    of p p' over patches of the training images, the largest first, e 5e-4 of the mean eigenvalue.  They
    are measured before the first step; both signs are there, as a relu behind it would lose one.

    whiten CHANNELS [KxK] [stride S].  The window is 2x2 unless said, without padding; CHANNELS is even, and
    at most twice the numbers in a window.

    Shapes: C x H x W -> CHANNELS x (floor((H - K) / S) + 1) x the same of W.
    Use: as the first layer of a short training; it spares the steps that a trained one needs to get there.
    Not: where the first layer has a hundred epochs to learn something better.
    Source: Coates and Ng 2012; Page 2019 (`How to train your ResNet` 8); Jordan 2024, section 3.2.
    """

    word: ClassVar[str] = "whiten"
    channels: int = count()
    kernel: Size = size(default=Size(2, 2))
    stride: Size = size(default=ONE, keyed=True)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        return Axis(self.kernel.height, self.stride.height), Axis(self.kernel.width, self.stride.width)

    def out(self, shape: Shape) -> Map:
        shape = as_map(self, shape)
        most = 2 * self.window_weights(shape)
        if self.channels % 2 or self.channels > most:
            raise Misfit(
                f"a {self.kernel} window of {counted(shape.channels, 'channel')} has no {self.channels} directions",
                expected=f"an even number up to {most}: each direction twice, with both signs",
                cure=f"whiten {min(most, self.channels + 1) // 2 * 2} {self.kernel}",
            )
        return Map(self.channels, *slid(self, shape, *self.axes(shape)))

    def window_weights(self, shape: Shape) -> int:
        """Numbers in a window, kernel height * width * channels."""
        return self.kernel.height * self.kernel.width * as_map(self, shape).channels

    def weights(self, shape: Shape) -> int:
        return self.channels

    def multiply_adds(self, shape: Shape) -> int:
        return self.out(shape).elements * self.window_weights(shape)

    def saves(self, shape: Shape) -> Saves:
        # Kept by torch's convolution, whatever is trained in it.
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Filter(Layer):
    """A fixed, known 3x3 kernel on each channel by itself; nothing is trained.

    y[c,i,j] = sum over u,v of k[u,v] * x[c, i + u - 1, j + v - 1], zeros outside the map

    filter KIND, one of sobel-x, sobel-y, laplacian, sharpen, blur, emboss, identity.

    Shapes: C x H x W -> the same.
    Use: to see what a hand-made kernel does, or as a first layer that needs no training.
    Not: in a deep network; a trained `conv` finds these by itself.
    Source: Gonzalez and Woods, Digital Image Processing, chapter 3.
    """

    word: ClassVar[str] = "filter"
    kind: str = one_of(*KERNELS)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        return Axis(3, before=1, after=1), Axis(3, before=1, after=1)

    def out(self, shape: Shape) -> Map:
        return as_map(self, shape)

    def multiply_adds(self, shape: Shape) -> int:
        return 9 * shape.elements

    def saves(self, shape: Shape) -> Saves:
        # Not needed, as the kernel is fixed, but torch's convolution keeps it all the same.
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Grey(Layer):
    """One weight shared by all channels: their mean, (R + G + B) / 3.  Nothing is trained.

    y[i,j] = sum over c of x[c,i,j] / C

    grey takes no arguments.

    Shapes: C x H x W -> 1 x H x W.
    Use: as the first layer where color must not matter.
    Not: where color tells the classes apart.
    Source: lecture notes on weight sharing across channels.
    """

    word: ClassVar[str] = "grey"

    def out(self, shape: Shape) -> Map:
        shape = as_map(self, shape)
        return Map(1, shape.height, shape.width)

    def saves(self, shape: Shape) -> Saves:
        return Saves()


def _largest_divisor(first: int, second: int, most: int) -> int:
    """The largest common divisor of both up to `most`, found in sqrt(gcd) steps."""
    common = math.gcd(first, second)
    low = [each for each in range(1, math.isqrt(common) + 1) if common % each == 0]
    return max(each for each in (*low, *(common // each for each in low)) if each <= most)
