"""What a stage of a search found out, in words, and the space that is left."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from striate.errors import counted
from striate.searching.space import LOGARITHMIC, Parameter, Value

# So many trials say something about one parameter.
LEAST_TRIALS = 6

# A difference as large arises by chance this rarely where there is none; and where it arises as often, none is seen.
SURE, NO_DIFFERENCE = 0.05, 0.3

# A range is narrowed to where the best third lies, and this share of it at both ends.
MARGIN = 0.15


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial at the end of a stage.

    metric: None where it was ended as surely lost.  learnt: more than guessing gives.  lost: then the doctor's code.
    """

    values: Mapping[str, Value]
    metric: float | None
    learnt: bool
    lost: str = ""

    @property
    def score(self) -> float:
        """The metric; -1 where there is none."""
        return -1.0 if self.metric is None else self.metric


def describe_stage(parameters: Sequence[Parameter], outcomes: Sequence[Outcome]) -> list[str]:
    """A sentence or two for each parameter: where it fails, where the best lie, whether it matters."""
    if len(outcomes) < LEAST_TRIALS:
        return []
    said: list[str] = []
    learnt = sum(each.learnt for each in outcomes)
    if 3 * learnt < len(outcomes):
        said.append(f"{counted(learnt, 'trial')} of {len(outcomes)} had learned more than guessing gives")
    alike: list[str] = []
    open_: list[str] = []
    for parameter in parameters:
        name = _noun(parameter.name)
        if (failed := _failing(parameter, outcomes)) is not None:
            said.append(failed)
        chance = difference(parameter, outcomes)
        if chance is None:
            continue
        if chance >= NO_DIFFERENCE:
            alike.append(name)
        elif chance > SURE:
            open_.append(name)
        else:
            said.append(_where(parameter, outcomes))
    if alike:
        said.append(f"{_listed(alike)} made no difference that {counted(len(outcomes), 'trial')} show")
    if open_:
        said.append(f"not settled: {_listed(open_)}")
    return said


def difference(parameter: Parameter, outcomes: Sequence[Outcome]) -> float | None:
    """How often chance alone gives such a difference between the values of a parameter: Kruskal and Wallis' test.

    A range is cut in three where the trials lie.  None where there is nothing to compare.

    H = 12 / (N (N + 1)) sum R_g^2 / n_g - 3 (N + 1), ties taken out, against chi-squared of g - 1 degrees.
    Source: Kruskal and Wallis 1952.
    """
    groups = _groups(parameter, outcomes)
    if len(groups) < 2 or len({each.score for each in outcomes}) < 2:
        return None
    # scipy.stats would do it, and takes seconds to import.
    from scipy.special import chdtrc

    values = np.concatenate(groups)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    many = len(values)
    ends = np.cumsum([len(each) for each in groups])[:-1]
    sums = sum(each.sum() ** 2 / len(each) for each in np.split(ranks, ends))
    tied = 1 - float((counts**3 - counts).sum()) / (many**3 - many)
    if not tied:
        return None
    found = (12 / (many * (many + 1)) * sums - 3 * (many + 1)) / tied
    return float(chdtrc(len(groups) - 1, found))


