"""The answers of a network over a split."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from striate.data.augment.batches import evaluation_batches
from striate.data.images import Images
from striate.predict.normalize import Feeder


def probabilities(
    net: nn.Module,
    feeder: Feeder,
    images: Images,
    size: tuple[int, int],
    *,
    batch: int,
    precision: str,
    tta: float = 0.0,
    advance: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Softmax of the logits of every image, N x K, in order; the network's mode is left as it was.

    tta: images whose most probable class is less probable than this are looked at again, and the
    logits of all looks averaged, as `looked_at_again` does.
    """
    was_training = net.training
    net.eval()
    found = []
    labels = np.zeros(len(images), dtype=np.int64)
    try:
        with torch.inference_mode(), autocast(feeder.device, precision):
            for some in evaluation_batches(images, labels, size, batch):
                x = feeder.images(some.images)
                logits = net(x).float()
                answers = torch.softmax(logits, dim=1)
                unsure = (answers.amax(dim=1) < tta).nonzero().flatten()
                if len(unsure):
                    answers[unsure] = torch.softmax(looked_at_again(net, x[unsure], logits[unsure]), dim=1)
                found.append(answers.cpu().numpy())
                if advance is not None:
                    advance(int(some.index[-1]) + 1)
    finally:
        net.train(was_training)
    return np.concatenate(found)


def renew_statistics(
    net: nn.Module,
    training: Collection[str],
    feeder: Feeder,
    images: Images,
    size: tuple[int, int],
    *,
    batch: int,
    precision: str,
) -> None:
    """Replace the running statistics of batch norms by the plain mean of what they are over `images`.

    training: names of the parts of `net` that train; norms elsewhere stay as they are.
    Nothing is drawn, and what was there before does not matter: after a resume they are the same to the bit.
    Source: Wu and Johnson 2021, "Rethinking `Batch` in BatchNorm", section 3 (PreciseBN).
    """
    was_training = {module: module.training for module in net.modules()}
    norms = [
        module
        for name, module in net.named_modules()
        if name in training and isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    net.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        # None: the mean over all batches, each counted once.
        norm.momentum = None
    labels = np.zeros(len(images), dtype=np.int64)
    try:
        with torch.no_grad(), autocast(feeder.device, precision):
            for some in evaluation_batches(images, labels, size, batch):
                if len(some.images) == batch or len(images) < batch:
                    net(feeder.images(some.images))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training_was in was_training.items():
            module.training = training_was


def looked_at_again(net: nn.Module, x: Tensor, logits: Tensor) -> Tensor:
    """Mean logits of six looks at each image: as it is, and shifted by a pixel up left and down right,
    each mirrored as well.

    (2 (f(x) + f(mx)) + f(a) + f(ma) + f(b) + f(mb)) / 8, where m mirrors, a and b are the shifted images

    x: N x C x H x W.  logits: f(x), N x K.  Source: Jordan 2024, section 3.5.
    """
    height, width = x.shape[2:]
    wide = F.pad(x, (1, 1, 1, 1), mode="reflect" if min(height, width) > 1 else "replicate")
    found: Tensor = 2 * (logits + net(x.flip(3)).float())
    # One behind the other: together they would take more memory than a training step.
    for moved in (wide[:, :, :height, :width], wide[:, :, 2:, 2:]):
        found += net(moved).float() + net(moved.flip(3)).float()
    return found / 8


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bfloat16 arithmetic for convolutions and fc where `precision` is bf16, else nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
