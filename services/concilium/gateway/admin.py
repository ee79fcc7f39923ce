"""`/v1/keys` and `/v1/outbox`: what an admin does."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from concilium.contracts.base import Model
from concilium.contracts.errors import Conflict
from concilium.contracts.money import Money
from concilium.gateway.auth import Caller, Scope
from concilium.gateway.body import read_model
from concilium.gateway.openapi import SECURED, json_body, problems
from concilium.gateway.ssrf import redacted
from concilium.gateway.state import Gateway, gateway_of
from concilium.gateway.tasks import json_answer
from concilium.ledger import ApiKey, Delivery, GcReport

router = APIRouter(tags=["admin"])

DAY_S = 86_400
YEARS_10_S = 10 * 365 * DAY_S
OVERLAP_MAX_S = 30 * DAY_S
_GETS = problems(401, 403, 429, 503)
_ACTS = problems(401, 403, 404, 409, 429, 503)


class NewKey(BaseModel):
    """What a new key may do."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_in_s: float | None = Field(default=None, gt=0, le=YEARS_10_S, allow_inf_nan=False)
    rate_per_minute: int | None = Field(default=None, ge=1, le=10_000_000)
    budget: Money | None = None
    """What its tasks may cost a month, in the currency of the prices; absent: no limit of its own."""


class Rotation(BaseModel):
    """How a key gets another secret."""

    model_config = ConfigDict(extra="forbid")
    overlap_s: float = Field(default=DAY_S, ge=0, le=OVERLAP_MAX_S, allow_inf_nan=False)
    """Seconds for which the secret before is still taken; 0: it is refused at once."""


class CreatedKey(Model):
    """A new key. ``secret`` is shown here and never again."""

    key: ApiKey
    secret: str


class KeyList(Model):
    keys: tuple[ApiKey, ...]


class DeadLetter(Model):
    """A callback that was given up; the query of its URL, where tokens live, is left out."""

    id: str
    task_id: str
    url: str
    type: str
    attempts: int
    error: str | None


class DeadLetters(Model):
    deliveries: tuple[DeadLetter, ...]


async def admin(request: Request) -> tuple[Gateway, Caller]:
    """Return the control plane and the admin who calls."""
    gateway = gateway_of(request)
    return gateway, await gateway.auth.require(request, Scope.ADMIN)


@router.post(
    "/v1/keys",
    summary="Create a key",
    status_code=201,
    response_model=CreatedKey,
    responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra=SECURED | json_body("NewKey"),
)
async def create_key(request: Request) -> Response:
    """Create an API key; its secret is in this answer alone."""
    gateway, _ = await admin(request)
    wish = await read_model(request, NewKey)
    key, secret = await gateway.ledger.create_key(
        wish.name,
        tuple(dict.fromkeys(map(str, wish.scopes))),
        expires_in_s=wish.expires_in_s,
        rate_per_minute=wish.rate_per_minute,
        budget=wish.budget,
    )
    answer = json_answer(CreatedKey(key=key, secret=secret), 201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.post(
    "/v1/keys/{key_id}/rotate",
    summary="Give a key another secret",
    response_model=CreatedKey,
    responses=_ACTS | problems(400, 408, 413, 415, 422),
    openapi_extra=SECURED | json_body("Rotation"),
)
async def rotate_key(request: Request, key_id: str) -> Response:
    """Give a key, named by its id or by the SHA-256 of its secret in hex, another secret.

    It stays the same key: its tasks stay visible to it. The secret before is taken until the overlap is over.
    """
    gateway, _ = await admin(request)
    wish = await read_model(request, Rotation)
    key, secret = await gateway.ledger.rotate_key(key_id, wish.overlap_s)
    gateway.auth.forget(key.id)
    answer = json_answer(CreatedKey(key=key, secret=secret))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get("/v1/keys", summary="List keys", response_model=KeyList, responses=_GETS, openapi_extra=SECURED)
async def list_keys(request: Request) -> Response:
    """Return every key, without secrets."""
    gateway, _ = await admin(request)
    return json_answer(KeyList(keys=tuple(await gateway.ledger.list_keys())))


@router.delete("/v1/keys/{key_id}", summary="Revoke a key", status_code=204, responses=_ACTS, openapi_extra=SECURED)
async def revoke_key(request: Request, key_id: str) -> Response:
    """Revoke a key: requests with it are refused at once here and within two seconds by other replicas.

    A key cannot revoke itself, so that the last admin does not lock everyone out.
    """
    gateway, caller = await admin(request)
    if key_id == caller.key_id:
        raise Conflict("a key cannot revoke itself; use another admin key")
    await gateway.ledger.revoke_key(key_id)
    gateway.auth.forget(key_id)
    return Response(status_code=204)


@router.get(
    "/v1/outbox", summary="List dead letters", response_model=DeadLetters, responses=_GETS, openapi_extra=SECURED
)
async def list_dead(request: Request) -> Response:
    """Return the callbacks that were given up."""
    gateway, _ = await admin(request)
    return json_answer(DeadLetters(deliveries=tuple(map(_letter, await gateway.ledger.outbox_dead()))))


@router.post(
    "/v1/outbox/{delivery_id}/replay",
    summary="Send a dead letter again",
    response_model=DeadLetter,
    responses=_ACTS,
    openapi_extra=SECURED,
)
async def replay_delivery(request: Request, delivery_id: str) -> Response:
    """Put a given-up callback back into the outbox, under the same ``webhook-id``."""
    gateway, _ = await admin(request)
    delivery = await gateway.ledger.outbox_replay(delivery_id)
    gateway.running.sender.kick()
    return json_answer(_letter(delivery))


@router.post(
    "/v1/gc", summary="Remove what is too old", response_model=GcReport, responses=_GETS, openapi_extra=SECURED
)
async def gc(request: Request) -> Response:
    """Remove ended tasks, their events and unreferenced files beyond ``retention``; return what went."""
    gateway, _ = await admin(request)
    return json_answer(await gateway.ledger.gc(gateway.home.config.retention))


def _letter(delivery: Delivery) -> DeadLetter:
    return DeadLetter(
        id=delivery.id,
        task_id=delivery.task_id,
        url=redacted(delivery.url),
        type=delivery.type,
        attempts=delivery.attempts,
        error=delivery.error,
    )
