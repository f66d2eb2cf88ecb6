"""The networks of the zoo written again in plain torch.nn, from the papers and not from the texts.

Each registers its weights in the order of the published checkpoints, except where a comment says so.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn(
    into: int, out: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, eps: float = 1e-5
) -> nn.Sequential:
    """A convolution without bias, padded to keep the size, and its batch normalization."""
    conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out, eps=eps))


class Head(nn.Sequential):
    """Global average, dropout and the classifier."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(features, classes))


def lenet5(classes: int) -> nn.Module:
    """As taught today."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
    )  # fmt: skip


class TrainedAverage(nn.Module):
    """Section II.B of the paper: the mean of four, times a factor, plus a bias, one of each a map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(maps, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x: Tensor) -> Tensor:
        mean = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
        return mean * self.factor.reshape(-1, 1, 1) + self.bias.reshape(-1, 1, 1)


def lenet5_1998(classes: int) -> nn.Module:
    """As published, but for what the text names."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), TrainedAverage(6), nn.Tanh(),
        nn.Conv2d(6, 16, 5), nn.Tanh(), TrainedAverage(16), nn.Tanh(),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(),
        nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, classes),
    )  # fmt: skip


def alexnet(classes: int) -> nn.Module:
    """One column."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.AdaptiveAvgPool2d(6), nn.Flatten(),
        nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(),
        nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes),
    )  # fmt: skip


class Response(nn.Module):
    """Section 3.3 of the AlexNet paper: x / (2 + 1e-4 * sum of 5 neighbors' squares)^0.75."""

    def forward(self, x: Tensor) -> Tensor:
        squares = F.pad(x * x, (0, 0, 0, 0, 2, 2))
        total = sum(squares[:, i : i + x.shape[1]] for i in range(5))
        assert isinstance(total, Tensor)
        return x / (2 + 1e-4 * total) ** 0.75


class TwoCards(nn.Module):
    """A convolution whose halves of the maps do not see each other, each half on a card of its own."""

    def __init__(self, into: int, out: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out, into // 2, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        pad = self.weight.shape[-1] // 2
        cards = zip(x.chunk(2, 1), self.weight.chunk(2), self.bias.chunk(2), strict=True)
        return torch.cat([F.conv2d(half, weight, bias, padding=pad) for half, weight, bias in cards], 1)


def alexnet_2012(classes: int) -> nn.Module:
    """Two groups and response normalization."""
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(), Response(), nn.MaxPool2d(3, 2),
        TwoCards(96, 256, 5), nn.ReLU(), Response(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        TwoCards(384, 384, 3), nn.ReLU(),
        TwoCards(384, 256, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, classes),
    )  # fmt: skip


def vgg(widths: str, *, norm: bool) -> Callable[[int], nn.Module]:
    """Table 1 of the VGG paper as `64 M 128 M ...`, M a pooling."""

    def make(classes: int) -> nn.Module:
        layers: list[nn.Module] = []
        into = 3
        for word in widths.split():
            if word == "M":
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers.append(nn.Conv2d(into, int(word), 3, padding=1))
            into = int(word)
            layers += [nn.BatchNorm2d(into), nn.ReLU()] if norm else [nn.ReLU()]
        layers += [nn.AdaptiveAvgPool2d(7), nn.Flatten()]
        layers += [nn.Linear(25088, 4096), nn.ReLU(), nn.Dropout()]
        layers += [nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, classes)]
        return nn.Sequential(*layers)

    return make


