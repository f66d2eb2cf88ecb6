"""The data of the doctor's benchmark: small parts of real sets, and what is done to them, as .npz files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

# Images to train on, to validate and to test with.
TRAIN, VAL, TEST = 1200, 300, 800


def data_file(name: str, folder: Path, sources: Path) -> Path:
    """The file of a data set such as `mnist-noisy`, made where it is not there yet.

    sources: holds `mnist/` and `cifar-10-batches-bin/`.
    """
    path = folder / f"{name}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        base, *changes = name.split("-")
        arrays = _base(base, sources, many="many" in changes)
        for change in changes:
            arrays = _changed(arrays, change)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **arrays)
        temporary.replace(path)
    return path


def _base(name: str, sources: Path, *, many: bool) -> Arrays:
    rng = np.random.default_rng(0)
    train = 6000 if many else TRAIN
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.round(digits.images * 255 / 16).astype(np.uint8)[..., None]
        x, y = images, digits.target.astype(np.int64)
        order = rng.permutation(len(y))
        x, y = x[order], y[order]
        return _split(x, y, 1000, 250, 547)
    if name == "mnist":
        x = _idx(sources / "mnist/train-images-idx3-ubyte")[:8000]
        y = _idx(sources / "mnist/train-labels-idx1-ubyte")[:8000].astype(np.int64)
        x = _smaller(x[..., None], 14)
        return _split(x, y, train, VAL, TEST)
    if name == "cifar":
        raw = np.frombuffer((sources / "cifar-10-batches-bin/data_batch_1.bin").read_bytes(), np.uint8)
        rows = raw.reshape(-1, 3073)
        kept = np.isin(rows[:, 0], (0, 1, 5, 8, 9))
        y = np.searchsorted((0, 1, 5, 8, 9), rows[kept, 0]).astype(np.int64)
        x = _smaller(rows[kept, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), 12)
        return _split(x, y, train, VAL, TEST)
    raise ValueError(name)


def _idx(path: Path) -> NDArray[Any]:
    data = (
        path.read_bytes()
        if path.exists()
        else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    )
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def _smaller(x: NDArray[Any], side: int) -> NDArray[Any]:
    from PIL import Image

    made = [
        np.asarray(Image.fromarray(each.squeeze()).resize((side, side), Image.Resampling.BOX)) for each in x
    ]
    return np.stack(made).reshape(len(x), side, side, x.shape[3])


def _split(x: NDArray[Any], y: NDArray[Any], train: int, val: int, test: int) -> Arrays:
    ends = train, train + val, train + val + test
    assert ends[2] <= len(y), len(y)
    return {
        "x_train": x[: ends[0]], "y_train": y[: ends[0]], "x_val": x[ends[0] : ends[1]], "y_val": y[ends[0] : ends[1]],
        "x_test": x[ends[1] : ends[2]], "y_test": y[ends[1] : ends[2]],
    }  # fmt: skip


def _changed(arrays: Arrays, change: str) -> Arrays:
    """Test images are never touched: what is learned is measured on clean ones."""
    rng = np.random.default_rng(1)
    x, y = arrays["x_train"], arrays["y_train"].copy()
    classes = int(y.max()) + 1
    found = dict(arrays)
    if change == "many":
        return found
    if change == "few":
        return {**found, "x_train": x[:100], "y_train": y[:100]}
    if change == "loss":
        return {**found, "x_train": x[:30], "y_train": y[:30]}
    if change == "two":
        for split in ("train", "val", "test"):
            kept = np.isin(arrays[f"y_{split}"], (3, 5))
            found[f"x_{split}"], found[f"y_{split}"] = arrays[f"x_{split}"][kept], arrays[f"y_{split}"][kept]
        return found
    if change == "uneven":
        rare = y >= (classes + 1) // 2
        kept = ~rare | (rng.random(len(y)) < 0.04)
        return {**found, "x_train": x[kept], "y_train": y[kept]}
    if change == "missing":
        return {**found, "x_train": x[y != 1], "y_train": y[y != 1]}
    # Wrong labels come with validation images as well, as they do in life.
    share = {"shuffled": 1.0, "noisy": 0.4, "spotty": 0.1}[change]
    for split in ("train", "val"):
        labels = arrays[f"y_{split}"].copy()
        wrong = rng.random(len(labels)) < share
        if share == 1.0:
            labels = rng.permutation(labels)
        else:
            labels[wrong] = (labels[wrong] + rng.integers(1, classes, int(wrong.sum()))) % classes
        found[f"y_{split}"] = labels
    return found
