"""What is explained: a network that answers, and all that is known of its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.data.images import center
from striate.errors import StriateError, nearest
from striate.modules.fold import folded
from striate.modules.module import Net
from striate.net.layout.layout import Layout
from striate.predict.normalize import Feeder, Normalization
from striate.predict.published import Published
from striate.predict.trained import Trained
from striate.runs.folder import RunFolder

# Images that go through the network together, and values in all of them at most.
GROUP, MOST_VALUES = 32, 8_000_000


@dataclass(frozen=True, eq=False)
class Subject:
    """A network that is explained.

    name: of the run or the network.  run: whose training images are asked for, where there is one.
    """

    name: str
    net: Net
    preparation: Normalization
    classes: tuple[str, ...]
    device: torch.device
    run: RunFolder | None = None

    @property
    def layout(self) -> Layout:
        """Its layers and their shapes."""
        return self.net.layout

    @cached_property
    def feeder(self) -> Feeder:
        """What makes stored images what the network reads."""
        return Feeder(self.preparation, self.device)

    @cached_property
    def multiply_adds(self) -> int:
        """Of one forward pass."""
        return max(1, sum(each.layer.multiply_adds(each.input) for each in self.layout.layers(sides=False)))

    @cached_property
    def folded(self) -> Net:
        """The same network, its batch norms in the layers before them: quicker where only its answers are asked for."""
        return folded(self.net)

    @property
    def group(self) -> int:
        """Images that go through the network together."""
        return max(1, min(GROUP, MOST_VALUES // self.layout.input.elements))

    def read(self, stored: NDArray[Any]) -> Tensor:
        """Stored images N x H x W x C, of the stored size, as the network reads them: N x C x H x W."""
        return self.feeder.images(center(stored, self.preparation.size))

    def logits(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x classes, without a graph, a group at a time."""
        with torch.no_grad():
            return torch.cat([self.folded(some) for some in torch.split(x, self.group)])

    def label(self, name: str, option: str) -> int:
        """The place of a class by its name, or by its number.  Raises StriateError where there is none."""
        if name in self.classes:
            return self.classes.index(name)
        if name.isdecimal() and int(name) < len(self.classes):
            return int(name)
        shown = ", ".join(self.classes[:8]) + (", ..." if len(self.classes) > 8 else "")
        raise StriateError(
            f"the network has no class `{name}`",
            place=option,
            expected=f"one of {shown}",
            cure=f"{option} {nearest(name, self.classes) or self.classes[0]}",
        )


def subject_of(loaded: Trained | Published) -> Subject:
    """A run, or a network with published weights; where the names of its classes are not known they are numbers."""
    if isinstance(loaded, Published):
        classes = loaded.classes or tuple(map(str, range(loaded.count)))
        return Subject(loaded.name, loaded.net, loaded.preparation, classes, loaded.device)
    return Subject(
        str(loaded.run.path), loaded.net, loaded.preparation, loaded.classes, loaded.device, loaded.run
    )


@contextmanager
def left_as_it_was(net: nn.Module) -> Iterator[None]:
    """Inside, the network answers as at inference, gradients reach its input and none its weights.

    Afterwards its modes, `requires_grad` and gradients are what they were, and so is the random state.
    """
    modes = [(module, module.training) for module in net.modules()]
    wanted = [(weight, weight.requires_grad) for weight in net.parameters()]
    net.eval()
    for weight, _ in wanted:
        weight.requires_grad_(False)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight, wants in wanted:
            weight.requires_grad_(wants)


def outputs_at(
    net: Net, x: Tensor, paths: Sequence[str], *, inputs: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """The logits, and what each of the parts gives on the way; its input instead where `inputs` is true.

    x: N x C x H x W.  No hook stays.
    """
    found: dict[str, Tensor] = {}
    handles = []
    for path in dict.fromkeys(paths):

        def keep(_module: nn.Module, given: Any, output: Tensor, path: str = path) -> None:
            found[path] = given[0] if inputs else output

        handles.append(net.part(path).register_forward_hook(keep))
    try:
        logits = net(x)
    finally:
        for handle in handles:
            handle.remove()
    return logits, [found[path] for path in paths]


def as_array(values: Tensor) -> NDArray[np.float32]:
    """A tensor as float32 on the CPU, apart from its graph."""
    return values.detach().float().cpu().numpy().astype(np.float32)
