"""Muon against torch's own, and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from striate.training.step.muon import Muon, orthogonal


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_matrices_step_as_torch_steps_them(precision: str) -> None:
    torch.manual_seed(0)
    ours = [torch.randn(6, 10, requires_grad=True), torch.randn(12, 5, requires_grad=True)]
    theirs = [weight.detach().clone().requires_grad_() for weight in ours]
    mine = Muon([{"params": ours, "weight_decay": 0.1}], lr=0.02, momentum=0.95, precision=precision)
    torchs = torch.optim.Muon(
        theirs, lr=0.02, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    for seed in range(3):
        torch.manual_seed(seed)
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        mine.step()
        torchs.step()
    for a, b in zip(ours, theirs, strict=True):
        # Torch's go through bfloat16, ours in a batch where they do.
        assert (a - b).abs().max() < 2e-3
        assert (a - b).abs().max() < 0.1 * (a - torch.zeros_like(a)).abs().max()


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_steps_as_its_matrix(memory: torch.memory_format) -> None:
    """Whatever lies beside it, and in whatever order it lies in memory."""
    torch.manual_seed(0)
    first = torch.randn(8, 3, 3, 3)
    others = [torch.randn(shape, requires_grad=True) for shape in ((8, 4, 3, 3), (20, 8), (8, 8, 1, 1))]
    kernel = first.clone(memory_format=memory).requires_grad_()
    matrix = first.reshape(8, 27).clone().requires_grad_()
    kernel.grad = torch.randn_like(kernel)
    matrix.grad = kernel.grad.reshape(8, 27).clone()
    for other in others:
        other.grad = torch.randn_like(other)
    Muon([{"params": [*others, kernel]}], lr=0.1).step()
    Muon([{"params": [matrix]}], lr=0.1).step()
    torch.testing.assert_close(kernel.reshape(8, 27), matrix, atol=1e-5, rtol=1e-5)
    assert kernel.is_contiguous(memory_format=memory)
    assert (kernel - first).abs().max() > 0.01


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_orthogonal_rows(precision: str) -> None:
    """Singular values come near 1, whatever they were; those of a flat matrix stay zero."""
    torch.manual_seed(0)
    matrices = [scale * torch.randn(6, 20) for scale in (1e-3, 1.0, 1e3)]
    for made in orthogonal(matrices, precision):
        values = torch.linalg.svdvals(made.float())
        assert values.min() > 0.5
        assert values.max() < 1.3
    for tall in orthogonal([matrix.mT for matrix in matrices], precision):
        assert tall.shape == (20, 6)
        assert torch.linalg.svdvals(tall.float()).min() > 0.5
    (nothing,) = orthogonal([torch.zeros(6, 20)], precision)
    assert not nothing.any()


def exact(matrix: Tensor) -> Tensor:
    """The iterations as Jordan writes them, in float64."""
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", [(16, 16), (32, 288), (200, 250)])
@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-6, 0.0])
def test_the_small_space_gives_the_same(shape: tuple[int, int], smallest: float) -> None:
    """Also where singular values lie far apart, or some are nothing."""
    torch.manual_seed(0)
    rows = shape[0]
    u, _, v = torch.linalg.svd(torch.randn(shape, dtype=torch.float64), full_matrices=False)
    values = torch.linspace(1, smallest, rows, dtype=torch.float64) ** 3
    matrix = ((u * values) @ v).float()
    (made,) = orthogonal([matrix], "fp32")
    assert made.dtype == torch.float32
    # Values below 1e-4 of the length are rounding, in a gradient as well as here.
    assert (made - exact(matrix)).abs().max() < 2e-3
    (rough,) = orthogonal([matrix], "bf16")
    assert (rough.float() - exact(matrix)).abs().max() > 1e-3


def test_biases_step_as_adam_steps_them() -> None:
    torch.manual_seed(0)
    ours = torch.randn(7, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    mine = Muon([{"params": [ours], "weight_decay": 0.0}], lr=0.01, momentum=0.9)
    adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.999))
    for _ in range(5):
        ours.grad = torch.randn(7)
        theirs.grad = ours.grad.clone()
        mine.step()
        adam.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_what_has_no_gradient_stays() -> None:
    weight = torch.ones(3, 3, requires_grad=True)
    Muon([{"params": [weight], "weight_decay": 0.5}], lr=0.1).step()
    assert torch.equal(weight, torch.ones(3, 3))
