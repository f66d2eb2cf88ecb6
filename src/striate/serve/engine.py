"""The queue and who empties it: requests that wait are decoded and answered together."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.bundle.bundle import Answers, Bundle
from striate.data.decode.decode import read_header
from striate.data.files.finding import Unreadable
from striate.serve.limits import Limits, Refusal
from striate.text.visible import visible

# Images that go through the network together.
BATCH = 16

# However slow the network is, so many images may be under way: those of a batch, and of the next.
LEAST_WAITING = 2 * BATCH

# Which HTTP status an image that cannot be read has, by the code of its finding; others have 422.
STATUS = {
    "empty-file": 400,
    "not-a-image": 415,
    "unsupported-format": 415,
    "too-many-pixels": 413,
    "too-many-bytes": 413,
}

log = logging.getLogger("striate.serve")


@dataclass(frozen=True, slots=True)
class Work:
    """What one request asks about: images as files or as arrays H x W x C, or what the network reads.

    names: of the images, for what is said of one that cannot be read.
    x: N x C x height x width, float32, as the network reads it, in place of images.
    """

    names: tuple[str, ...]
    images: tuple[bytes | NDArray[np.uint8], ...] = ()
    x: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.images) if self.x is None else len(self.x)


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers, and the bundle that gave them."""

    bundle: Bundle
    answers: Answers


@dataclass(slots=True)
class _Job:
    work: Work
    future: asyncio.Future[Answered]
    loop: asyncio.AbstractEventLoop


class Engine:
    """One thread that takes what waits, up to `BATCH` images, and answers it with the bundle of the moment.

    A request is answered by one bundle, so a new one may come at any time.

    bundle: gives the one to answer with.  seen: is told the images of each batch and its seconds.
    """

    def __init__(
        self,
        bundle: Callable[[], Bundle],
        limits: Limits,
        seen: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        self.bundle = bundle
        self.limits = limits
        self.seen = seen
        self.waiting = 0
        self.image_s = 0.0
        self._jobs: deque[_Job] = deque()
        self._change = threading.Condition()
        self._ended = False
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(cores, "decode") if cores > 1 else None
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what waits, and end."""
        with self._change:
            self._ended = True
            self._change.notify()
        self._thread.join()
        if self._pool is not None:
            self._pool.shutdown()

    def refuse_if_busy(self) -> None:
        """Raise Refusal, 429, where what waits would take longer than a request may."""
        waiting_s = self.waiting * self.image_s
        if self.waiting >= LEAST_WAITING and waiting_s >= self.limits.waiting_s:
            after = max(1, math.ceil(waiting_s))
            raise Refusal(429, f"too many images wait already; try again in {after} s", retry_after_s=after)

    async def answer(self, work: Work) -> Answered:
        """The answers about what one request asks.  Raises Refusal where an image cannot be used."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop)
        with self._change:
            self.waiting += len(work)
            self._jobs.append(job)
            self._change.notify()
        return await job.future

    def _take(self) -> list[_Job]:
        """What is answered next; nothing where the engine is to end.  Waits for it."""
        with self._change:
            while not self._jobs and not self._ended:
                self._change.wait()
            taken: list[_Job] = []
            count = 0
            while self._jobs and (not taken or count + len(self._jobs[0].work) <= BATCH):
                job = self._jobs.popleft()
                taken.append(job)
                count += len(job.work)
            return taken

    def _work(self) -> None:
        while taken := self._take():
            began, count = perf_counter(), sum(len(job.work) for job in taken)
            bundle = self.bundle()
            done = self._answered(bundle, taken)
            took = perf_counter() - began
            # One slow batch is not the measure of all.
            self.image_s += (took / count - self.image_s) * (0.2 if self.image_s else 1.0)
            self.seen(count, took)
            with self._change:
                self.waiting -= count
            loops: dict[asyncio.AbstractEventLoop, list[tuple[_Job, Answered | Exception]]] = {}
            for job, result in done:
                loops.setdefault(job.loop, []).append((job, result))
            for loop, results in loops.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_deliver, results)

    def _answered(self, bundle: Bundle, jobs: Sequence[_Job]) -> list[tuple[_Job, Answered | Exception]]:
        done: list[tuple[_Job, Answered | Exception]] = []
        ready: list[tuple[_Job, NDArray[np.float32]]] = []
        prepared = self._prepared(bundle, jobs)
        for job, x in zip(jobs, prepared, strict=True):
            if isinstance(x, Exception):
                done.append((job, x))
            else:
                ready.append((job, x))
        if not ready:
            return done
        try:
            found = _ask(bundle, [x for _, x in ready])
        except Exception as problem:
            if len(ready) == 1:
                return [*done, (ready[0][0], problem)]
            # One of them may be the reason; the others are answered.
            for job, x in ready:
                try:
                    done.append((job, Answered(bundle, _ask(bundle, [x])[0])))
                except Exception as own:
                    done.append((job, own))
            return done
        return [*done, *((job, Answered(bundle, each)) for (job, _), each in zip(ready, found, strict=True))]

    def _prepared(self, bundle: Bundle, jobs: Sequence[_Job]) -> list[NDArray[np.float32] | Exception]:
        """What the network reads, for each job, or why it cannot be answered."""
        images = [
            (image, name) for job in jobs for image, name in zip(job.work.images, job.work.names, strict=True)
        ]

        def store(each: tuple[bytes | NDArray[np.uint8], str]) -> NDArray[Any] | Exception:
            return self._store(bundle, *each)

        stored = iter(
            list(self._pool.map(store, images))
            if self._pool is not None and len(images) > 1
            else [store(each) for each in images]
        )
        found: list[NDArray[np.float32] | Exception] = []
        for job in jobs:
            if job.work.x is not None:
                found.append(_fitting(bundle, job.work.x))
                continue
            own = [next(stored) for _ in job.work.images]
            problem = next((each for each in own if isinstance(each, Exception)), None)
            arrays = [each for each in own if not isinstance(each, Exception)]
            found.append(problem or bundle.preprocessing.normalize(np.stack(arrays)))
        return found

    def _store(self, bundle: Bundle, image: bytes | NDArray[np.uint8], name: str) -> NDArray[Any] | Exception:
        try:
            if isinstance(image, bytes):
                read_header(image, self.limits.pixels)
            return bundle.store(image)
        except Unreadable as problem:
            return _refused(problem, name)
        except Exception as problem:
            return problem


