"""Whether a bundle answers as it was proven to, here and now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load

from striate.bundle.bundle import GROUP, Answers, Bundle, bundle_files
from striate.bundle.manifest import IMAGES, REFERENCE, Manifest, Real
from striate.data.files.finding import Finding
from striate.data.labelled import Image, Wanted, label_images
from striate.errors import BundleError, DataError, counted, nearest
from striate.runs.record import Count, Part, PreparationRecord, Share, Text
from striate.text.figures import wilson
from striate.text.visible import visible

# The largest difference that is allowed, as a share of the largest logit.  Between two processors int8 differs by a
# step of rounding here and there, float32 by the order of sums.
TOLERANCE: dict[str, float] = {"fp32": 1e-4, "int8": 0.05}

BATCHES = (1, 3, 16)

# Drawn reference images, the first of them extreme.
DRAWN = 16


class Agreement(Part):
    """Answers beside those of the trained network.

    what: which images, in what batches.  difference: the largest of any logit; logit: the largest wanted one.
    labels_equal: the share of images with the same label.  decided: images whose two best logits are farther apart
    than twice the allowed difference, and decided_equal: how many of these have the same label.
    """

    what: Text
    images: Count
    difference: Real
    logit: Real
    labels_equal: Share
    decided: Count
    decided_equal: Count

    @property
    def share(self) -> float:
        """The difference as a share of the largest logit."""
        return self.difference / max(self.logit, 1e-3)


class Measured(Part):
    """How good the answers are.  interval: 95 % interval of the accuracy, by Wilson's formula."""

    images: Count
    accuracy: Share
    interval: Annotated[tuple[Share, Share], Field(strict=False)]


Verdict = Literal["proven", "failed"]


def agreement(
    what: str, wanted: NDArray[np.float32], found: NDArray[np.float32], tolerance: float
) -> Agreement:
    """Logits N x K beside those that were wanted.  A NaN or infinity counts as an infinite difference."""
    sound = np.isfinite(found).all() and np.isfinite(wanted).all()
    difference = float(np.abs(found - wanted).max()) if sound else 1e30
    largest = float(np.abs(wanted).max()) if np.isfinite(wanted).all() else 1e30
    order = np.sort(wanted, axis=1)
    margin = order[:, -1] - order[:, -2] if wanted.shape[1] > 1 else np.full(len(wanted), np.inf)
    equal = wanted.argmax(axis=1) == found.argmax(axis=1)
    decided = margin > 2 * tolerance * max(largest, 1e-3)
    return Agreement(
        what=what,
        images=len(wanted),
        difference=min(difference, 1e30),
        logit=min(largest, 1e30),
        labels_equal=float(equal.mean()),
        decided=int(decided.sum()),
        decided_equal=int((decided & equal).sum()),
    )


def measured(labels: NDArray[np.int64], truth: NDArray[np.int64]) -> Measured:
    """The accuracy of N labels against the true ones."""
    accuracy = float((labels == truth).mean())
    return Measured(images=len(labels), accuracy=accuracy, interval=wilson(accuracy, len(labels)))


