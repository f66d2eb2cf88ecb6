"""One thread and one seed, put back afterwards, no long self-test; networks that are explained."""

from __future__ import annotations

import torch

import striate
from calm import calm as calm
from striate.explaining.subject import Subject
from striate.predict.normalize import Normalization
from training.quickly import no_long_measuring as no_long_measuring
from training.quickly import one_thread as one_thread


def subject(
    text: str, shape: tuple[int, int, int], classes: int = 3, *, dtype: str = "uint8", mean: float = 0.0
) -> Subject:
    """A network with its first weights, which reads stored values as they are."""
    net = striate.read(text).build(shape, classes).eval()
    channels, *size = shape
    known = Normalization(
        (size[0], size[1]), (size[0], size[1]), channels, (mean,) * channels, (1.0,) * channels, dtype
    )
    return Subject("small", net, known, tuple("abcdefghij"[:classes]), torch.device("cpu"))


def one(classes: int, label: int, against: int | None = None) -> torch.Tensor:
    """1 for a class, -1 for another, 0 elsewhere."""
    target = torch.zeros(classes)
    target[label] = 1
    if against is not None:
        target[against] = -1
    return target
