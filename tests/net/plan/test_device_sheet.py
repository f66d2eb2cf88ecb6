"""What a device needs, against counts by hand and against the networks as they are built."""

from __future__ import annotations

import pytest

from striate.api.networks import read
from striate.net.plan.device import DeviceSheet, device_sheet
from striate.net.zoo.list import zoo_names, zoo_net


def sheet(text: str) -> DeviceSheet:
    return device_sheet(read(text).lay((2, 4, 4), 3))


def test_by_hand() -> None:
    """conv: 4 * 2 * 9 weights, 4 biases; fc: 3 * 64 weights, 3 biases.  The most at once: conv's input and output."""
    found = sheet("conv 4 3x3 -> bn -> relu -> fc classes")
    assert found == DeviceSheet(
        weights_float=4 * (72 + 192 + 4 + 3),
        weights_int8=72 + 192 + 8 * (4 + 3),
        activations_float=4 * (32 + 64),
        activations_int8=32 + 64,
        moment="0",
        multiply_adds=72 * 16 + 192,
    )
    assert found.memory_float == 4 * (271 + 96)
    assert found.memory_int8 == 320 + 96


@pytest.mark.parametrize(
    ("text", "most"),
    [
        # In place: no more than the map itself.
        ("relu -> fc classes", 32 + 3),
        # The input of the branches lives until the last of them has read it, and what the first gave meanwhile.
        ("add { conv 2 -> conv 2 | identity } -> fc classes", 32 + 32 + 32),
        ("add { conv 4 | conv 4 } -> fc classes", 32 + 64 + 64),
        ("add { relu | identity } -> fc classes", 32 + 32),
        # Joined, both halves live beside the whole.
        ("concat { conv 4 | conv 4 } -> fc classes", 64 + 64 + 128),
        # What an auxiliary classifier has is not there at inference.
        ("conv 2 -> aux 0.3 { conv 64 -> fc classes } -> fc classes", 32 + 32),
    ],
)
def test_what_lives_at_once(text: str, most: int) -> None:
    assert sheet(text).activations_int8 == most


@pytest.mark.parametrize("name", zoo_names())
def test_the_zoo(name: str) -> None:
    """In float about what the weights are, a quarter of it in int8; the peak holds the largest pair of maps."""
    known = zoo_net(name)
    layout = read(name).lay(known.input, known.classes)
    found = device_sheet(layout)
    weights = sum(placed.layer.weights(placed.input) for placed in layout.layers(sides=False))
    assert 0.95 * weights <= found.weights_float / 4 <= 1.01 * weights
    assert found.weights_int8 < 0.35 * found.weights_float
    most = max(placed.output.elements for placed in layout.layers(sides=False))
    assert most <= found.activations_int8 <= 4 * most + layout.input.elements
