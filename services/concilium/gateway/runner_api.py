"""`/runner/v1`: claim, renew, progress, complete, blobs. The hot path: plain routes, no framework in between."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from concilium import tracing
from concilium.contracts.errors import Invalid, NotFound
from concilium.contracts.runner import (
    ClaimReply,
    ClaimRequest,
    Completion,
    CompletionReply,
    Held,
    Lease,
    ProgressRequest,
    RenewRequest,
)
from concilium.gateway.auth import Scope
from concilium.gateway.problems import violations
from concilium.gateway.state import Gateway, gateway_of
from concilium.gateway.tasks import json_answer
from concilium.tracing import step_about

M = TypeVar("M", bound=BaseModel)
_SHA256 = re.compile(r"[0-9a-f]{64}")


async def claim(request: Request) -> Response:
    """Grant leases on the best ready steps of an agent."""
    gateway, wish = await _read(request, ClaimRequest)
    leases = await gateway.ledger.claim(wish)
    _tell_waits(leases)
    return json_answer(ClaimReply(leases=leases))


async def renew(request: Request) -> Response:
    """Renew every lease a runner holds; the answer names the lost ones."""
    gateway, wish = await _read(request, RenewRequest)
    return json_answer(await gateway.ledger.renew(wish))


async def progress(request: Request) -> Response:
    """Record a batch of progress notes."""
    gateway, notes = await _read(request, ProgressRequest)
    await gateway.ledger.progress(notes)
    return Response(status_code=204)


async def complete(request: Request) -> Response:
    """Commit an outcome under its fence; 409 ``stale-lease`` when another holds the step now."""
    gateway, outcome = await _read(request, Completion)
    done = await gateway.ledger.complete(outcome)
    gateway.ring(done.rings)
    if done.finished:
        gateway.running.sender.kick()
    _tell_waits(done.leases)
    return json_answer(CompletionReply(leases=done.leases))


def _tell_waits(leases: Iterable[Lease]) -> None:
    """Record how long each step stood in the queue."""
    for lease in leases:
        about = step_about(lease) | {"concilium.grants": lease.grants}
        tracing.waited("queue", about, seconds=lease.waited_s, parent=lease.traceparent)


async def get_blob(request: Request) -> Response:
    """Return a file that the input of a held step mentions."""
    gateway = await _entered(request)
    sha256, query = _digest(request), request.query_params
    try:
        held = Held(
            task_id=query["task_id"], step=query["step"], attempt=int(query["attempt"]), fence=int(query["fence"])
        )
    except (KeyError, ValueError) as error:
        raise Invalid("name the lease: ?task_id=…&step=…&attempt=…&fence=…") from error
    path = await gateway.ledger.lease_blob(held, sha256)
    return FileResponse(path, media_type="application/octet-stream")


async def put_blob(request: Request) -> Response:
    """Store a file under its hash, which is checked while it streams."""
    gateway = await _entered(request)
    sha256 = _digest(request)
    await gateway.ledger.put_blob(request.stream(), expected=sha256)
    return Response(status_code=204)


async def _entered(request: Request) -> Gateway:
    gateway = gateway_of(request)
    await gateway.auth.require(request, Scope.NODES)
    return gateway


async def _read(request: Request, model: type[M]) -> tuple[Gateway, M]:
    gateway = await _entered(request)
    try:
        return gateway, model.model_validate_json(await request.body())
    except ValidationError as error:
        found = violations(list(error.errors(include_url=False, include_context=False, include_input=False)))
        raise Invalid("; ".join(f"{v['at']}: {v['problem']}" for v in found), violations=found) from error


def _digest(request: Request) -> str:
    sha256: str = request.path_params["sha256"]
    if not _SHA256.fullmatch(sha256):
        raise NotFound("that is not a SHA-256 in lower-case hex")
    return sha256


Handler = Callable[[Request], Awaitable[Response]]


def routes() -> list[Route]:
    """Return the runner API's routes."""
    posts: dict[str, Handler] = {"claim": claim, "renew": renew, "progress": progress, "complete": complete}
    return [
        *(Route(f"/runner/v1/{name}", handler, methods=["POST"]) for name, handler in posts.items()),
        Route("/runner/v1/blobs/{sha256}", get_blob, methods=["GET"]),
        Route("/runner/v1/blobs/{sha256}", put_blob, methods=["PUT"]),
    ]
