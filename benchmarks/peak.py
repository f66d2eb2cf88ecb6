"""The machine's measured peak, looked at again in every round; the best of a run counts."""

from __future__ import annotations

import sys
from pathlib import Path

from side import Side


class Peak:
    """A child process that measures the peak."""

    def __init__(self) -> None:
        self._side = Side(Path(sys.executable), "ours/peak.py")
        self.gflops = {"fp32": 0.0, "bf16": 0.0}

    def look(self) -> None:
        """Measure once more."""
        for precision, best in self.gflops.items():
            self.gflops[precision] = max(best, float(self._side.go(precision=precision)["gflops"]))

    def close(self) -> None:
        """No more."""
        self._side.close()
