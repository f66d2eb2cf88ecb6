"""How far a measured share can be trusted."""

from __future__ import annotations

import math


def wilson(share: float, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a `share` that was measured on `total` pictures.

    (p + z^2/2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2/n), z = 1.96 for 95 %

    Source: Wilson 1927.
    """
    if total <= 0:
        return 0.0, 1.0
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    below = 1 + z * z / total
    return max(0.0, (middle - half) / below), min(1.0, (middle + half) / below)
