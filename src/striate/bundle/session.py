"""A network file answered by a runtime: ONNX Runtime, or OpenVINO where it is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from striate.errors import MissingExtra
from striate.silence import no_reports

# N x C x H x W float32 -> what the network's outputs are, in order.
Run = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]


def installed_runtimes() -> list[str]:
    """The runtimes that are installed here, the usual one first."""
    return [name for name in _OPENERS if find_spec(name) is not None]


def default_threads() -> int:
    """The processors that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return os.cpu_count() or 1


def open_session(
    model: bytes,
    outputs: Sequence[str],
    runtime: str = "auto",
    threads: int | None = None,
    *,
    spinning: bool = False,
) -> Run:
    """What runs a network.  It may be called from several threads at once.

    model: an ONNX file, whole.  outputs: the names of those wanted, in order.
    runtime: auto, onnxruntime or openvino.  threads: as many as the processors if None.
    spinning: threads wait for work by turning, which is faster where nothing else uses the processors.

    Raises MissingExtra where the runtime is not installed.
    """
    here = installed_runtimes()
    name = (here[0] if here else "onnxruntime") if runtime == "auto" else runtime
    if name not in here:
        extra = name == "onnxruntime"
        raise MissingExtra(
            f"the runtime `{name}` is not installed here",
            place="--runtime",
            expected="one of " + ", ".join(_OPENERS) + (f"; here is {', '.join(here)}" if here else ""),
            cure='pip install "striate[serve]"' if extra else f"pip install {name}",
        )
    return _OPENERS[name](model, outputs, threads or default_threads(), spinning)


def _onnxruntime(model: bytes, outputs: Sequence[str], threads: int, spinning: bool) -> Run:
    with no_reports():
        import onnxruntime
    # Where it was imported by somebody else, and before.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if not spinning:
        # A thread that spins while it waits takes the core that another needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    names = list(outputs)

    def run(x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = session.run(names, {given.name: x})
        return found

    return run


def _openvino(model: bytes, outputs: Sequence[str], threads: int, spinning: bool) -> Run:
    with no_reports():
        import openvino
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    )
    places = [compiled.output(name) for name in outputs]

    def run(x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        # A request of its own: threads that ask at once do not wait for each other.
        found = compiled.create_infer_request().infer([x])
        return [np.array(found[place]) for place in places]

    return run


_OPENERS: dict[str, Callable[[bytes, Sequence[str], int, bool], Run]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
