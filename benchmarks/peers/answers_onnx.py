"""Answers by ONNX Runtime or OpenVINO as they come: one ONNX file, default options but for the threads, float32.

    python answers_onnx.py CASE

CASE is JSON: runtime, onnxruntime or openvino; model, an ONNX file; shape; batch; threads.  Order: seconds to answer
for.  Answer: batches and the s that they took.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from line import Line


def answering(case: dict[str, Any]) -> tuple[Callable[[Any], Any], str]:
    """What answers, and the version of the runtime."""
    if case["runtime"] == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = case["threads"]
        session = onnxruntime.InferenceSession(case["model"], options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0].name
        return lambda x: session.run(None, {given: x}), str(onnxruntime.__version__)
    import openvino

    more = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": case["threads"]}
    compiled = openvino.Core().compile_model(case["model"], "CPU", more)
    return lambda x: compiled([x]), str(openvino.__version__).split("-")[0]


def main() -> None:
    """Open the network, and answer."""
    case = json.loads(sys.argv[1])
    line = Line()
    answer, version = answering(case)
    x = np.random.default_rng(0).standard_normal((case["batch"], *case["shape"])).astype(np.float32)
    answer(x)
    line.tell(version=version)
    for order in line.orders():
        batches, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < order["seconds"]:
            answer(x)
            batches += 1
        line.tell(batches=batches, s=time.perf_counter() - begun)


if __name__ == "__main__":
    main()
