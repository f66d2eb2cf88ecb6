"""The Open Inference Protocol v2: what KServe, Triton and their clients speak."""

from __future__ import annotations

import json
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel

from striate.bundle.bundle import Bundle
from striate.serve.engine import Answered, Work
from striate.serve.limits import Refusal
from striate.serve.service import Service
from striate.serve.tensors import (
    JSON_LENGTH,
    AskedOutput,
    InferRequest,
    as_bytes,
    files,
    numbers,
    read_request,
)
from striate.text.visible import visible
from striate.version import __version__

VERSION = "1"
INPUT = "images"

# Numbers, or texts.
Values = NDArray[Any] | list[str]

KINDS = {"f": "FP32", "b": "BOOL"}

ABOUT = """The input `images` is one of

- BYTES [N]: image files, base64 in JSON; prepared as the bundle says,
- UINT8 [N, height, width, channels]: pixels; prepared as well,
- FP32 [N, channels, height, width]: what the network reads, for who prepares images himself.

Tensors may stand as bytes behind the JSON, as in Triton's binary data extension; `where` is there for networks that
can say where they looked."""

JsonLength = Annotated[
    str | None,
    Header(
        alias="Inference-Header-Content-Length",
        description="How many bytes of the body are JSON, where tensors follow it.",
    ),
]

INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "responses": {
        "200": {
            "description": "The answers.",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/InferResponse"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
}


class ServerMetadata(BaseModel):
    """What serves."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor; -1 stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What the network takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Live(BaseModel):
    """Whether the server runs."""

    live: bool


class Ready(BaseModel):
    """Whether requests are answered."""

    ready: bool


class ModelReady(BaseModel):
    """Whether requests to a network are answered."""

    name: str
    ready: bool


def inference_routes(service: Service) -> APIRouter:
    """The routes below /v2."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])

    def named(name: str, version: str) -> Bundle:
        bundle = service.held.current
        if name != bundle.name:
            raise Refusal(
                404, f"there is no network {visible(name)[:80]} here; GET /v2/models lists what there is"
            )
        if version != VERSION:
            raise Refusal(
                404, f"there is no version {visible(version)[:80]}; leave it out, or ask for {VERSION}"
            )
        return bundle

    @routes.get("", summary="What serves")
    async def server() -> ServerMetadata:
        return ServerMetadata(
            name="striate", version=__version__, extensions=["binary_tensor_data", "classification"]
        )

    @routes.get("/health/live", summary="Whether the server runs")
    async def live() -> Live:
        return Live(live=True)

    @routes.get("/health/ready", summary="Whether requests are answered")
    async def ready() -> Ready:
        service.refuse_if_draining()
        return Ready(ready=True)

    @routes.get("/models", summary="The networks that are served")
    async def models() -> dict[str, list[str]]:
        return {"models": [service.held.current.name]}

    async def ready_model(name: str, version: str) -> ModelReady:
        service.refuse_if_draining()
        return ModelReady(name=named(name, version).name, ready=True)

    async def answer(name: str, version: str, request: Request) -> Response:
        bundle = named(name, version)
        asked, given = read_request(await request.body(), request.headers.get(JSON_LENGTH))
        answered = await service.engine.answer(_work(bundle, asked, given, service.limits.images))
        return _response(asked, answered)

    unversioned, versioned = "/models/{name}", "/models/{name}/versions/{version}"

    @routes.get(unversioned, summary="What the network takes and gives")
    async def metadata(name: str) -> ModelMetadata:
        return _metadata(named(name, VERSION))

    @routes.get(versioned, summary="The same of a version")
    async def version_metadata(name: str, version: str) -> ModelMetadata:
        return _metadata(named(name, version))

    @routes.get(f"{unversioned}/ready", summary="Whether the network answers")
    async def model_ready(name: str) -> ModelReady:
        return await ready_model(name, VERSION)

    @routes.get(f"{versioned}/ready", summary="The same of a version")
    async def version_ready(name: str, version: str) -> ModelReady:
        return await ready_model(name, version)

    said: dict[str, Any] = {"openapi_extra": INFER, "response_class": Response}

    @routes.post(f"{unversioned}/infer", summary="Answers about images", description=ABOUT, **said)
    async def infer(name: str, request: Request, json_length: JsonLength = None) -> Response:
        return await answer(name, VERSION, request)

    @routes.post(f"{versioned}/infer", summary="The same of a version", description=ABOUT, **said)
    async def version_infer(
        name: str, version: str, request: Request, json_length: JsonLength = None
    ) -> Response:
        return await answer(name, version, request)

    return routes


def _metadata(bundle: Bundle) -> ModelMetadata:
    count = len(bundle.classes)
    outputs = [
        TensorMetadata(name="label", datatype="BYTES", shape=[-1]),
        TensorMetadata(name="known", datatype="BOOL", shape=[-1]),
        TensorMetadata(name="probabilities", datatype="FP32", shape=[-1, count]),
        TensorMetadata(name="logits", datatype="FP32", shape=[-1, count]),
    ]
    if bundle.manifest.class_map is not None:
        outputs.append(TensorMetadata(name="where", datatype="FP32", shape=[-1, *bundle.manifest.class_map]))
    return ModelMetadata(
        name=bundle.name,
        versions=[VERSION],
        platform="striate_onnx",
        inputs=[TensorMetadata(name=INPUT, datatype="BYTES", shape=[-1])],
        outputs=outputs,
    )


def _work(bundle: Bundle, asked: InferRequest, given: list[bytes | None], most: int) -> Work:
    """What a request asks about.  Raises Refusal."""
    tensor = asked.inputs[0]
    if len(asked.inputs) > 1 or tensor.name != INPUT:
        raise Refusal(400, f"there is one input, `{INPUT}`; give it and no other")
    shape = tensor.shape
    if shape and shape[0] > most:
        raise Refusal(413, f"there are more than {most} images; send fewer at once")
    if tensor.datatype == "BYTES" and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        images: list[Any] = list(files(tensor, given[0]))
        return Work(_names(len(images)), tuple(images))
    if tensor.datatype == "UINT8" and len(shape) == 4 and shape[3] <= 4:
        return Work(_names(shape[0]), tuple(numbers(tensor, given[0])))
    if tensor.datatype == "FP32" and len(shape) == 4:
        x = numbers(tensor, given[0])
        if not np.isfinite(x).all():
            raise Refusal(400, f"the input `{INPUT}` has values that are no numbers; send finite ones")
        return Work((), x=np.ascontiguousarray(x, np.float32))
    channels, height, width = bundle.preprocessing.input
    raise Refusal(
        400,
        f"`{INPUT}` should be BYTES [N], image files; UINT8 [N, height, width, channels], pixels; or FP32 "
        f"[N, {channels}, {height}, {width}], what the network reads",
    )


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"[{index}]" for index in range(count))


