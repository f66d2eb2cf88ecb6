"""Weights from elsewhere, to begin a training with."""

from __future__ import annotations

from pathlib import Path

from striate.data.gather import Data
from striate.errors import RunError, counted
from striate.modules.module import Net
from striate.net.zoo.list import zoo_net
from striate.predict.normalize import Normalization, value_range
from striate.progress import Watch, counting
from striate.recipe.keys import Recipe
from striate.runs.folder import RunFolder
from striate.runs.record import DataRecord
from striate.weights.error import WeightsError
from striate.weights.fetch import fetch
from striate.weights.file import read_tensors
from striate.weights.match import fill
from striate.weights.published import BUILTIN, backbone_weights, published_classes, published_input


def find_weights(weights: str, sha256: str | None, watch: Watch) -> Path:
    """The file of a recipe's weights, downloaded if need be.

    Raises StriateError where it is missing, is not what its sum says, or does not come.
    """
    where = str(backbone_weights()) if weights == BUILTIN else weights
    with counting(watch, "weights, bytes") as progress:
        return fetch(where, sha256=sha256, progress=progress)


def load_pretrained(net: Net, path: Path, data: Data, recipe: Recipe, watch: Watch) -> None:
    """Fill a network, its head too where the classes agree: in their names where the weights' are known, else
    in their number.

    Known are those of a run, and of published weights whose data have names everywhere.
    """
    beside = _run_beside(path)
    known = tuple(beside.classes) if beside is not None else None
    if known is None and recipe.published is not None:
        known = published_classes(recipe.published)
    tensors = read_tensors(path)
    if known is not None and known != data.classes:
        report = fill(net, tensors, skip_head=True, name=path.name)
        head = "the head is trained anew: its classes are others"
    else:
        try:
            report = fill(net, tensors, name=path.name)
            count = counted(len(data.classes), "class", "classes")
            head = f"the head is kept: {count}, the same" + (" names" if known else " number")
        except WeightsError:
            # Or they are of another network, which this says.
            report = fill(net, tensors, skip_head=True, name=path.name)
            head = "the head is trained anew: its classes are others"
    watch.say(f"weights   {report.line()}; {head}")


def pretrained_normalization(path: Path, data: Data, recipe: Recipe) -> Normalization | None:
    """The preparation that weights were trained with, for the images of `data`; None where it is unknown
    or was for other values.

    Known are those of a run, whose record lies beside the weights, and those published for a network of
    the zoo.  A mean image is taken over for images of its size; for others the mean of each channel.
    """
    known = _run_beside(path)
    if known is not None:
        before = Normalization.from_record(known.preparation)
        mean, deviation = before.mean, before.deviation
        image = before.mean_image if before.size == data.size else b""
    elif recipe.published is not None:
        published = published_input(recipe.published, zoo_net(recipe.published).input)
        if published is None:
            return None
        mean, deviation, image = published.mean, published.deviation, b""
    else:
        return None
    channels = recipe.channels or data.channels
    dtype = data.train.images.dtype.name
    if len(mean) != channels or dtype != (before.dtype if known is not None else "uint8"):
        # The values that it was for are on another scale than these.
        return None
    values = value_range(data.train.images)
    return Normalization(
        data.size, data.stored_size, channels, mean, deviation, dtype, image, data.fit, values
    )


def _run_beside(path: Path) -> DataRecord | None:
    """What is known of the data of the run that the weights lie in; None where it is no run."""
    run = RunFolder(path.parent)
    try:
        return run.read_data()
    except RunError:
        if run.record.exists():
            raise
        return None
