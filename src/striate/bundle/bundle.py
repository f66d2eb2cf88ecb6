"""A bundle that was read, and its answers."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from striate.bundle.calibration import energy, softmax, tta_logits
from striate.bundle.manifest import CERTIFICATE, FORMAT, MANIFEST, NET, NETWORK, Calibration, Manifest
from striate.bundle.preprocess import Preprocessing
from striate.bundle.session import Run, open_session
from striate.data.decode.image import ImageSource
from striate.data.images import Images
from striate.disk.small import read_small
from striate.errors import BundleError, counted
from striate.runs.record import explained

# Images that go through the network together where many are asked about.
GROUP = 64

# What a file of a bundle may take: protobuf ends at 2 GB.
MOST_BYTES, MOST_TEXT = 2_000_000_000, 100_000_000

LOGITS, CLASS_MAP = "logits", "class_map"

# The place of weights in a file of their own, in the words of an ONNX file: field, length, text.
_EXTERNAL = b"\x0a\x08location"


@dataclass(frozen=True)
class Answers:
    """What a bundle says of N images.

    classes: K names.  logits: N x K.  probabilities: N x K, calibrated.  labels: N, the most probable class.
    unsure: N, its probability is below what the promised risk needs.  outlier: N, unlike the training images.
    energy: N, the score that says so; the higher the more unlike.
    class_map: N x K x h x w, how much each place speaks for each class, or None where the network has none.
    sets: N x K, the classes of the conformal set, or None where no level was asked for.
    """

    classes: tuple[str, ...]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    unsure: NDArray[np.bool_]
    outlier: NDArray[np.bool_]
    energy: NDArray[np.float32]
    class_map: NDArray[np.float32] | None = None
    sets: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def reject(self) -> NDArray[np.bool_]:
        """N: whether the answer is "I don't know"."""
        return self.unsure | self.outlier

    def record(self, index: int, top: int = 3) -> dict[str, Any]:
        """One answer as plain values, as `striate predict --json` and the server give it.

        Probabilities have six decimals, so that what batch an image was answered in does not show.
        """
        row = self.probabilities[index]
        order = np.argsort(-row, kind="stable")[: max(1, top)]
        found: dict[str, Any] = {
            "answers": [{"class": self.classes[i], "probability": round(float(row[i]), 6)} for i in order]
        }
        if self.reject[index]:
            found["rejected"] = "outlier" if self.outlier[index] else "unsure"
        if self.sets is not None:
            found["set"] = [self.classes[i] for i in np.argsort(-row, kind="stable") if self.sets[index, i]]
        return found


class Bundle:
    """A trained network as it ships: it reads images and answers, without torch.

    Everything is read and checked at once; nothing is opened later.  It may be asked from several threads.
    """

    def __init__(self, path: Path, manifest: Manifest, run: Run, read: Callable[[str], bytes]) -> None:
        self.path = path
        self.manifest = manifest
        self.classes = tuple(manifest.classes)
        self.preprocessing = Preprocessing(manifest.preprocessing)
        self.calibration: Calibration = manifest.calibration
        self.run = run
        self._file = read

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        runtime: str = "auto",
        threads: int | None = None,
        spinning: bool = False,
    ) -> Self:
        """Read a bundle: its folder, or the zip of one.

        runtime, threads, spinning: as `open_session` takes them.
        Raises BundleError where it is missing, damaged, changed since it was proven or of a later striate;
        MissingExtra where the runtime is not installed.
        """
        path = Path(path)
        read = _reader(path)
        manifest = _manifest(path, read(MANIFEST))
        model = read(NETWORK)
        for name, content in ((NETWORK, model), (NET, read(NET))):
            if hashlib.sha256(content).hexdigest() != manifest.files.get(name):
                raise _damaged(path, f"{name} is not the one that was proven: its SHA-256 differs")
        if _EXTERNAL in model:
            raise _damaged(path, f"{NETWORK} names weights in another file")
        outputs = [LOGITS] if manifest.class_map is None else [LOGITS, CLASS_MAP]
        try:
            run = open_session(model, outputs, runtime, threads, spinning=spinning)
        except BundleError:
            raise
        except (RuntimeError, ValueError) as problem:
            raise _damaged(
                path, f"{NETWORK} cannot be opened: {str(problem).splitlines()[0][:120]}"
            ) from None
        made = cls(path, manifest, run, read)
        made._try()
        return made

    @property
    def name(self) -> str:
        """What it is called: a name that may stand in a URL."""
        return self.manifest.name

    @property
    def has_class_map(self) -> bool:
        """Whether it says where it looked."""
        return self.manifest.class_map is not None

    def file(self, name: str) -> bytes:
        """One of its files, as `certificate.html`.  Raises BundleError where it has none of that name."""
        if name != MANIFEST and name not in self.manifest.files:
            raise _damaged(self.path, f"it has no {name}")
        return self._file(name)

    def certificate(self) -> dict[str, Any]:
        """The certificate of its proof, as plain values."""
        found: dict[str, Any] = json.loads(self.file(CERTIFICATE))
        return found

    def store(self, image: ImageSource) -> NDArray[Any]:
        """One image, decoded, resized and cropped: H x W x C.

        image: a path, a file's bytes, an array (H, W) or (H, W, C), or a PIL image.
        Raises Unreadable, a DataError, where it cannot be read.
        """
        return self.preprocessing.store(image)

    def answer(
        self, images: Sequence[ImageSource], *, wrong_at_most: float | None = None, level: float | None = None
    ) -> Answers:
        """What it says of images.  Raises Unreadable, a DataError, at the first that cannot be read.

        wrong_at_most, level: as `answer_stored`.
        """
        stored = [self.store(each) for each in images]
        height, width = self.manifest.preprocessing.stored_size
        shape = (0, height, width, self.manifest.preprocessing.channels)
        rows = np.stack(stored) if stored else np.empty(shape, self.manifest.preprocessing.dtype)
        return self.answer_stored(rows, wrong_at_most=wrong_at_most, level=level)

    def answer_stored(
        self, stored: Images, *, wrong_at_most: float | None = None, level: float | None = None
    ) -> Answers:
        """What it says of images as `store` gives them, N x H x W x C.

        wrong_at_most: a share of wrong answers that the bundle can promise, 0.01 for 1 %; below its threshold the
        answer is "I don't know".  None: what the bundle was made with; 0 or less: every answer stands.
        level: of conformal sets, 0.95 for sets that hold the true class in 95 % of all cases.
        Raises BundleError where it cannot promise that.
        """
        groups = [
            self.answer_input(self.preprocessing.normalize(stored[start : start + GROUP]))
            for start in range(0, len(stored), GROUP)
        ] or [self.answer_input(self.preprocessing.normalize(stored))]
        places = [each for _, each in groups if each is not None]
        return self.judge(
            np.concatenate([logits for logits, _ in groups]),
            np.concatenate(places) if places else None,
            wrong_at_most=wrong_at_most,
            level=level,
        )

    def answer_input(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The logits, N x K, and the class map of what the network reads: N x C x height x width, float32."""
        if not len(x):
            logits, places = self.run_input(np.zeros((1, *x.shape[1:]), np.float32))
            return logits[:0], None if places is None else places[:0]
        logits, places = self.run_input(x)
        if self.manifest.tta:
            again = softmax(logits).max(axis=1) < self.manifest.tta
            if again.any():
                logits = logits.copy()
                logits[again] = tta_logits(lambda some: self.run(some)[0], x[again], logits[again])
        return logits, places

    def run_input(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """As `answer_input`, but no image is looked at again."""
        found = self.run(x)
        return found[0], found[1] if self.has_class_map else None

    def judge(
        self,
        logits: NDArray[np.float32],
        class_map: NDArray[np.float32] | None = None,
        *,
        wrong_at_most: float | None = None,
        level: float | None = None,
    ) -> Answers:
        """Answers from logits, N x K: calibrated, and "I don't know" where they are not sure.

        wrong_at_most, level: as `answer_stored`.  Raises BundleError.
        """
        known = self.calibration
        shares = softmax(logits / np.float32(known.temperature))
        score = energy(logits, known.temperature)
        outliers = known.outliers
        beyond = score > outliers.threshold if outliers is not None else np.zeros(len(logits), np.bool_)
        labels = shares.argmax(axis=1)
        if wrong_at_most is not None and wrong_at_most <= 0:
            beyond = np.zeros(len(logits), np.bool_)
        return Answers(
            classes=self.classes,
            logits=logits,
            probabilities=shares,
            labels=labels,
            unsure=shares.max(axis=1) < self._threshold(wrong_at_most),
            outlier=beyond,
            energy=score,
            class_map=class_map,
            sets=None if level is None else self._sets(shares, labels, level),
        )

    def _threshold(self, wrong_at_most: float | None) -> float:
        known = self.calibration
        risk = known.wrong_at_most if wrong_at_most is None else wrong_at_most
        if risk is None or risk <= 0:
            return 0.0
        promise = known.promise(risk)
        if promise is None:
            raise _no_promise("--wrong-at-most", risk, [each.risk for each in known.promises], known.images)
        return promise.threshold

    def _sets(
        self, shares: NDArray[np.float32], labels: NDArray[np.int64], level: float
    ) -> NDArray[np.bool_]:
        known = next((each for each in self.calibration.sets if abs(each.level - level) < 1e-9), None)
        if known is None:
            levels = [each.level for each in self.calibration.sets]
            raise _no_promise("--sets", level, levels, self.calibration.images)
        found = shares >= np.float32(known.least)
        # An empty set says nothing; the most probable class is in it whatever its probability.
        found[np.arange(len(labels)), labels] = True
        return found

    def _try(self) -> None:
        """One answer, so that a network of another shape is refused now and not at the first request."""
        known = self.manifest
        channels, height, width = self.preprocessing.input
        x = np.zeros((1, channels, height, width), np.float32)
        try:
            found = self.run(x)
        except Exception as problem:
            # Whatever the runtime raises for an input of another shape.
            reason = str(problem).splitlines()[0][:120]
            raise _damaged(self.path, f"{NETWORK} does not answer: {reason}") from None
        wanted: list[tuple[int, ...]] = [(1, len(self.classes))]
        if known.class_map is not None:
            wanted.append((1, len(self.classes), *known.class_map))
        if [each.shape for each in found] != wanted:
            raise _damaged(
                self.path,
                f"{NETWORK} answers {' and '.join(str(each.shape) for each in found)}, where {MANIFEST} has "
                f"{' and '.join(map(str, wanted))}",
            )


def is_bundle(path: str | Path) -> bool:
    """Whether there is a bundle at a path, as far as can be seen without reading it."""
    path = Path(path)
    if path.is_dir():
        return (path / MANIFEST).is_file()
    return path.is_file() and path.suffix.lower() == ".zip" and MANIFEST in _names(path)


def read_manifest(path: str | Path) -> Manifest:
    """The manifest alone; no network is opened.  Raises BundleError."""
    return _manifest(Path(path), _reader(Path(path))(MANIFEST))


def read_file(path: str | Path, name: str) -> bytes:
    """One file of a bundle; no network is opened.  Raises BundleError."""
    return _reader(Path(path))(name)


def bundle_files(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Each file that the manifest names, with its content.  Raises BundleError where one differs from its hash."""
    path = Path(path)
    read = _reader(path)
    for name, digest in _manifest(path, read(MANIFEST)).files.items():
        content = read(name)
        if hashlib.sha256(content).hexdigest() != digest:
            raise _damaged(path, f"{name} is not the one that was proven: its SHA-256 differs")
        yield name, content


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []


def _reader(path: Path) -> Callable[[str], bytes]:
    """What reads a file of the bundle by its name.  Raises BundleError where there is no bundle."""
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            is_run = (path / "run.json").is_file()
            raise BundleError(
                "this folder holds a run, not a bundle" if is_run else "this folder holds no bundle",
                place=str(path),
                expected=f"a folder with {MANIFEST} in it, as `striate export` writes it",
                cure=f"striate export {path}" if is_run else "striate export RUN",
            )
        return lambda name: _from_folder(path, name)
    if not path.exists():
        raise BundleError(
            "there is no such bundle",
            place=str(path),
            expected="the folder or zip that `striate export` writes",
            cure="striate export RUN",
        )
    if MANIFEST not in _names(path):
        raise BundleError(
            "this file is no bundle",
            place=str(path),
            expected="the folder or zip that `striate export` writes",
            cure="striate export RUN",
        )
    return lambda name: _from_zip(path, name)


def _from_folder(path: Path, name: str) -> bytes:
    file = path / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise _damaged(path, f"{name} lies outside of it")
    try:
        return read_small(file, MOST_TEXT if name == MANIFEST else MOST_BYTES)
    except FileNotFoundError:
        raise _damaged(path, f"{name} is missing") from None
    except OSError as error:
        raise _damaged(path, f"{name} cannot be read: {error.strerror or error}") from None


def _from_zip(path: Path, name: str) -> bytes:
    most = MOST_TEXT if name == MANIFEST else MOST_BYTES
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            content = file.read(most + 1)
    except KeyError:
        raise _damaged(path, f"{name} is missing") from None
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise _damaged(path, f"{name} cannot be read: {error}") from None
    except Exception as error:
        # A damaged stream brings zlib to raise an error of its own.
        raise _damaged(path, f"{name} cannot be unpacked: {error}") from None
    if len(content) > most:
        raise _damaged(path, f"{name} has more than {most:,} bytes")
    return content


def _manifest(path: Path, content: bytes) -> Manifest:
    try:
        values: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{MANIFEST} is not JSON: {error}") from None
    made = values.get("format", FORMAT) if isinstance(values, dict) else FORMAT
    if isinstance(made, int) and made > FORMAT:
        raise BundleError(
            f"the bundle is of format {made}, and this striate knows {FORMAT}",
            place=str(path),
            cure="pip install --upgrade striate",
        )
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        raise _damaged(path, f"{MANIFEST}: {explained(error)}") from None


def _damaged(path: Path, why: str) -> BundleError:
    return BundleError(
        f"the bundle is damaged: {why}",
        place=str(path),
        expected="its files as `striate export` wrote them",
        cure="a copy of it, or striate export RUN",
    )


def _no_promise(flag: str, asked: float, known: Sequence[float], images: int) -> BundleError:
    shown = ", ".join(map(_percent, known))
    return BundleError(
        f"{_percent(asked)} cannot be promised from {counted(images, 'validation image')}",
        place=flag,
        expected=f"one of {shown}" if known else "a bundle that was calibrated with more validation images",
        cure=f"{flag} {_percent(known[0])}" if known else f"leave out {flag}",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"
