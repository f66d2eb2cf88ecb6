"""What a pickle is read into: plain values, tensors described but not made, and names that are never called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch


class Broken(Exception):
    """A file contradicts itself; the text says how, without a place."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that a pickle names.  It is not looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Opaque:
    """Stands where a pickle would have made an object of a foreign class.

    name: what it would have called.  state: the attributes that it would have set, if any.
    """

    name: str
    state: Mapping[object, object] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """A row of numbers somewhere in the file.

    key: its name there.  dtype: None where it is a row of plain bytes.
    start, numbers: the part of it that is meant, in numbers (in bytes where there is no dtype).
    """

    key: str
    dtype: torch.dtype | None
    numbers: int
    start: int = 0

    @property
    def item_bytes(self) -> int:
        """Of one number."""
        return 1 if self.dtype is None else self.dtype.itemsize

    @property
    def end_bytes(self) -> int:
        """Where the part that is meant ends."""
        return (self.start + self.numbers) * self.item_bytes


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """A tensor that could be made: a window on a storage, checked to lie inside it.

    offset: of its first number, in numbers of `dtype`.  size, stride: one number a dimension.
    """

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """How many it shows."""
        return math.prod(self.size)


# torch's own names of its storages.  Quantised and sparse ones are not weights that can be used here.
STORAGES: Mapping[str, torch.dtype | None] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": None,
}

# dtypes that have no storage of their own name.
DTYPES: Mapping[str, torch.dtype] = {
    **{str(each).removeprefix("torch."): each for each in STORAGES.values() if each is not None},
    "uint16": torch.uint16,
    "uint32": torch.uint32,
    "uint64": torch.uint64,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}

# torch's own limit is lower.
MOST_DIMENSIONS = 64
_MOST_NUMBERS = 2**60


def view(storage: Storage, dtype: torch.dtype, offset: object, size: object, stride: object) -> View:
    """A tensor on a storage.  Raises Broken where any of its numbers would lie outside it."""
    sizes, strides = _whole(size, "size"), _whole(stride, "stride")
    if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
        raise Broken(f"a tensor begins at {_brief(offset)} in storage {storage.key!r}")
    if len(sizes) != len(strides) or len(sizes) > MOST_DIMENSIONS:
        raise Broken(f"a tensor has {len(sizes)} sizes and {len(strides)} strides")
    held = storage.numbers * storage.item_bytes // dtype.itemsize
    made = View(storage, dtype, offset, sizes, strides)
    if made.numbers == 0:
        if math.prod(filter(None, sizes)) >= _MOST_NUMBERS:
            raise Broken("a tensor without numbers has impossible sizes")
        return View(storage, dtype, 0, sizes, (0,) * len(sizes))
    last = offset + sum((each - 1) * step for each, step in zip(sizes, strides, strict=True))
    if made.numbers > held or last >= held:
        raise Broken(
            f"a tensor of {'x'.join(map(_brief, sizes)) or 1} from number {_brief(offset)} with strides "
            f"{'x'.join(map(_brief, strides)) or 0} does not fit in storage {storage.key!r} of {held:,}"
        )
    return made


def _whole(values: object, what: str) -> tuple[int, ...]:
    if not isinstance(values, tuple | list):
        raise Broken(f"the {what} of a tensor is {_brief(values)}")
    found = []
    for each in values[: MOST_DIMENSIONS + 1]:
        if not isinstance(each, int) or isinstance(each, bool) or not 0 <= each < 2**63:
            raise Broken(f"the {what} of a tensor has {_brief(each)} in it")
        found.append(each)
    return tuple(found)


def _brief(value: object) -> str:
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "a huge number"
    return f"a {type(value).__name__}"
