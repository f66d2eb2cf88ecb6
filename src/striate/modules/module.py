"""A layout as an ordinary torch.nn.Module."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from striate.modules.layer import ReLU, build_layer
from striate.modules.norm_activation import through
from striate.net.layers.convolution import Conv
from striate.net.layers.linear import Fc
from striate.net.layers.normalization import BatchNorm
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side
from striate.net.plan.drawing import notebook_drawing
from striate.net.plan.table import plan

# Attributes of the modules below, over and above those of every module.
_OWN = ("_repr_html_", "layout", "auxiliary_logits", "part", "weight", "_found")


class SideLogits(list[tuple[float, Tensor]]):
    """The weight and the logits of each auxiliary classifier, in the order in which they ran.

    A copy of it is empty: logits belong to the graph of one step, which cannot be copied.
    """

    def __deepcopy__(self, memo: dict[int, object]) -> SideLogits:
        return SideLogits()


class Net(nn.Module):
    """A network that was built from a text.

    It answers logits, N x classes.  The parameters are named by the labels and places of the text, as in
    `stem.0.weight` (see `module_name` for the few labels that torch does not allow).  Where the text has
    auxiliary classifiers, they run in training only, and `auxiliary_logits` then holds their weights and logits of
    the last forward pass, for the loss.

    Shapes: N x C x H x W -> N x classes.
    """

    def __init__(self, layout: Layout, *, logits: bool) -> None:
        super().__init__()
        self.layout = layout
        self.auxiliary_logits = SideLogits()
        _add(self, _modules(layout.root, self.auxiliary_logits, logits=logits))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x classes."""
        self.auxiliary_logits.clear()
        return _flat(_through(self, x))

    def _repr_html_(self) -> str:
        """Its drawing, in a notebook."""
        return notebook_drawing(self.layout, plan(self.layout).nodes)

    def part(self, path: str) -> nn.Module:
        """The module of a label or path such as `stage1.0`; raises KeyError where there is none."""
        module: nn.Module = self
        for label in path.split("."):
            child = module._modules[module_name(label)]
            assert child is not None
            module = child
        return module


class Sequence(nn.Module):
    """Modules one behind the other.  Shapes: those of its parts."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        _add(self, modules)

    def forward(self, x: Tensor) -> Tensor:
        """Through every part in order."""
        return _through(self, x)


class Add(nn.Module):
    """The sum of all branches.  Shapes: that of each branch."""

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        _add(self, branches)

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
        _add(self, branches)

    def forward(self, x: Tensor) -> Tensor:
        """The same input through every branch, concatenated."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class SideClassifier(nn.Module):
    """A classifier beside the main path, in training only; it hands its input on unchanged."""

    def __init__(self, modules: Mapping[str, nn.Module], weight: float, found: SideLogits) -> None:
        super().__init__()
        self.weight = weight
        self._found = found
        _add(self, modules)

    def forward(self, x: Tensor) -> Tensor:
        """The input; in training its logits go to the list that the network shares with it."""
        if self.training:
            self._found.append((self.weight, _flat(_through(self, x))))
        return x


def build(layout: Layout, *, logits: bool = True) -> Net:
    """The module of a laid-out network, with torch's own first weights (see `initialize`).

    logits: leave out a closing `softmax`, as the cross-entropy loss wants.
    """
    return Net(layout, logits=logits)


def set_in_place(net: nn.Module, allowed: bool) -> None:
    """Let activations write over their inputs where nothing else reads those, which spares memory, or not.

    Where they do, torch refuses a full backward hook on them and on the layers before them.
    """
    for module in net.modules():
        if isinstance(module, ReLU):
            module.inplace = allowed and module.may_overwrite


def module_name(label: str) -> str:
    """The name of the module that a label names: the label itself, but `type_` for `type`.

    A label that is an attribute of the modules here, with or without underlines behind, gets one more, so
    that two labels never share a name.
    """
    return f"{label}_" if label.rstrip("_") in _taken() else label


@cache
def _taken() -> frozenset[str]:
    """Names that torch's tools, `torch.export` for one, could not tell from a module's own attributes."""
    return frozenset(name.rstrip("_") for name in (*dir(nn.Module()), *_OWN))


def _add(module: nn.Module, children: Mapping[str, nn.Module]) -> None:
    for label, child in children.items():
        module.add_module(module_name(label), child)


def _through(module: nn.Module, x: Tensor) -> Tensor:
    return through(module.children(), x)


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1) if x.ndim > 2 else x


def _modules(chain: Chain, found: SideLogits, *, logits: bool = False) -> dict[str, nn.Module]:
    """The modules of a chain by label or place.  `logits`: without a closing softmax."""
    parts = chain.before_softmax() if logits else chain.parts
    modules: dict[str, nn.Module] = {}
    for index, part in enumerate(parts):
        last = logits and index == len(parts) - 1
        before = parts[index - 1] if index else None
        modules[part.path.rsplit(".", 1)[-1]] = _module(part, before, found, logits=last)
    return modules


def _module(part: Part, before: Part | None, found: SideLogits, *, logits: bool) -> nn.Module:
    if isinstance(part, Placed):
        return build_layer(part, may_overwrite=_may_overwrite(before))
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
