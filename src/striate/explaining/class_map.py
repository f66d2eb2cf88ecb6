"""Why this class, place by place: the exact class map where the network allows it, and Grad-CAM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from striate.explaining.layers import Head
from striate.explaining.subject import as_array, outputs_at
from striate.modules.module import Net


@dataclass(frozen=True)
class ClassMap:
    """What each place of the last maps contributes to a logit, or to the difference of two.

    values: height x width.  averages: logit = mean(values) + bias; else logit = sum(values) + bias.
    logit: as the network itself answers it.
    """

    values: NDArray[np.float32]
    bias: float
    logit: float
    averages: bool

    @property
    def total(self) -> float:
        """The mean or the sum of the map, plus the bias: the logit, but for rounding."""
        together = self.values.mean(dtype=np.float64) if self.averages else self.values.sum(dtype=np.float64)
        return float(together) + self.bias

    @property
    def adds_up(self) -> bool:
        """Whether the total is the logit, to one part in a thousand of the largest number on the way."""
        largest = max(1.0, abs(self.logit), float(np.abs(self.values).max()))
        return abs(self.total - self.logit) < 1e-3 * largest


def class_map(net: Net, x: Tensor, head: Head, target: Tensor) -> ClassMap:
    """The exact class map: the closing fc's weights times the last maps.

        M[i,j] = sum over c of w[c] * A[c,i,j];  logit = mean(M) + b    behind a global average pool
        M[i,j] = sum over c of w[c,i,j] * A[c,i,j];  logit = sum(M) + b    where the fc reads the maps themselves
        M[i,j] = sum of w[c] * A[c,i,j] over the c whose largest value lies at i,j;  logit = sum(M) + b
                                                                           behind a global max pool

    x: 1 x C x H x W.  target: one number a class, 1 for the class and 0 elsewhere; -1 for one it is set against.
    Source: Zhou et al. 2016, "Learning deep features for discriminative localization", section 2.
    """
    with torch.no_grad():
        logits, (read,) = outputs_at(net, x, [head.consumer], inputs=True)
        maps = read.reshape(head.at.shape)
        bias = 0.0
        weights = target
        if head.fc is not None:
            fc = net.part(head.fc)
            weights = target @ fc.weight  # type: ignore[operator]
            bias = float(target @ fc.bias) if fc.bias is not None else 0.0  # type: ignore[operator]
        if head.pool == "max":
            flat = maps.flatten(1)
            largest, place = flat.max(dim=1, keepdim=True)
            maps = torch.zeros_like(flat).scatter_(1, place, largest).reshape(head.at.shape)
        weights = weights.reshape(head.at.shape) if head.pool is None else weights[:, None, None]
        values = (weights * maps).sum(dim=0)
    return ClassMap(as_array(values), bias, float(logits[0] @ target), head.averages)


def grad_cam(net: Net, x: Tensor, path: str, target: Tensor) -> NDArray[np.float32]:
    """Where the maps of a layer speak for a class, height x width, never negative.

        a[c] = mean over i,j of d logit / d A[c,i,j];  M = relu(sum over c of a[c] * A[c])

    x: 1 x C x H x W.  target: as for `class_map`.
    Source: Selvaraju et al. 2017, "Grad-CAM", section 3, equations 1 and 2.
    """
    logits, (maps,) = outputs_at(net, x.detach().requires_grad_(True), [path])
    (gradient,) = torch.autograd.grad((logits @ target).sum(), maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return as_array((weights * maps).sum(dim=1).relu()[0])


def on_image(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A map laid over the image, bilinear and spread evenly: each value is as large a part of it as every other.

    Where each value stands at the middle of what its unit can see, which padding shifts by up to half a step, maps of two
    published networks point at the object no more often and deletion is no better (docs/explain.md).
    """
    if values.shape == size:
        return values
    return np.asarray(Image.fromarray(values).resize(size[::-1], Image.Resampling.BILINEAR))
