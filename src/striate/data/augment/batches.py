"""Images in batches: shuffled and augmented for training, in order and as they are for evaluation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.data.augment.augment import Augment, augmented
from striate.data.augment.chance import Chance, balanced, shuffled
from striate.data.augment.mixup import Mix
from striate.data.images import Images, center
from striate.threads import alone


@dataclass(frozen=True, slots=True)
class Batch:
    """Some images of a split.

    images: N x H x W x C, as stored (uint8, or float32).  labels: N.  index: their places in the split.
    mix: how they are to be mixed, once they are normalized; None where they are not.
    importance: N weights of their losses, 1 on average over the split; None where all are 1.
    """

    images: Images
    labels: NDArray[np.int64]
    index: NDArray[np.int64]
    mix: Mix | None = None
    importance: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TrainingBatches:
    """The training images of a run, epoch by epoch.

    images: N x H x W x C as stored.  labels: N.  size: what the network sees.
    batch: images in a step; a last, smaller rest of an epoch is left out of it (it is another one in
    each epoch), and where there are fewer images than that all of them make a step.
    makers: threads that make batches, each a whole one, beside what uses them.
    balanced: whether all classes come equally often.  importance: of each image's loss, N.
    """

    images: Images
    labels: NDArray[np.int64]
    size: tuple[int, int]
    batch: int
    augment: Augment
    seed: int
    makers: int = 1
    balanced: bool = False
    importance: NDArray[np.float32] | None = None

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return max(1, len(self.labels) // self.batch)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on; the next ones are made while one is used."""
        if self.balanced:
            order = balanced(self.labels, self.seed, epoch)
        else:
            order = shuffled(len(self.labels), self.seed, epoch)
        with ThreadPoolExecutor(self.makers, thread_name_prefix="batches", initializer=alone) as pool:
            coming: deque[Future[Batch]] = deque()
            for step in range(first_step, self.steps):
                for ahead in range(step + len(coming), min(step + 1 + self.makers, self.steps)):
                    coming.append(pool.submit(self.make, order, ahead, epoch))
                yield coming.popleft().result()

    def make(self, order: NDArray[np.int64], step: int, epoch: int) -> Batch:
        draws = order[step * self.batch : (step + 1) * self.batch]
        windows = augmented(self.images, draws, self.size, self.augment, seed=self.seed, epoch=epoch)
        mix = self.augment.mix(Chance(self.seed, epoch, draws))
        index = draws % len(self.labels)
        importance = None if self.importance is None else self.importance[index]
        return Batch(windows, self.labels[index], index, mix, importance)


def class_weights(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """The weight of each image's loss that makes all classes count alike, 1 on average.

        w_i = N / (K n(label_i)),  K classes that occur, n images of each

    labels: N.  Returns N.  Source: King and Zeng 2001, section 4; "balanced" in scikit-learn.
    """
    counts = np.bincount(labels)
    return (len(labels) / (np.count_nonzero(counts) * counts[labels])).astype(np.float32)


def evaluation_batches(
    images: Images, labels: NDArray[np.int64], size: tuple[int, int], batch: int
) -> Iterator[Batch]:
    """All images in order, the middle of each, the last batch smaller."""
    for start in range(0, len(labels), batch):
        index = np.arange(start, min(start + batch, len(labels)))
        yield Batch(center(images[start : start + batch], size), labels[start : start + batch], index)
