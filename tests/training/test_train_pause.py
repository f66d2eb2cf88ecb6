"""A training that pauses at any step goes on to the same bits as one that never did."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from striate.progress import Silence
from striate.runs.folder import RunFolder
from striate.training.job import reopen_job, run_job
from striate.training.loop.loop import Paused, Scored
from training.jobs import contents, lines, make, resume, train


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
