"""How published weights want their pictures."""

from __future__ import annotations

from dataclasses import dataclass

# Of all of ImageNet's training pictures, in units of 0 to 255, as torchvision has them.
_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True, slots=True)
class PublishedInput:
    """What becomes of a picture before the weights see it.

    y[c] = (x[c] - mean[c]) / deviation[c], x in 0 to 255, channels R, G, B

    size: height and width that the network sees, the middle of the resized picture.
    resized: what its shorter side is brought to before, in proportion; None where it is taken as it is.
    """

    size: tuple[int, int]
    resized: int | None
    mean: tuple[float, float, float] = _IMAGENET_MEAN
    deviation: tuple[float, float, float] = _IMAGENET_DEVIATION


def published_input(name: str, input: tuple[int, int, int]) -> PublishedInput | None:
    """How the known weights of a network of the zoo want their pictures; None for other than three channels.

    name: of the network.  input: the pictures it was published for, channels x height x width.
    torchvision's ImageNet weights are the rule: bilinear to 256/224 of the size, then the middle, with
    ImageNet's mean and deviation, but for GoogLeNet, which turns them to a half and a half itself (`transform_input`,
    as its weights came from TensorFlow).  The CIFAR-10 ResNets of akamaster/pytorch_resnet_cifar10 take pictures as
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
