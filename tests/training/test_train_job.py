"""A training as a whole: what it leaves behind, how it is stopped and resumed, and how it fails."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import striate
from striate.errors import FitError, RecipeError, ResourceError, RunError
from striate.modules.weights import load_weights, weights_figures
from striate.predict.evaluate import probabilities, renew_statistics
from striate.predict.normalize import Feeder
from striate.predict.score import score
from striate.progress import Silence
from striate.runs.folder import RunFolder
from striate.runs.lock import held
from striate.training import job as job_module
from striate.training.job import Job, run_job
from striate.training.loop import memory as fit
from striate.training.loop.checkpoint import load_checkpoint
from striate.training.loop.loop import Diverged, Stopped
from training.drawn import CLASSES, draw, write_arrays, write_folder
from training.jobs import NET, Clock, Ear, contents, lines, make, resume, train

# What `stopping` is asked in three epochs of six steps: after each step but the last, after each
# validation batch, and after the one batch of the test.
ASKED = 3 * 6 - 1 + 3 + 1


# What is written in them: two checkpoints, the best weights twice, the last ones, the mistakes, what the
# optimizer kept, the record and the report.
WRITES = 9


@pytest.fixture(scope="module")
def unbroken(arrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    watch = Ear()
    train(arrays, out, watch)
    assert watch.asked == ASKED
    return out


def test_what_a_run_leaves_behind(unbroken: Path, arrays: Path) -> None:
    assert sorted(os.listdir(unbroken)) == [
        ".lock", "data.json", "events.jsonl", "last.safetensors", "mistakes.json", "net.txt", "optimizer.safetensors",
        "recipe.toml", "report.html", "run.json", "seen.bin", "times.jsonl", "vitals.jsonl",
        "weights.safetensors",
    ]  # fmt: skip
    assert (unbroken / "net.txt").read_text() == NET
    recipe = tomllib.loads((unbroken / "recipe.toml").read_text())
    assert recipe["epochs"] == 3
    assert recipe["batch"] == 16
    assert recipe["learning_rate"] == 0.003
    data = json.loads((unbroken / "data.json").read_bytes())
    assert data["classes"] == list(CLASSES)
    assert {name: split["count"] for name, split in data["splits"].items()} == {
        "train": 108, "val": 12, "test": 30,
    }  # fmt: skip
    record = json.loads((unbroken / "run.json").read_bytes())
    assert record["status"] == "done"
    assert record["source"] == str(arrays)
    assert record["network"] == {"name": "", "why": "it was given"}
    assert record["versions"]["torch"] == torch.__version__
    assert record["seconds"] > 0
    result = record["result"]
    assert (result["split"], result["images"], result["epochs"], result["steps"]) == ("test", 30, 3, 18)
    assert sum(map(sum, result["confusion"])) == 30
    assert result["interval"][0] <= result["accuracy"] <= result["interval"][1]
    assert "<!doctype html>" in (unbroken / "report.html").read_text()[:20]


def test_the_events_of_a_run(unbroken: Path) -> None:
    events = lines(unbroken / "events.jsonl")
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [0, 1, 2]
    assert [event["step"] for event in epochs] == [6, 12, 18]
    assert any(event["best"] for event in epochs)
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, 19))
    assert all(0 < event["learning_rate"] <= 0.003 for event in steps)
    times = lines(unbroken / "times.jsonl")
    assert [each["epoch"] for each in times] == [0, 1, 2]
    assert [each["elapsed_s"] for each in times] == sorted(each["elapsed_s"] for each in times)


def test_the_best_weights_are_kept_and_tested(unbroken: Path, arrays: Path) -> None:
    trained = striate.load(unbroken, device="cpu")
    images, labels = draw(30, 2)
    answers = trained.predict_arrays(images[..., None]).argmax(axis=1)
    record = json.loads((unbroken / "run.json").read_bytes())
    assert (answers == labels).mean() == pytest.approx(record["result"]["accuracy"])
    epochs = [event for event in lines(unbroken / "events.jsonl") if event["event"] == "epoch"]
    best = max(epochs, key=lambda event: (event["val_accuracy"], -event["val_loss"]))
    assert record["result"]["best_epoch"] == best["epoch"]
    assert record["result"]["validation_metric"] == best["val_accuracy"]


def test_the_same_seed_gives_the_same_bits(unbroken: Path, arrays: Path, tmp_path: Path) -> None:
    torch.manual_seed(12345)
    train(arrays, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(unbroken)
    train(arrays, tmp_path / "other", seed=1)
    assert contents(tmp_path / "other") != contents(unbroken)


# Stopped and resumed


@pytest.mark.parametrize(
    "stop_at",
    [
        # In the first epoch, at its last step, in its validation, in the next one, in the last, in the test.
        each if each in (2, 6, 7, 8, 19, ASKED) else pytest.param(each, marks=pytest.mark.slow)
        for each in range(1, ASKED + 1)
    ],
)
def test_resumed_is_as_unbroken_to_the_last_bit(
    unbroken: Path, arrays: Path, tmp_path: Path, stop_at: int
) -> None:
    out = tmp_path / "run"
    with pytest.raises(Stopped) as caught:
        train(arrays, out, Ear(stop_at))
    assert caught.value.exit_code == 130
    assert str(caught.value).endswith(f"; everything is saved\n  try: striate resume {out}")
    assert json.loads((out / "run.json").read_bytes())["status"] == "stopped"
    torch.manual_seed(stop_at)
    resume(out)
    assert contents(out) == contents(unbroken)
    assert not (out / "state").exists()
    first, second = (json.loads((run / "run.json").read_bytes()) for run in (out, unbroken))
    assert first["status"] == "done"
    assert first["result"] == second["result"]


def test_stopped_again_and_again(unbroken: Path, arrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(arrays, out, Ear(2))
    for stop_at in (1, 5, 3, 4, 1):
        with pytest.raises(Stopped):
            resume(out, Ear(stop_at))
    resume(out)
    assert contents(out) == contents(unbroken)


@pytest.mark.parametrize(
    "keys",
    [
        {"optimizer": "nesterov", "learning_rate": 0.01, "ema": 0.8},
        pytest.param(
            {"optimizer": "muon", "schedule": "cosine", "label_smoothing": 0.1}, marks=pytest.mark.slow
        ),
        {"optimizer": "lbfgs", "clip": None, "layout": "contiguous"},
        {"freeze": "body", "thaw": 2, "net": NET.replace("-> fc 12", "-> head: fc 12")},
        pytest.param({"epochs": 12, "patience": 2}, marks=pytest.mark.slow),
    ],
    ids=["ema", "muon", "lbfgs", "freeze", "patience"],
)
def test_other_recipes_are_resumed_as_well(arrays: Path, tmp_path: Path, keys: dict[str, Any]) -> None:
    watch = Ear()
    train(arrays, tmp_path / "unbroken", watch, **keys)
    for stop_at in {1, 7, watch.asked // 2, watch.asked - 2, watch.asked - 1, watch.asked}:
        out = tmp_path / f"run{stop_at}"
        with pytest.raises(Stopped):
            train(arrays, out, Ear(stop_at), **keys)
        resume(out)
        assert contents(out) == contents(tmp_path / "unbroken"), stop_at


def test_lbfgs_takes_the_layout_that_it_can_train_in(arrays: Path, tmp_path: Path) -> None:
    job = make(
        arrays, tmp_path / "run", net="conv 4 3x3 -> relu -> conv 4 3x3 -> relu -> maxpool 4 -> fc classes",
        epochs=1, optimizer="lbfgs", layout="auto", precision="auto",
    )  # fmt: skip
    assert job.prepared.recipe.layout == "contiguous"
    assert run_job(job, Silence(), resume=False).accuracy > 0


LOADED = """
import sys, torch
from striate.training.step.optimizers import make_optimizer
from striate.training.settings import OptimizerSettings
for kind in sys.argv[1:]:
    net = torch.nn.Linear(3, 2)
    made = make_optimizer([(net, 1.0)], OptimizerSettings(kind, 0.1, 0.0))
    net(torch.ones(1, 3)).sum().backward()
    before = net.weight.clone()
    made.step()
    assert not torch.equal(before, net.weight), kind
