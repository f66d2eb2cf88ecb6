"""A network as an ONNX graph, written from its layout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from striate.errors import StriateError
from striate.modules.module import Net
from striate.modules.nn.local import LocallyConnected2d
from striate.net.layers import activation, convolution, dropout, linear, pooling
from striate.net.layers import normalization as normalization
from striate.net.layers.axis import Axis
from striate.net.layout.layout import Chain, Join, Layout, Placed, Side
from striate.net.shape import Map, Shape

# Of 2022: every runtime of the last years reads it.
OPSET = 17
IR = 8

# protobuf ends at 2 GB.
MOST_BYTES = 1_900_000_000

IMAGES, LOGITS, CLASS_MAP = "images", "logits", "class_map"


class NoGraph(StriateError):
    """A network that cannot be said in ONNX."""


def onnx_bytes(net: Net, *, with_map: bool = False) -> bytes:
    """The network as an ONNX model: `images`, N x C x H x W float32 and normalized -> `logits`, N x classes.

    net: built from a text, and `folded` for speed.  Side classifiers, dropout and a closing softmax are left
    out, as at inference.
    with_map: and `class_map`, N x classes x h x w, where the network has one (`head_of`).

    Raises NoGraph where a layer has no equal in ONNX, or the weights are more than a file can hold.
    """
    size = sum(each.numel() * each.element_size() for each in net.state_dict().values())
    if size > MOST_BYTES:
        raise NoGraph(
            f"the weights take {size:,} bytes", place="onnx", expected=f"at most {MOST_BYTES:,} in one file"
        )
    writer = _Writer(net, head_of(net) if with_map else None)
    last = writer.network(net.layout)
    return bytes(writer.model(net.layout, last).SerializeToString())


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a network whose logits are means over places, so that each place has its share in them.

    logit[k] = mean over the places of class_map[k] + bias[k],  class_map[k] = sum_c w[k, c] x[c]

    pool: the global mean.  fc: the layer behind it, or None where the mean gives the logits and x is the class map.
    Source: Zhou et al. 2016, "Learning deep features for discriminative localization", section 2.
    """

    pool: Placed
    fc: Placed | None

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of the class map."""
        shape = self.pool.input
        assert isinstance(shape, Map)
        return shape.height, shape.width


def head_of(net: Net) -> Head | None:
    """The end of a network where it is `pool avg`, alone or before one `fc`; else None."""
    fc: Placed | None = None
    for part in reversed(_spine(net.layout.root, closing=True)):
        if not isinstance(part, Placed):
            if isinstance(part, Side):
                continue
            return None
        match part.layer:
            case pooling.Pool(kind="avg", grid=(1, 1)):
                return Head(part, fc) if fc or part.output.elements == net.layout.output.elements else None
            case linear.Fc() if fc is None:
                fc = part
            case dropout.Dropout() | dropout.Dropout2d() | linear.Flatten() | linear.Identity():
                pass
            case _ if not isinstance(net.part(part.path), nn.Identity):
                return None
    return None


def _spine(chain: Chain, *, closing: bool = False) -> list[Placed | Join | Side]:
    """The parts of a chain and of the chains in it, one behind the other, without a closing softmax."""
    found: list[Placed | Join | Side] = []
    parts = chain.before_softmax() if closing else chain.parts
    for part in parts:
        if isinstance(part, Chain):
            found += _spine(part, closing=closing and part is parts[-1])
        else:
            found.append(part)
    return found


class _Writer:
    """The nodes and weights written so far.  A value is the name of what a node gives."""

    def __init__(self, net: Net, head: Head | None = None) -> None:
        self.net = net
        self.head = head
        self.before_pool = ""
        # Of the layer that is written: it begins the names of its nodes.
        self.path = ""
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def model(self, layout: Layout, last: str) -> onnx.ModelProto:
        """The finished model."""
        self.nodes.append(helper.make_node("Identity", [last], [LOGITS]))
        shape: list[str | int | None] = ["N", layout.input.channels, layout.input.height, layout.input.width]
        kinds = layout.output.elements
        outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["N", kinds])]
        if self.head is not None:
            self.nodes.append(helper.make_node("Identity", [self._class_map(self.head)], [CLASS_MAP]))
            places: list[str | int | None] = ["N", kinds, *self.head.places]
            outputs.append(helper.make_tensor_value_info(CLASS_MAP, TensorProto.FLOAT, places))
        graph = helper.make_graph(
            self.nodes,
            "striate",
            [helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, shape)],
            outputs,
            self.weights,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="striate"
        )

    def network(self, layout: Layout) -> str:
        """The whole flow, flat and without a closing softmax."""
        return self._node("Flatten", self._chain(layout.root, IMAGES, logits=True), axis=1)

    def _class_map(self, head: Head) -> str:
        """What the fc behind the mean makes of each place before it, without its bias."""
        if head.fc is None:
            return self.before_pool
        self.path = CLASS_MAP
        weight = getattr(self.net.part(head.fc.path), "weight")  # noqa: B009
        return self._node(
            "Conv", self.before_pool, self._weight(weight[:, :, None, None]), kernel_shape=[1, 1]
        )

    def _chain(self, chain: Chain, value: str, *, logits: bool = False) -> str:
        """`logits`: without a closing softmax, as `build` leaves it out."""
        parts = chain.before_softmax() if logits else chain.parts
        for part in parts:
            if isinstance(part, Placed):
                value = self._layer(part, value)
            elif isinstance(part, Chain):
                value = self._chain(part, value, logits=logits and part is parts[-1])
            elif isinstance(part, Join):
                value = self._join(part, value)
            else:
                assert isinstance(part, Side)
        return value

    def _join(self, join: Join, value: str) -> str:
        ends = [self._chain(chain, value) for chain in join.chains]
        self.path = join.path
        if join.kind == "concat":
            return self._node("Concat", *ends, axis=1)
        total = ends[0]
        for end in ends[1:]:
            total = self._node("Add", total, end)
        return total

    def _layer(self, placed: Placed, x: str) -> str:
        shape = placed.input
        module = self.net.part(placed.path)
        self.path = placed.path
        if self.head is not None and placed.path == self.head.pool.path:
            self.before_pool = x
        if isinstance(module, nn.Identity):
            return x
        match placed.layer:
            case convolution.Conv() as conv:
                return self._conv(conv, shape, x, module)
            case convolution.Local() as local:
                return self._local(local, placed, x, module)
            case convolution.Whiten(kernel=kernel, stride=stride):
                return self._node(
                    "Conv", x, *self._tensors(module), kernel_shape=list(kernel), strides=list(stride)
                )
            case convolution.Filter(kind=kind):
                known = np.array(convolution.KERNELS[kind], dtype=np.float32)
                weight = self._constant(np.broadcast_to(known, (shape.channels, 1, 3, 3)))
                return self._node("Conv", x, weight, group=shape.channels, pads=[1, 1, 1, 1])
            case convolution.Grey():
                return self._node("ReduceMean", x, axes=[1], keepdims=1)
            case pooling.MaxPool() as pool:
                return self._node("MaxPool", x, **_window(pool, shape))
            case pooling.AvgPool() as pool:
                return self._node("AveragePool", x, count_include_pad=0, **_window(pool, shape))
            case pooling.Pool() as pool:
                return self._grid(pool, shape, x)
            case pooling.DepthPool(kind=kind, depth=depth):
                return self._depth(x, shape, depth, "ReduceMean" if kind == "avg" else "ReduceMax")
            case activation.Maxout(pieces=pieces):
                return self._depth(x, shape, pieces, "ReduceMax")
            case normalization.BatchNorm(eps=eps):
                assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
                kept = (module.weight, module.bias, module.running_mean, module.running_var)
                return self._node("BatchNormalization", x, *map(self._weight, kept), epsilon=eps)
            case normalization.LayerNorm(eps=eps):
                return self._layer_norm(x, shape, eps, module)
            case normalization.LocalResponseNorm(neighbors=n, alpha=alpha, beta=beta, k=k):
                if n % 2:
                    return self._node("LRN", x, size=n, alpha=alpha, beta=beta, bias=k)
                return self._even_lrn(x, shape, n, alpha, beta, k)
            case normalization.Scale():
                return self._node("Mul", x, self._each_channel(module, shape))
            case dropout.Dropout() | dropout.Dropout2d() | dropout.DropPath():
                return x
            case linear.Fc():
                return self._node("Gemm", self._node("Flatten", x, axis=1), *self._tensors(module), transB=1)
            case linear.Flatten():
                return self._node("Flatten", x, axis=1)
            case linear.Softmax():
                return self._node("Softmax", x, axis=1)
            case linear.Widen(channels=channels):
                more = channels - shape.channels
                before, after = more // 2, more - more // 2
                return self._node("Pad", x, self._constant(np.array([0, before, 0, 0, 0, after, 0, 0])))
            case linear.Identity():
                return x
        return self._activation(placed, x, module)

    def _activation(self, placed: Placed, x: str, module: nn.Module) -> str:
        match placed.layer:
            case activation.Relu():
                return self._node("Relu", x)
            case activation.Relu6():
                return self._node("Clip", x, self._number(0.0), self._number(6.0))
            case activation.Leaky(slope=slope):
                return self._node("LeakyRelu", x, alpha=slope)
            case activation.PRelu():
                return self._node("PRelu", x, self._each_channel(module, placed.input))
            case activation.Elu(alpha=alpha):
                return self._node("Elu", x, alpha=alpha)
            case activation.Sigmoid():
                return self._node("Sigmoid", x)
            case activation.Tanh():
                return self._node("Tanh", x)
            case activation.Silu():
                return self._node("Mul", x, self._node("Sigmoid", x))
            case activation.Gelu():
                # x / 2 * (1 + erf(x / sqrt(2))); an operator of its own came later than OPSET.
                erf = self._node("Erf", self._node("Mul", x, self._number(math.sqrt(0.5))))
                half = self._node("Mul", x, self._number(0.5))
                return self._node("Mul", half, self._node("Add", erf, self._number(1.0)))
        raise _refused(placed)

    def _conv(self, conv: convolution.Conv, shape: Shape, x: str, module: nn.Module) -> str:
        rows, columns = conv.axes(shape)
        return self._node(
            "Conv",
            x,
            *self._tensors(module),
            kernel_shape=list(conv.kernel),
            strides=list(conv.stride),
            dilations=list(conv.dilate),
            group=conv.groups,
            pads=_pads(rows, columns),
        )

    def _local(self, local: convolution.Local, placed: Placed, x: str, module: nn.Module) -> str:
        """The windows side by side, each times the weights of its place."""
        output = placed.output
        assert isinstance(output, Map)
        assert isinstance(module, LocallyConnected2d)
        rows, columns = local.axes(placed.input)
        groups, places = local.groups, output.height * output.width
        top, left, bottom, right = _pads(rows, columns)
        x = self._node("Pad", x, self._constant(np.array([0, 0, top, left, 0, 0, bottom, right])))
        taps = []
        for row in range(rows.kernel):
            for column in range(columns.kernel):
                starts = np.array([row * rows.dilation, column * columns.dilation])
                strides = np.array([rows.stride, columns.stride])
                ends = starts + (np.array([output.height, output.width]) - 1) * strides + 1
                at = [self._constant(each) for each in (starts, ends, np.array([2, 3]), strides)]
                taps.append(
                    self._node("Unsqueeze", self._node("Slice", x, *at), self._constant(np.array([2])))
                )
        windows = self._node("Concat", *taps, axis=2)
        fan_in = local.window_weights(placed.input)
        windows = self._reshaped(windows, [0, groups, fan_in, places])
        windows = self._node("Transpose", windows, perm=[1, 3, 0, 2])
        y = self._node("MatMul", windows, self._weight(module.weight.transpose(2, 3)))
        y = self._node("Transpose", y, perm=[2, 0, 3, 1])
        y = self._reshaped(y, [0, output.channels, output.height, output.width])
        return y if module.bias is None else self._node("Add", y, self._weight(module.bias))

    def _grid(self, pool: pooling.Pool, shape: Shape, x: str) -> str:
        assert isinstance(shape, Map)
        highest = pool.kind == "max"
        if shape.height % pool.grid.height == 0 and shape.width % pool.grid.width == 0:
            kernel = [shape.height // pool.grid.height, shape.width // pool.grid.width]
            return self._node("MaxPool" if highest else "AveragePool", x, kernel_shape=kernel, strides=kernel)
        for axis, windows in zip((2, 3), pool.windows(shape), strict=True):
            ends = []
            for window in windows:
                at = [self._constant(np.array([each])) for each in (window.start, window.stop, axis)]
                part = self._node("Slice", x, *at)
                ends.append(
                    self._node("ReduceMax" if highest else "ReduceMean", part, axes=[axis], keepdims=1)
                )
            x = self._node("Concat", *ends, axis=axis)
        return x

    def _depth(self, x: str, shape: Shape, depth: int, operator: str) -> str:
        rest = [shape.height, shape.width] if isinstance(shape, Map) else []
        pieces = self._reshaped(x, [0, shape.channels // depth, depth, *rest])
        return self._node(operator, pieces, axes=[2], keepdims=0)

    def _even_lrn(self, x: str, shape: Shape, n: int, alpha: float, beta: float, k: float) -> str:
        """torch has the odd neighbor before the channel, ONNX's LRN behind it: squares, their mean, and its power."""
        assert isinstance(shape, Map)
        rows = self._reshaped(self._node("Mul", x, x), [0, 1, shape.channels, shape.height * shape.width])
        pads = [n // 2, 0, (n - 1) // 2, 0]
        mean = self._node("AveragePool", rows, kernel_shape=[n, 1], pads=pads, count_include_pad=1)
        mean = self._reshaped(mean, [0, shape.channels, shape.height, shape.width])
        sum_ = self._node("Add", self._node("Mul", mean, self._number(alpha)), self._number(k))
        return self._node("Div", x, self._node("Pow", sum_, self._number(beta)))

    def _layer_norm(self, x: str, shape: Shape, eps: float, module: nn.Module) -> str:
        is_map = isinstance(shape, Map)
        if is_map:
            x = self._node("Transpose", x, perm=[0, 2, 3, 1])
        x = self._node("LayerNormalization", x, *self._tensors(module), axis=-1, epsilon=eps)
        return self._node("Transpose", x, perm=[0, 3, 1, 2]) if is_map else x

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        named = f"{self.path}/{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=named, **attributes))
        return name

    def _reshaped(self, x: str, shape: list[int]) -> str:
        return self._node("Reshape", x, self._constant(np.array(shape)))

    def _each_channel(self, module: nn.Module, shape: Shape) -> str:
        weight = getattr(module, "weight")  # noqa: B009
        return self._weight(weight.reshape(-1, 1, 1) if isinstance(shape, Map) else weight)

    def _tensors(self, module: nn.Module) -> list[str]:
        """Weight and, where there is one, bias."""
        found = (getattr(module, "weight", None), getattr(module, "bias", None))
        return [self._weight(each) for each in found if each is not None]

    def _weight(self, tensor: Tensor | None) -> str:
        assert tensor is not None
        return self._constant(tensor.detach().float().cpu().contiguous().numpy())

    def _number(self, value: float) -> str:
        return self._constant(np.array(value, dtype=np.float32))

    def _constant(self, value: NDArray[Any]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name


def _pads(rows: Axis, columns: Axis) -> list[int]:
    return [rows.before, columns.before, rows.after, columns.after]


def _window(pool: pooling.MaxPool | pooling.AvgPool, shape: Shape) -> dict[str, list[int]]:
    """The window of a pooling; a last, partly empty one of `ceil` by padding that much more."""
    assert isinstance(shape, Map)
    rows, columns = pool.axes(shape)
    after = [
        max(axis.after, (axis.out(length) - 1) * axis.stride + axis.kernel - length - axis.before)
        for axis, length in ((rows, shape.height), (columns, shape.width))
    ]
    return {
        "kernel_shape": [rows.kernel, columns.kernel],
        "strides": [rows.stride, columns.stride],
        "pads": [rows.before, columns.before, *after],
    }


def _refused(placed: Placed) -> NoGraph:
    return NoGraph(
        f"`{placed.layer.word}` has no equal in ONNX", place=placed.path, expected="layers that ONNX knows"
    )
