"""Claims about the data: few images, noise on them and in the network, and where their zero is."""

from __future__ import annotations

from itertools import product

import numpy as np

from striate.lab.bench import Bench
from striate.lab.claim import (
    Arm,
    Chart,
    Claim,
    Comparison,
    Finding,
    Row,
    Verdict,
    bars,
    differs,
    equals,
    series,
)
from striate.lab.claims.activations import four_layers
from striate.lab.images import ImageSet

# ---- dropout-conv -------------------------------------------------------------------------------------

_SHARES = (0.1, 0.3)
_POSITIONS = {"each": "behind each convolution", "last": "behind the last convolution"}
_FEW = ImageSet(most=2_000)


def _dropout_net(word: str, share: float, position: str) -> str:
    drop = f" -> {word} {share:g}" if word else ""
    early = drop if position == "each" else ""
    return (
        f"conv 16 3x3 -> relu{early} -> maxpool 2 -> conv 32 3x3 -> relu{early} -> maxpool 2 "
        f"-> conv 32 3x3 -> relu{drop} -> head: fc classes"
    )


def _dropout_arm(word: str, share: float = 0.0, position: str = "each") -> Arm:
    name = f"{word} {share:g}, {_POSITIONS[position]}" if word else "none"
    return Arm(name, _dropout_net(word, share, position), images=_FEW, keys=(("batch", 64),), epochs=21)


_NONE = _dropout_arm("")
_UNITS = [_dropout_arm("dropout", share, position) for share, position in product(_SHARES, _POSITIONS)]
_MAPS = [_dropout_arm("dropout2d", share, position) for share, position in product(_SHARES, _POSITIONS)]


def _dropout_conv(bench: Bench) -> Finding:
    tests = {
        arm: [100 * each.test_accuracy for each in bench.outcomes(arm)] for arm in (_NONE, *_UNITS, *_MAPS)
    }

    def best(arms: list[Arm]) -> Arm:
        """By validation, so that the test is asked once."""
        return max(
            arms, key=lambda arm: sum(max(each.val_accuracy, default=0.0) for each in bench.outcomes(arm))
        )

    units, maps = best(_UNITS), best(_MAPS)
    helps = differs(
        f"test accuracy, {units.name} minus none",
        [a - b for a, b in zip(tests[units], tests[_NONE], strict=True)],
    )
    opposite: dict[Verdict, Verdict] = {"holds": "does not hold", "does not hold": "holds"}
    verdict = helps.verdict or "not settled"
    denied = Comparison(
        helps.name, helps.unit, helps.values, helps.middle, helps.low, helps.high,
        f"{helps.reads}; the claim is that it does not help", opposite.get(verdict, verdict),
    )  # fmt: skip
    comparisons = (
        denied,
        differs(
            f"test accuracy, {maps.name} minus none",
            [a - b for a, b in zip(tests[maps], tests[_NONE], strict=True)],
        ),
        differs(
            f"test accuracy, {maps.name} minus {units.name}",
            [a - b for a, b in zip(tests[maps], tests[units], strict=True)],
        ),
    )
    rows = [
        Row(arm.name, "test accuracy", "%", tuple(values), bench.chosen(arm)) for arm, values in tests.items()
    ]
    return Finding(
        comparisons,
        tuple(rows),
        (bars("Test accuracy", "%", rows),),
        notes=("Of each kind the share and position that are best on validation are compared.",),
    )


DROPOUT_CONV = Claim(
    name="dropout-conv",
    line="Dropping units of convolutions does not help; dropping whole maps does.",
    words="Standard dropout does not help between convolutions, because neighbors carry the same; dropping whole feature "
    "maps does.",
    source="Tompson et al. 2015, Efficient object localization using convolutional networks, section 3.2 (spatial dropout).",
    protocol="Three convolutions with no dropout, with `dropout` and with `dropout2d`, shares 0.1 and 0.3, behind each "
    "convolution or behind the last, trained on at most 2,000 images. Test accuracy, 21 epochs.",
    falsifier="Standard dropout is at least as good as that of maps: the interval of what maps gain over units is "
    "below 0.5 points. Or against none: that of units is above 0, or that of maps below 0.5 points.",
    changes="Larger networks, which overfit more; more images; batch norm beside it.",
    measure=_dropout_conv,
    arms=[_NONE, *_UNITS, *_MAPS],
)


# ---- zero-centering ------------------------------------------------------------------------------------

_HALVES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# Bytes of 0 to 255 make sums a hundred times as large, and gradients, too.
_RAW_RATES = tuple(1e-4 * each for each in _HALVES)


def _center_arm(name: str, center: str, scale: str) -> Arm:
    raw = scale == "none"
    keys = (("batch", 64), ("center", center), ("scale", scale))
    rates = tuple(float(f"{each:.1g}") for each in _RAW_RATES) if raw else _HALVES
    return Arm(name, four_layers("relu"), keys=keys, epochs=12, learning_rates=rates, chosen_by="training")


