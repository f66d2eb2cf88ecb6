"""The first weights of a network.

Each word names a distribution; fan_in is how many numbers one output sums over, fan_out how many outputs
one input reaches.

  small       normal, standard deviation 0.01 (Krizhevsky et al. 2012); a deep network dies of it
  large       normal, standard deviation 1; a deep network explodes of it
  lecun       normal, std sqrt(1 / fan_in) (LeCun et al. 1998b)
  xavier      uniform, +- sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)
  he          normal, std sqrt(2 / fan_in) (He et al. 2015)
  orthogonal  orthogonal rows, gain sqrt(2) (Saxe et al. 2014)
  auto        for each layer what suits the activation behind it: he before relu and its kin, xavier before
              tanh, sigmoid and the loss

Biases begin at 0, batch norm at gamma 1 and beta 0.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from striate.build.module import Net
from striate.errors import RecipeError, nearest
from striate.nn.local import LocallyConnected2d
from striate.spec.layer import Layer
from striate.spec.layout import Layout
from striate.spec.normalisation import BatchNorm, LayerNorm, LocalResponseNorm, Scale
from striate.spec.pooling import AvgPool, DepthPool, MaxPool, Pool

Initial = Literal["auto", "he", "xavier", "lecun", "orthogonal", "small", "large"]
INITIALS: tuple[str, ...] = get_args(Initial)

_RECTIFIERS = {"relu", "relu6", "leaky", "prelu", "elu", "gelu", "silu", "maxout"}
_TRANSPARENT = (BatchNorm, LayerNorm, LocalResponseNorm, Scale, MaxPool, AvgPool, Pool, DepthPool)


def check_initial(word: str) -> Initial:
    """The word, if it is one.  Raises RecipeError, nearest one suggested."""
    for known in get_args(Initial):
        if word == known:
            return known  # type: ignore[no-any-return]
    raise RecipeError(
        f"initial cannot be `{word}`",
        place="initial",
        expected="one of " + ", ".join(INITIALS),
        cure=nearest(word, INITIALS) or "",
    )


def suited(layout: Layout) -> dict[str, str]:
    """What `auto` takes for each layer with weights, by path: `he` or `xavier`."""
    chosen: dict[str, str] = {}
    waiting: list[str] = []
    for placed in layout.layers():
        if placed.layer.word in ("conv", "local", "fc"):
            # The layer before had no activation of its own: its output is summed or read linearly.
            chosen.update(dict.fromkeys(waiting, "he"))
            waiting = [placed.path]
        elif placed.layer.word in _RECTIFIERS:
            chosen.update(dict.fromkeys(waiting, "he"))
            waiting = []
        elif not _hands_on(placed.layer):
            chosen.update(dict.fromkeys(waiting, "xavier"))
            waiting = []
    chosen.update(dict.fromkeys(waiting, "xavier"))
    return chosen


def initialise(net: Net, *, initial: Initial = "auto", generator: torch.Generator | None = None) -> None:
    """Draw the first weights of every convolution, local and fully connected layer, in place.

    generator: a CPU generator; torch's own where None.  The same generator state gives the same weights.
    """
    words = suited(net.layout)
    with torch.no_grad():
        for path, word in words.items():
            module = net.part(path)
            assert isinstance(module, nn.Conv2d | nn.Linear | LocallyConnected2d)
            fan_in, fan_out = _fans(module)
            _draw(module.weight, word if initial == "auto" else initial, fan_in, fan_out, generator)
            if module.bias is not None:
                module.bias.zero_()


def _draw(weight: Tensor, word: str, fan_in: int, fan_out: int, generator: torch.Generator | None) -> None:
    if word == "xavier":
        bound = math.sqrt(6 / (fan_in + fan_out))
        weight.uniform_(-bound, bound, generator=generator)
    elif word == "orthogonal":
        rows = weight.reshape(-1, fan_in) if weight.ndim > 2 else weight
        nn.init.orthogonal_(rows, gain=math.sqrt(2), generator=generator)
    else:
        std = {"small": 0.01, "large": 1.0, "lecun": fan_in**-0.5, "he": math.sqrt(2 / fan_in)}[word]
        weight.normal_(0.0, std, generator=generator)


def _fans(module: nn.Conv2d | nn.Linear | LocallyConnected2d) -> tuple[int, int]:
    if isinstance(module, LocallyConnected2d):
        return module.in_features, module.out_channels // module.groups * math.prod(module.kernel)
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    window = math.prod(module.kernel_size)
    return module.in_channels // module.groups * window, module.out_channels // module.groups * window


def _hands_on(layer: Layer) -> bool:
    """Whether what comes behind the layer decides: norms, pools, dropouts and flatten."""
    return isinstance(layer, _TRANSPARENT) or layer.word in (
        "dropout", "dropout2d", "droppath", "flatten", "identity", "widen",
    )  # fmt: skip
