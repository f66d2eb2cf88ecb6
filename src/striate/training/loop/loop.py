"""The training loop, from the first step to the last."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from striate.data.augment.batches import Batch, TrainingBatches
from striate.disk.atomic import write_atomic
from striate.errors import ResourceError, StriateError, counted
from striate.modules.module import Net
from striate.modules.weights import weights_bytes
from striate.predict.evaluate import probabilities, renew_statistics
from striate.predict.score import METRICS, confusion_of, metric_of
from striate.progress import Watch
from striate.runs.events import EpochEvent, EpochTime, StepEvent
from striate.runs.folder import RunFolder
from striate.text.figures import duration
from striate.training.loop.checkpoint import save_checkpoint
from striate.training.loop.live import LiveDoctor
from striate.training.loop.lost import Loss
from striate.training.loop.memory import Meter
from striate.training.loop.prepared import Stage
from striate.training.loop.state import Best, State
from striate.training.loop.vitals import Vitals
from striate.training.settings import Settings
from striate.training.step.micro_batches import Gradients, compute_gradients
from striate.training.step.optimizers import set_learning_rate, take_step
from striate.training.step.progressive_resizing import augment_strength, downsample, size_at
from striate.training.step.schedules import schedule_factor
from striate.training.step.target import prepare_batch

# Seconds between two checkpoints, and the largest share of the time that writing them may take.
CHECKPOINT_S = 30.0
CHECKPOINT_SHARE = 0.02

# A training of so few steps ends before its running statistics have come to what they are of: they are taken anew
# before each validation, over so many images at most.
SHORT_STEPS, MOST_RENEWED_ON = 100, 512

# So many epochs are reported one by one, however short they are.
MOST_REPORTED = 100


class Stopped(StriateError):
    """Somebody asked to stop; the state is saved."""

    exit_code = 130


class Diverged(StriateError):
    """The loss becomes NaN, or a training that pauses is surely lost.  code: of the doctor's rule."""

    code = "nan"


class Paused(Exception):
    """A training came to the step where it was to pause; its state is saved, and it can be resumed.

    scored: on the validation images, by the weights of that step.
    """

    def __init__(self, step: int, scored: Scored) -> None:
        super().__init__(f"paused at step {step}")
        self.step = step
        self.scored = scored


class Scored(NamedTuple):
    """What a validation gives: the accuracy, the metric of the recipe, the cross-entropy."""

    accuracy: float
    metric: float
    loss: float


@dataclass(frozen=True)
class Loop:
    """What a loop reads and never changes.

    checkpoint_s: seconds between two checkpoints.  vitals: looks at the layers.
    doctor: says what is wrong as soon as it is certain.  meter: measures the peak memory of the first steps.
    pause_at: the step behind which to validate, save and raise Paused; infinity to go on to the end.
    """

    run: RunFolder
    stage: Stage
    batches: TrainingBatches
    checkpoint_s: float
    vitals: Vitals
    doctor: LiveDoctor
    meter: Meter | None = None
    pause_at: float = math.inf

    @property
    def settings(self) -> Settings:
        """Of the stage."""
        return self.stage.settings


