"""Weights in and out of files, as safetensors."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from striate.errors import RunError
from striate.modules.module import Net

# Where a file of weights says what they reached.
_FIGURES = "figures"


def weights_bytes(net: Net, figures: Mapping[str, float] | None = None) -> bytes:
    """All parameters and running statistics of a network as one safetensors file.

    figures: what is known of these weights; in the same file, neither is ever there without the other.
    """
    metadata = None if figures is None else {_FIGURES: json.dumps(figures)}
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in net.state_dict().items()}
    return save(tensors, metadata=metadata)


def weights_figures(path: Path) -> dict[str, Any]:
    """The figures of a file of weights; empty where it has none, or cannot be read (`load_weights` says why)."""
    try:
        with safe_open(path, framework="pt") as file:
            found = json.loads((file.metadata() or {})[_FIGURES])
    except (OSError, SafetensorError, LookupError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def load_weights(net: Net, path: Path) -> None:
    """Fill a network from a file that `weights_bytes` made of the same text.

    Raises RunError where the file is missing or damaged or belongs to another network.
    """
    try:
        # A pipe would hang.
        if not path.is_file():
            raise FileNotFoundError
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(
            "the weights are missing", place=str(path), cure=f"striate resume {shlex.quote(str(path.parent))}"
        ) from None
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"the weights cannot be read: {error}",
            place=str(path),
            expected="a file that striate wrote",
            cure="a copy of the file from where it came, or `striate train` once more",
        ) from None
    wanted = net.state_dict()
    for name in [*wanted, *found]:
        problem = _unlike(name, found.get(name), wanted.get(name))
        if problem:
            raise RunError(
                problem,
                place=str(path),
                expected="the weights of the network in net.txt",
                cure="the net.txt that stood beside this file when it was written",
            )
    with torch.no_grad():
        net.load_state_dict(found)


def _unlike(name: str, given: Tensor | None, wanted: Tensor | None) -> str:
    """How a tensor of the file differs from the one of the network, or nothing."""
    if given is None:
        return f"the file has no tensor `{name}`"
    if wanted is None:
        return f"the file has a tensor `{name}` and the network has none"
    if given.shape == wanted.shape:
        return ""
    return f"`{name}` is {_shape(given)} in the file and {_shape(wanted)} in the network"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
