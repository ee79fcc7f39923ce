"""`/v1/costs` and the budgets of keys: what was spent, and what may be."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from concilium.contracts.costs import By, CostReport
from concilium.contracts.money import Money
from concilium.gateway.admin import admin
from concilium.gateway.auth import Scope
from concilium.gateway.body import read_model
from concilium.gateway.openapi import SECURED, json_body, problems
from concilium.gateway.state import gateway_of
from concilium.gateway.tasks import json_answer
from concilium.ledger import ApiKey, Asked

router = APIRouter(tags=["costs"])

_MONTH = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"


class NewBudget(BaseModel):
    """What a key's tasks may cost a month."""

    model_config = ConfigDict(extra="forbid")
    budget: Money | None
    """In the currency of the prices; null: no limit of its own."""


@router.get(
    "/v1/costs",
    summary="Sum costs",
    response_model=CostReport,
    responses=problems(401, 403, 422, 429, 503),
    openapi_extra=SECURED,
)
async def costs(
    request: Request,
    by: Annotated[By, Query(description="What the sums are of.")] = By.MONTH,
    month: Annotated[str | None, Query(pattern=_MONTH, description="A month in UTC; absent: the one that is.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Tasks on a page.")] = 50,
    before: Annotated[str | None, Query(pattern=r"^[a-z0-9_]{1,64}$", description="`next` of the page before.")] = None,
) -> Response:
    """Return what the caller's tasks cost, by task, key, node or month; an admin sees all, and the monthly prices."""
    gateway = gateway_of(request)
    caller = await gateway.auth.require(request, Scope.READ)
    key_id = None if caller.admin else caller.key_id
    return json_answer(await gateway.ledger.costs(Asked(by, month, key_id, limit, before)))


@router.put(
    "/v1/keys/{key_id}/budget",
    summary="Set a key's budget",
    response_model=ApiKey,
    responses=problems(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=SECURED | json_body("NewBudget"),
)
async def set_budget(request: Request, key_id: str) -> Response:
    """Set what the tasks of a key may cost a month, or take the limit away."""
    gateway, _ = await admin(request)
    wish = await read_model(request, NewBudget)
    return json_answer(await gateway.ledger.set_budget(key_id, wish.budget))
