"""Claims about depth: what it costs, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.lab.bench import Bench
from striate.lab.claim import (
    Arm,
    Chart,
    Claim,
    Comparison,
    Finding,
    Row,
    Series,
    differs,
    interval,
    not_worse,
    series,
)
from striate.modules.module import Net
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.plan.table import Plan, plan
from striate.net.shape import Map

DEPTHS = (8, 20, 44)
WIDTHS = (8, 16, 32)

_CONV = "conv c 3x3 nobias -> bn -> relu -> conv c 3x3 nobias -> bn"
_FIRST = "conv c 3x3 stride 2 nobias -> bn -> relu -> conv c 3x3 nobias -> bn"


def plain(depth: int, widths: Sequence[int] = WIDTHS) -> str:
    """A plain network of 6n + 2 layers with weights, in three stages (He et al. 2016, section 4.2)."""
    return _staged(f"let pair(c) = {_CONV} -> relu;\nlet first(c) = {_FIRST} -> relu;\n", depth, widths)


def residual(depth: int, widths: Sequence[int] = WIDTHS) -> str:
    """The same with shortcuts without weights (option A)."""
    pair = f"let pair(c) = add {{ {_CONV} | identity }} -> relu;\n"
    first = f"let first(c) = add {{ {_FIRST} | maxpool 1x1 stride 2 -> widen c }} -> relu;\n"
    return _staged(pair + first, depth, widths)


def _staged(lets: str, depth: int, widths: Sequence[int]) -> str:
    pairs = (depth - 2) // 6
    one, two, three = widths
    more = f" -> pair({{}}) x{pairs - 1}" if pairs > 1 else ""
    stages = [f"stage1: [pair({one}) x{pairs}]"]
    stages += [f"stage{number}: [first({c}){more.format(c)}]" for number, c in ((2, two), (3, three))]
    stem = f"stem: [conv {one} 3x3 nobias -> bn -> relu]"
    return lets + " -> ".join([stem, *stages, "pool avg", "head: fc classes"])


_KEYS = (("batch", 64), ("weight_decay", 1e-4), ("initial", "he"))


def _arm(kind: str, depth: int) -> Arm:
    net = plain(depth) if kind == "plain" else residual(depth)
    return Arm(f"{kind}-{depth}", net, keys=_KEYS, epochs=21, chosen_by="training")


def _ends(bench: Bench, kind: str, depth: int) -> list[float]:
    return [
        100 * each.train_error[-1] if each.train_error else 100.0
        for each in bench.outcomes(_arm(kind, depth))
    ]


def _tests(bench: Bench, kind: str, depth: int) -> list[float]:
    return [100 * each.test_accuracy for each in bench.outcomes(_arm(kind, depth))]


def _rows(bench: Bench, kinds: Sequence[str]) -> list[Row]:
    rows = []
    for kind in kinds:
        for depth in DEPTHS:
            arm = _arm(kind, depth)
            rows.append(
                Row(
                    arm.name,
                    "training error at the end",
                    "%",
                    tuple(_ends(bench, kind, depth)),
                    bench.chosen(arm),
                )
            )
            rows.append(
                Row(arm.name, "test accuracy", "%", tuple(_tests(bench, kind, depth)), bench.chosen(arm))
            )
    return rows


def _curves(bench: Bench, kinds: Sequence[str]) -> Chart:
    lines = []
    for kind in kinds:
        for depth in DEPTHS:
            found = bench.outcomes(_arm(kind, depth))
            epochs = min(len(each.train_error) for each in found)
            values = [[100 * one for one in each.train_error[:epochs]] for each in found]
            lines.append(series(f"{kind}-{depth}", range(1, epochs + 1), values))
    return Chart("Training error", "epoch", "%", tuple(lines))


def gradients(net: Net, x: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """The root mean square of the gradient of each 3x3 convolution's weights, from the input to the output."""
    net.train()
    weights = [module.weight for module in net.modules() if isinstance(module, nn.Conv2d)]
    found = torch.autograd.grad(F.cross_entropy(net(x), labels), weights)
    return [float(each.square().mean().sqrt()) for each in found]


