"""Layers at work: what is known of their outputs, what is wrong with them, and the page that shows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import counted
from striate.report.curves import drawn_alike, logarithmic_axis
from striate.report.drawing import Points, drawing, line
from striate.report.element import SERIES, Html, joined, tag
from striate.report.page import framed, notebook_frame
from striate.report.table import Column, table
from striate.text.figures import NONE, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Histograms beside each other; of more layers these are taken evenly.
MOST_DRAWN = 16

# Lines of one set of weights in a terminal.
MOST_LINES = 24

# Bars of a histogram, and the letters of a small one in a terminal.
BARS, LETTERS = 41, 15
_BLOCKS = " ▁▂▃▄▅▆▇█"

# Pixels of a histogram's drawing.
_WIDE, _HIGH = 120, 60

# From these on a layer or a network is named: the share of units that are dead, of values that are saturated, and how
# many times smaller or larger the last activations spread than the images.
DEAD, SATURATED, TIMES = 0.2, 0.3, 20.0


_STYLE = """
.layers-at-work { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.25rem, 1fr)); gap: 1.25rem 1rem; margin: 1rem 0; }
.layers-at-work figure { margin: 0; min-width: 0; }
.layers-at-work svg { display: block; width: 100%; height: auto; background: var(--shade); }
.layers-at-work figcaption { margin-top: 0.375rem; font-size: 0.75rem; line-height: 1.45; }
.layers-at-work b, .layers-at-work span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.layers-at-work b { font-weight: 600; }
.bad { color: var(--validation); font-weight: 600; }
.values { fill: var(--training); } .zeros { fill: var(--soft); opacity: 0.45; } .beyond { fill: var(--validation); }
.axis { stroke: var(--soft); stroke-width: 1; }
"""


@dataclass(frozen=True, slots=True, eq=False)
class LayerActivations:
    """The outputs of one layer for all the images.

    path, text: of the layer.  shape: for one image, as text.  mean, std: over all values; infinity where they
    overflow.
    zero: share of the values that are 0.  saturated: share of the values at a flat end of the activation, None where it
    has none.  dead: share of the units (channels, or features after fc) that give the same value for every image at
    every place.  low, high: the least and the largest value.  sample: some of the values.
    """

    path: str
    text: str
    shape: str
    mean: float
    std: float
    zero: float
    saturated: float | None
    dead: float
    low: float
    high: float
    sample: NDArray[np.float32]

    @property
    def finite(self) -> bool:
        """Whether all of its values are numbers."""
        return math.isfinite(self.std) and math.isfinite(self.low) and math.isfinite(self.high)

    def to_record(self) -> dict[str, Any]:
        """As plain values that JSON has; what is infinite is None."""
        numbers = {"mean": self.mean, "std": self.std, "low": self.low, "high": self.high}
        return {
            "path": self.path,
            "layer": self.text,
            **{key: value if math.isfinite(value) else None for key, value in numbers.items()},
            "zero": self.zero,
            "saturated": self.saturated,
            "dead": self.dead,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One set of weights, or of weights and activations.

    name: what it differs in, as `he` or `small, tanh`.  spread: standard deviation of the images, as the network reads
    them.  layers: its activations in their order (its layers with weights, where it has no activation), and its answer.
    """

    name: str
    spread: float
    layers: tuple[LayerActivations, ...]

    @property
    def inner(self) -> tuple[LayerActivations, ...]:
        """The layers before the answer."""
        return self.layers[:-1] if len(self.layers) > 1 else self.layers

    def findings(self) -> list[tuple[str, str]]:
        """What is wrong with it: `infinite`, `growing`, `shrinking`, `dead` or `saturated`, and a sentence each."""
        found = []
        lost = next((each for each in self.layers if not each.finite), None)
        if lost is not None:
            found.append(("infinite", f"from {lost.path} on, values overflow"))
        known = [each for each in self.inner if each.finite]
        if known and not lost:
            last = known[-1].std
            step = (last / self.spread) ** (1 / len(known)) if last > 0 and self.spread > 0 else 0.0
            said = f"std {figure(self.spread)} in the images, {figure(last)} in {known[-1].path}"
            if last < self.spread / TIMES:
                found.append(("shrinking", f"{said}: x{step:.2g} a layer"))
            elif last > self.spread * TIMES:
                found.append(("growing", f"{said}: x{step:.2g} a layer"))
        for code, least, what in (("dead", DEAD, "units"), ("saturated", SATURATED, "values")):
            shares = [(getattr(each, code) or 0.0, each) for each in known]
            many = [each for share, each in shares if share >= least]
            if many:
                worst, where = max(shares, key=lambda each: each[0])
                others = f", {least:.0%} or more in {len(many)} layers" if len(many) > 1 else ""
                found.append((code, f"{worst:.0%} of the {what} of {where.path}{others}"))
        return found

    def sentence(self) -> str:
        """Its findings in one line."""
        found = [f"{code}: {said}" for code, said in self.findings()]
        last = self.inner[-1]
        keeps = f"keeps its scale: std {figure(self.spread)} in the images, {figure(last.std)} in {last.path}"
        return "; ".join(found) or keeps


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of a training.  epochs: how many had passed, 0.5 after half of the first.
    layers: by path, the standard deviation of the outputs and the share of dead units."""

    epochs: float
    layers: dict[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Activations:
    """What came out.

    network: a short name of it.  data: as the user named it.  images: how many went through.
    trained: whether the weights are those of a run.  history: how it was while that trained.
    """

    network: str
    data: str
    images: int
    trained: bool
    variants: tuple[Variant, ...]
    history: tuple[Moment, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "network": self.network,
            "data": self.data,
            "images": self.images,
            "variants": [
                {
                    "name": each.name,
                    "spread": each.spread,
                    "findings": [{"code": code, "message": said} for code, said in each.findings()],
                    "layers": [layer.to_record() for layer in each.layers],
                }
                for each in self.variants
            ],
        }

    def page(self) -> str:
        """All of it as one self-contained page of HTML."""
        return str(activations_page(self))

    def _repr_html_(self) -> str:
        """The page, in a notebook."""
        return notebook_frame(self.page())

    def __str__(self) -> str:
        """What `striate look` prints: a block for each variant, a line a layer."""
        return "\n\n".join("\n".join(_lines(each)) for each in self.variants)

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__


def _lines(variant: Variant) -> Iterator[str]:
    yield f"{variant.name}: {variant.sentence()}"
    shown = shown_layers(variant, MOST_LINES)
    if len(shown) < len(variant.inner):
        yield f"  {len(shown)} of {len(variant.inner)} layers"
    low, high = scale(variant)
    paths, texts = (max(len(getattr(each, name)) for each in shown) for name in ("path", "text"))
    # A column that is 0 everywhere tells nothing.
    shares = [
        what
        for what in ("zero", "saturated", "dead")
        if any((getattr(each, what) or 0) >= 5e-4 for each in shown)
    ]
    for each in shown:
        said = "".join(f"  {percent(getattr(each, what) or 0.0):>6} {what}" for what in shares)
        yield f"  {each.path:{paths}}  {each.text:{texts}}  |{sparkline(each, low, high)}|  std {figure(each.std):<8}{said}".rstrip()


def figure(value: float) -> str:
    """A number as short as it can be read: `0.063`, `1.2e-06`."""
    return f"{value:.2g}" if math.isfinite(value) else "infinite"


def activations_page(found: Activations) -> Html:
    """The whole page."""
    when = "with the weights of the run" if found.trained else "before any training"
    top = tag(
        "header",
        tag("p", joined([tag("span", "striate look"), tag("span", found.data)], " "), css="above"),
        tag("h1", found.network),
        tag("p", f"Its layers at work on {counted(found.images, 'training image')}, {when}.", css="lede"),
        _overview(found),
    )
    parts = [("depth", "Through the depth", _depth(found))]
    if len(found.history) > 1:
        parts.append(("training", "While it trained", _history(found)))
    parts += [(f"v{number}", each.name, _variant(each)) for number, each in enumerate(found.variants, 1)]
    return framed(f"{found.network}, layers at work", top, parts, _STYLE)


def histogram(
    layer: LayerActivations, low: float, high: float, bars: int
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Shares of a layer's values in equal bars from low to high, and the shares below and above them.

    Values that are exactly 0 are left out; those beyond are counted to the last bar on their side.
    """
    values = layer.sample[layer.sample != 0]
    values = values[np.isfinite(values)]
    if not len(values):
        return np.zeros(bars), (0.0, 0.0)
    places = np.floor((values.astype(np.float64) - low) / (high - low) * bars)
    counts = np.bincount(places.clip(0, bars - 1).astype(np.int64), minlength=bars)
    beyond = float((values < low).sum()), float((values > high).sum())
    return counts / len(layer.sample), (beyond[0] / len(layer.sample), beyond[1] / len(layer.sample))


