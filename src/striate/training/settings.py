"""What a training does, with nothing left open: what a recipe comes to for its images, its network and this machine."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from striate.net.plan.memory import Thrift
from striate.optimizers import OptimizerWord
from striate.recipe.keys import Metric

# More epochs than any training takes: what a budget ends is counted in seconds.
MOST_EPOCHS = 1_000_000

# At most so many images at once where nothing is kept for a backward pass.
EVALUATION_BATCH = 256

# Bytes, where nothing limits the memory.
UNLIMITED = sys.maxsize


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of a training step: for each image, forward and backward; and of the optimizer, for them all.

    evaluation_s: of an image in a validation, guessed from them.  All are 0 where no step was timed.
    """

    image_s: float = 0.0
    optimizer_s: float = 0.0
    evaluation_s: float = 0.0

    def step_s(self, batch: int) -> float:
        """A step on so many images."""
        return batch * self.image_s + self.optimizer_s


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """How a gradient becomes a step.  precision: fp32 or bf16, of Muon's iterations."""

    word: OptimizerWord
    learning_rate: float
    weight_decay: float
    momentum: float = 0.9
    norm_lr_multiplier: float = 1.0
    precision: str = "fp32"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the training loop reads: the keys of a recipe, where what is left out has its neutral value.

    epochs, budget_s: the training ends with the one or the other; MOST_EPOCHS under a budget, infinity without one.
    clip: infinity for no limit.  ema: 0 for no running mean.  target: infinity where none ends the training.
    patience: MOST_EPOCHS for no end of it.  progressive_resizing: 1 for the whole side from the beginning.
    tta: 0 for no second answer.  thrift: what a step does to need less memory.
    frozen: parts of the main flow that are kept as they are, 0 for none; thaw: epochs in which they train as well.
    memory_bytes: UNLIMITED for all that is free.  step_time: of a step, as it was timed just now.
    """

    epochs: int
    budget_s: float
    batch: int
    optimizer: OptimizerSettings
    clip: float
    schedule: str
    warmup: float
    balance: str
    metric: Metric
    label_smoothing: float
    ema: float
    target: float
    patience: int
    augment: str
    progressive_resizing: float
    progressive_augment: float
    tta: float
    precision: str
    evaluation_precision: str
    layout: str
    thrift: Thrift
    frozen: int
    thaw: int
    memory_bytes: int
    seed: int
    step_time: StepTime

    @property
    def timed(self) -> bool:
        """Whether a budget of seconds ends the training, and not a number of epochs."""
        return self.budget_s < math.inf

    @property
    def learning_rate(self) -> float:
        """The highest one."""
        return self.optimizer.learning_rate

    @property
    def evaluation_batch(self) -> int:
        """Images at once where nothing is kept for a backward pass: what trains in memory fits twice."""
        if self.thrift != Thrift():
            return min(EVALUATION_BATCH, -(-self.batch // self.thrift.micro_batches))
        return min(EVALUATION_BATCH, 2 * self.batch)
