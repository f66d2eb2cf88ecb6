"""`striate check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.api.images import check as check_data
from striate.cli.console import open_page, print_json, prose, tabular
from striate.cli.screen import Screen
from striate.cli.values import require_new, require_outside
from striate.data.files.finding import CODES
from striate.disk.atomic import write_atomic
from striate.errors import StriateError
from striate.progress import counting
from striate.report.check import check_lines
from striate.text.visible import visible

if TYPE_CHECKING:
    from striate.checks.checked import Checked
    from striate.data.files.finding import Finding


def check(
    data: str | None = None,
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    report: Path | None = None,
    manifest: Path | None = None,
    labels: str | None = None,
    max_pixels: int | None = None,
    all_: Annotated[bool, Parameter(name="--all")] = False,
    codes: bool = False,
    force: bool = False,
    quiet: bool = False,
    open_: Annotated[bool, Parameter(name="--open")] = False,
) -> None:
    """Look at every image before training: what cannot be used, what is odd, what is there twice.

    Nothing in DATA is changed. The exit code is 0 where nothing is found but notes,
    and 1 for warnings (used, but look at it) or errors (left out).

    For example:

      striate check photos/
      striate check photos/ --report check.html
      striate check photos/ --manifest fixed.csv; striate train fixed.csv
      striate check photos/ --labels runs/latest

    Parameters
    ----------
    data
        What would be trained on; `striate train --help` says what it may be.
    json_
        Print all findings as JSON.
    report
        Write a page with small images of what was found.
    manifest
        Write a .csv or .jsonl of what is good, which `striate train` takes instead.
    labels
        A run of the same images: names likely wrong labels of its validation and test images.
    max_pixels
        Images of more pixels are refused on their header, before they are decoded; 100000000.
    all_
        Print every finding, notes too.
    codes
        Print the table of codes, and look at nothing.
    force
        Write over files that are there.
    quiet
        Print nothing but the result.
    open_
        Show the page of --report in the browser.
    """
    if codes:
        _print_codes()
        return
    if data is None:
        raise StriateError("no data were given", place="check", cure="striate check photos/")
    if open_ and report is None:
        raise StriateError("there is no page to open", place="--open", cure="--report check.html --open")
    for option, path in (("--report", report), ("--manifest", manifest)):
        if path is not None:
            require_outside(option, path, data)
            require_new(path, force, option)
    if manifest is not None:
        from striate.checks.manifest import require_manifest

        require_manifest(manifest)
    screen = Screen(quiet=quiet or json_)
    with screen.stoppable(), counting(screen, "looking at images") as progress:
        checked = check_data(data, labels=labels, max_pixels=max_pixels, progress=progress)
    if json_:
        print_json(_plain(checked), indent=2)
    else:
        for line in check_lines(checked, every=all_):
            prose().print(line)
    if report is not None:
        from striate.report.check import check_page

        write_atomic(report, check_page(checked).encode())
        _say(f"report    {visible(str(report))}", json_)
        if open_:
            open_page(report)
    if manifest is not None:
        from striate.checks.manifest import fixed_manifest, told

        made = fixed_manifest(checked, manifest)
        write_atomic(manifest, made.content)
        _say(f"manifest  {visible(str(manifest))}: {told(made)}", json_)
    if not checked.clean:
        sys.exit(1)


def _say(text: str, aside: bool) -> None:
    prose(stderr=aside).print(text)


def _plain(checked: Checked) -> dict[str, object]:
    return {
        "source": checked.source,
        "kind": checked.kind,
        "files": checked.files,
        "images": checked.images,
        "splits": {
            split: dict(zip(checked.classes, counts, strict=True)) for split, counts in checked.counts.items()
        },
        "found": {each: checked.number(each) for each in ("error", "warning", "note")},
        "limits": list(checked.limits),
        "findings": [_plain_finding(number, each) for number, each in enumerate(checked.findings, start=1)],
    }


def _plain_finding(number: int, each: Finding) -> dict[str, object]:
    return {
        "number": number,
        "code": each.code,
        "severity": each.severity,
        "file": each.name,
        "reason": each.reason,
        "cure": each.cure,
        "also": list(each.also),
    }


def _print_codes() -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("code", "severity", "meaning", "cure"):
        table.add_column(title, overflow="fold", no_wrap=title == "code")
    for each in CODES.values():
        table.add_row(each.code, each.severity, each.meaning, each.cure)
    tabular().print(table)
