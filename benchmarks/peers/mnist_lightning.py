"""PyTorch's MNIST example as a LightningModule under a Trainer, to the epoch that reaches a target.

Order and answer: as mnist_torch.py.  The test images are its validation images, as the example tests behind
each epoch.
"""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from mnist_torch import EPOCHS, FALL, RATE, answer_unpacked, example_net, loaders
from torch.nn import functional as F


class Digits(lightning.LightningModule):  # type: ignore[misc]
    """The example's network, loss and optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = example_net()

    def training_step(self, batch: Any, index: int) -> Any:
        return F.nll_loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch: Any, index: int) -> None:
        answer = self.net(batch[0])
        self.log("accuracy", (answer.argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adadelta(self.parameters(), lr=RATE)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=FALL)]


class Until(lightning.Callback):  # type: ignore[misc]
    """Ends the training at a target."""

    def __init__(self, target: float) -> None:
        self.target = target
        self.accuracies: list[float] = []

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        self.accuracies.append(float(trainer.callback_metrics["accuracy"]))
        trainer.should_stop = self.accuracies[-1] >= self.target


def work(order: dict[str, Any], root: Path) -> dict[str, Any]:
    """Train until the target is reached."""
    whole = time.perf_counter()
    lightning.seed_everything(order["seed"], verbose=False)
    training, test = loaders(root)
    until = Until(order["target"])
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1 if order["steps"] else EPOCHS, callbacks=[until], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, limit_train_batches=order["steps"] or None,
    )  # fmt: skip
    begun = time.perf_counter()
    trainer.fit(Digits(), training, test)
    now = time.perf_counter()
    there = until.accuracies[-1] >= order["target"]
    return {
        "whole_s": now - whole if there else None,
        "training_s": now - begun if there else None,
        "accuracy": until.accuracies[-1],
        "epochs": len(until.accuracies),
    }


def main() -> None:
    """Answer orders."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    answer_unpacked(work)


if __name__ == "__main__":
    main()
