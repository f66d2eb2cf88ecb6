"""Work on many files at once, answered in order."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 16
"""How many items a thread may be ahead of the one who takes the answers."""


# The processors that this process may use, noted before torch binds the main thread to one of them.
_ALLOWED = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def cores() -> int:
    """How many processors this process may use."""
    return len(_ALLOWED or ()) or os.cpu_count() or 1


def roam() -> None:
    """Let this thread run on any processor, though the thread that began it is bound to one."""
    if _ALLOWED:
        # Fewer may be allowed by now; then it stays where it is.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, _ALLOWED)


def alone() -> None:
    """Let this thread run on any processor, and its work in torch be its own alone.

    Else torch splits what it does among helpers of this thread's own.  OpenMP counts them, finds more threads
    than processors, and lets none wait awake any more, the training's neither: beside another job, where to
    be woken takes longest, a training step takes half as long again.
    """
    import torch
    from threadpoolctl import threadpool_limits

    roam()
    # A thread's first question sets its number, which must not come behind the limit.
    torch.get_num_threads()
    threadpool_limits(1, user_api="openmp")


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """`work` of each item, by as many threads as there are cores, in the order of the items.

    Pillow, hashing and reading release Python's lock, so threads suffice.  Few items are in flight
    at a time: memory stays small, and after an exception (Ctrl-C too) the rest is dropped and at most
    one item a thread is finished.  Close the iterator where it is left early (`contextlib.closing`).
    """
    threads = cores()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="striate-data", initializer=roam)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
