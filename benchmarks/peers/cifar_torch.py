"""The usual PyTorch recipe for CIFAR-10, for some steps: ResNet-18 with a 3x3 stem, SGD, crop and flip.

Batches of 128, momentum 0.9, weight decay 5e-4, RandomCrop(32, 4), RandomHorizontalFlip, ToTensor and Normalize by
torchvision in two DataLoader workers.  Order: data, the folder of binary batches; seconds.  Answer: images and s.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from line import Line
from nets_torch import make
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

BATCH, WORKERS = 128, 2


class Images(Dataset[Any]):
    """The training images, changed one by one as torchvision's CIFAR10 does."""

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("data_batch_*.bin"))
        rows = np.concatenate(
            [np.frombuffer(file.read_bytes(), np.uint8).reshape(-1, 3073) for file in files]
        )
        self.labels = rows[:, 0].astype(int).tolist()
        self.images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.change = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.change(Image.fromarray(self.images[index])), self.labels[index]


def main() -> None:
    """Answer orders."""
    torch.manual_seed(0)
    line = Line()
    net = make("resnet18_32").train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    line.tell(threads=torch.get_num_threads())
    data = None
    for order in line.orders():
        data = data or Images(Path(order["data"]))
        batches = iter(DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=WORKERS))
        steps, begun = -1, 0.0
        for x, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(net(x), labels).backward()
            optimizer.step()
            steps += 1
            if not steps:
                # The first step waits for the workers to start, and is not counted.
                begun = time.perf_counter()
            elif time.perf_counter() - begun >= order["seconds"]:
                break
        line.tell(images=steps * BATCH, s=time.perf_counter() - begun)
        del batches


if __name__ == "__main__":
    main()
