"""A network of the zoo with its published weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate.errors import StriateError
from striate.machine.device import choose_device
from striate.modules.module import Net, build, set_in_place
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_net, zoo_text
from striate.predict.evaluate import probabilities
from striate.predict.measure import GROUP, Candidate
from striate.predict.normalize import Feeder, Normalization
from striate.progress import Silence, Watch, counting
from striate.weights.fetch import fetch
from striate.weights.file import read_tensors
from striate.weights.match import fill
from striate.weights.published import (
    BACKBONE,
    BUILTIN,
    backbone_weights,
    published_classes,
    published_input,
)


@dataclass(frozen=True, eq=False)
class Published:
    """A network of the zoo with its published weights.

    count: of its classes.  classes: their names, or None where they are not known.
    """

    name: str
    net: Net
    preparation: Normalization
    count: int
    classes: tuple[str, ...] | None
    device: torch.device


def load_published(
    net: str,
    weights: str,
    *,
    sha256: str | None = None,
    device: str | None = None,
    watch: Watch | None = None,
) -> Published:
    """Load a network of the zoo with its published weights.

    net: its name.  weights: a file, a URL, hf:OWNER/NAME, or builtin for those that come with the extra `train`.
    Raises StriateError where the weights are of another network or do not come, or how it wants its images is
    not known.
    """
    watch = watch or Silence()
    where = choose_device(device)
    known = zoo_net(net)
    wants = published_input(net, known.input)
    if wants is None:
        raise StriateError(
            f"how published weights of {net} want their images is not known",
            place="net",
            expected="a network of the zoo for color images",
            cure="striate train DATA, and then striate test RUN DATA",
        )
    if weights == BUILTIN and net == BACKBONE:
        path = backbone_weights()
    else:
        with counting(watch, "weights, bytes") as progress:
            path = fetch(weights, sha256=sha256, progress=progress)
    layout = lay(read_text(zoo_text(net), f"{net}.net"), Map(*known.input), known.classes)
    with torch.random.fork_rng(devices=[]):
        built = build(layout)
    set_in_place(built, False)
    report = fill(built, read_tensors(path), name=path.name)
    watch.say(f"weights   {report.line()}")
    stored = wants.size if wants.resized is None else (wants.resized, wants.resized)
    preparation = Normalization(wants.size, stored, 3, wants.mean, wants.deviation, "uint8")
    return Published(net, built.to(where).eval(), preparation, known.classes, published_classes(net), where)


def published_candidate(published: Published) -> Candidate:
    """It as a candidate; the images that it was trained on are not known."""
    feeder, size = Feeder(published.preparation, published.device), published.preparation.size

    def answer(images: NDArray[Any]) -> NDArray[np.float32]:
        return probabilities(published.net, feeder, images, size, batch=GROUP, precision="fp32")

    return Candidate(
        published.name, published.count, published.classes, published.preparation, frozenset(), answer
    )
