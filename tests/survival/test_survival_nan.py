"""Numbers that burst: caught in their step, in no file, rolled back, and given up with a diagnosis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from striate.errors import DataError
from striate.runs.folder import RunFolder
from striate.runs.history import read_history
from striate.training import finish, job
from striate.training.loop import checkpoint as checkpoint_module
from striate.training.loop import loop
from striate.training.loop import rollback as rescue
from striate.training.loop.loop import Diverged, Stopped
from survival.tiny import contents, lines, make, resume, train
from training.drawn import CLASSES, draw
from training.jobs import Ear

# No ReLU that could die and hide it, and no norm that could hold it.
WILD = "[conv 8 3x3 -> leaky 0.5] x4 -> fc 16 -> leaky 0.5 -> fc classes"
WILDLY: dict[str, Any] = {
    "net": WILD, "optimizer": "sgd", "clip": None, "schedule": "constant", "warmup": 0.0, "epochs": 20,
    "initial": "large", "augment": "none",
}  # fmt: skip


def finite(path: Path) -> bool:
    """Whether all numbers of a file of tensors are."""
    return all(each.isfinite().all() for each in load_file(path).values() if each.is_floating_point())


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file of weights is looked at as it is written, also those that are removed again."""
    for module in (checkpoint_module, loop, job, finish, rescue):
        real = getattr(module, "write_atomic", None)
        if real is None:
            continue

        def write(path: Path, content: bytes, real: Any = real) -> None:
            real(path, content)
            assert path.suffix != ".safetensors" or finite(path), path

        monkeypatch.setattr(module, "write_atomic", write)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw", "rmsprop", "adagrad"])
@pytest.mark.parametrize("bn", [False, True], ids=["plain", "bn"])
def test_a_rate_without_measure(arrays: Path, tmp_path: Path, optimizer: str, bn: bool) -> None:
    """However it ends, no file holds a number that is none, and the words are right."""
    out, watch = tmp_path / "run", Ear()
    net = WILD.replace("-> leaky", "-> bn -> leaky") if bn else WILD
    caught: Diverged | None = None
    try:
        train(
            arrays,
            out,
            watch,
            **{**WILDLY, "net": net, "optimizer": optimizer, "learning_rate": 100, "epochs": 6},
        )
    except Diverged as error:
        caught = error
    if caught is not None:
        assert "; rolled back 3 times, rates tried: 100, 30, 9, 2.7" in caught.problem
        assert (
            caught.cure == "--set learning_rate=0.3; or a network with bn; or images without extreme values"
        )
        back = [said for said in watch.said if ": back to step " in said]
        assert len(back) == 3
        assert [said.rsplit(" the highest learning rate is ", 1)[1] for said in back] == [
            "30 now",
            "9 now",
            "2.7 now",
        ]
        assert json.loads((out / "run.json").read_bytes())["status"] == "diverged"
    else:
        assert bn or optimizer != "sgd"
        assert json.loads((out / "run.json").read_bytes())["status"] == "done"
    for path in out.rglob("*.safetensors"):
        assert finite(path), path


def test_a_rate_that_is_good_after_a_while(arrays: Path, tmp_path: Path) -> None:
    """Rollbacks and a good end, stopped behind them and not."""
    runs = [tmp_path / "unbroken", tmp_path / "run"]
    keys = {**WILDLY, "learning_rate": 0.5, "epochs": 3, "initial": "auto"}
    watch = Ear()
    job.run_job(make(arrays, runs[0], watch, **keys), watch, resume=False, checkpoint_s=1e9)
    events = lines(runs[0] / "events.jsonl")
    back = [event for event in events if event["event"] == "rollback"]
    assert len(back) == 2
    assert [event["rate_share"] for event in back] == [
        pytest.approx(0.3 ** (i + 1)) for i in range(len(back))
    ]
    assert all(event["failed_step"] > event["step"] for event in back)
    ear = Ear(stop_at=watch.asked - 4)
    with pytest.raises(Stopped):
        job.run_job(make(arrays, runs[1], ear, **keys), ear, resume=False, checkpoint_s=1e9)
    resume(runs[1])
    assert contents(runs[1]) == contents(runs[0])


def test_where_a_run_goes_back_to_is_not_of_the_clock(arrays: Path, tmp_path: Path) -> None:
    """With a checkpoint after every step and with none but those for a way back: the same to the bit."""
    keys = {**WILDLY, "net": "[conv 4 3x3 -> leaky 0.5] x3 -> fc classes", "initial": "auto", "learning_rate": 0.7,
            "schedule": "exponential"}  # fmt: skip
    for name, seconds in (("seldom", 1e9), ("often", 0.0)):
        watch = Ear()
        job.run_job(
            make(arrays, tmp_path / name, watch, **keys), watch, resume=False, checkpoint_s=seconds,
        )  # fmt: skip
    back = [each for each in lines(tmp_path / "often" / "events.jsonl") if each["event"] == "rollback"]
    assert back
    assert contents(tmp_path / "often") == contents(tmp_path / "seldom")


