"""What is wrong with one file, or one corner, of a data set, without being fatal to the whole.

The table of all codes stands in `codes.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from striate.errors import DataError
from striate.text.visible import visible

SEVERITIES = ("error", "warning", "note")
"""error: the file is left out.  warning: it is used, but somebody should look.  note: what was done with it."""


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding.  severity: one of SEVERITIES.  cure: what helps in general, empty where nothing must.

    whole: whether it is about how all of the data is read, so that training names it as well.
    """

    code: str
    severity: str
    meaning: str
    cure: str
    whole: bool = False


_MEND, _SAVE = "mend or remove the file", "save it as PNG or JPEG"
_LIMIT = "shrink it, or raise max_pixels if you trust it"
_PACK, _PACK_FILE = "rename it before it is packed", "pack the file itself"
_LIMIT_PACK = "unpack it, and give the folder, if you trust it"
_ODD = "look at it, and remove it unless it belongs there"
_ONE = "keep one of them"
_EVAL = "remove it from the training images, or what is measured flatters"
_WHICH = "decide which label is right, and remove the other"

_TABLE = (
    # Files that are left out.
    Code("empty-file", "error", "it has no bytes", _MEND),
    Code("truncated", "error", "it ends too early", _MEND),
    Code("unreadable", "error", "it is damaged, or the decoder does not know it", _MEND),
    Code("not-a-image", "error", "its content is no image's, whatever its name says", "move it out"),
    Code("unsupported-format", "error", "an image or document of a kind that is not opened here", _SAVE),
    Code("too-many-pixels", "error", "its header declares more pixels than the limit", _LIMIT),
    Code("too-many-bytes", "error", "it is longer than an image within the limit could be", _LIMIT),
    Code("missing-file", "error", "it is not there, or a link that leads nowhere", "mend its path"),
    Code("special-file", "error", "a pipe, device, socket or folder in a file's place", "remove it"),
    Code("no-permission", "error", "it may not be read", "give yourself the permission"),
    Code("unreadable-folder", "error", "a folder that may not be read", "give yourself the permission"),
    Code("not-finite", "error", "an array with NaN or infinity in it", "replace those values"),
    Code("channels-first", "error", "an array shaped like (C, H, W)", "numpy.moveaxis(image, 0, -1)"),
    Code("channels-differ", "error", "it cannot be given the channels of the rest", "give equally many"),
    Code("values-differ", "error", "real numbers among 8-bit images, or the reverse", "save all alike"),
    Code("outside-class", "error", "an image that lies in no class folder", "move it into its class"),
    # Members of an archive that are left out.
    Code("archive-name", "error", "a name in an archive that no file here may have", _PACK),
    Code("archive-link", "error", "a link in an archive, which is never made", _PACK_FILE),
    Code("archive-special", "error", "a device, pipe, or sparse file in an archive", _PACK_FILE),
    Code("archive-twice", "error", "a name that an archive holds twice, but for case or accents", _PACK),
    Code("archive-encrypted", "error", "a member behind a password", "unpack it, and give the folder"),
    Code("archive-damaged", "error", "a member whose content is not what was packed", "fetch it again"),
    Code("archive-nested", "error", "an archive in an archive", "unpack it, and give the folder"),
    Code("archive-ratio", "error", "a member that unpacks to far more than an image does", _LIMIT_PACK),
    # Files that are used, and should be looked at.
    Code("zeroed-inside", "warning", "a stretch of its coded image was overwritten with zeros", _MEND),
    Code("wrong-checksum", "warning", "its bytes changed after they were written", _MEND),
    Code("wrong-extension", "warning", "its name says another format than its content", "rename it"),
    Code("extreme-aspect", "warning", "one side is many times the other: most is cropped away", "crop it"),
    Code("tiny", "warning", "far fewer pixels than the rest", "find it in its full size, or remove it"),
    Code("blank", "warning", "one color and nothing else", "remove it, unless that is its class"),
    Code("near-black", "warning", "nearly all of it is black", "remove it, unless that is its class"),
    Code("odd-one-out", "warning", "unlike the rest in several ways, as a placeholder or an icon is", _ODD),
    Code("link-outside", "warning", "a link to a place outside of the folder", "copy what it leads to"),
    Code("linked-twice", "warning", "a link to a folder already walked, not followed", "remove the link"),
    Code("unsafe-name", "warning", "a name that could inject into a terminal, table or page", "rename it"),
    Code("duplicate", "warning", "the same image more than once", _ONE),
    Code("duplicate-across-splits", "warning", "the same image in two splits", _EVAL),
    Code("duplicate-two-labels", "warning", "the same image under two labels", _WHICH),
    Code("near-duplicate-across-splits", "warning", "one image saved anew in two splits", _EVAL),
    Code("near-duplicate-two-labels", "warning", "one image saved anew under two labels", _WHICH),
    Code("likely-wrong-label", "warning", "a network that did not train on it contradicts", "look at it"),
    # How the whole is read.
    Code(
        "same-folders",
        "warning",
        "class folders that all hold the same folders",
        "look which are classes",
        True,
    ),
    Code(
        "unread-column", "warning", "a column that says split or group under another name", "rename it", True
    ),
    Code("several-labels", "warning", "labels that look like several in one", "one label an image", True),
    Code(
        "files-elsewhere", "warning", "a manifest whose files lie in another folder", "mend the paths", True
    ),
    Code("repeated-row", "warning", "lines of a manifest that say the same", "remove them", True),
    Code("cropped", "warning", "much of most images is cut off", "fit=pad, fit=stretch, or a size HxW", True),
    # Traits of the whole.
    Code("empty-class", "warning", "a class without one usable image, left out", "fill or remove it"),
    Code("one-image-class", "warning", "a class with one image only", "add images, or remove it"),
    Code("similar-classes", "warning", "class names that differ by case or spacing only", "join them", True),
    Code("split-lacks-class", "warning", "a split without one image of a class", "add images of each", True),
    Code("imbalance", "warning", "the largest class has many times the images of the smallest", "add some"),
    Code("unlabelled-split", "warning", "a split without class folders, left out", "sort its images", True),
    Code("ignored-folder", "warning", "a folder that is no split, beside splits", "move it away", True),
    Code("group-in-two-splits", "warning", "one group has images in two splits", "keep it in one"),
    # What was done, and needs nobody.
    Code("near-duplicate", "note", "one image saved anew, in one split under one label", _ONE),
    Code("look-alike", "note", "images of two splits or labels that look nearly the same", "look at them"),
    Code("exif-rotated", "note", "turned as its EXIF orientation says", ""),
    Code("animated", "note", "of several frames or pages, the first is used", "save the one you want"),
    Code("cmyk-converted", "note", "printing inks made into red, green and blue", ""),
    Code("sixteen-bit", "note", "16-bit values brought to 8 bits", ""),
    Code("transparent", "note", "laid on white where it is transparent", ""),
    Code("hidden-color", "note", "colors under full transparency, not seen and not used", ""),
    Code("grey-among-color", "note", "grey, given three equal channels as the rest is colored", ""),
    Code("hidden", "note", "hidden, or left behind by a system: not looked at", ""),
    Code("long-name", "note", "a name that other systems or archives may cut", ""),
    Code("read-column", "note", "a manifest's column read under another name", "rename it"),
    Code("ignored-column", "note", "a manifest's column without a meaning here", ""),
)

