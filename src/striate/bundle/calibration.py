"""How sure an answer is: temperature, calibration error, promised risk, conformal sets, unlike images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from striate.bundle.manifest import Calibration, ConformalLevel, Outliers, Promise

# Shares of wrong answers that are tried to be promised, and levels of conformal sets.
RISKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
LEVELS = (0.8, 0.9, 0.95, 0.99)

# Of the validation images so many are like the training images.
KEPT = 0.99
BINS = 15

# A promise holds with a probability of 1 - this.
DELTA = 0.05

Floats = NDArray[np.float32] | NDArray[np.float64]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """N x K logits -> N x K probabilities, in float32."""
    shifted: NDArray[np.float32] = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def energy(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """How unlike the training images each is: -T logsumexp(logits / T), N.

    Source: Liu et al. 2020, "Energy-based out-of-distribution detection", section 3.
    """
    scaled = logits.astype(np.float64) / temperature
    most = scaled.max(axis=1)
    score: NDArray[np.float32] = (
        -temperature * (most + np.log(np.exp(scaled - most[:, None]).sum(axis=1)))
    ).astype(np.float32)
    return score


def tta_logits(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    x: NDArray[np.float32],
    logits: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Mean logits of six looks at each image, as `striate.predict.evaluate.looked_at_again` takes them in torch.

    (2 (f(x) + f(mx)) + f(a) + f(ma) + f(b) + f(mb)) / 8, where m mirrors, a and b are shifted by a pixel

    x: N x C x H x W.  logits: f(x), N x K.  Source: Jordan 2024, section 3.5.
    """
    height, width = x.shape[2:]
    beside = ((0, 0), (0, 0), (1, 1), (1, 1))
    wide = np.pad(x, beside, "reflect") if min(height, width) > 1 else np.pad(x, beside, "edge")
    found = 2 * (logits + run(x[..., ::-1].copy()))
    for moved in (wide[:, :, :height, :width], wide[:, :, 2:, 2:]):
        found += run(np.ascontiguousarray(moved)) + run(moved[..., ::-1].copy())
    mean: NDArray[np.float32] = found / np.float32(8)
    return mean


def calibrate(
    logits: NDArray[np.float32], labels: NDArray[np.int64], *, wrong_at_most: float | None = None
) -> Calibration:
    """What makes the answers sure of themselves, from those about images that were not trained on.

    logits: N x K.  labels: N.  wrong_at_most: a risk whose threshold is to be used; it is among the promises, or
    it cannot be kept: then the calibration has no `wrong_at_most`.
    """
    temperature = fit_temperature(logits, labels)
    halves = np.arange(len(labels)) % 2
    crossed = np.empty(len(labels), dtype=np.float64)
    right = logits.argmax(axis=1) == labels
    for half in (0, 1):
        here, there = halves == half, halves != half
        other = fit_temperature(logits[there], labels[there]) if there.any() else 1.0
        crossed[here] = softmax(logits[here] / np.float32(other)).max(axis=1)
    shares = softmax(logits / np.float32(temperature))
    sure = shares.max(axis=1)
    risks = sorted({*RISKS, *([wrong_at_most] if wrong_at_most else [])})
    promises = [each for risk in risks if (each := promise(sure, right, risk)) is not None]
    made = Calibration(
        temperature=temperature,
        images=len(labels),
        ece_before=calibration_error(softmax(logits).max(axis=1), right),
        ece_after=calibration_error(crossed, right),
        promises=promises,
        sets=conformal_levels(shares[np.arange(len(labels)), labels]),
        outliers=_outliers(energy(logits, temperature)),
    )
    kept = wrong_at_most if wrong_at_most and made.promise(wrong_at_most) is not None else None
    return made.model_copy(update={"wrong_at_most": kept})


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The T in 0.05..20 with the least mean of -log softmax(logits / T)[label], by golden section on log T.

    1 where there are no images.  Source: Guo et al. 2017, section 4.2.
    """
    if not len(labels):
        return 1.0
    exact = logits.astype(np.float64)
    own = exact[np.arange(len(labels)), labels]

    def loss(log_t: float) -> float:
        scale = math.exp(-log_t)
        most = exact.max(axis=1) * scale
        total = most + np.log(np.exp(exact * scale - most[:, None]).sum(axis=1))
        return float((total - own * scale).mean())

    low, high, share = math.log(0.05), math.log(20.0), (math.sqrt(5) - 1) / 2
    a, b = high - share * (high - low), low + share * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(40):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - share * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + share * (high - low)
            at_b = loss(b)
    return math.exp((low + high) / 2)


def calibration_error(sure: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error: sum over 15 equal bins of |bin| / N * |share right - mean probability|.

    sure: N probabilities of the answers.  right: N.  Source: Naeini et al. 2015; Guo et al. 2017, section 2.
    """
    if not len(sure):
        return 0.0
    bins = np.minimum((np.asarray(sure, dtype=np.float64) * BINS).astype(int), BINS - 1)
    total = 0.0
    for each in range(BINS):
        here = bins == each
        if here.any():
            total += abs(float(right[here].sum()) - float(np.asarray(sure, np.float64)[here].sum()))
    return total / len(sure)


