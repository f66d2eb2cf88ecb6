"""The tensors of a weights file, whatever its form."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from striate.data.trouble import told
from striate.weights.choose import choose_table
from striate.weights.pth import read_pth
from striate.weights.trouble import FORMS, WeightsError, clipped, damaged, unreadable

# The header of a network of ten thousand tensors takes one megabyte.
MOST_HEADER_BYTES = 1 << 24

# What wrappers put in front of every name: DataParallel, Lightning, torch.compile and their like.
WRAPPERS = ("module.", "model.", "_orig_mod.", "net.", "network.", "state_dict.")

# How files begin that are taken for weights by mistake.
_OTHERS = (
    (b"\x89HDF", "an HDF5 file, as Keras writes", "save the weights from torch"),
    (b"GGUF", "a GGUF file, of a language model", "take the weights of a convolutional network"),
    (b"version https://git-lfs", "a pointer of git-lfs, not the file itself", "git lfs pull"),
    (b"<!DOCTYPE", "a web page, not the file itself", "use the address of the file, not of its page"),
    (b"<!doctype", "a web page, not the file itself", "use the address of the file, not of its page"),
    (b"<html", "a web page, not the file itself", "use the address of the file, not of its page"),
    (b"\x1f\x8b", "a gzip file", "unpack it with gunzip or tar, and give what is in it"),
    (b"\x93NUMPY", "one array of NumPy", "save the weights from torch"),
    (b"\x08\x07\x12", "an ONNX file", "export a .safetensors file from the same network"),
    (b"\x08\x08\x12", "an ONNX file", "export a .safetensors file from the same network"),
)
_PICKLES = (b"\x80", b"(", b"]", b"}", b"c", b"\x8a", b"K", b"I", b"L", b"M", b"J")


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a file.

    tensors: by name, in the order of the file; wrappers' prefixes are gone from the names.
    form: `safetensors` or `pth`.  chosen: the keys that led to them, where the file held more.
    foreign: what a pickle would have had called or made; it was left out.
    """

    tensors: dict[str, Tensor]
    form: str
    chosen: str = ""
    foreign: tuple[str, ...] = ()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, in the order of the file; see `read_weights`."""
    return read_weights(path).tensors


def read_weights(path: Path) -> Weights:
    """The weights in a file of safetensors or torch.save; what it is, its content says and not its name.

    Nothing of the file is run.  Where a training script saved more, the weights are looked for in it.
    Raises WeightsError where the file is missing, damaged or of another form, or holds no tensors;
    Hostile where it asks to run code.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(512)
            size_bytes = os.fstat(file.fileno()).st_size
    except OSError as problem:
        raise unreadable(path, problem) from None
    if not start:
        raise damaged(path, "the file is empty")
    for mark, what, cure in _OTHERS:
        if start.startswith(mark):
            raise WeightsError(f"it is {what}", place=str(path), expected=FORMS, cure=cure)
    if start[8:9] == b"{" and not start.startswith(b"PK"):
        return Weights(_bare(_safetensors(path, start, size_bytes)), "safetensors")
    if start[257:262] == b"ustar" or (start[:7] == b"storage" and b"\0" in start[:100]):
        raise WeightsError(
            "it is a tar archive",
            place=str(path),
            expected=FORMS,
            cure="unpack it with tar; if torch 0.1 wrote it, open and save it once with torch 1",
        )
    if not start.startswith((b"PK\x03\x04", *_PICKLES)):
        raise WeightsError(
            "it is no file of weights, by its first bytes",
            place=str(path),
            expected=FORMS,
            cure="check that it is the file you mean",
        )
    found = read_pth(path)
    table = choose_table(found.value)
    if table is None:
        raise WeightsError(
            "there is no tensor in it"
            + (f", but objects of foreign classes: {_named(found.foreign)}" if found.foreign else ""),
            place=str(path),
            expected="a network's state_dict, or a dictionary that holds one",
            cure='torch.save(model.state_dict(), "weights.pth") where the file comes from',
        )
    tensors = found.tensors(table.views)
    return Weights(_bare(tensors), "pth", table.path, found.foreign)


def _safetensors(path: Path, start: bytes, size_bytes: int) -> dict[str, Tensor]:
    (header_bytes,) = struct.unpack_from("<Q", start)
    if header_bytes > size_bytes - 8:
        raise damaged(
            path, f"its header says that it takes {header_bytes:,} bytes, and the file has {size_bytes:,}"
        )
    if header_bytes > MOST_HEADER_BYTES:
        raise damaged(
            path, f"its header takes {header_bytes:,} bytes; at most {MOST_HEADER_BYTES:,} are read"
        )
    try:
        with safe_open(path, framework="pt") as file:
            # Copies: the library's tensors are windows on the file, which may change under them.
            found = {name: file.get_tensor(name).clone() for name in file.offset_keys()}
    except OSError as problem:
        raise unreadable(path, problem) from None
    except (SafetensorError, ValueError, RuntimeError, TypeError, KeyError) as problem:
        raise damaged(path, f"its header contradicts the file ({told(problem)})") from None
    if not found:
        raise WeightsError("there is no tensor in it", place=str(path), expected="a network's weights")
    return found


def _bare(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes of wrappers that all names have."""
    while tensors:
        prefix = next((each for each in WRAPPERS if all(name.startswith(each) for name in tensors)), None)
        if prefix is None:
            break
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _named(names: Iterable[str], most: int = 3) -> str:
    every = list(names)
    said = ", ".join(f"`{clipped(name)}`" for name in every[:most])
    return said + (f" and {len(every) - most} more" if len(every) > most else "")
