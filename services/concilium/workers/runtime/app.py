"""The one app factory of all agent services."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping

import structlog
from a2a.server.routes.rest_routes import create_rest_routes
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route

from concilium.contracts.a2a.card import CARD_PATH, PREFIX, agent_card, card_json
from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig, MeshConfig
from concilium.contracts.limits import BODY_BYTES
from concilium.contracts.skill import AgentManifest
from concilium.home import Home
from concilium.workers.runtime.guard import Guard
from concilium.workers.runtime.handler import AgentHandler
from concilium.workers.runtime.limits import BODY_TIMEOUT_S, STOP_GRACE_S, SWEEP_EVERY_S, WARM_UP_RETRY_S
from concilium.workers.runtime.metrics import Metrics
from concilium.workers.runtime.runs import Runs
from concilium.workers.runtime.skillset import SkillSet, WarmUp, load_skills

log = structlog.get_logger(__name__)

OPEN_PATHS = frozenset({CARD_PATH, "/health", "/ready"})
"""Answered without the mesh key."""


def create_agent_app(manifest: AgentManifest, home: Home) -> FastAPI:
    """Return the service of one agent.

    Raises:
        Invalid: the manifest and its module do not fit together.
        Unavailable: there is no mesh key.
    """
    skills = load_skills(manifest, home.agent_folder(manifest.name))
    metrics = Metrics((skill.name for skill in manifest.skills), manifest.slots)
    runs = Runs(manifest, home.agent_state(manifest.name), metrics, engine_of(manifest, home.config), home.models)
    metrics.ready.set_function(runs.ready.is_set)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        runs.open()
        chores = [asyncio.create_task(_warm_up(runs, skills, manifest.settings)), asyncio.create_task(_sweep(runs))]
        yield
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await runs.close()

    app = FastAPI(title=manifest.name, version=manifest.version, lifespan=lifespan, openapi_url=None)
    _add_plain_routes(app, manifest, runs, metrics)
    rest = create_rest_routes(
        AgentHandler(skills, runs), path_prefix=PREFIX, enable_v0_3_compat=True, shutdown_grace_period=STOP_GRACE_S
    )
    # The SDK's last route is a mount for tenants under any path; an agent has none.
    app.router.routes.extend(route for route in rest if isinstance(route, Route))
    key = home.key_file("mesh")
    key.accepted()  # an agent without a key does not start
    app.add_middleware(Guard, key=key, open_paths=OPEN_PATHS, body_bytes=BODY_BYTES, body_s=BODY_TIMEOUT_S)
    return app


def engine_of(manifest: AgentManifest, config: MeshConfig) -> EngineConfig | None:
    """Return the engine an agent's skills may ask, or None when the manifest names none or it has no URL."""
    found: EngineConfig | None = getattr(config, manifest.engine) if manifest.engine else None
    return found if found and found.url else None


def _add_plain_routes(app: FastAPI, manifest: AgentManifest, runs: Runs, metrics: Metrics) -> None:
    async def card(request: Request) -> Response:
        return JSONResponse(card_json(agent_card(manifest, str(request.base_url))))

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "agent": manifest.name})

    async def ready(_request: Request) -> Response:
        warm = runs.ready.is_set()
        answer = {"ready": warm, "agent": manifest.name, "warm_up_s": runs.warm_up_s}
        return JSONResponse(answer, 200 if warm else 503)

    async def metrics_text(_request: Request) -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for path, endpoint in ((CARD_PATH, card), ("/health", health), ("/ready", ready), ("/metrics", metrics_text)):
        app.router.routes.append(Route(path, endpoint, methods=["GET"]))


async def _warm_up(runs: Runs, skills: SkillSet, settings: Mapping[str, JSON]) -> None:
    """Warm the agent up until it works; runs wait for it within their deadlines."""
    while not runs.ready.is_set():
        began = time.monotonic()
        attempt = asyncio.create_task(_once(skills.warm_up, settings))
        await asyncio.wait((attempt,))
        error = attempt.exception()
        if error is None:
            runs.warm_up_s = round(time.monotonic() - began, 3)
            runs.ready.set()
            return
        log.error("warm-up failed", error=type(error).__name__, detail=str(error), retry_s=WARM_UP_RETRY_S)
        await asyncio.sleep(WARM_UP_RETRY_S)


async def _once(warm_up: WarmUp | None, settings: Mapping[str, JSON]) -> None:
    if warm_up is not None:
        await warm_up(settings)


async def _sweep(runs: Runs) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        runs.sweep()
