"""The events of a run, one JSON object a line, appended as they happen."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate.runs.atomic import cannot_write, sync_folder

Event = dict[str, Any]


class EventFile:
    """A file that events are appended to.

    Nothing in it depends on the clock, so a resumed run writes the same bytes as an unbroken one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event and hand it to the system at once."""
        line = json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            with open(self.path, "ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise cannot_write(self.path, error, len(line)) from error

    def sync(self) -> None:
        """Wait until all of it is on the disk, so that a checkpoint is never ahead of its events."""
        if not self.path.exists():
            return
        try:
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
            sync_folder(self.path.parent)
        except OSError as error:
            raise cannot_write(self.path, error, self.length()) from error

    def length(self) -> int:
        """Bytes written so far; a checkpoint notes it."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, length: int) -> None:
        """Take back what was written behind `length` bytes: events after the checkpoint run again."""
        if self.length() > length:
            try:
                os.truncate(self.path, length)
            except OSError as error:
                raise cannot_write(self.path, error, length) from error


def read_events(path: Path) -> list[Event]:
    """All whole events of a file; a last line that was cut off by a crash is left out."""
    if not path.exists():
        return []
    events = []
    for line in path.read_bytes().split(b"\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events
