"""The end of a search: the winner is tested once, and all that came out is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from filelock import FileLock

from striate.disk.atomic import write_atomic
from striate.errors import StriateError, counted
from striate.report.search import search_page
from striate.runs.folder import RunFolder
from striate.runs.record import to_json
from striate.runs.search import ParameterRecord, SearchRecord, StageRecord, TrialRecord
from striate.searching.checkpoints import steps_reached
from striate.searching.database import Rung, Trial
from striate.searching.findings import importance
from striate.searching.ladder import (
    expected_drop,
    whole_trainings,
)
from striate.searching.search import Search, space_of
from striate.searching.space import Space
from striate.searching.stage import mirror, outcomes_of, seen_at, steps_of, values_of
from striate.searching.trial import Reporter, finish_best, train_to


def finish_search(search: Search, refused: Counter[str]) -> SearchRecord:
    trials, rungs = search.database.trials(), search.database.rungs()
    last = len(search.settings["rungs"]) - 1
    final = [each for each in rungs if each.rung == last and each.state == "done"]
    if not final:
        raise StriateError(
            f"none of {counted(len(trials), 'trial')} came to its end: all diverged",
            place="search",
            expected="a space of which some trials learn",
            cure='--set "learning_rate=?(0.0001 .. 0.01)"',
        )
    best = max(final, key=lambda each: (each.metric or 0.0, -(each.loss or 0.0)))
    ready = RunFolder(search.folder.best).report.exists()
    if not ready and steps_reached(search.bench.run_of(best.trial)) < best.steps:
        reporter = Reporter(lambda note: None, search.watch.stopping)
        ended = train_to(
            search.bench, best.trial, values_of(search, best.trial), best.steps, best.steps, reporter
        )
        if ended.note:
            search.watch.say(f"trial {best.trial} {ended.note}")
    # Others may be at the end, too.
    with FileLock(search.folder.path / ".lock"):
        run = finish_best(search.bench, best.trial, RunFolder(search.folder.best), search.watch)
    write_atomic(search.folder.recipe, run.recipe.read_bytes())
    mirror(search, ended=True)
    record = search_record(search, best, run, refused)
    write_atomic(search.folder.record, to_json(record))
    write_atomic(search.folder.report, search_page(record).encode())
    return record


def search_record(search: Search, best: Rung, run: RunFolder, refused: Mapping[str, int]) -> SearchRecord:
    """All that came out, for the page."""
    trials, rungs = search.database.trials(), search.database.rungs()
    stages = []
    for number in sorted({each.round for each in trials}):
        for rung in range(len(search.settings["rungs"])):
            if (found := search.database.noted(f"stage {number} {rung}")) is not None:
                stages.append(StageRecord.model_validate(found))
    first = [seen_at(search, each, [r for r in rungs if r.rung == 0]) for each in trials]
    begun = space_of(search.settings["space"])
    weights = importance(begun.parameters, outcomes_of(search, trials, first))
    result = run.read_record().result
    tested = result is not None and result.split == "test"
    compared = _compared(search, trials, rungs)
    reached = [
        steps / search.rungs_of(next(t.values for t in trials if t.trial == trial))[-1]
        for trial, steps in steps_of(search, rungs).items()
    ]
    return SearchRecord(
        name=search.settings["name"],
        source=search.settings["source"],
        net=search.settings["net"],
        metric=search.settings["metric"],
        images=search.settings["validation"],
        rungs=search.settings["rungs"],
        epoch=max(1, round(search.full / search.settings["epochs"])),
        parameters=[
            ParameterRecord(
                name=each.name,
                domain=each.domain(),
                log=each.log,
                low=None if each.kind == "option" else each.low,
                high=None if each.kind == "option" else each.high,
                options=[each.written(option) for option in each.options],
                importance=weights[each.name],
            )
            for each in begun.parameters
        ],
        trials=[_trial_record(search, each, rungs, begun) for each in trials],
        stages=stages,
        best=best.trial,
        validation=best.metric,
        test=result.accuracy if result is not None and tested else None,
        test_interval=tuple(result.interval) if result is not None and tested else None,  # type: ignore[arg-type]
        drop=expected_drop(compared, int(search.settings["validation"])),
        whole=whole_trainings([round(1e6 * each) for each in reached], 10**6),
        seconds=round(search.elapsed_s(), 1),
        refused=dict(refused),
        machine=dict(run.read_record().machine),
    )


def _compared(search: Search, trials: Sequence[Trial], rungs: Sequence[Rung]) -> list[float]:
    """The metrics among which the best was chosen: of the last rung that three or more came to."""
    for rung in range(len(search.settings["rungs"]) - 1, -1, -1):
        found = [float(each.metric) for each in rungs if each.rung == rung and each.metric is not None]
        if len(found) >= 3:
            return found
    return []


def _trial_record(search: Search, trial: Trial, rungs: Sequence[Rung], space: Space) -> TrialRecord:
    own = sorted((each for each in rungs if each.trial == trial.trial), key=lambda each: each.rung)
    done = [each for each in own if each.state == "done" and each.metric is not None]
    by_name = {each.name: each for each in space.parameters}
    return TrialRecord(
        trial=trial.trial,
        round=trial.round,
        values={key: str(value) if isinstance(value, bool) else value for key, value in trial.values.items()},
        written={key: by_name[key].written(value) for key, value in trial.values.items()},
        steps=[int(search.settings["rungs"][each.rung]) for each in done],
        metrics=[float(each.metric or 0.0) for each in done],
        seconds=sum(each.seconds or 0.0 for each in own),
        diverged=any(each.state == "diverged" for each in own),
        note=next((each.note for each in own if each.note), None),
        cost={key: float(value) for key, value in trial.cost.items()},
    )