def scale(variant: Variant) -> tuple[float, float]:
    """From where to where all histograms of a variant are drawn, so that they can be compared.

    What its activation can give where that is bounded, else 3 times the largest root mean square of a layer, or of the
    first where they grow without end.
    """
    word = variant.layers[0].text.split()[0]
    bounded = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "relu6": (0.0, 6.0)}
    if word in bounded and all(each.text.split()[0] == word for each in variant.inner):
        return bounded[word]
    sizes = [math.sqrt(each.mean**2 + each.std**2) for each in variant.inner if each.finite] or [1.0]
    growing = sizes[-1] > TIMES * sizes[0]
    reach = 3 * (sizes[0] if growing else max(sizes)) or 1.0
    low = min((each.low for each in variant.inner if each.finite), default=0.0)
    # Where nothing is negative, room for the bar of the zeros.
    return (-reach / 20 if low >= 0 else -reach), reach


def sparkline(layer: LayerActivations, low: float, high: float) -> str:
    """The histogram in a line of a terminal: as many letters as LETTERS."""
    shares, _ = histogram(layer, low, high, LETTERS)
    most = shares.max()
    if not most:
        return " " * LETTERS
    steps = np.where(shares > 0, np.maximum(1, np.rint(8 * shares / most)), 0).astype(int)
    return "".join(_BLOCKS[step] for step in steps)