class Inception(nn.Module):
    """Figure 2(b) of the GoogLeNet paper, with batch normalization and 3x3 for 5x5 as in torchvision."""

    def __init__(self, into: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pooled = widths
        self.one = conv_bn(into, one, eps=1e-3)
        self.reduce3 = conv_bn(into, reduce3, eps=1e-3)
        self.three = conv_bn(reduce3, three, 3, eps=1e-3)
        self.reduce5 = conv_bn(into, reduce5, eps=1e-3)
        self.five = conv_bn(reduce5, five, 3, eps=1e-3)
        self.pooled = conv_bn(into, pooled, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        second = self.three(self.reduce3(x).relu()).relu()
        third = self.five(self.reduce5(x).relu()).relu()
        last = self.pooled(F.max_pool2d(x, 3, 1, 1)).relu()
        return torch.cat([self.one(x).relu(), second, third, last], 1)


class SideHead(nn.Module):
    """An auxiliary classifier."""

    def __init__(self, into: int, classes: int) -> None:
        super().__init__()
        self.conv = conv_bn(into, 128, eps=1e-3)
        self.first = nn.Linear(2048, 1024)
        self.second = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).relu().flatten(1)
        answer: Tensor = self.second(self.first(x).relu())
        return answer


class GoogLeNet(nn.Module):
    """Table 1 of the paper.  The auxiliary classifiers are registered where they branch off, as in the text;
    torchvision registers them behind the last block.  `sides` holds their logits of the last pass."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(3, 64, 7, stride=2, eps=1e-3)
        self.conv2 = conv_bn(64, 64, eps=1e-3)
        self.conv3 = conv_bn(64, 192, 3, eps=1e-3)
        self.a3 = Inception(192, (64, 96, 128, 16, 32, 32))
        self.b3 = Inception(256, (128, 128, 192, 32, 96, 64))
        self.a4 = Inception(480, (192, 96, 208, 16, 48, 64))
        self.side1 = SideHead(512, classes)
        self.b4 = Inception(512, (160, 112, 224, 24, 64, 64))
        self.c4 = Inception(512, (128, 128, 256, 24, 64, 64))
        self.d4 = Inception(512, (112, 144, 288, 32, 64, 64))
        self.side2 = SideHead(528, classes)
        self.e4 = Inception(528, (256, 160, 320, 32, 128, 128))
        self.a5 = Inception(832, (256, 160, 320, 32, 128, 128))
        self.b5 = Inception(832, (384, 192, 384, 48, 128, 128))
        self.head = Head(1024, classes)
        self.sides: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv1(x).relu(), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv3(self.conv2(x).relu()).relu(), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.b3(self.a3(x)), 3, 2, ceil_mode=True)
        x = self.a4(x)
        self.sides = [self.side1(x)]
        x = self.d4(self.c4(self.b4(x)))
        self.sides.append(self.side2(x))
        x = F.max_pool2d(self.e4(x), 2, 2, ceil_mode=True)
        answer: Tensor = self.head(self.b5(self.a5(x)))
        return answer


class Basic(nn.Module):
    """Figure 5 left of the ResNet paper.  shortcut: `conv`, `zeros` (option A), or `none` at all."""

    def __init__(self, into: int, out: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(into, out, 3, stride=stride)
        self.conv2, self.bn2 = conv_bn(out, out, 3)
        self.shortcut = shortcut
        self.stride, self.more = stride, out - into
        self.down = conv_bn(into, out, stride=stride) if shortcut == "conv" and into != out else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.shortcut == "none":
            return y.relu()
        if self.down is not None:
            x = self.down(x)
        elif self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return (y + x).relu()


class Bottleneck(nn.Module):
    """Figure 5 right, striding in the 3x3 convolution."""

    def __init__(self, into: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(into, inner)
        self.conv2, self.bn2 = conv_bn(inner, inner, 3, stride=stride)
        self.conv3, self.bn3 = conv_bn(inner, 4 * inner)
        self.down = conv_bn(into, 4 * inner, stride=stride) if into != 4 * inner else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        y = self.bn3(self.conv3(y))
        return (y + (x if self.down is None else self.down(x))).relu()


def resnet(counts: tuple[int, ...], kind: str) -> Callable[[int], nn.Module]:
    """Table 1 of the ResNet paper.  kind: `bottleneck`, or what the shortcut of a basic block is."""

    def make(classes: int) -> nn.Module:
        layers: list[nn.Module] = [conv_bn(3, 64, 7, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        into = 64
        for stage, count in enumerate(counts):
            for index in range(count):
                stride = 2 if stage and not index else 1
                inner = 64 * 2**stage
                if kind == "bottleneck":
                    layers.append(Bottleneck(into, inner, stride))
                    into = 4 * inner
                else:
                    layers.append(Basic(into, inner, stride, kind))
                    into = inner
        return nn.Sequential(*layers, Head(into, classes))

    return make


def small_resnet(blocks: int) -> Callable[[int], nn.Module]:
    """Section 4.2 of the ResNet paper, for 32x32."""

    def make(classes: int) -> nn.Module:
        layers: list[nn.Module] = [conv_bn(3, 16, 3), nn.ReLU()]
        into = 16
        for out in (16, 32, 64):
            for index in range(blocks):
                layers.append(Basic(into, out, 2 if out > 16 and not index else 1, "zeros"))
                into = out
        return nn.Sequential(*layers, Head(64, classes))

    return make


class Fire(nn.Module):
    """Figure 1 of the SqueezeNet paper."""

    def __init__(self, into: int, few: int, many: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(into, few, 1)
        self.expand1 = nn.Conv2d(few, many, 1)
        self.expand3 = nn.Conv2d(few, many, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1(x), self.expand3(x)], 1).relu()


def squeezenet(first: int, kernel: int, plan: str) -> Callable[[int], nn.Module]:
    """plan: the squeezed channels of each fire module, and M for a pooling."""

    def make(classes: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(3, first, kernel, 2), nn.ReLU()]
        into = first
        for word in plan.split():
            if word == "M":
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
                continue
            layers.append(Fire(into, int(word), 4 * int(word)))
            into = 8 * int(word)
        layers += [nn.Dropout(), nn.Conv2d(into, classes, 1), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    return make


def mobilenet_v1(width: float) -> Callable[[int], nn.Module]:
    """Table 1 of the MobileNet paper, all channels times `width`."""
    pairs = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
    pairs += [(512, 512, 1)] * 5 + [(512, 1024, 2), (1024, 1024, 1)]

    def make(classes: int) -> nn.Module:
        layers: list[nn.Module] = [conv_bn(3, int(32 * width), 3, stride=2), nn.ReLU()]
        for into, out, stride in pairs:
            c, d = int(into * width), int(out * width)
            layers += [conv_bn(c, c, 3, stride=stride, groups=c), nn.ReLU(), conv_bn(c, d), nn.ReLU()]
        return nn.Sequential(*layers, Head(int(1024 * width), classes))

    return make


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding, worked out from the image at hand."""

    def forward(self, input: Tensor) -> Tensor:
        pads: list[int] = []
        for side in (3, 2):
            kernel, stride, length = self.kernel_size[side - 2], self.stride[side - 2], input.shape[side]
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(input, pads))


