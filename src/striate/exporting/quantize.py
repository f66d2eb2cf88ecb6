"""A network in int8, by ONNX Runtime's static quantization, nothing left to its defaults."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from striate.bundle.certificate import LayerPairs
from striate.bundle.session import Run
from striate.errors import counted
from striate.exporting.activations import Batches, activations
from striate.exporting.rounding import (
    SAFE_PAIR,
    WITH_WEIGHTS,
    Rounded,
    groups_of,
    nearest,
    patches,
    two_largest,
)
from striate.silence import no_reports

# What between layers with weights would turn int8 to float and back.
JOINS = ("Add", "Concat")
BETWEEN = ("Relu", "Clip", "MaxPool", "AveragePool", "Flatten", *JOINS)

# Ways to find the range of an activation: all of it, all but a share at its ends, or what errs least in the square.
METHODS: dict[str, float | None] = {
    "minmax": 0.0,
    "percentile 99.99": 1e-4,
    "percentile 99.9": 1e-3,
    "mse": None,
}

BINS = 2048
# Values of a tensor and a group of images that are put into its histogram.
MOST_COUNTED = 200_000


@dataclass(frozen=True)
class Ranges:
    """The least and largest value of each activation, by a method."""

    by_name: dict[str, tuple[float, float]]


def activation_ranges(model: bytes, batches: Batches) -> dict[str, Ranges]:
    """Ranges of all activations over real images, by each of METHODS.

    The images pass twice, in strides: first for the ends, then for a histogram between them; never more than a
    stride's activations are held.
    """
    made = onnx.load_from_string(model)
    names = _activations(made)
    passes = activations(made, names, batches)
    ends: dict[str, tuple[float, float]] = {}
    for found in passes():
        for name in names:
            low, high = ends.get(name, (0.0, 0.0))
            ends[name] = min(low, float(found[name].min())), max(high, float(found[name].max()))
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in ends}
    for found in passes():
        for name in names:
            low, high = ends[name]
            if high > low:
                some = found[name].reshape(-1)[:: max(1, found[name].size // MOST_COUNTED)]
                counts[name] += np.histogram(some, BINS, (low, high))[0]
    return {
        method: Ranges({name: _range(counts[name], ends[name], share) for name in ends})
        for method, share in METHODS.items()
    }


def quantized(
    model: bytes,
    ranges: Ranges,
    in_float: Sequence[str],
    rounded: Mapping[str, Rounded] | None = None,
) -> bytes:
    """The network in int8: activations unsigned by tensor, weights signed by channel, as QuantizeLinear pairs.

    in_float: names of nodes that stay in float32.  rounded: the weights of the others, by name; each weight rounded by
    itself where they are not given.
    """
    with no_reports():
        from onnxruntime.quantization import CalibrationMethod, QuantType
        from onnxruntime.quantization.calibrate import TensorData, TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    made = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    initial = {each.name: each for each in made.graph.initializer}
    excluded = set(in_float)
    overrides: dict[str, list[dict[str, Any]]] = {}
    for node in made.graph.node:
        if node.op_type in WITH_WEIGHTS and node.name not in excluded:
            weight, *biases = (numpy_helper.to_array(initial[name]) for name in node.input[1:])
            known = (rounded or {}).get(node.name) or nearest(weight, biases[0] if biases else None)
            whole = known.whole * known.scales.reshape(-1, *(1,) * (weight.ndim - 1))
            for name, values in zip(node.input[1:], (whole, known.bias), strict=False):
                initial[name].CopyFrom(numpy_helper.from_array(np.asarray(values, np.float32), name))
            overrides[node.input[1]] = [
                {
                    "axis": 0,
                    "quant_type": QuantType.QInt8,
                    "symmetric": True,
                    "rmin": np.float32(-127 * scale),
                    "rmax": np.float32(127 * scale),
                }
                for scale in known.scales
            ]
    # What cannot be told from 0 by a float32 has no scale.
    tensors = TensorsData(
        CalibrationMethod.MinMax,
        {
            name: TensorData(lowest=np.float32(low), highest=np.float32(max(high, low + 1e-6)))
            for name, (low, high) in ranges.by_name.items()
        },
    )
    with _quiet():
        quantizer = QDQQuantizer(
            made,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=tensors,
            nodes_to_quantize=[],
            nodes_to_exclude=list(excluded),
            op_types_to_quantize=[*WITH_WEIGHTS, *BETWEEN],
            extra_options={
                "ActivationSymmetric": False,
                "WeightSymmetric": True,
                "TensorQuantOverrides": overrides,
            },
        )
        quantizer.quantize_model()
    return bytes(quantizer.model.model.SerializeToString())


def weighted_nodes(model: bytes) -> list[str]:
    """The names of the nodes with weights, in order."""
    return [node.name for node in onnx.load_from_string(model).graph.node if node.op_type in WITH_WEIGHTS]


def layer_nodes(model: bytes) -> list[str]:
    """The names of the nodes that may stay in float: those with weights, and sums and joins of branches, in order."""
    wanted = (*WITH_WEIGHTS, *JOINS)
    return [node.name for node in onnx.load_from_string(model).graph.node if node.op_type in wanted]


def pair_proofs(model: bytes, x: NDArray[np.float32]) -> list[LayerPairs]:
    """For each layer in int8 the largest sum of two of its weights of one sign, and a simulation of 16-bit pairs.

    x: some images as the network reads them, whose activations the simulation multiplies.
    A processor without VNNI multiplies unsigned by signed bytes and adds neighbors in 16 bits, with saturation; which
    are neighbors depends on the kernel, so the proof holds for any two, and the simulation tries two orders.
    """
    made = onnx.load_from_string(model)
    graph = made.graph
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    layers = []
    for node in graph.node:
        if node.op_type not in WITH_WEIGHTS:
            continue
        source, weight = makers.get(node.input[0]), makers.get(node.input[1])
        if weight is None or weight.op_type != "DequantizeLinear" or source is None:
            continue
        layers.append((node, source, weights[weight.input[0]]))
    inner = list(dict.fromkeys(source.input[0] for _, source, _ in layers))
    for name in inner:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.UINT8, None))
    found: dict[str, NDArray[Any]] = {}
    if inner:
        run = _plainly(made.SerializeToString(), inner)
        found = dict(zip(inner, run(x), strict=True))
    proofs = []
    for node, source, weight in layers:
        rows = weight.reshape(len(weight), -1).astype(np.float64)
        pair = max(float(two_largest(rows).max()), float(two_largest(-rows).max()))
        values = found[source.input[0]]
        zero = int(weights[source.input[2]]) if len(source.input) > 2 else 0
        places = max(1, min(_PLACES, _PRODUCTS // max(1, weight.size)))
        seen = patches(node, values, weight.shape, places, zero=zero)
        differ = 0
        for order in _orders(weight.shape):
            differ = max(differ, saturation(seen, weight.reshape(len(weight), -1), order, groups_of(node)))
        proofs.append(
            LayerPairs(
                layer=node.name.split("/")[0] or node.name,
                weights=int(weight.size),
                pair=int(pair),
                largest=int(np.abs(rows).max()),
                simulated=int(seen.shape[0] * len(weight)),
                difference=differ,
            )
        )
    return proofs


def saturation(
    patches: NDArray[np.uint8], weight: NDArray[np.int8], order: NDArray[np.int64], groups: int = 1
) -> int:
    """The largest difference between sums of 16-bit pairs and exact ones.

    sum over pairs (i, j) of clip(u_i w_i + u_j w_j, -32768, 32767)   against   sum of u_i w_i

    patches: P x G x K, what each place multiplies, by group.  weight: O x K.  order: of the K values, neighbors in it
    are added in 16 bits.
    """
    u = patches[:, :, order].astype(np.int32)
    w = weight[:, order].astype(np.int32)
    if u.shape[2] % 2:
        u, w = np.pad(u, ((0, 0), (0, 0), (0, 1))), np.pad(w, ((0, 0), (0, 1)))
    each = len(w) // groups
    worst = 0
    for group in range(groups):
        for row in w[group * each : (group + 1) * each]:
            products = u[:, group] * row
            pairs = products[:, 0::2] + products[:, 1::2]
            lost = np.clip(pairs, -32768, 32767).sum(axis=1) - pairs.sum(axis=1)
            worst = max(worst, int(np.abs(lost).max(initial=0)))
    return worst


# Places of a layer that are simulated, and of these no more than make so many products.
_PLACES, _PRODUCTS = 32, 30_000_000


def _orders(shape: tuple[int, ...]) -> list[NDArray[np.int64]]:
    """The order in which weights lie, and for a convolution also that with the channels innermost."""
    count = int(np.prod(shape[1:]))
    orders = [np.arange(count)]
    if len(shape) == 4:
        orders.append(np.arange(count).reshape(shape[1:]).transpose(1, 2, 0).reshape(-1))
    return orders


def _activations(model: onnx.ModelProto) -> list[str]:
    """The float values that go into or come out of what is quantized, in order."""
    constant = {each.name for each in model.graph.initializer}
    names = [
        name
        for node in model.graph.node
        if node.op_type in (*WITH_WEIGHTS, *BETWEEN)
        for name in (*node.input, *node.output)
        if name not in constant
    ]
    return list(dict.fromkeys(names))


def _range(counts: NDArray[np.int64], ends: tuple[float, float], share: float | None) -> tuple[float, float]:
    """The range by a histogram between two ends.  share: of the values beyond both ends together; None: by the error."""
    low, high = ends
    if not counts.any() or share == 0:
        return ends
    edges = np.linspace(low, high, BINS + 1)
    if share is None:
        return _least_error(counts, edges)
    total = np.cumsum(counts) / counts.sum()
    # An end at zero is one: nothing is cut off of what a relu gives.
    first = 0 if low >= 0 else int(np.searchsorted(total, share / 2))
    last = BINS - 1 if high <= 0 else int(np.searchsorted(total, 1 - share / (1 if low >= 0 else 2)))
    return min(0.0, float(edges[first])), max(0.0, float(edges[min(last, BINS - 1) + 1]))


def _least_error(counts: NDArray[np.int64], edges: NDArray[np.float64]) -> tuple[float, float]:
    """The ends, both drawn in by one factor, between which rounding and clipping err least in the square.

    sum over bins of n (x - clip(x))^2  +  n_inside step^2 / 12,  step = (high - low) / 255
    """
    middle = (edges[:-1] + edges[1:]) / 2
    best, kept = np.inf, (float(edges[0]), float(edges[-1]))
    for factor in np.linspace(0.2, 1, 81):
        low, high = min(0.0, edges[0] * factor), max(0.0, edges[-1] * factor)
        beyond = middle - np.clip(middle, low, high)
        inside = counts[(middle >= low) & (middle <= high)].sum()
        error = float((counts * beyond**2).sum() + inside * ((high - low) / 255) ** 2 / 12)
        if error < best:
            best, kept = error, (float(low), float(high))
    return kept


def _plainly(model: bytes, outputs: Sequence[str]) -> Run:
    """A session that changes nothing of the graph, so that every value in it can be seen."""
    with no_reports():
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    return lambda x: session.run(list(outputs), {given: x})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer logs what it leaves alone."""
    log = logging.getLogger()
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def described(layers: Sequence[LayerPairs]) -> str:
    """What was proven, in a line."""
    worst = max((each.pair for each in layers), default=0)
    if all(each.proven and not each.difference for each in layers):
        return f"safe without VNNI: proven for {counted(len(layers), 'layer')} (largest pair {worst} of {SAFE_PAIR})"
    return f"not safe without VNNI: a pair of weights sums to {worst}, and {SAFE_PAIR} are the most"
