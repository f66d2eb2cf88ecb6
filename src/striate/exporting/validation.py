"""The validation images of a run, and what its network says of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate.data.decode.image import prepare_image
from striate.data.files.finding import Unreadable
from striate.data.files.walk import files_below
from striate.data.gather import gather
from striate.data.images import center
from striate.data.labelled import Image, Wanted, label_images
from striate.errors import DataError
from striate.modules.module import Net
from striate.predict.normalize import Feeder
from striate.predict.trained import Trained
from striate.recipe.keys import read_run_recipe

# More are not asked about; they are evenly spread then.
MOST_IMAGES = 4096


@dataclass(frozen=True, eq=False)
class Validation:
    """Images that the weights were not trained on.

    images: N x H x W x C as stored.  labels: N.  names: N.  said: which these are, for the certificate.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    said: str

    def __len__(self) -> int:
        return len(self.labels)


def validation_of(trained: Trained, data: str | Path | None = None) -> Validation:
    """The validation images of a run, gathered again.  data: where its data lie now; None: where they lay.

    Raises DataError where they are not there any more, or not those that the run was trained with.
    """
    record = trained.run.read_record()
    source = data if data is not None else record.source
    recipe = read_run_recipe(trained.run, record)
    known = trained.preparation
    try:
        found = gather(
            source, size=known.size, fit=recipe.fit, val_share=recipe.val_share, seed=recipe.seed,
            max_pixels=recipe.max_pixels,
        )  # fmt: skip
    except DataError as problem:
        if data is None:
            problem.cure = f"striate export {trained.run.quoted} DATA, where its data lie now"
        raise
    then = {name: each.model_dump() for name, each in trained.run.read_data().splits.items()}
    if trained.classes != found.classes or then != found.record["splits"]:
        raise DataError(
            f"these are not the images and labels that {trained.run.path} was trained with",
            place=str(source),
            expected="the same data, so that its validation images are known",
            cure=f"striate export {trained.run.quoted} DATA, with a copy of what they were",
        )
    images, labels, names = found.val.images, found.val.labels, found.val.names
    step = -(-len(labels) // MOST_IMAGES)
    said = f"{len(labels):,} validation images of {found.name}"
    if step > 1:
        images, labels, names = images[::step], labels[::step], names[::step]
        said = f"{len(labels):,} of {said}, evenly spread"
    if images.shape[3] != known.channels:
        images = np.repeat(images, known.channels, axis=3)
    return Validation(images, labels, tuple(names), said)


def trained_logits(
    net: Net, feeder: Feeder, stored: NDArray[Any], size: tuple[int, int], batch: int
) -> NDArray[np.float32]:
    """The logits of the trained network as it is, N x K, in float32, no image looked at again."""
    net.eval()
    rows = []
    with torch.inference_mode():
        for start in range(0, len(stored), batch):
            x = feeder.images(center(stored[start : start + batch], size))
            rows.append(net(x).float().cpu().numpy())
    return np.concatenate(rows)


def other_images(trained: Trained, source: str | Path) -> NDArray[Any]:
    """Images of another data set, as this network wants them; its labels do not matter.

    source: a folder of images at any depth, or what `label_images` takes.  Raises DataError.
    """
    found = list(_others(trained, source))
    if not found:
        raise DataError(
            "not one of its images can be used",
            place=str(source),
            expected="images that are none of the training's classes",
            cure="a folder of images",
        )
    return np.stack(found)


def _others(trained: Trained, source: str | Path) -> Iterator[NDArray[Any]]:
    known = trained.preparation
    if Path(source).is_dir():
        files = [file for _, file in files_below(Path(source), str(source), ())[0]]
        for file in files[:: -(-len(files) // MOST_IMAGES) or 1]:
            try:
                yield prepare_image(
                    file, stored_size=known.stored_size, channels=known.channels, dtype=known.dtype,
                    fit=known.fit, values=known.values,
                )  # fmt: skip
            except Unreadable:
                # What is no image has nothing to say about images.
                continue
        return
    there = label_images(source)
    wanted = Wanted(known.stored_size, known.channels, known.dtype, known.fit, known.values)
    for number, each in enumerate(there.images(wanted)):
        if isinstance(each, Image):
            yield each.values
        if number >= MOST_IMAGES:
            return
