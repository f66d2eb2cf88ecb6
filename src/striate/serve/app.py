"""The app: the service's own routes, the page, and the documentation of both protocols."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from striate.serve.engine import Answered, Work
from striate.serve.gate import Gate
from striate.serve.inference import inference_routes
from striate.serve.limits import Refusal, failed
from striate.serve.page import page
from striate.serve.schema import JSON_VERSION, REFUSALS, Health, Prediction, Predictions
from striate.serve.service import Service
from striate.serve.tensors import InferRequest, InferResponse
from striate.serve.upload import read_uploads
from striate.text.visible import visible
from striate.version import __version__

# The sentences of errors that the framework finds, by their status.
SENTENCES = {
    404: "there is no such path; GET /docs lists those that are",
    405: "this path has another method; GET /docs lists them",
}

ABOUT = """Classifies images with one bundle. `/predict` takes image files; `/v2` is the Open Inference Protocol.

Every refusal is a JSON object with one sentence in `error`. Nothing is kept of an image."""

FILE = {"type": "string", "format": "binary"}

UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": FILE},
            "image/*": {"schema": FILE},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "array", "items": FILE}},
                    "required": ["image"],
                }
            },
        },
    },
    "responses": {
        "200": {
            "description": "For a file its answer, for a form a list of answers.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Prediction"},
                            {"$ref": "#/components/schemas/Predictions"},
                        ]
                    }
                }
            },
        }
    },
}


def create_app(service: Service) -> ASGIApp:
    """The app that uvicorn runs: the routes, and the gate in front of them."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="striate",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=REFUSALS,
        # Nothing is reported to anybody, even where the environment names a collector.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _add_errors(app)
    _add_own(app, service)
    app.include_router(inference_routes(service))
    return Gate(app, service.limits, service.token, service.engine.refuse_if_busy, service.metrics.request)


def _add_own(app: FastAPI, service: Service) -> None:
    @app.post(
        "/predict",
        tags=["striate"],
        summary="What the network says of images",
        openapi_extra=UPLOAD,
        response_class=Response,
    )
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, le=1000, description="How many classes to name.")] = 3,
        where: Annotated[bool, Query(description="Say where the network looked, too.")] = False,
        name: Annotated[str, Query(max_length=200, description="What the image is called, for a file.")] = "",
    ) -> Response:
        kind = request.headers.get("content-type", "")
        uploads = read_uploads(kind, await request.body(), service.limits)
        is_form = kind.lower().lstrip().startswith("multipart/")
        names = tuple(each.name for each in uploads) if is_form else (name,)
        answered = await service.engine.answer(Work(names, tuple(each.content for each in uploads)))
        found = [prediction(answered, index, name, top, where) for index, name in enumerate(names)]
        return _json({"version": JSON_VERSION, "images": found} if is_form else found[0])

    @app.get("/health", tags=["striate"], summary="Whether the server runs")
    async def health() -> Health:
        return Health(status="ok")

    @app.get("/ready", tags=["striate"], summary="Whether requests are answered")
    async def ready() -> Health:
        service.refuse_if_draining()
        return Health(status="ready")

    @app.get("/metrics", tags=["striate"], summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        text, policy = page()
        return _page(text, policy)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return _page(_read("docs.html").decode(), DOCS_POLICY)

    @app.get("/docs/{name}", include_in_schema=False)
    async def docs_file(name: str) -> Response:
        if name not in DOCS_FILES:
            raise HTTPException(404)
        headers = {"content-encoding": "gzip"} if name in DOCS_PACKED else {}
        stored = f"{name}.gz" if name in DOCS_PACKED else name
        return Response(
            _read(stored), media_type=DOCS_FILES[name], headers=headers | {"cache-control": "max-age=3600"}
        )

    openapi = app.openapi

    def described() -> dict[str, Any]:
        made = openapi()
        # These are named by hand, as a route with two kinds of bodies cannot be described by its signature.
        for model in (Prediction, Predictions, InferRequest, InferResponse):
            known = model.model_json_schema(ref_template="#/components/schemas/{model}")
            for name, part in known.pop("$defs", {}).items():
                made["components"]["schemas"].setdefault(name, part)
            made["components"]["schemas"][model.__name__] = known
        return made

    app.openapi = described  # type: ignore[method-assign]


DOCS_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}
DOCS_PACKED = ("swagger-ui-bundle.js", "swagger-ui.css")
DOCS_POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"


def _read(name: str) -> bytes:
    return resources.files("striate.serve").joinpath("docs", name).read_bytes()


def _page(text: str, policy: str) -> HTMLResponse:
    headers = {
        "content-security-policy": policy + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
    return HTMLResponse(text, headers=headers)


def prediction(answered: Answered, index: int, name: str, top: int, where: bool) -> dict[str, Any]:
    """One answer as plain values; the same as `striate predict --json` prints, and where it looked if asked."""
    answers = answered.answers
    found = {"version": JSON_VERSION, "image": name, **answers.record(index, top)}
    if where and answers.class_map is not None:
        known = answered.bundle.manifest.preprocessing
        place = answers.class_map[index, answers.labels[index]]
        found["where"] = {
            "values": np.round(place.astype(np.float64), 4).tolist(),
            "view": {"fit": known.fit, "stored": list(known.stored_size), "size": list(known.size)},
        }
    return found


def _json(value: dict[str, Any]) -> Response:
    """As `striate predict --json` writes it, byte for byte."""
    return Response(json.dumps(value, allow_nan=False), media_type="application/json")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, problem: Refusal) -> Response:
        return Response(problem.body, problem.status, problem.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, problem: Exception) -> Response:
        return Response(failed().body, 500, failed().headers)

    @app.exception_handler(HTTPException)
    async def http(request: Request, problem: HTTPException) -> Response:
        sentence = SENTENCES.get(problem.status_code, "the request cannot be answered")
        return JSONResponse({"error": sentence}, problem.status_code, problem.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, problem: RequestValidationError) -> Response:
        first = problem.errors()[0]
        place, said = visible(".".join(str(each) for each in first["loc"][1:])), visible(str(first["msg"]))
        return JSONResponse({"error": f"`{place[:80]}`: {said[0].lower()}{said[1:160]}"}, 400)
