"""All claims, and the page of those that were measured."""

from __future__ import annotations

from striate.errors import StriateError, nearest
from striate.lab.claim import Claim
from striate.lab.claims import (
    activations,
    depth,
    features,
    initialization,
    pooling,
    search,
    sharing,
    training_data,
)

# In the order of the issue that asked for them, which is that of a lecture.
_ORDER = (
    "relu-faster", "init-variance", "init-extremes", "bn-rates", "depth-degrades", "skip-helps", "identity-start",
    "dropout-conv", "pool-shift", "stride-replaces-pool", "sharing-beats-local", "learned-once", "one-by-one",
    "googlenet-ten", "relu-dies", "maxout-doubles", "sharing-adds", "zero-centering", "grey-sharing",
    "filters-make-crosses", "coarse-to-fine", "small-data-transfer", "augmentation-helps",
)  # fmt: skip

_BY_NAME = {
    claim.name: claim
    for family in (initialization, activations, depth, pooling, sharing, features, training_data, search)
    for claim in family.CLAIMS
}

CLAIMS: dict[str, Claim] = {name: _BY_NAME[name] for name in _ORDER}


def find_claim(name: str) -> Claim:
    """The claim of a name.  Raises StriateError, nearest name suggested."""
    if name not in CLAIMS:
        raise StriateError(
            f"there is no claim `{name}`",
            place="lab",
            expected="a claim that `striate lab` lists",
            cure=nearest(name, CLAIMS) or "striate lab",
        )
    return CLAIMS[name]
