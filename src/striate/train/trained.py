"""A trained network that answers about pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from striate.build.module import Net, build
from striate.build.weights import load_weights
from striate.data.picture import prepare_picture
from striate.data.trouble import Unreadable
from striate.errors import DataError
from striate.notation.reader import read_text
from striate.runs.folder import RunFolder, find_run
from striate.spec.layout import lay
from striate.spec.shape import Map
from striate.train.evaluate import probabilities
from striate.train.machine import choose_device
from striate.train.preparation import Feeder, Preparation
from striate.train.recipe import read_recipe


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says of one picture.

    name: of the picture.  classes, probabilities: all of them, the most probable first.
    """

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def answer(self) -> str:
        """The most probable class."""
        return self.classes[0]

    @property
    def probability(self) -> float:
        """Of the answer."""
        return self.probabilities[0]


@dataclass(frozen=True)
class Trained:
    """A run, loaded: the network with its best weights and all it needs to read a picture.

    second_look: a picture whose answer is less probable is looked at again, mirrored and shifted by a pixel.
    answers: what answers in place of the network, N x C x H x W -> N x classes, where something does.
    """

    run: RunFolder
    classes: tuple[str, ...]
    net: Net
    preparation: Preparation
    record: dict[str, Any]
    device: torch.device
    second_look: float = 0.0
    answers: nn.Module | None = None

    def predict(self, pictures: str | Path | Sequence[Any] | NDArray[Any] | Image.Image) -> list[Prediction]:
        """Predict one picture or several.

        pictures: a path, a PIL image, one array H x W x C (or H x W), or a sequence of these; an array
        N x H x W x C is a sequence.  Raises DataError for a picture that cannot be read.
        """
        many: Sequence[Any] | NDArray[Any]
        if isinstance(pictures, str | Path | Image.Image) or (
            isinstance(pictures, np.ndarray) and pictures.ndim <= 3
        ):
            many = [pictures]
        else:
            many = pictures
        if len(many) == 0:
            return []
        names = [str(each) if isinstance(each, str | Path) else f"[{i}]" for i, each in enumerate(many)]
        found = self.predict_stored(np.stack([self._prepared(each) for each in many]))
        return [self._prediction(name, row) for name, row in zip(names, found, strict=True)]

    def predict_files(self, paths: Sequence[Path]) -> tuple[list[Prediction], list[Unreadable]]:
        """Predict picture files; those that cannot be read come back as errors instead."""
        prepared, names, troubles = [], [], []
        for path in paths:
            try:
                prepared.append(self._prepared(path))
                names.append(str(path))
            except Unreadable as trouble:
                troubles.append(trouble)
        if not prepared:
            return [], troubles
        found = self.predict_stored(np.stack(prepared))
        return [self._prediction(name, row) for name, row in zip(names, found, strict=True)], troubles

    def predict_arrays(self, pictures: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities, N x K in the order of `classes`, of N x H x W x C arrays."""
        prepared = [self._prepared(each) for each in pictures]
        if not prepared:
            return np.empty((0, len(self.classes)), dtype=np.float32)
        return self.predict_stored(np.stack(prepared))

    def _prepared(self, picture: Any) -> NDArray[Any]:
        known = self.preparation
        return prepare_picture(
            picture, stored_size=known.stored_size, channels=known.channels, dtype=known.dtype
        )

    def predict_stored(self, pictures: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities, N x K, of pictures as they are stored, N x H x W x C."""
        feeder = Feeder(self.preparation, self.device)
        return probabilities(
            self.answers or self.net, feeder, pictures, self.preparation.size,
            batch=256, precision="fp32", second_look=self.second_look,
        )  # fmt: skip

    def _prediction(self, name: str, row: NDArray[np.float32]) -> Prediction:
        order = np.argsort(-row, kind="stable")
        return Prediction(name, tuple(self.classes[i] for i in order), tuple(float(row[i]) for i in order))


def load_trained(run: str | Path, *, device: str | None = None) -> Trained:
    """Load the best weights of a run.  Raises RunError where there is none, ResourceError for the device."""
    folder = find_run(run)
    record, data = folder.read_record(), folder.read_data()
    preparation = Preparation.from_record(data["preparation"])
    try:
        text = folder.net.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the text of the network cannot be read: {error}", place=str(folder.net)) from None
    classes = tuple(str(name) for name in data["classes"])
    layout = lay(read_text(text, str(folder.net)), Map(preparation.channels, *preparation.size), len(classes))
    with torch.random.fork_rng(devices=[]):
        net = build(layout)
    load_weights(net, folder.weights)
    where = choose_device(device)
    second_look = read_recipe(str(folder.recipe)).second_look
    return Trained(folder, classes, net.to(where).eval(), preparation, record, where, second_look)
