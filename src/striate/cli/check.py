"""`striate check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.api import check as check_data
from striate.cli.console import open_page, print_json, prose, tabular
from striate.cli.screen import Screen
from striate.cli.values import require_new, require_outside
from striate.data.files.finding import CODES
from striate.disk.atomic import write_atomic
from striate.errors import StriateError, counted
from striate.progress import counting
from striate.text.visible import visible

if TYPE_CHECKING:
    from striate.checks.checked import Checked
    from striate.data.files.finding import Finding

# Of one code so many findings are printed; --all prints the rest.
MOST = 10


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
        _print(checked, every=all_)
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


def _print(checked: Checked, *, every: bool) -> None:
    console = prose()
    splits = ", ".join(f"{sum(each):,} {split}" for split, each in checked.counts.items())
    more = f" ({splits})" if len(checked.counts) > 1 else ""
    console.print(
        f"{checked.source}: {checked.images:,} of {counted(checked.files, 'image')} can be used{more}, "
        f"in {counted(len(checked.classes), 'class', 'classes')}"
    )
    console.print(f"classes   {_classes(checked, every=every)}")
    for code, found in checked.by_code().items():
        known = CODES[code]
        if known.severity == "note" and not every:
            continue
        console.print(f"\n{known.severity:8}{code}: {known.meaning}")
        for number, each in found if every else found[:MOST]:
            console.print(f"{number:6}  {each.name}: {each.reason}")
        if len(found) > MOST and not every:
            console.print(f"        and {len(found) - MOST:,} more (--all)")
        cures = list(dict.fromkeys(each.cure for _, each in found))
        cure = cures[0] if len(cures) == 1 else known.cure
        if cure:
            console.print(f"        try: {cure}")
    notes = [
        f"{len(found):,} {code}"
        for code, found in checked.by_code().items()
        if CODES[code].severity == "note"
    ]
    console.print()
    if notes and not every:
        console.print(f"notes     {', '.join(notes)} (--all lists them)")
    for limit in checked.limits:
        console.print(f"limits    {limit}")
    told = ", ".join(counted(checked.number(each), each) for each in ("error", "warning", "note"))
    console.print(f"found     {told}" if checked.findings else "found     nothing wrong")


def _classes(checked: Checked, *, every: bool) -> str:
    """The classes and how many images each has; of many the first ones."""
    told = [
        f"{name} {sum(each):,}" for name, *each in zip(checked.classes, *checked.counts.values(), strict=True)
    ]
    if every or len(told) <= MOST:
        return ", ".join(told)
    return ", ".join(told[:MOST]) + f" and {len(told) - MOST:,} more (--all)"


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