def promise(sure: Floats, right: NDArray[np.bool_], risk: float) -> Promise | None:
    """The least threshold found whose answers are wrong in at most `risk`, with 95 % confidence; None if there is none.

    Selection with guaranteed risk: the places of the sorted probabilities are searched by halving, each of the
    k = ceil(log2 N) + 1 tries with the exact binomial bound at DELTA / k.

    sure: N probabilities of the answers.  right: N.  Source: Geifman and El-Yaniv 2017, algorithm 1.
    """
    count = len(sure)
    if not count:
        return None
    falling = -sure.astype(np.float64)
    order = np.argsort(falling, kind="stable")
    falling, wrong = falling[order], np.cumsum(~right[order])
    tries = math.ceil(math.log2(count)) + 1
    found: Promise | None = None
    low, high = 0, count
    at = count
    for _ in range(tries):
        # All that are as probable as the last one are answered as well.
        answered = int(np.searchsorted(falling, falling[at - 1], side="right"))
        bad = int(wrong[answered - 1])
        if binomial_bound(bad, answered, DELTA / tries) <= risk:
            threshold = 0.0 if answered == count else -float(falling[answered - 1])
            found = Promise(
                risk=risk,
                threshold=threshold,
                coverage=answered / count,
                wrong=bad / answered,
                answered=answered,
            )
            low = max(low, at)
        else:
            high = min(high, at - 1)
        if low >= high:
            break
        at = (low + high + 1) // 2
    return found


def binomial_bound(wrong: int, count: int, delta: float) -> float:
    """The largest share p with P(at most `wrong` of `count` | p) >= delta: Clopper and Pearson's upper bound."""
    if wrong >= count:
        return 1.0
    k = np.arange(wrong + 1)
    # log of `count` over k.
    ways = np.concatenate([[0.0], np.cumsum(np.log(count - k[1:] + 1) - np.log(k[1:]))])
    low, high = wrong / count, 1.0
    for _ in range(60):
        p = (low + high) / 2
        if p in (0.0, 1.0):
            break
        logs = ways + k * math.log(p) + (count - k) * math.log1p(-p)
        most = float(logs.max())
        below = most + math.log(float(np.exp(logs - most).sum()))
        low, high = (p, high) if below > math.log(delta) else (low, p)
    return high


def conformal_levels(own: Floats, levels: Sequence[float] = LEVELS) -> list[ConformalLevel]:
    """The least probability that a class of a set has, for each level that N images can promise.

    The floor(alpha (N + 1))-th smallest probability of a true class, alpha = 1 - level: a new image's true class is
    above it with a probability of at least `level`.

    own: N probabilities of the true classes.  Source: Sadinle et al. 2019; Angelopoulos and Bates 2023, section 1.
    """
    ordered = np.sort(own)
    found = []
    for level in levels:
        rank = math.floor((1 - level) * (len(ordered) + 1) + 1e-9)
        if rank >= 1:
            found.append(ConformalLevel(level=level, least=float(ordered[rank - 1])))
    return found


def auroc(usual: Floats, other: Floats) -> float:
    """How well a score tells others from usual images: P(other > usual) + P(equal) / 2.

    Source: Hanley and McNeil 1982.
    """
    values = np.concatenate([usual, other]).astype(np.float64)
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    total = float(ranks[len(usual) :].sum()) - len(other) * (len(other) + 1) / 2
    return total / (len(usual) * len(other))


def _outliers(score: NDArray[np.float32]) -> Outliers | None:
    if not len(score):
        return None
    threshold = float(np.quantile(score, KEPT, method="higher"))
    return Outliers(threshold=threshold, kept=float((score <= threshold).mean()))
