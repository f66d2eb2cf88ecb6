"""Whole small trainings in Keras on TensorFlow as its guides write them.

Order: job, `lenet5` or `resnet18`; data; limit, images of each split (0 for all); seed.
Answer: s, from the reading of the images to the end of the test; accuracy.

lenet5: an epoch of MNIST from arrays, batches of 128, a tenth held out, Adam; then the test images.
resnet18: an epoch of a photo folder by `image_dataset_from_directory` at 128x128, a tenth held out, batches of 32,
random flips, SGD with momentum; then the test folder.
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
from steps_keras import lenet5

SIDE = 128


def block(x: Any, width: int, stride: int) -> Any:
    """Two convolutions and a shortcut."""
    y = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
    if stride > 1 or x.shape[-1] != width:
        x = layers.BatchNormalization()(layers.Conv2D(width, 1, stride, use_bias=False)(x))
    return layers.ReLU()(layers.Add()([x, y]))


def resnet18(classes: int) -> Any:
    """He et al. 2015."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 255)(layers.RandomFlip("horizontal")(inputs))
    x = layers.Conv2D(64, 7, 2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage, width in enumerate((64, 128, 256, 512)):
        x = block(block(x, width, 2 if stage else 1), width, 1)
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def digits(order: dict[str, Any]) -> float:
    """The accuracy of the job on MNIST."""
    folder, most = Path(order["data"]), order["limit"] or None
    x, x_test = (
        np.expand_dims(read_idx(folder, f"{each}-images")[:most].astype("float32") / 255, -1)
        for each in ("train", "t10k")
    )
    y, y_test = (read_idx(folder, f"{each}-labels")[:most].astype("int64") for each in ("train", "t10k"))
    net = lenet5()
    net.compile(optimizer="adam", loss=loss(), metrics=["accuracy"])
    net.fit(x, y, batch_size=128, epochs=1, validation_split=0.1, verbose=0)
    return float(net.evaluate(x_test, y_test, verbose=0)[1])


def photos(order: dict[str, Any]) -> float:
    """The accuracy of the job on a photo folder."""
    said = {"image_size": (SIDE, SIDE), "batch_size": 32, "seed": order["seed"], "verbose": False}
    held = {"validation_split": 0.1, **said}
    read = keras.utils.image_dataset_from_directory
    train, val = read(f"{order['data']}/train", subset="both", **held)
    test = read(f"{order['data']}/test", shuffle=False, **said)
    classes = len(train.class_names)
    if order["limit"]:
        train, val, test = (each.take(max(1, order["limit"] // 32)) for each in (train, val, test))
    net = resnet18(classes)
    net.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9), loss=loss(), metrics=["accuracy"])
    net.fit(train.prefetch(2), validation_data=val.prefetch(2), epochs=1, verbose=0)
    return float(net.evaluate(test.prefetch(2), verbose=0)[1])


def loss() -> Any:
    """Cross-entropy of logits."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def main() -> None:
    """Answer orders."""
    line = Line()
    line.tell(version=keras.__version__)
    for order in line.orders():
        keras.utils.set_random_seed(order["seed"])
        before = time.perf_counter()
        accuracy = {"lenet5": digits, "resnet18": photos}[order["job"]](order)
        line.tell(s=time.perf_counter() - before, accuracy=accuracy)


if __name__ == "__main__":
    main()
