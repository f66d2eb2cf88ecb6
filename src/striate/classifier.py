"""A scikit-learn estimator."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d
from torch import Tensor

from striate.api.networks import NetText, read
from striate.api.trainings import begin_with
from striate.data.formats.npz import list_arrays
from striate.errors import DataError, StriateError, counted, require_train
from striate.optimizers import OPTIMIZERS
from striate.predict.trained import Trained

# Where the arrays are, in errors and in the record of their run.
PLACE = "Classifier"

# What a training would else choose by timing, so that a seed gives the same network each time.
REPEATABLE = {"precision": "fp32", "layout": "channels_last"}


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A convolutional network with fit, predict, predict_proba and score on arrays of images.

    net: as `striate.read`, or None to choose by the images.  recipe: a name or file, or None.
    epochs, batch, rate: keys of the recipe that are searched most; None leaves them to the recipe.
    keys: any other keys of the recipe, as `{"optimizer": "nesterov"}`.
    channels_first: images are N x C x H x W; None finds out: where the last axis is 1, 3 or 4 long and
    the second is not, the channels are last.
    device: as `striate train --device`.  seed: of everything that is drawn.

    fit takes X: N x H x W, N x H x W x C or N x C x H x W, uint8 or float, and y: N labels of any kind.
    A tenth of the images is held out to choose the best epoch.  After it: `classes_`, `n_features_in_`,
    `trained_`.

    Raises DataError for arrays of other shapes, and what `striate.train` raises.
    """

    def __init__(
        self,
        net: str | Path | NetText | None = None,
        *,
        recipe: str | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        keys: dict[str, Any] | None = None,
        channels_first: bool | None = None,
        device: str | None = None,
        seed: int = 0,
    ) -> None:
        self.net = net
        self.recipe = recipe
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.keys = keys
        self.channels_first = channels_first
        self.device = device
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on images and labels.  sample_weight: how much the loss of each counts, N numbers of at least 0."""
        require_train("Classifier.fit")
        from striate.predict.trained import load_trained
        from striate.progress import Silence
        from striate.training.job import gather_for, new_job, run_job

        images = self._images(X)
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        if len(labels) != len(images):
            raise DataError(
                f"there are {counted(len(labels), 'label')} for {counted(len(images), 'image')}",
                place=PLACE,
                expected="one label for each image",
            )
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise DataError(
                f"there is one class only, {classes[0]}" if len(labels) else "there are no images",
                place=PLACE,
                expected="at least two classes to tell apart",
            )
        own = {
            "epochs": self.epochs,
            "batch": self.batch,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
        }
        given: dict[str, Any] = {} if self.recipe is not None else dict(REPEATABLE)
        given |= {key: value for key, value in own.items() if value is not None}
        given |= self.keys or {}
        kind = OPTIMIZERS.get(given.get("optimizer", ""))
        if kind is not None and kind.line_search and "layout" not in (self.keys or {}):
            given.pop("layout", None)
        text, chosen = begin_with(None if self.net is None else read(self.net), self.recipe, given)
        arrays = {"x_train": images, "y_train": numbers.astype(np.int64)}
        if sample_weight is not None:
            arrays["w_train"] = np.asarray(sample_weight, dtype=np.float64)
        # Only the run is written, and goes when its weights are loaded.
        with tempfile.TemporaryDirectory(prefix="striate-") as folder:
            try:
                listing = list_arrays(arrays, arrays.__getitem__, PLACE, PLACE, "arrays")
                job = new_job(
                    PLACE,
                    gathered=gather_for(listing, chosen, strict=False, watch=Silence()),
                    network=None if text is None else text.network,
                    recipe=chosen,
                    out=Path(folder) / "run",
                    device=self.device,
                    strict=False,
                    started=time.monotonic(),
                    watch=Silence(),
                )
                run_job(job, Silence(), resume=False)
            except StriateError as error:
                if error.place.startswith((folder, PLACE)):
                    # The folder is gone when this is read, and the arrays have no names in a file.
                    error.place, error.cure = PLACE, ""
                raise
            # Only now: where a fit fails, the one before it stands.
            self.trained_: Trained = load_trained(job.run.path, device=self.device)
        self.classes_ = classes
        self.shape_ = images.shape[1:]
        self.n_features_in_ = int(np.prod(self.shape_))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Probabilities, N x K, columns in the order of `classes_`."""
        check_is_fitted(self, "trained_")
        images = self._images(X)
        if images.shape[1:] != self.shape_:
            raise DataError(
                f"the images are {images.shape[1:]}",
                place="predict",
                expected=f"{self.shape_}, as in fit",
            )
        if self.trained_.preparation.dtype == "uint8" and images.dtype != np.uint8:
            stored = images.astype(np.uint8)
            if not np.array_equal(stored, images):
                raise DataError(
                    f"the images hold other values than whole numbers of 0 to 255, as {images.dtype}",
                    place="predict",
                    expected="8-bit values, as in fit",
                    cure="the same scaling in both",
                )
            images = stored
        return self.trained_.predict_arrays(images)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label of each image, N."""
        check_is_fitted(self, "trained_")
        found: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return found

    def __sklearn_tags__(self) -> Tags:
        """Images have three axes or four, not two."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    def _images(self, X: ArrayLike) -> NDArray[Any]:
        """X as N x H x W x C."""
        if isinstance(X, Tensor):
            X = X.detach().cpu().float().numpy() if X.is_floating_point() else X.detach().cpu().numpy()
        images = np.asarray(list(X) if isinstance(X, Iterator) else X)
        if images.ndim not in (3, 4) or images.dtype.kind not in "uifb":
            rows = images.ndim == 2 and images.dtype.kind in "uifb"
            raise DataError(
                f"X is of shape {images.shape} and type {images.dtype}",
                place=PLACE,
                expected="numbers, N x H x W, N x H x W x C or N x C x H x W",
                cure="X.reshape(len(X), height, width)" if rows else "",
            )
        if images.dtype.kind == "f" and not np.abs(images).max(initial=0) <= np.finfo(np.float32).max:
            raise DataError("X holds NaN or infinity", place=PLACE, expected="finite numbers of float32")
        if images.ndim == 3:
            return images[..., None]
        first = self.channels_first
        if first is None:
            first = images.shape[1] in (1, 3, 4) and images.shape[3] not in (1, 3, 4)
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if first else images
