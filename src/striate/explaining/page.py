"""The page of an explanation: one file without a script, each part with what has to be known to read it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import PurePath

import numpy as np
from PIL import Image

from striate.errors import counted
from striate.explaining.colors import Colors, Scale, color_bar, enlarged, png
from striate.explaining.confidence import CASCADE, Confidence
from striate.explaining.explain import Explained, Explanation, Heat
from striate.explaining.filters import Filters
from striate.explaining.maps import SHARE, FeatureMaps, Sight
from striate.explaining.pictures import (
    Scales,
    filter_pictures,
    heat_pictures,
    map_pictures,
    scales,
    shown,
    sight_picture,
    thumbnail,
)
from striate.explaining.robustness import Change
from striate.explaining.training_images import Neighbor, Neighbors, Patches
from striate.report.element import Html, joined, spoken, tag, void
from striate.report.head import figure
from striate.report.page import framed
from striate.report.table import Column, bar, name_cell, table
from striate.text.figures import decimal, percent

# Classes that are listed, the largest logits first.
MOST_CLASSES = 5

_STYLE = """
.why { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 2rem 2.5rem; }
.why figure, .seen figure { margin: 0; min-width: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; }
.pair img, .seen img, .whole img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.photo img { image-rendering: auto; }
figcaption b { font-weight: 600; }
.why figcaption, .seen figcaption { margin-top: 0.5rem; font-size: 0.8125rem; line-height: 1.5; overflow-wrap: anywhere; }
.why figcaption p { margin: 0.25rem 0 0; font-size: inherit; }
.scale { display: grid; grid-template-columns: auto 1fr auto; gap: 0 0.5rem; align-items: center; font-size: 0.75rem; color: var(--soft); margin-top: 0.5rem; }
.scale img { width: 100%; height: 0.5rem; display: block; }
.none { display: flex; align-items: center; justify-content: center; background: var(--shade); color: var(--soft); aspect-ratio: 2; }
.whole { max-width: 14rem; margin: 0 0 1.5rem; }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: 0.75rem; }
.maps figure { margin: 0; } .maps img { display: block; width: 100%; image-rendering: pixelated; }
.maps figcaption { font-size: 0.75rem; color: var(--soft); }
.seen { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); gap: 1.5rem 2rem; }
.filters { display: flex; flex-wrap: wrap; gap: 4px; }
.filters img { height: 3rem; width: auto; image-rendering: pixelated; }
.units { display: grid; gap: 0.75rem; }
.unit { display: grid; grid-template-columns: minmax(7rem, 10rem) 1fr; gap: 0 1rem; align-items: center; font-size: 0.8125rem; }
.unit .row { display: flex; gap: 4px; min-width: 0; } .unit .row img { min-width: 0; width: 6rem; height: auto; }
.near { display: grid; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: 1.25rem; }
.near figure { margin: 0; min-width: 0; } .near img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.near figcaption { font-size: 0.8125rem; line-height: 1.45; margin-top: 0.4rem; overflow-wrap: anywhere; }
.scale + p, .maps + h3 { margin-top: 1.25rem; }
@media (max-width: 36rem) { .unit { grid-template-columns: 1fr; } }
"""

_READING = (
    "Maps of pixels say where, not what: a bright snout may stand for a dog or for its leash. A map can look right "
    "and be wrong; `striate explain --check` measures how far each one can be trusted on this image. Logits are what "
    "the network computes before any softmax; only they can be taken apart into sums."
)


def explanation_page(explanation: Explanation) -> Html:
    """The whole page."""
    return framed(_title(explanation), _head(explanation), list(_sections(explanation)), _STYLE)


def notebook_part(explanation: Explanation) -> Html:
    """What a notebook shows: each image with its maps."""
    shared = scales(explanation)
    parts = [_why(each, explanation, shared) for each in explanation.images]
    return joined([tag("style", Html(_STYLE)), *parts])


def _title(explanation: Explanation) -> str:
    if len(explanation.images) == 1:
        return f"{_short(explanation.images[0].name)}, explained"
    return f"{len(explanation.images)} images, explained"


def _short(name: str) -> str:
    return PurePath(name).name or name


def _head(explanation: Explanation) -> Html:
    first = explanation.images[0]
    classes, others = explanation.classes, len(explanation.images) - 1
    answer = int(first.logits.argmax())
    said = f"Why `{explanation.network}` answers `{classes[answer]}`."
    if first.label != answer:
        said = f"What speaks for `{classes[first.label]}`; the answer of `{explanation.network}` is `{classes[answer]}`."
    if first.against is not None:
        said = f"What speaks for `{classes[first.label]}` rather than `{classes[first.against]}` to `{explanation.network}`."
    if others:
        said = f"What `{explanation.network}` answers to {len(explanation.images)} images, and why. Maps of one method share one scale."
    figures = [
        figure(decimal(float(first.logits[first.label]), 2), "logit", classes[first.label], css="answer"),
        *_margin(first, classes),
    ]
    return tag(
        "header",
        tag(
            "p", joined([tag("span", "striate explain"), tag("span", explanation.network)], " "), css="above"
        ),
        tag("h1", _title(explanation)),
        tag("p", spoken(said), css="lede"),
        *(tag("p", note, css="notice") for note in explanation.notes),
        tag("div", joined(figures), css="figures") if not others else "",
    )


def _margin(image: Explained, classes: Sequence[str]) -> Iterator[Html]:
    order = [int(each) for each in np.argsort(-image.logits, kind="stable") if int(each) != image.label]
    if order:
        gap = float(image.logits[image.label] - image.logits[order[0]])
        word = "above" if gap >= 0 else "below"
        yield figure(decimal(abs(gap), 2), f"{word} the next class", classes[order[0]])


def _sections(explanation: Explanation) -> Iterator[tuple[str, str, Html]]:
    shared, images = scales(explanation), explanation.images
    yield "why", "Why this answer", _each(explanation, [_why(each, explanation, shared) for each in images])
    if any(each.confidence for each in images):
        yield (
            "check",
            "How sure the picture is",
            _each(explanation, [_confidence(each.confidence) for each in images]),
        )
    yield "changes", "Changed images", _each(explanation, [_changes(each) for each in images])
    if any(each.neighbors for each in images):
        parts = [_neighbors(each.neighbors, explanation) if each.neighbors else Html("") for each in images]
        yield "near", "Nearest training images", _each(explanation, parts)
    if any(each.maps for each in images):
        yield "maps", "Feature maps", _each(explanation, [_maps(each, shared) for each in images])
        yield "sees", "What a unit sees", _each(explanation, [_sights(each, explanation) for each in images])
    if any(each.patches for each in images):
        yield (
            "units",
            "What excites its units",
            _each(explanation, [_patches(each.patches, explanation) for each in images]),
        )
    if explanation.filters:
        yield "filters", "First filters", joined(_filters(each) for each in explanation.filters)
    yield "reading", "How to read this", tag("p", spoken(_READING))


def _each(explanation: Explanation, parts: Sequence[Html]) -> Html:
    """The parts of the images, under their names where there are several."""
    if len(parts) == 1:
        return parts[0]
    return joined(
        joined([tag("h3", _short(image.name)), part])
        for image, part in zip(explanation.images, parts, strict=True)
    )


def _why(image: Explained, explanation: Explanation, shared: Scales) -> Html:
    picture, said = shown(image, explanation)
    whole = tag(
        "div",
        tag("div", _img(enlarged(picture), image.name), css="whole" + _smooth(picture)),
        tag(
            "div",
            _answers(image, explanation.classes),
            tag("p", f"{said[:1].upper()}{said[1:]}.", css="soft") if said else "",
        ),
        css="beside",
    )
    maps = joined(_heat(each, shared.heats[each.key], picture) for each in image.heats)
    return joined([whole, tag("div", maps, css="why")])


def _smooth(picture: Colors) -> str:
    return " photo" if max(picture.shape[:2]) >= 96 else ""


def _answers(image: Explained, classes: Sequence[str]) -> Html:
    order = np.argsort(-image.logits, kind="stable")[:MOST_CLASSES].tolist()
    order += [each for each in (image.label, image.against) if each is not None and each not in order]
    top, least = float(image.logits.max()), float(image.logits.min())
    rows = [
        [
            tag("b", name_cell(classes[each])) if each == image.label else name_cell(classes[each]),
            decimal(float(image.logits[each]), 2),
            bar((float(image.logits[each]) - least) / max(top - least, 1e-12)),
        ]
        for each in order
    ]
    return table(
        [Column("class"), Column("logit", figures=True), Column("", css="bars short")], rows, css="fit"
    )


def _heat(heat: Heat, scale: Scale, picture: Colors) -> Html:
    caption = tag(
        "figcaption",
        tag("b", heat.title),
        "" if heat.at is None else tag("span", f" {heat.at}", css="soft"),
        tag("p", spoken(heat.said)),
        tag("p", spoken(heat.adds), css="soft") if heat.adds else "",
        _clipped(scale),
    )
    if heat.empty:
        return tag("figure", tag("div", "no evidence: the map is zero everywhere", css="none"), caption)
    laid, grid = heat_pictures(heat, scale, picture)
    pair = tag(
        "div", _img(laid, f"{heat.title} on the image"), _img(grid, f"{heat.title}, its values"), css="pair"
    )
    return tag("figure", pair, _scale(scale), caption)


def _clipped(scale: Scale) -> Html:
    if not scale.clipped:
        return Html("")
    return tag(
        "p",
        f"{percent(scale.clipped)} of the values lie beyond the scale and have the color of its end.",
        css="soft",
    )


def _scale(scale: Scale) -> Html:
    bar_of_colors = void("img", attributes={"src": _address(color_bar(scale)), "alt": "color scale"})
    return tag(
        "div",
        tag("span", decimal(scale.low, 2)),
        bar_of_colors,
        tag("span", decimal(scale.high, 2)),
        css="scale",
    )


def _maps(image: Explained, shared: Scales) -> Html:
    parts: list[Html] = []
    for maps in image.maps:
        scale = shared.maps[maps.at.path]
        parts += [
            tag("h3", tag("code", maps.at.path), tag("span", f" {maps.at.shape}", css="soft")),
            _few(maps),
        ]
        figures = (
            tag("figure", _img(drawn, f"map {channel}"), tag("figcaption", str(channel)))
            for channel, drawn in zip(maps.channels, map_pictures(maps, scale), strict=True)
        )
        parts += [tag("div", joined(figures), css="maps"), _scale(scale)]
    return joined(parts)


def _few(maps: FeatureMaps) -> Html:
    count = maps.at.shape.channels
    silent = f" {maps.silent:,} of them are zero everywhere." if maps.silent else ""
    which = (
        f"The {len(maps.channels)} strongest of {count:,} maps"
        if count > len(maps.channels)
        else f"All {count:,} maps"
    )
    return tag("p", f"{which}, the strongest first, on one scale.{silent}", css="soft")


def _sights(image: Explained, explanation: Explanation) -> Html:
    picture, _ = shown(image, explanation)
    lede = tag(
        "p",
        "The middle unit of a layer. The box holds what can reach it, by its windows; the colors are what does, by its "
        "gradient on this image, as a share of the strongest pixel.",
        css="soft",
    )
    figures = (
        tag(
            "figure",
            _img(sight_picture(sight, picture), f"what a unit of {sight.at.path} sees"),
            tag(
                "figcaption",
                tag("b", sight.at.path),
                tag("span", f" {sight.at.shape}", css="soft"),
                void("br"),
                _sees(sight),
            ),
        )
        for sight in image.sights
    )
    return joined([lede, tag("div", joined(figures), css="seen"), _scale(Scale(1.0, signed=False))])


def _sees(sight: Sight) -> str:
    theory = (
        "Can see the whole image" if sight.box is None else f"Can see {sight.box[2]}x{sight.box[3]} pixels"
    )
    if sight.side == 0:
        return f"{theory}; here its gradient is zero: no evidence."
    return f"{theory}; {SHARE:.0%} of its gradient lies in the middle {sight.side}x{sight.side}."


def _changes(image: Explained) -> Html:
    first, *others = image.changes
    top = max(abs(each.logit) for each in image.changes)
    kinds = dict.fromkeys(each.kind for each in others)
    tables = []
    for kind in kinds:
        some = [each for each in others if each.kind == kind]
        rows = [_change("unchanged", first, top), *(_change(each.by, each, top) for each in some)]
        columns = [
            Column(kind),
            Column("logit", figures=True),
            Column("", css="bars short"),
            Column("answer"),
        ]
        tables.append(tag("div", table(columns, rows, css="fit")))
    differ = [each for each in others if each.answer != first.answer]
    worst = min(others, key=lambda each: each.margin)
    said = (
        f"The answer stays the same under {len(others) - len(differ)} of {counted(len(others), 'change')}; the class "
        f"fares worst {worst.kind} by {worst.by}, {decimal(worst.margin, 2)} above the best other one."
    )
    return joined([tag("p", said, css="soft"), tag("div", joined(tables), css="beside")])


def _change(said: str, change: Change, top: float) -> list[str]:
    share = max(0.0, change.logit) / max(top, 1e-12)
    return [said, decimal(change.logit, 2), bar(share), name_cell(change.answer)]


def _neighbors(near: Neighbors, explanation: Explanation) -> Html:
    searched = (
        f"all {near.searched:,} training images"
        if near.searched == near.of
        else f"{near.searched:,} of {near.of:,} training images (all of them with `--thorough`)"
    )
    lede = tag("p", spoken(f"Out of {searched}, by the angle between {near.space}."), css="soft")
    cards = [lede, tag("div", joined(_neighbor(each, explanation) for each in near.nearest), css="near")]
    if near.otherwise is not None:
        cards += [
            tag("h3", "The nearest one that is answered differently"),
            tag("div", _neighbor(near.otherwise, explanation), css="near"),
        ]
    return joined(cards)


def _neighbor(near: Neighbor, explanation: Explanation) -> Html:
    from striate.explaining.colors import as_picture

    picture, _ = as_picture(near.image, explanation.values)
    answered = "" if near.answer == near.label else f", answered {near.answer}"
    return tag(
        "figure",
        _img(thumbnail(picture, square=160), near.name),
        tag(
            "figcaption",
            tag("b", near.label),
            answered,
            void("br"),
            tag("span", f"{near.likeness:.3f}  {_short(near.name)}", css="soft"),
        ),
    )


def _patches(units: Sequence[Patches], explanation: Explanation) -> Html:
    from striate.explaining.colors import as_picture

    lede = tag(
        "p",
        "The units that this image excites far more than most, each beside what it sees of the training images that "
        "excite it most.",
        css="soft",
    )
    rows = []
    for unit in units:
        drawn = joined(
            _img(thumbnail(as_picture(each, explanation.values)[0], square=96), f"{value:.3g}")
            for each, value in zip(unit.patches, unit.values, strict=True)
        )
        said = tag(
            "div", tag("code", unit.at.path), f" map {unit.channel}", void("br"),
            tag("span", f"here {unit.here:.3g}, there up to {unit.values[0]:.3g}", css="soft"),
        )  # fmt: skip
        rows.append(tag("div", said, tag("div", drawn, css="row"), css="unit"))
    return joined([lede, tag("div", joined(rows), css="units")])


def _filters(filters: Filters) -> Html:
    channels = filters.weights.shape[1]
    colors = "in color, zero is gray" if channels == 3 else "blue below zero, white at it, orange above"
    beside = f", its {channels} channels side by side" if channels not in (1, 3) else ""
    which = (
        f"{len(filters.units)} of {filters.count:,} filters, those with the largest weights"
        if filters.count > len(filters.units)
        else f"All {filters.count:,} filters"
    )
    said = f"{which}{beside}, {colors}, on one scale."
    drawn = joined(
        void("img", attributes={"src": _address(each), "alt": f"filter {unit}", "title": f"filter {unit}"})
        for unit, each in zip(filters.units, filter_pictures(filters), strict=True)
    )
    return joined(
        [tag("h3", tag("code", filters.path)), tag("p", said, css="soft"), tag("div", drawn, css="filters")]
    )


def _confidence(known: Sequence[Confidence]) -> Html:
    columns = [
        Column("method"), Column("deletion", figures=True), Column("random", figures=True),
        Column("insertion", figures=True), Column("random", figures=True),
        *(Column(f"{share:.0%} new" if share else "last new", figures=True) for share in CASCADE),
    ]  # fmt: skip
    rows = [
        [
            each.title, decimal(each.deletion), decimal(each.random_deletion), decimal(each.insertion),
            decimal(each.random_insertion), *(f"{alike:+.2f}" for _, alike in each.likeness),
        ]
        for each in known
    ]  # fmt: skip
    reading = (
        "Deletion: the area under the probability of the class while the pixels of the largest values are taken away "
        "first; lower than that of random maps is good. Insertion: while they are put in first; higher is good. To the "
        "right: how alike the map still is, as a rank correlation, when the last layer, then more and more layers below "
        "it get new random weights; a map that stays near 1 says nothing of what was learned."
    )
    return joined([tag("p", reading, css="soft"), table(columns, rows, css="fit")])


def _img(picture: Colors, said: str) -> Html:
    return void("img", attributes={"src": _address(picture), "alt": said, "loading": "lazy"})


def _address(picture: Colors) -> str:
    """A picture as a data address; photographs are smaller as JPEG, and few colors as PNG."""
    content, kind = png(picture), "png"
    if len(content) > 24_000:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=88, subsampling=0)
        if len(file.getvalue()) < len(content) / 2:
            content, kind = file.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