_CENTER_ARMS = {
    "raw": _center_arm("raw", "none", "none"),
    "centered": _center_arm("centered", "channel", "none"),
    "scaled": _center_arm("scaled", "none", "unit"),
    "normalized": _center_arm("normalized", "channel", "unit"),
    "mean image": _center_arm("mean image", "image", "unit"),
}


def _zero_centring(bench: Bench) -> Finding:
    tests, errors, rows, lines = {}, {}, [], []
    for name, arm in _CENTER_ARMS.items():
        found = bench.outcomes(arm)
        tests[name] = [100 * each.test_accuracy for each in found]
        errors[name] = [
            100 * float(np.mean(each.train_error)) if each.train_error else 100.0 for each in found
        ]
        rows.append(Row(name, "test accuracy", "%", tuple(tests[name]), bench.chosen(arm)))
        rows.append(
            Row(name, "training error, mean of all epochs", "%", tuple(errors[name]), bench.chosen(arm))
        )
        epochs = min(len(each.train_error) for each in found)
        lines.append(
            series(
                name, range(1, epochs + 1), [[100 * e for e in each.train_error[:epochs]] for each in found]
            )
        )

    def gain(values: dict[str, list[float]], better: str, worse: str) -> list[float]:
        return [a - b for a, b in zip(values[better], values[worse], strict=True)]

    comparisons = (
        differs("test accuracy, centered minus raw", gain(tests, "centered", "raw")),
        differs("test accuracy, normalized minus only scaled", gain(tests, "normalized", "scaled")),
        equals("test accuracy, normalized minus centered", gain(tests, "normalized", "centered")),
        differs("mean training error, raw minus centered", gain(errors, "raw", "centered"), counts=False),
        differs(
            "mean training error, scaled minus normalized", gain(errors, "scaled", "normalized"), counts=False
        ),
        differs(
            "test accuracy, mean image minus mean of channels",
            gain(tests, "mean image", "normalized"),
            counts=False,
        ),
    )
    return Finding(
        comparisons,
        tuple(rows),
        (Chart("Training error", "epoch", "%", tuple(lines)),),
        notes=(
            "Raw are bytes of 0 to 255; each arm has learning rates of its own, those of unscaled bytes 10,000 times smaller.",
        ),
    )


ZERO_CENTRING = Claim(
    name="zero-centering",
    line="Centering the images at zero helps; for images centering alone is enough.",
    words="Zero-centering the data helps the training; for images it is enough to subtract the mean, since all pixels have the "
    "same scale.",
    source="LeCun et al. 1998 (Efficient BackProp), section 4.3; CS231n notes.",
    protocol="Three convolutions and a fully connected layer on bytes as they are, centered, only scaled, normalized, and with "
    "the mean image subtracted; learning rates chosen for each. Test accuracy after 12 epochs, and the mean training error.",
    falsifier="No difference: the intervals of what centering gains in test accuracy, without scaling and with it, "
    "are below 0.5 points. Centering alone is not enough: the interval of what scaling changes beside it "
    "is outside of +-0.5 points.",
    changes="Batch norm, which centers by itself; adam, which does not mind the scale; a longer training.",
    measure=_zero_centring,
    arms=list(_CENTER_ARMS.values()),
)


# ---- small-data-transfer ------------------------------------------------------------------------------

PER_CLASS = (5, 10, 20, 40, 60)
_NEW, _OLD = (5, 6, 7, 8, 9), (0, 1, 2, 3, 4)
_BODY_NET = "conv 16 3x3 -> relu -> maxpool 2 -> conv 32 3x3 -> relu -> maxpool 2 -> conv 64 3x3 -> relu -> pool max -> head: fc classes"
_BODY = Arm("classes 0 to 4", _BODY_NET, images=ImageSet(classes=_OLD), keys=(("batch", 32),), epochs=15)


def _few_arm(count: int, *, transfer: bool) -> Arm:
    images = ImageSet(per_class=count, classes=_NEW)
    keys: tuple[tuple[str, object], ...] = (("batch", 16),)
    name = f"{'transfer' if transfer else 'from scratch'}, {count} a class"
    if transfer:
        return Arm(name, _BODY_NET, images=images, keys=(*keys, ("freeze", "body")), epochs=24, begin=_BODY)
    return Arm(name, _BODY_NET, images=images, keys=keys, epochs=24)


