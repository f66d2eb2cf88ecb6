"""The worst mistakes of a network, as pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.data.pictures import Pictures, centre
from striate.runs.record import Mistake

MOST = 24
# Small pictures are drawn larger, in whole steps, so that their pixels stay sharp.
SHOWN_SIDE = 96


def worst_mistakes(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    names: Sequence[str],
    classes: tuple[str, ...],
    size: tuple[int, int],
    stored: Callable[[int], Pictures],
) -> list[Mistake]:
    """The wrong answers that were surest, the surest first.

    probabilities: N x K.  size: the middle of the stored image that the network saw.  stored: the image of a
    place, H x W x C.
    """
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    sure = probabilities[wrong, answers[wrong]]
    worst = wrong[np.argsort(-sure, kind="stable")[:MOST]]
    return [
        Mistake(
            name=names[i],
            label=classes[labels[i]],
            answer=classes[answers[i]],
            probability=min(1.0, float(probabilities[i, answers[i]])),
            png=base64.b64encode(png(centre(stored(i)[None], size)[0])).decode(),
        )
        for i in worst.tolist()
    ]


def png(picture: Pictures) -> bytes:
    """A stored picture, H x W x C, as a PNG; of other than 1 or 3 channels the first is shown as grey."""
    if picture.dtype != np.uint8:
        low, high = float(picture.min()), float(picture.max())
        picture = ((picture - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    shown = picture if picture.shape[2] == 3 else picture[:, :, 0]
    image = Image.fromarray(np.ascontiguousarray(shown))
    larger = max(1, SHOWN_SIDE // max(image.size))
    image = image.resize((image.width * larger, image.height * larger), Image.Resampling.NEAREST)
    if max(image.size) > 2 * SHOWN_SIDE:
        image.thumbnail((2 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
