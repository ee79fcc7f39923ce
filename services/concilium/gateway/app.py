"""The control plane as one ASGI app: every public surface, the runner API, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from concilium import __version__
from concilium.brain import Brain
from concilium.brain.loop import Wake
from concilium.contracts.nodes import Invitation
from concilium.contracts.task import Event
from concilium.gateway import admin, ask, costs, events, files, nodes, ops, problems, runner_api, tasks
from concilium.gateway.a2a import mount_a2a
from concilium.gateway.auth import make_authenticator
from concilium.gateway.background import Loop, hear, reconcile, running, think, tidy, watch_budgets
from concilium.gateway.callbacks import Sender
from concilium.gateway.middleware import BodyLimit, Envelope
from concilium.gateway.openapi import install as install_openapi
from concilium.gateway.pages.routes import routes as page_routes
from concilium.gateway.placing import keep_placed, look, placement_of
from concilium.gateway.secrets import ensure_api_keys, random_key, secret_file, signing_secret
from concilium.gateway.ssrf import Guard
from concilium.gateway.state import Gateway, Parts, Placed
from concilium.home import Home
from concilium.ledger import Ledger
from concilium.ledger.tx import AdvanceFn
from concilium.queue import RECALLED, Doorbell, Notices

DESCRIPTION = "One request in, several agents at work, one answer out, nothing lost."
_ROUTERS = (ask.router, tasks.router, admin.router, costs.router, nodes.router, ops.router)
_DOCUMENTED = (
    ask.AskBody,
    tasks.ReplyBody,
    tasks.CancelBody,
    admin.NewKey,
    admin.Rotation,
    costs.NewBudget,
    Invitation,
    Event,
)
"""Models of the OpenAPI document that no signature names."""
_EXTENDED = (events, files)
"""Modules that add their routes to the router of `tasks`."""


def create_app(home: Home, advance: AdvanceFn | None = None) -> FastAPI:
    """Return the control plane of a home; the ledger opens with the app's lifespan.

    Args:
        home: where configuration, keys and data are.
        advance: another fold in the place of the brain's; then nothing thinks.

    Raises:
        Invalid: the configuration or the prices cannot be used.
    """
    # Read now, as the prices below: an owner shall hear of a wrong rule before anything starts.
    placed = Placed(placement_of(home))
    brain = Brain(home.catalog, bool(home.config.engine.url), placed)
    wake = Wake(brain) if home.config.engine.url and advance is None else None
    fold = advance or (wake or brain).advance
    _ = home.models, home.prices  # read now: an owner shall hear of a wrong price before anything starts
    gateway = Gateway(home=home, advance=fold, placed=placed, guard=Guard(home.callback_allow), wake=wake)
    app = FastAPI(
        title="Concilium",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.gateway = gateway
    for router in _ROUTERS:
        # Side by side rather than nested, so that a refused method can name every method of its path.
        app.router.routes.extend(router.routes)
    app.router.routes.extend(runner_api.routes())
    app.router.routes.extend(nodes.link_routes())
    app.router.routes.extend(page_routes())
    mount_a2a(app, gateway)
    problems.install(app)
    install_openapi(app, _DOCUMENTED, {"AskForm": ask.AskTerms})
    app.add_middleware(BodyLimit, max_bytes=home.config.gateway.body_bytes)
    app.add_middleware(Envelope, count=gateway.metrics.request)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the ledger and run the loops; close in the opposite order."""
    gateway: Gateway = app.state.gateway
    home, config = gateway.home, gateway.home.config
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite has this one process; PostgreSQL may have several.
    notices = Notices(home.queue_url) if home.ledger_url.startswith("postgresql") else None
    ledger = await Ledger.open(
        home.ledger_url,
        home.blobs,
        gateway.advance,
        lease_ttl_s=config.ledger.lease_ttl_s,
        min_free_bytes=config.ledger.min_free_bytes,
        on_commit=_told(gateway.wake, notices),
        on_moves=gateway.metrics.moved,
        prices=home.prices,
        budgets=config.budgets,
        placement=gateway.placed,
    )
    try:
        await ensure_api_keys(home.keys, ledger)
        secret_file(home.keys / "webhook.key", signing_secret)
        secret_file(home.keys / "mesh.key", random_key)
        sender = Sender(ledger, gateway.guard, home.key_file("webhook"), config.callbacks)
        gateway.parts = Parts(
            ledger=ledger,
            doorbell=Doorbell(home.queue_url),
            recalls=Notices(home.queue_url, RECALLED),
            auth=make_authenticator(ledger.find_key, config.gateway.rate_per_minute),
            sender=sender,
            mesh_key=home.key_file("mesh"),
            session_key=secret_file(home.keys / "session.key", random_key).encode("ascii"),
        )
        await look(gateway)
        loops: dict[str, Loop] = {
            "nodes": partial(keep_placed, gateway),
            "reconciler": partial(reconcile, gateway),
            "callbacks": sender.run,
            "budgets": partial(watch_budgets, gateway),
            "certificates": partial(nodes.renew_certificates, gateway),
        }
        if config.retention.every_hours:
            loops["gc"] = partial(tidy, gateway)
        if notices:
            loops["notices"] = partial(hear, ledger, notices)
        if gateway.wake:
            loops["brain"] = partial(think, gateway, gateway.wake)
        async with running(loops):
            yield
    finally:
        if gateway.parts is not None:
            await asyncio.to_thread(gateway.parts.doorbell.close)
            await asyncio.to_thread(gateway.parts.recalls.close)
        gateway.parts = None
        await ledger.close()
        if notices:
            await asyncio.to_thread(notices.close)


def _told(wake: Wake | None, notices: Notices | None) -> Callable[[set[str]], None] | None:
    """Return what is called after each commit with the tasks it changed, in a database thread."""
    listeners = [*([wake.committed] if wake else ()), *([notices.publish] if notices else ())]

    def tell(task_ids: set[str]) -> None:
        for listener in listeners:
            listener(task_ids)

    return tell if listeners else None
