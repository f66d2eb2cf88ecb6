"""The layers of a network at work: how far their outputs spread on real images, and which units are of no use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.data.decode.image import on_scale
from striate.data.gather import Data, gather
from striate.data.images import center
from striate.errors import DataError, FitError, RunError, StriateError, counted, nearest
from striate.machine.device import choose_device
from striate.modules.initial import fit_whitening, initialize, read_initial, whitening
from striate.modules.module import Net, build, set_in_place
from striate.modules.weights import load_weights
from striate.net.layers import activation
from striate.net.layers.words import write_layer
from striate.net.layout.layout import Layout, lay
from striate.net.network import Aux, Branch, Define, Flow, Network, Step, Word
from striate.net.shape import Map
from striate.predict.normalize import Feeder, Normalization, default_normalization
from striate.predict.trained import Trained
from striate.progress import Silence, Watch
from striate.recipe.keys import Recipe, read_run_recipe
from striate.report.activations import Activations, LayerActivations, Moment, Variant
from striate.runs.events import read_events
from striate.runs.vitals import VITAL, Begin, Look

# Images that go through the network, and those that go together: a batch norm that is not trained yet takes their
# mean and standard deviation.
IMAGES, TOGETHER = 64, 32

# Values of a layer that its histogram is drawn from.
SAMPLE = 16_384

# Activations that another may stand for; `maxout` changes the number of channels.
ACTIVATIONS = tuple(
    kind.word
    for kind in (
        activation.Relu, activation.Relu6, activation.Leaky, activation.PRelu, activation.Elu,
        activation.Sigmoid, activation.Tanh, activation.Gelu, activation.Silu,
    )
)  # fmt: skip

# Where an activation is flat: its slope there is less than a sixteenth of its steepest, so that hardly any gradient
# comes through.  tanh: 1 - y^2 < 1/16.  sigmoid: 4 y (1 - y) < 1/16.
_FLAT_ENDS = {"tanh": (-0.968, 0.968), "sigmoid": (0.0159, 0.9841), "relu6": (-math.inf, 5.999)}


def look_at_network(
    network: Network,
    name: str,
    source: str | Path,
    recipe: Recipe,
    *,
    initials: Sequence[str] = ("auto",),
    activations: Sequence[str] = (),
    images: int = IMAGES,
    device: str | None = None,
    watch: Watch | None = None,
) -> Activations:
    """A network before any training, with each of several first weights and activations.

    network: its text; name: what it is called.  recipe: size, fit, channels and seed.
    initials: as the recipe's `initial` each.
    activations: words out of ACTIVATIONS, each in place of every activation of the text; none for those of the text.

    Raises StriateError where a word is unknown, DataError, FitError.
    """
    watch = watch or Silence()
    require_images(images)
    for word in activations:
        require_activation(word)
    for word in initials:
        read_initial(word)
    found = _gathered(source, recipe, watch)
    preparation = default_normalization(found, recipe)
    where = choose_device(device)
    stored = _spread_out(found.train.images, images)
    variants = []
    watch.begin("looking", len(initials) * max(1, len(activations)))
    for replaced in activations or ("",):
        text = with_activation(network, replaced) if replaced else network
        layout = lay(text, Map(preparation.channels, *preparation.size), len(found.classes))
        for initial in initials:
            net = _first(layout, initial, recipe.seed, stored, preparation)
            variants.append(
                _measured(
                    ", ".join(each for each in (initial, replaced) if each),
                    net.to(where),
                    layout,
                    stored,
                    preparation,
                )
            )
            watch.advance(len(variants), variants[-1].name)
    watch.end()
    return Activations(name, str(source), len(stored), False, tuple(variants))


def look_at_run(
    run: Trained, source: str | Path | None = None, *, images: int = IMAGES, watch: Watch | None = None
) -> Activations:
    """The network of a run with its first, its best and its last weights, on training images.

    source: other images; those of the run where None.

    Raises RunError where the images of the run are not where they were, DataError where they are of another size.
    """
    watch = watch or Silence()
    require_images(images)
    recipe, known = read_run_recipe(run.run, run.record), run.preparation
    if source is None:
        source = run.record.source
        if not source or not (Path(source).exists() or source == "digits"):
            raise RunError(
                f"the data are not at {source or 'a known place'} any more",
                place=str(run.run.path),
                expected="the images of the run, or others",
                cure=f"striate look {run.run.quoted} DATA",
            )
    found = _gathered(
        source, recipe.model_copy(update={"size": "x".join(map(str, known.size)), "fit": known.fit}), watch
    )
    _require_alike(found, known, source)
    if known.values is not None:
        on_scale(found.train.images, known.values, in_bytes=False)
    stored = _spread_out(found.train.images, images)
    layout = run.net.layout
    watch.begin("looking", 3)
    variants = [_measured("first weights", _begun(run, recipe, stored), layout, stored, known)]
    watch.advance(1, "")
    result = run.record.result
    best = (
        f"best weights, epoch {result.best_epoch + 1}"
        if result and result.best_epoch >= 0
        else "best weights"
    )
    variants.append(_measured(best, run.net, layout, stored, known))
    watch.advance(2, "")
    if run.run.last_weights.is_file() and not (result and result.best_epoch + 1 == result.epochs):
        last = _built(layout, run.device)
        load_weights(last, run.run.last_weights)
        epochs = f", epoch {result.epochs}" if result else ""
        variants.append(_measured(f"last weights{epochs}", last.to(run.device).eval(), layout, stored, known))
    watch.end()
    return Activations(
        run.run.path.resolve().name, str(source), len(stored), True, tuple(variants), _history(run)
    )


def _history(run: Trained) -> tuple[Moment, ...]:
    """What the training noted of its layers, by epochs; nothing where an earlier striate trained it."""
    noted = read_events(run.run.vitals.path, VITAL)
    begun = [each for each in noted if isinstance(each, Begin)]
    looks = [each for each in noted if isinstance(each, Look)]
    result = run.record.result
    if len(begun) != 1 or not looks or result is None:
        # In a second stage the layers are others.
        return ()
    an_epoch = result.steps / max(1, result.epochs)
    return tuple(
        Moment(
            (each.step - 1) / an_epoch,
            {
                path: (row[1], row[4])
                for (path, _), row in zip(begun[0].layers, each.layers, strict=False)
                if len(row) > 4
            },
        )
        for each in sorted(looks, key=lambda each: each.step)
    )


def require_images(images: int) -> None:
    """Raise StriateError where they are too few to take a mean of."""
    if images < 2:
        raise StriateError(
            f"{counted(images, 'image')} {'is' if images == 1 else 'are'} too few",
            place="--images",
            expected="at least 2",
            cure="--images 64",
        )


def require_activation(word: str) -> None:
    """Raise StriateError where a word is no activation that can stand for another."""
    if word not in ACTIVATIONS:
        raise StriateError(
            f"`{word}` is no activation that can stand for another",
            place="--activation",
            expected="one of " + ", ".join(ACTIVATIONS),
            cure=f"--activation {nearest(word, ACTIVATIONS) or 'relu'}",
        )


def with_activation(network: Network, word: str) -> Network:
    """The network with each of its activations replaced by another, at the defaults of its arguments."""

    def flow(old: Flow) -> Flow:
        return Flow(tuple(step(each) for each in old.steps))

    def step(old: Step) -> Step:
        atom = old.atom
        if isinstance(atom, Word) and atom.word in ACTIVATIONS:
            return replace(old, atom=Word(word))
        if isinstance(atom, Flow):
            return replace(old, atom=flow(atom))
        if isinstance(atom, Branch):
            return replace(old, atom=replace(atom, flows=tuple(flow(each) for each in atom.flows)))
        if isinstance(atom, Aux):
            return replace(old, atom=replace(atom, flow=flow(atom.flow)))
        return old

    defines = tuple(Define(each.name, each.parameters, flow(each.flow), each.at) for each in network.defines)
    return replace(network, flow=flow(network.flow), defines=defines)


def _gathered(source: str | Path, recipe: Recipe, watch: Watch) -> Data:
    started = False

    def progress(done: int, total: int) -> None:
        nonlocal started
        if not started:
            watch.begin("reading images", total)
        started = True
        watch.advance(done, "")

    found = gather(
        source, size=recipe.size, fit=recipe.fit, val_share=recipe.val_share, seed=recipe.seed,
        max_pixels=recipe.max_pixels, progress=progress,
    )  # fmt: skip
    watch.end()
    return found


def _require_alike(found: Data, known: Normalization, source: str | Path) -> None:
    """Raise DataError where images are not as those that a run was trained on."""
    kind = found.train.images.dtype.name
    if found.channels not in (known.channels, 1) or kind != known.dtype:
        raise DataError(
            f"the images have {found.channels} channels of {kind}",
            place=str(source),
            expected=f"{known.channels} channels of {known.dtype}, as those that the network was trained on",
        )


def _spread_out(stored: Any, images: int) -> NDArray[Any]:
    """So many of the training images, evenly spread."""
    every = max(1, len(stored) // images)
    return np.ascontiguousarray(stored[::every][:images])


def _built(layout: Layout, device: torch.device) -> Net:
    with torch.random.fork_rng(devices=[]):
        net = build(layout)
    set_in_place(net, False)
    return net.to(device)


def _first(layout: Layout, initial: str, seed: int, stored: NDArray[Any], known: Normalization) -> Net:
    """A network with first weights, as a training begins; its batch norms take what they read by the batch."""
    net = _built(layout, torch.device("cpu"))
    initialize(net, initial=initial, generator=torch.Generator().manual_seed(seed))
    if whitening(net):
        fit_whitening(net, Feeder(known, torch.device("cpu")).images(center(stored, known.size)))
    return _by_the_batch(net)


def _begun(run: Trained, recipe: Recipe, stored: NDArray[Any]) -> Net:
    if not run.run.start_weights.is_file():
        return _first(run.net.layout, recipe.initial, recipe.seed, stored, run.preparation).to(run.device)
    net = _built(run.net.layout, run.device)
    load_weights(net, run.run.start_weights)
    # Of weights that came from elsewhere the running statistics are those of their training.
    return net.eval() if recipe.weights is not None else _by_the_batch(net)


def _by_the_batch(net: Net) -> Net:
    """Nothing dropped, no auxiliary classifier, but batch norms as in training."""
    net.eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.train()
    return net


def _measured(name: str, net: Net, layout: Layout, stored: NDArray[Any], known: Normalization) -> Variant:
    """Put the images through the network, which stays as it was, and measure each activation."""
    chosen = [each for each in layout.layers(sides=False) if each.layer.word in (*ACTIVATIONS, "maxout")]
    matrices = [each for each in layout.layers(sides=False) if each.layer.weights(each.input)]
    chosen = chosen or matrices[:-1]
    if matrices and matrices[-1] not in chosen:
        chosen.append(matrices[-1])
    if not chosen:
        raise FitError(
            "the network has neither an activation nor weights",
            place="look",
            expected="layers whose outputs can be looked at",
            cure="conv 32 3x3 -> relu -> fc classes",
        )
    generator = torch.Generator().manual_seed(0)
    sums = [_Sums(each.layer.word, generator) for each in chosen]
    feeder = Feeder(known, next((each.device for each in net.parameters()), torch.device("cpu")))
    seen = _Sums("", generator)
    with torch.inference_mode(), _hooked(net, [each.path for each in chosen], sums):
        for batch in np.array_split(stored, math.ceil(len(stored) / TOGETHER)):
            x = feeder.images(center(batch, known.size))
            seen.take(x)
            net(x)
    each_batch = math.ceil(len(stored) / TOGETHER)
    layers = tuple(
        taken.activations(each.path, write_layer(each.layer), str(each.output), each_batch)
        for each, taken in zip(chosen, sums, strict=True)
    )
    return Variant(name, seen.std, layers)


@contextmanager
def _hooked(net: Net, paths: list[str], sums: list[_Sums]) -> Iterator[None]:
    def hook(taken: _Sums) -> Any:
        return lambda _module, _inputs, output: taken.take(output)

    handles = [
        net.part(path).register_forward_hook(hook(each)) for path, each in zip(paths, sums, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Sums:
    """What is known of a layer's values so far."""

    def __init__(self, word: str, generator: torch.Generator) -> None:
        self.ends = _FLAT_ENDS.get(word)
        self.generator = generator
        self.count = self.zeros = self.flat = 0
        self.total = self.squares = 0.0
        self.least: Tensor | None = None
        self.most: Tensor | None = None
        self.samples: list[Tensor] = []

    def take(self, output: Tensor) -> None:
        """Another batch: N x C x ..."""
        values = output.detach().float()
        exact = values.double()
        self.count += values.numel()
        self.total += float(exact.sum())
        self.squares += float(exact.square().sum())
        self.zeros += int((values == 0).sum())
        if self.ends is not None:
            self.flat += int(((values <= self.ends[0]) | (values >= self.ends[1])).sum())
        by_unit = values.transpose(0, 1).flatten(1)
        least, most = by_unit.amin(1), by_unit.amax(1)
        self.least = least if self.least is None else torch.minimum(self.least, least)
        self.most = most if self.most is None else torch.maximum(self.most, most)
        flat = values.flatten()
        if len(flat) > SAMPLE:
            flat = flat[torch.randint(len(flat), (SAMPLE,), generator=self.generator).to(flat.device)]
        self.samples.append(flat.cpu())

    @property
    def std(self) -> float:
        """Standard deviation of all values."""
        mean = self.total / self.count
        variance = self.squares / self.count - mean * mean
        return math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.inf

    def activations(self, path: str, text: str, shape: str, batches: int) -> LayerActivations:
        """The record of the layer."""
        assert self.least is not None and self.most is not None
        mean = self.total / self.count
        same = (self.least == self.most).float().mean()
        sample = torch.cat([each[: SAMPLE // batches + 1] for each in self.samples])
        return LayerActivations(
            path=path,
            text=text,
            shape=shape,
            mean=mean if math.isfinite(mean) else math.inf,
            std=self.std,
            zero=self.zeros / self.count,
            saturated=None if self.ends is None else self.flat / self.count,
            dead=float(same),
            low=float(self.least.min()),
            high=float(self.most.max()),
            sample=sample.numpy().copy(),
        )
