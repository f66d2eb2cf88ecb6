"""Images that are there more than once, exactly or nearly: found by perceptual hash, verified on thumbnails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from striate.checks.thumbnails import SIDE, TINT_SIDE, Thumbnail
from striate.data.files.entry import SPLITS
from striate.data.files.finding import Finding
from striate.data.store.samples import Roll, duplicate_findings, same_contents

LEAST_SAME, MOST_SAME = 0.97, 0.997
"""Between these lies the correlation of thumbnails from which two images are one, saved anew: see `same_above`."""

_STRICTNESS = 25
_PAIRS = 20_000

_HAMMING = 16
"""Candidates differ in at most so many of the 64 bits; brighter, halved or cropped by 1 % they do not."""

_LEAST_CONTRAST = 4.0
"""Standard deviation of the grey values, of 255: below, noise decides, and the image is not compared."""

_LEAST_CHROMA, _SAME_HUES = 2.0, 0.7
"""Mean distance from grey, of 255, from which colors count, and the cosine that they must agree in."""

_AT_ONCE, _BLOCK = 2048, 128

Positions: TypeAlias = npt.NDArray[np.int64]
Wanted: TypeAlias = npt.NDArray[np.bool_]

MOST_ALIKE = 10_000
"""No more pairs that look alike are kept."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Two positions, the smaller first, and the correlation of their thumbnails."""

    first: int
    second: int
    correlation: float


@dataclass(frozen=True, slots=True)
class Near:
    """groups: the images that are one, saved anew, each group in order.  alike: pairs of others.

    same: the correlation from which they are one.
    """

    groups: list[list[int]]
    alike: list[Alike]
    same: float


def same_above(thumbnails: Sequence[Thumbnail]) -> float:
    """From which correlation on two of these are one image: 1 - (1 - q) / 25, within LEAST_SAME and MOST_SAME.

    q: what nine tenths of pairs drawn at random stay below.  Photographs of many things have q = 0.3 and get 0.97,
    which crops of 1 % and burst shots pass; digits, or faces all alike, have a high one and get up to 0.997, which
    only what was saved anew passes.  docs/duplicates.md has what is missed and what is falsely named.
    """
    draw = np.random.default_rng(0)
    greys = [each.grey for each in thumbnails if each.grey.std() >= _LEAST_CONTRAST]
    if len(greys) < 2:
        return MOST_SAME
    first, second = draw.integers(0, len(greys), (2, _PAIRS))
    first, second = first[first != second], second[first != second]
    stacked = np.stack(greys)
    usual = float(np.quantile(_correlations(stacked[first], stacked[second]), 0.9))
    return min(max(1 - (1 - usual) / _STRICTNESS, LEAST_SAME), MOST_SAME)


def find_near(thumbnails: Sequence[Thumbnail | None], homes: Sequence[int]) -> Near:
    """What hangs together by correlations of `same_above` or more, and the pairs of two homes that come near it.

    Near is what is at most twice as far from a correlation of 1.

    thumbnails: None, and those without contrast, are like nothing.  homes: a number for each image; pairs
    of one home are no news unless they are the same.
    """
    there = [position for position, each in enumerate(thumbnails) if each is not None]
    known = [each for each in thumbnails if each is not None]
    if len(there) < 2:
        return Near([], [], MOST_SAME)
    same = same_above(known)
    parent = np.arange(len(there))
    alike: dict[tuple[int, int], float] = {}

    def apart(left: Positions, right: Positions) -> Wanted:
        # What hangs together already needs no further proof: ten thousand frames of a still camera.
        return np.asarray(_roots(parent, left) != _roots(parent, right))

    for a, b, correlation in similar_pairs(known, 2 * same - 1, apart):
        if correlation >= same:
            one, other = _roots(parent, np.array([a, b]))
            parent[max(one, other)] = min(one, other)
        elif homes[there[a]] != homes[there[b]] and len(alike) < MOST_ALIKE:
            alike[a, b] = correlation
    roots = _roots(parent, np.arange(len(there)))
    groups: dict[int, list[int]] = {}
    for position, root in enumerate(roots):
        groups.setdefault(int(root), []).append(there[position])
    return Near(
        [each for each in groups.values() if len(each) > 1],
        [Alike(there[a], there[b], each) for (a, b), each in sorted(alike.items()) if roots[a] != roots[b]],
        same,
    )


def similar_pairs(
    thumbnails: Sequence[Thumbnail],
    least: float,
    wanted: Callable[[Positions, Positions], Wanted] | None = None,
) -> Iterator[tuple[int, int, float]]:
    """The pairs that the hash finds, of one hue and with a correlation of `least` or more: positions, correlation.

    wanted: which of some pairs are still to be looked at.
    Those without contrast are like nothing.  A pair whose hashes agree in no byte is not found: by pigeonhole none
    with at most 7 of 64 bits apart, and of those further apart few.
    """
    greys = np.stack([each.grey for each in thumbnails])
    tints = np.stack([each.tint for each in thumbnails])
    lively = np.flatnonzero(greys.reshape(len(greys), -1).std(axis=1) >= _LEAST_CONTRAST)
    for first, second in _candidates(perceptual_hashes(greys[lively])):
        left, right = lively[first], lively[second]
        if wanted is not None:
            chosen = wanted(left, right)
            left, right = left[chosen], right[chosen]
        found = _correlations(greys[left], greys[right])
        good = (found >= least) & _same_hues(tints[left], tints[right])
        yield from zip(left[good].tolist(), right[good].tolist(), found[good].tolist(), strict=True)


