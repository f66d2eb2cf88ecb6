"""What every benchmark can be told on its command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from peers import peers_folder

HERE = Path(__file__).parent


def parser(doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with the options that all have.  doc: of the script.  rounds: how many it runs as a rule."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--rounds", type=int, default=None, help=f"rounds, each side once in each; {rounds} if left out"
    )
    made.add_argument(
        "--quick", action="store_true", help="a smoke run on next to nothing; its figures mean nothing"
    )
    made.add_argument(
        "--out", type=Path, default=None, help="the JSON file; benchmarks/results/NAME.json if left out"
    )
    made.add_argument(
        "--peers", type=Path, default=peers_folder(), metavar="DIR", help="the environment of the peers"
    )
    made.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("STRIATE_BENCH_DATA") or HERE / ".data"),
        metavar="DIR",
        help="a folder with mnist/, cifar-10-batches-bin/ and caltech26/{train,test}/",
    )
    made.set_defaults(usual_rounds=rounds)
    return made


def read(made: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, rounds filled in: one in a smoke run."""
    options = made.parse_args()
    if options.rounds is None:
        options.rounds = 1 if options.quick else options.usual_rounds
    options.data = options.data.resolve()
    return options


def only(options: argparse.Namespace, smoke: str) -> list[str]:
    """The words of --only; in a smoke run `smoke` where none is said, else nothing: all are wanted."""
    if options.only:
        return str(options.only).split(",")
    return [smoke] if options.quick else []


def data_folder(options: argparse.Namespace, name: str) -> Path:
    """A data set below --data; ends the process, saying how to come by it, where it is not there."""
    folder = Path(options.data) / name
    if not folder.is_dir():
        sys.exit(
            f"{name} is not in {options.data}; benchmarks/README.md says where it comes from (--data DIR)"
        )
    return folder


def tell(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
