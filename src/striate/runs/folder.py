"""The folder of a run: its files, its record, and how it is found again."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from striate.errors import RunError, nearest
from striate.runs.atomic import cannot_write, write_atomic
from striate.runs.events import EventFile

ROOT = Path("runs")
FORMAT = 1
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run.

    net.txt: the text of the network.  recipe.toml: how it is trained.  data.json: what the pictures were.
    run.json: the record: status, result, versions, machine.  start.safetensors: the first weights, where they
    are not drawn from the seed alone.  weights.safetensors: the best weights.
    last.safetensors: the last ones.  optimizer.safetensors: what the optimizer kept
    at the end, and start-optimizer.safetensors what it began with, where it went on from another run.  seen.bin: which images it has seen.  events.jsonl: what happened.  times.jsonl: when.  state/: to resume.
    report.html: all of it to look at.
    """

    path: Path

    @property
    def quoted(self) -> str:
        """The folder as a shell takes it."""
        return shlex.quote(str(self.path))

    @property
    def net(self) -> Path:
        """The text of the network."""
        return self.path / "net.txt"

    @property
    def recipe(self) -> Path:
        """The recipe, every key said."""
        return self.path / "recipe.toml"

    @property
    def data(self) -> Path:
        """What the pictures were: counts, hashes, classes, split, preparation."""
        return self.path / "data.json"

    @property
    def weights(self) -> Path:
        """The weights that were best on the validation pictures."""
        return self.path / "weights.safetensors"

    @property
    def last_weights(self) -> Path:
        """The weights after the last step."""
        return self.path / "last.safetensors"

    @property
    def start_weights(self) -> Path:
        """The weights that the training began with, where they came from elsewhere."""
        return self.path / "start.safetensors"

    @property
    def optimizer(self) -> Path:
        """What the optimizer kept at the end."""
        return self.path / "optimizer.safetensors"

    @property
    def start_optimizer(self) -> Path:
        """What the optimizer began with, where the training goes on from another run."""
        return self.path / "start-optimizer.safetensors"

    @property
    def seen(self) -> Path:
        """The first 8 bytes of the SHA-256 of every training and validation image, sorted."""
        return self.path / "seen.bin"

    @property
    def state(self) -> Path:
        """The checkpoints to resume from."""
        return self.path / "state"

    @property
    def report(self) -> Path:
        """The report, one self-contained page."""
        return self.path / "report.html"

    @property
    def events(self) -> EventFile:
        """What happened, by step and epoch; nothing of the clock."""
        return EventFile(self.path / "events.jsonl")

    @property
    def times(self) -> EventFile:
        """When it happened, in seconds."""
        return EventFile(self.path / "times.jsonl")

    def read_record(self) -> Record:
        """The record of the run.  Raises RunError where it is missing, damaged or of a later striate."""
        return _read_json(self.path / "run.json", self.path)

    def write_record(self, record: Record) -> None:
        """Replace the record, whole or not at all."""
        write_atomic(self.path / "run.json", json_bytes(record))

    def read_data(self) -> Record:
        """What data.json says.  Raises RunError as `read_record`."""
        return _read_json(self.data, self.path)


def json_bytes(value: object) -> bytes:
    """JSON as people read it; a byte of a file's name that is not UTF-8 is escaped, and read back as it was."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def create_run(name: str, out: Path | None) -> RunFolder:
    """Make a new, empty run folder.

    out: the folder itself; `runs/NAME-DATE-TIME` where None.  An existing folder is only taken if it is
    empty; of two that take it at once one wins.  Raises RunError where it exists with something in it,
    ResourceError where it cannot be written.
    """
    if out is not None:
        require_free(out)
        if not _claim(out):
            raise _occupied(out)
        return RunFolder(out)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "run"
    first = out = ROOT / f"{safe[:40]}-{stamp}"
    number = 1
    while not _claim(out):
        number += 1
        out = first.with_name(f"{first.name}-{number}")
    return RunFolder(out)


def require_free(out: Path) -> None:
    """Raise RunError where a new run cannot be put into a folder; nothing is made."""
    try:
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise cannot_write(out, error, 0) from error
    if taken:
        raise _occupied(out)


def _claim(out: Path) -> bool:
    """Make a run folder; False where another run was first."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "state").mkdir()
    except FileExistsError:
        return False
    except OSError as error:
        raise cannot_write(out, error, 0) from error
    return True


def _occupied(out: Path) -> RunError:
    is_run = (out / "run.json").exists()
    return RunError(
        "there is a run in this folder already" if is_run else "this exists and is not an empty folder",
        place=str(out),
        expected="a new or empty folder",
        cure=f"another --out, or striate resume {shlex.quote(str(out))}" if is_run else "another --out",
    )


def find_run(name: str | Path) -> RunFolder:
    """The run of a path or name; `latest` is the newest one in its folder (`runs` if none is said).

    Raises RunError where there is none, with the nearest name.
    """
    path = Path(name)
    if path.name == "latest" and not path.exists():
        root = path.parent if path.parent != Path(".") else ROOT
        newest = list_runs(root)
        if not newest:
            raise RunError("there is no run here yet", place=str(root), cure="striate train DATA")
        return newest[0]
    for candidate in (path, ROOT / path):
        if (candidate / "run.json").is_file():
            return RunFolder(candidate)
    known = {run.path.name: str(run.path) for root in (ROOT, path.parent) for run in list_runs(root)}
    near = nearest(path.name, known)
    raise RunError(
        "this folder holds no run" if path.is_dir() else "there is no such run",
        place=str(path),
        expected="a folder with run.json in it, as `striate train` leaves it",
        cure=known[near] if near else "striate runs, which lists them",
    )


def list_runs(root: Path = ROOT) -> list[RunFolder]:
    """All runs directly inside a folder, newest first."""
    if not root.is_dir():
        return []
    found = []
    for child in root.iterdir():
        record = child / "run.json"
        if record.is_file():
            try:
                created = _moment(str(json.loads(record.read_bytes()).get("created", "")))
            except (OSError, ValueError, AttributeError):
                created = 0.0
            found.append((created, child.name, RunFolder(child)))
    return [run for _, _, run in sorted(found, key=lambda each: each[:2], reverse=True)]


def _moment(created: str) -> float:
    """Seconds since 1970.  Raises ValueError where it is no time."""
    return datetime.fromisoformat(created).timestamp()


def _read_json(path: Path, run: Path) -> Record:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"the run has no {path.name}", place=str(run), cure="striate runs") from None
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path.name} cannot be read: {error}", place=str(run), expected="a record as `train` writes it"
        ) from None
    if not isinstance(value, dict) or not isinstance(value.get("format", FORMAT), int):
        raise RunError(f"{path.name} is not a record", place=str(run), expected="a JSON object")
    if value.get("format", FORMAT) > FORMAT:
        raise RunError(
            f"the run is of format {value['format']}, and this striate knows {FORMAT}",
            place=str(run),
            cure="pip install --upgrade striate",
        )
    return value
