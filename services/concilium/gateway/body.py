"""Reading a request's JSON body: media type, syntax, depth, then the model."""

import json
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from concilium.contracts import limits
from concilium.contracts.base import JSON
from concilium.contracts.errors import BadRequest, Invalid, UnsupportedMedia
from concilium.gateway.problems import violations

M = TypeVar("M", bound=BaseModel)


def media_type(request: Request) -> str:
    """Return the body's media type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_model(request: Request, model: type[M]) -> M:
    """Return the body as a model.

    Raises:
        UnsupportedMedia: it is not declared as JSON.
        BadRequest: it is not JSON.
        Invalid: it is nested too deeply or does not fit the model.
    """
    if media_type(request) != "application/json":
        raise UnsupportedMedia("send application/json")
    return fit(parse_json(await request.body()), model)


def parse_json(raw: bytes) -> JSON:
    """Return the JSON value of a body. Raises `BadRequest` or, when nested too deeply, `Invalid`."""
    try:
        value: JSON = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise _too_deep() from error
        raise BadRequest(f"the body is not JSON: {error}") from error
    check_depth(value)
    # orjson keeps the last of two members with one name, unasked. Numbers are judged already and stay text here.
    json.loads(raw, object_pairs_hook=_once, parse_int=str, parse_float=str)
    return value


def _once(pairs: list[tuple[str, JSON]]) -> None:
    """Raise `BadRequest` when an object has a member twice (RFC 8259, section 4: none of them counts for all)."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise BadRequest(f"the body has the member '{name[:100]}' twice in one object")
        seen.add(name)


def check_depth(value: JSON) -> None:
    """Raise `Invalid` when a value is nested deeper than `limits.JSON_DEPTH`."""
    level = [value]
    for _ in range(limits.JSON_DEPTH):
        inner: list[JSON] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
        if not level:
            return
    if any(isinstance(item, dict | list) for item in level):
        raise _too_deep()


def fit(value: JSON, model: type[M]) -> M:
    """Return a value as a model. Raises `Invalid` saying what does not fit and where."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = violations(list(error.errors(include_url=False, include_context=False, include_input=False)))
        text = "; ".join(f"{v['at'] or 'body'}: {v['problem']}" for v in found)
        raise Invalid(text, violations=found) from error


def _too_deep() -> Invalid:
    return Invalid(f"JSON may be nested {limits.JSON_DEPTH} levels deep at most")
