"""Work on many files at once, answered in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 16
"""How many items a thread may be ahead of the one who takes the answers."""


def cores() -> int:
    """How many processors this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """`work` of each item, by as many threads as there are cores, in the order of the items.

    Pillow, hashing and reading release Python's lock, so threads suffice.  Few items are in flight
    at a time: memory stays small, and after an exception (Ctrl-C too) the rest is dropped and at most
    one item a thread is finished.  Close the iterator where it is left early (`contextlib.closing`).
    """
    threads = cores()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="striate-data")
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
