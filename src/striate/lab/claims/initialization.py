"""Claims about first weights, and about what makes them matter less."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from striate.lab.bench import Bench, at
from striate.lab.claim import (
    Arm,
    Chart,
    Claim,
    Comparison,
    Finding,
    Row,
    Verdict,
    differs,
    interval,
    ratio,
    series,
)
from striate.modules.initial import initialize
from striate.modules.module import Net, build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map

DEPTHS = tuple(range(1, 31))

# The layers that "who trains" is asked at (He et al. 2015, figures 2 and 3).
TRAINED_DEPTHS = (10, 22, 30)

# Of a half, and of 1: how far the factor of a layer may be off.
TOLERANCE = 0.1


def stack(depth: int, activation: str, width: int = 16) -> str:
    """A plain convolutional network of so many layers with weights."""
    first = f"conv {width} 3x3 stride 2 -> {activation}"
    return f"{first} -> [conv {width} 3x3 -> {activation}] x{depth - 2} -> pool avg -> head: fc classes"


def dense(activation: str, width: int = 256) -> str:
    """30 fully connected layers: every sum has as many terms, which padding would spoil at the edges of a map."""
    return f"[fc {width} -> {activation}] x{len(DEPTHS)}"


def before_training(text: str, word: str, x: Tensor, seed: int) -> Net:
    """A network with first weights of a distribution."""
    with torch.random.fork_rng(devices=[]):
        net = build(lay(read_text(text), Map(*x.shape[1:]), None), logits=False)
    initialize(net, initial=word, generator=torch.Generator().manual_seed(seed))
    return net


def outputs(net: Net, x: Tensor, kind: type[nn.Module]) -> Iterator[Tensor]:
    """What each module of a kind gives, in order."""
    found: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, out: found.append(out.clone()))
        for module in net.modules()
        if isinstance(module, kind)
    ]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    yield from found


def factor_of_layer(variances: Sequence[float]) -> float:
    """What the variance is multiplied with in a layer: a straight line through its logarithms."""
    return math.exp(float(np.polyfit(range(len(variances)), np.log(variances), 1)[0]))


# ---- init-variance ------------------------------------------------------------------------------------

_WORDS = {
    "xavier": "Glorot, 2/(fan_in + fan_out)",
    "lecun": "Xavier of the notes, 1/fan_in",
    "he": "He, 2/fan_in",
}


def _depth_arm(depth: int, word: str) -> Arm:
    return Arm(
        f"{depth} layers, {word}",
        stack(depth, "relu"),
        keys=(("initial", word),),
        epochs=15,
        chosen_by="training",
    )


def _factor(name: str, values: Sequence[float], wanted: float) -> Comparison:
    middle, low, high = interval(values)
    verdict: Verdict
    if low > wanted * (1 - TOLERANCE) and high < wanted * (1 + TOLERANCE):
        verdict, reads = "holds", f"the interval is within 10 % of {wanted:g}"
    elif high < wanted * (1 - TOLERANCE) or low > wanted * (1 + TOLERANCE):
        verdict, reads = "does not hold", f"the interval is off {wanted:g} by more than 10 %"
    else:
        verdict, reads = "not settled", f"the interval reaches over 10 % off {wanted:g}"
    return Comparison(name, "times the variance, a layer", tuple(values), middle, low, high, reads, verdict)


def _init_variance(bench: Bench) -> Finding:
    x = bench.inputs()
    curves, factors = {}, {}
    for word in _WORDS:
        by_seed = []
        for seed in bench.seeds:
            net = before_training(dense("relu"), word, x, seed)
            by_seed.append([float(out.square().mean()) for out in outputs(net, x, nn.Linear)])
        curves[word], factors[word] = by_seed, [factor_of_layer(each) for each in by_seed]
    comparisons = [
        _factor(f"{name}: factor of a layer", factors[word], 1.0 if word == "he" else 0.5)
        for word, name in _WORDS.items()
    ]
    rows = [Row(name, "factor of a layer", "", tuple(factors[word])) for word, name in _WORDS.items()]
    for depth in TRAINED_DEPTHS:
        ends = {}
        for word in ("lecun", "he"):
            arm = _depth_arm(depth, word)
            ends[word] = [
                100 * each.train_error[-1] if each.train_error else 100.0 for each in bench.outcomes(arm)
            ]
            rows.append(Row(arm.name, "training error", "%", tuple(ends[word]), bench.chosen(arm)))
        gains = [a - b for a, b in zip(ends["lecun"], ends["he"], strict=True)]
        comparisons.append(
            differs(f"{depth} layers: training error, Xavier of the notes minus He", gains, counts=False)
        )
    lines = tuple(series(name, DEPTHS, curves[word]) for word, name in _WORDS.items())
    chart = Chart("Mean square before each relu, before training", "layer", "mean square", lines, log_y=True)
    return Finding(
        tuple(comparisons),
        tuple(rows),
        (chart,),
        notes=(
            "The mean square before the relu is its variance over draws of the weights, whose mean is 0. "
            "Where every layer is as wide as the one before, Glorot's mean of fan_in and fan_out is fan_in.",
            "Who trains is not part of the verdict: the claim is about the variance.",
        ),
    )


INIT_VARIANCE = Claim(
    name="init-variance",
    line="Xavier under relu halves the variance a layer; He keeps it.",
    words="With Xavier's weights a relu halves the variance of the activations in every layer; He's "
    "factor of 2 keeps it.",
    source="He, Zhang, Ren and Sun 2015, Delving deep into rectifiers, section 2.2 and figures 2 and 3; "
    "Glorot and Bengio 2010.",
    protocol="30 fully connected layers of 256 relu units, before training, on 256 images: the mean square before each "
    "relu by depth, and the factor of a layer by a straight line through its logarithms. Then convolutional networks "
    "of 10, 22 and 30 layers, 16 maps wide, trained with either.",
    falsifier="The factor of a layer is off 1/2 under Xavier, or off 1 under He, by more than 10 %.",
    changes="Another activation (tanh keeps the variance under Xavier), layers that narrow or widen, zero padding, "
    "which takes from the edges of a map, or batch norm, which makes the question idle.",
    correction="Notes call 1/fan_in Xavier's; Glorot and Bengio's own is 2/(fan_in + fan_out). Both are measured.",
    measure=_init_variance,
    arms=[_depth_arm(depth, word) for depth in TRAINED_DEPTHS for word in ("lecun", "he")],
)


# ---- init-extremes ------------------------------------------------------------------------------------

# A unit of tanh beyond this is saturated: its gradient is below a fiftieth.
SATURATED = 0.99
_SIZES = {"small": "0.01", "large": "1", "xavier": "Xavier"}


def _extreme_arm(word: str) -> Arm:
    return Arm(f"10 layers, {word}", stack(10, "tanh"), keys=(("initial", word),), epochs=15)


def _threshold(
    name: str, unit: str, values: Sequence[float], *, below: float | None, above: float | None
) -> Comparison:
    middle, low, high = interval(values)
    right = high < below if below is not None else low > (above or 0.0)
    wrong = low > below if below is not None else high < (above or 0.0)
    verdict: Verdict = "holds" if right else "does not hold" if wrong else "not settled"
    bound = f"below {below:g}" if below is not None else f"above {above:g}"
    reads = f"the interval is {bound}" if right else f"the interval is not {bound}"
    return Comparison(name, unit, tuple(values), middle, low, high, reads, verdict)


def _init_extremes(bench: Bench) -> Finding:
    x = bench.inputs()
    spread: dict[str, list[list[float]]] = {}
    stuck: dict[str, list[list[float]]] = {}
    for word in _SIZES:
        spread[word], stuck[word] = [], []
        for seed in bench.seeds:
            found = list(outputs(before_training(dense("tanh"), word, x, seed), x, nn.Tanh))
            spread[word].append([max(float(each.std()), 1e-30) for each in found])
            stuck[word].append([float((each.abs() > SATURATED).float().mean()) for each in found])
    tenth = 9
    died = [100 * each[tenth] / float(x.std()) for each in spread["small"]]
    saturated = [100 * each[tenth] for each in stuck["large"]]
    comparisons = [
        _threshold(
            "0.01: standard deviation at layer 10, of that of the images", "%", died, below=1.0, above=None
        ),
        _threshold("1: share of saturated units at layer 10", "%", saturated, below=None, above=50.0),
    ]
    rows = []
    good = bench.outcomes(_extreme_arm("xavier"))
    for word in _SIZES:
        arm = _extreme_arm(word)
        found_here = [100 * each.test_accuracy for each in bench.outcomes(arm)]
        rows.append(Row(arm.name, "test accuracy", "%", tuple(found_here), bench.chosen(arm)))
        if word != "xavier":
            losses = [100 * a.test_accuracy - b for a, b in zip(good, found_here, strict=True)]
            comparisons.append(
                differs(
                    f"10 layers, trained: test accuracy, Xavier minus {_SIZES[word]}", losses, counts=False
                )
            )
    names = {"small": "standard deviation 0.01", "large": "standard deviation 1", "xavier": "Xavier"}
    charts = (
        Chart(
            "Standard deviation behind each tanh, before training", "layer", "standard deviation",
            tuple(series(names[word], DEPTHS, spread[word]) for word in _SIZES), log_y=True,
        ),
        Chart(
            "Share of saturated units, |y| > 0.99", "layer", "share",
            tuple(series(names[word], DEPTHS, stuck[word]) for word in _SIZES),
        ),
    )  # fmt: skip
    return Finding(tuple(comparisons), tuple(rows), charts)


INIT_EXTREMES = Claim(
    name="init-extremes",
    line="Under tanh small random weights die out with depth, and large ones saturate.",
    words="Weights drawn too small (standard deviation 0.01) let the activations die out layer by layer; drawn too large "
    "(standard deviation 1) every tanh saturates. Neither learns.",
    source="Glorot and Bengio 2010, section 4; LeCun et al. 1998 (Efficient BackProp), section 4.6; CS231n notes.",
    protocol="30 fully connected layers of 256 tanh units, before training, on 256 images: the standard deviation and "
    "the share of saturated units (|y| above 0.99) behind each layer. Then convolutional networks of 10 layers trained "
    "with each, for information.",
    falsifier="At layer 10 the standard deviation under 0.01 is not below 1 % of that of the images, and under 1 not half "
    "of the units are saturated.",
    changes="Narrower layers (0.01 is 1/sqrt(fan_in) for 10,000 inputs), fewer layers, batch norm.",
    measure=_init_extremes,
    arms=[_extreme_arm(word) for word in _SIZES],
)


# ---- bn-rates -----------------------------------------------------------------------------------------

_BN_RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_BN_WORDS = ("he", "small", "large")


def _bn_net(bn: bool) -> str:
    norm = " -> bn" if bn else ""
    block = "conv {} 3x3" + norm + " -> relu"
    parts = [
        block.format(16),
        "maxpool 2",
        block.format(32),
        "maxpool 2",
        block.format(32),
        "head: fc classes",
    ]
    return " -> ".join(parts)


def _bn_arm(bn: bool, word: str) -> Arm:
    name = f"{'bn' if bn else 'plain'}, {word}"
    keys = (("initial", word), ("schedule", "constant"), ("batch", 64))
    arm = Arm(name, _bn_net(bn), keys=keys, epochs=9)
    return at(arm, name, every_rate=True, learning_rates=_BN_RATES) if word == "he" else arm


def _bn_rates(bench: Bench) -> Finding:
    guess = math.log(bench.classes)
    highest: dict[bool, list[float]] = {}
    curves = []
    for bn in (False, True):
        arm = _bn_arm(bn, "he")
        rates = bench.ladder(arm)
        by_rate = {learning_rate: bench.outcomes(arm, learning_rate) for learning_rate in rates}
        sound = {
            learning_rate: [
                not each.diverged and bool(each.train_loss) and each.train_loss[-1] < guess for each in found
            ]
            for learning_rate, found in by_rate.items()
        }
        highest[bn] = [
            max(
                [learning_rate for learning_rate in rates if sound[learning_rate][place]],
                default=rates[0] / 3,
            )
            for place in range(len(bench.seeds))
        ]
        curves.append(
            series(
                "with bn" if bn else "without",
                rates,
                [
                    [100 * by_rate[learning_rate][place].test_accuracy for learning_rate in rates]
                    for place in range(len(bench.seeds))
                ],
            )
        )
    ratios = [a / b for a, b in zip(highest[True], highest[False], strict=True)]
    comparisons = [
        ratio("largest learning rate that does not diverge, with bn over without", ratios, claimed=2, least=2)
    ]
    rows = [
        Row(
            "bn, he" if bn else "plain, he",
            "largest learning rate that does not diverge",
            "",
            tuple(highest[bn]),
        )
        for bn in (False, True)
    ]
    worst: dict[bool, list[list[float]]] = {False: [], True: []}
    for bn in (False, True):
        for word in _BN_WORDS:
            arm = _bn_arm(bn, word)
            if word == "he":
                found = max(
                    (bench.outcomes(arm, learning_rate) for learning_rate in bench.ladder(arm)),
                    key=lambda each: sum(max(one.val_accuracy, default=0.0) for one in each),
                )
            else:
                found = bench.outcomes(arm)
            values = tuple(100 * each.test_accuracy for each in found)
            worst[bn].append(list(values))
            rows.append(Row(arm.name, "test accuracy", "%", values, found[0].learning_rate))
    spreads = {bn: np.ptp(np.asarray(worst[bn]), axis=0) for bn in worst}
    gains = [float(each) for each in spreads[False] - spreads[True]]
    comparisons.append(
        differs("best minus worst of three initializations, test accuracy, without bn minus with it", gains)
    )
    chart = Chart(
        "Test accuracy by learning rate", "learning rate", "test accuracy, %", tuple(curves), log_x=True
    )
    return Finding(
        tuple(comparisons),
        tuple(rows),
        (chart,),
        notes=(
            "Diverged is a training whose loss became NaN or infinite, or whose last training loss is above that of "
            f"guessing, ln {bench.classes} = {guess:.2f}. Gradients are not clipped, and the learning rate is constant.",
        ),
    )


BN_RATES = Claim(
    name="bn-rates",
    line="Batch norm allows higher learning rates and forgives a bad initialization.",
    words="Batch norm lets one train at much higher learning rates, and makes the network less sensitive to its first "
    "weights.",
    source="Ioffe and Szegedy 2015, sections 3.3 and 4.2.",
    protocol="Three convolutions and a fully connected layer, with and without batch norm, at eight learning rates of "
    "0.01 to 30: the largest that does not diverge. Then He's weights, standard deviation 0.01 and 1, each at its best "
    "learning rate: how far their test accuracies lie apart.",
    falsifier="The ratio of the largest learning rates is below 2; three initializations lie as far apart with "
    "batch norm.",
    changes="Clipped gradients or a warmup, which let the plain network bear more; adam instead of sgd; more layers.",
    measure=_bn_rates,
    arms=[_bn_arm(bn, word) for bn in (False, True) for word in _BN_WORDS],
)


CLAIMS = (INIT_VARIANCE, INIT_EXTREMES, BN_RATES)
