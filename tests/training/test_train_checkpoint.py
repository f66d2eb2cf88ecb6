"""Checkpoints: whole or not at all, found again if sound; the state goes through them unchanged."""

from __future__ import annotations

import errno
import functools
import math
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import striate
from striate.disk import atomic
from striate.errors import ResourceError, RunError
from striate.modules.module import Net
from striate.optimizers import OPTIMIZERS
from striate.training.loop.checkpoint import load_checkpoint, save_checkpoint
from striate.training.loop.lost import Signs
from striate.training.loop.pace import Pace
from striate.training.loop.state import NUMBERS, Best, State
from striate.training.loop.vitals import VitalsState
from striate.training.settings import OptimizerSettings
from striate.training.step.optimizers import make_optimizer

TENSORS = {"net.a": torch.arange(6.0).reshape(2, 3), "net.n": torch.tensor(7)}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two checkpoints hold the same bits."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_round_trip(tmp_path: Path) -> None:
    numbers = {"step": 3, "loss": 0.1, "name": "é", "none": None, "deep": {"a": [1, 2]}}
    save_checkpoint(tmp_path, 3, TENSORS, numbers)
    found = load_checkpoint(tmp_path)
    assert same(found.tensors, TENSORS)
    assert found.numbers == numbers
    assert found.damaged == ()


def test_names_and_the_latest_two(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "00000009-mine.safetensors").touch()
    for step in (8, 9, 10, 99_999_999, 100_000_000):
        save_checkpoint(tmp_path, step, TENSORS, {"step": step})
        assert load_checkpoint(tmp_path).numbers == {"step": step}
    kept = sorted(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert kept == ["00000009", "100000000", "99999999", "lock"]


def test_a_step_that_is_saved_twice(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 8, TENSORS, {"step": 8, "elapsed_s": 1})
    save_checkpoint(tmp_path, 8, TENSORS, {"step": 8, "elapsed_s": 2})
    save_checkpoint(tmp_path, 8, TENSORS, {"step": 8, "elapsed_s": 2})
    assert load_checkpoint(tmp_path).numbers["elapsed_s"] == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("seed", range(25))
def test_a_bit_that_flips_anywhere_is_found(tmp_path: Path, seed: int) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    save_checkpoint(tmp_path, 2, TENSORS, {"step": 2})
    newest = next(path for path in tmp_path.iterdir() if path.name.startswith("00000002"))
    content = bytearray(newest.read_bytes())
    chance = random.Random(seed)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    newest.write_bytes(content)
    found = load_checkpoint(tmp_path)
    assert found.numbers == {"step": 1}
    assert found.damaged == (newest.name,)


@pytest.mark.parametrize("left", [0, 7, 8, 100, -1])
def test_a_file_that_was_cut_off(tmp_path: Path, left: int) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    save_checkpoint(tmp_path, 2, TENSORS, {"step": 2})
    newest = next(path for path in tmp_path.iterdir() if path.name.startswith("00000002"))
    newest.write_bytes(newest.read_bytes()[:left])
    assert load_checkpoint(tmp_path).numbers == {"step": 1}


def test_all_are_damaged(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"")
    with pytest.raises(RunError) as caught:
        load_checkpoint(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: every checkpoint is damaged: {path.name}\n"
        "  expected: a checkpoint whose content matches the sum in its name\n"
        "  try: striate train, which starts over"
    )


def test_there_is_none(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match="there is no checkpoint"):
            load_checkpoint(folder)


def test_a_sound_name_with_other_content(tmp_path: Path) -> None:
    """The sum is right, and yet it is no checkpoint."""
    import hashlib

    for content in (b"", b"{}", (2).to_bytes(8, "little") + b"{}", (10**9).to_bytes(8, "little")):
        name = f"00000001-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match="every checkpoint is damaged"):
        load_checkpoint(tmp_path)


class Full:
    """A file on a disk that fills up while it is written."""

    def __init__(self, path: Path, mode: str) -> None:
        self.file = open(path, mode)  # noqa: SIM115

    def write(self, content: bytes) -> None:
        """Half of it, and then no more."""
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        raise OSError(errno.ENOSPC, "No space left on device")

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *said: object) -> None:
        self.file.close()


