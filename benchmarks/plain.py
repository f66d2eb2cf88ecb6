"""A laid-out network in torch.nn's own modules, layer by layer, with nothing that striate's builder adds.

What a reader of a tutorial would write for the same text; only the words that networks for small images use.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.net.layers import activation, convolution, dropout, linear, pooling
from striate.net.layers import normalization as normalization
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed
from striate.net.shape import Map


class Together(nn.Module):
    """Branches that read the same input, added or concatenated."""

    def __init__(self, kind: str, branches: list[nn.Module]) -> None:
        super().__init__()
        self.kind = kind
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """The same input through every branch."""
        answers = [branch(x) for branch in self.branches]
        return sum(answers[1:], answers[0]) if self.kind == "add" else torch.cat(answers, dim=1)


def plain(layout: Layout) -> nn.Module:
    """The network.  Raises NotImplementedError for a word that is not known here."""
    return nn.Sequential(_part(layout.root), nn.Flatten())


def _part(part: Part) -> nn.Module:
    if isinstance(part, Placed):
        return _layer(part)
    if isinstance(part, Chain):
        return nn.Sequential(*(_part(each) for each in part.parts))
    if isinstance(part, Join):
        return Together(part.kind, [_part(chain) for chain in part.chains])
    raise NotImplementedError("auxiliary classifiers")


def _layer(placed: Placed) -> nn.Module:
    shape = placed.input
    match placed.layer:
        case convolution.Conv() as conv:
            rows, columns = conv.axes(shape)
            around = (columns.before, columns.after, rows.before, rows.after)
            made = nn.Conv2d(
                shape.channels, conv.channels, _pair(conv.kernel), _pair(conv.stride),
                dilation=_pair(conv.dilate), groups=conv.groups, bias=not conv.nobias,
                padding=(rows.before, columns.before) if _even(around) else 0,
            )  # fmt: skip
            return made if _even(around) else nn.Sequential(nn.ZeroPad2d(around), made)
        case pooling.MaxPool() | pooling.AvgPool() as pool:
            rows, columns = pool.axes(shape)
            given = (_pair(pool.kernel), (rows.stride, columns.stride), (rows.before, columns.before))
            if isinstance(pool, pooling.MaxPool):
                return nn.MaxPool2d(*given, ceil_mode=pool.ceil)
            return nn.AvgPool2d(*given, ceil_mode=pool.ceil, count_include_pad=False)
        case convolution.Whiten(channels=channels, kernel=kernel, stride=stride):
            whitening = nn.Conv2d(shape.channels, channels, _pair(kernel), _pair(stride))
            whitening.weight.requires_grad_(False)
            return whitening
        case pooling.Pool(kind=kind, grid=grid):
            return (nn.AdaptiveAvgPool2d if kind == "avg" else nn.AdaptiveMaxPool2d)(_pair(grid))
        case normalization.BatchNorm(eps=eps, momentum=momentum, nogamma=nogamma):
            made_of = nn.BatchNorm2d if isinstance(shape, Map) else nn.BatchNorm1d
            norm = made_of(shape.channels, eps=eps, momentum=momentum)
            norm.weight.requires_grad_(not nogamma)
            return norm
        case linear.Fc(features=features, nobias=nobias):
            return nn.Sequential(nn.Flatten(), nn.Linear(shape.elements, features, bias=not nobias))
        case linear.Flatten():
            return nn.Flatten()
        case linear.Identity() | linear.Softmax():
            return nn.Identity()
        case linear.Widen(channels=channels):
            before, behind = (channels - shape.channels) // 2, -(-(channels - shape.channels) // 2)
            return nn.ConstantPad3d((0, 0, 0, 0, before, behind), 0.0)
        case dropout.Dropout(share=share):
            return nn.Dropout(share)
        case activation.Relu():
            return nn.ReLU()
        case activation.Gelu():
            return nn.GELU()
        case activation.Silu():
            return nn.SiLU()
    raise NotImplementedError(f"`{placed.layer.word}` has no plain module here; write it down in plain.py")


def _pair(size: object) -> tuple[int, int]:
    return size.height, size.width  # type: ignore[attr-defined, no-any-return]


def _even(around: tuple[int, int, int, int]) -> bool:
    return around[0] == around[1] and around[2] == around[3]
