"""The gradients of a training step, in as little memory as was chosen."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from striate.modules.module import Net
from striate.modules.recompute import forward_again
from striate.net.plan.memory import Thrift
from striate.predict.evaluate import autocast
from striate.training.step.target import Target


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
        right += int((logits.detach().argmax(dim=1) == part.heavier()).sum())
        # The graph of this piece goes before that of the next one comes.
        del logits, found
        net.auxiliary_logits.clear()
    return loss, right
