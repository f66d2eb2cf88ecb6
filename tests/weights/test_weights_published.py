"""Published weights answer as published.  Source of the numbers: ../shared/data/README.md, reference.json."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import Photo
from striate.errors import MissingExtra
from striate.modules.module import Net, build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_net, zoo_text
from striate.weights.file import read_weights
from striate.weights.match import fill
from striate.weights.published import BACKBONE, backbone_weights, published_input


def filled(name: str, path: Path) -> Net:
    """A network of the zoo with all of a file's weights."""
    net = zoo_net(name)
    built = build(lay(read_text(zoo_text(name), f"{name}.net"), Map(*net.input), net.classes))
    report = fill(built, read_weights(path).tensors, name=path.name)
    assert report.left == ()
    return built.eval().to(memory_format=torch.channels_last)


def prepared(name: str, images: Tensor) -> Tensor:
    """N x 3 x H x W bytes as the weights want them."""
    how = published_input(name, zoo_net(name).input)
    assert how is not None
    assert tuple(images.shape[2:]) == how.size
    mean, deviation = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (how.mean, how.deviation))
    return ((images.float() - mean) / deviation).to(memory_format=torch.channels_last)


@pytest.mark.slow  # `striate test` on them is tests/training/test_train_measure.py, with resnet20 in each run.
@pytest.mark.parametrize(
    ("name", "file", "right"),
    [
        ("resnet20", "resnet20-12fca82f.th", 9173),
        ("resnet32", "resnet32-d509ac18.th", 9263),
        ("resnet44", "resnet44-014dd654.th", 9310),
        ("resnet56", "resnet56-4bfd9763.th", 9339),
    ],
)
def test_cifar_resnets_are_right_as_often_as_published(
    name: str, file: str, right: int, shared: Path, cifar: tuple[Tensor, Tensor]
) -> None:
    net = filled(name, shared / "weights" / "cifar10-resnet" / file)
    images, labels = cifar
    found = 0
    with torch.inference_mode():
        for start in range(0, len(images), 500):
            answers = net(prepared(name, images[start : start + 500])).argmax(1)
            found += int((answers == labels[start : start + 500]).sum())
    assert found == right


def require_reference(name: str, net: Net, photos: list[Photo], first: int, five: int) -> None:
    """As many right as published, and the five first classes and the largest logit of each photo."""
    with torch.inference_mode():
        images = torch.from_numpy(np.stack([photo.pixels for photo in photos])).permute(0, 3, 1, 2)
        logits = torch.cat([net(prepared(name, part)) for part in images.split(16)])
    top = logits.topk(5, dim=1).indices.tolist()
    assert top == [photo.reference[name]["top5"] for photo in photos]
    largest = torch.tensor([photo.reference[name]["top1_logit"] for photo in photos])
    torch.testing.assert_close(logits.amax(1), largest, rtol=0, atol=2e-3)
    assert sum(photo.label == row[0] for photo, row in zip(photos, top, strict=True)) == first
    assert sum(photo.label in row for photo, row in zip(photos, top, strict=True)) == five


@pytest.mark.parametrize(
    ("name", "file", "first", "five"),
    [
        ("squeezenet1_0", "squeezenet1_0-imagenet/squeezenet1_0-deepcompression.pth", 50, 66),
        ("mobilenet_v1_x0.25", "mobilenetv1_x0.25-imagenet/model_best.pth.tar", 36, 60),
    ],
)
def test_imagenet_networks_answer_as_their_reference(
    name: str, file: str, first: int, five: int, shared: Path, photos: list[Photo]
) -> None:
    net = filled(name, shared / "weights" / file)
    named = [Photo(p.pixels, p.label, {name: p.reference[name.replace("_v1", "v1")]}) for p in photos]
    require_reference(name, net, named, first, five)


def test_the_backbone_answers_as_its_reference(photos: list[Photo]) -> None:
    try:
        path = backbone_weights()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    require_reference(BACKBONE, filled(BACKBONE, path), photos, 76, 82)
