"""What PyTorch's examples do for MNIST, in plain PyTorch and torchvision, to the epoch that reaches a target.

Order: data, a folder of idx files; seed; target, of the test accuracy; steps, an epoch is cut to (0 for none).
Answer: whole_s, from the reading of the images on; training_s, of the epochs and their tests; both null where
the 14 epochs of the example were not enough.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from line import Line
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

EPOCHS, BATCH, TEST_BATCH, RATE, FALL = 14, 64, 1000, 1.0, 0.7


def example_net() -> nn.Sequential:
    """The network of the example."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(128, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def unpacked(data: Path, into: Path) -> Path:
    """The idx files where torchvision looks for them, as after its download."""
    raw = into / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in data.glob("*ubyte*"):
        content = file.read_bytes()
        (raw / file.name.removesuffix(".gz")).write_bytes(
            gzip.decompress(content) if file.suffix == ".gz" else content
        )
    return into


def loaders(root: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Training and test images.  On a CPU the example neither shuffles nor starts workers."""
    change = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    training = datasets.MNIST(str(root), train=True, transform=change)
    test = datasets.MNIST(str(root), train=False, transform=change)
    return DataLoader(training, batch_size=BATCH), DataLoader(test, batch_size=TEST_BATCH)


def right(net: nn.Module, batches: DataLoader[Any]) -> float:
    """The share of the images that are answered right; the loss is summed as in the example."""
    net.eval()
    loss, good, count = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in batches:
            answer: Tensor = net(images)
            loss += F.nll_loss(answer, labels, reduction="sum").item()
            good += int((answer.argmax(dim=1) == labels).sum().item())
            count += len(labels)
    return good / count


def work(order: dict[str, Any], root: Path) -> dict[str, Any]:
    """Train until the target is reached."""
    whole = time.perf_counter()
    torch.manual_seed(order["seed"])
    training, test = loaders(root)
    net = example_net()
    optimizer = torch.optim.Adadelta(net.parameters(), lr=RATE)
    schedule = StepLR(optimizer, step_size=1, gamma=FALL)
    accuracies: list[float] = []
    begun = time.perf_counter()
    for _ in range(1 if order["steps"] else EPOCHS):
        net.train()
        for images, labels in islice(training, order["steps"] or None):
            optimizer.zero_grad()
            F.nll_loss(net(images), labels).backward()
            optimizer.step()
        accuracies.append(right(net, test))
        schedule.step()
        if accuracies[-1] >= order["target"]:
            break
    now = time.perf_counter()
    there = accuracies[-1] >= order["target"]
    return {
        "whole_s": now - whole if there else None,
        "training_s": now - begun if there else None,
        "accuracy": accuracies[-1],
        "epochs": len(accuracies),
    }


def answer_unpacked(work: Callable[[dict[str, Any], Path], dict[str, Any]]) -> None:
    """Answer orders with what `work` makes of each and of its images, unpacked into a folder of their own."""

    def unpack(order: dict[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            return work(order, unpacked(Path(order["data"]), Path(folder)))

    Line().answer(unpack)


def main() -> None:
    """Answer orders."""
    answer_unpacked(work)


if __name__ == "__main__":
    main()