def _small_data_transfer(bench: Bench) -> Finding:
    found = {
        transfer: [
            [100 * each.test_accuracy for each in bench.outcomes(_few_arm(count, transfer=transfer))]
            for count in PER_CLASS
        ]
        for transfer in (True, False)
    }
    rows = [
        Row(
            _few_arm(count, transfer=transfer).name,
            "test accuracy",
            "%",
            tuple(found[transfer][place]),
            bench.chosen(_few_arm(count, transfer=transfer)),
        )
        for transfer in (True, False)
        for place, count in enumerate(PER_CLASS)
    ]
    comparisons = [
        differs(
            f"test accuracy, transfer minus from scratch, {count} a class",
            [a - b for a, b in zip(found[True][place], found[False][place], strict=True)],
        )
        for place, count in enumerate(PER_CLASS)
    ]
    lines = tuple(
        series(name, PER_CLASS, [list(row) for row in zip(*found[transfer], strict=True)])
        for name, transfer in (("transfer", True), ("from scratch", False))
    )
    return Finding(
        tuple(comparisons),
        tuple(rows),
        (Chart("Test accuracy by training images", "images of each class", "%", lines, log_x=True),),
        notes=(
            "A head on a frozen body of the same kind of images; a body trained on photographs is another question.",
        ),
    )


SMALL_DATA_TRANSFER = Claim(
    name="small-data-transfer",
    line="Transfer needs tens of images a class where training from scratch needs hundreds.",
    words="With a backbone that was trained on other classes, tens of images of each new class are enough; from scratch it takes "
    "hundreds.",
    source="Yosinski et al. 2014; Donahue et al. 2014 (DeCAF); CS231n notes on transfer learning.",
    protocol="A backbone trained on classes 0 to 4; a head on it, frozen, for classes 5 to 9, against the same network from "
    "scratch, on 5 to 60 images of each, drawn anew by each seed.",
    falsifier="From scratch is as good as, or better than, the transferred network at 60 images of each class or fewer.",
    changes="A backbone of more, and more various, classes (`striate train --transfer` has one of photographs): five digits are few, "
    "so this is about that backbone; unfreezing it; "
    "classes that are less like those it was trained on.",
    measure=_small_data_transfer,
    arms=[_few_arm(count, transfer=transfer) for count in PER_CLASS for transfer in (True, False)],
)


# ---- augmentation-helps -------------------------------------------------------------------------------

_SIZES = (10, 30, 100)
_CHANGES = {"none": "none", "flip": "flip", "crop": "crop 1", "noise": "noise 0.1"}


def _augment_arm(change: str, count: int) -> Arm:
    return Arm(
        f"{change}, {count} a class", four_layers("relu"), images=ImageSet(per_class=count),
        keys=(("batch", 32), ("augment", _CHANGES[change])), epochs=24,
    )  # fmt: skip


def _augmentation_helps(bench: Bench) -> Finding:
    found = {
        (change, count): [100 * each.test_accuracy for each in bench.outcomes(_augment_arm(change, count))]
        for change, count in product(_CHANGES, _SIZES)
    }
    comparisons = [
        differs(
            f"test accuracy, {change} minus none, {count} a class",
            [a - b for a, b in zip(found[change, count], found["none", count], strict=True)],
            among=(len(_CHANGES) - 1) * len(_SIZES),
        )
        for change in _CHANGES
        if change != "none"
        for count in _SIZES
    ]
    rows = [
        Row(_augment_arm(*key).name, "test accuracy", "%", tuple(values), bench.chosen(_augment_arm(*key)))
        for key, values in found.items()
    ]
    lines = tuple(
        series(
            change,
            _SIZES,
            [[found[change, count][place] for count in _SIZES] for place in range(len(bench.seeds))],
        )
        for change in _CHANGES
    )
    return Finding(
        tuple(comparisons),
        tuple(rows),
        (Chart("Test accuracy by training images", "images of each class", "%", lines, log_x=True),),
        notes=("A mirrored digit is mostly no digit: what flips do depends on the images.",),
    )


AUGMENTATION_HELPS = Claim(
    name="augmentation-helps",
    line="Flips, crops and noise help where images are few.",
    words="Augmentation, that is flips, crops and noise, helps a network that has few images.",
    source="Simard, Steinkraus and Platt 2003; Krizhevsky et al. 2012, section 4.1; CS231n notes.",
    protocol="Three convolutions and a fully connected layer on 10, 30 and 100 images of each class, drawn anew by each seed, "
    "without changes, with `flip`, `crop 1` and `noise 0.1`. Test accuracy, 24 epochs.",
    falsifier="No difference: the intervals of the gains, widened for nine comparisons, are below 0.5 points.",
    changes="What the images are: flips of digits are other signs, those of photographs are photographs; a longer training.",
    measure=_augmentation_helps,
    arms=[_augment_arm(change, count) for change, count in product(_CHANGES, _SIZES)],
)

CLAIMS = (DROPOUT_CONV, ZERO_CENTRING, SMALL_DATA_TRANSFER, AUGMENTATION_HELPS)
