"""A rung that has ended: who goes on, what was found out, and the space of what comes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from striate.errors import counted
from striate.searching.database import Rung, Trial
from striate.searching.findings import Outcome, describe_stage, narrowed
from striate.searching.ladder import (
    Chosen,
    Seen,
    choose,
)
from striate.searching.sampler import Mirror
from striate.searching.search import Search, plain_space
from striate.searching.space import Parameter, Space, describe_space
from striate.searching.trial import forget

# The best three lie on one side of a range where their mean is so near to its end, as a share of it.
SAME_SIDE = 0.3

# A network answers more than guessing where it is right this much more often than the most common class is.
LEARNT = 1.5


def whole_s(search: Search, rungs: Sequence[Rung]) -> float:
    """Seconds of a whole training, as the rungs so far were."""
    known: list[float] = []
    last: dict[int, int] = {}
    for each in sorted(rungs, key=lambda each: (each.trial, each.rung)):
        steps = each.steps - last.get(each.trial, 0)
        last[each.trial] = each.steps
        if each.state == "done" and each.seconds and steps > 0:
            whole = search.rungs_of(values_of(search, each.trial))[-1]
            known.append(each.seconds / steps * whole)
    # The first steps of a trial pay for its beginning; the longest say most.
    return median(known[-16:]) if known else 0.0


def values_of(search: Search, trial: int) -> dict[str, Any]:
    return next((each.values for each in search.database.trials() if each.trial == trial), {})


def steps_of(search: Search, rungs: Sequence[Rung]) -> dict[int, int]:
    """Steps that each trial has come to."""
    found: dict[int, int] = {}
    for each in rungs:
        if each.state in ("done", "diverged"):
            found[each.trial] = max(found.get(each.trial, 0), each.steps)
    return found


def seen_at(search: Search, trial: Trial, rungs: Sequence[Rung]) -> Seen:
    own = sorted((each for each in rungs if each.trial == trial.trial), key=lambda each: each.rung)
    done = [each for each in own if each.state == "done" and each.metric is not None]
    # Counted in the steps of the search, so that trials with other batches lie on the same rungs.
    parts = search.settings["rungs"]
    points = tuple((int(parts[each.rung]), float(each.metric or 0.0)) for each in done)
    return Seen(
        trial.trial, points, float(done[-1].loss or 0.0) if done else 0.0,
        next((lost_code(each) for each in own if each.state == "diverged"), ""),
    )  # fmt: skip


def lost_code(rung: Rung) -> str:
    """The doctor's code of a rung on which a trial was lost, as its note begins."""
    return (rung.note or "").partition(":")[0] or "nan"


def decide_stage(
    search: Search, round: int, rung: int, trials: Sequence[Trial], rungs: Sequence[Rung]
) -> None:
    """A rung has ended: choose who goes on, say what was found out, narrow the space."""
    ended = {each.trial for each in rungs if each.rung == rung and each.state in ("done", "diverged")}
    of_rung = [each for each in trials if each.trial in ended]
    seen = [seen_at(search, each, [r for r in rungs if r.rung <= rung]) for each in of_rung]
    chosen = choose(
        seen,
        rung,
        search.settings["rungs"],
        int(search.settings["validation"]),
        third=search.budget_s is None,
    )
    for trial in chosen.on:
        values = next(each.values for each in of_rung if each.trial == trial)
        search.database.open_rung(trial, rung + 1, search.rungs_of(values)[rung + 1])
    for trial in ended - set(chosen.on):
        # The last may be needed where those that go on diverge.
        if rung < len(search.settings["rungs"]) - 2:
            forget(search.bench, trial)
    said, space = _say_stage(search, round, rung, of_rung, seen, chosen)
    search.database.note(
        f"stage {round} {rung}",
        {
            "round": round, "rung": rung, "steps": search.settings["rungs"][rung], "trials": len(of_rung),
            "on": list(chosen.on), "hopeless": list(chosen.hopeless), "wrong": chosen.wrong, "said": said,
            "space": space,
        },
    )  # fmt: skip
    mirror(search, ended=False)


def _say_stage(
    search: Search, round: int, rung: int, trials: Sequence[Trial], seen: Sequence[Seen], chosen: Chosen
) -> tuple[list[str], list[str]]:
    """What a stage found, said and returned; and the space that is left."""
    watch = search.watch
    outcomes = outcomes_of(search, trials, seen)
    parameters = search.space().parameters
    steps = search.settings["rungs"][rung]
    epochs = steps / (search.full / search.settings["epochs"])
    best = max(seen, key=lambda each: each.metric, default=None)
    lead = f", best {best.metric:.2%} (trial {best.trial})" if best is not None and best.points else ""
    watch.say(f"rung {rung + 1}    {counted(len(trials), 'trial')} at {epochs:.2g} epochs{lead}")
    said = describe_stage(parameters, outcomes)
    if chosen.hopeless:
        said.append(
            f"{counted(len(chosen.hopeless), 'trial')} ended early by the curve; "
            f"the chance that {'it' if len(chosen.hopeless) == 1 else 'one of them'} would have won is {chosen.wrong:.1%}"
        )
    for line in said:
        watch.say(f"          {line}")
    left = narrowed(parameters, outcomes)
    space = describe_space(Space(left, {}))
    changed = [line for line, (a, b) in zip(space, zip(parameters, left, strict=True), strict=True) if a != b]
    for line in changed:
        watch.say(f"          narrowed: {line}")
    watch.say(f"          {counted(len(chosen.on), 'trial')} on")
    return said, space


