"""`striate train` as the command line runs it; notes when each thing that it counts began and ended.

    python train.py MARKS DATA [flags of `striate train`]

MARKS gets a line of JSON for each: seconds since the process began, begin or end, of what.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from striate.cli.main import main
from striate.cli.process import began
from striate.cli.screen import Screen


def note(where: Path) -> None:
    """From here on, note what the screen is told."""
    first = began()
    file = where.open("w", encoding="utf-8", buffering=1)
    begin, end = Screen.begin, Screen.end

    def mark(kind: str, what: str) -> None:
        file.write(json.dumps([time.monotonic() - first, kind, what]) + "\n")

    def noted_begin(self: Any, what: str, *rest: Any, **named: Any) -> Any:
        given = begin(self, what, *rest, **named)
        mark("begin", what)
        return given

    def noted_end(self: Any, *rest: Any, **named: Any) -> Any:
        mark("end", "")
        return end(self, *rest, **named)

    Screen.begin, Screen.end = noted_begin, noted_end  # type: ignore[method-assign]


if __name__ == "__main__":
    note(Path(sys.argv[1]))
    sys.argv = ["striate", "train", *sys.argv[2:]]
    main()
