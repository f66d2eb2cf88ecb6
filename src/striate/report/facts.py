"""What a run folder says: a file other than the record that is missing or damaged leaves a gap, no error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from striate.disk.small import read_small_text
from striate.doctor.doctor import examine
from striate.doctor.facts import read_facts as read_run
from striate.doctor.finding import Diagnosis
from striate.errors import RunError, StriateError
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.plan.table import Plan, plan
from striate.net.shape import Map
from striate.report.recipe import RecipeKey, read_keys
from striate.runs.folder import RunFolder
from striate.runs.history import History, read_history
from striate.runs.record import DataRecord, Mistake, RunRecord, Split, read_mistakes

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the page shows.

    data: None where data.json cannot be read.
    plan: None where the network, or what its images were, cannot be read.
    diagnosis: what the doctor finds in it.
    troubles: what could not be read, a sentence each.
    """

    run: RunFolder
    record: RunRecord
    data: DataRecord | None
    net: str
    plan: Plan | None
    recipe: tuple[RecipeKey, ...]
    history: History
    mistakes: list[Mistake]
    troubles: tuple[str, ...]
    diagnosis: Diagnosis | None = None

    def split_count(self, split: Split) -> int | None:
        """Images in `train`, `val` or `test`."""
        found = self.data.splits.get(split) if self.data else None
        return found.count if found else None


def read_facts(run: RunFolder) -> Facts:
    """What the folder says.  Raises RunError where its record is missing, damaged or of a later striate."""
    record = run.read_record()
    troubles: list[str] = []
    data = _or(None, run.read_data, troubles)
    net = _or("", lambda: _text(run, "net.txt"), troubles)
    recipe = read_keys(_or("", lambda: _text(run, "recipe.toml"), troubles))
    history = _or(History((), ()), lambda: read_history(run), troubles)
    none: list[Mistake] = []
    mistakes = _or(none, lambda: read_mistakes(run.mistakes), troubles) if run.mistakes.exists() else none
    planned = _or(None, lambda: _plan(net, data, recipe), troubles) if net and data else None
    found = _or(None, lambda: examine(read_run(run)), troubles)
    return Facts(run, record, data, net, planned, recipe, history, mistakes, tuple(troubles), found)


def _or(otherwise: Found, read: Callable[[], Found], troubles: list[str]) -> Found:
    """What `read` gives, or else `otherwise` and a sentence."""
    try:
        return read()
    except StriateError as error:
        troubles.append(error.problem)
    except OSError as error:
        troubles.append(f"{error.filename}: {error.strerror}")
    return otherwise


def _text(run: RunFolder, name: str) -> str:
    if not (run.path / name).exists():
        raise RunError(f"the run has no {name}")
    try:
        return read_small_text(run.path / name, RunError, "")
    except RunError as error:
        raise RunError(f"{name}: {error.problem}") from None


def _plan(net: str, data: DataRecord, recipe: tuple[RecipeKey, ...]) -> Plan:
    known = data.preparation
    batch = next((each.value for each in recipe if each.key == "batch"), None)
    most = data.splits["train"].count if "train" in data.splits else 1
    try:
        layout = lay(read_text(net, "net.txt"), Map(known.channels, *known.size), len(data.classes))
        return plan(layout, batch=max(1, min(batch, most) if isinstance(batch, int) else 1))
    except StriateError as error:
        raise RunError(f"the network cannot be planned: {error.problem}") from None