def shown_layers(variant: Variant, most: int) -> list[LayerActivations]:
    """At most so many of its layers before the answer, evenly spread, the first and the last among them."""
    inner = variant.inner
    if len(inner) <= most:
        return list(inner)
    return [inner[round(place)] for place in np.linspace(0, len(inner) - 1, most)]


def _overview(found: Activations) -> Html:
    rows = []
    for number, each in enumerate(found.variants, 1):
        findings = each.findings()
        said = (
            joined((tag("span", tag("span", code, css="bad"), f": {text}") for code, text in findings), "; ")
            if findings
            else each.sentence()
        )
        rows.append([tag("a", each.name, attributes={"href": f"#v{number}"}), said])
    columns = [Column("weights"), Column("what is seen", css="wrapped")]
    return table(columns, rows, css="recipe")


def _depth(found: Activations) -> Html:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return tag("p", "The curves need matplotlib: pip install 'striate[train]'.", css="soft")
    with drawn_alike():
        drawn = [
            _chart(found, "spread", "Spread", "standard deviation of the outputs", _spread),
            _chart(found, "dead", "Dead units", "share of the channels or features, %", _dead),
            _chart(found, "saturated", "Saturated", "share of the values, %", _saturated),
        ]
    note = tag(
        "p",
        "From the images (0) to the last activation. A unit is dead where it gives the same value for every image; a "
        "value is saturated where the slope of its activation is less than a sixteenth of the steepest.",
        css="soft",
    )
    return joined([tag("div", joined(drawn), css="curves"), note])


