"""The training loop, from the first step to the last."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.data.augment.batches import Batch, TrainingBatches
from striate.data.gather import Split
from striate.disk.atomic import write_atomic
from striate.errors import ResourceError, StriateError, counted
from striate.modules.module import Net
from striate.modules.weights import weights_bytes
from striate.net.plan.memory import Thrift
from striate.predict.evaluate import probabilities, renew_statistics
from striate.predict.normalize import Feeder
from striate.predict.score import METRICS, confusion_of, metric_of
from striate.progress import Watch
from striate.recipe.keys import Recipe
from striate.runs.events import EpochEvent, EpochTime, StepEvent
from striate.runs.folder import RunFolder
from striate.text.figures import duration
from striate.training.loop.checkpoint import save_checkpoint
from striate.training.loop.frozen import Thaw
from striate.training.loop.live import LiveDoctor
from striate.training.loop.lost import Loss
from striate.training.loop.memory import Meter
from striate.training.loop.state import State
from striate.training.loop.vitals import Vitals
from striate.training.step.micro_batches import add_gradients
from striate.training.step.optimizers import rate_factor
from striate.training.step.progressive_resizing import grown, shrunk, strength
from striate.training.step.target import Target, fed

# Seconds between two checkpoints, and the largest share of the time that writing them may take.
CHECKPOINT_S = 30.0
CHECKPOINT_SHARE = 0.02

# A training of so few steps ends before its running statistics have come to what they are of: they are taken anew
# before each validation, over so many images at most.
SHORT_STEPS, MOST_RENEWED_ON = 100, 512

# So many epochs are told one by one, however short they are.
MOST_TOLD = 100


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

    whole: the network to keep, from the one that is trained.  thaw: lets frozen parts train as epochs go.
    thrift: what a step does to need less memory.  meter: measures its peak.
    pause_at: the step behind which to validate, save and raise Paused; None to go on to the end.
    vitals: looks at the layers.
    doctor: says what is wrong as soon as it is certain.
    """

    run: RunFolder
    recipe: Recipe
    batches: TrainingBatches
    validation: Split
    feeder: Feeder
    evaluation_batch: int
    checkpoint_s: float
    whole: Callable[[Net], Net] = field(default=lambda net: net)
    thaw: Thaw | None = None
    thrift: Thrift = Thrift()
    meter: Meter | None = None
    pause_at: int | None = None
    vitals: Vitals | None = None
    doctor: LiveDoctor | None = None


