"""Claims about what units of deeper layers answer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from striate.lab.bench import Bench
from striate.lab.claim import Arm, Claim, Comparison, Finding, Picture, Row, Verdict, bars, differs, interval
from striate.lab.images import Bytes

# ---- filters-make-crosses -----------------------------------------------------------------------------

_CROSS_ARM = Arm(
    "two convolutions, then more",
    "one: [conv 8 3x3 -> relu] -> two: [conv 16 3x3 -> relu] -> maxpool 2 -> conv 32 3x3 -> relu -> pool avg -> head: fc classes",
    keys=(("batch", 64),),
    epochs=15,
)
# Where a unit of layer 2 sees 5x5 pixels, lines run through each of its rows and columns.
OFFSETS = (-2, -1, 0, 1, 2)
TWICE = 2.0


def draw_lines(side: int, channels: int) -> dict[tuple[str, int, int], Bytes]:
    """Horizontal and vertical lines a pixel wide, and the crosses of both: keyed by kind and their offsets."""
    found: dict[tuple[str, int, int], Bytes] = {}
    middle = side // 2
    for down in OFFSETS:
        for across in OFFSETS:
            for kind in ("horizontal", "vertical", "cross"):
                image = np.zeros((side, side, channels), dtype=np.uint8)
                if kind != "vertical":
                    image[middle + down] = 255
                if kind != "horizontal":
                    image[:, middle + across] = 255
                found[kind, down, across] = image
    return found


def crossness(
    net: nn.Module, read: Tensor, keys: list[tuple[str, int, int]], middle: int
) -> list[tuple[float, float]]:
    """For each map of layer 2: the largest ratio of its answer to a cross to that to the better of its lines, and to their sum.

    Only crosses count that it answers half as strongly as the one that it answers most.
    """
    given: list[Tensor] = []
    part = net.get_submodule("two")
    hook = part.register_forward_hook(lambda _m, _i, out: given.append(out[:, :, middle, middle].clone()))
    with torch.no_grad():
        net.eval()(read)
    hook.remove()
    answer = dict(zip(keys, given[0], strict=True))
    best = []
    for unit in range(given[0].shape[1]):
        crosses = {(d, a): float(answer["cross", d, a][unit]) for d in OFFSETS for a in OFFSETS}
        bar = 0.5 * max(crosses.values())
        ratios = [(0.0, 0.0)]
        for (d, a), cross in crosses.items():
            if cross > max(bar, 1e-6):
                across, down = float(answer["horizontal", d, a][unit]), float(answer["vertical", d, a][unit])
                # A unit that answers no line alone at all answers the cross any number of times as strongly.
                ratios.append(
                    (min(cross / max(across, down, 1e-6), 99.0), min(cross / max(across + down, 1e-6), 99.0))
                )
        best.append(max(ratios))
    return best


def _filters_make_crosses(bench: Bench) -> Finding:
    side, channels = max(16, bench.loaded.train[0].shape[1]), bench.loaded.train[0].shape[3]
    drawn = draw_lines(side, channels)
    keys, stack = list(drawn), np.stack(list(drawn.values()))
    counts: dict[str, list[float]] = {"trained": [], "before training": []}
    sums: dict[str, list[float]] = {"trained": [], "before training": []}
    units = 0
    for seed, outcome in zip(bench.seeds, bench.outcomes(_CROSS_ARM), strict=True):
        trained = bench.trained(outcome)
        x = bench.read(trained, stack)
        for name, net in (("trained", trained.net), ("before training", bench.fresh(_CROSS_ARM, seed))):
            found = crossness(net, x, keys, side // 2)
            units = len(found)
            counts[name].append(float(sum(line >= TWICE for line, _ in found)))
            sums[name].append(float(sum(total > 1.0 for _, total in found)))
    some = min(counts["trained"])
    none = max(counts["trained"]) == 0
    verdict: Verdict = "does not hold" if none else "holds" if some > 0 else "holds in part"
    middle, low, high = interval(counts["trained"])
    comparison = Comparison(
        f"units of {units} that answer a cross at least twice as strongly as each of its lines", "units",
        tuple(counts["trained"]), middle, low, high,
        f"{sum(each > 0 for each in counts['trained'])} of {len(counts['trained'])} seeds have such a unit", verdict,
    )  # fmt: skip
    gain = [a - b for a, b in zip(counts["trained"], counts["before training"], strict=True)]
    rows = [
        Row(name, "units that answer a cross twice as strongly as each line", f"of {units}", tuple(values))
        for name, values in counts.items()
    ]
    rows += [
        Row(name, "units that answer a cross more than both lines together", f"of {units}", tuple(values))
        for name, values in sums.items()
    ]
    return Finding(
        (comparison, differs("such units, trained minus before training", gain, unit="units", margin=1, counts=False)),
        tuple(rows),
        (bars("Units that answer a cross twice as strongly as each of its lines", f"of {units}", rows[:2]),),
        pictures=tuple(
            Picture(f"a {kind}" + (" line" if kind != "cross" else ""), tuple(tuple(round(v / 255, 3) for v in row) for row in drawn[kind, 0, 0][..., 0].tolist()))
            for kind in ("horizontal", "vertical", "cross")
        ),
        notes=("Random weights have such units as well: compare the row before training.",),
    )  # fmt: skip


FILTERS_MAKE_CROSSES = Claim(
    name="filters-make-crosses",
    line="Deeper units combine filters: a cross is a horizontal and a vertical line.",
    words="Units of the second layer combine those of the first: where one answers a horizontal line and one a vertical, a "
    "unit behind both answers a cross.",
    source="Lecture notes on convolutional networks; Zeiler and Fergus 2014, section 4.1, on what layer 2 answers.",
    protocol="A network of four layers, trained on the images; drawn lines and crosses, a pixel wide, at 25 offsets: what each "
    "unit of layer 2, which sees 5x5 pixels, answers a cross and each of its lines alone.",
    falsifier="In five seeds no unit answers a cross twice as strongly as each of its two lines alone.",
    changes="Wider lines; asking for more than the sum of both lines, which a linear unit never gives, and which is given too.",
    measure=_filters_make_crosses,
    arms=[_CROSS_ARM],
)

CLAIMS = (FILTERS_MAKE_CROSSES,)
