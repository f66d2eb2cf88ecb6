"""A network whose first part is kept as it is: what it makes of all images is computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import nn

from striate.data.augment.batches import evaluation_batches
from striate.data.gather import Split
from striate.errors import RecipeError, ResourceError, nearest
from striate.modules.fold import folded_parts
from striate.modules.module import Net, build
from striate.net.layout.layout import Layout, Part, lay, layers_in
from striate.net.network import Flow, Network
from striate.net.shape import Map
from striate.predict.evaluate import autocast
from striate.predict.normalize import Feeder, Normalization
from striate.training.loop.memory import room_for
from striate.training.settings import UNLIMITED

# The label of the classifier in the networks of the zoo.
HEAD = "head"

# `freeze = body`: everything before the head.
BODY = "body"


def frozen_parts(layout: Layout, freeze: str) -> int:
    """How many parts of the main flow are kept: up to and with the one labelled `freeze`.

    freeze: a label of the main flow, or `body` for all before `head` (the last part where there is none).
    Raises RecipeError where there is no such label, or nothing would be left to train.
    """
    steps = layout.network.flow.steps
    labels = [step.label or "" for step in steps]
    weighty = [index for index, part in enumerate(layout.root.parts) if _has_weights(part)]
    if freeze in labels:
        count = labels.index(freeze) + 1
    elif freeze == BODY:
        # The last part that can be trained is what is left.
        count = labels.index(HEAD) if HEAD in labels else max([0, *weighty])
    else:
        raise RecipeError(
            f"the network has no part labelled `{freeze}`",
            place="freeze",
            expected="a label of its main flow, or body: " + ", ".join(label for label in labels if label),
            cure=nearest(freeze, [*labels, BODY]) or BODY,
        )
    if not 0 < count <= max([0, *weighty]):
        what = "nothing is left to train" if count else "there is nothing before it"
        raise RecipeError(
            f"with `{freeze}` frozen, {what}", place="freeze", expected="a label further forward"
        )
    return count


def _has_weights(part: Part) -> bool:
    return any(placed.layer.weights(placed.input) for placed in layers_in(part))


class Frozen:
    """A network in two: a body that is kept as it is, and a tail that is trained.

    net: the whole, with its weights.  count: how many of its parts are the body.
    tail: a network of its own that reads what the body gives; its weights begin as those of the whole.
    """

    def __init__(self, net: Net, count: int) -> None:
        self.net = net
        self.count = count
        flow = net.layout.network.flow
        shape = net.layout.root.parts[count - 1].output
        self.shape = shape if isinstance(shape, Map) else Map(shape.features, 1, 1)
        rest = Network(Flow(flow.steps[count:]), net.layout.network.defines, net.layout.network.source)
        self.tail = build(lay(rest, self.shape, net.layout.classes))
        self.part(net)

    @cached_property
    def body(self) -> nn.Sequential:
        """What is kept as it is, its norms folded; three quarters of the time without."""
        return folded_parts(list(self.net.children())[: self.count])

    def part(self, net: Net) -> Net:
        """The tail with the weights of a whole network."""
        for ours, theirs in zip(self.tail.children(), list(net.children())[self.count :], strict=True):
            ours.load_state_dict(theirs.state_dict())
        return self.tail

    def whole(self, tail: Net) -> Net:
        """The whole network with the weights of a tail."""
        for ours, theirs in zip(tail.children(), list(self.net.children())[self.count :], strict=True):
            theirs.load_state_dict(ours.state_dict())
        return self.net

    def require_room(self, count: int, memory_bytes: int, device: torch.device) -> None:
        """Raise ResourceError where what the body makes of so many images does not fit.

        memory_bytes: the limit of the recipe, or UNLIMITED.
        device: that of the network; the features lie in the memory of the process.
        """
        # The recipe's limit is of the device.
        limit = memory_bytes if device.type == "cpu" else UNLIMITED
        needed = 4 * count * self.shape.elements
        room = room_for(limit, torch.device("cpu"))
        if needed > 0.7 * room.bytes:
            raise ResourceError(
                f"what the frozen part gives for {count:,} images takes {needed / 1e9:.1f} GB",
                place="freeze",
                expected=f"less than the {room.bytes / 1e9:.1f} GB that are {'left' if room.own else 'free'}",
                cure=("more --memory, or " if room.own else "")
                + "freeze a later label, where the maps are smaller",
            )

    def features(
        self,
        split: Split,
        feeder: Feeder,
        size: tuple[int, int],
        precision: str,
        advance: Callable[[int], None],
    ) -> Split:
        """What the body makes of the middle of each image, as a split of float32 N x H x W x C."""
        count = len(split.labels)
        found = np.empty((count, self.shape.height, self.shape.width, self.shape.channels), dtype=np.float32)
        with torch.inference_mode(), autocast(feeder.device, precision):
            for some in evaluation_batches(split.images, split.labels, size, 64):
                x = self.body(feeder.images(some.images))
                x = x.float().reshape(len(some.index), *self.shape)
                found[some.index] = x.permute(0, 2, 3, 1).cpu().numpy()
                advance(len(some.index))
        return replace(split, images=found)

    def feeder(self, device: torch.device) -> Feeder:
        """Hands features to the tail as they are."""
        channels = self.shape.channels
        size = (self.shape.height, self.shape.width)
        plain = Normalization(size, size, channels, (0.0,) * channels, (1.0,) * channels, "float32")
        return Feeder(plain, device)


class Thaw:
    """Lets the frozen parts of a network train again, from the last to the first, at lower rates.

    count: how many of its parts were frozen; with 0 all of it trains, always.

    The epochs are cut in as many stages as there are groups of parts, three at most; in each stage one more
    group trains, at a third of the rate of the group behind it.  Batch norms of parts that are still frozen
    keep their running statistics.

    Source: Howard and Ruder 2018 (ULMFiT), sections 3.2 and 3.3.
    """

    STAGES = 3

    def __init__(self, net: Net, count: int, epochs: int) -> None:
        self.net = net
        parts = list(net.children())
        body = [part for part in parts[:count] if next(part.parameters(), None) is not None]
        stages = min(self.STAGES, len(body), epochs)
        # The groups of the body from the last to the first.
        self.groups = (
            [list(group) for group in np.array_split(np.arange(len(body)), stages)][::-1] if stages else []
        )
        self.body = body
        self.tail = parts[count:]
        self.epochs = epochs

    def lr_multipliers(self) -> list[tuple[nn.Module, float]]:
        """Each module and what its learning rate is multiplied with."""
        found = [(part, 1.0) for part in self.tail]
        for depth, group in enumerate(self.groups):
            found += [(self.body[i], 3.0 ** -(depth + 1)) for i in group]
        return found

    def set_epoch(self, epoch: int) -> None:
        """Set what trains in an epoch of this stage, counted from 0."""
        self.net.train()
        stage = min(epoch * len(self.groups) // self.epochs, len(self.groups) - 1) if self.groups else 0
        for depth, group in enumerate(self.groups):
            for i in group:
                self.body[i].requires_grad_(depth <= stage)
                self.body[i].train(depth <= stage)
