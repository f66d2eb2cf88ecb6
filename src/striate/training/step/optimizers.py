"""Optimizers by word, with weight decay where it belongs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.optimizers import OPTIMIZERS
from striate.training.settings import OptimizerSettings
from striate.training.step.muon import Muon


def make_optimizer(
    multipliers: Sequence[tuple[nn.Module, float]],
    settings: OptimizerSettings,
    fixed_norm: Iterable[Tensor] = (),
) -> torch.optim.Optimizer:
    """The optimizer of a training.

    multipliers: the modules that are trained, each with what its learning rate is multiplied with.
    fixed_norm: weights whose length makes no difference, for muon.
    Weight decay falls on weights of convolutions and fc only, not on biases, norms and scales, whose rate is
    `norm_lr_multiplier` times the others' (Page 2019, "How to train your ResNet" 8; Jordan 2024, section 3.4).
    """
    _spare_the_compiler()
    fixed = {id(weight) for weight in fixed_norm} if OPTIMIZERS[settings.word].orthogonal else set()
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}  # of a multiplier and a decay
    for module, multiplier in multipliers:
        for name, parameter in module.named_parameters():
            # A locally connected layer has a bias for each place, of three axes.
            decayed = parameter.ndim > 1 and not name.endswith("bias")
            decay = settings.weight_decay if decayed else 0.0
            own = multiplier * (1.0 if decayed else settings.norm_lr_multiplier)
            groups.setdefault((own, decay, id(parameter) in fixed), []).append(parameter)
    made = [
        {"params": parameters, "weight_decay": decay, "lr_multiplier": multiplier}
        | ({"fixed_norm": True} if is_fixed else {})
        for (multiplier, decay, is_fixed), parameters in groups.items()
    ]
    return _make(made, settings)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """The learning rate of the next step: each group has a multiplier of its own."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("lr_multiplier", 1.0)


def _spare_the_compiler() -> None:
    """Keep torch from loading its compiler, for a second, when the first optimizer is made.

    Torch wraps four methods so that the compiler leaves them alone, and loads it to do so; nothing is
    compiled here.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method is not None and not hasattr(method, "__dynamo_disable"):
            method.__dynamo_disable = method


def _make(groups: list[dict[str, Any]], settings: OptimizerSettings) -> torch.optim.Optimizer:
    kind = OPTIMIZERS[settings.word]
    options: dict[str, Any] = {"lr": settings.learning_rate, **kind.options}
    if kind.momentum == "betas":
        options["betas"] = (settings.momentum, 0.999)
    elif kind.momentum:
        options["momentum"] = settings.momentum
    if kind.orthogonal:
        return Muon(groups, precision=settings.precision, **options)
    own = getattr(torch.optim, kind.name)
    # L-BFGS knows no groups.
    weights = [weight for group in groups for weight in group["params"]] if kind.line_search else groups
    # What wraps the first step loads the compiler as well.
    step = torch.no_grad()(inspect.unwrap(own.step))
    made: torch.optim.Optimizer = type(own.__name__, (own,), {"step": step})(weights, **options)
    return made


def take_step(optimizer: torch.optim.Optimizer, gradient: Callable[[], float]) -> float:
    """One step.  gradient: computes the gradients of a batch and gives its loss; returns that before the step."""
    if isinstance(optimizer, torch.optim.LBFGS):
        # It looks at several points before it steps, and asks for the gradient at each.
        return float(optimizer.step(gradient))  # type: ignore[no-untyped-call]
    loss = gradient()
    optimizer.step()
    return loss
