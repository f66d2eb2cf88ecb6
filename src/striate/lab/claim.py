"""What a claim is: its arms, its measure, its falsifier; and what a measurement found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from striate.lab.images import DIGITS, ImageSet

if TYPE_CHECKING:
    from striate.lab.bench import Bench

Verdict = Literal["holds", "holds in part", "does not hold", "not settled"]

# Half decades: the seven learning rates that each arm is tried at, for sgd with momentum.
LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

# A smaller difference of test accuracy, in points, is none that anybody would act on.
MARGIN = 0.5


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of training, all but its learning rate and seed.

    net: the text of the network.  images: what it is trained on.  keys: keys of the recipe beside `BASE` of
    `striate.lab.bench`.  epochs: of a full training; those that choose the learning rate have a third.
    learning_rates: those to choose from.  chosen_by: the best validation accuracy, or the fastest training: the
    lowest training error, averaged over the epochs.  every_rate: all seeds train at each learning rate, not only
    at the best.  begin: an arm whose weights, of the same seed, this one begins with.
    """

    name: str
    net: str
    images: ImageSet = DIGITS
    keys: tuple[tuple[str, Any], ...] = ()
    epochs: int = 20
    learning_rates: tuple[float, ...] = LEARNING_RATES
    chosen_by: Literal["validation", "training"] = "validation"
    every_rate: bool = False
    begin: Arm | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure that is compared over the seeds, with its 95 % interval.

    values: one a seed.  middle: their mean, or geometric mean where they are ratios.  low, high: the interval.
    reads: what the interval says, in a sentence.  verdict: None where it is no part of the claim's.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    middle: float
    low: float
    high: float
    reads: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of figures: an arm, its learning rate if it was trained, and a value for each seed."""

    arm: str
    what: str
    unit: str
    values: tuple[float, ...]
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart: points (x, middle, low, high)."""

    name: str
    points: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing.  x, y: what runs along the axes.  log_x, log_y: whether by factors.  ticks: names of x = 0, 1, 2, ..."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    ticks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """Values of 0 to 1, rows x columns, shown as gray squares, with what stands below."""

    caption: str
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a measurement found.  notes: what has to be known to read the figures."""

    comparisons: tuple[Comparison, ...]
    rows: tuple[Row, ...] = ()
    charts: tuple[Chart, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Of all comparisons that have one: `holds in part` where they do not agree and one holds."""
        found = {each.verdict for each in self.comparisons if each.verdict is not None}
        if len(found) == 1:
            return found.pop()
        if found & {"holds", "holds in part"}:
            return "holds in part"
        return "does not hold" if "does not hold" in found else "not settled"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of lecture notes.

    line: one plain line.  words: the claim as notes have it.  source: who measured or said it first.
    protocol: what is done, in sentences.  falsifier: what proves it wrong, written before the run.
    changes: what would change the verdict.  correction: what common notes get wrong, with its right value.
    arms: what is trained; empty where nothing is.  measure: compares, once the arms are trained.
    """

    name: str
    line: str
    words: str
    source: str
    protocol: str
    falsifier: str
    changes: str
    measure: Callable[[Bench], Finding]
    arms: Sequence[Arm] = field(default=())
    correction: str = ""


# ---- figures over seeds -------------------------------------------------------------------------------


def interval(values: Sequence[float], *, among: int = 1) -> tuple[float, float, float]:
    """Mean and 95 % interval of a few values: mean +- t(n - 1) * s / sqrt(n).  Of one value both ends are infinite.

    among: how many comparisons the verdict is taken from, any of which may be right by chance (Bonferroni): the share
    outside is 5 % / among.
    """
    from scipy.special import stdtrit

    found = np.asarray(values, dtype=np.float64)
    mean = float(found.mean())
    if len(found) < 2:
        return mean, -math.inf, math.inf
    half = float(stdtrit(len(found) - 1, 1 - 0.025 / among) * found.std(ddof=1) / math.sqrt(len(found)))
    return mean, mean - half, mean + half


def ratio_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean and 95 % interval of ratios: `interval` of their logarithms."""
    middle, low, high = interval([math.log(each) for each in values])
    return math.exp(middle), math.exp(low), math.exp(high)


def differs(
    name: str,
    values: Sequence[float],
    *,
    unit: str = "points",
    margin: float = MARGIN,
    counts: bool = True,
    among: int = 1,
) -> Comparison:
    """A paired difference that the claim says is above 0.

    does not hold: the interval is below `margin`, so that what there may be is too small to matter.  holds: else, and it
    is above 0.  Else not settled.  among: as in `interval`.
    """
    middle, low, high = interval(values, among=among)
    verdict: Verdict
    if high < margin:
        verdict, reads = "does not hold", f"the interval is below {margin:g}: there is no such difference"
    elif low > 0:
        verdict, reads = "holds", "the interval is above 0"
    else:
        verdict, reads = "not settled", f"the interval reaches from below 0 to above {margin:g}"
    return Comparison(name, unit, tuple(values), middle, low, high, reads, verdict if counts else None)


def equals(name: str, values: Sequence[float], *, unit: str = "points", margin: float = MARGIN) -> Comparison:
    """A paired difference that the claim says is none.

    holds: the interval is within +- margin.  does not hold: it is outside of that.  Else not settled.
    """
    middle, low, high = interval(values)
    verdict: Verdict
    if -margin < low and high < margin:
        verdict, reads = "holds", f"the interval is within +-{margin:g}"
    elif low > margin or high < -margin:
        verdict, reads = "does not hold", f"the interval is outside of +-{margin:g}"
    else:
        verdict, reads = "not settled", f"the interval reaches over the edge of +-{margin:g}"
    return Comparison(name, unit, tuple(values), middle, low, high, reads, verdict)


def not_worse(
    name: str, values: Sequence[float], *, unit: str = "points", margin: float = MARGIN
) -> Comparison:
    """A paired difference that the claim says is not below 0.

    holds: the interval is above -margin.  does not hold: it is below 0.  Else not settled.
    """
    middle, low, high = interval(values)
    verdict: Verdict
    if high < 0:
        verdict, reads = "does not hold", "the interval is below 0"
    elif low > -margin:
        verdict, reads = "holds", f"the interval is above {-margin:g}"
    else:
        verdict, reads = "not settled", f"the interval reaches from below {-margin:g} to above 0"
    return Comparison(name, unit, tuple(values), middle, low, high, reads, verdict)


def ratio(name: str, values: Sequence[float], *, claimed: float, least: float) -> Comparison:
    """Ratios that the claim says are about `claimed`, and that prove it wrong below `least`.

    holds: the interval holds `claimed` or is above it, and is above `least`.  does not hold: it is below `least`.
    holds in part: it is above `least`, and below `claimed`.
    """
    middle, low, high = ratio_interval(values)
    verdict: Verdict
    if high < least:
        verdict, reads = "does not hold", f"the interval is below {least:g}"
    elif low < least:
        verdict, reads = "not settled", f"the interval holds {least:g}"
    elif high < claimed:
        verdict, reads = "holds in part", f"the interval is above {least:g}, but below {claimed:g}"
    else:
        verdict, reads = "holds", f"the interval is above {least:g} and reaches {claimed:g}"
    return Comparison(name, "times", tuple(values), middle, low, high, reads, verdict)


def series(name: str, xs: Sequence[float], by_seed: Sequence[Sequence[float]]) -> Series:
    """A line of means over the seeds, with the lowest and the highest at each x.  by_seed: seeds x points."""
    points = []
    for place, x in enumerate(xs):
        here = [each[place] for each in by_seed]
        points.append((float(x), float(np.mean(here)), float(min(here)), float(max(here))))
    return Series(name, tuple(points))


def bars(title: str, y: str, rows: Sequence[Row]) -> Chart:
    """A chart with a place along x for each row: its mean and its lowest and highest."""
    points = tuple(
        Series(row.arm, ((float(place), float(np.mean(row.values)), min(row.values), max(row.values)),))
        for place, row in enumerate(rows)
    )
    return Chart(title, "", y, points, ticks=tuple(row.arm for row in rows))
