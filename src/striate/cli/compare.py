"""`striate compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.api import compare as compare_runs
from striate.api import require_train
from striate.cli.console import open_page, print_json, prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import require_new, require_outside
from striate.disk.atomic import write_atomic


def compare(
    *runs: str,
    data: str | None = None,
    out: Path | None = None,
    force: bool = False,
    device: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    open_: Annotated[bool, Parameter(name="--open")] = False,
) -> None:
    """Runs against the first of them on the same test images: is the difference more than chance, and where is it?

    For example:

      striate compare runs/small runs/large
      striate compare runs/small runs/large runs/wide --out compare.html
      striate compare runs/small runs/large --data new-photos/

    Parameters
    ----------
    runs
        Run folders, or their names under runs/, two at least.
    data
        Labelled images; the test images of the runs if left out, or their validation images where they have no others.
    out
        Write a page with the curves, what differs in recipe and network, and the images that one has right and the
        other wrong.
    force
        Write over a page that is there.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    json_
        Print one JSON object.
    open_
        Show the page in the browser; it is compare.html if --out is left out.
    """
    require_train("striate compare")
    set_up_process()
    if open_ and out is None:
        out = Path("compare.html")
    if out is not None:
        require_new(out, force)
        if data is not None:
            require_outside("--out", out, data)
    screen = Screen(quiet=json_)
    with screen.stoppable():
        found = compare_runs(*runs, data=data, device=device, watch=screen)
    if out is not None:
        write_atomic(out, found.page().encode())
    if json_:
        print_json(found.to_record(), indent=2)
        return
    prose().print(str(found))
    if out is not None:
        prose().print(f"\npage  {out}")
        if open_:
            open_page(out)
