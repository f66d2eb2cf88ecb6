"""Data sets that come with a library and need no files."""

from __future__ import annotations

import numpy as np

from striate.data.files.entry import ArraySplit, Listing
from striate.errors import MissingExtra

BUILT_IN = ("digits",)

# Of the 1,797 digits; the rest is the test split.
TRAINING = 1_437


def list_digits() -> Listing:
    """scikit-learn's 1,797 handwritten digits of 8x8 grey pixels: 1,437 to train on, the last 360 to test.

    The order of the file is kept: what one person wrote lies together there, so the test asks about hands
    that the training hardly saw.

    uint8 = round(v * 255 / 16), for v in 0..16.  Source: UCI, Optical Recognition of Handwritten Digits.
    Raises: MissingExtra where scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtra(
            "the built-in digits come with scikit-learn, which is not installed",
            cure='pip install "striate[train]"',
        ) from None
    digits = load_digits()
    images = np.round(digits.images * 255 / 16).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int64)
    return Listing(
        source="digits",
        name="digits",
        kind="built-in",
        classes=tuple(str(each) for each in digits.target_names),
        arrays=(
            ArraySplit("train", np.ascontiguousarray(images[:TRAINING]), labels[:TRAINING]),
            ArraySplit("test", np.ascontiguousarray(images[TRAINING:]), labels[TRAINING:]),
        ),
    )
