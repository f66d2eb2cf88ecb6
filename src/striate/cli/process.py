"""How this process uses threads and memory, set before torch is imported, and when it began."""

from __future__ import annotations

import atexit
import gc
import os
import time
from pathlib import Path

from striate.train.heap import keep_freed


def set_up_process() -> None:
    """Make a process ready for heavy work with torch.

    Threads that wait for each other sleep instead of spinning: beside another job on the same cores a
    spinning thread takes the time that the one it waits for needs.  OpenMP reads this once, when torch
    loads; what the user set stands.

    Freed memory stays with the process (see `keep_freed`).

    At its end the process does not look for cycles among torch's million objects, which takes a second; the
    system gets all of it back anyway.
    """
    atexit.register(gc.freeze)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed()


def began() -> float:
    """When this process began, by time.monotonic: to start Python takes a while, and a budget counts it."""
    now = time.monotonic()
    try:
        # Field 22, counted behind the name, which may hold spaces: clock ticks since the system booted.
        fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        since_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, LookupError, AttributeError):
        # Elsewhere: nearly all of it was computing.
        since_s = time.process_time()
    return now - since_s