def drawn_images(record: PreparationRecord, count: int = DRAWN) -> NDArray[Any]:
    """Reference images as they are stored, N x H x W x C, the same everywhere and in every version of numpy.

    The first are extreme: all least, all most, a board of single pixels, a ramp; the others are drawn in blocks of 1,
    2, 4 and 8 pixels, from the raw 64-bit words of PCG64 with seed 0.
    """
    height, width = record.stored_size
    shape = (height, width, record.channels)
    made = np.zeros((count, *shape), dtype=np.uint8)
    made[1] = 255
    rows, columns = np.ogrid[:height, :width]
    made[2] = (255 * ((rows + columns) % 2))[..., None]
    made[3] = (255 * columns // max(1, width - 1))[..., None]
    source = np.random.PCG64(0)
    for number in range(4, count):
        side = 2 ** (number % 4)
        small = (-(-height // side), -(-width // side), record.channels)
        words = source.random_raw(-(-int(np.prod(small)) // 8))
        values = np.asarray(words, dtype="<u8").view(np.uint8)[: np.prod(small)].reshape(small)
        made[number] = values.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
    if record.dtype == "uint8":
        return made
    if record.values is not None:
        low, high = record.values
    else:
        middle, far = np.mean(record.mean), 2 * np.max(record.deviation)
        low, high = float(middle - far), float(middle + far)
    return (low + (high - low) * made.astype(np.float32) / 255).astype(np.float32)


@dataclass(frozen=True, repr=False)
class Verified:
    """What came out.  checks: one for each way to ask.  measured: on labelled images, if they were given.

    promised: what is to be known of the promised risk on them, a sentence, and kept: whether it was.
    """

    manifest: Manifest
    checks: tuple[Agreement, ...]
    measured: Measured | None
    left_out: tuple[Finding, ...]
    promised: str
    kept: bool

    @property
    def failed(self) -> list[Agreement]:
        """The checks that differ by more than is allowed."""
        return [each for each in self.checks if not holds(each, self.manifest.precision)]

    @property
    def verdict(self) -> Verdict:
        """Whether all is as it was proven."""
        return "failed" if self.failed or not self.kept else "proven"

    def __str__(self) -> str:
        """Each check, the accuracy on images that were given, and the verdict."""
        lines = [
            f"{'holds' if holds(check, self.manifest.precision) else 'FAILS':9} {check.what}: difference {check.share:.2g} of the "
            f"largest logit, {check.decided_equal:,} of {check.decided:,} decided labels equal"
            for check in self.checks
        ]
        if self.measured is not None:
            low, high = self.measured.interval
            lines.append(
                f"accuracy  {self.measured.accuracy:.2%} of {counted(self.measured.images, 'image')} (95 % interval {low:.2%} to "
                f"{high:.2%})"
            )
        if self.left_out:
            lines.append(f"left out  {counted(len(self.left_out), 'file')} that cannot be used")
        if self.promised:
            lines.append(f"{'sure' if self.kept else 'FAILS':9} {self.promised}")
        if self.verdict == "proven":
            lines.append(f"proven    {visible(self.manifest.name)}, {self.manifest.precision}")
        return "\n".join(lines)

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "verdict": self.verdict,
            "bundle": self.manifest.name,
            "precision": self.manifest.precision,
            "checks": [
                {**each.model_dump(), "holds": holds(each, self.manifest.precision)} for each in self.checks
            ],
            "measured": None if self.measured is None else self.measured.model_dump(),
            "left_out": len(self.left_out),
            "promised": self.promised,
        }


def holds(check: Agreement, precision: str) -> bool:
    """Whether a check is within what is allowed."""
    return check.share <= TOLERANCE[precision] and check.decided_equal == check.decided


def verify(
    path: str | Path, data: str | Path | None = None, *, runtime: str = "auto", threads: int | None = None
) -> Verified:
    """Prove a bundle again, on this machine: every hash, and its answers at batch 1, 3 and 16.

    The images are the drawn ones whose answers the bundle carries, those of the user where they travel with it, and
    with `data` labelled images, of which the accuracy and the promised risk are measured.

    Raises BundleError where a file is missing or changed, DataError where DATA cannot be read.
    """
    content = dict(bundle_files(path))
    bundle = Bundle.read(path, runtime=runtime, threads=threads)
    known = bundle.manifest
    if REFERENCE not in content:
        raise BundleError(
            f"the bundle has no {REFERENCE}",
            place=str(path),
            expected="the answers of the trained network, as `striate export` writes them",
            cure="striate export RUN",
        )
    reference = load(content[REFERENCE])
    checks = _checks(bundle, drawn_images(known.preprocessing), reference["answers"], "drawn images")
    if (name := f"{IMAGES}.safetensors") in content:
        there = load(content[name])
        checks += _checks(bundle, there["images"], there["answers"], "your images")
    found = None if data is None else _on_data(bundle, data)
    promised, kept = ("", True) if found is None else _promise(bundle, found[0], found[1])
    return Verified(
        known,
        tuple(checks),
        None if found is None else measured(found[0].labels, found[1]),
        () if found is None else found[2],
        promised,
        kept,
    )


def raw_logits(bundle: Bundle, stored: NDArray[Any], batch: int) -> NDArray[np.float32]:
    """The logits of the network itself, N x K, asked in batches of one size, no image looked at again."""
    rows = [
        bundle.run_input(bundle.preprocessing.normalize(stored[start : start + batch]))[0]
        for start in range(0, len(stored), batch)
    ]
    return np.concatenate(rows)


def _checks(bundle: Bundle, stored: NDArray[Any], wanted: NDArray[np.float32], what: str) -> list[Agreement]:
    tolerance = TOLERANCE[bundle.manifest.precision]
    return [
        agreement(f"{what}, batch {batch}", wanted, raw_logits(bundle, stored, batch), tolerance)
        for batch in BATCHES
    ]


def _on_data(bundle: Bundle, data: str | Path) -> tuple[Answers, NDArray[np.int64], tuple[Finding, ...]]:
    """Answers about labelled images, their true classes, and what could not be used."""
    there = label_images(data)
    places = class_places(bundle.classes, there.classes, there.source)
    known = bundle.manifest.preprocessing
    wanted = Wanted(known.stored_size, known.channels, known.dtype, known.fit, known.values)
    left_out = [each for each in there.findings if each.left_out]
    group: list[NDArray[Any]] = []
    rows: list[NDArray[np.float32]] = []
    truth: list[int] = []

    def ask() -> None:
        rows.append(bundle.answer_input(bundle.preprocessing.normalize(np.stack(group)))[0])
        group.clear()

    for number, each in enumerate(there.images(wanted)):
        if not isinstance(each, Image):
            left_out.append(each)
            continue
        group.append(each.values)
        truth.append(places[there.items[number].label])
        if len(group) == GROUP:
            ask()
    if group:
        ask()
    if not rows:
        raise DataError(
            "not one of its images can be used",
            place=there.source,
            expected="images that can be read",
            cure=f"striate check {there.source}",
        )
    return bundle.judge(np.concatenate(rows)), np.array(truth, dtype=np.int64), tuple(left_out)


def class_places(classes: tuple[str, ...], given: tuple[str, ...], source: str) -> list[int]:
    """For each class of the data its place among the bundle's, by name.  Raises DataError where one is not known."""
    known = {name: place for place, name in enumerate(classes)}
    for name in given:
        if name not in known:
            near = nearest(name, classes)
            raise DataError(
                f"the bundle has no class `{name}`",
                place=source,
                expected="classes of the bundle: "
                + ", ".join(classes[:8])
                + (", ..." if len(classes) > 8 else ""),
                cure=f"name it `{near}` if it is the same, or leave it out" if near else "leave it out",
            )
    return [known[name] for name in given]


def _promise(bundle: Bundle, answers: Answers, truth: NDArray[np.int64]) -> tuple[str, bool]:
    """What became of the promised risk on these images."""
    risk = bundle.calibration.wrong_at_most
    if risk is None:
        return "", True
    kept = ~answers.reject
    count = int(kept.sum())
    wrong = int((answers.labels[kept] != truth[kept]).sum())
    if not count:
        return f"not one of {counted(len(truth), 'image')} was answered", True
    low, _ = wilson(wrong / count, count)
    said = (
        f"{100 * risk:.6g}% wrong at most was promised: {wrong:,} of {counted(count, 'answer')} were wrong "
        f"({wrong / count:.2%}), {count / len(truth):.1%} of the images were answered"
    )
    return said, low <= risk