def _roots(parent: npt.NDArray[np.int64], members: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    roots = parent[members]
    while (parent[roots] != roots).any():
        roots = parent[roots]
    return roots


def perceptual_hashes(greys: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """pHash: 64 bits of each thumbnail (N, 32, 32), set where a low frequency is above their median.

    The 64 are the lowest of the cosine transform's, rows and columns 0..7, with (0, 8) for (0, 0), which is
    the brightness.  They survive resizing, compression and changes of tone.  Source: Zauner 2010, 3.2.
    """
    steps = np.arange(SIDE)
    waves = np.cos(np.pi * np.outer(np.arange(9), 2 * steps + 1) / (2 * SIDE)).astype(np.float32)
    bits = np.empty((len(greys), 64), dtype=bool)
    for start in range(0, len(greys), _AT_ONCE):
        part = greys[start : start + _AT_ONCE].astype(np.float32)
        spectrum = waves @ part @ waves.T
        low = spectrum[:, :8, :8].reshape(len(part), 64).copy()
        low[:, 0] = spectrum[:, 0, 8]
        bits[start : start + len(part)] = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def _candidates(
    hashes: npt.NDArray[np.uint64],
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Positions of pairs that agree in a whole byte and differ in few bits, each pair once."""
    octets = hashes.view(np.uint8).reshape(len(hashes), 8)
    for byte in range(8):
        order = np.argsort(octets[:, byte], kind="stable")
        starts = np.flatnonzero(np.diff(octets[order, byte], prepend=-1))
        for members in np.split(order, starts[1:]):
            for start in range(0, len(members), _BLOCK):
                block = members[start : start + _BLOCK]
                rest = members[start:]
                apart = np.bitwise_count(hashes[block][:, None] ^ hashes[rest][None, :])
                # Of two hashes that agree in an earlier byte, too, that byte has found them.
                rows, columns = np.nonzero(apart <= _HAMMING)
                a, b = block[rows], rest[columns]
                new = (a < b) & ~(octets[a, :byte] == octets[b, :byte]).any(axis=1)
                a, b = a[new], b[new]
                for cut in range(0, len(a), _AT_ONCE):
                    yield a[cut : cut + _AT_ONCE], b[cut : cut + _AT_ONCE]


def _correlations(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """r = sum (a - mean a)(b - mean b) / (|a - mean a| |b - mean b|) of each pair of thumbnails."""
    one, other = (each.reshape(len(each), SIDE * SIDE).astype(np.float32) for each in (left, right))
    one -= one.mean(axis=1, keepdims=True)
    other -= other.mean(axis=1, keepdims=True)
    products = np.einsum("ij,ij->i", one, other)
    result: npt.NDArray[np.float64] = products / (
        np.linalg.norm(one, axis=1).astype(np.float64) * np.linalg.norm(other, axis=1)
    )
    return result


def _same_hues(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether the colors agree, or one of the two is grey."""
    fields = 3 * TINT_SIDE**2
    one, other = (
        (each - each.astype(np.float32).mean(axis=3, keepdims=True)).reshape(len(each), fields)
        for each in (left, right)
    )
    grey = np.minimum(np.abs(one).mean(axis=1), np.abs(other).mean(axis=1)) < _LEAST_CHROMA
    lengths = np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1), 1e-9)
    agree = np.einsum("ij,ij->i", one, other) >= _SAME_HUES * lengths
    return np.asarray(grey | agree)


MOST = 200_000
"""Among more images near duplicates are not looked for: the time grows with the square of their number."""


def near_and_exact_findings(
    roll: Roll, contents: Sequence[str], thumbnails: Sequence[Thumbnail | None]
) -> list[Finding]:
    """Duplicates, near duplicates and what looks alike.

    contents: a hash of the pixels of each image.  thumbnails: None where there is none to compare.
    """
    exact = same_contents(contents)
    findings = duplicate_findings(roll, exact)
    if len(thumbnails) > MOST:
        return findings
    copies = {group[0]: group for group in exact}
    further = {each for group in exact for each in group[1:]}
    homes = [
        len(roll.classes) * SPLITS.index(split) + label
        for split, label in zip(roll.splits, roll.labels, strict=True)
    ]
    found = find_near(
        [None if at in further else thumbnail for at, thumbnail in enumerate(thumbnails)], homes
    )
    groups = [[copy for each in group for copy in copies.get(each, [each])] for group in found.groups]
    findings += duplicate_findings(roll, groups, near=True)
    findings += [_alike(roll, each) for each in found.alike]
    return findings


def duplicate_limits(thumbnails: Sequence[Thumbnail | None]) -> tuple[str, ...]:
    """What of it was not looked for, as sentences."""
    if len(thumbnails) > MOST:
        return (f"near duplicates are not looked for among more than {MOST:,} images",)
    if any(each is None for each in thumbnails):
        return (
            f"near duplicates are looked for among 8-bit grey and color images of at least {SIDE} x {SIDE} "
            "pixels only",
        )
    return ()


def _alike(roll: Roll, pair: Alike) -> Finding:
    first, second = sorted(
        (pair.first, pair.second), key=lambda each: (SPLITS.index(roll.splits[each]), each)
    )
    here, there = (f"{roll.classes[roll.labels[each]]} in {roll.splits[each]}" for each in (first, second))
    return Finding(
        "look-alike",
        roll.names[first],
        f"{here}, and looks nearly as {roll.names[second]}, {there} (correlation {pair.correlation:.3f})",
        "look at both: they may be one thing, shot twice",
        (roll.names[second],),
    )
