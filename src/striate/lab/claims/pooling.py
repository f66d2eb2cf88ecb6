"""Claims about pooling."""

from __future__ import annotations

from itertools import product

import numpy as np

from striate.lab.bench import Bench, answers
from striate.lab.claim import Arm, Chart, Claim, Finding, Row, bars, differs, equals, series
from striate.lab.claims.depth import cost
from striate.lab.images import ImageSet, moved

SHIFTS = (0, 1, 2, 3)

# How each arm halves the map, behind a convolution and its relu.
_WAYS = {
    "max": "maxpool 2",
    "avg": "avgpool 2",
    "blur": "maxpool 2x2 stride 1 pad 1 -> filter blur -> maxpool 1x1 stride 2",
    "none": "",
}

# With a canvas nothing is moved out of the image.
_WIDE = ImageSet(canvas=2)


def _net(way: str) -> str:
    stride = " stride 2" if way == "stride" else ""
    pool = f" -> {_WAYS[way]}" if _WAYS.get(way) else ""
    return f"conv 16 3x3{stride} -> relu{pool} -> conv 32 3x3{stride} -> relu{pool} -> head: fc classes"


def _shift_arm(way: str) -> Arm:
    return Arm(way, _net(way), images=_WIDE, keys=(("batch", 64),), epochs=12)


_SHIFT_ARMS = {way: _shift_arm(way) for way in ("max", "avg", "stride", "none", "blur")}


def agreement(bench: Bench, arm: Arm) -> list[list[float]]:
    """For each seed, the share of test images that are answered alike when they are moved: by 0, 1, 2, 3 pixels."""
    images = bench.images(arm.images).test[0]
    found = []
    for outcome in bench.outcomes(arm):
        trained = bench.trained(outcome)
        still = answers(trained.net, bench.read(trained, images))
        row = []
        for shift in SHIFTS:
            ways = {(d * shift, a * shift) for d, a in product((-1, 0, 1), repeat=2) if (d, a) != (0, 0)}
            same = [
                float(
                    (answers(trained.net, bench.read(trained, moved(images, d, a))) == still).float().mean()
                )
                for d, a in sorted(ways)
            ]
            row.append(100 * float(np.mean(same)))
        found.append(row)
    return found


def _pool_shift(bench: Bench) -> Finding:
    found = {way: agreement(bench, arm) for way, arm in _SHIFT_ARMS.items()}
    comparisons, rows = [], []
    for way in ("max", "avg", "stride", "blur"):
        for shift in SHIFTS[1:]:
            gains = [a[shift] - b[shift] for a, b in zip(found[way], found["none"], strict=True)]
            what = f"agreement moved by {shift}, {way} minus none"
            # Strides are no pooling, and by 3 pixels the image is another one: not part of the verdict.
            counts = way in ("max", "avg", "blur") and shift == 1
            comparisons.append(differs(what, gains, counts=counts))
    for way, arm in _SHIFT_ARMS.items():
        accuracy = tuple(100 * each.test_accuracy for each in bench.outcomes(arm))
        rows.append(Row(way, "test accuracy", "%", accuracy, bench.chosen(arm)))
        rows += [
            Row(way, f"agreement, moved by {shift}", "%", tuple(row[shift] for row in found[way]))
            for shift in SHIFTS[1:]
        ]
    chart = Chart(
        "Answers that stay when the image is moved",
        "pixels",
        "%",
        tuple(series(way, SHIFTS, rows_) for way, rows_ in found.items()),
    )
    return Finding(
        tuple(comparisons),
        tuple(rows),
        (chart,),
        notes=(
            "Moved in all eight directions; the mean over them. The canvas is twice the side, so nothing is moved out of it. "
            "The verdict is about one pixel, which is half of what a window of 2 takes together.",
        ),
    )


POOL_SHIFT = Claim(
    name="pool-shift",
    line="Pooling makes the answer tolerate shifts.",
    words="Pooling makes a network tolerate small translations of the image. Notes say invariant; its page tells how many "
    "answers change.",
    source="Goodfellow, Bengio and Courville 2016, section 9.3; Zhang 2019, Making convolutional networks "
    "shift-invariant again, which denies it for max pooling with stride and mends it by a blur.",
    protocol="Two convolutions and a fully connected layer, between them max pooling, average pooling, strided "
    "convolutions, max pooling with a blur before the stride, or nothing. Test images are moved by 1 to 3 pixels: how "
    "many answers stay.",
    falsifier="Pooling is within the spread of none: the interval of the gain in agreement at one pixel is below "
    "0.5 points.",
    changes="Global pooling at the end, which does most of it; training with moved images; larger shifts.",
    measure=_pool_shift,
    arms=list(_SHIFT_ARMS.values()),
)


# ---- stride-replaces-pool -----------------------------------------------------------------------------


def _equal_net(pooled: bool) -> str:
    if pooled:
        return "conv 16 3x3 -> relu -> maxpool 2 -> conv 32 3x3 -> relu -> maxpool 2 -> conv 32 3x3 -> relu -> pool avg -> head: fc classes"
    return "conv 16 3x3 stride 2 -> relu -> conv 32 3x3 stride 2 -> relu -> conv 32 3x3 -> relu -> pool avg -> head: fc classes"


_POOLED = Arm("max pooling", _equal_net(True), keys=(("batch", 64),), epochs=24)
_STRIDED = Arm("strided convolution", _equal_net(False), keys=(("batch", 64),), epochs=24)


def _stride_replaces(bench: Bench) -> Finding:
    accuracy = {
        arm: [100 * each.test_accuracy for each in bench.outcomes(arm)] for arm in (_POOLED, _STRIDED)
    }
    rows = []
    for arm, values in accuracy.items():
        rows.append(Row(arm.name, "test accuracy", "%", tuple(values), bench.chosen(arm)))
        here = cost(arm.net, bench)
        rows.append(Row(arm.name, "weights", "", (float(here.weights),)))
        rows.append(Row(arm.name, "multiply-adds", "", (float(here.multiply_adds),)))
    difference = [b - a for a, b in zip(*accuracy.values(), strict=True)]
    drawn = bars("Test accuracy", "%", [row for row in rows if row.what == "test accuracy"])
    return Finding((equals("test accuracy, strides minus pooling", difference),), tuple(rows), (drawn,))


STRIDE_REPLACES = Claim(
    name="stride-replaces-pool",
    line="Strided convolution replaces pooling without loss.",
    words="Pooling can be replaced by convolutions with stride, without loss of accuracy.",
    source="Springenberg, Dosovitskiy, Brox and Riedmiller 2015, Striving for simplicity, section 3.",
    protocol="Three convolutions and global pooling; the map is halved twice, by max pooling, or by the stride of the "
    "convolution before it: equal weights, and about half of the multiply-adds. Test accuracy, 24 epochs.",
    falsifier="The interval of the difference is outside of +-0.5 points.",
    changes="The paper's better variant adds a convolution in place of the pooling, which has more weights; more work for "
    "the strided network, to equal multiply-adds.",
    measure=_stride_replaces,
    arms=[_POOLED, _STRIDED],
)

CLAIMS = (POOL_SHIFT, STRIDE_REPLACES)