def _spread(variant: Variant) -> Points:
    points = [(0.0, variant.spread)]
    points += [(float(n), each.std) for n, each in enumerate(variant.inner, 1) if each.finite]
    return [(x, y) for x, y in points if y > 0]


def _dead(variant: Variant) -> Points:
    return [(float(n), 100 * each.dead) for n, each in enumerate(variant.inner, 1)]


def _saturated(variant: Variant) -> Points:
    layers = enumerate(variant.inner, 1)
    return [(float(n), 100 * each.saturated) for n, each in layers if each.saturated is not None]


def _chart(found: Activations, name: str, title: str, unit: str, points: Callable[[Variant], Points]) -> Html:
    depth = max(len(each.inner) for each in found.variants)
    names = [each.name for each in found.variants]
    return _lines_chart(names, [points(each) for each in found.variants], name, title, unit, ("layer", depth))


def _lines_chart(
    names: Sequence[str], lines: Sequence[Points], name: str, title: str, unit: str, across: tuple[str, float]
) -> Html:
    """Lines over one another: logarithmic where it is no share; nothing where every value is 0."""
    values = [y for each in lines for _, y in each]
    logarithmic = not unit.endswith("%")
    if logarithmic:
        values = [y for y in values if y > 0]
        lines = [[(x, y) for x, y in each if y > 0] for each in lines]
    if not values or (not logarithmic and max(values) == 0):
        return Html("")

    def draw(axes: Axes) -> None:
        for number, each in enumerate(lines):
            line(axes, each, SERIES[number % len(SERIES)], dashed=number >= len(SERIES))
        if logarithmic:
            logarithmic_axis(axes, min(values) / 1.5, max(values) * 1.5)
        else:
            axes.set_ylim(0, 100)

    keys = [
        (f"series-{number % len(SERIES) + 1}" + " dashed" * (number >= len(SERIES)), each, shown)
        for number, (each, shown) in enumerate(zip(names, lines, strict=True))
    ]
    told = "; ".join(
        f"{each} {figure(shown[0][1])} to {figure(shown[-1][1])}"
        for each, shown in zip(names, lines, strict=True)
        if shown
    )
    return drawing(name, title, unit, across=across, keys=keys, told=f"{title}: {told}.", draw=draw)


