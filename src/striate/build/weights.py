"""Weights in and out of files, as safetensors."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

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
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError("the weights are missing", place=str(path), cure="striate resume RUN") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"the weights cannot be read: {error}", place=str(path)) from None
    wanted = net.state_dict()
    for name, tensor in wanted.items():
        if name not in found:
            raise RunError(f"there is no tensor `{name}`", place=str(path), expected="the weights of net.txt")
        if found[name].shape != tensor.shape:
            raise RunError(
                f"`{name}` is {tuple(found[name].shape)}",
                place=str(path),
                expected=f"{tuple(tensor.shape)}, as net.txt says",
            )
    with torch.no_grad():
        net.load_state_dict({name: found[name] for name in wanted})
