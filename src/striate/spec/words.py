"""The list of layer words."""

from __future__ import annotations

from striate.spec.activation import Elu, Gelu, Leaky, Maxout, PRelu, Relu, Relu6, Sigmoid, Silu, Tanh
from striate.spec.convolution import Conv, Filter, Grey, Local
from striate.spec.dropout import Dropout, Dropout2d, DropPath
from striate.spec.layer import Layer
from striate.spec.linear import Fc, Flatten, Identity, Softmax, Widen
from striate.spec.normalisation import BatchNorm, LayerNorm, LocalResponseNorm, Scale
from striate.spec.pooling import AvgPool, DepthPool, MaxPool, Pool

_LAYERS: tuple[type[Layer], ...] = (
    Conv, Local, Filter, Grey,
    MaxPool, AvgPool, Pool, DepthPool,
    BatchNorm, LayerNorm, LocalResponseNorm, Scale,
    Relu, Relu6, Leaky, PRelu, Elu, Sigmoid, Tanh, Gelu, Silu, Maxout,
    Dropout, Dropout2d, DropPath,
    Fc, Flatten, Softmax, Identity, Widen,
)  # fmt: skip

WORDS: dict[str, type[Layer]] = {layer.word: layer for layer in _LAYERS}