def test_a_run_goes_back_by_half_of_its_steps(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 64, 128, ... steps states are kept for it; the first way back leaves the later ones behind."""
    out, watch = tmp_path / "run", Ear()
    made = make(arrays, out, watch, net="conv 2 3x3 -> fc classes", epochs=120)
    real, steps = torch.optim.AdamW.step, 0

    def step(self: torch.optim.AdamW, *said: Any) -> Any:
        nonlocal steps
        steps += 1
        result = real(self, *said)
        # The 270th step fails; then, from 128 on, the 50th, which is the 178th.
        if steps in (270, 320):
            next(made.prepared.net.parameters()).data.fill_(float("nan"))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    job.run_job(made, watch, resume=False, checkpoint_s=0.0)
    back = [event for event in lines(out / "events.jsonl") if event["event"] == "rollback"]
    # 64 is gone by then, and the oldest that is left is 128.
    assert [(each["failed_step"], each["step"]) for each in back] == [(270, 128), (178, 128)]


@pytest.mark.parametrize("place", ["weight", "bias", "running_var", "running_mean"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_each_kind_of_tensor_is_caught_in_its_step(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, value: float
) -> None:
    """An infinite variance makes every answer finite: only a look at it tells."""
    out, watch = tmp_path / "run", Ear()
    made = make(arrays, out, watch, ema=0.5)
    name = next(each for each in made.prepared.net.state_dict() if each.endswith(place))
    real, steps = torch.optim.AdamW.step, 0

    def step(self: torch.optim.AdamW, *said: Any) -> Any:
        nonlocal steps
        steps += 1
        result = real(self, *said)
        if steps == 7:
            made.prepared.net.state_dict()[name].view(-1)[0] = value
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    job.run_job(made, watch, resume=False, checkpoint_s=0.0)
    (back,) = [event for event in lines(out / "events.jsonl") if event["event"] == "rollback"]
    assert (back["failed_step"], back["step"]) == (7, 0)
    assert any(
        said.startswith(f"`{name}` became infinite or NaN at step 7, at a learning rate of ")
        and said.endswith(": back to step 0, the highest learning rate is 0.0009 now")
        for said in watch.said
    ), watch.said


def test_the_best_weights_are_those_of_the_record_after_a_rollback(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was best behind the checkpoint that a run goes back to is in weights.safetensors, and stays the best."""
    out, watch = tmp_path / "run", Ear()
    made = make(arrays, out, watch, epochs=4, ema=None)
    shown, count = iter([0.5, 0.9, 0.6, 0.6, 0.6, 0.6]), 0
    real = loop.validate

    def validate(*said: Any) -> tuple[float, float, float]:
        real(*said)
        accuracy = next(shown)
        return accuracy, accuracy, 1.0

    def advance(done: int, note: str) -> None:
        nonlocal count
        count += watch.began[-1].startswith("epoch 3")
        if count == 2:
            count = 99
            with torch.no_grad():
                next(made.prepared.net.parameters()).fill_(float("nan"))

    monkeypatch.setattr(loop, "validate", validate)
    monkeypatch.setattr(watch, "advance", advance)
    # No checkpoint but the first.
    job.run_job(made, watch, resume=False, checkpoint_s=1e9)
    result = json.loads((out / "run.json").read_bytes())["result"]
    assert (result["best_epoch"], result["validation_metric"], result["best_undone"]) == (1, 0.9, True)
    trace = read_history(RunFolder(out))
    assert (trace.undone, trace.best) == (True, None)
    page = (out / "report.html").read_text()
    assert "before the run went back" in page
    assert "of an epoch from which the run went back; it is not drawn" in page
    assert "The ring is epoch" not in page


@pytest.mark.parametrize("poison", [float("inf"), float("-inf"), float("nan")])
def test_a_poisoned_image_is_named_and_left_out(tmp_path: Path, poison: float) -> None:
    images, labels = draw(60, 1)
    values = images.astype(np.float32)
    values[17, 3, 4] = poison
    np.savez(tmp_path / "bars.npz", x_train=values, y_train=np.array(CLASSES)[labels])
    watch = Ear()
    train(tmp_path / "bars.npz", tmp_path / "run", watch)
    data = RunFolder(tmp_path / "run").read_data()
    assert (sum(each.count for each in data.splits.values()), data.findings) == (59, {"not-finite": 1})
    assert any("train" in said and "17" in said for said in watch.said), "\n".join(watch.said)


@pytest.mark.parametrize("size", [1e30, 3e38])
def test_huge_images_end_in_words(tmp_path: Path, size: float) -> None:
    """Squares of them are infinite; there is an error that says so, or a sound run."""
    images, labels = draw(60, 1)
    values = images.astype(np.float32) / 255 * np.float32(size)
    np.savez(tmp_path / "bars.npz", x_train=values, y_train=np.array(CLASSES)[labels])
    out = tmp_path / "run"
    told: list[str] = []
    for keys in ({}, {"center": "none", "scale": "none"}):
        try:
            train(tmp_path / "bars.npz", out / str(len(keys)), **keys)
        except (Diverged, DataError) as error:
            told.append(error.cure)
        for path in out.rglob("*.safetensors"):
            assert finite(path), path
    assert all(told)