def fails(*said: object, **named: object) -> Any:
    """As the system does on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["open", "write", "fsync", "rename"])
def test_a_write_that_fails_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    if where == "open":
        monkeypatch.setattr(atomic, "open", fails, raising=False)
    elif where == "write":
        monkeypatch.setattr(atomic, "open", Full, raising=False)
    elif where == "fsync":
        monkeypatch.setattr(os, "fsync", fails)
    else:
        monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(ResourceError, match="the disk is full"):
        save_checkpoint(tmp_path, 2, TENSORS, {"step": 2})
    monkeypatch.undo()
    assert load_checkpoint(tmp_path).numbers == {"step": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    full = functools.partial(open, "/dev/full")
    monkeypatch.setattr(atomic, "open", lambda path, mode: full(mode), raising=False)
    with pytest.raises(ResourceError, match="the disk is full"):
        save_checkpoint(tmp_path, 2, TENSORS, {"step": 2})
    monkeypatch.undo()
    assert load_checkpoint(tmp_path).numbers == {"step": 1}


def test_what_cannot_be_removed_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "unlink", fails)
    for step in range(4):
        save_checkpoint(tmp_path, step, TENSORS, {"step": step})
    monkeypatch.undo()
    assert load_checkpoint(tmp_path).numbers == {"step": 3}


# The whole state


def fresh(word: str, ema: float | None) -> State:
    """A state before its first step."""
    torch.manual_seed(3)
    net = striate.read("conv 4 3x3 -> bn -> relu -> dropout 0.3 -> fc 8 -> bn -> relu -> fc classes")
    built = net.build((1, 6, 6), 3)
    settings = OptimizerSettings(word, 0.02, 0.01)
    average = None
    if ema is not None:
        average = AveragedModel(built, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True)
    return State(built, make_optimizer([(built, 1.0)], settings), Pace(100, math.inf, 0.0, 0.0), average)


def steps(state: State, count: int) -> None:
    """Train a little; dropout draws from torch's random state."""
    for _ in range(count):
        x, labels = torch.rand(9, 1, 6, 6), torch.arange(9) % 3

        def closure(x: Tensor = x, labels: Tensor = labels) -> float:
            state.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(state.net(x), labels)
            loss.backward()
            return loss.item()

        state.optimizer.step(closure)  # type: ignore[arg-type]
        if state.average is not None:
            state.average.update_parameters(state.net)
        state.step += 1
        state.pace.step(10)


@pytest.mark.parametrize("word", OPTIMIZERS)
@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("before", [1, 4])
def test_a_restored_state_goes_on_as_if_nothing_had_been(
    tmp_path: Path, word: str, ema: float | None, before: int
) -> None:
    unbroken = fresh(word, ema)
    steps(unbroken, before)
    unbroken.best = Best(2, 0.7, 0.1)
    save_checkpoint(tmp_path, unbroken.step, unbroken.tensors(), unbroken.numbers())
    steps(unbroken, 3)

    resumed = fresh(word, ema)
    found = load_checkpoint(tmp_path)
    torch.manual_seed(99)
    resumed.restore(found.tensors, found.numbers)
    assert resumed.step == before
    assert resumed.best == (2, 0.7, 0.1)
    steps(resumed, 3)
    assert same(resumed.tensors(), unbroken.tensors())
    left, right = resumed.numbers(), unbroken.numbers()
    left["pace"]["spent_s"] = right["pace"]["spent_s"]
    assert left == right


def test_every_number_of_the_state_goes_through_a_checkpoint(tmp_path: Path) -> None:
    state, other = fresh("sgd", None), fresh("sgd", None)
    records = {"best": Best(7, 0.7, 0.1), "size": (7, 8), "vitals": VitalsState(7), "signs": Signs(0.7)}
    values = {name: records.get(name) or type(getattr(state, name))(7) for name in NUMBERS}
    for name, value in values.items():
        assert getattr(state, name) != value
        setattr(state, name, value)
    save_checkpoint(tmp_path, 7, state.tensors(), state.numbers())
    found = load_checkpoint(tmp_path)
    other.restore(found.tensors, found.numbers)
    assert {name: getattr(other, name) for name in NUMBERS} == values


def test_no_best_yet_is_kept_as_none(tmp_path: Path) -> None:
    state = fresh("adam", None)
    steps(state, 1)
    save_checkpoint(tmp_path, 1, state.tensors(), state.numbers())
    other = fresh("adam", None)
    found = load_checkpoint(tmp_path)
    other.restore(found.tensors, found.numbers)
    assert other.best == Best()


def test_time_spent_is_kept(tmp_path: Path) -> None:
    state = fresh("sgd", None)
    state.pace = Pace(100, 60.0, 5.0, 0.0, validation_s=2.0, validations=4)
    numbers = state.numbers()
    assert numbers["pace"]["spent_s"] > 5
    other = fresh("sgd", None)
    other.pace = Pace(100, 60.0, 0.0, 0.0)
    other.restore(state.tensors(), numbers)
    assert other.pace.spent_s == numbers["pace"]["spent_s"]
    assert (other.pace.validation_s, other.pace.validations) == (2.0, 4)


def test_state_of_another_network_is_refused() -> None:
    state = fresh("sgd", None)
    other = striate.read("fc classes").build((1, 6, 6), 3)
    assert isinstance(other, Net)
    state.net = other
    with pytest.raises(RuntimeError):
        state.restore(fresh("sgd", None).tensors(), fresh("sgd", None).numbers())
