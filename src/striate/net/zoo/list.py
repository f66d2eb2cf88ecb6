"""The list of the zoo, and the text of each network in it."""

from __future__ import annotations

from dataclasses import dataclass

from striate.errors import StriateError, nearest


@dataclass(frozen=True, slots=True)
class ZooNet:
    """One network of the zoo.

    name: torchvision's where it has the network; the text is `name.net`.
    input: channels, height and width of the images it was published for; `pool avg` before the head
    lets most take others.
    classes: how many it was published with; the text says `classes`.
    year, paper: where it was described first, or where this form of it was.
    note: what it is for, in a few words.
    """

    name: str
    input: tuple[int, int, int]
    classes: int
    year: int
    paper: str
    note: str


_IMAGENET = (3, 224, 224)
_CIFAR = (3, 32, 32)

_LECUN = "LeCun et al. 1998, Gradient-based learning applied to document recognition"
_ALEXNET = "Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep CNNs"
_ONE_COLUMN = "Krizhevsky 2014, One weird trick, arXiv 1404.5997"
_VGG = "Simonyan and Zisserman 2014, Very deep convolutional networks, arXiv 1409.1556"
_GOOGLENET = "Szegedy et al. 2014, Going deeper with convolutions, arXiv 1409.4842"
_RESNET = "He et al. 2015, Deep residual learning, arXiv 1512.03385"
_SQUEEZENET = "Iandola et al. 2016, SqueezeNet, arXiv 1602.07360"
_MOBILENET_V1 = "Howard et al. 2017, MobileNets, arXiv 1704.04861"
_MOBILENET_V2 = "Sandler et al. 2018, MobileNetV2, arXiv 1801.04381"
_EFFICIENTNET = "Tan and Le 2019, EfficientNet, arXiv 1905.11946; Lite by Liu 2020"
_CONVNEXT = "Liu et al. 2022, A ConvNet for the 2020s, arXiv 2201.03545"
_SWIFT = "made for striate, after LeCun et al. 1998"
_AIRBENCH = "Jordan 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv 2404.00498"
_HERE = "made for striate, after He et al. 2015"