def run_loop(loop: Loop, state: State, watch: Watch) -> None:
    """Train until the pace is done.

    After each epoch the validation images are scored and the best weights kept.  Checkpoints are written
    by time and at the end; when `watch` asks to stop, one is written and Stopped raised.  At `pause_at` one is
    written and Paused raised; a training that goes on from it takes the same steps as one that never paused.
    Raises Diverged
    where the loss, the gradient or a weight is not finite; no checkpoint ever holds such weights.  One that is to
    pause is a trial of a search: Diverged ends it, too, where it is surely lost (`lost`).
    """
    settings, pace = loop.settings, state.pace
    events = loop.run.events
    step_events_every = max(1, min(50, loop.batches.steps // 4))
    clock = pace.clock
    saved_at, cost_s = clock.monotonic(), 0.0
    if _pauses(loop, state):
        # Whoever asked for it ended before they knew what it gave.
        raise _paused(loop, state, watch)
    # A run that was stopped in its last validation has no step left, but an epoch to finish.
    while not pace.done or state.epoch_step > 0:
        loop.stage.thaw.set_epoch(state.epoch - state.first_epoch)
        whole, start = loop.stage.size, settings.progressive_resizing
        if state.epoch_step == 0:
            state.size = size_at(whole, start, pace.progress_after(loop.batches.steps))
        share = augment_strength(state.size, whole, start, settings.progressive_augment)
        batches = replace(loop.batches, augment=loop.batches.augment.milder(share))
        watch.begin(_epoch_name(state, settings), batches.steps)
        pace.begin_epoch()
        for batch in () if pace.done else pace.waiting(batches.epoch(state.epoch, state.epoch_step)):
            factor = schedule_factor(settings.schedule, pace.progress, settings.warmup)
            learning_rate = settings.learning_rate * state.rate_share * factor
            set_learning_rate(state.optimizer, learning_rate)

            if loop.meter is not None:
                loop.meter.before_step()
            loop.vitals.before_step(state.vitals, state.step, size=state.size, last=pace.remaining <= 1)
            taken = _take_step(loop, state, batch, learning_rate)
            if loop.meter is not None:
                loop.meter.after_step()

            state.step += 1
            loop.vitals.after_step(
                state.vitals, state.step, state.epoch, loss=taken.loss, length=taken.length, clip=settings.clip,
                learning_rate=learning_rate, size=state.size, whole=state.size == whole,
            )  # fmt: skip
            if loop.pause_at < math.inf and (
                lost := state.signs.after_step(state.net, state.step, taken.loss)
            ):
                raise _lost(loop, lost, learning_rate)
            state.epoch_step += 1
            state.loss_sum += taken.loss * len(batch.labels)
            state.right += taken.right
            state.seen += len(batch.labels)
            pace.step(loop.batches.steps)
            if state.step % step_events_every == 0:
                events.append(StepEvent(step=state.step, loss=taken.loss, learning_rate=learning_rate))
            watch.advance(state.epoch_step, _note(state, settings))
            if pace.done:
                break
            if watch.stopping():
                stop(loop, state)
            if _pauses(loop, state) and state.epoch_step < batches.steps:
                watch.end()
                raise _paused(loop, state, watch)
            late = clock.monotonic() - saved_at > max(loop.checkpoint_s, cost_s / CHECKPOINT_SHARE)
            if late or state.landmark(state.step) == state.step:
                before = clock.monotonic()
                save(loop, state)
                saved_at = clock.monotonic()
                cost_s = saved_at - before
        watch.end()
        _finish_epoch(loop, state, watch)
        if _pauses(loop, state):
            raise _paused(loop, state, watch)
    save(loop, state)


def _pauses(loop: Loop, state: State) -> bool:
    return state.step >= loop.pause_at


def _paused(loop: Loop, state: State, watch: Watch) -> Paused:
    """Validate and save, so that nothing of the state is changed by it.

    At a high rate the weights run ahead of the running statistics, more so in one trial than in another: before the
    end those are taken anew.
    """
    net = state.averaged()
    kept = {name: each.clone() for name, each in net.named_buffers()}
    if not state.pace.done or state.epoch_step:
        _renew_statistics(loop, state)
    scored = validate(loop, state, watch, noted=False)
    with torch.no_grad():
        for name, each in net.named_buffers():
            each.copy_(kept[name])
    save(loop, state)
    return Paused(state.step, scored)


def stop(loop: Loop, state: State) -> NoReturn:
    """Write a checkpoint and raise Stopped."""
    save(loop, state)
    raise Stopped(
        f"stopped at step {state.step}; everything is saved", cure=f"striate resume {loop.run.quoted}"
    )


def _take_step(loop: Loop, state: State, batch: Batch, learning_rate: float) -> Gradients:
    """Forward, backward, and a step of the optimizer; what was seen before it."""
    net, settings = state.net, loop.settings
    x, target = prepare_batch(loop.stage.feeder, batch)
    x = downsample(x, state.size)
    seen: list[Gradients] = []

    def gradient() -> float:
        found = compute_gradients(net, state.optimizer, x, target, settings)
        seen.append(found)
        if not found.finite:
            what = (
                f"the gradient's length became {found.length}"
                if math.isfinite(found.loss)
                else f"the loss became {found.loss}"
            )
            raise _diverged(loop, state, what, learning_rate)
        return found.loss

    take_step(state.optimizer, gradient)
    if (bad := _not_finite(net)) is not None:
        raise _diverged(loop, state, f"`{bad}` became infinite or NaN", learning_rate)
    if state.average is not None:
        state.average.update_parameters(net)
    return seen[0]


def _not_finite(net: Net) -> str | None:
    """The first of the weights and running statistics that holds infinity or NaN, or None.

    Where one of its terms is not finite no sum is; sums take a tenth of the time of asking every number.
    """
    tensors = {name: each for name, each in net.state_dict().items() if each.is_floating_point()}
    if not tensors or torch.stack([each.sum() for each in tensors.values()]).isfinite().all():
        return None
    # The sum of large numbers may be infinite where none of them is.
    return next((name for name, each in tensors.items() if not each.isfinite().all()), None)


def _finish_epoch(loop: Loop, state: State, watch: Watch) -> None:
    """Score the validation images, keep the best weights, write the event, begin the next epoch."""
    pace, net = state.pace, state.averaged()
    before = pace.clock.monotonic()
    if state.step + pace.remaining <= SHORT_STEPS:
        _renew_statistics(loop, state)
    scored = validate(loop, state, watch)
    accuracy, metric, val_loss = scored
    pace.validated(pace.clock.monotonic() - before)
    best = (metric, -val_loss) > (state.best.metric, -state.best.loss)
    if best:
        state.best = Best(state.epoch, metric, val_loss)
        write_atomic(loop.run.weights, weights_bytes(loop.stage.whole(net), state.best._asdict()))
    train_loss, train_accuracy = state.loss_sum / state.seen, state.right / state.seen
    loop.run.events.append(
        EpochEvent(
            epoch=state.epoch,
            step=state.step,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=accuracy,
            val_metric=metric,
            best=best,
        )
    )
    elapsed_s = pace.elapsed_s()
    loop.run.times.append(
        EpochTime(
            epoch=state.epoch,
            step=state.step,
            elapsed_s=elapsed_s,
            step_s=pace.step_s,
            wait_s=pace.wait_s,
            validation_s=pace.last_validation_s,
        )
    )
    if _is_worth_a_line(state, loop.settings):
        state.noted_s = elapsed_s
        name = METRICS[loop.settings.metric]
        other = "" if loop.settings.metric == "accuracy" else f", {name} {metric:.2%}"
        watch.say(
            f"{_epoch_name(state, loop.settings)}: loss {train_loss:.3f}, validation loss {val_loss:.3f}, "
            f"accuracy {accuracy:.2%}{other}, {_time_of(state)}{'  (best)' if best else ''}"
        )
    loop.doctor.look(pace.elapsed_s(), watch)
    patience = loop.settings.patience
    # A stage has epochs of its own to get better in.
    best_or_begun = max(state.best.epoch, state.first_epoch - 1)
    if state.epoch - best_or_begun >= patience and not state.pace.done:
        watch.say(f"ends early: no better validation for {counted(patience, 'epoch')}")
        state.pace.remaining = 0
    if metric >= loop.settings.target:
        watch.say(f"reaches {loop.settings.target:.2%} after {elapsed_s:.1f} s")
        state.pace.remaining = 0
    state.epoch += 1
    state.epoch_step, state.loss_sum, state.right, state.seen = 0, 0.0, 0, 0


def _renew_statistics(loop: Loop, state: State) -> None:
    """Take the running statistics of the network that is validated anew, over a few training images."""
    split = loop.batches
    few = split.images[:: -(-len(split.images) // MOST_RENEWED_ON)]
    renew_statistics(
        state.averaged(),
        [name for name, module in state.net.named_modules() if module.training],
        loop.stage.feeder, few, split.size, batch=split.batch, precision=loop.settings.evaluation_precision,
    )  # fmt: skip


def validate(loop: Loop, state: State, watch: Watch, *, noted: bool = True) -> Scored:
    """Accuracy, the metric of the recipe, and cross-entropy over the validation images.  noted: in the vitals."""
    split, settings = loop.stage.validation, loop.settings

    def advance(done: int) -> None:
        watch.advance(done, "")
        if watch.stopping():
            # Resumed, the epoch has no step left, and the validation begins again.
            stop(loop, state)

    watch.begin("validation", len(split.labels))
    found = probabilities(
        state.averaged(),
        loop.stage.feeder,
        split.images,
        loop.stage.size,
        batch=settings.evaluation_batch,
        precision=settings.evaluation_precision,
        tta=settings.tta,
        advance=advance,
    )
    watch.end()
    require_finite(found, state, settings)
    if noted:
        loop.vitals.validated(state.vitals, state.epoch, found, split.labels)
    right = found[np.arange(len(split.labels)), split.labels].astype(np.float64)
    loss = float(-np.log(np.maximum(right, 1e-12)).mean())
    answers = found.argmax(axis=1)
    metric = metric_of(confusion_of(answers, split.labels, found.shape[1]), settings.metric)
    return Scored(float((answers == split.labels).mean()), metric, loss)


def require_finite(found: NDArray[np.float32], state: State, settings: Settings) -> None:
    """Raise Diverged where the network's answers are no numbers."""
    if not np.isfinite(found).all():
        raise Diverged(
            f"the network answers NaN after step {state.step}",
            expected="finite weights; others nearly always mean that the learning rate is too high",
            cure=lower_rate(settings.learning_rate),
        )


def save(loop: Loop, state: State) -> None:
    """Write a checkpoint.  Raises Diverged where a weight is not finite, ResourceError."""
    loop.run.events.sync()
    loop.run.vitals.sync()
    state.events_bytes = loop.run.events.length()
    tensors = state.tensors()
    bad = [
        name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if bad:
        raise Diverged(
            f"`{bad[0]}` is not finite at step {state.step}",
            expected="finite weights; no checkpoint holds any others",
            cure=lower_rate(loop.settings.learning_rate),
        )
    try:
        marks = {state.landmark(state.step), state.landmark(state.step // 2)}
        save_checkpoint(loop.run.state, state.step, tensors, state.numbers(), marks)
    except ResourceError:
        raise
    except RuntimeError as error:
        raise ResourceError(f"a checkpoint could not be made: {error}", place=str(loop.run.state)) from error


def _diverged(loop: Loop, state: State, what: str, learning_rate: float) -> Diverged:
    return Diverged(
        f"{what} at step {state.step + 1}, at a learning rate of {learning_rate:.3g}",
        expected="a finite loss; NaN or infinity nearly always means that the learning rate is too high",
        cure=lower_rate(loop.settings.learning_rate),
    )


def _lost(loop: Loop, lost: Loss, learning_rate: float) -> Diverged:
    found = Diverged(
        f"{lost.said}; the learning rate is {learning_rate:.3g}",
        expected="a training that can still learn",
        cure=lower_rate(loop.settings.learning_rate),
    )
    found.code = lost.code
    return found


def lower_rate(learning_rate: float, share: float = 0.1) -> str:
    """The flag that sets a share of the learning rate, in one digit."""
    return f"--set learning_rate={float(f'{learning_rate * share:.1g}'):g}"


def _is_worth_a_line(state: State, settings: Settings) -> bool:
    """Whether an epoch is reported; of thousands of short ones one a second is, and the last."""
    return (
        settings.epochs <= MOST_REPORTED or state.pace.done or state.pace.elapsed_s() - state.noted_s >= 1.0
    )


def _epoch_name(state: State, settings: Settings) -> str:
    whole = "" if settings.timed else f"/{state.first_epoch + settings.epochs}"
    return f"epoch {state.epoch + 1}{whole}"


def _note(state: State, settings: Settings) -> str:
    """What changes within an epoch: its loss, and the seconds of a budget."""
    spent = f", {state.pace.elapsed_s():.0f} of {settings.budget_s:g} s" if settings.timed else ""
    return f"loss {state.loss_sum / state.seen:.3f}{spent}"


def _time_of(state: State) -> str:
    """The time that is spent, and what is left of it."""
    pace = state.pace
    if pace.budget_s < math.inf:
        return f"{pace.elapsed_s():.0f} of {pace.budget_s:g} s"
    left_s = pace.expected_s()
    return duration(pace.elapsed_s()) + (f", {duration(left_s)} left" if left_s else "")
