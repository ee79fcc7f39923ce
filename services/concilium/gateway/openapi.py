"""What the OpenAPI document says beyond what the routes' signatures say: bodies, problems, keys."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from concilium.contracts.base import JSON
from concilium.gateway.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]
"""FastAPI's type for documented answers."""

SECURED: dict[str, JSON] = {"security": [{"bearer": []}, {"apiKey": []}]}
_REF = "#/components/schemas/{model}"

_MEANINGS = {
    400: "The request cannot be understood.",
    401: "No valid API key.",
    403: "The key lacks the scope.",
    404: "No such thing, or it belongs to another key.",
    408: "The body did not arrive in time.",
    406: "None of the media types asked for can be given.",
    409: "The state of the thing forbids this.",
    413: "The body is too large.",
    415: "The media type is not accepted.",
    422: "Well formed, but invalid.",
    429: "Too many requests for this key, or a budget is used up for this month.",
    503: "The service cannot take this now.",
}

PROBLEM_SCHEMA: dict[str, JSON] = {
    "type": "object",
    "title": "ProblemDetails",
    "description": "RFC 9457 problem details.",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": True,
}


def problems(*statuses: int) -> Responses:
    """Return the documentation of problem answers, for a route's ``responses``."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    answers: Responses = {}
    for status in statuses:
        answers[status] = {"description": _MEANINGS[status], "content": content}
        if status in (429, 503):
            answers[status]["headers"] = {
                "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds to wait."}
            }
    return answers


def json_body(model: str, *, multipart: str | None = None) -> dict[str, JSON]:
    """Return the documentation of a body that the route reads itself."""
    content: dict[str, JSON] = {"application/json": {"schema": {"$ref": _REF.format(model=model)}}}
    if multipart:
        content["multipart/form-data"] = {"schema": {"$ref": _REF.format(model=multipart)}}
    return {"requestBody": {"required": True, "content": content}}


def install(app: FastAPI, bodies: Sequence[type[BaseModel]], forms: dict[str, type[BaseModel]]) -> None:
    """Make ``app.openapi()`` complete: the bodies' schemas, the forms with their files, problems, keys."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, bodies, forms)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the way FastAPI documents for extending OpenAPI


def links_to_task() -> dict[str, JSON]:
    """Return the links from a new task to what can be done with it (OpenAPI 3.1, link object)."""
    operations = ("get_task", "get_steps", "cancel", "reply", "replay")
    return {name: {"operationId": name, "parameters": {"task_id": "$response.body#/id"}} for name in operations}


def _document(app: FastAPI, bodies: Sequence[type[BaseModel]], forms: dict[str, type[BaseModel]]) -> dict[str, Any]:
    for route in app.routes:
        if isinstance(route, APIRoute):
            route.operation_id = route.name
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, summary=app.summary, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, written = models_json_schema([(model, "validation") for model in bodies], ref_template=_REF)
    schemas.update(written.get("$defs", {}))
    for name, terms in forms.items():
        schemas[name] = _form(terms)
    schemas["ProblemDetails"] = PROBLEM_SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _drop_default_422(document)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, ck_…"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return document


def _drop_default_422(document: dict[str, Any]) -> None:
    """Remove FastAPI's own 422 from routes that take nothing that could be invalid."""
    for path in document["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                del operation["responses"]["422"]


def _form(terms: type[BaseModel]) -> dict[str, JSON]:
    schema = terms.model_json_schema(ref_template=_REF)
    schema.pop("$defs", None)
    schema["title"] = "AskForm"
    schema["properties"]["files"] = {"type": "array", "items": {"type": "string", "format": "binary"}}
    return schema