ZOO: tuple[ZooNet, ...] = (
    ZooNet("small28", (1, 28, 28), 10, 2026, _HERE, "first choice for grey images of 8x8 to 64x64"),
    ZooNet("small32", _CIFAR, 10, 2026, _HERE, "first choice for images of 16x16 to 64x64"),
    ZooNet("small64", (3, 64, 64), 10, 2026, _HERE, "first choice for images of 32x32 to 128x128"),
    ZooNet("small128", (3, 128, 128), 10, 2026, _HERE, "first choice for images of 64x64 to 256x256"),
    ZooNet("swift28", (1, 28, 28), 10, 2026, _SWIFT, "99 % of MNIST in one pass, for --recipe quick"),
    ZooNet("swift32", _CIFAR, 10, 2024, _AIRBENCH, "94 % of CIFAR-10 in minutes, for --recipe quick"),
    ZooNet("lenet5", (1, 28, 28), 10, 1998, _LECUN, "as taught today: relu and maxpool"),
    ZooNet("lenet5_1998", (1, 32, 32), 10, 1998, _LECUN, "as published: tanh and trained averages"),
    ZooNet("alexnet", _IMAGENET, 1000, 2014, _ONE_COLUMN, "in one column, as torchvision has it"),
    ZooNet("alexnet_2012", (3, 227, 227), 1000, 2012, _ALEXNET, "as published: two groups and lrn"),
    ZooNet("vgg11", _IMAGENET, 1000, 2014, _VGG, "nothing but 3x3 convolutions, configuration A"),
    ZooNet("vgg11_bn", _IMAGENET, 1000, 2014, _VGG, "the same with batch normalization"),
    ZooNet("vgg13", _IMAGENET, 1000, 2014, _VGG, "configuration B"),
    ZooNet("vgg13_bn", _IMAGENET, 1000, 2014, _VGG, "the same with batch normalization"),
    ZooNet("vgg16", _IMAGENET, 1000, 2014, _VGG, "configuration D, the usual one"),
    ZooNet("vgg16_bn", _IMAGENET, 1000, 2014, _VGG, "the same with batch normalization"),
    ZooNet("vgg19", _IMAGENET, 1000, 2014, _VGG, "configuration E"),
    ZooNet("vgg19_bn", _IMAGENET, 1000, 2014, _VGG, "the same with batch normalization"),
    ZooNet("googlenet", _IMAGENET, 1000, 2014, _GOOGLENET, "windows of several sizes; two aux classifiers"),
    ZooNet("resnet18", _IMAGENET, 1000, 2015, _RESNET, "shortcuts, basic blocks"),
    ZooNet("resnet34", _IMAGENET, 1000, 2015, _RESNET, "shortcuts, basic blocks"),
    ZooNet("resnet50", _IMAGENET, 1000, 2015, _RESNET, "shortcuts, bottleneck blocks"),
    ZooNet("resnet101", _IMAGENET, 1000, 2015, _RESNET, "shortcuts, bottleneck blocks"),
    ZooNet("resnet152", _IMAGENET, 1000, 2015, _RESNET, "shortcuts, bottleneck blocks"),
    ZooNet("plain18", _IMAGENET, 1000, 2015, _RESNET, "resnet18 without shortcuts, to compare"),
    ZooNet("plain34", _IMAGENET, 1000, 2015, _RESNET, "resnet34 without shortcuts, to compare"),
    ZooNet("resnet20", _CIFAR, 10, 2015, _RESNET, "for 32x32, shortcuts without weights"),
    ZooNet("resnet32", _CIFAR, 10, 2015, _RESNET, "for 32x32, shortcuts without weights"),
    ZooNet("resnet44", _CIFAR, 10, 2015, _RESNET, "for 32x32, shortcuts without weights"),
    ZooNet("resnet56", _CIFAR, 10, 2015, _RESNET, "for 32x32, shortcuts without weights"),
    ZooNet("resnet110", _CIFAR, 10, 2015, _RESNET, "for 32x32, shortcuts without weights"),
    ZooNet("squeezenet1_0", _IMAGENET, 1000, 2016, _SQUEEZENET, "few weights, no fc"),
    ZooNet("squeezenet1_1", _IMAGENET, 1000, 2016, _SQUEEZENET, "the same for less than half the work"),
    ZooNet("mobilenet_v1", _IMAGENET, 1000, 2017, _MOBILENET_V1, "depthwise and 1x1 convolutions"),
    ZooNet("mobilenet_v1_x0.75", _IMAGENET, 1000, 2017, _MOBILENET_V1, "three quarters of the channels"),
    ZooNet("mobilenet_v1_x0.5", _IMAGENET, 1000, 2017, _MOBILENET_V1, "half of the channels"),
    ZooNet("mobilenet_v1_x0.25", _IMAGENET, 1000, 2017, _MOBILENET_V1, "a quarter of the channels"),
    ZooNet("mobilenet_v2", _IMAGENET, 1000, 2018, _MOBILENET_V2, "inverted residuals, relu6"),
    ZooNet("efficientnet_lite0", _IMAGENET, 1000, 2019, _EFFICIENTNET, "for int8 at the edge, relu6"),
    ZooNet("convnext_tiny", _IMAGENET, 1000, 2022, _CONVNEXT, "7x7 depthwise, layer normalization, gelu"),
)


def zoo_names() -> tuple[str, ...]:
    """The names of all networks, in the order of the list."""
    return tuple(net.name for net in ZOO)


def zoo_net(name: str) -> ZooNet:
    """The network of that name; raises StriateError, with the nearest name, where there is none."""
    for net in ZOO:
        if net.name == name:
            return net
    raise StriateError(
        f"the zoo has no `{name}`",
        expected="a name that `striate zoo` lists",
        cure=nearest(name, zoo_names()) or "striate zoo",
    )


def zoo_text(name: str) -> str:
    """The text of the network of that name; raises StriateError, with the nearest name, as `zoo_net`."""
    # Here, not above: it takes a twentieth of the time that `striate --help` takes.
    from importlib.resources import files

    return (files("striate.net.zoo") / f"{zoo_net(name).name}.net").read_text(encoding="utf-8")
