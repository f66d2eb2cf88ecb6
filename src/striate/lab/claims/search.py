"""Claims that are counted, and one about how to search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.lab.bench import Bench, Outcome
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
    interval,
    series,
)
from striate.lab.claims.activations import four_layers
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.plan.table import Plan, plan
from striate.net.shape import Map
from striate.net.zoo.list import zoo_net, zoo_text

# ---- googlenet-ten ------------------------------------------------------------------------------------


def _zoo_plan(name: str) -> Plan:
    known = zoo_net(name)
    return plan(lay(read_text(zoo_text(name), f"{name}.net"), Map(*known.input), known.classes))


def _googlenet_ten(bench: Bench) -> Finding:
    alexnet, googlenet = _zoo_plan("alexnet"), _zoo_plan("googlenet")
    whole = googlenet.weights + googlenet.side_weights
    answering, training = alexnet.weights / googlenet.weights, alexnet.weights / whole
    comparisons = (
        Comparison(
            "parameters, AlexNet over GoogLeNet as it answers", "times", (answering,), answering, answering, answering,
            "counted: about ten", "holds",
        ),
        Comparison(
            "parameters, AlexNet over GoogLeNet as it is trained, with its two auxiliary heads", "times", (training,),
            training, training, training, "counted: not even five", "does not hold",
        ),
    )  # fmt: skip
    counts = {
        "AlexNet (one column)": alexnet.weights,
        "GoogLeNet": googlenet.weights,
        "GoogLeNet with auxiliary heads": whole,
    }
    rows = [Row(name, "parameters", "", (float(count),)) for name, count in counts.items()]
    return Finding(comparisons, tuple(rows), (bars("Parameters", "", rows),))


GOOGLENET_TEN = Claim(
    name="googlenet-ten",
    line="GoogLeNet has ten times fewer parameters than AlexNet.",
    words="GoogLeNet has ten times (in its paper, twelve times) fewer parameters than AlexNet.",
    source="Szegedy et al. 2015, Going deeper with convolutions, section 1.",
    protocol="Counted from the networks of the zoo, for 1,000 classes: without and with the two auxiliary heads, which train "
    "beside it and are dropped to answer.",
    falsifier="A count cannot be falsified by a run: it is right or not.",
    changes="How AlexNet is counted: the two columns of 2012 have 61.0 million, the one column of 2014 61.1 million.",
    correction="9.22 without, 4.70 with the auxiliary heads; the paper's twelve is of neither. A common slip beside it: three "
    "neurons on an image of 1,000 x 1,000 x 3 have 9 million weights, not 3 billion; that takes 1,000 neurons.",
    measure=_googlenet_ten,
)


# ---- coarse-to-fine -----------------------------------------------------------------------------------

# Twelve a factor of 1000: the fine grid; the coarse one has every third of them, and a third of the epochs.
FINE_RATES = tuple(float(f"{0.001 * 10 ** (step / 4):.3g}") for step in range(13))
DECAYS = (0.0, 0.0001, 0.001, 0.01)
COARSE_EVERY = 3


def _decay_arm(decay: float) -> Arm:
    return Arm(
        f"weight decay {decay:g}", four_layers("relu"), keys=(("batch", 64), ("weight_decay", decay)), epochs=9,
        learning_rates=FINE_RATES, every_rate=True,
    )  # fmt: skip


def _best_validation(outcome: Outcome) -> float:
    return 0.0 if outcome.diverged else max(outcome.val_accuracy, default=0.0)


def _coarse_to_fine(bench: Bench) -> Finding:
    rates = bench.ladder(_decay_arm(DECAYS[0]))
    found, shares, costs, tests = [], [], [], []
    maps: list[list[float]] = []
    for seed in bench.seeds:
        table = {
            (place, decay): bench.outcome(_decay_arm(decay), learning_rate, seed)
            for decay in DECAYS
            for place, learning_rate in enumerate(rates)
        }
        fine = max(table, key=lambda key: _best_validation(table[key]))
        coarse = {
            (place, decay): bench.outcome(_decay_arm(decay), rates[place], seed, short=True)
            for decay in DECAYS[::2]
            for place in range(0, len(rates), COARSE_EVERY)
        }
        place, decay = max(coarse, key=lambda key: _best_validation(coarse[key]))
        row = DECAYS.index(decay)
        near = [
            (p, d)
            for p in range(place - 1, place + 2)
            for d in DECAYS[max(0, row - 1) : row + 2]
            if (p, d) in table
        ]
        picked = max(near, key=lambda key: _best_validation(table[key]))
        usual = float(np.median([_best_validation(each) for each in table.values()]))
        gain = _best_validation(table[fine]) - usual
        shares.append(100 * (_best_validation(table[picked]) - usual) / gain if gain > 0 else 100.0)
        found.append(100 * (_best_validation(table[fine]) - _best_validation(table[picked])))
        tests.append(100 * (table[picked].test_accuracy - table[fine].test_accuracy))
        costs.append(100 * (len(coarse) / 3 + len(near)) / len(table))
        maps.append([100 * max(_best_validation(table[p, d]) for d in DECAYS) for p in range(len(rates))])
    middle, low, high = interval(shares)
    # "Most" is more than a half.
    verdict: Verdict = "holds" if low > 50 else "does not hold" if high < 50 else "not settled"
    reads = "the interval is above a half" if low > 50 else "the interval is not above a half"
    comparisons = (
        Comparison(
            "of what the fine search gains over the median setting, the share that coarse-to-fine finds", "%",
            tuple(shares), middle, low, high, reads, verdict,
        ),
        differs("validation accuracy that it misses", found, counts=False),
        differs("test accuracy, coarse-to-fine minus fine", tests, counts=False),
    )  # fmt: skip
    rows = (
        Row("coarse-to-fine", "share of the gain", "%", tuple(shares)),
        Row("coarse-to-fine", "work, of that of the fine search", "%", tuple(costs)),
    )
    chart = Chart(
        "Best validation accuracy over the weight decays",
        "learning rate",
        "%",
        (series("fine grid", rates, maps),),
        log_x=True,
    )
    return Finding(comparisons, rows, (chart,))


COARSE_TO_FINE = Claim(
    name="coarse-to-fine",
    line="A coarse stage finds most of what a fine search finds.",
    words="Search coarsely first, with few epochs, then finely around the best: it finds most of what searching everything "
    "finely does, for much less.",
    source="CS231n notes on hyperparameter optimization; Bengio 2012, Practical recommendations.",
    protocol="All of a fine grid is trained: 13 learning rates of 0.001 to 1, four weight decays. Then it is asked what a "
    "coarse stage finds: every third learning rate and every second weight decay for a third of the epochs, and its "
    "neighbors in the fine grid in full.",
    falsifier="It finds less than half of what the fine search gains over the median setting: the interval is below 50 %.",
    changes="More settings to search at once, where grids do not reach (`striate search` draws instead); noisier validation.",
    measure=_coarse_to_fine,
    arms=[_decay_arm(decay) for decay in DECAYS],
)

CLAIMS: Sequence[Claim] = (GOOGLENET_TEN, COARSE_TO_FINE)
