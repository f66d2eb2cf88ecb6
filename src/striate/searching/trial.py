"""One trial of a search: what it is, whether it may be, and its training up to a rung."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from striate.data.gather import Data
from striate.errors import FitError, RecipeError, ResourceError, RunError, StriateError, counted
from striate.machine.device import choose_device
from striate.modules.module import build
from striate.net.layout.layout import Layout, lay
from striate.net.network import Network
from striate.net.notation.holes import fill_holes
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.net.plan.table import plan
from striate.net.shape import Map
from striate.progress import Silence, Watch
from striate.recipe.keys import Recipe, read_recipe
from striate.runs.folder import RunFolder
from striate.searching.checkpoints import Checkpoints, steps_reached
from striate.searching.space import Space, Value
from striate.training.job import gather_for, new_job, reopen_job, run_job
from striate.training.loop.loop import Diverged, Paused, Scored
from striate.training.loop.memory import require_fits
from striate.training.loop.prepared import Job

# Forward passes that a latency is the median of.
TIMED = 15

# Keys of the recipe that say how the images are read.
_READING = ("size", "fit", "val_share", "seed", "max_pixels")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a network may cost; None for whatever it takes.

    weights: trained numbers.  multiply_adds: for one image.  memory_bytes: of the process in training.
    latency_s: of one image, as torch answers it here.
    """

    weights: int | None = None
    multiply_adds: int | None = None
    memory_bytes: int | None = None
    latency_s: float | None = None


@dataclass
class Bench:
    """What all trials of a search share.

    source: DATA.  network: with its holes, or None.  recipe: its name or file.  keys: of the recipe that are decided
    for all.  folder: of the trials.  checkpoints: where all workers find them, or None for this folder only.
    """

    source: str
    network: Network | None
    recipe: str | None
    keys: Mapping[str, Any]
    space: Space
    limits: Limits
    folder: Path
    device: str | None
    strict: bool
    checkpoints: Checkpoints | None = None
    read: dict[str, Data] = field(default_factory=dict)

    def recipe_of(self, values: Mapping[str, Value]) -> Recipe:
        """The recipe of a trial.  Raises RecipeError where its values do not go together."""
        keys, _ = self.space.split(values)
        return read_recipe(self.recipe, given={**self.keys, **keys}, net=self.network is not None)

    def network_of(self, values: Mapping[str, Value]) -> Network | None:
        """The network of a trial, its holes filled, with its own text."""
        if self.network is None:
            return None
        _, filled = self.space.split(values)
        if not filled:
            return self.network
        return read_text(
            write_text(fill_holes(self.network, {k: _number(v) for k, v in filled.items()})), "trial"
        )

    def data_of(self, recipe: Recipe, watch: Watch) -> Data:
        """The images as a recipe reads them; read once for all trials that read them alike."""
        key = repr([getattr(recipe, each) for each in _READING])
        if key not in self.read:
            self.read[key] = gather_for(self.source, recipe, self.strict, watch)
        return self.read[key]

    def run_of(self, trial: int) -> RunFolder:
        """The run folder of a trial."""
        return RunFolder(self.folder / f"{trial:04d}")


def _number(value: Value) -> str | int | float:
    return value if not isinstance(value, bool) else str(value)


def cost_of(bench: Bench, values: Mapping[str, Value], watch: Watch) -> dict[str, float]:
    """What the plan says of a trial.

    Raises FitError, RecipeError or ResourceError where its network does not fit the images, the recipe does not go
    together, or a limit is passed.
    """
    recipe = bench.recipe_of(values)
    data = bench.data_of(recipe, watch)
    network = bench.network_of(values)
    if network is None:
        return {}
    layout = lay(network, Map(recipe.channels or data.channels, *data.size), len(data.classes))
    layout.require_classes(len(data.classes))
    found = plan(layout)
    limits = bench.limits
    _require("weights", "--weights-at-most", found.weights, limits.weights)
    _require("multiply-adds", "--mult-adds-at-most", found.multiply_adds, limits.multiply_adds)
    device = choose_device(bench.device)
    require_fits(layout, recipe, recipe.batch_for(len(data.train.labels)), device)
    cost: dict[str, float] = {"weights": found.weights, "multiply_adds": found.multiply_adds}
    if limits.latency_s is not None:
        cost["latency_s"] = latency_s(layout, device)
        if cost["latency_s"] > limits.latency_s:
            raise FitError(
                f"an image takes {1000 * cost['latency_s']:.3g} ms",
                place="--latency",
                expected=f"at most {1000 * limits.latency_s:.3g} ms",
                # It is measured, and not twice the same.
                cure=f"--latency {2000 * cost['latency_s']:.2g}ms",
            )
    return cost


def _require(what: str, flag: str, found: int, most: int | None) -> None:
    if most is not None and found > most:
        raise FitError(
            f"it has {found:,} {what}", place=flag, expected=f"at most {most:,}", cure=f"{flag} {found}"
        )


