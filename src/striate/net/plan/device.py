"""What a device needs to answer with a network: known from the text alone, before any training."""

from __future__ import annotations

from dataclasses import dataclass

from striate.net.layers.activation import Elu, Gelu, Leaky, PRelu, Relu, Relu6, Sigmoid, Silu, Tanh
from striate.net.layers.convolution import Conv
from striate.net.layers.dropout import Dropout, Dropout2d, DropPath
from striate.net.layers.linear import Fc, Flatten, Identity, Softmax
from striate.net.layers.normalization import BatchNorm, Scale
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side

# What can be computed in place, or is nothing at inference.
_IN_PLACE = (BatchNorm, Scale, Dropout, Dropout2d, DropPath, Flatten, Identity, Softmax,
    Relu, Relu6, Leaky, PRelu, Elu, Sigmoid, Tanh, Gelu, Silu,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeviceSheet:
    """A network at inference, one image at a time, its batch norms folded.

    weights_float, weights_int8: bytes on disk and in memory.  In int8 a weight takes a byte, and each output channel
    8 more for its bias and its scale.
    activations_float, activations_int8: bytes of the feature maps that live at once, at the worst layer.
    moment: that layer.  multiply_adds: of convolutions and fc for an image.
    """

    weights_float: int
    weights_int8: int
    activations_float: int
    activations_int8: int
    moment: str
    multiply_adds: int

    @property
    def memory_float(self) -> int:
        """Peak bytes in float32: weights and live feature maps; the program itself is not counted."""
        return self.weights_float + self.activations_float

    @property
    def memory_int8(self) -> int:
        """The same in int8."""
        return self.weights_int8 + self.activations_int8


def device_sheet(layout: Layout) -> DeviceSheet:
    """Sum up a laid-out network; auxiliary classifiers are absent.

    The peak of the feature maps is max over the layers of (held + input + output), held being what a branch or the
    addition behind it still needs; an activation, and what folds or vanishes, works in place.
    """
    matrix = channels = others = adds = 0
    for placed in layout.layers(sides=False):
        layer, weights = placed.layer, placed.layer.weights(placed.input)
        adds += layer.multiply_adds(placed.input)
        if isinstance(layer, Conv | Fc):
            biases = 0 if layer.nobias else placed.output.channels
            matrix += weights - biases
            channels += placed.output.channels
        elif not isinstance(layer, BatchNorm):
            others += weights
    peak, moment = _Walk().part(layout.root, 0, keep=False)
    return DeviceSheet(
        weights_float=4 * (matrix + channels + others),
        weights_int8=matrix + 8 * channels + 4 * others,
        activations_float=4 * peak,
        activations_int8=peak,
        moment=moment,
        multiply_adds=adds,
    )


class _Walk:
    """The most numbers that live at once while a part runs, and the path of the layer where they do."""

    def part(self, part: Part, held: int, *, keep: bool) -> tuple[int, str]:
        """held: numbers that others need meanwhile.  keep: whether the part's input is needed behind it, too."""
        if isinstance(part, Placed):
            return self._layer(part, held, keep=keep)
        if isinstance(part, Chain):
            return self._chain(part, held, keep=keep)
        if isinstance(part, Join):
            return self._join(part, held, keep=keep)
        assert isinstance(part, Side)
        return held + part.input.elements, part.path

    def _layer(self, placed: Placed, held: int, *, keep: bool) -> tuple[int, str]:
        layer, size, made = placed.layer, placed.input.elements, placed.output.elements
        if isinstance(layer, _IN_PLACE):
            # A copy where the input is needed as it was and something changes it.
            nothing = isinstance(layer, Identity | Flatten | Dropout | Dropout2d | DropPath)
            return held + size + (made if keep and not nothing else 0), placed.path
        return held + size + made, placed.path

    def _chain(self, chain: Chain, held: int, *, keep: bool) -> tuple[int, str]:
        most = held + chain.input.elements, chain.path
        for number, each in enumerate(chain.parts):
            if isinstance(each, Side):
                continue
            first = number == 0
            beside = held + (chain.input.elements if keep and not first else 0)
            most = max(most, self.part(each, beside, keep=keep and first), key=lambda found: found[0])
        return most

    def _join(self, join: Join, held: int, *, keep: bool) -> tuple[int, str]:
        most = held + join.input.elements, join.path
        done = 0
        for number, chain in enumerate(join.chains):
            last = number == len(join.chains) - 1
            found = self.part(chain, held + done, keep=keep or not last)
            most = max(most, found, key=lambda each: each[0])
            done += chain.output.elements
        made = join.output.elements if join.kind == "concat" else 0
        end = held + done + made + (join.input.elements if keep else 0)
        return max(most, (end, join.path), key=lambda each: each[0])
