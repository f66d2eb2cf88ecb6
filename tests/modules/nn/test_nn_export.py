"""A network of every word, exported to ONNX, answers there what it answers here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from striate.modules.module import Net, build
from striate.net.layers.words import WORDS
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

IMAGE = Map(3, 13, 12)

# Labels that torch does not allow as they are, uneven padding and grids, and every word.
EVERY_WORD = """
let block(n) = add { identity | conv n 3x3 dilate 2 groups 8 -> scale 0.5 -> droppath 0.2 };
stem: [whiten 8 -> conv 8 3x3 -> bn -> relu -> filter sharpen -> relu6]
-> type: local 6 3x3 groups 2 -> leaky 0.1 -> conv 8 3x3 stride 2 same -> prelu -> lrn 3
-> maxpool 2 stride 1 pad 1 ceil -> elu -> avgpool 3 stride 2 ceil -> gelu
-> forward: block(8) -> silu -> aux { pool avg -> fc classes }
-> concat { grey | ln -> local 7 2x2 same stride 1 } -> widen 12 -> depthpool max 2 -> maxout 2 -> dropout2d
-> tanh -> pool max 3x2 -> pool avg 2 -> add { identity | sigmoid -> softmax } -> depthpool avg 1 -> flatten
-> dropout -> down-2: fc 8 -> bn -> identity -> head: fc classes
"""


def settled(text: str) -> Net:
    """The network with drawn weights and the running statistics of some batches."""
    net = build(lay(read_text(text), IMAGE, 5)).train()
    with torch.no_grad():
        for _ in range(20):
            net(torch.randn(8, *IMAGE))
    return net.eval()


def exported(net: Net, path: Path) -> Path:
    sizes = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(
        net, (torch.randn(2, *IMAGE),), dynamo=True, dynamic_shapes=sizes, verbose=False
    )
    assert program is not None
    program.save(str(path))
    return path


def require_same(net: Net, path: Path, images: Tensor) -> None:
    """Fail unless onnxruntime's logits are torch's to 1e-5, and not all alike."""
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        expected = net(images).numpy()
    assert expected.std(0).min() > 0.005
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_every_word(tmp_path: Path) -> None:
    net = settled(EVERY_WORD)
    assert {placed.layer.word for placed in net.layout.layers()} == set(WORDS)
    path = exported(net, tmp_path / "net.onnx")
    for batch in (2, 5):
        require_same(net, path, torch.randn(batch, *IMAGE))
    # A network that differs a little is told apart.
    with torch.no_grad():
        net.part("type").weight.mul_(1.01)  # type: ignore[operator]
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        require_same(net, path, torch.randn(5, *IMAGE))


@pytest.mark.parametrize("pool", ["pool max", "pool max 5x7", "pool avg", "pool avg 5x7"])
def test_pools_to_any_grid(pool: str, tmp_path: Path) -> None:
    net = settled(f"conv 4 3x3 -> {pool} -> fc classes")
    require_same(net, exported(net, tmp_path / "net.onnx"), torch.randn(3, *IMAGE))