class Inverted(nn.Module):
    """Figure 3(b) of the MobileNetV2 paper; `same` and `eps` as EfficientNet-Lite has them."""

    def __init__(
        self, into: int, out: int, *, expand: int, kernel: int, stride: int, same: bool, eps: float
    ) -> None:
        super().__init__()
        inner = into * expand
        layers: list[nn.Module] = []
        if expand > 1:
            layers += [conv_bn(into, inner, eps=eps), nn.ReLU6()]
        deep = conv_bn(inner, inner, kernel, stride=stride, groups=inner, eps=eps)
        if same:
            deep[0] = SameConv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        layers += [deep, nn.ReLU6(), conv_bn(inner, out, eps=eps)]
        self.layers = nn.Sequential(*layers)
        self.keeps = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.keeps else y


def inverted_net(
    plan: list[tuple[int, int, int, int, int]], *, same: bool, eps: float
) -> Callable[[int], nn.Module]:
    """plan: expansion, channels, repeats, stride and window of each stage."""

    def make(classes: int) -> nn.Module:
        stem = conv_bn(3, 32, 3, stride=2, eps=eps)
        if same:
            stem[0] = SameConv2d(3, 32, 3, 2, bias=False)
        layers: list[nn.Module] = [stem, nn.ReLU6()]
        into = 32
        for expand, out, repeats, first, kernel in plan:
            for index in range(repeats):
                stride = 1 if index else first
                block = Inverted(into, out, expand=expand, kernel=kernel, stride=stride, same=same, eps=eps)
                layers.append(block)
                into = out
        return nn.Sequential(*layers, conv_bn(into, 1280, eps=eps), nn.ReLU6(), Head(1280, classes))

    return make


