"""Writes docs/zoo.md: every network of the zoo with its counts.  `make docs` runs it; a test compares."""

from __future__ import annotations

from pathlib import Path

import striate
from striate.net.zoo.list import ZOO, zoo_text

HEAD = """# The zoo

Each network is a short text under `src/striate/net/zoo/`; `striate zoo NAME` prints it. Weights and multiply-adds
are those at inference, auxiliary classifiers left out, on the input that it was published for; a multiply-add is one
product and one sum of a convolution or fully connected layer. The tests compare the logits of each family with an
independent rewrite in plain torch, with the same weights, to 1e-5.

| network | input | classes | weights | multiply-adds | lines | year | paper | |
|---|---|---|---|---|---|---|---|---|
"""


def table() -> str:
    """The whole page."""
    rows = []
    for net in ZOO:
        plan = striate.plan(net.name)
        lines = [
            line for line in zoo_text(net.name).splitlines() if line.strip() and not line.startswith("#")
        ]
        shape = "x".join(str(side) for side in net.input)
        trained = f" ({plan.weights + plan.side_weights:,} in training)" if plan.side_weights else ""
        rows.append(
            f"| `{net.name}` | {shape} | {net.classes:,} | {plan.weights:,}{trained} | {plan.multiply_adds:,} | "
            f"{len(lines)} | {net.year} | {net.paper} | {net.note} |\n"
        )
    return HEAD + "".join(rows)


if __name__ == "__main__":
    (Path(__file__).parent / "zoo.md").write_text(table(), encoding="utf-8")
