"""Somebody else's job on the same cores: two threads of plain torch that train a small network without an end."""

from __future__ import annotations

import threading

import torch
from line import Line
from torch import nn
from torch.nn import functional as F


def main() -> None:
    """Train until the line is closed."""
    line = Line()
    torch.set_num_threads(2)
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(4), nn.Flatten(), nn.Linear(64 * 64, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    x, labels = torch.randn(64, 3, 32, 32), torch.arange(64) % 10
    over = threading.Event()
    threading.Thread(target=lambda: (line.order(), over.set()), daemon=True).start()
    line.tell(threads=torch.get_num_threads())
    while not over.is_set():
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimizer.step()


if __name__ == "__main__":
    main()
