"""The runtime that answers fastest on this machine: torch, ONNX Runtime, or OpenVINO where it is installed."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.errors import RunError
from striate.machine.device import describe_machine, versions
from striate.machine.measurements import measured_once
from striate.modules.fold import folded
from striate.modules.module import Net
from striate.net.notation.writer import write_text
from striate.predict.trained import Trained
from striate.silence import no_reports
from striate.training.layout import apply_layout

# Fewer images are answered before the runtimes could be compared.
WORTH_COMPARING = 256

# Images that each is timed on, and multiply-adds that a timed batch may take.
BATCH = 64
MOST_MULTIPLY_ADDS = 3_000_000_000

# The quickest of so many goes counts.
TIMED = 3

# A runtime that differs by more than this share of the largest logit is not taken.
TOLERANCE = 1e-3

# Torch is kept where nothing else is faster by this factor.
FASTER = 1.1

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Elsewhere(nn.Module):
    """A network that another runtime answers for.  N x C x H x W -> N x classes, in float32."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer, self.process = answer, os.getpid()

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x classes.  Raises RunError in a fork, where the runtime has no threads."""
        if os.getpid() != self.process:
            raise RunError(
                "a runtime that was begun before the process forked cannot answer in the fork",
                expected="torch, or a runtime that each process begins",
                cure='multiprocessing.get_context("spawn"), or `answering` in the worker',
            )
        return torch.from_numpy(self.answer(np.ascontiguousarray(x.numpy(force=True))))


@dataclass(frozen=True, slots=True)
class Timed:
    """A runtime and the milliseconds that it takes for an image; why it is out of the question, if it is."""

    name: str
    image_ms: float | None
    why_not: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.image_ms:.3g} ms" if self.image_ms else f"{self.name} ({self.why_not})"


def runtime_names() -> list[str]:
    """The runtimes that are installed here."""
    here = [name for name in _RUNTIMES if find_spec(name) is not None]
    return here if find_spec("onnx") is not None else ["torch"]


def answered_by(net: Net, name: str) -> nn.Module:
    """The network as one runtime answers for it, its batch norms folded.  N x C x H x W -> N x classes.

    name: one of torch, onnxruntime, openvino.
    Raises RunError where it is not installed, NoGraph where it cannot take the network.
    """
    if name not in runtime_names():
        raise RunError(
            f"the runtime `{name}` is not here",
            place="--runtime",
            expected="auto, or one of " + ", ".join(runtime_names()),
            cure=f"pip install {name}" if name in _RUNTIMES else "--runtime auto",
        )
    if name == "torch":
        return apply_layout(folded(net), "channels_last")
    # To import onnx takes a fifth of a second.
    from striate.exporting.onnx_graph import onnx_bytes

    return Elsewhere(MAKERS[name](onnx_bytes(folded(net))))


def answering(trained: Trained, name: str, images: int) -> tuple[Trained, list[Timed]]:
    """The network as it answers so many images best, and what the runtimes took where they were compared.

    name: of a runtime, or auto: the fastest where there are so many images that finding it out pays; on a
    GPU always torch.  Raises as `answered_by`.
    """
    trials: list[Timed] = []
    if name == "auto" and trained.device.type == "cpu" and images >= WORTH_COMPARING:
        answers, trials = fastest(trained.net)
    else:
        answers = answered_by(trained.net, "torch" if name == "auto" else name)
    return replace(trained, answers=answers), trials


def fastest(net: Net) -> tuple[nn.Module, list[Timed]]:
    """The network as the runtime answers that is fastest for it on this CPU, and what each took, that one first.

    Each is timed once for a network and a machine, and the result kept.  All compute in float32; one whose
    answers are not torch's is not taken.
    """
    trials = measured_once(
        "runtime",
        _key(net),
        lambda: {"trials": [asdict(each) for each in _compared(net)]},
        lambda kept: [Timed(**each) for each in kept["trials"]],
    )
    return answered_by(net, trials[0].name), trials


def _compared(net: Net) -> list[Timed]:
    few = _few(net)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(few, *net.layout.input, generator=generator).contiguous(memory_format=torch.channels_last)
    trials = []
    exact: Tensor | None = None
    for name in runtime_names():
        try:
            answers, taken_s = time_answers(answered_by(net, name), x)
        except Exception as problem:
            # Whatever another package cannot do is a reason to take torch.
            trials.append(Timed(name, None, str(problem).splitlines()[0][:120]))
            continue
        exact = answers if exact is None else exact
        off = float((answers - exact).abs().max() / exact.abs().max().clamp(min=1e-6))
        fine = off <= TOLERANCE
        trials.append(Timed(name, 1000 * taken_s / few) if fine else Timed(name, None, f"off by {off:.2g}"))
    return sorted(
        trials, key=lambda each: (each.image_ms or math.inf) / (FASTER if each.name == "torch" else 1)
    )


def time_answers(net: nn.Module, x: Tensor) -> tuple[Tensor, float]:
    """The answers to a batch, and the seconds of the quickest of several goes."""
    best = float("inf")
    with torch.inference_mode():
        answers: Tensor = net(x)
        for _ in range(TIMED):
            before = time.perf_counter()
            net(x)
            best = min(best, time.perf_counter() - before)
    return answers.float(), best


def _few(net: Net) -> int:
    work = sum(placed.layer.multiply_adds(placed.input) for placed in net.layout.layers(sides=False))
    return max(1, min(BATCH, MOST_MULTIPLY_ADDS // max(1, work)))


def _key(net: Net) -> dict[str, Any]:
    installed = {}
    for name in (*_RUNTIMES, "onnx"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = ""
    return {
        "machine": describe_machine(torch.device("cpu")), "versions": versions() | installed,
        "text": write_text(net.layout.network), "shape": list(net.layout.input),
    }  # fmt: skip


def _onnxruntime(model: bytes) -> Answer:
    with no_reports():
        import onnxruntime
    # Where it was imported by somebody else, and before.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # A thread that spins while it waits takes the core that torch's next batch needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]


def _openvino(model: bytes) -> Answer:
    with no_reports():
        import openvino
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()},
    )
    return lambda x: np.array(compiled([x])[0])


MAKERS: dict[str, Callable[[bytes], Answer]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
_RUNTIMES = ("torch", *MAKERS)