def importance(parameters: Sequence[Parameter], outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The share of the variance of the trials' ranks that each parameter explains by itself, 0 to 1.

    eta^2 = sum n_g (mean_g - mean)^2 / sum (rank - mean)^2, over the groups that `difference` compares, less what
    drawn groups would explain: 1 - (1 - eta^2) (N - 1) / (N - g).
    """
    found = {}
    scores = np.array([each.score for each in outcomes])
    ranks = scores.argsort().argsort().astype(float)
    for parameter in parameters:
        places = _group_places(parameter, outcomes)
        total = float(((ranks - ranks.mean()) ** 2).sum())
        if len(places) < 2 or not total or len(outcomes) <= len(places):
            found[parameter.name] = 0.0
            continue
        between = sum(len(each) * (ranks[each].mean() - ranks.mean()) ** 2 for each in places)
        adjusted = 1 - (1 - between / total) * (len(outcomes) - 1) / (len(outcomes) - len(places))
        found[parameter.name] = max(0.0, float(adjusted))
    return found


def narrowed(parameters: Sequence[Parameter], outcomes: Sequence[Outcome]) -> tuple[Parameter, ...]:
    """The space around the best third, where a parameter matters; as it was where it does not."""
    if len(outcomes) < LEAST_TRIALS:
        return tuple(parameters)
    best = sorted(outcomes, key=lambda each: -each.score)[: max(2, len(outcomes) // 3)]
    found = []
    for parameter in parameters:
        chance = difference(parameter, outcomes)
        if chance is None or chance > SURE:
            found.append(parameter)
        elif parameter.kind == "option":
            kept = tuple(
                each for each in parameter.options if any(o.values[parameter.name] == each for o in best)
            )
            shown = tuple(parameter.written(each) for each in kept) if parameter.shown else ()
            found.append(replace(parameter, options=kept, shown=shown))
        else:
            found.append(_around(parameter, [each.values[parameter.name] for each in best]))
    return tuple(found)


def _around(parameter: Parameter, values: Sequence[Value]) -> Parameter:
    places = [parameter.position(each) for each in values]
    low, high = max(0.0, min(places) - MARGIN / 2), min(1.0, max(places) + MARGIN / 2)
    ends = [_at(parameter, each) for each in (low, high)]
    if parameter.kind == "whole":
        ends = [math.floor(ends[0]), math.ceil(ends[1])]
    return replace(parameter, low=max(parameter.low, ends[0]), high=min(parameter.high, ends[1]))


def _at(parameter: Parameter, place: float) -> float:
    if parameter.log:
        return float(f"{parameter.low * (parameter.high / parameter.low) ** place:.2g}")
    return float(f"{parameter.low + place * (parameter.high - parameter.low):.3g}")


def _groups(parameter: Parameter, outcomes: Sequence[Outcome]) -> list[list[float]]:
    return [[outcomes[at].score for at in places] for places in _group_places(parameter, outcomes)]


def _group_places(parameter: Parameter, outcomes: Sequence[Outcome]) -> list[list[int]]:
    if parameter.kind == "option":
        found = [
            [at for at, each in enumerate(outcomes) if each.values[parameter.name] == option]
            for option in parameter.options
        ]
    else:
        order = sorted(
            range(len(outcomes)), key=lambda at: parameter.position(outcomes[at].values[parameter.name])
        )
        found = [list(map(int, each)) for each in np.array_split(order, 3)]
    return [each for each in found if len(each) >= 2]


def _failing(parameter: Parameter, outcomes: Sequence[Outcome]) -> str | None:
    """Behind which end of a range, or with which options, nothing learns, where a third of all trials does."""
    name = parameter.name
    if 3 * sum(each.learnt for each in outcomes) < len(outcomes):
        return None
    if parameter.kind == "option":
        for option in parameter.options:
            tried = [each for each in outcomes if each.values[name] == option]
            useless = [each for each in tried if not each.learnt]
            rest = [each for each in outcomes if each.values[name] != option]
            if len(tried) >= 3 and useless == tried and sum(each.learnt for each in rest) > len(rest) / 2:
                return f"{_noun(name)} {parameter.written(option)} {_how(useless)}"
        return None
    order = sorted(outcomes, key=lambda each: parameter.position(each.values[name]))
    for ends, word in ((order[::-1], "above"), (order, "below")):
        failed = 0
        while failed < len(ends) and not ends[failed].learnt:
            failed += 1
        if 3 <= failed < len(ends):
            edge = parameter.written(ends[failed].values[name])
            return f"{_noun(name, many=True)} {word} {edge} {_how(ends[:failed])}"
    return None


def _how(failed: Sequence[Outcome]) -> str:
    """What came of trials of which none learned, with the codes of those that the doctor ended."""
    codes = Counter(each.lost for each in failed if each.metric is None)
    lost, many = codes.total(), len(failed)
    how = "diverged" if lost == many else "diverged or learned nothing" if lost else "learned nothing"
    listed = ", ".join(f"{code} {number}" for code, number in codes.most_common() if code)
    return f"{how} in {many} of {many}" + (f" ({listed})" if listed else "")


def _where(parameter: Parameter, outcomes: Sequence[Outcome]) -> str:
    """Where the best of the trials lie."""
    name = parameter.name
    best = sorted(outcomes, key=lambda each: -each.score)[:4]
    if parameter.kind == "option":
        means = {
            parameter.written(option): float(np.mean(scores))
            for option in parameter.options
            if (scores := [max(0.0, each.score) for each in outcomes if each.values[name] == option])
        }
        ordered = sorted(means.items(), key=lambda each: -each[1])
        rest = ", ".join(f"{key} {mean:.1%}" for key, mean in ordered[1:])
        return f"{_noun(name)}: {ordered[0][0]} is best on average with {ordered[0][1]:.1%} ({rest})"
    values = sorted(best, key=lambda each: parameter.position(each.values[name]))
    low, high = (parameter.written(each.values[name]) for each in (values[0], values[-1]))
    lies = f"at {low} lie" if low == high else f"between {low} and {high} lie"
    return f"{_noun(name)}: {lies} the best four of {len(outcomes)}"


def _noun(name: str, many: bool = False) -> str:
    said = name.replace("_", " ")
    return f"{said}s" if many and name in LOGARITHMIC and not said.endswith("s") else said


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
