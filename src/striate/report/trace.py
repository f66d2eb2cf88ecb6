"""How a training went: its steps, epochs and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from striate.report.value import number, share, whole


@dataclass(frozen=True, slots=True)
class Step:
    """One step.  loss: of its batch, in nats.  rate: its learning rate."""

    step: int
    loss: float | None
    rate: float | None


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch, counted from 1.  step: steps taken at its end.  best: its weights were kept.
    step_s: seconds of one of its steps, in the mean."""

    epoch: int
    step: int
    train_loss: float | None
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    best: bool
    elapsed_s: float | None
    step_s: float | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """All steps and epochs that were noted, in order.

    undone: the weights that were kept are of an epoch from which the run went back.
    """

    steps: tuple[Step, ...]
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
        """The last step that left a trace."""
        ends = [each[-1].step for each in (self.steps, self.epochs) if each]
        return max(ends, default=0)

    @property
    def elapsed_s(self) -> float | None:
        """Seconds until the last epoch whose time was noted."""
        return next((each.elapsed_s for each in reversed(self.epochs) if each.elapsed_s is not None), None)


def read_trace(events: Sequence[Mapping[str, object]], times: Sequence[Mapping[str, object]]) -> Trace:
    """The trace of events.jsonl and times.jsonl, which count epochs from 0.

    A step or epoch that stands there twice, because it ran again after a crash, counts as it was last.
    """
    elapsed = {whole(each.get("epoch")): number(each.get("elapsed_s")) for each in times}
    step_s = {whole(each.get("epoch")): number(each.get("step_s")) for each in times}
    steps: dict[int, Step] = {}
    epochs: dict[int, Epoch] = {}
    undone = False
    for event in events:
        step, epoch = whole(event.get("step")), whole(event.get("epoch"))
        if event.get("event") in ("rollback", "resume"):
            kept = whole(event.get("best_epoch"))
            if kept is not None and kept not in epochs:
                undone = True
                epochs = {place: replace(each, best=False) for place, each in epochs.items()}
            continue
        if step is None or step == 0:
            continue
        if event.get("event") == "step":
            steps[step] = Step(step, number(event.get("loss")), number(event.get("rate")))
        elif event.get("event") == "epoch" and epoch is not None:
            undone = undone and event.get("best") is not True
            epochs[epoch] = Epoch(
                epoch=epoch + 1,
                step=step,
                train_loss=number(event.get("train_loss")),
                train_accuracy=share(event.get("train_accuracy")),
                val_loss=number(event.get("val_loss")),
                val_accuracy=share(event.get("val_accuracy")),
                best=event.get("best") is True,
                elapsed_s=elapsed.get(epoch),
                step_s=step_s.get(epoch),
            )
    return Trace(
        tuple(steps[each] for each in sorted(steps)), tuple(epochs[each] for each in sorted(epochs)), undone
    )