def _gradient_chart(bench: Bench) -> Chart:
    """By depth, before training and behind it, in plain-44 and residual-44."""
    lines: list[Series] = []
    for kind in ("plain", "residual"):
        arm = _arm(kind, 44)
        images, labels = bench.images(arm.images).train
        before, behind = [], []
        for seed, outcome in zip(bench.seeds, bench.outcomes(arm), strict=True):
            trained = bench.trained(outcome, last=True)
            x, y = bench.read(trained, images[:128]), torch.from_numpy(labels[:128])
            before.append(gradients(bench.fresh(arm, seed), x, y))
            behind.append(gradients(trained.net, x, y))
        layers = range(1, len(before[0]) + 1)
        lines += [
            series(f"{kind}-44, before training", layers, before),
            series(f"{kind}-44, trained", layers, behind),
        ]
    return Chart(
        "Gradient by depth", "convolution, from the input", "root mean square", tuple(lines), log_y=True
    )


# ---- depth-degrades -----------------------------------------------------------------------------------


def _depth_degrades(bench: Bench) -> Finding:
    deep, shallow = _ends(bench, "plain", 44), _ends(bench, "plain", 8)
    middle = _ends(bench, "plain", 20)
    test_deep, test_shallow = _tests(bench, "plain", 44), _tests(bench, "plain", 20)
    drawn = _gradient_chart(bench)
    return Finding(
        (
            differs(
                "training error, plain-44 minus plain-20", [a - b for a, b in zip(deep, middle, strict=True)]
            ),
            differs(
                "test error, plain-44 minus plain-20",
                [b - a for a, b in zip(test_deep, test_shallow, strict=True)],
            ),
            differs(
                "training error, plain-44 minus plain-8",
                [a - b for a, b in zip(deep, shallow, strict=True)],
                counts=False,
            ),
        ),
        tuple(_rows(bench, ("plain",))),
        (_curves(bench, ("plain",)), drawn),
        notes=tuple(_first_over_last(line) for line in drawn.series),
    )


def _first_over_last(line: Series) -> str:
    """In a sentence how the gradient of the first convolution stands to that of the last."""
    times = line.points[0][1] / max(line.points[-1][1], 1e-30)
    how = "grows" if times > 10 else "vanishes" if times < 0.1 else "neither vanishes nor explodes"
    said = f"{times:,.0f}" if times >= 10 else f"{times:.2g}"
    return f"{line.name}: the gradient of the first convolution is {said} times that of the last: it {how} towards the input."


DEPTH_DEGRADES = Claim(
    name="depth-degrades",
    line="Deeper plain nets are worse, also in training.",
    words="Beyond some depth a plain network gets worse as layers are added, and not by overfitting: its training error "
    "is higher, too.",
    source="He, Zhang, Ren and Sun 2016, Deep residual learning, section 1 and figures 1 and 6; Srivastava, Greff and "
    "Schmidhuber 2015.",
    protocol="Plain networks of 8, 20 and 44 layers with batch norm, 8, 16 and 32 maps wide, sgd with momentum, weight "
    "decay 0.0001, 21 epochs: training error of the last epoch, and test accuracy. Gradients by depth are drawn.",
    falsifier="The network of 44 layers is as good as the one of 20: the interval of the difference of their "
    "training errors, or of their test errors, is below 0.5 points.",
    changes="A longer training, which narrows the gap: here are about 400 steps, and the paper takes 64,000, so that this shows slower "
    "training and not what is left in the end; larger images; more classes.",
    correction="Notes give vanishing gradients as the reason. The paper denies it: with batch norm neither activations nor "
    "gradients vanish (section 4.1). The page draws how large they are.",
    measure=_depth_degrades,
    arms=[_arm("plain", depth) for depth in DEPTHS],
)


# ---- skip-helps ---------------------------------------------------------------------------------------


def _skip_helps(bench: Bench) -> Finding:
    plain44, residual44 = _ends(bench, "plain", 44), _ends(bench, "residual", 44)
    plain_test, residual_test = _tests(bench, "plain", 44), _tests(bench, "residual", 44)
    gap = {
        kind: np.subtract(_ends(bench, kind, 44), _ends(bench, kind, 20)) for kind in ("plain", "residual")
    }
    return Finding(
        (
            differs(
                "training error, plain-44 minus residual-44",
                [a - b for a, b in zip(plain44, residual44, strict=True)],
            ),
            differs(
                "test accuracy, residual-44 minus plain-44",
                [b - a for a, b in zip(plain_test, residual_test, strict=True)],
            ),
            not_worse(
                "test accuracy, residual-44 minus residual-8",
                [a - b for a, b in zip(residual_test, _tests(bench, "residual", 8), strict=True)],
            ),
            differs(
                "what 44 layers cost in training error over 20, plain minus residual",
                [float(each) for each in gap["plain"] - gap["residual"]],
                counts=False,
            ),
        ),
        tuple(_rows(bench, ("plain", "residual"))),
        (_curves(bench, ("plain", "residual")), _gradient_chart(bench)),
    )


