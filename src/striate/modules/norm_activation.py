"""A batch norm and the activation behind it keep one tensor for the backward pass, not two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F

# Activations without weights and without chance, point by point: the same again from the same input.
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU)

_here = threading.local()


class _Again:
    """How one tensor is made again.

    It is made at the first request of a backward pass and let go after the last one.
    """

    __slots__ = ("_made", "activation", "asked", "mean", "norm", "packed", "scale", "source", "strides")

    def __init__(self, source: object, strides: tuple[int, ...]) -> None:
        self.source = source
        self.strides = strides
        self.norm: nn.Module | None = None
        self.activation: nn.Module | None = None
        self.mean: Tensor | None = None
        self.scale: Tensor | None = None
        self.packed = self.asked = 0
        self._made: Tensor | None = None

    def answer(self) -> Tensor:
        """The tensor, for one of those that saved it."""
        made = self.value()
        self.asked += 1
        self._made = made if self.asked % self.packed else None
        return made

    def value(self) -> Tensor:
        """The tensor, for one that makes another of it."""
        if self._made is not None:
            return self._made
        with torch.no_grad():
            x = _tensor(self.source)
            if self.norm is not None:
                x = self._normed(x)
            if self.activation is not None:
                x = _activated(self.activation, x, fresh=self.norm is not None)
        if x.stride() != self.strides:
            x = torch.empty_strided(x.shape, self.strides, dtype=x.dtype, device=x.device).copy_(x)
        return x

    def _normed(self, x: Tensor) -> Tensor:
        """The norm with the statistics of that batch, by the arithmetic of the forward pass to the bit.

        scale = weight / deviation; y = x * scale + (bias - mean * scale)
        """
        norm = self.norm
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        if self.scale is None:
            return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        assert self.mean is not None
        return F.batch_norm(x, self.mean, torch.ones_like(self.mean), self.scale, norm.bias, eps=0.0)


class _Keeper:
    """What is known of the tensors of one forward pass: which of them can be made again."""

    def __init__(self) -> None:
        # A weak reference keeps the address of a storage from being used again.
        self._known: dict[int, tuple[StorageWeakRef, _Again]] = {}

    def pack(self, tensor: Tensor) -> object:
        again = self._find(tensor)
        if again is None:
            return tensor
        again.packed += 1
        return again, tensor.shape, tensor.stride(), tensor.storage_offset()

    def before(self, child: nn.Module, x: Tensor) -> None:
        """An activation is about to write over its input."""
        if not getattr(child, "inplace", False):
            return
        again = self._find(x)
        if again is not None:
            if again.activation is None and again.norm is not None and isinstance(child, ACTIVATIONS):
                again.activation = child
            else:
                self._forget(x)

    def after(self, child: nn.Module, x: Tensor, out: Tensor) -> None:
        """A module has run."""
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            self._after_norm(child, x, out)
        elif isinstance(child, ACTIVATIONS) and out.grad_fn is not None:
            known = self._find(x)
            if known is not None and _place(out) != _place(x):
                again = _Again(known, out.stride())
                again.activation = child
                self._remember(out, again)

    def _after_norm(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor, out: Tensor) -> None:
        made = out.grad_fn
        if made is None or not made.name().endswith("BatchNormBackward0") or not norm.affine:
            return
        again = _Again(self._find(x) or x.detach(), out.stride())
        again.norm = norm
        if norm.training:
            saved: Any = made
            again.mean = saved._saved_result1.detach()
            again.scale = saved._saved_result2.detach() * norm.weight.detach()
        self._remember(out, again)

    def _find(self, tensor: Tensor) -> _Again | None:
        found = self._known.get(_place(tensor))
        return None if found is None or found[0].expired() else found[1]  # type: ignore[no-untyped-call]

    def _remember(self, tensor: Tensor, again: _Again) -> None:
        weak = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        self._known[_place(tensor)] = (weak, again)

    def forget(self) -> None:
        """Nothing is known any more."""
        self._known.clear()

    def _forget(self, tensor: Tensor) -> None:
        self._known.pop(_place(tensor), None)


@contextmanager
def one_tensor(enabled: bool = True) -> Iterator[None]:
    """Inside, batch norms and the activations straight behind them keep the norm's input only.

    Convolutions, poolings and activations save what the pair gave; here they save how to make it: the
    norm again, with the statistics that it found, and the activation.  It is made once in a backward pass
    for all that ask.  Running statistics change once, gradients are equal to the bit on a CPU, and second
    derivatives are as they were.

    Source: Bulo, Porzi and Kontschieder 2018 (In-place activated BatchNorm), which inverts the activation
    instead; here it may be any.
    """
    if not enabled:
        yield
        return
    before = keeper()
    _here.keeper = made = _Keeper()
    try:
        with torch.autograd.graph.saved_tensors_hooks(made.pack, _unpack):
            yield
    finally:
        _here.keeper = before
        # The graph holds on to `pack`: without this, to every recipe until its last tensor goes.
        made.forget()


def keeper() -> _Keeper | None:
    """Who watches the modules of this thread, if anybody does."""
    return getattr(_here, "keeper", None)


def through(modules: Iterator[nn.Module], x: Tensor) -> Tensor:
    """`x` through modules one behind the other."""
    watching = keeper()
    for module in modules:
        if watching is None:
            x = module(x)
        else:
            watching.before(module, x)
            out = module(x)
            watching.after(module, x, out)
            x = out
    return x


def _unpack(saved: object) -> Tensor:
    if isinstance(saved, Tensor):
        return saved
    assert isinstance(saved, tuple)
    again, shape, strides, offset = saved
    made: Tensor = again.answer()
    if made.shape == shape and made.stride() == strides:
        return made
    return made.as_strided(shape, strides, offset)


def _tensor(source: object) -> Tensor:
    if isinstance(source, _Again):
        return source.value()
    assert isinstance(source, Tensor)
    return source


def _activated(activation: nn.Module, x: Tensor, *, fresh: bool) -> Tensor:
    """fresh: nobody else has `x`, so it may be written over."""
    if fresh and isinstance(activation, nn.ReLU):
        return x.relu_()
    out: Tensor = F.relu(x) if isinstance(activation, nn.ReLU) else activation(x)
    return out


def _place(tensor: Tensor) -> int:
    place: int = tensor.untyped_storage()._cdata
    return place
