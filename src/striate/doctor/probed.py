"""What small experiments say of a run: the rules of `striate doctor RUN --probe`, on numbers that were measured.

The experiments themselves need torch and lie in `striate.training.probe`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from typing import final

from striate.doctor.finding import Finding, NotApplicable, Rule, Threshold
from striate.text.figures import percent

BENCHMARK = "benchmarks/doctor"

FITTED_LOSS = Threshold(
    0.1,
    reason="every image of the batch has more than 90 % probability on its label, in the geometric mean",
    source="Karpathy 2019, A Recipe for Training Neural Networks: overfit one batch",
)
FIT_STEPS = Threshold(
    500,
    reason="sound networks fit 32 images in 10 to 60 steps at a sound learning rate, a single layer of weights in 300; where half of them do "
    "not fit into the time, nothing is said",
    source=f"measured, {BENCHMARK}",
)
IGNORED = Threshold(
    0.01,
    reason="answers that move by less than a hundredth of their probability do not depend on the image",
    source="Karpathy 2019: input-independent baseline",
)
SURE = Threshold(
    0.01,
    reason="five checks at this level raise a false alarm in fewer than 5 % of the cases that lie on the edge",
    source="sign test on the images that only one of the two answers rightly (McNemar 1947)",
)
LINEAR_LEAD = Threshold(
    0.02,
    reason="a smaller lead of the linear model costs less than the search for its cause",
    source="the accuracy that a cure is judged by here",
)
AUGMENTATION_LEAD = Threshold(
    0.05,
    reason="a short training without augmentation that beats the whole run with it by so much is no chance",
    source=f"measured, {BENCHMARK}",
)
FEWEST_IMAGES = Threshold(
    30, reason="fewer validation images cannot tell two accuracies apart", source="sign test: 7 of 7 at least"
)

ONE_BATCH_NOT_FITTED = Rule(
    "one-batch-not-fitted",
    "error",
    "The network cannot learn a single batch by heart.",
    "What cannot fit 32 images, with nothing in its way, fits no data set.",
    (("FITTED_LOSS", FITTED_LOSS), ("FIT_STEPS", FIT_STEPS)),
)
INPUT_IGNORED = Rule(
    "input-ignored",
    "error",
    "The answers do not depend on the image.",
    "A network that answers alike for every image has learned the frequencies of the classes, and nothing else.",
    (("IGNORED", IGNORED),),
)
LABELS_UNRELATED = Rule(
    "labels-unrelated",
    "error",
    "Nothing that looks at the images answers better than always the most frequent class.",
    "Labels that belong to other images, or are shifted by a row, can be learned by heart, but say nothing of new ones.",
    (("SURE", SURE), ("FEWEST_IMAGES", FEWEST_IMAGES)),
)
AUGMENTATION_DESTROYS = Rule(
    "augmentation-destroys",
    "error",
    "The network learns more in a short training without the augmentation than in the whole run with it.",
    "An augmentation has to keep what the label means; one that does not teaches noise.",
    (("AUGMENTATION_LEAD", AUGMENTATION_LEAD), ("SURE", SURE)),
)
WORSE_THAN_LINEAR = Rule(
    "worse-than-linear",
    "warning",
    "A linear model on the pixels is better than the network.",
    "A network that loses to one layer has not been trained well, whatever its loss looks like.",
    (("LINEAR_LEAD", LINEAR_LEAD), ("SURE", SURE), ("FEWEST_IMAGES", FEWEST_IMAGES)),
)

RULES = (ONE_BATCH_NOT_FITTED, INPUT_IGNORED, LABELS_UNRELATED, AUGMENTATION_DESTROYS, WORSE_THAN_LINEAR)


@final
@dataclass(frozen=True, slots=True)
class Fit:
    """A network on a handful of images, seen again and again.

    images, steps: how many.  right, loss: of the last step.  seconds: that it took.  finite: whether the loss stayed a
    number.  whole: whether there was time for all the steps.  optimizer, learning_rate: that it was trained with.
    """

    images: int
    steps: int
    right: int
    loss: float
    seconds: float
    finite: bool
    whole: bool
    optimizer: str
    learning_rate: float

    @property
    def fitted(self) -> bool:
        """Whether every image is answered rightly, and surely."""
        return self.finite and self.right == self.images and self.loss < FITTED_LOSS

    @property
    def tells(self) -> bool:
        """Whether it went on long enough to say that the images cannot be fitted."""
        return self.fitted or not self.finite or self.whole or self.steps >= FIT_STEPS / 2

    def said(self) -> str:
        """What was seen, a clause."""
        seen = f"{self.right} of {self.images} right"
        loss = f"loss {self.loss:.3g}" if self.finite else "the loss became NaN"
        return f"{seen}, {loss} after {self.steps} steps of {self.optimizer} at learning rate {self.learning_rate:g}"


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """Two ways to answer the same images.

    first, second: the accuracy of each.  only_first, only_second: how many images one answers rightly and the other
    does not.  images: that both were asked.
    """

    first: float
    second: float
    only_first: int
    only_second: int
    images: int

    @property
    def chance(self) -> float:
        """Of a lead of the first as large as this one, or larger, if both were as good (sign test, one-sided).

        P(at least only_first of n heads), n = only_first + only_second
        """
        n = self.only_first + self.only_second
        return float(sum(comb(n, k) for k in range(self.only_first, n + 1)) / 2**n)

    @property
    def better(self) -> bool:
        """Whether the first is surely better."""
        return self.first > self.second and self.chance < SURE


@final
@dataclass(frozen=True, slots=True)
class Probed:
    """What the experiments gave; a text where one could not be made, the clause that says why.

    place: the run's folder.  source: of its data.  fit: one batch.  usual: the same with adamw at the learning rate
    that suits the network, where the recipe's did not fit it.
    variation: how far the answers differ from their mean over the validation images, in total variation, 0 to 1.
    simple: simple ways to answer, and the run itself, each against the most frequent class.
    augment: what is drawn.  plain: the short training without it, against the run.
    linear: a linear model on the pixels, against the run.
    """

    place: str
    source: str
    fit: Fit | str
    usual: Fit | None
    variation: float | str
    simple: tuple[tuple[str, Pair], ...] | str
    augment: str
    plain: Pair | str
    linear: Pair | str


def again(place: str, source: str, *settings: str) -> str:
    """The command that trains a run again, with some settings."""
    folder = place.rstrip("/")
    command = (
        f"striate train {shlex.quote(source)} --net {shlex.quote(folder + '/net.txt')} "
        f"--recipe {shlex.quote(folder + '/recipe.toml')}"
    )
    return " ".join([command, *(f"--set {shlex.quote(each)}" for each in settings)])


def rules_on(probed: Probed) -> Iterator[Finding | NotApplicable]:
    """What the rules of the probe say, in the order in which a network is best looked into."""
    yield from _one_batch(probed)
    yield from _input(probed)
    yield from _labels(probed)
    yield from _augmentation(probed)
    yield from _linear(probed)


def _one_batch(probed: Probed) -> Iterator[Finding | NotApplicable]:
    fit, usual = probed.fit, probed.usual
    if isinstance(fit, str):
        yield ONE_BATCH_NOT_FITTED.not_applicable(fit)
    elif not fit.tells:
        yield ONE_BATCH_NOT_FITTED.not_applicable(
            f"there was time for {fit.steps} steps only, and {FIT_STEPS:g} tell"
        )
    elif not fit.fitted:
        if usual is not None and usual.fitted:
            evidence = (
                f"{fit.said()}; {usual.optimizer} at {usual.learning_rate:g} fits it in {usual.steps} steps"
            )
            settings = (f"optimizer={usual.optimizer}", f"learning_rate={usual.learning_rate:g}")
            cure = f"`{again(probed.place, probed.source, *settings)}`"
        else:
            evidence = fit.said()
            if usual is not None:
                evidence += f"; {usual.said()}"
            cure = f"a network that learns: `striate train {shlex.quote(probed.source)}` chooses one"
        yield ONE_BATCH_NOT_FITTED.finding(evidence, cure)


def _input(probed: Probed) -> Iterator[Finding | NotApplicable]:
    if isinstance(probed.variation, str):
        yield INPUT_IGNORED.not_applicable(probed.variation)
    elif probed.variation < IGNORED:
        fits = isinstance(probed.fit, Fit) and probed.fit.fitted
        evidence = (
            f"the probabilities of the answers move by {percent(probed.variation, 2)} from image to image, and "
            f"{percent(float(IGNORED))} is little"
        )
        usual = probed.usual
        if usual is not None and usual.fitted:
            settings = (f"optimizer={usual.optimizer}", f"learning_rate={usual.learning_rate:g}")
            cure = f"`{again(probed.place, probed.source, *settings)}`"
        elif fits:
            evidence += "; one batch can be fitted, so the network reads its input when it is trained"
            cure = f"`striate lr {shlex.quote(probed.source)} --net {shlex.quote(probed.place + '/net.txt')}`"
        else:
            cure = f"a network that learns: `striate train {shlex.quote(probed.source)}` chooses one"
        yield INPUT_IGNORED.finding(evidence, cure)


def unrelated(simple: tuple[tuple[str, Pair], ...], source: str) -> Finding | NotApplicable | None:
    """Whether nothing beats the most frequent class.  simple: each way to answer, against that class."""
    if simple[0][1].images < FEWEST_IMAGES:
        return LABELS_UNRELATED.not_applicable(f"{simple[0][1].images} validation images tell too little")
    if any(pair.better for _, pair in simple):
        return None
    seen = ", ".join(f"{name} {percent(pair.first)}" for name, pair in simple)
    evidence = f"always the most frequent class {percent(simple[0][1].second)}, {seen}"
    return LABELS_UNRELATED.finding(
        evidence, f"look at images beside their labels: `striate show {shlex.quote(source)}`"
    )


def _labels(probed: Probed) -> Iterator[Finding | NotApplicable]:
    if isinstance(probed.simple, str):
        yield LABELS_UNRELATED.not_applicable(probed.simple)
    elif (found := unrelated(probed.simple, probed.source)) is not None:
        yield found


def _augmentation(probed: Probed) -> Iterator[Finding | NotApplicable]:
    plain = probed.plain
    if isinstance(plain, str):
        yield AUGMENTATION_DESTROYS.not_applicable(plain)
    elif plain.better and plain.first - plain.second >= AUGMENTATION_LEAD:
        yield AUGMENTATION_DESTROYS.finding(
            f"validation accuracy {percent(plain.second)} of the whole run with `{probed.augment}`, and "
            f"{percent(plain.first)} of a short training without",
            f"`{again(probed.place, probed.source, 'augment=none')}`",
        )


def _linear(probed: Probed) -> Iterator[Finding | NotApplicable]:
    pair = probed.linear
    if isinstance(pair, str):
        yield WORSE_THAN_LINEAR.not_applicable(pair)
    elif pair.images < FEWEST_IMAGES:
        yield WORSE_THAN_LINEAR.not_applicable(f"{pair.images} validation images tell too little")
    elif pair.better and pair.first - pair.second >= LINEAR_LEAD:
        yield WORSE_THAN_LINEAR.finding(
            f"validation accuracy {percent(pair.second)} of the run, {percent(pair.first)} of a linear model on the "
            f"pixels, on the same {pair.images:,} images",
            f"`striate train {shlex.quote(probed.source)}`, which chooses a network and a recipe",
        )
