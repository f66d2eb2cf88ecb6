"""What a training records of its layers, against the same computed by hand; and that it changes no bit of the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from doctor.sick import make as healthy
from striate.doctor.doctor import diagnose_run
from striate.doctor.facts import read_facts
from striate.modules.initial import initialize
from striate.runs.folder import RunFolder
from striate.runs.vitals import MOST_VITALS_BYTES, Answers, Begin, Look
from striate.training.loop import live as live_doctor
from striate.training.loop import vitals as recorder
from striate.training.loop.live import LiveDoctor
from striate.training.loop.vitals import Vitals, VitalsState
from training.jobs import EXACT, Clock, Ear, lines, make, resume, train

DEAD = "conv 4 3x3 -> relu -> maxpool 2 -> fc 12 -> tanh -> fc classes"


def vitals_of(run: Path) -> list[dict[str, Any]]:
    return lines(run / "vitals.jsonl")


def test_a_look_at_the_first_step_is_what_the_network_gives(arrays: Path, tmp_path: Path) -> None:
    """Mean, standard deviation, zeros and dead units by numpy from the first weights and the same images."""
    job = make(arrays, tmp_path / "run", net=DEAD)
    train_split, size = job.prepared.data.train, job.prepared.data.size
    place = np.linspace(0, len(train_split.labels) - 1, recorder.PROBE).astype(int)
    torch.manual_seed(0)
    initialize(
        job.prepared.net,
        initial=job.prepared.recipe.initial,
        generator=torch.Generator().manual_seed(job.prepared.recipe.seed),
    )
    known = job.prepared.preparation
    values = train_split.images[place].astype(np.float32)
    x = torch.from_numpy((values - np.float32(known.mean)) / np.float32(known.deviation)).permute(0, 3, 1, 2)
    assert x.shape[2:] == size
    with torch.no_grad():
        conv = job.prepared.net.part("0")(x)
        relu = conv.relu()
        hidden = job.prepared.net.part("3")(torch.nn.functional.max_pool2d(relu, 2))
        logits = job.prepared.net.part("5")(hidden.tanh())
    train(arrays, tmp_path / "trained", net=DEAD)
    begin, look = vitals_of(tmp_path / "trained")[:2]
    assert begin["layers"] == [["0", "conv"], ["1", "relu"], ["3", "fc"], ["4", "tanh"], ["5", "fc"]]
    assert (begin["weights"], begin["probe"], begin["normed"]) == (["0", "3", "5"], recorder.PROBE, False)
    expected = [
        [conv.mean(), conv.std(correction=0), 0, 0, 0],
        [relu.mean(), relu.std(correction=0), (relu == 0).float().mean(), 0, (relu == 0).flatten(2).all(2).all(0).float().mean()],
        [hidden.mean(), hidden.std(correction=0), 0, 0, 0],
        [
            hidden.tanh().mean(), hidden.tanh().std(correction=0), 0, (hidden.tanh().abs() >= 0.98).float().mean(),
            (hidden.tanh().abs() >= 0.98).all(0).float().mean(),
        ],
        [logits.mean(), logits.std(correction=0), 0, 0, 0],
    ]  # fmt: skip
    assert np.allclose(look["layers"], np.array(expected, dtype=float), rtol=2e-3, atol=1e-5)
    labels = torch.from_numpy(train_split.labels[place])
    loss = torch.nn.functional.cross_entropy(logits, labels)
    right = (logits.argmax(1) == labels).float().mean()
    assert np.allclose(look["probe"], [float(loss), float(right)], rtol=2e-3)
    assert look["batch"] is None
    length = [float(job.prepared.net.part(path).weight.detach().norm()) for path in ("0", "3", "5")]
    assert np.allclose([row[0] for row in look["weights"]], length, rtol=2e-3)
    # Change over length is the ratio that is kept.
    assert all(abs(change / of - most) <= 2e-3 * most for of, _, change, most in look["weights"])


def test_looking_changes_no_bit(arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(arrays, tmp_path / "with")
    monkeypatch.setattr(recorder, "MOST_LOOKS", 0)
    train(arrays, tmp_path / "without")
    for name in EXACT:
        if name != "vitals.jsonl":
            assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


def test_resumed_in_the_middle_of_a_span(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With looks every few steps, stopped between two of them: the same bytes."""
    monkeypatch.setattr(recorder, "LEAST_STEPS", 4)
    monkeypatch.setattr(recorder, "TIMES_THE_PROBE", 0)
    monkeypatch.setattr(recorder, "WEIGHTS_STEPS", 3)
    train(arrays, tmp_path / "whole")
    with pytest.raises(Exception, match="stopped at step"):
        train(arrays, tmp_path / "cut", Ear(stop_at=10))
    resume(tmp_path / "cut")
    whole = (tmp_path / "whole" / "vitals.jsonl").read_bytes()
    assert (tmp_path / "cut" / "vitals.jsonl").read_bytes() == whole
    steps = [each["step"] for each in vitals_of(tmp_path / "whole") if each["vital"] == "look"]
    assert steps == [1, 5, 9, 13, 17]
    spans = [len(each["losses"]) for each in vitals_of(tmp_path / "whole") if each["vital"] == "look"]
    assert spans == [1, 4, 4, 4, 4]


