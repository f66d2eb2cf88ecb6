"""What a training needs: before anything is written, with its run folder, and for each of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch

from striate.data.gather import Data, Split
from striate.modules.module import Net
from striate.net.layout.layout import Layout
from striate.predict.normalize import Feeder, Normalization
from striate.progress import Clock
from striate.recipe.keys import Recipe
from striate.runs.folder import RunFolder
from striate.runs.record import NetworkName, RunRecord
from striate.training.loop.frozen import Thaw
from striate.training.settings import Settings


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, before anything is written.

    recipe: with nothing left open, as it is written; settings: the same as the training reads it.
    name: of the network, and the reason for it.
    """

    data: Data
    net: Net
    recipe: Recipe
    settings: Settings
    preparation: Normalization
    device: torch.device
    name: NetworkName

    @property
    def layout(self) -> Layout:
        """Of the network."""
        return self.net.layout

    @cached_property
    def feeder(self) -> Feeder:
        """What hands images to the network."""
        return Feeder(self.preparation, self.device, self.settings.layout)


@dataclass
class Job:
    """A run that is ready to train.  started: when it began, by the clock."""

    run: RunFolder
    prepared: Prepared
    record: RunRecord
    started: float
    clock: Clock = time


@dataclass(frozen=True)
class Stage:
    """One loop over a network, and all that it reads.

    net: what is trained.  train, validation, scored: its images; scored are those of the test split, or of the
    validation split where there is none.  thaw: which parts of it train when.
    whole: the network to keep, from `net` or its running mean.  part: `net`, with the weights that the whole
    network has.  skipped: parts of the whole network before `net`.
    """

    number: int
    settings: Settings
    net: Net
    train: Split
    validation: Split
    scored: Split
    size: tuple[int, int]
    feeder: Feeder
    thaw: Thaw
    whole: Callable[[Net], Net] = field(default=lambda net: net)
    part: Callable[[Net], Net] = field(default=lambda net: net)
    skipped: int = 0
