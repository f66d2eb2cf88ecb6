"""What a network computes inside on real images, a stride of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from striate.bundle.session import open_session

# Of all activations of the images that are computed together.
STRIDE_BYTES = 64_000_000

Batches = Callable[[int], Iterator[NDArray[np.float32]]]
"""Real images as the network reads them, in groups of at most so many."""


def activations(
    model: onnx.ModelProto, names: Sequence[str], batches: Batches
) -> Callable[[], Iterator[dict[str, NDArray[np.float32]]]]:
    """What gives the values of that name over all images, in strides, as often as it is called.

    Never more than a stride's values are held.
    """
    given = model.graph.input[0].name
    wanted = [name for name in dict.fromkeys(names) if name != given]
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    known = {each.name for each in asked.graph.output}
    for name in wanted:
        if name not in known:
            asked.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    if not wanted:
        return lambda: ({given: x} for x in batches(1))
    run = open_session(asked.SerializeToString(), wanted)
    first = next(batches(1))
    stride = max(1, STRIDE_BYTES // max(1, sum(each.nbytes for each in run(first)) + first.nbytes))
    return lambda: ({given: x, **dict(zip(wanted, run(x), strict=True))} for x in batches(stride))
