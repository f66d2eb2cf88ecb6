"""The folder of a run: its files, its record, and how it is found again."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from striate.disk.atomic import cannot_write, sync_folder, write_atomic
from striate.errors import ResourceError, RunError, nearest
from striate.runs.events import EventFile
from striate.runs.record import DataRecord, RunRecord, read_record, to_json

ROOT = Path("runs")

_LOCK = ".lock"
# The files that a run begins with, run.json last.
_FIRST = (
    "net.txt", "recipe.toml", "start.safetensors", "start-optimizer.safetensors", "seen.bin", "data.json",
)  # fmt: skip

# .NAME.8 DIGITS.tmp: a run that is being made or deleted, and the seconds after which nobody is at it any more.
_UNMADE = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
UNMADE_S = 3600.0


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run.

    net.txt: the text of the network.  recipe.toml: how it is trained.  data.json: what the images were.
    run.json: the record: status, result, versions, machine.  start.safetensors: the first weights, where they
    are not drawn from the seed alone.  weights.safetensors: the best weights.
    last.safetensors: the last ones.  optimizer.safetensors: what the optimizer kept
    at the end, and start-optimizer.safetensors what it began with, where it went on from another run.  seen.bin: which images it has seen.  events.jsonl: what happened.  times.jsonl: when.
    vitals.jsonl: what the layers did.  state/: to resume.
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
        """What the images were: counts, hashes, classes, split, preparation."""
        return self.path / "data.json"

    @property
    def record(self) -> Path:
        """The record: status, result, versions, machine."""
        return self.path / "run.json"

    @property
    def mistakes(self) -> Path:
        """The wrong answers that were surest."""
        return self.path / "mistakes.json"

    @property
    def lock(self) -> Path:
        """Held by the process that works on the run; outside of `state`, which goes at the end."""
        return self.path / _LOCK

    @property
    def weights(self) -> Path:
        """The weights that were best on the validation images."""
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
    def vitals(self) -> EventFile:
        """What the layers did; nothing of the clock."""
        return EventFile(self.path / "vitals.jsonl")

    @property
    def times(self) -> EventFile:
        """When it happened, in seconds."""
        return EventFile(self.path / "times.jsonl")

    def make_state(self) -> None:
        """Make the folder of the checkpoints.  Raises ResourceError."""
        try:
            self.state.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(self.state, error, 0) from error

    def read_record(self) -> RunRecord:
        """The record of the run.  Raises RunError where it is missing, damaged or of a later striate."""
        return read_record(self.record, RunRecord)

    def write_record(self, record: RunRecord) -> None:
        """Replace the record, whole or not at all."""
        write_atomic(self.record, to_json(record))

    def read_data(self) -> DataRecord:
        """What the images were and how they are prepared.  Raises RunError as `read_record`."""
        return read_record(self.data, DataRecord)


def create_run(name: str, out: Path | None, files: Mapping[str, bytes]) -> RunFolder:
    """Make a new run folder with its first files; it is there with all of them or not at all.

    out: the folder itself; `runs/NAME-DATE-TIME` where None.  An existing folder is only taken if it is
    empty, or holds what a killed process left of one; of two that take it at once one wins.
    Raises RunError where it exists with something in it, ResourceError where it cannot be written.
    """
    if out is not None:
        require_free(out)
        if not _make(out, files):
            raise _occupied(out)
        return RunFolder(out)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "run"
    first = out = ROOT / f"{safe[:40]}-{stamp}"
    number = 1
    while not _make(out, files):
        number += 1
        out = first.with_name(f"{first.name}-{number}")
    return RunFolder(out)


def require_free(out: Path) -> None:
    """Raise RunError where a new run cannot be put into a folder; nothing is made."""
    try:
        taken = (out.exists() or out.is_symlink()) and not _is_free(out)
    except OSError as error:
        raise cannot_write(out, error, 0) from error
    if taken:
        raise _occupied(out)


def _is_free(out: Path) -> bool:
    """Whether a folder is empty, but for what a process left that was killed while it made a run there."""
    if not out.is_dir():
        return False
    found = {path.name for path in out.iterdir()}
    return not found or (_LOCK in found and found <= {_LOCK, *_FIRST})


def _make(place: Path, files: Mapping[str, bytes]) -> bool:
    """Make a run folder; False where another run was first."""
    made = place if place.is_dir() else place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
    try:
        if made == place:
            return _fill(place, files)
        made.mkdir(parents=True)
        for name, content in files.items():
            write_atomic(made / name, content)
        sweep_folders(place.parent)
        made.rename(place)
        sync_folder(place.parent)
    except ResourceError as error:
        error.place = str(place)
        raise
    except OSError as error:
        if place.is_dir():
            return False
        raise cannot_write(place, error, 0) from error
    finally:
        if made != place:
            shutil.rmtree(made, ignore_errors=True)
    return True


def _fill(place: Path, files: Mapping[str, bytes]) -> bool:
    """Put a run into an existing folder, which may be a mount that cannot be renamed; run.json comes last.

    What is left of it where the process is killed is known by the lock's file, and given way (`_is_free`).
    """
    try:
        with FileLock(place / _LOCK).acquire(blocking=False):
            if not _is_free(place):
                return False
            for name in _FIRST:
                (place / name).unlink(missing_ok=True)
            try:
                for name in sorted(files, key="run.json".__eq__):
                    write_atomic(place / name, files[name])
            except BaseException:
                for name in files:
                    (place / name).unlink(missing_ok=True)
                raise
    except Timeout:
        return False
    return True


def sweep_folders(folder: Path) -> None:
    """Remove what killed processes left of runs that they were making or deleting."""
    with suppress(OSError):
        for path in folder.iterdir():
            if _UNMADE.fullmatch(path.name) and time.time() - path.lstat().st_mtime > UNMADE_S:
                shutil.rmtree(path, ignore_errors=True)


def _occupied(out: Path) -> RunError:
    is_run = (out / "run.json").exists()
    return RunError(
        "there is a run in this folder already" if is_run else "this exists and is not an empty folder",
        place=str(out),
        expected="a new or empty folder",
        cure=f"another --out, or striate resume {shlex.quote(str(out))}" if is_run else "another --out",
    )


def has_weights(run: RunFolder, record: RunRecord) -> bool:
    """Whether a run can answer: it has weights, and did not diverge."""
    return record.status != "diverged" and run.weights.is_file()


def is_open(run: RunFolder, record: RunRecord) -> bool:
    """Whether a run was begun and not ended."""
    return record.status not in ("done", "diverged")


def is_done(run: RunFolder, record: RunRecord) -> bool:
    """Whether a run was trained to its end."""
    return record.status == "done"


def is_there(run: RunFolder, record: RunRecord) -> bool:
    """Whether there is anything to ask about a run: always."""
    return True


Usable = Callable[[RunFolder, RunRecord], bool]
_WANTED: dict[Usable, str] = {
    has_weights: "with weights that can be used",
    is_open: "that was stopped",
    is_done: "that is finished",
    is_there: "that can be read",
}


def find_run(name: str | Path, usable: Usable = has_weights) -> RunFolder:
    """The run of a path or name.

    `latest` is the newest one in its folder (`runs` if none is said) that is `usable`, whatever a link of
    that name points to.  Raises RunError where there is none, with the nearest name.
    """
    path = Path(name)
    if path.name == "latest" and (path.is_symlink() or not path.exists()):
        return _latest(path.parent if path.parent != Path(".") else ROOT, usable)
    for candidate in (path, ROOT / path):
        if (candidate / "run.json").is_file():
            return RunFolder(candidate)
    known = {run.path.name: str(run.path) for root in (ROOT, path.parent) for run, _ in list_runs(root)}
    near = nearest(path.name, known)
    raise RunError(
        "this folder holds no run" if path.is_dir() else "there is no such run",
        place=str(path),
        expected="a folder with run.json in it, as `striate train` leaves it",
        cure=known[near] if near else "striate runs, which lists them",
    )


def is_run(name: str | Path) -> bool:
    """Whether `find_run` takes it for a run: a folder with a record, or `latest`."""
    path = Path(name)
    return path.name == "latest" or any((each / "run.json").is_file() for each in (path, ROOT / path))


def _latest(root: Path, usable: Usable) -> RunFolder:
    runs = list_runs(root)
    for run, record in runs:
        if isinstance(record, RunRecord) and usable(run, record):
            return run
    if not runs:
        raise RunError("there is no run here yet", place=str(root), cure="striate train DATA")
    run, record = runs[0]
    said = f"is {record.status}" if isinstance(record, RunRecord) else "is damaged"
    raise RunError(
        f"there is no run here {_WANTED[usable]}; the newest, {run.path.name}, {said}",
        place=str(root),
        cure=f"striate runs {shlex.quote(str(root))}, which lists them",
    )


def point_latest(run: RunFolder) -> None:
    """Let `runs/latest` on the disk be a link to the newest usable run, where links work.

    Only in `runs`, which is striate's own; what else has that name is left alone.
    """
    link = ROOT / "latest"
    with suppress(OSError, NotImplementedError):
        if run.path.parent.resolve() != ROOT.resolve() or (link.exists() and not link.is_symlink()):
            return
        try:
            newest = _latest(ROOT, has_weights)
        except RunError:
            link.unlink(missing_ok=True)
            return
        temporary = link.with_name(f".latest.{secrets.token_hex(4)}.tmp")
        temporary.symlink_to(newest.path.name, target_is_directory=True)
        try:
            temporary.replace(link)
        finally:
            temporary.unlink(missing_ok=True)


def list_runs(root: Path = ROOT) -> list[tuple[RunFolder, RunRecord | RunError]]:
    """All runs directly inside a folder, newest first, each with its record or with what is wrong with it."""
    found = []
    for child in root.iterdir() if root.is_dir() else ():
        # A dot begins the name of what is being made; the link `latest` is another name of a run.
        is_link = child.name == "latest" and child.is_symlink()
        if is_link or child.name.startswith(".") or not (child / "run.json").is_file():
            continue
        run, created = RunFolder(child), 0.0
        record: RunRecord | RunError
        try:
            record = run.read_record()
            created = datetime.fromisoformat(record.created).timestamp()
        except RunError as error:
            record = error
        except (ValueError, OverflowError):
            # A time that is none comes last.
            pass
        found.append((created, child.name, run, record))
    return [(run, record) for _, _, run, record in sorted(found, key=lambda each: each[:2], reverse=True)]


def delete_run(run: RunFolder) -> None:
    """Remove a run folder with all that is in it; the caller holds it.

    Killed on the way, it is no run any more.  Raises ResourceError where it cannot be removed.
    """
    gone = run.path.with_name(f".{run.path.name}.{secrets.token_hex(4)}.tmp")
    try:
        run.path.rename(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise ResourceError(
            f"it cannot be removed: {error.strerror or error}",
            place=str(run.path),
            expected="a folder that may be written to",
        ) from error
