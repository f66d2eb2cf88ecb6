"""How far a map can be trusted: whether it adds up, depends on the weights, and names the pixels that matter."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.explaining.class_map import on_image
from striate.explaining.layers import At
from striate.explaining.robustness import blurred
from striate.explaining.subject import Subject
from striate.modules.initial import initialize

# Shares of the pixels that are taken away or put in, one after the other.
STEPS = 20

# Maps of random numbers that a map is compared with, and the seed of all of them.
DRAWS, SEED = 4, 0

# Shares of the layers with weights that are drawn anew, from the answer down.
CASCADE = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Method:
    """A way to make a map.

    key, title: how it is called.  at: the layer whose maps it shows; None for one value a pixel.
    compute: subject, x 1 x C x H x W, target K -> the map.
    """

    key: str
    title: str
    at: At | None
    compute: Callable[[Subject, Tensor, Tensor], NDArray[np.float32]]


@dataclass(frozen=True)
class Confidence:
    """What is known of one map.

    deletion, insertion: area under the probability of the class while the pixels are taken away or put in, those
    of the largest values first; low and high are good.  random_deletion, random_insertion: the same of random maps
    as fine as it, their mean.
    likeness: for each share of the layers that were drawn anew, from the answer down, the rank correlation of the
    map with what it was; a map that stays alike says nothing of what was learned.
    """

    title: str
    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float
    likeness: tuple[tuple[float, float], ...]


def confidence(
    subject: Subject, x: Tensor, target: Tensor, method: Method, values: NDArray[np.float32]
) -> Confidence:
    """Measure one map of one image.

    x: 1 x C x H x W.  target: 1 for the class.  values: the map, as `method.compute` gave it.
    Source: Petsiuk, Das and Saenko 2018 (RISE), section 3.3; Adebayo et al. 2018, "Sanity checks for saliency maps",
    section 3.1, cascading randomization.
    """
    size = (x.shape[2], x.shape[3])
    label = int(target.argmax())
    deletion, insertion = areas(subject, x, label, on_image(values, size))
    generator = np.random.default_rng(SEED)
    random = [areas(subject, x, label, on_image(_noise(generator, values.shape), size)) for _ in range(DRAWS)]
    likeness = [
        (share, rank_correlation(values, method.compute(other, x, target)))
        for share, other in _drawn_anew(subject)
    ]
    mean = np.mean(random, axis=0)
    return Confidence(method.title, deletion, insertion, float(mean[0]), float(mean[1]), tuple(likeness))


def areas(
    subject: Subject, x: Tensor, label: int, values: NDArray[np.float32], *, steps: int = STEPS
) -> tuple[float, float]:
    """The areas under the deletion and the insertion curve of a map, height x width of the image.

    The probability of the class is drawn over the share of pixels that are gone, or there.  What is taken away
    becomes the training mean; what is not there yet is the blurred image, which has no sharp edges of its own.
    steps: shares of the pixels.
    """
    order = torch.from_numpy(np.argsort(-values, axis=None, kind="stable").copy()).to(x.device)
    flat, zero = x.flatten(2), torch.zeros_like(x).flatten(2)
    soft = blurred(x, max(x.shape[2:]) / 20).flatten(2)
    deleted, inserted = [], []
    for step in range(steps + 1):
        first = order[: round(step / steps * len(order))]
        deleted.append(flat.index_copy(2, first, zero[:, :, first]))
        inserted.append(soft.index_copy(2, first, flat[:, :, first]))
    both = torch.cat(deleted + inserted).reshape(-1, *x.shape[1:])
    probability = torch.softmax(subject.logits(both), dim=1)[:, label].double().cpu().numpy()
    curves = probability.reshape(2, steps + 1)
    return float(np.trapezoid(curves[0]) / steps), float(np.trapezoid(curves[1]) / steps)


def rank_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Spearman's: the correlation of ranks, those of equal values averaged; 0 where a map is the same everywhere."""
    ranks = [_ranks(each) for each in (one, other)]
    first, second = (each - each.mean() for each in ranks)
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale > 0 else 0.0


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: NDArray[np.float64] = (last - (count - 1) / 2)[place.ravel()]
    return ranks


def _noise(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return generator.random(shape, dtype=np.float32)


def _drawn_anew(subject: Subject) -> list[tuple[float, Subject]]:
    """Copies of the network with more and more layers drawn anew, from the answer down; its own are kept."""
    own = subject.net
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        fresh = copy.deepcopy(own).cpu()
        initialize(fresh)
    for module in fresh.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
    fresh = fresh.to(subject.device)
    # Each module with weights of its own, the last first.
    paths = [path for path, module in own.named_modules() if _own_weights(module)][::-1]
    found = []
    for share in CASCADE:
        count = max(1, round(share * len(paths)))
        net = copy.deepcopy(own)
        for path in paths[:count]:
            net.get_submodule(path).load_state_dict(fresh.get_submodule(path).state_dict())
        found.append((count / len(paths), replace(subject, net=net)))
    return found


def _own_weights(module: nn.Module) -> bool:
    return next(iter(module.parameters(recurse=False)), None) is not None
