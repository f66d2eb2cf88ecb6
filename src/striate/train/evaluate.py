"""The answers of a network over a split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from striate.build.module import Net
from striate.data.batches import evaluation_batches
from striate.data.pictures import Pictures
from striate.train.preparation import Feeder


def probabilities(
    net: Net,
    feeder: Feeder,
    pictures: Pictures,
    size: tuple[int, int],
    *,
    batch: int,
    precision: str,
    mirror: float = 0.0,
    advance: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Softmax of the logits of every picture, N x K, in order; the network's mode is left as it was.

    mirror: pictures whose most probable class is less probable than this are looked at mirrored as well, and
    the logits of both are averaged.
    """
    was_training = net.training
    net.eval()
    found = []
    labels = np.zeros(len(pictures), dtype=np.int64)
    try:
        with torch.inference_mode(), autocast(feeder.device, precision):
            for some in evaluation_batches(pictures, labels, size, batch):
                x = feeder.pictures(some.pictures)
                logits = net(x).float()
                answers = torch.softmax(logits, dim=1)
                unsure = (answers.amax(dim=1) < mirror).nonzero().flatten()
                if len(unsure):
                    both = (logits[unsure] + net(x[unsure].flip(3)).float()) / 2
                    answers[unsure] = torch.softmax(both, dim=1)
                found.append(answers.cpu().numpy())
                if advance is not None:
                    advance(int(some.index[-1]) + 1)
    finally:
        net.train(was_training)
    return np.concatenate(found)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bfloat16 arithmetic for convolutions and fc where `precision` is bf16, else nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
