"""What torchvision's, timm's and transformers' checkpoints are called inside, in the order in which they are saved.

Each function gives the layers of one network in the order in which they run; `saved` puts them into the
order in which the library registers them.  Tensors take no memory: each is one number, expanded, and the
number is the place of its layer in the running order.  Source: the libraries' own state_dicts, torchvision
0.29, timm 1.0, transformers 5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A module of a checkpoint: its name, and its tensors' names and shapes."""

    name: str
    tensors: tuple[tuple[str, Shape], ...]


def conv(name: str, out: int, into: int, kernel: int, *, bias: bool = False) -> Layer:
    weight = ("weight", (out, into, kernel, kernel))
    return Layer(name, (weight, ("bias", (out,))) if bias else (weight,))


def fc(name: str, out: int, into: int) -> Layer:
    return Layer(name, (("weight", (out, into)), ("bias", (out,))))


def bn(name: str, channels: int) -> Layer:
    parts = ("weight", "bias", "running_mean", "running_var")
    return Layer(name, (*((part, (channels,)) for part in parts), ("num_batches_tracked", ())))


def ln(name: str, channels: int) -> Layer:
    return Layer(name, (("weight", (channels,)), ("bias", (channels,))))


def alexnet() -> list[Layer]:
    widths = [(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)]
    layers = [conv(f"features.{at}", out, into, kernel, bias=True) for at, out, into, kernel in widths]
    return [
        *layers,
        fc("classifier.1", 4096, 9216),
        fc("classifier.4", 4096, 4096),
        fc("classifier.6", 1000, 4096),
    ]


def vgg(plan: str, *, norm: bool) -> Callable[[], list[Layer]]:
    def make() -> list[Layer]:
        layers, at, into = [], 0, 3
        for word in plan.split():
            if word == "M":
                at += 1
                continue
            layers.append(conv(f"features.{at}", int(word), into, 3, bias=True))
            into = int(word)
            if norm:
                layers.append(bn(f"features.{at + 1}", into))
            at += 3 if norm else 2
        layers += [
            fc("classifier.0", 4096, 25088),
            fc("classifier.3", 4096, 4096),
            fc("classifier.6", 1000, 4096),
        ]
        return layers

    return make


def unit(name: str, out: int, into: int, kernel: int) -> list[Layer]:
    return [conv(f"{name}.conv", out, into, kernel), bn(f"{name}.bn", out)]


def inception(name: str, into: int, widths: tuple[int, int, int, int, int, int]) -> list[Layer]:
    one, reduce3, three, reduce5, five, pooled = widths
    return [
        *unit(f"{name}.branch1", one, into, 1),
        *unit(f"{name}.branch2.0", reduce3, into, 1),
        *unit(f"{name}.branch2.1", three, reduce3, 3),
        *unit(f"{name}.branch3.0", reduce5, into, 1),
        *unit(f"{name}.branch3.1", five, reduce5, 3),
        *unit(f"{name}.branch4.1", pooled, into, 1),
    ]


def side(name: str, into: int) -> list[Layer]:
    return [*unit(f"{name}.conv", 128, into, 1), fc(f"{name}.fc1", 1024, 2048), fc(f"{name}.fc2", 1000, 1024)]


def googlenet() -> list[Layer]:
    return [
        *unit("conv1", 64, 3, 7),
        *unit("conv2", 64, 64, 1),
        *unit("conv3", 192, 64, 3),
        *inception("inception3a", 192, (64, 96, 128, 16, 32, 32)),
        *inception("inception3b", 256, (128, 128, 192, 32, 96, 64)),
        *inception("inception4a", 480, (192, 96, 208, 16, 48, 64)),
        *side("aux1", 512),
        *inception("inception4b", 512, (160, 112, 224, 24, 64, 64)),
        *inception("inception4c", 512, (128, 128, 256, 24, 64, 64)),
        *inception("inception4d", 512, (112, 144, 288, 32, 64, 64)),
        *side("aux2", 528),
        *inception("inception4e", 528, (256, 160, 320, 32, 128, 128)),
        *inception("inception5a", 832, (256, 160, 320, 32, 128, 128)),
        *inception("inception5b", 832, (384, 192, 384, 48, 128, 128)),
        fc("fc", 1000, 1024),
    ]


