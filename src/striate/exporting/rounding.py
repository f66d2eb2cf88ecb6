"""Weights as whole numbers: scales with which no pair of products saturates, and numbers that err least on real images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from striate.exporting.activations import Batches, activations

# Layers with weights.
WITH_WEIGHTS = ("Conv", "Gemm")

# Two unsigned products of 8 bits: 255 * 128 <= 32,767 < 255 * 129.
SAFE_PAIR = 128

# Places of a layer whose input is looked at: so many for each weight of a channel, at least and at most.
SEEN_EACH, LEAST_SEEN, MOST_SEEN = 8, 2_048, 16_384

# Above it each weight is rounded by itself: to weigh all against all takes the third power.
MOST_WEIGHED = 4_608

# Of the second moments of all layers that are looked at together.
MOMENT_BYTES = 256_000_000

# Weights of a channel that are rounded before the rest hears of it.
BLOCK = 64


@dataclass(frozen=True)
class Rounded:
    """The weights of a layer: whole numbers, O x ..., times a scale for each output channel; and its bias."""

    whole: NDArray[np.int8]
    scales: NDArray[np.float64]
    bias: NDArray[np.float32] | None


def nearest(weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> Rounded:
    """Each weight rounded by itself, with `safe_scales`."""
    scales = safe_scales(weight)
    whole = np.rint(weight / scales.reshape(-1, *(1,) * (weight.ndim - 1)))
    return Rounded(whole.astype(np.int8), scales, bias)


def least_error_weights(model: bytes, batches: Batches, kept: Sequence[str]) -> dict[str, Rounded]:
    """The weights of each layer rounded so that what it gives on real images changes least, by the layer's name.

    min over whole Q and b' of  E (w x + b - s Q x - b')^2

    for each output channel: one weight is rounded after the other, and those to come make up for its error as far as
    the inputs go together; b' takes what is left in the mean.  Nearly all of what rounding to 7 bits costs is so
    undone.  kept: names of nodes that stay in float.

    batches: real images.  Source: Frantar et al. 2023, "GPTQ", section 3, without its grid for groups; Nagel et al.
    2019, section 4.2 for b'.
    """
    made = onnx.load_from_string(model)
    weights = {each.name: numpy_helper.to_array(each) for each in made.graph.initializer}
    nodes = [node for node in made.graph.node if node.op_type in WITH_WEIGHTS and node.name not in kept]
    found: dict[str, Rounded] = {}
    for some in _together(nodes, weights):
        for node, moments in _moments(made, some, weights, batches):
            bias = weights[node.input[2]] if len(node.input) > 2 else None
            found[node.name] = _rounded(weights[node.input[1]], bias, moments)
    return found


def safe_scales(weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """The scale of each output channel of a weight, O x ..., with which no pair of products saturates 16 bits.

    s = max(largest |w| / 127, (the two largest of one sign) / 127), as each rounds by half a step at most.
    """
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    pair = np.maximum(two_largest(rows), two_largest(-rows))
    scales = np.maximum(np.abs(rows).max(axis=1), pair) / 127
    return np.where(scales > 1e-12, scales, 1e-12)


def two_largest(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the two largest positive values of each row; one that is not there counts nothing."""
    positive = np.maximum(rows, 0)
    if positive.shape[1] == 1:
        return positive[:, 0]
    two = np.partition(positive, positive.shape[1] - 2, axis=1)[:, -2:]
    total: NDArray[np.float64] = two.sum(axis=1)
    return total


