"""Muon against torch's own, and by hand."""

from __future__ import annotations

import torch

from striate.train.muon import Muon, orthogonal


def test_matrices_step_as_torch_steps_them() -> None:
    torch.manual_seed(0)
    ours = [torch.randn(6, 10, requires_grad=True), torch.randn(12, 5, requires_grad=True)]
    theirs = [weight.detach().clone().requires_grad_() for weight in ours]
    mine = Muon([{"params": ours, "weight_decay": 0.1}], lr=0.02, momentum=0.95)
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
        # Both go through bfloat16, ours in a batch.
        assert (a - b).abs().max() < 2e-3
        assert (a - b).abs().max() < 0.1 * (a - torch.zeros_like(a)).abs().max()


def test_a_convolution_steps_as_its_matrix() -> None:
    torch.manual_seed(0)
    kernel = torch.randn(8, 3, 3, 3, requires_grad=True)
    matrix = kernel.detach().reshape(8, 27).clone().requires_grad_()
    kernel.grad = torch.randn_like(kernel)
    matrix.grad = kernel.grad.reshape(8, 27).clone()
    for weight in (kernel, matrix):
        Muon([{"params": [weight]}], lr=0.1).step()
    assert torch.equal(kernel.reshape(8, 27), matrix)


def test_orthogonal_rows() -> None:
    """Singular values come near 1, whatever they were."""
    torch.manual_seed(0)
    matrices = torch.randn(3, 6, 20) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    values = torch.linalg.svdvals(orthogonal(matrices).float())
    assert values.min() > 0.5
    assert values.max() < 1.3
    tall = orthogonal(matrices.mT)
    assert tall.shape == (3, 20, 6)
    assert torch.linalg.svdvals(tall.float()).min() > 0.5


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
