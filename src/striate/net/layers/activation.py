"""Activations: what makes a stack of layers more than one linear map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from striate.net.layers.argument import count, real
from striate.net.layers.layer import Layer, Saves
from striate.net.layers.pooling import INDEX_BYTES, fewer_channels
from striate.net.shape import Shape


@dataclass(frozen=True, slots=True)
class _Pointwise(Layer):
    """An activation that keeps the shape."""

    def out(self, shape: Shape) -> Shape:
        return shape


@final
@dataclass(frozen=True, slots=True)
class Relu(_Pointwise):
    """Rectified linear unit.

    y = max(0, x)

    relu takes no arguments.

    Shapes: any -> the same.
    Use: the default after conv, fc and bn; begin with `he` weights.
    Not: where units die (always 0) at a high learning rate: try `leaky`.
    Source: Nair and Hinton 2010; Krizhevsky et al. 2012, section 3.1.
    """

    word: ClassVar[str] = "relu"

    def saves(self, shape: Shape) -> Saves:
        return Saves(output=True)


@final
@dataclass(frozen=True, slots=True)
class Relu6(_Pointwise):
    """Rectified linear unit that stops at 6.

    y = min(max(0, x), 6)

    relu6 takes no arguments.

    Shapes: any -> the same.
    Use: networks for low-precision arithmetic, MobileNet and EfficientNet-Lite.
    Not: elsewhere; it only caps `relu`.
    Source: Howard et al. 2017 (MobileNets); Krizhevsky 2010.
    """

    word: ClassVar[str] = "relu6"

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Leaky(_Pointwise):
    """Leaky rectified linear unit: a small slope below 0 instead of none.

    y = x where x > 0, SLOPE * x elsewhere

    leaky [SLOPE].

    Shapes: any -> the same.
    Use: where `relu` units die.
    Not: where sparsity (many exact zeros) is wanted.
    Source: Maas, Hannun and Ng 2013.
    """

    word: ClassVar[str] = "leaky"
    slope: float = real(default=0.01, most=1.0)

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class PRelu(_Pointwise):
    """Leaky rectified linear unit whose slope is trained, one a channel.

    y = x where x > 0, a[c] * x elsewhere, a begun at 0.25

    prelu takes no arguments.

    Shapes: any -> the same.  Weights: 1 a channel.
    Use: large data, where the slope can be learnt.
    Not: small data; it adds weights.
    Source: He et al. 2015, section 2.1.
    """

    word: ClassVar[str] = "prelu"

    def weights(self, shape: Shape) -> int:
        return shape.channels

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Elu(_Pointwise):
    """Exponential linear unit: smooth below 0, towards -ALPHA.

    y = x where x > 0, ALPHA * (exp(x) - 1) elsewhere

    elu [ALPHA].

    Shapes: any -> the same.
    Use: deep networks without bn; outputs have a mean near 0.
    Not: where speed counts: the exponential costs.
    Source: Clevert, Unterthiner and Hochreiter 2016.
    """

    word: ClassVar[str] = "elu"
    alpha: float = real(default=1.0)

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Sigmoid(_Pointwise):
    """Logistic sigmoid.

    y = 1 / (1 + exp(-x))

    sigmoid takes no arguments.

    Shapes: any -> the same.
    Use: gates, and to see why it was given up: it saturates and its output is not zero-centerd.
    Not: between the layers of a deep network; gradients vanish.
    Source: LeCun et al. 1998b (Efficient BackProp), section 4.4.
    """

    word: ClassVar[str] = "sigmoid"

    def saves(self, shape: Shape) -> Saves:
        return Saves(output=True)


@final
@dataclass(frozen=True, slots=True)
class Tanh(_Pointwise):
    """Hyperbolic tangent.

    y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))

    tanh takes no arguments.

    Shapes: any -> the same.
    Use: the historic LeNet; zero-centerd, unlike `sigmoid`; begin with `xavier` weights.
    Not: deep networks; it saturates as well.
    Source: LeCun et al. 1998b (Efficient BackProp), section 4.4.
    """

    word: ClassVar[str] = "tanh"

    def saves(self, shape: Shape) -> Saves:
        return Saves(output=True)


@final
@dataclass(frozen=True, slots=True)
class Gelu(_Pointwise):
    """Gaussian error linear unit.

    y = x * Phi(x), Phi the normal distribution function

    gelu takes no arguments.

    Shapes: any -> the same.
    Use: ConvNeXt and transformers.
    Not: small networks on a CPU; `relu` is as good and cheaper.
    Source: Hendrycks and Gimpel 2016.
    """

    word: ClassVar[str] = "gelu"

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Silu(_Pointwise):
    """Sigmoid-weighted linear unit, also called swish.

    y = x / (1 + exp(-x))

    silu takes no arguments.

    Shapes: any -> the same.
    Use: EfficientNet and its kin.
    Not: small networks on a CPU; `relu` is as good and cheaper.
    Source: Elfwing, Uchibe and Doya 2017; Ramachandran, Zoph and Le 2017.
    """

    word: ClassVar[str] = "silu"

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Maxout(Layer):
    """The largest of K linear pieces; the layer before computes the pieces.

    y[c] = max of x[c*K .. c*K + K - 1]

    maxout K.  `conv 64 3x3 -> maxout 2` has 32 maxout units of 2 pieces.

    Shapes: C x H x W -> C/K x H x W; plain features likewise.
    Use: with dropout; it learns its own activation and never saturates.
    Not: where weights are dear: K times as many.
    Source: Goodfellow et al. 2013.
    """

    word: ClassVar[str] = "maxout"
    pieces: int = count(least=2)

    def out(self, shape: Shape) -> Shape:
        return fewer_channels(shape, self.pieces)

    def saves(self, shape: Shape) -> Saves:
        return Saves(image_bytes=INDEX_BYTES * self.out(shape).elements)