sys.exit("torch._dynamo" in sys.modules)
"""


def test_no_optimizer_loads_the_compiler() -> None:
    """It takes a second, and nothing is compiled."""
    kinds = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "muon"]
    found = subprocess.run([sys.executable, "-c", LOADED, *kinds], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_crash_before_the_first_checkpoint(unbroken: Path, arrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    make(arrays, out)
    (out / "events.jsonl").write_text('{"event": "step", "step": 1}\n')
    watch = Ear()
    resume(out, watch)
    assert "no checkpoint was written yet: begins at the first step" in watch.said
    assert contents(out) == contents(unbroken)


def test_a_crash_between_checkpoints(unbroken: Path, arrays: Path, tmp_path: Path) -> None:
    """Events and weights written behind the checkpoint are taken back, and come again."""

    class Crash(Ear):
        def advance(self, done: int, note: str) -> None:
            if len(self.began) > 3 and done > 4:
                raise KeyboardInterrupt

    out = tmp_path / "run"
    job = make(arrays, out)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, Crash(), resume=False, checkpoint_s=0.0)
    assert json.loads((out / "run.json").read_bytes())["status"] == "stopped"
    with open(out / "events.jsonl", "ab") as events:
        events.write(b'{"event": "st')
    resume(out)
    assert contents(out) == contents(unbroken)


def test_a_damaged_checkpoint_is_passed_over(unbroken: Path, arrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(arrays, out, Ear(3))
    with pytest.raises(Stopped):
        resume(out, Ear(3))
    newest = max((out / "state").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])
    watch = Ear()
    resume(out, watch)
    assert f"checkpoint {newest.name} is damaged and was passed over" in watch.said
    assert "goes on at step 3" in watch.said
    assert contents(out) == contents(unbroken)


def test_every_checkpoint_is_damaged(arrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(arrays, out, Ear(3))
    for each in (out / "state").glob("*.safetensors"):
        each.write_bytes(b"")
    with pytest.raises(RunError, match="every checkpoint is damaged"):
        resume(out)


def test_a_finished_run_is_not_resumed(unbroken: Path) -> None:
    with pytest.raises(RunError) as caught:
        resume(unbroken)
    assert str(caught.value) == f"{unbroken}: this run is finished\n  try: striate predict {unbroken} IMAGE"


def test_a_run_that_is_trained_elsewhere(arrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(arrays, out, Ear(3))
    with held(RunFolder(out)), pytest.raises(RunError, match="another process is training this run"):
        resume(out)
    resume(out)


@pytest.mark.parametrize("name", ["run.json", "data.json", "net.txt", "recipe.toml"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xff", b"{}", b"[]"])
def test_damaged_files_of_a_run(arrays: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(arrays, out, Ear(3))
    if content is None:
        (out / name).unlink()
    else:
        (out / name).write_bytes(content)
    if name == "recipe.toml" and content == b"":
        return  # an empty recipe is one: everything is left to striate
    with pytest.raises(striate.StriateError) as caught:
        resume(out)
    assert str(caught.value).startswith(str(out))


# Data that changed


def changed(source: Path, how: str) -> None:
    """Change a folder of images in one way."""
    image = source / "blob" / "001.png"
    if how == "one more":
        shutil.copy(image, source / "blob" / "more.png")
    elif how == "one less":
        image.unlink()
    elif how == "another image":
        shutil.copy(source / "down" / "002.png", image)
    elif how == "another name":
        (source / "blob").rename(source / "dot")
    elif how == "one more class":
        shutil.copytree(source / "blob", source / "dot")
    elif how == "none":
        shutil.rmtree(source)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("one more", "train had 33 images and has 34; images or labels of val changed"),
        ("one less", "train had 33 images and has 32; images or labels of val changed"),
        ("another image", "images or labels of train changed"),
        ("another name", "the classes were across, blob, down and are across, dot, down"),
        ("one more class", "the classes were across, blob, down and are across, blob, dot, down"),
    ],
)
def test_data_that_changed(tmp_path: Path, how: str, told: str) -> None:
    source, out = write_folder(tmp_path / "photos"), tmp_path / "run"
    with pytest.raises(Stopped):
        train(source, out, Ear(2), batch=8)
    changed(source, how)
    with pytest.raises(RunError) as caught:
        resume(out)
    assert str(caught.value) == (
        f"{out}: the data are not what they were: {told}\n"
        "  expected: the images and labels that the run began with\n"
        "  try: put them back, or striate train, which starts over"
    )
    assert load_checkpoint(out / "state").numbers["step"] == 2


def test_data_that_are_gone(tmp_path: Path) -> None:
    source, out = write_folder(tmp_path / "photos"), tmp_path / "run"
    with pytest.raises(Stopped):
        train(source, out, Ear(2), batch=8)
    changed(source, "none")
    with pytest.raises(striate.StriateError, match=str(source)):
        resume(out)


# What is not ours


def test_torch_s_random_state_is_left_alone(arrays: Path, unbroken: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    ours, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    trained = striate.train(arrays, net=NET, epochs=1, out=tmp_path / "run", device="cpu")
    assert torch.equal(torch.get_rng_state(), ours)
    trained.predict(draw(3, 0)[0][0])
    striate.load(unbroken)
    with pytest.raises(Stopped):
        train(arrays, tmp_path / "stopped", Ear(2))
    resume(tmp_path / "stopped")
    assert torch.equal(torch.get_rng_state(), ours)
    assert torch.initial_seed() == 5
    assert np.array_equal(np.random.get_state()[1], numpys)  # type: ignore[index]


def test_the_data_are_only_read(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "photos")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.rglob("*.png")}
    train(source, tmp_path / "run", epochs=1)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.rglob("*.png")} == before
    assert len(list(source.rglob("*"))) == len(before) + 3


# Failures


def finite(file: Path) -> bool:
    """Whether every number in a file of tensors is."""
    with safe_open(file, framework="pt") as opened:
        assert opened.keys()
    return all(t.isfinite().all() for t in load_file(file).values() if t.is_floating_point())


class Burst(Ear):
    """Spoils the weights after a step of an epoch, a number of times."""

    def __init__(self, job: Job, at: int, times: int) -> None:
        super().__init__()
        self.job, self.at, self.times = job, at, times

    def advance(self, done: int, note: str) -> None:
        if self.began[-1].startswith("epoch") and done == self.at and self.times:
            self.times -= 1
            with torch.no_grad():
                next(self.job.prepared.net.parameters()).fill_(float("nan"))


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
def test_a_loss_that_diverges(arrays: Path, tmp_path: Path, optimizer: str) -> None:
    out = tmp_path / "run"
    net = "[conv 8 3x3 -> relu] x6 -> fc 64 -> relu -> fc 64 -> relu -> fc classes"
    job = make(
        arrays,
        out,
        net=net,
        optimizer=optimizer,
        learning_rate=100,
        clip=None,
        epochs=40,
        warmup=0.0,
        initial="large",
    )
    with pytest.raises(Diverged) as caught:
        run_job(job, Silence(), resume=False, checkpoint_s=0.0)
    assert caught.value.exit_code == 1
    assert str(caught.value).endswith(
        "; rolled back 3 times, rates tried: 100, 30, 9, 2.7\n"
        "  expected: a finite loss; NaN or infinity nearly always means that the learning rate is too high\n"
        "  try: --set learning_rate=0.3; or a network with bn; or images without extreme values"
    )
    assert json.loads((out / "run.json").read_bytes())["status"] == "diverged"
    for file in [*out.glob("*.safetensors"), *(out / "state").glob("*.safetensors")]:
        assert finite(file)
    with pytest.raises(RunError) as again:
        resume(out)
    assert str(again.value) == (
        f"{out}: this run diverged, and would do so again\n"
        "  expected: a run that was stopped\n"
        f"  try: striate train {arrays} --set learning_rate=0.3"
    )


def test_weights_that_burst_in_the_last_step(arrays: Path, tmp_path: Path) -> None:
    """The loss of the last step is finite, what it makes of the weights is not."""

    out = tmp_path / "run"
    job = make(arrays, out, epochs=1)
    with pytest.raises(Diverged) as caught:
        run_job(job, Burst(job, at=6, times=99), resume=False)
    assert str(caught.value) == (
        "the network answers NaN after step 6; rolled back 3 times, rates tried: 0.003, 0.0009, 0.00027, 8.1e-05\n"
        "  expected: finite weights; others nearly always mean that the learning rate is too high\n"
        "  try: --set learning_rate=8e-06; or a network with bn; or images without extreme values"
    )
    assert not (out / "weights.safetensors").exists()
    assert all(finite(file) for file in (out / "state").glob("*.safetensors"))


@pytest.mark.parametrize("at", [1, 3, 6])
def test_weights_that_burst_once(arrays: Path, tmp_path: Path, at: int) -> None:
    """The run goes back to the last sound state, and on at a lower learning rate, to the same end."""
    out = tmp_path / "run"
    job = make(arrays, out)
    burst = Burst(job, at, times=1)
    run_job(job, burst, resume=False)
    record = json.loads((out / "run.json").read_bytes())
    assert (record["status"], record["result"]["steps"], record["result"]["epochs"]) == ("done", 18, 3)
    events = lines(out / "events.jsonl")
    back = [event for event in events if event["event"] == "rollback"]
    assert [(event["step"], event["rate_share"]) for event in back] == [(0, 0.3)]
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, 19))
    assert max(event["learning_rate"] for event in events if event["event"] == "step") <= 0.003 * 0.3
    assert any(": back to step 0, the highest learning rate is 0.0009 now" in said for said in burst.said)


def test_a_rollback_comes_through_a_resume(arrays: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "unbroken", tmp_path / "run"]
    for out, stop_at in zip(runs, (None, 9), strict=True):
        job = make(arrays, out)
        burst = Burst(job, at=5, times=1)
        burst.stop_at = stop_at
        if stop_at is None:
            run_job(job, burst, resume=False)
        else:
            with pytest.raises(Stopped):
                run_job(job, burst, resume=False)
    resume(runs[1])
    assert contents(runs[1]) == contents(runs[0])


@pytest.mark.parametrize("nth", range(1, WRITES + 1))
def test_a_disk_that_fills_up(
    unbroken: Path,
    arrays: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    full_disk: Callable[[int], None],
    nth: int,
) -> None:
    """Whichever write of the training fails: a clear error, and the run can be resumed."""
    out = tmp_path / "run"
    job = make(arrays, out)
    full_disk(nth)
    with pytest.raises(ResourceError, match="the disk is full"):
        run_job(job, Silence(), resume=False, checkpoint_s=0.0)
    monkeypatch.undo()
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    resume(out)
    assert contents(out) == contents(unbroken)


@pytest.mark.parametrize("nth", range(1, 5))
def test_nothing_is_left_where_a_run_cannot_begin(
    arrays: Path, tmp_path: Path, full_disk: Callable[[int], None], nth: int
) -> None:
    full_disk(nth)
    with pytest.raises(ResourceError, match="the disk is full"):
        make(arrays, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_is_taken_is_refused_before_the_data_are_read(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").touch()

    def never(*said: object, **named: object) -> None:
        raise AssertionError("the data were read")

    monkeypatch.setattr(job_module, "gather", never)
    with pytest.raises(RunError, match="this exists and is not an empty folder"):
        make(arrays, tmp_path / "run")


def test_a_network_too_large_for_memory(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before it is built."""

    def never(*said: object, **named: object) -> None:
        raise AssertionError("the network was built")

    monkeypatch.setattr(job_module, "build", never)
    monkeypatch.setattr(fit, "free_memory_bytes", lambda device: 40_000_000_000)
    with pytest.raises(ResourceError) as caught:
        make(arrays, tmp_path / "run", net="fc 100000 -> relu -> fc 100000 -> relu -> fc classes")
    assert str(caught.value) == (
        "batch 16 of 1x12x12: a training step needs 160 GB and 40 GB are free\n"
        "  expected: weights, gradients, optimizer state and activations in memory\n"
        "  try: a smaller network, or smaller images by --size"
    )