def outcomes_of(search: Search, trials: Sequence[Trial], seen: Sequence[Seen]) -> list[Outcome]:
    by_trial = {each.trial: each for each in seen}
    least = LEARNT * float(search.settings["chance"])
    found = []
    for each in trials:
        what = by_trial[each.trial]
        metric = None if what.lost or not what.points else what.metric
        found.append(
            Outcome(each.values, metric, metric is not None and metric >= min(least, 0.99), what.lost)
        )
    return found


def widened_space(search: Search, trials: Sequence[Trial], rungs: Sequence[Rung]) -> Space:
    """The space of now; where the best of the first sixteen lies at an edge, it goes on behind it, once a side."""
    space = search.space()
    done = [each for each in rungs if each.rung == 0 and each.state == "done"]
    if len(done) < 16 or len(done) % 8:
        return space
    top = sorted(done, key=lambda each: (-(each.metric or 0.0), each.loss or 0.0))[:3]
    by_trial = {each.trial: each.values for each in trials}
    changed: list[Parameter] = []
    for parameter in space.parameters:
        values = [by_trial[each.trial][parameter.name] for each in top]
        edge = parameter.edge(values[0]) if all(parameter.holds(each) for each in values) else None
        places = [] if edge is None else [parameter.position(each) for each in values]
        # The best alone may lie anywhere; where the next two lie at the same side it is no chance.
        if not places or abs(sum(places) / len(places) - (edge == "high")) > SAME_SIDE:
            continue
        assert edge is not None
        if search.database.noted(f"widened {parameter.name} {edge}"):
            continue
        wider = parameter.widened(edge)
        if wider is not None:
            search.database.note(f"widened {parameter.name} {edge}", True)
            changed.append(wider)
            search.watch.say(
                f"          {parameter.name}: the best lie at the {'lower' if edge == 'low' else 'upper'} edge of "
                f"{parameter.domain()}; widened to {wider.domain()}"
            )
    if changed:
        space = space.replaced(changed)
        search.database.note("space", plain_space(space))
    return space


def promote_left(search: Search, round: int, mine: Sequence[Rung]) -> bool:
    """Where nobody came to the last rung, let the best that is left go there; whether there was one."""
    last = len(search.settings["rungs"]) - 1
    if any(each.rung == last and each.state == "done" for each in mine) or last == 0:
        return False
    diverged = {each.trial for each in mine if each.state == "diverged"}
    left = [
        each for each in mine
        if each.state == "done" and each.trial not in diverged and search.bench.run_of(each.trial).state.exists()
    ]  # fmt: skip
    if not left:
        return False
    best = max(left, key=lambda each: (each.rung, each.metric or 0.0))
    steps = search.rungs_of(values_of(search, best.trial))[last]
    search.database.open_rung(best.trial, last, steps)
    return True


def begin_round(search: Search, now: int, trials: Sequence[Trial], rungs: Sequence[Rung]) -> bool:
    """Whether there are trials and time for one more round, in the narrowed space."""
    if len(trials) >= search.trials:
        return False
    if search.settings["trials"] is None and search.budget_s is None:
        return False
    if search.budget_s is not None:
        began = float(search.database.noted(f"round {now}") or 0.0)
        last_s = search.elapsed_s() - began
        if search.budget_s - search.elapsed_s() < max(last_s, 1.5 * whole_s(search, rungs)):
            return False
    search.database.note(f"over {now}", True)
    of_round = [each for each in trials if each.round == now]
    seen = [seen_at(search, each, [r for r in rungs if r.rung == 0]) for each in of_round]
    space = search.space()
    left = narrowed(space.parameters, outcomes_of(search, of_round, seen))
    search.database.note("space", plain_space(space.replaced(left)))
    search.watch.say(f"round {now + 2}   in the narrowed space")
    for line in describe_space(space.replaced(left)):
        search.watch.say(f"          {line}")
    return True


def mirror(search: Search, *, ended: bool) -> None:
    """Show the search to Optuna's dashboard."""
    trials, rungs = search.database.trials(), search.database.rungs()
    known = [(each, [rung for rung in rungs if rung.trial == each.trial]) for each in trials]
    closed = known
    if not ended:
        top = max((each.rung for each in rungs), default=0)
        closed = [(t, r) for t, r in known if max((each.rung for each in r), default=0) < top]
    if search.mirror is None:
        search.mirror = Mirror(search.database)
    search.mirror.update(search.space().parameters, closed, len(search.settings["rungs"]) - 1)
