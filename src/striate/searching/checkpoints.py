"""Checkpoints of trials where every worker finds them: in a shared folder, or wherever an fsspec URL leads.

Workers that share one --out need none of this.  What cannot be copied costs no trial: whoever needs it starts over.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

from striate.data.archives.allowance import Broken, parts_of
from striate.errors import DataError, MissingExtra, StriateError
from striate.runs.folder import RunFolder

# A run that is locked, or only to be looked at, is not needed to go on with it.
_LEFT_OUT = (".lock", "report.html")


class Checkpoints:
    """The runs of the trials of one search, each as a zip.

    url: a folder, or a URL as fsspec takes it.  name: of the search.
    Raises StriateError where the address cannot be read, MissingExtra where its driver is not installed.
    """

    def __init__(self, url: str, name: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise MissingExtra(
                "--checkpoints needs fsspec, which is not installed", cure='pip install "striate[search]"'
            ) from None
        self.url = url
        try:
            self._files, root = url_to_fs(url)
        except ImportError as error:
            # "Install s3fs to access S3".
            raise MissingExtra(
                f"{url} needs a driver: {error}", cure="pip install it, or a shared folder"
            ) from None
        except ValueError as error:
            raise StriateError(
                f"`{url}` is not a place for checkpoints: {error}",
                place="--checkpoints",
                expected="a folder that every worker sees, or a URL as s3://bucket/folder",
                cure="--checkpoints /mnt/shared/checkpoints",
            ) from None
        self._folder = f"{root.rstrip('/')}/{name}"

    def _place(self, trial: int) -> str:
        return f"{self._folder}/{trial:04d}.zip"

    def keep(self, trial: int, run: RunFolder) -> str | None:
        """Copy a run that has paused, in the place of what was there; why that could not be, or None."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(run.path.rglob("*")):
                if path.is_file() and path.name not in _LEFT_OUT:
                    archive.write(path, path.relative_to(run.path).as_posix())
        try:
            self._files.makedirs(self._folder, exist_ok=True)
            self._files.pipe_file(self._place(trial), packed.getvalue())
        except Exception as error:  # whatever a driver raises
            return _why(error)
        return None

    def fetch(self, trial: int, run: RunFolder) -> str | None:
        """Put the run of a trial where it is trained, in the place of what is there; why not, or None."""
        try:
            content = self._files.cat_file(self._place(trial))
        except FileNotFoundError:
            return "it is not there"
        except Exception as error:
            return _why(error)
        beside = run.path.with_name(f".{run.path.name}.fetched")
        shutil.rmtree(beside, ignore_errors=True)
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                _unpack(archive, beside, len(content))
        except (zipfile.BadZipFile, NotImplementedError):
            shutil.rmtree(beside, ignore_errors=True)
            return "it is damaged"
        shutil.rmtree(run.path, ignore_errors=True)
        beside.rename(run.path)
        return None

    def forget(self, trial: int) -> None:
        """Remove a trial that is not trained further; what cannot be removed stays."""
        try:
            self._files.rm_file(self._place(trial))
        except Exception:
            return


def steps_reached(run: RunFolder) -> int:
    """The step of the newest checkpoint in a run folder, -1 where there is none."""
    return max((int(each.name.split("-")[0]) for each in Path(run.state).glob("*-*.safetensors")), default=-1)


def _unpack(archive: zipfile.ZipFile, folder: Path, most: int) -> None:
    """Write the files of an archive that `keep` packed into a folder.  Raises zipfile.BadZipFile where it is none of ours.

    most: bytes in all; `keep` does not compress.
    """
    members = archive.infolist()
    try:
        paths = [parts_of(member.filename) for member in members]
    except (DataError, Broken):
        raise zipfile.BadZipFile("no archive of a run") from None
    if sum(member.file_size for member in members) > most or () in paths:
        raise zipfile.BadZipFile("no archive of a run")
    for member, parts in zip(members, paths, strict=True):
        place = folder.joinpath(*parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as packed, open(place, "wb") as written:
            shutil.copyfileobj(packed, written)


def _why(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
