"""Why this class, pixel by pixel: integrated gradients, and covering parts of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.explaining.subject import Subject, as_array
from striate.modules.module import Net


@dataclass(frozen=True)
class Integrated:
    """Integrated gradients of one image.

    values: height x width, all channels of a pixel added.  total: of all pixels.
    difference: what it has to be, logit(image) - logit(baseline).  steps: gradients that were taken.
    """

    values: NDArray[np.float32]
    total: float
    difference: float
    steps: int

    @property
    def error(self) -> float:
        """How far the total is off, as a share of the difference."""
        return abs(self.total - self.difference) / max(abs(self.difference), 1e-6)


def integrated_gradients(net: Net, x: Tensor, target: Tensor, *, steps: int, group: int) -> Integrated:
    """What each pixel contributes to the logit, against an image that the network reads as zeros: the training mean.

        IG[p] = x[p] * integral from 0 to 1 of d logit(a x) / d x[p] da,  by Gauss and Legendre

    Their sum is logit(x) - logit(0), but for the error of the integral.
    x: 1 x C x H x W.  target: as for `class_map`.  steps: gradients.  group: images that go through together.
    Source: Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks", section 3.
    """
    places, weights = np.polynomial.legendre.leggauss(steps)
    shares = torch.tensor((places + 1) / 2, dtype=x.dtype, device=x.device)
    parts = torch.tensor(weights / 2, dtype=x.dtype, device=x.device)
    total = torch.zeros_like(x)
    for share, part in zip(torch.split(shares, group), torch.split(parts, group), strict=True):
        some = (share[:, None, None, None] * x).detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad((net(some) @ target).sum(), some)
        total += (part[:, None, None, None] * gradient).sum(dim=0, keepdim=True)
    total *= x
    with torch.no_grad():
        ends = net(torch.cat([x, torch.zeros_like(x)])) @ target
    values = as_array(total.sum(dim=1)[0])
    return Integrated(values, float(total.double().sum()), float(ends[0] - ends[1]), steps)


def occlusion(
    subject: Subject, x: Tensor, target: Tensor, *, window: tuple[int, int], stride: tuple[int, int]
) -> NDArray[np.float32]:
    """How far the logit falls where a window of the image is covered by the training mean, height x width.

        M[p] = mean over the windows that hold p of logit(x) - logit(x with the window covered)

    x: 1 x C x H x W.  target: as for `class_map`.  window, stride: of the covered windows, in pixels; the last
    ones end with the image.
    Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
    """
    height, width = x.shape[2:]
    corners = [
        (top, left)
        for top in _starts(height, window[0], stride[0])
        for left in _starts(width, window[1], stride[1])
    ]
    drops = torch.zeros(height, width, dtype=torch.float64)
    times = torch.zeros(height, width, dtype=torch.float64)
    before = float(subject.logits(x)[0] @ target)
    for start in range(0, len(corners), subject.group):
        some = corners[start : start + subject.group]
        covered = x.repeat(len(some), 1, 1, 1)
        for image, (top, left) in zip(covered, some, strict=True):
            image[:, top : top + window[0], left : left + window[1]] = 0
        after = (subject.logits(covered) @ target).tolist()
        for value, (top, left) in zip(after, some, strict=True):
            here = slice(top, top + window[0]), slice(left, left + window[1])
            drops[here] += before - value
            times[here] += 1
    # Where the stride is larger than the window, some pixels are never covered.
    return as_array(drops / times.clamp(min=1))


def _starts(length: int, window: int, stride: int) -> range:
    return range(0, stride * (math.ceil(max(0, length - window) / stride) + 1), stride)