@pytest.mark.parametrize(
    "said",
    ["[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried", "oom"],
)
def test_memory_that_runs_out_in_training(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    class Full(Silence):
        def advance(self, done: int, note: str) -> None:
            raise torch.OutOfMemoryError(said) if said == "oom" else RuntimeError(said)

    out = tmp_path / "run"
    with pytest.raises(ResourceError) as caught:
        run_job(make(arrays, out), Full(), resume=False)
    assert str(caught.value) == (
        f"{out}: the memory of `cpu` is full\n"
        "  expected: room for a training step on 16 images\n"
        "  try: striate train with --set batch=8"
    )
    assert json.loads((out / "run.json").read_bytes())["status"] == "failed"
    resume(out)


def test_any_other_error_is_not_hidden(arrays: Path, tmp_path: Path) -> None:
    class Broken(Silence):
        def advance(self, done: int, note: str) -> None:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run_job(make(arrays, tmp_path / "run"), Broken(), resume=False)
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["status"] == "failed"


def test_a_network_whose_output_does_not_fit(arrays: Path, tmp_path: Path) -> None:
    with pytest.raises(FitError) as caught:
        make(arrays, tmp_path / "run", net="fc 10")
    assert str(caught.value).startswith("network:1:1: ")
    assert "3" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_part_that_is_not_there_cannot_be_frozen(arrays: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the network has no part labelled `tail`"):
        make(arrays, tmp_path / "run", freeze="tail")


# Budgets and lengths


@pytest.mark.parametrize("budget_s", [0.001, 2.5])
def test_a_budget(arrays: Path, tmp_path: Path, budget_s: float) -> None:
    """However short, there is a result."""
    train(arrays, tmp_path / "run", budget_s=budget_s)
    record = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert record["status"] == "done"
    assert record["result"]["steps"] >= 1


def test_a_budget_goes_on_where_it_was(arrays: Path, tmp_path: Path) -> None:
    """Time in which nothing ran does not count."""
    out, clock = tmp_path / "run", Clock()
    with pytest.raises(Stopped):
        train(arrays, out, Ear(20, clock), clock=clock, budget_s=20.0)
    spent_s = load_checkpoint(out / "state").numbers["pace"]["spent_s"]
    clock.now += 1000
    resume(out, Ear(None, clock), clock)
    seconds = json.loads((out / "run.json").read_bytes())["seconds"]
    assert 2 < spent_s < 5
    # The report takes no time by this clock, and some was kept for it.
    assert 18 < seconds <= 20.1


class Killed(BaseException):
    """As `kill -9`: nothing is written any more."""


@pytest.mark.parametrize("spent", [True, False])
def test_a_budget_that_was_killed_keeps_record_and_weights_together(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spent: bool
) -> None:
    """Killed behind a new best epoch, and no checkpoint since the first step."""

    class Dies(Ear):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("epoch 5: "):
                raise Killed

    out, clock = tmp_path / "run", Clock()
    job = make(arrays, out, Ear(), clock=clock, budget_s=20.0, learning_rate=0.01)
    with pytest.raises(Killed):
        run_job(job, Dies(None, clock), resume=False, checkpoint_s=1e9)
    before = [each for each in lines(out / "events.jsonl") if each.get("best")]
    kept = (out / "weights.safetensors").read_bytes()
    assert before[-1]["epoch"] > 0
    clock.now += 1000
    # Its time is as good as over, or there is enough of it for better ones.
    watch = Ear(None, clock, step_s=100.0 if spent else 0.1)
    resume(out, watch, clock)
    record = json.loads((out / "run.json").read_bytes())["result"]
    figures = weights_figures(out / "weights.safetensors")
    assert (record["best_epoch"], record["validation_metric"]) == (figures["epoch"], figures["metric"])
    assert record["validation_metric"] >= before[-1]["val_accuracy"]
    if spent:
        assert (out / "weights.safetensors").read_bytes() == kept
        assert (record["best_epoch"], record["best_undone"]) == (before[-1]["epoch"], True)
    job = make(arrays, tmp_path / "again", budget_s=20.0)
    load_weights(job.prepared.net, out / "weights.safetensors")
    found = probabilities(
        job.prepared.net, Feeder(job.prepared.preparation, job.prepared.device), job.prepared.data.val.images, job.prepared.data.size,
        batch=16, precision="fp32",
    )  # fmt: skip
    assert (
        score(found, job.prepared.data.val.labels, job.prepared.data.classes).accuracy
        == record["validation_metric"]
    )


def test_the_time_is_told(arrays: Path, tmp_path: Path) -> None:
    clock = Clock()
    watch = Ear(None, clock, step_s=0.5)
    train(arrays, tmp_path / "run", watch, clock=clock, budget_s=20.0)
    epochs = [each for each in watch.said if each.startswith("epoch ")]
    assert all(
        re.fullmatch(r"epoch \d+: .*, accuracy [\d.]+%, \d+ of 20 s(  \(best\))?", each) for each in epochs
    )
    # The seconds go on within an epoch.
    assert [each.split(", ")[1] for each in watch.notes if each][:5] == [
        f"{each} of 20 s" for each in ("0", "0", "1", "2", "2")
    ]
    clock = Clock()
    watch = Ear(None, clock, step_s=0.5)
    train(arrays, tmp_path / "other", watch, clock=clock)
    epochs = [each for each in watch.said if each.startswith("epoch ")]
    assert [each.split(", ", 3)[3].removesuffix("  (best)") for each in epochs] == [
        "3.5 s, 7.0 s left", "7.0 s, 3.5 s left", "10.5 s",
    ]  # fmt: skip
    times = lines(tmp_path / "other" / "times.jsonl")
    assert [each["step_s"] for each in times] == pytest.approx([2.5 / 6] * 3)


def test_statistics_are_taken_anew(arrays: Path, tmp_path: Path) -> None:
    """Twice the same whatever they were, those that do not train as they are, nothing drawn, and right."""
    job = make(arrays, tmp_path / "run")
    feeder, images = (
        Feeder(job.prepared.preparation, job.prepared.device),
        job.prepared.data.train.images[:64],
    )
    found = []
    for start in (0.0, 7.0):
        net = copy.deepcopy(job.prepared.net).train()
        norms = [each for each in net.modules() if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)]
        for norm in norms:
            norm.running_mean.fill_(start)
        random = torch.get_rng_state()
        names = [name for name, module in net.named_modules() if module is not norms[1]]
        renew_statistics(net, names, feeder, images, job.prepared.data.size, batch=16, precision="fp32")
        assert torch.equal(torch.get_rng_state(), random)
        assert all(each.training for each in net.modules())
        assert [norm.momentum for norm in norms] == [0.1, 0.1]
        assert norms[1].running_mean.tolist() == [start] * 12
        found.append(norms[0].running_mean.clone())
    assert torch.equal(found[0], found[1])
    x = feeder.images(job.prepared.data.train.images[:64])
    with torch.no_grad():
        torch.testing.assert_close(found[0], job.prepared.net.get_submodule("0")(x).mean(dim=(0, 2, 3)))


def test_patience(arrays: Path, tmp_path: Path) -> None:
    watch = Ear()
    train(arrays, tmp_path / "run", watch, epochs=50, patience=1, learning_rate=1e-9)
    assert "ends early: no better validation for 1 epoch" in watch.said
    record = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert record["result"]["epochs"] < 50


def test_without_a_test_split_the_validation_is_told(tmp_path: Path) -> None:
    source = write_arrays(tmp_path / "bars.npz", test=0)
    result = train(source, tmp_path / "run", epochs=1)
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["result"]["split"] == "validation"
    assert result.images == 12


def test_a_network_is_chosen_and_the_reason_said(arrays: Path, tmp_path: Path) -> None:
    watch = Ear()
    make(arrays, tmp_path / "run", watch, net=None)
    assert "network   small28: it suits 12x12 pixels and 108 training images" in watch.said
    assert striate.read(tmp_path / "run" / "net.txt").plan((1, 12, 12), 3).weights > 0


def test_a_batch_larger_than_the_data(arrays: Path, tmp_path: Path) -> None:
    train(arrays, tmp_path / "run", batch=65_536, epochs=2)
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["result"]["steps"] == 2


# Rare classes


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_a_balanced_run_is_resumed_to_the_bit(tmp_path: Path, balance: str) -> None:
    images, labels = draw(150, 1)
    kept = (labels != 1) | (np.arange(150) % 9 == 1)
    arrays = tmp_path / "rare.npz"
    np.savez(arrays, x_train=images[kept], y_train=labels[kept])
    plain = {"metric": "balanced_accuracy", "augment": "crop 1, mixup 0.2"}
    keys, ear = {"balance": balance, **plain}, Ear()
    train(arrays, tmp_path / "whole", ear, **keys)
    with pytest.raises(Stopped):
        train(arrays, tmp_path / "stopped", Ear(stop_at=9), **keys)
    resume(tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    train(arrays, tmp_path / "plain", **plain)
    assert (
        contents(tmp_path / "whole")["last.safetensors"] != contents(tmp_path / "plain")["last.safetensors"]
    )
    assert any(", balanced accuracy " in line for line in ear.said)
    result = json.loads((tmp_path / "whole" / "run.json").read_bytes())["result"]
    events = [json.loads(line) for line in (tmp_path / "whole" / "events.jsonl").read_text().splitlines()]
    best = max(each["val_metric"] for each in events if each["event"] == "epoch")
    assert (result["metric"], result["validation_metric"]) == ("balanced_accuracy", best)
