"""The vitals of a training: what its layers, weights and gradients do, looked at every so many steps.

When is counted in steps, never in seconds, and nothing is drawn: a resumed run writes the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from striate.data.gather import Split
from striate.data.images import center
from striate.modules.module import Net
from striate.net.layout.layout import Placed
from striate.predict.evaluate import autocast
from striate.predict.normalize import Feeder
from striate.runs.events import EventFile
from striate.runs.vitals import MOST_VITALS_BYTES, Answers, Begin, Look
from striate.training.step.progressive_resizing import downsample

# Images that are looked at, evenly spread over the training images.
PROBE = 32

# A look takes about as long as one training step on the probe.  So many steps lie between two of them at least, and
# so many that the images of those are 400 times the probe's.
LEAST_STEPS, TIMES_THE_PROBE = 200, 400

# The last step is looked at where so many lie behind the look before.
LAST_STEPS = 10

# Weights are measured every so many steps, and so many images: the largest change between two looks is kept, as a rate
# rises and falls.
WEIGHTS_STEPS, WEIGHTS_IMAGES = 40, 1280

# After so many looks the steps between them double; so long runs stay within MOST_VITALS_BYTES.
LOOKS_AN_OCTAVE, MOST_LOOKS = 20, 200

# Of more layers the first, the last and those evenly between are looked at; of more classes no counts are kept.
MOST_LAYERS, MOST_CLASSES = 128, 100

# Means of the loss between two looks.
MOST_SPANS = 50

MATRICES = ("conv", "local", "fc")
ACTIVATIONS = ("relu", "relu6", "leaky", "prelu", "elu", "sigmoid", "tanh", "gelu", "silu", "maxout")

# Beyond them a sigmoid or tanh has less than 4 % of its slope.
_FLAT = {"sigmoid": (0.01, 0.99), "tanh": (-0.98, 0.98), "relu6": (-math.inf, 6.0)}


@dataclass
class VitalsState:
    """What changes between two looks, and goes into a checkpoint.

    looks: how many there were.  looked_at: the step of the last one.  bytes: length of the file.
    begun: the stage whose layers were named, -1 before the first.
    losses, lengths, counts: sums of the loss, longest gradients and steps of the spans since.
    most: of each weight, the largest share of its length that a step since changed it by.
    """

    looks: int = 0
    looked_at: int = 0
    bytes: int = 0
    begun: int = -1
    losses: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    most: list[float] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        """As plain values."""
        return dict(vars(self))

    @classmethod
    def restored(cls, numbers: Mapping[str, Any] | None) -> VitalsState:
        """From what `numbers` gave; of a striate that kept none, as at the beginning."""
        return cls(**numbers) if numbers else cls()


class _Outputs(NamedTuple):
    """What each layer gave for the probe, and loss and accuracy of the answers in both modes."""

    layers: list[list[float | None]]
    batch: list[float | None] | None
    probe: list[float | None]
    exact: list[float | None] | None


class Vitals:
    """Looks at a network while it trains, and writes what it sees to a file.

    net: what is trained.  train: its images; the probe is taken from them.  batch: images of a step.
    skipped: parts of the whole network that lie before `net`, where only its tail is trained.
    precision: of a training step.
    """

    def __init__(
        self,
        file: EventFile,
        net: Net,
        train: Split,
        feeder: Feeder,
        size: tuple[int, int],
        *,
        batch: int,
        precision: str,
        stage: int,
        skipped: int = 0,
    ) -> None:
        self.file = file
        self.net = net
        self.batch = batch
        self.precision = precision
        self.stage = stage
        self.skipped = skipped
        some = np.linspace(0, len(train.labels) - 1, min(PROBE, len(train.labels))).astype(np.int64)
        self._x = feeder.images(center(train.images[some], size))
        self._labels = feeder.labels(train.labels[some])
        layers = [
            each for each in net.layout.layers(sides=False) if each.layer.word in MATRICES + ACTIVATIONS
        ]
        self._layers = _some(layers)
        self._weights = [
            (each, weight)
            for each in self._layers
            if each.layer.word in MATRICES and isinstance(weight := net.part(each.path).weight, nn.Parameter)
        ]
        self._now: _Outputs | None = None
        self._before: list[Tensor] | None = None
        self._weights_every = max(WEIGHTS_STEPS, math.ceil(WEIGHTS_IMAGES / batch))
        # By the number of looks: asked for twice in every step.
        self._spacings: dict[int, int] = {}

    def spacing(self, looks: int) -> int:
        """Steps between two looks, where there were so many before."""
        known = self._spacings.get(looks)
        if known is None:
            least = max(LEAST_STEPS, math.ceil(TIMES_THE_PROBE * len(self._x) / self.batch))
            known = self._spacings[looks] = int(least * 2 ** max(0, (looks - 1) // LOOKS_AN_OCTAVE))
        return known

    def before_step(self, state: VitalsState, step: int, *, size: tuple[int, int], last: bool) -> None:
        """A step comes, `step` having been taken.  size: of its images.  last: the training ends with it."""
        if state.looks >= MOST_LOOKS:
            return
        since = step + 1 - state.looked_at
        first = state.begun != self.stage
        due = first or since >= self.spacing(state.looks) or (last and since >= LAST_STEPS)
        if due and len(self._x) > 1:
            self._now = self._outputs(size, running=not first)
        if self._now is not None or step % self._weights_every == 0:
            self._before = [weight.detach().clone() for _, weight in self._weights]

    def after_step(
        self, state: VitalsState, step: int, epoch: int, *, loss: float, length: float, clip: float | None, learning_rate: float,
        size: tuple[int, int], whole: bool,
    ) -> Look | None:  # fmt: skip
        """Step number `step` was taken; the look that was due, if one was.

        length: of its gradient, before it was clipped to `clip`.  size: of its images.
        """
        span = -(-self.spacing(state.looks) // MOST_SPANS)
        losses, lengths, counts = state.losses, state.lengths, state.counts
        if not counts or counts[-1] >= span:
            losses.append(loss)
            lengths.append(length)
            counts.append(1)
        else:
            losses[-1] += loss
            lengths[-1] = max(lengths[-1], length)
            counts[-1] += 1
        if self._before is None:
            return None
        weights = self._changes(self._before, max(1.0, length / clip) if clip else 1.0)
        ratios = [change / of if of else 0.0 for of, _, change in weights]
        state.most = [max(pair) for pair in zip(ratios, state.most, strict=True)] if state.most else ratios
        now, self._now, self._before = self._now, None, None
        if now is None:
            return None
        if state.begun != self.stage:
            self._append(state, self._begin(size))
            state.begun = self.stage
        look = Look(
            step=step, epoch=epoch, learning_rate=_digits(learning_rate), span=span,
            losses=[_digits(total / count) for total, count in zip(state.losses, state.counts, strict=True)],
            lengths=[_digits(each) for each in state.lengths],
            probe=now.probe, batch=now.batch, layers=now.layers,
            weights=[[_digits(each) for each in (*row, most)] for row, most in zip(weights, state.most, strict=True)],
            whole=whole, exact=now.exact,
        )  # fmt: skip
        state.looks, state.looked_at = state.looks + 1, step
        state.losses, state.lengths, state.counts, state.most = [], [], [], []
        self._append(state, look)
        return look

    def validated(
        self, state: VitalsState, epoch: int, found: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> Answers | None:
        """A validation gave `found`, N x K probabilities; None where a look is not due for so long a file."""
        if state.looks >= MOST_LOOKS or (
            state.looks > LOOKS_AN_OCTAVE and epoch % (state.looks // LOOKS_AN_OCTAVE)
        ):
            return None
        answers, classes = found.argmax(axis=1), found.shape[1]
        wrong = answers != labels
        sure = found[np.arange(len(labels)), answers]
        surer = np.argsort(-sure, kind="stable")[: max(1, len(labels) // 2)]
        # How many classes are more probable than the label.
        above = (found[surer] > found[surer, labels[surer]][:, None]).sum(axis=1)
        answered = np.bincount(answers, minlength=classes)
        right = np.bincount(labels[~wrong], minlength=classes)
        few = classes <= MOST_CLASSES
        line = Answers(
            epoch=epoch,
            answered=answered.tolist() if few else [],
            right=right.tolist() if few else [],
            most=_digits(float(answered.max() / len(labels))) or 0.0,
            sure_wrong=_digits(float(wrong[surer].mean())) or 0.0,
            sure_far=_digits(float((wrong[surer] & (above >= classes / 2)).mean())) or 0.0,
            confidence=min(1.0, _digits(float(sure.mean(dtype=np.float64))) or 0.0),
        )
        self._append(state, line)
        return line

    def _append(self, state: VitalsState, line: Begin | Look | Answers) -> None:
        if self.file.length() < MOST_VITALS_BYTES - 50_000:
            self.file.append(line)
        state.bytes = self.file.length()

    def _begin(self, size: tuple[int, int]) -> Begin:
        x = downsample(self._x, size)
        std, mean = torch.std_mean(x)
        norms = any(
            isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.training
            for module in self.net.modules()
        )
        return Begin(
            stage=self.stage,
            layers=[(self._path(each), each.layer.word) for each in self._layers],
            weights=[self._path(each) for each, _ in self._weights],
            probe=len(self._x),
            normed=norms,
            input=[_digits(float(mean)), _digits(float(std))],
        )  # fmt: skip

    def _path(self, placed: Placed) -> str:
        """The path in the whole network."""
        first, *rest = placed.path.split(".")
        return ".".join([str(int(first) + self.skipped) if first.isdigit() else first, *rest])

    @torch.no_grad()
    def _outputs(self, size: tuple[int, int], *, running: bool) -> _Outputs:
        """Look at the probe, as training sees it but for what is drawn, and in evaluation mode.

        running: whether batch norms have running statistics yet; at the first step there is nothing to compare.
        """
        net, x = self.net, downsample(self._x, size)
        training = {module: module.training for module in net.modules()}
        norms = [
            module
            for module in net.modules()
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.training
        ]
        found: dict[str, list[Tensor]] = {}
        hooks = [net.part(each.path).register_forward_hook(_hook(found, each)) for each in self._layers]
        net.eval()
        batch = None
        try:
            with autocast(x.device, self.precision):
                with _batch_statistics(norms):
                    first = self._answers(x)
                for hook in hooks:
                    hook.remove()
                probe = first
                if norms:
                    batch, probe = first, self._answers(x) if running else [None, None]
            exact = self._answers(x) if self.precision == "bf16" and running else None
        finally:
            for hook in hooks:
                hook.remove()
            for module, was in training.items():
                module.training = was
        flat = [value for each in self._layers for value in found[each.path]]
        figures = torch.stack(flat).reshape(-1, _FIGURES).tolist() if flat else []
        return _Outputs([[_digits(value) for value in row] for row in figures], batch, probe, exact)

    def _answers(self, x: Tensor) -> list[float | None]:
        logits = self.net(x).float()
        right = (logits.argmax(dim=1) == self._labels).float().mean()
        return [_digits(float(F.cross_entropy(logits, self._labels))), _digits(float(right))]

    @torch.no_grad()
    def _changes(self, before: Sequence[Tensor], shrinking: float) -> list[list[float]]:
        """Length of each weight before the step, of its gradient before it was clipped, and of the step."""
        if not before:
            return []
        weights = [weight.detach() for _, weight in self._weights]
        slopes = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad for _, weight in self._weights
        ]
        # A kernel for all of them: there are many weights, and most are small.
        changed = list(before)
        lengths = [torch.stack(list(torch._foreach_norm(each))) for each in (changed, slopes)]
        torch._foreach_sub_(changed, weights)
        lengths = [lengths[0], lengths[1] * shrinking, torch.stack(list(torch._foreach_norm(changed)))]
        figures: list[list[float]] = torch.stack(lengths, dim=1).tolist()
        return figures


# Mean, standard deviation, zeros, saturated, dead.
_FIGURES = 5


def _hook(found: dict[str, list[Tensor]], placed: Placed) -> Any:
    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        found[placed.path] = _figures_of(output.detach().float(), placed.layer.word)

    return look


def _figures_of(x: Tensor, word: str) -> list[Tensor]:
    """Mean, standard deviation, share of zeros, share saturated, share of units that are always so.

    A unit is a channel of a map, and a feature else.
    """
    mean = x.mean()
    # A tenth of the time of torch.std, which goes through the numbers one by one.
    std = torch.linalg.vector_norm(x - mean) / math.sqrt(x.numel())
    none = x.new_zeros(())
    if word not in ("relu", "relu6", "maxout", *_FLAT):
        return [mean, std, none, none, none]
    each = x.numel() / x.shape[1]
    # How often each unit is so; signs are summed faster than truths.
    zero = each - _by_unit(x.sign().abs_())
    flat = torch.zeros_like(zero)
    if word in _FLAT:
        low, high = _FLAT[word]
        flat = _by_unit(((x <= low) | (x >= high)).float())
    always = flat if word in ("tanh", "sigmoid") else zero + flat
    return [mean, std, zero.sum() / x.numel(), flat.sum() / x.numel(), (always >= each).float().mean()]


def _by_unit(x: Tensor) -> Tensor:
    """Sums of N x K or N x C x ... by feature or channel."""
    return x.sum(dim=0) if x.ndim == 2 else x.flatten(2).sum(dim=2).sum(dim=0)


@contextmanager
def _batch_statistics(norms: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> Iterator[None]:
    """Inside, batch norms take the statistics of what they read, and note them nowhere."""
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm in norms:
            norm.training, norm.track_running_stats = False, True


def _some(layers: Sequence[Placed]) -> list[Placed]:
    if len(layers) <= MOST_LAYERS:
        return list(layers)
    return [layers[place] for place in np.linspace(0, len(layers) - 1, MOST_LAYERS).astype(int)]


def _digits(value: float) -> float | None:
    """Four digits; None for what is no number."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
