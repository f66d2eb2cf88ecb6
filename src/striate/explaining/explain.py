"""One explanation: for one or several images all that can be seen, with the scales that they share."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.gather import Split, gather
from striate.data.images import center
from striate.disk.atomic import cannot_write, write_atomic
from striate.disk.cache import cache_root
from striate.errors import DataError, RunError, StriateError
from striate.explaining.attribution import integrated_gradients, occlusion
from striate.explaining.class_map import class_map, grad_cam
from striate.explaining.confidence import Confidence, Method, confidence
from striate.explaining.filters import Filters, first_filters
from striate.explaining.layers import At, find_at, find_head, stages
from striate.explaining.maps import FeatureMaps, Sight, feature_maps, sights
from striate.explaining.robustness import Change, changes
from striate.explaining.subject import Subject, left_as_it_was
from striate.explaining.training_images import (
    Neighbors,
    Patches,
    TrainingImages,
    exciting_patches,
    look_through,
    neighbors,
)
from striate.machine.device import heed_fork
from striate.predict.trained import read_images
from striate.progress import Silence, Watch, counting
from striate.recipe.keys import read_run_recipe
from striate.text.figures import decimal, percent
from striate.text.visible import visible

# Multiply-adds that each method may take for an image, and looking through the training images once.
GRADIENTS_WORK, OCCLUSION_WORK, TRAINING_WORK = 30e9, 30e9, 400e9
THOROUGH = 8

STEPS = (8, 64)
WINDOWS = (4, 14)


@dataclass(frozen=True)
class Heat:
    """One map of why.

    key, title: of the method.  at: the layer it shows; None for one value a pixel.  signed: whether there is
    evidence against the class, too.  adds: what it adds up to, in a sentence, where it does.
    said: what it is, in a sentence.
    """

    key: str
    title: str
    values: NDArray[np.float32]
    at: At | None
    signed: bool
    said: str
    adds: str = ""

    @property
    def empty(self) -> bool:
        """Whether it is zero everywhere: no evidence."""
        return not bool(np.any(self.values))


@dataclass(frozen=True)
class Explained:
    """All that was found out about one image.

    image: height x width x channels, as the network reads it but for centering and scaling.
    label: the place of the class that is explained; against: of the class it is set against.
    """

    name: str
    image: NDArray[Any]
    logits: NDArray[np.float32]
    label: int
    against: int | None
    heats: tuple[Heat, ...]
    maps: tuple[FeatureMaps, ...]
    sights: tuple[Sight, ...]
    changes: tuple[Change, ...]
    neighbors: Neighbors | None
    patches: tuple[Patches, ...]
    confidence: tuple[Confidence, ...]


@dataclass(frozen=True, repr=False)
class Explanation:
    """The explanation of one or several images by one network.

    network: its run or name.  values: the least and the largest number of images in training, where they are no
    bytes.  notes: what could not be shown, a sentence each.
    """

    network: str
    classes: tuple[str, ...]
    images: tuple[Explained, ...]
    filters: tuple[Filters, ...]
    values: tuple[float, float] | None
    notes: tuple[str, ...]

    def page(self) -> str:
        """All of it as one self-contained page of HTML."""
        from striate.explaining.page import explanation_page

        return str(explanation_page(self))

    def _repr_html_(self) -> str:
        from striate.explaining.page import notebook_part

        return str(notebook_part(self))

    def __str__(self) -> str:
        """Each image with its answer and what each map says, and what could not be shown."""
        lines = []
        for image in self.images:
            answer = self.classes[int(image.logits.argmax())]
            lines.append(f"{visible(image.name)}: {answer}, logit {float(image.logits.max()):.2f}")
            for heat in image.heats:
                told = "no evidence" if heat.empty else heat.adds or heat.said
                lines.append(f"  {heat.title.lower():22}{told.replace('`', '')}")
        return "\n".join([*lines, *(f"note      {note}" for note in self.notes)])

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__

    def files(self) -> dict[str, bytes]:
        """The page and each of its pictures, by name."""
        from striate.explaining.pictures import picture_files

        return {"explain.html": self.page().encode(), **picture_files(self)}

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write explain.html and its pictures into a folder, which is made where it is missing; returns the page.

        force: write over files that are there.  Raises StriateError where one is there otherwise, or the folder
        is none; ResourceError where it cannot be written.
        """
        path = Path(folder)
        files = self.files()
        there = next((name for name in files if os.path.lexists(path / name)), None)
        if there is not None and not force:
            raise StriateError(
                "there is a file already", place=str(path / there), cure="--force, or another --out"
            )
        if path.exists() and not path.is_dir():
            raise StriateError("this is no folder", place=str(path), cure="another --out")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error, sum(map(len, files.values()))) from None
        for name, content in files.items():
            write_atomic(path / name, content)
        return path / "explain.html"

    def to_record(self) -> dict[str, Any]:
        """The numbers of it, as plain values."""
        return {
            "network": self.network,
            "notes": list(self.notes),
            "images": [self._record(each) for each in self.images],
        }

    def _record(self, each: Explained) -> dict[str, Any]:
        return {
            "image": each.name,
            "answer": self.classes[int(each.logits.argmax())],
            "class": self.classes[each.label],
            "against": None if each.against is None else self.classes[each.against],
            "logit": float(each.logits[each.label]),
            "maps": [
                {
                    "method": heat.key,
                    "layer": None if heat.at is None else heat.at.path,
                    "evidence": not heat.empty,
                    "adds_up": heat.adds or None,
                }
                for heat in each.heats
            ],
            "changes": [
                {"kind": change.kind, "by": change.by, "logit": change.logit, "answer": change.answer}
                for change in each.changes
            ],
            "nearest": []
            if each.neighbors is None
            else [
                {"image": near.name, "label": near.label, "answer": near.answer, "likeness": near.likeness}
                for near in each.neighbors.nearest
            ],
            "confidence": [
                {
                    "method": known.title,
                    "deletion": known.deletion,
                    "insertion": known.insertion,
                    "random_deletion": known.random_deletion,
                    "random_insertion": known.random_insertion,
                    "likeness_to_random_weights": [list(pair) for pair in known.likeness],
                }
                for known in each.confidence
            ],
        }


