"""What a network has to beat, and what it has to manage: small experiments of seconds, each with its number.

Constant answer, nearest neighbors, a linear model; and a network that fits a handful of images.  Nothing here is
written to disk, and torch's random state is left as it was.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from striate.data.gather import Split
from striate.data.images import Images, center
from striate.doctor.first_look import Doubt
from striate.doctor.probed import FIT_STEPS, FITTED_LOSS, Fit, Pair
from striate.modules.module import Net
from striate.net.layout.normed import normalizes
from striate.net.plan.memory import Thrift
from striate.optimizers import OPTIMIZERS
from striate.predict.normalize import Feeder
from striate.progress import Watch
from striate.training.loop.loop import Stopped
from striate.training.loop.stages import optimizer_of
from striate.training.settings import Settings
from striate.training.step.micro_batches import compute_gradients
from striate.training.step.optimizers import set_learning_rate, take_step
from striate.training.step.target import Target

# Images that a baseline learns from and is measured on, evenly spread: seconds, and two digits of an accuracy.
MOST_LEARNT, MOST_SCORED = 4000, 2000
# Values of an image that a linear model reads, and values times classes: a quarter of a minute on one core.
MOST_VALUES, MOST_PRODUCT = 1024, 40_000
# Strengths of the pull to 0 that are tried on a fifth of the images.
PULLS = (1e-3, 1e-2, 1e-1)
# Neighbors that are asked.
NEIGHBORS = 5


def subsample(split: Split, most: int) -> Split:
    """At most so many of the images of a split, evenly spread."""
    if len(split.labels) <= most:
        return split
    kept = np.linspace(0, len(split.labels) - 1, most).astype(np.int64)
    return Split(
        np.ascontiguousarray(split.images[kept]), split.labels[kept], tuple(split.names[i] for i in kept)
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """How often a simple way to answer is right.

    right: for each of the images that were asked.
    """

    right: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.right.mean())

    def against(self, other: Baseline) -> Pair:
        """Compared with another way, on the same images."""
        return Pair(
            self.accuracy,
            other.accuracy,
            int((self.right & ~other.right).sum()),
            int((other.right & ~self.right).sum()),
            len(self.right),
        )


def constant(train: Split, scored: Split) -> Baseline:
    """Always the class that is most frequent in training."""
    return Baseline(scored.labels == np.bincount(train.labels).argmax())


def values(split: Split, size: tuple[int, int], most: int = MOST_VALUES) -> NDArray[np.float32]:
    """The pixels of each image as the network is shown it, averaged down to at most `most` values: N x D."""
    images = center(split.images, size)
    side = math.isqrt(max(1, most // images.shape[3]))
    out = [
        F.adaptive_avg_pool2d(
            torch.from_numpy(images[start : start + 256].astype(np.float32)).permute(0, 3, 1, 2),
            (min(side, size[0]), min(side, size[1])),
        ).flatten(1)
        for start in range(0, len(images), 256)
    ]
    return torch.cat(out).numpy()


def gradients(split: Split, size: tuple[int, int]) -> NDArray[np.float32]:
    """Histograms of gradient directions, 9 directions (unsigned) in 4x4 cells, each image to length 1: N x 144.

    Source: Dalal and Triggs 2005, without blocks.
    """
    images: Images = center(split.images, size)
    rows = []
    for start in range(0, len(images), 256):
        gray = torch.from_numpy(images[start : start + 256].astype(np.float32)).mean(dim=3)[:, None]
        padded = F.pad(gray, (1, 1, 1, 1), mode="replicate")
        down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        length = (down.square() + across.square()).sqrt()
        place = (torch.atan2(down, across) / math.pi % 1.0 * 9).long().clamp(0, 8)
        votes = torch.zeros(len(gray), 9, *gray.shape[2:]).scatter_(1, place, length)
        cells = F.adaptive_avg_pool2d(votes, (min(4, size[0]), min(4, size[1]))).flatten(1)
        rows.append(F.normalize(cells, dim=1))
    return torch.cat(rows).numpy()


def linear(
    learnt: NDArray[np.float32], labels: NDArray[np.int64], asked: NDArray[np.float32], classes: int
) -> NDArray[np.float32]:
    """Multinomial logistic regression on values, N x D, each scaled to mean 0 and standard deviation 1.

    Its pull to 0 is chosen on a fifth of what it learns from.  Returns the probabilities of what is asked, M x classes.
    """
    mean, std = learnt.mean(axis=0), learnt.std(axis=0)
    std[std < 1e-6 * max(1.0, float(std.max()))] = np.inf
    x, y = torch.from_numpy((learnt - mean) / std), torch.from_numpy(labels)
    held = torch.arange(len(y)) % 5 == 4
    pull = PULLS[1]
    if int(held.sum()) >= 20:
        fits = [_logistic(x[~held], y[~held], classes, each, 40) for each in PULLS]
        found = [float(((x[held] @ w + b).argmax(dim=1) == y[held]).float().mean()) for w, b in fits]
        pull = PULLS[int(np.argmax(found))]
    weights, bias = _logistic(x, y, classes, pull, 100)
    logits = torch.from_numpy((asked - mean) / std).float() @ weights + bias
    return torch.softmax(logits, dim=1).numpy()


def _logistic(
    x: torch.Tensor, y: torch.Tensor, classes: int, pull: float, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """min over w, b of mean cross-entropy(x w + b) + pull / 2 * |w|^2, by L-BFGS from 0."""
    x = x.float()
    weights = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    search = torch.optim.LBFGS([weights, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        loss = F.cross_entropy(x @ weights + bias, y) + pull / 2 * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach(), bias.detach()


def values_for(classes: int) -> int:
    """How many values of an image a linear model can read for so many classes, in the time that it has."""
    return max(64, min(MOST_VALUES, MOST_PRODUCT // classes))


def neighbors(
    learnt: NDArray[np.float32], labels: NDArray[np.int64], asked: NDArray[np.float32] | None, classes: int
) -> NDArray[np.int64]:
    """The vote of the five nearest images, by the angle between their values less the mean; ties to the nearest.

    asked: None for the images that are learnt, of which none votes for itself.  Returns a class for each.
    """
    mean = learnt.mean(axis=0)
    known = F.normalize(torch.from_numpy(learnt - mean).float(), dim=1)
    own = torch.from_numpy(labels)
    # Votes that fall by the distance: two near ones outweigh two far ones, and three of five win.
    share = torch.tensor([1.0 + 0.01 * (NEIGHBORS - each) for each in range(NEIGHBORS)])
    unknown = known if asked is None else F.normalize(torch.from_numpy(asked - mean).float(), dim=1)
    answers = []
    for start in range(0, len(unknown), 512):
        like = unknown[start : start + 512] @ known.T
        if asked is None:
            rows = torch.arange(len(like))
            like[rows, rows + start] = -math.inf
        near = like.topk(min(NEIGHBORS, like.shape[1]), dim=1).indices
        votes = torch.zeros(len(near), classes)
        votes.scatter_add_(1, own[near], share[: near.shape[1]].expand(len(near), -1))
        answers.append(votes.argmax(dim=1).numpy())
    return np.concatenate(answers)


LINEAR = "a linear model on the pixels"


def simple_models(
    train: Split, scored: Split, size: tuple[int, int], classes: int, watch: Watch
) -> tuple[tuple[str, Baseline], ...]:
    """Nearest neighbors, a linear model on the pixels (`LINEAR`), and one on gradient histograms."""
    watch.begin("simple models", 3)
    known, asked = values(train, size, values_for(classes)), values(scored, size, values_for(classes))
    near = neighbors(known, train.labels, asked, classes)
    watch.advance(1, "")
    straight = linear(known, train.labels, asked, classes).argmax(axis=1)
    watch.advance(2, "")
    edges = linear(gradients(train, size), train.labels, gradients(scored, size), classes).argmax(axis=1)
    watch.advance(3, "")
    watch.end()
    found = (("nearest neighbors", near), (LINEAR, straight), ("a linear model on gradients", edges))
    return tuple((name, Baseline(answers == scored.labels)) for name, answers in found)


def doubts(train: Split, size: tuple[int, int], classes: Sequence[str]) -> tuple[int, tuple[Doubt, ...]]:
    """Labels on which five neighbors and a linear model, neither of which saw them, agree on another class.

    The linear model reads pixels and gradients, and answers each third of the images after learning from the others.
    Returns also on how many images the two agree at all; the surest doubt comes first.
    """
    kinds = len(classes)
    pixels = values(train, size, values_for(kinds))
    known = np.concatenate([pixels, gradients(train, size)], axis=1)
    fold = np.arange(len(known)) % 3
    found = np.zeros((len(known), kinds), dtype=np.float32)
    for each in range(3):
        others = fold != each
        if len(np.unique(train.labels[others])) > 1:
            found[~others] = linear(known[others], train.labels[others], known[~others], kinds)
    answers = found.argmax(axis=1)
    agreed = answers == neighbors(pixels, train.labels, None, kinds)
    own = found[np.arange(len(answers)), train.labels]
    # How many classes are more probable than the label.
    behind = (found > own[:, None]).sum(axis=1)
    wrong = np.flatnonzero(agreed & (answers != train.labels))
    order = wrong[np.argsort(-found[wrong, answers[wrong]], kind="stable")]
    named = tuple(
        Doubt(
            train.names[i], classes[train.labels[i]], classes[answers[i]], float(found[i, answers[i]]),
            bool(2 * behind[i] >= kinds),
        )
        for i in order
    )  # fmt: skip
    return int(agreed.sum()), named


def with_adamw(settings: Settings, net: Net) -> Settings:
    """The settings with the optimizer and the learning rate that fit nearly everything: adamw at what suits the network."""
    learning_rate = OPTIMIZERS["adamw"].learning_rate_for(normalized=normalizes(net.layout))
    optimizer = replace(settings.optimizer, word="adamw", learning_rate=learning_rate, momentum=0.9)
    return replace(settings, optimizer=optimizer)


def fit_few(
    net: Net,
    feeder: Feeder,
    few: Split,
    size: tuple[int, int],
    settings: Settings,
    *,
    limit_s: float,
    watch: Watch,
    steps: int = int(FIT_STEPS),
) -> Fit:
    """Train a copy of a network on the same few images, without what is there to keep it from learning them by heart.

    Its optimizer and learning rate (constant, after ten steps of warm-up) are those of the settings; dropout, weight decay,
    augmentation, label smoothing and auxiliary weights of classes are left out.  In training mode: batch norms take
    the statistics of these images.

    Raises Stopped where `watch` asks to stop.
    """
    net = copy.deepcopy(net)
    net.train()
    for module in net.modules():
        if type(module).__name__ in ("Dropout", "Dropout2d", "DropPath"):
            module.eval()
    optimizer = optimizer_of(net, [(net, 1.0)], replace(settings.optimizer, weight_decay=0.0))
    settings = replace(settings, label_smoothing=0.0, precision="fp32", thrift=Thrift())
    x, target = feeder.images(center(few.images, size)), Target(feeder.labels(few.labels))
    began, loss, right, done, finite = time.monotonic(), math.nan, 0, 0, True

    def gradient() -> float:
        nonlocal right
        found = compute_gradients(net, optimizer, x, target, settings)
        right = found.right
        return found.loss

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        for step in range(steps):
            set_learning_rate(optimizer, settings.learning_rate * min(1.0, (step + 1) / 10))
            loss = take_step(optimizer, gradient)
            done = step + 1
            finite = math.isfinite(loss)
            if not finite or (right == len(few.labels) and loss < FITTED_LOSS):
                break
            watch.advance(done, f"loss {loss:.3f}")
            if watch.stopping():
                raise Stopped("stopped before the end: there is no result")
            if time.monotonic() - began > limit_s:
                break
    seconds = time.monotonic() - began
    return Fit(
        len(few.labels),
        done,
        right,
        loss,
        seconds,
        finite,
        done == steps,
        settings.optimizer.word,
        settings.learning_rate,
    )
