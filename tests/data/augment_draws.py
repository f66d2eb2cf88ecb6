"""Draws that a test chooses, words that a test draws, and a comparison of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from striate.data.augment.augment import WORDS, Augment, Word
from striate.data.augment.chance import Chance, Stream
from striate.data.augment.crop import Crop
from striate.data.augment.zoom import Zoom
from striate.data.images import Images


class Told(Chance):
    """Chance whose numbers in [0, 1] are told instead of drawn, one for each image."""

    def __init__(self, told: Mapping[Stream, Sequence[float]]) -> None:
        count = len(next(iter(told.values())))
        super().__init__(0, 0, np.arange(count))
        self.told = told

    def uniform(self, stream: Stream, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        return low + (high - low) * np.array(self.told[stream], dtype=np.float64)

    def once(self, stream: Stream) -> NDArray[np.float64]:
        return self.uniform(stream)


def words() -> st.SearchStrategy[Word]:
    """Any word with any number of its domain."""

    def of(kind: type[Word]) -> st.SearchStrategy[Word]:
        argument = kind.argument
        if argument is None:
            return st.builds(kind)
        if argument.whole:
            return st.builds(kind, st.integers(int(argument.least), int(argument.most)))
        numbers = st.floats(argument.least, argument.most, exclude_min=argument.above)
        return st.builds(kind, numbers)

    return st.one_of([of(kind) for kind in WORDS])


def augments() -> st.SearchStrategy[Augment]:
    """Any augmentation."""

    def fitting(drawn: list[Word]) -> Augment:
        first = {type(word): word for word in drawn}
        if Zoom in first:
            first.pop(Crop, None)
        return Augment(tuple(first.values()))

    return st.lists(words(), max_size=6).map(fitting)


def assert_same(found: Images, expected: object) -> None:
    """The same kind of numbers, the same shape and the same bytes."""
    wanted = np.asarray(expected, dtype=found.dtype) if isinstance(expected, list) else np.asarray(expected)
    assert found.dtype == wanted.dtype, f"{found.dtype} instead of {wanted.dtype}"
    assert found.shape == wanted.shape, f"{found.shape} instead of {wanted.shape}"
    assert found.tobytes() == wanted.tobytes(), f"\n{found}\ninstead of\n{wanted}"


def numbered(count: int, height: int, width: int, channels: int, dtype: str = "uint8") -> Images:
    """Noise, another for each image: any two values that change places are seen."""
    drawn = np.random.default_rng(count + 7 * height).random((count, height, width, channels))
    return (drawn * 256).astype(np.uint8) if dtype == "uint8" else (drawn * 3 - 1).astype(np.float32)
