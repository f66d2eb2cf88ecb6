"""What the training images say of an image: the nearest ones, and what excites its units most."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor

from striate.data.gather import Split
from striate.data.images import center
from striate.data.store.part import split_hash
from striate.disk.atomic import write_atomic
from striate.errors import StriateError
from striate.explaining.layers import At
from striate.explaining.subject import Subject, as_array, outputs_at
from striate.net.notation.writer import write_text

# Training images that are looked through at most, however small the network, and numbers that are kept of all.
MOST_IMAGES, MOST_NUMBERS = 20_000, 60_000_000

# Of what is kept in the cache.
_FORMAT = 1

NEAREST = 6
UNITS, PATCHES = 4, 6


@dataclass(frozen=True, eq=False)
class Excitement:
    """How much each unit of a layer was excited by each training image, and where.

    at: the layer.  values: N x channels, the largest of each map.  places: N x channels, where it lies, counted
    row by row.
    """

    at: At
    values: NDArray[np.float32]
    places: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Training images as the network sees them.

    split: they and all others.  chosen: which of the split were looked through, N.
    features: what the closing layer reads of each, N x D, of length 1.  answers: the class of each, N.
    """

    split: Split
    chosen: NDArray[np.int64]
    features: NDArray[np.float32]
    answers: NDArray[np.int64]
    excitement: tuple[Excitement, ...]
    space: str

    def image(self, place: int, size: tuple[int, int]) -> NDArray[Any]:
        """One of those looked through as the network sees it, height x width x channels."""
        index = int(self.chosen[place])
        return np.asarray(center(self.split.images[index : index + 1], size)[0])


@dataclass(frozen=True)
class Neighbor:
    """A training image near to the image.

    name: of its file.  label: its class; answer: what the network answers.  likeness: the cosine of the angle
    between their features, 1 for the same direction.  image: height x width x channels, as stored.
    """

    name: str
    label: str
    answer: str
    likeness: float
    image: NDArray[Any]


@dataclass(frozen=True)
class Neighbors:
    """The nearest training images, the nearest first, and the nearest one that is answered differently."""

    nearest: tuple[Neighbor, ...]
    otherwise: Neighbor | None
    searched: int
    of: int
    space: str


@dataclass(frozen=True)
class Patches:
    """What excites one unit most.

    at: its layer; channel: its number.  here: how much the explained image excites it.  values: how much each patch
    does.  patches: of the training images, height x width x channels, what the unit sees of each.
    """

    at: At
    channel: int
    here: float
    values: tuple[float, ...]
    patches: tuple[NDArray[Any], ...]


