"""MNIST's idx files as arrays of bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """`train-images`, `train-labels`, `t10k-images` or `t10k-labels`, packed or not."""
    file = next(folder.glob(f"{name}*"))
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, 4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
