"""What a server adds: answers a second over HTTP against the same bundle asked in a loop, and under ten times the load.

    python benchmarks/serve.py [--rounds N] [--quick]

JPEG to label on either side: photographs of 500 x 375 are decoded, resized and answered.  The loop gets them 16 at a
time and has no server; the server gets each by a POST of its own from a client with 32 connections.  Server and loop
have one core, the client the other.  Then the client asks ten times as often as the server can answer, on a clock,
whatever comes back: goodput is what was answered with 200.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from options import parser, read, tell
from PIL import Image, ImageDraw
from receipt import Row, Session, write_receipt
from side import surroundings

STRIATE = [sys.executable, "-c", "from striate.cli.main import main; main()"]

# Of a network of the zoo, and the size that it reads.
NETS = {"resnet18": 224, "small64": 64}

BATCH, CONNECTIONS, TIMES = 16, 32, 10

LOOP = """
import sys, time
from pathlib import Path
from striate.bundle.bundle import Bundle
bundle = Bundle.read(sys.argv[1])
files = [each.read_bytes() for each in sorted(Path(sys.argv[2]).iterdir())]
for _ in range(2):
    bundle.answer(files[:16])
count, began, cpu = 0, time.perf_counter(), time.process_time()
while time.perf_counter() - began < float(sys.argv[3]):
    bundle.answer([files[(count + i) % len(files)] for i in range(16)])
    count += 16
print(count / (time.perf_counter() - began), 1000 * (time.process_time() - cpu) / count)
"""


def main() -> None:
    """Measure and write."""
    options = read(parser(__doc__, rounds=5))
    seconds = 1.0 if options.quick else 8.0
    session, rows = Session(), []
    with tempfile.TemporaryDirectory() as folder:
        files = photographs(Path(folder) / "photos", 24)
        for net, size in NETS.items() if not options.quick else [("small64", 64)]:
            bundle = exported(Path(folder), net, size)
            rows += measured(net, bundle, files, options.rounds, seconds)
    write_receipt(
        "serve", rows, session, rounds=options.rounds, quick=options.quick, out=options.out, peers={},
        settings={"connections": CONNECTIONS, "batch of the loop": BATCH, "seconds a round": seconds},
    )  # fmt: skip


def photographs(folder: Path, count: int) -> Sequence[bytes]:
    """JPEGs of 500 x 375, of two classes, about as large as photographs are."""
    draw = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        image = coarse.resize((500, 375), Image.Resampling.BICUBIC)
        grain = np.asarray(image, np.int16) + draw.integers(-12, 13, (375, 500, 3))
        image = Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))
        kind = "round" if number % 2 else "square"
        shape = ImageDraw.Draw(image)
        (shape.ellipse if number % 2 else shape.rectangle)((150, 90, 350, 290), fill=(200, 40, 40))
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number:03}.jpg", quality=88)
    return [each.read_bytes() for each in sorted(folder.rglob("*.jpg"))]


def exported(folder: Path, net: str, size: int) -> Path:
    """A bundle of a network that was trained for a moment."""
    run, bundle = folder / f"run-{net}", folder / f"bundle-{net}"
    words = ["--net", net, "--size", str(size), "--epochs", "1", "--set", "batch=8", "--out", str(run)]
    for command in (
        ["train", str(folder / "photos"), *words],
        ["export", str(run), "-o", str(bundle), "--name", net, "--skip-speed"],
    ):
        tell(" ".join(command[:2]))
        done = subprocess.run([*STRIATE, *command], env=surroundings({}), capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
    return bundle


def pinned(core: int) -> Callable[[], None]:
    """What holds a child process to a core."""
    return lambda: os.sched_setaffinity(0, {core % os.cpu_count()})


def measured(net: str, bundle: Path, files: Sequence[bytes], rounds: int, seconds: float) -> list[Row]:
    """The rows of one network."""
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(files):
            (Path(folder) / f"{number:03}.jpg").write_bytes(content)
        served, looped, overload, costs = [], [], [], []
        os.sched_setaffinity(0, {1 % os.cpu_count()})
        for number in range(rounds):
            tell(f"{net}, round {number + 1}")
            words = [sys.executable, "-c", LOOP, str(bundle), folder, str(seconds)]
            done = subprocess.run(
                words, capture_output=True, text=True, check=True, preexec_fn=pinned(0), env=surroundings({})
            )
            speed, loop_cpu_ms = map(float, done.stdout.split())
            looped.append(speed)
            with Served(bundle) as server:
                asyncio.run(closed(server.port, files, CONNECTIONS, 1.0))
                busy_s = server.busy_s()
                served.append(asyncio.run(closed(server.port, files, CONNECTIONS, seconds)))
                served_cpu_ms = 1000 * (server.busy_s() - busy_s) / (served[-1] * seconds)
                costs.append((served_cpu_ms, loop_cpu_ms))
                before = server.resident_bytes()
                overload.append(asyncio.run(opened(server.port, files, TIMES * served[-1], seconds)))
                grown = (server.resident_bytes() - before) / 1e6
                overload[-1]["memory grown, MB"] = grown
                tell(f"{looped[-1]:.1f} in the loop, {served[-1]:.1f} served, {overload[-1]}")
    names = overload[0]
    figures = {name: [each[name] for each in overload] for name in names}
    return [
        Row(
            what=f"{net}, JPEG to label",
            peer="the bundle in a loop, no server",
            unit="images/s",
            better="higher",
            ours=served,
            theirs=looped,
            figures={
                "ms of a core an image, served": [each[0] for each in costs],
                "ms of a core an image, in the loop": [each[1] for each in costs],
            },
            note="one core for each; the client has the other",
        ),
        Row(
            what=f"{net}, asked {TIMES} times as often as it can answer",
            peer="its own peak",
            unit="images/s",
            better="higher",
            ours=figures.pop("answered a second"),
            theirs=served,
            figures=figures,
            note="answers with 200; the others have 429 and Retry-After",
        ),
    ]


class Served:
    """A server of a bundle on the first core."""

    def __init__(self, bundle: Path) -> None:
        words = [*STRIATE, "serve", str(bundle), "--port", "0"]
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, preexec_fn=pinned(0), env=surroundings({})
        )
        assert self.process.stdout is not None
        address = next(line for line in self.process.stdout if line.startswith("page"))
        self.port = int(address.rstrip("/\n").rsplit(":", 1)[1])

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        if self.process.wait(60):
            sys.exit(f"the server ended with {self.process.returncode}")

    def busy_s(self) -> float:
        """Seconds that it has computed."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """What it holds in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def request(content: bytes) -> bytes:
    """A POST of one image."""
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


