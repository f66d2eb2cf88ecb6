"""`striate compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.api.runs import compare as compare_runs
from striate.cli.console import print_found
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT, asked_page
from striate.errors import require_train


def compare(
    *runs: str,
    data: str | None = None,
    out: Annotated[Path | None, OUT] = None,
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
    page = asked_page(out, open_, "compare.html", force=force, data=data)
    screen = Screen(quiet=json_)
    with screen.stoppable():
        found = compare_runs(*runs, data=data, device=device, watch=screen)
    print_found(found, json_=json_, page=page, open_=open_)
