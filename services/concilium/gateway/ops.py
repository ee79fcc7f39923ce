"""`/v1/agents`, `/health`, `/ready`, `/metrics`: what the mesh says of itself."""

import asyncio
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from concilium.contracts.base import Model
from concilium.contracts.errors import ConciliumError
from concilium.contracts.skill import AgentManifest
from concilium.gateway.auth import Scope, presented
from concilium.gateway.background import depths
from concilium.gateway.openapi import SECURED, problems
from concilium.gateway.state import Gateway, gateway_of
from concilium.gateway.tasks import json_answer

router = APIRouter(tags=["mesh"])


class AgentList(Model):
    agents: tuple[AgentManifest, ...]


class Health(Model):
    status: str


class ScrapeTarget(Model):
    """One agent, in the form of Prometheus's ``http_sd_config``."""

    targets: tuple[str, ...]
    labels: dict[str, str]


class Readiness(Model):
    """Whether new tasks are taken, and the word of each part."""

    ready: bool
    ledger: str
    disk: str
    queue: str
    """Away is no reason to refuse: tasks are kept and rung again when it is back."""
    engine: str
    """``none``, ``ok``, ``model loading, 40 %`` or ``away``. No reason to refuse either: what needs a loading engine
    waits for it, and without one the skill router plans."""


@router.get(
    "/v1/agents",
    summary="List agents",
    response_model=AgentList,
    responses=problems(401, 403, 429, 503),
    openapi_extra=SECURED,
)
async def list_agents(request: Request) -> Response:
    """Return the agents of the mesh with their skills and schemas."""
    gateway = gateway_of(request)
    await gateway.auth.require(request, Scope.READ)
    agents = gateway.home.catalog.agents
    return json_answer(AgentList(agents=tuple(agents[name] for name in sorted(agents))))


@router.get("/health", summary="Alive?", response_model=Health)
async def health() -> Response:
    """Say that the process answers."""
    return json_answer(Health(status="ok"))


@router.get(
    "/ready",
    summary="Taking tasks?",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "New tasks are not taken now."}},
)
async def ready(request: Request) -> Response:
    """Say whether tasks are taken: the ledger answers and the disk has room."""
    gateway = gateway_of(request)
    ledger, queue, engine = await asyncio.gather(
        _ledger_word(gateway), _queue_word(gateway), gateway.engine_watch.word()
    )
    disk = _disk_word(gateway)
    good = ledger == "ok" and disk == "ok"
    said = Readiness(ready=good, ledger=ledger, disk=disk, queue=queue, engine=engine)
    return json_answer(said, 200 if good else 503)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {"description": "Exposition text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(401, 403, 429, 503),
    },
    openapi_extra=SECURED,
)
async def metrics(request: Request) -> Response:
    """Return the counts of the control plane, to an admin's key or the mesh key."""
    gateway = gateway_of(request)
    await _scraper(request, gateway)
    figures = await gateway.figures.read(gateway.ledger, gateway.home, gateway.depths)
    text = gateway.metrics.render(figures)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get(
    "/metrics/targets",
    summary="What Prometheus may scrape",
    response_model=list[ScrapeTarget],
    responses=problems(401, 403, 429, 503),
    openapi_extra=SECURED,
)
async def targets(request: Request) -> Response:
    """Return the agents of the mesh as Prometheus's HTTP service discovery reads them, to the same keys."""
    gateway = gateway_of(request)
    await _scraper(request, gateway)
    home, node = gateway.home, gateway.home.config.runner.node
    ours = {name: urlsplit(url) for name, url in home.agent_urls().items() if not home.catalog.agent(name).foreign}
    found = [
        ScrapeTarget(targets=(url.netloc,), labels={"agent": name, "node": node, "__scheme__": url.scheme})
        for name, url in ours.items()
    ]
    return Response(orjson.dumps([target.model_dump() for target in found]), media_type="application/json")


async def _scraper(request: Request, gateway: Gateway) -> None:
    if not gateway.running.mesh_key.matches(presented(request)):
        await gateway.auth.require(request, Scope.ADMIN)


async def _ledger_word(gateway: Gateway) -> str:
    try:
        await gateway.ledger.stats()
    except ConciliumError as error:
        return error.detail
    return "ok"


def _disk_word(gateway: Gateway) -> str:
    try:
        refused = gateway.ledger.refusal()
    except ConciliumError as error:
        return error.detail
    return refused.detail if refused else "ok"


async def _queue_word(gateway: Gateway) -> str:
    words = await asyncio.to_thread(depths, gateway) if gateway.parts else {}
    return "away" if None in words.values() or gateway.parts is None else "ok"
