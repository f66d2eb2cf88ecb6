"""Whether a training surely comes to nothing, seen within steps: a search ends such a trial at once.

What may still recover is not ended: the limits were chosen on recorded trainings of which none came back
(benchmarks/search).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from striate.modules.module import Net

# A loss so many times that of guessing, or that of the first step where it was more, in so many steps in a row.
HIGH, HIGH_STEPS = 5.0, 10

# No gradient at all in front of the last layer, in so many looks in a row, so many steps apart.  The momentum of
# earlier steps may still bring units back in the first ten.
LOOK_STEPS, STILL_LOOKS = 4, 5


class Loss(NamedTuple):
    """Why a training is lost.  code: of the doctor's rule.  said: what was seen."""

    code: str
    said: str


@dataclass
class Signs:
    """What has been seen so far, a part of the state.

    first: the loss of the first step, 0 before it.  high: steps in a row whose loss is far above it.
    still: looks in a row that found no gradient.
    """

    first: float = 0.0
    high: int = 0
    still: int = 0

    def after_step(self, net: Net, step: int, loss: float) -> Loss | None:
        """Note a step whose gradient is still there; why the training is lost, or None.

        loss: its mean over the batch.  step: its number, from 1.
        """
        self.first = self.first or loss
        usual = max(self.first, math.log(max(2, net.layout.output.channels)))
        self.high = self.high + 1 if loss > HIGH * usual else 0
        if self.high == HIGH_STEPS:
            return Loss(
                "rate-too-high",
                f"the loss is {loss:.3g} at step {step}, and was above {HIGH * usual:.3g} for {HIGH_STEPS} steps; "
                f"guessing gives {math.log(net.layout.output.channels):.3g}",
            )
        if step % LOOK_STEPS:
            return None
        self.still = self.still + 1 if _is_still(net) else 0
        if self.still == STILL_LOOKS:
            words = {placed.layer.word for placed in net.layout.layers()}
            return Loss(
                "dead-relu" if words & {"relu", "relu6"} else "saturated",
                f"no layer but the last has had any gradient from step {step - LOOK_STEPS * (STILL_LOOKS - 1)} to {step}",
            )
        return None


def _is_still(net: Net) -> bool:
    """Whether every gradient in front of the last layer that has weights is 0 to the last bit."""
    named = [(name, each.grad) for name, each in net.named_parameters() if each.grad is not None]
    last = named[-1][0].rpartition(".")[0] if named else ""
    body = [grad for name, grad in named if name.rpartition(".")[0] != last]
    return bool(body) and not float(torch.stack(torch._foreach_norm(body, math.inf)).max())
