"""How the answer changes when the image is shifted, turned, dimmed or blurred."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from striate.explaining.subject import Subject

SHIFTS = (1, 2, 4, 8)
TURNS = (-10, 10)
LIGHT = (0.75, 0.5)
BLURS = (1.0, 2.0)


@dataclass(frozen=True)
class Change:
    """What became of the answer.

    kind: unchanged, shifted, turned, dimmed or blurred.  by: how far, as it is said.  logit: of the class that is explained;
    margin: how far it lies over the best other class, negative where that one is answered.
    answer: the class that is answered now.
    """

    kind: str
    by: str
    logit: float
    margin: float
    answer: str


def changes(subject: Subject, stored: NDArray[Any], logits: Tensor, label: int) -> list[Change]:
    """The answer to each changed image, that to the unchanged one first.

    stored: the image, height x width x channels.  logits: of it as it is, K.  label: the class that is explained.
    """
    image = torch.from_numpy(np.ascontiguousarray(stored, dtype=np.float32)).permute(2, 0, 1)[None]
    told = [("shifted", f"{by} px", _shifted(image, by)) for by in SHIFTS if by < stored.shape[1] // 2]
    told += [("turned", f"{by:+}°", _turned(image, by)) for by in TURNS]
    told += [("dimmed", f"x {by:g}", image * by) for by in LIGHT]
    told += [("blurred", f"{by:g} px", blurred(image, by)) for by in BLURS]
    together = torch.cat([each for _, _, each in told]).permute(0, 2, 3, 1).contiguous().numpy()
    found = subject.logits(subject.read(together)).float().cpu()
    return [_change(subject.classes, "unchanged", "", logits.cpu(), label)] + [
        _change(subject.classes, kind, by, row, label) for (kind, by, _), row in zip(told, found, strict=True)
    ]


def _change(classes: Sequence[str], kind: str, by: str, logits: Tensor, label: int) -> Change:
    others = logits.clone()
    others[label] = -math.inf
    margin = float(logits[label] - others.max()) if len(classes) > 1 else math.inf
    return Change(kind, by, float(logits[label]), margin, classes[int(logits.argmax())])


def _shifted(image: Tensor, by: int) -> Tensor:
    """To the right; the first column is repeated at the edge."""
    return F.pad(image, (by, 0, 0, 0), mode="replicate")[..., : image.shape[-1]]


def _turned(image: Tensor, degrees: float) -> Tensor:
    """Counterclockwise about the middle, bilinear, mirrored beyond the edge."""
    angle = math.radians(degrees)
    height, width = image.shape[2:]
    cos, sin = math.cos(angle), math.sin(angle)
    # grid_sample counts each side from -1 to 1, whatever its length.
    turn = torch.tensor([[[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]]])
    grid = F.affine_grid(turn, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)


def blurred(image: Tensor, deviation: float) -> Tensor:
    """N x C x H x W, blurred by a Gaussian of that standard deviation in pixels, edges repeated."""
    reach = math.ceil(2.5 * deviation)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2)
    weights /= weights.sum()
    wide = F.pad(image, (reach, reach, reach, reach), mode="replicate").flatten(0, 1)[:, None]
    weights = weights.to(image)
    done = F.conv2d(F.conv2d(wide, weights.reshape(1, 1, -1, 1)), weights.reshape(1, 1, 1, -1))
    return done.reshape(image.shape)
