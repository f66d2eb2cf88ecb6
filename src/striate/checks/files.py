"""The check of images that lie in files, and of what lies beside them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.checks.checked import Checked, in_order_of_severity
from striate.checks.duplicates import duplicate_limits, near_and_exact_findings
from striate.checks.look import Look, look, name_remarks
from striate.checks.outliers import odd_remarks, shape_remarks
from striate.checks.thumbnails import preview_file
from striate.data.decode.decode import quiet_pillow
from striate.data.decode.size import choose_channels, choose_size, cropped_finding
from striate.data.files.entry import SPLITS, Entry, Listing
from striate.data.files.finding import CODES, Finding
from striate.data.files.walk import SYSTEM_NAMES
from striate.data.makeup import empty_classes, makeup_findings
from striate.data.store.files import of_one_kind
from striate.data.store.samples import Roll
from striate.text.visible import visible
from striate.threads import in_order


def check_files(
    listing: Listing, source: Path, max_pixels: int, progress: Callable[[int, int], None]
) -> Checked:
    """Looks at every file of a listing, in parallel; see `check`.  source: the folder or manifest itself."""
    findings = list(listing.findings)
    if listing.kind in ("folder", "split-folder"):
        # What an archive hides was told when it was unpacked, and links are not made.
        findings += () if listing.unpacked else surroundings(source)
        findings += _of_folder_names(listing.entries)
    looks: list[Look] = []
    with quiet_pillow(), closing(in_order(lambda each: look(each, max_pixels), listing.entries)) as answers:
        for done, answer in enumerate(answers, start=1):
            if isinstance(answer, Look):
                looks.append(answer)
            findings += answer.findings if isinstance(answer, Look) else answer
            progress(done, len(listing.entries))
    used = of_one_kind(looks, findings)
    kept = {each.entry.name for each in used}
    lost = {each.entry.name for each in looks} - kept
    findings = [each for each in findings if each.left_out or each.name not in lost]
    findings += _beside_one_another(listing, used)
    paths = {each.name: each.path for each in listing.entries}

    def show(name: str) -> npt.NDArray[np.uint8] | None:
        return preview_file(paths[name], max_pixels) if name in kept else None

    counts = {
        split: tuple(
            np.bincount(
                [each.entry.label for each in used if _split(each.entry) == split],
                minlength=len(listing.classes),
            ).tolist()
        )
        for split in SPLITS
        if any(_split(each) == split for each in listing.entries)
    }
    return Checked(
        source=listing.source,
        kind=listing.kind,
        classes=listing.classes,
        counts=counts,
        files=len(listing.entries),
        used=tuple(each.entry for each in used),
        findings=in_order_of_severity(findings),
        limits=duplicate_limits([each.thumbnail for each in used]),
        small=show,
        unpacked=listing.unpacked,
    )


def _beside_one_another(listing: Listing, used: Sequence[Look]) -> list[Finding]:
    """What shows only where the images are seen together."""
    present = sorted({each.entry.label for each in used})
    findings = empty_classes(listing.classes, present)
    if not used:
        return findings
    channels = choose_channels([each.header.channels for each in used])
    for each in used:
        if each.header.channels == 1 and channels == 3:
            reason = "it is grey, and gets three equal channels, as others are colored"
            findings.append(
                Finding("grey-among-color", each.entry.name, reason, CODES["grey-among-color"].cure)
            )
    sizes = [(each.header.height, each.header.width) for each in used]
    cropped = cropped_finding(listing.source, sizes, choose_size(sizes, None)[0])
    if cropped is not None:
        findings.append(cropped)
    for position, code, reason in shape_remarks(sizes):
        findings.append(Finding(code, used[position].entry.name, reason, CODES[code].cure))
    for position, reason in odd_remarks([each.make for each in used]):
        findings.append(Finding("odd-one-out", used[position].entry.name, reason, CODES["odd-one-out"].cure))
    number = {label: position for position, label in enumerate(present)}
    roll = Roll(
        tuple(listing.classes[each] for each in present),
        [each.entry.name for each in used],
        [_split(each.entry) for each in used],
        [number[each.entry.label] for each in used],
    )
    by_split = {
        split: [each for each, where in enumerate(roll.splits) if where == split]
        for split in SPLITS
        if split in roll.splits
    }
    findings += makeup_findings(
        roll.classes,
        {split: np.array([roll.labels[each] for each in mine]) for split, mine in by_split.items()},
        {split: [used[each].entry.group for each in mine] for split, mine in by_split.items()},
    )
    findings += near_and_exact_findings(
        roll, [each.pixels_hash for each in used], [each.thumbnail for each in used]
    )
    return findings


def _of_folder_names(entries: Sequence[Entry]) -> list[Finding]:
    folders = Counter(each.path.parent.name for each in entries)
    return [
        Finding(code, f"{visible(folder)}/", reason, CODES[code].cure)
        for folder in sorted(folders)
        for code, reason in name_remarks(folder)
    ]


def _split(entry: Entry) -> str:
    return entry.split or "train"


def surroundings(folder: Path) -> list[Finding]:
    """A finding for each hidden or system name and each link out of `folder`; no file is opened.

    Links to folders inside are not walked, and each real folder is walked once.  What cannot be read is
    passed over here: whoever lists the images meets it, too.
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
            name = label + visible(each.name)
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
                        f"a link to {visible(target)}, outside of the folder",
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
