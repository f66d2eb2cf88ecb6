"""The gradients of a training step, in as little memory as was chosen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.modules.module import Net
from striate.modules.recompute import forward_again
from striate.net.plan.memory import Thrift
from striate.predict.evaluate import autocast
from striate.training.settings import Settings
from striate.training.step.target import Target


class Gradients(NamedTuple):
    """What was seen while gradients were computed: the mean loss, the right answers, and their length before clipping."""

    loss: float
    right: int
    length: float

    @property
    def finite(self) -> bool:
        """Whether a step can be taken along them."""
        return math.isfinite(self.loss) and math.isfinite(self.length)


def compute_gradients(
    net: Net, optimizer: torch.optim.Optimizer, x: Tensor, target: Target, settings: Settings
) -> Gradients:
    """The gradients of a batch in place of those before, clipped.  x: N x C x H x W, normalized."""
    optimizer.zero_grad(set_to_none=True)
    loss, right = add_gradients(
        net, x, target, settings.thrift, settings.precision,
        lambda logits, target: loss_of(net, logits, target, settings.label_smoothing),
    )  # fmt: skip
    return Gradients(loss, right, float(nn.utils.clip_grad_norm_(net.parameters(), settings.clip)))


def loss_of(net: Net, logits: Tensor, target: Target, smoothing: float) -> Tensor:
    """Cross-entropy, and that of each auxiliary classifier times its weight."""
    loss = target.cross_entropy(logits.float(), smoothing)
    for weight, auxiliary in net.auxiliary_logits:
        loss = loss + weight * target.cross_entropy(auxiliary.float(), smoothing)
    return loss


def add_gradients(
    net: Net,
    x: Tensor,
    target: Target,
    thrift: Thrift,
    precision: str,
    loss_of: Callable[[Tensor, Target], Tensor],
) -> tuple[float, int]:
    """Add the gradients of the mean loss over a batch to those of the weights.

    loss = sum over pieces of n_i / n * mean loss of the piece

    x: N x C x H x W.  loss_of: the mean loss of logits, from them and what they stand for.
    Returns the loss and how many answers are right.  A batch norm takes the statistics of each piece by
    itself and notes them as often; without one the gradients are those of the whole batch, to rounding.
    """
    count, loss, right = len(x), 0.0, 0
    pieces = min(thrift.micro_batches, count)
    for number in range(pieces):
        # As even as can be: a bn takes statistics of each.
        start, end = number * count // pieces, (number + 1) * count // pieces
        some, part = (x, target) if pieces == 1 else (x[start:end], target.piece(start, end - start))
        with autocast(x.device, precision):
            if thrift.pairs or thrift.again:
                logits = forward_again(net, some, thrift.again, pairs=thrift.pairs)
            else:
                logits = net(some)
            found = loss_of(logits, part)
            if pieces > 1:
                found = found * (len(some) / count)
        found.backward()  # type: ignore[no-untyped-call]
        loss += found.item()
        right += int((logits.detach().argmax(dim=1) == part.main_labels()).sum())
        # The graph of this piece goes before that of the next one comes.
        del logits, found
        net.auxiliary_logits.clear()
    return loss, right
