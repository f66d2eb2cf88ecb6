"""Runs every command of docs/guide, and writes what they print and their pictures.

    python docs/make_guide.py [PAGE ...]     all pages, or lecture, photos, device, others; ten minutes on two cores

In a block that begins with ```console a line `$ striate ...` is followed by what the command prints, which is written anew.
The commands of other blocks run as well, and must succeed.  A test runs all of them.  `photos/` is made of pieces of
scikit-learn's two photographs.  Pages are pictured where Chromium is installed.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
GUIDE = HERE / "guide"
IMAGES = GUIDE / "images"
PAGES = ("lecture", "photos", "device", "others")

# Hours and minutes that a reader has and a test has not.
SHORTER = {"--budget 1h": "--trials 4 --epochs 2 --size 32", "--budget 10m": "--budget 40s", "--budget 5m": "--epochs 6"}

# The pictures of each page, and the files of its commands that they are of; of an HTML page the size of the window.
PICTURES: dict[str, dict[str, tuple[str, int, int]]] = {
    "lecture": {
        "sees.svg": ("sees.svg", 0, 0),
        "edges.jpg": ("edges.png", 0, 0),
        "maxpool.jpg": ("maxpool.png", 0, 0),
        "layers.png": ("layers.html", 1100, 1300),
        "lenet5.svg": ("lenet5.svg", 0, 0),
        "googlenet.svg": ("googlenet.svg", 0, 0),
        "sheet.png": ("sheet.png", 0, 0),
        "report.png": ("runs/first/report.html", 1000, 900),
        "explain.png": ("explained/explain.html", 1000, 1200),
        "rates.png": ("rates.png", 0, 0),
        "sweep.png": ("sweep/sweep.png", 0, 0),
        "search.png": ("searched/report.html", 1000, 1100),
    },
    "photos": {
        "photos.png": ("sheet.png", 0, 0),
        "flower.png": ("explained/explain.html", 1000, 1200),
    },
    "device": {"certificate.png": ("bundle/certificate.html", 1000, 1000)},
    "others": {},
}


def main() -> None:
    """Make the pages that are named, or all."""
    for page in sys.argv[1:] or PAGES:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            prepare(place)
            text = run_page((GUIDE / f"{page}.md").read_text(encoding="utf-8"), place, show=True)
            (GUIDE / f"{page}.md").write_text(text, encoding="utf-8")
            IMAGES.mkdir(exist_ok=True)
            for name, (made, width, height) in PICTURES[page].items():
                take(place / made, IMAGES / name, width, height)


def prepare(place: Path) -> None:
    """The images that the pages speak of."""
    from sklearn.datasets import load_digits, load_sample_image

    chance = np.random.default_rng(0)
    for name in ("china", "flower"):
        photo = load_sample_image(f"{name}.jpg")
        Image.fromarray(photo).save(place / f"{name}.jpg", quality=90)
        for folder, count in ((f"photos/{name}", 60), (f"new-photos/{name}", 10), ("holiday", 4)):
            (place / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                y, x = chance.integers(0, photo.shape[0] - 160), chance.integers(0, photo.shape[1] - 160)
                piece = Image.fromarray(photo[y : y + 160, x : x + 160])
                piece.save(place / folder / f"{name}-{number:02}.jpg", quality=90)
    damaged = place / "photos" / "china" / "china-07.jpg"
    damaged.write_bytes(damaged.read_bytes()[:900])
    twice = place / "photos" / "flower" / "flower-03.jpg"
    (twice.parent / "flower-03 (copy).jpg").write_bytes(twice.read_bytes())
    Image.fromarray((load_digits().images[0] * (255 / 16)).astype(np.uint8)).save(place / "digit.png")


def run_page(text: str, place: Path, *, show: bool = False) -> str:
    """Run all commands of a page in a folder, and return the page with what they print.

    Raises RuntimeError for a command that fails, with what it printed.
    """

    def block(found: re.Match[str]) -> str:
        head, body = found.groups()
        lines: list[str] = []
        for command in commands(body):
            if show:
                print(command, flush=True)
            printed = run(command, place, may_refuse=head == "console")
            lines += [f"$ {command}", *printed.rstrip().splitlines(), ""]
        if head != "console":
            return found[0]
        return "```console\n" + "\n".join(lines).rstrip() + "\n```"

    return re.sub(r"^```(\w*)\n(.*?)^```$", block, text, flags=re.M | re.S)


def commands(body: str) -> Iterator[str]:
    """The commands of a block of code."""
    for line in body.splitlines():
        typed = line.removeprefix("$ ")
        if typed.startswith("striate "):
            yield typed


def run(command: str, place: Path, *, may_refuse: bool = True) -> str:
    """What a command prints.  may_refuse: it may leave with 1, as an error or a finding of `check` that is shown does."""
    typed = command
    for long, short in SHORTER.items():
        typed = typed.replace(long, short)
    words = shlex.split(typed)
    call = [sys.executable, "-c", "from striate.cli.main import main; main()", *words[1:]]
    surroundings = os.environ | {"COLUMNS": "112", "NO_COLOR": "1"}
    if words[1] == "serve":
        return _serve([*call, "--port", "0"], place, surroundings)
    done = subprocess.run(
        call, cwd=place, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode not in ((0, 1) if may_refuse or words[1] in ("check", "doctor") else (0,)):
        raise RuntimeError(f"{command}\n{done.stdout}")
    return re.sub(r"[ \t]+$", "", done.stdout, flags=re.M)


def _serve(call: list[str], place: Path, surroundings: dict[str, str]) -> str:
    """Start a server, ask it whether it is ready, and end it."""
    with subprocess.Popen(
        call, cwd=place, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if found := re.search(r"http://\S+/", line):
                with urllib.request.urlopen(f"{found[0]}ready", timeout=30) as answer:
                    answer.read()
                server.send_signal(signal.SIGTERM)
        if server.wait() != 0:
            raise RuntimeError(f"striate serve\n{said}")
    return said


def take(made: Path, out: Path, width: int, height: int) -> None:
    """A file that a command left as a picture of the page."""
    if made.suffix == ".html":
        from make_gallery import picture

        picture(made, out, width, height)
    elif out.suffix == ".svg":
        out.write_bytes(made.read_bytes())
    else:
        shown = Image.open(made).convert("RGB")
        shown.thumbnail((1000, 1000))
        shown.save(out, optimize=True, **({"quality": 85} if out.suffix == ".jpg" else {}))


if __name__ == "__main__":
    main()
