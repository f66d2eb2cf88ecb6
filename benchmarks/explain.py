"""Whether what `striate explain` shows lies on the object, beside Captum's maps of the same networks.

    python benchmarks/explain.py [--squeezenet FILE] [--data DIR] [--quick]

Of 40 ImageNet photographs around whose object a box was drawn by hand (`explain_boxes.csv`, in pixels of the 224x224
that the networks see), the true class is explained. Pointing: the share of the images whose largest value lies in a
box. Deletion and insertion: as `striate explain --check` measures them, for both sides by the same code. Captum's
Grad-CAM reads the same layer as the class map and is spread over the image by its own `LayerAttribution.interpolate`.
Integrated gradients and occlusion are no rows: a test holds them equal to Captum's.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from options import data_folder, parser, read, tell
from receipt import Row, Session, write_receipt
from torch import Tensor

from striate.explaining.class_map import class_map, on_image
from striate.explaining.confidence import areas
from striate.explaining.layers import find_head
from striate.explaining.subject import Subject, left_as_it_was, subject_of
from striate.predict.published import load_published
from striate.predict.trained import read_images

# Shares of the pixels that are taken away or put in.
CURVE = 10

BOXES = Path(__file__).parent / "explain_boxes.csv"

Map = NDArray[np.float32]


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=1)
    made.add_argument(
        "--squeezenet", default=None, help="published weights of squeezenet1_0; not measured if left out"
    )
    options = read(made)
    folder = data_folder(options, "imagenet-sample")
    session = Session()
    nets = {"efficientnet_lite0": "builtin"}
    if options.squeezenet:
        nets["squeezenet1_0"] = options.squeezenet
    rows = [row for name, weights in nets.items() for row in measured(name, weights, folder, options)]
    write_receipt(
        "explain", rows, session, rounds=1, quick=options.quick, out=options.out,
        peers={"captum": version_of_captum()}, settings={"networks": list(nets)},
    )  # fmt: skip


def version_of_captum() -> str:
    """As it says itself."""
    import captum

    return str(getattr(captum, "__version__", None) or version("captum"))


def measured(name: str, weights: str, folder: Path, options: argparse.Namespace) -> list[Row]:
    """The rows of one network."""
    subject = subject_of(load_published(name, weights, device="cpu"))
    boxes: dict[str, list[list[int]]] = defaultdict(list)
    labels: dict[str, int] = {}
    with open(BOXES, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            boxes[line["file"]].append([int(line[side]) for side in ("top", "left", "bottom", "right")])
            labels[line["file"]] = int(line["class"])
    files = list(boxes)[: 3 if options.quick else None]
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    share = []
    with left_as_it_was(subject.net):
        for number, each in enumerate(files):
            ((_, stored),) = read_images(folder / each, subject.preparation)
            x = subject.read(stored[None])
            inside = np.zeros(x.shape[2:], dtype=bool)
            for top, left, bottom, right in boxes[each]:
                inside[top:bottom, left:right] = True
            share.append(float(inside.mean()))
            for method, values in maps(subject, x, labels[each]).items():
                place = np.unravel_index(int(values.argmax()), values.shape)
                deletion, insertion = areas(subject, x, labels[each], values, steps=CURVE)
                found[method]["pointing"].append(float(inside[place]))
                found[method]["deletion"].append(deletion)
                found[method]["insertion"].append(insertion)
            tell(f"{name}: {number + 1} of {len(files)}")
    note = f"{len(files)} photographs; the boxes hold {np.mean(share):.0%} of the pixels"
    return [
        Row(
            what=f"{title}, {name}: {measure}",
            peer=peer,
            unit="share of images" if measure == "pointing" else "area",
            better="lower" if measure == "deletion" else "higher",
            ours=[float(np.mean(found[ours][measure]))],
            theirs=[float(np.mean(found[theirs][measure]))],
            figures={"striate": found[ours][measure], "peer": found[theirs][measure]},
            note=note,
        )
        for title, ours, theirs, peer in (
            ("class map", "class map", "Captum Grad-CAM", "Captum's Grad-CAM"),
            ("class map", "class map", "random", "random maps of 7x7"),
        )
        for measure in ("pointing", "deletion", "insertion")
    ]


def maps(subject: Subject, x: Tensor, label: int) -> dict[str, Map]:
    """Every map of one image, height x width of it."""
    from captum.attr import LayerAttribution, LayerGradCam

    size = (x.shape[2], x.shape[3])
    head = find_head(subject.layout)
    assert head is not None
    target = torch.zeros(subject.layout.output.elements)
    target[label] = 1
    layer = LayerGradCam(subject.net, subject.net.part(head.at.path))
    theirs = LayerAttribution.interpolate(
        layer.attribute(x, target=label, relu_attributions=True), size, interpolate_mode="bilinear"
    )
    noise = np.random.default_rng(label).random((7, 7), dtype=np.float32)
    found: dict[str, Callable[[], Any]] = {
        "class map": lambda: on_image(class_map(subject.net, x, head, target).values, size),
        "Captum Grad-CAM": lambda: theirs[0, 0].detach().numpy(),
        "random": lambda: on_image(noise, size),
    }
    return {name: make() for name, make in found.items()}


if __name__ == "__main__":
    main()
