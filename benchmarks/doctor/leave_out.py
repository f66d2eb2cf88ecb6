"""The doctor's thresholds chosen without a network and a data set, and judged on these: writes leave_out.json.

python benchmarks/doctor/leave_out.py --work FOLDER [--out FILE]

For each of the eight networks (the hard cases count as one) and each of the three data sets: every threshold is chosen
from its grid on the cases of all other networks on all other data sets, one after the other, twice over, and the cases of
that network on that data set are judged with what was chosen.  So each case is judged once, by thresholds that saw neither
its network nor its data.  Chosen is what makes least of

    missed / broken / 0.05 + alarmed / healthy / 0.02

that is, of the shares over what is wanted; of several that are equal the one nearest to the middle.  It begins in the middle of the grids,
and not at the values in use.  The rules themselves were written by people who had seen the cases, which no leaving out
undoes; see README.md.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from judge import CLOCK, rate, read_cases, write

from striate.doctor import activations, doctor, learning, optimization, remedy, results, text
from striate.doctor.facts import RunFacts
from striate.doctor.finding import Finding

# Each in the order of size; what is not here is a fact of arithmetic or of the images.
GRIDS: dict[str, tuple[float, ...]] = {
    "POOR": (0.5, 0.6, 0.7), "WELL": (0.7, 0.8, 0.87), "UNHARMED": (0.88, 0.93, 0.96),
    "RATIO_HIGH": (0.02, 0.04, 0.08), "RATIO_LOW": (0.00005, 0.0001, 0.0002), "RATE_FAR": (10, 20, 40),
    "RATE_ABSURD": (25, 50, 100), "UNSTABLE": (0.15, 0.25, 0.35), "TIGHT_CLIP": (0.001, 0.01, 0.1),
    "VANISHING": (3e-4, 1e-3, 3e-3), "EXPLODING": (50, 100, 200), "DECAYED": (0.35, 0.5, 0.7),
    "DECAYED_NORMED": (0.05, 0.1, 0.2), "DEAD": (0.8, 0.9, 0.97), "SATURATED": (0.4, 0.6, 0.8),
    "SHRINKS": (0.003, 0.01, 0.03), "SMALL": (0.1, 0.25, 0.4), "LARGE": (2, 3, 5), "GROWS": (10, 30, 100),
    "OFF_CENTER": (1, 1.5, 3), "OFF_SCALE": (4, 8, 16), "MODE_GAP": (0.15, 0.3, 0.45), "STALE": (0.03, 0.1, 0.3),
    "STALE_LOSS": (1.1, 1.25, 1.5), "CONSTANT": (0.9, 0.95, 0.98), "OVERFIT_GAP": (0.1, 0.15, 0.25),
    "OVERFIT_LOSS": (1.15, 1.3, 1.6), "UNDERFIT": (0.15, 0.25, 0.35), "NARROW_FIT": (0.6, 0.8, 0.9),
    "FEW_STEPS": (20, 40, 80), "STRONG_DROPOUT": (0.6, 0.75, 0.85), "FEW_VALUES": (8, 16, 64),
    "SMALLEST_BATCH": (1, 2, 4), "RECALL_GAP": (0.1, 0.2, 0.3), "IMBALANCE": (4, 8, 16), "SURE_WRONG": (0.03, 0.05, 0.1),
    "FAR": (0.1, 0.2, 0.3), "FEW_IMAGES": (4, 8, 12), "GOOD": (0.7, 0.8, 0.9), "SOMETHING": (0.2, 0.35, 0.5),
}  # fmt: skip
WANTED_MISSED, WANTED_ALARMED = 0.05, 0.02
PASSES = 2

MODULES: tuple[ModuleType, ...] = (activations, doctor, learning, optimization, remedy, results, text)
Found = dict[str, str]


class Judge:
    """What the families of rules find with some thresholds, kept by what each family reads."""

    def __init__(self, facts: list[RunFacts]) -> None:
        self.facts = facts
        self.kept: dict[tuple[Any, ...], list[list[Finding]]] = {}
        self.families = [each for each in doctor.FAMILIES if each[0] != "The clock"]
        # A family reads what its module imports, and what the remedy does.
        self.reads = [
            sorted(
                name
                for name in GRIDS
                if any(hasattr(sys_module(each[1]), name) for each in (family,)) or hasattr(remedy, name)
            )
            for family in self.families
        ]

    def alarms(self, chosen: dict[str, float], cases: list[int]) -> dict[int, bool]:
        """Of each case whether there is an error or a warning."""
        use(chosen)
        every = [self._of(place, chosen) for place in range(len(self.families))]
        found = {}
        for case in cases:
            some = [doctor._weighed(each, self.facts[case]) for family in every for each in family[case]]
            codes = [each.code for each in some if isinstance(each, Finding) and each.severity != "note"]
            # Nothing was learned, and nothing says why.
            nothing = not codes and self.facts[case].judged and not self.facts[case].learned
            found[case] = nothing or any(code not in CLOCK for code in codes)
        return found

    def _of(self, place: int, chosen: dict[str, float]) -> list[list[Finding]]:
        key = (place, *(chosen[name] for name in self.reads[place]))
        if key not in self.kept:
            diagnose = self.families[place][1]
            self.kept[key] = [
                [each for each in diagnose(facts) if isinstance(each, Finding)] for facts in self.facts
            ]
        return self.kept[key]


def sys_module(function: Any) -> ModuleType:
    """The module of a function."""
    return next(each for each in MODULES if each.__name__ == function.__module__)


def use(chosen: dict[str, float]) -> None:
    """Let the rules compare with these thresholds."""
    for module in MODULES:
        for name, value in chosen.items():
            if hasattr(module, name):
                setattr(module, name, value)


def in_use() -> dict[str, float]:
    """The thresholds as they are committed."""
    return {
        name: float(next(getattr(each, name) for each in MODULES if hasattr(each, name))) for name in GRIDS
    }


def without_cures() -> None:
    """Findings without their commands, which take most of the time."""
    for module in MODULES:
        for name, instead in (
            ("again", lambda *args, **keys: ""),
            ("next_step", lambda *args: ""),
            ("known", lambda *args: False),
            ("mended", lambda *args: None),
        ):
            if hasattr(module, name):
                setattr(module, name, instead)


def cost(alarmed: dict[int, bool], broken: list[bool], cases: list[int]) -> float:
    """What is to be made small."""
    ill, well = [each for each in cases if broken[each]], [each for each in cases if not broken[each]]
    missed = sum(not alarmed[each] for each in ill) / max(1, len(ill))
    false = sum(alarmed[each] for each in well) / max(1, len(well))
    return missed / WANTED_MISSED + false / WANTED_ALARMED


def choose(judge: Judge, broken: list[bool], cases: list[int]) -> dict[str, float]:
    """Thresholds for these cases, one after the other."""
    chosen = {name: grid[len(grid) // 2] for name, grid in GRIDS.items()}
    for _ in range(PASSES):
        before = dict(chosen)
        for name, grid in GRIDS.items():
            costs = [cost(judge.alarms({**chosen, name: value}, cases), broken, cases) for value in grid]
            best = [value for value, each in zip(grid, costs, strict=True) if each <= min(costs) + 1e-12]
            chosen[name] = min(best, key=lambda value: abs(grid.index(value) - len(grid) // 2))
        if chosen == before:
            break
    return chosen


def main() -> None:
    """Read the call, choose, judge and write."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--work", type=Path, required=True)
    reader.add_argument("--out", type=Path, default=Path(__file__).parent / "leave_out.json")
    asked = reader.parse_args()
    torch.set_num_threads(1)
    known = read_cases(asked.work)
    judge = Judge([each.facts for each in known])
    broken = [each.broken for each in known]
    nets = ["hard" if each.parent.startswith("hard-") else each.parent.split("-")[0] for each in known]
    data = [each.data.split("-")[0] for each in known]
    committed = in_use()
    without_cures()
    every = list(range(len(known)))
    plain = judge.alarms(committed, every)
    left: dict[int, bool] = {}
    values: dict[str, Counter[float]] = {name: Counter() for name in GRIDS}
    for net in sorted(set(nets)):
        for source in sorted(set(data)):
            inside = [each for each in every if nets[each] == net and data[each] == source]
            outside = [each for each in every if nets[each] != net and data[each] != source]
            if not inside:
                continue
            chosen = choose(judge, broken, outside)
            for name, value in chosen.items():
                values[name][value] += 1
            left |= judge.alarms(chosen, inside)
            print(
                net,
                source,
                len(inside),
                {name: value for name, value in chosen.items() if value != committed[name]},
                flush=True,
            )
    record = {
        "plain": figures(plain, broken),
        "left_out": figures(left, broken),
        "chosen": {
            name: {"in_use": committed[name], "grid": GRIDS[name], "chosen": dict(values[name].most_common())}
            for name in GRIDS
        },
        "missed_when_left_out": [known[each].name for each in every if broken[each] and not left[each]],
        "alarmed_when_left_out": [known[each].name for each in every if not broken[each] and left[each]],
    }
    write(record, asked.out)
    print(json.dumps({key: record[key] for key in ("plain", "left_out")}, indent=1))


def figures(alarmed: dict[int, bool], broken: list[bool]) -> dict[str, Any]:
    """Recall and false alarms, with their intervals."""
    ill, well = [each for each in alarmed if broken[each]], [each for each in alarmed if not broken[each]]
    return {
        "recall": rate(sum(alarmed[each] for each in ill), len(ill)),
        "false_alarms": rate(sum(alarmed[each] for each in well), len(well)),
    }


if __name__ == "__main__":
    main()
