"""What a network makes of pictures at one of its parts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.build.module import Net
from striate.data.batches import evaluation_batches
from striate.data.gather import Split
from striate.errors import StriateError, nearest
from striate.train.preparation import Feeder
from striate.train.watch import Watch


def features_at(
    net: Net, at: str, split: Split, feeder: Feeder, size: tuple[int, int], *, mean: bool, watch: Watch
) -> NDArray[np.float32]:
    """The output of the part at a label or path for every picture of a split, in order.

    at: as `stage3` or `stage3.0`.  mean: the mean over height and width, N x C, instead of N x C x H x W.
    Raises StriateError where the network has no such part.
    """
    part = _part(net, at)
    found: list[NDArray[np.float32]] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept = output.mean(dim=(2, 3)) if mean and output.ndim == 4 else output
        # A later layer may write over it.
        found.append(kept.float().contiguous().cpu().numpy().copy())

    handle = part.register_forward_hook(keep)
    was_training = net.training
    net.eval()
    try:
        with torch.inference_mode():
            for some in evaluation_batches(split.pictures, split.labels, size, 64):
                net(feeder.pictures(some.pictures))
                watch.advance(int(some.index[-1]) + 1, "")
    finally:
        handle.remove()
        net.train(was_training)
    return np.concatenate(found)


def _part(net: Net, at: str) -> nn.Module:
    try:
        return net.part(at)
    except KeyError:
        names = [name for name, _ in net.named_modules() if name]
        raise StriateError(
            f"the network has no part `{at}`",
            place="--at",
            expected="a label or path of the network, as "
            + ", ".join(name for name in names if "." not in name),
            cure=nearest(at, names) or "",
        ) from None
