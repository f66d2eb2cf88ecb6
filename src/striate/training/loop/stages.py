"""The stages of a run: which network is trained on what, one loop after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from striate.data.augment.augment import read_augment
from striate.data.augment.batches import TrainingBatches, class_weights
from striate.data.gather import Split
from striate.modules.module import Net
from striate.net.layout.normed import before_norm
from striate.net.plan.memory import Thrift
from striate.progress import Clock, Watch
from striate.threads import cores
from striate.training.loop.frozen import Frozen, Thaw
from striate.training.loop.live import LiveDoctor
from striate.training.loop.loop import Loop
from striate.training.loop.pace import Pace
from striate.training.loop.prepared import Job, Prepared, Stage
from striate.training.loop.state import State
from striate.training.loop.vitals import Vitals
from striate.training.settings import MOST_EPOCHS, OptimizerSettings, Settings
from striate.training.step.optimizers import make_optimizer

# Seconds that the report and the end of the process take, kept free under a budget; and how many times as
# much at most.
CLOSING_S, MOST_CLOSING = 1.0, 3.0

# Share of a budget that the head gets where the rest is thawed behind it.
HEAD_SHARE = 0.3

# Of the rate of the head, where everything is trained behind it.
THAWED_RATE = 0.1


def stages(prepared: Prepared, watch: Watch, *, first: int) -> Iterator[Stage]:
    """The stages of a training from number `first` on, each made when the one before has ended.

    One, as a rule.  With `freeze`, the tail is trained on what the frozen part gives for each image,
    computed once; with `thaw` epochs, everything is trained behind it.
    """
    net, data, settings = prepared.net, prepared.data, prepared.settings
    scored = data.test if data.test is not None else data.val
    if settings.frozen and first == 0:
        yield _head(prepared, watch)
    if settings.frozen and settings.thaw:
        settings = replace(
            settings,
            epochs=MOST_EPOCHS if settings.timed else settings.thaw,
            optimizer=replace(settings.optimizer, learning_rate=settings.learning_rate * THAWED_RATE),
        )
    if settings.thaw or not settings.frozen:
        yield Stage(
            1 if settings.frozen else 0, settings, net, data.train, data.val, scored, data.size, prepared.feeder,
            Thaw(net, settings.frozen, settings.thaw),
        )  # fmt: skip


def _head(prepared: Prepared, watch: Watch) -> Stage:
    data, settings, feeder = prepared.data, prepared.settings, prepared.feeder
    frozen = Frozen(prepared.net, settings.frozen)
    splits = [data.train, data.val] + ([data.test] if data.test is not None else [])
    count = sum(len(split.labels) for split in splits)
    frozen.require_room(count, settings.memory_bytes, feeder.device)
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        watch.advance(done, "")

    watch.begin("frozen part, once for all images", count)
    features = [
        frozen.features(split, feeder, data.size, settings.evaluation_precision, advance) for split in splits
    ]
    watch.end()
    frozen.tail.to(feeder.device)
    # What a frozen part gives for an image is computed once, and read by a network of its own.
    settings = replace(settings, augment="none", thrift=Thrift())
    if settings.thaw:
        settings = replace(settings, budget_s=settings.budget_s * HEAD_SHARE)
    return Stage(
        0, settings, frozen.tail, features[0], features[1], features[-1], (frozen.shape.height, frozen.shape.width),
        frozen.feeder(feeder.device), Thaw(frozen.tail, 0, 0),
        whole=frozen.whole, part=frozen.part, skipped=frozen.count,
    )  # fmt: skip


def closing_s(started: float, clock: Clock) -> float:
    """Seconds to keep free for the end: on a busy machine it takes as much longer as the beginning did.

    started: when the job began, by the clock.  How busy: the time since, over the time computed in.
    """
    waited = (clock.monotonic() - started) / max(clock.process_time(), 1e-3)
    return CLOSING_S * min(MOST_CLOSING, max(1.0, waited))


def training_batches(train: Split, size: tuple[int, int], settings: Settings, makers: int) -> TrainingBatches:
    """The batches of a training.  makers: threads that make them."""
    importance = class_weights(train.labels) if settings.balance == "weights" else None
    if train.weights is not None:
        # 1 on average, so that the learning rate means what it means without.
        weights = train.weights if importance is None else train.weights * importance
        importance = weights / weights.mean()
    return TrainingBatches(
        train.images, train.labels, size, settings.batch, read_augment(settings.augment), settings.seed, makers,
        balanced=settings.balance == "sampling",
        importance=importance,
    )  # fmt: skip


def begin_stage(stage: Stage, job: Job, before: State | None, checkpoint_s: float) -> tuple[State, Loop]:
    """The state and the loop of a stage; figures of the stage before go on."""
    settings, net = stage.settings, stage.net
    # The training needs the processors itself, unless it has a device of its own.
    makers = 1 if stage.feeder.device.type == "cpu" else cores()
    batches = training_batches(stage.train, stage.size, settings, makers)
    pace = Pace(
        batches.steps * settings.epochs,
        settings.budget_s,
        before.pace.spent_s if before else 0.0,
        job.started,
        reserve_s=closing_s(job.started, job.clock) if settings.timed else 0.0,
        closing_validations=1 + len(stage.scored.labels) / len(stage.validation.labels),
        # Without a way back an image takes a third of the arithmetic, and nothing is drawn or updated.
        validation_steps=len(stage.validation.labels) / batches.batch / 4,
        validation_guess_s=settings.step_time.evaluation_s * len(stage.validation.labels),
        clock=job.clock,
    )
    average = None
    if settings.ema:
        mean = get_ema_multi_avg_fn(settings.ema)  # type: ignore[no-untyped-call]
        average = AveragedModel(net, multi_avg_fn=mean, use_buffers=True)
    optimizer = optimizer_of(net, stage.thaw.lr_multipliers(), settings.optimizer)
    state = State(net, optimizer, pace, average, stage=stage.number)
    if before is not None:
        state.rollbacks, state.rate_share = before.rollbacks, before.rate_share
        state.vitals = replace(before.vitals, losses=[], lengths=[], counts=[], most=[])
        state.step = state.first_step = before.step
        state.epoch = state.first_epoch = before.epoch
        state.best = before.best
    vitals = Vitals(
        job.run.vitals, net, stage.train, stage.feeder, stage.size,
        batch=batches.batch, precision=settings.precision, stage=stage.number, skipped=stage.skipped,
    )  # fmt: skip
    return state, Loop(job.run, stage, batches, checkpoint_s, vitals, LiveDoctor(job.run, job.clock))


def optimizer_of(
    net: Net, multipliers: Sequence[tuple[nn.Module, float]], settings: OptimizerSettings
) -> Optimizer:
    """The optimizer of a network; biases before a norm stay.  multipliers: as for `make_optimizer`."""
    normed = [net.part(placed.path) for placed in before_norm(net.layout)]
    for part in normed:
        if isinstance(part.bias, nn.Parameter):
            # The norm takes it out again: its gradient is 0, and costs a pass over the map.
            part.bias.requires_grad_(False)
    fixed_norm = [part.weight for part in normed if isinstance(part.weight, nn.Parameter)]
    return make_optimizer(multipliers, settings, fixed_norm)
