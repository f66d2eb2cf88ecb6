"""How fast a trained network answers here: torch beside the runtimes of a bundle."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from striate.bundle.bench import model_timings, timed, timing_of
from striate.bundle.certificate import Timing
from striate.bundle.session import default_threads
from striate.exporting.onnx_graph import onnx_bytes
from striate.exporting.quantize import activation_ranges, quantized
from striate.modules.fold import folded
from striate.modules.module import Net, build
from striate.modules.weights import load_weights
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.predict.trained import Trained
from striate.runs.folder import RunFolder
from striate.training.layout import apply_layout


def run_timings(trained: Trained, threads: int | None = None) -> list[Timing]:
    """The network of a run by torch, and by each runtime that is installed here, in float32."""
    known = trained.preparation
    shape = (known.channels, *known.size)
    return [
        torch_timing(trained.run, shape, len(trained.classes), threads),
        *model_timings(onnx_bytes(folded(trained.net)), shape, "fp32", threads),
    ]


def net_timings(net: Net, threads: int | None = None) -> list[Timing]:
    """A network with whatever weights it has by each runtime that is installed here, in float32 and in int8.

    How long it takes does not depend on the weights; the ranges of int8 are those of a few drawn images.
    """
    shape = (net.layout.input.channels, net.layout.input.height, net.layout.input.width)
    model = onnx_bytes(folded(net))
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    ranges = activation_ranges(model, lambda most: (x[at : at + most] for at in range(0, len(x), most)))
    return [
        *model_timings(model, shape, "fp32", threads),
        *model_timings(quantized(model, ranges["minmax"], []), shape, "int8", threads),
    ]


def torch_timing(
    run: RunFolder, shape: tuple[int, int, int], classes: int, threads: int | None = None
) -> Timing:
    """The network of a run by torch, folded and channels_last, as `striate predict` has it."""
    asked = {
        "net": run.net.read_text(encoding="utf-8"),
        "weights": str(run.weights),
        "shape": list(shape),
        "classes": classes,
        "threads": threads or default_threads(),
    }
    code = "from striate.exporting.bench import child; child()"
    return timing_of("torch", "fp32", code, asked, run.weights.stat().st_size)


def child() -> None:
    """Measure a network in torch: what `torch_timing` runs in a process of its own."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    net = build(lay(read_text(asked["net"]), Map(*asked["shape"]), asked["classes"]))
    load_weights(net, Path(asked["weights"]))
    ready = apply_layout(folded(net), "channels_last")
    with torch.inference_mode():

        def run(x: object) -> object:
            return ready(torch.from_numpy(x).contiguous(memory_format=torch.channels_last))

        sys.stdout.write(json.dumps(timed(run, tuple(asked["shape"]))) + "\n")
