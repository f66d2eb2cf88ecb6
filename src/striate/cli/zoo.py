"""`striate zoo`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.api.networks import read
from striate.cli.console import print_json, prose, tabular
from striate.errors import FitError
from striate.net.zoo.list import ZOO, ZooNet, zoo_net, zoo_text


def zoo(name: str | None = None, /, *, json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """List the networks that come with striate, or print the text of one.

    For example:

      striate zoo
      striate zoo resnet18

    Parameters
    ----------
    name
        A network to print the text of.
    json_
        Print JSON.
    """
    if json_:
        chosen = ZOO if name is None else [zoo_net(name)]
        print_json({"networks": [_described(net) for net in chosen]}, indent=2)
        return
    if name is not None:
        zoo_net(name)
        prose().print(zoo_text(name).rstrip())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("network", "input", "weights", "multiply-adds", "year", "paper"):
        table.add_column(title, justify="right" if title in ("weights", "multiply-adds") else "left")
    for net in ZOO:
        try:
            plan = read(net.name).plan(net.input, net.classes)
            counts = (f"{plan.weights:,}", f"{plan.multiply_adds:,}")
        except FitError as error:
            counts = ("", error.problem)
        shape = "x".join(str(side) for side in net.input)
        table.add_row(net.name, shape, *counts, str(net.year or ""), net.paper)
    tabular().print(table)


def _described(net: ZooNet) -> dict[str, object]:
    plan = read(net.name).plan(net.input, net.classes)
    return {
        "name": net.name, "input": list(net.input), "classes": net.classes, "weights": plan.weights,
        "multiply_adds": plan.multiply_adds, "year": net.year, "paper": net.paper, "text": zoo_text(net.name),
    }  # fmt: skip
