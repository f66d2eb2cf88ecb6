"""striate from Python: what each command does, by one call of its name."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from striate.data.decode.image import prepare_image
from striate.data.decode.size import Fit, Size
from striate.disk.small import read_small_text
from striate.errors import DataError, MissingExtra, NotationError, StriateError, nearest
from striate.net.layers.words import WORDS
from striate.net.layout.layout import Layout, lay
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.net.plan.drawing import draw_svg, flowchart, notebook_drawing
from striate.net.plan.table import Plan
from striate.net.plan.table import plan as plan_layout
from striate.net.plan.tree import seen_by
from striate.net.shape import Map
from striate.net.zoo.list import zoo_names, zoo_net, zoo_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.bundle.certificate import Timing
    from striate.bundle.verify import Verified
    from striate.checks.checked import Checked
    from striate.disk.cached import Cached
    from striate.doctor.finding import Diagnosis
    from striate.doctor.first_look import FirstLook
    from striate.explaining.explain import Explanation
    from striate.explaining.fixed_filter import Filtered
    from striate.modules.module import Net
    from striate.predict.measure import Candidate, Measured
    from striate.predict.published import Published
    from striate.predict.trained import Trained
    from striate.progress import Watch
    from striate.recipe.keys import Recipe
    from striate.report.activations import Activations
    from striate.report.check import Check
    from striate.report.compare import Comparison
    from striate.run import Run
    from striate.runs.folder import RunFolder
    from striate.runs.search import SearchRecord
    from striate.searching.folds import Folds
    from striate.searching.search import Search
    from striate.training.lr_range import RangeTest

# What `transfer` begins with: small, quick on a CPU, and its weights install by name.
TRANSFER_NET = "efficientnet_lite0"

# What `classes` stands for where nobody says: as many as there are digits.
CLASSES = 10


@dataclass(frozen=True, slots=True)
class NetText:
    """A network that was read.

    network: its definitions and flow.  zoo: its name in the zoo, if it has one.
    """

    network: Network
    zoo: str | None = None

    def __str__(self) -> str:
        """The canonical text."""
        return write_text(self.network)

    def _repr_html_(self) -> str:
        """In a notebook: its drawing where it is of the zoo, which knows the images, else its text."""
        if self.zoo is None:
            return f"<pre>{escape(str(self))}</pre>"
        known = zoo_net(self.zoo)
        layout = self.lay(known.input, known.classes)
        return notebook_drawing(layout, plan_layout(layout).nodes)

    def lay(self, input: tuple[int, int, int], classes: int | None = None) -> Layout:
        """Work out every shape for images of channels x height x width.  Raises FitError."""
        return lay(self.network, _map(input), classes)

    def plan(
        self,
        input: tuple[int, int, int],
        classes: int | None = None,
        *,
        batch: int = 1,
        strict: bool = False,
        precision: str = "fp32",
        optimizer: str = "adamw",
    ) -> Plan:
        """What it costs on images of channels x height x width; see `striate.net.plan.table.plan`."""
        return plan_layout(
            self.lay(input, classes), batch=batch, strict=strict, precision=precision, optimizer=optimizer
        )

    def build(self, input: tuple[int, int, int], classes: int | None = None, *, initial: str = "auto") -> Net:
        """An ordinary torch.nn.Module: N x channels x height x width -> N x classes logits.

        No layer writes over its input, so that hooks of every kind may be registered.

        initial: the distribution of its first weights, drawn from torch's random state (see
        `striate.modules.initial`).  A closing `softmax` of the text is left out.

        Raises FitError where a layer does not fit, MissingExtra where torch is not installed.
        """
        require_train("build")
        from striate.modules.initial import initialize
        from striate.modules.module import build, set_in_place

        net = build(self.lay(input, classes))
        set_in_place(net, False)
        initialize(net, initial=initial)
        return net


def cache(kind: str | None = None, *, clear: bool = False) -> list[Cached]:
    """What lies in the cache: its entries, or those of one kind (see `striate.disk.cached.KINDS`).

    clear: remove them, but for what running processes use; returned is then what is gone.
    """
    from striate.disk.cache import cache_root
    from striate.disk.cached import inventory, remove
    from striate.weights.fetch import cache_folder

    found = inventory(cache_root(None), cache_folder())
    chosen = [each for each in found if kind in (None, each.kind)]
    return remove(chosen) if clear else chosen


def read(net: str | Path | NetText) -> NetText:
    """Read a network: a text, the path of a `.net` or `.txt` file, or the name of one in the zoo.

    Raises NotationError, with its place, where it cannot be read.
    """
    if isinstance(net, NetText):
        return net
    said = str(net)
    if isinstance(net, Path) or said.endswith((".net", ".txt")):
        text = read_small_text(Path(net), NotationError, "the text of a network")
        return NetText(read_text(text, said))
    if said in zoo_names():
        return NetText(read_text(zoo_text(said), f"{said}.net"), zoo=said)
    try:
        return NetText(read_text(said))
    except NotationError:
        near = nearest(said, zoo_names())
        if near is None or not said.replace("_", "").replace(".", "").isalnum():
            raise
        raise NotationError(
            f"there is no network `{said}`",
            place="network",
            expected="a text such as `conv 32 3x3 -> relu -> fc classes`, a .net or .txt file or a name of the zoo",
            cure=near,
        ) from None


def plan(
    net: str | Path | NetText,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
    *,
    batch: int = 1,
    strict: bool = False,
) -> Plan:
    """What a network costs before it runs: shapes, weights, multiply-adds, receptive fields, memory.

    net: as `read`.  input: channels, height, width; a network of the zoo knows its own.
    classes: what `classes` stands for.  batch: images in a training step.
    strict: raise FitError where a stride does not divide.
    """
    text = read(net)
    shape, classes = _known(text, input, classes)
    return text.plan(shape, classes, batch=batch, strict=strict)


def draw(
    net: str | Path | NetText,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
    *,
    at: str | None = None,
    image: str | Path | None = None,
    format: Literal["svg", "mermaid", "dot"] = "svg",
) -> str:
    """A network as a drawing: the text of an SVG file, or of Mermaid or Graphviz.

    net, input, classes: as `plan`; 10 classes where nobody says.
    at: the label or path of a layer whose receptive field is marked, on `image` where one is given (svg only).

    Raises NotationError, FitError, DataError; StriateError where there is no such layer.
    """
    text = read(net)
    shape, classes = _known(text, input, classes)
    layout = text.lay(shape, CLASSES if classes is None else classes)
    table = plan_layout(layout)
    nodes = table.nodes
    if format != "svg":
        return flowchart(nodes, layout, format)
    seen = None if at is None else seen_by(table.rows, at)
    under = None
    if image is not None:
        values = prepare_image(image, stored_size=shape[1:], channels=3 if shape[0] == 3 else 1)
        under = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        seen = seen or seen_by(table.rows, table.rows[-1].path)
    return draw_svg(layout, nodes, seen=seen, image=under)


def _known(
    text: NetText, input: tuple[int, int, int] | None, classes: int | None
) -> tuple[tuple[int, int, int], int | None]:
    """The shape of the images and the classes: what is said, or what the zoo knows."""
    if text.zoo is not None:
        known = zoo_net(text.zoo)
        input, classes = input or known.input, classes or known.classes
    if input is None:
        raise StriateError(
            "the size of the images is not known", place="plan", expected="input=(channels, height, width)"
        )
    return input, classes


def train(
    data: str | Path | None = None,
    *,
    from_run: str | Path | Trained | None = None,
    net: str | Path | NetText | None = None,
    recipe: str | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    strict: bool = False,
    transfer: bool = False,
    quiet: bool = False,
    **keys: Any,
) -> Run:
    """Train on DATA and load what came out.

    data: a folder of class folders, or whatever `striate train --help` lists.  from_run: a finished run to go on
    from, with its optimizer's state and a fresh schedule (see `begin_from`); its data where none are given.
    net: as `read`, or None to
    choose.  recipe: a name or file.  out: the run folder.  strict: refuse data with unreadable files.
    transfer: keep the body of a network that knows photographs, and train its head (see `begin_with`).
    quiet: show no bar, which else is there on a terminal and in a notebook.
    keys: keys of the recipe, as `epochs=5`, `learning_rate=0.01` (or `lr=0.01`), `budget="60s"`, `memory="2G"`.

    Raises StriateError; see the command of the same name.
    """
    require_train("train")
    from striate.recipe.given import canonical

    keys = canonical(keys, "train")
    from striate.progress import python_progress
    from striate.training.job import new_job, run_job

    started, watch = time.monotonic(), python_progress(quiet)
    if from_run is None:
        before = None
        text, chosen = begin_with(None if net is None else read(net), recipe, keys, transfer=transfer)
    else:
        one_start(net=net, recipe=recipe, weights=keys.get("weights"), transfer=transfer)
        folder = from_run if isinstance(from_run, str | Path) else from_run.run.path
        before, text, chosen, data = begin_from(folder, data, keys)
    if data is None:
        raise StriateError("no data were given", place="train", expected="striate.train(DATA)")
    job = new_job(
        data,
        network=None if text is None else text.network,
        recipe=chosen,
        out=None if out is None else Path(out),
        device=device,
        strict=strict,
        started=started,
        watch=watch,
        before=before,
    )
    run_job(job, watch, resume=False)
    return load(job.run.path, device=device)


def search(
    data: str | Path | None = None,
    *,
    net: str | Path | NetText | None = None,
    space: str | Path | None = None,
    trials: int | None = None,
    budget_s: float | None = None,
    epochs: int | None = None,
    recipe: str | None = None,
    weights_at_most: int | None = None,
    mult_adds_at_most: int | None = None,
    memory_bytes: int | None = None,
    latency_s: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    storage: str | None = None,
    join: str | None = None,
    name: str | None = None,
    device: str | None = None,
    strict: bool = False,
    watch: Watch | None = None,
    **keys: Any,
) -> SearchRecord:
    """Search hyperparameters from coarse to fine; see `striate search --help`.

    keys: of the recipe, a value perhaps a hole, as `learning_rate="?(0.001 .. 0.1)"`, or a list of options.
    The winner is the run `best` in the folder of the search, for `striate.load`.

    Raises StriateError; Stopped where `watch` asks to stop, and `resume` goes on then.
    """
    require_train("search")
    from striate.progress import Silence
    from striate.searching.worker import work

    settings = [
        f"{key}=?({', '.join(map(str, value))})" if isinstance(value, list | tuple) else f"{key}={value}"
        for key, value in keys.items()
    ]
    begun = begin_or_join(
        data, net=net, space=space, settings=settings, trials=trials, budget_s=budget_s, epochs=epochs,
        recipe=recipe, weights_at_most=weights_at_most, mult_adds_at_most=mult_adds_at_most,
        memory_bytes=memory_bytes, latency_s=latency_s, seed=seed, out=out, resume=resume, storage=storage,
        join=join, name=name, device=device, strict=strict, watch=watch or Silence(),
    )  # fmt: skip
    return work(begun)


def cross_validate(
    data: str | Path,
    *,
    folds: int = 5,
    repeats: int = 1,
    net: str | Path | NetText | None = None,
    recipe: str | None = None,
    out: str | Path,
    device: str | None = None,
    strict: bool = False,
    **keys: Any,
) -> Folds:
    """Train `folds` networks, each tested on a part of the images that it has not seen; see `striate train --folds`.

    out: the folder of the runs and of predictions.csv.  keys: of the recipe.
    """
    require_train("cross_validate")
    from striate.progress import Silence
    from striate.searching.folds import cross_validate as validate

    text, chosen = begin_with(None if net is None else read(net), recipe, keys)
    return validate(
        str(data), network=None if text is None else text.network, recipe=chosen, folds=folds, repeats=repeats,
        out=Path(out), device=device, strict=strict, watch=Silence(),
    )  # fmt: skip


def begin_or_join(
    data: str | Path | None,
    *,
    net: str | Path | NetText | None,
    space: str | Path | None,
    settings: Sequence[str],
    trials: int | None,
    budget_s: float | None,
    epochs: int | None,
    recipe: str | None,
    weights_at_most: int | None,
    mult_adds_at_most: int | None,
    memory_bytes: int | None,
    latency_s: float | None,
    seed: int,
    out: str | Path | None,
    resume: str | Path | None,
    storage: str | None,
    join: str | None,
    name: str | None,
    device: str | None,
    strict: bool,
    watch: Watch,
) -> Search:
    """A search that is ready to be worked on: a new one, the one of a folder, or one in a database."""
    from striate.searching.database import searches_in
    from striate.searching.search import begin_search, find_search, join_search, new_folder
    from striate.searching.space import read_space
    from striate.searching.trial import Limits

    source = None if data is None else str(data)
    if resume is not None or join is not None:
        for flag, value in (
            ("--net", net),
            ("--space", space),
            ("--set", settings or None),
            ("--recipe", recipe),
        ):
            if value is not None:
                raise StriateError(
                    f"{flag} is given beside a search that was begun, which has its own",
                    place=flag,
                    expected="one of them",
                    cure=f"leave out {flag}",
                )
    if resume is not None:
        url, named = find_search(Path(resume))
        return join_search(url, named, new_folder(Path(resume)), source=source, device=device, watch=watch)
    if join is not None:
        there = searches_in(join)
        if not there:
            raise StriateError(
                "there is no search in this database",
                place="--join",
                expected="a database that `striate search` writes",
                cure="striate search DATA --storage with the same address, which begins one",
            )
        named = name or there[-1]
        folder = new_folder(Path(out) if out is not None else None)
        return join_search(join, named, folder, source=source, device=device, watch=watch)
    if source is None:
        raise StriateError(
            "no data were given",
            place="search",
            expected="striate search DATA",
            cure="striate search photos/",
        )
    for what, number in (("trials", trials), ("epochs", epochs)):
        if number is not None and number < 1:
            raise StriateError(
                f"--{what} cannot be {number}", place="search", expected="1 or more", cure=f"--{what} 16"
            )
    text = None if net is None else read(net)
    return begin_search(
        source, network=None if text is None else text.network, recipe=recipe,
        space=read_space(None if space is None else str(space), settings, None if text is None else text.network),
        limits=Limits(weights_at_most, mult_adds_at_most, memory_bytes, latency_s), trials=trials,
        budget_s=budget_s, epochs=epochs, seed=seed, folder=new_folder(None if out is None else Path(out)),
        storage=storage, device=device, strict=strict, watch=watch,
    )  # fmt: skip


def begin_with(
    text: NetText | None, recipe: str | None, keys: Mapping[str, Any], *, transfer: bool = False
) -> tuple[NetText | None, Recipe]:
    """The network and the recipe that a training begins with.

    text: the network, or None to choose one.  recipe: a name or file.  keys: set on top of it.
    transfer: EfficientNet-Lite0 with its published weights where no network is said, everything before the
    head frozen.  Where weights are given for a network of the zoo, images have the channels and the size
    that it was published for unless the recipe or the keys say otherwise.

    Raises StriateError where weights are given without a network, or a key stands without that which it is
    about; and what `read_recipe` raises.
    """
    from striate.recipe.keys import read_recipe

    if transfer and text is None:
        # Weights that a recipe names are of another network.
        text, keys = read(TRANSFER_NET), {"weights": "builtin", "weights_sha256": None, **keys}
    chosen = read_recipe(recipe, given=keys, net=text is not None)
    if transfer:
        chosen = _with(chosen, {"freeze": "body"}, chosen.model_fields_set)
    _require_whole(chosen)
    if chosen.weights is None:
        if transfer:
            raise StriateError(
                "nothing is known yet that could be transferred",
                place="transfer",
                expected="weights for the network that was given",
                cure="--weights FILE, or leave out --net",
            )
        return text, chosen
    if text is None:
        near = chosen.published or (TRANSFER_NET if chosen.weights == "builtin" else "resnet18")
        raise StriateError(
            "weights are given without their network", place="weights", expected="both", cure=f"--net {near}"
        )
    if text.zoo is not None:
        channels, height, _ = zoo_net(text.zoo).input
        suited = {"channels": channels, "size": height, "published": text.zoo}
        # The recipe of a run says what suited the network of that run.
        other = chosen.published not in (None, text.zoo)
        chosen = _with(chosen, suited, keys if other else chosen.model_fields_set)
    return text, chosen


def begin_from(
    run: str | Path, data: str | Path | None, keys: Mapping[str, Any]
) -> tuple[RunFolder, NetText, Recipe, str | Path]:
    """The run, network, recipe and data of a training that goes on from a finished run (see `recipe_from`).

    data: None for those of the run.  Raises RunError where the run is not finished.
    """
    from striate.runs.folder import find_run, is_done
    from striate.training.further import recipe_from

    folder = find_run(run, is_done)
    chosen, source = recipe_from(folder, keys)
    return folder, read(folder.net), chosen, source if data is None else data


def one_start(
    *, net: object = None, recipe: object = None, weights: object = None, transfer: bool = False
) -> None:
    """Raise StriateError where a training that goes on from a run is given what the run has."""
    given = [("--net", net), ("--recipe", recipe), ("--weights", weights), ("--transfer", transfer or None)]
    for flag, value in given:
        if value is not None:
            raise StriateError(
                f"{flag} is given beside a run to go on from, which has its own",
                place=flag,
                expected="one of them",
                cure=f"leave out {flag}; or striate train DATA --net RUN/net.txt --weights RUN/weights.safetensors",
            )


def _with(recipe: Recipe, keys: Mapping[str, Any], said: Collection[str]) -> Recipe:
    """The recipe with those of the keys that were not said."""
    return recipe.model_copy(update={key: value for key, value in keys.items() if key not in said})


def _require_whole(recipe: Recipe) -> None:
    if recipe.weights_sha256 is not None and recipe.weights is None:
        raise StriateError(
            "a hash is given without the weights that it is of",
            place="weights_sha256",
            expected="both",
            cure="--weights FILE, or leave out --sha256",
        )
    if recipe.thaw and recipe.freeze is None:
        raise StriateError(
            "nothing is frozen that could thaw",
            place="thaw",
            expected="a part that is kept as it is until then",
            cure="--freeze body, or leave out --thaw",
        )


def check(
    data: str | Path,
    *,
    labels: str | Path | None = None,
    max_pixels: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Check:
    """Look at every image before training: what cannot be used, what is odd, what is there twice.

    labels: a run of the same images; its network names likely wrong labels of those that it did not train on.
    max_pixels: images of more are refused on their header.  progress: called with (images looked at, all).

    Raises DataError where DATA cannot be told apart into classes, or the run was trained on others; see
    `striate.checks.check.check`.
    """
    from striate.checks.check import check as look
    from striate.data.decode.decode import MAX_PIXELS
    from striate.report.check import shown

    if max_pixels is not None and max_pixels < 1:
        raise StriateError(f"the limit is {max_pixels}", place="--max-pixels", expected="at least 1")
    checked = look(data, max_pixels=max_pixels or MAX_PIXELS, progress=progress)
    return shown(checked if labels is None else _with_labels(checked, data, labels))


def _with_labels(checked: Checked, data: str | Path, run: str | Path) -> Checked:
    """With the labels that a run's network contradicts."""
    require_train("striate check --labels")
    import numpy as np

    from striate.checks.checked import in_order_of_severity
    from striate.checks.labels import label_findings
    from striate.data.gather import gather
    from striate.export.runtime import answering
    from striate.predict.trained import load_trained
    from striate.recipe.keys import read_recipe

    trained = load_trained(run)
    recipe = read_recipe(str(trained.run.recipe))
    found = gather(
        data, size=recipe.size, fit=recipe.fit, val_share=recipe.val_share, seed=recipe.seed,
        max_pixels=recipe.max_pixels,
    )  # fmt: skip
    then = {name: each.model_dump() for name, each in trained.run.read_data().splits.items()}
    if trained.classes != found.classes or then != found.record["splits"]:
        raise DataError(
            f"the run {trained.run.path} was trained on other images or labels than these",
            place="--labels",
            expected="a run of the same data, so that its validation images are known",
            cure=f"striate train {checked.source}, and then its run",
        )
    splits = [each for each in (found.val, found.test) if each is not None]
    trained, _ = answering(trained, "auto", sum(len(each.labels) for each in splits))
    wrong = label_findings(
        [name for each in splits for name in each.names],
        np.concatenate([each.labels for each in splits]),
        np.concatenate([trained.predict_stored(each.images) for each in splits]),
        found.classes,
    )
    return replace(checked, findings=in_order_of_severity([*checked.findings, *wrong]))


