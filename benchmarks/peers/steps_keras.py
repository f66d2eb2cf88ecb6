"""Training steps of LeNet-5 in Keras on TensorFlow as it comes.

    python steps_keras.py CASE

CASE is JSON: batch; way, `fit` or `train_on_batch`.
Order and answer: as plain_loop.py.  `fit` goes through arrays that lie ready, as many images at a time as MNIST
has for training when a tenth is held out; each call makes its pipeline anew, as each epoch of it does not.
"""

from __future__ import annotations

import json
import sys
import time

import keras
import numpy as np
from keras import layers
from line import Line

IMAGES = 54_000


def lenet5() -> keras.Model:
    """LeNet-5 as it is taught today."""
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10),
        ]
    )


def main() -> None:
    """Train until there are no more orders."""
    case = json.loads(sys.argv[1])
    batch = case["batch"]
    ready = IMAGES // batch
    line = Line()
    keras.utils.set_random_seed(0)
    net = lenet5()
    net.compile(
        optimizer=keras.optimizers.SGD(0.001, momentum=0.9, weight_decay=5e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x = np.random.default_rng(0).standard_normal((ready * batch, 28, 28, 1), dtype=np.float32)
    y = np.arange(len(x)) % 10
    line.tell(precision="fp32", arithmetic="fp32")
    for order in line.orders():
        steps, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < order["seconds"]:
            if case["way"] == "fit":
                net.fit(x, y, batch_size=batch, epochs=1, verbose=0)
                steps += ready
            else:
                at = steps % ready * batch
                net.train_on_batch(x[at : at + batch], y[at : at + batch])
                steps += 1
        line.tell(steps=steps, s=time.perf_counter() - begun)


if __name__ == "__main__":
    main()
