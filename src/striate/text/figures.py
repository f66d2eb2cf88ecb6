"""Numbers as they are read: shares, counts, times and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from unicodedata import combining, east_asian_width

NONE = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """`98.6%`.  What is not the whole never reads 100%, nor what is not nothing 0%."""
    if value is None:
        return NONE
    for more in range(digits, 5):
        said = f"{value:.{more}%}"
        if value in (0, 1) or float(said[:-1]) not in (0, 100):
            return said
    return "<0.001%" if value < 0.5 else ">99.999%"


def count(value: int | None) -> str:
    """`61,706`."""
    return NONE if value is None else f"{value:,}"


def decimal(value: float | None, digits: int = 3) -> str:
    """`0.123`, or in powers of ten where that would lose everything."""
    if value is None:
        return NONE
    if value and (abs(value) < 10.0**-digits or abs(value) >= 1e6):
        return f"{value:.2e}"
    return f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """`4.2 s`, `3 min 12 s`, `2 h 5 min`."""
    if seconds is None or seconds < 0:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def size(value: float) -> str:
    """`512 B`, `1.2 MB`, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def short(value: float) -> str:
    """`840`, `61.7k`, `118M`, `4.09G`: three digits of a large count."""
    for unit in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:,.3g}T"


def wilson(share: float, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a `share` that was measured on `total` images.

    (p + z^2/2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2/n), z = 1.96 for 95 %

    Source: Wilson 1927.
    """
    if total <= 0:
        return 0.0, 1.0
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    below = 1 + z * z / total
    return max(0.0, (middle - half) / below), min(1.0, (middle + half) / below)


def aligned(lines: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Columns two spaces apart, the first `left` of them flush left and the others flush right."""
    width = max(len(line) for line in lines)
    full = [[*line, *[""] * (width - len(line))] for line in lines]
    widths = [max(letters(line[i]) for line in full) for i in range(width)]

    def padded(i: int, cell: str) -> str:
        space = " " * (widths[i] - letters(cell))
        return cell + space if i < left else space + cell

    return ["  ".join(padded(i, cell) for i, cell in enumerate(line)).rstrip() for line in full]


def letters(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese characters and their like take two, accents none."""
    if text.isascii():
        return len(text)
    wide = {"W": 2, "F": 2}
    return sum(0 if combining(each) else wide.get(east_asian_width(each), 1) for each in text)
