"""certificate.json: what was proven of a bundle, where and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from striate.bundle.manifest import Calibration, Real, Sha256
from striate.bundle.verify import Agreement, Measured
from striate.runs.record import Count, Facts, Part, Share, Text
from striate.text.figures import NONE, size


class Timing(Part):
    """What a runtime takes for the network on this machine; why it was not measured, if it was not.

    single_ms: of one image, the median of `runs`, and its quartiles.  images_per_s: in batches of 16.
    peak_bytes: of the whole process, libraries included.  network_bytes: of the file it reads.
    """

    runtime: Text
    precision: Text = "fp32"
    single_ms: Real | None = None
    quartiles_ms: Annotated[tuple[Real, Real], Field(strict=False)] | None = None
    runs: Count = 0
    images_per_s: Real | None = None
    peak_bytes: Count | None = None
    network_bytes: Count | None = None
    why_not: Text = ""

    def cells(self, why_not: str) -> list[str]:
        """As a row of a table: runtime, precision, time of an image, its quartiles, images a second, memory, file.

        why_not: what stands in place of the times where there are none.
        """
        if self.single_ms is None or self.quartiles_ms is None or self.images_per_s is None:
            return [self.runtime, self.precision, why_not, "", "", "", ""]
        low, high = self.quartiles_ms
        return [
            self.runtime,
            self.precision,
            f"{self.single_ms:.3g} ms",
            f"{low:.3g} to {high:.3g}",
            f"{self.images_per_s:,.0f}",
            NONE if self.peak_bytes is None else size(self.peak_bytes),
            NONE if self.network_bytes is None else size(self.network_bytes),
        ]


class LayerPairs(Part):
    """The weights of a layer in int8.  pair: the largest sum of two of one sign in any output channel; at most 128
    cannot saturate 16 bits, whatever the activations.  largest: the largest weight, of 127.
    difference: between 16-bit pairs and exact sums in a simulation on real activations.
    """

    layer: Text
    weights: Count
    pair: Count
    largest: Count
    simulated: Count = 0
    difference: Count = 0

    @property
    def proven(self) -> bool:
        """Whether no pair of products can saturate."""
        return self.pair <= 128


class Int8(Part):
    """How a network came to int8.

    methods: the mean squared error of the logits by each way to find the ranges of activations, as a share of
    their variance; method: the one taken.  in_float: layers that were left in float32.
    lost: percentage points of accuracy, paired, with its 95 % interval; allowed: so many were.
    agreement: the share of images with the label of float32.
    """

    method: Text
    methods: dict[Text, Real]
    calibrated_on: Count
    measured_on: Count
    layers: list[LayerPairs]
    in_float: list[Text]
    lost: Real
    interval: Annotated[tuple[Real, Real], Field(strict=False)]
    allowed: Real
    agreement: Share
    tried: list[Text] = Field(default_factory=list)

    @property
    def safe_without_vnni(self) -> bool:
        """Whether every layer is proven not to saturate."""
        return all(each.proven and not each.difference for each in self.layers)


class OtherImages(Part):
    """How the answers to images of another data set are told from the usual: share refused, and the AUROC of the score."""

    source: Text
    images: Count
    auroc: Share
    refused: Share


class Certificate(Part):
    """The whole proof.

    run, data, weights, net: what it was made from, by SHA-256 where that says it.  validation: which images.
    checks: answers beside those of the trained network.  before, after: the accuracy of both.
    class_map: the largest difference between a logit and the mean of its class map and its bias.
    """

    format: int = 1
    verdict: Literal["proven"] = "proven"
    name: Text
    created: Text
    precision: Literal["fp32", "int8"]
    tolerance: Real
    run: Text
    validation: Text
    hashes: dict[Text, Sha256]
    data: Facts
    checks: list[Agreement]
    before: Measured
    after: Measured
    class_map: Real | None = None
    calibration: Calibration
    int8: Int8 | None = None
    others: list[OtherImages] = Field(default_factory=list)
    timings: list[Timing] = Field(default_factory=list)
    machine: Facts
    versions: Facts