def show(
    data: str | Path,
    *,
    augment: str = "auto",
    size: Size | None = None,
    fit: Fit = "crop",
    count: int = 24,
    epoch: int = 0,
    seed: int = 0,
) -> Image.Image:
    """A sheet of training images as the network sees them: one a row, as stored and in one epoch after the other.

    See the command of the same name; the sheet is a PIL image.
    """
    from striate.data.sheet import make_sheet

    return make_sheet(data, augment=augment, size=size, fit=fit, count=count, epoch=epoch, seed=seed).image


def features(
    run: str | Path | Trained,
    data: str | Path,
    *,
    at: str,
    mean: bool = False,
    device: str | None = None,
    quiet: bool = False,
) -> dict[str, NDArray[Any]]:
    """What a trained network makes of images at one of its parts: arrays by name, as `striate features` writes them.

    at: a label or path of the network, as stage3 or stage3.0.  mean: over height and width.
    """
    require_train("features")
    from striate.predict.features import features_of
    from striate.predict.trained import Trained, load_trained
    from striate.progress import python_progress

    trained = run if isinstance(run, Trained) else load_trained(run, device=device)
    return features_of(trained, data, at, mean=mean, watch=python_progress(quiet))


def explain(
    run: str | Path | Trained,
    images: Any,
    *,
    at: str | None = None,
    class_name: str | None = None,
    against: str | None = None,
    check: bool = False,
    thorough: bool = False,
    weights: str | Path | None = None,
    sha256: str | None = None,
    device: str | None = None,
) -> Explanation:
    """What a trained network looks at in images, as pictures: `.page()`, `.save(folder)`, or itself in a notebook.

    run, weights, sha256: as `test`.  images: as `Trained.predict` takes them.  at: the layer that is looked at.
    class_name: explained in place of the answer.  against: a class that it is set against.
    check: measure how far each map can be trusted.  thorough: eight times the work, and all training images.

    Raises StriateError; see the command of the same name.
    """
    require_train("explain")
    from striate.explaining.explain import explain as explain_images
    from striate.explaining.subject import subject_of
    from striate.predict.trained import Trained

    if not isinstance(run, Trained):
        given = None if weights is None else str(weights)
        loaded = load_network(run, net=weights is not None, weights=given, sha256=sha256, device=device)
    else:
        loaded = run
    return explain_images(
        subject_of(loaded),
        images,
        at=at,
        class_name=class_name,
        against=against,
        check=check,
        thorough=thorough,
    )