def limits(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and largest whole number that each weight may become, so that no pair of one sign is above 128.

    rows: O x K, by `safe_scales`.  64 for all; where one is above 64 it keeps its own, and the others what is left.
    """
    ends = []
    for sign in (-1, 1):
        one_sign = np.maximum(sign * rows, 0)
        own = np.rint(one_sign.max(axis=1, keepdims=True))
        most = np.broadcast_to(np.minimum(64, SAFE_PAIR - own), rows.shape).copy()
        is_largest = np.arange(rows.shape[1]) == one_sign.argmax(axis=1)[:, None]
        ends.append(sign * np.where(is_largest & (own > 64), own, most))
    return ends[0], ends[1]


@dataclass
class _Moments:
    """Of the input of a layer at the places it was looked at, by group: their number, sums, and sums of products."""

    count: int
    sums: NDArray[np.float64]
    products: NDArray[np.float32] | None


def _together(
    nodes: Sequence[onnx.NodeProto], weights: Mapping[str, NDArray[Any]]
) -> Iterator[list[onnx.NodeProto]]:
    """The layers in parts whose moments take no more than MOMENT_BYTES."""
    part: list[onnx.NodeProto] = []
    taken = 0
    for node in nodes:
        each = weights[node.input[1]]
        fan_in = int(np.prod(each.shape[1:]))
        size = 4 * groups_of(node) * fan_in * min(fan_in, MOST_WEIGHED)
        if part and taken + size > MOMENT_BYTES:
            yield part
            part, taken = [], 0
        part.append(node)
        taken += size
    if part:
        yield part


def _moments(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, NDArray[Any]],
    batches: Batches,
) -> list[tuple[onnx.NodeProto, _Moments]]:
    chance = np.random.default_rng(0)
    images = sum(len(x) for x in batches(64))
    found = []
    for node in nodes:
        groups, fan_in = groups_of(node), int(np.prod(weights[node.input[1]].shape[1:]))
        products = np.zeros((groups, fan_in, fan_in), dtype=np.float32) if fan_in <= MOST_WEIGHED else None
        found.append((node, _Moments(0, np.zeros((groups, fan_in)), products)))
    for values in activations(model, [node.input[0] for node in nodes], batches)():
        for node, moments in found:
            shape = weights[node.input[1]].shape
            wanted = int(np.clip(SEEN_EACH * moments.sums.shape[1], LEAST_SEEN, MOST_SEEN))
            x = values[node.input[0]]
            seen = patches(node, x, shape, -(-wanted * len(x) // images), chance=chance)
            moments.count += len(seen)
            moments.sums += seen.sum(axis=0)
            if moments.products is not None:
                by_group = np.ascontiguousarray(seen.transpose(1, 0, 2))
                moments.products += by_group.transpose(0, 2, 1) @ by_group
    return found


def _rounded(weight: NDArray[np.float32], bias: NDArray[np.float32] | None, moments: _Moments) -> Rounded:
    scales = safe_scales(weight)
    rows = weight.reshape(len(weight), -1) / scales[:, None]
    low, high = limits(rows)
    whole = np.rint(rows)
    mean = moments.sums / moments.count
    each = len(rows) // len(mean)
    if moments.products is not None:
        for group, (center, products) in enumerate(zip(mean, moments.products, strict=True)):
            some = slice(group * each, (group + 1) * each)
            covariance = products.astype(np.float64) / moments.count - np.outer(center, center)
            share = len(center) / (len(center) + SEEN_EACH * moments.count)
            whole[some] = _one_after_another(rows[some], _sound(covariance, share), low[some], high[some])
    if bias is not None:
        by_row = mean.repeat(each, axis=0)
        bias = (bias + scales * ((rows - whole) * by_row).sum(axis=1)).astype(np.float32)
    return Rounded(whole.reshape(weight.shape).astype(np.int8), scales, bias)


def _sound(covariance: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """A covariance that can be inverted.  share: that is drawn to its diagonal, as few places say little of pairs."""
    own = np.diag(covariance)
    found = (1 - share) * covariance
    found[np.diag_indices(len(own))] = np.maximum(own, 0) + 1e-3 * max(float(own.mean()), 1e-12)
    return found


def _one_after_another(
    rows: NDArray[np.float64],
    covariance: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The rows, O x K, as whole numbers between low and high; what matters most is rounded first.

    With U the upper Cholesky factor of the inverse covariance: q = round(w_k),  w_j -= (w_k - q) U_kj / U_kk for j > k
    """
    order = np.argsort(-np.diag(covariance), kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(covariance[np.ix_(order, order)])).T
    left, low, high = rows[:, order], low[:, order], high[:, order]
    whole = np.zeros_like(left)
    for start in range(0, left.shape[1], BLOCK):
        block = slice(start, min(start + BLOCK, left.shape[1]))
        errors = np.zeros_like(left[:, block])
        for place in range(block.start, block.stop):
            whole[:, place] = np.clip(np.rint(left[:, place]), low[:, place], high[:, place])
            error = (left[:, place] - whole[:, place]) / factor[place, place]
            left[:, place : block.stop] -= error[:, None] * factor[place, place : block.stop]
            errors[:, place - start] = error
        left[:, block.stop :] -= errors @ factor[block, block.stop :]
    found = np.empty_like(whole)
    found[:, order] = whole
    return found


def patches(
    node: onnx.NodeProto,
    values: NDArray[Any],
    shape: tuple[int, ...],
    places: int,
    *,
    zero: int = 0,
    chance: np.random.Generator | None = None,
) -> NDArray[Any]:
    """What some places of a layer multiply, P x groups x K.

    values: its input.  shape: of its weights.  zero: what stands beside the map.  chance: draws the places; evenly
    spread without it.
    """
    if node.op_type == "Gemm":
        return values.reshape(len(values), 1, -1)[:places]
    known = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    top, left, bottom, right = known.get("pads", [0, 0, 0, 0])
    padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=zero)
    (dy, dx), (sy, sx) = known.get("dilations", [1, 1]), known.get("strides", [1, 1])
    reach = (shape[2] - 1) * dy + 1, (shape[3] - 1) * dx + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))[
        :, :, ::sy, ::sx, ::dy, ::dx
    ]
    count = len(values) * windows.shape[2] * windows.shape[3]
    if chance is None or places >= count:
        at = np.unique(np.linspace(0, count - 1, places).astype(int))
    else:
        at = chance.choice(count, places, replace=False)
    image, row, column = np.unravel_index(at, (len(values), windows.shape[2], windows.shape[3]))
    found = windows[image, :, row, column]
    return np.ascontiguousarray(found).reshape(len(at), groups_of(node), -1)


def groups_of(node: onnx.NodeProto) -> int:
    """The groups of a convolution; 1 of what has none."""
    return next((each.i for each in node.attribute if each.name == "group"), 1)
