"""A convolution whose windows decorrelate the patches that it reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Added to each eigenvalue, as a share of their mean: directions that hold noise alone stay small.
EPSILON = 5e-4

# So many patches tell the directions, of 16 images at least.
PATCHES, FEWEST = 200_000, 16


class WhiteningConv2d(nn.Module):
    """Fixed windows v[k] / sqrt(l[k] + e) with both signs, and trained biases.

    v[k], l[k]: eigenvectors and eigenvalues of the mean of p p' over patches p, the largest first
    Shapes: N x C x H x W -> N x O x H' x W', O even.  Until `fit` the windows are the unit directions.
    Source: Coates and Ng 2012; Jordan 2024, section 3.2.
    """

    weight: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel: tuple[int, int], stride: tuple[int, int]
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        numbers = in_channels * kernel[0] * kernel[1]
        directions = torch.eye(numbers)[: out_channels // 2]
        self.register_buffer("weight", _both_signs(directions).reshape(out_channels, in_channels, *kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x O x H' x W'."""
        return F.conv2d(x, self.weight, self.bias, self.stride)

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Measure the patches of x, N x C x H x W, and set the windows; of many images the first suffice."""
        places = F.unfold(x[:1].float(), self.kernel, stride=self.stride).shape[2]
        some = x[: max(FEWEST, PATCHES // places)].float()
        patches = F.unfold(some, self.kernel, stride=self.stride)
        patches = patches.transpose(1, 2).reshape(-1, patches.shape[1]).double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        # eigh gives the smallest first, and each vector with a sign that nothing decides.
        values, vectors = values.flip(0).clamp(min=0), vectors.T.flip(0)
        largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
        epsilon = EPSILON * values.mean().clamp(min=1e-12)
        directions = vectors * largest.sign() / (values + epsilon).sqrt()[:, None]
        kept = _both_signs(directions[: len(self.weight) // 2])
        self.weight.copy_(kept.reshape(self.weight.shape))

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, {self.kernel}, stride={self.stride}"


def _both_signs(directions: Tensor) -> Tensor:
    """K x n -> 2K x n: each direction, and behind it the opposite one."""
    return torch.stack([directions, -directions], dim=1).flatten(0, 1)