def look(
    net: str | Path | NetText | Trained,
    data: str | Path | None = None,
    *,
    initial: str | Sequence[str] | None = None,
    activation: str | Sequence[str] | None = None,
    size: Size | None = None,
    images: int = 64,
    seed: int = 0,
    device: str | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
) -> Activations:
    """What each layer gives on real images: before any training, or with the weights of a run.

    net: a run, or its folder, with its first, best and last weights; or a network, as `read`, with each of several
    first weights.  data: images, as for `train`; those of the run where None.
    initial: first weights, one or several of them, as the recipe has them; `auto` where None.
    activation: one or several in place of the network's own.  images: how many training images go through it.

    Raises StriateError; see the command of the same name.
    """
    require_train("look")
    from striate.explaining.activations import look_at_network, look_at_run
    from striate.predict.trained import Trained, load_trained
    from striate.progress import python_progress
    from striate.recipe.keys import read_recipe
    from striate.runs.folder import is_run

    if isinstance(net, str | Path) and (data is None or is_run(net)):
        if data is None and (
            str(net) in zoo_names() or str(net).endswith((".net", ".txt")) or " " in str(net)
        ):
            said = shlex.quote(str(net))
            raise StriateError(
                f"{said} is a network, and there are no images to look at it with",
                place="look",
                expected="a network and images, or a run",
                cure=f"striate look {said} DATA",
            )
        net = load_trained(net, device=device)
    if isinstance(net, Trained):
        for flag, value in (("--initial", initial), ("--activation", activation), ("--size", size)):
            if value is not None:
                raise StriateError(
                    "a run has its own",
                    place=flag,
                    expected="a run alone, or a network and images",
                    cure=f"leave out {flag}; or striate look {net.run.quoted}/net.txt DATA {flag} ...",
                )
        return look_at_run(net, data, images=images, watch=watch or python_progress(quiet))
    if data is None:
        raise StriateError(
            "there are no images to look at it with", place="look", expected="a network and images, or a run"
        )
    text = read(net)
    given = {"seed": seed} | ({} if size is None else {"size": size})
    name = text.zoo or (Path(str(net)).name if str(net).endswith((".net", ".txt")) else "network")
    return look_at_network(
        text.network,
        name,
        data,
        read_recipe(None, given=given),
        initials=(initial,) if isinstance(initial, str) else initial or ("auto",),
        activations=(activation,) if isinstance(activation, str) else activation or (),
        images=images,
        device=device,
        watch=watch or python_progress(quiet),
    )