def explain(
    subject: Subject,
    images: Any,
    *,
    at: str | None = None,
    class_name: str | None = None,
    against: str | None = None,
    check: bool = False,
    thorough: bool = False,
    watch: Watch | None = None,
) -> Explanation:
    """Explain the answers of a network to images.

    images: as `Trained.predict` takes them.  at: the layer that is looked at; chosen from the graph if left out.
    class_name: explained in place of the answer.  against: a second class; then it is the difference of the two
    logits that is explained.  check: measure how far each map can be trusted.  thorough: eight times the work, and
    all training images.

    Raises StriateError for a layer or a class that there is not, DataError for an image that cannot be read.
    """
    heed_fork()
    watch = watch or Silence()
    known = subject.preparation
    stored = list(read_images(images, known))
    if not stored:
        raise DataError("no image was given", place="explain", expected="an image, or several")
    label = None if class_name is None else subject.label(class_name, "--class")
    other = None if against is None else subject.label(against, "--against")
    deep = stages(subject.layout)
    asked = None if at is None else find_at(subject.layout, at)
    notes: list[str] = []
    with left_as_it_was(subject.net):
        training = _training_images(subject, asked, deep, notes, thorough=thorough, watch=watch)
        found = []
        watch.begin("explaining", len(stored))
        for number, (name, image) in enumerate(stored):
            found.append(
                _explained(
                    subject, name, image, label, other, asked, deep, training, check=check, thorough=thorough
                )
            )
            watch.advance(number + 1, name)
        watch.end()
        filters = first_filters(subject.net, subject.layout)
    return Explanation(
        subject.name, subject.classes, tuple(found), tuple(filters), known.values, tuple(notes)
    )


