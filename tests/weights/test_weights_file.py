"""Round trips through torch.save and safetensors, and all that training scripts save beside the weights."""

from __future__ import annotations

import argparse
import collections
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.weights.error import Hostile, WeightsError
from striate.weights.file import Weights, read_tensors, read_weights

State = dict[str, Tensor]

TYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    *(torch.complex64, torch.uint16, torch.float8_e4m3fn),
)


@pytest.fixture(params=[True, False], ids=["zip", "old"])
def form(request: pytest.FixtureRequest) -> bool:
    """Whether torch.save writes the zip form or the one before it."""
    return bool(request.param)


def saved(value: Any, path: Path, form: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=form)
    return path


def drawn() -> State:
    torch.manual_seed(0)
    return {"a.weight": torch.randn(4, 3, 3, 3), "a.bias": torch.randn(4), "b.weight": torch.randn(2, 4)}


def require_same(found: State, state: State) -> None:
    """The same names in the same order, types, shapes and numbers."""
    assert list(found) == list(state)
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        # NaN included.
        assert torch.equal(_bytes(found[name]), _bytes(tensor)), name


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_type_comes_back(dtype: torch.dtype, form: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {"w.weight": (torch.rand(5, 7) * 50).to(dtype), "w.bias": (torch.rand(3) * 2).to(dtype)}
    if dtype in (torch.uint16, torch.float8_e4m3fn) and not form:
        pytest.skip("torch cannot save it so, or not read it again")
    require_same(read_tensors(saved(state, tmp_path / "w.pth", form)), state)


def test_views_and_shared_storages_come_back(form: bool, tmp_path: Path) -> None:
    base = torch.arange(120.0).reshape(10, 12)
    state = {
        "whole": base,
        "part": base[2:5, 1:4],
        "turned": base.t(),
        "every": base[::2, ::3],
        "last": torch.arange(16.0).reshape(1, 2, 2, 4).contiguous(memory_format=torch.channels_last),
        "nothing": torch.empty(0, 5),
        "one": torch.tensor(3.5),
        "nan": torch.tensor([float("nan"), float("inf"), -0.0]),
    }
    found = read_tensors(saved(state, tmp_path / "w.pth", form))
    require_same(found, state)


def test_parameters_and_their_gradients_come_back(form: bool, tmp_path: Path) -> None:
    state = {name: nn.Parameter(tensor) for name, tensor in drawn().items()}
    found = read_tensors(saved(state, tmp_path / "w.pth", form))
    require_same(found, drawn())
    assert not any(tensor.requires_grad for tensor in found.values())


def test_other_protocols_are_refused_with_a_cure(tmp_path: Path) -> None:
    torch.save(drawn(), tmp_path / "w.pth", pickle_protocol=4)
    with pytest.raises(WeightsError) as caught:
        read_tensors(tmp_path / "w.pth")
    assert str(caught.value) == (
        f"{tmp_path}/w.pth: its pickle has the opcode FRAME, which torch.save does not write\n"
        "  expected: a .safetensors file, or what torch.save writes, whole\n"
        "  try: fetch the file again, and compare its hash"
    )


def test_torch_may_leave_checksums_out(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        saved(drawn(), tmp_path / "w.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    require_same(read_tensors(tmp_path / "w.pth"), drawn())


def test_a_module_that_was_saved_whole_is_refused_with_a_cure(form: bool, tmp_path: Path) -> None:
    path = saved({"epoch": 3, "net": nn.Sequential(nn.Linear(2, 2))}, tmp_path / "w.pth", form)
    with pytest.raises(Hostile) as caught:
        read_tensors(path)
    assert str(caught.value) == (
        f"{path}: the file asks for `torch.nn.modules.container.Sequential`; it was not run, and nothing of the "
        "file is used\n"
        "  expected: tensors and plain values only\n"
        '  try: torch.save(model.state_dict(), "weights.pth") where the file comes from, or a .safetensors '
        "file from a source you trust"
    )


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_scripted_module_is_named(tmp_path: Path) -> None:
    torch.jit.script(nn.Sequential(nn.Linear(2, 2))).save(tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"it is a program of torch\.jit, not weights"):
        read_tensors(tmp_path / "w.pt")


def messy(state: State) -> dict[str, Any]:
    """What a training script leaves, and more."""
    parameters = [nn.Parameter(torch.randn(40, 40))]
    adam = torch.optim.Adam(parameters)
    parameters[0].sum().backward()
    adam.step()
    return {
        "epoch": 24,
        "arch": "resnet18",
        "args": argparse.Namespace(lr=0.1, out="/home/someone/out"),
        "best": np.float64(91.7),
        "counts": collections.Counter("aab"),
        "random": (random.getstate(), torch.get_rng_state()),
        "types": {"dtype": torch.float16, "device": torch.device("cuda:0"), "size": torch.Size([1, 2])},
        "sets": [{1, 2}, 1 + 2j, b"bytes"],
        "big": 10**40,
        "state_dict": collections.OrderedDict((f"module.{name}", tensor) for name, tensor in state.items()),
        "optimizer": adam.state_dict(),
        "ema": {name: tensor + 1 for name, tensor in state.items()},
    }


def test_all_that_a_script_saves_beside_the_weights_is_passed_over(form: bool, tmp_path: Path) -> None:
    found = read_weights(saved(messy(drawn()), tmp_path / "w.pth", form))
    require_same(found.tensors, drawn())
    assert found.chosen == "state_dict"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: collections.OrderedDict(state),
        lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.zeros(500, 500)}}}},
        lambda state: {"opt": {"state": {0: {"exp_avg": torch.zeros(500, 500)}}}, "weights": state},
        lambda state: [state, {"lr": 0.1}],
        lambda state: {"model_ema": {k: v + 1 for k, v in state.items()}, "model_state": state},
        lambda state: {"a": {"b": {"c": state}}},
        lambda state: {f"module._orig_mod.model.{name}": tensor for name, tensor in state.items()},
        lambda state: {**state, "epoch": 3, "best": 0.5},
    ],
)
def test_the_weights_are_found_wherever_they_are(wrap: Any, tmp_path: Path) -> None:
    require_same(read_tensors(saved(wrap(drawn()), tmp_path / "w.pth")), drawn())


