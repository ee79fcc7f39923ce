"""Errors on the wire: RFC 9457 problem details, the same form for our refusals and the framework's."""

import math
from http import HTTPStatus

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from concilium.contracts.base import JSON
from concilium.contracts.errors import BudgetExhausted, ConciliumError, Invalid, RateLimited, Unavailable

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "https://concilium.dev/problems/"
RETRY_AFTER_S = 5
"""What a caller is told to wait when the service is unavailable and says no better."""

_SLUGS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large", 422: "invalid"}


class RequestTimeout(ConciliumError):
    type, title, status = "request-timeout", "The body did not arrive in time", 408


def problem_response(error: ConciliumError) -> Response:
    """Return the problem document of a refusal (RFC 9457 section 3), with the headers its status calls for."""
    body = {
        "type": TYPE_BASE + error.type,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        **error.extra,
    }
    return Response(orjson.dumps(body, default=str), error.status, media_type=MEDIA_TYPE, headers=_headers_of(error))


def _headers_of(error: ConciliumError) -> dict[str, str]:
    if error.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="concilium"'}
    if isinstance(error, RateLimited | BudgetExhausted | Unavailable):
        wait = error.extra.get("retry_after_s", RETRY_AFTER_S)
        return {"Retry-After": str(max(1, math.ceil(float(str(wait)))))}
    return {}


def framework_problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return the problem of an error the framework raised (unknown route, method not allowed, …)."""
    title = HTTPStatus(status).phrase
    body = {
        "type": TYPE_BASE + _SLUGS.get(status, title.lower().replace(" ", "-")),
        "title": title,
        "status": status,
        "detail": detail,
    }
    return Response(orjson.dumps(body), status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(ConciliumError, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)


def violations(errors: list[JSON]) -> list[dict[str, str]]:
    """Return pydantic's errors as ``[{"at": "files.0.name", "problem": …}]``, without echoing the input."""
    return [{"at": ".".join(map(str, e["loc"])), "problem": str(e["msg"])} for e in errors[:20]]


async def _on_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ConciliumError)  # noqa: S101 - the handler is registered for this class alone
    return problem_response(error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for this class alone
    detail, headers = error.detail, dict(error.headers or {})
    if error.status_code == 404:
        detail = f"no route {request.url.path}"
    elif error.status_code == 405:
        detail = f"{request.method} is not allowed on {request.url.path}"
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return framework_problem(error.status_code, detail, headers)


def _methods(request: Request) -> set[str]:
    """Return every method that some route takes on the request's path (RFC 9110, section 10.2.1)."""
    fitting = (r for r in request.app.routes if isinstance(r, Route) and r.path_regex.match(request.url.path))
    return {method for route in fitting for method in route.methods or ()}


async def _on_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class alone
    found = violations(list(error.errors()))
    text = "; ".join(f"{v['at']}: {v['problem']}" for v in found)
    return problem_response(Invalid(text, violations=found))
