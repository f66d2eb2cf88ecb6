"""One side of a comparison: a child process that works when it is asked to, and tells how long it took."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent


class SideFailed(Exception):
    """A child ended before its work was done."""


class Side:
    """A child process at the other end of a `line.Line`.

    python: that of its environment.  script: below this folder.  words: its arguments.
    What it takes to begin, imports for one, is over before the first order; that is start_s.
    """

    def __init__(
        self, python: Path, script: str, *words: str, environment: Mapping[str, str] | None = None
    ) -> None:
        began = time.perf_counter()
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._name = script
        self._process = subprocess.Popen(
            [str(python), str(HERE / script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=surroundings(environment or {}),
        )
        self.ready = self._answer()
        self.start_s = time.perf_counter() - began

    def go(self, **order: Any) -> dict[str, Any]:
        """Give an order and wait for the answer.  Raises SideFailed."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            self._process.wait()
            self._errors.seek(0)
            last = "".join(self._errors.readlines()[-15:])
            raise SideFailed(f"{self._name} ended with {self._process.returncode}:\n{last}")
        answer = json.loads(text)
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """Say that there are no more orders, and wait for the end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def once(
    python: Path, script: str, *words: str, environment: Mapping[str, str] | None = None, **order: Any
) -> dict[str, Any]:
    """A child that gets one order, and its answer; start_s is what it took to be ready."""
    with Side(python, script, *words, environment=environment) as side:
        return {**side.go(**order), "start_s": side.start_s}


def surroundings(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: the shared files here can be imported, and TensorFlow keeps quiet."""
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    return {**os.environ, **quiet, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(paths), **more}
