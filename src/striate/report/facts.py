"""What a run folder says, read with patience: a file that is missing or cut off leaves a gap, no error."""

from __future__ import annotations

import json
from dataclasses import dataclass

from striate.errors import RunError, StriateError
from striate.notation.reader import read_text
from striate.plan.plan import Plan, plan
from striate.report.recipe import RecipeKey, read_keys
from striate.report.result import Result, read_result
from striate.report.trace import Trace, read_trace
from striate.report.value import at, items, text, texts, whole
from striate.runs.events import read_events
from striate.runs.folder import Record, RunFolder
from striate.spec.layout import lay
from striate.spec.shape import Map

# A picture of a larger side is a damaged record.
MOST_SIDE = 100_000


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the page shows.

    result: what was measured at the end, or None where the run did not get there.
    plan: None where the network, or what its pictures were, cannot be read.
    troubles: what could not be read, a sentence each.
    """

    run: RunFolder
    record: Record
    data: Record
    classes: tuple[str, ...]
    net: str
    plan: Plan | None
    recipe: tuple[RecipeKey, ...]
    trace: Trace
    result: Result | None
    mistakes: tuple[object, ...]
    troubles: tuple[str, ...]

    @property
    def status(self) -> str:
        """`done`, `running`, `stopped` or `diverged`."""
        return text(self.record.get("status"))

    def split_count(self, split: str) -> int | None:
        """Pictures in `train`, `val` or `test`."""
        return whole(at(self.data, "splits", split, "count"))


def read_facts(run: RunFolder) -> Facts:
    """What the folder says.  Raises RunError where it holds no run, or that of a later striate."""
    record = run.read_record()
    troubles: list[str] = []
    data = _data(run, troubles)
    classes = texts(data.get("classes"))
    net = _text(run, "net.txt", troubles)
    recipe = read_keys(_text(run, "recipe.toml", troubles))
    return Facts(
        run=run,
        record=record,
        data=data,
        classes=classes,
        net=net,
        plan=_plan(net, data, classes, recipe, troubles),
        recipe=recipe,
        trace=read_trace(_events(run, "events.jsonl", troubles), _events(run, "times.jsonl", troubles)),
        result=read_result(record.get("result"), classes),
        mistakes=_mistakes(run, troubles),
        troubles=tuple(troubles),
    )


def _data(run: RunFolder, troubles: list[str]) -> Record:
    try:
        return run.read_data()
    except (RunError, TypeError, ValueError) as error:
        troubles.append(getattr(error, "problem", "") or f"data.json cannot be read: {error}")
        return {}


def _text(run: RunFolder, name: str, troubles: list[str]) -> str:
    try:
        return (run.path / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        troubles.append(f"the run has no {name}")
    except (OSError, UnicodeDecodeError) as error:
        troubles.append(f"{name} cannot be read: {error}")
    return ""


def _events(run: RunFolder, name: str, troubles: list[str]) -> list[Record]:
    try:
        return read_events(run.path / name)
    except OSError as error:
        troubles.append(f"{name} cannot be read: {error}")
        return []


def _mistakes(run: RunFolder, troubles: list[str]) -> tuple[object, ...]:
    try:
        return tuple(items(json.loads((run.path / "mistakes.json").read_bytes())))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        troubles.append(f"mistakes.json cannot be read: {error}")
        return ()


def _plan(
    net: str, data: Record, classes: tuple[str, ...], recipe: tuple[RecipeKey, ...], troubles: list[str]
) -> Plan | None:
    size = items(at(data, "preparation", "size")) or items(data.get("size"))
    height, width = (whole(each) or 0 for each in size) if len(size) == 2 else (0, 0)
    channels = whole(at(data, "preparation", "channels")) or whole(data.get("channels")) or 0
    if not net or not 0 < min(channels, height, width) <= max(channels, height, width) <= MOST_SIDE:
        return None
    pictures = whole(at(data, "splits", "train", "count"))
    batch = next((whole(each.value) for each in recipe if each.key == "batch"), None)
    batch = min(batch or 1, pictures or batch or 1)
    try:
        layout = lay(read_text(net, "net.txt"), Map(channels, height, width), len(classes) or None)
        return plan(layout, batch=batch)
    except StriateError as error:
        troubles.append(f"the network cannot be planned: {error}")
        return None