SKIP_HELPS = Claim(
    name="skip-helps",
    line="Skip connections mend what depth spoils.",
    words="With shortcuts around every two layers a deep network trains as well as a shallow one.",
    source="He, Zhang, Ren and Sun 2016, Deep residual learning, section 4.2.",
    protocol="Plain and residual networks of 8, 20 and 44 layers, alike but for shortcuts without weights; as in "
    "depth-degrades, whose trainings are shared.",
    falsifier="The plain network of 44 layers is as good as the residual one: the interval of the difference of "
    "their training errors, or of their test accuracies, is below 0.5 points.",
    changes="Fewer layers, at which plain networks train as well; a longer training.",
    correction="Shortcuts are not there against vanishing gradients: with batch norm they do not vanish in the plain network either; before "
    "training they grow towards the input.",
    measure=_skip_helps,
    arms=[_arm(kind, depth) for kind in ("plain", "residual") for depth in DEPTHS],
)


# ---- one-by-one ---------------------------------------------------------------------------------------

BASIC = """let block(c) = add { conv c 3x3 nobias -> bn -> relu -> conv c 3x3 nobias -> bn | identity } -> relu;
conv 32 3x3 nobias -> bn -> relu -> block(32) x2 -> maxpool 2 -> block(32) x2 -> pool avg -> head: fc classes"""

BOTTLENECK = """let block(c, wide) = add {
    conv c 1x1 nobias -> bn -> relu -> conv c 3x3 nobias -> bn -> relu -> conv wide 1x1 nobias -> bn | identity
} -> relu;
conv 128 3x3 nobias -> bn -> relu -> block(32, 128) x2 -> maxpool 2 -> block(32, 128) x2 -> pool avg -> head: fc classes"""

_BLOCK_KEYS = (("batch", 64), ("weight_decay", 1e-4), ("initial", "he"))
_BASIC = Arm("3x3 pairs", BASIC, keys=_BLOCK_KEYS, epochs=15)
_NECK = Arm("bottlenecks", BOTTLENECK, keys=_BLOCK_KEYS, epochs=15)


def cost(net: str, bench: Bench) -> Plan:
    """What a network costs on the images of a bench."""
    height, width, channels = bench.loaded.train[0].shape[1:]
    return plan(lay(read_text(net), Map(channels, height, width), bench.classes))


def layers_with_weights(net: str, bench: Bench) -> int:
    """Convolutions and fully connected layers."""
    return sum(row.text.split()[0] in ("conv", "local", "fc") for row in cost(net, bench).rows)


def _one_by_one(bench: Bench) -> Finding:
    accuracy = {arm: [100 * each.test_accuracy for each in bench.outcomes(arm)] for arm in (_BASIC, _NECK)}
    rows = []
    for arm, values in accuracy.items():
        rows.append(Row(arm.name, "test accuracy", "%", tuple(values), bench.chosen(arm)))
        here = cost(arm.net, bench)
        rows.append(Row(arm.name, "multiply-adds", "", (float(here.multiply_adds),)))
        rows.append(Row(arm.name, "weights", "", (float(here.weights),)))
        rows.append(Row(arm.name, "layers with weights", "", (float(layers_with_weights(arm.net, bench)),)))
    return Finding(
        (
            not_worse(
                "test accuracy, bottlenecks minus 3x3 pairs",
                [b - a for a, b in zip(*accuracy.values(), strict=True)],
            ),
        ),
        tuple(rows),
        (
            Chart(
                "Training error", "epoch", "%",
                tuple(
                    series(arm.name, range(1, arm_epochs + 1), [[100 * e for e in each.train_error[:arm_epochs]] for each in found])
                    for arm in (_BASIC, _NECK)
                    for found in [bench.outcomes(arm)]
                    for arm_epochs in [min(len(each.train_error) for each in found)]
                ),
            ),
        ),
    )  # fmt: skip


