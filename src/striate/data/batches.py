"""Pictures in batches: shuffled and augmented for training, in order and as they are for evaluation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.data.augment import Augment, augmented
from striate.data.chance import Chance, shuffled
from striate.data.changes.mixup import Mix
from striate.data.pictures import Pictures, centre
from striate.data.threads import alone


@dataclass(frozen=True, slots=True)
class Batch:
    """Some pictures of a split.

    pictures: N x H x W x C, as stored (uint8, or float32).  labels: N.  index: their places in the split.
    mix: how they are to be mixed, once they are normalised; None where they are not.
    """

    pictures: Pictures
    labels: NDArray[np.int64]
    index: NDArray[np.int64]
    mix: Mix | None = None


@dataclass(frozen=True)
class TrainingBatches:
    """The training pictures of a run, epoch by epoch.

    pictures: N x H x W x C as stored.  labels: N.  size: what the network sees.
    batch: pictures in a step; a last, smaller rest of an epoch is left out of it (it is another one in
    each epoch), and where there are fewer pictures than that all of them make a step.
    makers: threads that make batches, each a whole one, beside what uses them.
    """

    pictures: Pictures
    labels: NDArray[np.int64]
    size: tuple[int, int]
    batch: int
    augment: Augment
    seed: int
    makers: int = 1

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return max(1, len(self.labels) // self.batch)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on; the next ones are made while one is used."""
        order = shuffled(len(self.labels), self.seed, epoch)
        with ThreadPoolExecutor(self.makers, thread_name_prefix="batches", initializer=alone) as pool:
            coming: deque[Future[Batch]] = deque()
            for step in range(first_step, self.steps):
                for ahead in range(step + len(coming), min(step + 1 + self.makers, self.steps)):
                    coming.append(pool.submit(self._make, order, ahead, epoch))
                yield coming.popleft().result()

    def _make(self, order: NDArray[np.int64], step: int, epoch: int) -> Batch:
        index = order[step * self.batch : (step + 1) * self.batch]
        windows = augmented(self.pictures, index, self.size, self.augment, seed=self.seed, epoch=epoch)
        mix = self.augment.mix(Chance(self.seed, epoch, index))
        return Batch(windows, self.labels[index], index, mix)


def evaluation_batches(
    pictures: Pictures, labels: NDArray[np.int64], size: tuple[int, int], batch: int
) -> Iterator[Batch]:
    """All pictures in order, the middle of each, the last batch smaller."""
    for start in range(0, len(labels), batch):
        index = np.arange(start, min(start + batch, len(labels)))
        yield Batch(centre(pictures[start : start + batch], size), labels[start : start + batch], index)
