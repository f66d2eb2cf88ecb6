"""The runtime that answers: the same answers from each, the fastest taken and kept, excuses told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.api.runs import load
from striate.api.trainings import train
from striate.errors import RunError
from striate.exporting import runtime
from striate.exporting.runtime import Timed, answered_by, answering, fastest, runtime_names
from striate.modules.module import Net
from striate.predict.trained import Trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    out = tmp_path_factory.mktemp("runtime") / "run"
    net = "conv 8 3x3 -> bn -> relu -> maxpool 2 -> conv 16 3x3 -> bn -> relu -> pool avg -> fc classes"
    train("digits", net=net, out=out, epochs=1, precision="fp32", layout="channels_last")
    return load(out)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino"])
def test_each_answers_alike(trained: Trained, name: str) -> None:
    if name not in runtime_names():
        pytest.skip(f"{name} is not installed")
    found = answering(trained, name, 3)[0].predict_arrays(images(70))
    assert np.abs(found - trained.predict_arrays(images(70))).max() < 1e-4


def test_the_fastest_is_found_once_and_kept(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    ready, trials = fastest(trained.net)
    assert {each.name for each in trials} == set(runtime_names())
    taken = [each.image_ms for each in trials if each.image_ms is not None and each.name != "torch"]
    assert taken == sorted(taken)
    monkeypatch.setattr(runtime, "time_answers", None)
    again, kept = answering(trained, "auto", 1000)
    assert kept == trials
    assert type(again.answers) is type(ready)


def test_a_few_images_are_not_worth_a_comparison(trained: Trained) -> None:
    ready, trials = answering(trained, "auto", 3)
    assert trials == []
    assert ready.answers is not None


def test_a_runtime_with_other_answers_is_not_taken(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"onnxruntime": lambda model: lambda x: np.zeros((len(x), 10), np.float32)}
    monkeypatch.setattr(runtime, "MAKERS", wrong)
    monkeypatch.setattr(runtime, "runtime_names", lambda: ["torch", "onnxruntime"])
    ready, trials = fastest(trained.net)
    assert [each.name for each in trials] == ["torch", "onnxruntime"]
    assert str(trials[1]) == "onnxruntime (off by 1)"
    assert isinstance(ready, Net)


def test_a_runtime_that_fails_is_not_taken(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(model: bytes) -> runtime.Answer:
        raise ValueError("no such operator\nand much more")

    monkeypatch.setattr(runtime, "MAKERS", {"onnxruntime": fails})
    monkeypatch.setattr(runtime, "runtime_names", lambda: ["torch", "onnxruntime"])
    assert fastest(trained.net)[1][1] == Timed("onnxruntime", None, "no such operator")


def test_a_runtime_that_is_not_there(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "runtime_names", lambda: ["torch"])
    with pytest.raises(RunError) as caught:
        answered_by(trained.net, "openvino")
    assert caught.value.problem == "the runtime `openvino` is not here"
    assert caught.value.expected == "auto, or one of torch"
    assert caught.value.cure == "pip install openvino"
