"""A layout as an ordinary torch.nn.Module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from striate.build.layer import build_layer
from striate.spec.convolution import Conv
from striate.spec.layout import Chain, Join, Layout, Part, Placed, Side
from striate.spec.linear import Fc, Softmax
from striate.spec.normalisation import BatchNorm

# The weight and the logits of each side classifier, in the order in which they ran.
SideLogits = list[tuple[float, Tensor]]


class Net(nn.Module):
    """A network that was built from a text.

    It answers logits, N x classes.  The parameters are named by the labels and places of the text, as in
    `stem.0.weight`.  Where the text has side classifiers, they run in training only, and `side_logits`
    then holds their weights and logits of the last forward pass, for the loss.

    Shapes: N x C x H x W -> N x classes.
    """

    def __init__(self, layout: Layout, *, logits: bool) -> None:
        super().__init__()
        self.layout = layout
        self.side_logits: SideLogits = []
        for name, module in _modules(layout.root, self.side_logits, logits=logits).items():
            # Not add_module: it refuses labels such as `type` that are attributes of a module.
            self._modules[name] = module

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x classes."""
        self.side_logits.clear()
        return _flat(_through(self, x))

    def part(self, path: str) -> nn.Module:
        """The module of a label or path such as `stage1.0`; raises KeyError where there is none."""
        module: nn.Module = self
        for name in path.split("."):
            child = module._modules[name]
            assert child is not None
            module = child
        return module


class Sequence(nn.Module):
    """Modules one behind the other.  Shapes: those of its parts."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._modules.update(modules)

    def forward(self, x: Tensor) -> Tensor:
        """Through every part in order."""
        return _through(self, x)


class Add(nn.Module):
    """The sum of all branches.  Shapes: that of each branch."""

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._modules.update(branches)

    def forward(self, x: Tensor) -> Tensor:
        """The same input through every branch, added."""
        total: Tensor | None = None
        for branch in self.children():
            total = branch(x) if total is None else total + branch(x)
        assert total is not None
        return total


class Concat(nn.Module):
    """All branches one behind the other by channel."""

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._modules.update(branches)

    def forward(self, x: Tensor) -> Tensor:
        """The same input through every branch, concatenated."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class SideClassifier(nn.Module):
    """A classifier beside the main path, in training only; it hands its input on unchanged."""

    def __init__(self, modules: dict[str, nn.Module], weight: float, found: SideLogits) -> None:
        super().__init__()
        self._modules.update(modules)
        self.weight = weight
        self._found = found

    def forward(self, x: Tensor) -> Tensor:
        """The input; in training its logits go to the list that the network shares with it."""
        if self.training:
            self._found.append((self.weight, _flat(_through(self, x))))
        return x


def build(layout: Layout, *, logits: bool = True) -> Net:
    """The module of a laid-out network, with torch's own first weights (see `initialise`).

    logits: leave out a closing `softmax`, as the cross-entropy loss wants.
    """
    return Net(layout, logits=logits)


def _through(module: nn.Module, x: Tensor) -> Tensor:
    for child in module.children():
        x = child(x)
    return x


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1) if x.ndim > 2 else x


def _modules(chain: Chain, found: SideLogits, *, logits: bool = False) -> dict[str, nn.Module]:
    """The modules of a chain by name.  `logits`: without a closing softmax."""
    parts = list(chain.parts)
    if logits and parts and isinstance(parts[-1], Placed) and isinstance(parts[-1].layer, Softmax):
        parts.pop()
    modules: dict[str, nn.Module] = {}
    for index, part in enumerate(parts):
        last = logits and index == len(parts) - 1
        before = parts[index - 1] if index else None
        modules[part.path.rsplit(".", 1)[-1]] = _module(part, before, found, logits=last)
    return modules


def _module(part: Part, before: Part | None, found: SideLogits, *, logits: bool) -> nn.Module:
    if isinstance(part, Placed):
        return build_layer(part, in_place=_may_overwrite(before))
    if isinstance(part, Chain):
        return Sequence(_modules(part, found, logits=logits))
    if isinstance(part, Side):
        return SideClassifier(_modules(part.chain, found, logits=True), part.weight, found)
    branches = {chain.path.rsplit(".", 1)[-1]: Sequence(_modules(chain, found)) for chain in part.chains}
    return Add(branches) if part.kind == "add" else Concat(branches)


def _may_overwrite(before: Part | None) -> bool:
    """Whether an activation may write over its input: nothing else reads what these layers give."""
    if isinstance(before, Placed):
        return isinstance(before.layer, Conv | Fc | BatchNorm)
    return isinstance(before, Join)
