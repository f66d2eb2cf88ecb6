"""Where claims are measured: trainings that are kept and shared, learning rates chosen, the time told before."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from striate.disk.atomic import write_atomic
from striate.errors import RunError
from striate.lab.claim import Arm, Claim
from striate.lab.images import Bytes, Images, ImageSet, load_images, make_images, write_images
from striate.modules.initial import initialize
from striate.modules.module import Net, build, set_in_place
from striate.modules.weights import load_weights
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.predict.normalize import Feeder
from striate.predict.trained import Trained, load_trained
from striate.progress import Silence, Watch
from striate.recipe.keys import read_recipe
from striate.runs.events import EVENT, EpochEvent, RollbackEvent, read_events
from striate.runs.folder import RunFolder
from striate.training.job import new_job, run_job
from striate.training.loop.loop import Diverged, Stopped
from striate.version import __version__

# The recipe of every arm, but for what its keys say: plain, and nothing of it measured on the machine.
BASE: dict[str, Any] = {
    "batch": 32, "optimizer": "momentum", "schedule": "cosine", "warmup": 0.0, "weight_decay": 0.0,
    "clip": "none", "augment": "none", "precision": "fp32", "evaluation_precision": "fp32",
    "optimizer_precision": "fp32", "layout": "channels_last", "recompute": "none", "micro_batches": 1,
}  # fmt: skip

# What a training of a third of the epochs chooses; and how far beyond its ends the ladder is climbed.
SHORT, MOST_BEYOND = 3, 3

# Seconds of a training beside its steps: reading, checking, the report.
OVERHEAD_S = 0.5

# A training loss that grew beyond numbers.
LOST = 1e30

# With --quick: seeds, and every which learning rate of the ladder, three of seven.
QUICK_SEEDS, QUICK_EVERY = 2, 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to.

    train_error, train_loss, val_accuracy: of each epoch; the training error is that of its steps, before each.
    diverged: it had to go back and lower its learning rate, or was lost.  test_accuracy: 0 to 1, of the best weights.
    """

    key: str
    learning_rate: float
    seed: int
    diverged: bool
    train_error: tuple[float, ...]
    train_loss: tuple[float, ...]
    val_accuracy: tuple[float, ...]
    test_accuracy: float
    seconds: float

    def epochs_to(self, error: float, *, guess: float = 0.9) -> float:
        """Epochs until the training error is at most `error`; infinite where it never came to that, or diverged.

        The error of an epoch stands in its middle, and that of guessing at 0; between two the curve is straight.
        """
        if self.diverged:
            return math.inf
        place, before = 0.0, guess
        for epoch, now in enumerate(self.train_error):
            if now <= error:
                return place + (epoch + 0.5 - place) * (before - error) / (before - now)
            place, before = epoch + 0.5, now
        return math.inf


OUTCOME = TypeAdapter(Outcome)


@dataclass(frozen=True, slots=True)
class Planned:
    """A training that is to be there."""

    arm: Arm
    learning_rate: float
    seed: int
    epochs: int