def filter(flow: str | NetText, image: str | Path) -> Filtered:
    """An image put through a filter (`sobel-x`, `blur` and others), or a flow of layers without weights.

    Raises StriateError; see the command of the same name.
    """
    require_train("filter")
    from striate.explaining.fixed_filter import filter_image

    if isinstance(flow, str) and flow.replace("-", "").isalpha() and flow not in WORDS:
        return filter_image(flow, None, image)
    return filter_image(str(flow), read(flow).network, image)


def lr(
    data: str | Path,
    *,
    net: str | Path | NetText | None = None,
    steps: int = 150,
    recipe: str | None = None,
    device: str | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
    **keys: Any,
) -> RangeTest:
    """The learning-rate range test: the loss while the learning rate rises, and the highest that is suggested.

    data, net, recipe, keys: as `train`.  steps: of training, one learning rate each, at least 10.

    Raises StriateError; see the command of the same name.
    """
    require_train("lr")
    from striate.progress import python_progress
    from striate.training.job import prepare
    from striate.training.lr_range import range_test

    if steps < 10:
        raise StriateError(f"{steps} steps tell nothing", place="--steps", expected="at least 10")
    text, chosen = begin_with(None if net is None else read(net), recipe, keys)
    watch = watch or python_progress(quiet)
    made = prepare(
        data,
        network=None if text is None else text.network,
        recipe=chosen,
        device=device,
        strict=False,
        watch=watch,
    )
    return range_test(made, steps=steps, watch=watch)


