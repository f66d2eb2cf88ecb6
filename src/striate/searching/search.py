"""A search as one worker does it: take what is to be done, train it, note it, decide when a rung has ended.

All that is decided follows from what stands in the database, so any worker may decide, and a search that was killed
goes on from there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import shlex
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from filelock import FileLock

from striate.disk.atomic import write_atomic
from striate.disk.small import parse_toml, read_small_text
from striate.errors import RunError, StriateError, counted
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.progress import Watch
from striate.report.search import search_page
from striate.runs.folder import RunFolder
from striate.runs.record import to_json
from striate.runs.search import ParameterRecord, SearchFolder, SearchRecord, StageRecord, TrialRecord
from striate.searching.database import LEASE_S, RENEWALS, Database, Rung, Trial, is_abandoned, this_worker
from striate.searching.findings import Outcome, describe_stage, importance, narrowed
from striate.searching.ladder import (
    FINALISTS,
    KEPT,
    Chosen,
    Seen,
    choose,
    expected_drop,
    ladder,
    whole_trainings,
)
from striate.searching.sampler import Mirror, draw
from striate.searching.space import Parameter, Space, default_space, describe_space
from striate.searching.trial import Bench, Limits, Reporter, finish_best, first_feasible, forget, train_to
from striate.text.figures import duration
from striate.training.job import prepare
from striate.training.loop.loop import Stopped

# Trials of a round where nobody says how many, and the fewest that a stage is decided on under a budget.
TRIALS, FEWEST = 64, 4

# So many draws may be refused by the plan before one is trained.
TRIES = 200

# What the test and the page take, as a share of a whole training.
CLOSING = 0.15

# The best three lie on one side of a range where their mean is so near to its end, as a share of it.
SAME_SIDE = 0.3

# Seconds between two looks at what the other workers do.
LOOK_S = 1.0

# A network answers more than guessing where it is right this much more often than the most common class is.
LEARNT = 1.5


@dataclass
class Search:
    """A search that is ready to be worked on.

    settings: what was asked for, and what was decided for all trials at the beginning; every worker has the same.
    """

    folder: SearchFolder
    database: Database
    bench: Bench
    settings: dict[str, Any]
    watch: Watch
    began: float
    shown_at: float = 0.0
    mirror: Mirror | None = None

    # What the settings say

    @property
    def trials(self) -> int:
        """How many may be drawn in all; endless under a budget that says nothing of it."""
        return int(self.settings["trials"] or 10**9)

    @property
    def budget_s(self) -> float | None:
        """Seconds for all of it, or None."""
        found = self.settings["budget_s"]
        return None if found is None else float(found)

    @property
    def full(self) -> int:
        """Steps of a whole training with the batch of the recipe."""
        return int(self.settings["full"])

    def a_round(self) -> int:
        """Trials of one round."""
        return min(self.trials, TRIALS)

    def rungs_of(self, values: Mapping[str, Any]) -> tuple[int, ...]:
        """The rungs of a trial in its own steps: with another batch an epoch has others."""
        epoch = self.epoch_of(values)
        full = epoch * int(self.settings["epochs"])
        parts = self.settings["rungs"]
        return (*(max(1, round(full * each / self.full)) for each in parts[:-1]), full)

    def epoch_of(self, values: Mapping[str, Any]) -> int:
        """Steps of an epoch of a trial."""
        batch = min(int(values.get("batch", self.settings["batch"])), int(self.settings["images"]))
        return max(1, int(self.settings["images"]) // batch)

    def elapsed_s(self) -> float:
        """Seconds that the search has taken, earlier sessions counted."""
        return float(self.settings["spent_s"]) + time.monotonic() - self.began

    def space(self) -> Space:
        """The space of now: as it began, or as it was widened or narrowed since."""
        found = self.database.noted("space")
        return self.bench.space if found is None else _space(found)


def begin_search(
    source: str,
    *,
    network: Network | None,
    recipe: str | None,
    space: Space,
    limits: Limits,
    trials: int | None,
    budget_s: float | None,
    epochs: int | None,
    seed: int,
    folder: SearchFolder,
    storage: str | None,
    device: str | None,
    strict: bool,
    watch: Watch,
) -> Search:
    """Read the data, decide what all trials share, and make the database; nothing is trained yet.

    network: with holes perhaps, or None to choose one.  space: as it was read; what is searched where no key is said
    is added.  trials, budget_s: whichever is reached first ends the search.

    Raises StriateError where the folder is in use, or nothing of the space fits.
    """
    if folder.path.exists() and any(folder.path.iterdir()):
        raise RunError(
            "there is something in this folder already",
            place=str(folder.path),
            expected="a new folder for the search",
            cure=f"striate search --resume {shlex.quote(str(folder.path))}, or another --out",
        )
    began = time.monotonic()
    given: dict[str, Any] = {"seed": seed}
    if epochs is not None:
        given["epochs"] = epochs
    if limits.memory_bytes is not None:
        given["memory_bytes"] = limits.memory_bytes
    bench = Bench(source, network, recipe, given, space, limits, folder.trials, device, strict)
    # The keys that stand in the space are drawn later; here they are as if nobody had said them.
    base = bench.recipe_of({})
    data = bench.data_of(base, watch)
    values: dict[str, Any] = {}
    holes = [each for each in space.parameters if each.net]
    if holes:
        values, _, _ = first_feasible(bench, lambda at: draw(holes, (), seed + at), watch, tries=TRIES)
    made = prepare(
        source, network=bench.network_of(values), recipe=base, device=device, strict=strict, watch=watch,
        gathered=data,
    )  # fmt: skip
    found = made.recipe
    if found.epochs is None:
        raise StriateError(
            "the recipe says a time, and trials are as long as their epochs say",
            place="recipe",
            expected="epochs",
            cure="leave out budget_s; --budget is the time of the whole search",
        )
    images = len(data.train.labels)
    if network is None:
        network = made.layout.network
        text = network.source.text if network.source else write_text(network)
        network = read_text(text, made.name or "network")
    space = default_space(space, found, images)
    assert found.batch is not None
    epoch = max(1, images // found.batch)
    full = epoch * found.epochs
    a_round = min(trials or TRIALS, TRIALS)
    decided = {
        **given, "epochs": found.epochs, "precision": found.precision, "layout": found.layout,
        "evaluation_precision": found.evaluation_precision, "optimizer_precision": found.optimizer_precision,
    }  # fmt: skip
    if not any(each.name == "size" for each in space.parameters) and "size" not in space.fixed:
        decided["size"] = f"{data.size[0]}x{data.size[1]}" if data.size[0] != data.size[1] else data.size[0]
    settings = {
        "source": str(Path(source).resolve()) if Path(source).exists() else source,
        "recipe": _recipe_place(recipe),
        "net": network.source.text if network.source else write_text(network),
        "keys": decided, "space": _plain_space(space), "limits": dataclasses.asdict(limits), "trials": trials,
        "budget_s": budget_s, "seed": seed, "strict": strict, "images": images, "batch": found.batch,
        "epochs": found.epochs, "full": full, "rungs": list(ladder(full, a_round, epoch)),
        "validation": len(data.val.labels), "chance": _chance(data.val.labels), "data": _data_hash(data.record),
        "metric": found.metric, "spent_s": 0.0, "classes": len(data.classes), "name": data.name,
        "trials_at": str(folder.trials.resolve()),
    }  # fmt: skip
    if made.step_time is not None and budget_s is not None:
        _require_time(made.step_time.step_s(found.batch) * full, budget_s)
    folder.path.mkdir(parents=True, exist_ok=True)
    url = storage or f"sqlite:///{folder.database.resolve()}"
    name = f"{data.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    database = Database(url, name)
    database.note("settings", settings)
    write_atomic(folder.path / "search.toml", _pointer(url, name))
    bench = dataclasses.replace(bench, network=network, keys=decided, space=space)
    search = Search(folder, database, bench, settings, watch, began)
    watch.say(f"search    {describe_plan(search)}")
    for line in describe_space(space):
        watch.say(f"          {line}")
    return search


def join_search(
    url: str, name: str, folder: SearchFolder, *, source: str | None, device: str | None, watch: Watch
) -> Search:
    """A search that was begun before, here or elsewhere, to be worked on.

    source: where the data are on this machine; None for where they were.
    Raises StriateError where the data are not those that the search began with.
    """
    database = Database(url, name)
    settings = database.noted("settings")
    if settings is None:
        raise StriateError(
            f"there is no search `{name}` in this database",
            place="--join",
            expected="a database that `striate search` writes",
            cure="striate search DATA --storage with the same address begins one",
        )
    where = source or settings["source"]
    network = read_text(settings["net"], "network")
    bench = Bench(
        where, network, settings["recipe"], settings["keys"], _space(settings["space"]),
        Limits(**settings["limits"]), folder.trials, device, settings["strict"],
    )  # fmt: skip
    data = bench.data_of(bench.recipe_of({}), watch)
    if _data_hash(data.record) != settings["data"]:
        raise StriateError(
            "the data are not those that the search began with",
            place=str(where),
            expected=f"the images, labels and splits of {settings['source']}",
            cure="--data WHERE THEY ARE; or striate search, which begins another one",
        )
    return Search(folder, database, bench, settings, watch, time.monotonic())


def new_folder(out: Path | None) -> SearchFolder:
    """The folder of a search; a new one under `searches` where none is named."""
    if out is not None:
        return SearchFolder(out)
    return SearchFolder(Path("searches") / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")


def find_search(folder: Path) -> tuple[str, str]:
    """The address of the database of a search, and its name in it.  Raises RunError where there is none."""
    path = folder / "search.toml"
    try:
        found = parse_toml(read_small_text(path, RunError, "where a search has its database"))
        return str(found["storage"]), str(found["name"])
    except (ValueError, LookupError):
        raise RunError(
            "this file is damaged", place=str(path), expected="storage and name, as `striate search` writes them",
            cure="striate search --join with the address of the database",
        ) from None  # fmt: skip


def describe_plan(search: Search) -> str:
    """What is going to be done, in a line."""
    rungs = search.settings["rungs"]
    epoch = search.full / search.settings["epochs"]
    lengths = ", ".join(f"{each / epoch:.2g}" for each in rungs)
    many = counted(search.settings["trials"] or TRIALS, "trial")
    limit = "" if search.budget_s is None else f", {duration(search.budget_s)} at most"
    return f"{many} on rungs of {lengths} epochs, the best third of each goes on{limit}"


# Working


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
    return _finish(search, refused)


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
            _decide(search, now, rung, of_round, mine)
            return "decided"
    if _again(search, now, mine):
        return "decided"
    if _another_round(search, now, trials, rungs):
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


def whole_s(search: Search, rungs: Sequence[Rung]) -> float:
    """Seconds of a whole training, as the rungs so far were."""
    known: list[float] = []
    last: dict[int, int] = {}
    for each in sorted(rungs, key=lambda each: (each.trial, each.rung)):
        steps = each.steps - last.get(each.trial, 0)
        last[each.trial] = each.steps
        if each.state == "done" and each.seconds and steps > 0:
            whole = search.rungs_of(_values(search, each.trial))[-1]
            known.append(each.seconds / steps * whole)
    # The first steps of a trial pay for its beginning; the longest say most.
    return median(known[-16:]) if known else 0.0


def _values(search: Search, trial: int) -> dict[str, Any]:
    return next((each.values for each in search.database.trials() if each.trial == trial), {})


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
    space = _widened(search, trials, rungs)
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
            ended = train_to(
                search.bench, trial.trial, trial.values, leased.steps, leased.rung == 0, reporter
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
        _require_time(whole_s(search, search.database.rungs()), search.budget_s)
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
    taken = sum(_steps_of(search, rungs).values())
    top = max((each.rung for each in done), default=0)
    best = max((each for each in done if each.rung == top), key=lambda each: each.metric or 0.0, default=None)
    said = "" if best is None else f"best {best.metric:.2%} (trial {best.trial}, rung {top + 1})"
    if search.budget_s is not None:
        said += f", {duration(max(0.0, search.budget_s - search.elapsed_s()))} left"
    search.watch.advance(min(taken, _planned(search)), said)


def _steps_of(search: Search, rungs: Sequence[Rung]) -> dict[int, int]:
    """Steps that each trial has come to."""
    found: dict[int, int] = {}
    for each in rungs:
        if each.state in ("done", "diverged"):
            found[each.trial] = max(found.get(each.trial, 0), each.steps)
    return found


def _planned(search: Search) -> int:
    """Steps of one round, if all of the best third go on."""
    many, before, total = float(search.a_round()), 0, 0.0
    rungs = search.settings["rungs"]
    for place, steps in enumerate(rungs):
        many = min(many, FINALISTS) if place and place == len(rungs) - 1 else many
        total += many * (steps - before)
        before, many = steps, -(-many // KEPT)
    return round(total)


# Deciding


def _seen(search: Search, trial: Trial, rungs: Sequence[Rung]) -> Seen:
    own = sorted((each for each in rungs if each.trial == trial.trial), key=lambda each: each.rung)
    done = [each for each in own if each.state == "done" and each.metric is not None]
    # Counted in the steps of the search, so that trials with other batches lie on the same rungs.
    parts = search.settings["rungs"]
    points = tuple((int(parts[each.rung]), float(each.metric or 0.0)) for each in done)
    return Seen(
        trial.trial, points, float(done[-1].loss or 0.0) if done else 0.0,
        any(each.state == "diverged" for each in own),
    )  # fmt: skip


def _decide(search: Search, round: int, rung: int, trials: Sequence[Trial], rungs: Sequence[Rung]) -> None:
    """A rung has ended: choose who goes on, say what was found out, narrow the space."""
    ended = {each.trial for each in rungs if each.rung == rung and each.state in ("done", "diverged")}
    of_rung = [each for each in trials if each.trial in ended]
    seen = [_seen(search, each, [r for r in rungs if r.rung <= rung]) for each in of_rung]
    chosen = choose(seen, rung, search.settings["rungs"], int(search.settings["validation"]))
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
    _mirror(search, ended=False)


def _say_stage(
    search: Search, round: int, rung: int, trials: Sequence[Trial], seen: Sequence[Seen], chosen: Chosen
) -> tuple[list[str], list[str]]:
    """What a stage found, said and returned; and the space that is left."""
    watch = search.watch
    outcomes = _outcomes(search, trials, seen)
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


def _outcomes(search: Search, trials: Sequence[Trial], seen: Sequence[Seen]) -> list[Outcome]:
    by_trial = {each.trial: each for each in seen}
    least = LEARNT * float(search.settings["chance"])
    found = []
    for each in trials:
        what = by_trial[each.trial]
        metric = None if what.diverged or not what.points else what.metric
        found.append(Outcome(each.values, metric, metric is not None and metric >= min(least, 0.99)))
    return found


def _widened(search: Search, trials: Sequence[Trial], rungs: Sequence[Rung]) -> Space:
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
        search.database.note("space", _plain_space(space))
    return space


def _again(search: Search, round: int, mine: Sequence[Rung]) -> bool:
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
    steps = search.rungs_of(_values(search, best.trial))[last]
    search.database.open_rung(best.trial, last, steps)
    return True


def _another_round(search: Search, now: int, trials: Sequence[Trial], rungs: Sequence[Rung]) -> bool:
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
    seen = [_seen(search, each, [r for r in rungs if r.rung == 0]) for each in of_round]
    space = search.space()
    left = narrowed(space.parameters, _outcomes(search, of_round, seen))
    search.database.note("space", _plain_space(space.replaced(left)))
    search.watch.say(f"round {now + 2}   in the narrowed space")
    for line in describe_space(space.replaced(left)):
        search.watch.say(f"          {line}")
    return True


# The end


def _finish(search: Search, refused: Counter[str]) -> SearchRecord:
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
    if not search.bench.run_of(best.trial).record.exists():
        search.watch.say(f"trial {best.trial} was trained elsewhere, and is trained again in this folder")
        reporter = Reporter(lambda note: None, search.watch.stopping)
        train_to(search.bench, best.trial, _values(search, best.trial), best.steps, True, reporter)
    # Others may be at the end, too.
    with FileLock(search.folder.path / ".lock"):
        run = finish_best(search.bench, best.trial, RunFolder(search.folder.best), search.watch)
    write_atomic(search.folder.recipe, run.recipe.read_bytes())
    _mirror(search, ended=True)
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
    first = [_seen(search, each, [r for r in rungs if r.rung == 0]) for each in trials]
    begun = _space(search.settings["space"])
    weights = importance(begun.parameters, _outcomes(search, trials, first))
    result = run.read_record().result
    tested = result is not None and result.split == "test"
    compared = _compared(search, trials, rungs)
    reached = [
        steps / search.rungs_of(next(t.values for t in trials if t.trial == trial))[-1]
        for trial, steps in _steps_of(search, rungs).items()
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


def _mirror(search: Search, *, ended: bool) -> None:
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


# Small things


def _require_time(whole: float, budget_s: float) -> None:
    """Raise StriateError where a budget is shorter than one training."""
    needed = whole * (1 + CLOSING)
    if needed > budget_s:
        raise StriateError(
            f"one training takes {duration(needed)}, and the budget is {duration(budget_s)}",
            place="--budget",
            expected="three to four times as long as one training",
            cure=f"--budget {int(4 * whole / 60) + 1}m, or fewer --epochs",
        )


def _chance(labels: Any) -> float:
    """The share of the most common class: what guessing gives."""
    counts = Counter(int(each) for each in labels)
    return max(counts.values()) / max(1, len(labels))


def _data_hash(record: Mapping[str, Any]) -> str:
    kept = {"classes": record["classes"], "splits": {k: v["sha256"] for k, v in record["splits"].items()}}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _recipe_place(recipe: str | None) -> str | None:
    return str(Path(recipe).resolve()) if recipe is not None and Path(recipe).is_file() else recipe


def _pointer(url: str, name: str) -> bytes:
    return f"storage = {json.dumps(url)}\nname = {json.dumps(name)}\n".encode()


def _plain_space(space: Space) -> dict[str, Any]:
    return {
        "parameters": [dataclasses.asdict(each) for each in space.parameters],
        "fixed": dict(space.fixed),
    }


def _space(plain: Mapping[str, Any]) -> Space:
    return Space(
        tuple(
            Parameter(**{**each, "options": tuple(each["options"]), "shown": tuple(each["shown"])})
            for each in plain["parameters"]
        ),
        plain["fixed"],
    )
