"""The runtime that answers fastest on this machine: torch, ONNX Runtime, or OpenVINO where it is installed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.errors import RunError
from striate.notation.writer import write_text
from striate.ship.fold import folded
from striate.spec.shape import Map
from striate.train.machine import describe_machine, versions
from striate.train.selftest import keep, kept_file, read_kept
from striate.train.trained import Trained
from striate.train.tune import arrange

# Fewer pictures are answered before the runtimes could be compared.
WORTH_COMPARING = 256

# Pictures that each is timed on, and multiply-adds that a timed batch may take.
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
        self.answer = answer

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x classes."""
        return torch.from_numpy(self.answer(np.ascontiguousarray(x.numpy(force=True))))


@dataclass(frozen=True, slots=True)
class Timed:
    """A runtime and the milliseconds that it takes for a picture; why it is out of the question, if it is."""

    name: str
    picture_ms: float | None
    why_not: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.picture_ms:.3g} ms" if self.picture_ms else f"{self.name} ({self.why_not})"


def runtime_names() -> list[str]:
    """The runtimes that are installed here."""
    here = [name for name in _MODULES if find_spec(name) is not None]
    return here if find_spec("onnx") is not None else ["torch"]


def answered_by(trained: Trained, name: str) -> Trained:
    """The same network answered by one runtime, its batch norms folded.

    name: one of torch, onnxruntime, openvino.
    Raises RunError where it is not installed, NoGraph where it cannot take the network.
    """
    if name not in runtime_names():
        raise RunError(
            f"the runtime `{name}` is not here",
            place="--runtime",
            expected="auto, or one of " + ", ".join(runtime_names()),
            cure=f"pip install {name}" if name in _MODULES else "--runtime auto",
        )
    net = folded(trained.net)
    if name == "torch" or trained.device.type != "cpu":
        return replace(trained, answers=arrange(net, "channels_last"))
    # To import onnx takes a fifth of a second.
    from striate.ship.graph import onnx_bytes

    return replace(trained, answers=Elsewhere(_MAKERS[name](onnx_bytes(net))))


def answering(trained: Trained, name: str, pictures: int) -> tuple[Trained, list[Timed]]:
    """The network as it answers so many pictures best, and what the runtimes took where they were compared.

    name: of a runtime, or auto: the fastest where there are so many pictures that finding it out pays.
    Raises as `answered_by`.
    """
    if name != "auto":
        return answered_by(trained, name), []
    if pictures < WORTH_COMPARING:
        return answered_by(trained, "torch"), []
    return fastest(trained)


def fastest(trained: Trained) -> tuple[Trained, list[Timed]]:
    """The network answered by the runtime that is fastest for it here, and what each took, that one first.

    Each is timed once for a network and a machine, and the result kept.  All compute in float32; one whose
    answers are not torch's is not taken.  On a GPU torch is not compared with others.
    """
    if trained.device.type != "cpu":
        return answered_by(trained, "torch"), []
    file = kept_file("runtime", _key(trained))
    kept = read_kept(file)
    try:
        if kept is not None:
            trials = [Timed(**each) for each in kept["trials"]]
            return answered_by(trained, trials[0].name), trials
    except (LookupError, TypeError):
        # Of another striate.
        pass
    few = _few(trained)
    shape = trained.net.layout.input
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(few, *shape, generator=generator).contiguous(memory_format=torch.channels_last)
    made = {}
    trials = []
    exact: Tensor | None = None
    for name in runtime_names():
        try:
            made[name] = answered_by(trained, name)
            answers, taken_s = _time(made[name].answers, x)
        except Exception as problem:
            # Whatever another package cannot do is a reason to take torch.
            trials.append(Timed(name, None, str(problem).splitlines()[0][:120]))
            continue
        exact = answers if exact is None else exact
        off = float((answers - exact).abs().max() / exact.abs().max().clamp(min=1e-6))
        fine = off <= TOLERANCE
        trials.append(
            Timed(name, 1000 * taken_s / few, "") if fine else Timed(name, None, f"off by {off:.2g}")
        )
    trials.sort(key=lambda each: (each.picture_ms or np.inf) / (FASTER if each.name == "torch" else 1))
    keep(
        file, {"trials": [{"name": t.name, "picture_ms": t.picture_ms, "why_not": t.why_not} for t in trials]}
    )
    return made[trials[0].name], trials


def _time(net: nn.Module | None, x: Tensor) -> tuple[Tensor, float]:
    assert net is not None
    best = float("inf")
    with torch.inference_mode():
        answers: Tensor = net(x)
        for _ in range(TIMED):
            before = time.perf_counter()
            net(x)
            best = min(best, time.perf_counter() - before)
    return answers.float(), best


def _few(trained: Trained) -> int:
    layout = trained.net.layout
    work = sum(placed.layer.multiply_adds(placed.input) for placed in layout.layers(sides=False))
    return max(1, min(BATCH, MOST_MULTIPLY_ADDS // max(1, work)))


def _key(trained: Trained) -> dict[str, Any]:
    installed = {}
    for name in _MODULES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = ""
    layout = trained.net.layout
    assert isinstance(layout.input, Map)
    return {
        "machine": describe_machine(trained.device), "versions": versions() | installed,
        "text": write_text(layout.network), "shape": list(layout.input),
    }  # fmt: skip


def _onnxruntime(model: bytes) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # A thread that spins while it waits takes the core that torch's next batch needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]


def _openvino(model: bytes) -> Answer:
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()},
    )
    return lambda x: np.array(compiled([x])[0])


_MODULES = ("torch", "onnxruntime", "openvino")
_MAKERS: dict[str, Callable[[bytes], Answer]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
