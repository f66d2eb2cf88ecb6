"""Run folders as `train` leaves them, drawn from a fixed seed."""

from __future__ import annotations

import base64
import io
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from striate.runs.events import EpochEvent, EpochTime, StepEvent
from striate.runs.folder import RunFolder
from striate.text.figures import wilson

NET = """# A small network for images of 32x32.
stem: [conv 16 3x3 -> bn -> relu]
  -> body: [conv 32 3x3 stride 2 nobias -> bn -> relu] x2
  -> pool avg -> fc classes
"""

RECIPE = """# passes over the training images; chosen by their number if left out
epochs = {epochs}
# wall time of the whole job in seconds; the schedule is laid over it
# budget_s =
# images in one step; 64, or 128 for 20,000 images and more, if left out
batch = 64
# how a gradient becomes a step
optimizer = "adamw"
# the highest learning rate; chosen for the optimizer and network if left out
rate = 0.003
# how the learning rate changes over the training
schedule = "one-cycle"
# changes drawn anew for every image, as `flip, shift 4`; or none
augment = "flip, shift 4"
# of everything that is drawn
seed = 0
"""

WORDS = [
    "apple",
    "bear",
    "beaver",
    "bee",
    "bottle",
    "bridge",
    "camel",
    "can",
    "castle",
    "chair",
    "clock",
    "cloud",
    "crab",
    "crocodile",
    "cup",
    "dolphin",
    "elephant",
    "forest",
    "fox",
    "house",
    "kangaroo",
    "lamp",
    "lawn-mower",
    "lion",
    "lizard",
    "maple-tree",
    "mouse",
    "orchid",
    "otter",
    "pear",
]


def class_names(number: int) -> tuple[str, ...]:
    """Digits for ten classes, else words."""
    if number == 10:
        return tuple("0123456789")
    return tuple(
        WORDS[each % len(WORDS)] + (f"-{each // len(WORDS)}" if each >= len(WORDS) else "")
        for each in range(number)
    )


