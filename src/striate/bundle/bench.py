"""How fast a network answers here, by each runtime, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.bundle.bundle import LOGITS, Bundle
from striate.bundle.certificate import Timing
from striate.bundle.manifest import NETWORK
from striate.bundle.session import default_threads, installed_runtimes, open_session

# Of each measurement at least, and so many runs at most.
MEASURED_S, MOST_RUNS, LEAST_RUNS = 1.0, 200, 5
BATCH = 16

# A measurement that takes longer is given up.
MOST_S = 300.0


def timed(run: Callable[[NDArray[np.float32]], object], shape: tuple[int, int, int]) -> dict[str, Any]:
    """What a call takes: of one image in ms (median, quartiles, runs), and images a second in batches of 16.

    shape: C x H x W.  The first calls, which reserve memory, do not count.
    """
    chance = np.random.default_rng(0)
    single = _times(run, chance.standard_normal((1, *shape)).astype(np.float32))
    several = _times(run, chance.standard_normal((BATCH, *shape)).astype(np.float32))
    low, middle, high = np.percentile(np.array(single) * 1000, [25, 50, 75])
    return {
        "single_ms": float(middle),
        "quartiles_ms": [float(low), float(high)],
        "runs": len(single),
        "images_per_s": BATCH / float(np.median(several)),
        "peak_bytes": _peak_bytes(),
    }


def bundle_timings(bundle: Bundle, threads: int | None = None) -> list[Timing]:
    """The network of a bundle by each runtime that is installed here."""
    return model_timings(bundle.file(NETWORK), bundle.preprocessing.input, bundle.manifest.precision, threads)


def model_timings(
    model: bytes, shape: tuple[int, int, int], precision: str, threads: int | None = None
) -> list[Timing]:
    """An ONNX network by each runtime that is installed here.  shape: C x H x W of what it reads."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NETWORK
        path.write_bytes(model)
        for name in installed_runtimes():
            asked = {
                "model": str(path),
                "runtime": name,
                "shape": list(shape),
                "threads": threads or default_threads(),
            }
            child = "from striate.bundle.bench import child; child()"
            found.append(timing_of(name, precision, child, asked, len(model)))
    return found


def timing_of(
    runtime: str, precision: str, code: str, asked: Mapping[str, Any], network_bytes: int
) -> Timing:
    """What a process of its own measured.  code: what it runs; it reads `asked` as JSON and prints what `timed` gives."""
    made = Timing(runtime=runtime, precision=precision, network_bytes=network_bytes)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=MOST_S,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    except subprocess.TimeoutExpired:
        return made.model_copy(update={"why_not": f"it took more than {MOST_S:g} s"})
    try:
        values = json.loads(ended.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        lines = ended.stderr.strip().splitlines()
        return made.model_copy(
            update={"why_not": lines[-1][:120] if lines else f"it ended with {ended.returncode}"}
        )
    return Timing.model_validate({**made.model_dump(), **values})


def child() -> None:
    """Measure an ONNX network: what `model_timings` runs in a process of its own."""
    asked = json.load(sys.stdin)
    run = open_session(Path(asked["model"]).read_bytes(), [LOGITS], asked["runtime"], asked["threads"])
    sys.stdout.write(json.dumps(timed(run, tuple(asked["shape"]))) + "\n")


def _times(run: Callable[[NDArray[np.float32]], object], x: NDArray[np.float32]) -> list[float]:
    for _ in range(2):
        run(x)
    found: list[float] = []
    until = time.perf_counter() + MEASURED_S
    while len(found) < LEAST_RUNS or (time.perf_counter() < until and len(found) < MOST_RUNS):
        before = time.perf_counter()
        run(x)
        found.append(time.perf_counter() - before)
    return found


def _peak_bytes() -> int | None:
    """The largest memory of this process so far, or None where the system does not tell."""
    try:
        # Not getrusage: it counts what the parent had when it forked, too.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
