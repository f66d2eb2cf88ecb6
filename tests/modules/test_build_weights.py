"""Weights in and out of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from striate.errors import RunError
from striate.modules.module import Net, build
from striate.modules.weights import load_weights, weights_bytes
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map

TEXT = "stem: [conv 4 3x3 -> bn -> relu] -> type: local 2 3x3 -> filter blur -> fc classes"


def made(text: str = TEXT, classes: int = 3) -> Net:
    return build(lay(read_text(text), Map(3, 6, 6), classes))


def test_there_and_back(tmp_path: Path) -> None:
    net, other = made(), made()
    net(torch.randn(5, 3, 6, 6))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights_bytes(net))
    load_weights(other, path)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    images = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(net.eval()(images), other.eval()(images))
    # A fixed kernel is the text's, not a weight.
    assert sorted(load(path.read_bytes())) == [
        "3.bias", "3.weight", "stem.0.bias", "stem.0.weight", "stem.1.bias", "stem.1.num_batches_tracked",
        "stem.1.running_mean", "stem.1.running_var", "stem.1.weight", "type_.bias", "type_.weight",
    ]  # fmt: skip


CURE = (
    "  expected: the weights of the network in net.txt\n"
    "  try: the net.txt that stood beside this file when it was written"
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stem: [conv 4 3x3 -> bn -> relu]", "the file has no tensor `type_.weight`"),
        (f"{TEXT} -> scale", "the file has a tensor `4.weight` and the network has none"),
        (TEXT.replace("conv 4 3x3", "conv 4 3x5"), "`stem.0.weight` is 4x3x3x5 in the file and 4x3x3x3 in the network"),
        (TEXT.replace("fc classes", "fc 9"), "`3.weight` is 9x72 in the file and 3x72 in the network"),
    ],
)  # fmt: skip
def test_the_file_of_another_network(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights_bytes(made(text)))
    net = made()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(RunError) as caught:
        load_weights(net, path)
    assert str(caught.value) == f"{path}: {problem}\n{CURE}"
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_a_single_number_for_a_vector(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(save(load(weights_bytes(made())) | {"stem.1.bias": torch.tensor(1.0)}))
    with pytest.raises(RunError) as caught:
        load_weights(made(), path)
    problem = "`stem.1.bias` is one number in the file and 4 in the network"
    assert str(caught.value) == f"{path}: {problem}\n{CURE}"


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(RunError) as caught:
        load_weights(made(), path)
    assert str(caught.value) == f"{path}: the weights are missing\n  try: striate resume {tmp_path}"


@pytest.mark.parametrize("damage", [b"", b"not weights", b"cut"])
def test_a_damaged_file(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    whole = weights_bytes(made())
    path.write_bytes(whole[: len(whole) // 2] if damage == b"cut" else damage)
    with pytest.raises(RunError) as caught:
        load_weights(made(), path)
    first, *rest = str(caught.value).splitlines()
    assert first.startswith(f"{path}: the weights cannot be read: ")
    assert rest == [
        "  expected: a file that striate wrote",
        "  try: a copy of the file from where it came, or `striate train` once more",
    ]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the weights are missing"):
        load_weights(made(), tmp_path)
