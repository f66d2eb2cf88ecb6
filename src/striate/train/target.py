"""What the answers of a training step are measured by: labels, or mixtures of two."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.data.batches import Batch
from striate.train.preparation import Feeder


@dataclass(frozen=True, slots=True)
class Target:
    """The labels of a batch; where its pictures are mixtures, those of the others and the own pictures' weights.

    labels, others: N classes.  weights: N, from 0 to 1.
    """

    labels: Tensor
    others: Tensor | None = None
    weights: Tensor | None = None

    def cross_entropy(self, logits: Tensor, smoothing: float) -> Tensor:
        """The mean of w L(label) + (1 - w) L(other), where L is the cross-entropy and w = 1 without mixtures.

        logits: N x K.  Source: Zhang et al. 2018 (mixup), section 2.
        """
        if self.others is None or self.weights is None:
            return F.cross_entropy(logits, self.labels, label_smoothing=smoothing)
        own = F.cross_entropy(logits, self.labels, label_smoothing=smoothing, reduction="none")
        other = F.cross_entropy(logits, self.others, label_smoothing=smoothing, reduction="none")
        return torch.lerp(other, own, self.weights).mean()

    def piece(self, start: int, count: int) -> Target:
        """What `count` pictures from `start` on stand for."""
        some = slice(start, start + count)
        if self.others is None or self.weights is None:
            return Target(self.labels[some])
        return Target(self.labels[some], self.others[some], self.weights[some])

    def heavier(self) -> Tensor:
        """The label of the picture that has the larger part in each mixture, N."""
        if self.others is None or self.weights is None:
            return self.labels
        return torch.where(self.weights >= 0.5, self.labels, self.others)


def fed(feeder: Feeder, batch: Batch) -> tuple[Tensor, Target]:
    """A batch on the device: pictures, normalised and mixed, N x C x H x W, and what they stand for."""
    x, labels = feeder.pictures(batch.pictures), feeder.labels(batch.labels)
    if batch.mix is None:
        return x, Target(labels)
    partners = feeder.labels(batch.mix.partners)
    weights = torch.from_numpy(batch.mix.weights).to(feeder.device)
    mixed = torch.lerp(x[partners], x, weights.reshape(-1, 1, 1, 1))
    return mixed, Target(labels, labels[partners], weights)