ONE_BY_ONE = Claim(
    name="one-by-one",
    line="1x1 convolutions and bottlenecks are cheap depth.",
    words="Narrowing by a 1x1 convolution, looking by a 3x3, and widening by a 1x1 buys more layers for the same work.",
    source="Lin, Chen and Yan 2014 (Network in network); Szegedy et al. 2015, section 4; He et al. 2016, section 4.1.",
    protocol="Residual networks of equal multiply-adds and weights (within 5 %), as in figure 5 of He et al.: 4 blocks of "
    "two 3x3 on 32 maps, and 4 bottlenecks of 128 maps narrowed to 32, half as many layers again. Test accuracy, 15 epochs.",
    falsifier="The bottlenecks are worse: the interval of their gain is below 0.",
    changes="More work to spend, many more channels (the saving grows with them), larger images.",
    correction="Notes give the bottleneck as 1x1, 2x2, 3x3. It is 1x1, 3x3, 1x1.",
    measure=_one_by_one,
    arms=[_BASIC, _NECK],
)

# ---- identity-start -----------------------------------------------------------------------------------


def _start_arm(zero: bool) -> Arm:
    keys: tuple[tuple[str, object], ...] = (("initial", "he, zero-last" if zero else "he"), ("batch", 64))
    return Arm("zero-last" if zero else "as usual", residual(20), keys=keys, epochs=15, chosen_by="training")


def _around(net: Net, part: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a part of a network is given, and what it gives."""
    found: list[tuple[Tensor, Tensor]] = []
    hook = part.register_forward_hook(lambda _m, given, out: found.append((given[0].clone(), out.clone())))
    with torch.no_grad():
        net(x)
    hook.remove()
    return found[0]


def _identity_start(bench: Bench) -> Finding:
    x = bench.inputs(64)
    off = []
    for seed in bench.seeds:
        net = bench.fresh(_start_arm(True), seed).train()
        before, behind = _around(net, net.part("stage1"), x)
        off.append(float((behind - before).abs().max()))
    zero, usual = (bench.outcomes(_start_arm(each)) for each in (True, False))
    third = max(1, len(usual[0].train_error) // 3)
    early = [
        100 * (float(np.mean(b.train_error[:third])) - float(np.mean(a.train_error[:third])))
        for a, b in zip(zero, usual, strict=True)
    ]
    accuracy = [100 * (a.test_accuracy - b.test_accuracy) for a, b in zip(zero, usual, strict=True)]
    exact = Comparison(
        "largest change that the first stage makes before training", "", tuple(off), *interval(off), "the stage is the identity" if max(off) == 0 else "the stage is not the identity",
        # By construction: that it is so proves nothing, that it is not would prove the claim wrong.
        None if max(off) == 0 else "does not hold",
    )  # fmt: skip
    rows = [
        Row(
            _start_arm(each).name, f"mean training error of the first {third} epochs", "%",
            tuple(100 * float(np.mean(one.train_error[:third])) for one in outcomes), bench.chosen(_start_arm(each)),
        )
        for each, outcomes in ((True, zero), (False, usual))
    ]  # fmt: skip
    curves = tuple(
        series(
            _start_arm(each).name,
            range(1, len(outcomes[0].train_error) + 1),
            [[100 * one for one in found.train_error] for found in outcomes],
        )
        for each, outcomes in ((True, zero), (False, usual))
    )
    return Finding(
        (
            exact,
            differs(f"training error of the first {third} epochs, as usual minus zero-last", early),
            differs("test accuracy at the end, zero-last minus as usual", accuracy, counts=False),
        ),
        (*rows, *(
            Row(_start_arm(each).name, "test accuracy", "%", tuple(100 * one.test_accuracy for one in outcomes), bench.chosen(_start_arm(each)))
            for each, outcomes in ((True, zero), (False, usual))
        )),
        (Chart("Training error", "epoch", "%", curves),),
    )  # fmt: skip


IDENTITY_START = Claim(
    name="identity-start",
    line="A residual net whose branches begin at zero begins as the identity and learns sooner.",
    words="Where the last batch norm of each residual branch begins with gamma 0, every block begins as the identity, and "
    "training is faster at first.",
    source="Goyal et al. 2017, section 5.1; Zhang, Dauphin and Ma 2019 (Fixup).",
    protocol="A residual network of 20 layers, 8, 16 and 32 maps wide, with `initial = he` and `he, zero-last`. Before "
    "training: what the first stage adds to its input. In training: the mean training error of the first third of 15 epochs.",
    falsifier="The first stage changes its input before training; or no difference: the interval of the gain in "
    "training error is below 0.5 points.",
    changes="Deeper networks, larger batches with a warmup, for which it was proposed; no batch norm.",
    measure=_identity_start,
    arms=[_start_arm(True), _start_arm(False)],
)

CLAIMS = (DEPTH_DEGRADES, SKIP_HELPS, ONE_BY_ONE, IDENTITY_START)
