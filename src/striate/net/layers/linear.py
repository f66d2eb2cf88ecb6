"""Fully connected layers and what goes with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from striate.net.layers.argument import Misfit, count, flag
from striate.net.layers.axis import Axis
from striate.net.layers.layer import Layer, Saves, as_map
from striate.net.shape import Flat, Map, Shape


@final
@dataclass(frozen=True, slots=True)
class Fc(Layer):
    """Fully connected: every feature of the output sees every number of the input.

    y[o] = b[o] + sum over i of w[o,i] * x[i]

    fc FEATURES [nobias], `fc classes` for the last one.  Feature maps are flattened first, channel by
    channel.

    Shapes: any of n numbers -> FEATURES.  Weights: n * FEATURES + FEATURES.
    Use: as the classifier at the end.
    Not: on a large map, where it holds most of the weights: pool first.
    Source: LeCun et al. 1998, section II.B.
    """

    word: ClassVar[str] = "fc"
    features: int = count()
    nobias: bool = flag()

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        return whole(shape)

    def out(self, shape: Shape) -> Flat:
        return Flat(self.features)

    def weights(self, shape: Shape) -> int:
        return self.features * (shape.elements + (not self.nobias))

    def multiply_adds(self, shape: Shape) -> int:
        return self.features * shape.elements

    def saves(self, shape: Shape) -> Saves:
        return Saves(input=True)


@final
@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """The maps laid out as one vector, channel by channel, row by row.

    y[(c*H + i)*W + j] = x[c,i,j]

    flatten takes no arguments; `fc` flattens by itself.

    Shapes: C x H x W -> C*H*W.
    Use: to say where the maps end.
    Not: before `pool` or `conv`, which need maps.
    Source: the field's habit.
    """

    word: ClassVar[str] = "flatten"

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        return whole(shape)

    def out(self, shape: Shape) -> Flat:
        return Flat(shape.elements)

    def saves(self, shape: Shape) -> Saves:
        return Saves()


@final
@dataclass(frozen=True, slots=True)
class Softmax(Layer):
    """Probabilities out of logits.

    y[i] = exp(x[i]) / sum over j of exp(x[j])

    softmax takes no arguments.  Training takes the logits before it: the cross-entropy loss has its own.

    Shapes: n -> n; over the channels of a map.
    Use: at the end of the text, if it is to say probabilities; `predict` gives them either way.
    Not: in the middle of a network.
    Source: Bridle 1990.
    """

    word: ClassVar[str] = "softmax"

    def out(self, shape: Shape) -> Shape:
        return shape

    def saves(self, shape: Shape) -> Saves:
        return Saves(output=True)


@final
@dataclass(frozen=True, slots=True)
class Identity(Layer):
    """Nothing: the input as it is.

    y = x

    identity takes no arguments.

    Shapes: any -> the same.
    Use: as the shortcut in `add { ... | identity }`.
    Not: elsewhere; it does nothing.
    Source: He et al. 2016 (Identity mappings).
    """

    word: ClassVar[str] = "identity"

    def out(self, shape: Shape) -> Shape:
        return shape

    def saves(self, shape: Shape) -> Saves:
        return Saves()


@final
@dataclass(frozen=True, slots=True)
class Widen(Layer):
    """More channels, the new ones zero, half of them before and half behind.

    y = zeros (CHANNELS - C) // 2, then x, then zeros

    widen CHANNELS.

    Shapes: C x H x W -> CHANNELS x H x W.
    Use: shortcuts without weights, `maxpool 1x1 stride 2 -> widen 32` (option A of the ResNet paper).
    Not: elsewhere; zeros tell nothing.
    Source: He et al. 2016 (Deep residual learning), section 3.3, option A.
    """

    word: ClassVar[str] = "widen"
    channels: int = count()

    def out(self, shape: Shape) -> Map:
        shape = as_map(self, shape)
        if self.channels < shape.channels:
            raise Misfit(
                f"widen {self.channels} would drop channels: there are {shape.channels}",
                expected=f"at least {shape.channels}",
                cure=f"conv {self.channels} 1x1, which can have fewer",
            )
        return Map(self.channels, shape.height, shape.width)

    def saves(self, shape: Shape) -> Saves:
        return Saves()


def whole(shape: Shape) -> tuple[Axis, Axis]:
    """One window over all of the map, for layers whose every output sees every input."""
    if isinstance(shape, Map):
        return Axis(shape.height, shape.height), Axis(shape.width, shape.width)
    return Axis(1), Axis(1)
