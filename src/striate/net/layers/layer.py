"""What every layer says of itself."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

from striate.net.layers.argument import Misfit
from striate.net.layers.axis import POINT, Axis
from striate.net.shape import Map, Shape


@dataclass(frozen=True, slots=True)
class Saves:
    """What the backward pass keeps of one layer, parameters and running statistics not counted.

    input, output: the tensor itself is kept (once, however many layers keep it).
    image_bytes: further bytes for each image, as masks and indices.
    batch_bytes: further bytes once, whatever the batch.
    A float takes 4 bytes.
    """

    input: bool = False
    output: bool = False
    image_bytes: int = 0
    batch_bytes: int = 0


class Layer(abc.ABC):
    """One layer: its arguments are its fields, its arithmetic its methods.

    All shapes are of one image.  `word` is how the notation calls it.
    """

    __slots__ = ()
    word: ClassVar[str]

    @abc.abstractmethod
    def out(self, shape: Shape) -> Shape:
        """The output shape; raises Misfit where the layer cannot stand after `shape`."""

    def weights(self, shape: Shape) -> int:
        """How many numbers are trained, biases counted."""
        return 0

    def multiply_adds(self, shape: Shape) -> int:
        """Multiply-adds of one forward pass; convolutions and fully connected layers count, others are 0."""
        return 0

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """The windows along height and width; a layer that works point by point has 1x1."""
        return POINT, POINT

    @abc.abstractmethod
    def saves(self, shape: Shape) -> Saves:
        """What the backward pass needs of a float32 forward pass in training."""


def as_map(layer: Layer, shape: Shape) -> Map:
    """The shape as a map; raises Misfit after `flatten` or `fc`."""
    if isinstance(shape, Map):
        return shape
    here = "is 1 plain feature" if shape.features == 1 else f"are {shape.features} plain features"
    raise Misfit(
        f"`{layer.word}` needs feature maps, and here {here}",
        expected="channels x height x width",
        cure=f"`{layer.word}` before the first fc or flatten",
    )


def slid(layer: Layer, shape: Map, rows: Axis, columns: Axis) -> tuple[int, int]:
    """The output height and width of a window; raises Misfit where it does not fit."""
    sides = ((rows, shape.height), (columns, shape.width))
    if any(axis.room(length) < 0 for axis, length in sides):
        dilated = "" if rows.dilation == columns.dilation == 1 else " (dilated)"
        padding = _square(rows.before, columns.before)
        most = [(length + axis.before + axis.after - 1) // axis.dilation + 1 for axis, length in sides]
        pad = [max(axis.before, (axis.extent - length + 1) // 2) for axis, length in sides]
        raise Misfit(
            f"the {rows.extent}x{columns.extent}{dilated} window does not fit: "
            f"the map here is {shape.height}x{shape.width} and "
            + ("no padding was given" if padding == "0" else f"the padding is {padding}"),
            expected="dilate*(F-1)+1 <= N + 2P",
            cure=f"a window of at most {most[0]}x{most[1]}, or pad {_square(*pad)}",
        )
    return rows.out(shape.height), columns.out(shape.width)


def _square(height: int, width: int) -> str:
    return str(height) if height == width else f"{height}x{width}"
