"""`striate zoo`."""

from __future__ import annotations

from rich.table import Table

from striate.api import read
from striate.cli.console import prose, tabular
from striate.errors import FitError
from striate.net.zoo.list import ZOO, zoo_net, zoo_text


def zoo(name: str | None = None, /) -> None:
    """List the networks that come with striate, or print the text of one.

    For example:

      striate zoo
      striate zoo resnet18

    Parameters
    ----------
    name
        A network to print the text of.
    """
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
