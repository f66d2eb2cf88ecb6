"""A training as a whole: from DATA and choices to a finished run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from striate.build.initial import initialise
from striate.build.module import Net, build
from striate.build.weights import load_weights, weights_bytes
from striate.data.augment import read_augment, suited_augment
from striate.data.batches import TrainingBatches
from striate.data.gather import Data, gather
from striate.errors import ResourceError, RunError, StriateError, counted
from striate.notation.reader import read_text
from striate.plan.plan import plan
from striate.report.page import write_report
from striate.runs.atomic import write_atomic
from striate.runs.folder import FORMAT, RunFolder, create_run, json_bytes
from striate.spec.layout import Layout, lay
from striate.spec.network import Network
from striate.spec.shape import Map
from striate.train.checkpoint import load_checkpoint
from striate.train.choose import suited_batch, suited_epochs, suited_net
from striate.train.evaluate import probabilities
from striate.train.loop import Diverged, Loop, Stopped, run_loop
from striate.train.machine import choose_device, describe_machine, free_memory_bytes, versions
from striate.train.mistakes import worst_mistakes
from striate.train.optimiser import make_optimiser, suited_decay, suited_rate
from striate.train.pace import Pace
from striate.train.preparation import Feeder, Preparation, measure
from striate.train.recipe import Recipe, read_recipe, write_recipe
from striate.train.score import Score, score
from striate.train.state import State
from striate.train.watch import Watch
from striate.zoo.list import zoo_text

# Pictures at once where nothing is kept for a backward pass.
EVALUATION_BATCH = 256

# Seconds that the last validation, the test and the report take at least, kept free under a budget.
CLOSING_S = 1.0


@dataclass
class Job:
    """A run that is ready to train."""

    run: RunFolder
    data: Data
    layout: Layout
    recipe: Recipe
    preparation: Preparation
    net: Net
    device: torch.device
    record: dict[str, Any]
    started: float


def new_job(
    source: str | Path,
    *,
    network: Network | None,
    recipe: Recipe,
    out: Path | None,
    device: str | None,
    strict: bool,
    started: float,
    watch: Watch,
) -> Job:
    """Read the data, choose what was left open, check that all fits, and make the run folder.

    network: the network, or None to choose one of the zoo.  out: the run folder, or None for a new one
    under `runs`.  strict: refuse data with files that cannot be used.  started: when the job began, by
    time.monotonic, for budgets.

    Raises DataError, FitError, RecipeError, ResourceError, RunError; nothing is left behind then.
    """
    where = choose_device(device)
    data = _gather(source, recipe, strict, watch)
    _tell_data(data, watch)
    why = "it was given"
    if network is None:
        choice = suited_net(data.size, len(data.train.labels))
        network, why = read_text(zoo_text(choice.value), f"{choice.value}.net"), choice.why
        watch.say(f"network   {choice.value}: {why}")
    layout = lay(network, Map(data.channels, *data.size), len(data.classes))
    layout.require_classes(len(data.classes))
    recipe, net = _settle(recipe, data, layout)
    _tell_recipe(recipe, layout, watch)
    _require_memory(layout, recipe, where)
    mean, deviation = measure(data.train.pictures)
    dtype = data.train.pictures.dtype.name
    preparation = Preparation(data.size, data.stored_size, data.channels, mean, deviation, dtype)
    record = {
        "format": FORMAT,
        "name": data.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "status": "running",
        "source": str(Path(source).resolve()) if Path(source).exists() else str(source),
        "network": {"why": why},
        "versions": versions(),
        "machine": describe_machine(where),
    }
    run = create_run(data.name, out)
    try:
        source_text = network.source.text if network.source else ""
        write_atomic(run.net, source_text.encode())
        write_atomic(run.recipe, write_recipe(recipe).encode())
        write_atomic(run.data, json_bytes({**data.record, "preparation": preparation.to_record()}))
        run.write_record(record)
    except StriateError:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return Job(run, data, layout, recipe, preparation, net.to(where), where, record, started)


def reopen_job(run: RunFolder, *, device: str | None, started: float, watch: Watch) -> Job:
    """The job of a run that was stopped.

    Raises RunError where the run is finished or its data are not what they were, naming what changed.
    """
    record, data_record = run.read_record(), run.read_data()
    if record.get("status") == "done":
        raise RunError(
            "this run is finished", place=str(run.path), cure=f"striate predict {run.path} PICTURE"
        )
    recipe = read_recipe(str(run.recipe))
    network = read_text(run.net.read_text(encoding="utf-8"), str(run.net))
    data = _gather(record["source"], recipe, False, watch)
    _require_same_data(run, data.record, data_record)
    layout = lay(network, Map(data.channels, *data.size), len(data.classes))
    net = build(layout)
    preparation = Preparation.from_record(data_record["preparation"])
    where = choose_device(device or record["machine"]["device"].split(":")[0])
    return Job(run, data, layout, recipe, preparation, net.to(where), where, record, started)


def run_job(job: Job, watch: Watch, *, resume: bool) -> Score:
    """Train, test once with the best weights, and write the report.

    resume: go on from the newest sound checkpoint, or from the first step where there is none yet.
    The global random state of torch is left as it was.
    """
    with torch.random.fork_rng(enabled=True):
        torch.manual_seed(job.recipe.seed)
        state, loop = _begin(job, watch, resume)
        try:
            run_loop(loop, state, watch)
        except Stopped:
            _set_status(job, "stopped")
            raise
        except Diverged:
            _set_status(job, "diverged")
            raise
        return _close(job, loop, state, watch)


def _begin(job: Job, watch: Watch, resume: bool) -> tuple[State, Loop]:
    recipe, data = job.recipe, job.data
    assert recipe.batch is not None
    batches = TrainingBatches(
        data.train.pictures, data.train.labels, data.size, min(recipe.batch, len(data.train.labels)),
        read_augment(recipe.augment), recipe.seed,
    )  # fmt: skip
    steps = batches.steps * (recipe.epochs or 1_000_000)
    reserve = CLOSING_S if recipe.budget_s else 0.0
    tested = len(data.test.labels) if data.test is not None else len(data.val.labels)
    closing = 1 + tested / len(data.val.labels)
    pace = Pace(steps, recipe.budget_s, 0.0, job.started, reserve_s=reserve, closing_validations=closing)
    average = None
    if recipe.ema is not None:
        mean = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
        average = AveragedModel(job.net, multi_avg_fn=mean, use_buffers=True)
    state = State(job.net, make_optimiser(job.net, recipe), pace, average)
    loop = Loop(job.run, recipe, batches, data.val, Feeder(job.preparation, job.device), EVALUATION_BATCH)
    if not resume:
        return state, loop
    _set_status(job, "running")
    if not any(job.run.state.glob("*.safetensors")):
        watch.say("no checkpoint was written yet: begins at the first step")
        generator = torch.Generator().manual_seed(recipe.seed)
        initialise(job.net, initial=recipe.initial, generator=generator)
        job.run.events.cut(0)
        return state, loop
    checkpoint = load_checkpoint(job.run.state)
    for name in checkpoint.damaged:
        watch.say(f"checkpoint {name} is damaged and was passed over")
    state.restore(checkpoint.tensors, checkpoint.numbers)
    job.run.events.cut(state.events_bytes)
    watch.say(f"goes on at step {state.step}")
    return state, loop


def _close(job: Job, loop: Loop, state: State, watch: Watch) -> Score:
    """The last weights, the test with the best ones, the record and the report."""
    write_atomic(job.run.last_weights, weights_bytes(state.averaged()))
    load_weights(state.net, job.run.weights)
    split, name = (job.data.test, "test") if job.data.test is not None else (job.data.val, "validation")
    watch.begin(name, len(split.labels))
    found = probabilities(
        state.net, loop.feeder, split.pictures, job.data.size, batch=EVALUATION_BATCH,
        precision=job.recipe.precision, advance=lambda done: watch.advance(done, ""),
    )  # fmt: skip
    watch.end()
    result = score(found, split.labels, job.data.classes)
    mistakes = worst_mistakes(found, split, job.data.classes, job.data.size)
    write_atomic(job.run.path / "mistakes.json", json_bytes(mistakes))
    job.record["result"] = {
        "split": name,
        **result.to_record(),
        "best_epoch": state.best_epoch,
        "validation_accuracy": state.best_accuracy,
        "epochs": state.epoch,
        "steps": state.step,
    }
    job.record["status"] = "done"
    job.record["seconds"] = round(state.pace.elapsed_s(), 3)
    job.run.write_record(job.record)
    write_report(job.run)
    shutil.rmtree(job.run.state, ignore_errors=True)
    return result


def _set_status(job: Job, status: str) -> None:
    job.record["status"] = status
    job.run.write_record(job.record)


def _gather(source: str | Path, recipe: Recipe, strict: bool, watch: Watch) -> Data:
    begun = False

    def progress(done: int, total: int) -> None:
        nonlocal begun
        if not begun:
            watch.begin("reading pictures", total)
            begun = True
        watch.advance(done, "")

    data = gather(
        source,
        size=recipe.size,
        val_share=recipe.val_share,
        seed=recipe.seed,
        strict=strict,
        progress=progress,
    )
    if begun:
        watch.end()
    return data


def _settle(recipe: Recipe, data: Data, layout: Layout) -> tuple[Recipe, Net]:
    """The recipe with nothing left open, and the network with its first weights."""
    net = build(layout)
    pictures = len(data.train.labels)
    chosen: dict[str, Any] = {}
    if recipe.epochs is None and recipe.budget_s is None:
        chosen["epochs"] = suited_epochs(pictures)
    if recipe.batch is None:
        chosen["batch"] = suited_batch(pictures)
    if recipe.rate is None:
        chosen["rate"] = suited_rate(recipe.optimiser, net)
    if recipe.weight_decay is None:
        chosen["weight_decay"] = suited_decay(recipe.optimiser)
    if recipe.augment == "auto":
        margin = data.stored_size != data.size
        chosen["augment"] = str(suited_augment(data.size, data.channels, margin=margin))
    else:
        read_augment(recipe.augment)
    if recipe.precision == "auto":
        chosen["precision"] = "fp32"
    settled = recipe.model_copy(update=chosen)
    initialise(net, initial=settled.initial, generator=torch.Generator().manual_seed(settled.seed))
    return settled, net


def _tell_data(data: Data, watch: Watch) -> None:
    splits = [("training", data.train), ("validation", data.val), ("test", data.test)]
    told = ", ".join(f"{len(split.labels):,} {name}" for name, split in splits if split is not None)
    made = " (validation held out of the training pictures)" if data.record["validation"]["made"] else ""  # type: ignore[call-overload,index]
    shape = f"{data.channels}x{data.size[0]}x{data.size[1]}"
    watch.say(f"data      {counted(len(data.classes), 'class', 'classes')}, {told} pictures of {shape}{made}")
    for finding in data.findings[:10]:
        watch.say(f"          {finding.name}: {finding.reason}")
    if len(data.findings) > 10:
        watch.say(f"          and {len(data.findings) - 10:,} findings more")


def _tell_recipe(recipe: Recipe, layout: Layout, watch: Watch) -> None:
    summed = plan(layout)
    length = f"{recipe.epochs} epochs" if recipe.epochs else f"{recipe.budget_s:.0f} s"
    watch.say(f"          {summed.weights:,} weights, {summed.multiply_adds:,} multiply-adds a picture")
    watch.say(
        f"recipe    {length} of batches of {recipe.batch}, {recipe.optimiser} at rate {recipe.rate:g}, "
        f"{recipe.schedule}, augment: {recipe.augment}, seed {recipe.seed}"
    )


def _require_memory(layout: Layout, recipe: Recipe, device: torch.device) -> None:
    """Raise ResourceError where one training step cannot fit, with the largest batch that would."""
    assert recipe.batch is not None
    free = free_memory_bytes(device)
    if free is None:
        return
    slots = {"sgd": 0, "adam": 2, "adamw": 2}.get(recipe.optimiser, 1)
    one, two = plan(layout, batch=1).training_bytes(slots), plan(layout, batch=2).training_bytes(slots)
    fixed, each = 2 * one - two, two - one
    if fixed + each * recipe.batch <= free:
        return
    most = (free - fixed) // each if each else 0
    raise ResourceError(
        f"a training step needs about {_size(fixed + each * recipe.batch)} and {_size(free)} are free",
        place=f"batch {recipe.batch} of {layout.input}",
        expected="weights, gradients, optimiser state and saved activations in memory",
        cure=f"--set batch={most}" if most >= 1 else "a smaller network, or smaller pictures by --size",
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def _require_same_data(run: RunFolder, now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
    if now["classes"] != then["classes"]:
        change = f"the classes were {', '.join(then['classes'][:8])} and are {', '.join(now['classes'][:8])}"
    else:
        changed = [
            f"{name} had {old['count']:,} pictures and has {new['count']:,}"
            if old["count"] != new["count"]
            else f"pictures or labels of {name} changed"
            for name in then["splits"]
            if (old := then["splits"][name]) and (new := now["splits"].get(name, {"count": 0}))
            and old.get("sha256") != new.get("sha256")
        ]  # fmt: skip
        if not changed and now["splits"].keys() == then["splits"].keys():
            return
        change = "; ".join(changed) or "the splits are others"
    raise RunError(
        f"the data are not what they were: {change}",
        place=str(run.path),
        expected="the pictures and labels that the run began with",
        cure="put them back, or striate train, which begins anew",
    )
