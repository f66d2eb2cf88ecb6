"""Augmented images a second and core, and how long a training waits for them, against torchvision and timm.

    python benchmarks/pipeline.py [--rounds N] [--quick]

caltech26's training photographs in batches, as they are (JPEG, about 300x200) and enlarged to 500x375, the usual
size of ImageNet's (JPEG at quality 90): a random resized crop, a random flip, normalized float32.  striate's first
epoch reads every header, hashes, decodes and stores, and augments out of the store; later epochs only augment, and
are measured as well with its own default, a random crop and a flip, against torchvision's.  torchvision (ImageFolder,
DataLoader) and timm (create_loader) decode in every epoch.  Counted is the CPU time of all threads and workers; the
wall time stands beside it.

striate stores an image at 8/7 of the side that the network sees, so what its random crop enlarges has less detail
than a crop of the original; that is what it trains on.

Waiting: a ResNet-18 at 128x128, batches of 32, each side in its own default arithmetic.

FFCV needs a compiler and OpenCV to install; its figures are from its authors' page (docs.ffcv.io, ImageNet
benchmarks: random resized crop to 224 and flip, all cores of an AWS p3dn.24xlarge, from memory) over the 96
hardware threads of that machine.  Another machine, other images: a hint, not a comparison.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from options import data_folder, parser, read, tell
from pairs import interleaved
from peers import peers_python, peers_versions
from PIL import Image
from receipt import Row, Session, write_receipt
from side import Side

PEERS: dict[str, dict[str, Any]] = {
    "torchvision, no workers": {"workers": 0},
    "torchvision, 2 workers": {"workers": 2},
    "timm, 2 workers": {"workers": 2, "timm": True},
}

# Those that a crop and a flip are compared with.
CROPPING = {
    "torchvision, no workers": {"workers": 0, "crop": True},
    "torchvision, 2 workers": {"workers": 2, "crop": True},
}

RESIZED, CROPPED = "zoom 0.08, flip", "crop 0, flip"

# Images a second of all 96 hardware threads; from files of that kind in memory.
FFCV = {"JPEG at 90 %, side 512": 31_278, "raw, side 256": 172_801}
FFCV_THREADS = 96


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=5)
    made.add_argument("--seconds", type=float, default=20.0, help="of training, to see how long it waits")
    options = read(made)
    data = data_folder(options, "caltech26")
    python = peers_python(options.peers)
    session = Session()
    rows: list[Row] = []
    rates: list[float] = []
    with (
        tempfile.TemporaryDirectory() as large,
        Side(Path(sys.executable), "ours/pipeline.py") as ours,
        Side(python, "peers/pipeline_torch.py") as theirs,
    ):
        folders = {"about 300x200": data}
        if not options.quick:
            folders["500x375"] = enlarged(data, Path(large))
        for kind, folder in folders.items():
            for size in (64,) if options.quick else (128, 224):
                said = {"data": str(folder), "size": size}
                sides: dict[str, Any] = {
                    "first": partial(ours.go, what="first", augment=RESIZED, **said),
                    "later": partial(ours.go, what="later", augment=RESIZED, **said),
                    "cropped": partial(ours.go, what="later", augment=CROPPED, **said),
                }
                for name, more in PEERS.items():
                    sides[name] = partial(theirs.go, what="epoch", **said, **more)
                for name, more in CROPPING.items():
                    sides[f"{name}, crop"] = partial(theirs.go, what="epoch", **said, **more)
                found = interleaved(sides, options.rounds, partial(progress, f"{kind} to {size}x{size}"))
                rates = a_core(found["later"])
                what = f"{size}x{size} out of {kind}"
                for epoch in ("first", "later"):
                    rows += [row(f"{what}, {epoch} epoch", name, found[epoch], found[name]) for name in PEERS]
                rows += [
                    row(f"{what}, later epoch, crop and flip", name, found["cropped"], found[f"{name}, crop"])
                    for name in CROPPING
                ]
        side = 64 if options.quick else 128
        seconds = 1.0 if options.quick else options.seconds
        said = {"what": "waiting", "data": str(data), "size": side, "seconds": seconds, "augment": RESIZED}
        names = ("torchvision, no workers", "torchvision, 2 workers")
        sides = {"striate": partial(ours.go, **said)}
        sides |= {name: partial(theirs.go, **said, **PEERS[name]) for name in names}
        waited = interleaved(sides, options.rounds, partial(progress, "waiting"))
        rows += [
            Row(
                what=f"waiting for data, ResNet-18 at {side}x{side}",
                peer=name,
                unit="% of the time",
                better="neither",
                ours=[100 * each["share"] for each in waited["striate"]],
                theirs=[100 * each["share"] for each in waited[name]],
                figures=rates_of(waited["striate"], waited[name]),
            )
            for name in names
        ]
    rows += [
        Row(
            what=f"{size}x{size} out of {kind}, later epoch",
            peer=f"FFCV, {source}, as its authors measured on their machine",
            unit="images a second and core",
            better="higher",
            kind="literature",
            ours=rates,
            theirs=[rate / FFCV_THREADS] * len(rates),
            note="another machine and other images; a core of theirs is a hardware thread",
        )
        for source, rate in FFCV.items()
    ]
    write_receipt(
        "pipeline", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers=peers_versions(python), settings={"seconds": seconds},
    )  # fmt: skip


def enlarged(data: Path, folder: Path) -> Path:
    """The training images at 500x375 in class folders below `folder`."""
    for file in sorted((data / "train").glob("*/*.jpg")):
        made = folder / "train" / file.parent.name / file.name
        made.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as image:
            image.convert("RGB").resize((500, 375), Image.Resampling.BICUBIC).save(made, quality=90)
    return folder


def row(what: str, peer: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Row:
    """How many images both sides make in a second of a core."""
    return Row(
        what=what,
        peer=peer,
        unit="images a second and core",
        better="higher",
        ours=a_core(ours),
        theirs=a_core(theirs),
        figures=rates_of(ours, theirs),
    )


def rates_of(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Images a second of both sides, by the clock."""
    sides = {"images a second of striate": ours, "images a second of the peer": theirs}
    return {name: [each["images"] / each["s"] for each in answers] for name, answers in sides.items()}


def a_core(answers: list[dict[str, Any]]) -> list[float]:
    """Images for each second of CPU time."""
    return [each["images"] / each["cpu_s"] for each in answers]


def progress(what: str, text: str) -> None:
    """A line of progress."""
    tell(f"{what}: {text}")


if __name__ == "__main__":
    main()