async def answer(reader: asyncio.StreamReader) -> int:
    """The status of the answer that comes next."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head[9:12])


async def closed(port: int, files: Sequence[bytes], connections: int, seconds: float) -> float:
    """Images a second where each connection asks again when it is answered."""
    requests = itertools.cycle([request(each) for each in files])
    done, began = 0, time.perf_counter()

    async def ask() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - began < seconds:
            writer.write(next(requests))
            if await answer(reader) == 200:
                done += 1
            else:
                # Who is refused waits, as Retry-After says.
                await asyncio.sleep(1)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return done / (time.perf_counter() - began)


async def opened(port: int, files: Sequence[bytes], rate: float, seconds: float) -> dict[str, float]:
    """What comes of requests that are sent on a clock, `rate` a second, whatever comes back."""
    requests = [request(each) for each in files]
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    statuses: list[tuple[int, float]] = []
    tasks: set[asyncio.Task[None]] = set()

    async def ask(content: bytes) -> None:
        line = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
        sent = time.perf_counter()
        line[1].write(content)
        statuses.append((await answer(line[0]), time.perf_counter() - sent))
        free.append(line)

    began, sent = time.perf_counter(), 0
    while (now := time.perf_counter() - began) < seconds:
        # No more than the machine has connections for; what is not sent is not offered.
        while sent < rate * now and len(tasks) < 900:
            task = asyncio.create_task(ask(requests[sent % len(requests)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.002)
    answered = sum(status == 200 for status, _ in statuses) / seconds
    await asyncio.gather(*tasks)
    refused = sorted(1000 * took for status, took in statuses if status == 429)
    others = sum(status not in (200, 429) for status, _ in statuses)
    for _, writer in free:
        writer.close()
    return {
        "answered a second": answered,
        "offered a second": sent / seconds,
        "refused, median ms": statistics.median(refused) if refused else 0.0,
        "refused, 99 % within ms": refused[int(0.99 * len(refused))] if refused else 0.0,
        "other statuses": float(others),
    }


if __name__ == "__main__":
    main()
