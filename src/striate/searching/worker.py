"""A search as one worker does it: take what is to be done, train it, note it, decide when a rung has ended.

All that is decided follows from what stands in the database, so any worker may decide, and a search that was killed
goes on from there.
"""

from __future__ import annotations

import dataclasses
import shlex
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from striate.errors import StriateError
from striate.runs.search import SearchRecord
from striate.searching.database import LEASE_S, RENEWALS, Database, Rung, Trial, is_abandoned, this_worker
from striate.searching.ladder import (
    FINALISTS,
    KEPT,
)
from striate.searching.result import finish_search
from striate.searching.sampler import draw
from striate.searching.search import CLOSING, TRIES, Search, require_time
from striate.searching.stage import (
    begin_round,
    decide_stage,
    promote_left,
    steps_of,
    whole_s,
    widened_space,
)
from striate.searching.trial import Reporter, first_feasible, train_to
from striate.text.figures import duration
from striate.training.loop.loop import Stopped

# The fewest trials that a stage is decided on under a budget.
FEWEST = 4

# Seconds between two looks at what the other workers do.
LOOK_S = 1.0


def work(search: Search) -> SearchRecord:
    """Work on a search until nothing is left to do, alone or beside others; then test the best once.

    Raises Stopped where `watch` asks to stop; StriateError where every trial failed.
    """
    owner = this_worker()
    watch, database = search.watch, search.database
    refused: Counter[str] = Counter(database.noted("refused") or {})
    watch.begin("search", _planned(search))
    try:
        while True:
            trials, rungs = database.trials(), database.rungs()
            _keep_time(search, rungs)
            step = _next(search, trials, rungs)
            if step == "end":
                break
            if isinstance(step, Rung):
                leased = database.lease(step, owner)
                if leased is not None:
                    _train(search, leased, trials, refused)
            elif step == "draw":
                drawn = _draw(search, trials, rungs, owner, refused)
                if drawn is not None:
                    _train(search, drawn, database.trials(), refused)
            elif step == "wait":
                if watch.stopping():
                    raise _stopped(search)
                time.sleep(LOOK_S)
    finally:
        watch.end()
        database.note("spent_s", search.elapsed_s())
    return finish_search(search, refused)


def _next(search: Search, trials: Sequence[Trial], rungs: Sequence[Rung]) -> Rung | str:
    """What this worker does now: a rung to train, `draw`, `decided`, `wait` or `end`."""
    free = [each for each in rungs if each.state == "open" or is_abandoned(each)]
    if free:
        return max(free, key=lambda each: (each.rung, -each.trial))
    now = max((each.round for each in trials), default=0)
    of_round = [each for each in trials if each.round == now]
    members = {each.trial for each in of_round}
    last = len(search.settings["rungs"]) - 1
    mine = [each for each in rungs if each.trial in members]
    for rung in range(last + 1):
        there = [each for each in mine if each.rung == rung]
        if rung == 0 and _may_draw(search, of_round, trials, rungs):
            return "draw"
        if any(each.state == "leased" for each in there):
            return "wait"
        if rung == last:
            break
        if search.database.noted(f"stage {now} {rung}") is None:
            decide_stage(search, now, rung, of_round, mine)
            return "decided"
    if promote_left(search, now, mine):
        return "decided"
    if begin_round(search, now, trials, rungs):
        return "draw"
    return "end"


def _may_draw(
    search: Search, of_round: Sequence[Trial], trials: Sequence[Trial], rungs: Sequence[Rung]
) -> bool:
    """Whether the round of now has room for another trial."""
    if search.database.noted(f"stage {of_round[0].round if of_round else 0} 0") is not None:
        return False
    if len(of_round) >= search.a_round() or len(trials) >= search.trials:
        return False
    if len(of_round) < FEWEST or search.budget_s is None:
        return True
    return search.elapsed_s() < _deadline(search, of_round, rungs, 0)


def _deadline(search: Search, of_round: Sequence[Trial], rungs: Sequence[Rung], rung: int) -> float:
    """When a rung of a round has to be over, in seconds of the search: each has the same time, the last what it needs."""
    assert search.budget_s is not None
    began = min(
        (float(search.database.noted(f"round {each.round}") or 0.0) for each in of_round), default=0.0
    )
    reserve = whole_s(search, rungs) * (FINALISTS * (1 - 1 / KEPT) + CLOSING)
    before_last = max(1, len(search.settings["rungs"]) - 1)
    return began + max(0.0, search.budget_s - began - reserve) * (rung + 1) / before_last


def _keep_time(search: Search, rungs: Sequence[Rung]) -> None:
    """Under a budget, end what is open of a rung whose time is over, so that the best still comes to its end."""
    if search.budget_s is None:
        return
    trials = search.database.trials()
    now = max((each.round for each in trials), default=0)
    of_round = [each for each in trials if each.round == now]
    members = {each.trial for each in of_round}
    last = len(search.settings["rungs"]) - 1
    for rung in range(1, last):
        waiting = [
            each for each in rungs if each.rung == rung and each.state == "open" and each.trial in members
        ]
        done = [
            each for each in rungs if each.rung == rung and each.state == "done" and each.trial in members
        ]
        if waiting and done and search.elapsed_s() > _deadline(search, of_round, rungs, rung):
            search.database.drop_open(rung, members)


