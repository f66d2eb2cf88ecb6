"""Which first weights suit each layer, told by the activation behind it."""

from __future__ import annotations

from striate.spec.layer import Layer
from striate.spec.layout import Chain, Join, Layout, Part, Placed, Side
from striate.spec.normalisation import BatchNorm, LayerNorm, LocalResponseNorm, Scale
from striate.spec.pooling import AvgPool, DepthPool, MaxPool, Pool

_RECTIFIERS = {"relu", "relu6", "leaky", "prelu", "elu", "gelu", "silu", "maxout"}
_TRANSPARENT = (BatchNorm, LayerNorm, LocalResponseNorm, Scale, MaxPool, AvgPool, Pool, DepthPool)
_HANDED_ON = ("dropout", "dropout2d", "droppath", "flatten", "identity", "widen")


def suited_initials(layout: Layout) -> dict[str, str]:
    """`he` or `xavier` for each layer with a matrix of weights, by path.

    `he` before relu and its kin, and where a layer's output is summed or read linearly by the next one;
    `xavier` before tanh, sigmoid and the loss.  Source: Glorot and Bengio 2010; He et al. 2015.
    """
    chosen: dict[str, str] = {}
    waiting: list[str] = []
    for placed in layout.layers():
        if placed.layer.word in ("conv", "local", "fc"):
            chosen.update(dict.fromkeys(waiting, "he"))
            waiting = [placed.path]
        elif placed.layer.word in _RECTIFIERS:
            chosen.update(dict.fromkeys(waiting, "he"))
            waiting = []
        elif not _hands_on(placed.layer):
            chosen.update(dict.fromkeys(waiting, "xavier"))
            waiting = []
    chosen.update(dict.fromkeys(waiting, "xavier"))
    return chosen


def last_norms(layout: Layout) -> list[str]:
    """Paths of the bn that ends the deepest branch of each `add`: the residual branch, not the shortcut."""
    found: list[str] = []
    _collect(layout.root, found)
    return found


def _collect(part: Part, found: list[str]) -> None:
    if isinstance(part, Chain):
        for each in part.parts:
            _collect(each, found)
    elif isinstance(part, Side):
        _collect(part.chain, found)
    elif isinstance(part, Join):
        for chain in part.chains:
            _collect(chain, found)
        if part.kind == "add":
            deepest = max(part.chains, key=lambda chain: len(chain.parts))
            last = deepest.parts[-1]
            if isinstance(last, Placed) and isinstance(last.layer, BatchNorm) and len(deepest.parts) > 2:
                found.append(last.path)


def _hands_on(layer: Layer) -> bool:
    """Whether what comes behind the layer decides: norms, pools, dropouts and flatten."""
    return isinstance(layer, _TRANSPARENT) or layer.word in _HANDED_ON
