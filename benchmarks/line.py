"""The line between a benchmark and a child process: one JSON order in, one JSON answer out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


class Line:
    """The child's end.  All else that the child prints goes to its standard error."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        sys.stdout.flush()
        os.dup2(2, 1)

    def tell(self, **answer: Any) -> None:
        """Say that the child is ready, or what an order gave."""
        print(json.dumps(answer), file=self._out, flush=True)

    def order(self) -> dict[str, Any] | None:
        """Wait for the next order; None when there will be no more."""
        text = sys.stdin.readline()
        return json.loads(text) if text.strip() else None

    def orders(self) -> Iterator[dict[str, Any]]:
        """Every order until there are no more."""
        while (order := self.order()) is not None:
            yield order

    def answer(self, work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Say that the child is ready, and answer every order with what `work` makes of it."""
        self.tell(ready=True)
        for order in self.orders():
            self.tell(**work(order))