class ChannelsFirst(nn.LayerNorm):
    """Layer normalization over the channels of each place."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Factor(nn.Module):
    """One factor a channel, for channels that stand last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class NextBlock(nn.Module):
    """Figure 4 of the ConvNeXt paper.  The factor is registered last, where it works; torchvision
    registers it first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deep = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.up = nn.Linear(channels, 4 * channels)
        self.down = nn.Linear(4 * channels, channels)
        self.factor = Factor(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.deep(x).permute(0, 2, 3, 1))
        y = self.factor(self.down(F.gelu(self.up(y))))
        return x + y.permute(0, 3, 1, 2)


def convnext(classes: int) -> nn.Module:
    """ConvNeXt-T: 96 channels, 3 3 9 3 blocks."""
    layers: list[nn.Module] = [nn.Conv2d(3, 96, 4, 4), ChannelsFirst(96, eps=1e-6)]
    channels = 96
    for stage, blocks in enumerate((3, 3, 9, 3)):
        if stage:
            layers += [ChannelsFirst(channels, eps=1e-6), nn.Conv2d(channels, 2 * channels, 2, 2)]
            channels *= 2
        layers += [NextBlock(channels) for _ in range(blocks)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(768, eps=1e-6)]
    return nn.Sequential(*layers, nn.Linear(768, classes))


_A = "64 M 128 M 256 256 M 512 512 M 512 512 M"
_B = "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M"
_D = "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"
_E = "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"

# Table 2 of the MobileNetV2 paper; table 1 of the EfficientNet paper.
_V2 = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3)]
_V2 += [(6, 160, 3, 2, 3), (6, 320, 1, 1, 3)]
_LITE0 = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5)]
_LITE0 += [(6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]

REWRITES: dict[str, Callable[[int], nn.Module]] = {
    "lenet5": lenet5,
    "lenet5_1998": lenet5_1998,
    "alexnet": alexnet,
    "alexnet_2012": alexnet_2012,
    "vgg11": vgg(_A, norm=False),
    "vgg11_bn": vgg(_A, norm=True),
    "vgg13": vgg(_B, norm=False),
    "vgg13_bn": vgg(_B, norm=True),
    "vgg16": vgg(_D, norm=False),
    "vgg16_bn": vgg(_D, norm=True),
    "vgg19": vgg(_E, norm=False),
    "vgg19_bn": vgg(_E, norm=True),
    "googlenet": GoogLeNet,
    "resnet18": resnet((2, 2, 2, 2), "conv"),
    "resnet34": resnet((3, 4, 6, 3), "conv"),
    "resnet50": resnet((3, 4, 6, 3), "bottleneck"),
    "resnet101": resnet((3, 4, 23, 3), "bottleneck"),
    "resnet152": resnet((3, 8, 36, 3), "bottleneck"),
    "plain18": resnet((2, 2, 2, 2), "none"),
    "plain34": resnet((3, 4, 6, 3), "none"),
    "resnet20": small_resnet(3),
    "resnet32": small_resnet(5),
    "resnet44": small_resnet(7),
    "resnet56": small_resnet(9),
    "resnet110": small_resnet(18),
    "squeezenet1_0": squeezenet(96, 7, "M 16 16 32 M 32 48 48 64 M 64"),
    "squeezenet1_1": squeezenet(64, 3, "M 16 16 M 32 32 M 48 48 64 64"),
    "mobilenet_v1": mobilenet_v1(1.0),
    "mobilenet_v1_x0.75": mobilenet_v1(0.75),
    "mobilenet_v1_x0.5": mobilenet_v1(0.5),
    "mobilenet_v1_x0.25": mobilenet_v1(0.25),
    "mobilenet_v2": inverted_net(_V2, same=False, eps=1e-5),
    "efficientnet_lite0": inverted_net(_LITE0, same=True, eps=1e-3),
    "convnext_tiny": convnext,
}
