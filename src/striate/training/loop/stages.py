"""The stages of a run: which network is trained on what, one loop after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from striate.data.augment.augment import Augment, read_augment
from striate.data.augment.batches import TrainingBatches, class_weights
from striate.data.gather import Data, Split
from striate.modules.module import Net
from striate.net.layout.normed import before_norm
from striate.net.plan.memory import Thrift
from striate.predict.normalize import Feeder
from striate.progress import Clock, Watch
from striate.recipe.keys import Recipe
from striate.threads import cores
from striate.training.loop.frozen import Frozen, Thaw, frozen_parts
from striate.training.loop.live import LiveDoctor
from striate.training.loop.loop import Loop
from striate.training.loop.memory import thrift_of
from striate.training.loop.pace import Pace
from striate.training.loop.prepared import Job
from striate.training.loop.state import State
from striate.training.loop.vitals import Vitals
from striate.training.step.optimizers import make_optimizer

# At most so many images at once where nothing is kept for a backward pass.
EVALUATION_BATCH = 256

# Seconds that the report and the end of the process take, kept free under a budget; and how many times as
# much at most.
CLOSING_S, MOST_CLOSING = 1.0, 3.0

# Share of a budget that the head gets where the rest is thawed behind it.
HEAD_SHARE = 0.3

# Of the rate of the head, where everything is trained behind it.
THAWED_RATE = 0.1


@dataclass(frozen=True)
class Stage:
    """One loop.

    net: what is trained.  train, validation, scored: what it reads; scored is the test split, or the
    validation split where there is none.  whole: the network to keep, from `net` or its running mean.
    part: `net`, with the weights that the whole network has.
    thaw: what lets frozen parts train again.  skipped: parts of the whole network before `net`.
    """

    net: Net
    train: Split
    validation: Split
    scored: Split
    size: tuple[int, int]
    feeder: Feeder
    augment: Augment
    recipe: Recipe
    whole: Callable[[Net], Net] = field(default=lambda net: net)
    part: Callable[[Net], Net] = field(default=lambda net: net)
    thaw: Thaw | None = None
    skipped: int = 0


def stages(
    net: Net, data: Data, recipe: Recipe, feeder: Feeder, watch: Watch, *, first: int
) -> Iterator[tuple[int, Stage]]:
    """The stages of a recipe from number `first` on, each made when the one before has ended.

    One, as a rule.  With `freeze`, the tail is trained on what the frozen part gives for each image,
    computed once; with `thaw` epochs, everything is trained behind it.
    """
    scored = data.test if data.test is not None else data.val
    augment = read_augment(recipe.augment)
    if recipe.freeze is None:
        yield 0, Stage(net, data.train, data.val, scored, data.size, feeder, augment, recipe)
        return
    count = frozen_parts(net.layout, recipe.freeze)
    if first == 0:
        head = recipe
        if recipe.thaw and recipe.budget_s is not None:
            head = recipe.model_copy(update={"budget_s": recipe.budget_s * HEAD_SHARE})
        yield 0, _head(Frozen(net, count), data, head, feeder, watch)
    if recipe.thaw:
        assert recipe.learning_rate is not None
        rest = {
            "epochs": None if recipe.budget_s else recipe.thaw,
            "learning_rate": recipe.learning_rate * THAWED_RATE,
        }
        stage = Stage(
            net, data.train, data.val, scored, data.size, feeder, augment,
            recipe.model_copy(update=rest), thaw=Thaw(net, count, recipe.thaw),
        )  # fmt: skip
        yield 1, stage


def _head(frozen: Frozen, data: Data, recipe: Recipe, feeder: Feeder, watch: Watch) -> Stage:
    splits = [data.train, data.val] + ([data.test] if data.test is not None else [])
    frozen.require_room(sum(len(split.labels) for split in splits), recipe, feeder.device)
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        watch.advance(done, "")

    watch.begin("frozen part, once for all images", sum(len(split.labels) for split in splits))
    found = [
        frozen.features(split, feeder, data.size, recipe.evaluation_precision, advance) for split in splits
    ]
    watch.end()
    frozen.tail.to(feeder.device)
    size = (frozen.shape.height, frozen.shape.width)
    return Stage(
        frozen.tail, found[0], found[1], found[-1], size, frozen.feeder(feeder.device), Augment(), recipe,
        whole=frozen.whole, part=frozen.part, skipped=frozen.count,
    )  # fmt: skip


def closing_s(started: float, clock: Clock) -> float:
    """Seconds to keep free for the end: on a busy machine it takes as much longer as the beginning did.

    started: when the job began, by the clock.  How busy: the time since, over the time computed in.
    """
    waited = (clock.monotonic() - started) / max(clock.process_time(), 1e-3)
    return CLOSING_S * min(MOST_CLOSING, max(1.0, waited))


def evaluation_batch(recipe: Recipe) -> int:
    """Images at once where nothing is kept for a backward pass: what trains in memory fits twice."""
    assert recipe.batch is not None
    if recipe.recompute not in ("auto", "none") or (recipe.micro_batches or 1) > 1:
        return min(EVALUATION_BATCH, -(-recipe.batch // (recipe.micro_batches or 1)))
    return min(EVALUATION_BATCH, 2 * recipe.batch)


def training_batches(
    train: Split, size: tuple[int, int], augment: Augment, recipe: Recipe, makers: int
) -> TrainingBatches:
    """The batches of a recipe.  makers: threads that make them."""
    assert recipe.batch is not None
    importance = class_weights(train.labels) if recipe.balance == "weights" else None
    if train.weights is not None:
        # 1 on average, so that the learning rate means what it means without.
        weights = train.weights if importance is None else train.weights * importance
        importance = weights / weights.mean()
    return TrainingBatches(
        train.images, train.labels, size, recipe.batch, augment, recipe.seed, makers,
        balanced=recipe.balance == "sampling",
        importance=importance,
    )  # fmt: skip


def begin_stage(
    stage: Stage, number: int, job: Job, before: State | None, checkpoint_s: float
) -> tuple[State, Loop]:
    """The state and the loop of a stage; figures of the stage before go on."""
    recipe = stage.recipe
    assert recipe.batch is not None
    # The training needs the processors itself, unless it has a device of its own.
    makers = 1 if stage.feeder.device.type == "cpu" else cores()
    batches = training_batches(stage.train, stage.size, stage.augment, recipe, makers)
    epochs = recipe.epochs or 1_000_000
    pace = Pace(
        batches.steps * epochs,
        recipe.budget_s,
        before.pace.spent_s if before else 0.0,
        job.started,
        reserve_s=closing_s(job.started, job.clock) if recipe.budget_s else 0.0,
        closing_validations=1 + len(stage.scored.labels) / len(stage.validation.labels),
        # Without a way back an image takes a third of the arithmetic, and nothing is drawn or updated.
        validation_steps=len(stage.validation.labels) / batches.batch / 4,
        validation_guess_s=job.step_time.looked_s * len(stage.validation.labels) if job.step_time else None,
        clock=job.clock,
    )
    average = None
    if recipe.ema is not None:
        mean = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
        average = AveragedModel(stage.net, multi_avg_fn=mean, use_buffers=True)
    shares = stage.thaw.shares() if stage.thaw else [(stage.net, 1.0)]
    state = State(stage.net, optimizer_of(stage.net, shares, recipe), pace, average, stage=number)
    if before is not None:
        state.rollbacks, state.rate_share = before.rollbacks, before.rate_share
        state.vitals = replace(before.vitals, losses=[], lengths=[], counts=[], most=[])
        state.step = state.first_step = before.step
        state.epoch = state.first_epoch = before.epoch
        state.best_metric, state.best_loss = before.best_metric, before.best_loss
        state.best_epoch = before.best_epoch
    loop = Loop(
        job.run,
        recipe,
        batches,
        stage.validation,
        stage.feeder,
        evaluation_batch(recipe),
        checkpoint_s,
        whole=stage.whole,
        thaw=stage.thaw,
        doctor=LiveDoctor(job.run, job.clock),
        vitals=Vitals(
            job.run.vitals,
            stage.net,
            stage.train,
            stage.feeder,
            stage.size,
            batch=batches.batch,
            precision=recipe.precision,
            stage=number,
            skipped=stage.skipped,
        ),
        # What a frozen part gives is read by a network of its own.
        thrift=Thrift()
        if recipe.freeze is not None and stage.thaw is None
        else thrift_of(recipe, stage.net.layout),
    )
    return state, loop


def optimizer_of(net: Net, shares: Sequence[tuple[nn.Module, float]], recipe: Recipe) -> Optimizer:
    """The optimizer of a recipe for a network; biases before a norm stay.  shares: as for `make_optimizer`."""
    normed = [net.part(placed.path) for placed in before_norm(net.layout)]
    for part in normed:
        if isinstance(part.bias, nn.Parameter):
            # The norm takes it out again: its gradient is 0, and costs a pass over the map.
            part.bias.requires_grad_(False)
    held = [part.weight for part in normed if isinstance(part.weight, nn.Parameter)]
    return make_optimizer(shares, recipe, held)
