"""Networks as they are after a training, and how far two answer alike."""

from __future__ import annotations

import torch
from torch import nn

from striate.modules.module import Net


def lived(net: Net) -> Net:
    """With norms whose statistics and factors are not those of the first step."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
                if isinstance(module.weight, nn.Parameter):
                    module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(generator=generator)
    return net.eval()


def off(net: nn.Module, other: nn.Module, x: torch.Tensor) -> float:
    """The largest difference as a share of the largest answer."""
    with torch.inference_mode():
        wanted, found = net(x), other(x)
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))
