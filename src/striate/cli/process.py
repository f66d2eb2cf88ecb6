"""How this process uses threads and memory, set before torch is imported, and when it began."""

from __future__ import annotations

import atexit
import gc
import os
import time
from pathlib import Path

from striate.machine.allocator import keep_freed_memory

# By each of them a user says how threads are to be spread.
_THREADS = {"OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"}


def set_up_process() -> None:
    """Make a process ready for heavy work with torch.

    Threads that wait for each other spin for a fifth of a millisecond and then sleep: to be woken takes longer
    than most layers of a small network, and beside another job on the same cores a thread that spins on takes
    the time that the one it waits for needs.  And each has a core of its own: two on
    one core wait for each other, as oneDNN's threads spin until all have come, ten times as long in all.
    Not so where the user chose a number of threads: two jobs would have the same cores.  OpenMP reads this
    once, when torch loads; what the user set stands.

    Freed memory stays with the process (see `keep_freed_memory`).

    At its end the process does not look for cycles among torch's million objects, which takes a second; the
    system gets all of it back anyway.
    """
    atexit.register(gc.freeze)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Where the system lets no thread go back, as macOS and Windows do not, none is bound.
    if hasattr(os, "sched_setaffinity") and not _THREADS & os.environ.keys():
        # Threads that are begun later are bound as well; it notes to which cores ours go back.
        import striate.threads  # noqa: F401

        os.environ["OMP_PROC_BIND"], os.environ["OMP_PLACES"] = "close", "cores"
    keep_freed_memory()
    # Before scikit-learn, whose OpenMP would bind this thread to a core before torch's has counted them.
    import torch  # noqa: F401


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
