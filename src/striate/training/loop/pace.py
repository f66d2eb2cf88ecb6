"""How far a training has come, and when it ends: after a number of steps, or of seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from striate.progress import Clock

Item = TypeVar("Item")

# The fields that a checkpoint holds.
KEPT = ("remaining", "progress", "spent_s", "validation_s", "validations")

# The time of a step is believed after so many steps, or this share of the time.
SURE_STEPS, SURE_SHARE = 10, 0.2


@dataclass
class Pace:
    """Progress from 0 to 1 over the steps that are expected.

    With a number of epochs the steps are known.  With a budget they are measured: `remaining` is estimated
    anew as the training goes, and progress moves by (1 - progress) / remaining, so that the schedule
    always ends where the time does.

    remaining: steps still to come.  budget_s: seconds for the whole job, or infinity.
    spent_s: seconds of the job in earlier sessions.  reserve_s: seconds kept for what follows the last step.
    closing_validations: how many validations the last one and the test together amount to.
    validation_steps: how many steps a validation is thought to take as long as, until one is measured; or
    validation_guess_s: the seconds that it is thought to take, where a step was timed before; else 0.
    epoch_steps, epoch_s: steps of this epoch that were taken in this session, and the seconds that they took.
    wait_s: of these, those in which batches were waited for.  last_validation_s: of the last validation.
    """

    remaining: int
    budget_s: float
    spent_s: float
    started: float
    reserve_s: float = 0.0
    closing_validations: float = 1.0
    validation_steps: float = 0.0
    progress: float = 0.0
    steps: int = 0
    validation_s: float = 0.0
    validations: int = 0
    clock: Clock = time
    validation_guess_s: float = 0.0
    epoch_steps: int = 0
    epoch_s: float = 0.0
    wait_s: float = 0.0
    last_validation_s: float = 0.0
    _epoch_began: float = 0.0
    _began: tuple[float, int] | None = None
    _step_s: float = 0.0
    _first_s: float | None = None
    _sure: bool = False
    _marks: list[tuple[int, float]] = field(default_factory=list)
    _next_look: int = 2

    def numbers(self) -> dict[str, float]:
        """What of it a checkpoint holds."""
        return {**{name: getattr(self, name) for name in KEPT}, "spent_s": self.elapsed_s()}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Take over what `numbers` gave."""
        for name in KEPT:
            setattr(self, name, numbers[name])

    def elapsed_s(self) -> float:
        """Seconds of the whole job so far, earlier sessions counted."""
        return self.spent_s + self.clock.monotonic() - self.started

    def expected_s(self) -> float | None:
        """Seconds until the end: of the budget, or as the steps of this session were taken; None before them."""
        if self.budget_s < math.inf:
            return max(0.0, self.budget_s - self.elapsed_s())
        if self._began is None or self.steps == self._began[1]:
            return None
        began, steps = self._began
        return self.remaining * (self.clock.monotonic() - began) / (self.steps - steps)

    @property
    def trained_s(self) -> float:
        """Seconds of this session since the first step began."""
        return 0.0 if self._began is None else self.clock.monotonic() - self._began[0]

    @property
    def step_s(self) -> float | None:
        """Seconds that a step of this epoch took in the mean, its images waited for."""
        return self.epoch_s / self.epoch_steps if self.epoch_steps else None

    @property
    def done(self) -> bool:
        """Whether no step is to come."""
        return self.remaining <= 0

    def progress_after(self, steps: int) -> float:
        """Progress that is expected so many steps on."""
        return self.progress + (1 - self.progress) * min(1.0, steps / max(1, self.remaining))

    def begin_epoch(self) -> None:
        """Steps come now."""
        self._epoch_began = self.clock.monotonic()
        self.epoch_steps, self.epoch_s, self.wait_s = 0, 0.0, 0.0
        self._began = self._began or (self._epoch_began, self.steps)

    def waiting(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The batches of an epoch, one by one; the time until each is there counts as waited."""
        each = iter(batches)
        while True:
            before = self.clock.monotonic()
            try:
                batch = next(each)
            except StopIteration:
                return
            self.wait_s += self.clock.monotonic() - before
            yield batch

    def step(self, steps_an_epoch: int) -> None:
        """Count one step that was taken."""
        self.steps += 1
        self.epoch_steps += 1
        self.epoch_s = self.clock.monotonic() - self._epoch_began
        self.remaining -= 1
        self.progress += (1 - self.progress) / (self.remaining + 1)
        if self.budget_s < math.inf:
            self._look(steps_an_epoch)

    def validated(self, seconds: float) -> None:
        """Note what one validation took; the step times that are measured leave it out."""
        self.validation_s += seconds
        self.last_validation_s = seconds
        self.validations += 1
        # One more step costs one more validation; where that leads further past the end than stopping
        # here falls short of it, this was the last.
        if self._left_s() < -self._a_validation_s() / 2:
            self.remaining = 0

    def _look(self, steps_an_epoch: int) -> None:
        """Estimate the remaining steps from the time of the latest ones."""
        if self._first_s is None:
            self._first_s = self.elapsed_s()
        # The first steps may take many times as long as later ones: no end is drawn from them alone.
        trained_s, whole_s = self.elapsed_s() - self._first_s, self.budget_s - self._first_s
        self._sure = self._sure or self.steps >= SURE_STEPS or trained_s > SURE_SHARE * whole_s
        if self._left_s() <= 0:
            self.remaining = 0
            return
        if self.steps < self._next_look:
            return
        now = self.clock.monotonic() - self.validation_s
        self._marks.append((self.steps, now))
        # The latest half of what was measured: the first steps are slow, and the machine may change.
        first = self._marks[len(self._marks) // 2] if len(self._marks) > 2 else self._marks[0]
        if self.steps > first[0] and now > first[1]:
            self._step_s = (now - first[1]) / (self.steps - first[0])
            an_epoch_s = steps_an_epoch * self._step_s + self._a_validation_s()
            # Asked again: the first time measured also says what a validation may take.
            self.remaining = max(1, int(self._left_s() * steps_an_epoch / an_epoch_s))
        # Look again after a tenth of what is left; near the end after every step.
        self._next_look = self.steps + max(1, min(self.steps, self.remaining // 10))

    def _left_s(self) -> float:
        """Seconds that are left for steps, and for validations between them."""
        closing_s = self.reserve_s + self.closing_validations * self._a_validation_s()
        return self.budget_s - closing_s - self.elapsed_s()

    def _a_validation_s(self) -> float:
        """What one validation takes, measured or guessed; 0 while the steps are too few to guess from."""
        if self.validations:
            return self.validation_s / self.validations
        if self.validation_guess_s:
            return self.validation_guess_s
        return self.validation_steps * self._step_s if self._sure else 0.0
