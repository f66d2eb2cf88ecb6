"""A network of which runs of steps keep their input only and are recomputed in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from striate.modules.module import Net
from striate.modules.module import Sequence as Bracket
from striate.modules.norm_activation import one_tensor, through


def main_flow(module: nn.Module) -> Iterator[nn.Module]:
    """The modules of the main flow in order, brackets opened; as striate.net.plan.tape.steps has the parts."""
    for child in module.children():
        if isinstance(child, Bracket):
            yield from main_flow(child)
        else:
            yield child


def forward_again(net: Net, x: Tensor, again: Sequence[tuple[int, int]], *, pairs: bool) -> Tensor:
    """The logits of `net`, as it gives them itself; N x C x H x W -> N x classes.

    again: the first and the last step of each run that keeps its input only, counted along the main flow.
    In the backward pass such a run goes forward once more, with the random numbers of the first time;
    running statistics change once.  Gradients are equal to the bit.
    pairs: what is kept is kept by one tensor for a batch norm and its activation.

    A second derivative through such a run raises RuntimeError.
    Source: Chen, Xu, Zhang and Guestrin 2016, "Training deep nets with sublinear memory cost".
    """
    net.auxiliary_logits.clear()
    modules = list(main_flow(net))
    ends = dict(again)
    step = 0
    with one_tensor(pairs):
        while step < len(modules):
            last = ends.get(step)
            if last is None:
                # All up to the next run at once, so that pairs are seen.
                stop = min((first for first in ends if first > step), default=len(modules))
                x = through(iter(modules[step:stop]), x)
                step = stop
            else:
                run = nn.ModuleList(modules[step : last + 1])
                weights = [weight for weight in run.parameters() if weight.requires_grad]
                given: Any = _Again.apply(run, pairs, x, *weights) if weights or x.requires_grad else None  # type: ignore[no-untyped-call]
                x = through(iter(run), x) if given is None else given
                step = last + 1
    return x.flatten(1) if x.ndim > 2 else x


class _Again(torch.autograd.Function):
    """A run of modules that keeps its input only."""

    @staticmethod
    def forward(context: Any, run: nn.ModuleList, pairs: bool, x: Tensor, *weights: Tensor) -> Tensor:
        context.run, context.pairs = run, pairs
        context.kind = x.device.type
        context.cast = torch.is_autocast_enabled(x.device.type)
        context.chance = _chance(x) if any(_draws(module) for module in run.modules()) else None
        context.save_for_backward(x, *weights)
        out = _own(run, x.detach())
        for module in run:
            out = module(out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = context.saved_tensors
        x = x.detach().requires_grad_(context.needs_input_grad[2])
        with ExitStack() as inside:
            if context.chance is not None:
                inside.enter_context(torch.random.fork_rng(_devices(x)))
                _redraw(x, context.chance)
            inside.enter_context(_statistics_kept(context.run))
            inside.enter_context(torch.enable_grad())
            with (
                torch.autocast(context.kind, torch.bfloat16, enabled=context.cast),
                one_tensor(context.pairs),
            ):
                out = through(iter(context.run), _own(context.run, x))
            end = torch.autograd.graph.get_gradient_edge(_From.apply(out, gradient))  # type: ignore[no-untyped-call]
        wanted = ([x] if x.requires_grad else []) + weights
        # The output itself is needed no more.
        del out
        found = list(torch.autograd.grad(end, wanted, allow_unused=True))
        first = found.pop(0) if x.requires_grad else None
        return (None, None, first, *found)


class _From(torch.autograd.Function):
    """A number whose derivative by `out` is a given gradient.

    Given that gradient itself, torch.autograd.grad loads sympy to compare two shapes: a second, and 33 MB.
    """

    @staticmethod
    def forward(context: Any, out: Tensor, gradient: Tensor) -> Tensor:
        context.gradient = gradient
        return out.new_zeros(())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, one: Tensor) -> tuple[Tensor, None]:
        found, context.gradient = context.gradient, None
        return found, None


def _own(run: nn.ModuleList, x: Tensor) -> Tensor:
    """The input, or a copy where the first module would write over it."""
    return x.clone() if getattr(run[0], "inplace", False) else x


@contextmanager
def _statistics_kept(run: nn.ModuleList) -> Iterator[None]:
    """Batch norms that train find their statistics again and note them nowhere."""
    norms = [
        module
        for module in run.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        and module.training and module.track_running_stats
    ]  # fmt: skip
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def _draws(module: nn.Module) -> bool:
    return type(module).__name__ in ("Dropout", "Dropout2d", "DropPath") and module.training


def _devices(x: Tensor) -> list[torch.device]:
    return [x.device] if x.device.type == "cuda" else []


def _chance(x: Tensor) -> tuple[Tensor, Tensor | None]:
    device = torch.cuda.get_rng_state(x.device) if x.device.type == "cuda" else None
    return torch.get_rng_state(), device


def _redraw(x: Tensor, chance: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(chance[0])
    if chance[1] is not None:
        torch.cuda.set_rng_state(chance[1], x.device)
