"""A search: what was asked for, what was decided for all its trials, and how it is found again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import shlex
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.disk.atomic import write_atomic
from striate.disk.small import parse_toml, read_small_text
from striate.errors import RecipeError, RunError, StriateError, counted
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.progress import Watch
from striate.runs.search import SearchFolder
from striate.searching.checkpoints import Checkpoints
from striate.searching.database import Database, open_engine, searches_in, shown_address
from striate.searching.folds import require_folds
from striate.searching.ladder import ladder
from striate.searching.sampler import Mirror, draw
from striate.searching.space import Parameter, Space, default_space, describe_space
from striate.searching.trial import Bench, Limits, cost_of, first_feasible
from striate.text.figures import duration
from striate.training.job import prepare

# Trials of a round where nobody says how many.
TRIALS = 64

# So many draws may be refused by the plan before one is trained.
TRIES = 200

# What the test and the page take, as a share of a whole training.
CLOSING = 0.15


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
        return self.bench.space if found is None else space_of(found)


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
    checkpoints: str | None,
    folds: int | None,
    device: str | None,
    strict: bool,
    watch: Watch,
) -> Search:
    """Read the data, decide what all trials share, and make the database; nothing is trained yet.

    network: with holes perhaps, or None to choose one.  space: as it was read; what is searched where no key is said
    is added.  trials, budget_s: whichever is reached first ends the search.  checkpoints: where workers without this
    folder find them.

    Raises StriateError where the folder is in use, or nothing of the space fits.
    """
    if folder.path.exists() and any(folder.path.iterdir()):
        raise RunError(
            "there is something in this folder already",
            place=str(folder.path),
            expected="a new folder for the search",
            cure=f"striate search --resume {shlex.quote(str(folder.path))}, or another --out",
        )
    if storage is not None:
        # Before anything is read: who mistyped it is told at once.
        open_engine(storage).dispose()
    if checkpoints is not None and "://" not in checkpoints:
        checkpoints = str(Path(checkpoints).resolve())
    _shared(checkpoints, "")
    began = time.monotonic()
    given: dict[str, Any] = {"seed": seed}
    if epochs is not None:
        given["epochs"] = epochs
    if limits.memory_bytes is not None:
        given["memory_bytes"] = limits.memory_bytes
    bench = Bench(source, network, recipe, given, space, limits, folder.trials, device, strict)
    # The keys that stand in the space are drawn later; here they are as if nobody had said them.
    base = bench.recipe_of({})
    for key in ("target", "patience"):
        if getattr(base, key) is not None:
            raise RecipeError(
                f"{key} ends a training early, and the trials of a search are compared at one length",
                place="recipe",
                expected=f"a recipe without {key}",
                cure=f"--set {key}=none",
            )
    data = bench.data_of(base, watch)
    if folds is not None:
        require_folds(data, folds, seed)
    values: dict[str, Any] = {}
    holes = [each for each in space.parameters if each.net]
    if holes:
        values, _, _ = first_feasible(bench, lambda at: draw(holes, (), seed + at), watch, tries=TRIES)
    else:
        cost_of(bench, {}, watch)
    made = prepare(
        source, network=bench.network_of(values), recipe=base, device=device, strict=strict, watch=watch,
        gathered=data,
    )  # fmt: skip
    found = made.settings
    if found.timed:
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
        network = read_text(text, made.name.name or "network")
    space = default_space(space, made.recipe, images)
    epoch = max(1, images // found.batch)
    full = epoch * found.epochs
    a_round = min(trials or TRIALS, TRIALS)
    decided = {
        **given, "epochs": found.epochs, "precision": found.precision, "layout": found.layout,
        "evaluation_precision": found.evaluation_precision, "optimizer_precision": found.optimizer.precision,
    }  # fmt: skip
    if not any(each.name == "size" for each in space.parameters) and "size" not in space.fixed:
        decided["size"] = f"{data.size[0]}x{data.size[1]}" if data.size[0] != data.size[1] else data.size[0]
    settings = {
        "source": str(Path(source).resolve()) if Path(source).exists() else source,
        "recipe": _recipe_place(recipe),
        "net": network.source.text if network.source else write_text(network),
        "keys": decided, "space": plain_space(space), "limits": dataclasses.asdict(limits), "trials": trials,
        "budget_s": budget_s, "seed": seed, "strict": strict, "images": images, "batch": found.batch,
        "epochs": found.epochs, "full": full, "rungs": list(ladder(full, a_round, epoch)),
        "validation": len(data.val.labels), "chance": _chance(data.val.labels), "data": _data_hash(data.record),
        "metric": found.metric, "spent_s": 0.0, "classes": len(data.classes), "name": data.name,
        "trials_at": str(folder.trials.resolve()), "checkpoints": checkpoints,
    }  # fmt: skip
    if budget_s is not None:
        require_time(found.step_time.step_s(found.batch) * full, budget_s)
    folder.path.mkdir(parents=True, exist_ok=True)
    url = storage or f"sqlite:///{folder.database.resolve()}"
    name = f"{data.name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    shared = _shared(checkpoints, name)
    database = Database(url, name)
    database.note("began", f"{time.time():.6f}")
    database.note("settings", settings)
    write_atomic(folder.path / "search.toml", _pointer(url, name))
    bench = dataclasses.replace(bench, network=network, keys=decided, space=space, checkpoints=shared)
    search = Search(folder, database, bench, settings, watch, began)
    watch.say(f"search    {describe_plan(search)}")
    for line in describe_space(space):
        watch.say(f"          {line}")
    return search


def join_search(
    url: str,
    name: str,
    folder: SearchFolder,
    *,
    source: str | None,
    folds: int | None,
    device: str | None,
    watch: Watch,
) -> Search:
    """A search that was begun before, here or elsewhere, to be worked on.

    source: where the data are on this machine; None for where they were.
    Raises StriateError where the data are not those that the search began with.
    """
    database = Database(url, name)
    settings = database.noted("settings")
    if settings is None:
        there = searches_in(url)
        raise StriateError(
            f"there is no search `{name}` in {shown_address(url)}",
            place="--name",
            expected=f"one of {', '.join(there)}" if there else "a database that `striate search` writes",
            cure=f"--name {there[-1]}"
            if there
            else "striate search DATA --storage with the same address begins one",
        )
    where = source or settings["source"]
    network = read_text(settings["net"], "network")
    bench = Bench(
        where, network, settings["recipe"], settings["keys"], space_of(settings["space"]),
        Limits(**settings["limits"]), folder.trials, device, settings["strict"],
        _shared(settings.get("checkpoints"), name),
    )  # fmt: skip
    data = bench.data_of(bench.recipe_of({}), watch)
    if _data_hash(data.record) != settings["data"]:
        raise StriateError(
            "the data are not those that the search began with",
            place=str(where),
            expected=f"the images, labels and splits of {settings['source']}",
            cure="the same command with the place of those images before its flags; or a new search, without --resume "
            "and --join",
        )
    if folds is not None:
        require_folds(data, folds, settings["seed"])
    return Search(folder, database, bench, settings, watch, time.monotonic())


def _shared(checkpoints: str | None, name: str) -> Checkpoints | None:
    return None if checkpoints is None else Checkpoints(checkpoints, name)


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


def require_time(whole: float, budget_s: float) -> None:
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


def plain_space(space: Space) -> dict[str, Any]:
    return {
        "parameters": [dataclasses.asdict(each) for each in space.parameters],
        "fixed": dict(space.fixed),
    }


def space_of(plain: Mapping[str, Any]) -> Space:
    return Space(
        tuple(
            Parameter(**{**each, "options": tuple(each["options"]), "shown": tuple(each["shown"])})
            for each in plain["parameters"]
        ),
        plain["fixed"],
    )
