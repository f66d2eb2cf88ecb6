"""What Keras' "Simple MNIST convnet" does, on TensorFlow, to the epoch that reaches a target.

Order and answer: as mnist_torch.py.  The example tests once, at its end; the test behind each epoch here is not
counted.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from idx import read_idx
from keras import layers
from line import Line

EPOCHS, BATCH = 15, 128


class Until(keras.callbacks.Callback):  # type: ignore[misc]
    """Tests behind each epoch, and ends the training at a target."""

    def __init__(self, x: Any, y: Any, target: float) -> None:
        super().__init__()
        self.x, self.y, self.target = x, y, target
        self.accuracies: list[float] = []
        self.spent_s = 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        before = time.perf_counter()
        self.accuracies.append(float(self.model.evaluate(self.x, self.y, verbose=0)[1]))
        self.model.stop_training = self.accuracies[-1] >= self.target
        self.spent_s += time.perf_counter() - before


def example_net() -> Any:
    """The network of the example."""
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def work(order: dict[str, Any]) -> dict[str, Any]:
    """Train until the target is reached."""
    whole = time.perf_counter()
    keras.utils.set_random_seed(order["seed"])
    folder = Path(order["data"])
    x, x_test = (
        np.expand_dims(read_idx(folder, f"{each}-images").astype("float32") / 255, -1)
        for each in ("train", "t10k")
    )
    y, y_test = (
        keras.utils.to_categorical(read_idx(folder, f"{each}-labels"), 10) for each in ("train", "t10k")
    )
    if order["steps"]:
        x, y = x[: order["steps"] * BATCH], y[: order["steps"] * BATCH]
    net = example_net()
    net.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    until = Until(x_test, y_test, order["target"])
    begun = time.perf_counter()
    epochs = 2 if order["steps"] else EPOCHS
    net.fit(x, y, batch_size=BATCH, epochs=epochs, validation_split=0.1, verbose=0, callbacks=[until])
    now = time.perf_counter() - until.spent_s
    there = until.accuracies[-1] >= order["target"]
    return {
        "whole_s": now - whole if there else None,
        "training_s": now - begun if there else None,
        "accuracy": until.accuracies[-1],
        "epochs": len(until.accuracies),
    }


def main() -> None:
    """Answer orders."""
    Line().answer(work)


if __name__ == "__main__":
    main()
