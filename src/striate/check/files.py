"""The check of pictures that lie in files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.check.checked import Checked, in_order_of_severity
from striate.check.extent import extent_remarks
from striate.check.look import Look, look
from striate.check.names import name_remarks
from striate.check.small import small_file
from striate.check.surroundings import surroundings
from striate.check.twins import twin_findings, twin_limits
from striate.data.codes import CODES
from striate.data.entry import SPLITS, Entry, Listing
from striate.data.files import of_one_kind
from striate.data.finding import Finding, shown
from striate.data.makeup import empty_classes, makeup_findings
from striate.data.quiet import quiet_pillow
from striate.data.roll import Roll
from striate.data.size import choose_channels
from striate.data.threads import in_order


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
        return small_file(paths[name], max_pixels) if name in kept else None

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
        limits=twin_limits([each.face for each in used]),
        small=show,
        unpacked=listing.unpacked,
    )


def _beside_one_another(listing: Listing, used: Sequence[Look]) -> list[Finding]:
    """What shows only where the pictures are seen together."""
    present = sorted({each.entry.label for each in used})
    findings = empty_classes(listing.classes, present)
    if not used:
        return findings
    channels = choose_channels([each.header.channels for each in used])
    for each in used:
        if each.header.channels == 1 and channels == 3:
            reason = "it is grey, and gets three equal channels, as others are coloured"
            findings.append(
                Finding("grey-among-colour", each.entry.name, reason, CODES["grey-among-colour"].cure)
            )
    sizes = [(each.header.height, each.header.width) for each in used]
    for position, code, reason in extent_remarks(sizes):
        findings.append(Finding(code, used[position].entry.name, reason, CODES[code].cure))
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
    findings += twin_findings(roll, [each.pixels_hash for each in used], [each.face for each in used])
    return findings


def _of_folder_names(entries: Sequence[Entry]) -> list[Finding]:
    folders = Counter(each.path.parent.name for each in entries)
    return [
        Finding(code, f"{shown(folder)}/", reason, CODES[code].cure)
        for folder in sorted(folders)
        for code, reason in name_remarks(folder)
    ]


def _split(entry: Entry) -> str:
    return entry.split or "train"