def load(run: str | Path, *, device: str | None = None) -> Run:
    """Load the best weights of a run, to predict and explain.  Raises RunError where there is no such run."""
    require_train("load")
    from striate.run import load_run

    return load_run(run, device=device)


def test(
    run: str | Path | Trained,
    data: str | Path,
    *,
    weights: str | Path | None = None,
    sha256: str | None = None,
    device: str | None = None,
) -> Measured:
    """How good a network is on labelled images: those of the test split of DATA where it has one, else all.

    run: a run, its folder, or with `weights` the name of a network of the zoo.  weights: its published
    weights: a file, a URL, or hf:OWNER/NAME.  sha256: the hash of their file, or its first digits.
    Classes are matched by their names.

    Raises StriateError; see the command of the same name.
    """
    require_train("test")
    from striate.predict.measure import measure, run_candidate
    from striate.predict.trained import Trained

    if isinstance(run, Trained):
        return measure(run_candidate(run), data)
    given = None if weights is None else str(weights)
    return measure(
        candidate_of(run, net=weights is not None, weights=given, sha256=sha256, device=device), data
    )


def compare(
    *runs: str | Path | Trained,
    data: str | Path | None = None,
    device: str | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
) -> Comparison:
    """Runs against the first of them, on the same images.

    data: labelled images; where None, the test images of the runs, or their validation images.

    Raises StriateError; see the command of the same name.
    """
    require_train("compare")
    from striate.predict.compare import compare_runs
    from striate.predict.trained import Trained, load_trained
    from striate.progress import python_progress

    loaded = [each if isinstance(each, Trained) else load_trained(each, device=device) for each in runs]
    return compare_runs(loaded, data, watch or python_progress(quiet))


