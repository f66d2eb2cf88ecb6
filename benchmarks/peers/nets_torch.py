"""The networks of the step benchmark in plain torch modules; torchvision's where it has them."""

from __future__ import annotations

from itertools import pairwise

import torchvision
from plain_loop import CLASSES
from torch import Tensor, nn
from torch.nn import functional as F


def make(name: str) -> nn.Module:
    """A network by the name that the step benchmark has for it."""
    if name == "googlenet":
        return torchvision.models.googlenet(num_classes=CLASSES, aux_logits=True, init_weights=True)
    if name in ("resnet18", "vgg11", "mobilenet_v2", "convnext_tiny"):
        return getattr(torchvision.models, name)(num_classes=CLASSES)
    return {"lenet5": lenet5, "resnet9": ResNet9, "resnet20": ResNet20, "resnet18_32": ResNet18Small}[name]()


def lenet5() -> nn.Module:
    """LeNet-5 as it is taught today."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, CLASSES),
    )  # fmt: skip


def unit(before: int, after: int, *, pool: bool = False) -> nn.Sequential:
    """Convolution, normalization, ReLU."""
    parts: list[nn.Module] = [
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]
    return nn.Sequential(*parts, *([nn.MaxPool2d(2)] if pool else []))


class ResNet9(nn.Module):
    """The nine layers that won DAWNBench's CIFAR-10 in 2018 (Page): 64, 128, 256, 512 channels, two shortcuts."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = nn.Sequential(unit(3, 64), unit(64, 128, pool=True))
        self.first = nn.Sequential(unit(128, 128), unit(128, 128))
        self.between = nn.Sequential(unit(128, 256, pool=True), unit(256, 512, pool=True))
        self.second = nn.Sequential(unit(512, 512), unit(512, 512))
        self.head = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(512, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x 32 x 32 -> N x classes."""
        x = self.begin(x)
        x = self.between(x + self.first(x))
        return self.head(x + self.second(x))


class Basic(nn.Module):
    """Two convolutions and a shortcut; where the shape changes, with weights or padded by zeros."""

    def __init__(self, before: int, after: int, *, weights: bool) -> None:
        super().__init__()
        self.stride, self.more = (1 if before == after else 2), after - before
        self.conv1 = nn.Conv2d(before, after, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.short: nn.Module | None = None
        if self.more and weights:
            self.short = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=2, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """A block."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.short is not None:
            x = self.short(x)
        elif self.more:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))
        return F.relu(x + y)


class ResNet20(nn.Module):
    """He et al. 2015, section 4.2: 16, 32 and 64 channels, three blocks each, shortcuts without weights."""

    def __init__(self) -> None:
        super().__init__()
        widths = [16] * 4 + [32] * 3 + [64] * 3
        blocks = [Basic(a, b, weights=False) for a, b in pairwise(widths)]
        self.net = nn.Sequential(
            unit(3, 16), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES)
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x 32 x 32 -> N x classes."""
        return self.net(x)


class ResNet18Small(nn.Module):
    """ResNet-18 as it is usual for CIFAR-10: a 3x3 stem without pooling, 0.56 G multiply-adds an image."""

    def __init__(self) -> None:
        super().__init__()
        widths = [64] * 3 + [128] * 2 + [256] * 2 + [512] * 2
        blocks = [Basic(a, b, weights=True) for a, b in pairwise(widths)]
        self.net = nn.Sequential(
            unit(3, 64), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES)
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x 32 x 32 -> N x classes."""
        return self.net(x)