def look_through(
    subject: Subject,
    split: Split,
    places: Sequence[At],
    *,
    most: int,
    kept: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingImages:
    """Send training images through the network once, evenly spread where there are more than `most`.

    places: layers of whose units it is kept what excites them.  kept: a folder of the cache; what was found there
    of the same weights, images and layers is taken as it is.  progress: called with (images done, all).
    """
    count = len(split.labels)
    numbers = subject.layout.input.elements + 2 * sum(at.shape.channels for at in places)
    number = max(1, min(count, most, MOST_IMAGES, MOST_NUMBERS // numbers))
    chosen = np.unique(np.linspace(0, count - 1, number).round().astype(np.int64))
    file = None
    if kept is not None and len(split.contents) == count:
        file = kept / f"{_key(subject, split, places, number)}.safetensors"
    found = None if file is None else _read(file, len(chosen), places)
    if found is None:
        found = _look_through(subject, split, places, chosen, progress)
        if file is not None:
            with suppress(OSError, StriateError):
                # It only saves time: where it cannot be written the images are looked through again.
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(file, save(found))
    excitement = tuple(
        Excitement(at, found[f"values_{place}"], found[f"places_{place}"]) for place, at in enumerate(places)
    )
    space = closing_layer(subject)[1]
    return TrainingImages(split, chosen, found["features"], found["answers"], excitement, space)


def _key(subject: Subject, split: Split, places: Sequence[At], number: int) -> str:
    """What is kept depends on the weights, the text, the images, the layers, and how many images are taken."""
    digest = hashlib.sha256()
    for name, each in subject.net.state_dict().items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(each.detach().cpu().numpy()).tobytes())
    said = [
        write_text(subject.layout.network),
        repr(subject.preparation),
        split_hash(split.names, split.labels, split.contents),
    ]
    said += [str(at) for at in places] + [str(number), str(_FORMAT)]
    digest.update("\0".join(said).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _read(file: Path, count: int, places: Sequence[At]) -> dict[str, NDArray[Any]] | None:
    """What was kept, or None where it is not there or damaged."""
    try:
        found = load(file.read_bytes())
        shapes: dict[str, tuple[int, ...]] = {"answers": (count,)}
        for place, at in enumerate(places):
            shapes |= {f"{name}_{place}": (count, at.shape.channels) for name in ("values", "places")}
        whole = all(found[name].shape == shape for name, shape in shapes.items())
        return found if whole and found["features"].shape[0] == count else None
    except (OSError, SafetensorError, LookupError, ValueError):
        return None


def _look_through(
    subject: Subject,
    split: Split,
    places: Sequence[At],
    chosen: NDArray[np.int64],
    progress: Callable[[int, int], None] | None,
) -> dict[str, NDArray[Any]]:
    """Features, answers, and for each layer the largest values and their places."""
    path, _ = closing_layer(subject)
    features: list[NDArray[np.float32]] = []
    answers: list[NDArray[np.int64]] = []
    values: list[list[NDArray[np.float32]]] = [[] for _ in places]
    where: list[list[NDArray[np.int32]]] = [[] for _ in places]
    for start in range(0, len(chosen), subject.group):
        index = chosen[start : start + subject.group]
        some = np.stack([split.images[each] for each in index])
        logits, read, outputs = _seen(subject, subject.read(some), path, places)
        features.append(read)
        answers.append(as_array(logits).argmax(axis=1))
        for output, largest, place in zip(outputs, values, where, strict=True):
            best, at = output.flatten(2).max(dim=2)
            largest.append(as_array(best))
            place.append(at.cpu().numpy().astype(np.int32))
        if progress is not None:
            progress(start + len(index), len(chosen))
    found: dict[str, NDArray[Any]] = {
        "features": np.concatenate(features),
        "answers": np.concatenate(answers),
    }
    for number, (largest, place) in enumerate(zip(values, where, strict=True)):
        found |= {f"values_{number}": np.concatenate(largest), f"places_{number}": np.concatenate(place)}
    return found


def closing_layer(subject: Subject) -> tuple[str, str]:
    """The path of the last layer with weights, and what its input is called."""
    layers = [each for each in subject.layout.layers(sides=False) if each.layer.weights(each.input)]
    if not layers:
        return next(iter(subject.layout.layers())).path, "the image itself"
    last = layers[-1]
    return last.path, f"what `{last.path}`, the closing layer, reads"


def neighbors(subject: Subject, x: Tensor, images: TrainingImages) -> Neighbors:
    """The training images whose features point in the direction most like that of the image's.

    x: 1 x C x H x W.
    """
    path, _ = closing_layer(subject)
    logits, read, _ = _seen(subject, x, path, ())
    answer = int(logits[0].argmax())
    likeness = images.features @ read[0]
    order = np.argsort(-likeness, kind="stable")
    other = next((int(each) for each in order if images.answers[each] != answer), None)

    def neighbor(place: int) -> Neighbor:
        index = int(images.chosen[place])
        return Neighbor(
            images.split.names[index],
            subject.classes[int(images.split.labels[index])],
            subject.classes[int(images.answers[place])],
            float(likeness[place]),
            images.image(place, subject.preparation.size),
        )

    return Neighbors(
        tuple(neighbor(int(each)) for each in order[:NEAREST]),
        None if other is None else neighbor(other),
        len(images.chosen),
        len(images.split.labels),
        images.space,
    )


def exciting_patches(subject: Subject, x: Tensor, images: TrainingImages) -> list[Patches]:
    """For each layer the units that the image excites most, beside the training patches that excite them most.

    A unit counts by how far the image excites it over the mean of the training images, in their standard deviations.
    x: 1 x C x H x W.
    """
    with torch.no_grad():
        _, outputs = outputs_at(subject.net, x, [each.at.path for each in images.excitement])
    found = []
    for excitement, output in zip(images.excitement, outputs, strict=True):
        here = as_array(output[0].flatten(1).amax(dim=1))
        mean, spread = excitement.values.mean(axis=0), excitement.values.std(axis=0)
        # A unit that nothing excites says nothing.
        unusual = np.where(spread > 1e-6, (here - mean) / np.maximum(spread, 1e-6), -np.inf)
        for channel in np.argsort(-unusual, kind="stable")[:UNITS]:
            if np.isfinite(unusual[channel]):
                found.append(_patches(subject, images, excitement, int(channel), float(here[channel])))
    return found


def _patches(
    subject: Subject, images: TrainingImages, excitement: Excitement, channel: int, here: float
) -> Patches:
    values = excitement.values[:, channel]
    order = np.argsort(-values, kind="stable")[:PATCHES]
    patches = []
    for each in order:
        image = images.image(int(each), subject.preparation.size)
        row, column = divmod(int(excitement.places[each, channel]), excitement.at.shape.width)
        patches.append(_patch(image, excitement.at, row, column))
    return Patches(excitement.at, channel, here, tuple(float(values[each]) for each in order), tuple(patches))


def _patch(image: NDArray[Any], at: At, row: int, column: int) -> NDArray[Any]:
    """What a unit can see of an image; what lies in the padding is not there."""
    if at.fields is None:
        return image
    spans = []
    for field, unit, side in zip(at.fields, (row, column), image.shape[:2], strict=True):
        first = field.start + unit * field.step
        spans.append(slice(min(max(0, first), side - 1), max(1, min(side, first + field.size))))
    return image[spans[0], spans[1]]


def _seen(
    subject: Subject, x: Tensor, path: str, places: Sequence[At]
) -> tuple[Tensor, NDArray[np.float32], list[Tensor]]:
    """Logits, features of length 1, N x D, and the maps at some layers."""
    found: list[Tensor] = []
    handle = subject.net.part(path).register_forward_pre_hook(lambda _module, given: found.append(given[0]))
    try:
        with torch.no_grad():
            logits, outputs = outputs_at(subject.net, x, [each.path for each in places])
    finally:
        handle.remove()
    read = found[0]
    features = as_array(read.mean(dim=(2, 3)) if read.ndim == 4 else read.flatten(1))
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return logits, features / np.maximum(length, 1e-12), outputs