# What helps, by the code of the finding; a library's own words, which may follow in brackets, help nobody.
CURES = {
    "too-many-pixels": "shrink it",
    "too-many-bytes": "shrink it",
    "unsupported-format": "save it as PNG or JPEG",
    "truncated": "send it whole",
}
READABLE = "send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image"


def _refused(problem: Unreadable, name: str) -> Refusal:
    if problem.passing:
        return Refusal(503, "the server has no memory for it now; try again", retry_after_s=1)
    called = f"the image {visible(name)[:80]}" if name else "the image"
    said = problem.problem
    if said.startswith(("it ends too early", "it cannot be decoded")):
        said = said.partition(" (")[0]
    cure = CURES.get(problem.code, READABLE)
    return Refusal(STATUS.get(problem.code, 422), f"{called} cannot be used: {said}; {cure}")


def _fitting(bundle: Bundle, x: NDArray[np.float32]) -> NDArray[np.float32] | Exception:
    wanted = bundle.preprocessing.input
    if x.shape[1:] == wanted:
        return x
    given, right = ("x".join(map(str, shape)) for shape in (x.shape[1:], wanted))
    return Refusal(400, f"the tensor has images of {given}, and the network reads {right}")


def _ask(bundle: Bundle, rows: Sequence[NDArray[np.float32]]) -> list[Answers]:
    """The answers to each of some inputs, computed together."""
    x = np.concatenate(rows) if len(rows) > 1 else rows[0]
    logits, places = bundle.answer_input(x)
    found, place = [], 0
    for each in rows:
        some = slice(place, place + len(each))
        found.append(bundle.judge(logits[some], None if places is None else places[some]))
        place += len(each)
    return found


def _deliver(results: Sequence[tuple[_Job, Answered | Exception]]) -> None:
    for job, result in results:
        if job.future.done():
            continue
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
