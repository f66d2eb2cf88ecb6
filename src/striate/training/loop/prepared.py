"""What a training needs: before anything is written, and with its run folder."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from striate.data.gather import Data
from striate.modules.module import Net
from striate.net.layout.layout import Layout
from striate.predict.normalize import Normalization
from striate.progress import Clock
from striate.recipe.keys import Recipe
from striate.runs.folder import RunFolder
from striate.runs.record import RunRecord
from striate.training.loop.pace import StepTime


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, before anything is written.

    name: of the network, in the zoo or of its file; empty for a text.  why: the reason for it.
    measured: whether its first weights were measured on the images, and not drawn alone.
    step_time: of a training step, where it was timed.
    """

    data: Data
    layout: Layout
    recipe: Recipe
    preparation: Normalization
    net: Net
    device: torch.device
    name: str
    why: str
    measured: bool
    step_time: StepTime | None


@dataclass
class Job:
    """A run that is ready to train.  started: when it began, by the clock."""

    run: RunFolder
    data: Data
    layout: Layout
    recipe: Recipe
    preparation: Normalization
    net: Net
    device: torch.device
    record: RunRecord
    started: float
    clock: Clock = time
    step_time: StepTime | None = None
