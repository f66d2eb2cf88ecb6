"""int8: scales with which no pair of products saturates, the proof and the simulation that checks it, ranges in strides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest
import torch

from exporting.living import lived
from striate.api.networks import read
from striate.exporting.onnx_graph import IMAGES, LOGITS, onnx_bytes
from striate.exporting.quantize import (
    METHODS,
    activation_ranges,
    described,
    pair_proofs,
    quantized,
    saturation,
    weighted_nodes,
)
from striate.exporting.rounding import least_error_weights, limits, safe_scales
from striate.modules.fold import folded
from striate.net.zoo.list import zoo_names, zoo_net

CHANCE = np.random.default_rng(0)


def test_a_pair_that_saturates_is_seen() -> None:
    """255 * 127 * 2 = 64,770 is cut to 32,767; in an order that parts the two nothing is lost."""
    patches = np.array([[[255, 255, 0, 0]]], dtype=np.uint8)
    weight = np.array([[127, 127, 0, 0]], dtype=np.int8)
    assert saturation(patches, weight, np.array([0, 1, 2, 3])) == 64_770 - 32_767
    assert saturation(patches, weight, np.array([0, 2, 1, 3])) == 0
    assert saturation(patches, -weight, np.array([0, 1, 2, 3])) == 64_770 - 32_768
    # An odd number of products has one without a neighbor.
    assert saturation(patches[..., :3], weight[:, :3], np.array([2, 0, 1])) == 0
    # 128 is the most that a pair may sum to.
    edge = np.array([[64, 64, 64, 65]], dtype=np.int8)
    full = np.full((1, 1, 4), 255, dtype=np.uint8)
    assert saturation(full, edge, np.array([0, 1, 2, 3])) == 255 * 129 - 32_767
    assert saturation(full[..., :2], edge[:, :2], np.array([0, 1])) == 0


def test_groups_multiply_their_own_channels() -> None:
    patches = np.array([[[255, 255], [0, 0]]], dtype=np.uint8)
    weight = np.array([[1, 1], [127, 127]], dtype=np.int8)
    assert saturation(patches, weight, np.array([0, 1]), groups=2) == 0
    assert saturation(patches[:, ::-1], weight, np.array([0, 1]), groups=2) == 64_770 - 32_767


def test_scales_leave_no_pair_above_128() -> None:
    """Whatever the weights are: drawn, a single large one, all of one sign, none at all."""
    rows = [CHANCE.normal(size=64), CHANCE.exponential(size=64), np.r_[1.0, np.zeros(63)], np.zeros(64)]
    rows += [np.full(64, 0.3), -np.full(64, 0.3), np.r_[1.0, 1e-3 * CHANCE.normal(size=63)]]
    weight = np.array(rows, dtype=np.float32)
    scales = safe_scales(weight)
    whole = np.rint(weight / scales[:, None])
    assert np.abs(whole).max() <= 127
    for sign in (1, -1):
        two = np.sort(np.maximum(sign * whole, 0), axis=1)[:, -2:].sum(axis=1)
        assert two.max() <= 128
    # A channel with one large weight keeps all of its eight bits.
    assert whole[2, 0] == 127


def network(name: str) -> tuple[bytes, tuple[int, int, int]]:
    known = zoo_net(name)
    torch.manual_seed(0)
    return onnx_bytes(folded(lived(read(name).build(known.input, known.classes)))), known.input


def images(shape: tuple[int, int, int], count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def strided(x: np.ndarray, seen: list[int] | None = None):  # type: ignore[no-untyped-def]
    def batches(most: int) -> Iterator[np.ndarray]:
        for start in range(0, len(x), most):
            if seen is not None:
                seen.append(len(x[start : start + most]))
            yield x[start : start + most]

    return batches


def test_ranges_are_those_of_the_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    """minmax has the ends of every value, whatever the stride; the others lie within them, and hold 0."""
    model, shape = network("resnet20")
    x = images(shape, 6)
    one = activation_ranges(model, strided(x))
    seen: list[int] = []
    monkeypatch.setattr("striate.exporting.activations.STRIDE_BYTES", 1)
    another = activation_ranges(model, strided(x, seen))
    assert set(seen) == {1}
    assert set(one) == set(METHODS)
    for name, (low, high) in one["minmax"].by_name.items():
        assert another["minmax"].by_name[name] == pytest.approx((low, high), abs=1e-4)
        for method in METHODS:
            inner = one[method].by_name[name]
            assert low - 1e-6 <= inner[0] <= 0 <= inner[1] <= high + 1e-6
    assert one["minmax"].by_name[IMAGES] == pytest.approx((x.min(), x.max()))


def answers(model: bytes, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run([LOGITS], {IMAGES: x})[0]


def assert_safe(name: str) -> None:
    model, shape = network(name)
    x = images(shape)
    made = quantized(model, activation_ranges(model, strided(x))["minmax"], [])
    proofs = pair_proofs(made, x[:2])
    assert len(proofs) == len(weighted_nodes(model))
    assert all(each.proven and each.difference == 0 and each.simulated > 0 for each in proofs)
    assert described(proofs).startswith("safe without VNNI: proven for ")
    exact, found = answers(model, x), answers(made, x)
    # Noise through untrained weights: only that it is the same function, roughly.
    assert ((found - exact) ** 2).mean() < 0.1 * exact.var()
    assert len(made) < 0.45 * len(model)


@pytest.mark.parametrize("name", ["resnet20", "swift32"])
def test_a_network_in_int8(name: str) -> None:
    assert_safe(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in zoo_names() if each not in ("resnet20", "swift32")])
def test_every_network_in_int8(name: str) -> None:
    assert_safe(name)


def test_rounding_that_hears_of_the_inputs_errs_less() -> None:
    """On other images of the same kind, whose neighbors are alike, beside activations of 8 bits; no pair is above 128."""
    torch.manual_seed(0)
    net = lived(
        read("conv 16 3x3 -> relu -> conv 16 3x3 -> relu -> pool avg -> fc classes").build((3, 16, 16), 8)
    )
    model = onnx_bytes(net)
    x = CHANCE.normal(size=(96, 3, 4, 4)).repeat(4, axis=2).repeat(4, axis=3).astype(np.float32) + 1
    known = least_error_weights(model, strided(x[:48]), [])
    assert list(known) == weighted_nodes(model)
    ranges = activation_ranges(model, strided(x[:48]))["minmax"]
    exact = answers(model, x[48:])
    errors = [
        ((answers(quantized(model, ranges, [], each), x[48:]) - exact) ** 2).mean() for each in (None, known)
    ]
    assert errors[1] < 0.7 * errors[0]
    assert all(each.proven for each in pair_proofs(quantized(model, ranges, [], known), x[:1]))


def test_limits_by_hand() -> None:
    """A row with 100 leaves 28 to others of its sign, and 64 to those of the other; without one it is 64 for all."""
    low, high = limits(np.array([[100.0, 20.0, -30.0], [60.0, -64.0, 50.0]]))
    assert high.tolist() == [[100, 28, 28], [64, 64, 64]]
    assert low.tolist() == [[-64, -64, -64], [-64, -64, -64]]


def test_a_layer_left_in_float() -> None:
    model, shape = network("resnet20")
    x = images(shape)
    ranges = activation_ranges(model, strided(x))["minmax"]
    first = weighted_nodes(model)[0]
    found = pair_proofs(quantized(model, ranges, [first]), x[:2])
    assert first.split("/")[0] not in {each.layer for each in found}
    assert len(found) == len(weighted_nodes(model)) - 1
