"""What a network makes of images at one of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.data.augment.batches import evaluation_batches
from striate.data.decode.image import on_scale
from striate.data.gather import Split, gather
from striate.errors import StriateError, nearest
from striate.modules.module import Net
from striate.predict.normalize import Feeder
from striate.predict.trained import Trained
from striate.progress import Watch
from striate.recipe.keys import read_recipe


def features_of(
    trained: Trained, data: str | Path, at: str, *, mean: bool, watch: Watch
) -> dict[str, NDArray[Any]]:
    """`features_at` for each split of some data: `features_SPLIT`, `labels_SPLIT`, `names_SPLIT`, and `classes`.

    data: images, as for a training; the splits are those of the run where they are its own.
    Raises StriateError where the data are of another size or kind than the network reads, or it has no such part;
    what `gather` raises.
    """
    known, recipe = trained.preparation, read_recipe(str(trained.run.recipe))
    found = gather(
        data, size=known.size, fit=known.fit, val_share=recipe.val_share, seed=recipe.seed,
        max_pixels=recipe.max_pixels,
    )  # fmt: skip
    if found.channels not in (known.channels, 1) or found.stored_size != known.stored_size:
        raise StriateError(
            f"the images are stored as {found.channels}x{found.stored_size[0]}x{found.stored_size[1]}",
            place=str(data),
            expected=f"{known.channels}x{known.stored_size[0]}x{known.stored_size[1]}, as the network reads them",
        )
    kind = found.train.images.dtype.name
    if kind != known.dtype:
        raise StriateError(
            f"the images hold values of kind {kind}",
            place=str(data),
            expected=f"{known.dtype}, as those that the network was trained on",
            cure="the same scaling in both",
        )
    if known.values is not None:
        on_scale(found.train.images, known.values, in_bytes=False)
    feeder = Feeder(known, trained.device)
    arrays: dict[str, NDArray[Any]] = {"classes": np.array(found.classes)}
    for name, split in (("train", found.train), ("val", found.val), ("test", found.test)):
        if split is None:
            continue
        watch.begin(name, len(split.labels))
        arrays[f"features_{name}"] = features_at(
            trained.net, at, split, feeder, known.size, mean=mean, watch=watch
        )
        watch.end()
        arrays |= {f"labels_{name}": split.labels, f"names_{name}": np.array(split.names)}
    return arrays


def features_at(
    net: Net, at: str, split: Split, feeder: Feeder, size: tuple[int, int], *, mean: bool, watch: Watch
) -> NDArray[np.float32]:
    """The output of the part at a label or path for every image of a split, in order.

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
            for some in evaluation_batches(split.images, split.labels, size, 64):
                net(feeder.images(some.images))
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
