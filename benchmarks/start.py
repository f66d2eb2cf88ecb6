"""How long it takes until something begins: `striate --help`, `striate plan`, and imports.

    python benchmarks/start.py [--rounds N] [--quick]

Wall time of a process of its own, from its start to its end, files in the page cache; Python's own start, doing
nothing, stands beside it, as nothing can be quicker.  The peers' imports are those of their guides.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from options import parser, read, tell
from pairs import interleaved
from peers import peers_python, peers_versions
from receipt import Row, Session, write_receipt
from side import surroundings

STRIATE = "from striate.cli.main import main; main()"

SUMMARY = "import torchinfo, torchvision; torchinfo.summary(torchvision.models.resnet18(), (1, 3, 224, 224))"


def main() -> None:
    """Measure and write."""
    options = read(parser(__doc__, rounds=11))
    here, there = Path(sys.executable), peers_python(options.peers)
    session = Session()
    commands = {
        "python": [here, "-c", "pass"],
        "striate --help": [here, "-c", STRIATE, "--help"],
        "striate plan resnet18": [here, "-c", STRIATE, "plan", "resnet18"],
        "import striate": [here, "-c", "import striate"],
        "import torch": [here, "-c", "import torch"],
        "torchinfo.summary of a ResNet-18": [there, "-c", SUMMARY],
        "import keras (TensorFlow)": [there, "-c", "import keras"],
        "import fastai.vision.all": [there, "-c", "import fastai.vision.all"],
        "import timm": [there, "-c", "import timm"],
        "import lightning": [there, "-c", "import lightning"],
    }
    sides = {name: partial(seconds, [str(word) for word in words]) for name, words in commands.items()}
    if not options.quick:
        # Once before, so that the files lie in memory for all.
        interleaved(sides, 1, lambda text: tell(f"warming up, {text}"))
    found = interleaved(sides, options.rounds, tell)
    imports = [name for name in found if name.startswith("import ") and name != "import striate"]
    pairs = [(ours, "python") for ours in ("striate --help", "striate plan resnet18", "import striate")]
    pairs += [("striate plan resnet18", "torchinfo.summary of a ResNet-18")]
    pairs += [("import striate", name) for name in imports]
    rows = [
        Row(
            what=f"`{ours}`",
            peer="Python's own start" if peer == "python" else f"`{peer}`",
            unit="ms",
            better="neither" if peer == "python" else "lower",
            ours=[1000 * each for each in found[ours]],
            theirs=[1000 * each for each in found[peer]],
            note="striate imports torch only when it is needed" if peer.startswith("import") else "",
        )
        for ours, peer in pairs
    ]
    write_receipt(
        "start", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers=peers_versions(there), settings={},
    )  # fmt: skip


def seconds(words: list[str]) -> float:
    """Of a process, from its start to its end."""
    before = time.perf_counter()
    subprocess.run(
        words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=surroundings({})
    )
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
