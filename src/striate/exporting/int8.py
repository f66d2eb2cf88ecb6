"""The way to int8: several ranges tried, the layers that hurt left in float, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from striate.bundle.bundle import CLASS_MAP, LOGITS
from striate.bundle.certificate import Int8
from striate.bundle.preprocess import Preprocessing
from striate.bundle.session import open_session
from striate.errors import BundleError, counted
from striate.exporting.quantize import Ranges, activation_ranges, layer_nodes, pair_proofs, quantized
from striate.exporting.rounding import Rounded, least_error_weights
from striate.exporting.validation import Validation
from striate.predict.score import paired_bootstrap
from striate.progress import Watch

# Images that ranges are found on, those that ways are compared on, and those that a layer's harm is measured on.
CALIBRATED, COMPARED, PROBED = 128, 256, 64

# The share of images that must have the label of float32.
AGREEMENT = 0.995

BATCH = 16


@dataclass(frozen=True)
class _Way:
    """How a network may come to int8: itself in float32, its weights as whole numbers, the ranges of its activations."""

    model: bytes
    rounded: Mapping[str, Rounded]
    ranges: Ranges

    def quantized(self, in_float: Sequence[str]) -> bytes:
        """The network in int8 but for some of its nodes."""
        return quantized(self.model, self.ranges, in_float, self.rounded)


@dataclass(frozen=True)
class _Trial:
    """A network in int8 and how it did.  in_float: the layers that stayed in float."""

    model: bytes
    in_float: tuple[str, ...]
    agreement: float
    lost: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.interval
        layers = counted(len(self.in_float), "layer")
        return (
            f"{layers} in float: {self.lost:+.2f} percentage points lost ({low:+.2f} to {high:+.2f}), "
            f"{self.agreement:.2%} of the labels equal"
        )


def to_int8(
    model: bytes,
    kept: Sequence[str],
    preprocessing: Preprocessing,
    validation: Validation,
    wanted: NDArray[np.float32],
    *,
    allowed: float,
    watch: Watch,
) -> tuple[bytes, Int8]:
    """The network in int8, and how it came to it.

    model: in float32.  kept: nodes that stay in float whatever happens.  wanted: N x K, the logits in float32 of the
    validation images.  allowed: percentage points of accuracy that may be lost.

    Ranges are found on some of the validation images; all figures are measured on the others.
    Raises BundleError where no way loses so little, with the best one's figures.
    """
    stored, labels = validation.images, validation.labels
    step = max(1, len(labels) // max(1, min(CALIBRATED, len(labels) // 4)))
    mask = np.zeros(len(labels), dtype=bool)
    mask[::step] = True
    if mask.all():
        raise BundleError(
            f"there is no more than {counted(len(labels), 'validation image')} to quantize with",
            place="--int8",
            expected="some to find ranges on, and others to measure on",
            cure="leave out --int8",
        )
    calibration = stored[mask]

    def batches(most: int) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(calibration), most):
            yield preprocessing.normalize(calibration[start : start + most])

    watch.say(
        f"int8      weights and ranges of activations over {counted(len(calibration), 'validation image')}"
    )
    rounded = least_error_weights(model, batches, kept)
    ways = {name: _Way(model, rounded, ranges) for name, ranges in activation_ranges(model, batches).items()}
    rest, truth, exact = stored[~mask], labels[~mask], wanted[~mask]
    some = slice(None, None, max(1, len(rest) // COMPARED))
    methods = {
        name: _error(way.quantized(kept), rest[some], exact[some], preprocessing)
        for name, way in ways.items()
    }
    method = min(methods, key=lambda each: methods[each])
    way = ways[method]
    watch.say("int8      " + ", ".join(f"{name} {error:.2g}" for name, error in methods.items()))

    weighted = [each for each in layer_nodes(model) if _layer(each) != CLASS_MAP]

    def trial(in_float: Sequence[str]) -> _Trial:
        made = way.quantized(in_float)
        layers = [each for each in weighted if each in in_float]
        return _tried(made, layers, rest, truth, exact, preprocessing)

    tried = [trial(kept)]
    if not _holds(tried[-1], allowed):
        watch.say(f"int8      {tried[-1]}; looking for the layers that hurt")
        harmful = _harm(way, kept, rest, exact, preprocessing, watch)
        count = 1
        while not _holds(tried[-1], allowed) and count < len(harmful):
            tried.append(trial([*kept, *harmful[:count]]))
            watch.say(f"int8      {tried[-1]}")
            count = 2 * count
    best = tried[-1]
    if not _holds(best, allowed):
        best = min(tried, key=lambda each: (each.lost, -each.agreement))
        low, high = best.interval
        little = best.agreement < AGREEMENT
        raise BundleError(
            f"int8 loses {best.lost:.2f} percentage points ({low:.2f} to {high:.2f}) on "
            f"{counted(len(truth), 'validation image')}, and {best.agreement:.2%} of the labels are those of float32",
            place="--int8",
            expected=f"at most {allowed:g} percentage points, and {AGREEMENT:.1%} of the labels equal",
            cure="leave out --int8"
            if little
            else f"--lose-at-most {_rounded_up(best.lost):g}, or leave out --int8",
        )
    layers = pair_proofs(best.model, preprocessing.normalize(rest[:2]))
    return best.model, Int8(
        method=method,
        methods=methods,
        calibrated_on=len(calibration),
        measured_on=len(rest),
        layers=layers,
        in_float=list(dict.fromkeys(map(_layer, best.in_float))),
        lost=best.lost,
        interval=best.interval,
        allowed=allowed,
        agreement=best.agreement,
        tried=[str(each) for each in tried],
    )


def _holds(each: _Trial, allowed: float) -> bool:
    return each.lost <= allowed + 1e-9 and each.agreement >= AGREEMENT


def _rounded_up(points: float) -> float:
    return float(np.ceil(10 * max(points, 0.1)) / 10)


def _layer(node: str) -> str:
    return node.split("/")[0] or node


def _logits(model: bytes, stored: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    run = open_session(model, [LOGITS])
    rows = [
        run(preprocessing.normalize(stored[start : start + BATCH]))[0]
        for start in range(0, len(stored), BATCH)
    ]
    return np.concatenate(rows)


def _error(
    model: bytes, stored: NDArray[Any], exact: NDArray[np.float32], preprocessing: Preprocessing
) -> float:
    """The mean squared error of the logits, as a share of their variance."""
    found = _logits(model, stored, preprocessing)
    return float(((found - exact) ** 2).mean() / max(float(exact.var()), 1e-12))


def _tried(
    model: bytes,
    in_float: Sequence[str],
    stored: NDArray[Any],
    truth: NDArray[np.int64],
    exact: NDArray[np.float32],
    preprocessing: Preprocessing,
) -> _Trial:
    before, after = exact.argmax(axis=1), _logits(model, stored, preprocessing).argmax(axis=1)
    right, still = before == truth, after == truth
    low, high = paired_bootstrap(still, right)
    lost = 100 * float(right.mean() - still.mean())
    return _Trial(model, tuple(in_float), float((before == after).mean()), lost, (100 * low, 100 * high))


def _harm(
    way: _Way,
    kept: Sequence[str],
    stored: NDArray[Any],
    exact: NDArray[np.float32],
    preprocessing: Preprocessing,
    watch: Watch,
) -> list[str]:
    """The layers by how much the logits err where each alone is in int8, the worst first."""
    names = [node.name for node in onnx.load_from_string(way.model).graph.node]
    some = slice(None, None, max(1, len(stored) // PROBED))
    candidates = [name for name in layer_nodes(way.model) if name not in kept]
    harm = {}
    watch.begin("layers in int8, one at a time", len(candidates))
    for number, name in enumerate(candidates):
        alone = way.quantized([each for each in names if each != name])
        harm[name] = _error(alone, stored[some], exact[some], preprocessing)
        watch.advance(number + 1, "")
    watch.end()
    return sorted(candidates, key=lambda each: -harm[each])
