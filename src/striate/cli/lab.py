"""`striate lab`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.cli.console import open_page, print_json, prose, tabular
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT
from striate.errors import require_train

if TYPE_CHECKING:
    from striate.lab.receipt import Receipt


def lab(
    name: str | None = None,
    /,
    *,
    data: str = "digits",
    seeds: int = 5,
    images: int = 10_000,
    quick: bool = False,
    out: Annotated[Path, OUT] = Path("lab"),
    json_: Annotated[bool, Parameter(name="--json")] = False,
    open_: Annotated[bool, Parameter(name="--open")] = False,
) -> None:
    """List the claims of lecture notes that can be measured here, or measure one.

    It says how long it will take before it starts. Stopped by Ctrl-C, the same command goes on: each training
    is kept under OUT/trainings, where other claims find it, too. OUT/NAME, or OUT/NAME-DATA, has the page and the receipt.

    For example:

      striate lab
      striate lab googlenet-ten
      striate lab pool-shift --quick
      striate lab depth-degrades --data cifar-10-batches-bin/ --images 2000

    Parameters
    ----------
    name
        A claim; all are listed if left out.
    data
        What to train on, as for `striate train`: digits, which are always there, MNIST, CIFAR-10.
    seeds
        How many each arm is trained with, 2 or more; they are compared in pairs.
    images
        As many to train on at most.
    quick
        Two seeds, three learning rates, a third of the epochs: it takes minutes and settles nothing.
    out
        The folder of trainings and pages.
    json_
        Print the receipt as JSON.
    open_
        Show the page in the browser when it is done.
    """
    require_train("striate lab")
    set_up_process()
    from striate.lab.catalog import CLAIMS, find_claim

    if name is None:
        if json_:
            print_json(
                {"claims": [{"name": each.name, "line": each.line} for each in CLAIMS.values()]}, indent=2
            )
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column()
        for each in CLAIMS.values():
            table.add_row(each.name, each.line)
        tabular().print(table)
        return
    from striate.lab.run import run_claim

    claim = find_claim(name)
    screen = Screen(quiet=json_)
    with screen.stoppable():
        receipt, page = run_claim(
            claim, data=data, seeds=seeds, quick=quick, images=images, out=out, watch=screen
        )
    if json_:
        print_json(receipt.model_dump(mode="json"), indent=2)
    else:
        _summary(claim.line, receipt, page)
    if open_:
        open_page(page)


def _summary(line: str, receipt: Receipt, page: Path) -> None:
    console = prose()
    console.print(f"\n{line}")
    console.print(f"verdict: {receipt.verdict}" + (" (a quick run settles nothing)" if receipt.quick else ""))
    for each in receipt.finding.comparisons:
        ends = f" (95 % interval {each.low:.3g} to {each.high:.3g})" if len(each.values) > 1 else ""
        said = f": {each.verdict}" if each.verdict else ""
        console.print(f"  {each.name}: {each.middle:.3g} {each.unit}{ends}{said}")
    console.print(f"\npage     {page}")
