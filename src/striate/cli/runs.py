"""`striate runs`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.cli.console import prose, tabular
from striate.errors import RunError, counted, nearest
from striate.runs.folder import ROOT, RunFolder, delete_run, list_runs, point_latest
from striate.runs.lock import held, is_held
from striate.runs.record import RunRecord
from striate.text.figures import size

JSON_VERSION = 1


def runs(
    folder: Path = ROOT,
    /,
    *,
    delete: str | None = None,
    yes: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """List the trainings in a folder, newest first.

    For example:

      striate runs
      striate runs elsewhere/ --json
      striate runs --delete digits-20260102-030405

    Parameters
    ----------
    folder
        Where the run folders lie.
    delete
        The name of a run in that folder, to be removed with all that is in it; asks before.
    yes
        Delete without asking.
    json_
        Print one JSON object a line.
    """
    found = list_runs(folder)
    if delete is not None:
        _delete(folder, delete, found, yes)
        return
    if json_:
        for run, record in found:
            said = {"version": JSON_VERSION, "run": str(run.path)}
            if isinstance(record, RunError):
                print(json.dumps({**said, "error": record.problem}))
            else:
                status = _status(run, record)
                print(json.dumps({**said, **record.model_dump(exclude_none=True), "status": status}))
        return
    if not found:
        prose().print(f"no runs in {folder}/ yet; striate train DATA makes one")
        return
    table = Table(box=None, pad_edge=False)
    for title, justify in (("run", "left"), ("began", "left"), ("status", "left"), ("accuracy", "right")):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("of", justify="left")
    table.add_column("seconds", justify="right")
    for run, record in found:
        if isinstance(record, RunError):
            table.add_row(run.path.name, "", "damaged", "", record.problem, "")
            continue
        result = record.result
        table.add_row(
            run.path.name,
            record.created[:16].replace("T", " "),
            _status(run, record),
            f"{result.accuracy:.2%}" if result else "",
            result.split if result else "",
            "" if record.seconds is None else f"{record.seconds:.0f}",
        )
    tabular().print(table)


def _status(run: RunFolder, record: RunRecord) -> str:
    """What the record says, but that a run that nobody works on any more does not run."""
    return "interrupted" if record.status == "running" and not is_held(run) else record.status


def _delete(folder: Path, name: str, found: list[tuple[RunFolder, RunRecord | RunError]], yes: bool) -> None:
    """Remove one of the runs that lie in a folder, and nothing else; one that is being trained is refused."""
    by_name = {run.path.name: (run, record) for run, record in found if not run.path.is_symlink()}
    # As tab completion writes it.
    short = Path(name).name if Path(name).parent.resolve() == folder.resolve() else name
    if short not in by_name:
        raise RunError(
            f"there is no run `{name}` in {folder}/",
            place="--delete",
            expected="the name of one run, as `striate runs` lists it",
            cure=f"--delete {near}" if (near := nearest(short, by_name)) else "",
        )
    run, record = by_name[short]
    with held(run, "stop it first with Ctrl-C"):
        files = [each for each in run.path.rglob("*") if each.is_file() and not each.is_symlink()]
        status = "damaged" if isinstance(record, RunError) else record.status
        what = f"{run.path} ({status}, {counted(len(files), 'file')}, {size(sum(each.stat().st_size for each in files))})"
        if not yes:
            if not sys.stdin.isatty():
                raise RunError(f"{what} would be deleted", place="--delete", cure="--yes, if this is meant")
            prose().print(f"Delete {what}? [y/N] ", end="")
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                prose().print("nothing was deleted")
                return
        delete_run(run)
    point_latest(run)
    prose().print(f"deleted {what}")