def test_a_prefix_stays_that_not_all_names_have(tmp_path: Path) -> None:
    state = {"module.a.weight": torch.ones(2, 2), "b.weight": torch.ones(3, 3)}
    require_same(read_tensors(saved(state, tmp_path / "w.pth")), state)


def test_tensors_that_were_on_another_device_are_read(form: bool, tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(drawn(), tmp_path / "w.pth", form)
    finally:
        torch.serialization.set_crc32_options(True)
    content = path.read_bytes()
    assert content.count(b"X\x03\x00\x00\x00cpu") == 1
    # As long as before, so that every place in the file stays.
    path.write_bytes(content.replace(b"X\x03\x00\x00\x00cpu", b"X\x03\x00\x00\x00xpu"))
    require_same(read_tensors(path), drawn())


def test_safetensors_come_back(tmp_path: Path) -> None:
    save_file(drawn(), tmp_path / "w.safetensors", metadata={"format": "pt"})
    found = read_weights(tmp_path / "w.safetensors")
    assert found.form == "safetensors"
    assert found == Weights(found.tensors, "safetensors", "")
    require_same({name: found.tensors[name] for name in drawn()}, drawn())


def test_the_name_says_nothing_of_the_form(tmp_path: Path) -> None:
    save_file(drawn(), tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth").form == "safetensors"
    saved(drawn(), tmp_path / "w.safetensors")
    assert read_weights(tmp_path / "w.safetensors").form == "pth"


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_tensors_do_not_change_with_their_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "w.pth":
        saved(drawn(), path)
    else:
        save_file(drawn(), path)
    found = read_tensors(path)
    size_bytes = path.stat().st_size
    with open(path, "r+b") as file:
        file.write(b"\xff" * size_bytes)
    for each, tensor in drawn().items():
        assert torch.equal(found[each], tensor)
    path.unlink()


@pytest.mark.parametrize(
    ("content", "problem", "cure"),
    [
        (b"", "the file is empty", "fetch the file again, and compare its hash"),
        (
            b"hello, world",
            "it is no file of weights, by its first bytes",
            "check that it is the file you mean",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "it is a pointer of git-lfs, not the file itself",
            "git lfs pull",
        ),
        (
            b"<!DOCTYPE html>\n<html>",
            "it is a web page, not the file itself",
            "use the address of the file, not of its page",
        ),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file, as Keras writes", "save the weights from torch"),
        (b"\x1f\x8b\x08", "it is a gzip file", "unpack it with gunzip or tar, and give what is in it"),
    ],
)
def test_other_files_are_named(content: bytes, problem: str, cure: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_tensors(tmp_path / "w.pth")
    expected = "a .safetensors file, or what torch.save writes" + (", whole" if not content else "")
    assert str(caught.value) == f"{tmp_path}/w.pth: {problem}\n  expected: {expected}\n  try: {cure}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_tensors(tmp_path / "none.pth")
    assert str(caught.value) == (
        f"{tmp_path}/none.pth: there is no such file\n"
        "  expected: a file that is there and may be read\n"
        "  try: check the path and who may read it"
    )


def test_what_may_never_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(WeightsError, match="it is no ordinary file"):
            read_tensors(path)


@pytest.mark.parametrize("value", [{}, {"a": 1}, 3, [1, 2], "text", None])
def test_a_file_without_tensors_is_named(value: object, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no tensor in it"):
        read_tensors(saved(value, tmp_path / "w.pth"))


def test_the_real_checkpoints_are_as_torch_reads_them(shared: Path) -> None:
    files = [path for path in (shared / "weights").glob("*/*") if path.name != "LICENSE"]
    assert len(files) == 6
    for path in files:
        value = torch.load(path, map_location="cpu", weights_only=True)
        state = value.get("state_dict", value)
        require_same(read_tensors(path), {name.removeprefix("module."): each for name, each in state.items()})
