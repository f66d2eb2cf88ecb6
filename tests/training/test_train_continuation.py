"""A training that goes on from a finished run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import striate
from striate.errors import StriateError
from striate.predict.trained import Trained
from striate.progress import Silence
from striate.runs.folder import RunFolder
from striate.training.replay import replay
from training.drawn import write_arrays, write_folder

QUICK = {"epochs": 2, "precision": "fp32", "layout": "contiguous", "batch": 16, "seed": 1}
NET = "conv 8 3x3 -> bn -> relu -> maxpool 2 -> pool avg -> fc classes"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("first")
    return striate.train(write_arrays(folder / "bars.npz"), net=NET, out=folder / "run", **QUICK)


def steps(run: RunFolder) -> list[dict[str, float]]:
    events = [json.loads(line) for line in run.events.path.read_text().splitlines()]
    return [each for each in events if each["event"] == "step"]


def test_weights_rate_and_optimizer_go_on(first: Trained, tmp_path: Path) -> None:
    second = striate.train(from_run=first.run.path, out=tmp_path / "run", epochs=1)
    run = second.run
    start, last = load_file(run.start_weights), load_file(first.run.last_weights)
    assert all(torch.equal(start[name], last[name]) for name in last)
    assert run.start_optimizer.read_bytes() == first.run.optimizer.read_bytes()
    # 0.3 of 0.003, and no warm-up.
    assert [each["learning_rate"] for each in steps(run)] == sorted(
        (each["learning_rate"] for each in steps(run)), reverse=True
    )
    assert 0.0006 < steps(run)[0]["learning_rate"] <= 0.0009
    before, after = load_file(first.run.optimizer), load_file(run.optimizer)
    counts = [(before[name], after[name]) for name in before if name.endswith(".step")]
    assert counts
    # 120 images less 12 for validation, 16 at once: 6 whole steps an epoch.
    assert {(int(old), int(new)) for old, new in counts} == {(12, 18)}
    assert second.record.from_run == str(first.run.path.resolve())
    assert second.preparation == first.preparation


def test_it_goes_on_where_another_begins_anew(first: Trained, tmp_path: Path) -> None:
    """Without the state the same steps lead elsewhere."""
    with_state = striate.train(from_run=first, out=tmp_path / "a", epochs=1, learning_rate=0.001)
    kept = first.run.optimizer.rename(tmp_path / "kept")
    try:
        without = striate.train(from_run=first, out=tmp_path / "b", epochs=1, learning_rate=0.001)
    finally:
        kept.rename(first.run.optimizer)
    assert not without.run.start_optimizer.exists()
    one, other = load_file(with_state.run.last_weights), load_file(without.run.last_weights)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert steps(with_state.run)[0]["learning_rate"] == steps(without.run)[0]["learning_rate"]


def test_it_can_be_replayed_to_the_bit(first: Trained, tmp_path: Path) -> None:
    second = striate.train(from_run=first, out=tmp_path / "run", epochs=1)
    found = replay(second.run, out=tmp_path / "again", device=None, started=0.0, watch=Silence())
    assert found.equal


def test_another_optimizer_begins_anew_at_its_own_rate(first: Trained, tmp_path: Path) -> None:
    second = striate.train(from_run=first, out=tmp_path / "run", epochs=1, optimizer="momentum")
    assert not second.run.start_optimizer.exists()
    assert steps(second.run)[0]["learning_rate"] > 0.05


def test_a_damaged_state_is_named(first: Trained, tmp_path: Path) -> None:
    content = first.run.optimizer.read_bytes()
    first.run.optimizer.write_bytes(content[:100])
    try:
        with pytest.raises(StriateError, match=r"start-optimizer\.safetensors is damaged"):
            striate.train(from_run=first, out=tmp_path / "run", epochs=1)
    finally:
        first.run.optimizer.write_bytes(content)


def test_what_does_not_go_together_is_said(first: Trained, tmp_path: Path) -> None:
    path = first.run.path
    with pytest.raises(StriateError) as caught:
        striate.train(from_run=first, net="lenet5")
    assert str(caught.value) == (
        "--net: --net is given beside a run to go on from, which has its own\n"
        "  expected: one of them\n"
        "  try: leave out --net; or striate train DATA --net RUN/net.txt --weights RUN/weights.safetensors"
    )
    photos = write_folder(tmp_path / "photos")
    (photos / "blob").rename(photos / "dots")
    with pytest.raises(StriateError) as caught:
        striate.train(photos, from_run=first, out=tmp_path / "run")
    assert str(caught.value) == (
        f"{path}: the classes were across, blob, down and are across, dots, down\n"
        "  expected: data of the same classes\n"
        f"  try: striate train DATA --net {path}/net.txt --weights {path}/weights.safetensors, which trains the head "
        "anew"
    )
    assert not (tmp_path / "run").exists()
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**record, "status": "stopped"}))
    try:
        with pytest.raises(StriateError) as caught:
            striate.train(from_run=path)
    finally:
        (path / "run.json").write_text(json.dumps(record))
    assert str(caught.value) == (
        f"{path}: this run is not finished\n"
        f"  expected: a run with its last weights\n  try: striate resume {path}"
    )
    with pytest.raises(StriateError, match="no data were given"):
        striate.train()
