"""The tensors of a weights file, whatever its form."""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from striate.data.files.finding import told
from striate.weights.error import FORMS, WeightsError, damaged, open_weights, unreadable
from striate.weights.pth import is_plain, read_pth

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


# What scripts call the weights, the likeliest first.  It only settles between tables of one size, as the
# weights and their running average are.
_USUAL = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "state_dict_ema",
    "ema_state_dict",
    "model_ema",
    "ema",
)

# Tables inside tables are followed so far.
_DEEPEST = 6
_MOST_WAITING = 20_000
_MOST_LISTED = 100
_LONGEST = 500

# The state of an optimizer, which for one large layer can take more than all weights together.
_OPTIMIZER = re.compile(r"optim|(^|\.)state\.\d+$", re.IGNORECASE)

# A table of fewer numbers than this share of the largest one is not the weights.
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a file.

    tensors: by name, in the order of the file; wrappers' prefixes are gone from the names.
    form: `safetensors` or `pth`.  chosen: the keys that led to them, where the file held more.
    """

    tensors: dict[str, Tensor]
    form: str
    chosen: str = ""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, in the order of the file; see `read_weights`."""
    return read_weights(path).tensors


def read_weights(path: Path) -> Weights:
    """The weights in a file of safetensors or torch.save; what it is, its content says and not its name.

    Nothing of the file is run.  Where a training script saved more, the weights are looked for in it.
    Raises WeightsError where the file is missing, damaged or of another form, or holds no tensors;
    Hostile where it asks for a class or function.
    """
    file, size_bytes = open_weights(path)
    with file:
        try:
            start = file.read(512)
            file.seek(0)
        except OSError as problem:
            raise unreadable(path, problem) from None
        if _is_safetensors(path, start):
            return Weights(_bare(_safetensors(path, start, size_bytes)), "safetensors")
        table = choose_table(read_pth(path, file, size_bytes))
    if table is None:
        raise WeightsError(
            "there is no tensor in it",
            place=str(path),
            expected="a network's state_dict, or a dictionary that holds one",
            cure='torch.save(model.state_dict(), "weights.pth") where the file comes from',
        )
    # Copies: those of a zip file are windows on the file, which may change under them.
    tensors = {name: each.detach().clone() for name, each in table.tensors.items()}
    return Weights(_bare(tensors), "pth", table.path)


def _is_safetensors(path: Path, start: bytes) -> bool:
    """Which of both forms a file begins as.  Raises WeightsError where it is none, saying what it is."""
    if not start:
        raise damaged(path, "the file is empty")
    for mark, what, cure in _OTHERS:
        if start.startswith(mark):
            raise WeightsError(f"it is {what}", place=str(path), expected=FORMS, cure=cure)
    if start[8:9] == b"{" and not start.startswith(b"PK"):
        return True
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
    return False


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


@dataclass(frozen=True, slots=True)
class Table:
    """Tensors by name.  path: the keys that lead to them in the file, joined by dots."""

    path: str
    tensors: dict[str, Tensor]

    @property
    def numbers(self) -> int:
        """How many there are in all tensors together."""
        return sum(each.numel() for each in self.tensors.values() if each.dtype.is_floating_point)


def choose_table(value: object) -> Table | None:
    """The table of tensors that are most likely a network's weights, or None where there is no table.

    The largest one, optimizers' left out; among those nearly as large, the one with the likeliest name.
    """
    tables = [table for table in _tables(value) if not _OPTIMIZER.search(table.path)]
    most = max((table.numbers for table in tables), default=0)
    large = [table for table in tables if table.numbers >= _LEAST_SHARE * most]
    return min(large, key=_rank, default=None)


def _rank(table: Table) -> int:
    last = table.path.rpartition(".")[2].lower()
    return _USUAL.index(last) if last in _USUAL else len(_USUAL)


def _tables(value: object) -> Iterator[Table]:
    """All dictionaries that have tensors."""
    seen: set[int] = set()
    waiting: deque[tuple[str, object, int]] = deque([("", value, 0)])
    while waiting:
        path, now, depth = waiting.popleft()
        if id(now) in seen or depth > _DEEPEST:
            continue
        seen.add(id(now))
        inner = _opened(now)
        tensors = {name: each for name, each in inner.items() if isinstance(name, str) and is_plain(each)}
        if tensors and isinstance(now, Mapping):
            yield Table(path, tensors)
        for name, each in inner.items():
            if len(waiting) < _MOST_WAITING and isinstance(each, dict | list | tuple):
                key = name if isinstance(name, str) else str(name) if isinstance(name, int) else "?"
                waiting.append((f"{path}.{key[:_LONGEST]}".removeprefix("."), each, depth + 1))


def _opened(value: object) -> Mapping[object, object]:
    """What one container holds, by key or place."""
    if isinstance(value, Mapping):
        return value
    return dict(enumerate(value[:_MOST_LISTED])) if isinstance(value, list | tuple) else {}
