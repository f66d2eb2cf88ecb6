"""Layers that scale: norm over channels, a trained factor a channel, stochastic depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of each place.

    y = (x - mean over c) / sqrt(var over c + eps) * weight[c] + bias[c]

    Shapes: N x C x H x W or N x C -> the same.  Source: Ba, Kiros and Hinton 2016; Liu et al. 2022.
    """

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x ... -> the same."""
        if x.ndim == 2:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        last = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return last.permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{self.weight.shape[0]}, eps={self.eps}"


class ChannelScale(nn.Module):
    """One trained factor a channel, begun at `start`.  N x C x ... -> the same.

    Source: Touvron et al. 2021, section 2.
    """

    def __init__(self, channels: int, *, start: float) -> None:
        super().__init__()
        self.start = start
        self.weight = nn.Parameter(torch.full((channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x ... -> the same."""
        return x * self.weight.reshape(-1, *(1,) * (x.ndim - 2))

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{self.weight.shape[0]}, start={self.start}"


class DropPath(nn.Module):
    """Whole images set to 0 with probability `share` in training, the rest divided by 1 - share.

    Shapes: N x ... -> the same.  Source: Huang et al. 2016.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """N x ... -> the same."""
        if not self.training or self.share == 0:
            return x
        kept = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.share)
        return x * kept.div_(1 - self.share)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{self.share}"
