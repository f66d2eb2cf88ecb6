"""How good the answers of a network are."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.data.images import Images, center
from striate.runs.record import MOST_CONFUSED, ClassScore, Mistake, Score
from striate.text.figures import wilson

# What the recipe calls each metric, and a reader.
METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1": "F1"}


def score(probabilities: NDArray[np.float32], labels: NDArray[np.int64], classes: tuple[str, ...]) -> Score:
    """Score N x K probabilities against N labels.

    precision = right / answered, recall = right / count, f1 = 2 * right / (answered + count), 0 where a class
    was never answered, or is not there;  loss = mean of -log(probability of the label), of 2.2e-16 at least

    scikit-learn gives the same and takes as long to load as torch.
    """
    kinds = len(classes)
    answers = probabilities.argmax(axis=1)
    confusion = confusion_of(answers, labels, kinds)
    right, count, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = right / np.maximum(answered, 1), right / np.maximum(count, 1)
    f1 = 2 * right / np.maximum(answered + count, 1)
    accuracy = int(right.sum()) / len(labels)
    best5 = np.argsort(-probabilities, axis=1)[:, :5]
    exact = probabilities.astype(np.float64)
    share = exact[np.arange(len(labels)), labels] / exact.sum(axis=1)
    return Score(
        images=len(labels),
        accuracy=accuracy,
        interval=wilson(accuracy, len(labels)),
        top5=float((best5 == labels[:, None]).any(axis=1).mean()),
        loss=float(-np.log(np.maximum(share, np.finfo(np.float64).eps)).mean()),
        balanced_accuracy=metric_of(confusion, "balanced_accuracy"),
        f1=metric_of(confusion, "f1"),
        classes=[
            ClassScore(
                name=name,
                count=int(count[i]),
                precision=float(precision[i]),
                recall=float(recall[i]),
                f1=float(f1[i]),
            )
            for i, name in enumerate(classes)
        ],
        confusion=confusion.tolist() if kinds <= MOST_CONFUSED else [],
    )


def confusion_of(answers: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How often each class (row) was answered as each (column), K x K."""
    return np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)


def metric_of(confusion: NDArray[np.int64], name: str) -> float:
    """One figure of a confusion matrix, by the name that the recipe has for it.

    accuracy = right / all;  balanced_accuracy = mean of the recalls of the classes that occur
    f1 = mean over the classes that occur or were answered of 2 right / (answered + count)  ("macro")
    """
    right, count, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    if name == "accuracy":
        return float(right.sum() / confusion.sum())
    if name == "balanced_accuracy":
        return float((right[count > 0] / count[count > 0]).mean())
    some = answered + count > 0
    return float((2 * right[some] / (answered + count)[some]).mean())


def mcnemar(first_only: int, second_only: int) -> float:
    """How likely a difference of at least this size is where two networks are equally good: exact, two-sided.

    p = min(1, 2 * sum over k <= min(b, c) of C(b + c, k) / 2^(b + c)), b and c the images that only one of them has
    right

    Source: McNemar 1947; Dietterich 1998, section 3.1.
    """
    total, less = first_only + second_only, min(first_only, second_only)
    # In logarithms: 2^-n is 0 from n = 1075 on.
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(less + 1)
    ]
    return min(1.0, 2 * math.fsum(math.exp(each) for each in logs))


def paired_bootstrap(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of accuracy(second) - accuracy(first) on the same images.

    first, second: whether each image was answered rightly.  Images are drawn anew with replacement, both answers of an
    image together; of answers that are right or wrong only the numbers matter, so these are drawn.  Half an image is added to
    each of the four cases, so that few images without a difference do not prove that there is none.
    Source: Efron and Tibshirani 1993, section 13.3 (percentiles); Agresti and Min 2005, section 3 (the halves).
    """
    images = len(first)
    better, worse = int((second & ~first).sum()), int((first & ~second).sum())
    shares = np.array([better + 0.5, worse + 0.5, images - better - worse + 1]) / (images + 2)
    drawn = np.random.default_rng(seed).multinomial(images, shares, size=resamples)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / images, (0.025, 0.975))
    return float(low), float(high)


def holm(values: Sequence[float]) -> list[float]:
    """p-values of several tests, adjusted so that one chance finding among all of them is as rare as said.

    Source: Holm 1979.
    """
    adjusted = [0.0] * len(values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda each: values[each])):
        least = max(least, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = least
    return adjusted


MOST = 24
# Small images are drawn larger, in whole steps, so that their pixels stay sharp.
SHOWN_SIDE = 96


def worst_mistakes(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    names: Sequence[str],
    classes: tuple[str, ...],
    size: tuple[int, int],
    stored: Callable[[int], Images],
) -> list[Mistake]:
    """The wrong answers that were surest, the surest first.

    probabilities: N x K.  size: the middle of the stored image that the network saw.  stored: the image of a
    place, H x W x C.
    """
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    sure = probabilities[wrong, answers[wrong]]
    worst = wrong[np.argsort(-sure, kind="stable")[:MOST]]
    return [
        Mistake(
            name=names[i],
            label=classes[labels[i]],
            answer=classes[answers[i]],
            probability=min(1.0, float(probabilities[i, answers[i]])),
            png=base64.b64encode(png(center(stored(i)[None], size)[0])).decode(),
        )
        for i in worst.tolist()
    ]


def png(image: Images) -> bytes:
    """A stored image, H x W x C, as a PNG; of other than 1 or 3 channels the first is shown as grey."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = ((image - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    shown = image if image.shape[2] == 3 else image[:, :, 0]
    tile = Image.fromarray(np.ascontiguousarray(shown))
    larger = max(1, SHOWN_SIDE // max(tile.size))
    tile = tile.resize((tile.width * larger, tile.height * larger), Image.Resampling.NEAREST)
    if max(tile.size) > 2 * SHOWN_SIDE:
        tile.thumbnail((2 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    buffer = io.BytesIO()
    tile.save(buffer, "PNG")
    return buffer.getvalue()
