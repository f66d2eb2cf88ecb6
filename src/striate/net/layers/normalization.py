"""Layers that bring the scale of their input to a known one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from striate.net.layers.argument import count, flag, real
from striate.net.layers.layer import Layer, Saves, as_map
from striate.net.shape import Shape


@final
@dataclass(frozen=True, slots=True)
class BatchNorm(Layer):
    """Batch normalization per channel, or per feature after `fc`.

    y = (x - mean) / sqrt(var + eps) * gamma + beta, mean and var over the batch and the map in training,
    running means of them at inference

    bn [eps E] [momentum M] [nogamma].  running <- (1 - M) * running + M * batch.  `nogamma` holds gamma at 1.

    Shapes: any -> the same.  Weights: 2 a channel (gamma, beta), 1 with `nogamma`.
    Use: after conv or fc, before the activation; allows far higher learning rates.
    Not: with batches of a few images, where the batch says little.
    Source: Ioffe and Szegedy 2015, algorithm 1.
    """

    word: ClassVar[str] = "bn"
    eps: float = real(default=1e-5, least=1e-12, most=1.0, keyed=True)
    momentum: float = real(default=0.1, least=0.0, most=1.0, keyed=True)
    nogamma: bool = flag()

    def out(self, shape: Shape) -> Shape:
        return shape

    def weights(self, shape: Shape) -> int:
        return shape.channels if self.nogamma else 2 * shape.channels

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True, batch_bytes=8 * shape.channels)


@final
@dataclass(frozen=True, slots=True)
class LayerNorm(Layer):
    """Layer normalization over the channels of each place by itself.

    y[:,i,j] = (x[:,i,j] - mean) / sqrt(var + eps) * gamma + beta, mean and var over the channels

    ln [eps E].

    Shapes: any -> the same.  Weights: 2 a channel.
    Use: where batches are small; ConvNeXt.
    Not: in place of `bn` in a classic network: it does not fold into the convolution at inference.
    Source: Ba, Kiros and Hinton 2016; Liu et al. 2022 (ConvNeXt), section 2.6.
    """

    word: ClassVar[str] = "ln"
    eps: float = real(default=1e-6, least=1e-12, most=1.0, keyed=True)

    def out(self, shape: Shape) -> Shape:
        return shape

    def weights(self, shape: Shape) -> int:
        return 2 * shape.channels

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True, image_bytes=8 * (shape.elements // shape.channels))


@final
@dataclass(frozen=True, slots=True)
class LocalResponseNorm(Layer):
    """Local response normalization: strong channels quieten their neighbors.

    y[c] = x[c] / (k + alpha * mean of x[c']^2 over the N channels around c)^beta

    lrn N [alpha A] [beta B] [k K].  The published AlexNet sums where this takes the mean: its
    alpha 1e-4 with n = 5 is alpha 5e-4 here.

    Shapes: C x H x W -> the same.
    Use: to rebuild the AlexNet and GoogLeNet of 2012 to 2014.
    Not: in a new network; `bn` does better.
    Source: Krizhevsky et al. 2012, section 3.3.
    """

    word: ClassVar[str] = "lrn"
    neighbors: int = count(default=5)
    alpha: float = real(default=1e-4, keyed=True)
    beta: float = real(default=0.75, keyed=True)
    k: float = real(default=1.0, least=1e-6, keyed=True)

    def out(self, shape: Shape) -> Shape:
        return as_map(self, shape)

    def saves(self, shape: Shape) -> Saves:
        # torch composes it: the squares with N - 1 empty channels around, their mean, and its power.
        shape = as_map(self, shape)
        padded = (shape.channels + self.neighbors - 1) * shape.height * shape.width
        return Saves(input=True, image_bytes=4 * (padded + 2 * shape.elements))


@final
@dataclass(frozen=True, slots=True)
class Scale(Layer):
    """One trained factor a channel, begun at START (layer scale).

    y[c] = gamma[c] * x[c]

    scale [START].

    Shapes: any -> the same.  Weights: 1 a channel.
    Use: at the end of a residual branch of a deep network, with a small START.
    Not: after `bn`, which has its own factor.
    Source: Touvron et al. 2021 (CaiT), section 2.
    """

    word: ClassVar[str] = "scale"
    start: float = real(default=1.0)

    def out(self, shape: Shape) -> Shape:
        return shape

    def weights(self, shape: Shape) -> int:
        return shape.channels

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)
