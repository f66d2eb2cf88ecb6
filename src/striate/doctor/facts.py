"""What the folder of a run says, as the rules read it: what is missing, damaged or of an older striate leaves a gap."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median
from typing import NamedTuple, TypeVar, final

from striate.disk.small import parse_toml, read_small_text
from striate.errors import RunError, StriateError, counted
from striate.net.layout.layout import Layout, lay
from striate.net.layout.normed import normalizes
from striate.net.notation.reader import read_text
from striate.net.plan.table import Plan, plan
from striate.net.shape import Map
from striate.optimizers import OptimizerKind, kind_of
from striate.runs.events import (
    EVENT,
    TIME,
    EpochEvent,
    EpochTime,
    ResumeEvent,
    RollbackEvent,
    StepEvent,
    read_events,
)
from striate.runs.folder import RunFolder
from striate.runs.history import Epoch, History, history
from striate.runs.lock import is_held
from striate.runs.record import DataRecord, RunRecord, Split
from striate.runs.vitals import MOST_VITALS_BYTES, VITAL, Answers, Begin, Look
from striate.text.figures import wilson

Found = TypeVar("Found")

# What the keys of a recipe were called by an earlier striate.
_OLD_KEYS = {
    "rate": "learning_rate",
    "optimiser": "optimizer",
    "centre": "center",
    "grow": "progressive_resizing",
}

# Answers that are better by less than this are no better.
NEAR = 0.01

# A run that is not ended is judged after so many epochs and steps.
SURE_EPOCHS, SURE_STEPS = 3, 200

# So many epochs at the end say how a training came out.
LAST_EPOCHS = 3


class Layer(NamedTuple):
    """What a layer gave for the probe: mean, standard deviation, and shares of 0, saturated, and dead units."""

    path: str
    word: str
    mean: float
    std: float
    zeros: float
    saturated: float
    dead: float


class Weight(NamedTuple):
    """A weight, its gradient before it was clipped, and its change in one step: their lengths.

    most: the largest share of its length that a step since the look before changed it by.
    """

    path: str
    length: float
    gradient: float
    change: float
    most: float


class Seen(NamedTuple):
    """A look, with its layers and weights by path.  epoch: from 0."""

    step: int
    epoch: int
    learning_rate: float
    losses: tuple[float | None, ...]
    lengths: tuple[float | None, ...]
    probe: tuple[float | None, ...]
    batch: tuple[float | None, ...] | None
    layers: dict[str, Layer]
    weights: dict[str, Weight]
    whole: bool
    exact: tuple[float | None, ...] | None


class StageSeen(NamedTuple):
    """The looks of one stage.  input: mean and standard deviation of what the network reads."""

    stage: int
    images: int
    normed: bool
    input: tuple[float | None, ...]
    looks: tuple[Seen, ...]


@final
@dataclass(frozen=True, eq=False)
class RunFacts:
    """All that is known of a run.

    recipe: the keys of recipe.toml by the names of today.  held: whether a process is training it.
    looks: by stage.  answers: of the validations, by epoch.  cut: the last line of vitals.jsonl is interrupted.
    gaps: what could not be read, a sentence each.
    """

    run: RunFolder
    record: RunRecord
    data: DataRecord | None
    recipe: Mapping[str, object]
    text: str
    plan: Plan | None
    layout: Layout | None
    history: History
    rollbacks: tuple[RollbackEvent, ...]
    times: tuple[EpochTime, ...]
    stages: tuple[StageSeen, ...]
    answers: tuple[Answers, ...]
    held: bool
    gaps: tuple[str, ...]

    @property
    def ended(self) -> bool:
        """Whether the training came to its end, so that how it came out can be judged."""
        return self.record.status == "done"

    @property
    def judged(self) -> bool:
        """Whether it ended, or trained so long that what it learned by now can be judged."""
        return self.ended or (len(self.epochs) >= SURE_EPOCHS and self.steps >= SURE_STEPS)

    @property
    def too_early(self) -> str:
        """Why it is not, as a clause."""
        return f"the run has {counted(len(self.epochs), 'epoch')} and is {self.record.status}"

    @property
    def probe(self) -> str:
        """The command that looks further."""
        return f"`striate doctor {self.run.quoted} --probe`"

    @property
    def quoted_net(self) -> str:
        """The file of the network's text, as a shell takes it."""
        return shlex.quote(str(self.run.net))

    @property
    def quoted_source(self) -> str:
        """Where the data are, as a shell takes it."""
        return shlex.quote(self.record.source or "DATA")

    @property
    def one_line(self) -> str:
        """The text of the network, without comments and line ends."""
        return " ".join(" ".join(line.split("#")[0] for line in self.text.splitlines()).split())

    @property
    def usual_decay(self) -> float:
        """The weight decay taken where none is said."""
        return self.usual_decay_of(self.optimizer)

    def usual_decay_of(self, optimizer: str) -> float:
        """The weight decay taken with an optimizer where none is said."""
        return kind_of(optimizer).weight_decay

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """What was noted at the end of each."""
        return self.history.epochs

    @property
    def stage(self) -> StageSeen | None:
        """The last stage with a look."""
        return next((each for each in reversed(self.stages) if each.looks), None)

    @cached_property
    def looks(self) -> tuple[Seen, ...]:
        """Of the last stage."""
        return self.stage.looks if self.stage else ()

    def number(self, key: str, otherwise: float) -> float:
        """A key of the recipe that is a number."""
        value = self.recipe.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise

    def word(self, key: str, otherwise: str) -> str:
        """A key of the recipe that is a text."""
        value = self.recipe.get(key)
        return value if isinstance(value, str) else otherwise

    @property
    def learning_rate(self) -> float | None:
        """The highest one, behind the last rollback."""
        learning_rate = self.number("learning_rate", math.nan)
        share = self.rollbacks[-1].rate_share if self.rollbacks else 1.0
        return None if math.isnan(learning_rate) else learning_rate * share

    @property
    def optimizer(self) -> str:
        """Its word."""
        return self.word("optimizer", "adamw")

    @property
    def optimizer_kind(self) -> OptimizerKind:
        """What is known of it."""
        return kind_of(self.optimizer)

    def per_class(self, split: Split) -> Mapping[str, int]:
        """Images of each class; empty where it is not known."""
        found = self.data.splits.get(split) if self.data else None
        return found.per_class if found else {}

    def count(self, split: Split) -> int:
        """Images of a split; 0 where it is not known."""
        found = self.data.splits.get(split) if self.data else None
        return found.count if found else 0

    def most_common(self, split: Split) -> float:
        """Share of the largest class of a split: what always the same answer scores."""
        each = self.per_class(split)
        return max(each.values()) / max(1, sum(each.values())) if each else 1.0 / max(1, self.classes)

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.data.classes) if self.data else 0

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return self.history.last_step

    @property
    def train_accuracy(self) -> float | None:
        """While it trained, augmented and with dropout: the mean of the last epochs."""
        last = self.epochs[-LAST_EPOCHS:]
        return fmean(each.train_accuracy for each in last[-1:]) if last else None

    @property
    def best_accuracy(self) -> float | None:
        """On validation, in the best epoch."""
        return max((each.val_accuracy for each in self.epochs), default=None)

    @cached_property
    def usual_rate(self) -> float:
        """The learning rate taken where none is said."""
        return self.usual_rate_of(self.optimizer)

    def usual_rate_of(self, optimizer: str) -> float:
        """The learning rate taken with an optimizer and this network where none is said."""
        normalized = self.layout is not None and normalizes(self.layout)
        return kind_of(optimizer).learning_rate_for(normalized=normalized)

    @cached_property
    def times_usual(self) -> float | None:
        """The learning rate over the usual one; with a momentum, of what a step goes in the end."""
        learning_rate = self.learning_rate
        if learning_rate is None or self.optimizer_kind.line_search:
            return None
        far = 1.0
        if self.optimizer_kind.plain and self.optimizer_kind.momentum:
            far = 0.1 / max(1e-6, 1 - self.number("momentum", 0.9))
        return far * learning_rate / self.usual_rate

    @cached_property
    def peak_ratio(self) -> float | None:
        """The largest share of its length that a step changed a weight by, in the median of the weights.

        The first step is left out where there are others: adaptive optimizers take a large one.
        """
        looks = self.looks[1:] or self.looks
        each = [median(weight.most for weight in look.weights.values()) for look in looks if look.weights]
        return max(each, default=None)

    @cached_property
    def learned(self) -> bool:
        """Whether its answers in training are better than always the most common class.

        The lower end of the 95 % interval of the better half of the epochs is above its share, by 0.01 at least.
        """
        right = [each.train_accuracy for each in self.epochs]
        half = -(-len(right) // 2)
        best = max((fmean(part) for part in (right[:half], right[half:]) if part), default=1.0)
        if (validated := self.best_accuracy) is not None and (count := self.count("val")):
            # Dropout and augmentation may hide what was learned.
            low = wilson(validated, count)[0]
            if low > self.most_common("val") + NEAR:
                return True
        return wilson(best, max(1, self.count("train")))[0] > self.most_common("train") + NEAR

    @property
    def gain(self) -> float:
        """How far the best validation is from the most common class (0) to all right (1)."""
        baseline = self.most_common("val")
        best = self.best_accuracy
        return 0.0 if best is None or baseline >= 1 else (best - baseline) / (1 - baseline)

    def losses(self) -> list[float]:
        """The loss of steps in order, as fine as it was noted; what is no number is left out."""
        fine = [loss for stage in self.stages for look in stage.looks for loss in look.losses]
        coarse = [each.loss for each in self.history.steps]
        return [each for each in (fine if len(fine) > len(coarse) else coarse) if each is not None]


def read_facts(run: RunFolder) -> RunFacts:
    """What the folder says.  Raises RunError where its record is missing, damaged or of a later striate."""
    record = run.read_record()
    gaps: list[str] = []
    data = _or(None, run.read_data, gaps)
    text = _or("", lambda: _text(run, "net.txt"), gaps)
    no_events: tuple[StepEvent | EpochEvent | RollbackEvent | ResumeEvent, ...] = ()
    no_times: tuple[EpochTime, ...] = ()
    no_lines: tuple[Begin | Look | Answers, ...] = ()
    no_keys: dict[str, object] = {}
    recipe = _or(no_keys, lambda: _recipe(run), gaps)
    batch = recipe.get("batch")
    layout = _or(None, lambda: _layout(text, data), gaps) if text and data else None
    step = batch if isinstance(batch, int) and batch > 0 else 1
    planned = None if layout is None else plan(layout, batch=step)
    events = _or(no_events, lambda: tuple(read_events(run.events.path, EVENT)), gaps)
    times = _or(no_times, lambda: tuple(read_events(run.times.path, TIME)), gaps)
    if record.status != "running" and not run.events.path.is_file():
        gaps.append("the run has no events.jsonl")
    lines = _or(no_lines, lambda: tuple(read_events(run.vitals.path, VITAL)), gaps)
    if not run.vitals.path.is_file():
        gaps.append("the run has no vitals.jsonl")
    elif broken := _broken(run, len(lines)):
        gaps.append(broken)
    stages, answers = seen(lines)
    return RunFacts(
        run=run,
        record=record,
        data=data,
        recipe=recipe,
        text=text,
        plan=planned,
        layout=layout,
        history=history(events, times),
        rollbacks=tuple(each for each in events if isinstance(each, RollbackEvent)),
        times=times,
        stages=stages,
        answers=answers,
        held=is_held(run),
        gaps=tuple(gaps),
    )


def _broken(run: RunFolder, whole: int) -> str:
    """What is said of lines of vitals.jsonl that could not be read; empty where all could."""
    with open(run.vitals.path, "rb") as file:
        content = file.read(2 * MOST_VITALS_BYTES)
    lines = sum(1 for each in content.split(b"\n") if each.strip())
    return "" if lines <= whole else f"{lines - whole} of {lines} lines of vitals.jsonl cannot be read"


def seen(lines: Sequence[Begin | Look | Answers]) -> tuple[tuple[StageSeen, ...], tuple[Answers, ...]]:
    """The looks by stage, and the answers by epoch; what ran again counts as it was last."""
    begun: dict[int, Begin] = {}
    looks: dict[int, dict[int, Seen]] = {}
    answers: dict[int, Answers] = {}
    now: Begin | None = None
    for line in lines:
        if isinstance(line, Begin):
            now = line
            begun[line.stage] = line
            looks.setdefault(line.stage, {})
        elif isinstance(line, Answers):
            answers[line.epoch] = line
        elif now is not None:
            looks[now.stage][line.step] = _seen(line, now)
    stages = tuple(
        StageSeen(
            stage,
            each.probe,
            each.normed,
            tuple(each.input),
            tuple(looks[stage][step] for step in sorted(looks[stage])),
        )
        for stage, each in sorted(begun.items())
    )
    return stages, tuple(answers[each] for each in sorted(answers))


def _seen(look: Look, begin: Begin) -> Seen:
    layers = {}
    for (path, word), row in zip(begin.layers, look.layers, strict=False):
        figures = [math.inf if each is None else each for each in row]
        if len(figures) == 5:
            layers[path] = Layer(path, word, *figures)
    weights = {}
    for path, row in zip(begin.weights, look.weights, strict=False):
        figures = [math.inf if each is None else each for each in row]
        if len(figures) == 4:
            weights[path] = Weight(path, *figures)
    return Seen(
        look.step, look.epoch, look.learning_rate or 0.0, tuple(look.losses), tuple(look.lengths), tuple(look.probe),
        None if look.batch is None else tuple(look.batch), layers, weights, look.whole, None if look.exact is None else tuple(look.exact),
    )  # fmt: skip


def _text(run: RunFolder, name: str) -> str:
    if not (run.path / name).exists():
        raise RunError(f"the run has no {name}")
    try:
        return read_small_text(run.path / name, RunError, "")
    except RunError as error:
        raise RunError(f"{name}: {error.problem}") from None


def _recipe(run: RunFolder) -> dict[str, object]:
    try:
        values = parse_toml(_text(run, "recipe.toml"))
    except ValueError as error:
        raise RunError(f"recipe.toml is damaged: {error}") from None
    return {_OLD_KEYS.get(key, key): value for key, value in values.items()}


def _layout(text: str, data: DataRecord) -> Layout:
    known = data.preparation
    try:
        return lay(read_text(text, "net.txt"), Map(known.channels, *known.size), len(data.classes))
    except StriateError as error:
        raise RunError(f"the network cannot be laid out: {error.problem}") from None


def _or(otherwise: Found, read: Callable[[], Found], gaps: list[str]) -> Found:
    """What `read` gives, or else `otherwise` and a sentence."""
    try:
        return read()
    except StriateError as error:
        gaps.append(error.problem)
    except OSError as error:
        gaps.append(f"{error.filename}: {error.strerror}")
    return otherwise