def latency_s(layout: Layout, device: torch.device) -> float:
    """Seconds that a network takes for one image: the median of a few forward passes, first weights."""
    with torch.random.fork_rng(devices=[]):
        net = build(layout).to(device).eval()
    image = torch.zeros(1, layout.input.channels, layout.input.height, layout.input.width, device=device)
    taken = []
    with torch.no_grad():
        for _ in range(TIMED + 3):
            began = time.perf_counter()
            net(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken.append(time.perf_counter() - began)
    return median(taken[3:])


@dataclass(frozen=True, slots=True)
class Ended:
    """How a trial came to a rung.  scored: None where it diverged.  note: why, by the doctor's code, or that it
    starts over."""

    scored: Scored | None
    seconds: float
    note: str | None = None


class Reporter(Silence):
    """Hears a trial: passes on how far it is, and asks whoever holds its lease whether to stop."""

    def __init__(self, advanced: Callable[[str], None], stopping: Callable[[], bool]) -> None:
        self.advanced, self.stops = advanced, stopping
        self.what = ""

    def begin(self, what: str, total: int) -> None:
        """Kept for the next line of progress."""
        self.what = what

    def advance(self, done: int, note: str) -> None:
        """Passed on."""
        self.advanced(f"{self.what}, {note}" if note else self.what)

    def stopping(self) -> bool:
        """As whoever listens says."""
        return self.stops()


def train_to(
    bench: Bench, trial: int, values: Mapping[str, Value], steps: int, before: int, watch: Reporter
) -> Ended:
    """Train a trial up to a step, from its checkpoint where there is one.

    before: the step that it came to on the rung before, where a checkpoint is expected and its lack is noted; 0 on
    the first.
    Raises Stopped where `watch` asks to stop, and StriateError where the trial cannot be trained here.
    """
    run = bench.run_of(trial)
    began = time.monotonic()
    recipe = bench.recipe_of(values)
    data = bench.data_of(recipe, watch)
    note = _find_checkpoint(bench, trial, before) if before else None
    if run.record.exists():
        try:
            job = reopen_job(run, device=bench.device, started=began, watch=watch, gathered=data)
            return replace(_advance(job, steps, True, watch), note=note)
        except RunError as error:
            if "another process" in error.problem:
                raise
            # Killed while it was made, or damaged since.
            note = f"started over: {error.problem}"
    bench.folder.mkdir(parents=True, exist_ok=True)
    if run.path.exists():
        shutil.rmtree(run.path)
    job = new_job(
        bench.source, network=bench.network_of(values), recipe=recipe, out=run.path, device=bench.device,
        strict=bench.strict, started=began, watch=watch, gathered=data,
    )  # fmt: skip
    ended = _advance(job, steps, False, watch)
    return replace(ended, note=ended.note or note)


def _advance(job: Job, steps: int, resume: bool, watch: Reporter) -> Ended:
    """Train a job up to a step."""
    try:
        run_job(job, watch, resume=resume, pause_at=steps)
    except Paused as paused:
        return Ended(paused.scored, time.monotonic() - job.started)
    except Diverged as problem:
        return Ended(None, time.monotonic() - job.started, f"{problem.code}: {problem.problem}")
    raise StriateError(
        f"a trial ended before step {steps}",
        place=str(job.run.path),
        expected="a recipe whose trials are all of one length",
        cure="leave out target and patience",
    )


def _find_checkpoint(bench: Bench, trial: int, before: int) -> str | None:
    """Fetch the checkpoint of a trial that was trained elsewhere; a note where it starts over."""
    run = bench.run_of(trial)
    if steps_reached(run) >= before:
        return None
    why = "" if bench.checkpoints is None else bench.checkpoints.fetch(trial, run)
    if why is None:
        return None
    shared = "" if bench.checkpoints is None else f", nor can it be had from {bench.checkpoints.url}: {why}"
    return f"started over: its checkpoint is not in this folder{shared}"


def forget(bench: Bench, trial: int) -> None:
    """Remove the checkpoints of a trial that is not trained further; its record and text stay."""
    if bench.checkpoints is not None:
        bench.checkpoints.forget(trial)
    shutil.rmtree(bench.run_of(trial).state, ignore_errors=True)


def finish_best(bench: Bench, trial: int, best: RunFolder, watch: Watch) -> RunFolder:
    """The run of the winner, tested once, in a folder of its own.

    The folder of the trial stays as it is, so that a search that is killed here does it again.
    """
    if best.report.exists():
        return best
    if best.path.exists():
        shutil.rmtree(best.path)
    shutil.copytree(bench.run_of(trial).path, best.path)
    data = bench.data_of(read_recipe(str(best.recipe)), watch)
    job = reopen_job(best, device=bench.device, started=time.monotonic(), watch=watch, gathered=data)
    run_job(job, watch, resume=True)
    return best


def first_feasible(
    bench: Bench, draw: Callable[[int], dict[str, Value]], watch: Watch, *, tries: int
) -> tuple[dict[str, Value], dict[str, float], list[str]]:
    """Values whose trial can be trained, what it costs, and why those before them cannot.

    draw: gives values for the number of a try.  Raises FitError where none of so many can.
    """
    refused: list[str] = []
    last: StriateError | None = None
    for attempt in range(tries):
        values = draw(attempt)
        try:
            return values, cost_of(bench, values, watch), refused
        except (FitError, RecipeError, ResourceError) as error:
            place = "--memory" if isinstance(error, ResourceError) else error.place
            refused.append(f"{place}: {error.problem}" if place else error.problem)
            last = error
    assert last is not None
    raise FitError(
        f"none of {counted(tries, 'trial')} that were drawn can be trained; the last: {last.problem}",
        place=last.place or "search",
        excerpt=last.excerpt,
        expected="a text and a space of which some trials fit the images and the limits",
        cure=last.cure or "higher limits, or smaller values in the holes",
    )
