"""A forward pass of EfficientNet-Lite0 over a whole photo folder, in plain torch: float32, contiguous.

    python forward.py DATA

Order: anything.  Answer: s and images.  Decoded before the first order; batches of 64.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from line import Line

import striate
from striate.data.gather import gather


def main() -> None:
    """Answer orders."""
    line = Line()
    with tempfile.TemporaryDirectory() as folder:
        data = gather(sys.argv[1], size=224, cache=Path(folder))
        splits = [split for split in (data.train, data.val, data.test) if split is not None]
        images = np.concatenate([np.asarray(split.images) for split in splits])
    torch.manual_seed(0)
    net = striate.read("efficientnet_lite0").build((3, 224, 224), classes=1000).eval()
    line.tell(images=len(images))
    for order in line.orders():
        some = images[: order["limit"] or None]
        before = time.perf_counter()
        with torch.inference_mode():
            for start in range(0, len(some), 64):
                x = torch.from_numpy(np.ascontiguousarray(some[start : start + 64, 16:240, 16:240]))
                net((x.permute(0, 3, 1, 2).contiguous().float() - 127) / 128)
        line.tell(s=time.perf_counter() - before, images=len(some))


if __name__ == "__main__":
    main()
