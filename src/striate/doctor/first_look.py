"""What a minute with a data set says before anything is trained on it: the rules of `striate doctor DATA`.

The order is that of Karpathy 2019, A Recipe for Training Neural Networks: look at the labels, beat the most frequent
class, try what is simple, fit one batch, fit ten images.  The experiments need torch and lie in
`striate.training.first_look`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from striate.doctor.finding import Diagnosis, Finding, NotApplicable, Rule, Threshold, diagnosis_of
from striate.doctor.probed import BENCHMARK, ONE_BATCH_NOT_FITTED, Fit, Pair, unrelated
from striate.doctor.results import FEW_IMAGES, IMBALANCE, IMBALANCE_IGNORED, LEAK, LEAKED, TOO_FEW_IMAGES
from striate.errors import counted
from striate.text.figures import percent, wilson

DOUBTED = Threshold(
    0.02,
    reason="of the images on whose class neighbors and a linear model agree, those that are labelled otherwise: fewer cost "
    "less than looking for them",
    source=f"measured, {BENCHMARK}: 0.2 % on digits, 1.8 to 2.7 % on MNIST, 26 % on CIFAR-10 as they are",
)
DOUBTED_FAR = Threshold(
    0.25,
    reason="of these, the lower end of the 95 % interval of the share whose label is among the less probable half of the "
    "classes: a hard image has its label near the top, a wrong label is anywhere",
    source=f"measured, {BENCHMARK}: 0 to 0.12 on digits, MNIST, CIFAR-10 and photographs as they are, 0.34 to 0.50 where "
    "10 % or 40 % of the labels of digits and MNIST are wrong",
)
FEWEST_DOUBTED = Threshold(
    5, reason="fewer odd images are odd images, in any data set", source=f"measured, {BENCHMARK}"
)
LEAST_CLASSES = Threshold(
    4, reason="of three classes the last but one is near the top", source="the half that DOUBTED_FAR counts"
)

LABEL_DOUBTED = Rule(
    "label-noise",
    "warning",
    "Many labels seem to be wrong.",
    "A network learns the mistakes, and its score counts right answers as wrong.",
    (
        ("DOUBTED", DOUBTED),
        ("DOUBTED_FAR", DOUBTED_FAR),
        ("FEWEST_DOUBTED", FEWEST_DOUBTED),
        ("LEAST_CLASSES", LEAST_CLASSES),
    ),
)
RULES = (LABEL_DOUBTED,)

# Labels that are named one by one.
NAMED = 5

_LEAKS = ("duplicate-across-splits", "near-duplicate-across-splits", "group-in-two-splits")


@final
@dataclass(frozen=True, slots=True)
class Doubt:
    """A label that may be wrong.

    said: the class that the image rather has, with so much probability.  far: whether the label is among the less
    probable half of the classes.
    """

    name: str
    label: str
    said: str
    probability: float
    far: bool


@final
@dataclass(frozen=True, slots=True)
class FirstLook:
    """What was measured.

    source: of the data.  counts: images of each split.  per_class: of the training split.  findings: on files, by code.
    agreed: images on whose class neighbors and a linear model agree.  doubts: those labelled otherwise, the surest first.
    simple: each simple way to answer the validation images, against always the most frequent class.
    network: that was tried.  batch, usual: one batch of it with the recipe's optimizer, and with the usual one.
    ten: ten images, of as many classes as there are.  seconds: of the whole.
    """

    source: str
    counts: Mapping[str, int]
    per_class: Mapping[str, int]
    findings: Mapping[str, int]
    agreed: int
    doubts: tuple[Doubt, ...]
    simple: tuple[tuple[str, Pair], ...]
    network: str
    batch: Fit | str
    usual: Fit | None
    ten: Fit | str
    seconds: float

    def steps(self) -> Iterator[tuple[str, str]]:
        """Each step of the recipe and what it gave, in a line."""
        seen = ", ".join(f"{counted(number, code)}" for code, number in self.findings.items())
        yield "files", seen or "nothing odd among those that were read"
        yield (
            "labels",
            (
                f"{len(self.doubts)} of the {self.agreed:,} on which neighbors and a linear model agree are labelled otherwise"
            ),
        )
        often = self.simple[0][1]
        yield "most frequent class", f"{percent(often.second)} of {often.images:,} validation images"
        for name, pair in self.simple:
            yield name, percent(pair.first)
        for name, fit in (("one batch", self.batch), ("ten images", self.ten)):
            if isinstance(fit, str):
                yield name, f"not tried: {fit}"
            elif not fit.tells:
                yield name, f"no answer: there was time for {fit.steps} steps of {self.network} only"
            else:
                fitted = f"fitted in {fit.steps} steps" if fit.fitted else f"not fitted: {fit.said()}"
                yield name, f"{fitted} by {self.network}"

    def to_record(self) -> dict[str, Any]:
        """The figures, as plain values."""
        return {
            "counts": dict(self.counts),
            "doubted": [
                {"name": each.name, "label": each.label, "rather": each.said, "probability": each.probability}
                for each in self.doubts
            ],
            "most_frequent_class": self.simple[0][1].second,
            "simple": {name: pair.first for name, pair in self.simple},
            "network": self.network,
            "one_batch": _fit(self.batch),
            "ten_images": _fit(self.ten),
            "seconds": round(self.seconds, 1),
        }


def _fit(fit: Fit | str) -> dict[str, Any] | str:
    if isinstance(fit, str):
        return fit
    return {
        "images": fit.images,
        "right": fit.right,
        "loss": fit.loss,
        "steps": fit.steps,
        "fitted": fit.fitted,
    }


def judge(look: FirstLook) -> Diagnosis:
    """What is wrong with the data, the gravest first."""
    return diagnosis_of(_findings(look))


def _findings(look: FirstLook) -> Iterator[Finding | NotApplicable]:
    source = shlex.quote(look.source)
    yield from _leaks(look, source)
    found = unrelated(look.simple, look.source)
    if not isinstance(found, Finding):
        yield from _doubts(look, source)
    yield from _classes(look, source)
    if found is not None:
        yield found
    yield from _fits(look, source)


def _leaks(look: FirstLook, source: str) -> Iterator[Finding]:
    across = {code: look.findings[code] for code in _LEAKS if look.findings.get(code)}
    scored = min((count for split, count in look.counts.items() if split != "train"), default=0)
    if sum(across.values()) >= max(2, LEAKED * scored):
        told = ", ".join(f"{count:,} {code}" for code, count in across.items())
        yield LEAK.finding(
            f"{told}; the smallest split that is scored has {counted(scored, 'image')}",
            f"`striate check {source} --manifest fixed.csv`, and train on that",
        )


def _doubts(look: FirstLook, source: str) -> Iterator[Finding | NotApplicable]:
    number, far = len(look.doubts), sum(each.far for each in look.doubts)
    if len(look.per_class) < LEAST_CLASSES:
        yield LABEL_DOUBTED.not_applicable(
            f"of {len(look.per_class)} classes, a wrong label is as near as a hard image's"
        )
    elif (
        number >= max(FEWEST_DOUBTED, DOUBTED * look.agreed) and wilson(far / number, number)[0] > DOUBTED_FAR
    ):
        names = "; ".join(
            f"{each.name}: labelled {each.label}, rather {each.said} ({percent(each.probability)})"
            for each in look.doubts[:NAMED]
        )
        yield LABEL_DOUBTED.finding(
            f"neighbors and a linear model agree on {look.agreed:,} images, of which {number} are labelled otherwise, {far} of "
            f"these with a class that is hardly probable: {names}",
            f"look at them: `striate show {source}`; after a training `striate check {source} --labels runs/latest` "
            "names more of them",
        )


def _classes(look: FirstLook, source: str) -> Iterator[Finding]:
    per = look.per_class
    smallest, largest = min(per, key=lambda each: per[each]), max(per, key=lambda each: per[each])
    if sum(per.values()) < FEW_IMAGES * len(per) or per[smallest] < 2:
        yield TOO_FEW_IMAGES.finding(
            f"{sum(per.values()):,} training images of {len(per)} classes; `{smallest}` has {per[smallest]}",
            f"more images; or what is known of photographs: `striate train {source} --transfer`",
            smallest,
        )
    if per[largest] >= IMBALANCE * max(1, per[smallest]):
        yield Finding(
            IMBALANCE_IGNORED.code,
            "note",
            f"`{largest}` has {per[largest]:,} training images and `{smallest}` {per[smallest]:,}",
            IMBALANCE_IGNORED.why,
            f"`striate train {source} --set balance=sampling --set metric=balanced_accuracy`",
            smallest,
        )


def _fits(look: FirstLook, source: str) -> Iterator[Finding | NotApplicable]:
    for what, fit in (("one batch", look.batch), ("ten images", look.ten)):
        if isinstance(fit, str):
            yield ONE_BATCH_NOT_FITTED.not_applicable(f"{what}: {fit}")
        elif not fit.tells:
            yield ONE_BATCH_NOT_FITTED.not_applicable(f"{what}: there was time for {fit.steps} steps only")
        elif not fit.fitted:
            usual = look.usual
            if usual is not None and usual.fitted:
                cure = f"`striate train {source} --set optimizer={usual.optimizer} --set learning_rate={usual.learning_rate:g}`"
                more = f"; {usual.optimizer} at {usual.learning_rate:g} fits one batch in {usual.steps} steps"
            else:
                cure = f"look at the images and labels: `striate show {source}`; `striate check {source}`"
                more = ""
            yield ONE_BATCH_NOT_FITTED.finding(f"{what}: {fit.said()}{more}", cure)
            return