def verify(bundle: str | Path, data: str | Path | None = None, *, runtime: str = "auto") -> Verified:
    """Prove a bundle again, on this machine.  Torch is not needed.

    data: labelled images, to measure the accuracy and the promised risk on.
    Raises BundleError, DataError; see the command of the same name.
    """
    from striate.bundle.verify import verify as verify_bundle

    return verify_bundle(bundle, data, runtime=runtime)


def bench(model: str | Path | Trained, *, threads: int | None = None) -> list[Timing]:
    """How fast a run or a bundle answers here, by each runtime; a bundle needs no torch.

    threads: of each; as many as there are processors if None.  See the command of the same name.
    """
    from striate.bundle.bench import bundle_timings
    from striate.bundle.bundle import Bundle, is_bundle

    if isinstance(model, str | Path) and is_bundle(model):
        return bundle_timings(Bundle.read(model), threads)
    require_train("striate bench RUN")
    from striate.export.bench import run_timings
    from striate.predict.trained import load_trained

    trained = load_trained(model, device="cpu") if isinstance(model, str | Path) else model
    return run_timings(trained, threads)


def candidate_of(
    run: str | Path,
    *,
    net: bool,
    weights: str | None,
    sha256: str | None = None,
    device: str | None = None,
    watch: Watch | None = None,
) -> Candidate:
    """The network to be tested: a run, or where `net` is true a network of the zoo with published weights.

    Raises what `load_network` raises.
    """
    from striate.predict.measure import run_candidate
    from striate.predict.published import Published, published_candidate

    loaded = load_network(run, net=net, weights=weights, sha256=sha256, device=device, watch=watch)
    return published_candidate(loaded) if isinstance(loaded, Published) else run_candidate(loaded)


