"""The events of a run, one JSON object a line, appended as they happen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from striate.disk.atomic import cannot_write, sync_folder
from striate.runs.record import Count, Number, Part, Share, Text

# A line of more bytes is no event, and of a longer file the rest is not read.
MOST_LINE, MOST_BYTES = 10_000, 256_000_000


def _drawn(value: object) -> object:
    return None if isinstance(value, int | float) and not abs(value) < 1e30 else value


# What grew beyond drawing is None.
Drawn = Annotated[Number | None, BeforeValidator(_drawn)]


class StepEvent(Part):
    """One step of several.  step: from 1.  loss: of its batch, in nats.  rate: its learning rate."""

    event: Literal["step"] = "step"
    step: Annotated[Count, Field(ge=1)]
    loss: Drawn
    learning_rate: Drawn


class EpochEvent(Part):
    """The end of an epoch, from 0.  step: steps taken by then.  best: its weights were kept."""

    event: Literal["epoch"] = "epoch"
    epoch: Count
    step: Annotated[Count, Field(ge=1)]
    train_loss: Drawn
    train_accuracy: Share
    val_loss: Drawn
    val_accuracy: Share
    val_metric: Share | None = None
    best: bool


class RollbackEvent(Part):
    """The run went back to `step`, because `failed_step` was lost.  problem: what was seen there.  best_epoch: whose weights are kept."""

    event: Literal["rollback"] = "rollback"
    step: Count
    failed_step: Count
    rate_share: Share
    problem: Text = ""
    best_epoch: Annotated[int, Field(ge=-1)]


class ResumeEvent(Part):
    """A run with a budget went on at `step`, and kept the weights of `best_epoch`, which does not come again."""

    event: Literal["resume"] = "resume"
    step: Count
    best_epoch: Annotated[int, Field(ge=-1)]


class EpochTime(Part):
    """When an epoch ended, and what a step of it took.

    wait_s: of all its steps, in which batches were waited for.  validation_s: of its validation.
    """

    epoch: Count
    step: Count
    elapsed_s: Annotated[float, Field(ge=0, le=1e30)]
    step_s: Annotated[float, Field(ge=0, le=1e30)] | None = None
    wait_s: Annotated[float, Field(ge=0, le=1e30)] | None = None
    validation_s: Annotated[float, Field(ge=0, le=1e30)] | None = None


Event = Annotated[StepEvent | EpochEvent | RollbackEvent | ResumeEvent, Field(discriminator="event")]
EVENT: TypeAdapter[StepEvent | EpochEvent | RollbackEvent | ResumeEvent] = TypeAdapter(Event)
TIME = TypeAdapter(EpochTime)
Line = TypeVar("Line")


class EventFile:
    """A file that events are appended to.

    Nothing in it depends on the clock, so a resumed run writes the same bytes as an unbroken one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: Part) -> None:
        """Write one event and hand it to the system at once."""
        line = json.dumps(event.model_dump(), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            with open(self.path, "ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise cannot_write(self.path, error, len(line)) from error

    def sync(self) -> None:
        """Wait until all of it is on the disk, so that a checkpoint is never ahead of its events."""
        if not self.path.exists():
            return
        try:
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
            sync_folder(self.path.parent)
        except OSError as error:
            raise cannot_write(self.path, error, self.length()) from error

    def length(self) -> int:
        """Bytes written so far; a checkpoint notes it."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, length: int) -> None:
        """Take back what was written behind `length` bytes: events after the checkpoint run again."""
        if self.length() > length:
            try:
                os.truncate(self.path, length)
            except OSError as error:
                raise cannot_write(self.path, error, length) from error


def read_events(path: Path, kind: TypeAdapter[Line]) -> list[Line]:
    """All whole lines of a file, as EVENT or TIME; one that was cut off by a crash, or is none, is left out."""
    found: list[Line] = []
    if not path.is_file():
        return found
    with open(path, "rb") as file:
        while file.tell() < MOST_BYTES and (line := file.readline(MOST_LINE)):
            try:
                found.append(kind.validate_python(json.loads(line)))
            except (ValidationError, ValueError, RecursionError):
                continue
    return found