class Bench:
    """Where the arms of claims are trained.

    out: the folder; a training lies in out/trainings under a key of all that it depends on, so that claims share
    it, and a measurement that was stopped goes on where it was.  source: the data set.  most: training images.
    seeds: how many.  quick: two seeds, three learning rates, a third of the epochs.
    """

    def __init__(self, out: Path, *, source: str, most: int, seeds: int, quick: bool, watch: Watch) -> None:
        self.out, self.quick, self.watch = out, quick, watch
        self.seeds = range(min(QUICK_SEEDS, seeds) if quick else seeds)
        self.loaded = load_images(source, most)
        # Seconds of each training that was asked for, and of those that were trained here and now.
        self.used: dict[str, float] = {}
        self.spent_s = 0.0
        self._total = 0
        self._sets: dict[tuple[ImageSet, int | None], tuple[Path, Images]] = {}
        self._rates: dict[Arm, float] = {}

    # ---- images ---------------------------------------------------------------------------------------

    def images(self, wanted: ImageSet, seed: int = 0) -> Images:
        """The arrays of a set."""
        return self._set(wanted, seed)[1]

    def _set(self, wanted: ImageSet, seed: int) -> tuple[Path, Images]:
        drawn = seed if wanted.per_class else None
        if (wanted, drawn) not in self._sets:
            made = make_images(self.loaded, wanted, seed if drawn is not None else 0)
            path = write_images(made, self.out / "trainings" / "images")
            self._sets[wanted, drawn] = path, made
        return self._sets[wanted, drawn]

    def inputs(self, count: int = 256) -> Tensor:
        """A few training images, N x C x H x W, mean 0 and variance 1 over all of their values."""
        x = torch.from_numpy(self.loaded.train[0][:count].astype(np.float32)).permute(0, 3, 1, 2)
        return (x - x.mean()) / x.std()

    @property
    def classes(self) -> int:
        """Of the data."""
        return len(np.unique(self.loaded.train[1]))

    # ---- what there is to train -----------------------------------------------------------------------

    def epochs(self, arm: Arm, *, short: bool) -> int:
        """Of a full training, or of one that chooses the learning rate."""
        whole = max(2, arm.epochs // SHORT) if self.quick else arm.epochs
        return max(2, -(-whole // SHORT)) if short else whole

    def ladder(self, arm: Arm) -> tuple[float, ...]:
        """The learning rates that an arm is tried at."""
        return arm.learning_rates[::QUICK_EVERY] if self.quick else arm.learning_rates

    def planned(self, claims: Iterable[Claim]) -> list[Planned]:
        """Every training of the claims, as far as it is known before: at the middle of the ladder for the best."""
        found: dict[Planned, None] = {}
        for arm in with_beginnings(arm for claim in claims for arm in claim.arms):
            rates = self.ladder(arm)
            if not arm.every_rate:
                found |= {
                    Planned(arm, learning_rate, 0, self.epochs(arm, short=True)): None
                    for learning_rate in rates
                }
            # Whichever of them will be the best.
            chosen = rates if arm.every_rate else rates[len(rates) // 2 : len(rates) // 2 + 1]
            found |= {
                Planned(arm, learning_rate, seed, self.epochs(arm, short=False)): None
                for learning_rate in chosen
                for seed in self.seeds
            }
        return list(found)

    def expected_s(self, planned: Sequence[Planned]) -> tuple[int, float]:
        """How many of the trainings are not there yet, and the seconds that they will take: steps of each are timed."""
        missing = [each for each in planned if each.arm.begin is not None or not self._kept(each).exists()]
        steps: dict[tuple[str, ImageSet], float] = {}
        total = 0.0
        for each in missing:
            place = each.arm.net, each.arm.images
            images = self.images(each.arm.images)
            if place not in steps:
                steps[place] = self._step_s(each.arm, images)
            batch = dict(each.arm.keys).get("batch", BASE["batch"])
            # Validation and test are forward passes, a third of a step each.
            passes = len(images.train[1]) + len(images.val[1]) / 3
            total += OVERHEAD_S + each.epochs * passes / batch * steps[place] * batch / BASE["batch"]
        return len(missing), total

    def _step_s(self, arm: Arm, images: Images) -> float:
        """Seconds of a step of BASE["batch"] images: the best of three."""
        net = self.fresh(arm, 0)
        x = torch.randn(BASE["batch"], images.train[0].shape[3], *images.train[0].shape[1:3])
        taken = []
        for _ in range(4):
            began = time.perf_counter()
            net(x).square().mean().backward()
            taken.append(time.perf_counter() - began)
        return 1.3 * min(taken)

    # ---- training -------------------------------------------------------------------------------------

    def prepare(self, claim: Claim) -> None:
        """Train all that a claim compares: learning rates first, then the seeds."""
        self._total = len(self.planned([claim]))
        self.watch.begin("trainings", self._total)
        for arm in with_beginnings(claim.arms):
            for learning_rate in self.ladder(arm) if arm.every_rate else [self.chosen(arm)]:
                for seed in self.seeds:
                    self.outcome(arm, learning_rate, seed)
        self.watch.end()

    def chosen(self, arm: Arm) -> float:
        """The best learning rate, by short trainings of one seed; where it is the first or last, others beyond it too."""
        if arm not in self._rates:
            tried = {learning_rate: self.score_at(arm, learning_rate) for learning_rate in self.ladder(arm)}
            for _ in range(0 if self.quick else MOST_BEYOND):
                best = max(tried, key=lambda learning_rate: tried[learning_rate])
                if best == min(tried):
                    beyond = _beside(best, up=False)
                elif best == max(tried) and best < 30:
                    beyond = _beside(best, up=True)
                else:
                    break
                # One more than was planned.
                self._total += 1
                self.watch.begin("trainings", self._total)
                tried[beyond] = self.score_at(arm, beyond)
            self._rates[arm] = max(tried, key=lambda learning_rate: tried[learning_rate])
        return self._rates[arm]

    def score_at(self, arm: Arm, learning_rate: float) -> float:
        """How good a learning rate is: larger is better."""
        found = self.outcome(arm, learning_rate, 0, short=True)
        if found.diverged or not found.train_error:
            return -math.inf
        if arm.chosen_by == "training":
            return -float(np.mean(found.train_error))
        # Between equal accuracies on few images the loss decides.
        return max(found.val_accuracy) - 1e-4 * min(found.train_loss[-1], 50.0)

    def outcomes(self, arm: Arm, learning_rate: float | None = None) -> list[Outcome]:
        """One a seed, at the best learning rate or the one that is said."""
        chosen = self.chosen(arm) if learning_rate is None else learning_rate
        return [self.outcome(arm, chosen, seed) for seed in self.seeds]

    def outcome(self, arm: Arm, learning_rate: float, seed: int, *, short: bool = False) -> Outcome:
        """A training: the one that is kept, or a new one."""
        planned = Planned(arm, learning_rate, seed, self.epochs(arm, short=short))
        kept = self._kept(planned)
        found = OUTCOME.validate_json(kept.read_bytes()) if kept.exists() else self._train(planned, kept)
        self.used[kept.parent.name] = found.seconds
        self.watch.advance(len(self.used), f"{arm.name}, learning rate {learning_rate:g}, seed {seed}")
        return found

    def _keys(self, planned: Planned) -> dict[str, Any]:
        keys = BASE | dict(planned.arm.keys)
        return keys | {"learning_rate": planned.learning_rate, "seed": planned.seed, "epochs": planned.epochs}

    def _kept(self, planned: Planned) -> Path:
        """Where the outcome lies: a hash of the network, the images, the recipe, what it begins with, the version."""
        path = self._set(planned.arm.images, planned.seed)[0]
        says = [planned.arm.net, path.name, self._keys(planned), self._begin_key(planned), __version__]
        key = hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()[:16]
        return self.out / "trainings" / key / "outcome.json"

    def _begin_key(self, planned: Planned) -> str:
        begin = planned.arm.begin
        return "" if begin is None else self.outcome_of_begin(begin, planned.seed).key

    def outcome_of_begin(self, begin: Arm, seed: int) -> Outcome:
        """The training whose weights another one begins with."""
        return self.outcome(begin, self.chosen(begin), seed)

    def _train(self, planned: Planned, kept: Path) -> Outcome:
        folder = kept.parent
        # One that was stopped is of seconds or minutes: it starts over.
        shutil.rmtree(folder, ignore_errors=True)
        keys = self._keys(planned)
        if planned.arm.begin is not None:
            begin = self.outcome_of_begin(planned.arm.begin, planned.seed)
            keys["weights"] = str(
                (self.out / "trainings" / begin.key / "run" / "weights.safetensors").resolve()
            )
        began = time.monotonic()
        forward = _Forward(self.watch)
        path = self._set(planned.arm.images, planned.seed)[0]
        folder.mkdir(parents=True)
        lost = False
        try:
            job = new_job(
                path, network=read_text(planned.arm.net), recipe=read_recipe(None, given=keys, net=True),
                out=folder / "run", device="cpu", strict=False, started=began, watch=forward,
            )  # fmt: skip
            run_job(job, forward, resume=False)
        except Diverged:
            lost = True
        except (Stopped, KeyboardInterrupt):
            shutil.rmtree(folder, ignore_errors=True)
            raise Stopped(
                "stopped; the trainings that were done are kept", cure="the same command, which goes on"
            ) from None
        run = RunFolder(folder / "run")
        events = read_events(run.events.path, EVENT)
        epochs = [each for each in events if isinstance(each, EpochEvent)]
        result = run.read_record().result
        found = Outcome(
            key=folder.name,
            learning_rate=planned.learning_rate,
            seed=planned.seed,
            diverged=lost or any(isinstance(each, RollbackEvent) for each in events),
            train_error=tuple(1 - each.train_accuracy for each in epochs),
            train_loss=tuple(each.train_loss if each.train_loss is not None else LOST for each in epochs),
            val_accuracy=tuple(each.val_accuracy for each in epochs),
            test_accuracy=0.0 if lost or result is None else result.accuracy,
            seconds=time.monotonic() - began,
        )
        self.spent_s += found.seconds
        write_atomic(kept, OUTCOME.dump_json(found, indent=1))
        return found

    # ---- networks to look into ------------------------------------------------------------------------

    def fresh(self, arm: Arm, seed: int) -> Net:
        """The network of an arm with the first weights that its seed draws."""
        images = self.images(arm.images, seed)
        height, width, channels = images.train[0].shape[1:]
        layout = lay(read_text(arm.net), Map(channels, height, width), len(np.unique(images.train[1])))
        with torch.random.fork_rng(devices=[]):
            net = build(layout)
        set_in_place(net, False)
        word = str(dict(arm.keys).get("initial", "auto"))
        initialize(net, initial=word, generator=torch.Generator().manual_seed(seed))
        return net

    def trained(self, outcome: Outcome, *, last: bool = False) -> Trained:
        """The network of a training: with its best weights, or its last.  Raises RunError where its folder is gone."""
        path = self.out / "trainings" / outcome.key / "run"
        if not path.exists():
            raise RunError("the run of a kept outcome is gone", place=str(path), cure=f"rm -r {path.parent}")
        found = load_trained(path, device="cpu")
        if last:
            load_weights(found.net, found.run.last_weights)
        return found

    def read(self, trained: Trained, images: Bytes) -> Tensor:
        """Images as a network reads them: N x C x H x W."""
        return Feeder(trained.preparation, torch.device("cpu")).images(images)


class _Forward(Silence):
    """Passes on only the wish to stop."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self.watch.stopping()


def with_beginnings(arms: Iterable[Arm]) -> Iterator[Arm]:
    """Every arm once, behind the one that it begins with."""
    seen: dict[Arm, None] = {}
    for arm in arms:
        for each in (*([arm.begin] if arm.begin is not None else []), arm):
            if each not in seen:
                seen[each] = None
                yield each


def at(arm: Arm, name: str, **changes: Any) -> Arm:
    """An arm of another name that differs in some fields."""
    return replace(arm, name=name, **changes)


def answers(net: nn.Module, x: Tensor) -> Tensor:
    """The class that a network answers for each of N images."""
    with torch.no_grad():
        return torch.cat([net.eval()(part).argmax(dim=1) for part in torch.split(x, 256)])


def _beside(learning_rate: float, *, up: bool) -> float:
    """The next half decade: 0.1, 0.3, 1, 3, ..."""
    exponent = round(2 * math.log10(learning_rate)) + (1 if up else -1)
    return float(f"{10 ** (exponent / 2):.1g}")
