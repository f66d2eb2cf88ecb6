"""Bundles, and the cache: written, proved, timed, listed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.errors import require_train

if TYPE_CHECKING:
    from striate.bundle.certificate import Timing
    from striate.bundle.verify import Verified
    from striate.disk.cached import Cached
    from striate.exporting.export import Exported
    from striate.predict.trained import Trained


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


def export(
    run: str | Path | Trained,
    out: str | Path = "bundle",
    *,
    data: str | Path | None = None,
    int8: bool = False,
    lose_at_most: float = 0.5,
    wrong_at_most: float | None = None,
    unlike: Sequence[str | Path] = (),
    include_images: bool = False,
    name: str | None = None,
    force: bool = False,
    speed: bool = True,
) -> Exported:
    """Write a run as a bundle that answers without torch, once it has answered as the run does.

    run: a run, or its folder.  The rest as in `striate.exporting.export.export`; see the command of the same name.
    Raises what `load` raises; BundleError where the proof fails, DataError, ResourceError.
    """
    require_train("export")
    from striate.predict.trained import load_trained

    trained = load_trained(run, device="cpu") if isinstance(run, str | Path) else run
    return trained.export(
        out,
        data=data,
        int8=int8,
        lose_at_most=lose_at_most,
        wrong_at_most=wrong_at_most,
        unlike=unlike,
        include_images=include_images,
        name=name,
        force=force,
        speed=speed,
    )


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
    from striate.exporting.bench import run_timings
    from striate.predict.trained import load_trained

    trained = load_trained(model, device="cpu") if isinstance(model, str | Path) else model
    return run_timings(trained, threads)
