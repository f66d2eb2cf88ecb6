"""bundle.json: what a bundle is, as data.

A bundle is a folder, or a zip of one, with

    bundle.json          this: classes, preprocessing, calibration, the hash of every other file
    network.onnx         `images` N x C x H x W float32 -> `logits` N x K, and where there is one `class_map` N x K x h x w
    net.txt              the text of the network, and
    weights.safetensors  its weights: what the ONNX file was written from
    reference.safetensors  the answers of the trained network about drawn images, to prove the bundle elsewhere
    certificate.json, certificate.html  the proof
    run.py               answers about image files with onnxruntime, numpy and Pillow alone

None of its files can run code but run.py, which striate itself never runs.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from striate.runs.record import Count, Facts, Part, PreparationRecord, Share, Text

FORMAT = 1

MANIFEST, NETWORK, NET, WEIGHTS = "bundle.json", "network.onnx", "net.txt", "weights.safetensors"
REFERENCE, CERTIFICATE, PAGE, RUNNER = (
    "reference.safetensors",
    "certificate.json",
    "certificate.html",
    "run.py",
)
IMAGES = "images"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Real = Annotated[float, Field(ge=-1e30, le=1e30)]


class Promise(Part):
    """A threshold, and the risk that it keeps: of the answers whose probability reaches it, at most `risk` are wrong.

    With 95 % confidence, as the exact binomial bound says.  coverage: the share of images answered.
    wrong: the share of these that was wrong, on `answered` of the images it was found with.
    """

    risk: Share
    threshold: Share
    coverage: Share
    wrong: Share
    answered: Count


class ConformalLevel(Part):
    """Classes of at least this probability make a set that holds the true class in `level` of all cases."""

    level: Share
    least: Share


class Outliers(Part):
    """How unlike the training images an image is: score = -T logsumexp(logits / T), of which more than
    `threshold` is unlike; `kept` of the validation images are not.

    Source: Liu et al. 2020, "Energy-based out-of-distribution detection".
    """

    threshold: Real
    kept: Share


class Calibration(Part):
    """What makes an answer sure of itself, measured on `images` validation images.

    probabilities = softmax(logits / temperature).  ece: expected calibration error, 15 bins of equal width, before
    and after; after is measured by two-fold cross-fitting.  wrong_at_most: the risk that was asked for, whose
    threshold is used; None: every answer stands.
    """

    temperature: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    images: Count = 0
    ece_before: Share = 0.0
    ece_after: Share = 0.0
    wrong_at_most: Share | None = None
    promises: list[Promise] = Field(default_factory=list, max_length=100)
    sets: list[ConformalLevel] = Field(default_factory=list, max_length=100)
    outliers: Outliers | None = None

    @model_validator(mode="after")
    def _kept(self) -> Self:
        if self.wrong_at_most is not None and self.promise(self.wrong_at_most) is None:
            raise ValueError("wrong_at_most should be one of the promises")
        return self

    def promise(self, risk: float) -> Promise | None:
        """The promise of a risk, or None where it was not proven."""
        return next((each for each in self.promises if abs(each.risk - risk) < 1e-9), None)


class Manifest(Part):
    """bundle.json.

    precision: of the arithmetic.  tta: an image whose answer is less probable is looked at again.
    files: the SHA-256 of every other file.  weights_sha256, run, data: where it comes from.
    """

    format: Annotated[int, Field(ge=1)] = FORMAT
    name: Text
    created: Text = ""
    precision: Literal["fp32", "int8"] = "fp32"
    classes: Annotated[list[Text], Field(min_length=1, max_length=1_000_000)]
    preprocessing: PreparationRecord
    class_map: Annotated[tuple[Count, Count], Field(strict=False)] | None = None
    tta: Share = 0.0
    calibration: Calibration = Calibration()
    versions: Facts = Field(default_factory=dict)
    weights_sha256: Sha256
    data: Facts = Field(default_factory=dict)
    files: Annotated[dict[Text, Sha256], Field(max_length=10_000)]
