"""A claim measured: what it will take is told, everything trained, compared, and written down."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from striate.disk.atomic import write_atomic
from striate.errors import StriateError, counted
from striate.lab.bench import QUICK_SEEDS, Bench
from striate.lab.claim import Claim
from striate.lab.page import claim_page
from striate.lab.receipt import Receipt, read_receipt, write_receipt
from striate.machine.device import describe_machine, versions
from striate.progress import Watch
from striate.text.figures import duration

OUT = Path("lab")
MOST_IMAGES = 10_000
SEEDS = 5


def run_claim(
    claim: Claim,
    *,
    data: str = "digits",
    seeds: int = SEEDS,
    quick: bool = False,
    images: int = MOST_IMAGES,
    out: Path = OUT,
    watch: Watch,
) -> tuple[Receipt, Path]:
    """Measure a claim, and write receipt.json and page.html to out/NAME, or out/NAME-DATA; returned are the receipt and the page.

    data: as `striate train` takes it.  images: as many to train on at most.  quick: two seeds, three learning rates
    and a third of the epochs, which settles nothing.  Trainings that are kept in out/trainings are not done again.

    Raises DataError, StriateError for less than two seeds, Stopped where `watch` asks to stop.
    """
    if seeds < 2:
        raise StriateError(
            f"{counted(seeds, 'seed')} tells nothing of the spread",
            place="--seeds",
            expected="2 or more; 5 as a rule",
            cure="--seeds 5",
        )
    if images < 100:
        raise StriateError(
            f"{images:,} images are too few", place="--images", expected="100 or more", cure="--images 2000"
        )
    began = time.monotonic()
    bench = Bench(out, source=data, most=images, seeds=seeds, quick=quick, watch=watch)
    planned = bench.planned([claim])
    missing, expected_s = bench.expected_s(planned)
    if planned:
        kept = len(planned) - missing
        watch.say(
            f"{claim.name}: about {counted(len(planned), 'training')}, {kept:,} of them kept from before; "
            f"about {duration(expected_s)} on this machine"
        )
    bench.prepare(claim)
    finding = claim.measure(bench)
    receipt = Receipt(
        claim=claim.name,
        verdict="not settled" if quick else finding.verdict,
        quick=quick,
        seeds=min(seeds, QUICK_SEEDS) if quick else seeds,
        data="digits" if data == "digits" else Path(data).name,
        images=(len(bench.loaded.train[1]), len(bench.loaded.val[1]), len(bench.loaded.test[1])),
        shape=_shape(bench),
        date=time.strftime("%Y-%m-%d"),
        seconds=round(sum(bench.used.values()) + time.monotonic() - began - bench.spent_s, 1),
        trainings=len(bench.used),
        machine=describe_machine(torch.device("cpu")),
        versions=versions(),
        finding=finding,
    )
    folder = out / (claim.name if receipt.data == "digits" else f"{claim.name}-{receipt.data}")
    folder.mkdir(parents=True, exist_ok=True)
    # The page is made of what was written, so that it can be made again of that alone.
    write_receipt(folder / "receipt.json", receipt)
    receipt = read_receipt(folder / "receipt.json")
    page = folder / "page.html"
    write_atomic(page, claim_page(claim, receipt).encode())
    return receipt, page


def _shape(bench: Bench) -> tuple[int, int, int]:
    height, width, channels = bench.loaded.train[0].shape[1:]
    return channels, height, width
