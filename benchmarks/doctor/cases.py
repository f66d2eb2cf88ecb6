"""The runs of the doctor's benchmark: parents, and what is done to them.

A parent is a network on data with a recipe, all tiny.  A mutation changes one thing of it, in the ways of DeepCrime
(Humbatova et al. 2021) and DEFault (Cao et al. 2025): hyperparameters, initialization, activations, normalization,
regularization, optimizer, training data.  Whether a mutant is broken is measured, never said here (`judge.py`); `codes`
are the findings that name what was done.  Mild mutations and hard parents are there to tempt the rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Case:
    """A kind of run, trained with five seeds.

    name: of its own.  parent: the name of what it was made from; its own where it is a parent.
    mutation: what was done, empty for a parent.  codes: the findings that would name it; empty where it is mild.
    data: see `subsets.py`.  net: a text.  recipe: keys on top of what all have.
    """

    name: str
    parent: str
    mutation: str
    codes: tuple[str, ...]
    data: str
    net: str
    recipe: dict[str, Any] = field(default_factory=dict)


# What all have in common: one thread and one arithmetic, so that a run is the same wherever it is made.
COMMON = {"precision": "fp32", "layout": "contiguous", "augment": "none"}

NETS = {
    "plain": "conv 8 3x3 -> relu -> maxpool 2 -> conv 16 3x3 -> relu -> fc 32 -> relu -> fc classes",
    "norm": "conv 12 3x3 -> bn -> relu -> maxpool 2 -> conv 24 3x3 -> bn -> relu -> maxpool 2 -> fc classes",
    "deep": "[conv 8 3x3 -> bn -> relu] x2 -> maxpool 2 -> [conv 16 3x3 -> bn -> relu] x2 -> pool avg -> fc classes",
    "res": "conv 12 3x3 -> bn -> relu -> maxpool 2 -> [add{ conv 12 3x3 -> bn -> relu -> conv 12 3x3 -> bn | identity } "
    "-> relu] -> pool avg -> fc classes",
    "mlp": "fc 48 -> relu -> fc 48 -> relu -> fc 48 -> relu -> fc classes",
    "tanh": "conv 8 3x3 -> tanh -> maxpool 2 -> fc 48 -> tanh -> fc classes",
    "drop": "conv 16 3x3 -> relu -> maxpool 2 -> dropout 0.2 -> fc 64 -> relu -> dropout 0.3 -> fc classes",
}
DATA = ("digits", "mnist", "cifar")
RECIPES: tuple[dict[str, Any], ...] = (
    {"optimizer": "adamw", "schedule": "one-cycle"},
    {"optimizer": "momentum", "schedule": "cosine"},
    {"optimizer": "adam", "schedule": "constant"},
    {"optimizer": "nesterov", "schedule": "step"},
)
# The usual highest rates of striate, with and without normalization, as they are where none is said.
RATES = {"sgd": (0.2, 0.05), "momentum": (0.1, 0.02), "nesterov": (0.1, 0.02), "adam": (0.003, 0.001),
         "adamw": (0.003, 0.001), "muon": (0.003, 0.001)}  # fmt: skip
EPOCHS, BATCH = 10, 32


def rate(case: Case) -> float:
    """The highest learning rate of a case."""
    known = RATES[case.recipe.get("optimizer", "adamw")][0 if "bn" in case.net else 1]
    return float(case.recipe.get("learning_rate", known))


def parents() -> list[Case]:
    """Each network on each data set, the recipes in turn."""
    found = []
    for number, (net, data) in enumerate((net, data) for data in DATA for net in NETS):
        recipe = {**COMMON, **RECIPES[number % len(RECIPES)], "epochs": EPOCHS, "batch": BATCH}
        name = f"{net}-{data}"
        found.append(Case(name, name, "", (), data, NETS[net], recipe))
    return found


def hard() -> list[Case]:
    """Healthy runs that look ill: each its own parent."""
    base = {**COMMON, "optimizer": "adamw", "epochs": EPOCHS, "batch": BATCH}
    quick = {"optimizer": "muon", "learning_rate": 0.003, "momentum": 0.6, "clip": "none", "warmup": 0.0}
    plain, norm, deep, drop, res = (NETS[each] for each in ("plain", "norm", "deep", "drop", "res"))
    some: list[tuple[str, str, str, dict[str, Any]]] = [
        ("one-epoch", "mnist-many", norm, {"epochs": 1}),
        ("one-epoch-plain", "mnist-many", plain, {"epochs": 1}),
        ("high-accuracy", "mnist-many", norm, {"epochs": 4}),
        ("batch-4", "digits", plain, {"batch": 4, "epochs": 4, "learning_rate": 0.0005}),
        ("batch-4-norm", "digits", norm, {"batch": 4, "epochs": 4}),
        ("tiny-data", "digits-few", norm, {"epochs": 40, "batch": 16}),
        ("tiny-data-plain", "digits-few", plain, {"epochs": 40, "batch": 16}),
        ("dropout-above", "digits", drop.replace("0.3", "0.5").replace("0.2", "0.4"), {"epochs": 20}),
        ("mixup", "digits", norm, {"augment": "mixup 0.4", "epochs": 20}),
        ("crop-cutout", "mnist", norm, {"augment": "crop 1, cutout 4", "epochs": 16}),
        ("flip", "cifar", deep, {"augment": "flip, crop 2", "epochs": 16}),
        ("smoothed", "digits", norm, {"label_smoothing": 0.2}),
        ("muon", "digits", norm, quick),
        ("muon-res", "cifar", res, quick),
        ("muon-resizing", "cifar", deep, {**quick, "progressive_resizing": 0.75, "epochs": 16}),
        ("ema", "digits", norm, {"ema": 0.95}),
        ("inverse", "mnist", plain, {"schedule": "inverse"}),
        ("exponential", "mnist", norm, {"schedule": "exponential"}),
        ("rmsprop", "digits", plain, {"optimizer": "rmsprop"}),
        ("adagrad", "digits", norm, {"optimizer": "adagrad"}),
        ("lbfgs", "digits", plain, {"optimizer": "lbfgs", "epochs": 3, "batch": 256}),
        ("sgd", "digits", norm, {"optimizer": "sgd"}),
        ("center-image", "mnist", plain, {"center": "image"}),
        ("long", "digits", plain, {"epochs": 40}),
        ("long-norm", "digits", norm, {"epochs": 40}),
        ("patience", "digits", norm, {"patience": 5, "epochs": 40}),
        ("balanced", "mnist-uneven", norm, {"balance": "sampling", "epochs": 16}),
        ("balanced-loss", "mnist-uneven", plain, {"balance": "weights", "epochs": 16}),
        ("two-classes", "mnist-two", norm, {"epochs": 8}),
        ("two-classes-plain", "mnist-two", plain, {"epochs": 8}),
        ("he", "digits", plain, {"initial": "he"}),
        ("orthogonal", "cifar", norm, {"initial": "orthogonal"}),
        ("small-head", "mnist", deep, {"initial": "he, small-head"}),
        ("linear", "digits", "fc classes", {"epochs": 20}),
        ("sigmoid-shallow", "digits", "fc 64 -> sigmoid -> fc classes", {"learning_rate": 0.01, "epochs": 20}),
        ("gelu", "digits", norm.replace("relu", "gelu"), {}),
        ("elu-plain", "mnist", plain.replace("relu", "elu"), {}),
        ("wide", "digits", "conv 48 3x3 -> bn -> relu -> maxpool 2 -> fc 256 -> relu -> dropout 0.5 -> fc classes", {}),
    ]  # fmt: skip
    return [
        Case(f"hard-{name}", f"hard-{name}", "", (), data, net, {**base, **keys})
        for name, data, net, keys in some
    ]


Mutate = Callable[[Case], Case | None]


def _set(**keys: Any) -> Mutate:
    return lambda case: replace(case, recipe={**case.recipe, **keys})


def _rate(factor: float, **keys: Any) -> Mutate:
    return lambda case: replace(
        case, recipe={**case.recipe, "learning_rate": min(100.0, float(f"{rate(case) * factor:.3g}")), **keys}
    )


def _net(change: Callable[[str], str], needs: str = "") -> Mutate:
    def mutate(case: Case) -> Case | None:
        text = change(case.net)
        return replace(case, net=text) if text != case.net and re.search(needs, case.net) else None

    return mutate


def _data(suffix: str) -> Mutate:
    return lambda case: replace(case, data=f"{case.data}-{suffix}")


def _activations(word: str) -> Callable[[str], str]:
    return lambda net: re.sub(r"\b(relu|tanh)\b", word, net)


def _without_activations(net: str) -> str:
    return re.sub(r" -> (relu|tanh)\b", "", net)


def _deep_sigmoid(net: str) -> str:
    """Sigmoids behind three more layers."""
    return (
        "[conv 8 3x3 -> sigmoid] x4 -> maxpool 2 -> conv 16 3x3 -> sigmoid -> fc 32 -> sigmoid -> fc classes"
    )


def _before_last(word: str) -> Callable[[str], str]:
    return lambda net: net.replace("fc classes", f"{word} -> fc classes")


def _only_points(net: str) -> str:
    return (
        net.replace("3x3", "1x1")
        .replace("fc 32", "pool avg -> fc 32")
        .replace("-> fc 48", "-> pool avg -> fc 48")
    )


def _narrow(net: str) -> str:
    return re.sub(r"\b(conv|fc) \d+", r"\1 1", net)


def _when(test: Callable[[Case], bool], mutate: Mutate) -> Mutate:
    return lambda case: mutate(case) if test(case) else None


def _normed(case: Case) -> bool:
    return "bn" in case.net


def _sgd(case: Case) -> bool:
    return case.recipe["optimizer"] in ("momentum", "nesterov")


# Name, the codes that name it, what is done.  In each round every one is done to its next parent.
MUTATIONS: tuple[tuple[str, tuple[str, ...], Mutate], ...] = (
    ("rate x1000", ("rate-too-high", "nan", "exploding-gradients", "dead-relu", "saturated", "constant-answer"), _rate(1000)),
    ("rate x100", ("rate-too-high", "nan", "unstable-loss", "dead-relu", "saturated", "constant-answer"), _rate(100)),
    ("rate x30", ("rate-too-high", "unstable-loss", "dead-relu", "saturated"), _rate(30)),
    ("rate /10000", ("rate-too-low", "loss-not-moving", "layer-not-moving"), _rate(1e-4)),
    ("rate /1000", ("rate-too-low", "loss-not-moving"), _rate(1e-3)),
    ("rate /100", ("rate-too-low", "too-few-epochs"), _rate(1e-2)),
    ("sgd at the rate of adam", ("rate-too-low",), _when(lambda case: not _sgd(case), _set(optimizer="sgd", learning_rate=0.0003))),
    ("unclipped at rate x300", ("nan", "exploding-gradients", "rate-too-high", "dead-relu", "saturated"), _rate(300, clip="none")),
    ("momentum 0.99 at rate x10", ("rate-too-high", "unstable-loss"), _when(_sgd, _rate(10, momentum=0.99))),
    ("warm-up to the end", ("rate-too-low", "too-few-epochs"), _rate(0.02, warmup=0.95)),
    ("weights of 0.01", ("init-shrinks", "vanishing-gradients", "loss-not-moving"), _set(initial="small")),
    ("weights of 1", ("init-grows", "exploding-gradients", "saturated"), _set(initial="large")),
    ("weights of 1, sgd", ("init-grows", "exploding-gradients", "saturated"), _when(_sgd, _set(initial="large", clip="none"))),
    ("activations removed", ("no-nonlinearity",), _net(_without_activations)),
    ("sigmoids", ("saturated", "vanishing-gradients", "saturating-depth", "init-shrinks"), _net(_activations("sigmoid"))),
    ("deep sigmoids", ("saturating-depth", "vanishing-gradients", "saturated", "init-shrinks", "loss-not-moving"), _net(_deep_sigmoid, "conv")),
    ("relu on the output", ("activation-on-output",), _net(lambda net: net + " -> relu")),
    ("sigmoid on the output", ("activation-on-output",), _net(lambda net: net + " -> sigmoid")),
    ("softmax inside", ("softmax-inside",), _net(_before_last("softmax"))),
    ("two units before the end", ("underfitting", "no-nonlinearity"), _net(_before_last("fc 2 -> relu"))),
    ("one unit a layer", ("underfitting",), _net(_narrow)),
    ("only 1x1", ("only-1x1", "receptive-field-small", "underfitting"), _net(_only_points, "3x3")),
    ("dropout before bn", ("dropout-before-bn",), _net(lambda net: net.replace("-> bn", "-> dropout 0.5 -> bn"))),
    ("bn twice", ("repeated-bn",), _net(lambda net: net.replace("-> bn", "-> bn -> bn"))),
    ("bn removed", ("rate-too-high", "unstable-loss", "dead-relu"), _when(_normed, lambda case: replace(
        case, net=case.net.replace(" -> bn", ""), recipe={**case.recipe, "learning_rate": 3 * rate(case)}))),
    ("bn that hardly follows", ("bn-mismatch",), _net(lambda net: net.replace("-> bn", "-> bn momentum 0.0005"))),
    ("bn on batches of 2", ("tiny-batch-bn", "bn-mismatch", "unstable-loss"), _when(_normed, _set(batch=2, epochs=2))),
    ("dropout 0.9", ("dropout-too-strong",), _net(_before_last("dropout 0.9"))),
    ("dropout 0.8 everywhere", ("dropout-too-strong",), _net(lambda net: re.sub(r"-> (relu|tanh)\b(?!\])", r"-> \1 -> dropout 0.8", net))),
    ("decay", ("decay-overwhelms",), lambda case: replace(case, recipe={**case.recipe, "weight_decay": 0.3 if _sgd(case) else 10.0})),
    ("labels shuffled", ("labels-unrelated", "label-noise", "loss-not-moving", "overfitting", "worse-than-baseline"), _data("shuffled")),
    ("40 % of the labels wrong", ("label-noise", "overfitting"), _data("noisy")),
    ("neither centered nor scaled", ("inputs-not-centered", "dead-relu", "saturated"), _set(center="none", scale="none")),
    ("one epoch", ("too-few-epochs", "rate-too-low"), _set(epochs=1)),
    ("one batch an epoch", ("too-few-epochs",), _set(batch=4096)),
    ("augmentation that destroys", ("augmentation-destroys", "underfitting"), _set(augment="rotate 180, noise 1, cutout 6")),
    ("mirrored digits", ("augmentation-destroys", "underfitting"), _when(lambda case: case.data != "cifar", _set(augment="flip, vflip, rotate 180"))),
    ("30 images", ("too-few-images", "overfitting"), _data("loss")),
    ("half the classes rare", ("imbalance-ignored", "class-never-answered", "too-few-images"), _data("uneven")),
    ("a class left out", ("class-never-answered",), _data("missing")),
    ("a body that stays as it was drawn", ("layer-not-moving",), _when(lambda case: "conv" in case.net, _set(freeze="body"))),
    ("clipped to 0.0001", ("rate-too-low", "loss-not-moving"), _when(_sgd, _set(clip=0.0001))),
)  # fmt: skip

# Changes that hardly hurt; where the measurement says so, they join the healthy runs.
MILD: tuple[tuple[str, Mutate], ...] = (
    ("rate x2", _rate(2)),
    ("rate /2", _rate(0.5)),
    ("batch 16", _set(batch=16)),
    ("batch 64", _set(batch=64)),
    ("leaky", _net(_activations("leaky 0.1"))),
    ("elu", _net(_activations("elu"))),
    ("cosine", _set(schedule="cosine")),
    ("smoothing", _set(label_smoothing=0.1)),
    ("dropout 0.2", _net(_before_last("dropout 0.2"))),
    ("xavier", _set(initial="xavier")),
    ("ema 0.9", _set(ema=0.9)),
    ("little decay", _set(weight_decay=0.0001)),
    ("no clip", _set(clip="none")),
    ("crop 1", _set(augment="crop 1")),
    ("longer", _set(epochs=18)),
    ("wider", _net(lambda net: re.sub(r"\b(conv|fc) (\d+)", lambda found: f"{found[1]} {2 * int(found[2])}", net))),
    ("10 % of the labels wrong", _data("spotty")),
    ("muon", _when(_normed, _set(optimizer="muon", learning_rate=0.003, momentum=0.6))),
)  # fmt: skip

ROUNDS = 12


def cases() -> Iterator[Case]:
    """All of them: parents, hard ones, and then round by round, so that any beginning of them is even."""
    first = parents()
    yield from first
    yield from hard()
    every = [(name, codes, mutate) for name, codes, mutate in MUTATIONS]
    mild = [(name, (), mutate) for name, mutate in MILD]
    seen: set[str] = set()
    for turn in range(ROUNDS):
        for number, (name, codes, mutate) in enumerate([*every, *mild]):
            # Strides of 4 over the 21 parents meet every network and data set.
            order = [first[(5 * number + 4 * step) % len(first)] for step in range(len(first))]
            made = [each for parent in order if (each := mutate(parent)) is not None]
            if turn < len(made):
                case = replace(made[turn], mutation=name, codes=codes)
                case = replace(case, name=f"{case.parent}: {name}")
                if case.name not in seen:
                    seen.add(case.name)
                    yield case
