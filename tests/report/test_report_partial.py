"""Runs that were stopped, diverged or damaged have a page too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_reader import PageReader
from report_sample import edit, make_run

from striate.errors import RunError
from striate.report.page import write_report
from striate.runs.events import EpochEvent, StepEvent
from striate.runs.folder import RunFolder


def read(run: RunFolder) -> PageReader:
    write_report(run)
    page = PageReader(run.report.read_text(encoding="utf-8"))
    for word in ("nan", "inf", "None"):
        assert word not in page.text.replace("Error: nan", "").split(), f"`{word}` is shown"
    return page


def test_a_stopped_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", status="stopped", epochs=3)
    page = read(run)
    assert "This run was stopped after step 140 or a little later." in page.text
    assert "accuracy on validation, so far 95% interval" in page.text
    assert "320 validation images" in page.text
    assert f"Go on where it stopped striate resume {run.path}" in page.text
    assert "Confusion" not in page.text


def test_a_diverged_run(tmp_path: Path) -> None:
    page = read(make_run(tmp_path / "run", status="diverged", epochs=0))
    assert "This run diverged: at some step after 20 the loss became NaN." in page.text
    assert "No epoch ended; the last step that was noted is 20." in page.text
    assert "Train again, more slowly striate train /home/me/photos --set learning_rate=0.0003" in page.text


def test_a_run_without_a_step(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", status="running", epochs=0)
    run.events.path.unlink()
    page = read(run)
    assert "This run was still going on, at step 0 or a little later, when the page was made." in page.text
    assert "No step was noted before the run ended." in page.text


def test_one_epoch(tmp_path: Path) -> None:
    page = read(make_run(tmp_path / "run", epochs=1))
    assert "1 best epoch of 1, by validation" in page.text
    assert sum(tag == "svg" for tag, _ in page.elements) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data.json", "the run has no data.json"),
        ("net.txt", "the run has no net.txt"),
        ("recipe.toml", "the run has no recipe.toml"),
        ("events.jsonl", "No step was noted before the run ended."),
        ("times.jsonl", "Versions and machine"),
        ("mistakes.json", "No image was kept."),
    ],
)
def test_a_file_is_missing(tmp_path: Path, name: str, said: str) -> None:
    run = make_run(tmp_path / "run", epochs=2)
    (run.path / name).unlink()
    page = read(run)
    assert said in page.text
    assert "accuracy on test" in page.text


@pytest.mark.parametrize(
    "name", ["data.json", "net.txt", "recipe.toml", "events.jsonl", "times.jsonl", "mistakes.json"]
)
@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"a": NaN}\n' * 3])
def test_a_file_is_damaged(tmp_path: Path, name: str, content: bytes) -> None:
    run = make_run(tmp_path / "run", epochs=2, mistakes=2)
    (run.path / name).write_bytes(content)
    assert "accuracy on test" in read(run).text


def test_events_that_were_cut_off_or_stand_twice(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=3)
    whole = run.events.path.read_bytes()
    run.events.path.write_bytes(whole + whole.splitlines(keepends=True)[-1] + b'{"event": "epoch", "ep')
    assert "Epochs in figures" in read(run).text
    rows = [tag for tag, _ in PageReader(run.report.read_text()).elements if tag == "svg"]
    assert len(rows) == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300, 10**400, "x", None, True, [], {}])
def test_events_of_values_that_are_no_numbers(tmp_path: Path, value: Any) -> None:
    run = make_run(tmp_path / "run", epochs=3, mistakes=2)
    events = [json.loads(line) for line in run.events.path.read_text().splitlines()]
    for event in events[1::2]:
        event.update(dict.fromkeys(event.keys() - {"event"}, value))
    run.events.path.write_text("".join(json.dumps(event) + "\n" for event in events))
    run.times.path.write_text(json.dumps({"epoch": 0, "elapsed_s": value}) + "\n")
    assert "accuracy on test" in read(run).text


def test_a_loss_that_blew_up_is_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=3)
    run.events.append(StepEvent(step=125, loss=1e25, learning_rate=1e-9))
    run.events.append(
        EpochEvent(
            epoch=3,
            step=160,
            train_loss=1e24,
            train_accuracy=0.1,
            val_loss=1e20,
            val_accuracy=0.1,
            best=False,
        )
    )
    assert "Loss a step training validation" in read(run).text


def test_a_record_that_is_damaged_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=2)
    edit(run.path / "data.json", preparation=5)
    assert "data.json is damaged: preparation: Input should be a valid dictionary" in read(run).text
    edit(run.path / "run.json", result=[])
    with pytest.raises(RunError, match=r"run\.json is damaged: result: Input should be a valid dictionary"):
        write_report(run)