def test_two_stages_name_their_layers_alike(arrays: Path, tmp_path: Path) -> None:
    """The tail that is trained on frozen features, and then all: paths are those of the whole network."""
    net = "conv 4 3x3 -> relu -> maxpool 2 -> conv 4 3x3 -> relu -> head: fc classes"
    train(arrays, tmp_path / "run", net=net, freeze="body", thaw=2, epochs=2)
    begins = [each for each in vitals_of(tmp_path / "run") if each["vital"] == "begin"]
    assert [each["weights"] for each in begins] == [["head"], ["0", "3", "head"]]
    facts = read_facts(RunFolder(tmp_path / "run"))
    assert [each.stage for each in facts.stages] == [0, 1]
    assert facts.gaps == ()


def test_a_file_of_the_largest_run_stays_below_2_mb(tmp_path: Path) -> None:
    """So many looks of so many layers, and validations of so many classes, as are recorded at most."""
    layers, classes = recorder.MOST_LAYERS, recorder.MOST_CLASSES
    number = -0.0001234
    look = Look(
        step=10**7, epoch=10**5, learning_rate=number, span=1000, losses=[number] * recorder.MOST_SPANS,
        lengths=[number] * recorder.MOST_SPANS, probe=[number] * 2, batch=[number] * 2,
        layers=[[number] * 5] * layers, weights=[[number] * 4] * (layers // 2), exact=[number] * 2,
    )  # fmt: skip
    answers = Answers(
        epoch=10**5, answered=[1000] * classes, right=[1000] * classes, most=0.1234, sure_wrong=0.1234, sure_far=0.1234, confidence=0.1234
    )  # fmt: skip
    begin = Begin(stage=1, layers=[("stage1.0.0.12.3", "conv")] * layers, weights=["stage1.0.0.12.3"] * layers, probe=32, normed=True, input=[0, 1])  # fmt: skip
    size = [len(json.dumps(each.model_dump())) for each in (look, answers, begin)]
    assert recorder.MOST_LOOKS * (size[0] + size[1]) + 2 * size[2] < 1.5 * MOST_VITALS_BYTES

    # What would be more is not written.
    class Full:
        def length(self) -> int:
            return MOST_VITALS_BYTES - 1

        def append(self, event: object) -> None:
            raise AssertionError("it is full")

    vitals = Vitals.__new__(Vitals)
    vitals.file = Full()  # type: ignore[assignment]
    vitals._append(VitalsState(), answers)


def test_looks_thin_out_in_a_long_run() -> None:
    vitals = Vitals.__new__(Vitals)
    vitals._x, vitals.batch, vitals._spacings = torch.zeros(32, 1), 64, {}
    assert [vitals.spacing(looks) for looks in (0, 1, 20, 21, 41, 61)] == [200, 200, 200, 400, 800, 1600]
    vitals.batch, vitals._spacings = 4, {}
    assert vitals.spacing(1) == 3200


def test_one_line_while_it_trains(arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found twice in a row is said, once, and steers nothing."""
    clock, ear = Clock(), Ear()
    monkeypatch.setattr(live_doctor, "FIRST_S", 0.0)
    train(arrays, tmp_path / "run", ear, net=DEAD, learning_rate=1e-9, epochs=40, clock=clock)
    said = [each for each in ear.said if each.startswith("doctor")]
    assert len(said) == len({each.split(":")[0] for each in said})
    assert any(each.startswith("doctor    rate-too-low: ") for each in said)
    assert all(each.endswith(f"; striate doctor {tmp_path / 'run'} says more") for each in said)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["result"]["epochs"] == 40


def test_live_looks_take_a_share_of_the_time(tmp_path: Path) -> None:
    """None in the first seconds; one that took half a second is followed by none for a hundred."""
    looked: list[int] = []

    class Slow(Clock):
        def monotonic(self) -> float:
            self.now += 0.5
            return self.now

    live = LiveDoctor(healthy(tmp_path / "run"), Slow())
    for elapsed_s in range(0, 400, 20):
        before = live._next_s
        live.look(float(elapsed_s), Ear())
        looked += [elapsed_s] if live._next_s != before else []
    assert looked == [20, 120, 220, 320]


def test_the_doctor_of_a_network_that_answers(arrays: Path, tmp_path: Path) -> None:
    import striate

    train(arrays, tmp_path / "run", learning_rate=0.01, epochs=8)
    trained = striate.load(tmp_path / "run")
    assert trained.doctor() == diagnose_run(tmp_path / "run")[1]
    assert trained.doctor(mute=["heavy-fc"]).findings == trained.doctor().without(["heavy-fc"]).findings
