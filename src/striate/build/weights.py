"""Weights in and out of files, as safetensors."""

from __future__ import annotations

import shlex
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from striate.build.module import Net
from striate.errors import RunError


def weights_bytes(net: Net) -> bytes:
    """All parameters and running statistics of a network as one safetensors file."""
    return save({name: tensor.detach().contiguous().cpu() for name, tensor in net.state_dict().items()})


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
