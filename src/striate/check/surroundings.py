"""What lies in a folder beside the pictures: hidden things, and links that lead out of it."""

from __future__ import annotations

import os
from pathlib import Path

from striate.data.codes import CODES
from striate.data.finding import Finding, shown
from striate.data.walk import SYSTEM_NAMES


def surroundings(folder: Path) -> list[Finding]:
    """A finding for each hidden or system name and each link out of `folder`; no file is opened.

    Links to folders inside are not walked, and each real folder is walked once.  What cannot be read is
    passed over here: whoever lists the pictures meets it, too.
    """
    root = os.path.realpath(folder)
    findings: list[Finding] = []
    waiting: list[tuple[str, str]] = [(os.fspath(folder), "")]
    walked = {_identity(os.fspath(folder))}
    while waiting:
        here, label = waiting.pop()
        try:
            with os.scandir(here) as found:
                inside = sorted(found, key=lambda each: each.name)
        except OSError:
            continue
        for each in inside:
            name = label + shown(each.name)
            if each.name.startswith(".") or each.name.lower() in SYSTEM_NAMES:
                findings.append(Finding("hidden", name, _hidden(each), CODES["hidden"].cure))
                continue
            if each.is_symlink():
                target = os.path.realpath(each.path)
                outside = target != root and not target.startswith(root.rstrip(os.sep) + os.sep)
                if not outside or not os.path.exists(target):
                    continue
                findings.append(
                    Finding(
                        "link-outside",
                        name,
                        f"a link to {shown(target)}, outside of the folder",
                        CODES["link-outside"].cure,
                    )
                )
            if _is_folder(each):
                identity = _identity(each.path)
                if identity is None or identity not in walked:
                    walked.add(identity)
                    waiting.append((each.path, f"{name}/"))
    return sorted(findings, key=lambda each: each.name)


def _hidden(each: os.DirEntry[str]) -> str:
    what = "a folder" if _is_folder(each) else "a file"
    if each.name.startswith("._"):
        return f"{what} that a Mac leaves beside each file, not looked at"
    if each.name.startswith("."):
        return f"{what} hidden by its name, not looked at"
    return f"{what} that an operating system left behind, not looked at"


def _is_folder(each: os.DirEntry[str]) -> bool:
    try:
        return each.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _identity(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return (stat.st_dev, stat.st_ino) if stat.st_ino else None