def resnet(counts: tuple[int, ...], *, bottleneck: bool) -> Callable[[], list[Layer]]:
    def make() -> list[Layer]:
        layers, into = [conv("conv1", 64, 3, 7), bn("bn1", 64)], 64
        for stage, count in enumerate(counts, 1):
            inner = 32 * 2**stage
            out = 4 * inner if bottleneck else inner
            for index in range(count):
                name = f"layer{stage}.{index}"
                steps = (
                    [(inner, into, 1), (inner, inner, 3), (out, inner, 1)]
                    if bottleneck
                    else [(inner, into, 3), (out, inner, 3)]
                )
                for place, (wide, narrow, kernel) in enumerate(steps, 1):
                    layers += [
                        conv(f"{name}.conv{place}", wide, narrow, kernel),
                        bn(f"{name}.bn{place}", wide),
                    ]
                if into != out:
                    layers += [conv(f"{name}.downsample.0", out, into, 1), bn(f"{name}.downsample.1", out)]
                into = out
        return [*layers, fc("fc", 1000, into)]

    return make


def resnet50_of_transformers() -> list[Layer]:
    layers, into = [*_hf("resnet.embedder.embedder", 64, 3, 7)], 64
    for stage, count in enumerate((3, 4, 6, 3)):
        inner = 64 * 2**stage
        for index in range(count):
            name = f"resnet.encoder.stages.{stage}.layers.{index}"
            layers += _hf(f"{name}.layer.0", inner, into, 1)
            layers += _hf(f"{name}.layer.1", inner, inner, 3)
            layers += _hf(f"{name}.layer.2", 4 * inner, inner, 1)
            if index == 0:
                layers += _hf(f"{name}.shortcut", 4 * inner, into, 1)
            into = 4 * inner
    return [*layers, fc("classifier.1", 1000, into)]


def _hf(name: str, out: int, into: int, kernel: int) -> list[Layer]:
    return [conv(f"{name}.convolution", out, into, kernel), bn(f"{name}.normalization", out)]


def squeezenet1_0() -> list[Layer]:
    layers, into = [conv("features.0", 96, 3, 7, bias=True)], 96
    for at, few in [(3, 16), (4, 16), (5, 32), (7, 32), (8, 48), (9, 48), (10, 64), (12, 64)]:
        layers.append(conv(f"features.{at}.squeeze", few, into, 1, bias=True))
        layers.append(conv(f"features.{at}.expand1x1", 4 * few, few, 1, bias=True))
        layers.append(conv(f"features.{at}.expand3x3", 4 * few, few, 3, bias=True))
        into = 8 * few
    return [*layers, conv("classifier.1", 1000, into, 1, bias=True)]


def mobilenet_v2() -> list[Layer]:
    def wide(name: str, out: int, into: int, kernel: int) -> list[Layer]:
        return [conv(f"{name}.0", out, into, kernel), bn(f"{name}.1", out)]

    layers, into, at = wide("features.0", 32, 3, 3), 32, 1
    for factor, out, count in [
        (1, 16, 1),
        (6, 24, 2),
        (6, 32, 3),
        (6, 64, 4),
        (6, 96, 3),
        (6, 160, 3),
        (6, 320, 1),
    ]:
        for _ in range(count):
            inner, name, place = into * factor, f"features.{at}.conv", 0
            if factor > 1:
                layers += wide(f"{name}.0", inner, into, 1)
                place = 1
            layers += wide(f"{name}.{place}", inner, 1, 3)
            layers += [conv(f"{name}.{place + 1}", out, inner, 1), bn(f"{name}.{place + 2}", out)]
            into, at = out, at + 1
    return [*layers, *wide("features.18", 1280, 320, 1), fc("classifier.1", 1000, 1280)]


