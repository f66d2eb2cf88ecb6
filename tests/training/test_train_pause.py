"""A training that pauses at any step goes on to the same bits as one that never did."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from striate.modules.module import build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.progress import Silence
from striate.runs.folder import RunFolder
from striate.training.job import reopen_job, run_job
from striate.training.loop import loop
from striate.training.loop.loop import Diverged, Paused, Scored
from striate.training.loop.lost import Signs
from training.jobs import contents, lines, make, resume, train

NO_NORM = "conv 2 3x3 -> relu -> avgpool 2 -> fc classes"


def pause(run: Path, at: int) -> Scored:
    job = reopen_job(RunFolder(run), device=None, started=time.monotonic(), watch=Silence())
    with pytest.raises(Paused) as caught:
        run_job(job, Silence(), resume=True, pause_at=at)
    assert caught.value.step == at
    return caught.value.scored


# Within an epoch, at its end, twice at one step as after a kill, and at the last step; with a running mean too.
@pytest.mark.parametrize("ema", [None, 0.9])
def test_pauses_change_nothing(arrays: Path, tmp_path: Path, ema: float | None) -> None:
    train(arrays, tmp_path / "whole", ema=ema)
    job = make(arrays, tmp_path / "paused", ema=ema)
    with pytest.raises(Paused) as caught:
        run_job(job, Silence(), resume=False, pause_at=2)
    first = caught.value.scored
    assert pause(tmp_path / "paused", 2) == first
    at_end = pause(tmp_path / "paused", 6)
    assert pause(tmp_path / "paused", 6) == at_end
    pause(tmp_path / "paused", 7)
    last = pause(tmp_path / "paused", 18)
    assert job.run.read_record().result is None
    assert not job.run.report.exists()
    resume(tmp_path / "paused")
    assert contents(tmp_path / "paused") == contents(tmp_path / "whole")
    epochs = [each for each in lines(tmp_path / "paused" / "events.jsonl") if "val_metric" in each]
    assert [at_end.metric, last.metric] == [epochs[0]["val_metric"], epochs[2]["val_metric"]]
    assert not (arrays.parent / "latest").exists()


# The training by itself, without a pause, is left to go on.
@pytest.mark.parametrize(
    ("optimizer", "rate", "code"),
    [("adamw", 3.0, "dead-relu"), ("sgd", 3.0, "rate-too-high"), ("sgd", 100.0, "nan")],
)
def test_a_trial_that_is_lost_ends_within_steps(
    arrays: Path, tmp_path: Path, optimizer: str, rate: float, code: str
) -> None:
    keys = {"optimizer": optimizer, "learning_rate": rate, "clip": None, "epochs": 18, "augment": "none"}
    said = []
    for at, pauses in enumerate(([], [7, 11])):
        job = make(arrays, tmp_path / f"{at}", net=NO_NORM, **keys)
        job.run.make_state()
        for each in pauses:
            pause(job.run.path, each)
        job = reopen_job(job.run, device=None, started=time.monotonic(), watch=Silence())
        with pytest.raises(Diverged) as caught:
            run_job(job, Silence(), resume=True, pause_at=108)
        assert caught.value.code == code
        assert job.run.read_record().status == "diverged"
        said.append(str(caught.value))
    # What was seen before a pause counts behind it.
    assert said[0] == said[1]


def test_the_signs_of_a_lost_trial() -> None:
    net = build(lay(read_text("fc 4 -> relu -> fc classes"), Map(1, 2, 2), 10))
    signs = Signs()
    # Of a loss that began as high nothing is said; nor of nine steps in a row.
    for step in range(1, 20):
        assert Signs(first=90.0).after_step(net, step, 90.0) is None
        assert signs.after_step(net, step, 1.0 if step % 10 == 1 else 60.0) is None
    signs = Signs(first=2.0)
    seen = [signs.after_step(net, step, 60.0) for step in range(1, 11)]
    assert seen[:9] == [None] * 9
    assert seen[9] == (
        "rate-too-high",
        "the loss is 60 at step 10, and was above 11.5 for 10 steps; guessing gives 2.3",
    )
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    signs = Signs(first=2.0)
    seen = [signs.after_step(net, step, 2.3) for step in range(1, 21)]
    assert seen[:19] == [None] * 19
    assert seen[19] == ("dead-relu", "no layer but the last has had any gradient from step 4 to 20")
    # One gradient that is left, and nothing is said.
    next(net.parameters()).grad[0, 0] = 1e-30
    assert all(signs.after_step(net, step, 2.3) is None for step in range(1, 99))


def test_a_rung_is_validated_with_statistics_of_its_weights(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the end they are taken anew, within an epoch and at its end; at the end they are those that are kept."""
    renewed = []
    real = loop.renew_statistics

    def noted(*arguments: Any, **keys: Any) -> None:
        renewed.append(keys["batch"])
        real(*arguments, **keys)

    monkeypatch.setattr(loop, "renew_statistics", noted)
    make(arrays, tmp_path / "r", epochs=18).run.make_state()
    for at, times in ((8, 1), (12, 2), (108, 2)):
        pause(tmp_path / "r", at)
        assert len(renewed) == times