def _explained(
    subject: Subject,
    name: str,
    stored: NDArray[Any],
    label: int | None,
    against: int | None,
    asked: At | None,
    deep: Sequence[At],
    training: TrainingImages | None,
    *,
    check: bool,
    thorough: bool,
) -> Explained:
    x = subject.read(stored[None])
    logits = subject.logits(x)[0].float()
    if not bool(logits.isfinite().all()):
        raise RunError(
            "the network answers NaN: there is nothing to explain",
            place=name,
            expected="finite logits",
            cure="the weights of another run",
        )
    chosen = int(logits.argmax()) if label is None else label
    if chosen == against:
        raise StriateError(
            f"`{subject.classes[chosen]}` is set against itself",
            place="--against",
            expected="another class than the one that is explained",
            cure=f"--against {subject.classes[_second(logits, chosen)]}",
        )
    target = torch.zeros_like(logits)
    target[chosen] = 1
    if against is not None:
        target[against] = -1
    heats, methods = _heats(subject, x, target, asked, deep, thorough=thorough)
    shown = [asked] if asked is not None else [deep[0], deep[-1]] if len(deep) > 1 else list(deep)
    seen = [asked] if asked is not None else _spread(deep)
    alone = target.clamp(min=0)
    known = [
        confidence(
            subject, x, alone, method, heat.values if against is None else method.compute(subject, x, alone)
        )
        for method, heat in zip(methods, heats, strict=True)
        if check
    ]
    return Explained(
        name=name,
        image=np.asarray(center(stored[None], subject.preparation.size)[0]),
        logits=logits.cpu().numpy(),
        label=chosen,
        against=against,
        heats=tuple(heats),
        maps=tuple(feature_maps(subject.net, x, shown)) if shown else (),
        sights=tuple(sights(subject.net, x, seen)) if seen else (),
        changes=tuple(changes(subject, stored, logits, chosen)),
        neighbors=None if training is None else neighbors(subject, x, training),
        patches=() if training is None else tuple(exciting_patches(subject, x, training)),
        confidence=tuple(known),
    )


