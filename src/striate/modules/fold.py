"""Batch norms taken into the layers before them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from striate.modules.module import Net, SideClassifier, set_in_place
from striate.modules.module import Sequence as Bracket
from striate.modules.nn.scale import DropPath

_Norm = nn.BatchNorm1d | nn.BatchNorm2d

# What changes nothing at inference: a norm behind it can still be taken into the layer before it.
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d, DropPath)


def folded(net: Net) -> Net:
    """A copy for inference alone, in which a bn straight behind a conv or fc is part of its weights.

    w' = w * gamma / sqrt(var + eps);  b' = (b - mean) * gamma / sqrt(var + eps) + beta

    A maxpool may stand between where every gamma is above 0: the largest stays the largest.

    The norms and auxiliary classifiers become identities; the answers are those of `net.eval()` but for rounding.
    Source: Jacob et al. 2018, section 3.2.
    """
    made = copy.deepcopy(net).eval().requires_grad_(False)
    _fold(made, None)
    set_in_place(made, True)
    return made


def folded_parts(parts: Sequence[nn.Module]) -> nn.Sequential:
    """Copies of modules that stand one behind the other, likewise."""
    made = nn.Sequential(*copy.deepcopy(list(parts))).eval().requires_grad_(False)
    _fold(made, None)
    return made


class _Before(NamedTuple):
    """The layer that a bn may be taken into, and whether a maximum is taken between them."""

    layer: nn.Conv2d | nn.Linear
    pooled: bool = False


def _fold(container: nn.Module, before: _Before | None) -> _Before | None:
    """Fold what stands in a container; `before` is what stands before it, and what is there at its end comes back."""
    for name, child in list(container.named_children()):
        if isinstance(child, Bracket):
            before = _fold(child, before)
        elif (
            isinstance(child, _Norm)
            and before is not None
            and not (before.pooled and (child.weight <= 0).any())
        ):
            _take_in(before.layer, child)
            setattr(container, name, nn.Identity())
        elif isinstance(child, SideClassifier):
            setattr(container, name, nn.Identity())
        elif isinstance(child, nn.Conv2d | nn.Linear):
            before = _Before(child)
        elif isinstance(child, nn.MaxPool2d) and before is not None:
            before = _Before(before.layer, pooled=True)
        elif not isinstance(child, _NOTHING):
            for branch in child.children():
                if isinstance(branch, Bracket):
                    _fold(branch, None)
            before = None
    return before


def _take_in(layer: nn.Conv2d | nn.Linear, norm: _Norm) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = 0.0 if layer.bias is None else layer.bias.double()
    shifted = (bias - norm.running_mean.double()) * scale + norm.bias.double()
    weight = layer.weight.double() * scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    layer.weight = nn.Parameter(_like(weight, layer.weight), requires_grad=False)
    layer.bias = nn.Parameter(shifted.to(layer.weight.dtype), requires_grad=False)


def _like(made: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """In the type and the order in memory of the one it replaces."""
    return torch.empty_like(old).copy_(made)
