"""Claims about activations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from striate.lab.bench import Bench, Outcome
from striate.lab.claim import Arm, Chart, Claim, Comparison, Finding, Row, differs, ratio, series
from striate.lab.claims.depth import cost
from striate.lab.images import Bytes

# What counts as having learned (Krizhevsky et al. 2012, figure 1).
ERROR = 0.25


def four_layers(activation: str, widths: tuple[int, int, int] = (16, 32, 32)) -> str:
    """Three convolutions and a fully connected layer."""
    one, two, three = widths
    return (
        f"conv {one} 3x3 -> {activation} -> maxpool 2 -> conv {two} 3x3 -> {activation} -> maxpool 2 "
        f"-> conv {three} 3x3 -> {activation} -> head: fc classes"
    )


# ---- relu-faster --------------------------------------------------------------------------------------

_PLAIN = (("batch", 64), ("schedule", "constant"))


def _faster_arm(activation: str) -> Arm:
    rates = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    return Arm(
        activation,
        four_layers(activation),
        keys=_PLAIN,
        epochs=45,
        learning_rates=rates,
        chosen_by="training",
    )


def _relu_faster(bench: Bench) -> Finding:
    found = {word: bench.outcomes(_faster_arm(word)) for word in ("relu", "tanh", "sigmoid")}
    rows, lines, comparisons = [], [], []
    notes = [
        "An epoch's training error is the mean over its steps, and stands in its middle; between two the curve is straight."
    ]
    taken: dict[str, list[float]] = {}
    for word, outcomes in found.items():
        most = max(len(each.train_error) for each in outcomes)
        taken[word] = [min(each.epochs_to(ERROR, guess=1 - 1 / bench.classes), most) for each in outcomes]
        late = sum(math.isinf(each.epochs_to(ERROR)) for each in outcomes)
        if late:
            notes.append(
                f"{word}: {late} of {len(outcomes)} seeds never came to 25 %; they count as {most} epochs, which favors {word}."
            )
        rows.append(
            Row(
                word, "epochs to 25 % training error", "", tuple(taken[word]), bench.chosen(_faster_arm(word))
            )
        )
        rows.append(
            Row(
                word,
                "test accuracy",
                "%",
                tuple(100 * each.test_accuracy for each in outcomes),
                bench.chosen(_faster_arm(word)),
            )
        )
        epochs = min(len(each.train_error) for each in outcomes)
        lines.append(
            series(
                word,
                range(1, epochs + 1),
                [[100 * e for e in each.train_error[:epochs]] for each in outcomes],
            )
        )
    for word in ("tanh", "sigmoid"):
        ratios = [a / b for a, b in zip(taken[word], taken["relu"], strict=True)]
        comparisons.append(
            ratio(f"epochs to 25 % training error, {word} over relu", ratios, claimed=6, least=2)
        )
    chart = Chart("Training error", "epoch", "%", tuple(lines))
    return Finding(tuple(comparisons), tuple(rows), (chart,), notes=tuple(notes))


RELU_FASTER = Claim(
    name="relu-faster",
    line="relu converges about six times faster than tanh and sigmoid.",
    words="A network with relu reaches 25 % training error about six times faster than the same one with tanh or sigmoid.",
    source="Krizhevsky, Sutskever and Hinton 2012, section 3.1 and figure 1 (relu against tanh, CIFAR-10); notes add sigmoid.",
    protocol="Three convolutions and a fully connected layer with relu, tanh or sigmoid, no regularization, a constant "
    "learning rate chosen for each so that it trains as fast as possible: epochs until the training error is 25 %.",
    falsifier="The interval of the ratio of epochs is below 2.",
    changes="The data: the paper has 50,000 images of CIFAR-10, on which 25 % error is a long way; on easier images every "
    "activation is there within few epochs. Batch norm, which makes them more alike; other first weights.",
    correction="The paper's figure compares relu with tanh alone; it says nothing of sigmoid.",
    measure=_relu_faster,
    arms=[_faster_arm(word) for word in ("relu", "tanh", "sigmoid")],
)


# ---- relu-dies ----------------------------------------------------------------------------------------

# Close together where units begin to die and trainings are not yet lost.
_DIES_RATES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.4)
_KINDS = {"relu": "relu", "leaky": "leaky 0.01", "elu": "elu", "maxout": "maxout 2"}


def _dies_arm(kind: str) -> Arm:
    widths = (32, 64, 64) if kind == "maxout" else (16, 32, 32)
    return Arm(
        kind, four_layers(_KINDS[kind], widths), keys=(("schedule", "constant"), ("batch", 64)), epochs=9,
        learning_rates=_DIES_RATES, every_rate=True,
    )  # fmt: skip


def dead_share(net: nn.Module, x: Tensor) -> float:
    """The share of feature maps whose gradient is 0 at every place of every image: their units no longer learn.

    It is asked of the input of each activation: for relu, that it is nowhere above 0; for maxout, one of whose
    pieces always learns, and for leaky and elu, whose slope is never 0 in exact arithmetic, that the slope is below 1e-6.
    """
    dead, units = 0, 0

    def look(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal dead, units
        z = given[0].detach().requires_grad_(True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(module.forward(z).sum(), z)
        slope = slope.abs().amax(dim=(0, 2, 3))
        if slope.shape[0] != out.shape[1]:
            slope = slope.reshape(out.shape[1], -1).amax(dim=1)
        dead += int((slope < 1e-6).sum())
        units += len(slope)

    hooks = [
        module.register_forward_hook(look)
        for module in net.modules()
        if type(module).__name__ in ("ReLU", "LeakyReLU", "ELU", "DepthPool")
    ]
    with torch.no_grad():
        net.eval()(x)
    for hook in hooks:
        hook.remove()
    return dead / max(units, 1)


def _dead_at_the_end(bench: Bench, outcome: Outcome, images: Bytes) -> float:
    trained = bench.trained(outcome, last=True)
    return dead_share(trained.net, bench.read(trained, images))


def _relu_dies(bench: Bench) -> Finding:
    shares: dict[str, list[list[float]]] = {}
    accuracy: dict[str, list[list[float]]] = {}
    rates = bench.ladder(_dies_arm("relu"))
    # A training that was lost has no dead units to count: compared is at the highest rate where neither was.
    whole = {
        kind: [not any(each.diverged for each in bench.outcomes(_dies_arm(kind), rate)) for rate in rates]
        for kind in _KINDS
    }
    ends = {
        kind: max((place for place, (a, b) in enumerate(zip(whole["relu"], whole[kind], strict=True)) if a and b), default=0)
        for kind in _KINDS
    }  # fmt: skip
    for kind in _KINDS:
        arm = _dies_arm(kind)
        images = bench.images(arm.images).train[0][:500]
        shares[kind] = [[] for _ in bench.seeds]
        accuracy[kind] = [[] for _ in bench.seeds]
        for learning_rate in rates:
            for place, outcome in enumerate(bench.outcomes(arm, learning_rate)):
                # One that was lost has no weights; nothing of it learns.
                lost = outcome.diverged
                shares[kind][place].append(100.0 if lost else 100 * _dead_at_the_end(bench, outcome, images))
                accuracy[kind][place].append(100 / bench.classes if lost else 100 * outcome.test_accuracy)
    top = [max(row) for row in shares["relu"]]
    rise = [row[ends["relu"]] - row[0] for row in shares["relu"]]
    comparisons: list[Comparison] = [
        differs(f"dead share of relu, at {rates[ends['relu']]:g} minus at {rates[0]:g}", rise, margin=5),
    ]
    rows = []
    for kind in _KINDS:
        at = f"dead maps at {rates[ends[kind]]:g}"
        relu, its = ([row[ends[kind]] for row in shares[each]] for each in ("relu", kind))
        rows.append(Row(kind, at, "%", tuple(its)))
        if kind != "relu":
            rows.append(Row("relu", at, "%", tuple(relu)))
            gain = [a - b for a, b in zip(relu, its, strict=True)]
            comparisons.append(differs(f"{at}, relu minus {kind}", gain, margin=5))
    best = {kind: [max(row) for row in accuracy[kind]] for kind in _KINDS}
    for kind in ("leaky", "elu", "maxout"):
        gain = [a - b for a, b in zip(best[kind], best["relu"], strict=True)]
        comparisons.append(
            differs(f"test accuracy at the best learning rate, {kind} minus relu", gain, counts=False)
        )
    rows += [Row(kind, "test accuracy at the best learning rate", "%", tuple(best[kind])) for kind in _KINDS]
    rows.append(
        Row("relu", "dead maps at the worst learning rate, lost trainings counted as dead", "%", tuple(top))
    )
    charts = (
        Chart("Dead feature maps after training", "learning rate", "%",
              tuple(series(kind, rates, shares[kind]) for kind in _KINDS), log_x=True),
        Chart("Test accuracy", "learning rate", "%",
              tuple(series(kind, rates, accuracy[kind]) for kind in _KINDS), log_x=True),
    )  # fmt: skip
    return Finding(
        tuple(comparisons),
        tuple(rows),
        charts,
        notes=(
            "A map is dead where its gradient is 0 at every place of 500 training images, after training. A training that "
            "was lost (NaN, or a loss that had to be rolled back) is drawn as all dead and as guessing; compared is at the highest "
            "learning rate at which no seed of either arm was lost.",
        ),
    )


RELU_DIES = Claim(
    name="relu-dies",
    line="relu units die at high learning rates; leaky ones, elu and maxout do not.",
    words="At a high learning rate relu units are pushed to where they answer 0 to everything, and never come back; leaky "
    "relu, elu and maxout avoid it.",
    source="Maas, Hannun and Ng 2013; Clevert, Unterthiner and Hochreiter 2016; CS231n notes, which say that as much as 40 % can be dead.",
    protocol="Three convolutions and a fully connected layer with each activation at eleven learning rates, nothing "
    "clipped: the share of feature maps whose gradient is 0 on all of 500 training images, and the test accuracy.",
    falsifier="The order is not seen: the intervals of how much more relu maps are dead at the highest learning "
    "rate at which no training of either arm is lost, than at the lowest, and than those of the others, are below 5 points.",
    changes="Batch norm, which moves units back; clipped gradients; adam; smaller first biases.",
    measure=_relu_dies,
    arms=[_dies_arm(kind) for kind in _KINDS],
)


# ---- maxout-doubles -----------------------------------------------------------------------------------

_RELU_EQUAL = Arm("relu", four_layers("relu", (16, 32, 32)), keys=(("batch", 64),), epochs=15)
# 24 pieces make 12 maps, and so on: as many weights as above, within 2 %.
_MAXOUT_EQUAL = Arm(
    "maxout 2, equal weights", four_layers("maxout 2", (24, 44, 46)), keys=(("batch", 64),), epochs=15
)


def _maxout_doubles(bench: Bench) -> Finding:
    shape = "-> conv 32 3x3 -> {} -> pool avg -> fc classes"
    counted = {
        "relu, 32 maps": cost("conv 32 3x3 -> relu " + shape.format("relu"), bench).rows[2].weights,
        "maxout 2, 32 maps": cost(
            "conv 64 3x3 -> maxout 2 " + shape.replace("conv 32", "conv 64").format("maxout 2"), bench
        )
        .rows[2]
        .weights,
    }
    times = counted["maxout 2, 32 maps"] / counted["relu, 32 maps"]
    doubled = Comparison(
        "weights of a convolution from 32 maps to 32, maxout 2 over relu", "times", (times,), times, times, times,
        "counted: exactly twice" if times == 2 else "counted", "holds" if times == 2 else "does not hold",
    )  # fmt: skip
    accuracy = {
        arm: [100 * each.test_accuracy for each in bench.outcomes(arm)]
        for arm in (_RELU_EQUAL, _MAXOUT_EQUAL)
    }
    relu, maxout = accuracy.values()
    rows = [Row(name, "weights of one convolution", "", (float(count),)) for name, count in counted.items()]
    for arm, values in accuracy.items():
        rows.append(Row(arm.name, "weights", "", (float(cost(arm.net, bench).weights),)))
        rows.append(Row(arm.name, "test accuracy", "%", tuple(values), bench.chosen(arm)))
    pays = differs(
        "test accuracy at equal weights, maxout minus relu",
        [b - a for a, b in zip(relu, maxout, strict=True)],
        counts=False,
    )
    return Finding(
        (doubled, pays), tuple(rows), notes=("Whether it pays at equal weights is not part of the verdict.",)
    )


MAXOUT_DOUBLES = Claim(
    name="maxout-doubles",
    line="maxout doubles the weights.",
    words="A maxout unit of two pieces needs twice the weights of a relu unit.",
    source="Goodfellow et al. 2013; CS231n notes.",
    protocol="Counted, for a convolution from 32 maps to 32. Then trained with as many weights as relu has (within 5 %): "
    "whether it pays.",
    falsifier="The count is not twice that of relu.",
    changes="Nothing changes the count. Whether it pays: dropout, with which it was proposed.",
    correction="At equal outputs a layer has twice the weights; a network that is narrowed to pay for it has no more.",
    measure=_maxout_doubles,
    arms=[_RELU_EQUAL, _MAXOUT_EQUAL],
)

CLAIMS = (RELU_FASTER, RELU_DIES, MAXOUT_DOUBLES)
