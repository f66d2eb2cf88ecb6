"""`striate runs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.cli.console import prose, tabular
from striate.errors import RunError
from striate.runs.folder import ROOT, list_runs
from striate.runs.lock import is_held


def runs(folder: Path = ROOT, /, *, json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """List the trainings in a folder, newest first.

    For example:

      striate runs
      striate runs elsewhere/ --json

    Parameters
    ----------
    folder
        Where the run folders lie.
    json_
        Print one JSON object a line.
    """
    table = Table(box=None, pad_edge=False)
    for title, justify in (("run", "left"), ("began", "left"), ("status", "left"), ("accuracy", "right")):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("of", justify="left")
    table.add_column("seconds", justify="right")
    found = list_runs(folder)
    for run in found:
        try:
            record = run.read_record()
        except RunError as error:
            if json_:
                print(json.dumps({"run": str(run.path), "error": error.problem}))
            table.add_row(run.path.name, "", "damaged", "", error.problem, "")
            continue
        if record.get("status") == "running" and not is_held(run):
            record["status"] = "broken off"
        if json_:
            print(json.dumps({"run": str(run.path), **record}))
            continue
        result = record.get("result") or {}
        accuracy = f"{result['accuracy']:.2%}" if result else ""
        seconds = f"{record['seconds']:.0f}" if "seconds" in record else ""
        began = str(record.get("created", ""))[:16].replace("T", " ")
        row = (
            run.path.name,
            began,
            str(record.get("status", "")),
            accuracy,
            result.get("split", ""),
            seconds,
        )
        table.add_row(*row)
    if json_:
        return
    if not found:
        prose().print(f"no runs in {folder}/ yet; striate train DATA makes one")
        return
    tabular().print(table)
