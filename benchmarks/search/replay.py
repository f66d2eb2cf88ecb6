"""Make the decisions of a search over a recorded table, and those of other methods, 100 times each.

    python benchmarks/search/replay.py benchmarks/search/digits.csv

Each replay draws 64 configurations of the table; a method sees of each only the validations that it pays for, in whole
trainings.  Regret: how far, in points, the final validation of what it takes lies below the best of the 64, and below
the best of the whole table.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import numpy as np

from striate.searching.ladder import Seen, choose

REPLAYS, DRAWN, LIMIT = 100, 64, 4.0

# Curve: accuracy and loss at each part of 27 epochs; -1 behind a divergence.
Curve = list[tuple[float, float]]
PARTS = (1 / 9, 1 / 3, 1, 3, 9, 27)
SHARES = [each / 27 for each in PARTS]


def read_table(path: Path, seed: int) -> tuple[dict[int, Curve], dict[int, dict[str, str]]]:
    """Of one seed, by the number of the configuration; and what each configuration is."""
    curves: dict[int, Curve] = {}
    values: dict[int, dict[str, str]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["seed"] != str(seed):
                continue
            number = int(row["number"])
            got = (float(row["accuracy"]), float(row["loss"])) if row["accuracy"] else (-1.0, 99.0)
            curves.setdefault(number, []).append(got)
            keys = ("learning_rate", "batch", "weight_decay", "schedule", "width")
            values[number] = {key: row[key] for key in keys}
    return {number: curve for number, curve in curves.items() if len(curve) == len(PARTS)}, values


class Table:
    """What a method may look at, and what it has paid.  resume: whether going on costs only the new steps."""

    def __init__(self, curves: dict[int, Curve], numbers: Sequence[int], *, resume: bool = True) -> None:
        self.curves, self.numbers, self.resume = curves, list(numbers), resume
        self.paid, self.at = 0.0, dict.fromkeys(numbers, -1)
        # Stopped by their curves, and the chance that was stated of one of them being the winner.
        self.stopped: list[int] = []
        self.stated = 0.0

    def see(self, number: int, part: int) -> tuple[float, float]:
        """The validation of a configuration behind a part."""
        before = self.at[number]
        if part > before:
            done = SHARES[before] if self.resume and before >= 0 else 0.0
            self.paid += SHARES[part] - done
            self.at[number] = part
        return self.curves[number][part]


def best_of(table: Table, numbers: Sequence[int], part: int) -> list[int]:
    """Numbers by their validation at a part, the best first."""
    seen = {each: table.see(each, part) for each in numbers}
    return sorted(numbers, key=lambda each: (-seen[each][0], seen[each][1]))


def striate_search(
    table: Table, chance: random.Random, *, first: int = 1, images: int = 432, finals: int = 1
) -> int:
    """The ladder of striate: the best third goes on, ended by their curves."""
    parts = list(range(first, len(PARTS)))
    steps = [round(SHARES[each] * 27 * 90) for each in parts]
    alive = table.numbers
    points: dict[int, list[tuple[int, float]]] = {each: [] for each in alive}
    for rung, part in enumerate(parts):
        losses = {}
        for each in alive:
            accuracy, loss = table.see(each, part)
            points[each].append((steps[rung], accuracy))
            losses[each] = loss
        if rung == len(parts) - 1:
            return best_of(table, alive, part)[0]
        seen = [
            Seen(each, tuple(points[each]), losses[each], "nan" if points[each][-1][1] < 0 else "")
            for each in alive
        ]
        chosen = choose(seen, rung, steps, images)
        table.stated += chosen.wrong
        table.stopped += list(chosen.hopeless)
        alive = list(chosen.on) or best_of(table, alive, part)[:1]
    raise AssertionError


def random_search(table: Table, chance: random.Random) -> int:
    """As many whole trainings as the limit allows."""
    return best_of(table, table.numbers[: int(LIMIT)], len(PARTS) - 1)[0]


def successive_halving(table: Table, chance: random.Random, *, eta: int = 3, first: int = 1) -> int:
    """The best 1 / eta of each rung, every rung from its beginning."""
    alive = table.numbers
    for part in range(first, len(PARTS)):
        alive = best_of(table, alive, part)
        if part == len(PARTS) - 1:
            break
        alive = alive[: max(1, len(alive) // eta)]
    return alive[0]


def asha(table: Table, chance: random.Random, *, first: int = 1, limit: float = LIMIT) -> int:
    """One worker of ASHA (Li et al. 2020), eta 3, until the limit is paid."""
    seen: dict[int, dict[int, float]] = {part: {} for part in range(first, len(PARTS))}
    promoted: dict[int, set[int]] = {part: set() for part in seen}
    fresh = iter(table.numbers)
    while table.paid < limit:
        job = None
        for part in range(len(PARTS) - 2, first - 1, -1):
            order = sorted(seen[part], key=lambda each: -seen[part][each])
            ready = [each for each in order[: len(order) // 3] if each not in promoted[part]]
            if ready:
                promoted[part].add(ready[0])
                job = ready[0], part + 1
                break
        if job is None:
            number = next(fresh, None)
            if number is None:
                break
            job = number, first
        seen[job[1]][job[0]] = table.see(*job)[0]
    top = max(part for part in seen if seen[part])
    return max(seen[top], key=lambda each: seen[top][each])


def hyperband(table: Table, chance: random.Random) -> int:
    """The brackets of Hyperband (Li et al. 2018), eta 3, from the shortest rung on, until the limit is paid."""
    left, found = list(table.numbers), []
    for first in range(1, len(PARTS)):
        rungs = len(PARTS) - first
        many = max(1, min(len(left), math.ceil((len(PARTS) - 1) / rungs * 3 ** (rungs - 1) / 3)))
        if table.paid >= LIMIT or not left:
            break
        alive, left = left[:many], left[many:]
        for part in range(first, len(PARTS)):
            alive = best_of(table, alive, part)
            if part == len(PARTS) - 1:
                found.append(alive[0])
            alive = alive[: max(1, len(alive) // 3)]
    return best_of(table, found, len(PARTS) - 1)[0]


def pasha(table: Table, chance: random.Random) -> int:
    """PASHA's rule (Bohdal et al. 2023): the ladder grows only while the order of its two top rungs still changes."""
    first, alive = 1, table.numbers
    before: list[int] = []
    for part in range(first, len(PARTS)):
        order = best_of(table, alive, part)
        both = [each for each in before if each in order]
        if len(both) >= 2 and both == [each for each in order if each in both]:
            # What PASHA gives is trained anew to its end.
            break
        before = order
        if part == len(PARTS) - 1:
            break
        alive = order[: max(1, len(order) // 3)]
    table.see(order[0], len(PARTS) - 1)
    return order[0]


def optuna_hyperband(table: Table, chance: random.Random, values: dict[int, dict[str, str]]) -> int:
    """Optuna's TPE with its Hyperband pruner, as its manual writes it, over the same configurations."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    keys = list(next(iter(values.values())))
    options = {key: sorted({values[each][key] for each in values}, key=_order) for key in keys}
    by_values = {tuple(values[each][key] for key in keys): each for each in table.curves}
    sampler = optuna.samplers.TPESampler(seed=chance.randrange(10**6))
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=81, reduction_factor=3)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    ends: dict[int, float] = {}
    steps = [0, 1, 3, 9, 27, 81]

    while table.paid < LIMIT:
        trial = study.ask()
        asked = tuple(trial.suggest_categorical(key, options[key]) for key in keys)
        # A table that is not complete has a neighbour.
        number = by_values.get(asked) or min(
            table.curves,
            key=lambda each: sum(values[each][key] != got for key, got in zip(keys, asked, strict=True)),
        )
        table.at.setdefault(number, -1)
        table.at[number] = -1
        state, value = optuna.trial.TrialState.COMPLETE, -1.0
        # From a third of an epoch, as the others.
        for part in range(1, len(PARTS)):
            value = table.see(number, part)[0]
            trial.report(value, steps[part])
            if part < len(PARTS) - 1 and trial.should_prune():
                state = optuna.trial.TrialState.PRUNED
                break
        else:
            ends[number] = value
        study.tell(trial, value if state == optuna.trial.TrialState.COMPLETE else None, state=state)
    if not ends:
        return max(
            (each for each in table.at if table.at[each] >= 0),
            key=lambda each: table.curves[each][table.at[each]][0],
        )
    return max(ends, key=lambda each: ends[each])


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return 0.0, value


def main() -> None:
    """Print the table, and write it as JSON beside the recording."""
    asked = argparse.ArgumentParser()
    asked.add_argument("table", type=Path)
    asked.add_argument("--images", type=int, default=432, help="validation images of the recording")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--replays", type=int, default=REPLAYS)
    given = asked.parse_args()
    curves, values = read_table(given.table, given.seed)
    final = {each: curve[-1][0] for each, curve in curves.items()}
    best = max(final.values())
    methods: dict[str, tuple[bool, Callable[[Table, random.Random], int]]] = {
        "striate, from 1/3 epoch": (True, lambda t, c: striate_search(t, c, images=given.images)),
        "striate, from 1/9 epoch": (True, lambda t, c: striate_search(t, c, first=0, images=given.images)),
        "striate, from 1 epoch": (True, lambda t, c: striate_search(t, c, first=2, images=given.images)),
        "random search": (True, random_search),
        "successive halving, starting over": (False, successive_halving),
        "successive halving, resumed": (True, successive_halving),
        "ASHA, one worker": (True, asha),
        "Hyperband": (True, hyperband),
        "PASHA's rule": (True, pasha),
        "Optuna, TPE and Hyperband": (True, lambda t, c: optuna_hyperband(t, c, values)),
    }
    rows = []
    for name, (resume, method) in methods.items():
        regrets, regrets_all, costs = [], [], []
        wrong, stated = [], []
        for replay in range(given.replays):
            chance = random.Random(replay)
            drawn = chance.sample(sorted(curves), min(DRAWN, len(curves)))
            table = Table(curves, drawn, resume=resume)
            taken = method(table, chance)
            regrets.append(100 * max(0.0, max(final[each] for each in drawn) - final[taken]))
            regrets_all.append(100 * (best - final[taken]))
            costs.append(table.paid)
            wrong.append(any(final[each] > final[taken] for each in table.stopped))
            stated.append(table.stated)
        within = mean(each <= 0.5 for each in regrets)
        low, high = (float(np.quantile(regrets, each)) for each in (0.1, 0.9))
        rows.append(
            {
                "method": name, "whole trainings": round(mean(costs), 2), "most": round(max(costs), 2),
                "regret": round(mean(regrets), 2), "10 %": round(low, 2), "90 %": round(high, 2),
                "within 0.5 points": round(within, 2), "regret to the best of the table": round(mean(regrets_all), 2),
                "wrong stops": round(mean(wrong), 3), "as stated": round(mean(stated), 3),
            }
        )  # fmt: skip
    heads = list(rows[0])
    print(f"{len(curves)} configurations, {given.replays} replays of {DRAWN}, best {best:.2%}")
    print(" | ".join(heads))
    for row in rows:
        print(" | ".join(str(row[each]) for each in heads))
    name = given.table.stem + (f"-seed-{given.seed}" if given.seed else "")
    given.table.with_name(f"{name}.json").write_text(
        json.dumps(
            {"configurations": len(curves), "replays": given.replays, "best": best, "rows": rows}, indent=1
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
