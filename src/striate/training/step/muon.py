"""Muon: steps whose directions are orthogonal matrices, for weights of convolutions and fc."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from striate.net.plan.memory import LARGE_MATRIX

# Coefficients of the quintic iteration whose slope at zero is greatest (Jordan 2024).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5

# A weight whose length tells nothing takes at the usual learning rate, 0.003, a step of 0.24 of its length.
_FIXED_NORM_STEP = 80

# A matrix of no length is divided by this.
_LEAST = 1e-7

# The second beta of Adam.
_SECOND = 0.999


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal.

    m <- momentum * m + (1 - momentum) * g;  d = (1 - momentum) * g + momentum * m   (Nesterov)
    w <- w * (1 - rate * decay) - rate * 0.2 * sqrt(max(rows, columns)) * orthogonal(d)

    A weight of more than two dimensions is seen as a matrix of out_channels rows.  The factor gives the step
    the size of one of AdamW, so that rates mean the same (Liu et al. 2025).  The orthogonal matrix is found
    by five Newton-Schulz iterations (see `orthogonal`).

    A weight before a norm keeps the length sqrt(rows), where only its direction can tell anything:

    w <- w * sqrt(rows) / |w| - rate * 80 * orthogonal(d)

    Weights of one dimension (biases, norms) have no matrix; they take a step of Adam at the same rate.

    params: groups of weights, with `lr`, `momentum`, `weight_decay`, and `fixed_norm` for those before a norm.
    precision: fp32 or bf16, of the iterations.
    Source: Jordan 2024, "Muon: an optimizer for hidden layers"; Jordan 2024, airbench94 (the lengths); torch.optim.Muon, which takes matrices only.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        precision: str = "fp32",
    ) -> None:
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "fixed_norm": False}
        )
        self._precision = precision

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; weights without a gradient stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            vectors = [weight for weight in weights if weight.ndim == 1]
            if vectors:
                self._step_adam(vectors, group["lr"], group["momentum"])
            for alike in _alike([weight for weight in weights if weight.ndim > 1], self._precision):
                self._step_alike(alike, group)
        return loss

    def _step_adam(self, weights: list[Tensor], rate: float, momentum: float) -> None:
        """w <- w - rate * m / (sqrt(v) + eps), both corrected for their start (Kingma and Ba 2015)."""
        gradients = _gradients(weights)
        for weight in weights:
            state = self.state[weight]
            if "step" not in state:
                state["step"] = torch.zeros(())
                state["momentum"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
            state["step"] += 1
        means, squares = ([self.state[weight][name] for weight in weights] for name in ("momentum", "square"))
        counts = [float(self.state[weight]["step"]) for weight in weights]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - _SECOND)
        lengths = torch._foreach_div(squares, [1 - _SECOND**count for count in counts])
        torch._foreach_sqrt_(lengths)
        torch._foreach_add_(lengths, 1e-8)
        torch._foreach_addcdiv_(weights, means, lengths, [-rate / (1 - momentum**count) for count in counts])

    def _step_alike(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        gradients = _gradients(weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            state = self.state[weight]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
        means = [self.state[weight]["momentum"] for weight in weights]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        directions = torch._foreach_lerp(gradients, means, momentum)
        matrices = [_in_memory_order(each).flatten(1) for each in directions]
        del directions
        for weight, step in zip(weights, orthogonal(matrices, self._precision), strict=True):
            length = _FIXED_NORM_STEP if group["fixed_norm"] else 0.2 * math.sqrt(max(step.shape))
            if group["fixed_norm"]:
                weight.mul_(math.sqrt(len(weight)) / weight.norm().clamp(min=1e-12))
            else:
                weight.mul_(1 - rate * group["weight_decay"])
            flat = _in_memory_order(weight)
            flat.add_(step.reshape(flat.shape).to(weight.dtype), alpha=-rate * length)


def orthogonal(matrices: list[Tensor], precision: str) -> Iterator[Tensor]:
    """The nearest matrices whose rows (or columns) are orthogonal, roughly: singular values 0.7 to 1.2.

    X <- (a I + b X X' + c (X X')^2) X, five times, from X / |X|

    precision: bf16 does that as it stands, with matrices of one shape together.  fp32 does it in the smaller space
    of X X', with matrices together whose smaller sides are alike: with G = X X' and P = a I + b G + c G^2 an
    iteration is Q <- P Q, G <- P G P, and Q X at the end is the same X.  Of a 3x3 convolution that takes a third of
    the multiply-adds; the squares in G need the digits of fp32.

    matrices: rows x columns each -> the same shapes, in that precision, one by one.
    """
    wide = [x if len(x) <= x.shape[1] else x.mT for x in matrices]
    turned = _iterated(wide) if precision == "bf16" else _iterated_small(wide)
    for x, found in zip(matrices, turned, strict=True):
        yield found if found.shape == x.shape else found.mT


def _iterated(matrices: list[Tensor]) -> Iterable[Tensor]:
    x = torch.stack(matrices).bfloat16()
    x = x / x.flatten(1).norm(dim=1).clamp(min=_LEAST)[:, None, None]
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        update = torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C)
        x = torch.baddbmm(x, update, x, beta=_A)
    return x


def _iterated_small(matrices: list[Tensor]) -> Iterator[Tensor]:
    gram = torch.stack([x @ x.mT for x in matrices])
    # The trace is the square of the length.
    lengths = gram.diagonal(dim1=1, dim2=2).sum(dim=1).sqrt_().clamp_(min=_LEAST)[:, None, None]
    gram /= lengths.square()
    update = torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C)
    whole = update.clone()
    whole.diagonal(dim1=1, dim2=2).add_(_A)
    for _ in range(_ITERATIONS - 1):
        half = torch.baddbmm(gram, update, gram, beta=_A)
        gram = torch.baddbmm(half, half, update, beta=_A)
        update = torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C)
        whole = torch.baddbmm(whole, update, whole, beta=_A)
    del half, gram, update
    whole /= lengths
    return (each @ x for each, x in zip(whole, matrices, strict=True))


def _gradients(weights: list[Tensor]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]


def _in_memory_order(weight: Tensor) -> Tensor:
    """A view whose last axes lie as in memory: columns may stand in any order, and are not copied then."""
    last = weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return weight.permute(0, 2, 3, 1) if last else weight


def _alike(weights: list[Tensor], precision: str) -> list[list[Tensor]]:
    """Weights that go through the iterations together: of one shape in bf16, of one smaller side in fp32."""
    found: dict[tuple[int, ...], list[Tensor]] = {}
    for weight in weights:
        rows, columns = len(weight), weight.numel() // len(weight)
        # Large ones fill the processor one by one.
        alone = (id(weight),) if min(rows, columns) >= LARGE_MATRIX else ()
        key = (rows, columns) if precision == "bf16" else (min(rows, columns), *alone)
        found.setdefault(key, []).append(weight)
    return list(found.values())
