"""Which first weights suit each layer, told by the activation behind it."""

from __future__ import annotations

from striate.net.layers.normalization import BatchNorm
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side

_MATRICES = {"conv", "local", "fc"}
_RECTIFIERS = {"relu", "relu6", "leaky", "prelu", "elu", "gelu", "silu", "maxout"}
_SATURATING = {"sigmoid", "tanh", "softmax"}


def default_initials(layout: Layout) -> dict[str, str]:
    """`he` or `xavier` for each layer with a matrix of weights, by path, in the order of the text.

    `he` before relu and its kin, and where the next matrix reads a layer's output linearly; `xavier`
    before tanh, sigmoid and the loss.  Norms, pools, dropouts and all else hand the question on to what
    stands behind them.  Source: Glorot and Bengio 2010; He et al. 2015.
    """
    chosen: dict[str, str] = {}
    _suit(layout.root, "xavier", chosen)
    return {placed.path: chosen[placed.path] for placed in layout.layers() if placed.path in chosen}


def _suit(part: Part, behind: str, chosen: dict[str, str]) -> str:
    """Choose for a part whose output meets what `behind` suits; the word for what its input meets."""
    if isinstance(part, Placed):
        word = part.layer.word
        if word in _MATRICES:
            chosen[part.path] = behind
            return "he"
        return "he" if word in _RECTIFIERS else "xavier" if word in _SATURATING else behind
    if isinstance(part, Side):
        _suit(part.chain, "xavier", chosen)
        return behind
    if isinstance(part, Join):
        met = {_suit(chain, behind, chosen) for chain in part.chains}
        return "he" if "he" in met else "xavier"
    for each in reversed(part.parts):
        behind = _suit(each, behind, chosen)
    return behind


def heads(layout: Layout) -> list[str]:
    """Paths of the last layer with a matrix of the network, and of each auxiliary classifier."""
    last = {side: placed.path for placed, side in layout.places() if placed.layer.word in _MATRICES}
    return list(last.values())


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
        deepest = max(part.chains, key=_depth)
        last: Part = deepest
        while isinstance(last, Chain):
            last = last.parts[-1]
        norm = isinstance(last, Placed) and isinstance(last.layer, BatchNorm) and not last.layer.nogamma
        # Of two layers or fewer it is a shortcut, `conv 64 1x1 stride 2 -> bn`.
        if norm and part.kind == "add" and _depth(deepest) > 2:
            found.append(last.path)


def _depth(part: Part) -> int:
    """Layers one behind the other on the longest way through a part."""
    if isinstance(part, Placed):
        return 1
    if isinstance(part, Chain):
        return sum(_depth(each) for each in part.parts)
    return 0 if isinstance(part, Side) else max(_depth(chain) for chain in part.chains)
