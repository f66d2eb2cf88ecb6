"""The list of layer words."""

from __future__ import annotations

from collections.abc import Iterable

from striate.net.layers.activation import Elu, Gelu, Leaky, Maxout, PRelu, Relu, Relu6, Sigmoid, Silu, Tanh
from striate.net.layers.argument import arguments
from striate.net.layers.convolution import Conv, Filter, Grey, Local, Whiten
from striate.net.layers.dropout import Dropout, Dropout2d, DropPath
from striate.net.layers.layer import Layer
from striate.net.layers.linear import Fc, Flatten, Identity, Softmax, Widen
from striate.net.layers.normalization import BatchNorm, LayerNorm, LocalResponseNorm, Scale
from striate.net.layers.pooling import AvgPool, DepthPool, MaxPool, Pool
from striate.net.layers.value import Size, Value, write_value

_LAYERS: tuple[type[Layer], ...] = (
    Conv, Local, Whiten, Filter, Grey,
    MaxPool, AvgPool, Pool, DepthPool,
    BatchNorm, LayerNorm, LocalResponseNorm, Scale,
    Relu, Relu6, Leaky, PRelu, Elu, Sigmoid, Tanh, Gelu, Silu, Maxout,
    Dropout, Dropout2d, DropPath,
    Fc, Flatten, Softmax, Identity, Widen,
)  # fmt: skip

WORDS: dict[str, type[Layer]] = {layer.word: layer for layer in _LAYERS}

# Whose square window is one number, as in `maxpool 2`; behind another word it always is, as in `stride 2`.
_SHORT = ("maxpool", "avgpool")

# Whose window is said although it is the default: `conv 32` does not look like a 1x1 convolution.
_WINDOWED = ("conv", "local")


def write_form(word: str) -> str:
    """How a layer is written, as `maxpool KERNEL [stride N] [pad N] [ceil]`."""
    parts = [word]
    for name, argument in arguments(WORDS[word]).items():
        if argument.kind == "flag":
            part = name
        elif argument.keyed:
            part = f"{name} N"
        else:
            part = "|".join(argument.words) or name.upper()
        parts.append(part if argument.required else f"[{part}]")
    return " ".join(parts)


def write_word(word: str, values: Iterable[tuple[str, Value | str | bool]]) -> str:
    """A layer with its arguments as text, as `conv 64 7x7 stride 2 nobias`.

    values: the arguments that are to be said, in order.
    """
    known = arguments(WORDS[word])
    parts = [word]
    said = dict(values)
    window = known["kernel"].default if word in _WINDOWED else None
    if window is not None and "kernel" not in said:
        said = {"channels": said["channels"], "kernel": window, **said}
    for name, value in said.items():
        argument = known[name]
        if argument.keyed:
            parts.append(name)
        if isinstance(value, Size) and value.height == value.width and (argument.keyed or word in _SHORT):
            parts.append(str(value.height))
        elif isinstance(value, str):
            parts.append(value)
        elif not isinstance(value, bool):
            parts.append(write_value(value))
    return " ".join(parts)


def write_layer(layer: Layer) -> str:
    """The text of a laid-out layer, arguments at their defaults left out."""
    known = arguments(type(layer))
    values = ((name, getattr(layer, name)) for name in known)
    return write_word(layer.word, [(name, value) for name, value in values if value != known[name].default])