def run_loop(loop: Loop, state: State, watch: Watch) -> None:
    """Train until the pace is done.

    After each epoch the validation images are scored and the best weights kept.  Checkpoints are written
    by time and at the end; when `watch` asks to stop, one is written and Stopped raised.  At `pause_at` one is
    written and Paused raised; a training that goes on from it takes the same steps as one that never paused.
    Raises Diverged
    where the loss, the gradient or a weight is not finite; no checkpoint ever holds such weights.  One that is to
    pause is a trial of a search: Diverged ends it, too, where it is surely lost (`lost`).
    """
    recipe, pace = loop.recipe, state.pace
    events = loop.run.events
    assert recipe.learning_rate is not None
    step_events_every = max(1, min(50, loop.batches.steps // 4))
    clock = pace.clock
    saved_at, cost_s = clock.monotonic(), 0.0
    if _pauses(loop, state):
        # Whoever asked for it ended before they knew what it gave.
        raise _paused_within(loop, state, watch)
    # A run that was stopped in its last validation has no step left, but an epoch to finish.
    while not pace.done or state.epoch_step > 0:
        if loop.thaw is not None:
            loop.thaw.at(state.epoch - state.first_epoch)
        else:
            state.net.train()
        if state.epoch_step == 0:
            state.size = grown(
                loop.batches.size, recipe.progressive_resizing, pace.progress_after(loop.batches.steps)
            )
        share = strength(
            state.size, loop.batches.size, recipe.progressive_resizing, recipe.progressive_augment
        )
        batches = replace(loop.batches, augment=loop.batches.augment.milder(share))
        watch.begin(_epoch_name(state, recipe), batches.steps)
        pace.begin_epoch()
        for batch in () if pace.done else pace.waiting(batches.epoch(state.epoch, state.epoch_step)):
            factor = rate_factor(recipe.schedule, pace.progress, recipe.warmup)
            learning_rate = recipe.learning_rate * state.rate_share * factor
            for group in state.optimizer.param_groups:
                group["lr"] = learning_rate * group.get("share", 1.0)

            if loop.meter is not None:
                loop.meter.before_step()
            if loop.vitals is not None:
                loop.vitals.before_step(state.vitals, state.step, size=state.size, last=pace.remaining <= 1)
            taken = _take_step(loop, state, batch, learning_rate)
            if loop.meter is not None:
                loop.meter.after_step()

            state.step += 1
            if loop.vitals is not None:
                loop.vitals.after_step(
                    state.vitals, state.step, state.epoch, loss=taken.loss, length=taken.length, clip=recipe.clip,
                    learning_rate=learning_rate, size=state.size, whole=state.size == loop.batches.size,
                )  # fmt: skip
            if loop.pause_at is not None and (
                lost := state.signs.after_step(state.net, state.step, taken.loss)
            ):
                raise _lost(loop, state, lost, learning_rate)
            state.epoch_step += 1
            state.loss_sum += taken.loss * len(batch.labels)
            state.right += taken.right
            state.seen += len(batch.labels)
            pace.step(loop.batches.steps)
            if state.step % step_events_every == 0:
                events.append(StepEvent(step=state.step, loss=taken.loss, learning_rate=learning_rate))
            watch.advance(state.epoch_step, _note(state, recipe))
            if pace.done:
                break
            if watch.stopping():
                stop(loop, state)
            if _pauses(loop, state) and state.epoch_step < batches.steps:
                watch.end()
                raise _paused_within(loop, state, watch)
            late = clock.monotonic() - saved_at > max(loop.checkpoint_s, cost_s / CHECKPOINT_SHARE)
            if late or state.landmark(state.step) == state.step:
                before = clock.monotonic()
                save(loop, state)
                saved_at = clock.monotonic()
                cost_s = saved_at - before
        watch.end()
        scored = _finish_epoch(loop, state, watch)
        if _pauses(loop, state):
            save(loop, state)
            raise Paused(state.step, scored)
    save(loop, state)


def _pauses(loop: Loop, state: State) -> bool:
    return loop.pause_at is not None and state.step >= loop.pause_at


def _paused_within(loop: Loop, state: State, watch: Watch) -> Paused:
    """Validate within an epoch and save, so that nothing of the state is changed by it."""
    net = state.averaged()
    kept = {name: each.clone() for name, each in net.named_buffers()}
    if state.epoch_step and state.step <= SHORT_STEPS:
        _renew_statistics(loop, state)
    scored = _validate(loop, state, watch, noted=False)
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


class _Taken(NamedTuple):
    loss: float
    right: int
    length: float


def _take_step(loop: Loop, state: State, batch: Batch, learning_rate: float) -> _Taken:
    """Forward, backward, and a step of the optimizer; the mean loss and the right answers before it."""
    net, recipe = state.net, loop.recipe
    x, target = fed(loop.feeder, batch)
    x = shrunk(x, state.size)
    answers: list[int] = []
    lengths: list[float] = []

    def gradient() -> float:
        state.optimizer.zero_grad(set_to_none=True)
        value, right = add_gradients(
            net, x, target, loop.thrift, recipe.precision,
            lambda logits, target: loss_of(net, logits, target, recipe.label_smoothing),
        )  # fmt: skip
        length = float(nn.utils.clip_grad_norm_(net.parameters(), recipe.clip or math.inf))
        answers.append(right)
        lengths.append(length)
        if not math.isfinite(value) or not math.isfinite(length):
            what = (
                f"the gradient's length became {length}"
                if math.isfinite(value)
                else f"the loss became {value}"
            )
            raise _diverged(loop, state, what, learning_rate)
        return value

    if isinstance(state.optimizer, torch.optim.LBFGS):
        # It looks at several points before it steps, and asks for the gradient at each.
        loss = float(state.optimizer.step(gradient))  # type: ignore[no-untyped-call]
    else:
        loss = gradient()
        state.optimizer.step()
    if (bad := _not_finite(net)) is not None:
        raise _diverged(loop, state, f"`{bad}` became infinite or NaN", learning_rate)
    if state.average is not None:
        state.average.update_parameters(net)
    return _Taken(loss, answers[0], lengths[0])


def _not_finite(net: Net) -> str | None:
    """The first of the weights and running statistics that holds infinity or NaN, or None.

    Where one of its terms is not finite no sum is; sums take a tenth of the time of asking every number.
    """
    tensors = {name: each for name, each in net.state_dict().items() if each.is_floating_point()}
    if not tensors or torch.stack([each.sum() for each in tensors.values()]).isfinite().all():
        return None
    # The sum of large numbers may be infinite where none of them is.
    return next((name for name, each in tensors.items() if not each.isfinite().all()), None)


def _finish_epoch(loop: Loop, state: State, watch: Watch) -> Scored:
    """Score the validation images, keep the best weights, write the event, begin the next epoch."""
    pace, net = state.pace, state.averaged()
    before = pace.clock.monotonic()
    if state.step + pace.remaining <= SHORT_STEPS:
        _renew_statistics(loop, state)
    scored = _validate(loop, state, watch)
    accuracy, metric, val_loss = scored
    pace.validated(pace.clock.monotonic() - before)
    best = metric > state.best_metric or (metric == state.best_metric and val_loss < state.best_loss)
    if best:
        state.best_metric, state.best_loss, state.best_epoch = metric, val_loss, state.epoch
        write_atomic(loop.run.weights, weights_bytes(loop.whole(net), state.figures()))
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
    if _is_worth_a_line(state, loop.recipe):
        state.told_s = elapsed_s
        name = METRICS[loop.recipe.metric]
        other = "" if loop.recipe.metric == "accuracy" else f", {name} {metric:.2%}"
        watch.say(
            f"{_epoch_name(state, loop.recipe)}: loss {train_loss:.3f}, validation loss {val_loss:.3f}, "
            f"accuracy {accuracy:.2%}{other}, {_time_of(state)}{'  (best)' if best else ''}"
        )
    if loop.doctor is not None:
        loop.doctor.look(pace.elapsed_s(), watch)
    patience = loop.recipe.patience
    # A stage has epochs of its own to get better in.
    best_or_begun = max(state.best_epoch, state.first_epoch - 1)
    if patience is not None and state.epoch - best_or_begun >= patience and not state.pace.done:
        watch.say(f"ends early: no better validation for {counted(patience, 'epoch')}")
        state.pace.remaining = 0
    if loop.recipe.target is not None and metric >= loop.recipe.target:
        watch.say(f"reaches {loop.recipe.target:.2%} after {elapsed_s:.1f} s")
        state.pace.remaining = 0
    state.epoch += 1
    state.epoch_step, state.loss_sum, state.right, state.seen = 0, 0.0, 0, 0
    return scored


def _renew_statistics(loop: Loop, state: State) -> None:
    """Take the running statistics of the network that is validated anew, over a few training images."""
    split = loop.batches
    few = split.images[:: -(-len(split.images) // MOST_RENEWED_ON)]
    renew_statistics(
        state.averaged(),
        [name for name, module in state.net.named_modules() if module.training],
        loop.feeder, few, split.size, batch=split.batch, precision=loop.recipe.evaluation_precision,
    )  # fmt: skip


def _validate(loop: Loop, state: State, watch: Watch, *, noted: bool = True) -> Scored:
    """Accuracy, the metric of the recipe, and cross-entropy over the validation images.  noted: in the vitals."""
    split = loop.validation

    def advance(done: int) -> None:
        watch.advance(done, "")
        if watch.stopping():
            # Resumed, the epoch has no step left, and the validation begins again.
            stop(loop, state)

    watch.begin("validation", len(split.labels))
    found = probabilities(
        state.averaged(),
        loop.feeder,
        split.images,
        loop.batches.size,
        batch=loop.evaluation_batch,
        precision=loop.recipe.evaluation_precision,
        tta=loop.recipe.tta,
        advance=advance,
    )
    watch.end()
    require_finite(found, state, loop.recipe)
    if noted and loop.vitals is not None:
        loop.vitals.validated(state.vitals, state.epoch, found, split.labels)
    right = found[np.arange(len(split.labels)), split.labels].astype(np.float64)
    loss = float(-np.log(np.maximum(right, 1e-12)).mean())
    answers = found.argmax(axis=1)
    metric = metric_of(confusion_of(answers, split.labels, found.shape[1]), loop.recipe.metric)
    return Scored(float((answers == split.labels).mean()), metric, loss)


def require_finite(found: NDArray[np.float32], state: State, recipe: Recipe) -> None:
    """Raise Diverged where the network's answers are no numbers."""
    if not np.isfinite(found).all():
        raise Diverged(
            f"the network answers NaN after step {state.step}",
            expected="finite weights; others nearly always mean that the learning rate is too high",
            cure=lower_rate(recipe),
        )


def loss_of(net: Net, logits: Tensor, target: Target, smoothing: float) -> Tensor:
    """Cross-entropy, and that of each auxiliary classifier times its weight."""
    loss = target.cross_entropy(logits.float(), smoothing)
    for weight, side in net.auxiliary_logits:
        loss = loss + weight * target.cross_entropy(side.float(), smoothing)
    return loss


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
            cure=lower_rate(loop.recipe),
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
        cure=lower_rate(loop.recipe),
    )


def _lost(loop: Loop, state: State, lost: Loss, learning_rate: float) -> Diverged:
    found = Diverged(
        f"{lost.said}; the learning rate is {learning_rate:.3g}",
        expected="a training that can still learn",
        cure=lower_rate(loop.recipe),
    )
    found.code = lost.code
    return found


def lower_rate(recipe: Recipe, share: float = 0.1) -> str:
    """The flag that sets a share of the rate, in one digit."""
    assert recipe.learning_rate is not None
    return f"--set learning_rate={float(f'{recipe.learning_rate * share:.1g}'):g}"


def _is_worth_a_line(state: State, recipe: Recipe) -> bool:
    """Whether an epoch is told; of thousands of short ones one a second is, and the last."""
    few = recipe.epochs is not None and recipe.epochs <= MOST_TOLD
    return few or state.pace.done or state.pace.elapsed_s() - state.told_s >= 1.0


def _epoch_name(state: State, recipe: Recipe) -> str:
    return f"epoch {state.epoch + 1}" + (f"/{state.first_epoch + recipe.epochs}" if recipe.epochs else "")


def _note(state: State, recipe: Recipe) -> str:
    """What changes within an epoch: its loss, and the seconds of a budget."""
    spent = "" if recipe.budget_s is None else f", {state.pace.elapsed_s():.0f} of {recipe.budget_s:g} s"
    return f"loss {state.loss_sum / state.seen:.3f}{spent}"


def _time_of(state: State) -> str:
    """The time that is spent, and what is left of it."""
    pace = state.pace
    if pace.budget_s is not None:
        return f"{pace.elapsed_s():.0f} of {pace.budget_s:g} s"
    left_s = pace.expected_s()
    return duration(pace.elapsed_s()) + (f", {duration(left_s)} left" if left_s else "")