def load_network(
    run: str | Path,
    *,
    net: bool,
    weights: str | None,
    sha256: str | None = None,
    device: str | None = None,
    watch: Watch | None = None,
) -> Trained | Published:
    """A run, or where `net` is true a network of the zoo with published weights.

    Raises StriateError where one stands without the other, and what reads them raises.
    """
    from striate.predict.published import load_published
    from striate.predict.trained import load_trained

    if not net:
        if weights is not None or sha256 is not None:
            raise StriateError(
                "weights are given without their network",
                place="weights",
                expected="both, or a run",
                cure="--net resnet20",
            )
        return load_trained(run, device=device)
    name = str(run)
    if name not in zoo_names():
        near = nearest(name, zoo_names())
        raise StriateError(
            f"there is no network `{name}` in the zoo",
            place="net",
            expected="a network whose published weights are known",
            cure=near or "striate zoo, which lists them",
        )
    if weights is None:
        raise StriateError(
            "a network is given without its weights",
            place="weights",
            expected="both",
            cure="--weights FILE, or a run instead",
        )
    return load_published(name, weights, sha256=sha256, device=device, watch=watch)


def diagnose(
    target: str | Path,
    *,
    probe: bool = False,
    net: str | Path | NetText | None = None,
    size: Size | None = None,
    mute: Collection[str] = (),
    device: str | None = None,
) -> Diagnosis:
    """Why a run learned or did not; or what a minute with DATA says (see the command `doctor`).

    target: a run, or data.  probe: make experiments with a run's network and images as well.  net, size: of data, the
    network to try and the size of the images.  mute: codes to leave out.

    Raises RunError, DataError, StriateError for a code that there is not.
    """
    from striate.doctor.doctor import diagnose_run, require_codes
    from striate.doctor.first_look import judge

    require_codes(mute)
    if is_data(target):
        return judge(look_at(target, net=net, size=size, device=device)).without(mute)
    facts, found = diagnose_run(target, mute=mute)
    if not probe:
        return found
    require_train("doctor --probe")
    from striate.progress import Silence
    from striate.training.probe import probe_run

    return found.joined(probe_run(facts.run, device=device, watch=Silence()).without(mute))