def _history(found: Activations) -> Html:
    """How some layers changed from epoch to epoch, by what the training noted."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return tag("p", "The curves need matplotlib: pip install 'striate[train]'.", css="soft")
    noted = [each for each in found.variants[0].inner if each.path in found.history[0].layers]
    chosen = [noted[round(place)] for place in np.linspace(0, len(noted) - 1, min(len(noted), len(SERIES)))]
    lines: list[list[Points]] = [[], []]
    for which in (0, 1):
        for layer in chosen:
            known = [
                (each.epochs, each.layers.get(layer.path, (None, None))[which]) for each in found.history
            ]
            lines[which].append([(x, y * (100 if which else 1)) for x, y in known if y is not None])
    names = [each.path for each in chosen]
    across = ("epochs", found.history[-1].epochs)
    with drawn_alike():
        drawn = [
            _lines_chart(
                names, lines[0], "spread-epochs", "Spread", "standard deviation of the outputs", across
            ),
            _lines_chart(
                names, lines[1], "dead-epochs", "Dead units", "share of the channels or features, %", across
            ),
        ]
    some = f"{len(chosen)} of {len(noted)} layers" if len(chosen) < len(noted) else "Each layer"
    said = f"{some}, on a few training images, as the training noted it."
    return joined([tag("div", joined(drawn), css="curves"), tag("p", said, css="soft")])


def _variant(variant: Variant) -> Html:
    low, high = scale(variant)
    shown = shown_layers(variant, MOST_DRAWN)
    some = f" {len(shown)} of {len(variant.inner)} layers." if len(shown) < len(variant.inner) else ""
    note = (
        f"How often a layer gives which value, from {figure(low if low < -high / 2 else 0)} to {figure(high)} in every drawing;"
        " gray: values that are exactly 0, orange: beyond the ends."
    )
    cells = joined(_cell(each, low, high) for each in shown)
    return joined(
        [
            tag("p", *_sentence(variant)),
            tag("p", f"{note}{some}", css="soft"),
            tag("div", cells, css="layers-at-work"),
            tag("details", tag("summary", f"All {len(variant.layers)} layers in figures"), _figures(variant)),
        ]
    )


def _sentence(variant: Variant) -> Iterator[str]:
    findings = variant.findings()
    if not findings:
        said = variant.sentence()
        yield f"{said[:1].upper()}{said[1:]}."
    for number, (code, said) in enumerate(findings):
        yield tag("span", code.capitalize() if not number else code, css="bad")
        yield f": {said}" + ("; " if number < len(findings) - 1 else ".")


def _cell(layer: LayerActivations, low: float, high: float) -> Html:
    told = f"{layer.path}: mean {figure(layer.mean)}, std {figure(layer.std)}, {percent(layer.zero)} zero"
    spread = tag("span", f"std {figure(layer.std)}", css="" if layer.finite else "bad")
    lines = [tag("b", layer.path), tag("span", layer.text, css="soft"), spread]
    if layer.zero >= 0.005:
        lines.append(tag("span", f"{percent(layer.zero, 0)} zero"))
    for share, least, what in ((layer.dead, DEAD, "dead"), (layer.saturated or 0.0, SATURATED, "saturated")):
        if share >= 0.005:
            lines.append(tag("span", f"{percent(share, 0)} {what}", css="bad" if share >= least else ""))
    return tag("figure", _bars(layer, low, high, told), tag("figcaption", *lines))


def _bars(layer: LayerActivations, low: float, high: float, told: str) -> Html:
    """The histogram as an inline drawing: its tallest bar fills the height, the zeros are drawn for themselves."""
    shares, beyond = histogram(layer, low, high, BARS)
    most = shares.max() or 1.0
    wide = _WIDE / BARS
    # The bar at an end that values lie beyond is drawn in another color.
    ends = {place for place, share in zip((0, BARS - 1), beyond, strict=True) if share > 0.001}
    zero_at = _WIDE * (0 - low) / (high - low)
    parts = []
    if layer.zero:
        height = _HIGH * min(1.0, layer.zero)
        left = zero_at - (1.7 * wide if low > -high / 2 else wide / 2)
        parts.append(
            f'<rect class="zeros" x="{left:.1f}" y="{_HIGH - height:.1f}" width="{wide:.1f}" height="{height:.1f}"/>'
        )
    for css, places in (("values", set(range(BARS)) - ends), ("beyond", ends)):
        path = "".join(
            f"M{place * wide:.1f} {_HIGH}v{-(_HIGH - 4) * shares[place] / most:.1f}h{wide - 0.4:.1f}V{_HIGH}z"
            for place in sorted(places)
            if shares[place]
        )
        if path:
            parts.append(f'<path class="{css}" d="{path}"/>')
    axis = f'<path class="axis" d="M{zero_at:.1f} {_HIGH}v-4M0 {_HIGH}h{_WIDE}"/>'
    label = told.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return Html(
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{label}">{"".join(parts)}{axis}</svg>'
    )


def _figures(variant: Variant) -> Html:
    heads = ("mean", "std", "zero", "saturated", "dead", "least", "largest")
    columns = [Column("place", css="soft"), Column("layer"), Column("output", figures=True)]
    columns += [Column(each, figures=True) for each in heads]
    rows = [
        [
            each.path,
            tag("code", each.text),
            each.shape,
            figure(each.mean),
            figure(each.std),
            percent(each.zero),
            NONE if each.saturated is None else percent(each.saturated),
            percent(each.dead),
            figure(each.low),
            figure(each.high),
        ]
        for each in variant.layers
    ]
    return table(columns, rows, css="layers")
