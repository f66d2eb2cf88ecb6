"""fastai on a photo folder as its guides write it, from nothing, to the epoch that reaches a target.

Order: data, a folder with train/ and test/; seed; target, of the test accuracy; epochs, most; size; limit, batches
of an epoch (0 for all).
Answer: s, from the reading of the folder to the end of the first epoch whose test reaches the target, null where
none did; accuracy, the best; epochs.

`ImageDataLoaders.from_folder` with Resize and aug_transforms, `vision_learner(resnet18, pretrained=False)`,
`fit_one_cycle`, the maker's first choices else.  `fine_tune` would first train a head on a body that knows
nothing, for no pretrained weights are to be had here.  The test behind each epoch is not counted.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from fastai.vision.all import (
    Callback,
    CancelFitException,
    CancelTrainException,
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    get_image_files,
    resnet18,
    set_seed,
    vision_learner,
)
from line import Line


class Until(Callback):  # type: ignore[misc]
    """Tests behind each epoch and ends the training at a target."""

    def __init__(self, test: Any, target: float, limit: int) -> None:
        super().__init__()
        self.test, self.target, self.limit = test, target, limit
        self.accuracies: list[float] = []
        self.spent_s = 0.0

    def after_batch(self) -> None:
        if self.limit and self.training and self.iter + 1 >= self.limit:
            raise CancelTrainException

    def after_epoch(self) -> None:
        before = time.perf_counter()
        self.accuracies.append(right(self.learn.model, self.test))
        self.spent_s += time.perf_counter() - before
        if self.accuracies[-1] >= self.target:
            raise CancelFitException


def right(net: Any, batches: Any) -> float:
    """The share of the test images that are answered right."""
    net.eval()
    good = count = 0
    with torch.no_grad():
        for x, labels in batches:
            good += int((net(x).argmax(dim=1) == labels).sum())
            count += len(labels)
    return good / count


def work(order: dict[str, Any]) -> dict[str, Any]:
    """Train until the target is reached."""
    begun = time.perf_counter()
    set_seed(order["seed"])
    folder = order["data"]
    loaders = ImageDataLoaders.from_folder(
        f"{folder}/train", valid_pct=0.1, seed=order["seed"], bs=32, num_workers=2,
        item_tfms=Resize(order["size"]), batch_tfms=aug_transforms(),
    )  # fmt: skip
    files = get_image_files(f"{folder}/test")[: order["limit"] * 32 or None]
    test = loaders.test_dl(files, with_labels=True)
    learner = vision_learner(loaders, resnet18, pretrained=False, metrics=accuracy)
    until = Until(test, order["target"], order["limit"])
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(order["epochs"], cbs=[until])
    taken = time.perf_counter() - begun - until.spent_s
    best = max(until.accuracies, default=0.0)
    return {
        "s": taken if best >= order["target"] else None,
        "accuracy": best,
        "epochs": len(until.accuracies),
    }


def main() -> None:
    """Answer orders."""
    Line().answer(work)


if __name__ == "__main__":
    main()
