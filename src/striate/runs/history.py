"""How a training went: its steps, epochs and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch, counted from 1.  step: steps taken at its end.  best: its weights were kept.
    step_s: seconds of one of its steps, in the mean."""

    epoch: int
    step: int
    train_loss: float | None
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float
    best: bool
    elapsed_s: float | None
    step_s: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All steps and epochs that were noted, in order.

    undone: the weights that were kept are of an epoch from which the run went back.
    """

    steps: tuple[StepEvent, ...]
    epochs: tuple[Epoch, ...]
    undone: bool = False

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights were kept, if it stands."""
        return next((each for each in reversed(self.epochs) if each.best), None)

    @property
    def steps_an_epoch(self) -> float | None:
        """Steps in a whole epoch, or None before the first one ended."""
        return self.epochs[0].step / self.epochs[0].epoch if self.epochs else None

    @property
    def last_step(self) -> int:
        """The last step that left a history."""
        ends = [each[-1].step for each in (self.steps, self.epochs) if each]
        return max(ends, default=0)

    @property
    def elapsed_s(self) -> float | None:
        """Seconds until the last epoch whose time was noted."""
        return next((each.elapsed_s for each in reversed(self.epochs) if each.elapsed_s is not None), None)


def read_history(run: RunFolder) -> History:
    """The history of a run's events.jsonl and times.jsonl.  Raises OSError."""
    return history(read_events(run.events.path, EVENT), read_events(run.times.path, TIME))


def history(
    events: Sequence[StepEvent | EpochEvent | RollbackEvent | ResumeEvent], times: Sequence[EpochTime]
) -> History:
    """The history of events, which count epochs from 0.

    A step or epoch that stands there twice, because it ran again after a crash, counts as it was last.
    """
    elapsed = {each.epoch: each for each in times}
    steps: dict[int, StepEvent] = {}
    epochs: dict[int, Epoch] = {}
    undone = False
    for event in events:
        if isinstance(event, RollbackEvent | ResumeEvent):
            if event.best_epoch >= 0 and event.best_epoch not in epochs:
                undone = True
                epochs = {place: replace(each, best=False) for place, each in epochs.items()}
        elif isinstance(event, StepEvent):
            steps[event.step] = event
        else:
            undone = undone and not event.best
            ended = elapsed.get(event.epoch)
            epochs[event.epoch] = Epoch(
                epoch=event.epoch + 1,
                step=event.step,
                train_loss=event.train_loss,
                train_accuracy=event.train_accuracy,
                val_loss=event.val_loss,
                val_accuracy=event.val_accuracy,
                best=event.best,
                elapsed_s=ended.elapsed_s if ended else None,
                step_s=ended.step_s if ended else None,
            )
    return History(
        tuple(steps[each] for each in sorted(steps)), tuple(epochs[each] for each in sorted(epochs)), undone
    )
