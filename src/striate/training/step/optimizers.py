"""Optimizers by word, with weight decay where it belongs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.recipe.defaults import DECAYS, RATES
from striate.recipe.keys import Recipe
from striate.training.step.muon import Muon


def default_learning_rate(optimizer: str, net: nn.Module) -> float:
    """The rate taken where none is said: less for a network without normalization."""
    normalized = any(
        isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) or type(module).__name__ == "ChannelNorm"
        for module in net.modules()
    )
    return RATES[optimizer][0 if normalized else 1]


def default_weight_decay(optimizer: str) -> float:
    """The weight decay taken where none is said: decoupled ones take far more."""
    return DECAYS.get(optimizer, 5e-4)


def make_optimizer(
    shares: Sequence[tuple[nn.Module, float]], recipe: Recipe, held: Iterable[Tensor] = ()
) -> torch.optim.Optimizer:
    """The optimizer of a recipe whose rate and weight decay are chosen.

    shares: the modules that are trained, each with its share of the rate.
    held: weights whose length tells nothing, for muon.
    Weight decay falls on weights of convolutions and fc only, not on biases, norms and scales, whose rate is
    `norm_lr_multiplier` times the others' (Page 2019, "How to train your ResNet" 8; Jordan 2024, section 3.4).
    """
    assert recipe.learning_rate is not None
    assert recipe.weight_decay is not None
    _spare_the_compiler()
    kept = {id(weight) for weight in held} if recipe.optimizer == "muon" else set()
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}  # of a share and a decay, held or not
    for module, share in shares:
        for name, parameter in module.named_parameters():
            # A locally connected layer has a bias for each place, of three axes.
            decayed = parameter.ndim > 1 and not name.endswith("bias")
            decay = recipe.weight_decay if decayed else 0.0
            own = share * (1.0 if decayed else recipe.norm_lr_multiplier)
            groups.setdefault((own, decay, id(parameter) in kept), []).append(parameter)
    made = [
        {"params": parameters, "weight_decay": decay, "share": share} | ({"held": True} if is_held else {})
        for (share, decay, is_held), parameters in groups.items()
    ]
    return _make(made, recipe, recipe.learning_rate)


def _spare_the_compiler() -> None:
    """Keep torch from loading its compiler, for a second, when the first optimizer is made.

    Torch wraps four methods so that the compiler leaves them alone, and loads it to do so; nothing is
    compiled here.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method is not None and not hasattr(method, "__dynamo_disable"):
            method.__dynamo_disable = method


def _make(groups: list[dict[str, Any]], recipe: Recipe, learning_rate: float) -> torch.optim.Optimizer:
    momentum = {"momentum": recipe.momentum}
    betas = {"betas": (recipe.momentum, 0.999), "fused": True}
    match recipe.optimizer:
        case "sgd":
            return _without_compiler(torch.optim.SGD, groups, lr=learning_rate, fused=True)
        case "momentum":
            return _without_compiler(torch.optim.SGD, groups, lr=learning_rate, fused=True, **momentum)
        case "nesterov":
            return _without_compiler(
                torch.optim.SGD, groups, lr=learning_rate, fused=True, nesterov=True, **momentum
            )
        case "adagrad":
            return _without_compiler(torch.optim.Adagrad, groups, lr=learning_rate)
        case "rmsprop":
            return _without_compiler(torch.optim.RMSprop, groups, lr=learning_rate, **momentum)
        case "adam":
            return _without_compiler(torch.optim.Adam, groups, lr=learning_rate, **betas)
        case "adamw":
            return _without_compiler(torch.optim.AdamW, groups, lr=learning_rate, **betas)
        case "muon":
            return Muon(groups, lr=learning_rate, precision=recipe.optimizer_precision, **momentum)
        case "lbfgs":
            weights = [weight for group in groups for weight in group["params"]]
            return torch.optim.LBFGS(weights, lr=learning_rate, max_iter=4, history_size=10)


def _without_compiler(
    kind: type[torch.optim.Optimizer], groups: list[dict[str, Any]], **options: Any
) -> torch.optim.Optimizer:
    """An optimizer of torch's whose first step does not load the compiler either: what wraps it there does."""
    step = torch.no_grad()(inspect.unwrap(kind.step))
    made: torch.optim.Optimizer = type(kind.__name__, (kind,), {"step": step})(groups, **options)
    return made


def rate_factor(schedule: str, progress: float, warmup: float) -> float:
    """What the highest learning rate is multiplied with after a share `progress` of the training, 0 to 1.

    The first `warmup` of the training rises in a straight line from 0.01 to 1; what follows is, with t
    running from 0 to 1 over the rest:

      constant     1
      step         0.1 ^ floor(3 t): three stages, each a tenth of the one before
      exponential  0.01 ^ t
      inverse      1 / (1 + 9 t)
      cosine       (1 + cos(pi t)) / 2
      one-cycle    1 - t, down to 0 in a straight line; with its warm-up a triangle (Smith 2018)

    Source: Goyal et al. 2017 (warm-up); Loshchilov and Hutter 2017 (cosine).
    """
    if progress < warmup:
        return 0.01 + 0.99 * progress / warmup
    t = min(1.0, (progress - warmup) / (1 - warmup))
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return float(0.1 ** math.floor(min(3 * t, 2.999)))
    if schedule == "exponential":
        return float(0.01**t)
    if schedule == "inverse":
        return 1 / (1 + 9 * t)
    if schedule == "cosine":
        return (1 + math.cos(math.pi * t)) / 2
    return 1 - t
