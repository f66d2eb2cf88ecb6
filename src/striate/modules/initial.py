"""The first weights of a network.

Each word names a distribution; fan_in is how many numbers one output sums over, fan_out how many outputs
one input reaches.

  small       normal, standard deviation 0.01 (Krizhevsky et al. 2012); a deep network dies of it
  large       normal, standard deviation 1; a deep network explodes of it
  lecun       normal, std sqrt(1 / fan_in) (LeCun et al. 1998b)
  xavier      uniform, +- sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)
  he          normal, std sqrt(2 / fan_in) (He et al. 2015)
  orthogonal  orthogonal rows, or columns where these are fewer, gain sqrt(2) (Saxe et al. 2014)
  dirac       the first output channels of a convolution hand their input on, one channel each, and all other
              weights are uniform, +- 1 / sqrt(fan_in) (Zagoruyko and Komodakis 2017; Jordan 2024, section 3.3)
  auto        for each layer what suits the activation behind it: he before relu and its kin, xavier before
              tanh, sigmoid and the loss

A label has its own by `head: small`; `zero-last` begins the last bn of each residual branch at gamma 0, and
`small-head` draws the last matrix by `small`, so that the first answers are nearly alike.
Biases begin at 0, batch norm at gamma 1 and beta 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from striate.errors import RecipeError, nearest
from striate.modules.module import Net
from striate.modules.nn.local import LocallyConnected2d
from striate.modules.nn.whitening import WhiteningConv2d
from striate.net.layout.initial import default_initials, heads, last_norms

Matrix = nn.Conv2d | nn.Linear | LocallyConnected2d

INITIALS = ("auto", "he", "xavier", "lecun", "orthogonal", "dirac", "small", "large")
FLAGS = ("zero-last", "small-head")


@dataclass(frozen=True, slots=True)
class Initial:
    """How first weights are drawn.

    word: the distribution.  labels: others for the pieces of these labels or paths.
    zero_last: the bn that ends each residual branch begins with gamma 0, so that each block begins as its
    shortcut (Goyal et al. 2017, section 5.1).
    small_head: the last layer with a matrix, of auxiliary classifiers too, is drawn by `small`.
    """

    word: str = "auto"
    labels: tuple[tuple[str, str], ...] = ()
    zero_last: bool = False
    small_head: bool = False

    def word_at(self, path: str, *, head: bool) -> str:
        """The distribution of the layer at a path; a later label wins."""
        word = "small" if head and self.small_head else self.word
        for label, other in self.labels:
            if path == label or path.startswith(f"{label}."):
                word = other
        return word


def read_initial(text: str) -> Initial:
    """Read words separated by commas: one of INITIALS, `LABEL: WORD`, one of FLAGS.

    Raises RecipeError, nearest word suggested.
    """
    word, labels = "auto", list[tuple[str, str]]()
    flags = dict.fromkeys(FLAGS, False)
    for said in text.split(","):
        label, colon, rest = (part.strip() for part in said.partition(":"))
        name = rest if colon else label
        if name in FLAGS and not colon:
            flags[name] = True
        elif name not in INITIALS:
            raise RecipeError(
                f"initial cannot be `{name}`",
                place="initial",
                expected="words separated by commas: one of "
                + ", ".join(INITIALS)
                + "; LABEL: WORD; "
                + "; ".join(FLAGS),
                cure=nearest(name, [*INITIALS, *FLAGS]) or "initial = he",
            )
        elif colon:
            labels.append((label, name))
        else:
            word = name
    return Initial(word, tuple(labels), flags["zero-last"], flags["small-head"])


def initialize(net: Net, *, initial: str = "auto", generator: torch.Generator | None = None) -> None:
    """Draw the first weights of every convolution, local and fully connected layer, in place.

    initial: as `read_initial` takes it.
    generator: a CPU generator; torch's own where None.  The same generator state gives the same weights.

    Raises RecipeError for an unknown word, or a label that the network has not.
    """
    wanted = read_initial(initial)
    suited = default_initials(net.layout)
    for label, _ in wanted.labels:
        if not any(path == label or path.startswith(f"{label}.") for path in suited):
            raise RecipeError(
                f"no layer with weights is labelled `{label}`",
                place="initial",
                expected="a label or path of the network",
                cure=nearest(label, {path.split(".")[0] for path in suited}) or "",
            )
    last = heads(net.layout)
    with torch.no_grad():
        for path, word in suited.items():
            module = net.part(path)
            assert isinstance(module, Matrix)
            chosen = wanted.word_at(path, head=path in last)
            _draw(module, word if chosen == "auto" else chosen, generator)
            if module.bias is not None:
                module.bias.zero_()
        for path in last_norms(net.layout) if wanted.zero_last else ():
            norm = net.part(path)
            assert isinstance(norm, nn.BatchNorm2d | nn.BatchNorm1d)
            norm.weight.zero_()


def whitening(net: Net) -> list[WhiteningConv2d]:
    """Its layers whose windows are measured."""
    return [module for module in net.modules() if isinstance(module, WhiteningConv2d)]


def fit_whitening(net: Net, x: Tensor) -> None:
    """Measure what each `whiten` reads when images go through, and set its windows by it.

    x: N x C x H x W, as the network reads them.
    """
    layers = whitening(net)
    waiting = set(layers)

    def fit(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, WhiteningConv2d)
        layer.fit(inputs[0])
        waiting.discard(layer)
        if not waiting:
            raise _AllMeasured

    hooks = [layer.register_forward_pre_hook(fit) for layer in layers]
    training = net.training
    try:
        net.eval()(x)
    except _AllMeasured:
        pass
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()


class _AllMeasured(Exception):
    """What stands behind the last layer need not run."""


def _draw(module: Matrix, word: str, generator: torch.Generator | None) -> None:
    weight = module.weight
    fan_in, fan_out = _fans(module)
    if word == "xavier":
        bound = math.sqrt(6 / (fan_in + fan_out))
        weight.uniform_(-bound, bound, generator=generator)
    elif word == "dirac":
        weight.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
        if isinstance(module, nn.Conv2d):
            rows = module.out_channels // module.groups
            for first in range(0, module.out_channels, rows):
                nn.init.dirac_(weight[first : first + min(rows, weight.shape[1])])
    elif word == "orthogonal":
        # A group, and in `local` a place as well, has a matrix of its own.
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        stack = weight.shape[:2] if isinstance(module, LocallyConnected2d) else (groups,)
        matrices = torch.empty(*stack, weight.numel() // math.prod(stack) // fan_in, fan_in)
        weight.copy_(math.sqrt(2) * _orthogonal(matrices, generator).reshape(weight.shape))
    else:
        std = {"small": 0.01, "large": 1.0, "lecun": fan_in**-0.5, "he": math.sqrt(2 / fan_in)}[word]
        weight.normal_(0.0, std, generator=generator)


def _orthogonal(matrices: Tensor, generator: torch.Generator | None) -> Tensor:
    """Matrices of the same shape with orthonormal rows, or columns where these are fewer."""
    rows, columns = matrices.shape[-2:]
    tall = matrices if rows >= columns else matrices.mT.contiguous()
    q: Tensor
    q, r = torch.linalg.qr(tall.normal_(generator=generator))
    # With the signs of the diagonal the distribution is uniform (Mezzadri 2007).
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return q if rows >= columns else q.mT


def _fans(module: Matrix) -> tuple[int, int]:
    if isinstance(module, LocallyConnected2d):
        return module.in_features, module.out_channels // module.groups * math.prod(module.kernel)
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    window = math.prod(module.kernel_size)
    return module.in_channels // module.groups * window, module.out_channels // module.groups * window