def is_data(target: str | Path) -> bool:
    """Whether DATA is meant, and not a run: something that is there and holds no run.json."""
    from striate.data.formats.builtin import BUILT_IN
    from striate.runs.folder import ROOT

    path = Path(target)
    if path.name == "latest" or any((each / "run.json").is_file() for each in (path, ROOT / path)):
        return False
    return path.exists() or str(target) in BUILT_IN


def look_at(
    data: str | Path,
    *,
    net: str | Path | NetText | None = None,
    size: Size | None = None,
    device: str | None = None,
    watch: Watch | None = None,
) -> FirstLook:
    """What a minute with DATA measures, as `diagnose` judges it."""
    require_train("doctor DATA")
    from striate.progress import Silence
    from striate.training.first_look import first_look

    keys = {} if size is None else {"size": size}
    text, chosen = begin_with(None if net is None else read(net), None, keys)
    return first_look(
        data,
        network=None if text is None else text.network,
        recipe=chosen,
        device=device,
        watch=watch or Silence(),
    )


def require_train(command: str) -> None:
    """Raise MissingExtra unless torch and scikit-learn are installed; imports neither."""
    from importlib.util import find_spec

    missing = [name for name in ("torch", "sklearn", "matplotlib") if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"`{command}` needs {', '.join(missing)}, not installed here",
            expected="the extra `train`",
            cure='pip install "striate[train]"',
        )


def _map(input: tuple[int, int, int]) -> Map:
    if len(input) != 3 or not all(isinstance(side, int) and side > 0 for side in input):
        raise StriateError(
            f"input cannot be {input!r}",
            place="input",
            expected="(channels, height, width), whole numbers from 1",
        )
    return Map(*input)
