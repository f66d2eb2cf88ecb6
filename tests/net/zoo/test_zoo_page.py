"""docs/zoo.md is what its generator writes."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_page_is_generated() -> None:
    table = runpy.run_path(str(DOCS / "make_zoo.py"))["table"]
    assert (DOCS / "zoo.md").read_text(encoding="utf-8") == table(), "run `make docs`"
