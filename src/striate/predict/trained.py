"""A trained network that answers about images."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from striate.data.decode.image import prepare_image
from striate.data.files.finding import Unreadable
from striate.data.files.walk import files_below
from striate.disk.small import read_small_text
from striate.doctor.doctor import diagnose_run
from striate.doctor.finding import Diagnosis
from striate.errors import DataError, RunError, counted
from striate.machine.device import choose_device, heed_fork
from striate.modules.module import Net, build, set_in_place
from striate.modules.weights import load_weights
from striate.net.layout.layout import Layout, lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.predict.evaluate import probabilities
from striate.predict.normalize import Feeder, Normalization
from striate.recipe.keys import read_run_recipe
from striate.runs.folder import RunFolder, find_run
from striate.runs.record import RunRecord

if TYPE_CHECKING:
    from striate.exporting.export import Exported
    from striate.predict.measure import Measured

# Images that are prepared before they go through the network together.
GROUP = 256
# Weights of fewer bytes are built before anybody looks whether the file has them.
LARGE_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says of one image.

    name: of the image.  classes, probabilities: all of them, the most probable first.
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
    """A run, loaded: the network with its best weights and all it needs to read an image.

    tta: an image whose answer is less probable is looked at again, mirrored and shifted by a pixel.
    answers: what answers in place of the network, N x C x H x W -> N x classes, where something does.
    """

    run: RunFolder
    classes: tuple[str, ...]
    net: Net
    preparation: Normalization
    record: RunRecord
    device: torch.device
    tta: float = 0.0
    answers: nn.Module | None = None

    def test(self, data: str | Path) -> Measured:
        """How good it is on labelled images: those of the test split of DATA where it has one, else all.

        Raises DataError where a class of the data is none of the run's.
        """
        from striate.predict.measure import measure, run_candidate

        return measure(run_candidate(self), data)

    def doctor(self, *, mute: Collection[str] = ()) -> Diagnosis:
        """What is wrong with its training, the gravest first, as `striate doctor` says it.  mute: codes to leave out."""
        return diagnose_run(self.run.path, mute=mute)[1]

    def export(
        self,
        out: str | Path = "bundle",
        *,
        data: str | Path | None = None,
        int8: bool = False,
        lose_at_most: float = 0.5,
        wrong_at_most: float | None = None,
        unlike: Sequence[str | Path] = (),
        include_images: bool = False,
        name: str | None = None,
        force: bool = False,
        speed: bool = True,
    ) -> Exported:
        """Write it as a bundle that answers without torch, once that has answered as this does.

        See `striate.exporting.export.export`, which takes the same names, and the command.
        """
        from striate.exporting.export import export

        return export(
            self,
            out,
            data=data,
            int8=int8,
            lose_at_most=lose_at_most,
            wrong_at_most=wrong_at_most,
            unlike=unlike,
            include_images=include_images,
            name=name,
            force=force,
            speed=speed,
        )

    def predict(self, images: Any) -> list[Prediction]:
        """Predict one image or several.

        images: one image, or an iterable of images.  An image is a path; the content of a file as bytes, or a
        file that is open for them; a PIL image; an array H x W x C or H x W; a tensor C x H x W or H x W.  A
        folder stands for the files in it, an array N x H x W x C or a tensor N x C x H x W for N images.
        Of an iterable so many are held at once as go through the network together.

        Raises DataError, at its name or place, for an image that cannot be read and for what is none.
        """
        found: list[Prediction] = []
        waiting = _images(images, "[0]")
        while some := list(islice(waiting, GROUP)):
            stored = [_named(name, image, self.preparation) for name, image in some]
            rows = self.predict_stored(np.stack(stored))
            found += [self._prediction(name, row) for (name, _), row in zip(some, rows, strict=True)]
        return found

    def predict_files(self, paths: Sequence[Path]) -> tuple[list[Prediction], list[Unreadable]]:
        """Predict image files; those that cannot be read come back as errors instead."""
        prepared, names, troubles = [], [], []
        for path in paths:
            try:
                prepared.append(_prepared(path, self.preparation))
                names.append(str(path))
            except Unreadable as trouble:
                troubles.append(trouble)
        if not prepared:
            return [], troubles
        found = self.predict_stored(np.stack(prepared))
        return [self._prediction(name, row) for name, row in zip(names, found, strict=True)], troubles

    def predict_arrays(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities, N x K in the order of `classes`, of N x H x W x C arrays."""
        prepared = [_prepared(each, self.preparation) for each in images]
        if not prepared:
            return np.empty((0, len(self.classes)), dtype=np.float32)
        return self.predict_stored(np.stack(prepared))

    def predict_stored(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities, N x K, of images as they are stored, N x H x W x C.

        Raises RunError where the network answers with numbers that are none.
        """
        heed_fork()
        feeder = Feeder(self.preparation, self.device)
        found = probabilities(
            self.answers or self.net, feeder, images, self.preparation.size,
            batch=GROUP, precision="fp32", tta=self.tta,
        )  # fmt: skip
        lost = int((~np.isfinite(found)).any(axis=1).sum())
        if lost:
            sound = all(bool(weight.isfinite().all()) for weight in self.net.state_dict().values())
            raise RunError(
                f"the network answers NaN for {lost:,} of {counted(len(found), 'image')}"
                + ("" if sound else ", as its weights hold NaN or infinity"),
                place=str(self.run.path),
                expected="probabilities",
                cure="images of ordinary brightness" if sound else "striate train, and then its run",
            )
        return found

    def _prediction(self, name: str, row: NDArray[np.float32]) -> Prediction:
        order = np.argsort(-row, kind="stable")
        return Prediction(name, tuple(self.classes[i] for i in order), tuple(float(row[i]) for i in order))


def read_images(images: Any, known: Normalization) -> Iterator[tuple[str, NDArray[Any]]]:
    """Each image with its name, as it is stored: height x width x channels.

    images: as `Trained.predict` takes them.
    Raises DataError, at its name or place, for an image that cannot be read and for what is none.
    """
    for name, image in _images(images, "[0]"):
        yield name, _named(name, image, known)


def _named(name: str, image: Any, known: Normalization) -> NDArray[Any]:
    try:
        return _prepared(image, known)
    except Unreadable as trouble:
        trouble.place = trouble.place or name
        if trouble.code == "not-a-image" or not isinstance(image, Path):
            # Its cure is for a file among those of a training.
            trouble.cure = "leave it out"
        raise


def _prepared(image: Any, known: Normalization) -> NDArray[Any]:
    return prepare_image(
        image,
        stored_size=known.stored_size,
        channels=known.channels,
        dtype=known.dtype,
        fit=known.fit,
        values=known.values,
    )


def _images(given: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Each image that something stands for, with its name, as `prepare_image` takes it.

    place: its name where it has none of its own.
    """
    if isinstance(given, Tensor):
        # Not every type of number is known to numpy.
        given = given.detach().cpu()
        given = np.asarray(_channels_last(given.float() if given.is_floating_point() else given))
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        if path.is_dir():
            files = files_below(path, str(path), ())[0]
            if not files:
                raise DataError("there is no image in this folder", place=str(path))
            yield from ((str(file), file) for _, file in files)
        else:
            yield str(given), path
    elif isinstance(given, bytes | bytearray | memoryview):
        yield place, bytes(given)
    elif isinstance(given, Image.Image):
        yield place, given
    elif isinstance(given, np.ndarray) and given.dtype.kind not in "OUS":
        if given.ndim == 4:
            yield from ((f"[{number}]", each) for number, each in enumerate(given))
        else:
            yield place, given
    elif hasattr(given, "read"):
        yield _content(given, place)
    elif isinstance(given, Number | Mapping | None) or not isinstance(given, Iterable):
        raise DataError(
            f"{type(given).__name__} is no image",
            place=place,
            expected="a path, bytes, an open file, a PIL image, an array, a tensor, or an iterable of these",
        )
    else:
        for number, each in enumerate(given):
            yield from _images(each, f"[{number}]")


def _content(file: Any, place: str) -> tuple[str, bytes]:
    """What is left to read in an open file; it stays open."""
    name = getattr(file, "name", None)
    name = name if isinstance(name, str) else place
    content = b"" if isinstance(file, io.TextIOBase) else file.read()
    if not isinstance(content, bytes) or isinstance(file, io.TextIOBase):
        raise DataError("this file is open for text", place=name, expected="bytes", cure='open(path, "rb")')
    return name, content


def _channels_last(tensor: Tensor) -> Tensor:
    """C x H x W as H x W x C, as torch's images have their channels first, but where only the last axis is a
    number of channels; likewise for N of them."""
    if tensor.ndim not in (3, 4) or (tensor.shape[-1] in (1, 3, 4) and tensor.shape[-3] not in (1, 3, 4)):
        return tensor
    return tensor.movedim(-3, -1)


def load_trained(run: str | Path, *, device: str | None = None) -> Trained:
    """Load the best weights of a run.  Raises RunError where there is none, ResourceError for the device."""
    folder = find_run(run)
    record, data = folder.read_record(), folder.read_data()
    preparation = Normalization.from_record(data.preparation)
    text = read_small_text(folder.net, RunError, "the text of a network")
    classes = tuple(data.classes)
    layout = lay(read_text(text, str(folder.net)), Map(preparation.channels, *preparation.size), len(classes))
    _require_room(layout, folder)
    with torch.random.fork_rng(devices=[]):
        net = build(layout)
    set_in_place(net, False)
    load_weights(net, folder.weights)
    where = choose_device(device)
    tta = read_run_recipe(folder, record).tta
    return Trained(folder, classes, net.to(where).eval(), preparation, record, where, tta)


def _require_room(layout: Layout, run: RunFolder) -> None:
    """Raise RunError where a large network has more weights than the file of them: it may fill the memory."""
    needed = 4 * sum(placed.layer.weights(placed.input) for placed in layout.layers())
    if needed > LARGE_BYTES and run.weights.is_file() and needed > (there := run.weights.stat().st_size):
        raise RunError(
            f"net.txt and data.json give {needed:,} bytes of weights, and weights.safetensors has {there:,}",
            place=str(run.path),
            expected="these files as `striate train` writes them",
            cure="copies of them, or striate train, which starts over",
        )
