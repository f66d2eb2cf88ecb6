"""Keras on TensorFlow on a photo folder, from nothing, to the epoch that reaches a target.

Order and answer: as photos_fastai.py.

`image_dataset_from_directory`, random flips and turns, and the small Xception of Keras' guide "Image classification
from scratch" (128, 256, 512, 728 and 1,024 channels, separable convolutions with shortcuts), Adam at 3e-4, batches
of 32; a tenth held out.  The test behind each epoch is not counted.
"""

from __future__ import annotations

import time
from typing import Any

import keras
from jobs_keras import loss
from keras import layers
from line import Line


class Until(keras.callbacks.Callback):  # type: ignore[misc]
    """Tests behind each epoch and ends the training at a target."""

    def __init__(self, test: Any, target: float) -> None:
        super().__init__()
        self.test, self.target = test, target
        self.accuracies: list[float] = []
        self.spent_s = 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        before = time.perf_counter()
        self.accuracies.append(float(self.model.evaluate(self.test, verbose=0)[1]))
        self.model.stop_training = self.accuracies[-1] >= self.target
        self.spent_s += time.perf_counter() - before


def small_xception(size: int, classes: int) -> Any:
    """The guide's network."""
    inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 255)(layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs)))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(128, 3, 2, padding="same")(x)))
    before = x
    for width in (256, 512, 728):
        for _ in range(2):
            x = layers.SeparableConv2D(width, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, 2, padding="same")(x)
        x = before = layers.add([x, layers.Conv2D(width, 1, 2, padding="same")(before)])
    x = layers.BatchNormalization()(layers.SeparableConv2D(1024, 3, padding="same")(x))
    x = layers.GlobalAveragePooling2D()(layers.Activation("relu")(x))
    return keras.Model(inputs, layers.Dense(classes)(layers.Dropout(0.25)(x)))


def work(order: dict[str, Any]) -> dict[str, Any]:
    """Train until the target is reached."""
    begun = time.perf_counter()
    keras.utils.set_random_seed(order["seed"])
    size = order["size"]
    said = {"image_size": (size, size), "batch_size": 32, "seed": order["seed"], "verbose": False}
    read = keras.utils.image_dataset_from_directory
    train, val = read(f"{order['data']}/train", subset="both", validation_split=0.1, **said)
    test = read(f"{order['data']}/test", shuffle=False, **said)
    net = small_xception(size, len(train.class_names))
    if order["limit"]:
        train, val, test = (each.take(order["limit"]) for each in (train, val, test))
    net.compile(optimizer=keras.optimizers.Adam(3e-4), loss=loss(), metrics=["accuracy"])
    until = Until(test.prefetch(2), order["target"])
    net.fit(
        train.prefetch(2),
        validation_data=val.prefetch(2),
        epochs=order["epochs"],
        verbose=0,
        callbacks=[until],
    )
    taken = time.perf_counter() - begun - until.spent_s
    best = max(until.accuracies)
    return {
        "s": taken if best >= order["target"] else None,
        "accuracy": best,
        "epochs": len(until.accuracies),
    }


def main() -> None:
    """Answer orders."""
    Line().answer(work)


if __name__ == "__main__":
    main()
