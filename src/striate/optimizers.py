"""The optimizers: what is known of each, for all who ask, and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OptimizerWord = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "muon", "lbfgs"]


@dataclass(frozen=True, slots=True)
class OptimizerKind:
    """One optimizer.

    name: of its class in torch.optim; Muon is striate's.  options: what that is made with, besides the learning rate.
    momentum: the argument that the recipe's `momentum` goes to: momentum, or betas, whose second is 0.999; "" for none.
    learning_rate: the highest that trains well with one-cycle on a network with normalization; unnormalized: without.
    weight_decay: where none is said; decoupled ones are far larger.  batch: how many times as large batches suit it.
    state: numbers that it keeps for each weight.  scratch: and for each of the largest layer, while it steps.
    line_search: a step asks for several gradients of one batch, and none of a small learning rate is like one of a
    large one.  orthogonal: it steps along orthogonal matrices, and holds weights before a norm at one length.
    """

    name: str
    learning_rate: float
    unnormalized: float
    options: Mapping[str, bool | int] = field(default_factory=dict)
    momentum: Literal["", "momentum", "betas"] = ""
    weight_decay: float = 5e-4
    batch: int = 1
    state: int = 0
    scratch: int = 0
    line_search: bool = False
    orthogonal: bool = False

    @property
    def plain(self) -> bool:
        """Whether a step is as long as the gradient says, and not adapted to what came before."""
        return self.name == "SGD"

    def learning_rate_for(self, *, normalized: bool) -> float:
        """The highest learning rate where none is said, for a network with or without normalization."""
        return self.learning_rate if normalized else self.unnormalized


_FUSED = {"fused": True}

OPTIMIZERS: Mapping[str, OptimizerKind] = {
    "sgd": OptimizerKind("SGD", 0.2, 0.05, _FUSED),
    "momentum": OptimizerKind("SGD", 0.1, 0.02, _FUSED, "momentum", state=1),
    "nesterov": OptimizerKind("SGD", 0.1, 0.02, {"fused": True, "nesterov": True}, "momentum", state=1),
    "adagrad": OptimizerKind("Adagrad", 0.02, 0.01, state=1, scratch=2),
    "rmsprop": OptimizerKind("RMSprop", 0.001, 0.0005, momentum="momentum", state=2, scratch=2),
    "adam": OptimizerKind("Adam", 0.003, 0.001, _FUSED, "betas", state=2),
    "adamw": OptimizerKind("AdamW", 0.003, 0.001, _FUSED, "betas", weight_decay=0.05, state=2),
    # A step of it costs more, and goes further.
    "muon": OptimizerKind(
        "Muon", 0.003, 0.001, momentum="momentum", weight_decay=0.05, batch=2, state=1, orthogonal=True
    ),
    "lbfgs": OptimizerKind(
        "LBFGS", 0.5, 0.5, {"max_iter": 4, "history_size": 10}, weight_decay=0.0, state=24, line_search=True
    ),
}


def kind_of(word: str) -> OptimizerKind:
    """What is known of an optimizer; of one that this striate does not know, as of adamw."""
    return OPTIMIZERS.get(word, OPTIMIZERS["adamw"])