def _draw(
    search: Search, trials: Sequence[Trial], rungs: Sequence[Rung], owner: str, refused: Counter[str]
) -> Rung | None:
    number = max((each.trial for each in trials), default=-1) + 1
    now = max((each.round for each in trials), default=0)
    if trials and _round_is_over(search, now):
        now += 1
        search.database.note(f"round {now}", search.elapsed_s())
    space = widened_space(search, trials, rungs)
    search.bench.space = dataclasses.replace(search.bench.space, parameters=space.parameters)
    known = [(each, [rung for rung in rungs if rung.trial == each.trial]) for each in trials]
    seed = int(search.settings["seed"])

    def drawn(attempt: int) -> dict[str, Any]:
        key = f"{seed} {number} {attempt}".encode()
        return draw(space.parameters, known, zlib.crc32(key))

    values, cost, why = first_feasible(search.bench, drawn, search.watch, tries=TRIES)
    if why:
        refused.update(each.split(": ")[0] if ": " in each else each for each in why)
        search.database.note("refused", dict(refused))
    steps = search.rungs_of(values)[0]
    return search.database.add_trial(number, now, values, cost, steps, owner)


def _round_is_over(search: Search, round: int) -> bool:
    return search.database.noted(f"over {round}") is not None


def _train(search: Search, leased: Rung, trials: Sequence[Trial], refused: Counter[str]) -> None:
    """Train what was leased, and note what came of it."""
    trial = next(each for each in trials if each.trial == leased.trial)
    with _renewing(search.database, leased) as lost:
        reporter = Reporter(
            lambda note: _show(search, note), lambda: search.watch.stopping() or lost.is_set()
        )
        try:
            before = search.rungs_of(trial.values)[leased.rung - 1] if leased.rung else 0
            ended = train_to(search.bench, trial.trial, trial.values, leased.steps, before, reporter)
            if search.bench.checkpoints is not None and ended.scored is not None:
                # Before its result: whoever goes on with it finds it.
                why = search.bench.checkpoints.keep(trial.trial, search.bench.run_of(trial.trial))
                if why is not None:
                    search.watch.say(
                        f"trial {trial.trial} could not be copied to {search.bench.checkpoints.url}: {why}"
                    )
        except Stopped:
            search.database.release(leased)
            if lost.is_set():
                return
            raise _stopped(search) from None
        except BaseException:
            search.database.release(leased)
            raise
    scored = ended.scored
    kept = search.database.finish(
        leased,
        state="diverged" if scored is None else "done",
        metric=None if scored is None else scored.metric,
        accuracy=None if scored is None else scored.accuracy,
        loss=None if scored is None else scored.loss,
        seconds=ended.seconds,
        note=ended.note,
    )
    if not kept:
        search.watch.say(f"trial {trial.trial}: another worker has taken it over; what came here is left out")
        return
    if ended.note and scored is not None:
        search.watch.say(f"trial {trial.trial} {ended.note}")
    if search.budget_s is not None and leased.rung == 0 and trial.trial == 0:
        require_time(whole_s(search, search.database.rungs()), search.budget_s)
    if search.watch.stopping():
        raise _stopped(search)


def _stopped(search: Search) -> Stopped:
    return Stopped(
        "stopped; every trial is saved",
        cure=f"striate search --resume {shlex.quote(str(search.folder.path))}",
    )


@contextmanager
def _renewing(database: Database, leased: Rung) -> Iterator[threading.Event]:
    """Renew a lease while it is worked on; the event says that it was lost."""
    lost, over = threading.Event(), threading.Event()

    def renew() -> None:
        while not over.wait(LEASE_S / RENEWALS):
            try:
                if not database.renew(leased):
                    lost.set()
                    return
            except StriateError:
                # The database is gone for a moment, or for good, which the next rung will say.
                continue

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()


def _show(search: Search, note: str) -> None:
    """Move the bar: steps that were taken, the best so far, the time that is left."""
    now = time.monotonic()
    if now - search.shown_at < LOOK_S:
        return
    search.shown_at = now
    rungs = search.database.rungs()
    done = [each for each in rungs if each.state == "done"]
    taken = sum(steps_of(search, rungs).values())
    top = max((each.rung for each in done), default=0)
    best = max((each for each in done if each.rung == top), key=lambda each: each.metric or 0.0, default=None)
    said = "" if best is None else f"best {best.metric:.2%} (trial {best.trial}, rung {top + 1})"
    if search.budget_s is not None:
        said += f", {duration(max(0.0, search.budget_s - search.elapsed_s()))} left"
    search.watch.advance(min(taken, _planned(search)), said)


def _planned(search: Search) -> int:
    """Steps of one round, if all of the best third go on."""
    many, before, total = float(search.a_round()), 0, 0.0
    rungs = search.settings["rungs"]
    for place, steps in enumerate(rungs):
        many = min(many, FINALISTS) if place and place == len(rungs) - 1 else many
        total += many * (steps - before)
        before, many = steps, -(-many // KEPT)
    return round(total)