def _response(asked: InferRequest, answered: Answered) -> Response:
    bundle, answers = answered.bundle, answered.answers
    known: dict[str, Values] = {
        "label": [answers.classes[index] for index in answers.labels],
        "known": ~answers.reject,
        "probabilities": answers.probabilities,
        "logits": answers.logits,
    }
    if answers.class_map is not None:
        known["where"] = answers.class_map[np.arange(len(answers)), answers.labels]
    everything_binary = (asked.parameters or {}).get("binary_data_output") is True
    wanted = asked.outputs or [AskedOutput(name=name) for name in known]
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for each in wanted:
        if each.name not in known:
            raise Refusal(
                400, f"there is no output `{visible(each.name)[:80]}`; there are {', '.join(known)}"
            )
        values, parameters = known[each.name], each.parameters or {}
        shape = [len(values)] if isinstance(values, list) else list(values.shape)
        if (top := parameters.get("classification")) is not None:
            values = _ranked(values, top, answers.classes)
            shape = [len(answers), len(values) // max(1, len(answers))]
        kind = "BYTES" if isinstance(values, list) else KINDS[values.dtype.kind]
        found: dict[str, Any] = {"name": each.name, "datatype": kind, "shape": shape}
        if parameters.get("binary_data", everything_binary) is True:
            behind.append(as_bytes(values))
            found["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            found["data"] = values if isinstance(values, list) else values.ravel().tolist()
        outputs.append(found)
    made: dict[str, Any] = {"model_name": bundle.name, "model_version": VERSION}
    if asked.id is not None:
        made["id"] = asked.id
    head = json.dumps(made | {"outputs": outputs}).encode()
    if not behind:
        return Response(head, media_type="application/json")
    return Response(
        head + b"".join(behind),
        media_type="application/octet-stream",
        headers={"Inference-Header-Content-Length": str(len(head))},
    )


def _ranked(values: Values, top: Any, classes: tuple[str, ...]) -> list[str]:
    """`value:index:label` of each image, the largest first, as Triton writes them.  Raises Refusal."""
    if isinstance(values, list) or values.ndim != 2 or not isinstance(top, int) or not 1 <= top <= 1000:
        raise Refusal(
            400, "`classification` is for `probabilities` and `logits`, with how many classes to name"
        )
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    return [f"{row[i]:f}:{i}:{classes[i]}" for row, at in zip(values, order, strict=True) for i in at]
