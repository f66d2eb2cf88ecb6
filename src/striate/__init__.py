"""striate: a convolutional-network workbench.

A network is a short text.  `striate.read` reads it, `striate.plan` says what it costs before it runs,
`striate.train` trains it on a folder of images, `striate.load` loads what came out,
`striate.test` says how good it is on images that it has not seen.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from striate.errors import StriateError
from striate.version import __version__

if TYPE_CHECKING:
    from striate.api.bundles import bench, cache, export, verify
    from striate.api.diagnosis import diagnose
    from striate.api.images import check, show
    from striate.api.networks import NetText, draw, filter, plan, read
    from striate.api.runs import compare, explain, features, load, look, test
    from striate.api.searches import search
    from striate.api.trainings import cross_validate, lr, train
    from striate.bundle.bundle import Bundle
    from striate.classifier import Classifier


__all__ = [
    "Bundle",
    "Classifier",
    "NetText",
    "StriateError",
    "__version__",
    "bench",
    "cache",
    "check",
    "compare",
    "cross_validate",
    "diagnose",
    "draw",
    "explain",
    "export",
    "features",
    "filter",
    "load",
    "look",
    "lr",
    "plan",
    "read",
    "search",
    "show",
    "test",
    "train",
    "verify",
]


# Where each name is defined.  It is imported when it is asked for: what answers at once needs few of them.
_WHERE = {
    "striate.api.bundles": ("bench", "cache", "export", "verify"),
    "striate.api.diagnosis": ("diagnose",),
    "striate.api.images": ("check", "show"),
    "striate.api.networks": ("NetText", "draw", "filter", "plan", "read"),
    "striate.api.runs": ("compare", "explain", "features", "load", "look", "test"),
    "striate.api.searches": ("search",),
    "striate.api.trainings": ("cross_validate", "lr", "train"),
    "striate.bundle.bundle": ("Bundle",),
    "striate.classifier": ("Classifier",),
}


def __getattr__(name: str) -> object:
    for module, names in _WHERE.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'striate' has no attribute {name!r}")


def __dir__() -> list[str]:
    # Not the rooms, which a reader of the source knows.
    return __all__
