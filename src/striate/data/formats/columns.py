"""What the columns of a manifest mean, by their names and, where a name says too little, by their values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from striate.data.files.entry import split_of
from striate.data.files.finding import Finding
from striate.data.files.magic import IMAGE_SUFFIXES
from striate.errors import DataError, nearest
from striate.text.visible import visible

EXPECTED = "the columns path and label, and if wanted split (train, val or test) and group"

NEEDED = ("path", "label")
OPTIONAL = ("split", "group")

# What others call them, letters only, the likelier ones first.
_NAMES = {
    "path": "path filepath imagepath imgpath filename imagefilename imagefile file image imagename imageid img image photo",
    "label": "label classname class classlabel labelname category categoryname target labels y",
}

# What says a split whatever its values are, and what does so where they are names of splits or yes and no.
_SPLITS = re.compile("(data)?(subset|partition)(id|name)?|(k|cv)?folds?(id|no|number)?|split.+|.+split")
_MAYBE_SPLITS = re.compile("(data)?set(name|type)?|phase|usage|mode|tvt|(train|trainor)(val)?test|trainval")

# The words of which a group's name is made: `patient_id`, `SubjectNo`.
_GROUPS = frozenset(
    [
        "id",
        "uid",
        "patient",
        "subject",
        "person",
        "participant",
        "user",
        "group",
        "scene",
        "site",
        "sequence",
        "video",
        "clip",
        "case",
        "study",
        "series",
        "session",
        "individual",
        "animal",
        "specimen",
        "slide",
        "donor",
        "camera",
        "location",
        "burst",
        "hospital",
        "photographer",
        "visit",
    ]
)
_BESIDE = ("id", "ids", "no", "nr", "num", "number", "name", "code", "key", "index")

# So alike is a name to one that has a meaning only by a slip: `spilt` and `split`.
_SLIP = 0.75

# Of two of them the one that is sorted last is the yes.
_YES_AND_NO = {"true", "1", "yes", "y", "t", "1.0", "false", "0", "no", "n", "f", "0.0"}

# Of one column so many different values are kept.
_MOST_VALUES = 100_000


@dataclass(frozen=True)
class Columns:
    """Under which name each meaning stands in a manifest.  `values`: of columns that may mean more than is read."""

    path: str
    label: str
    split: str | None
    group: str | None
    values: dict[str, Values] = field(default_factory=dict)


@dataclass
class Values:
    """The values of a column: each with the labels it stands beside, and of how many lines."""

    pairs: set[tuple[str, str]] = field(default_factory=set)
    lines: int = 0

    def add(self, value: str, label: str) -> None:
        """Notes one line."""
        self.lines += 1
        if len(self.pairs) < _MOST_VALUES:
            self.pairs.add((value.strip(), label))


def read_columns(names: list[str], place: str, findings: list[Finding]) -> Columns:
    """What each column means; those without a meaning become findings.

    names: without blanks around.
    Raises: DataError where a column is missing, twice there, or nearly one that has a meaning.
    """
    for each in names:
        if each in (*NEEDED, *OPTIONAL) and names.count(each) > 1:
            raise DataError(f"the column `{each}` is there twice", place=place, expected=EXPECTED)
    found = {each: each for each in (*NEEDED, *OPTIONAL) if each in names}
    for needed, called in _NAMES.items():
        by_letters = {_letters(each): each for each in reversed(names)}
        other = next((by_letters[each] for each in called.split() if each in by_letters), None)
        if needed not in found and other is not None and other not in found.values():
            found[needed] = other
            read = Finding("read-column", visible(other), f"read as the {needed}", f"rename it to `{needed}`")
            if read not in findings:
                findings.append(read)
    for needed in NEEDED:
        if needed not in found:
            raise _missing(needed, names, place)
    values = {}
    for each in names:
        if each in found.values():
            continue
        if (_means_split(each) and "split" not in found) or (_means_group(each) and "group" not in found):
            values[each] = Values()
            continue
        for optional in OPTIONAL:
            if optional not in found and SequenceMatcher(None, each, optional).ratio() >= _SLIP:
                # Ignored, a mistyped `split` would train on the test images.
                raise DataError(
                    f"the column `{visible(each)}` is not known",
                    place=place,
                    expected=EXPECTED,
                    cure=f"rename it to `{optional}`, or remove it",
                )
        ignored = _ignored(each)
        if ignored not in findings:
            findings.append(ignored)
    return Columns(found["path"], found["label"], found.get("split"), found.get("group"), values)


def has_needed(names: list[str]) -> bool:
    """Whether a path and a label are among the columns, under whatever name."""
    letters = {_letters(each) for each in names}
    return all(letters & set(called.split()) for called in _NAMES.values())


def unread_columns(values: dict[str, Values]) -> Iterator[Finding]:
    """A finding for each column that says split or group under another name, or nothing after all."""
    for name, each in values.items():
        different = {value for value, _ in each.pairs} - {""}
        labels = {label for _, label in each.pairs}
        if (
            len(different) > 1
            and _means_split(name)
            and (_SPLITS.fullmatch(_letters(name)) or _are_splits(different) or _are_yes_and_no(different))
        ):
            yield Finding(
                "unread-column",
                visible(name),
                f"it seems to say in which split an image is ({_some(different)}), and is not read",
                _split_cure(name, different),
            )
        # Where each label has one value, it is the label by another name.
        elif (
            _means_group(name)
            and 1 < len(different) < each.lines
            and not (len(each.pairs) == len(different) == len(labels))
        ):
            yield Finding(
                "unread-column",
                visible(name),
                f"it seems to say what belongs together ({len(different):,} names in {each.lines:,} lines), and is "
                "not read: images of one may be trained on and validated with",
                f"rename `{visible(name)}` to `group`",
            )
        else:
            yield _ignored(name)


def _split_cure(name: str, values: set[str]) -> str:
    if _are_splits(values):
        return f"rename `{visible(name)}` to `split`"
    if _are_yes_and_no(values):
        split = split_of(_letters(name).removeprefix("is")) or "val"
        yes, no = ("train", "val") if split == "train" else (split, "train")
        return f"a column `split` with {yes} where `{visible(name)}` is {next(iter(sorted(values, reverse=True)))}, and {no} elsewhere"
    return f"a column `split` with val for one value of `{visible(name)}`, as {visible(min(values))}, and train elsewhere"


def _are_splits(values: set[str]) -> bool:
    return all(split_of(each) for each in values)


def _are_yes_and_no(values: set[str]) -> bool:
    said = {value.casefold() for value in values}
    return len(said) == 2 and said <= _YES_AND_NO


def _some(values: set[str]) -> str:
    most = [visible(each) for each in sorted(values)[:4]]
    return ", ".join(most) + ", ..." * (len(values) > len(most))


def _missing(needed: str, names: list[str], place: str) -> DataError:
    near = None
    if has_needed([*names, needed]):
        near = nearest(needed, [each for each in names if each not in NEEDED])
    return DataError(
        f"there is no column `{needed}`",
        place=place,
        excerpt=f"    {visible(','.join(names))[:100]}",
        expected=EXPECTED,
        cure=f"rename `{visible(near)}` to `{needed}`" if near else _naming(names),
    )


def _naming(names: list[str]) -> str:
    """How to name the columns, where it cannot be guessed which is which."""
    if any(os.path.splitext(each)[1].lower() in IMAGE_SUFFIXES for each in names):
        return "name the columns in the first line, as path,label"
    if sum(each.startswith("pixel") for each in names):
        return 'images as files; or as arrays, numpy.savez("data.npz", x_train=pixels.reshape(-1, 28, 28), y_train=labels)'
    if len(names) > 2 and not has_needed([*names, "path"]):
        return "rename the column of the class to `label`; where each class has a column, write its name into one"
    return "rename the column of the file to `path`, and that of the class to `label`"


def _ignored(name: str) -> Finding:
    return Finding(
        "ignored-column", visible(name), "a column without a meaning here", "nothing needs to be done"
    )


def _letters(name: str) -> str:
    return re.sub(r"[\W\d_]+", "", name.casefold())


def _means_split(name: str) -> bool:
    letters = _letters(name)
    return bool(
        _SPLITS.fullmatch(letters) or _MAYBE_SPLITS.fullmatch(letters) or split_of(letters.removeprefix("is"))
    )


def _means_group(name: str) -> bool:
    words = re.findall(r"[^\W\d_]+", name.casefold())
    # Written together, as `patientid`.
    bare = [
        next((each.removesuffix(end) for end in _BESIDE if each.removesuffix(end) in _GROUPS), each)
        for each in words
    ]
    return bool(_GROUPS.intersection(bare)) and all(each in _GROUPS or each in _BESIDE for each in bare)
