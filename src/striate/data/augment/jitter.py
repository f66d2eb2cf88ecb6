"""Random brightness, contrast and saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.data.augment.argument import Argument, written
from striate.data.augment.chance import Chance, Stream
from striate.data.augment.grey import weighed
from striate.data.images import Images

ARGUMENT = Argument("S", 0, 1, 0.3, above=True)


@dataclass(frozen=True, slots=True)
class Jitter:
    """Brightness, saturation and contrast, each changed by a factor ~ U(1 - strength, 1 + strength).

        x1 = b x                          brightness
        x2 = s x1 + (1 - s) g(x1)         saturation; g is the luminance, 0.299 R + 0.587 G + 0.114 B
        y  = c x2 + (1 - c) mean(g(x2))   contrast; the mean over the image

    Images of other than three channels have no saturation, and their mean is that of all values.
    Bytes are rounded and kept in 0 to 255 once, at the end.
    Source: Howard 2013 (Some Improvements on Deep CNN Based Image Classification), section 2.2.
    """

    strength: float
    word: ClassVar[str] = "jitter"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.strength)

    def __str__(self) -> str:
        return f"{self.word} {written(self.strength)}"

    def change(self, windows: Images, chance: Chance) -> None:
        """Change N x H x W x C in place."""
        low, high = 1 - self.strength, 1 + self.strength
        brightness = chance.uniform(Stream.BRIGHTNESS, low, high)
        contrast = chance.uniform(Stream.CONTRAST, low, high)
        color = windows.shape[3] == 3
        saturation = chance.uniform(Stream.SATURATION, low, high) if color else np.ones(len(windows))
        half = 0.5 if windows.dtype == np.uint8 else 0.0
        x = windows.astype(np.float32)
        grey = weighed(x) if color else x
        # Image by image: a sum's rounding must not depend on what else is in the batch.
        mean = np.array([each.mean(dtype=np.float64) for each in grey])
        with np.errstate(over="ignore", invalid="ignore"):
            own = _each(contrast * brightness * saturation)
            common = _each(contrast * brightness * (1 - saturation))
            level = _each((1 - contrast) * brightness * mean + half)
            y = x * own
            y += (grey * common[..., 0] + level[..., 0])[..., None] if color else level
        if windows.dtype == np.uint8:
            np.clip(y, 0, 255, out=y)
        else:
            # Values near the end of float32 leave it: the largest number stands for them.
            np.nan_to_num(y, copy=False)
        windows[...] = y


def _each(
    factors: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, int, int, int], np.dtype[np.float32]]:
    return factors.astype(np.float32).reshape(-1, 1, 1, 1)
