"""All that changes in a training, in one record, and as tensors and numbers for a checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from striate.modules.module import Net
from striate.training.loop.lost import Signs
from striate.training.loop.pace import Pace
from striate.training.loop.vitals import VitalsState

# Steps before it are taken again in no time.
FIRST_LANDMARK = 64


class Best(NamedTuple):
    """The validation whose weights were kept: its epoch, -1 before the first, metric and cross-entropy."""

    epoch: int = -1
    metric: float = -1.0
    loss: float = math.inf

    @classmethod
    def of_file(cls, figures: Mapping[str, Any]) -> Best:
        """From the figures that a file of weights holds."""
        return cls(int(figures["epoch"]), float(figures["metric"]), float(figures["loss"]))


@dataclass
class State:
    """The state of a training between two steps.

    average: the running mean of the weights, if the recipe wants one.  noted_s: when an epoch was reported last.
    Every other field is a number of the checkpoint.
    step: steps taken in all.  stage: which one of the run.  first_epoch, first_step: where it began.
    epoch, epoch_step: the epoch that runs, and the steps taken in it.
    loss_sum, right, seen: sums over the images of this epoch so far.
    events_bytes: length of the event file at this point.
    rollbacks: how often the run went back because the loss was NaN.  rate_share: what the learning rate is
    multiplied with since.  size: of the images in this epoch, height and width.  vitals: of the looks so far.
    signs: that it is lost.
    """

    net: Net
    optimizer: torch.optim.Optimizer
    pace: Pace
    average: AveragedModel | None = None
    noted_s: float = -1.0
    stage: int = 0
    first_epoch: int = 0
    first_step: int = 0
    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    loss_sum: float = 0.0
    right: int = 0
    seen: int = 0
    best: Best = Best()
    events_bytes: int = 0
    rollbacks: int = 0
    rate_share: float = 1.0
    size: tuple[int, int] = (0, 0)
    vitals: VitalsState = field(default_factory=VitalsState)
    signs: Signs = field(default_factory=Signs)

    def averaged(self) -> Net:
        """The network that is validated and kept: the running mean where there is one."""
        if self.average is None:
            return self.net
        assert isinstance(self.average.module, Net)
        return self.average.module

    def _device(self) -> torch.device:
        return next(self.net.parameters()).device

    def optimizer_bytes(self) -> int:
        """What the optimizer keeps by now."""
        kept = [value for slots in self.optimizer.state.values() for value in slots.values()]
        tensors = [each for value in kept for each in (value if isinstance(value, list) else [value])]
        return sum(each.nbytes for each in tensors if isinstance(each, Tensor))

    def landmark(self, step: int) -> int:
        """The step at or before `step` whose state is kept for a way back: 64, 128, 256, ..., or the first.

        Counted in steps, not in seconds, so that a run that goes back can be run again to the same bits.
        """
        mark = 1 << (step.bit_length() - 1) if step else 0
        return mark if mark >= max(FIRST_LANDMARK, self.first_step) else self.first_step

    def _modules(self) -> dict[str, nn.Module]:
        """What is kept as tensors, by the name that these begin with; the optimizer and the random state besides."""
        return {"net": self.net} | ({} if self.average is None else {"average": self.average})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name: weights, running statistics, optimizer, random state."""
        found = {
            f"{part}.{name}": tensor
            for part, module in self._modules().items()
            for name, tensor in module.state_dict().items()
        }
        found |= self._optimizer_tensors()
        found["random.cpu"] = torch.get_rng_state()
        if (device := self._device()).type == "cuda":
            found["random.cuda"] = torch.cuda.get_rng_state(device)
        return _plain(found)

    def optimizer_file(self) -> bytes:
        """What the optimizer keeps, as one safetensors file, for a training that goes on from this one."""
        return save(
            _plain(self._optimizer_tensors()), metadata={"numbers": json.dumps(self._optimizer_numbers())}
        )

    def take_optimizer(self, content: bytes) -> bool:
        """Take over what `optimizer_file` gave; False where it is of other weights, and nothing is taken."""
        length = int.from_bytes(content[:8], "little")
        numbers = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["numbers"])
        tensors = load(content)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for name, tensor in tensors.items():
            index = int(name.split(".")[1])
            if index >= len(weights) or (tensor.ndim and tensor.shape != weights[index].shape):
                return False
        if not tensors:
            return False
        self._restore_optimizer(tensors, numbers)
        return True

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for index, values in self.optimizer.state_dict()["state"].items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    found[f"optimizer.{index}.{key}"] = value
                elif isinstance(value, list):
                    # L-BFGS keeps lists of tensors, some of them None.
                    found |= {
                        f"optimizer.{index}.{key}.{i}": each
                        for i, each in enumerate(value)
                        if each is not None
                    }
        return found

    def _optimizer_numbers(self) -> dict[str, Any]:
        plain = {
            str(index): {
                key: {"length": len(value)} if isinstance(value, list) else value
                for key, value in values.items()
                if isinstance(value, int | float | list)
            }
            for index, values in self.optimizer.state_dict()["state"].items()
        }
        return {index: values for index, values in plain.items() if values}

    def numbers(self) -> dict[str, Any]:
        """Every number of the state, as plain values."""
        found = {name: getattr(self, name) for name in NUMBERS}
        plain = {name: dict(vars(value)) if is_dataclass(value) else value for name, value in found.items()}
        return plain | {"optimizer": self._optimizer_numbers(), "pace": self.pace.numbers()}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Take over what `tensors` and `numbers` gave; the networks and optimizers must be alike."""
        for part, module in self._modules().items():
            own = f"{part}."
            module.load_state_dict({k.removeprefix(own): t for k, t in tensors.items() if k.startswith(own)})
        self._restore_optimizer(tensors, numbers["optimizer"])
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and (device := self._device()).type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], device)
        for name in NUMBERS:
            value = numbers[name]
            setattr(self, name, type(getattr(self, name))(**value) if isinstance(value, dict) else value)
        # What JSON has one kind of list for.
        height, width = numbers["size"]
        self.size, self.best = (height, width), Best(*numbers["best"])
        self.pace.restore(numbers["pace"])

    def _restore_optimizer(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        saved: dict[int, dict[str, Any]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key, *place = name.split(".")
                values = saved.setdefault(int(index), {})
                if place:
                    values.setdefault(key, {})[int(place[0])] = tensor
                else:
                    values[key] = tensor
        for index, plain in numbers.items():
            values = saved.setdefault(int(index), {})
            for key, value in plain.items():
                if isinstance(value, dict):
                    listed = values.get(key, {})
                    value = [listed.get(i) for i in range(value["length"])]
                values[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": saved, "param_groups": groups})
        # Fused optimizers go through memory as it lies: weights and their state in one order.
        for weight, state in self.optimizer.state.items():
            for key, value in state.items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    state[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


# The numbers of a checkpoint that are fields of the state, by their names.
NUMBERS = tuple(
    each.name for each in fields(State) if each.name not in {"net", "optimizer", "pace", "average", "noted_s"}
)


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
