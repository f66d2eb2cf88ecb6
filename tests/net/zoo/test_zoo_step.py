"""Every network of the zoo takes a training step."""

from __future__ import annotations

import resource
import sys

import pytest
import torch
from torch.nn import functional as F

import striate
from striate.net.zoo.list import ZOO, ZooNet

# The smallest side that a network with large windows still fits.
SMALLEST = {"alexnet": 63, "alexnet_2012": 127, "lenet5": 28, "lenet5_1998": 32}


# Their family has a smaller one that is always run.
LARGE = ("vgg11", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "resnet101", "resnet152")


@pytest.mark.parametrize(
    "known",
    [pytest.param(net, marks=pytest.mark.slow if net.name in LARGE else (), id=net.name) for net in ZOO],
)
def test_training_step_lowers_the_loss(known: ZooNet) -> None:
    torch.manual_seed(0)
    side = SMALLEST.get(known.name, min(known.input[1], 64))
    net = striate.read(known.name).build((known.input[0], side, side), classes=4)
    x = torch.randn(4, known.input[0], side, side)
    labels = torch.arange(4)

    def loss() -> torch.Tensor:
        # Dropout off and batch statistics on: what one step changes is the weights alone.
        for module in net.modules():
            if "Drop" in type(module).__name__:
                module.eval()
        total = F.cross_entropy(net(x), labels)
        for weight, auxiliary_logits in net.auxiliary_logits:
            total = total + weight * F.cross_entropy(auxiliary_logits, labels)
        return total

    before = loss()
    before.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    length = torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None])
    with torch.no_grad():
        for p in net.parameters():
            p.sub_(p.grad * (1e-3 / length))
    assert loss().item() < before.item()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux counts it")
def test_resnet152_steps_at_224_within_memory() -> None:
    net = striate.read("resnet152").build((3, 224, 224), classes=1000)
    planned = striate.read("resnet152").plan((3, 224, 224), 1000, batch=4, optimizer="sgd").step.total
    F.cross_entropy(net(torch.randn(4, 3, 224, 224)), torch.arange(4)).backward()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert planned < peak < planned + 3e9
