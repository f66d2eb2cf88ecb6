"""Layers that drop something at random in training and nothing at inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from striate.net.layers.argument import real
from striate.net.layers.layer import Layer, Saves, as_map
from striate.net.shape import Map, Shape


@final
@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """Each unit is set to 0 with probability P in training.

    y = x * m / (1 - P), m = 0 with probability P, else 1; at inference y = x

    dropout P.

    Shapes: any -> the same.
    Use: before and between fc layers that overfit.
    Not: between convolutions, whose neighbors tell the same: see `dropout2d`.
    Source: Srivastava et al. 2014; scaled in training, so inference needs nothing.
    """

    word: ClassVar[str] = "dropout"
    share: float = real(default=0.5, most=0.999)

    def out(self, shape: Shape) -> Shape:
        return shape

    def saves(self, shape: Shape) -> Saves:
        return Saves(image_bytes=4 * shape.elements if self.share else 0)


@final
@dataclass(frozen=True, slots=True)
class Dropout2d(Layer):
    """Each whole feature map is set to 0 with probability P in training (spatial dropout).

    y[c] = x[c] * m[c] / (1 - P), m[c] = 0 with probability P, else 1; at inference y = x

    dropout2d P.

    Shapes: C x H x W -> the same.
    Use: between convolutions that overfit.
    Not: after fc: see `dropout`.
    Source: Tompson et al. 2015, section 3.2.
    """

    word: ClassVar[str] = "dropout2d"
    share: float = real(default=0.5, most=0.999)

    def out(self, shape: Shape) -> Map:
        return as_map(self, shape)

    def saves(self, shape: Shape) -> Saves:
        return Saves(image_bytes=4 * shape.channels if self.share else 0)


@final
@dataclass(frozen=True, slots=True)
class DropPath(Layer):
    """The whole input of an image is set to 0 with probability P in training (stochastic depth).

    y = x * m / (1 - P), one m for each image; at inference y = x

    droppath P, at the end of a branch of `add`.

    Shapes: any -> the same.
    Use: to train very deep residual networks.
    Not: outside a residual branch, where it drops the image.
    Source: Huang et al. 2016.
    """

    word: ClassVar[str] = "droppath"
    share: float = real(default=0.1, most=0.999)

    def out(self, shape: Shape) -> Shape:
        return shape

    def saves(self, shape: Shape) -> Saves:
        return Saves(image_bytes=4 if self.share else 0)
