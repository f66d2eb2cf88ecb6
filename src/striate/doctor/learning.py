"""Diagnoses of how well it learns: training against validation, training mode against evaluation mode."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from statistics import fmean

from striate.doctor.facts import RunFacts
from striate.doctor.finding import MEASURED, WELL, Finding, NotApplicable, Rule, Threshold
from striate.doctor.remedy import (
    CUT,
    NOISY,
    STALE,
    STRONG_DROPOUT,
    TURNED,
    again,
    destructive,
    following,
    known,
    narrow,
    next_step,
    stale_share,
    weaker_dropout,
)
from striate.doctor.results import is_starved
from striate.errors import counted
from striate.net.layers.dropout import Dropout, Dropout2d
from striate.text.figures import percent

MODE_GAP = Threshold(
    0.3,
    reason="accuracy on the probe by its own statistics less that by the running ones; 0.1 at most in healthy runs",
    source=f"Ioffe 2017 (batch renormalization), section 2; {MEASURED}",
)
STALE_LOSS = Threshold(
    1.25,
    reason="loss on the probe by the running statistics over that by its own, where these are stale",
    source=MEASURED,
)
CONSTANT = Threshold(
    0.95, reason="share of the validation images that got one and the same answer", source=MEASURED
)
OVERFIT_GAP = Threshold(
    0.15, reason="training accuracy less validation accuracy in the last epoch", source=MEASURED
)
OVERFIT_LOSS = Threshold(
    1.3,
    reason="lowest validation loss of the last fifth, of three epochs at least, over the lowest one: it rises for good, not from epoch to epoch",
    source=f"Prechelt 1998 (Early stopping), section 2, generalization loss; {MEASURED}",
)
UNDERFIT = Threshold(
    0.25,
    reason="of the way from the most common class to all right, in training, after the loss has come to rest",
    source=MEASURED,
)
NARROW_FIT = Threshold(
    0.8,
    reason="as UNDERFIT, where a layer gives one or two channels, or fewer numbers than half of the classes",
    source=MEASURED,
)
AT_REST = Threshold(
    0.02,
    reason="by this share the mean loss of the last fifth is below that of the fifth before",
    source=MEASURED,
)
FEW_STEPS = Threshold(
    40,
    reason="a network at rest needs some hundred steps; with 40 healthy runs got half of the way",
    source=MEASURED,
)
ENOUGH_STEPS = Threshold(300, reason="a network at rest needs some hundred steps", source=MEASURED)
FEW_VALUES = Threshold(
    16,
    reason="values behind each mean and variance: with 16 a standard deviation is off by a fifth",
    source="Wu and He 2018 (group normalization), section 1; standard error 1 / sqrt(2 n)",
)
SMALLEST_BATCH = Threshold(
    2, reason="images of a step: the statistics of two say which image the other one was", source=MEASURED
)

TINY_BATCH_BN = Rule(
    "tiny-batch-bn", "warning", "Batch norms take their statistics of very few values.",
    "Mean and variance are noise then, and those of evaluation are others.",
    (("FEW_VALUES", FEW_VALUES), ("SMALLEST_BATCH", SMALLEST_BATCH)),
    cause=True,
)  # fmt: skip
BN_MISMATCH = Rule(
    "bn-mismatch", "error", "The network answers well in training mode and badly in evaluation mode.",
    "The running statistics of its batch norms are not those of its maps: what is shipped is not what was trained.",
    (("MODE_GAP", MODE_GAP), ("STALE", STALE), ("STALE_LOSS", STALE_LOSS)),
)  # fmt: skip
CONSTANT_ANSWER = Rule(
    "constant-answer", "error", "Nearly all images get the same answer.",
    "The network looks at no image: biases alone decide.",
    (("CONSTANT", CONSTANT),),
)  # fmt: skip
OVERFITTING = Rule(
    "overfitting", "warning", "It learns the training images by heart.",
    "Validation gets worse while training gets better: the last weights are worse than earlier ones.",
    (("OVERFIT_GAP", OVERFIT_GAP), ("OVERFIT_LOSS", OVERFIT_LOSS)),
)  # fmt: skip
UNDERFITTING = Rule(
    "underfitting", "warning", "It cannot even learn the training images.",
    "The loss is at rest and high: the network is too small or too narrow for what there is to learn.",
    (("UNDERFIT", UNDERFIT), ("NARROW_FIT", NARROW_FIT), ("AT_REST", AT_REST), ("ENOUGH_STEPS", ENOUGH_STEPS)),
)  # fmt: skip
TOO_FEW_EPOCHS = Rule(
    "too-few-epochs", "warning", "The training ended while the loss was still falling steeply.",
    "The network can learn more: it was given hardly any steps.",
    (("FEW_STEPS", FEW_STEPS),),
    cause=True,
)  # fmt: skip
DROPOUT_TOO_STRONG = Rule(
    "dropout-too-strong", "error", "Dropout takes so much that little is learned.",
    "What is left of a layer changes from step to step: no later layer can rely on it.",
    (("STRONG_DROPOUT", STRONG_DROPOUT),),
    cause=True,
)  # fmt: skip

AUGMENTATION_DESTROYS = Rule(
    "augmentation-destroys", "warning", "A strong augmentation, and not even the training images are learned.",
    "It may take away what the label means: a 6 on its head is a 9, and noise covers what is small.",
    (("TURNED", TURNED), ("NOISY", NOISY), ("CUT", CUT)),
    cause=True,
)  # fmt: skip

RULES = (
    TINY_BATCH_BN, BN_MISMATCH, CONSTANT_ANSWER, OVERFITTING, UNDERFITTING, TOO_FEW_EPOCHS, DROPOUT_TOO_STRONG,
    AUGMENTATION_DESTROYS,
)  # fmt: skip

# A class is answered always, and not by chance, from so many images and epochs on.
LEAST_IMAGES, LEAST_EPOCHS = 20, 2


def diagnose(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """All of this family."""
    yield from _tiny_batch(facts)
    yield from _mode_gap(facts)
    yield from _constant(facts)
    yield from _overfitting(facts)
    yield from _underfitting(facts)
    yield from _too_few(facts)
    yield from _dropout(facts)
    yield from _augmentation(facts)


def _tiny_batch(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    norms = [each for each in facts.layout.layers() if each.layer.word == "bn"] if facts.layout else []
    if not norms or facts.recipe.get("freeze"):
        yield TINY_BATCH_BN.not_applicable("no bn is trained")
        return
    batch = facts.number("batch", 0) / max(1.0, facts.number("micro_batches", 1))
    if not batch:
        yield TINY_BATCH_BN.not_applicable("the recipe cannot be read")
        return
    few = min(norms, key=lambda each: each.input.elements // each.input.channels)
    values = batch * (few.input.elements // few.input.channels)
    if batch <= SMALLEST_BATCH or values < FEW_VALUES:
        yield TINY_BATCH_BN.finding(
            f"the bn at {few.path} takes mean and variance of {values:,.0f} values a channel, from {batch:g} images",
            again(facts, "batch=32", "micro_batches=none", *_as_many_steps(facts)),
            few.path,
        )


def _as_many_steps(facts: RunFacts) -> list[str]:
    """Epochs that make up for the fewer steps of a larger batch, ten at most."""
    epochs, batch = facts.number("epochs", 10), facts.number("batch", 32)
    more = min(10.0, epochs * max(1.0, 32 / max(1.0, batch)))
    return [f"--epochs {more:.0f}"] if more > epochs else []


def _mode_gap(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    stage = facts.stage
    look = stage.looks[-1] if stage else None
    if stage is None or look is None or not stage.normed or look.batch is None:
        yield BN_MISMATCH.not_applicable("the run has no vitals" if stage is None else "no bn is trained")
        return
    if not look.whole:
        yield BN_MISMATCH.not_applicable("images have not come to their full size yet")
        return
    # What was judged by then.
    epoch = next((each for each in reversed(facts.epochs) if each.step <= look.step + 1), None)
    last = facts.epochs[-1] if facts.epochs else None
    by_batch, running = look.batch[1], look.probe[1]
    if by_batch is None or running is None or last is None or (epoch is None and len(facts.epochs) < 1):
        yield BN_MISMATCH.not_applicable("no epoch has ended yet")
        return
    stale = stale_share(facts)
    behind = stale > STALE and _more(look.probe[0], look.batch[0]) > STALE_LOSS
    if behind or min(by_batch - running, by_batch - last.val_accuracy) >= MODE_GAP:
        momenta = [getattr(each.layer, "momentum", 0.1) for each in facts.layout.layers() if each.layer.word == "bn"] if facts.layout else []  # fmt: skip
        told = f"; their momentum is {momenta[0]:g}" if momenta and momenta[0] != 0.1 else ""
        told += (
            f", so {percent(stale)} of them are still those of the first step"
            if told and stale > STALE
            else ""
        )
        yield BN_MISMATCH.finding(
            f"of the same {stage.images} training images {percent(by_batch)} are right with the statistics of the batch, and "
            f"{percent(running)} with the running ones of the bn; validation has {percent(last.val_accuracy)}{told}",
            again(facts, "batch=32", change=_plain_norms),
        )


def _more(loss: float | None, other: float | None) -> float:
    """One loss over another."""
    return (math.inf if loss is None else loss) / max(0.05, 0.05 if other is None else other)


def _plain_norms(text: str) -> str:
    """The text with no momentum of its own in a bn, and no dropout before one."""
    text = following(text)
    return re.sub(r"\bdropout(?:2d)? [0-9.]+ -> (?=bn\b)", "", text)


def _constant(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    if not facts.answers or facts.count("val") < LEAST_IMAGES:
        why = (
            "there are no answers in its vitals"
            if not facts.answers
            else "there are too few validation images"
        )
        yield CONSTANT_ANSWER.not_applicable(why)
        return
    last = facts.answers[-LEAST_EPOCHS:]
    baseline = facts.most_common("val")
    if baseline > CONSTANT - 0.1:
        yield CONSTANT_ANSWER.not_applicable(f"{percent(baseline)} of the validation images are of one class")
        return
    if (len(last) < LEAST_EPOCHS and not facts.ended) or facts.learned:
        return
    if all(each.most >= CONSTANT for each in last):
        names = facts.data.classes if facts.data else []
        answered = last[-1].answered
        place = max(range(len(answered)), key=lambda i: answered[i] or 0) if answered else None
        name = names[place] if place is not None and place < len(names) else ""
        yield CONSTANT_ANSWER.finding(
            f"{percent(last[-1].most)} of the validation images are answered with "
            + (f"`{name}`" if name else "one class")
            + f", which {percent(baseline)} at most are",
            next_step(facts),
            name,
        )


def _overfitting(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    losses = [each.val_loss for each in facts.epochs if each.val_loss is not None]
    if len(losses) < 5 or len(losses) < len(facts.epochs):
        yield OVERFITTING.not_applicable(f"it takes five epochs, and there are {len(losses)}")
        return
    last, lowest = facts.epochs[-1], min(losses)
    tail = min(losses[-max(3, len(losses) // 5) :])
    gap = last.train_accuracy - last.val_accuracy
    if tail > OVERFIT_LOSS * lowest and gap > OVERFIT_GAP:
        best = losses.index(lowest) + 1
        yield OVERFITTING.finding(
            f"training is {percent(last.train_accuracy)} right and validation {percent(last.val_accuracy)}; the validation "
            f"loss was {lowest:.3g} after epoch {best}, and is {losses[-1]:.3g} after {last.epoch}",
            again(facts, "augment=auto", "label_smoothing=0.1", "patience=5"),
        )


def _underfitting(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    losses = facts.losses()
    few = next(iter(narrow(facts.layout, facts.classes)), None)
    if not facts.ended or not facts.epochs or (not few and (len(losses) < 50 or facts.steps < ENOUGH_STEPS)):
        yield UNDERFITTING.not_applicable("the training is short" if facts.ended else facts.too_early)
        return
    if not facts.learned and not few:
        yield UNDERFITTING.not_applicable("nothing was learned at all")
        return
    last = facts.epochs[-1]
    baseline = facts.most_common("train")
    gain = (max(last.train_accuracy, last.val_accuracy) - baseline) / max(1e-9, 1 - baseline)
    seen = f"training is {percent(last.train_accuracy)} right, validation {percent(last.val_accuracy)}"
    weights = f"; the network has {facts.plan.weights:,} weights" if facts.plan else ""
    if few and gain < NARROW_FIT:
        yield UNDERFITTING.finding(
            f"{seen}{weights}, and {counted(few.output.channels, 'channel')} behind {few.path} for {facts.classes} classes",
            again(facts),
            few.path,
        )
    elif not few and gain < UNDERFIT:
        fifth = len(losses) // 5
        before, after = fmean(losses[-2 * fifth : -fifth]), fmean(losses[-fifth:])
        if after > (1 - AT_REST) * before:
            yield UNDERFITTING.finding(
                f"{seen}, and the loss went from {before:.3g} to {after:.3g} over the last two fifths of the steps{weights}",
                again(facts)
                if known(facts)
                else f"`striate train {facts.quoted_source}`, which chooses a network",
            )


def _too_few(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    if not facts.ended:
        yield TOO_FEW_EPOCHS.not_applicable(facts.too_early)
        return
    if facts.optimizer_kind.line_search:
        yield TOO_FEW_EPOCHS.not_applicable(f"a step of {facts.optimizer} is many")
        return
    if is_starved(facts):
        yield TOO_FEW_EPOCHS.not_applicable("there are too few images, and more epochs bring no more")
        return
    if not facts.epochs:
        yield TOO_FEW_EPOCHS.not_applicable("no epoch was noted")
        return
    if facts.steps < FEW_STEPS:
        epochs = len(facts.epochs)
        more = max(5, 10 * epochs)
        yield TOO_FEW_EPOCHS.finding(
            f"{counted(facts.steps, 'step')} in {counted(epochs, 'epoch')} brought {percent(facts.best_accuracy)}",
            again(facts, f"--epochs {more}", *(["batch=32"] if facts.number("batch", 0) > 64 else [])),
        )


def _dropout(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    layers = (
        [each for each in facts.layout.layers() if isinstance(each.layer, Dropout | Dropout2d)]
        if facts.layout
        else []
    )
    shares = [(each.layer.share, each) for each in layers if isinstance(each.layer, Dropout | Dropout2d)]
    if not shares:
        yield DROPOUT_TOO_STRONG.not_applicable("the network has no dropout")
        return
    share, strongest = max(shares, key=lambda each: each[0])
    if share < STRONG_DROPOUT:
        return
    if not facts.judged or not facts.epochs:
        yield DROPOUT_TOO_STRONG.not_applicable(facts.too_early)
        return
    last = facts.epochs[-1]
    if facts.gain < WELL or last.val_accuracy - last.train_accuracy > 0.2:
        yield DROPOUT_TOO_STRONG.finding(
            f"`{strongest.layer.word} {share:g}` at {strongest.path} sets {percent(share, 0)} to 0 in each step; training is "
            f"{percent(last.train_accuracy)} right, validation {percent(last.val_accuracy)}",
            again(facts, change=weaker_dropout),
            strongest.path,
        )


def _augmentation(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    words = destructive(facts)
    if not words:
        yield AUGMENTATION_DESTROYS.not_applicable(
            "no strong augmentation is drawn; `--probe` tries every other one"
        )
        return
    if not facts.judged or not facts.epochs:
        yield AUGMENTATION_DESTROYS.not_applicable(facts.too_early)
        return
    last, baseline = facts.epochs[-1], facts.most_common("train")
    if facts.gain < WELL and last.train_accuracy < baseline + WELL * (1 - baseline):
        yield AUGMENTATION_DESTROYS.finding(
            f"with `{', '.join(words)}` training is {percent(last.train_accuracy)} right, validation "
            f"{percent(last.val_accuracy)}",
            again(facts, "augment=none"),
        )
