"""Muon: steps whose directions are orthogonal matrices, for weights of convolutions and fc."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Coefficients of the quintic iteration whose slope at zero is greatest (Jordan 2024).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5

# A weight whose length tells nothing takes at the usual rate, 0.003, a step of 0.24 of its length.
_HELD = 80

# The second beta of Adam.
_SECOND = 0.999


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal.

    m <- momentum * m + (1 - momentum) * g;  d = (1 - momentum) * g + momentum * m   (Nesterov)
    w <- w * (1 - rate * decay) - rate * 0.2 * sqrt(max(rows, columns)) * orthogonal(d)

    A weight of more than two dimensions is seen as a matrix of out_channels rows.  The factor gives the step
    the size of one of AdamW, so that rates mean the same (Liu et al. 2025).  The orthogonal matrix is found
    by five Newton-Schulz iterations; weights of one shape go through them together.

    A weight before a norm is held at the length sqrt(rows), where only its direction can tell anything:

    w <- w * sqrt(rows) / |w| - rate * 80 * orthogonal(d)

    Weights of one dimension (biases, norms) have no matrix; they take a step of Adam at the same rate.

    params: groups of weights, with `lr`, `momentum`, `weight_decay`, and `held` for those before a norm.
    Source: Jordan 2024, "Muon: an optimizer for hidden layers"; Jordan 2024, airbench94 (the lengths); torch.optim.Muon, which takes matrices only.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "held": False}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; weights without a gradient stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weights in _by_shape(group["params"]):
                if weights[0].ndim > 1:
                    self._step_alike(weights, group)
                else:
                    for weight in weights:
                        self._step_adam(weight, group["lr"], group["momentum"])
        return loss

    def _step_adam(self, weight: Tensor, rate: float, momentum: float) -> None:
        """w <- w - rate * m / (sqrt(v) + eps), both corrected for their start (Kingma and Ba 2015)."""
        gradient = weight.grad
        assert gradient is not None
        state = self.state[weight]
        if "step" not in state:
            state["step"] = torch.zeros(())
            state["momentum"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1 - momentum)
        state["square"].lerp_(gradient.square(), 1 - _SECOND)
        first = 1 - momentum ** float(state["step"])
        second = 1 - _SECOND ** float(state["step"])
        weight.addcdiv_(state["momentum"], (state["square"] / second).sqrt_().add_(1e-8), value=-rate / first)

    def _step_alike(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        directions = []
        for weight in weights:
            gradient = weight.grad
            assert gradient is not None
            state = self.state[weight]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            state["momentum"].lerp_(gradient, 1 - momentum)
            directions.append(gradient.lerp(state["momentum"], momentum).reshape(len(weight), -1))
        steps = orthogonal(torch.stack(directions))
        length = _HELD if group["held"] else 0.2 * math.sqrt(max(steps.shape[1:]))
        for weight, step in zip(weights, steps, strict=True):
            if group["held"]:
                weight.mul_(math.sqrt(len(weight)) / weight.norm().clamp(min=1e-12))
            else:
                weight.mul_(1 - rate * group["weight_decay"])
            weight.add_(step.reshape(weight.shape).to(weight.dtype), alpha=-rate * length)


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices whose rows (or columns) are orthogonal, roughly: singular values 0.7 to 1.2.

    X <- a X + (b X X' + c (X X')^2) X, five times, from X / |X|, in bfloat16

    matrices: N x rows x columns -> the same shape, bfloat16.
    """
    x = matrices.bfloat16()
    wide = x.shape[1] <= x.shape[2]
    if not wide:
        x = x.mT
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        update = torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C)
        x = torch.baddbmm(x, update, x, beta=_A)
    return x if wide else x.mT


def _by_shape(weights: list[Tensor]) -> list[list[Tensor]]:
    alike: dict[tuple[int, ...], list[Tensor]] = {}
    for weight in weights:
        if weight.grad is not None:
            alike.setdefault(tuple(weight.shape), []).append(weight)
    return list(alike.values())
