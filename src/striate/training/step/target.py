"""What the answers of a training step are measured by: labels, or mixtures of two."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.data.augment.batches import Batch
from striate.predict.normalize import Feeder


@dataclass(frozen=True, slots=True)
class Target:
    """The labels of a batch; where its images are mixtures, those of the others and the own images' weights.

    labels, others: N classes.  weights: N, from 0 to 1.
    importance, others_importance: N weights of the loss with each label; None where all are 1.
    """

    labels: Tensor
    others: Tensor | None = None
    weights: Tensor | None = None
    importance: Tensor | None = None
    others_importance: Tensor | None = None

    def cross_entropy(self, logits: Tensor, smoothing: float) -> Tensor:
        """The mean of w i L(label) + (1 - w) j L(other).

        L is the cross-entropy, w = 1 without mixtures, i and j the importance of both images, 1 where none is given.
        logits: N x K.  Source: Zhang et al. 2018 (mixup), section 2.
        """
        if self.others is None and self.importance is None:
            return F.cross_entropy(logits, self.labels, label_smoothing=smoothing)
        own = F.cross_entropy(logits, self.labels, label_smoothing=smoothing, reduction="none")
        if self.importance is not None:
            own = own * self.importance
        if self.others is None or self.weights is None:
            return own.mean()
        other = F.cross_entropy(logits, self.others, label_smoothing=smoothing, reduction="none")
        if self.others_importance is not None:
            other = other * self.others_importance
        return torch.lerp(other, own, self.weights).mean()

    def piece(self, start: int, count: int) -> Target:
        """What `count` images from `start` on stand for."""
        some = slice(start, start + count)
        rest = (self.others, self.weights, self.importance, self.others_importance)
        return Target(self.labels[some], *(None if each is None else each[some] for each in rest))

    def main_labels(self) -> Tensor:
        """The label of the image that has the larger part in each mixture, N."""
        if self.others is None or self.weights is None:
            return self.labels
        return torch.where(self.weights >= 0.5, self.labels, self.others)


def prepare_batch(feeder: Feeder, batch: Batch) -> tuple[Tensor, Target]:
    """A batch on the device: images, normalized and mixed, N x C x H x W, and what they stand for."""
    x, labels = feeder.images(batch.images), feeder.labels(batch.labels)
    importance = None if batch.importance is None else torch.from_numpy(batch.importance).to(feeder.device)
    if batch.mix is None:
        return x, Target(labels, importance=importance)
    partners = feeder.labels(batch.mix.partners)
    weights = torch.from_numpy(batch.mix.weights).to(feeder.device)
    mixed = torch.lerp(x[partners], x, weights.reshape(-1, 1, 1, 1))
    other = None if importance is None else importance[partners]
    return mixed, Target(labels, labels[partners], weights, importance, other)
