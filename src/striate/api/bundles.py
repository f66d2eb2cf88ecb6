"""Bundles, and the cache: proved, timed, listed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.api.networks import require_train

if TYPE_CHECKING:
    from striate.bundle.certificate import Timing
    from striate.bundle.verify import Verified
    from striate.disk.cached import Cached
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