CODES = {each.code: each for each in _TABLE}
"""The table by code, errors first, then warnings, then notes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble: its stable code, the file or thing as shown, the reason and the cure.

    also: the names of the other files that it is about, as an image's duplicates.
    """

    code: str
    name: str
    reason: str
    cure: str
    also: tuple[str, ...] = ()

    @property
    def severity(self) -> str:
        """`error`, `warning` or `note`."""
        return CODES[self.code].severity

    @property
    def left_out(self) -> bool:
        """Whether it names a file that is therefore not among the images."""
        return self.severity == "error"


def listed(findings: Iterable[Finding], most: int = 5) -> str:
    """The first `most` findings as lines of an error's excerpt, and how many more there are."""
    every = list(findings)
    lines = [f"    {each.name}: {each.reason}" for each in every[:most]]
    if len(every) > most:
        lines.append(f"    and {len(every) - most:,} more")
    return "\n".join(lines)


def tally(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each code, in the order of the codes."""
    counts: dict[str, int] = {}
    for each in findings:
        counts[each.code] = counts.get(each.code, 0) + 1
    return dict(sorted(counts.items()))


class Unreadable(DataError):
    """One image cannot be used: `code` is a finding's, `problem` the reason.

    Where many images are read it becomes a finding; where one was asked for it goes to the user.
    passing: it is the machine's fault, not that of the content, and another time the image may be read.
    """

    def __init__(
        self, code: str, reason: str, cure: str = "mend or remove the file", *, passing: bool = False
    ) -> None:
        super().__init__(reason, expected=EXPECTED, cure=cure)
        self.code = code
        self.passing = passing

    def finding(self, name: str) -> Finding:
        """What is said of it in a list."""
        return Finding(self.code, name, self.problem, self.cure)


def told(problem: Exception) -> str:
    """What a library said, in one printable line of at most 200 characters."""
    return visible(" ".join(str(problem).split()))[:200] or type(problem).__name__


EXPECTED = "a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or .npy image"
