"""Whether the tensors of one layer of a file can be those of one layer of a network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from striate.weights.group import Group
from striate.weights.slot import Slot

MATRIX, BATCH_NORM, NORM, VECTOR, OTHER = "matrix", "batch norm", "norm", "vector", "other"


def kind(tensors: Mapping[str, Tensor]) -> str:
    """What sort of layer has such tensors.

    A matrix has two dimensions or more that are not 1: convolutions and fully connected layers.  A vector
    has a weight and nothing else: the slopes of prelu, the factors of a scale.
    """
    weight = tensors.get("weight")
    if weight is None:
        return OTHER
    if "running_mean" in tensors:
        return BATCH_NORM if "running_var" in tensors and "bias" in tensors else OTHER
    if "bias" not in tensors and (weight.ndim == 1 or weight.numel() == max(weight.shape)):
        # A matrix of one row or column is rare, and one without a bias rarer; `fits` lets it be either.
        return VECTOR
    if weight.ndim > 1:
        return MATRIX
    return NORM


def fits(slot: Slot, group: Group, *, any_classes: bool = False) -> bool:
    """Whether a file's layer can fill a network's: the same tensors, of the same shapes.

    A fully connected layer may come as a convolution over the whole map, and a 1x1 convolution as a matrix;
    factors may come with further dimensions of 1.
    any_classes: only what goes in must agree, as for a classifier that is to be replaced.
    """
    wanted, given = slot.tensors, group.tensors
    if "weight" not in given or "weight" not in wanted:
        return False
    weight = given["weight"]
    if any_classes:
        return weight.ndim > 1 and weight.shape[1:].numel() == wanted["weight"].shape[1:].numel()
    for name, tensor in wanted.items():
        if name == "num_batches_tracked" or name == "weight":
            continue
        if name not in given or given[name].shape != tensor.shape:
            return False
    if any(name not in wanted for name in given if name != "num_batches_tracked"):
        return False
    return _weight_fits(slot, weight)


def _weight_fits(slot: Slot, weight: Tensor) -> bool:
    wanted = slot.tensors["weight"]
    if weight.shape == wanted.shape:
        return True
    if wanted.ndim == 1:
        return weight.numel() == wanted.numel() == max(weight.shape, default=0) and "bias" not in slot.tensors
    plain = min(weight.ndim, wanted.ndim) == 2
    return slot.flattens and plain and weight.shape[0] == wanted.shape[0] and weight.numel() == wanted.numel()
