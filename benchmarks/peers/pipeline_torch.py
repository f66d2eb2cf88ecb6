"""Images from a folder to what a network reads, by torchvision or timm, in batches of 64.

Order: what, `epoch` or `waiting`; data; size; workers; timm, whether its loader is taken; crop, whether images are
resized and cropped; seconds, of `waiting`.
Answer: images, s, cpu_s with that of the workers; for `waiting`, share of the time that the loop waited for data.

torchvision: ImageFolder, RandomResizedCrop, or Resize to 8/7 of the side and RandomCrop, as 256 and 224 are;
RandomHorizontalFlip, ToTensor, Normalize, DataLoader.  timm: create_dataset and create_loader with is_training,
prefetcher off on a CPU.  Every epoch starts its workers anew, which is the default.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import torch
import torchvision
from line import Line
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def loader(order: dict[str, Any], batch: int) -> Any:
    """The batches of an epoch."""
    folder, size, workers = f"{order['data']}/train", order["size"], order["workers"]
    if order.get("timm"):
        from timm.data import create_loader
        from timm.data.dataset import ImageDataset

        return create_loader(
            ImageDataset(folder), (3, size, size), batch, is_training=True, num_workers=workers,
            use_prefetcher=False, scale=(0.08, 1.0), hflip=0.5, color_jitter=0.0, persistent_workers=False,
        )  # fmt: skip
    cut = (
        [transforms.Resize(round(size * 8 / 7)), transforms.RandomCrop(size)]
        if order.get("crop")
        else [transforms.RandomResizedCrop(size)]
    )
    change = transforms.Compose(
        [
            *cut,
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, DEVIATION),
        ]
    )
    data = datasets.ImageFolder(folder, change)
    return DataLoader(data, batch_size=batch, shuffle=True, num_workers=workers, drop_last=True)


def cpu_s() -> float:
    """CPU seconds of this process and of workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def epoch(order: dict[str, Any]) -> dict[str, Any]:
    """Go through the folder once."""
    before, cpu = time.perf_counter(), cpu_s()
    count = 0
    for x, _ in loader(order, 64):
        count += len(x)
    return {"images": count, "s": time.perf_counter() - before, "cpu_s": cpu_s() - cpu}


def waiting(order: dict[str, Any]) -> dict[str, Any]:
    """Train a ResNet-18 for a while."""
    net = torchvision.models.resnet18(num_classes=1000).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    waited, steps, images = 0.0, -1, 0
    begun = at = time.perf_counter()
    while steps < 1 or time.perf_counter() - begun < order["seconds"]:
        for x, labels in loader(order, 32):
            waited += time.perf_counter() - at
            optimizer.zero_grad()
            F.cross_entropy(net(x), labels).backward()
            optimizer.step()
            steps, images = steps + 1, images + len(labels)
            at = time.perf_counter()
            if not steps:
                # The first step waits for the workers to start.
                begun, waited, images = at, 0.0, 0
            elif at - begun >= order["seconds"]:
                break
    taken = time.perf_counter() - begun
    return {"images": images, "s": taken, "share": waited / taken}


def main() -> None:
    """Answer orders."""
    line = Line()
    line.tell(threads=torch.get_num_threads())
    for order in line.orders():
        line.tell(**(waiting if order["what"] == "waiting" else epoch)(order))


if __name__ == "__main__":
    main()
