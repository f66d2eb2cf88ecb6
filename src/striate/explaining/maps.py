"""What the layers make of an image: feature maps, and which pixels a unit of them sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.explaining.layers import At
from striate.explaining.subject import as_array, outputs_at
from striate.modules.module import Net

# Feature maps of a layer that are shown.
MOST_MAPS = 24

# The share of the gradient that is told of.
SHARE = 0.9


@dataclass(frozen=True)
class FeatureMaps:
    """The feature maps of a layer, some of them.

    values: K x height x width, those with the largest mean magnitude, the strongest first.  channels: their numbers.
    silent: how many of all maps are zero everywhere.
    """

    at: At
    values: NDArray[np.float32]
    channels: tuple[int, ...]
    silent: int


@dataclass(frozen=True)
class Sight:
    """What one unit of a layer sees.

    at: the layer.  unit: its row and column.  values: how much each pixel moves the unit, height x width of the
    image, channels added.  box: top, left, height and width of the pixels that can reach it, some of them in the
    padding; None where all of the image can.
    side: of the smallest square around the middle of the box that holds 9 tenths of the gradient; 0 without any.
    """

    at: At
    unit: tuple[int, int]
    values: NDArray[np.float32]
    box: tuple[int, int, int, int] | None
    side: int


def feature_maps(net: Net, x: Tensor, places: Sequence[At]) -> list[FeatureMaps]:
    """The strongest maps of some layers.  x: 1 x C x H x W."""
    with torch.no_grad():
        _, outputs = outputs_at(net, x, [at.path for at in places])
    found = []
    for at, output in zip(places, outputs, strict=True):
        values = as_array(output[0])
        strength = np.abs(values).mean(axis=(1, 2))
        order = np.argsort(-strength, kind="stable")[:MOST_MAPS]
        found.append(FeatureMaps(at, values[order], tuple(order.tolist()), int((strength == 0).sum())))
    return found


def sights(net: Net, x: Tensor, places: Sequence[At]) -> list[Sight]:
    """Which pixels the middle unit of each layer sees: in theory by its windows, in effect by its gradient.

        values[p] = sum over channels k of | d (sum over c of A[c,i,j]) / d x[k,p] |

    x: 1 x C x H x W.  Source: Luo et al. 2016, "Understanding the effective receptive field", section 3.
    """
    given = x.detach().requires_grad_(True)
    _, outputs = outputs_at(net, given, [at.path for at in places])
    found = []
    for at, output in zip(places, outputs, strict=True):
        row, column = at.shape.height // 2, at.shape.width // 2
        (gradient,) = torch.autograd.grad(output[0, :, row, column].sum(), given, retain_graph=True)
        values = as_array(gradient[0].abs().sum(dim=0))
        box = None
        middle = (values.shape[0] - 1) / 2, (values.shape[1] - 1) / 2
        if at.fields is not None:
            rows, columns = at.fields
            box = (
                rows.start + row * rows.step, columns.start + column * columns.step, rows.size, columns.size,
            )  # fmt: skip
            middle = at.center(row, column)
        found.append(Sight(at, (row, column), values, box, _side(values, middle)))
    return found


def _side(values: NDArray[np.float32], middle: tuple[float, float]) -> int:
    """The side of the smallest square around the middle that holds so much of it all."""
    total = values.sum(dtype=np.float64)
    if total == 0:
        return 0
    rows, columns = (np.abs(np.arange(side) - at) for side, at in zip(values.shape, middle, strict=True))
    far = np.maximum(rows[:, None], columns[None, :])
    order = np.argsort(far, axis=None, kind="stable")
    held = np.cumsum(values.ravel()[order], dtype=np.float64)
    reached = far.ravel()[order][np.searchsorted(held, SHARE * total)]
    return int(2 * reached) + 1
