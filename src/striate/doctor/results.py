"""Diagnoses of the data and of what came out: classes, labels, splits."""

from __future__ import annotations

from collections.abc import Iterator

from striate.doctor.facts import NEAR, RunFacts
from striate.doctor.finding import MEASURED, Finding, NotApplicable, Rule, Threshold
from striate.doctor.remedy import again, next_step
from striate.errors import counted
from striate.text.figures import percent, wilson

IMBALANCE = Threshold(
    8.0, reason="images of the largest class over those of the smallest: from there on rare classes are passed over",
    source=f"Buda, Maki and Mazurowski 2018, section 4; {MEASURED}",
)  # fmt: skip
RECALL_GAP = Threshold(
    0.2,
    reason="recall of the frequent classes less that of the rare ones, and beyond chance",
    source=MEASURED,
)
SURE_WRONG = Threshold(
    0.05,
    reason="wrong ones among the surer half of the answers: below that a few odd images may be the reason",
    source=f"Northcutt, Jiang and Chuang 2021 (confident learning), section 3; {MEASURED}",
)
FAR = Threshold(
    0.2,
    reason="of these, the lower end of the 95 % interval of the share whose label is among the less probable half of the "
    "classes: hard images have their label near the top, wrong labels are anywhere",
    source=f"Northcutt, Jiang and Chuang 2021, section 3; {MEASURED}",
)
LEAKED = Threshold(
    0.01,
    reason="of the images of a split: from 1 % on the score is off by as much as its interval",
    source="Barz and Denzler 2020 (ciFAIR), section 3",
)
FEW_IMAGES = Threshold(
    8,
    reason="training images of a class, in the mean: with 10 a class small networks still learn digits",
    source=MEASURED,
)
GOOD = Threshold(
    0.8,
    reason="accuracy from which on a class that is passed over is no accident of a short training",
    source=MEASURED,
)
SOMETHING = Threshold(
    0.35,
    reason="of the way from the most common class to all right: before that sureness says nothing",
    source=MEASURED,
)
NEVER = Threshold(
    10,
    reason="images of a class in the scored split: so many cannot all be missed by chance",
    source="0.7^10 = 3 %",
)

IMBALANCE_IGNORED = Rule(
    "imbalance-ignored", "warning", "Rare classes are found far less often than frequent ones.",
    "The loss counts images: missing a rare class costs it next to nothing.",
    (("IMBALANCE", IMBALANCE), ("RECALL_GAP", RECALL_GAP)),
)  # fmt: skip
LABEL_NOISE = Rule(
    "label-noise", "warning", "Many labels seem to be wrong.",
    "The network learns the mistakes, and its score counts right answers as wrong.",
    (("SURE_WRONG", SURE_WRONG), ("FAR", FAR), ("SOMETHING", SOMETHING)),
)  # fmt: skip
LEAK = Rule(
    "leak", "error", "Images of the training stand in validation or test as well.",
    "The score will be too optimistic: those answers were learned by heart.",
    (("LEAKED", LEAKED),),
)  # fmt: skip
WORSE_THAN_BASELINE = Rule(
    "worse-than-baseline", "error", "The score is no better than always answering the most common class.",
    "Nothing that was learned holds for images that it was not trained on.",
)  # fmt: skip
CLASS_NEVER_ANSWERED = Rule(
    "class-never-answered", "warning", "A class is never answered.",
    "Every image of it is a mistake.",
    (("NEVER", NEVER), ("GOOD", GOOD)),
)  # fmt: skip
TOO_FEW_IMAGES = Rule(
    "too-few-images", "warning", "There are hardly any images of a class to learn from.",
    "What is common to a class cannot be told from what is special to three images.",
    (("FEW_IMAGES", FEW_IMAGES),),
)  # fmt: skip

RULES = (IMBALANCE_IGNORED, LABEL_NOISE, LEAK, WORSE_THAN_BASELINE, CLASS_NEVER_ANSWERED, TOO_FEW_IMAGES)

_LEAKS = ("duplicate-across-splits", "near-duplicate-across-splits", "group-in-two-splits")

# Of the surer half of the answers.
LEAST_SURE = 40
LEAST_CLASSES = 4


