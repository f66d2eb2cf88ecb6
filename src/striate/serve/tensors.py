"""Tensors of the Open Inference Protocol v2: as JSON, and as bytes behind it (Triton's extension)."""

from __future__ import annotations

import struct
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from striate.serve.limits import Refusal
from striate.text.visible import visible

NUMBERS = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "FP32": np.dtype("<f4"),
}
"""The kinds of numbers that are taken and given; texts and files are BYTES."""

JSON_LENGTH = "inference-header-content-length"
"""The header that says how many bytes of a body are JSON, where tensors follow it."""

Name = Annotated[str, Field(max_length=200)]
Parameters = dict[Name, Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class InputTensor(_Part):
    """One tensor of a request; its values stand in `data`, or behind the JSON as `binary_data_size` says."""

    name: Name
    shape: Annotated[list[Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]], Field(max_length=8)]
    datatype: Annotated[str, Field(max_length=20)]
    parameters: Parameters | None = None
    data: list[Any] | None = None


class AskedOutput(_Part):
    """An output that is wanted."""

    name: Name
    parameters: Parameters | None = None


class InferRequest(_Part):
    """The JSON of a request for answers."""

    id: Name | None = None
    parameters: Parameters | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=16)]
    outputs: Annotated[list[AskedOutput], Field(max_length=16)] | None = None


class OutputTensor(BaseModel):
    """One tensor of an answer."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class InferResponse(BaseModel):
    """The JSON of an answer."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


def read_request(body: bytes, json_length: str | None) -> tuple[InferRequest, list[bytes | None]]:
    """A request, and the bytes of each input; None for one whose values stand in the JSON.

    json_length: of the header `Inference-Header-Content-Length`, None where the body is JSON alone.
    Raises Refusal, 400.
    """
    length = len(body)
    if json_length is not None:
        if not (json_length.isascii() and json_length.isdigit() and int(json_length[:12]) <= length):
            raise Refusal(400, f"Inference-Header-Content-Length should be a number of at most {length:,}")
        length = int(json_length)
    try:
        request = InferRequest.model_validate_json(body[:length])
    except ValidationError as error:
        raise Refusal(400, f"the request is not as the protocol has it: {_first(error)}") from None
    left, given = memoryview(body)[length:], list[bytes | None]()
    for tensor in request.inputs:
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            given.append(None)
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(left):
            called = visible(tensor.name)
            raise Refusal(
                400, f"`binary_data_size` of the input `{called}` should be a number of at most {len(left):,}"
            )
        given.append(bytes(left[:size]))
        left = left[size:]
    if left:
        raise Refusal(400, f"{len(left):,} bytes at the end belong to no input; mend `binary_data_size`")
    return request, given


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(each) for each in found["loc"])
    said = visible(str(found["msg"]))[:160]
    said = said[0].lower() + said[1:]
    return f"`{visible(place)[:80]}`: {said}" if place else said


def numbers(tensor: InputTensor, given: bytes | None) -> NDArray[Any]:
    """The values of a tensor of numbers, in its shape.  Raises Refusal, 400."""
    called, dtype = visible(tensor.name), NUMBERS[tensor.datatype]
    count = int(np.prod(tensor.shape, dtype=object))
    if given is not None:
        if len(given) != count * dtype.itemsize:
            needed = f"{count * dtype.itemsize:,}"
            raise Refusal(400, f"the input `{called}` has {len(given):,} bytes, and its shape needs {needed}")
        return np.frombuffer(given, dtype).reshape(tensor.shape)
    if tensor.data is None:
        raise Refusal(400, f"the input `{called}` has no data; give `data` or `binary_data_size`")
    try:
        values = np.asarray(tensor.data)
        if values.dtype.kind not in "biuf":
            raise ValueError
        if dtype == np.uint8 and (
            values.dtype.kind not in "iu" or (values.size and not 0 <= values.min() <= values.max() <= 255)
        ):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise Refusal(400, f"the data of the input `{called}` are not all {tensor.datatype}") from None
    if values.size != count:
        raise Refusal(400, f"the input `{called}` has {values.size:,} values, and its shape needs {count:,}")
    return values.astype(dtype).reshape(tensor.shape)


def files(tensor: InputTensor, given: bytes | None) -> list[bytes]:
    """The elements of a tensor of BYTES; in JSON each is base64.  Raises Refusal, 400."""
    called = visible(tensor.name)
    count = int(np.prod(tensor.shape, dtype=object))
    found: list[bytes] = []
    if given is not None:
        place = 0
        while place + 4 <= len(given):
            (size,) = struct.unpack_from("<I", given, place)
            found.append(given[place + 4 : place + 4 + size])
            place += 4 + size
        if place != len(given):
            raise Refusal(400, f"the bytes of the input `{called}` end inside of an element")
    elif tensor.data is None:
        raise Refusal(400, f"the input `{called}` has no data; give `data` or `binary_data_size`")
    else:
        found = [_from_base64(each, called) for each in _flat(tensor.data)]
    if len(found) != count:
        raise Refusal(400, f"the input `{called}` has {len(found):,} elements, and its shape needs {count:,}")
    return found


def _flat(data: list[Any]) -> list[Any]:
    # [N, 1] may be written as lists of one.
    return [each[0] if isinstance(each, list) and len(each) == 1 else each for each in data]


def _from_base64(text: Any, called: str) -> bytes:
    import binascii

    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (AttributeError, UnicodeError, binascii.Error):
        raise Refusal(
            400, f"the data of the input `{called}` should be image files in base64, or bytes behind the JSON"
        ) from None


def as_bytes(values: NDArray[Any] | list[str]) -> bytes:
    """A tensor behind the JSON: numbers little-endian, row by row; each text with its length before it."""
    if isinstance(values, list):
        return b"".join(struct.pack("<I", len(each)) + each for each in (text.encode() for text in values))
    return values.tobytes()
