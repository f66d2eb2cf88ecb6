"""What came out: loaded, tested, compared, explained, diagnosed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.api.networks import NetText, read
from striate.data.decode.size import Size
from striate.errors import StriateError, nearest, require_train
from striate.net.zoo.list import zoo_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.explaining.explain import Explanation
    from striate.predict.measure import Candidate, Measured
    from striate.predict.published import Published
    from striate.predict.trained import Trained
    from striate.progress import Watch
    from striate.report.activations import Activations
    from striate.report.compare import Comparison
    from striate.run import Run


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