def convnext_tiny() -> list[Layer]:
    layers, channels = [conv("features.0.0", 96, 3, 4, bias=True), ln("features.0.1", 96)], 96
    for stage, count in enumerate((3, 3, 9, 3)):
        if stage:
            layers += [
                ln(f"features.{2 * stage}.0", channels),
                conv(f"features.{2 * stage}.1", 2 * channels, channels, 2, bias=True),
            ]
            channels *= 2
        for index in range(count):
            name = f"features.{2 * stage + 1}.{index}"
            layers.append(conv(f"{name}.block.0", channels, 1, 7, bias=True))
            layers.append(ln(f"{name}.block.2", channels))
            layers += [
                fc(f"{name}.block.3", 4 * channels, channels),
                fc(f"{name}.block.5", channels, 4 * channels),
            ]
            layers.append(Layer(name, (("layer_scale", (channels, 1, 1)),)))
    return [*layers, ln("classifier.0", 768), fc("classifier.2", 1000, 768)]


def convnext_tiny_of_timm() -> list[Layer]:
    layers, channels = [conv("stem.0", 96, 3, 4, bias=True), ln("stem.1", 96)], 96
    for stage, count in enumerate((3, 3, 9, 3)):
        if stage:
            name = f"stages.{stage}.downsample"
            layers += [ln(f"{name}.0", channels), conv(f"{name}.1", 2 * channels, channels, 2, bias=True)]
            channels *= 2
        for index in range(count):
            name = f"stages.{stage}.blocks.{index}"
            layers += [conv(f"{name}.conv_dw", channels, 1, 7, bias=True), ln(f"{name}.norm", channels)]
            layers += [
                fc(f"{name}.mlp.fc1", 4 * channels, channels),
                fc(f"{name}.mlp.fc2", channels, 4 * channels),
            ]
            layers.append(Layer(name, (("gamma", (channels,)),)))
    return [*layers, ln("head.norm", 768), fc("head.fc", 1000, 768)]


_A = "64 M 128 M 256 256 M 512 512 M 512 512 M"
_B = "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M"
_D = "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"
_E = "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"

# (the zoo's name, the layers as they run)
CHECKPOINTS: dict[str, tuple[str, Callable[[], list[Layer]]]] = {
    "alexnet": ("alexnet", alexnet),
    **{
        f"vgg{n}": (f"vgg{n}", vgg(plan, norm=False))
        for n, plan in zip((11, 13, 16, 19), (_A, _B, _D, _E), strict=True)
    },
    **{
        f"vgg{n}_bn": (f"vgg{n}_bn", vgg(plan, norm=True))
        for n, plan in zip((11, 13, 16, 19), (_A, _B, _D, _E), strict=True)
    },
    "googlenet": ("googlenet", googlenet),
    "resnet18": ("resnet18", resnet((2, 2, 2, 2), bottleneck=False)),
    "resnet34": ("resnet34", resnet((3, 4, 6, 3), bottleneck=False)),
    "resnet50": ("resnet50", resnet((3, 4, 6, 3), bottleneck=True)),
    "resnet101": ("resnet101", resnet((3, 4, 23, 3), bottleneck=True)),
    "resnet152": ("resnet152", resnet((3, 8, 36, 3), bottleneck=True)),
    "resnet50 of transformers": ("resnet50", resnet50_of_transformers),
    "squeezenet1_0": ("squeezenet1_0", squeezenet1_0),
    "mobilenet_v2": ("mobilenet_v2", mobilenet_v2),
    "convnext_tiny": ("convnext_tiny", convnext_tiny),
    "convnext_tiny of timm": ("convnext_tiny", convnext_tiny_of_timm),
}


def saved(layers: list[Layer]) -> dict[str, Tensor]:
    """A state_dict in the order of registration: auxiliary classifiers behind the blocks, a block's own tensors
    in front of its modules', and a `shortcut` in front of its block."""
    places = {layer.name: index for index, layer in enumerate(layers)}

    def rank(index: int) -> tuple[int, int, bool]:
        name = layers[index].name
        block = name.partition(".shortcut.")[0]
        inner = [place for other, place in places.items() if other.startswith(f"{block}.")]
        late = 1 if name.startswith("aux") else 2 if name == "fc" else 0
        return late, min(inner, default=index), not inner

    state = {}
    for index in sorted(places.values(), key=rank):
        for part, shape in layers[index].tensors:
            number = torch.tensor(index) if part == "num_batches_tracked" else torch.tensor(float(index))
            state[f"{layers[index].name}.{part}"] = number.expand(shape)
    return state
