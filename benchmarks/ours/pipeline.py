"""Images from a folder to what a network reads, by striate: decoded once, stored, and augmented.

Order: what, `first` for reading, decoding, storing and an epoch, `later` for an epoch of what is stored, or
`waiting` for training steps; data, of which train/ is read; size; augment; seconds, of `waiting`.
Answer: images, s, cpu_s of all threads; for `waiting`, share of the time that the loop waited for data.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from striate.cli.process import set_up_process

set_up_process()

import torch
from line import Line
from torch.nn import functional as F

import striate
from striate.data.augment.augment import read_augment
from striate.data.augment.batches import TrainingBatches
from striate.data.gather import Data, gather
from striate.predict.evaluate import autocast
from striate.predict.normalize import Feeder, default_normalization
from striate.recipe.keys import Recipe
from striate.training.layout import apply_layout, tune

BATCH = 64


class Folder:
    """A photo folder and its store."""

    def __init__(self, order: dict[str, Any], cache: Path) -> None:
        self.data: Data = gather(f"{order['data']}/train", size=order["size"], cache=cache, val_share=0.01)
        self.feeder = Feeder(default_normalization(self.data, Recipe()), torch.device("cpu"))
        self.epochs = 0

    def batches(self, batch: int, augment: str) -> TrainingBatches:
        """Its training images, changed anew in every epoch."""
        train = self.data.train
        words = read_augment(augment)
        return TrainingBatches(train.images, train.labels, self.data.size, batch, words, seed=0)

    def epoch(self, augment: str) -> int:
        """Go through it once; how many images came."""
        self.epochs += 1
        batches = self.batches(BATCH, augment).epoch(self.epochs)
        return sum(len(self.feeder.images(each.images)) for each in batches)

    def waiting(self, seconds: float, augment: str) -> dict[str, Any]:
        """Train a ResNet-18 for a while."""
        net = striate.read("resnet18").build((3, *self.data.size), classes=len(self.data.classes))
        cpu = torch.device("cpu")
        best = tune(net, net.layout.input, 32, cpu, precision="auto", layout="auto", backward=True)[0]
        apply_layout(net, best.arrangement.layout).train()
        feeder = Feeder(default_normalization(self.data, Recipe()), cpu, best.arrangement.layout)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        waited, steps, images = 0.0, -1, 0
        begun = at = time.perf_counter()
        epoch = 0
        while steps < 1 or time.perf_counter() - begun < seconds:
            epoch += 1
            for batch in self.batches(32, augment).epoch(epoch):
                waited += time.perf_counter() - at
                x, labels = feeder.images(batch.images), feeder.labels(batch.labels)
                optimizer.zero_grad(set_to_none=True)
                with autocast(cpu, best.arrangement.precision):
                    logits = net(x)
                F.cross_entropy(logits.float(), labels).backward()
                optimizer.step()
                steps, images = steps + 1, images + len(labels)
                at = time.perf_counter()
                if not steps:
                    # The first step makes what later ones use again.
                    begun, waited, images = at, 0.0, 0
                if steps and at - begun >= seconds:
                    break
        taken = time.perf_counter() - begun
        return {"images": images, "s": taken, "share": waited / taken}


def main() -> None:
    """Answer orders."""
    line = Line()
    line.tell(ready=True)
    with tempfile.TemporaryDirectory() as name:
        folders: dict[tuple[str, int], Folder] = {}
        for number, order in enumerate(line.orders()):
            before, cpu = time.perf_counter(), time.process_time()
            which = (order["data"], order["size"])
            if order["what"] == "first" or which not in folders:
                folders[which] = Folder(order, Path(name) / str(number))
            if order["what"] != "first":
                before, cpu = time.perf_counter(), time.process_time()
            folder = folders[which]
            if order["what"] == "waiting":
                line.tell(**folder.waiting(order["seconds"], order["augment"]))
                continue
            count = folder.epoch(order["augment"])
            line.tell(images=count, s=time.perf_counter() - before, cpu_s=time.process_time() - cpu)


if __name__ == "__main__":
    main()
