"""Setting a part of the training images aside for validation."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from striate.data.augment.chance import Stream, uniform
from striate.errors import DataError, MissingExtra

MOST_SHARE = 0.5


def make_validation(
    labels: npt.NDArray[np.int64], groups: Sequence[str | None] | None, share: float, seed: int
) -> npt.NDArray[np.int64]:
    """The positions (sorted) of the images that are set aside: stratified, seeded, groups kept whole.

    labels: (N,).  share: of the images, above 0 and at most 0.5.  seed: 0 .. 2^32 - 1.
    groups: N names, or None where there are none.  An image whose group is None is a group by itself.

    Without groups: of n images of a class round(share * n) are drawn, but at least one and at most n - 1; a
    class of one image stays in training.

    With groups: scikit-learn's StratifiedGroupKFold with about 1/share folds.  Of the folds the one is taken that leaves
    the fewest classes missing in training, then in validation, then comes nearest to the share.  A class
    whose images are all of one group is then on one side only.

    Raises: DataError where share or seed are out of their domain or nothing can be set aside;
    MissingExtra where there are groups and scikit-learn is not installed.
    """
    if not 0 < share <= MOST_SHARE:
        raise DataError(
            f"the validation share is {share}", expected=f"above 0 and at most {MOST_SHARE}", cure="0.1"
        )
    if not 0 <= seed < 2**32:
        raise DataError(f"the seed is {seed}", expected="a whole number from 0 to 4294967295", cure="0")
    if groups is not None and any(each is not None for each in groups):
        return _by_groups(labels, groups, share, seed)
    return _by_classes(labels, share, seed)


def joined(first: Sequence[str | None], second: Sequence[str | None]) -> list[str | None]:
    """One grouping of images out of two: those that share a name in either are in one group.

    first, second: N names each, None for an image by itself; a group has a name of the first, where one of it has.
    """
    leaders = list(range(len(first)))

    def leader(place: int) -> int:
        while leaders[place] != place:
            leaders[place] = place = leaders[leaders[place]]
        return place

    for names in (first, second):
        seen: dict[str, int] = {}
        for place, name in enumerate(names):
            if name is not None:
                leaders[leader(place)] = leader(seen.setdefault(name, place))
    found = [leader(place) for place in range(len(first))]
    sizes, named = Counter(found), dict[int, str | None]()
    for names in (first, second):
        for head, name in zip(found, names, strict=True):
            named[head] = named.get(head) or name
    return [
        named[head] if sizes[head] > 1 or name is not None else None
        for head, name in zip(found, first, strict=True)
    ]


def _by_classes(labels: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.int64]:
    counts = np.bincount(labels)
    if counts.max(initial=0) < 2:
        raise DataError(
            "no class has two images, so none can be set aside for validation",
            expected="at least two images in a class",
            cure="add images, or a val/ folder",
        )
    # Class by class, the images of each in the order of a number drawn for them.
    order = np.lexsort((uniform(seed, 0, np.arange(len(labels)), Stream.ASIDE), labels))
    firsts = np.cumsum(counts) - counts
    aside = [
        order[first : first + min(max(round(share * count), 1), count - 1)]
        for first, count in zip(firsts.tolist(), counts.tolist(), strict=True)
        if count > 1
    ]
    return np.sort(np.concatenate(aside))


def _by_groups(
    labels: npt.NDArray[np.int64], groups: Sequence[str | None], share: float, seed: int
) -> npt.NDArray[np.int64]:
    numbers: dict[object, int] = {}
    codes = np.array(
        [
            numbers.setdefault(position if each is None else each, len(numbers))
            for position, each in enumerate(groups)
        ]
    )
    folds = min(round(1 / share), len(numbers), int(np.bincount(labels).max()))
    if folds < 2:
        raise DataError(
            f"all {len(labels):,} training images are of one group, or no class has two",
            expected="at least two groups, so that one can be set aside for validation",
            cure="mark validation images in the manifest's column split",
        )
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError:
        raise MissingExtra(
            "the validation split of groups is made with scikit-learn, which is not installed",
            cure='pip install "striate[train]"',
        ) from None
    drawer = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # It warns of classes with fewer images than folds; what that means is in the docstring.
        warnings.simplefilter("ignore", UserWarning)
        sides = list(drawer.split(np.zeros(len(labels)), labels, codes))

    classes = len(np.unique(labels))

    def badness(side: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]) -> tuple[int, int, float]:
        kept, aside = side
        return (
            classes - len(np.unique(labels[kept])),
            classes - len(np.unique(labels[aside])),
            abs(len(aside) / len(labels) - share),
        )

    _, aside = min((side for side in sides if len(side[0]) and len(side[1])), key=badness)
    return np.sort(aside).astype(np.int64)