def make_run(
    path: Path,
    *,
    classes: int | tuple[str, ...] = 10,
    epochs: int = 20,
    steps: int = 40,
    status: str = "done",
    split: str = "test",
    mistakes: int = 24,
    side: int = 32,
    accuracy: float = 0.9,
    net: str = NET,
    source: str = "/home/me/photos",
) -> RunFolder:
    """A run folder.  epochs: that ended.  steps: in each."""
    draw = np.random.default_rng(7)
    names = class_names(classes) if isinstance(classes, int) else classes
    total = epochs if status == "done" else epochs + 5
    path.mkdir(parents=True)
    run = RunFolder(path)
    run.net.write_text(net, encoding="utf-8")
    run.recipe.write_text(RECIPE.format(epochs=total), encoding="utf-8")
    best = write_events(run, draw, epochs, steps, total, status)
    counts = {"train": 64 * steps, "val": 8 * steps, "test": 10 * steps}
    if split != "test":
        del counts["test"]
    per_class = {key: _spread(draw, count, len(names)) for key, count in counts.items()}
    run.data.write_text(json.dumps(_data(names, counts, per_class, side, source)), encoding="utf-8")
    record: dict[str, Any] = {
        "format": 1,
        "name": "photos",
        "created": "2025-09-21T10:11:12+0200",
        "status": status,
        "source": source,
        "network": {"why": f"it suits {side}x{side} pixels and {counts['train']:,} training images"},
        "versions": {"striate": "0.1.0", "python": "3.11.2", "torch": "2.13.0+cpu", "numpy": "2.3.1"},
        "machine": {
            "system": "Linux x86_64",
            "processor": "A processor",
            "cores": 8,
            "threads": 8,
            "device": "cpu",
        },
    }
    if status == "done":
        record["seconds"] = 8.25 * epochs
        scored = per_class["test" if split == "test" else "val"]
        record["result"] = _result(draw, names, scored, split, accuracy, epochs, steps, *best)
        found = [_mistake(draw, names, each, side) for each in range(mistakes)]
        (path / "mistakes.json").write_text(json.dumps(found), encoding="utf-8")
    (path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return run


def write_events(
    run: RunFolder, draw: np.random.Generator, epochs: int, steps: int, total: int, status: str
) -> tuple[int, float]:
    """events.jsonl and times.jsonl as the loop writes them; the best epoch and its accuracy."""
    best_epoch = -1
    every, best, elapsed = max(1, min(50, steps // 4)), -1.0, 1.5
    ended = epochs * steps + (0 if status == "done" else steps // 2)
    for step in range(1, ended + 1):
        done = step / (total * steps)
        if step % every == 0:
            learning_rate = 0.003 * (done / 0.1 if done < 0.1 else (1 - done) / 0.9)
            loss = 0.15 + 2.1 * math.exp(-6 * done) + abs(float(draw.normal(0, 0.12)))
            run.events.append(StepEvent(step=step, loss=loss, learning_rate=learning_rate))
        if step % steps == 0:
            accuracy = 0.9 - 0.6 * math.exp(-7 * done) + float(draw.normal(0, 0.006))
            run.events.append(
                EpochEvent(
                    epoch=step // steps - 1,
                    step=step,
                    train_loss=0.2 + 2.0 * math.exp(-6 * done),
                    train_accuracy=0.95 - 0.7 * math.exp(-7 * done),
                    val_loss=0.32 + 1.8 * math.exp(-6 * done) + float(draw.normal(0, 0.01)),
                    val_accuracy=accuracy,
                    best=accuracy > best,
                )
            )
            if accuracy > best:
                best, best_epoch = accuracy, step // steps - 1
            elapsed += 8.0 + float(draw.normal(0, 0.2))
            run.times.append(EpochTime(epoch=step // steps - 1, step=step, elapsed_s=elapsed))
    return best_epoch, best


def edit(path: Path, **changes: Any) -> None:
    """Replace keys of a JSON file, NaN and all."""
    record = json.loads(path.read_bytes())
    record.update(changes)
    path.write_text(json.dumps(record), encoding="utf-8")


def damage(value: Any, draw: random.Random) -> None:
    """Put something else at about one place in twelve; `format` stays."""
    places = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, inner in places:
        if key == "format":
            continue
        if draw.random() < 1 / 12:
            value[key] = draw.choice([None, -3, 1e308, "<b>", [], {}, [[1]], {"a": 1}, True, 0.5, 10**30])
        elif isinstance(inner, dict | list):
            damage(inner, draw)


def _spread(draw: np.random.Generator, count: int, classes: int) -> list[int]:
    return [int(each) for each in draw.multinomial(count, draw.dirichlet(np.full(classes, 12.0)))]


def _data(
    names: tuple[str, ...], counts: dict[str, int], per_class: dict[str, list[int]], side: int, source: str
) -> dict[str, Any]:
    return {
        "format": 1,
        "source": source,
        "kind": "split-folder",
        "classes": list(names),
        "channels": 3,
        "size": [side, side],
        "stored_size": [side + 4, side + 4],
        "dtype": "uint8",
        "splits": {
            key: {
                "count": count,
                "per_class": dict(zip(names, per_class[key], strict=True)),
                "sha256": "ab12" * 16,
            }
            for key, count in counts.items()
        },
        "validation": {"made": True, "seed": 0, "share": 0.1, "stratified": True, "grouped": False},
        "findings": {"truncated": 3, "unreadable": 1},
        "preparation": {
            "size": [side, side],
            "stored_size": [side + 4, side + 4],
            "channels": 3,
            "mean": [125.31, 122.95, 113.87],
            "deviation": [62.99, 62.09, 66.7],
            "dtype": "uint8",
        },
    }


def _result(
    draw: np.random.Generator,
    names: tuple[str, ...],
    counts: list[int],
    split: str,
    accuracy: float,
    epochs: int,
    steps: int,
    best_epoch: int,
    best_accuracy: float,
) -> dict[str, Any]:
    number = len(names)
    matrix = np.zeros((number, number), dtype=int)
    for i, count in enumerate(counts):
        right = draw.binomial(count, min(1.0, max(0.0, draw.normal(accuracy, 0.06))))
        matrix[i, i] = right
        others = np.delete(draw.dirichlet(np.full(number, 0.15)), i) + 1e-12
        matrix[i, np.arange(number) != i] = draw.multinomial(count - right, others / others.sum())
    total, found = int(matrix.sum()), int(np.trace(matrix))
    answered, true = matrix.sum(axis=0), matrix.sum(axis=1)
    scores = []
    for i, name in enumerate(names):
        precision = matrix[i, i] / answered[i] if answered[i] else 0.0
        recall = matrix[i, i] / true[i] if true[i] else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        scores.append(
            {"name": name, "count": int(true[i]), "precision": precision, "recall": recall, "f1": f1}
        )
    return {
        "split": split,
        "images": total,
        "accuracy": found / total,
        "interval": list(wilson(found / total, total)),
        "top5": 0.994,
        "loss": 0.2817,
        "classes": scores,
        "confusion": matrix.tolist(),
        "best_epoch": best_epoch,
        "validation_metric": best_accuracy,
        "epochs": epochs,
        "steps": epochs * steps,
    }


def image_code(draw: np.random.Generator, side: int) -> str:
    """An image of soft blobs as a PNG in base64, at least 96 pixels wide."""
    coarse = draw.integers(0, 255, (5, 5, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    noise = draw.integers(-12, 12, (side, side, 3))
    image = Image.fromarray(np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8))
    larger = max(1, 96 // side)
    image = image.resize((side * larger, side * larger), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _mistake(draw: np.random.Generator, names: tuple[str, ...], index: int, side: int) -> dict[str, Any]:
    label, answer = (int(each) for each in draw.choice(len(names), 2, replace=False))
    return {
        "name": f"{names[label]}/IMG_{2000 + 37 * index}.jpg",
        "label": names[label],
        "answer": names[answer],
        "probability": 0.999 - 0.013 * index,
        "png": image_code(draw, side),
    }