def _heats(
    subject: Subject, x: Tensor, target: Tensor, asked: At | None, deep: Sequence[At], *, thorough: bool
) -> tuple[list[Heat], list[Method]]:
    """The maps of one image and how each is made, the most exact first."""
    work = THOROUGH if thorough else 1
    head = find_head(subject.layout)
    logit = "the logit" if not bool((target < 0).any()) else "the difference of the two logits"
    heats: list[Heat] = []
    methods: list[Method] = []
    if head is not None:
        exact = head
        made = class_map(subject.net, x, exact, target)
        kind = "mean" if made.averages else "sum"
        adds = (
            f"The {kind} of the map, {decimal(made.total - made.bias)}, plus the bias, {decimal(made.bias)}, "
            f"is {decimal(made.total)}; {logit} is {decimal(made.logit)}: "
            + ("it adds up." if made.adds_up else "rounding keeps them apart.")
        )
        maxima = ", the largest value of each alone" if exact.pool == "max" else ""
        said = (
            f"The closing weights times the maps of `{head.at.path}`{maxima}: what each place contributes to {logit}, "
            "exactly."
        )
        heats.append(Heat("class-map", "Class map", made.values, head.at, True, said, adds))
        methods.append(
            Method("class-map", "Class map", head.at, lambda s, x, t: class_map(s.net, x, exact, t).values)
        )
    layer = asked or (deep[-1] if deep and head is None else None)
    if layer is not None:
        place = layer
        why = "the layer that was asked for" if asked else "the last maps before their places are given up"
        said = f"Which maps of `{layer.path}`, {why}, raise {logit}, each weighted by its mean gradient."
        heats.append(
            Heat("grad-cam", "Grad-CAM", grad_cam(subject.net, x, layer.path, target), layer, False, said)
        )
        methods.append(
            Method("grad-cam", "Grad-CAM", layer, lambda s, x, t: grad_cam(s.net, x, place.path, t))
        )
    steps = int(np.clip(work * GRADIENTS_WORK / (2 * subject.multiply_adds), STEPS[0], STEPS[1] * work))
    group = max(1, subject.group // 2)
    path = integrated_gradients(subject.folded, x, target, steps=steps, group=group)
    adds = (
        f"All pixels together are {decimal(path.total)}; {logit} minus that of the training mean is "
        f"{decimal(path.difference)}: {percent(path.error)} off, by {steps} steps."
    )
    said = f"What each pixel contributes to {logit} on the straight way from the training mean to this image."
    heats.append(Heat("integrated-gradients", "Integrated gradients", path.values, None, True, said, adds))
    methods.append(
        Method(
            "integrated-gradients", "Integrated gradients", None,
            lambda s, x, t: integrated_gradients(s.folded, x, t, steps=steps, group=group).values,
        )
    )  # fmt: skip
    window, stride = covered_windows(subject, work)
    said = f"How far {logit} falls while {window[0]}x{window[1]} pixels are covered by the training mean."
    heats.append(
        Heat(
            "occlusion", "Occlusion", occlusion(subject, x, target, window=window, stride=stride),
            None, True, said,
        )
    )  # fmt: skip
    methods.append(
        Method(
            "occlusion", "Occlusion", None, lambda s, x, t: occlusion(s, x, t, window=window, stride=stride)
        )
    )
    return heats, methods


def covered_windows(subject: Subject, work: float = 1) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size and the stride of the windows that are covered: as many as the work allows, half over one another."""
    across = int(np.clip(math.sqrt(work * OCCLUSION_WORK / subject.multiply_adds), *WINDOWS))
    size = subject.preparation.size
    strides = tuple(max(1, -(-side // (across + 1))) for side in size)
    windows = tuple(min(side, 2 * stride) for side, stride in zip(size, strides, strict=True))
    return (windows[0], windows[1]), (strides[0], strides[1])


def _spread(deep: Sequence[At]) -> list[At]:
    """The first, the middle and the last of them."""
    return [deep[place] for place in sorted({0, len(deep) // 2, len(deep) - 1})] if deep else []


def _second(logits: Tensor, first: int) -> int:
    others = logits.clone()
    others[first] = -math.inf
    return int(others.argmax())


def _training_images(
    subject: Subject, asked: At | None, deep: Sequence[At], notes: list[str], *, thorough: bool, watch: Watch
) -> TrainingImages | None:
    """The training images as the network sees them; None with a note where they are not there."""
    try:
        split = training_split(subject)
    except StriateError as error:
        where = f"{error.place}: " if error.place else ""
        notes.append(f"The training images are not shown, as they cannot be read: {where}{error.problem}.")
        return None
    places = [asked] if asked is not None else list(deep[-2:])
    most = len(split.labels) if thorough else int(TRAINING_WORK / subject.multiply_adds)
    with counting(watch, "looking through training images") as progress:
        return look_through(
            subject, split, places, most=max(most, 32), kept=cache_root(None) / "explained", progress=progress
        )


def training_split(subject: Subject) -> Split:
    """The training images of the subject's run.

    Raises RunError where it has none, or they are not what they were; what `gather` raises.
    """
    if subject.run is None:
        raise RunError("published weights come without their images")
    record, known = subject.run.read_record(), subject.preparation
    recipe = read_run_recipe(subject.run, record)
    found = gather(
        record.source, size=recipe.size, fit=recipe.fit, val_share=recipe.val_share, seed=recipe.seed,
        max_pixels=recipe.max_pixels,
    )  # fmt: skip
    same = found.stored_size == known.stored_size and found.train.images.dtype.name == known.dtype
    if found.classes != subject.classes or not same or found.channels not in (1, known.channels):
        raise RunError(
            f"the images at {record.source} are others than this run was trained on",
            place=str(subject.run.path),
            expected="the images that it was trained on",
        )
    return found.train
