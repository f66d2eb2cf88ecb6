"""Run folders whose figures are said one by one: healthy, and sick in one way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from striate.runs.events import EpochEvent, EpochTime, RollbackEvent, StepEvent
from striate.runs.folder import RunFolder
from striate.runs.record import ClassScore, DataRecord, Result, RunRecord, to_json
from striate.runs.vitals import Answers, Begin, Look

NET = "[conv 8 3x3 -> relu -> maxpool 2] x2 -> hidden: fc 32 -> relu -> head: fc classes"
RECIPE: dict[str, object] = {
    "epochs": 8, "batch": 32, "optimizer": "adamw", "learning_rate": 0.001, "weight_decay": 0.05, "clip": 1.0,
    "initial": "auto", "balance": "none", "center": "channel", "scale": "unit", "augment": "shift 1",
    "precision": "fp32",
}  # fmt: skip
LAYERS = [("0.0.0", "conv"), ("0.0.1", "relu"), ("0.1.0", "conv"), ("0.1.1", "relu"), ("hidden", "fc"), ("2", "relu"), ("head", "fc")]  # fmt: skip
WEIGHTS = ["0.0.0", "0.1.0", "hidden", "head"]
CLASSES = 5


def make(
    path: Path,
    *,
    net: str = NET,
    recipe: dict[str, object] | None = None,
    status: str = "done",
    error: str | None = None,
    layers: list[tuple[str, str]] = LAYERS,
    weights: list[str] = WEIGHTS,
    normed: bool = False,
    input: tuple[float, float] = (0.0, 1.0),
    first: dict[str, Any] | None = None,
    last: dict[str, Any] | None = None,
    ratio: float = 0.003,
    losses: list[float] | None = None,
    train: list[float] | None = None,
    val: list[float] | None = None,
    val_loss: list[float] | None = None,
    most: float = 0.25,
    sure_wrong: float = 0.0,
    sure_far: float = 0.0,
    per_class: list[int] | None = None,
    recalls: list[float] | None = None,
    findings: dict[str, int] | None = None,
    rollback: str | None = None,
    wait_s: float = 0.1,
    side: int = 16,
    steps: int = 40,
    vitals: bool = True,
) -> RunFolder:
    """A run folder; a healthy one where nothing is said.

    first, last: keys of the first and the last look, over the usual ones.  ratio: of each step to its weight.
    train, val, val_loss: by epoch.  steps: in each.  recalls: of each class in the result.
    """
    train = train if train is not None else [0.4, 0.6, 0.75, 0.85, 0.88, 0.9, 0.92, 0.93]
    val = val if val is not None else [0.5, 0.7, 0.8, 0.86, 0.88, 0.9, 0.9, 0.91]
    val_loss = val_loss if val_loss is not None else [1.2, 0.9, 0.7, 0.5, 0.45, 0.4, 0.39, 0.38]
    losses = losses if losses is not None else [1.6 * 0.98**i for i in range(100)]
    per_class = per_class if per_class is not None else [200] * CLASSES
    recalls = recalls if recalls is not None else [0.9] * CLASSES
    path.mkdir(parents=True)
    run = RunFolder(path)
    run.net.write_text(net)
    values = {**RECIPE, **(recipe or {})}
    run.recipe.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    names = [f"class{i}" for i in range(len(per_class))]
    count = 40 * len(names)
    run.data.write_bytes(to_json(DataRecord.model_validate(_data(names, per_class, findings or {}, side))))
    epochs = list(zip(train, val, val_loss, strict=False))
    for epoch, (trained, validated, loss) in enumerate(epochs):
        run.events.append(StepEvent(step=steps * epoch + steps // 2, loss=losses[0], learning_rate=0.001))
        run.events.append(
            EpochEvent(
                epoch=epoch,
                step=steps * (epoch + 1),
                train_loss=loss,
                train_accuracy=trained,
                val_loss=loss,
                val_accuracy=validated,
                best=validated == max(val),
            )
        )
        run.times.append(
            EpochTime(
                epoch=epoch,
                step=steps * (epoch + 1),
                elapsed_s=4.0 * epoch + 4,
                step_s=4.0 / steps,
                wait_s=wait_s,
            )
        )
        run.vitals.append(
            Answers(
                epoch=epoch,
                answered=[],
                right=[],
                most=most,
                sure_wrong=sure_wrong,
                sure_far=sure_far,
                confidence=0.8,
            )
        )
    if rollback is not None:
        run.events.append(
            RollbackEvent(step=0, failed_step=12, rate_share=0.3, problem=rollback, best_epoch=-1)
        )
    if vitals:
        run.vitals.append(
            Begin(stage=0, layers=layers, weights=weights, probe=32, normed=normed, input=list(input))
        )
        for step, more in ((1, first or {}), (steps * max(1, len(epochs)), last or {})):
            usual: dict[str, Any] = {
                "learning_rate": 0.001, "span": 1, "losses": losses, "lengths": [2.0] * len(losses),
                "probe": [0.4, 0.9], "batch": [0.4, 0.9] if normed else None,
                "layers": [[0.1, 1.0, 0.5, 0.0, 0.05] for _ in layers],
                "weights": [[3.0, 0.5, 0.003, ratio] for _ in weights],
            }  # fmt: skip
            run.vitals.append(Look(step=step, epoch=0, **{**usual, **more}))
    else:
        run.vitals.path.unlink(missing_ok=True)
    record = RunRecord(
        name="photos", created="2026-01-01T00:00:00+0000", status=status, error=error, source="photos",  # type: ignore[arg-type]
        result=_result(names, count, recalls, val) if status == "done" else None,
    )  # fmt: skip
    run.write_record(record)
    return run


def _data(names: list[str], per_class: list[int], findings: dict[str, int], side: int) -> dict[str, Any]:
    def split(each: list[int]) -> dict[str, Any]:
        return {"count": sum(each), "per_class": dict(zip(names, each, strict=True)), "sha256": "0"}

    return {
        "source": "photos", "kind": "folder", "classes": names,
        "splits": {"train": split(per_class), "val": split([40] * len(names)), "test": split([40] * len(names))},
        "validation": {"made": False}, "findings": findings,
        "preparation": {
            "size": [side, side], "stored_size": [side, side], "channels": 1, "mean": [128.0], "deviation": [64.0],
            "dtype": "uint8",
        },
    }  # fmt: skip


def _result(names: list[str], count: int, recalls: list[float], val: list[float]) -> Result:
    confusion = []
    for place, recall in enumerate(recalls):
        right = round(40 * recall)
        row = [0] * len(names)
        row[place] = right
        row[0 if place else 1 % len(names)] += 40 - right
        confusion.append(row)
    accuracy = sum(row[i] for i, row in enumerate(confusion)) / count
    answered = [sum(column) for column in zip(*confusion, strict=True)]
    return Result(
        images=count, accuracy=accuracy, interval=(0.0, 1.0), top5=1.0, loss=0.5, balanced_accuracy=accuracy, f1=accuracy,
        classes=[
            ClassScore(
                name=name, count=40, precision=confusion[i][i] / max(1, answered[i]), recall=recalls[i], f1=recalls[i]
            )
            for i, name in enumerate(names)
        ],
        confusion=confusion, split="test", best_epoch=0, validation_metric=max(val, default=0.0), epochs=len(val),
        steps=40 * len(val),
    )  # fmt: skip