def diagnose(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """All of this family."""
    if facts.data is None:
        for rule in (IMBALANCE_IGNORED, LEAK, TOO_FEW_IMAGES):
            yield rule.not_applicable("data.json cannot be read")
    else:
        yield from _leak(facts)
        yield from _few(facts)
        yield from _imbalance(facts)
    yield from _baseline(facts)
    yield from _never(facts)
    yield from _noise(facts)


def _leak(facts: RunFacts) -> Iterator[Finding]:
    assert facts.data is not None
    found = {code: facts.data.findings[code] for code in _LEAKS if facts.data.findings.get(code)}
    scored = min((each.count for name, each in facts.data.splits.items() if name != "train"), default=0)
    total = sum(found.values())
    if total and total >= max(2, LEAKED * scored):
        told = ", ".join(f"{count:,} {code}" for code, count in found.items())
        yield LEAK.finding(
            f"{told}; the smallest split that is scored has {counted(scored, 'image')}",
            f"`striate check {facts.quoted_source}`, which names them; remove them from the training images",
        )


def is_starved(facts: RunFacts) -> bool:
    """Whether the classes have hardly any training images, in the mean."""
    each = facts.per_class("train")
    return bool(each) and sum(each.values()) < FEW_IMAGES * len(each) and not facts.recipe.get("weights")


def _few(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    each = facts.per_class("train")
    if facts.recipe.get("weights"):
        yield TOO_FEW_IMAGES.not_applicable("the network had learned from other images before")
        return
    if is_starved(facts):
        mean = sum(each.values()) / len(each)
        smallest = min(each, key=lambda name: each[name])
        yield TOO_FEW_IMAGES.finding(
            f"a class has {mean:.1f} training images in the mean, `{smallest}` has {each[smallest]}",
            f"more images of each class; or `striate train {facts.quoted_source} --transfer`, which needs few",
            smallest,
        )


def _imbalance(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    each, result = facts.per_class("train"), facts.record.result
    counts = [number for number in each.values() if number]
    if len(counts) < 2 or max(counts) < IMBALANCE * min(counts):
        return
    if facts.word("balance", "none") != "none":
        yield IMBALANCE_IGNORED.not_applicable(f"the recipe has balance = {facts.word('balance', '')}")
        return
    if result is None:
        yield IMBALANCE_IGNORED.not_applicable("the run has no result")
        return
    most = max(counts)
    rare = [one for one in result.classes if one.count and each.get(one.name, 0) * IMBALANCE <= most]
    often = [one for one in result.classes if one.count and each.get(one.name, 0) * 2 > most]
    if not rare or not often:
        return
    low, high = (
        sum(one.recall * one.count for one in some) / sum(one.count for one in some) for some in (rare, often)
    )
    sure = wilson(low, sum(one.count for one in rare))[1] < wilson(high, sum(one.count for one in often))[0]
    if high - low >= RECALL_GAP and sure:
        worst = min(rare, key=lambda one: one.recall)
        yield IMBALANCE_IGNORED.finding(
            f"the largest class has {most:,} training images, the smallest {min(counts):,}; of the rare classes "
            f"{percent(low)} are found, of the frequent ones {percent(high)}; `{worst.name}` {percent(worst.recall)}",
            again(facts, "balance=weights", "metric=balanced_accuracy"),
            worst.name,
        )


def _baseline(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    result = facts.record.result
    if result is None:
        yield WORSE_THAN_BASELINE.not_applicable("the run has no result")
        return
    counts = [each.count for each in result.classes]
    if not counts or result.images < 20:
        yield WORSE_THAN_BASELINE.not_applicable(f"{counted(result.images, 'image')} say too little")
        return
    baseline = max(counts) / max(1, sum(counts))
    better = result.balanced_accuracy is not None and result.balanced_accuracy > 1.5 / len(counts)
    if result.accuracy <= baseline + NEAR and not better:
        name = max(result.classes, key=lambda each: each.count).name
        yield WORSE_THAN_BASELINE.finding(
            f"{percent(result.accuracy)} of {counted(result.images, 'image')} are right, and {percent(baseline)} would be by "
            f"always answering `{name}`",
            next_step(facts),
        )


def _never(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    result = facts.record.result
    if result is None or not result.confusion:
        yield CLASS_NEVER_ANSWERED.not_applicable(
            "the run has no result" if result is None else "there are too many classes"
        )
        return
    answered = [sum(column) for column in zip(*result.confusion, strict=True)]
    never = [
        each
        for each, times in zip(result.classes, answered, strict=True)
        if times == 0 and each.count >= NEVER
    ]
    trained = facts.per_class("train")
    mean = sum(trained.values()) / max(1, len(trained))
    rare = [each for each in never if trained.get(each.name, 0) < mean / 2]
    if never and (len(never) < len(answered) / 2) and (result.accuracy >= GOOD or rare):
        worst = (rare or never)[0]
        yield CLASS_NEVER_ANSWERED.finding(
            f"`{worst.name}` is the label of {counted(worst.count, 'image')}, and the answer to none"
            + (
                f"; so it is with {counted(len(never) - 1, 'more class', 'more classes')}"
                if len(never) > 1
                else ""
            )
            + f"; it has {trained.get(worst.name, 0):,} training images",
            again(facts, "balance=weights", "metric=balanced_accuracy")
            if trained.get(worst.name)
            else f"training images of `{worst.name}`: there are none, and no setting makes up for them",
            worst.name,
        )


def _noise(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    half = facts.count("val") // 2
    if not facts.answers or half < LEAST_SURE:
        why = (
            "there are no answers in its vitals"
            if not facts.answers
            else "there are too few validation images"
        )
        yield LABEL_NOISE.not_applicable(why)
        return
    trained = [number for number in facts.per_class("train").values() if number]
    if trained and max(trained) >= IMBALANCE * min(trained):
        yield LABEL_NOISE.not_applicable("rare classes are improbable, whatever their labels")
        return
    if facts.classes < LEAST_CLASSES:
        yield LABEL_NOISE.not_applicable(f"there are {facts.classes} classes, so a wrong label is never far")
        return
    if not facts.learned or not facts.ended or facts.gain < SOMETHING:
        yield LABEL_NOISE.not_applicable("it has to have learned something first")
        return
    best = facts.history.best
    by_epoch = {each.epoch: each for each in facts.answers}
    last = by_epoch.get(best.epoch - 1, facts.answers[-1]) if best else facts.answers[-1]
    error = 1 - next((each.val_accuracy for each in facts.epochs if each.epoch == last.epoch + 1), 1.0)
    wrong = round(last.sure_wrong * half)
    share = last.sure_far / last.sure_wrong if wrong else 0.0
    if last.sure_wrong > SURE_WRONG and wilson(share, max(1, wrong))[0] > FAR:
        yield LABEL_NOISE.finding(
            f"{percent(last.sure_wrong)} of the {half} answers that the network is surest of contradict their label, "
            f"{percent(error)} of all, and for {percent(share)} of these the label is among the least probable half of the "
            "classes",
            f"`striate check {facts.quoted_source} --labels {facts.run.quoted}`, which names the labels to look at",
        )
